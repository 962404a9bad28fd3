"""Reads the oracle's ledger against what was posted, acknowledged and broken, and says which invariant is not held.

One function for each invariant of the design: I1 conservation, I2 convergence, I3 order, I4 duplicates, I5 resolves
pass, I6 fail open, I7 honest answers, I8 no secret, I9 bounds, I10 no invention, I11 liveness. Each returns what is
wrong, as sentences; nothing is wrong where it returns nothing.
"""

import bisect
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from relay.alert import fingerprint_of
from tests.faults.producer import SEVERITIES, Group

Line = Mapping[str, Any]
AFTERGLOW = 0.2
"""Seconds in which the sandbox may still read what a killed relay wrote; no relay starts that fast."""
OURS = "pagerelay"
"""How the dedup keys begin of what the relay says of itself: self-pages and storm pages."""
PERSON = "a person"
"""Client of the events that a scenario sends in somebody's name, past the relay."""
MOST_MEMORY = 300 * 1024 * 1024
MOST_DISK = 256 * 1024 * 1024
MOST_LAG = 5.0
"""Seconds the event loop may be late; other programs share the machine."""
FRESH_WITHIN = 5.0
_COUNTS = ("triggered", "triggered again", "acknowledged", "resolved", "dropped")
_HARMLESS = frozenset({*_COUNTS, "changed"})


@dataclass(frozen=True)
class Sample:
    """One look at the relay's own word for whether it takes pages, and one try."""

    at: float
    ready: str
    """Status of GET /-/ready, or "refused"."""
    posted: str
    """Status of a body that can be taken, or "refused"."""


@dataclass(frozen=True)
class Allowance:
    """What a scenario brings about on purpose, so that it is no fault of the relay."""

    results: frozenset[str] = frozenset()
    """Of the sandbox: invalid, unknown key, throttled."""
    dead: bool = False
    """Dead letters at the end."""
    both: bool = False
    """A page may be open at its own key, as it was, and at the fallback's, as it is."""
    folds: bool = False
    """Pages may be folded into a storm page."""
    repeats: float = 0.0
    """`repeat_interval` in seconds: an equal trigger after that is a refresh."""
    forgets: bool = False
    """The journal is pruned before anybody can read it: what ended without a call cannot be asked for."""
    late: bool = False
    """The event loop was held up on purpose."""
    past_the_store: bool = False
    """It is killed between paging past a store that takes no writes and writing that down: only its log knows then."""
    moves: bool = False
    """Alerts move from one routing key to another and back: what was resolved there is shown there again."""
    unsynced: bool = False
    """The harness closes what the relay cannot know of (a lost database): order and duplicates are not judged."""


@dataclass
class Evidence:
    """All that one run left behind."""

    groups: Sequence[Group]
    ledger: Sequence[Line] = ()
    """Every call the sandbox got, oldest first."""
    open_at_rest: Sequence[Line] = ()
    """What was open at the sandbox once everything that fires had settled."""
    open_at_end: Sequence[Line] = ()
    """What was open once everything had resolved."""
    firing_at_rest: Mapping[str, frozenset[str]] | None = None
    """By dedup key, the instances that fired then; None: ask the groups."""
    pages_at_rest: Sequence[Line] = ()
    """The relay's own list of pages then."""
    journal: Sequence[Line] = ()
    """Its decisions."""
    disturbances: Sequence[float] = ()
    """Moments, ascending, at each of which an outcome may have been lost: kills, cut and unanswered calls."""
    answers: Counter[str] = field(default_factory=Counter)
    """What became of good bodies."""
    hostile: Sequence[tuple[str, str]] = ()
    """(what was sent, the status it got) of everything else that was sent to the relay."""
    samples: Sequence[Sample] = ()
    past_the_store: frozenset[str] = frozenset()
    """Dedup keys of which the log says that they were paged while the store could not be written."""
    leaks: Sequence[str] = ()
    """Files that hold a secret."""
    memory: int = 0
    """Bytes at the most."""
    disk: int = 0
    lag: float = 0.0
    """Seconds the event loop was late at the most."""
    fresh: float | None = None
    """Seconds from posting a fresh critical, once all faults had stopped, to its 202; None: it did not come."""
    calm: int = 0
    """Calls in a while in which nothing changed."""
    group_interval: float = 1.0
    allows: Allowance = field(default_factory=Allowance)

    @property
    def events(self) -> list[Line]:
        """The calls for the groups' pages that PagerDuty counted, without those of people."""
        return [line for line in self.calls if line["result"] in _COUNTS]

    @property
    def calls(self) -> list[Line]:
        """The same, and those that PagerDuty refused."""
        return [
            line
            for line in self.ledger
            if not _ours(line["dedup_key"]) and line["event"].get("client") != PERSON and line["result"] != "forgotten"
        ]


