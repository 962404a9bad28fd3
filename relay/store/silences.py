"""Silences as rows: who, what and why lie in `rest` as JSON."""

from collections.abc import Iterable
from sqlite3 import Connection

import msgspec

from relay.alert import Instant
from relay.rules.matcher_syntax import Triple
from relay.rules.matchers import Matcher
from relay.rules.silences import Silence
from relay.store.queries import query


class _Rest(msgspec.Struct, frozen=True, gc=False):
    """What has no column."""

    matchers: tuple[Triple, ...]
    starts_at: Instant
    updated_at: Instant
    created_by: str = ""
    comment: str = ""


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Rest).decode


def write(db: Connection, silences: Iterable[Silence]) -> None:
    """Write silences whole; one with the id of another takes its place."""
    db.executemany(query("silences", "write"), [(one.id, one.ends_at, _rest(one)) for one in silences])


def read_all(db: Connection) -> list[Silence]:
    """List every silence by id."""
    return [_silence(*row) for row in db.execute(query("silences", "read_all")).fetchall()]


def forget(db: Connection, before: Instant) -> int:
    """Delete those that ended before then; return how many."""
    return db.execute(query("silences", "forget"), (before,)).rowcount


def _rest(silence: Silence) -> bytes:
    matchers = tuple((one.op, one.name, one.value) for one in silence.matchers)
    return _encode(_Rest(matchers, silence.starts_at, silence.updated_at, silence.created_by, silence.comment))


def _silence(id_: str, ends_at: Instant, rest: bytes) -> Silence:
    found = _decode(rest)
    matchers = tuple(Matcher(*triple) for triple in found.matchers)
    return Silence(id_, matchers, found.starts_at, ends_at, found.updated_at, found.created_by, found.comment)
