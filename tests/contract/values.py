"""Alerts, pages and plans for the store's tests: plain ones by hand, and any at all for properties."""

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, TypeVar, get_args, get_origin

import msgspec
from hypothesis import strategies as st

from relay.alert import Instant, alert_id, stable_id
from relay.event import Action, Severity
from relay.page import Lane, Line, Member, Page, State
from relay.rules.ledger import Attempt, Claim, Held, Ledger, Plan, Settled, Started

Struct = TypeVar("Struct")

KEY = "k" * 16
INTEGRATION = "integration"


def alert(fingerprint: str = "1", *, source: str = "prometheus", **fields: Any) -> Held:
    """An alert that fires."""
    plain: dict[str, Any] = {
        "id": alert_id(source, fingerprint),
        "source": source,
        "fingerprint": fingerprint,
        "firing": True,
        "starts_at": 100,
        "ends_at": 0,
        "digest": b"d" * 16,
        "raw": b'{"status":"firing"}',
        "groups": ("{}:{}",),
    }
    return Held(**{**plain, **fields})


def page(name: str = "page", *, integration: str = INTEGRATION, **fields: Any) -> Page:
    """An open page that was never delivered and has nothing to do."""
    plain: dict[str, Any] = {
        "id": stable_id(integration, name),
        "integration": integration,
        "dedup_key": name,
        "source": "prometheus",
        "group_key": "{}:{}",
        "receiver": "platform",
    }
    return Page(**{**plain, **fields})


def waiting(name: str = "page", *, lane: Lane = Lane.CRITICAL, due_at: Instant = 0, **fields: Any) -> Page:
    """A page with something to send."""
    return page(name, lane=lane, due_at=due_at, **fields)


def member(of: Page, who: Held, **fields: Any) -> Member:
    """That alert, firing in that page."""
    plain: dict[str, Any] = {
        "page": of.id,
        "alert": who.id,
        "home": of.id,
        "firing": True,
        "severity": Severity.CRITICAL,
        "route": "{}/0",
        "order": 1,
        "receiver": "platform",
    }
    return Member(**{**plain, **fields})


def write(plan: Plan) -> Callable[[Ledger], Plan]:
    """A judge that decides this whatever it is shown."""
    return lambda _: plan


def told(state: State) -> tuple[Line, ...]:
    """The lines of a page that was delivered in one place."""
    return (Line(KEY, "https://events.example", state),)


def start(candidate: Page, action: Action = Action.TRIGGER) -> Started:
    """Take a page in hand as the dispatcher does."""
    taken = msgspec.structs.replace(candidate, in_flight=True, lines=told(State.UNKNOWN_TRIGGER))
    assert candidate.lane is not None
    attempt = Attempt(
        0, candidate.id, candidate.integration, KEY, candidate.lane, action, candidate.revision, candidate.episode, 50
    )
    return Started(taken, attempt)


def delivered(claim: Claim) -> Callable[[Page], Settled]:
    """Settle a claim as PagerDuty's 202 does."""
    ended = msgspec.structs.replace(claim.attempt, ended_at=60, outcome="delivered", event=b"{}")
    return lambda latest: Settled(
        msgspec.structs.replace(latest, in_flight=False, lane=None, lines=told(State.OPEN)), ended
    )


_NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_NUMBERS = st.integers(-(2**62), 2**63 - 1)


def any_of(struct: type[Struct], **fixed: Any) -> st.SearchStrategy[Struct]:
    """Any value of a struct, every field of it drawn; those in `fixed` as given."""
    drawn = {
        field.name: _any(field.type)
        for field in msgspec.structs.fields(struct)  # type: ignore[arg-type]  # a Struct, as its callers know
        if field.name not in fixed
    }
    given = {name: st.just(value) for name, value in fixed.items()}
    return st.builds(struct, **drawn, **given)


def _any(kind: Any) -> st.SearchStrategy[Any]:
    simple: Mapping[Any, st.SearchStrategy[Any]] = {
        int: _NUMBERS,
        str: _NAMES,
        bool: st.booleans(),
        bytes: st.binary(max_size=40),
        float: st.floats(allow_nan=False, allow_infinity=False),
        Mapping[str, str]: st.dictionaries(_NAMES, _NAMES, max_size=3),
        Mapping[str, int]: st.dictionaries(_NAMES, _NUMBERS, max_size=3),
    }
    if kind in simple:
        return simple[kind]
    if isinstance(kind, type) and issubclass(kind, Enum):
        return st.sampled_from(kind)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return any_of(kind)
    if get_origin(kind) is tuple:
        return _any_tuple(get_args(kind))
    optional = [part for part in kind.__args__ if part is not type(None)]
    return st.none() | _any(optional[0])


def _any_tuple(kinds: tuple[Any, ...]) -> st.SearchStrategy[Any]:
    if kinds[-1] is Ellipsis:
        return st.lists(_any(kinds[0]), max_size=3).map(tuple)
    return st.tuples(*map(_any, kinds))