Judge = Callable[[Evidence], list[str]]


def judge(evidence: Evidence) -> list[str]:
    """Hold a run against every invariant; each sentence begins with the name of the one it breaks."""
    return [f"{name}: {said}" for name, check in INVARIANTS.items() for said in check(evidence)]


def i1_conservation(evidence: Evidence) -> list[str]:
    """Every alert that was acknowledged as firing was delivered, is a dead letter, or has a recorded outcome."""
    delivered: defaultdict[str, dict[str, int]] = defaultdict(dict)
    plain: set[str] = set()
    for line in evidence.events:
        if line["event_action"] == "trigger":
            seen = shown(line)
            if seen is None:
                plain.add(base(line["dedup_key"]))
            for name, episode in (seen or {}).items():
                held = delivered[base(line["dedup_key"])]
                held[name] = max(held.get(name, 0), episode)
    told = {line["fingerprint"] for line in evidence.journal if line["status"] == "resolved"}
    excused = _excused(evidence)
    found = []
    for group in evidence.groups:
        if group.dedup_key in plain or group.dedup_key in excused:
            continue
        for (name, episode), over in _acknowledged(group).items():
            if delivered[group.dedup_key].get(name, 0) >= episode:
                continue
            if not over:
                found.append(f"{group.name}: {name} fires since episode {episode}, and nobody was told")
            elif _fingerprint(group, name) not in told and not evidence.allows.forgets:
                found.append(f"{group.name}: {name} episode {episode} was accepted, and nothing says what became of it")
    return found


def i2_convergence(evidence: Evidence) -> list[str]:
    """What is open at PagerDuty, once faults have stopped, is what fires."""
    latest = {
        line["dedup_key"]: line
        for line in evidence.ledger
        if line["event_action"] == "trigger" and line["result"] in _COUNTS
    }
    held: defaultdict[str, list[str]] = defaultdict(list)
    for alert in evidence.open_at_rest:
        if not _ours(alert["dedup_key"]):
            held[base(alert["dedup_key"])].append(alert["dedup_key"])
    excused = _excused(evidence)
    found = []
    for group in evidence.groups:
        keys = held.pop(group.dedup_key, [])
        firing = _firing(evidence, group)
        if group.dedup_key in excused and not keys:
            continue
        if evidence.allows.both:
            keys = sorted(set(keys))
        if not firing:
            keys = [key for key in keys if key not in _out_of_mind(evidence)]
        if len(keys) != (1 if firing else 0):
            found.append(f"{group.name}: {len(firing)} alerts fire, {len(keys)} incidents are open {keys}")
        elif firing:
            found += _page_differences(group, firing, latest.get(keys[0]))
    found += [f"nobody knows {key}" for keys in held.values() for key in keys]
    waiting = [page for page in evidence.pages_at_rest if page["in_flight"] or page["lane"] not in (None, "refresh")]
    return found + [f"{page['dedup_key']} still waits: {page['why']}" for page in waiting]


def i3_order(evidence: Evidence) -> list[str]:
    """After a resolve, a trigger may only show episodes that no trigger before the resolve has shown."""
    if evidence.allows.unsynced or evidence.allows.moves:
        return []
    found = []
    known = {group.dedup_key: group for group in evidence.groups}
    for (_, key), lines in _by_key(evidence.events).items():
        group = known.get(base(key))
        if group is not None:
            found += _disorder(group, lines)
    return found


