"""Routes that make change events of alerts: inherited, taken back, and refused where none could be sent."""

from pathlib import Path

import pytest

from tests.unit.configuring import KEY, errors, loaded

RECEIVERS = """
receivers:
- name: r
  pagerduty_configs: [{routing_key: KEY}]
- name: "null"
"""


def test_change_is_inherited_and_can_be_taken_back(tmp_path: Path) -> None:
    routes = "[{change: true, routes: [{}, {change: false}]}]"
    root = loaded(tmp_path, f"route: {{receiver: r, routes: {routes}}}\n{RECEIVERS}").rules.root

    first = root.routes[0]
    assert (root.change, first.change, first.routes[0].change, first.routes[1].change) == (False, True, True, False)


@pytest.mark.parametrize(
    ("route", "entry", "error"),
    [
        (
            "change: true",
            "url: https://proxy.example/events",
            "route.change: {}its url does not end in /v2/enqueue",
        ),
        ("change: true", "routing_key: R" + KEY[1:], "route.change: {}its routing key begins with R"),
        ("routes: [{change: true}]", "routing_key: R" + KEY[1:], "route.routes[0].change: {}its routing key begins"),
        ("change: true", "url: https://events.eu.pagerduty.com/v2/enqueue", ""),
        ("change: false", "routing_key: R" + KEY[1:], ""),
        ("routes: [{change: true, receiver: 'null'}]", "routing_key: R" + KEY[1:], ""),
    ],
)
def test_a_receiver_that_takes_no_change_events_is_refused(tmp_path: Path, route: str, entry: str, error: str) -> None:
    key = "" if "routing_key" in entry else "routing_key: KEY, "
    text = RECEIVERS.replace("routing_key: KEY", f"{key}{entry}")

    found = errors(tmp_path, f"route: {{receiver: r, {route}}}\n{text}")

    expected = error.format('no change event can be sent to receiver "r": ')
    assert expected in found[0] if error else found == []
    assert KEY[1:] not in str(found)
