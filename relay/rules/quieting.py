"""Silences in Alertmanager while a person has a page at PagerDuty: which there should be, and what they must not hide.

A silence keeps Alertmanager from saying that an alert is over. So whoever makes one asks the API for the end itself.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from relay.alert import DAY, MINUTE, SECOND, Duration, Instant
from relay.page import Page, State, Wanted, page_number, short_id
from relay.rules.gone import APART, Poll, doubtful, named
from relay.rules.ledger import Held

AUTHOR = "pagerelay"
"""Who made a silence, as Alertmanager shows it."""
LEAST: Duration = 10 * MINUTE
"""The shortest silence: if the relay dies, Alertmanager speaks again after that."""
MOST_ALERTS = 100
"""Alerts of one page that are silenced; of more only the worst."""
SPREADS: Duration = MINUTE
"""How long a silence may take from one replica to the others; where it does not get, it is made there as well."""
SURELY: Duration = 30 * SECOND
"""Least time between two polls in which an alert is missing, from Alertmanagers that all knew it before."""
REMEMBERED: Duration = DAY
"""How long after the end of a silence it is looked after whether it hid a resolve."""
CLOCKS: Duration = 5 * MINUTE
"""How far an Alertmanager's clock may be behind: what was heard so soon after a silence's end may be from before."""
_READ: Duration = 5 * SECOND
"""How exactly an Alertmanager's start is known: by the seconds of its Date, and the time its answer took."""

_AUTOMATION = "PagerDuty"
"""Who acknowledged a page where that was nobody."""
_BEFORE, _AFTER = f"({AUTHOR} page ", ")"

Labels = frozenset[tuple[str, str]]
Key = tuple[int, Labels]
"""What a silence is known by: its page, and the labels of its alert."""


class Target(msgspec.Struct, frozen=True):
    """One alert that fires in a page that a person has."""

    page: Page
    alert: Held
    labels: Labels

    @property
    def key(self) -> Key:
        """What its silence is known by."""
        return self.page.id, self.labels


class Standing(msgspec.Struct, frozen=True):
    """A silence of ours as one Alertmanager has it."""

    url: str
    id: str
    page: int
    labels: Labels
    """What its matchers demand."""
    absent: frozenset[str]
    """Labels that its matchers demand to be missing: others have them."""
    starts: str
    """As Alertmanager wrote it: another start would make it another silence."""
    starts_at: Instant
    ends_at: Instant
    over: bool
    """It ended, or was ended."""

    @property
    def key(self) -> Key:
        """What it is known by."""
        return self.page, self.labels


class Put(NamedTuple):
    """A silence to make, or to extend."""

    url: str
    target: Target
    since: Instant
    until: Instant
    extends: Standing | None = None


class Acts(NamedTuple):
    """What is to be done at the Alertmanagers of a source."""

    put: tuple[Put, ...]
    ended: tuple[Standing, ...]


class Missing(msgspec.Struct, frozen=True):
    """That no Alertmanager of a source knew an alert."""

    at: Instant
    asked: tuple[str, ...]
    sure: bool
    """Each of them has run since before it was seen to know it, so that it knows that it is over."""
    doubt: str = ""
    """Why that proves nothing where it is not sure; "" if it proves something after a while."""


def is_quieted(page: Page) -> bool:
    """Say whether the alerts of a page are to be silenced in Alertmanager."""
    if page.on_acknowledge != "silence" or page.acknowledged_by in ("", _AUTOMATION):
        return False
    return page.wanted is not Wanted.CLOSED and page.delivered in (State.OPEN, State.UNKNOWN_TRIGGER)


def lasts(page: Page) -> Duration:
    """Say how long a silence for a page is."""
    return max(LEAST, 2 * page.group_interval)


def comment(page: Page) -> str:
    """Say in a silence why it is there; the end of it is how it is found again."""
    number = f" #{page.incident_number}" if page.incident_number else ""
    link = f": {page.incident_url}" if page.incident_url else ""
    return f"{page.acknowledged_by} acknowledged incident{number} at PagerDuty{link} {_mark(page)}"


def _mark(page: Page) -> str:
    return f"{_BEFORE}{short_id(page.id)}{_AFTER}"


