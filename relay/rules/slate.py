"""The ledger on a slate: what was judged while the store could not be written, laid over what can be read of it.

Nothing here is accepted: senders are told to come again. It lasts until the store takes writes again.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence

from msgspec.structs import replace

from relay.alert import Instant
from relay.page import Do, Lane, Member, Page, State
from relay.rules.classify import Draft, Entry
from relay.rules.ledger import Held, Inhibitor, Ledger, Link, Lookup, Plan, Role, Shown
from relay.rules.pages import next_step

MOST_ALERTS = 20_000
MOST_BYTES = 32 * 1024 * 1024
"""Of what alerts state."""
_KEPT = 0.9
"""Part of that which is kept when there is no more room."""

NEW = (Lane.CRITICAL, Lane.ERROR, Lane.WARNING)
"""Lanes in which pages wait to be opened."""
STARTED = frozenset({State.OPEN, State.UNKNOWN_TRIGGER})

Group = tuple[str, str, str, str]
"""(source, group key, receiver, Alertmanager's URL) of a body."""

NOTHING = Ledger({}, {}, {})


class Slate:
    """Alerts, pages and members by id. What it is given is frozen; it replaces."""

    def __init__(self) -> None:
        self.pages: dict[int, Page] = {}
        self.forgotten = 0
        """Pages that there was no more room for."""
        self._alerts: dict[int, Held] = {}
        self._entries: dict[int, tuple[Entry, Group]] = {}
        self._members: dict[int, dict[int, Member]] = {}
        """By alert and page."""
        self._of_page: dict[int, set[int]] = {}
        self._moved: dict[int, int] = {}
        self._links: dict[int, dict[int, Link]] = {}
        """By key and alert: who inhibits there."""
        self._waiting: dict[int, None] = {}
        self._bytes = 0

    def __bool__(self) -> bool:
        return bool(self.pages)

    # Judging

    def ledger(self, lookup: Lookup, stored: Ledger) -> Ledger:
        """Show a judge what the store says of a lookup, and over it what was judged since."""
        alerts = {**stored.alerts, **{one: self._alerts[one] for one in lookup.alerts if one in self._alerts}}
        members = {one: rows for one in lookup.alerts if (rows := self._rows(one, stored.members.get(one, ())))}
        ids = {*lookup.pages, *(page for rows in members.values() for one in rows for page in (one.page, one.home))}
        pages = {**stored.pages, **{page: self.pages[page] for page in stored.pages if page in self.pages}}
        while ids:
            pages.update((page, self.pages[page]) for page in ids if page in self.pages)
            heirs = {pages[page].successor for page in ids if page in pages}
            ids = {heir for heir in heirs if heir is not None and heir not in pages}
        inhibitors = {key: self._inhibitors(key, stored.inhibitors.get(key, ())) for key in lookup.keys}
        return Ledger(alerts, pages, members, inhibitors=inhibitors)

    def _rows(self, alert: int, stored: Iterable[Member]) -> tuple[Member, ...]:
        known = {one.page: one for one in (self._where_now(one) for one in stored)}
        return tuple({**known, **self._members.get(alert, {})}.values())

    def _where_now(self, member: Member) -> Member:
        page = self._moved.get(member.page)
        return member if page is None else replace(member, page=page)

    def _inhibitors(self, key: int, stored: Iterable[Inhibitor]) -> tuple[Inhibitor, ...]:
        others = [one for one in stored if one.alert not in self._alerts]
        here = self._links.get(key, {})
        return (*others, *(Inhibitor(alert, one.role, one.name, one.absent_at) for alert, one in here.items()))

    def take(self, plan: Plan, draft: Draft) -> None:
        """Write a plan down."""
        self._move(plan.moved)
        group = draft.source, draft.group_key, draft.receiver, draft.alertmanager_url
        for entry in draft.entries if draft.truncation is None else (*draft.entries, draft.truncation):
            self.state(entry, group)
        for held in plan.alerts:
            before = self._alerts.get(held.id)
            self._bytes += len(held.raw) - (len(before.raw) if before is not None else 0)
            self._alerts[held.id] = held
        for alert, link in plan.unlinked:
            self._links.get(link.key, {}).pop(alert, None)
        for alert, link in plan.linked:
            if link.role is not Role.WATCHER:
                self._links.setdefault(link.key, {})[alert] = link
        for member in plan.members:
            self._put_member(member)
        for page in plan.pages:
            self.put(page)
        if len(self._alerts) > MOST_ALERTS or self._bytes > MOST_BYTES:
            self._make_room()

    def state(self, entry: Entry, group: Group) -> None:
        """Note what a body said of an alert."""
        self._entries[entry.id] = entry, group

    def _put_member(self, member: Member) -> None:
        self._members.setdefault(member.alert, {})[member.page] = member
        self._of_page.setdefault(member.page, set()).add(member.alert)

    def _move(self, moved: Iterable[tuple[int, int]]) -> None:
        for old, new in moved:
            self._moved[old] = new
            for alert in self._of_page.pop(old, set()):
                self._put_member(replace(self._members[alert].pop(old), page=new))

    # Sending

    def put(self, page: Page) -> None:
        """Write a page's row."""
        self.pages[page.id] = page
        waits = page.lane in NEW and not page.in_flight and next_step(page) in (Do.TRIGGER, Do.REOPEN)
        if waits:
            self._waiting[page.id] = None
        else:
            self._waiting.pop(page.id, None)

    def adopt(self, page: Page, members: Iterable[Shown]) -> None:
        """Take in a page that waits in the store, unless it was judged here."""
        if page.id in self.pages:
            return
        for one in members:
            self._alerts.setdefault(one.alert.id, one.alert)
            self._put_member(one.member)
            self._bytes += len(one.alert.raw)
        self.put(page)

    @property
    def waiting(self) -> list[Page]:
        """The pages that are to be opened, in no order."""
        return [self.pages[page] for page in self._waiting]

    def members(self, page: int) -> list[Shown]:
        """Show who is in a page, the worst that fire first."""
        shown = [
            Shown(self._members[alert][page], self._alerts[alert])
            for alert in self._of_page.get(page, ())
            if alert in self._alerts
        ]
        return sorted(shown, key=lambda one: (not one.member.firing, one.member.severity.rank, one.member.order))

    # Recovery

    def paged(self) -> list[Page]:
        """List the pages of which PagerDuty may have been told."""
        return [page for page in self.pages.values() if any(line.state in STARTED for line in page.lines)]

    def said(self, pages: Collection[int]) -> Mapping[Group, Sequence[Entry]]:
        """List, by the body that brought them, the alerts in these pages as senders stated them."""
        found: dict[Group, dict[int, Entry]] = {}
        for page in pages:
            for alert in self._of_page.get(page, ()):
                if alert in self._entries:
                    entry, group = self._entries[alert]
                    found.setdefault(group, {})[alert] = entry
        return {group: tuple(entries.values()) for group, entries in found.items()}

    # Bounds

    def _make_room(self) -> None:
        """Forget what was sent longest ago; where that is not enough, what is least urgent."""
        order = {Lane.CRITICAL: 2, Lane.ERROR: 1}
        pages = [page for page in self.pages.values() if not page.in_flight]

        def worth(page: Page) -> tuple[int, Instant]:
            if page.id not in self._waiting:
                return -1, page.last_sent_at
            return order.get(page.lane or Lane.WARNING, 0), -page.due_at

        for page in sorted(pages, key=worth):
            if len(self._alerts) <= MOST_ALERTS * _KEPT and self._bytes <= MOST_BYTES * _KEPT:
                return
            self._forget(page.id)

    def _forget(self, page: int) -> None:
        self.forgotten += 1
        self.pages.pop(page, None)
        self._waiting.pop(page, None)
        for alert in self._of_page.pop(page, set()):
            rows = self._members.get(alert, {})
            rows.pop(page, None)
            if not rows:
                self._members.pop(alert, None)
                self._entries.pop(alert, None)
                held = self._alerts.pop(alert, None)
                self._bytes -= len(held.raw) if held is not None else 0
