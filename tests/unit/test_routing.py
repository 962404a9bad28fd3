"""The router finds the routes that Alertmanager's own walk finds, at a cost that siblings do not raise."""

from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.rules.grouping import route_key
from relay.rules.matchers import Matcher, parse_matchers
from relay.rules.memo import WIDTH, Memo
from relay.rules.routing import Router, walk
from relay.rules.ruleset import Route

Tree = tuple[str, str, bool, Sequence["Tree"]]
"""Receiver, matchers as text, continue, children."""


def build(tree: Any, parent_key: str = "", position: int = 0, orders: Any = None) -> Route:
    """Turn a tree of plain tuples into Routes, with Alertmanager's keys and IDs."""
    receiver, matchers, continue_, children = tree
    orders = orders if orders is not None else count()
    found = matchers if isinstance(matchers, tuple) else parse_matchers(matchers)[0]
    key, order = route_key(parent_key, found), next(orders)
    identity = f"{key}/{position}" if parent_key else key
    routes = tuple(build(child, key, at, orders) for at, child in enumerate(children))
    return Route(identity, key, order, receiver, found, continue_, routes=routes, line=order + 10)


# A cut-down form of dispatch/route_test.go TestRouteMatch's tree.
TREE: Tree = (
    "notify-def",
    "",
    False,
    [
        (
            "notify-A",
            'owner="team-A"',
            False,
            [
                ("notify-testing", 'env="testing"', False, []),
                ("notify-productionA", 'env="production"', True, []),
                ("notify-productionB", 'env=~"produ.*",job=~".*"', False, []),
            ],
        ),
        ("notify-BC", 'owner=~"team-(B|C)"', False, []),
        (
            "notify-role",
            'group_by="role"',
            False,
            [("notify-testing", 'env="testing"', False, [("notify-testing", 'wait="long"', False, [])])],
        ),
    ],
)


@pytest.mark.parametrize(
    ("labels", "receivers"),
    [
        ({"owner": "team-A"}, ["notify-A"]),
        ({"owner": "team-A", "env": "unset"}, ["notify-A"]),
        ({"owner": "team-C"}, ["notify-BC"]),
        ({"owner": "team-A", "env": "testing"}, ["notify-testing"]),
        ({"owner": "team-A", "env": "production"}, ["notify-productionA", "notify-productionB"]),
        ({"group_by": "role"}, ["notify-role"]),
        ({"env": "testing", "group_by": "role"}, ["notify-testing"]),
        ({"env": "testing", "group_by": "role", "wait": "long"}, ["notify-testing"]),
        ({}, ["notify-def"]),
    ],
)
def test_the_tree_of_alertmanagers_tests_routes_as_there(labels: dict[str, str], receivers: list[str]) -> None:
    router = Router(build(TREE))

    for _ in range(2):  # the second time from memory
        assert [route.receiver for route in router.match(labels)] == receivers


def test_a_parent_is_left_out_even_if_only_a_continuing_child_matched() -> None:
    router = Router(build(("root", "", False, [("child", 'a="1"', True, [])])))

    assert [route.receiver for route in router.match({"a": "1"})] == ["child"]


def test_routes_are_walked_parents_first_in_the_order_of_the_file() -> None:
    assert [route.order for route in walk(build(TREE))] == list(range(9))


def naive(route: Route, labels: Mapping[str, str]) -> list[Route]:
    """Alertmanager's own walk (dispatch/route.go Match), written down as plainly as can be."""
    if not all(matcher.matches(labels) for matcher in route.matchers):
        return []
    found: list[Route] = []
    for child in route.routes:
        below = naive(child, labels)
        found += below
        if below and not child.continue_:
            break
    return found or [route]


NAMES = st.sampled_from(["a", "b", "c"])
VALUES = st.sampled_from(["", "x", "y", "z"])
MATCHERS = st.one_of(
    st.builds(Matcher, st.sampled_from(["=", "!="]), NAMES, VALUES),
    st.builds(Matcher, st.just("="), NAMES, VALUES),
    st.builds(
        Matcher, st.sampled_from(["=~", "!~"]), NAMES, st.sampled_from(["", "x", "x|y", "y|", "[xy]", ".+", ".*"])
    ),
)
LABELS = st.dictionaries(st.sampled_from(["a", "b", "c", "other"]), VALUES)


def trees(children: st.SearchStrategy[Any], most: int) -> st.SearchStrategy[Any]:
    matchers = st.lists(MATCHERS, max_size=3).map(tuple)
    return st.tuples(st.just("r"), matchers, st.booleans(), st.lists(children, max_size=most))


LEAVES = trees(st.nothing(), 0)
TREES = trees(st.one_of(LEAVES, trees(st.one_of(LEAVES, trees(LEAVES, 3)), 4)), 40)


@given(TREES, st.booleans(), st.lists(LABELS, min_size=1, max_size=20))
def test_index_and_memory_change_nothing(tree: Any, rooted: bool, alerts: list[dict[str, str]]) -> None:
    """Over trees with `continue`, negations, regular expressions, empty values and duplicates; memory of 4 answers."""
    root = build(tree if rooted else (tree[0], (), *tree[2:]))
    router = Router(root, entries=4)

    for labels in alerts + alerts:
        assert list(router.match(labels)) == naive(root, labels)


