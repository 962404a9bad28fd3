"""What is claimed of matchers holds for every label set; where values can be listed, all that holds is claimed."""

from itertools import product

from hypothesis import example, given
from hypothesis import strategies as st

from relay.rules.covering import contradiction, covers, together_cover
from relay.rules.matchers import Matcher

VALUES = ("", "x", "y", "xy", "other")
NAMES = ("a", "b")
EVERYTHING = [dict(zip(NAMES, values, strict=True)) for values in product(VALUES, repeat=len(NAMES))]

names = st.sampled_from(NAMES)
words = st.sampled_from(("", "x", "y", "z"))
plain = st.builds(Matcher, st.sampled_from(("=", "!=")), names, words)
listed = st.builds(Matcher, st.sampled_from(("=~", "!~")), names, st.sampled_from(("x|y", "x", "|y", "^(?:x|y)$")))
wild = st.builds(Matcher, st.sampled_from(("=~", "!~")), names, st.sampled_from((".*", ".+", "x.*", ".*y", "[xy]")))
some = st.lists(plain | listed | wild, max_size=3)
listable = st.lists(plain | listed, max_size=3)


def takes(matchers: list[Matcher], labels: dict[str, str]) -> bool:
    return all(matcher.matches(labels) for matcher in matchers)


@given(wide=some, narrow=some)
def test_what_is_said_to_be_covered_is(wide: list[Matcher], narrow: list[Matcher]) -> None:
    if covers(wide, narrow):
        assert all(takes(wide, labels) for labels in EVERYTHING if takes(narrow, labels))


@given(wides=st.lists(some, max_size=4), narrow=some)
def test_what_is_said_to_be_covered_together_is(wides: list[list[Matcher]], narrow: list[Matcher]) -> None:
    if together_cover(wides, narrow):
        assert all(any(takes(wide, labels) for wide in wides) for labels in EVERYTHING if takes(narrow, labels))


@given(matchers=some)
def test_what_is_said_to_contradict_itself_takes_nothing(matchers: list[Matcher]) -> None:
    if contradiction(matchers):
        assert not any(takes(matchers, labels) for labels in EVERYTHING)


@example(wides=[[Matcher("!=", "a", "x")], [Matcher("=", "a", "x")]], narrow=[])
@example(wides=[[Matcher("!~", "a", "x|y")], [Matcher("=~", "a", "x|y")]], narrow=[Matcher("!=", "a", "")])
@given(wides=st.lists(listable, min_size=1, max_size=4), narrow=listable)
def test_among_values_that_can_be_listed_nothing_is_missed(wides: list[list[Matcher]], narrow: list[Matcher]) -> None:
    every = [dict(zip(NAMES, values, strict=True)) for values in product((*VALUES, "z"), repeat=len(NAMES))]

    taken = all(any(takes(wide, labels) for wide in wides) for labels in every if takes(narrow, labels))

    assert (bool(contradiction(narrow)) or together_cover(wides, narrow)) is taken
    assert bool(contradiction(narrow)) is not any(takes(narrow, labels) for labels in every)
