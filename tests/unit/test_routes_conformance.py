"""Routing trees read from YAML behave as Alertmanager's own tables say."""

import json
from pathlib import Path
from textwrap import indent
from typing import Any

import pytest

from relay.alert import HOUR, MINUTE, SECOND
from relay.config import Timers
from relay.rules.grouping import group_key, group_labels
from relay.rules.routing import Router, walk
from relay.rules.ruleset import Route
from tests.unit.configuring import loaded

TABLES = json.loads((Path(__file__).parent.parent / "data/conformance/routes.json").read_text(encoding="utf-8"))
ALERTMANAGERS_OWN = Timers(group_wait=30 * SECOND, group_interval=5 * MINUTE, repeat_interval=4 * HOUR)
CASES = [(table, case) for table in TABLES["tables"] for case in table["cases"]]


def tree(folder: Path, text: str) -> Route:
    """Load a bare route or a whole file, with Alertmanager's default timers."""
    if "\nreceivers:" not in f"\n{text}":
        text = _file(text)
    return loaded(folder, text, timers=ALERTMANAGERS_OWN).rules.root


def _file(route: str) -> str:
    """Put a bare route into a file that has every receiver it names, and a default one if it names none."""
    lines = [line.split(":", 1) for line in route.splitlines()]
    names = {
        value.strip().strip("'\"")
        for key, value in filter(lambda line: len(line) == 2, lines)
        if key.strip() == "receiver"
    }
    default = "" if route.startswith(("receiver:", "\nreceiver:")) else "  receiver: default\n"
    receivers = "".join(f"- name: {name}\n" for name in sorted({*names, "default"}))
    return f"route:\n{default}{indent(route, '  ')}\nreceivers:\n{receivers}"


@pytest.mark.parametrize(("table", "case"), CASES, ids=[f"{table['name']}-{case['line']}" for table, case in CASES])
def test_alerts_go_where_alertmanager_sends_them(table: dict[str, Any], case: dict[str, Any], tmp_path: Path) -> None:
    matched = Router(tree(tmp_path, table["routing_yaml"])).match(case["labels"])

    assert [route.receiver for route in matched] == case["receivers"]
    if "keys" in case:
        assert [route.key for route in matched] == case["keys"]
    if "opts" in case:
        assert [_options(route) for route in matched] == case["opts"]


def _options(route: Route) -> dict[str, Any]:
    return {
        "receiver": route.receiver,
        "group_by": list(route.group_by or ()),
        "group_by_all": route.group_by_all,
        "group_wait_s": route.group_wait // SECOND,
        "group_interval_s": route.group_interval // SECOND,
        "repeat_interval_s": route.repeat_interval // SECOND,
    }


def test_routes_are_walked_depth_first(tmp_path: Path) -> None:
    routes = list(walk(tree(tmp_path, TABLES["walk_order"]["routing_yaml"])))

    assert [route.receiver for route in routes] == TABLES["walk_order"]["receivers_in_walk_order"]
    assert [route.order for route in routes] == list(range(len(routes)))


def test_group_by_all_is_inherited_until_a_child_sets_its_own(tmp_path: Path) -> None:
    parent = tree(tmp_path, TABLES["group_by_all_inheritance"]["routing_yaml"]).routes[0]

    assert [parent.group_by_all, *(child.group_by_all for child in parent.routes)] == [True, True, False]


def test_route_labels_are_tolerated(tmp_path: Path) -> None:
    root = tree(tmp_path, TABLES["route_labels"]["routing_yaml"])

    for case in TABLES["route_labels"]["cases"]:
        assert len(Router(root).match(case["labels"])) == 1


def test_route_ids_are_alertmanagers(tmp_path: Path) -> None:
    ids = [route.id for route in walk(tree(tmp_path, TABLES["route_ids"]["routing_yaml"]))]

    assert sorted(ids) == sorted(TABLES["route_ids"]["ids_unordered"])


def test_alerts_are_grouped_as_alertmanager_groups_them(tmp_path: Path) -> None:
    table = TABLES["groups"]
    router = Router(tree(tmp_path, table["config_yaml"]))

    groups: dict[tuple[str, str], dict[str, Any]] = {}
    for index, labels in enumerate(table["alerts"]):
        for route in router.match(labels):
            group = {"receiver": route.receiver, "group_labels": group_labels(route, labels), "alert_indexes": []}
            groups.setdefault((route.id, group_key(route, labels)), group)["alert_indexes"].append(index)

    assert groups == {(row.pop("route_id"), row.pop("group_key")): row for row in map(dict, table["groups"])}


@pytest.mark.parametrize("row", TABLES["group_labels"], ids=lambda row: row["source"])
def test_group_labels_are_alertmanagers(row: dict[str, Any], tmp_path: Path) -> None:
    group_by = ["..."] if row["group_by_all"] else row["group_by"]
    root = tree(tmp_path, f"receiver: default\ngroup_by: {json.dumps(group_by)}\n")

    assert group_labels(root, row["alert_labels"]) == row["expect"]


def test_an_empty_group_by_overrides_an_inherited_one(tmp_path: Path) -> None:
    root = tree(tmp_path, TABLES["group_by_empty_override"]["config_yaml"])

    assert (len(root.group_by or ()), root.routes[0].group_by) == (2, ())
