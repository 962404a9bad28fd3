"""Storms: which new pages are folded into one, what that one is, and what is opened at its end."""

from collections.abc import Collection
from typing import NamedTuple, Protocol

from msgspec.structs import replace

from relay.alert import SECOND, Duration, Instant, stable_id
from relay.event import Severity
from relay.page import Page, State, Wanted, short_id
from relay.rules.ruleset import Integration

OPENED_AT_ITS_END = 20
"""Folded pages that are opened by themselves once a storm is over; more would be the storm again."""


class StormBegins(Exception):
    """A page is to be folded into a storm page that was not looked up: look it up, and judge again."""

    def __init__(self, page: int) -> None:
        super().__init__(short_id(page))
        self.page = page


class Storming(Protocol):
    """What a judgement asks of the count of new pages."""

    def folds(self, integration: Integration, page: Page, now: Instant) -> bool:
        """Count a new page; say whether it folds. Asked again of the same row it says the same, and counts nothing."""
        ...

    def over_at(self, integration: Integration, now: Instant) -> Instant:
        """Say when the storm is over if no new page comes."""
        ...

    def knows(self, page: int) -> bool:
        """Say whether a storm page was looked up, so that one the ledger does not show is none."""
        ...


class _Calm:
    """No storm, whatever comes: for what the relay itself says, and for judgements that open nothing."""

    def folds(self, integration: Integration, page: Page, now: Instant) -> bool:
        return False

    def over_at(self, integration: Integration, now: Instant) -> Instant:
        return now

    def knows(self, page: int) -> bool:
        return True


CALM: Storming = _Calm()


def storm_id(integration: str) -> int:
    """Name the storm page of an integration."""
    return stable_id("storm", integration)


def storm_page(first: Page) -> Page:
    """Make the storm page of an integration, for the first page that folds; nothing fires in it yet."""
    return Page(
        id=storm_id(first.integration),
        integration=first.integration,
        dedup_key=f"pagerelay-storm/{first.integration}",
        source=first.source,
        group_key="",
        receiver=first.receiver,
        target=first.target,
        alertmanager_url=first.alertmanager_url,
        wanted=Wanted.CLOSED,
        severity=first.severity,
        episode=0,
        revision=0,
        send_resolved=first.send_resolved,
        storm=True,
    )


def counts(page: Page, before: Page | None) -> bool:
    """Say whether a page is a new one that counts towards a storm: wanted open by now, and nothing of it is open.

    A critical never does, nor a page that carries on what another one began.
    """
    if page.wanted is not Wanted.OPEN or page.severity is Severity.CRITICAL or page.storm or page.opened_because:
        return False
    if before is not None and before.wanted is Wanted.OPEN and before.episode == page.episode:
        return False
    return page.delivered in (State.NEVER, State.CLOSED)


def folded(page: Page, into: int) -> Page:
    """Close a page whose alerts moved to the storm page; those that are kept quiet stay in it."""
    wanted = Wanted.QUIET if page.quiet else Wanted.CLOSED
    return replace(page, wanted=wanted, folded=into, muted=False, acknowledged=False)


def goes_on_until(page: Page, until: Instant, over_at: Instant, now: Instant) -> Page:
    """Note that a storm goes on: it lasts until `until` even if nobody remembers its count, and is looked at before."""
    looked_at = page.judge_at if page.judge_at is not None and page.judge_at <= now else over_at
    return replace(page, storm_until=until, judge_at=looked_at)


def folded_because(integration: Integration, into: int) -> str:
    """Say why a page was folded."""
    return f"folded into page {short_id(into)}{beyond(integration)}"


def beyond(integration: Integration) -> str:
    """Say what makes a storm of an integration, as the end of a sentence."""
    storm = integration.storm
    if storm is None:
        return ""
    return f": more than {storm.pages} new pages within {_span(storm.within)} at {integration.name}"


def _span(length: Duration) -> str:
    seconds, rest = divmod(length, SECOND)
    if rest:
        return f"{length / SECOND:g}s"
    minutes, seconds = divmod(seconds, 60)
    return (f"{minutes}m" if minutes else "") + (f"{seconds}s" if seconds or not minutes else "")


class Home(NamedTuple):
    """A page that was folded into a storm page, and how many of its alerts fire there."""

    page: int
    alerts: int
    worst: int
    """Rank of the worst severity of those that nothing keeps quiet."""


class Stood(NamedTuple):
    """One alert that fires in a storm page."""

    alert: int
    home: int
    """The page it was folded out of."""
    severity: Severity
    order: int
    """Of its route."""
    quiet: bool
    starts_at: Instant
    raw: bytes


def opened_at_its_end(homes: Collection[Home], most_alerts: int) -> tuple[int, ...]:
    """Choose the folded pages to open by themselves once a storm is over, of those given worst first.

    At most OPENED_AT_ITS_END, and `most_alerts` in all: they move in one transaction.
    """
    chosen: list[int] = []
    for home in homes:
        if len(chosen) < OPENED_AT_ITS_END and home.alerts <= most_alerts:
            chosen.append(home.page)
            most_alerts -= home.alerts
    return tuple(chosen)
