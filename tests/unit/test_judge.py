"""What a message changes: episodes, pages, severity, linked pages, truncation. DESIGN's words, through the judge."""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pytest

from relay.alert import MINUTE, SECOND
from relay.config import load
from relay.decision import Verdict
from relay.event import Action, Delivered, Outcome, Rejected, Retry, Severity
from relay.ingress.alertmanager import parse
from relay.page import Lane, Page, State, Wanted
from relay.rules.classify import classify
from relay.rules.delivery import settle, start
from relay.rules.judge import judge
from relay.rules.ledger import Claim, Ledger, Lookup, Plan, Want
from relay.rules.reload import look_again, place_again, rejudge, waits_for
from relay.rules.rulebook import Rulebook
from tests.model.engines import Dictionaries

KEYS = {"a": "a" * 32, "b": "b" * 32}


def rulebook(folder: Path, route: str, **extra: object) -> Rulebook:
    receivers = [{"name": "nobody"}] + [
        {"name": name, "pagerduty_configs": [{"routing_key": key, **extra}]} for name, key in KEYS.items()
    ]
    file = folder / "relay.yml"
    file.write_text(f"route: {route}\nreceivers: {json.dumps(receivers)}\n")
    loaded = load(file, {})
    return Rulebook(loaded.rules, loaded.keys)


class Desk:
    """A relay reduced to its judgement: post bodies, deliver what is due, move the clock."""

    def __init__(self, book: Rulebook) -> None:
        self.engine = Dictionaries()
        self.book = book
        self.now = 1_700_000_000 * SECOND
        self.sent: list[tuple[str, str]] = []

    def post(self, *alerts: Mapping[str, object], truncated: int = 0, group: str = "G") -> Plan:
        body = {"version": "4", "groupKey": group, "groupLabels": {"g": group}, "truncatedAlerts": truncated}
        message = parse(json.dumps({**body, "alerts": alerts}).encode(), "")
        draft = classify(message, self.book)
        return self.engine.keep(draft.lookup, lambda ledger: judge(draft, ledger, self.now, self.book))

    def deliver(self, outcome: Outcome | None = None, seconds: int = 2) -> list[str]:
        """Send everything that is due, `seconds` from now; return the actions with the end of their dedup keys."""
        self.now += seconds * SECOND
        before = len(self.sent)
        for claim in self.claim():
            self.settle(claim, outcome or Delivered())
        return [f"{action} {key}" for action, key in self.sent[before:]]

    def claim(self) -> list[Claim]:
        wants = [Want(integration, lane, 99) for integration, lane, _ in self.engine.heads(self.now)]
        return self.engine.claim(wants, self.now, partial(start, now=self.now, book=self.book, timeout=10 * SECOND))

    def settle(self, claim: Claim, outcome: Outcome) -> Page:
        key = claim.page.dedup_key
        self.sent.append((claim.attempt.action.value, key[-2:] if "/" in key else "base"))
        decide = partial(
            settle, attempt=claim.attempt, outcome=outcome, now=self.now, jitter=0.5, digest="d", book=self.book
        )
        return self.engine.settle(claim.attempt, decide, self.now)

    def look_again(self) -> None:
        for number in self.engine.due_for_judgement(self.now):
            seen: list[Ledger] = []
            self.engine.keep(Lookup(pages=(number,), whole=(number,)), partial(_peek, seen))
            self.engine.keep(waits_for(seen[-1], number), partial(look_again, number, now=self.now, book=self.book))

    def reload(self, book: Rulebook) -> Plan:
        self.book = book
        again = place_again(self.engine.firing(), book)
        return self.engine.keep(again.lookup, lambda ledger: rejudge(again, ledger, self.now, book))

    @property
    def page(self) -> Page:
        (page,) = self.engine.pages()
        return page


def _peek(seen: list[Ledger], ledger: Ledger) -> Plan:
    seen.append(ledger)
    return Plan()


