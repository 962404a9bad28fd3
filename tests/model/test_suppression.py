"""Random alerts, silences, windows, holds, reloads, faults, restarts and time, against a model that replays it all.

What keeps each alert quiet is compared after every step with tests/model/replay.py. Checked besides: I1 conservation,
I2 convergence, I3 order, I4 duplicates, I5 resolves pass (docs/guarantees.md).
"""

import io
import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, ClassVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from relay.alert import MINUTE, SECOND, Instant, alert_id, fingerprint_of, moment
from relay.config import load, recognise
from relay.decision import Verdict
from relay.event import Action, Delivered, Outcome, Rejected, Retry, Severity
from relay.intake import Intake
from relay.logs import Log
from relay.metrics import Metrics
from relay.page import Lane, Member, Page, State, SuppressionKind, Wanted
from relay.recall import Recall
from relay.rollcall import RollCall
from relay.rules.delivery import settle, start
from relay.rules.ledger import Claim, Want
from relay.rules.rulebook import Rulebook
from relay.rules.silences import Posted, Silence, SilenceState
from relay.scheduler import Scheduler
from relay.silencing import Silencer
from tests.model.engines import Dictionaries, Engine, Stored
from tests.model.replay import Body, Event, Labels, Looked, Place, Reload, Restart, Silenced, World

URL = "http://127.0.0.1:1/v2/enqueue"
TIMEOUT = 10 * SECOND
DAYS = 10_000
"""Nothing becomes stale here, and nothing is old enough to be forgotten."""

MEMBERS = {
    "Node": (("i1", "critical", "infra"), ("i2", "critical", "infra")),
    "Slow": (("i1", "warning", "payments"), ("i2", "warning", "web"), ("i3", "critical", "web")),
    "Errors": (("i1", "info", "web"), ("i2", "critical", "payments"), ("i3", "warning", "payments")),
}
GROUPS = (("one", "Node"), ("one", "Slow"), ("one", "Errors"), ("two", "Slow"))

INHIBIT_RULES: Mapping[str, Mapping[str, Any]] = {
    "node": {
        "source_matchers": ['alertname="Node"'],
        "target_matchers": ['severity=~"warning|info"'],
        "equal": ["instance"],
        "inhibit_hold": "10s",
    },
    "finer": {
        "source_matchers": ['alertname="Node"'],
        "target_matchers": ['severity=~"warning|info"'],
        "equal": ["instance", "team"],
        "inhibit_hold": "0s",
    },
    "two-sided": {
        "source_matchers": ['severity="critical"'],
        "target_matchers": ['severity=~"critical|warning"'],
        "equal": ["team"],
        "inhibit_hold": {"critical": "30s", "default": "20s"},
    },
    "across": {
        "source_matchers": ['alertname="Node"'],
        "target_matchers": ['alertname!="Errors"', 'team!=""'],
        "across_sources": True,
    },
}

SILENCED = (
    (("=", "alertname", "Slow"),),
    (("=~", "instance", "i1|i2"), ("!=", "team", "infra")),
    (("=", "severity", "critical"),),
    (("!~", "alertname", "Node|Err.*"),),
)


@dataclass(frozen=True)
class Rules:
    """One routing file, as far as it differs from the others."""

    tree: str = "one"
    inhibit: tuple[str, ...] = ()
    trigger: str = ""
    resolve: str = ""
    windows: str = ""
    outside: str = "hold"
    on_mute: str = "leave"
    flaps: bool = False
    regroup: str = "urgency"


HOLDS = {"": "0s", "all": "2m", "map": {"critical": "30s", "warning": "5m", "default": "1m"}}
WINDOWS = {
    "": {},
    "mute": {"mute_time_intervals": ["odd"]},
    "active": {"active_time_intervals": ["office"]},
    "both": {"mute_time_intervals": ["odd"], "active_time_intervals": ["office", "early"]},
}
REGROUP = {
    "urgency": {},
    "nothing": {"urgency": False},
    "worse": {"worse_severity": True},
    "growth": {"growth": 2.0},
}


