"""Doubts are certain: what is said never to be reached is not, and files that are meant raise none."""

from datetime import UTC, datetime
from itertools import product
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay.alert import instant
from relay.config.doubts import Traffic, doubted
from relay.rules.routing import Router, walk
from tests.unit.configuring import examined, paging

NOW = instant(datetime(2026, 11, 23, 12, tzinfo=UTC))
RECEIVERS = "receivers: [{name: r}, {name: s}]\n"


def doubts(folder: Path, text: str, traffic: Traffic | None = None) -> dict[str, str]:
    """By place: the rule of each warning."""
    return {one.path: one.rule for one in doubted(examined(folder, text), NOW, traffic) if one.warning}


matchers = st.lists(
    st.sampled_from(
        ("a=x", "a=y", "a!=x", 'a=~"x|y"', 'a!~"x|y"', 'a=~".*"', 'a=~".+"', 'a=""', "b=x", "b!=x", 'b=~"x.*"')
    ),
    max_size=2,
)


@st.composite
def trees(draw: st.DrawFn, depth: int = 2) -> dict[str, object]:
    children = draw(st.lists(trees(depth - 1), max_size=4)) if depth else []
    return {
        "matchers": draw(matchers),
        "receiver": draw(st.sampled_from("rs")),
        "continue": draw(st.booleans()),
        "routes": children,
    }


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
@given(routes=st.lists(trees(), min_size=1, max_size=4))
def test_no_alert_reaches_a_route_that_is_doubted(routes: list[dict[str, object]], tmp_path: Path) -> None:
    text = f"route: {{receiver: r, routes: {routes!r}}}\n".replace("True", "true").replace("False", "false") + RECEIVERS
    look = examined(tmp_path, text)
    assert look.root is not None
    router = Router(look.root)
    values = ("", "x", "y", "xy", "z")
    hit = {route.id for pair in product(values, values) for route in router.match(dict(zip("ab", pair, strict=True)))}

    said = {one.path for one in doubted(look, NOW) if one.rule in ("route-unreachable", "route-contradiction")}

    for route in walk(look.root):
        path = "route" + "".join(f".routes[{index}]" for index in _indexes(look.root, route.id))
        if any(path == place or path.startswith(f"{place}.") for place in said):
            assert route.id not in hit, (path, route.id)


def _indexes(root: object, identity: str) -> list[int]:
    """Find the way to a route: its index at each level."""
    for index, child in enumerate(getattr(root, "routes", ())):
        if child.id == identity:
            return [index]
        if below := _indexes(child, identity):
            return [index, *below]
    return []


def _routes(*routes: str) -> str:
    return f"route: {{receiver: r, routes: [{', '.join(routes)}]}}\n{RECEIVERS}"


@pytest.mark.parametrize(
    "text",
    [
        _routes("{matchers: [a=x], continue: true, receiver: s}", "{matchers: [a=x]}"),
        _routes("{matchers: ['a=~\"x.*\"'], receiver: s}", "{matchers: [a=y]}"),
        _routes("{matchers: [a=x, b=y], receiver: s}", "{matchers: [a=x]}"),
        _routes("{matchers: [a=x], receiver: s, routes: [{matchers: [b=y]}]}", "{matchers: [b=y]}"),
        # kube-prometheus-stack's own: InfoInhibitor pages nobody, and quiets what is only for information
        "route: {receiver: r}\nreceivers: [{name: r}]\ninhibit_rules: [{target_matchers: [alertname=InfoInhibitor]}, "
        "{source_matchers: [alertname=InfoInhibitor], target_matchers: [severity=info], equal: [namespace]}, "
        "{source_matchers: [severity=critical], target_matchers: ['severity=~\"warning|info\"'], equal: [alertname]}, "
        "{source_matchers: [a=x], target_matchers: ['a=~\"x|y\"'], equal: [b]}]\n",
        "route: {receiver: r, routes: [{matchers: [a=x], receiver: s, mute_time_intervals: [t]}]}\n"
        + RECEIVERS
        + "time_intervals: [{name: t, time_intervals: [{months: [february], days_of_month: ['29']}, "
        "{years: ['2026:2030']}, {times: [{start_time: '22:00', end_time: '24:00'}]}]}]\n",
        paging("routing_key: KEY, description: '{{ common_annotations.summary or default_summary }}'"),
        "route: {receiver: r, severity: {page: critical, Default: warning}}\nreceivers: [{name: r}]\n"
        "sources: [{name: p, repeat_interval: 4h, stale_after: 5h}]\n",
        paging(
            "routing_key: KEY",
            rest="  fallback: b\n- {name: b, pagerduty_configs: [{routing_key: OTHER_KEY}]}\n- {name: m, "
            "pagerduty_configs: [{routing_key: KEY}]}\nglobal: {meta_receiver: m}\n",
        ).replace("KEY}]}\nglobal", "a1b2c3d4a1b2c3d4a1b2c3d4a1b2c3d4}]}\nglobal"),
    ],
)
def test_what_can_be_meant_is_not_doubted(text: str, tmp_path: Path) -> None:
    assert doubts(tmp_path, text) == {}


def test_of_routes_under_one_that_is_never_reached_only_that_one_is_told(tmp_path: Path) -> None:
    text = "route: {receiver: r, routes: [{receiver: s}, {matchers: [a=x], routes: [{matchers: [b=y]}]}]}\n" + RECEIVERS

    assert doubts(tmp_path, text) == {"route.routes[1]": "route-unreachable"}


def test_a_file_with_an_error_is_doubted_where_it_is_sound(tmp_path: Path) -> None:
    text = "route: {receiver: r, routes: [{receiver: s}, {matchers: [a=x]}]}\noops: 1\n" + RECEIVERS

    assert doubts(tmp_path, text) == {"route.routes[1]": "route-unreachable"}


def test_thousands_of_routes_are_doubted_at_once(tmp_path: Path) -> None:
    routes = "".join(f"  - {{matchers: [team=t{number}, 'env=~\"a|b\"'], receiver: s}}\n" for number in range(3_000))
    text = f"route:\n  receiver: r\n  routes:\n{routes}  - {{matchers: [team=t7, env=a]}}\n{RECEIVERS}"

    assert doubts(tmp_path, text) == {"route.routes[3000]": "route-unreachable"}


TREE = """\
route:
  receiver: r
  routes:
  - {matchers: [team=payments], receiver: s}
  - {match: {team: paymets}, receiver: s}
  - {matchers: ['zone="", severity!=x', 'team=~"gone"'], receiver: s}
inhibit_rules:
- {source_matchers: [severity=critical], target_matchers: [severity=warning], equal: [cluster, clstr]}
"""


def test_what_no_recorded_alert_has_is_doubted(tmp_path: Path) -> None:
    alert = {"team": "payments", "severity": "critical", "cluster": "eu"}
    traffic = Traffic((alert, {"team": "search", "severity": "warning"}))

    assert doubts(tmp_path, TREE + RECEIVERS, traffic) == {
        "route.routes[1].match.team": "equality-unknown",
        "inhibit_rules[0].equal[1]": "equal-unknown",
    }
    assert doubts(tmp_path, TREE + RECEIVERS, Traffic(())) == doubts(tmp_path, TREE + RECEIVERS) == {}