def page_of(author: str, comment: str) -> int | None:
    """Say for which page a silence was made; None if it is none of ours."""
    _, found, short = comment.rpartition(_BEFORE)
    if author != AUTHOR or not found or not short.endswith(_AFTER):
        return None
    return page_number(short.removesuffix(_AFTER))


def plan(
    targets: Iterable[Target],
    known: Mapping[str, Collection[str]],
    standing: Iterable[Standing],
    ours: Collection[int],
    now: Instant,
) -> Acts:
    """Say which silences to make, extend and end, at those Alertmanagers of a source that answered.

    `known` has by URL the fingerprints it knows. `ours` are the pages that are in the store: what bears the name of
    another page is another relay's. What no Alertmanager knows is not silenced any more, nor is it spoken of again.
    """
    wanted = {target.key: target for target in targets}
    there: defaultdict[Key, dict[str, Standing]] = defaultdict(dict)
    for one in standing:
        if not one.over and one.page in ours:
            there[one.key][one.url] = one
    put: list[Put] = []
    for key, target in wanted.items():
        if any(target.alert.fingerprint in fingerprints for fingerprints in known.values()):
            put += _put(target, tuple(known), there.get(key, {}), now)
    ended = {one.id: one for key, at in there.items() if key not in wanted for one in reversed(tuple(at.values()))}
    return Acts(tuple(put), tuple(ended.values()))


def _put(target: Target, urls: Sequence[str], there: Mapping[str, Standing], now: Instant) -> list[Put]:
    length = lasts(target.page)
    if not there:
        return [Put(url, target, now, now + length) for url in urls[:1]]  # replicas tell each other
    first = next(iter(there.values()))
    missing = [url for url in urls if url not in there] if now - first.starts_at > SPREADS else []
    late = {one.id: one for one in reversed(tuple(there.values())) if one.ends_at - now < length // 2}
    return [
        *(Put(one.url, target, now, now + length, one) for one in late.values()),
        *(Put(url, target, now, now + length) for url in missing),
    ]


def missing(fingerprint: str, poll: Poll, seen: Mapping[tuple[str, str], Instant]) -> Missing | None:
    """Say that no Alertmanager knows an alert; None if one does, or did not answer.

    `seen` says by (URL, fingerprint) when it was last seen to know it. An Alertmanager that has run since then and
    knows it no more has been told that it is over, or was told nothing for as long as it waits before it says so
    itself: unless a silence kept it from it, it would have sent the very resolve. One that was started since, or was
    never seen to know it, proves as much as it does in gone.py, and no more.
    """
    if any((answer := poll.answers.get(url)) is None or fingerprint in answer.known for url in poll.asked):
        return None
    if not poll.asked:
        return None
    unsure = [url for url in poll.asked if poll.answers[url].started_at + _READ >= seen.get((url, fingerprint), 0)]
    doubt = next((why for url in unsure if (why := doubtful(url, poll))), "")
    return Missing(poll.at, poll.asked, not unsure, doubt)


def since(before: Missing | None, now: Missing) -> Missing:
    """Say from when on an alert is missing, as far as that proves anything."""
    if before is None or set(before.asked) != set(now.asked):
        return now
    return now if before.doubt and not before.sure else before


def is_over(first: Missing | None, second: Missing) -> bool:
    """Say whether two polls show that an alert is over."""
    if first is None or set(first.asked) != set(second.asked):
        return False
    if first.sure and second.sure:
        return second.at - first.at >= SURELY
    return not first.doubt and not second.doubt and second.at - first.at >= APART


def unheard(held: Held | None, first: Missing) -> bool:
    """Say whether an alert fires and no body has named it since it was first missing."""
    return held is not None and held.firing and not held.ours and held.heard_at <= first.at


def hides(silence: Standing, held: Held, now: Instant) -> bool:
    """Say whether a silence may have hidden the resolve of an alert: it was not heard of since the silence ended."""
    if not held.firing or held.ours:
        return False
    return not silence.over or (held.heard_at <= silence.ends_at + CLOCKS and now - silence.ends_at <= REMEMBERED)


def silent_about(url: str, because: str) -> str:
    """Say that an Alertmanager could not be used."""
    return f"{named(url)}: {because}"
