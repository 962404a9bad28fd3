"""Random bodies, deliveries, faults, crashes, reloads and time, against a plain model of what must be true.

Checked: I1 conservation, I2 convergence, I3 order, I4 duplicates, I5 resolves pass, I10 no invention
(docs/guarantees.md).
"""

import json
import tempfile
from collections import Counter
from functools import partial
from pathlib import Path
from typing import ClassVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from relay.alert import HOUR, SECOND, Instant, alert_id, fingerprint_of, moment
from relay.config import load, recognise, remembered
from relay.decision import Verdict
from relay.event import Action, Delivered, Outcome, Rejected, Retry
from relay.ingress.alertmanager import parse
from relay.page import Lane, Page, State, Wanted
from relay.rules.acts import judged
from relay.rules.classify import classify
from relay.rules.delivery import settle, start
from relay.rules.judge import judge
from relay.rules.ledger import Claim, Ledger, Lookup, Plan, Started, Want
from relay.rules.letters import revive
from relay.rules.news import Agent, News
from relay.rules.pages import queue_refresh
from relay.rules.reload import look_again, place_again, rejudge, waits_for
from relay.rules.rulebook import Rulebook
from tests.model.engines import Dictionaries, Engine, Stored
from tests.model.ladder import Ladder

URL = "http://127.0.0.1:1/v2/enqueue"
TIMEOUT = 10 * SECOND
KEYS = {name: name * 32 for name in "abcd"}

ROUTES = {
    "as it was": "{receiver: a, group_by: [alertname]}",
    "grouped finer": "{receiver: a, group_by: [alertname, instance]}",
    "no grouping of ours": "{receiver: a}",
    "payments elsewhere": (
        "{receiver: a, group_by: [alertname], routes: [{matchers: ['team=\"payments\"'], receiver: b}]}"
    ),
    "both hear of payments": (
        "{receiver: a, group_by: [alertname], routes: ["
        "{matchers: ['team=\"payments\"'], receiver: b, continue: true}, {receiver: a}]}"
    ),
    "payments to nobody": (
        "{receiver: a, group_by: [alertname], routes: [{matchers: ['team=\"payments\"'], receiver: nobody}]}"
    ),
    "all is critical": "{receiver: a, group_by: [alertname], severity: {default: critical}}",
    "another key": "{receiver: rotated, group_by: [alertname]}",
    "with a spare": "{receiver: a, group_by: [alertname]}",
    "payments elsewhere, with spares": (
        "{receiver: a, group_by: [alertname], routes: [{matchers: ['team=\"payments\"'], receiver: b}]}"
    ),
}
FALLBACKS = {
    "with a spare": {"a": "spare"},
    "payments elsewhere, with spares": {"a": "b", "b": "spare"},
}

NAMES = ("Down", "Slow")
INSTANCES = (("one", "critical", "payments"), ("two", "warning", "payments"), ("three", "warning", "web"))
ALERTS = tuple(
    {"alertname": name, "instance": instance, "severity": severity, "team": team}
    for name in NAMES
    for instance, severity, team in INSTANCES
)


def rulebooks() -> dict[str, Rulebook]:
    """Load every variant of the rules, with integrations recognised from one to the next."""
    books = {}
    known: list[object] = []
    with tempfile.TemporaryDirectory() as folder:
        for name, route in ROUTES.items():
            receivers = [{"name": "nobody"}] + [
                {
                    "name": receiver,
                    "fallback": FALLBACKS.get(name, {}).get(receiver),
                    "pagerduty_configs": [{"routing_key": KEYS[key], "url": URL}],
                }
                for receiver, key in (("a", "a"), ("b", "b"), ("rotated", "c"), ("spare", "d"))
            ]
            file = Path(folder) / "relay.yml"
            file.write_text(f"route: {route}\nreceivers: {json.dumps(receivers)}\n")
            loaded = load(file, {})
            rules = recognise(loaded.rules, list(known))  # type: ignore[arg-type]
            known = list(remembered(rules))
            books[name] = Rulebook(rules, loaded.keys)
    return books


BOOKS = rulebooks()