def alert(
    instance: str = "one", *, fires: bool = True, severity: str = "warning", starts: int = 10, ends: int = 20
) -> dict[str, object]:
    return {
        "status": "firing" if fires else "resolved",
        "labels": {"alertname": "Down", "instance": instance, "severity": severity},
        "annotations": {},
        "startsAt": f"2026-01-01T00:00:{starts:02}Z",
        "endsAt": "0001-01-01T00:00:00Z" if fires else f"2026-01-01T00:00:{ends:02}Z",
    }


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(rulebook(tmp_path, "{receiver: a, group_by: [alertname]}"))


def verdicts(plan: Plan) -> list[Verdict]:
    return [decision.verdict for decision in plan.decisions]


def test_an_alert_opens_a_page_and_the_same_body_again_changes_nothing(desk: Desk) -> None:
    assert verdicts(desk.post(alert())) == [Verdict.OPENS]
    assert desk.deliver() == ["trigger base"]

    again = desk.post(alert())

    assert verdicts(again) == [Verdict.REPEATS]
    assert (again.alerts, again.pages, again.members, again.record) == ((), (), (), None)
    assert desk.deliver() == []


def test_a_second_member_is_an_update_that_waits_for_group_interval(desk: Desk) -> None:
    desk.post(alert())
    desk.deliver()

    assert verdicts(desk.post(alert(), alert("two"))) == [Verdict.REPEATS, Verdict.JOINS]

    assert desk.page.lane is Lane.UPDATE
    assert desk.deliver(seconds=50) == []
    assert desk.deliver(seconds=10) == ["trigger base"]
    assert desk.deliver(seconds=600) == []


def test_an_annotation_that_changes_is_kept_and_sends_nothing(desk: Desk) -> None:
    desk.post(alert())
    desk.deliver()

    plan = desk.post({**alert(), "annotations": {"value": "2"}})

    assert b'"value":"2"' in plan.alerts[0].raw
    assert desk.deliver(seconds=600) == []


def test_a_page_closes_when_its_last_member_resolves(desk: Desk) -> None:
    desk.post(alert(), alert("two"))
    desk.deliver()
    desk.post(alert("one", fires=False))
    assert desk.page.wanted is Wanted.OPEN

    assert verdicts(desk.post(alert("two", fires=False))) == [Verdict.RESOLVES]

    assert desk.deliver() == ["resolve base"]
    assert desk.page.delivered is State.CLOSED


def test_absence_is_not_resolution(desk: Desk) -> None:
    desk.post(alert(), alert("two"))
    desk.deliver()

    desk.post(alert("two", fires=False))

    assert desk.page.wanted is Wanted.OPEN
    assert desk.page.firing == 1


def test_a_resolve_before_anything_was_sent_supersedes(desk: Desk) -> None:
    desk.post(alert())

    assert verdicts(desk.post(alert(fires=False))) == [Verdict.SUPERSEDES]
    assert desk.deliver() == []


def test_a_resolve_while_the_trigger_is_in_flight_waits_and_is_sent(desk: Desk) -> None:
    desk.post(alert())
    (claim,) = desk.claim()

    assert verdicts(desk.post(alert(fires=False))) == [Verdict.RESOLVES]
    assert desk.deliver() == []
    desk.settle(claim, Delivered())

    assert desk.deliver(seconds=0) == []
    assert desk.deliver(seconds=1) == ["resolve base"]


def test_a_resolve_after_an_unanswered_trigger_waits_until_that_attempt_must_be_over(desk: Desk) -> None:
    desk.post(alert())
    (claim,) = desk.claim()
    desk.settle(claim, Retry("network"))
    desk.post(alert(fires=False))

    assert desk.deliver(seconds=9) == []
    assert desk.deliver(seconds=1) == ["resolve base"]


def test_a_trigger_that_certainly_was_not_taken_can_be_superseded(desk: Desk) -> None:
    desk.post(alert())
    (claim,) = desk.claim()
    desk.settle(claim, Retry("rateLimited", ambiguous=False))

    assert verdicts(desk.post(alert(fires=False))) == [Verdict.SUPERSEDES]
    assert desk.deliver(seconds=100) == []