def i4_duplicates(evidence: Evidence) -> list[str]:
    """At most one call too many for each page and each thing that went wrong; in calm none."""
    found = [f"{evidence.calm} calls were made although nothing changed"] if evidence.calm else []
    if evidence.allows.unsynced:
        return found
    names = {group.dedup_key: group.name for group in evidence.groups}
    for (_, key), lines in _by_key(evidence.calls).items():
        counted: Counter[int] = Counter()
        for line, epoch, excused in _extras(evidence, lines):
            if not excused:
                found.append(f"{names.get(base(key), key)}: event {line['n']} is one too many, and nothing went wrong")
            counted[epoch] += 1
        worst = max(counted.values(), default=0)
        if worst > 1:
            found.append(f"{names.get(base(key), key)}: {worst} extra deliveries of one page after one fault")
    return found


def i5_resolves_pass(evidence: Evidence) -> list[str]:
    """Once everything resolved, nothing is open."""
    return [
        f"{alert['dedup_key']} is still open although everything resolved"
        for alert in evidence.open_at_end
        if not _ours(alert["dedup_key"]) and alert["dedup_key"] not in _out_of_mind(evidence)
    ]


def i6_fail_open(evidence: Evidence) -> list[str]:
    """Whatever fails on the way, a page says in words what is wrong, and never as less than it is."""
    found = []
    for line in evidence.events:
        if line["event_action"] == "trigger" and not line["summary"].strip():
            found.append(f"event {line['n']} has no summary")
        if line["event_action"] == "trigger" and line["severity"] not in SEVERITIES:
            found.append(f"event {line['n']} has severity {line['severity']!r}")
    allowed = _HARMLESS | evidence.allows.results | {"refused", "forgotten"}
    found += [
        f"event {line['n']} was not accepted: {line['result']} {line['errors']}"
        for line in evidence.ledger
        if line["result"] not in allowed
    ]
    if not evidence.allows.dead:
        dead = [page for page in evidence.pages_at_rest if page["state"] == "dead letter"]
        found += [f"{page['dedup_key']} is a dead letter: {page['last_error']}" for page in dead]
    return found


def i7_honest_answers(evidence: Evidence) -> list[str]:
    """Good bodies get 200 or 503, bad ones 2xx or 4xx, nobody 429; "ready" means that a page would be accepted."""
    usual = {"200", "503", "refused", "broken"}
    found = [f"a good body was answered {answer}" for answer in evidence.answers if answer not in usual]
    found += [
        f"{what} was answered {answer}"
        for what, answer in evidence.hostile
        if answer == "429" or (answer.startswith("5") and answer != "503")
    ]
    for before, sample in pairwise(evidence.samples):
        both = [one.ready == "200" and one.posted == "503" for one in (before, sample)]
        if all(both):
            found.append("it said twice in a row that it is ready, and took no page")
    return found


def i8_no_secret(evidence: Evidence) -> list[str]:
    """No routing key is anywhere but in its file."""
    return [f"{file} holds a routing key" for file in evidence.leaks]


def i9_bounds(evidence: Evidence) -> list[str]:
    """Memory, disk and the event loop's lag stay bounded."""
    found = []
    if evidence.memory > MOST_MEMORY:
        found.append(f"{evidence.memory >> 20} MiB of memory")
    if evidence.disk > MOST_DISK:
        found.append(f"{evidence.disk >> 20} MiB on disk")
    if evidence.lag > MOST_LAG and not evidence.allows.late:
        found.append(f"the event loop was {evidence.lag:.1f} s late")
    return found


def i10_no_invention(evidence: Evidence) -> list[str]:
    """Every event shows only what was posted before it, and is about a group that was posted."""
    known = {group.dedup_key: group for group in evidence.groups}
    found = []
    for (_, key), lines in _by_key(evidence.events).items():
        group = known.get(base(key))
        if group is None:
            found.append(f"nobody posted anything for {key}")
            continue
        first = _first_posted(group)
        for line in lines:
            seen = (shown(line) or {}).items() if line["event_action"] == "trigger" else ()
            found += [
                f"{group.name}: event {line['n']} shows {one}, which was not posted by then"
                for one in seen
                if one not in first or first[one] > line["at"]
            ]
    return found


