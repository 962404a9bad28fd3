"""Random bodies, time, deliveries, reloads and crashes in and out of storms, against a plain model of who fires.

Checked: every alert that fires stands in exactly one page of its integration, folded or not, and that page is wanted;
a critical never folds; no more new pages open by themselves than a storm leaves; nothing folded is forgotten: when all
is quiet again, what was folded has opened by itself (at most twenty) or still stands in the storm page; and once all is
resolved, PagerDuty holds nothing open.
"""

import io
import json
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from relay.alert import SECOND, Instant, alert_id, fingerprint_of
from relay.config import load
from relay.decision import Verdict
from relay.event import Action, Delivered, Outcome, Retry
from relay.intake import Intake
from relay.logs import Log
from relay.metrics import Metrics
from relay.page import Lane, Member, Page, State, Wanted
from relay.recall import Recall
from relay.rules.delivery import settle, start
from relay.rules.ledger import Claim, Want
from relay.rules.rulebook import Rulebook
from relay.scheduler import Scheduler
from relay.storms import Storms
from tests.model.engines import Stored

PAGES, WITHIN = 3, 60 * SECOND
RULES = f"""
global: {{storm: {{pages: {PAGES}, within: 60s}}, pagerduty_url: "http://127.0.0.1:1/v2/enqueue"}}
route:
  receiver: a
  dedup_key: "{{labels.group}}"
  severity: {{critical: critical, error: error, info: info, default: warning}}
  hold_trigger: {{info: 30s}}
receivers: [{{name: a, pagerduty_configs: [{{routing_key: {"a" * 32}}}]}}]
"""
GROUPS = 26
SEVERITIES = ("warning", "warning", "error", "info", "critical")
"""By the number of a group's second alert; its first one is a warning, or (every ninth) critical."""
ALERTS = [(group, at) for group in range(GROUPS) for at in range(2)]
METRICS = Metrics("test")


def severity(group: int, at: int) -> str:
    if at == 0:
        return "critical" if group % 9 == 8 else "warning"
    return SEVERITIES[group % len(SEVERITIES)]


def labels(group: int, at: int) -> dict[str, str]:
    return {"alertname": f"A{group % 3}", "group": f"g{group}", "n": str(at), "severity": severity(group, at)}


def book() -> Rulebook:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "relay.yml"
        file.write_text(RULES)
        loaded = load(file, {})
    return Rulebook(loaded.rules, loaded.keys)


BOOK = book()
(INTEGRATION,) = BOOK.rules.integrations


