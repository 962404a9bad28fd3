"""Between rows and the ground floor's values.

What SQL searches, sorts by or changes has a column of its own; every other field of a struct goes into the column
`rest` as JSON, so a field added to a struct with a default is kept without a migration.
"""

from collections.abc import Collection, Mapping
from operator import attrgetter, itemgetter
from typing import Any, Generic, TypeVar

import msgspec

from relay.alert import stable_id
from relay.decision import Decision
from relay.event import Severity
from relay.page import Lane, Line, Member, Page, State, Wanted
from relay.rules.confirming import unconfirmed
from relay.rules.ledger import Attempt, Held, Recorded, Shown
from relay.rules.quieting import is_quieted
from relay.store.damage import UNREADABLE, Damaged

Row = tuple[Any, ...]
Struct = TypeVar("Struct", bound=msgspec.Struct)

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "alerts": ("id", "firing", "starts_at", "changed_at", "heard_at", "judge_at", "raw", "rest"),
    "pages": (
        *("id", "integration", "wanted", "severity", "lane", "due_at", "delay", "in_flight", "changed_at"),
        *("closed_at", "heard_at", "successor", "predecessor", "judge_at", "rest"),
    ),
    "members": ("page", "alert", "firing", "severity", "route_order", "leaving", "rest"),
    "attempts": ("id", "page", "integration", "lane", "at", "outcome", "event", "rest"),
}

COMPUTED: Mapping[str, tuple[str, ...]] = {
    "alerts": ("stale_source",),
    "pages": ("dedup_hash", "delivered", "told", "is_dead", "via", "unconfirmed", "quieted"),
}
"""Columns written beside those of the struct, for indexes and counts; never read back."""

TOLD = frozenset({State.OPEN, State.UNKNOWN_TRIGGER, State.UNKNOWN_RESOLVE})
"""States of a line on which PagerDuty may hold an open alert."""

_SEVERITIES = tuple(Severity)
_RANKS = {severity: severity.rank for severity in Severity}
_LANES = tuple(Lane)
_WANTED = {str(wanted): wanted for wanted in Wanted}
_STATES = {state: str(state) for state in State}
_encode = msgspec.json.Encoder().encode


def held_row(alert: Held) -> Row:
    """Lay an alert out as a row of `alerts`."""
    firing = 1 if alert.firing else 0
    times = alert.starts_at, alert.changed_at, alert.heard_at, alert.judge_at
    stale_source = alert.source if alert.firing and alert.stale_at else None
    return (alert.id, firing, *times, alert.raw, _HELD.rest(alert), stale_source)


def held(row: Row) -> Held:
    """Read a row of `alerts` back."""
    try:
        return _HELD.build((row[0], row[1] == 1, *row[2:7]), row[7])
    except UNREADABLE as error:
        raise Damaged(f"an alert's row makes no sense: {error!r:.200}") from error


def member_row(member: Member) -> Row:
    """Lay a member out as a row of `members`."""
    firing, severity = 1 if member.firing else 0, _RANKS[member.severity]
    return (member.page, member.alert, firing, severity, member.order, member.leaving, _MEMBER.rest(member))


def member(row: Row) -> Member:
    """Read a row of `members` back."""
    try:
        return _MEMBER.build((row[0], row[1], row[2] == 1, _SEVERITIES[row[3]], row[4], row[5]), row[6])
    except UNREADABLE as error:
        raise Damaged(f"a member's row makes no sense: {error!r:.200}") from error


def shown(row: Row) -> Shown:
    """Read a row of `members` joined with `alerts`."""
    width = len(COLUMNS["members"])
    return Shown(member(row[:width]), held(row[width:]))


def page_row(page: Page) -> Row:
    """Lay a page out as a row of `pages`."""
    return (
        page.id,
        page.integration,
        str.__str__(page.wanted),
        _RANKS[page.severity],
        None if page.lane is None else int(page.lane),
        page.due_at,
        page.delay,
        1 if page.in_flight else 0,
        page.changed_at,
        page.closed_at,
        page.heard_at,
        page.successor,
        page.predecessor,
        page.judge_at,
        _PAGE.rest(page),
        stable_id(page.dedup_key),
        _STATES[page.delivered if page.lines else State.NEVER],
        told(page.lines) if page.lines else "",
        1 if page.dead and not page.discarded else 0,
        page.carrier,
        unconfirmed(page),
        1 if is_quieted(page) else 0,
    )