def test_firing_again_before_the_resolve_was_started_continues_the_incident(desk: Desk) -> None:
    desk.post(alert())
    desk.deliver()
    desk.post(alert(fires=False))

    desk.post(alert(starts=30))

    assert desk.deliver(seconds=60) == ["trigger base"]
    assert (desk.page.episode, desk.page.again) == (1, 1)


def test_firing_again_after_the_resolve_was_started_is_a_new_episode(desk: Desk) -> None:
    desk.post(alert())
    desk.deliver()
    desk.post(alert(fires=False))
    desk.now += 2 * SECOND
    (claim,) = desk.claim()

    desk.post(alert(starts=30))
    desk.settle(claim, Retry("timeout"))

    assert desk.page.episode == 2
    assert desk.deliver(seconds=30) == ["trigger base"]


@pytest.mark.parametrize(
    ("starts", "ends", "verdict"),
    [
        (30, 40, Verdict.RESOLVES),
        (10, 29, Verdict.IGNORED),
        (10, 30, Verdict.IGNORED),
        (10, 31, Verdict.RESOLVES),
        (40, 41, Verdict.RESOLVES),
    ],
)
def test_only_a_resolve_of_an_episode_that_ended_before_this_one_is_ignored(
    desk: Desk, starts: int, ends: int, verdict: Verdict
) -> None:
    desk.post(alert(starts=30))

    plan = desk.post(alert(fires=False, starts=starts, ends=ends))

    assert verdicts(plan) == [Verdict.SUPERSEDES if verdict is Verdict.RESOLVES else verdict]


def test_a_firing_with_an_old_start_is_never_dropped(desk: Desk) -> None:
    desk.post(alert(starts=30))
    desk.post(alert(fires=False, starts=30, ends=40))

    plan = desk.post(alert(starts=10))

    assert verdicts(plan) == [Verdict.OPENS]
    assert any("lagging replica" in step.because for step in plan.decisions[0].steps)


def test_an_earlier_start_is_kept_and_a_later_one_noted(desk: Desk) -> None:
    desk.post(alert(starts=20))
    desk.post(alert(starts=10))

    plan = desk.post(alert(starts=30))

    assert any("later startsAt" in step.because for step in plan.decisions[0].steps)
    (held,) = desk.engine.firing()
    assert held.starts_at % MINUTE == 10 * SECOND


def test_a_resolve_of_something_never_held_is_recorded_and_not_sent(desk: Desk) -> None:
    plan = desk.post(alert(fires=False))

    assert verdicts(plan) == [Verdict.NOTHING_OPEN]
    assert plan.record is not None
    assert desk.deliver() == []


def test_severity_is_the_worst_firing_members_and_never_falls_while_open(desk: Desk) -> None:
    desk.post(alert("one", severity="critical"), alert("two"))
    desk.deliver()

    desk.post(alert("one", severity="critical", fires=False))

    severities = [desk.page.severity]
    desk.post(alert("two", fires=False))
    desk.deliver(seconds=70)
    desk.post(alert("two", starts=50))
    severities.append(desk.page.severity)
    assert severities == [Severity.CRITICAL, Severity.WARNING]


def test_a_rise_within_high_urgency_is_an_update_that_does_not_wait(desk: Desk) -> None:
    desk.post(alert("one", severity="error"))
    desk.deliver()

    desk.post(alert("one", severity="error"), alert("two", severity="critical"))

    assert desk.deliver() == ["trigger base"]


def test_a_rise_across_urgency_opens_a_linked_page_and_then_resolves_the_old_one(desk: Desk) -> None:
    desk.post(alert("one"))
    desk.deliver()

    plan = desk.post(alert("one"), alert("two", severity="critical"))

    assert "linked page" in plan.decisions[1].steps[-1].because
    assert desk.deliver() == ["trigger /2"]
    desk.look_again()
    assert desk.deliver() == ["resolve base"]
    desk.post(alert("one", fires=False), alert("two", severity="critical", fires=False))
    assert desk.deliver() == ["resolve /2"]