@lru_cache(maxsize=10_000)
def book_of(rules: Rules) -> Rulebook:
    """Load a routing file as the relay does."""
    receivers = [{"name": "nobody"}] + [
        {"name": name, "pagerduty_configs": [{"routing_key": name * 32, "url": URL}]} for name in "ab"
    ]
    config = {
        "sources": [{"name": name, "native_keys": name == "one", "stale_after": f"{DAYS}d"} for name in ("one", "two")],
        "route": {
            "receiver": "a",
            "group_by": ["alertname", "instance"] if rules.tree == "finer" else ["alertname"],
            "hold_trigger": HOLDS[rules.trigger],
            "hold_resolve": HOLDS[rules.resolve],
            "outside": rules.outside,
            "on_mute": rules.on_mute,
            "regroup": REGROUP[rules.regroup],
            **({"flap": {"changes": 3, "within": "10m", "hold": "5m"}} if rules.flaps else {}),
            "routes": list(_routes(rules)),
        },
        "receivers": receivers,
        "inhibit_rules": [INHIBIT_RULES[name] for name in rules.inhibit],
        "time_intervals": [_hourly("odd", 0, 15), _hourly("office", 20, 50), _hourly("early", 5, 25)],
    }
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "relay.yml"
        file.write_text(json.dumps(config))
        loaded = load(file, {})
    return Rulebook(recognise(loaded.rules, []), loaded.keys)


def _routes(rules: Rules) -> Iterator[Mapping[str, Any]]:
    windows, payments = WINDOWS[rules.windows], ['team="payments"']
    match rules.tree:
        case "payments elsewhere":
            yield {"receiver": "b", "matchers": payments, **windows}
        case "payments to nobody":
            yield {"receiver": "nobody", "matchers": payments}
        case "both hear of payments":
            yield {"receiver": "b", "matchers": payments, "continue": True, "on_mute": "resolve"}
        case "web is never quiet":
            yield {"receiver": "a", "matchers": ['team="web"'], "hold_trigger": "0s"}
    yield {"receiver": "a", **windows}


def _hourly(name: str, first: int, last: int) -> Mapping[str, Any]:
    times = [{"start_time": f"{hour:02}:{first:02}", "end_time": f"{hour:02}:{last:02}"} for hour in range(24)]
    return {"name": name, "time_intervals": [{"times": times}]}


FILES = st.builds(
    Rules,
    tree=st.sampled_from(
        ("one", "finer", "payments elsewhere", "payments to nobody", "both hear of payments", "web is never quiet")
    ),
    inhibit=st.sampled_from(
        ((), ("node",), ("finer",), ("two-sided",), ("across",), ("node", "two-sided"), ("two-sided", "across"))
    ),
    trigger=st.sampled_from(("", *HOLDS)),
    resolve=st.sampled_from(("", *HOLDS)),
    windows=st.sampled_from(("", *WINDOWS)),
    outside=st.sampled_from(("drop", "hold", "downgrade")),
    on_mute=st.sampled_from(("leave", "acknowledge", "resolve")),
    flaps=st.booleans(),
    regroup=st.sampled_from(("urgency", *REGROUP)),
)

FATES = ("delivered", "delivered", "delivered", "delivered", "answer lost", "lost", "throttled", "rejected")
FIRES = frozenset({Verdict.OPENS, Verdict.JOINS, Verdict.REPEATS, Verdict.NOT_OURS, Verdict.SUPPRESSED})

METRICS = Metrics()

HELD = {SuppressionKind.INHIBIT_HOLD: SuppressionKind.HOLD}
"""One end stands for both holds; which of the two it is said to be is as of the last judgement."""