FATES = (
    *("delivered", "delivered", "delivered", "answer lost", "lost", "throttled", "refused connection"),
    *("rejected", "rejected", "key refused", "key refused"),
)


class Incidents:
    """What PagerDuty has of incidents, and has not told the relay yet."""

    def __init__(self) -> None:
        self.untold: list[tuple[int, News]] = []
        self.acted = False
        """Whether anybody but the relay closed one."""
        self._count = 0
        self._latest: dict[tuple[str, str], tuple[int, int]] = {}
        """By key and dedup key: the page and the incident's number."""

    def page(self, where: tuple[str, str]) -> int:
        return self._latest[where][0]

    def opened(self, where: tuple[str, str], page: int, now: Instant) -> None:
        self._count += 1
        self._latest[where] = page, self._count
        self._tell(where, page, "incident.triggered", now, Agent.OURS)

    def closed(self, where: tuple[str, str], page: int, now: Instant, agent: Agent) -> None:
        self.acted = self.acted or agent is not Agent.OURS
        self._tell(where, page, "incident.resolved", now, agent)

    def _tell(self, where: tuple[str, str], page: int, type_: str, now: Instant, agent: Agent) -> None:
        number = self._latest[where][1]
        who = "Anna" if agent is Agent.PERSON else ""
        self.untold.append((page, News("", type_, now, f"P{number}", number=number, agent=agent, who=who)))