def page(row: Row) -> Page:
    """Read a row of `pages` back."""
    try:
        lane = None if row[4] is None else _LANES[row[4]]
        wanted, severity = _WANTED[row[2]], _SEVERITIES[row[3]]
        return _PAGE.build((row[0], row[1], wanted, severity, lane, row[5], row[6], row[7] == 1, *row[8:14]), row[14])
    except UNREADABLE as error:
        raise Damaged(f"a page's row makes no sense: {error!r:.200}") from error


def told(lines: tuple[Line, ...]) -> str:
    """Name the keys under which PagerDuty may hold this page open; `!` before one that is gone."""
    return " ".join(sorted(f"!{line.key_id}" if line.gone else line.key_id for line in lines if line.state in TOLD))


def attempt_row(attempt: Attempt) -> Row:
    """Lay an attempt out as a row of `attempts`."""
    return (
        attempt.id,
        attempt.page,
        attempt.integration,
        int(attempt.lane),
        attempt.at,
        attempt.outcome,
        attempt.event,
        _ATTEMPT.rest(attempt),
    )


def attempt(row: Row) -> Attempt:
    """Read a row of `attempts` back."""
    try:
        return _ATTEMPT.build((*row[:3], _LANES[row[3]], *row[4:7]), row[7])
    except UNREADABLE as error:
        raise Damaged(f"an attempt's row makes no sense: {error!r:.200}") from error


def record_row(record: Recorded) -> Row:
    """Lay a record out as a row of `journal`, without its number."""
    return (
        record.at,
        record.source,
        record.group_key,
        group_hash(record.source, record.group_key),
        record.receiver,
        _encode(record.outcomes).decode(),
        _encode(record.decisions).decode(),
    )


def record(row: Row) -> Recorded:
    """Read a row of `journal` (at, source, group_key, receiver, outcomes, decisions) back."""
    at, source, group_key, receiver, outcomes, decisions = row
    return Recorded(at, source, group_key, receiver, _OUTCOMES.decode(outcomes), _DECISIONS.decode(decisions))


def group_hash(source: str, group_key: str) -> int:
    """Name (source, group key) with 63 bits, for the journal's index."""
    return stable_id(source, group_key)


def ids(numbers: Collection[int]) -> str:
    """Write ids as the JSON array that json_each() reads."""
    return f"[{','.join(map(str, numbers))}]"


class _Shape(Generic[Struct]):
    """How one struct lies in its row: which fields have a column, and that the others are in `rest`."""

    def __init__(self, struct: type[Struct], columns: tuple[str, ...]) -> None:
        fields = msgspec.structs.fields(struct)
        others = [field for field in fields if field.name not in columns]
        stored = (*columns, *(field.name for field in others))
        self._rest = msgspec.defstruct(
            f"{struct.__name__}Rest", [_definition(field) for field in others], omit_defaults=True, gc=False
        )
        self._others = attrgetter(*(field.name for field in others))
        self._decode = msgspec.json.Decoder(self._rest).decode
        self._in_order = itemgetter(*(stored.index(field.name) for field in fields))
        self._struct = struct

    def rest(self, value: Struct) -> bytes:
        """Write the fields without a column."""
        return _encode(self._rest(*self._others(value)))

    def build(self, values: Row, rest: bytes) -> Struct:
        """Make the struct of its columns' values and its `rest`."""
        return self._struct(*self._in_order(values + self._others(self._decode(rest))))


def _definition(field: msgspec.structs.FieldInfo) -> tuple[str, Any] | tuple[str, Any, Any]:
    if field.default is not msgspec.NODEFAULT:
        return (field.name, field.type, field.default)
    if field.default_factory is not msgspec.NODEFAULT:
        return (field.name, field.type, msgspec.field(default_factory=field.default_factory))
    return (field.name, field.type)


_HELD = _Shape(Held, COLUMNS["alerts"][:-1])
_PAGE = _Shape(Page, COLUMNS["pages"][:-1])
_MEMBER = _Shape(Member, tuple("order" if name == "route_order" else name for name in COLUMNS["members"][:-1]))
_ATTEMPT = _Shape(Attempt, COLUMNS["attempts"][:-1])

_OUTCOMES = msgspec.json.Decoder(dict[str, int])
_DECISIONS = msgspec.json.Decoder(tuple[Decision, ...])