@dataclass
class Told:
    """What PagerDuty knows of a page, and what the relay can know of that, by the calls."""

    is_open: bool = False
    """At PagerDuty."""
    state: State = State.NEVER
    """As far as the answers tell that arrived."""
    severity: Severity | None = None
    """Of the trigger that opened it."""
    firing: int = 0
    """How many fired in that trigger."""
    acknowledged: bool = False
    over: int = 0
    """The episode that ended because all of it was muted."""
    told: object = None
    """What the last delivered trigger said."""
    excuses: int = 0
    """Reasons to say the same thing once more, since it was last said."""

    @property
    def live(self) -> bool:
        return self.state in (State.OPEN, State.UNKNOWN_TRIGGER)


@dataclass
class Ledger:
    """Everything the relay holds, read once."""

    pages: dict[int, Page] = field(default_factory=dict)
    members: dict[int, list[Member]] = field(default_factory=dict)

    def firing(self) -> Iterator[tuple[Page, Member]]:
        for number, members in self.members.items():
            for member in members:
                if member.firing:
                    yield self.pages[number], member


class Machine(RuleBasedStateMachine):
    """A relay without its doors and its mail room, and what everybody else knows of it."""

    engine_of: ClassVar[type[Engine]] = Dictionaries

    @initialize(rules=FILES)
    def begin(self, rules: Rules) -> None:
        self.engine: Engine = self.engine_of()
        self.now: Instant = 1_700_000_000 * SECOND
        self.book = book_of(rules)
        self.history: list[Event] = [Reload(self.now, self.book, {}, frozenset())]
        self.bodies: dict[tuple[str, str], bytes] = {}
        self.firing: dict[int, bool] = {}
        self.starts: dict[int, Instant] = {}
        self.flying: list[tuple[Claim, State]] = []
        self.answered: list[tuple[Claim, State, Outcome]] = []
        self.told: dict[int, Told] = {}
        self.shut: dict[int, Instant] = {}
        """Since when nothing fires in a page."""
        self.before = Ledger()
        self.open_house()

    def open_house(self) -> None:
        """Wire the rooms as relay/app.py does."""
        store, log, recall, rolls = self.engine.store, Log(self.clock, stream=io.StringIO()), Recall(), RollCall()
        self.recall = recall
        self.silencer = Silencer(store, clock=self.clock, log=log)
        self.engine.run(self.silencer.open())
        common: dict[str, Any] = {
            "clock": self.clock,
            "wake": lambda: None,
            "silences": lambda: self.silencer.current,
            "rolls": rolls,
            "metrics": METRICS,
            "log": log,
        }
        retention = DAYS * 24 * 60 * MINUTE
        self.scheduler = Scheduler(store, self.book, recall, steady=self.clock, retention=retention, **common)
        self.intake = Intake(store, self.book, recall, **common)
        self.silencer.began = self.scheduler.silence_changed

    def clock(self) -> Instant:
        return self.now

    def teardown(self) -> None:
        if not hasattr(self, "engine"):
            return
        self.converge()
        self.check_converged()
        for source, name in GROUPS:
            self.post(source, name, dict.fromkeys(range(len(MEMBERS[name])), False))
        self.converge()
        dead = {page.id for page in self.before.pages.values() if page.dead}
        assert {number for number, told in self.told.items() if told.is_open} <= dead, (
            "everything resolved, and yet PagerDuty holds something open"
        )
        self.engine.close()

    # What happens

    @rule(
        group=st.sampled_from(GROUPS),
        chosen=st.dictionaries(st.integers(0, 2), st.sampled_from((True, True, False)), min_size=1),
    )
    def body(self, group: tuple[str, str], chosen: dict[int, bool]) -> None:
        self.post(*group, chosen)

    @precondition(lambda self: bool(self.groups()))
    @rule(which=st.integers(0, 9))
    def repeat(self, which: int) -> None:
        """Name all that fires in a group again, as Alertmanager does each repeat_interval."""
        (source, name), fires = self.groups()[which % len(self.groups())]
        self.post(source, name, dict.fromkeys(fires, True))

    @precondition(lambda self: bool(self.groups()))
    @rule(
        which=st.integers(0, 9), delivered=st.booleans(), seconds=st.sampled_from((0, 1, 31)), times=st.integers(1, 3)
    )
    def come_and_go(self, which: int, delivered: bool, seconds: int, times: int) -> None:
        """Resolve all that fires in a group, and let the same fire again soon."""
        (source, name), fires = self.groups()[which % len(self.groups())]
        if delivered:
            self.deliver()
        for fires_again in (False, True) * times:
            self.post(source, name, dict.fromkeys(fires, fires_again))
            self.time_passes(seconds)

    def groups(self) -> list[tuple[tuple[str, str], list[int]]]:
        """List the groups in which something fires, and what."""
        found = []
        for source, name in GROUPS:
            fires = [at for at in range(len(MEMBERS[name])) if self.firing.get(_id(source, _labels(name, at)))]
            found += [((source, name), fires)] if fires else []
        return found

    def post(self, source: str, name: str, chosen: Mapping[int, bool]) -> None:
        stated = [(_labels(name, at), fires) for at, fires in chosen.items() if at < len(MEMBERS[name])]
        if not stated:
            return
        group_key = f'{{}}:{{alertname="{name}"}}'
        alerts = [self._stated(source, labels, fires) for labels, fires in stated]
        body = {"version": "4", "groupKey": group_key, "groupLabels": {"alertname": name}, "alerts": alerts}
        held = {page.id: page.again for page in self.before.pages.values() if self._is_held(page)}
        accepted = self.engine.run(self.intake.accept(json.dumps(body).encode(), source))
        fresh = {_id(source, labels) for labels, fires in stated if fires and not self.firing.get(_id(source, labels))}
        self.firing.update({_id(source, labels): fires for labels, fires in stated})
        after = self.read()
        joined = {(member.alert, page.integration): self._told_of(page, after) for page, member in after.firing()}
        told = {place: severity for place, severity in joined.items() if severity is not None}
        self.history.append(Body(self.now, source, group_key, tuple(stated), told))
        world = World(self.history)
        for decision in accepted.decisions:
            number = alert_id(source, decision.fingerprint)
            if decision.status != "firing":
                continue
            assert decision.verdict in FIRES, "an alert that fires came to nothing"
            if number in fresh:
                fact = world.facts[number]
                said = [world.said(fact, integration, self.now) for integration in fact.joined]
                quiet = bool(said) and all(one.kinds for one in said)
                assert (decision.verdict is Verdict.SUPPRESSED) is quiet, "the answer says otherwise"
        self.run_clockwork()
        for page in [self.before.pages[number] for number in held]:
            assert page.again == held[page.id], "it fired again while its resolve was held, and says so"
            if _says(page, self.before.members[page.id]) == self.told[page.id].told:
                assert page.lane in (None, Lane.REFRESH), "it fired again while its resolve was held, and that is sent"

    def _is_held(self, page: Page) -> bool:
        """Say whether a page is closed and its resolve is held, and PagerDuty holds it open and in step."""
        told = self.told.get(page.id)
        is_shut = page.wanted is Wanted.CLOSED and not page.handed_over and not page.in_flight and not page.dead
        return is_shut and told is not None and told.state is State.OPEN and self.now < self.shut[page.id] + _hold(page)

    def _stated(self, source: str, labels: Labels, fires: bool) -> dict[str, object]:
        number = _id(source, labels)
        if fires and not self.firing.get(number):
            self.starts[number] = self.now
        begun = self.starts.get(number, self.now)
        return {
            "status": "firing" if fires else "resolved",
            "labels": labels,
            "fingerprint": fingerprint_of(labels),
            "startsAt": _written(begun),
            "endsAt": "0001-01-01T00:00:00Z" if fires else _written(max(begun, self.now)),
        }

    def _told_of(self, page: Page, after: Ledger) -> Severity | None:
        """Say with which severity the page was opened that an alert joined; it may have moved on since, as one plan."""
        while page.predecessor is not None:
            before = self.before.pages.get(page.predecessor)
            moved = after.pages[page.predecessor].handed_over and (before is None or not before.handed_over)
            if not moved or after.pages[page.predecessor].successor != page.id:
                break
            page = after.pages[page.predecessor]
        told = self.told.get(page.id)
        return told.severity if told is not None and told.live else None

    @rule(
        matchers=st.sampled_from(SILENCED),
        begins=st.sampled_from((0, 0, 0, 30, 400)),
        lasts=st.sampled_from((20, 90, 600, 7_200)),
    )
    def silence(self, matchers: tuple[tuple[str, str, str], ...], begins: int, lasts: int) -> None:
        self._put(Posted(matchers, self._soon(begins), self.now + (begins + lasts) * SECOND, "anna", "disk swap"))

    @precondition(lambda self: bool(len(self.silencer.current)))
    @rule(
        which=st.integers(0, 9),
        matchers=st.none() | st.sampled_from(SILENCED),
        begins=st.sampled_from((0, 0, 30)),
        lasts=st.sampled_from((1, 90, 7_200)),
    )
    def change_silence(
        self, which: int, matchers: tuple[tuple[str, str, str], ...] | None, begins: int, lasts: int
    ) -> None:
        known = self._silence(which)
        same = tuple((one.op, one.name, one.value) for one in known.matchers)
        running = known.state(self.now) is SilenceState.ACTIVE and not begins
        starts = known.starts_at if running else self._soon(begins)
        ends = self.now + (begins + lasts) * SECOND
        self._put(Posted(matchers or same, starts, ends, "bert", "longer", known.id))

    @precondition(lambda self: bool(len(self.silencer.current)))
    @rule(which=st.integers(0, 9))
    def expire_silence(self, which: int) -> None:
        self.engine.run(self.silencer.expire(self._silence(which).id))
        self._note_silences()

    def _silence(self, which: int) -> Silence:
        """Choose one, if there is one that has not ended."""
        running = [one for one in self.silencer.current if one.state(self.now) is not SilenceState.EXPIRED]
        known = sorted(running or self.silencer.current, key=lambda one: (one.updated_at, one.starts_at, one.ends_at))
        return known[which % len(known)]

    def _soon(self, seconds: int) -> Instant:
        return self.now + seconds * SECOND

    def _put(self, posted: Posted) -> None:
        self.engine.run(self.silencer.put(posted))
        self._note_silences()

    def _note_silences(self) -> None:
        self.history += [Silenced(self.now, one) for one in self.silencer.current]
        self.run_clockwork()

    @rule(seconds=st.sampled_from((0, 1, 2, 11, 31, 61, 125, 301, 700, 1_801, 3_601, 9_000)))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds * SECOND
        self.run_clockwork()

    @rule()
    def time_passes_to_the_next_thing_due(self) -> None:
        due = self.engine.next_judgement()
        if due is not None and due - self.now < DAYS * 10 * MINUTE:
            self.now = max(self.now, due)
            self.run_clockwork()

    @rule(rules=FILES)
    def reload(self, rules: Rules) -> None:
        self.book = self.intake.book = book_of(rules)
        self.engine.run(self.recall.clear())
        self.scheduler.reloaded(self.book)
        held = {(member.alert, page.integration) for page, member in self.before.firing()}
        self.engine.run(self.scheduler.tick())
        after = self.read()
        joined = {(member.alert, page.integration): self._told_of(page, after) for page, member in after.firing()}
        told = {place: severity for place, severity in joined.items() if severity is not None}
        places = {(fact.id, integration) for fact in World(self.history).firing() for integration in fact.joined}
        self.history.append(Reload(self.now, self.book, told, frozenset(places - held)))
        for one in self.told.values():
            one.excuses += 1  # an edit may say the same thing to the same page once more
        self.run_clockwork()

    @rule()
    def restart(self) -> None:
        for claim in [one[0] for one in self.flying] + [one[0] for one in self.answered]:
            self.told[claim.page.id].excuses += 1
        self.flying, self.answered = [], []
        said = World(self.history).all_said(self.now)
        self.engine.crash()
        self.open_house()
        heard_at = {one.id: one.heard_at for one in self.engine.firing()}
        self.history.append(Restart(self.now, heard_at))
        assert World(self.history).all_said(self.now) == said, "a restart forgets that an alert was heard"
        self.run_clockwork()

    # PagerDuty

    @rule(most=st.integers(1, 4))
    def claim(self, most: int) -> None:
        heads = sorted({(where, lane) for where, lane, due in self.engine.heads(self.now) if due <= self.now})
        wants = [Want(integration, Lane(lane), most) for integration, lane in heads]
        for claim in self.engine.claim(wants, self.now, partial(start, now=self.now, book=self.book, timeout=TIMEOUT)):
            self._check_claim(claim)
            self.flying.append((claim, self._call(claim)))
        self.run_clockwork()

    def _call(self, claim: Claim) -> State:
        """Note that a call is under way; return what was known of the page before."""
        told = self.told.setdefault(claim.page.id, Told())
        before = told.state
        if claim.attempt.action is Action.RESOLVE:
            told.state = State.UNKNOWN_RESOLVE
        elif claim.attempt.action is Action.TRIGGER:
            if not told.live:
                told.severity, told.firing, told.acknowledged = claim.page.severity, claim.page.firing, False
            told.state = State.UNKNOWN_TRIGGER
        return before

    def _check_claim(self, claim: Claim) -> None:
        """I3 and I10: what leaves is what the model says now."""
        page = claim.page
        if claim.attempt.action is not Action.TRIGGER:
            assert page.wanted is not Wanted.OPEN
            fires = [one for one in self.before.members[page.id] if one.firing]
            again = self.told[page.id].state is State.UNKNOWN_RESOLVE  # what was begun is finished
            is_muted = again or page.wanted is Wanted.CLOSED or not all(one.waits for one in fires)
            assert is_muted, "it only waits: nothing mutes it"
            is_shut = page.wanted is Wanted.CLOSED and not page.handed_over
            assert not is_shut or self.now >= self.shut[page.id] + _hold(page), (
                "its resolve is held, and yet it is sent"
            )
            assert page.wanted is Wanted.CLOSED or page.on_mute != "leave", (
                "PagerDuty is told of a mute that nobody said"
            )
            return
        firing = [one.member for one in claim.members if one.member.firing]
        assert page.wanted is Wanted.OPEN, "a page that nothing wants open is sent"
        assert page.episode > self.told.get(page.id, Told()).over, "it was resolved for a mute, and is no new episode"
        assert all(self.firing[one.alert] for one in firing), "an event that says of a resolved alert that it fires"
        assert any(not one.suppressions for one in firing), "a page of which all is kept quiet"

    @precondition(lambda self: bool(self.flying))
    @rule(which=st.integers(0, 9), fate=st.sampled_from(FATES))
    def pagerduty_answers(self, which: int, fate: str) -> None:
        claim, before = self.flying.pop(which % len(self.flying))
        told = self.told[claim.page.id]
        if fate in ("delivered", "answer lost"):
            self._takes(claim, told)
        outcomes: dict[str, Outcome] = {
            "delivered": Delivered(),
            "answer lost": Retry("timeout"),
            "lost": Retry("timeout"),
            "throttled": Retry("rateLimited", ambiguous=False),
            "rejected": Rejected("clientError", "made up"),
        }
        if fate != "delivered":
            told.excuses += 1
        self.answered.append((claim, before, outcomes[fate]))

    def _takes(self, claim: Claim, told: Told) -> None:
        match claim.attempt.action:
            case Action.RESOLVE:
                told.told, told.is_open = None, False
            case Action.ACKNOWLEDGE:
                told.acknowledged = True
            case _:
                says = _says(claim.page, [one.member for one in claim.members])
                refresh = claim.attempt.lane is Lane.REFRESH
                assert told.told != says or refresh or told.excuses, "the same thing was said twice for no reason"
                told.told, told.excuses, told.is_open = says, 0, True

    @precondition(lambda self: bool(self.answered))
    @rule(which=st.integers(0, 9), jitter=st.floats(0, 0.99))
    def settle(self, which: int, jitter: float) -> None:
        claim, before, outcome = self.answered.pop(which % len(self.answered))
        told, action = self.told[claim.page.id], claim.attempt.action
        match outcome:
            case Delivered():
                told.state = State.CLOSED if action is Action.RESOLVE else State.OPEN
            case Rejected() | Retry(ambiguous=False):
                told.state = before
        page = self.engine.settle(
            claim.attempt,
            lambda page: settle(page, claim.attempt, outcome, self.now, jitter=jitter, digest="d", book=self.book),
            self.now,
        )
        if told.state is State.CLOSED and page.wanted is Wanted.QUIET:
            told.over = page.episode
        self.run_clockwork()

    @rule()
    def deliver(self) -> None:
        """Let the mail room do what it has to, with nothing going wrong."""
        self.claim(100)
        while self.flying:
            self.pagerduty_answers(0, "delivered")
        while self.answered:
            self.settle(0, 0.5)

    # What must be true

    def read(self) -> Ledger:
        found = Ledger()
        for page in self.engine.pages():
            found.pages[page.id], found.members[page.id] = self.engine.page(page.id)
        return found

    def run_clockwork(self) -> None:
        """Tick until nothing is due, as Scheduler.run does; then all is as the model says."""
        for _ in range(20):
            self.engine.run(self.scheduler.tick())
            due = self.engine.next_judgement()
            if due is None or due > self.now:
                break
        else:
            raise AssertionError("the clockwork does not come to rest")
        for page in (after := self.read()).pages.values():
            before = self.before.pages.get(page.id)
            if page.wanted is Wanted.CLOSED and (before is None or before.wanted is not Wanted.CLOSED):
                members = self.before.members.get(page.id, ())
                moved = any(one.firing and self.firing[one.alert] for one in members)  # then nothing is held
                handed_over = before is not None and before.handed_over
                self.shut[page.id] = 0 if moved or handed_over else self.now
        self.before = after
        self.check_against_the_model()
        self.history.append(Looked(self.now))

    def check_against_the_model(self) -> None:
        world = World(self.history)
        quiet: dict[Place, bool] = {}
        found = {
            (member.alert, page.integration): member for page, member in self.before.firing() if not member.leaving
        }
        for place, said in world.all_said(self.now).items():
            member = found.pop(place, None)
            assert member is not None, "an alert fires, and its integration knows nothing of it"
            kinds = tuple(HELD.get(one.kind, one.kind) for one in member.suppressions)
            assert kinds == said.kinds, f"{world.facts[place[0]].labels}: {kinds} keeps it quiet, not {said.kinds}"
            assert said.severity in (None, member.severity), "it pages with another severity"
            quiet[place] = bool(said.kinds)
        assert not found, "an alert is where nothing brought it"
        for page in self.before.pages.values():
            if page.handed_over:
                continue
            fires = [one for one in self.before.members[page.id] if one.firing]
            kept = [quiet.get((one.alert, page.integration), bool(one.suppressions)) for one in fires]
            wanted = Wanted.OPEN if not all(kept) else Wanted.QUIET if fires else Wanted.CLOSED
            assert page.wanted is wanted, "the page wants something else"
            assert (page.firing, page.quiet) == (kept.count(False), kept.count(True))
            if wanted is Wanted.OPEN:
                self._check_open(page, world, [one for one in fires if not one.suppressions and not one.leaving])

    def _check_open(self, page: Page, world: World, members: list[Member]) -> None:
        told = self.told.get(page.id, Told())
        if told.state in (State.NEVER, State.CLOSED) and not (page.in_flight or page.dead or page.failures):
            assert page.lane is not None, "it should page, and waits for nothing"
            assert page.due_at <= self.now + SECOND, "it should page now"
        places = [world.places(world.facts[one.alert])[page.integration] for one in members]
        if len(members) == page.firing:
            at = min(range(len(places)), key=lambda at: (members[at].severity.rank, places[at].route.order))
            route = places[at].route
            assert page.on_mute == route.on_mute, "another route says what a mute does to it"
            assert page.hold_resolve == route.hold_resolve.of(page.severity), "another route holds its resolve"

    def converge(self) -> None:
        """Faults stop: everything that is due is delivered, until nothing is due any more."""
        for _ in range(200):
            self.deliver()
            heads = self.engine.heads(self.now)
            waits = [due for _, lane, due in heads if lane is not Lane.REFRESH]
            if not waits:
                return
            self.now = max(self.now + SECOND, min(waits))
            self.run_clockwork()
        raise AssertionError("the relay does not come to rest")

    def check_converged(self) -> None:
        """I2: what PagerDuty holds open is what is wanted, by the table and `on_mute`."""
        for page in self.before.pages.values():
            told = self.told.get(page.id, Told())
            if page.dead:
                continue
            if page.handed_over:
                heir = page
                while heir.handed_over:
                    heir = self.before.pages[heir.successor or 0]
                assert heir.dead or heir.wanted is Wanted.QUIET, "it waits for a page that is open or closed already"
                continue
            if page.wanted is Wanted.QUIET:
                self._check_quiet(page, told)
                continue
            assert told.state in (State.NEVER, State.OPEN, State.CLOSED), "nobody knows whether it is open"
            assert told.is_open is (page.wanted is Wanted.OPEN), "PagerDuty is not in step"
            if page.wanted is Wanted.OPEN:
                self._check_notified(page, told)

    def _check_quiet(self, page: Page, told: Told) -> None:
        if not told.is_open or page.waiting == page.quiet:
            return
        # Carried out once since it became quiet: another route, or an edit, may have asked for something else then.
        assert page.on_mute == "leave" or told.acknowledged, "it is muted, and PagerDuty was not told"

    def _check_notified(self, page: Page, told: Told) -> None:
        """Nobody is notified of an update: what should be heard of opened a page of its own."""
        assert told.severity is not None
        assert not told.acknowledged, "it pages, and PagerDuty holds it acknowledged by the relay"
        if page.regroup_urgency:
            assert told.severity.urgent or not page.severity.urgent, "it rose across urgency, and nobody was notified"
        if page.regroup_worse:
            assert told.severity.rank <= page.severity.rank, "it became worse, and nobody was notified"
        if page.regroup_growth:
            assert page.firing < page.regroup_growth * told.firing, "it grew, and nobody was notified"


