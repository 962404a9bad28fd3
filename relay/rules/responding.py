"""How people respond: what the change of a page says of opening, acknowledging and closing its incident."""

from collections.abc import Iterator
from datetime import UTC
from typing import NamedTuple

from relay.alert import Duration, Instant, moment
from relay.event import Severity
from relay.page import Page, State
from relay.rules.pages import LIVE
from relay.rules.ruleset import RuleSet


class Response(NamedTuple):
    """One step in the life of an incident."""

    kind: str
    """`opened`, `acknowledged` or `closed`."""
    receiver: str
    """Integration.name."""
    severity: Severity
    took: Duration = 0
    """Since PagerDuty took its trigger."""
    hour: int = 0
    """Of the day, where business hours are."""
    after_hours: bool = False
    """It was opened outside of the business hours that the file names."""


def responses(before: Page, after: Page, rules: RuleSet) -> Iterator[Response]:
    """Say what happened to a page's incident between two looks at its row."""
    opened = after.triggered_at
    if not opened:
        return
    known = rules.integrations.get(after.carrier)
    receiver = known.name if known is not None else "gone"
    if opened != before.triggered_at:
        hour, late = _hour(opened, rules)
        yield Response("opened", receiver, after.severity, hour=hour, after_hours=late)
    if after.answered_at and not before.answered_at:
        yield Response("acknowledged", receiver, after.severity, took=after.answered_at - opened)
    if closed := _closed(before, after):
        yield Response("closed", receiver, after.severity, took=closed - opened)


def _closed(before: Page, after: Page) -> Instant:
    """Say when an incident was closed, by us or elsewhere; 0: it was not, or that was counted."""
    if after.delivered is State.ELSEWHERE:
        return after.elsewhere_at if after.elsewhere_at != before.elsewhere_at else 0
    if after.delivered is State.CLOSED and before.delivered in LIVE:
        return after.elsewhere_at if after.elsewhere_at > before.elsewhere_at else after.last_sent_at
    return 0


def _hour(at: Instant, rules: RuleSet) -> tuple[int, bool]:
    window = rules.windows.get(rules.account.business_hours)
    if window is None:
        return moment(at).hour, False
    zones = {part.zone for part in window.parts}
    zone = zones.pop() if len(zones) == 1 else UTC
    return moment(at).astimezone(zone).hour, not window.contains(at)
