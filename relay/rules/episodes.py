"""How a page begins, goes on, follows the routes of its alerts, flaps and closes."""

from msgspec.structs import replace

from relay.alert import Duration, Instant
from relay.event import Severity
from relay.page import Page, State, Wanted
from relay.rules.acts import renewed
from relay.rules.ladder import rearmed
from relay.rules.pages import LIVE
from relay.rules.rulebook import Rulebook
from relay.rules.ruleset import Route
from relay.rules.suppression.words import clock

_WORDS = tuple(Severity)


def goes_on(page: Page) -> bool:
    """Say whether a page that was to close is still open at PagerDuty: what fires again continues its incident."""
    return page.delivered in (State.OPEN, State.UNKNOWN_TRIGGER) and not page.left_open


def resumed(page: Page, now: Instant) -> tuple[Page, str]:
    """Let the same incident go on; return the page, and what to say of it."""
    if page.resolve_after > now:
        what = "nothing is sent" if page.content == page.sent_content else "the same incident goes on"
        return replace(page, closed_at=0, resolve_after=0), f"fired again while its resolve was held: {what}"
    again = replace(page, again=page.again + 1, closed_at=0, resolve_after=0)
    return again, "fired again before its resolve was sent: the same incident goes on"


def begun(page: Page, now: Instant) -> Page:
    """Begin a new episode."""
    # A resolve under way may turn out not to have been taken: then the old incident keeps its urgency.
    resolving = page.in_flight and page.delivered is State.UNKNOWN_RESOLVE
    return replace(
        renewed(page),
        episode=page.episode + 1,
        again=0,
        sent_severity=page.sent_severity if resolving else None,
        shown_severity=page.shown_severity if resolving else None,
        sent_digest="",
        opened_at=now,
        changed_at=now,
        closed_at=0,
        failures=0,
        last_error="",
        minimal=False,
        fallback="",
        fallback_to="",
        refused_at=0,
        dead="",
        discarded="",
        muted=False,
        acknowledged=False,
        acknowledging=False,
        resolve_after=0,
        sent_content=0,
        sent_firing=0,
        opened_because="",
        ack_asked_at=0,
        ack_sent_at=0,
    )


def revised(page: Page, now: Instant) -> Page:
    """Note that what a page should show has changed; a dead letter is tried again."""
    in_step = page.revision == page.sent_revision
    changed_at = now if in_step or not page.changed_at else page.changed_at
    page = replace(page, revision=page.revision + 1, changed_at=changed_at)
    return rearmed(page) if page.dead else page


def closed(page: Page, now: Instant, *, held: bool) -> tuple[Page, str]:
    """Close a page in which nothing fires; return it, and what to say of it ("" for nothing).

    `held`: `hold_resolve` and flapping may hold its resolve.
    """
    hold = _hold(page) if held else 0
    resolve_after = now + hold if hold else 0
    page = revised(replace(page, wanted=Wanted.CLOSED, tally={}, muted=False, resolve_after=resolve_after), now)
    if not page.send_resolved and page.delivered in (State.OPEN, State.UNKNOWN_TRIGGER):
        because = "closed here and not sent: send_resolved is false for this receiver"
        return replace(page, left_open=True, closed_at=now), because
    if not hold:
        return page, ""
    why = "it flaps" if page.flapping else "hold_resolve"
    return page, f"its resolve is held until {clock(resolve_after, now)} ({why}), in case it fires again"


def _hold(page: Page) -> Duration:
    """Say how long the resolve of a page is held; what PagerDuty does not hold open needs none."""
    if page.delivered not in LIVE:
        return 0
    return max(page.hold_resolve, page.flap[2] if page.flapping and page.flap else 0)


def flapped(page: Page, now: Instant) -> Page:
    """Note that a page changed between firing and resolved, and say whether it flaps."""
    if page.flap is None:
        return page if not page.changes else replace(page, changes=(), flapping=False)
    count, within, hold = page.flap
    restless = page.flapping and bool(page.changes) and now - page.changes[-1] < hold
    changes = (*page.changes, now)[-count:]
    return replace(page, changes=changes, flapping=restless or (len(changes) == count and changes[0] > now - within))


class Settings:
    """What the routes of its alerts say of a page."""

    def __init__(self, book: Rulebook, alertmanager_url: str) -> None:
        self._book = book
        self._alertmanager_url = alertmanager_url

    def with_flap(self, page: Page) -> Page:
        """Let the rule count that its alerts now bring: a page that opens has none yet."""
        if not page.tally:
            return page
        route = self._book.routes.get(_worst(page)[1])
        return page if route is None else replace(page, flap=_flap_of(route))

    def dressed(self, page: Page) -> Page:
        """Give a page the severity and the route settings of its worst firing member."""
        worst, route_id = _worst(page)
        fixed = page.sent_severity is not None and page.delivered in (State.OPEN, State.UNKNOWN_TRIGGER)
        severity = min(worst, page.severity, key=lambda word: word.rank) if fixed else worst
        return self.styled(replace(page, severity=severity), route_id)

    def styled(self, page: Page, route_id: str) -> Page:
        """Give a page the settings of a route that brings it an alert."""
        route = self._book.routes.get(route_id)
        if route is None:
            return page
        # An event that came with a receiver's own routing key is there whatever its route says of receivers.
        target = self._book.target(route.receiver, page.integration)
        target = target or self._book.target(page.receiver, page.integration)
        if target is None:
            return page
        return replace(
            page,
            receiver=target.receiver,
            target=target.index,
            group_interval=route.group_interval,
            repeat_interval=route.repeat_interval,
            on_mute=route.on_mute,
            on_pd_resolve=route.on_pd_resolve,
            on_acknowledge=route.on_acknowledge,
            send_resolved=target.send_resolved,
            regroup_urgency=route.regroup.urgency,
            regroup_growth=0.0 if page.storm else route.regroup.growth,  # a storm page does nothing but grow
            regroup_worse=route.regroup.worse_severity,
            hold_resolve=route.hold_resolve.of(page.severity),
            flap=_flap_of(route),
            alertmanager_url=self._alertmanager_url or page.alertmanager_url,
        )


def _flap_of(route: Route) -> tuple[int, Duration, Duration] | None:
    return None if route.flap is None else (route.flap.changes, route.flap.within, route.flap.hold)


def _worst(page: Page) -> tuple[Severity, str]:
    """Return the severity and the route of the worst firing member; of equal ones the first in the tree."""
    rank, _, route_id = min(_read_tally(key) for key in page.tally)
    return _WORDS[rank], route_id


def _read_tally(key: str) -> tuple[int, int, str]:
    rank, order, route = key.split(" ", 2)
    return int(rank), int(order), route
