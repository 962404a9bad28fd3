"""Inhibition: while another alert fires that an inhibit rule names, an alert is kept quiet (inhibit/inhibit.go)."""

from collections.abc import Iterable

from relay.alert import HOUR, Duration, Instant
from relay.page import Suppression, SuppressionKind
from relay.rules.cleaning import cut
from relay.rules.inhibiting import Target
from relay.rules.ledger import Inhibitor, Role
from relay.rules.quoting import go_quote
from relay.rules.suppression.case import NOTHING, Case, Found
from relay.rules.suppression.words import clock

ABSENT_FOR: Duration = HOUR
"""How long a source counts that its group's bodies no longer name: perhaps it is only silenced, perhaps it is gone."""

_SHOWN = 60
"""Characters of an equal label's value in a reason."""


def judge(case: Case) -> Found:
    """Keep a target quiet while a source fires at one of its keys.

    Of several sources the first one there is named, in the order of the rules; one that is absent only if all of them
    are, and then the one that counts longest. An alert never inhibits itself: where it is source and target, it is
    two-sided, and two-sided sources do not count.
    """
    absent: tuple[Instant, Target, Inhibitor] | None = None
    for target in case.targets:
        for one in case.inhibitors.get(target.key, ()):
            if not inhibits(one, target):
                continue
            if not one.absent_at:
                return Found(Suppression(SuppressionKind.INHIBITION, _because(case, target, one)))
            until = one.absent_at + ABSENT_FOR
            if one.absent_at <= case.now < until and (absent is None or until > absent[0]):
                absent = until, target, one
    return NOTHING if absent is None else _while_absent(case, *absent)


def strongest(there: Iterable[Inhibitor]) -> tuple[Inhibitor, ...]:
    """Keep all that any target may ask of a key: of each role one that is there, and the one that is absent latest.

    At most four, however many fire there: so a judgement costs the same at a key with thousands of sources.
    """
    best: dict[tuple[bool, Role], Inhibitor] = {}
    for one in there:
        kind = (one.absent_at > 0, one.role)
        known = best.get(kind)
        if known is None or (one.absent_at, -one.alert) > (known.absent_at, -known.alert):
            best[kind] = one
    return tuple(best[kind] for kind in sorted(best) if kind[1] is not Role.WATCHER)


def inhibits(one: Inhibitor, target: Target) -> bool:
    """Say whether one counts: a target that is a source too is inhibited only by who is no target (0.34.1, PR 5449)."""
    return one.role is Role.SOURCE or (one.role is Role.TWO_SIDED and not target.is_source)


def _while_absent(case: Case, until: Instant, target: Target, one: Inhibitor) -> Found:
    since, end = clock(one.absent_at, case.now), clock(until, case.now)
    because = f"{_because(case, target, one)}; absent since {since}, it counts until {end}"
    return Found(Suppression(SuppressionKind.INHIBITION, because, until), again=until)


def _because(case: Case, target: Target, one: Inhibitor) -> str:
    agree = ", ".join(f"{name}={go_quote(cut(case.labels.get(name, ''), _SHOWN))}" for name in target.rule.equal)
    return f"inhibited by {target.rule.title}: {one.name} fires" + (f" with the same {agree}" if agree else "")