class Machine(RuleBasedStateMachine):
    """A relay without its doors, and what everybody else knows of it."""

    @initialize()
    def begin(self) -> None:
        self.engine = Stored()
        self.now: Instant = 1_700_000_000 * SECOND
        self.firing: set[tuple[int, int]] = set()
        self.open: set[str] = set()
        self.opened: list[Instant] = []
        """When pages opened by themselves, in bodies since the last start."""
        self.new: list[Instant] = []
        """When new pages came, folded or not, in bodies since the last start."""
        self.resumed: Instant = 0
        """A storm that a start found goes on until then at the latest."""
        self.last_fold: Instant = 0
        self.wire()

    def wire(self) -> None:
        recall, storms = Recall(), Storms()
        common: dict[str, Any] = {
            "clock": lambda: self.now,
            "wake": lambda: None,
            "metrics": METRICS,
            "log": Log(lambda: self.now, stream=io.StringIO()),
            "storms": storms,
        }
        self.engine.run(storms.resume(self.engine.store, BOOK, self.now))
        self.scheduler = Scheduler(self.engine.store, BOOK, recall, steady=lambda: self.now, **common)
        self.intake = Intake(self.engine.store, BOOK, recall, **common)

    def teardown(self) -> None:
        if not hasattr(self, "engine"):
            return
        self.pass_time(40)
        self.deliver()
        self.pass_time(100)
        self.deliver()
        self.check_at_rest()
        self.body(dict.fromkeys(self.firing, False), "all")
        self.pass_time(10)
        self.deliver()
        assert self.open == set(), "everything resolved, and yet PagerDuty holds something open"
        self.engine.close()

    # What happens

    @rule(
        first=st.integers(0, GROUPS - 1),
        count=st.integers(1, 12),
        at=st.sampled_from((0, 0, 1)),
        fires=st.sampled_from((True, True, True, False)),
        seconds=st.sampled_from((0, 0, 5)),
    )
    def several(self, first: int, count: int, at: int, fires: bool, seconds: int) -> None:
        """Say something of an alert of each of several groups."""
        self.body({(group % GROUPS, at): fires for group in range(first, first + count)}, f"m{first % 4}")
        self.pass_time(seconds)

    @rule(seconds=st.sampled_from((1, 20, 31, 60, 61, 200)))
    def wait(self, seconds: int) -> None:
        self.pass_time(seconds)

    @rule(taken=st.booleans())
    def send(self, taken: bool) -> None:
        """Send what is due, or lose the answers."""
        self.deliver(Delivered() if taken else Retry("timeout"), rounds=1)

    @rule()
    def reload(self) -> None:
        """Judge all that fires again: nothing changes."""
        self.scheduler.reloaded(BOOK)
        self.tick()

    @rule()
    def crash(self) -> None:
        storms = [page for page in self.engine.pages() if page.storm and page.storm_until > self.now]
        self.resumed = max((page.storm_until for page in storms), default=0)
        self.engine.crash()
        self.opened, self.new = [], []
        self.wire()
        self.check()

    def body(self, stated: dict[tuple[int, int], bool], group_key: str) -> None:
        if not stated:
            return
        alerts = [
            {
                "status": "firing" if fires else "resolved",
                "labels": labels(*alert),
                "annotations": {},
                "startsAt": "2026-01-01T00:00:00Z",
                "endsAt": "0001-01-01T00:00:00Z" if fires else "2026-01-02T00:00:00Z",
            }
            for alert, fires in stated.items()
        ]
        before = {page.id: page for page in self.engine.pages()}
        raw = json.dumps({"version": "4", "groupKey": group_key, "alerts": alerts}).encode()
        answer = self.engine.run(self.intake.accept(raw, ""))
        for alert, fires in stated.items():
            (self.firing.add if fires else self.firing.discard)(alert)
        self.check_what_opened(before)
        assert not any(
            one.verdict is Verdict.FOLDED and severity(*alert) == "critical"
            for one, alert in zip(answer.decisions, stated, strict=False)
            if len(answer.decisions) == len(stated)
        )
        self.tick()

    def check_what_opened(self, before: dict[int, Page]) -> None:
        """No more pages open by themselves than a storm leaves; and none is folded before there is one."""
        folds = 0
        for page in self.engine.pages():
            old = before.get(page.id)
            if page.storm or page.severity.value == "critical" or (old is not None and old.episode == page.episode):
                continue
            if page.folded is not None:
                folds += 1
            elif page.wanted is Wanted.OPEN and page.delivered in (State.NEVER, State.CLOSED):
                self.opened.append(self.now)
            else:
                continue
            self.new.append(self.now)
        recent = [at for at in self.opened if at > self.now - WITHIN]
        assert len(recent) <= PAGES, "more opened by themselves than a storm leaves"
        if folds:
            self.last_fold = self.now
            news = [at for at in self.new if at > self.now - WITHIN]
            assert len(news) + self.held > PAGES or self.now < self.resumed, "it folded without a storm"

    held = 0
    """Pages whose hold ended count as well: how many, at most."""

    def pass_time(self, seconds: int) -> None:
        """Let time pass; what becomes due on the way is done at its own instant."""
        until = self.now + seconds * SECOND
        while (due := self.engine.next_judgement()) is not None and due <= until:
            self.now = max(self.now, due)
            before = {page.id for page in self.engine.pages() if page.wanted is Wanted.QUIET}
            self.tick()
            self.held += sum(page.id in before and page.wanted is not Wanted.QUIET for page in self.engine.pages())
        self.now = until
        self.tick()

    def tick(self) -> None:
        for _ in range(20):
            self.engine.run(self.scheduler.tick())
            due = self.engine.next_judgement()
            if due is None or due > self.now:
                break
        else:
            raise AssertionError("the clockwork does not come to rest")
        self.check()

    def deliver(self, outcome: Outcome | None = None, rounds: int = 12) -> None:
        outcome = outcome or Delivered()
        for _ in range(rounds):
            wants = [Want(INTEGRATION, lane, 100) for lane in Lane]
            take = partial(start, now=self.now, book=BOOK, timeout=SECOND)
            claims = self.engine.claim(wants, self.now, take)
            for claim in claims:
                self.send_one(claim, outcome)
            self.tick()
            if rounds > 1:
                self.pass_time(31)

    def send_one(self, claim: Claim, outcome: Outcome) -> None:
        if isinstance(outcome, Delivered):
            key = claim.attempt.dedup_key
            (self.open.discard if claim.attempt.action is Action.RESOLVE else self.open.add)(key)
        decide = partial(
            settle, attempt=claim.attempt, outcome=outcome, now=self.now, jitter=0.5, digest="d", book=BOOK
        )
        self.engine.settle(claim.attempt, decide, self.now)

    # What must be true

    def read(self) -> dict[int, tuple[Page, list[Member]]]:
        return {page.id: self.engine.page(page.id) for page in self.engine.pages()}

    def check(self) -> None:
        rows = self.read()
        stands: dict[int, list[Member]] = {}
        for page, members in rows.values():
            fires = [one for one in members if one.firing]
            loud = [one for one in fires if not one.suppressions]
            if not page.handed_over:
                assert (page.firing, page.quiet) == (len(loud), len(fires) - len(loud)), "a page counts what it has not"
                wanted = Wanted.OPEN if loud else Wanted.QUIET if fires else Wanted.CLOSED
                assert page.wanted is wanted, "a page wants something else than its alerts do"
            for one in fires:
                if page.storm:
                    assert one.severity.value != "critical", "a critical was folded"
                if one.leaving is None:
                    stands.setdefault(one.alert, []).append(one)
                else:
                    assert any(two.alert == one.alert and two.firing for two in rows[one.leaving][1]), (
                        "it leaves for nowhere"
                    )
        expected = {alert_id("", fingerprint_of(labels(*alert))) for alert in self.firing}
        assert stands.keys() == expected, "an alert that fires is nowhere, or one that does not is somewhere"
        assert all(len(places) == 1 for places in stands.values()), "an alert stands in two pages"

    def check_at_rest(self) -> None:
        """Nothing new for longer than a storm lasts, and PagerDuty takes everything: what is wanted is open there."""
        rows = self.read()
        wanted = {page.dedup_key for page, _ in rows.values() if page.wanted is Wanted.OPEN and not page.handed_over}
        assert self.open == wanted, "PagerDuty is not in step"
        for page, members in rows.values():
            if page.storm:
                assert page.storm_until == 0, "a storm does not end"
                assert not any(one.leaving for one in members if one.firing), "an alert never leaves"


FAST = settings(max_examples=15, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck))


def test_nothing_that_was_folded_is_forgotten() -> None:
    run_state_machine_as_test(Machine, settings=FAST)
