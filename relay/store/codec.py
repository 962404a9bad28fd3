"""Between rows and the ground floor's values.

What is searched or changed by SQL has a column of its own; every other field of a struct goes into the column
`rest` as JSON, so a field added to a struct with a default is kept without a migration.
"""

from collections.abc import Collection, Mapping
from functools import lru_cache
from operator import itemgetter
from typing import Any, Generic, TypeVar

import msgspec

from relay.alert import stable_id
from relay.decision import Decision
from relay.event import Action, Severity
from relay.page import Lane, Line, Member, Page, State, Wanted
from relay.rules.ledger import Attempt, Held, Recorded, Shown

Row = tuple[Any, ...]
Struct = TypeVar("Struct", bound=msgspec.Struct)

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "alerts": (
        *("id", "source", "fingerprint", "firing", "starts_at", "ends_at", "digest", "raw", "groups", "changed_at"),
        *("heard_at", "verdict", "rest"),
    ),
    "pages": (
        *("id", "integration", "dedup_key", "wanted", "severity", "lane", "due_at", "delay", "in_flight"),
        *("changed_at", "closed_at", "heard_at", "dead", "successor", "predecessor", "judge_at", "rest"),
    ),
    "members": (
        *("page", "alert", "home", "firing", "severity", "route", "route_order", "receiver", "target"),
        *("suppressed", "leaving", "joined_at", "rest"),
    ),
    "attempts": (
        *("id", "page", "integration", "key_id", "lane", "action", "revision", "episode", "at", "ended_at"),
        *("outcome", "reason", "message", "dedup_key", "event", "rest"),
    ),
}

COMPUTED: Mapping[str, tuple[str, ...]] = {"pages": ("dedup_hash", "delivered", "told")}
"""Columns written beside those of the struct, for indexes and counts; never read back."""

TOLD = frozenset({State.OPEN, State.UNKNOWN_TRIGGER, State.UNKNOWN_RESOLVE})
"""States of a line on which PagerDuty may hold an open alert."""

_SEVERITIES = tuple(Severity)
_LANES = tuple(Lane)
_WANTED = {str(wanted): wanted for wanted in Wanted}
_ACTIONS = {str(action): action for action in Action}
_encode = msgspec.json.Encoder().encode


def held_row(alert: Held) -> Row:
    """Lay an alert out as a row of `alerts`."""
    return (
        alert.id,
        alert.source,
        alert.fingerprint,
        1 if alert.firing else 0,
        alert.starts_at,
        alert.ends_at,
        alert.digest,
        alert.raw,
        _groups_text(alert.groups),
        alert.changed_at,
        alert.heard_at,
        alert.verdict,
        _HELD.rest(alert),
    )


def held(row: Row) -> Held:
    """Read a row of `alerts` back."""
    values = list(row)
    values[3] = row[3] == 1
    values[8] = _groups(row[8])
    return _HELD.build(values)


def member_row(member: Member) -> Row:
    """Lay a member out as a row of `members`."""
    return (
        member.page,
        member.alert,
        member.home,
        1 if member.firing else 0,
        member.severity.rank,
        member.route,
        member.order,
        member.receiver,
        member.target,
        member.suppressed,
        member.leaving,
        member.joined_at,
        _MEMBER.rest(member),
    )


def member(row: Row) -> Member:
    """Read a row of `members` back."""
    values = list(row)
    values[3] = row[3] == 1
    values[4] = _SEVERITIES[row[4]]
    return _MEMBER.build(values)


def shown(row: Row) -> Shown:
    """Read a row of `members` joined with `alerts`."""
    width = len(COLUMNS["members"])
    return Shown(member(row[:width]), held(row[width:]))


def page_row(page: Page) -> Row:
    """Lay a page out as a row of `pages`."""
    return (
        page.id,
        page.integration,
        page.dedup_key,
        str(page.wanted),
        page.severity.rank,
        None if page.lane is None else int(page.lane),
        page.due_at,
        page.delay,
        1 if page.in_flight else 0,
        page.changed_at,
        page.closed_at,
        page.heard_at,
        page.dead,
        page.successor,
        page.predecessor,
        page.judge_at,
        _PAGE.rest(page),
        stable_id(page.dedup_key),
        str(page.delivered),
        told(page.lines),
    )


def page(row: Row) -> Page:
    """Read a row of `pages` back."""
    values = list(row)
    values[3] = _WANTED[row[3]]
    values[4] = _SEVERITIES[row[4]]
    values[5] = None if row[5] is None else _LANES[row[5]]
    values[8] = row[8] == 1
    return _PAGE.build(values)


def told(lines: tuple[Line, ...]) -> str:
    """Name the keys under which PagerDuty may hold this page open; `!` before one that is gone."""
    return " ".join(sorted(f"!{line.key_id}" if line.gone else line.key_id for line in lines if line.state in TOLD))


def attempt_row(attempt: Attempt) -> Row:
    """Lay an attempt out as a row of `attempts`."""
    return (
        attempt.id,
        attempt.page,
        attempt.integration,
        attempt.key_id,
        int(attempt.lane),
        str(attempt.action),
        attempt.revision,
        attempt.episode,
        attempt.at,
        attempt.ended_at,
        attempt.outcome,
        attempt.reason,
        attempt.message,
        attempt.dedup_key,
        attempt.event,
        _ATTEMPT.rest(attempt),
    )


def attempt(row: Row) -> Attempt:
    """Read a row of `attempts` back."""
    values = list(row)
    values[4] = _LANES[row[4]]
    values[5] = _ACTIONS[row[5]]
    return _ATTEMPT.build(values)


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


def groups(text: str) -> tuple[str, ...]:
    """Read the column `groups` of `alerts`."""
    return _groups(text)


def ids(numbers: Collection[int]) -> str:
    """Write ids as the JSON array that json_each() reads."""
    return f"[{','.join(map(str, numbers))}]"


class _Shape(Generic[Struct]):
    """How one struct lies in its row: which fields have a column, which are in `rest`."""

    def __init__(self, struct: type[Struct], columns: tuple[str, ...]) -> None:
        fields = msgspec.structs.fields(struct)
        others = [field for field in fields if field.name not in columns]
        self._others = tuple(field.name for field in others)
        self._rest = msgspec.defstruct(
            f"{struct.__name__}Rest", [_definition(field) for field in others], omit_defaults=True, gc=False
        )
        self._decode = msgspec.json.Decoder(self._rest).decode
        stored = (*columns, *self._others)
        self._in_order = itemgetter(*(stored.index(field.name) for field in fields))
        self._struct = struct

    def rest(self, value: Struct) -> bytes:
        """Write the fields without a column; b"" if there are none."""
        if not self._others:
            return b""
        return _encode(self._rest(*[getattr(value, name) for name in self._others]))

    def build(self, values: list[Any]) -> Struct:
        """Make the struct of a row whose columns are turned into values already, all but the last, `rest`."""
        text = values.pop()
        if self._others:
            rest = self._decode(text or b"{}")
            values += [getattr(rest, name) for name in self._others]
        return self._struct(*self._in_order(values))


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

_GROUPS = msgspec.json.Decoder(tuple[str, ...])
_OUTCOMES = msgspec.json.Decoder(dict[str, int])
_DECISIONS = msgspec.json.Decoder(tuple[Decision, ...])


# The alerts of one body share their groups: each list is written and read once.
@lru_cache(maxsize=256)
def _groups_text(names: tuple[str, ...]) -> str:
    return _encode(names).decode()


@lru_cache(maxsize=256)
def _groups(text: str) -> tuple[str, ...]:
    return _GROUPS.decode(text)