def i11_liveness(evidence: Evidence) -> list[str]:
    """Once faults have stopped, a fresh critical is delivered within 5 s."""
    if evidence.fresh is None:
        return ["a fresh critical was never delivered"]
    if evidence.fresh > FRESH_WITHIN:
        return [f"a fresh critical took {evidence.fresh:.1f} s"]
    return []


INVARIANTS: Mapping[str, Judge] = {
    "I1": i1_conservation,
    "I2": i2_convergence,
    "I3": i3_order,
    "I4": i4_duplicates,
    "I5": i5_resolves_pass,
    "I6": i6_fail_open,
    "I7": i7_honest_answers,
    "I8": i8_no_secret,
    "I9": i9_bounds,
    "I10": i10_no_invention,
    "I11": i11_liveness,
}


def vacuous(figures: Mapping[str, float], proofs: Collection[str]) -> list[str]:
    """Refuse to call a run a proof in which something did not happen that it is about."""
    return [f"vacuous: no {name}" for name in proofs if not figures.get(name)]


def duplicates(evidence: Evidence) -> tuple[int, int]:
    """Count calls the table does not ask for: all of them, and the most of one page after one fault."""
    total = most = 0
    for lines in _by_key(evidence.calls).values():
        counted = Counter(epoch for _, epoch, _ in _extras(evidence, lines))
        total += counted.total()
        most = max(most, *counted.values(), 0)
    return total, most


def stalest(evidence: Evidence) -> float:
    """Return the most seconds between acknowledging a resolve and an event that still showed its alert firing."""
    known = {group.dedup_key: group for group in evidence.groups}
    longest = 0.0
    for (_, key), lines in _by_key(evidence.events).items():
        over = _over_since(known[base(key)]) if base(key) in known else {}
        for line in lines:
            for one in (shown(line) or {}).items() if line["event_action"] == "trigger" else ():
                longest = max(longest, line["at"] - over.get(one, line["at"]))
    return longest


# What a line says


def shown(line: Line) -> dict[str, int] | None:
    """Read which instances a trigger shows firing, and in which episode; None: it is too plain to say."""
    details = line["event"]["payload"].get("custom_details")
    if not isinstance(details, dict) or "shown" not in details:
        return None
    parts = [part.partition("=") for part in details["shown"].split()]
    if not all(episode for _, _, episode in parts):
        return None  # what was saved from a damaged database has lost its annotations
    return {name: int(episode) for name, _, episode in parts}


def base(dedup_key: str) -> str:
    """Name the group's own key; linked pages are `key/2`, `key/3` ..."""
    return dedup_key.partition("/")[0]


def _ours(dedup_key: str) -> bool:
    return dedup_key.startswith(OURS)


def _by_key(lines: Sequence[Line]) -> Mapping[tuple[str, str], list[Line]]:
    by_key: defaultdict[tuple[str, str], list[Line]] = defaultdict(list)
    for line in lines:
        by_key[line["routing_key"], line["dedup_key"]].append(line)
    return by_key


def _rank(severity: str) -> int:
    """How bad it is, worst first; what nobody knows counts as the route's default, an error."""
    return SEVERITIES.index(severity if severity in SEVERITIES else "error")


# What was said


def _acknowledged(group: Group) -> dict[tuple[str, int], bool]:
    """Say of each episode that was acknowledged as firing whether a later body was acknowledged that ends it."""
    episodes: dict[tuple[str, int], bool] = {}
    for said in group.said:
        if said.acked_at is None:
            continue
        for name, (episode, firing) in said.states.items():
            for one in [one for one in episodes if one[0] == name and (one[1] < episode or not firing)]:
                episodes[one] = True
            if firing:
                episodes.setdefault((name, episode), False)
    return episodes


def _first_posted(group: Group) -> dict[tuple[str, int], float]:
    first: dict[tuple[str, int], float] = {}
    for said in group.said:
        for name, (episode, firing) in said.states.items():
            if firing:
                first.setdefault((name, episode), said.posted_at)
    return first