def _hold(page: Page) -> int:
    """Say how long the resolve of a page is held."""
    return max(page.hold_resolve, page.flap[2] if page.flapping and page.flap else 0)


def _says(page: Page, members: list[Member]) -> tuple[object, ...]:
    """What an event says, as far as saying it again needs a reason."""
    firing = frozenset((one.alert, one.severity) for one in members if one.firing and not one.suppressions)
    return firing, page.severity, page.episode, page.again, page.flapping


def _labels(name: str, at: int) -> Labels:
    instance, severity, team = MEMBERS[name][at]
    return {"alertname": name, "instance": instance, "severity": severity, "team": team}


def _id(source: str, labels: Labels) -> int:
    return alert_id(source, fingerprint_of(labels))


def _written(at: Instant) -> str:
    return moment(at).isoformat().replace("+00:00", "Z")


class StoredMachine(Machine):
    engine_of = Stored


FAST = settings(max_examples=110, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck))
REAL = settings(max_examples=20, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck))


def test_what_keeps_alerts_quiet_is_what_a_replay_of_everything_says() -> None:
    run_state_machine_as_test(Machine, settings=FAST)


def test_the_store_keeps_alerts_quiet_as_a_replay_of_everything_says() -> None:
    run_state_machine_as_test(StoredMachine, settings=REAL)