def test_after_a_linked_page_the_next_episode_starts_from_the_key_itself(desk: Desk) -> None:
    desk.post(alert("one"))
    desk.deliver()
    desk.post(alert("one"), alert("two", severity="critical"))
    desk.deliver()
    desk.look_again()
    desk.post(alert("one", fires=False), alert("two", severity="critical", fires=False))
    assert sorted(desk.deliver()) == ["resolve /2", "resolve base"]

    desk.post(alert("one", starts=50))

    assert desk.deliver() == ["trigger base"]


def test_the_old_page_closes_too_if_the_linked_one_never_had_to_open(desk: Desk) -> None:
    desk.post(alert("one"))
    desk.deliver()
    desk.post(alert("one"), alert("two", severity="critical"))

    desk.post(alert("one", fires=False), alert("two", severity="critical", fires=False))
    desk.look_again()

    assert desk.deliver() == ["resolve base"]


def test_the_old_page_closes_although_the_linked_one_is_being_updated_when_it_is_looked_at(desk: Desk) -> None:
    desk.post(alert("one"))
    desk.deliver()
    desk.post(alert("one"), alert("two", severity="critical"))
    desk.deliver()
    desk.post(alert("two", severity="critical", fires=False))
    desk.now += 61 * SECOND
    (update,) = desk.claim()

    desk.look_again()
    desk.settle(update, Delivered())

    assert desk.deliver() == ["resolve base"]


def test_a_critical_that_fires_while_a_warnings_resolve_fails_opens_a_page_of_its_own(desk: Desk) -> None:
    desk.post(alert("one"))
    desk.deliver()
    desk.post(alert("one", fires=False))
    desk.now += 2 * SECOND
    (resolve,) = desk.claim()
    desk.post(alert("two", severity="critical"))

    desk.settle(resolve, Retry("rateLimited", ambiguous=False))
    desk.look_again()

    assert desk.deliver() == ["trigger /2"]


def test_of_the_alerts_of_one_message_the_first_opens_the_page_and_the_others_join_it(desk: Desk) -> None:
    assert verdicts(desk.post(alert("one"), alert("two"))) == [Verdict.OPENS, Verdict.JOINS]


def test_a_resolve_of_what_pagerduty_refused_says_so(desk: Desk) -> None:
    desk.post(alert())
    desk.deliver(Rejected("clientError", "made up"))

    plan = desk.post(alert(fires=False))

    assert "PagerDuty had refused its page" in plan.decisions[0].steps[-1].because


def test_regroup_can_be_turned_off(tmp_path: Path) -> None:
    desk = Desk(rulebook(tmp_path, "{receiver: a, group_by: [alertname], regroup: {urgency: false}}"))
    desk.post(alert("one"))
    desk.deliver()

    desk.post(alert("one"), alert("two", severity="critical"))

    assert desk.deliver() == ["trigger base"]


def test_an_alert_routed_to_a_receiver_without_pagerduty_is_recorded(tmp_path: Path) -> None:
    desk = Desk(rulebook(tmp_path, "{receiver: nobody}"))

    plan = desk.post(alert())

    assert verdicts(plan) == [Verdict.NOT_OURS]
    assert plan.decisions[0].steps[-1].because == "no receiver it is routed to has a PagerDuty integration"


def test_what_max_alerts_cut_off_opens_a_page_of_its_own_until_a_complete_body(desk: Desk) -> None:
    opened = desk.post(alert(severity="critical"), truncated=3).decisions[-1]
    assert "3 alerts of group G were cut off" in opened.steps[0].because
    pages = {page.group_key: page for page in desk.engine.pages()}
    cut = pages["G#truncated"]

    assert cut.severity is Severity.CRITICAL
    (member,) = desk.engine.of(cut.id)
    assert b"3 alerts of group G were cut off by `max_alerts`: set it to 0" in desk.engine.alerts[member.alert].raw
    assert desk.deliver() == ["trigger base", "trigger base"]
    closed = desk.post(alert(severity="critical")).decisions[-1]
    assert closed.steps[0].because == "this body of its group is complete: nothing was cut off"
    assert desk.deliver() == ["resolve base"]


