"""Holds: an alert must fire for a while first (`hold_trigger`), or its inhibitor may still be on its way."""

from collections.abc import Sequence

from relay.alert import Instant
from relay.event import Severity
from relay.page import Suppression, SuppressionKind
from relay.rules.inhibiting import Target
from relay.rules.ruleset import Route
from relay.rules.suppression.case import NOTHING, Case, Found
from relay.rules.suppression.words import clock


def held_until(now: Instant, route: Route, severity: Severity, targets: Sequence[Target], inhibited: bool) -> Instant:
    """Say until when an alert that joins a page now is held; decided once, whatever repeats arrive.

    The later end of the route's `hold_trigger` and the longest `inhibit_hold` of the rules whose target side takes it.
    One that is inhibited already has no inhibitor to wait for.
    """
    waits = () if inhibited else [target.rule.hold.of(severity) for target in targets]
    return now + max(route.hold_trigger.of(severity), *waits, 0)


def judge(case: Case) -> Found:
    """Keep a member quiet until its own hold is over, which was decided when it joined."""
    # A clock that was set back to before it joined would hold it for longer than anyone asked for: then it pages.
    if not case.joined_at <= case.now < case.held_until:
        return NOTHING
    kind, because = _reason(case)
    return Found(Suppression(kind, because, case.held_until), again=case.held_until)


def _reason(case: Case) -> tuple[SuppressionKind, str]:
    end = clock(case.held_until, case.now)
    if case.joined_at + case.route.hold_trigger.of(case.severity) > case.now:
        return SuppressionKind.HOLD, f"hold_trigger: pages if it still fires at {end}"
    longest = max(case.targets, key=lambda target: target.rule.hold.of(case.severity), default=None)
    who = f"{longest.rule.title} may inhibit it with" if longest is not None else "may inhibit it"
    return SuppressionKind.INHIBIT_HOLD, f"waits until {end} for an alert that {who}"
