"""The delivery ladder: full event, minimal event, fallback receiver, dead letter; and what takes a page back up."""

from functools import partial
from pathlib import Path

import pytest
from msgspec.structs import replace

from relay.alert import MINUTE, SECOND, Instant
from relay.config import load, recognise, remembered
from relay.event import Delivered, Outcome, Rejected, Retry
from relay.page import Lane, Page, State, Wanted
from relay.rules.delivery import settle
from relay.rules.ladder import FALLBACK_AFTER, passed_over
from relay.rules.ledger import Claim, Ledger, Lookup, Plan
from relay.rules.letters import NoSuchPage, NotDead, discard, retry, revive
from relay.rules.pages import plan
from relay.rules.rulebook import Rulebook
from tests.unit.test_judge import Desk, alert, verdicts

NO = Rejected("clientError", "'payload.summary' is made up")
LARGE = Rejected("tooLarge", "600000 bytes")
KEY = Retry("authError", "HTTP 401", ambiguous=False, configuration=True)
LOST = Retry("timeout")
YES = Delivered()

ALONE = """\
receivers:
- name: a
  pagerduty_configs: [{routing_key: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa}]
- name: b
  pagerduty_configs: [{routing_key: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb}]
- name: c
  pagerduty_configs: [{routing_key: cccccccccccccccccccccccccccccccc}]
"""
ONE = ALONE.replace("name: a\n", "name: a\n  fallback: b\n")
TWO = ONE.replace("name: b\n", "name: b\n  fallback: c\n")


def book_of(folder: Path, receivers: str, route: str = "", before: Rulebook | None = None) -> Rulebook:
    file = folder / "relay.yml"
    file.write_text(f"route: {{receiver: a, group_by: [alertname]{route}}}\n{receivers}")
    loaded = load(file, {})
    rules = recognise(loaded.rules, list(remembered(before.rules)) if before else [])
    return Rulebook(rules, {*loaded.keys, *(before.keys if before else ())})


class Ladder(Desk):
    """A desk that says of each call after how many seconds it was made, where it went, and on which rung."""

    def __init__(self, book: Rulebook) -> None:
        super().__init__(book)
        self.begun = self.now

    def settle(self, claim: Claim, outcome: Outcome) -> Page:
        attempt = claim.attempt
        name = self.book.rules.integrations[attempt.integration].name
        words = (f"{(self.now - self.begun) / SECOND:g} s", attempt.action.value, name, attempt.rung)
        self.sent.append((" ".join(filter(None, words)), ""))
        decide = partial(settle, attempt=attempt, outcome=outcome, now=self.now, jitter=0.5, digest="", book=self.book)
        return self.engine.settle(attempt, decide, self.now)

    def answer(self, *outcomes: Outcome) -> list[str]:
        """Answer the next calls one after the other, each made as soon as it is due; say what they were."""
        self.sent.clear()
        for count, outcome in enumerate(outcomes, 1):
            while len(self.sent) < count:
                heads = self.engine.heads(self.now)
                assert heads, "nothing is due any more"
                self.now = max(self.now, min(due for _, _, due in heads))
                self.deliver(outcome, seconds=0)
        return [words for words, _ in self.sent]

    def rests(self) -> bool:
        return not self.engine.heads(self.now)

    def act(self, judged: Plan) -> None:
        self.engine.keep(Lookup(), lambda _: judged)

    @property
    def ledger(self) -> Ledger:
        return Ledger({}, {page.id: page for page in self.engine.pages()}, {})

    def reload_dead(self, book: Rulebook) -> None:
        """Do with dead letters what a reload does."""
        self.book = book
        self.act(revive(self.page.id, self.ledger, self.now, book))


def relay(folder: Path, receivers: str = ALONE) -> Ladder:
    return Ladder(book_of(folder, receivers))