def test_a_page_that_sends_no_resolves_is_left_open_and_its_next_episode_has_another_key(tmp_path: Path) -> None:
    desk = Desk(rulebook(tmp_path, "{receiver: a, group_by: [alertname]}", send_resolved=False))
    desk.post(alert())
    desk.deliver()

    plan = desk.post(alert(fires=False))

    assert "send_resolved is false" in plan.decisions[0].steps[-1].because
    assert desk.deliver() == []
    desk.post(alert(starts=30))
    assert desk.deliver() == ["trigger /2"]
    desk.post(alert(fires=False, starts=30, ends=40))
    desk.post(alert(starts=50))
    assert desk.deliver() == ["trigger /3"]


def test_a_dead_letter_waits_for_new_content(desk: Desk) -> None:
    desk.post(alert())
    for _ in range(2):  # the full event, and the minimal one
        desk.deliver(Rejected("clientError", "'payload.source' is missing or blank"))
    assert desk.page.dead.startswith("clientError: 'payload.source'")
    assert desk.deliver(seconds=600) == []

    desk.post(alert("two"))

    assert desk.deliver() == ["trigger base"]
    assert desk.page.dead == ""


def test_retries_back_off_with_jitter_up_to_a_minute(desk: Desk) -> None:
    desk.post(alert())
    waits = []
    for _ in range(8):
        desk.now = desk.page.due_at
        desk.deliver(Retry("serverError"), seconds=0)
        waits.append((desk.page.due_at - desk.now) / SECOND)

    assert waits == [0.5, 1, 2, 4, 8, 16, 30, 30]


