"""Silences as Alertmanager has them: who is kept quiet by whom, until when, and why."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from relay.alert import HOUR, Duration, Instant, stable_id
from relay.errors import RelayError
from relay.rules.indexing import Index
from relay.rules.matcher_syntax import Triple
from relay.rules.matchers import Matcher, MatcherError, regex_size, valid_label_name
from relay.rules.quoting import go_quote

RETENTION: Duration = 120 * HOUR
"""How long a silence is kept after its end, as Alertmanager's --data.retention has it by default."""
MOST = 10_000
"""Silences that may be kept at once, ended ones included."""
LONGEST = 64 * 1024
"""Characters of one silence: its matchers, author and comment."""
LARGEST = 5_000
"""Instructions of one regular expression: every alert is matched, and a million of them take a second."""
LAST: Instant = 253_370_764_800_000_000
"""9999-01-01T00:00:00Z: no silence begins or ends later. Alertmanager's own bound is a year further on."""


class BadSilence(RelayError):
    """This silence can never work; the text is Alertmanager's own where it has one."""

    status_hint = 400


class UnknownSilence(RelayError):
    """There is no silence with this id."""

    status_hint = 404

    def __init__(self) -> None:
        super().__init__("silence not found")


class SilenceState(StrEnum):
    """Where a silence stands in its life; the words are Alertmanager's."""

    PENDING = "pending"
    ACTIVE = "active"
    EXPIRED = "expired"


class Silence(msgspec.Struct, frozen=True):
    """One silence, as the API v2 shows it."""

    id: str
    """A UUID."""
    matchers: tuple[Matcher, ...]
    starts_at: Instant
    ends_at: Instant
    """It ends at this instant; expired by hand: when that was."""
    updated_at: Instant
    created_by: str
    comment: str

    def state(self, now: Instant) -> SilenceState:
        """Say where it stands at an instant."""
        if now >= self.ends_at:
            return SilenceState.EXPIRED
        return SilenceState.PENDING if now < self.starts_at else SilenceState.ACTIVE

    def takes(self, labels: Mapping[str, str]) -> bool:
        """Say whether every matcher matches a label set."""
        return all(matcher.matches(labels) for matcher in self.matchers)

    @property
    def key(self) -> int:
        """The key whose watchers are the alerts it keeps quiet."""
        return stable_id("silence", self.id)


class Silences:
    """All silences that have not expired for long, indexed; frozen: a change makes a new one."""

    def __init__(self, silences: Iterable[Silence] = ()) -> None:
        self._all = {one.id: one for one in silences}
        # Longest first, so that an answer needs no sorting: it is asked for each alert, and changed by hand.
        self._ordered = sorted(self._all.values(), key=lambda one: (-one.ends_at, one.id))
        self._index = Index([(at, one.matchers) for at, one in enumerate(self._ordered)])
        self._begins = sorted({one.starts_at for one in self._ordered if one.starts_at < one.ends_at})

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Silence]:
        """Go through them, the one that ends last first."""
        return iter(self._ordered)

    def get(self, id_: str) -> Silence | None:
        """Find one by its id."""
        return self._all.get(id_)

    def matching(self, labels: Mapping[str, str], now: Instant) -> tuple[Silence, ...]:
        """List the active silences that take a label set, the one that ends last first."""
        if not self._all:
            return ()
        found = [
            at
            for at in self._index.candidates(labels)
            if self._ordered[at].starts_at <= now < self._ordered[at].ends_at and self._ordered[at].takes(labels)
        ]
        return tuple([self._ordered[at] for at in sorted(found)])

    def next_change(self, after: Instant) -> Instant | None:
        """Say when a silence next begins; ends need none: each silenced alert is judged again at its end."""
        at = bisect_right(self._begins, after)
        return self._begins[at] if at < len(self._begins) else None

    def changed(self, *silences: Silence) -> "Silences":
        """Return these with some put in, or in place of the ones with their ids."""
        return Silences((self._all | {one.id: one for one in silences}).values())

    def without(self, before: Instant) -> "Silences":
        """Return these without the ones that ended before then; itself where there are none."""
        if not any(one.ends_at < before for one in self._ordered):
            return self
        return Silences(one for one in self._ordered if one.ends_at >= before)


class Posted(NamedTuple):
    """A silence as somebody asks for it."""

    matchers: tuple[Triple, ...]
    starts_at: Instant
    """A time in the past: from now on."""
    ends_at: Instant
    created_by: str
    comment: str
    id: str = ""
    """The silence to change; "" for a new one."""