@pytest.mark.parametrize(
    ("receivers", "answers", "calls", "dead"),
    [
        (ALONE, (NO, YES), ["0 s trigger a", "1 s trigger a minimal"], False),
        (ALONE, (LARGE, YES), ["0 s trigger a", "1 s trigger a minimal"], False),
        (ALONE, (NO, NO), ["0 s trigger a", "1 s trigger a minimal"], True),
        (ALONE, (NO, LOST, NO), ["0 s trigger a", "1 s trigger a minimal", "2 s trigger a minimal"], True),
        (
            ONE,
            (NO, NO, YES),
            ["0 s trigger a", "1 s trigger a minimal", "2 s trigger b fallback minimal"],
            False,
        ),
        (ONE, (NO, NO, NO), ["0 s trigger a", "1 s trigger a minimal", "2 s trigger b fallback minimal"], True),
        (
            TWO,
            (NO, NO, NO, YES),
            [
                "0 s trigger a",
                "1 s trigger a minimal",
                "2 s trigger b fallback minimal",
                "3 s trigger c fallback minimal",
            ],
            False,
        ),
        (
            TWO,
            (NO, NO, NO, NO),
            [
                "0 s trigger a",
                "1 s trigger a minimal",
                "2 s trigger b fallback minimal",
                "3 s trigger c fallback minimal",
            ],
            True,
        ),
        # A refused key: 30 s, then 60 s between two tries, and after two minutes the fallback with the full event.
        (ALONE, (KEY, KEY, KEY, KEY), ["0 s trigger a", "30 s trigger a", "90 s trigger a", "210 s trigger a"], False),
        (
            ONE,
            (KEY, KEY, KEY, YES),
            ["0 s trigger a", "30 s trigger a", "90 s trigger a", "120 s trigger b fallback"],
            False,
        ),
        (ONE, (KEY, YES), ["0 s trigger a", "30 s trigger a"], False),
        (
            ONE,
            (NO, KEY, KEY, YES),
            [
                "0 s trigger a",
                "1 s trigger a minimal",
                "61 s trigger a minimal",
                "121 s trigger b fallback minimal",
            ],
            False,
        ),
        (
            ONE,
            (KEY, KEY, KEY, NO, YES),
            [
                *("0 s trigger a", "30 s trigger a", "90 s trigger a"),
                *("120 s trigger b fallback", "121 s trigger b fallback minimal"),
            ],
            False,
        ),
    ],
)
def test_each_answer_takes_the_next_rung(
    receivers: str, answers: tuple[Outcome, ...], calls: list[str], dead: bool, tmp_path: Path
) -> None:
    desk = relay(tmp_path, receivers)
    desk.post(alert())

    assert desk.answer(*answers[: len(calls)]) == calls

    assert bool(desk.page.dead) is dead
    assert desk.rests() is (dead or answers[-1] is YES)


def test_a_dead_letter_keeps_pagerdutys_words(tmp_path: Path) -> None:
    desk = relay(tmp_path)
    desk.post(alert())

    desk.answer(NO, NO)

    assert desk.page.dead == "clientError: 'payload.summary' is made up"


@pytest.mark.parametrize("answers", [(NO, NO, YES), (KEY, KEY, KEY, YES)])
def test_a_page_stays_at_its_fallback_until_it_closes(answers: tuple[Outcome, ...], tmp_path: Path) -> None:
    desk = relay(tmp_path, ONE)
    desk.post(alert())
    desk.answer(*answers)
    rung = "fallback minimal" if NO in answers else "fallback"

    desk.post(alert("two"))
    assert desk.answer(YES)[0].endswith(f"s trigger b {rung}")
    desk.post(alert(fires=False), alert("two", fires=False))
    assert desk.answer(YES)[0].endswith("s resolve b fallback")
    assert desk.page.delivered is State.CLOSED
    assert desk.rests()

    desk.post(alert(starts=30))
    assert desk.answer(YES)[0].endswith("s trigger a"), "a new episode begins at its own receiver"


def test_a_resolve_goes_to_every_line_that_may_be_open_the_refused_key_last(tmp_path: Path) -> None:
    desk = relay(tmp_path, ONE)
    desk.post(alert())
    desk.answer(YES)
    desk.post(alert("two"))
    desk.answer(KEY, KEY, KEY, YES)
    assert {(line.integration != "", line.state) for line in desk.page.lines} == {
        (False, State.OPEN),
        (True, State.OPEN),
    }

    desk.post(alert(fires=False), alert("two", fires=False))
    desk.begun = desk.now

    assert desk.answer(YES, KEY, YES) == ["1 s resolve b fallback", "2 s resolve a", "32 s resolve a"]
    assert desk.page.delivered is State.CLOSED


