"""An integration keeps its id through rotation of its key, so that its open pages stay its own."""

from pathlib import Path

from relay.config import recognise, remembered
from relay.rules.ruleset import RuleSet
from relay.secret import Secret, key_id
from tests.unit.configuring import loaded

A, B, C = (letter * 32 for letter in "abc")


def rules(folder: Path, *receivers: tuple[str, tuple[str, ...]]) -> RuleSet:
    """Make a rule set of receivers, each with the routing keys of its entries."""
    lines = [f"route: {{receiver: {receivers[0][0]}}}", "receivers:"]
    for name, keys in receivers:
        lines += [f"- name: {name}", "  pagerduty_configs:", *(f"  - routing_key: {key}" for key in keys)]
    return loaded(folder, "\n".join(lines)).rules


def identity(key: str) -> str:
    return key_id("https://events.pagerduty.com/v2/enqueue", Secret(key))


def ids(found: RuleSet) -> dict[str, str]:
    """Show which id each receiver's entries use now."""
    return {
        f"{target.receiver}/{target.index}": target.integration
        for receiver in found.receivers.values()
        for target in receiver.targets
    }


def test_what_was_never_seen_is_named_after_its_key(tmp_path: Path) -> None:
    assert ids(recognise(rules(tmp_path, ("r", (A, B))), ())) == {"r/0": identity(A), "r/1": identity(B)}


def test_a_new_key_at_the_same_place_is_the_same_integration(tmp_path: Path) -> None:
    known = remembered(rules(tmp_path, ("r", (A,))))

    found = recognise(rules(tmp_path, ("r", (B,))), known)

    assert ids(found) == {"r/0": identity(A)}
    assert found.integrations[identity(A)].id == identity(A)
    assert found.integrations[identity(A)].key_id == identity(B)


def test_a_rotated_integration_is_recognised_by_its_new_key_at_the_next_load(tmp_path: Path) -> None:
    rotated = recognise(rules(tmp_path, ("r", (B,))), remembered(rules(tmp_path, ("r", (A,)))))

    found = recognise(rules(tmp_path, ("renamed", (B,))), remembered(rotated))

    assert ids(found) == {"renamed/0": identity(A)}


def test_the_key_counts_before_the_place(tmp_path: Path) -> None:
    known = remembered(rules(tmp_path, ("r", (A,)), ("s", (B,))))

    found = recognise(rules(tmp_path, ("r", (B,)), ("s", (A,))), known)

    assert ids(found) == {"r/0": identity(B), "s/0": identity(A)}


def test_a_receiver_that_moves_to_another_integration_takes_no_id_along(tmp_path: Path) -> None:
    known = remembered(rules(tmp_path, ("r", (A,)), ("s", (B,))))

    found = recognise(rules(tmp_path, ("r", (C,)), ("s", (B,)), ("t", (A,))), known)

    assert ids(found) == {"r/0": identity(C), "s/0": identity(B), "t/0": identity(A)}


def test_an_old_key_that_comes_back_elsewhere_does_not_take_the_id_that_moved_on(tmp_path: Path) -> None:
    rotated = recognise(rules(tmp_path, ("r", (B,))), remembered(rules(tmp_path, ("r", (A,)))))

    found = recognise(rules(tmp_path, ("r", (B,)), ("s", (A,))), remembered(rotated))

    assert ids(found)["r/0"] == identity(A)
    assert ids(found)["s/0"] not in (identity(A), identity(B))
    assert set(found.integrations) == set(ids(found).values())


def test_receivers_that_share_a_key_share_the_id(tmp_path: Path) -> None:
    known = remembered(rules(tmp_path, ("r", (A,)), ("s", (A,))))

    found = recognise(rules(tmp_path, ("r", (B,)), ("s", (B,))), known)

    assert ids(found) == {"r/0": identity(A), "s/0": identity(A)}
    assert known == (
        (identity(A), identity(A), "r", 0),
        (identity(A), identity(A), "s", 0),
    )


def test_names_and_budgets_are_those_of_the_file(tmp_path: Path) -> None:
    found = recognise(rules(tmp_path, ("new", (A,))), remembered(rules(tmp_path, ("old", (A,)))))

    assert found.integrations[identity(A)].name == "new"