class Machine(RuleBasedStateMachine):
    """What is done to the relay at random, and what PagerDuty and Alertmanager would know of it."""

    engine_of: ClassVar[type[Engine]] = Dictionaries

    @initialize()
    def begin(self) -> None:
        self.engine: Engine = self.engine_of()
        self.now: Instant = 1_700_000_000 * SECOND
        self.book = BOOKS["as it was"]
        self.firing: dict[int, bool] = {}
        self.starts: dict[int, int] = {}
        self.accepted: set[int] = set()
        self.flying: list[Claim] = []
        self.answered: list[tuple[Claim, Outcome]] = []
        self.open: set[tuple[str, str]] = set()
        self.sends: Counter[tuple[int, int, int]] = Counter()
        self.excuses: Counter[int] = Counter()
        self.ladder = Ladder()
        self.incidents = Incidents()

    def teardown(self) -> None:
        if not hasattr(self, "engine"):
            return
        self.converge()
        self.check_converged()
        for name in NAMES:
            self.post(name, [(labels, False) for labels in ALERTS if labels["alertname"] == name], late=0)
        self.converge()
        assert not self.open, "everything resolved, and yet PagerDuty holds something open"
        assert not any(page.dead for page in self.engine.pages()), "a dead letter of what is over"
        self.engine.close()

    # What happens

    @rule(
        name=st.sampled_from(NAMES),
        chosen=st.lists(st.tuples(st.sampled_from(INSTANCES), st.booleans()), min_size=1, max_size=4),
        late=st.sampled_from((0, 0, 0, 30)),
    )
    def body(self, name: str, chosen: list[tuple[tuple[str, str, str], bool]], late: int) -> None:
        stated = [
            ({"alertname": name, "instance": one[0], "severity": one[1], "team": one[2]}, firing)
            for one, firing in dict(chosen).items()
        ]
        self.post(name, stated, late)

    def post(self, name: str, stated: list[tuple[dict[str, str], bool]], late: int) -> None:
        """Accept a body; a resolve says the episode's own startsAt, or an older one with an end before it began."""
        alerts = [self._stated(labels, firing, late) for labels, firing in stated]
        body = {
            "version": "4",
            "groupKey": f'{{}}:{{alertname="{name}"}}',
            "groupLabels": {"alertname": name},
            "alerts": alerts,
        }
        draft = classify(parse(json.dumps(body).encode(), ""), self.book)
        found = self.engine.keep(draft.lookup, lambda ledger: judge(draft, ledger, self.now, self.book))
        decided = {(decision.fingerprint, decision.status) for decision in found.decisions}
        assert decided == {(one["fingerprint"], one["status"]) for one in alerts}, "an alert got no decision"
        for decision in found.decisions:
            number = alert_id("", decision.fingerprint)
            if decision.status == "firing":
                assert decision.verdict in (Verdict.OPENS, Verdict.JOINS, Verdict.REPEATS, Verdict.NOT_OURS)
                self.firing[number] = True
                self.accepted.add(number)
            elif decision.verdict is not Verdict.IGNORED:
                self.firing[number] = False

    def _stated(self, labels: dict[str, str], firing: bool, late: int) -> dict[str, object]:
        fingerprint = fingerprint_of(labels)
        number = alert_id("", fingerprint)
        if firing and not self.firing.get(number):
            self.starts[number] = self.now
        start = self.starts.get(number, self.now)
        if not firing and late:
            start -= late * SECOND
        end = start + SECOND if late else max(start, self.now)
        return {
            "status": "firing" if firing else "resolved",
            "labels": labels,
            "fingerprint": fingerprint,
            "startsAt": _written(start),
            "endsAt": "0001-01-01T00:00:00Z" if firing else _written(end),
        }

    @rule(seconds=st.sampled_from((0, 1, 2, 11, 61, 400)))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds * SECOND

    @rule(most=st.integers(1, 4))
    def claim(self, most: int) -> None:
        heads = sorted(
            {(integration, lane) for integration, lane, due in self.engine.heads(self.now) if due <= self.now}
        )
        wants = [Want(integration, Lane(lane), most) for integration, lane in heads]
        for claim in self.engine.claim(wants, self.now, self._start):
            self._check_claim(claim)
            self.flying.append(claim)

    def _start(self, page: Page) -> Started:
        started = start(page, self.now, self.book, TIMEOUT)
        if started.attempt is None and started.page.fallback != page.fallback:
            self.ladder.turned(page, started.page.fallback, self.book, self.now)
        return started

    def _check_claim(self, claim: Claim) -> None:
        """I3 and I10: what leaves is what the model says now."""
        page = claim.page
        if claim.attempt.action is Action.RESOLVE:
            assert page.wanted is not Wanted.OPEN
            return
        assert claim.attempt.rung == self.ladder.started(page, claim.attempt, self.book), "it stands on another rung"
        own = claim.attempt.integration == page.integration
        assert own is not claim.attempt.rung.startswith("fallback"), "it goes to another receiver than its rung says"
        firing = {one.member.alert for one in claim.members if one.member.firing}
        assert page.wanted is Wanted.OPEN
        assert firing, "a page with nothing firing in it"
        assert all(self.firing[alert] for alert in firing), "an event that says of a resolved alert that it fires"
        assert page.firing + page.quiet == len(firing)

    @precondition(lambda self: bool(self.flying))
    @rule(which=st.integers(0, 9), fate=st.sampled_from(FATES))
    def pagerduty_answers(self, which: int, fate: str) -> None:
        claim = self.flying.pop(which % len(self.flying))
        if fate in ("delivered", "answer lost"):
            self._pagerduty_takes(claim)
        outcomes: dict[str, Outcome] = {
            "delivered": Delivered(),
            "answer lost": Retry("timeout"),
            "lost": Retry("timeout"),
            "throttled": Retry("rateLimited", ambiguous=False),
            "refused connection": Retry("network", ambiguous=False),
            "rejected": Rejected("clientError", "made up"),
            "key refused": Retry("authError", ambiguous=False, configuration=True),
        }
        if fate != "delivered":
            self.excuses[claim.page.id] += 1
        self.answered.append((claim, outcomes[fate]))

    def _pagerduty_takes(self, claim: Claim) -> None:
        where = (claim.attempt.key_id, claim.page.dedup_key)
        if claim.attempt.action is Action.RESOLVE:
            if where in self.open:
                self.incidents.closed(where, claim.page.id, self.now, Agent.OURS)
            self.open.discard(where)
            return
        if where not in self.open:
            self.incidents.opened(where, claim.page.id, self.now)
        self.open.add(where)
        self.sends[claim.page.id, claim.attempt.episode, claim.attempt.revision] += 1
        times = self.sends[claim.page.id, claim.attempt.episode, claim.attempt.revision]
        assert times <= 1 + self.excuses[claim.page.id], "the same thing was said twice for no reason"

    @precondition(lambda self: bool(self.answered))
    @rule(which=st.integers(0, 9), jitter=st.floats(0, 0.99))
    def settle(self, which: int, jitter: float) -> None:
        claim, outcome = self.answered.pop(which % len(self.answered))
        before, _ = self.engine.page(claim.page.id)
        if claim.attempt.action is Action.TRIGGER:
            self.ladder.answered(before, claim.attempt, outcome, self.book, self.now)
        elif isinstance(outcome, Delivered):
            self.ladder.resolved(before, claim.attempt)
        self.engine.settle(
            claim.attempt,
            lambda page: settle(page, claim.attempt, outcome, self.now, jitter=jitter, digest="d", book=self.book),
            self.now,
        )

    @rule(fate=st.sampled_from(("rejected", "key refused")), rounds=st.integers(1, 5))
    def pagerduty_refuses(self, fate: str, rounds: int) -> None:
        """Everything that is due is refused, over and over: what falls, falls deep."""
        for _ in range(rounds):
            self.claim(4)
            self.claim(4)  # what turns to its fallback is claimed there
            while self.flying:
                self.pagerduty_answers(0, fate)
            while self.answered:
                self.settle(0, 0.5)
            self.now += (1 if fate == "rejected" else 45) * SECOND

    @rule(which=st.integers(0, 9), agent=st.sampled_from((Agent.PERSON, Agent.NOBODY)), then=st.integers(0, 2))
    def somebody_closes_an_incident(self, which: int, agent: Agent, then: int) -> None:
        """Once what is due was sent, an incident is closed `then` seconds later; after one the relay hears of it."""
        self.claim(4)
        while self.flying:
            self.pagerduty_answers(0, "delivered")
        while self.answered:
            self.settle(0, 0.5)
        if not self.open:
            return
        where = sorted(self.open)[which % len(self.open)]
        self.now += then * SECOND
        self.open.discard(where)
        self.incidents.closed(where, self.incidents.page(where), self.now, agent)
        for page in self.engine.pages():
            self.excuses[page.id] += 1  # what is opened again says what it said
        while then == 1 and self.incidents.untold:
            self.news_comes(0, again=False)

    @precondition(lambda self: bool(self.incidents.untold))
    @rule(which=st.integers(0, 9), again=st.booleans())
    def news_comes(self, which: int, again: bool) -> None:
        """What happened is heard in whatever order, and perhaps more than once."""
        number, said = self.incidents.untold.pop(which % len(self.incidents.untold))
        for _ in range(1 + again):
            self.engine.keep(Lookup(pages=(number,)), partial(self._judged, number, said))

    def _judged(self, number: int, said: News, ledger: Ledger) -> Plan:
        found = judged(said, ledger.pages[number], self.now)
        return Plan(pages=(found.page,) if found.page != ledger.pages[number] else ())

    @rule()
    def crash(self) -> None:
        for claim in self.flying + [claim for claim, _ in self.answered]:
            self.excuses[claim.page.id] += 1
            self.ladder.lost(claim.attempt)
        self.flying, self.answered = [], []
        self.engine.crash()

    @rule(name=st.sampled_from(sorted(ROUTES)))
    def reload(self, name: str) -> None:
        known = set(self.book.keys)
        self.book = BOOKS[name]
        assert known == set(self.book.keys)
        again = place_again(self.engine.firing(), self.book)
        self.engine.keep(again.lookup, lambda ledger: rejudge(again, ledger, self.now, self.book))
        for page in [one for one in self.engine.pages() if one.dead]:
            must = self.ladder.reloaded(page, self.book)
            self.engine.keep(Lookup(pages=(page.id,)), partial(self._revived, page.id))
            assert bool(self.engine.page(page.id)[0].dead) is not must, "what it was refused with is another by now"
        for page in self.engine.pages():
            self.excuses[page.id] += 1  # an edit may say the same thing to the same page once more

    def _revived(self, number: int, ledger: Ledger) -> Plan:
        return revive(number, ledger, self.now, self.book)

    @rule()
    def look_again(self) -> None:
        for number in self.engine.due_for_judgement(self.now):
            seen: list[Ledger] = []
            self.engine.keep(Lookup(pages=(number,), whole=(number,)), partial(_peek, seen))
            lookup = waits_for(seen[-1], number)
            self.engine.keep(lookup, partial(look_again, number, now=self.now, book=self.book))

    # What must be true

    def converge(self) -> None:
        """Faults stop: everything that is due is delivered, until nothing is due any more."""
        self.come_to_rest()
        if self.incidents.acted:
            self.hear()
            self.come_to_rest()

    def hear(self) -> None:
        """All that fires is heard again once its repeat is due: what somebody closed is opened again."""
        while self.incidents.untold:
            self.news_comes(0, again=False)
        self.come_to_rest()
        self.now += 5 * HOUR
        for number in [page.id for page in self.engine.pages()]:
            self.excuses[number] += 1
            self.engine.keep(Lookup(pages=(number,)), partial(self._heard, number))

    def _heard(self, number: int, ledger: Ledger) -> Plan:
        page = ledger.pages[number]
        waits = page.wanted is not Wanted.OPEN or page.lane is not None or page.in_flight or page.dead
        heard = page.delivered in (State.OPEN, State.ELSEWHERE) and not waits
        return Plan(pages=(queue_refresh(page, self.now),) if heard else ())

    def come_to_rest(self) -> None:
        for _ in range(60):
            while self.answered:
                self.settle(0, 0.5)
            self.look_again()
            self.claim(100)
            while self.flying:
                self.pagerduty_answers(0, "delivered")
            if not self.answered and not self.engine.heads(self.now) and not self.engine.due_for_judgement(self.now):
                return
            self.now += 61 * SECOND
        raise AssertionError("the relay does not come to rest")

    def check_converged(self) -> None:
        pages = {page.id: self.engine.page(page.id) for page in self.engine.pages()}
        held: dict[int, set[str]] = {}
        for page, members in pages.values():
            tally = Counter(one.tally_key for one in members if one.firing and not one.suppressed)
            assert dict(page.tally) == dict(tally), "the tally does not count the members"
            if page.handed_over:
                heir = page
                while heir.handed_over:
                    heir = pages[heir.successor or 0][0]
                assert heir.dead or heir.wanted is Wanted.QUIET, "it waits for a page that is open or closed already"
                continue
            told = any((line.key_id, page.dedup_key) in self.open for line in page.lines)
            fires = {one.alert for one in members if one.firing}
            assert all(self.firing[alert] for alert in fires)
            assert page.dead or told == (page.wanted is Wanted.OPEN) or page.wanted is Wanted.QUIET
            assert page.wanted is (Wanted.OPEN if tally else Wanted.QUIET if fires else Wanted.CLOSED)
            for alert in fires if told or page.dead or page.wanted is Wanted.QUIET else ():
                held.setdefault(alert, set()).add(page.integration)
        by_key = {(line.key_id, page.dedup_key) for page, _ in pages.values() for line in page.lines}
        assert self.open <= by_key, "PagerDuty holds something the relay knows nothing of"
        for labels in ALERTS:
            alert = alert_id("", fingerprint_of(labels))
            if self.firing.get(alert):
                routed = {
                    target.integration
                    for route in self.book.router.match(labels)
                    for target in self.book.targets(route)
                }
                assert routed <= held.get(alert, set()), "an alert fires, and its integration knows nothing of it"
                dead = any(page.dead for page, members in pages.values() if alert in {one.alert for one in members})
                assert dead or not routed or held[alert] <= routed, "it stays where nothing routes it any more"


def _peek(seen: list[Ledger], ledger: Ledger) -> Plan:
    seen.append(ledger)
    return Plan()


def _written(at: Instant) -> str:
    return moment(at).isoformat().replace("+00:00", "Z")


class StoredMachine(Machine):
    engine_of = Stored


FAST = settings(max_examples=300, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck))
REAL = settings(max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck))


def test_the_rules_converge_whatever_happens() -> None:
    run_state_machine_as_test(Machine, settings=FAST)


def test_the_store_and_the_rules_converge_whatever_happens() -> None:
    run_state_machine_as_test(StoredMachine, settings=REAL)