def test_a_line_whose_key_is_refused_does_not_keep_the_resolve_of_another_waiting(tmp_path: Path) -> None:
    desk = relay(tmp_path, ONE)
    desk.post(alert())
    desk.answer(YES)
    desk.post(alert("two"))
    desk.answer(NO, NO, YES)
    desk.post(alert(fires=False), alert("two", fires=False))
    desk.begun = desk.now

    assert desk.answer(KEY, YES, YES) == ["1 s resolve b fallback", "2 s resolve a", "3 s resolve b fallback"]


def test_a_dead_letter_never_holds_back_a_resolve(tmp_path: Path) -> None:
    desk = relay(tmp_path)
    desk.post(alert())
    desk.answer(YES)
    desk.post(alert("two"))
    desk.answer(NO, NO)
    assert desk.page.dead

    desk.post(alert(fires=False), alert("two", fires=False))

    assert desk.answer(YES)[0].endswith("s resolve a")


def test_a_resolve_that_is_rejected_is_tried_again_slowly(tmp_path: Path) -> None:
    desk = relay(tmp_path, ONE)
    desk.post(alert())
    desk.answer(YES)
    desk.post(alert(fires=False))
    desk.begun = desk.now

    assert desk.answer(NO, NO, YES) == ["1 s resolve a", "31 s resolve a", "91 s resolve a"]
    assert not desk.page.dead


@pytest.mark.parametrize("answers", [(NO,), (NO, NO), (KEY,)])
def test_a_resolve_of_which_nothing_was_started_supersedes(answers: tuple[Outcome, ...], tmp_path: Path) -> None:
    desk = relay(tmp_path)
    desk.post(alert())
    desk.answer(*answers)

    judged = desk.post(alert(fires=False))

    assert [verdict.value for verdict in verdicts(judged)] == ["supersedes"]
    assert desk.rests()
    assert not desk.page.dead


def test_a_trigger_that_may_have_been_taken_is_resolved_although_the_page_died(tmp_path: Path) -> None:
    desk = relay(tmp_path)
    desk.post(alert())
    desk.answer(LOST, NO, NO)
    assert desk.page.dead

    desk.post(alert(fires=False))

    assert desk.answer(YES)[0].endswith("s resolve a")


def test_a_refresh_that_is_refused_pages_nobody_else(tmp_path: Path) -> None:
    desk = Ladder(book_of(tmp_path, ONE, ", repeat_interval: 1h"))
    desk.post(alert())
    desk.answer(YES)
    desk.now += 3600 * SECOND
    desk.engine.heard([], [desk.page.id], desk.now)

    assert desk.answer(NO)[0].endswith("s trigger a")
    desk.engine.heard([], [desk.page.id], desk.now)
    assert desk.answer(NO)[0].endswith("s trigger a minimal")
    assert desk.rests()
    assert desk.page.fallback == ""


def test_a_refresh_whose_key_is_refused_goes_to_nobody_else(tmp_path: Path) -> None:
    desk = Ladder(book_of(tmp_path, ONE, ", repeat_interval: 1h"))
    desk.post(alert())
    desk.answer(YES)
    for _ in range(3):
        desk.now += 3600 * SECOND
        desk.engine.heard([], [desk.page.id], desk.now)
        assert desk.answer(KEY)[0].endswith("s trigger a")


def test_an_update_of_what_is_shown_already_does_not_go_to_the_fallback(tmp_path: Path) -> None:
    desk = relay(tmp_path, ONE)
    desk.post(alert())
    desk.answer(YES)
    desk.post(alert("two"))
    desk.answer(KEY)

    desk.post(alert("two", fires=False))  # what was to be told is over

    assert desk.rests()


def test_what_changes_while_an_attempt_is_on_its_way_is_tried_where_the_ladder_stands(tmp_path: Path) -> None:
    desk = relay(tmp_path)
    desk.post(alert())
    desk.answer(NO)
    desk.now += SECOND
    (claim,) = desk.claim()
    desk.post(alert("two"))

    desk.settle(claim, NO)

    assert not desk.page.dead, "what was refused is not what it should say by now"
    assert desk.answer(NO)[0].endswith("s trigger a minimal")
    assert desk.page.dead


