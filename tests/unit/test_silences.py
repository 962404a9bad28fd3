"""Silences as Alertmanager keeps them; the table below was answered alike by Alertmanager 0.25."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from relay.alert import HOUR, MINUTE, SECOND, Instant, instant, moment
from relay.event import Severity
from relay.page import SuppressionKind
from relay.rules.matchers import Matcher
from relay.rules.ruleset import Route
from relay.rules.silences import (
    LONGEST,
    MOST,
    BadSilence,
    Change,
    Posted,
    Silence,
    Silences,
    SilenceState,
    UnknownSilence,
    expired,
    put,
)
from relay.rules.suppression import silence as kind
from relay.rules.suppression.case import NOTHING, Case

NOON = instant(datetime(2026, 11, 23, 12, tzinfo=UTC))
DISK = ("=", "alertname", "DiskFull")


def silence(
    id_: str = "a", *matchers: tuple[str, str, str], starts_at: int = 0, ends_at: int = 60, **more: Any
) -> Silence:
    """A silence; times are minutes after noon."""
    return Silence(
        id_,
        tuple(Matcher(*one) for one in matchers or (DISK,)),
        NOON + starts_at * MINUTE,
        NOON + ends_at * MINUTE,
        NOON,
        more.get("created_by", "anna"),
        more.get("comment", "disk swap"),
    )


def posted(*matchers: tuple[str, str, str], starts_at: float = 0, ends_at: float = 60, **more: Any) -> Posted:
    """What somebody asks for; times are minutes after noon."""
    return Posted(
        matchers or (DISK,),
        NOON + round(starts_at * MINUTE),
        NOON + round(ends_at * MINUTE),
        more.get("created_by", "anna"),
        more.get("comment", "disk swap"),
        more.get("id_", ""),
    )


# What may be posted


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (posted(("=", "a", "")), "silence invalid: at least one matcher must not match the empty string"),
        (posted(("=~", "a", ".*")), "silence invalid: at least one matcher must not match the empty string"),
        (
            posted(("=~", "a", "(")),
            'silence invalid: invalid label matcher 0: invalid regular expression "(": '
            "error parsing regexp: missing closing ): `(`",
        ),
        (posted(DISK, ("=", "", "x")), 'silence invalid: invalid label matcher 1: invalid label name ""'),
        (posted(starts_at=50, ends_at=50), "Failed to create silence: start time must be before end time"),
        (posted(starts_at=60, ends_at=50), "Failed to create silence: start time must be before end time"),
        (posted(starts_at=-60, ends_at=-1), "Failed to create silence: end time can't be in the past"),
        (posted(starts_at=-60, ends_at=0), "Failed to create silence: end time can't be in the past"),
        (posted(ends_at=5e9), "Failed to create silence: end time can't be after the year 9998"),
        (posted(comment="x" * LONGEST), f"silence exceeded maximum size: {LONGEST + 22} characters (limit: {LONGEST})"),
    ],
)
def test_what_can_never_work_is_refused_in_alertmanagers_words(asked: Posted, said: str) -> None:
    with pytest.raises(BadSilence) as refused:
        put(Silences(), asked, NOON, "new")

    assert str(refused.value) == said


@pytest.mark.parametrize("matcher", [("!=", "a", "x"), ("!~", "a", "x|y"), ("=~", "a", ".+")])
def test_a_matcher_that_says_what_must_not_be_is_enough(matcher: tuple[str, str, str]) -> None:
    assert put(Silences(), posted(matcher), NOON, "new").silence.matchers == (Matcher(*matcher),)


def test_a_regular_expression_that_would_hold_everything_up_is_refused() -> None:
    hosts = "|".join(f"host-{number}[.]example[.]com" for number in range(150))
    assert put(Silences(), posted(("=~", "instance", hosts)), NOON, "new").silence.matchers[0].value == hosts
    for pattern in ("(.*)" * 4_000 + "x", "(" * 8_000 + "b" + ")" * 8_000):
        with pytest.raises(BadSilence, match=r"too large, [0-9]+ of at most 5000 instructions: make two"):
            put(Silences(), posted(("=~", "a", pattern)), NOON, "new")


def test_an_id_that_nobody_knows_is_not_found() -> None:
    with pytest.raises(UnknownSilence, match="silence not found"):
        put(Silences(), posted(id_="b"), NOON, "new")


def test_there_are_only_so_many() -> None:
    full = Silences(silence(str(number)) for number in range(MOST))

    with pytest.raises(BadSilence, match="exceeded maximum number of silences"):
        put(full, posted(), NOON, "new")
    assert put(full, posted(id_="7", ends_at=90), NOON, "new").silence.id == "7"


@pytest.mark.parametrize("starts_at", [-1e9, -10, 0])
def test_a_new_one_never_begins_in_the_past(starts_at: float) -> None:
    assert put(Silences(), posted(starts_at=starts_at), NOON, "new") == Change(silence("new"))


def test_one_may_begin_later() -> None:
    made = put(Silences(), posted(starts_at=30), NOON, "new").silence

    assert [made.state(NOON + at * MINUTE) for at in (0, 30, 59, 60)] == ["pending", "active", "active", "expired"]


# What may be changed


@pytest.mark.parametrize(
    ("before", "asked", "in_place"),
    [
        (silence(), posted(id_="a", ends_at=120, comment="more"), True),
        (silence(), posted(id_="a", starts_at=0.01, ends_at=120), True),
        (silence(), posted(id_="a", starts_at=0.02, ends_at=120), False),
        (silence(), posted(("=", "alertname", "Other"), id_="a"), False),
        (silence("a", DISK, ("=", "b", "c")), posted(("=", "b", "c"), DISK, id_="a"), False),
        (silence(starts_at=10), posted(id_="a", starts_at=20), True),
        (silence(starts_at=10), posted(id_="a", starts_at=0), True),
        (silence(starts_at=10), posted(id_="a", starts_at=-1), False),
        (silence(starts_at=10), posted(("=", "x", "y"), id_="a", starts_at=10), False),
    ],
)
def test_what_is_changed_in_place_and_what_is_ended_for_a_new_one(
    before: Silence, asked: Posted, in_place: bool
) -> None:
    change = put(Silences([before]), asked, NOON, "new")

    assert (change.silence.id == "a") is in_place
    assert change.ended == (None if in_place else expired(before, NOON))
    assert (change.silence.ends_at, change.silence.comment) == (asked.ends_at, asked.comment)


def test_one_that_has_ended_is_made_anew_and_left_as_it_was() -> None:
    over = silence(starts_at=-60, ends_at=-1)

    assert put(Silences([over]), posted(id_="a"), NOON, "new") == Change(silence("new"), None)


def test_expiring_ends_it_now_and_only_once() -> None:
    active, to_come, over = silence(starts_at=-5), silence(starts_at=5), silence(starts_at=-60, ends_at=-1)

    assert expired(active, NOON) == replace(active, ends_at=NOON, updated_at=NOON)
    assert expired(to_come, NOON) == replace(to_come, starts_at=NOON, ends_at=NOON, updated_at=NOON)
    assert expired(over, NOON) is over
    assert {expired(one, NOON).state(NOON) for one in (active, to_come, over)} == {SilenceState.EXPIRED}


# What they match


names = st.sampled_from(["a", "b", "c"])
words = st.sampled_from(["", "x", "y", "x|y", ".*", "[xy]"])
triples = st.tuples(st.sampled_from(["=", "!=", "=~", "!~"]), names, words)
silences = st.lists(
    st.builds(
        lambda matchers, starts, length: (matchers, starts, length),
        st.lists(triples, min_size=1, max_size=3),
        st.integers(-3, 3),
        st.integers(0, 4),
    ),
    max_size=30,
).map(
    lambda rows: [silence(str(at), *row[0], starts_at=row[1], ends_at=row[1] + row[2]) for at, row in enumerate(rows)]
)


@given(silences, st.dictionaries(names, st.sampled_from(["", "x", "y", "z"])), st.integers(-4, 8))
def test_the_index_finds_what_asking_each_one_finds(all_: list[Silence], labels: dict[str, str], at: int) -> None:
    now = NOON + at * MINUTE
    found = Silences(all_).matching(labels, now)

    wanted = [one for one in all_ if one.state(now) is SilenceState.ACTIVE and one.takes(labels)]
    assert list(found) == sorted(wanted, key=lambda one: (-one.ends_at, one.id))


@given(silences, st.integers(-5, 8))
def test_the_next_change_is_the_next_begin(all_: list[Silence], at: int) -> None:
    after = NOON + at * MINUTE
    ahead = [one.starts_at for one in all_ if one.starts_at > after and one.ends_at > one.starts_at]

    assert Silences(all_).next_change(after) == min(ahead, default=None)


def test_a_change_makes_new_silences_and_leaves_the_old_ones() -> None:
    before = Silences([silence("a"), silence("b", starts_at=-60, ends_at=-30)])
    after = before.changed(silence("a", comment="other"), silence("c"))

    assert [one.comment for one in before] == ["disk swap", "disk swap"]
    assert {one.id: one.comment for one in after} == {"a": "other", "b": "disk swap", "c": "disk swap"}
    assert {one.id for one in after.without(NOON)} == {"a", "c"}
    assert after.without(NOON - HOUR) is after
    assert (bool(before), bool(Silences()), len(after)) == (True, False, 3)


def test_each_silence_has_a_key_of_its_own_that_a_change_keeps() -> None:
    assert silence("a").key == silence("a", ends_at=1, comment="x").key != silence("b").key


# What an alert is told


def case(*silences: Silence, now: Instant = NOON, **labels: str) -> Case:
    return Case(
        now=now,
        windows={},
        route=Route("{}", "{}", 0, "team"),
        source="",
        labels={"alertname": "DiskFull", **labels},
        severity=Severity.CRITICAL,
        joined_at=NOON,
        held_until=0,
        heard_at=NOON,
        silences=Silences(silences),
        targets=(),
        inhibitors={},
    )


def test_a_silenced_alert_says_by_whom_until_when_and_why() -> None:
    found = kind.judge(case(silence()))

    assert found.suppression is not None
    assert found.suppression.kind is SuppressionKind.SILENCE
    assert found.suppression.because == 'silenced by anna until 2026-11-23 13:00 UTC: "disk swap" (silence a)'
    assert found.suppression.until == found.again == NOON + HOUR
    assert found.severity is None


def test_of_several_silences_the_one_that_ends_last_counts() -> None:
    found = kind.judge(case(silence("a"), silence("b", ends_at=90, created_by="bob"), silence("c", ends_at=30)))

    assert found.suppression is not None
    assert "silenced by bob" in found.suppression.because
    assert found.again == NOON + 90 * MINUTE


@pytest.mark.parametrize(
    "one", [silence(starts_at=1), silence(starts_at=-60, ends_at=0), silence("a", ("=", "alertname", "Other"))]
)
def test_a_silence_that_is_not_active_or_of_others_says_nothing(one: Silence) -> None:
    assert kind.judge(case(one)) == NOTHING


@pytest.mark.parametrize(
    ("one", "text"),
    [
        (silence(created_by="", comment=""), "silenced by somebody until 2026-11-23 13:00 UTC (silence a)"),
        (
            silence(created_by="a\nb", comment='say "x"\x1b[31m\n\u202ered'),
            'silenced by a b until 2026-11-23 13:00 UTC: "say \\"x\\" red" (silence a)',
        ),
        (
            replace(silence(), ends_at=NOON + 7 * SECOND),
            'silenced by anna until 2026-11-23 12:00:07 UTC: "disk swap" (silence a)',
        ),
    ],
)
def test_what_a_silence_says_stays_on_one_line(one: Silence, text: str) -> None:
    assert kind.because(one) == text


def test_long_comments_are_cut() -> None:
    assert len(kind.because(silence(comment="x" * 10_000, created_by="y" * 10_000))) < 800


def test_the_last_possible_end_can_be_written_down() -> None:
    last = put(Silences(), posted()._replace(ends_at=253_370_764_800_000_000), NOON, "new")

    assert moment(last.silence.ends_at).year == 9999
    assert instant(moment(last.silence.ends_at)) == last.silence.ends_at
