"""Asks whom the routing keys of a file page now, and says it in rows and sentences; for several commands."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from relay.cli.account import fail
from relay.config import Loaded
from relay.pagerduty.reaching import Reach, reach
from relay.pagerduty.records import OnCall, iso, plain
from relay.pagerduty.rest import Rest
from relay.rules.ruleset import Target

HEADS = ("SERVICE", "STATUS", "LEVEL", "ON CALL", "SCHEDULE", "UNTIL")


def targets_of(loaded: Loaded, receiver: str) -> tuple[Target, ...]:
    """Return the PagerDuty entries of a receiver; ends the command where there is no such receiver."""
    found = loaded.rules.receivers.get(receiver)
    if found is None:
        fail(f"there is no receiver {receiver!r}; there are: {', '.join(sorted(loaded.rules.receivers))}")
    return found.targets


async def reached(
    rest: Rest, loaded: Loaded, integrations: Iterable[str], told: Callable[[int], None]
) -> dict[str, Reach]:
    """Follow the routing keys of integrations; answers by integration id. Raises RestError."""
    found: dict[str, Reach] = {}
    for id_ in dict.fromkeys(integrations):
        integration = loaded.rules.integrations[id_]
        found[id_] = await reach(rest, loaded.keys[integration.key_id], integration.name)
        told(len(found))
    return found


def rows_of(one: Reach) -> Iterator[tuple[str, ...]]:
    """Lay out whom a key pages, a row for each person, under HEADS."""
    service, status = (one.hooked.service_name, one.hooked.status) if one.hooked else ("", "")
    if not one.oncalls:
        yield (service or "none", status, "", "nobody" if one.hooked else "", "", "")
    for at, turn in enumerate(one.oncalls):
        shown = (service, status) if at == 0 else ("", "")
        yield (*shown, str(turn.level), _named(turn), turn.schedule or "always", iso(turn.end))


def told_of(reaches: Sequence[Reach]) -> Iterator[str]:
    """Say what is wrong, each with its remedy."""
    for one in reaches:
        for fault in one.faults:
            yield f"{one.name}: {fault.says}"
            yield f"    remedy: {fault.remedy}"


def as_plain(one: Reach) -> dict[str, Any]:
    """Return what JSON shows of it; no key is in it."""
    return {
        "integration": one.name,
        "reaches_somebody": one.reaches,
        "service": plain(one.hooked) if one.hooked else None,
        "on_call": [plain(turn) for turn in one.oncalls],
        "problems": [
            {"says": fault.says, "remedy": fault.remedy, "reaches_nobody": fault.fatal} for fault in one.faults
        ],
    }


def _named(turn: OnCall) -> str:
    return f"{turn.who} <{turn.email}>" if turn.email else turn.who