def test_a_rejection_that_comes_after_a_new_episode_began_says_nothing_of_it(tmp_path: Path) -> None:
    desk = relay(tmp_path)
    desk.post(alert())
    (claim,) = desk.claim()
    desk.post(alert(fires=False))
    desk.engine.rows[desk.page.id] = replace(desk.page, episode=desk.page.episode + 1, wanted=Wanted.OPEN)

    desk.settle(claim, NO)

    assert not desk.page.minimal


# What takes a dead letter back up


def test_new_content_is_tried_from_the_top(tmp_path: Path) -> None:
    desk = relay(tmp_path)
    desk.post(alert())
    desk.answer(NO, NO)

    desk.post(alert("two"))

    assert desk.answer(YES)[0].endswith("s trigger a")


@pytest.mark.parametrize(
    ("before", "after", "calls"),
    [
        (ALONE, ALONE, 0),
        (ALONE, ONE, 1),
        (ONE, ALONE, 1),
        (ALONE, ALONE.replace("{routing_key: a", "{description: mended, routing_key: a"), 1),
        (ALONE, ALONE.replace("a" * 32, "d" * 32), 1),
        (ALONE, ALONE.replace("{routing_key: b", "{description: mended, routing_key: b"), 0),
        (ONE, ONE.replace("{routing_key: b", "{description: mended, routing_key: b"), 1),
    ],
)
def test_a_dead_letter_is_tried_again_when_what_it_was_refused_with_is_another(
    before: str, after: str, calls: int, tmp_path: Path
) -> None:
    desk = relay(tmp_path, before)
    desk.post(alert())
    desk.answer(*([NO] * (3 if "fallback" in before else 2)))
    assert desk.page.dead

    desk.reload_dead(book_of(tmp_path, after, before=desk.book))

    assert desk.rests() is (calls == 0)
    if calls:
        assert desk.answer(YES)[0].endswith("s trigger a")


def test_a_reload_while_its_last_attempt_is_on_its_way_is_not_missed(tmp_path: Path) -> None:
    desk = relay(tmp_path)
    desk.post(alert())
    desk.answer(NO)
    desk.now += SECOND
    (claim,) = desk.claim()
    desk.book = book_of(tmp_path, ONE, before=desk.book)

    desk.settle(claim, replace(NO, message="again"))

    assert desk.answer(YES)[0].endswith("s trigger b fallback minimal")


def test_texts_that_are_mended_while_the_last_attempt_is_on_its_way_get_their_try(tmp_path: Path) -> None:
    desk = relay(tmp_path)
    desk.post(alert())
    desk.answer(NO)
    desk.now += SECOND
    (claim,) = desk.claim()
    desk.book = book_of(tmp_path, ALONE.replace("{routing_key: a", "{description: mended, routing_key: a"))

    desk.settle(claim, NO)

    assert desk.answer(YES)[0].endswith("s trigger a")


def test_a_person_retries_a_dead_letter_from_the_top(tmp_path: Path) -> None:
    desk = relay(tmp_path)
    desk.post(alert())
    desk.answer(NO, NO)

    judged = retry(desk.page.id, desk.ledger, desk.now, "anna")
    desk.act(judged)

    assert judged.record is not None
    assert judged.record.outcomes == {"retried": 1}
    assert judged.record.decisions[0].steps[0].because.startswith("anna has it tried again, as the full event; it was")
    assert desk.answer(YES)[0].endswith("s trigger a")


def test_a_person_lets_go_of_a_dead_letter_until_something_changes(tmp_path: Path) -> None:
    desk = relay(tmp_path)
    desk.post(alert())
    desk.answer(NO, NO)

    judged = discard(desk.page.id, desk.ledger, desk.now, "anna")
    desk.act(judged)

    assert desk.page.discarded == "anna, 2023-11-14T22:13:21Z"
    assert judged.record is not None
    assert judged.record.outcomes == {"discarded": 1}
    desk.reload_dead(book_of(tmp_path, ONE, before=desk.book))
    assert desk.rests(), "a reload does not bring back what a person let go of"
    with pytest.raises(NotDead, match="let go of already: anna"):
        discard(desk.page.id, desk.ledger, desk.now, "bert")
    desk.post(alert("two"))
    assert desk.answer(YES)[0].endswith("s trigger a")
    assert (desk.page.dead, desk.page.discarded) == ("", "")


