"""Counts members into their pages: one new row for a thousand of them."""

from collections.abc import Mapping

from msgspec.structs import replace

from relay.page import Member, Page, Suppression, SuppressionKind

UNROUTED = Suppression(SuppressionKind.UNROUTED, "no route sends it to PagerDuty any more")


class Tallies:
    """What is still to be counted, by page."""

    def __init__(self) -> None:
        self._counted: dict[int, dict[str, int]] = {}
        self._shapes: dict[int, int] = {}
        self._quiet: dict[int, tuple[int, int]] = {}
        """How many more are quiet, and how many of those only wait."""
        self._quieted: dict[int, tuple[int, int, str]] = {}
        """The worst member that is quiet by what was judged here: (rank, order, route)."""

    def count(self, member: Member, by: int) -> None:
        """Count a member in (1) or out (-1)."""
        page = member.page
        if not member.firing:
            return
        if member.suppressions:
            quiet, waiting = self._quiet.get(page, (0, 0))
            self._quiet[page] = quiet + by, waiting + by * member.waits
            if by > 0:
                self.note_quiet(member)
            return
        counted, key = self._counted.setdefault(page, {}), member.tally_key
        counted[key] = counted.get(key, 0) + by
        self._shapes[page] = self._shapes.get(page, 0) ^ member.shape

    def note_quiet(self, member: Member) -> None:
        """Note that a member is quiet by what was judged here."""
        if UNROUTED not in member.suppressions:
            place = member.severity.rank, member.order, member.route
            self._quieted[member.page] = min(place, self._quieted.get(member.page, place))

    def muted_by(self, page: int) -> str | None:
        """Name the route that says what a mute does: that of the worst member it takes; None where none was judged."""
        worst = self._quieted.get(page)
        return None if worst is None else worst[2]

    def take(self, pages: Mapping[int, Page]) -> dict[int, Page]:
        """Write what was counted into the pages' rows; return those that it changes, and begin anew."""
        found = {number: self._added(pages[number]) for number in (*self._counted, *self._quiet)}
        for counted in (self._counted, self._shapes, self._quiet):
            counted.clear()
        return found

    def _added(self, page: Page) -> Page:
        counted = self._counted.get(page.id, {})
        tally = {key: page.tally.get(key, 0) + counted.get(key, 0) for key in (*page.tally, *counted)}
        quiet, waiting = self._quiet.get(page.id, (0, 0))
        return replace(
            page,
            tally={key: n for key, n in tally.items() if n > 0},
            shape=page.shape ^ self._shapes.get(page.id, 0),
            quiet=page.quiet + quiet,
            waiting=page.waiting + waiting,
        )