class Change(NamedTuple):
    """What becomes of a posted silence."""

    silence: Silence
    """As it stands now."""
    ended: Silence | None = None
    """The one it takes the place of, since that one could not be changed without changing history."""


def put(silences: Silences, posted: Posted, now: Instant, new_id: str) -> Change:
    """Make a new silence or change one, as Alertmanager does (silence/silence.go Set, api/v2/api.go).

    One is changed in place, with its id, while its matchers stay the same, and its start if it has begun (to the
    second); else it ends now, and one with `new_id` takes its place. Raises BadSilence and UnknownSilence.
    """
    _check_times(posted.starts_at, posted.ends_at, now)
    before = silences.get(posted.id) if posted.id else None
    if posted.id and before is None:
        raise UnknownSilence
    _check_size(posted)
    matchers = _matchers(posted.matchers)
    wanted = Silence(new_id, matchers, posted.starts_at, posted.ends_at, now, posted.created_by, posted.comment)
    if before is not None and _may_become(before, wanted, now):
        return Change(replace(wanted, id=before.id))
    if len(silences) >= MOST:
        raise BadSilence(
            f"exceeded maximum number of silences: {len(silences)} (limit: {MOST}, those that ended within the last "
            f"{RETENTION // HOUR} h included)"
        )
    fresh = replace(wanted, starts_at=max(posted.starts_at, now))
    running = before is not None and before.state(now) is not SilenceState.EXPIRED
    return Change(fresh, expired(before, now) if before is not None and running else None)


def expired(silence: Silence, now: Instant) -> Silence:
    """End a silence now; one that has ended stays as it is."""
    match silence.state(now):
        case SilenceState.EXPIRED:
            return silence
        case SilenceState.PENDING:
            return replace(silence, starts_at=now, ends_at=now, updated_at=now)
        case SilenceState.ACTIVE:
            return replace(silence, ends_at=now, updated_at=now)


def _may_become(before: Silence, wanted: Silence, now: Instant) -> bool:
    """Say whether one may be changed without changing what was silenced so far (silence/silence.go canUpdate)."""
    if before.matchers != wanted.matchers:
        return False
    match before.state(now):
        case SilenceState.EXPIRED:
            return False
        case SilenceState.PENDING:
            return wanted.starts_at >= now
        case SilenceState.ACTIVE:
            return before.starts_at // 1_000_000 == wanted.starts_at // 1_000_000


def _check_times(starts_at: Instant, ends_at: Instant, now: Instant) -> None:
    if starts_at >= ends_at:
        raise BadSilence("Failed to create silence: start time must be before end time")
    if ends_at <= now:
        raise BadSilence("Failed to create silence: end time can't be in the past")
    if ends_at > LAST:
        raise BadSilence("Failed to create silence: end time can't be after the year 9998")


def _check_size(posted: Posted) -> None:
    texts = (posted.created_by, posted.comment, *(part for matcher in posted.matchers for part in matcher))
    size = sum(map(len, texts))
    if size > LONGEST:
        raise BadSilence(f"silence exceeded maximum size: {size} characters (limit: {LONGEST})")


def _matchers(triples: tuple[Triple, ...]) -> tuple[Matcher, ...]:
    """Build the matchers; at least one of them must not match an alert without its label."""
    if not triples:
        raise BadSilence("silence invalid: at least one matcher required")
    found = tuple(_matcher(at, *triple) for at, triple in enumerate(triples))
    # Alertmanager takes one that says `!=` or `!~` for specific enough (silence/silence.go matchesEmpty).
    if all(matcher.op in ("=", "=~") and matcher.test("") for matcher in found):
        raise BadSilence("silence invalid: at least one matcher must not match the empty string")
    return found


def _matcher(at: int, op: str, name: str, value: str) -> Matcher:
    if not valid_label_name(name):
        raise BadSilence(f"silence invalid: invalid label matcher {at}: invalid label name {go_quote(name)}")
    try:
        matcher = Matcher(op, name, value)
        if op in ("=~", "!~") and regex_size(value) > LARGEST:
            raise MatcherError(
                f"too large, {regex_size(value)} of at most {LARGEST} instructions: make two silences of it"
            )
        return matcher
    except MatcherError as error:
        why = str(error).replace(f"^(?:{value})$", value)  # Alertmanager tries it without its anchors first
        what = f"invalid regular expression {go_quote(value)}: {why}"
        raise BadSilence(f"silence invalid: invalid label matcher {at}: {what}") from None


NO_SILENCES = Silences()