@pytest.mark.parametrize("act", [retry, discard])
def test_only_dead_letters_are_retried_and_let_go_of(act: object, tmp_path: Path) -> None:
    desk = relay(tmp_path)
    desk.post(alert())

    with pytest.raises(NotDead, match="is no dead letter"):
        act(desk.page.id, desk.ledger, desk.now, "anna")  # type: ignore[operator]
    with pytest.raises(NoSuchPage, match="there is no page"):
        act(7, desk.ledger, desk.now, "anna")  # type: ignore[operator]


# Where a key is refused to others


def test_a_page_that_waits_behind_a_refused_key_goes_to_the_fallback_without_a_try_of_its_own(tmp_path: Path) -> None:
    desk = relay(tmp_path, ONE)
    desk.post(alert())

    aside = passed_over(desk.page, desk.now, desk.book)

    assert (aside.fallback, aside.carrier) == ("b", desk.book.rules.receivers["b"].targets[0].integration)
    assert aside.due_at <= desk.now


def test_a_page_without_a_fallback_waits_on(tmp_path: Path) -> None:
    desk = relay(tmp_path)
    desk.post(alert())

    waits = passed_over(desk.page, desk.now, desk.book)

    assert (waits.fallback, waits.due_at - desk.now) == ("", FALLBACK_AFTER // 4)


def test_a_key_that_is_refused_for_longer_needs_no_two_minutes_of_its_own(tmp_path: Path) -> None:
    desk = relay(tmp_path, ONE)
    desk.post(alert())
    (claim,) = desk.claim()
    since: Instant = desk.now - 10 * MINUTE
    decide = partial(
        settle,
        attempt=claim.attempt,
        outcome=KEY,
        now=desk.now,
        jitter=0.5,
        digest="",
        book=desk.book,
        refused_since=since,
    )
    desk.engine.settle(claim.attempt, decide, desk.now)

    assert desk.answer(YES) == ["0 s trigger b fallback"]


def test_a_key_that_was_mended_in_time_gets_its_page(tmp_path: Path) -> None:
    desk = relay(tmp_path, ONE)
    desk.post(alert())
    desk.answer(KEY, KEY, KEY)
    desk.book = book_of(tmp_path, ONE.replace("a" * 32, "d" * 32), before=desk.book)

    assert desk.answer(YES) == ["120 s trigger a"]


def test_two_refused_keys_are_tried_in_turn(tmp_path: Path) -> None:
    desk = relay(tmp_path, ONE)
    desk.post(alert())
    desk.answer(KEY, KEY, KEY)

    calls = desk.answer(KEY, KEY, YES)

    assert [call.split(" ", 3)[3] for call in calls] == ["b fallback", "a", "b fallback"]


def test_a_fallback_that_is_gone_sends_the_page_home(tmp_path: Path) -> None:
    desk = relay(tmp_path, ONE)
    desk.post(alert())
    desk.answer(NO, NO)
    gone = ALONE.replace("- name: b\n  pagerduty_configs: [{routing_key: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb}]\n", "")
    desk.book = book_of(tmp_path, gone)

    assert desk.answer(YES) == ["2 s trigger a minimal"]


def test_a_plan_goes_by_the_line_it_would_go_to(tmp_path: Path) -> None:
    desk = relay(tmp_path, ONE)
    desk.post(alert())
    desk.answer(NO, NO, YES)
    page = desk.page
    b = desk.book.rules.receivers["b"].targets[0].integration

    assert plan(replace(page, wanted=Wanted.CLOSED), desk.now).carrier == b
    assert plan(replace(page, wanted=Wanted.CLOSED, dead="400"), desk.now).lane is Lane.RESOLVE
    assert plan(replace(page, revision=9, shape=9, dead="400"), desk.now).lane is None
    assert plan(replace(page, wanted=Wanted.OPEN, revision=9, shape=9), desk.now).carrier == b