def _over_since(group: Group) -> dict[tuple[str, int], float]:
    over: dict[tuple[str, int], float] = {}
    for said in group.said:
        for name, (episode, firing) in said.states.items():
            if not firing and said.acked_at is not None:
                over.setdefault((name, episode), said.acked_at)
    return over


def _fingerprint(group: Group, name: str) -> str:
    return next(fingerprint_of(one.labels) for one in group.instances if one.name == name)


def _firing(evidence: Evidence, group: Group) -> frozenset[str]:
    if evidence.firing_at_rest is not None:
        return evidence.firing_at_rest.get(group.dedup_key, frozenset())
    return frozenset(one.name for one in group.firing)


def _excused(evidence: Evidence) -> set[str]:
    """Name the pages of which the relay itself says, visibly, why PagerDuty does not hold them."""
    excused = set()
    for page in evidence.pages_at_rest:
        folded = evidence.allows.folds and "folded" in f"{page['state']} {page['why']}"
        if folded or (evidence.allows.dead and page["state"] == "dead letter"):
            excused.add(base(page["dedup_key"]))
    return excused


def _out_of_mind(evidence: Evidence) -> frozenset[str]:
    """Name the pages that a killed relay had told nobody of but PagerDuty and its log."""
    return evidence.past_the_store if evidence.allows.past_the_store else frozenset()


# What differs


def _page_differences(group: Group, firing: frozenset[str], line: Line | None) -> list[str]:
    if line is None:
        return [f"{group.name}: its incident was never triggered"]
    worst = min(_rank(one.labels["severity"]) for one in group.instances if one.name in firing)
    found = []
    seen = shown(line)
    if seen is not None and set(seen) != firing:
        found.append(f"{group.name}: {sorted(firing)} fire, its page shows {sorted(seen)}")
    if _rank(line["severity"]) > worst:
        found.append(f"{group.name}: fires as {SEVERITIES[worst]}, its page says {line['severity']}")
    return found


def _disorder(group: Group, lines: Sequence[Line]) -> list[str]:
    found = []
    before: Counter[str] = Counter()
    now: Counter[str] = Counter()
    for line in lines:
        if line["event_action"] == "resolve":
            before |= now
        elif line["event_action"] == "trigger":
            for name, episode in (shown(line) or {}).items():
                if episode <= before[name]:
                    found.append(f"{group.name}: event {line['n']} shows {name} episode {episode} after its resolve")
                now[name] = max(now[name], episode)
    return found


def _extras(evidence: Evidence, lines: Sequence[Line]) -> list[tuple[Line, int, bool]]:
    """List the calls the table does not ask for, each with the fault it follows and whether there was one.

    They are equal to the one before, too early for an update, or a second resolve.
    """
    extras = []
    before: Line | None = None
    unanswered = False
    for line in lines:
        counts = line["result"] in _COUNTS
        if counts and before is not None and _is_extra(before, line, evidence):
            epoch = bisect.bisect(evidence.disturbances, line["at"])
            # The exit past the store and the store itself may both tell of a page at the moment of recovery.
            both = evidence.allows.past_the_store
            excused = unanswered or both or epoch != bisect.bisect(evidence.disturbances, before["at"])
            # A call that got no answer is a fault of its own, and so is each that follows it.
            extras.append((line, -line["n"] if unanswered else epoch, excused))
        if counts or line["result"] == "forgotten":  # PagerDuty said 202, and nobody knows better
            before, unanswered = line, False
        unanswered = unanswered or line["status"] != 202
    return extras


def _is_extra(before: Line, line: Line, evidence: Evidence) -> bool:
    if line["event_action"] == "resolve":
        return bool(before["event_action"] == "resolve")
    if before["event_action"] == "resolve":
        return False
    after = line["at"] - before["at"]
    if evidence.allows.repeats and after >= 0.9 * evidence.allows.repeats:
        return False
    rises = _rank(line["severity"]) < _rank(before["severity"])
    early = after < 0.9 * evidence.group_interval and not rises
    return early or line["event"] == before["event"]
