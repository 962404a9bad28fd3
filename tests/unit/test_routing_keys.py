"""Whose a routing key is that somebody shows: of two that could mean it, the one that says more of who speaks."""

from pathlib import Path

import pytest

from relay.config import Loaded, load
from relay.web.routing_keys import RoutingKeys, Whose

A, B, OLD, VIRTUAL, SHARED = "a" * 32, "b" * 32, "c" * 32, "d" * 32, "e" * 32
FILE = f"""
sources:
  - {{name: batch, native_keys: false, routing_keys: [{VIRTUAL}]}}
route: {{receiver: first}}
receivers:
  - name: "null"
  - name: first
    pagerduty_configs:
      - {{routing_key: {A}, previous_routing_key_files: [old.key]}}
      - {{routing_key: {SHARED}}}
  - name: second
    pagerduty_configs: [{{routing_key: {B}}}, {{routing_key: {SHARED}}}]
"""


def read(folder: Path, text: str = FILE) -> Loaded:
    (folder / "old.key").write_text(OLD)
    (folder / "relay.yml").write_text(text)
    return load(folder / "relay.yml", {})


@pytest.mark.parametrize(
    ("shown", "whose"),
    [
        (VIRTUAL, Whose("batch", "")),
        (A, Whose("", "first")),
        (B, Whose("", "second")),
        (OLD, Whose("", "first")),
        (SHARED, Whose("", "first")),
        ("0" * 32, None),
        (A.upper(), None),
        ("", None),
        ("\ud800", None),
    ],
)
def test_a_key_says_who_speaks(tmp_path: Path, shown: str, whose: Whose | None) -> None:
    loaded = read(tmp_path)

    assert RoutingKeys(lambda: loaded).find(shown) == whose


def test_a_key_that_counts_now_goes_before_the_same_one_of_another_receivers_past(tmp_path: Path) -> None:
    loaded = read(tmp_path, FILE.replace(f"routing_key: {B}", f"routing_key: {OLD}"))

    assert RoutingKeys(lambda: loaded).find(OLD) == Whose("", "second")


def test_another_configuration_counts_at_once(tmp_path: Path) -> None:
    in_force: list[Loaded | None] = [None]
    keys = RoutingKeys(lambda: in_force[0])
    assert keys.find(VIRTUAL) is None

    in_force[0] = read(tmp_path)
    assert keys.find(VIRTUAL) == Whose("batch", "")

    in_force[0] = read(tmp_path, FILE.replace(VIRTUAL, "9" * 32))
    assert keys.find(VIRTUAL) is None
    assert keys.find("9" * 32) == Whose("batch", "")