def test_trouble_with_the_configuration_is_retried_slowly(desk: Desk) -> None:
    desk.post(alert())
    waits = []
    for _ in range(6):
        desk.now = desk.page.due_at
        desk.deliver(Retry("configuration", ambiguous=False, configuration=True), seconds=0)
        waits.append((desk.page.due_at - desk.now) // SECOND)

    assert waits == [30, 60, 120, 240, 300, 300]


def test_an_edit_of_the_grouping_re_pages_nobody(desk: Desk, tmp_path: Path) -> None:
    desk.post(alert(), alert("two"))
    desk.deliver()

    desk.reload(rulebook(tmp_path, "{receiver: a, group_by: [instance]}"))
    desk.post(alert(), alert("two"))

    assert desk.deliver(seconds=600) == []
    desk.post(alert(fires=False), alert("two", fires=False))
    assert desk.deliver() == ["resolve base"]
    desk.post(alert(starts=40), alert("two", starts=40))
    assert desk.deliver() == ["trigger base", "trigger base"]


def test_a_move_to_another_integration_opens_there_first_and_then_closes_here(desk: Desk, tmp_path: Path) -> None:
    desk.post(alert())
    desk.deliver()
    old = desk.page

    desk.reload(rulebook(tmp_path, "{receiver: b, group_by: [alertname]}"))

    assert desk.deliver() == ["trigger base"]
    desk.engine._mark([old.id], desk.now)
    desk.look_again()
    assert desk.deliver() == ["resolve base"]
    assert desk.engine.rows[old.id].delivered is State.CLOSED


def test_routed_to_nobody_leaves_the_page_and_its_resolve_still_passes(desk: Desk, tmp_path: Path) -> None:
    desk.post(alert())
    desk.deliver()

    desk.reload(rulebook(tmp_path, "{receiver: nobody}"))

    assert desk.page.wanted is Wanted.QUIET
    assert desk.deliver(seconds=600) == []
    desk.post(alert(fires=False))
    assert desk.deliver() == ["resolve base"]


def test_on_mute_resolve_closes_once(tmp_path: Path) -> None:
    route = "{receiver: a, group_by: [alertname], on_mute: resolve}"
    desk = Desk(rulebook(tmp_path, route))
    desk.post(alert())
    desk.deliver()

    desk.reload(rulebook(tmp_path, "{receiver: nobody}"))

    assert desk.deliver() == ["resolve base"]
    assert desk.deliver(seconds=600) == []
    desk.reload(rulebook(tmp_path, route))
    assert desk.deliver() == ["trigger base"]


def test_new_texts_alone_send_nothing(desk: Desk, tmp_path: Path) -> None:
    desk.post(alert())
    desk.deliver()

    desk.reload(rulebook(tmp_path, "{receiver: a, group_by: [alertname]}", description="something new"))

    assert desk.deliver(seconds=600) == []


def test_a_rotated_key_gets_new_content_where_the_page_is_open_and_new_episodes_elsewhere(
    desk: Desk, tmp_path: Path
) -> None:
    desk.post(alert())
    desk.deliver()
    (old,) = desk.page.lines
    fresh = Rulebook(desk.book.rules, desk.book.keys | {"new"})
    fresh.current_key = lambda integration: ("new", old.url)  # type: ignore[method-assign]
    desk.book = fresh

    desk.post(alert(), alert("two"))
    desk.deliver(seconds=61)
    assert [(line.key_id, line.state) for line in desk.page.lines] == [(old.key_id, State.OPEN)]
    desk.post(alert(fires=False), alert("two", fires=False))
    desk.deliver()
    desk.post(alert(starts=50))
    desk.deliver()

    assert {line.key_id: line.state for line in desk.page.lines} == {old.key_id: State.CLOSED, "new": State.OPEN}
    assert [action for action, _ in desk.sent] == [Action.TRIGGER, Action.TRIGGER, Action.RESOLVE, Action.TRIGGER]


@pytest.mark.parametrize("first", [0, 1])
def test_an_alert_that_two_routes_bring_to_one_page_counts_as_the_worst_of_them(first: int, tmp_path: Path) -> None:
    severities = [["info", "critical"], ["critical", "info"]][first]
    routes = [{"continue": True, "severity": {"default": word}} for word in severities]
    desk = Desk(rulebook(tmp_path, json.dumps({"receiver": "a", "group_by": ["alertname"], "routes": routes})))

    desk.post(alert())

    assert (desk.page.severity, desk.page.lane) == (Severity.CRITICAL, Lane.CRITICAL)
    assert [member.severity for member in desk.engine.of(desk.page.id)] == [Severity.CRITICAL]


def test_the_default_severity_is_spoken_of_only_where_it_counts(tmp_path: Path) -> None:
    def said(route: str, **extra: object) -> str:
        plan = Desk(rulebook(tmp_path, route, **extra)).post(alert(severity="odd"))
        return " ".join(step.because for step in plan.decisions[0].steps)

    assert "paged as error (default)" in said("{receiver: a}")
    assert "default" not in said("{receiver: a}", severity="critical")
    assert "default" not in said("{receiver: nobody}")


def test_what_is_sent_does_not_wait_for_a_clock_that_was_set_back(desk: Desk) -> None:
    hour = 3600 * SECOND
    desk.post(alert())
    desk.deliver()
    desk.now -= hour
    desk.post(alert(fires=False))
    assert desk.deliver() == ["resolve base"]
    desk.now -= hour
    desk.post(alert(starts=30))
    assert desk.deliver() == ["trigger base"]
    desk.now -= hour
    desk.post(alert(starts=30), alert("two"))
    assert desk.deliver() == ["trigger base"]
    desk.post(alert(fires=False, starts=30, ends=40), alert("two", fires=False))
    assert desk.deliver(seconds=0) == []
    assert desk.deliver() == ["resolve base"]