@given(
    st.lists(st.tuples(VALUES, VALUES, VALUES, st.booleans()), max_size=80), st.lists(LABELS, min_size=1, max_size=20)
)
def test_many_siblings_that_share_values_are_told_apart(
    siblings: list[tuple[str, str, str, bool]], alerts: list[dict[str, str]]
) -> None:
    children: list[Any] = [
        ("r", (Matcher("=", "a", a), Matcher("=", "b", b), Matcher("=", "c", c)), more, [])
        for a, b, c, more in siblings
    ]
    root = build(("root", (), False, children))
    router = Router(root)

    for labels in alerts:
        assert list(router.match(labels)) == naive(root, labels)


PRESENT = st.lists(st.lists(st.integers(0, 45), max_size=6), min_size=1, max_size=6)


@given(st.lists(st.sampled_from(["", "x"]), min_size=40, max_size=40), PRESENT)
def test_a_tree_may_look_at_more_labels_than_an_alert_has(values: list[str], alerts: list[list[int]]) -> None:
    children: list[Any] = [("r", (Matcher("=", f"l{at}", value),), True, []) for at, value in enumerate(values)]
    root = build(("root", (), False, children))
    router = Router(root)

    for present in alerts + alerts:
        labels = {f"l{at}": "x" for at in present}
        assert list(router.match(labels)) == naive(root, labels)


class Counted(dict[str, str]):
    """Labels that count how often they are asked."""

    asked = 0

    def get(self, *args: Any) -> Any:
        self.asked += 1
        return super().get(*args)


SHAPES = {
    "one label": lambda at: (Matcher("=", "team", f"t{at}"),),
    "a shared label and one of its own": lambda at: (Matcher("=", "sev", "crit"), Matcher("=", "team", f"t{at}")),
    "a list of words": lambda at: (Matcher("=~", "team", f"t{at}|u{at}"),),
    "a shared label and a list of words": lambda at: (
        Matcher("=", "sev", "crit"),
        Matcher("=~", "team", f"t{at}|u{at}"),
    ),
    "a grid of two labels": lambda at: (Matcher("=", "a", f"a{at % 60}"), Matcher("=", "team", f"t{at // 60}")),
    "a label name of its own": lambda at: (Matcher("=", f"l{at}", "x"),),
    "with a regular expression": lambda at: (Matcher("=~", "job", ".+"), Matcher("=", "team", f"t{at}")),
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_the_cost_of_an_alert_does_not_grow_with_its_routes_siblings(shape: Any) -> None:
    asked = []
    for siblings in (100, 3600):
        router = Router(build(("root", (), False, [("r", shape(at), False, []) for at in range(siblings)])))
        labels = Counted(sev="crit", a="a7", team="t59", job="j", l7="x", pod="p", instance="i")
        router.match(labels)
        asked.append(labels.asked)

    assert asked[1] <= asked[0] + 8
    assert asked[1] < 60


def test_two_alerts_that_agree_in_what_routing_looks_at_share_one_answer() -> None:
    router = Router(build(TREE))

    first = router.match({"owner": "team-A", "env": "production", "instance": "a"})
    assert len(first) == 2
    assert router.match({"owner": "team-A", "env": "production", "instance": "b"}) is first


def test_a_memory_never_holds_more_than_its_bound() -> None:
    memo: Memo[int] = Memo(entries=8)
    for at in range(1000):
        assert memo.keep(at, 1, at) == at
        assert len(memo) <= 8

    assert memo.keep("long", WIDTH + 1, 7) == 7
    assert memo.get("long") is None
    assert memo.get(999) == 999


def test_a_trace_says_of_every_route_why_it_was_taken_or_not() -> None:
    steps = Router(build(TREE)).trace({"owner": "team-A", "env": "staging"})

    assert {step.by for step in steps} == {"route"}
    assert [step.because for step in steps] == [
        "route {} (line 10) matches",
        'route {}/{owner="team-A"}/0 (line 11) matches',
        'route {}/{owner="team-A"}/{env="testing"}/0 (line 12) does not match: '
        'env="testing" is wanted, and env is "staging"',
        'route {}/{owner="team-A"}/{env="production"}/1 (line 13) does not match: '
        'env="production" is wanted, and env is "staging"',
        'route {}/{owner="team-A"}/{env=~"produ.*",job=~".*"}/2 (line 14) does not match: '
        'env=~"produ.*" is wanted, and env is "staging"',
        'route {}/{owner="team-A"}/0 (line 11): none of its routes matched, so receiver notify-A is chosen',
    ]


def test_a_trace_names_a_missing_label_and_shortens_a_long_value() -> None:
    steps = Router(build(TREE)).trace({"owner": "x" * 200})

    assert steps[1].because == (
        'route {}/{owner="team-A"}/0 (line 11) does not match: '
        f'owner="team-A" is wanted, and owner is "{"x" * 80}…"'
    )
    assert steps[3].because.endswith('group_by="role" is wanted, and group_by is missing')


@given(TREES, LABELS)
def test_a_trace_ends_in_the_routes_that_match(tree: Any, labels: dict[str, str]) -> None:
    root = build(tree)
    chosen = [step.because for step in Router(root).trace(labels) if step.because.endswith(" is chosen")]

    matched = naive(root, labels)
    assert len(chosen) == len(matched)
    assert all(f"route {route.id} " in because for route, because in zip(matched, chosen, strict=True))
