"""A receiver names the one that gets what PagerDuty refuses: it exists, can take it by another key, and in no ring."""

from pathlib import Path

import pytest

from relay.rules.rulebook import Rulebook
from tests.unit.configuring import errors, loaded, warnings

KEYS = {"a": "KEY", "b": "OTHER_KEY", "c": "c" * 32, "same": "KEY"}


def text(**fallbacks: str) -> str:
    """Receivers a, b, c with keys of their own, `same` with that of a, `empty` without; and who falls back to whom."""
    receivers = [
        f"- name: {name}\n"
        + (f"  fallback: {fallbacks[name]}\n" if name in fallbacks else "")
        + (f"  pagerduty_configs: [{{routing_key: {KEYS[name]}}}]\n" if name in KEYS else "")
        for name in (*KEYS, "empty")
    ]
    return "route: {receiver: a}\nreceivers:\n" + "".join(receivers)


def test_what_is_refused_goes_to_the_first_entry_of_the_fallback(tmp_path: Path) -> None:
    found = loaded(tmp_path, text(a="b"))

    book = Rulebook(found.rules)
    target = book.fallback("a")
    assert target is not None
    assert (target.receiver, target.index) == ("b", 0)
    assert book.fallback("b") is None
    assert book.fallback("nobody") is None
    (own,) = found.rules.receivers["a"].targets
    assert (book.has_fallback(own.integration), book.has_fallback(target.integration)) == (True, False)


@pytest.mark.parametrize(
    ("fallbacks", "message"),
    [
        ({"a": "emty"}, 'undefined receiver "emty" used as fallback; did you mean "empty"?'),
        ({"a": "who"}, 'undefined receiver "who" used as fallback; add it to receivers, or take the fallback out'),
        ({"a": "a"}, "a receiver cannot be its own fallback: name another, or take the line out"),
        (
            {"a": "empty"},
            'receiver "empty" has no pagerduty_configs: give it one with a routing key of its own, or name another '
            "receiver",
        ),
        (
            {"a": "same"},
            'receiver "same" has the url and routing key of a receiver that falls back to it: what is refused here is '
            "refused there; give it a routing key of its own",
        ),
        (
            {"a": "b", "b": "same"},
            'receiver "same" has the url and routing key of a receiver that falls back to it: what is refused here is '
            "refused there; give it a routing key of its own",
        ),
    ],
)
def test_a_fallback_that_cannot_take_it_is_an_error_at_its_line(
    fallbacks: dict[str, str], message: str, tmp_path: Path
) -> None:
    assert errors(tmp_path, text(**fallbacks)) == [f"4:13: receivers[0].fallback: {message}"]


def test_a_ring_is_told_at_each_of_its_lines(tmp_path: Path) -> None:
    found = errors(tmp_path, text(a="b", b="c", c="a"))

    assert found == [
        f"{place}.fallback: the fallbacks form a ring, {ring}: take the fallback out of one of them"
        for place, ring in (
            ("4:13: receivers[0]", "a -> b -> c -> a"),
            ("7:13: receivers[1]", "b -> c -> a -> b"),
            ("10:13: receivers[2]", "c -> a -> b -> c"),
        )
    ]


def test_a_fallback_of_a_receiver_that_pages_nobody_is_odd(tmp_path: Path) -> None:
    (told,) = (one for one in warnings(tmp_path, text(empty="b")) if "falls back" in one)

    assert told.endswith('receiver "empty" has no pagerduty_configs, so that nothing ever falls back from it')


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        (text(a="b"), text(a="b"), True),
        (text(a="b"), text(), False),
        (text(a="b"), text(a="c"), False),
        (text(), text().replace("routing_key: KEY", f"routing_key: {'d' * 32}"), False),
        (text(), text().replace("{routing_key: KEY}", "{routing_key: KEY, description: short}", 1), False),
        (text(a="b"), text(a="b").replace("OTHER_KEY}", "OTHER_KEY, description: short}"), False),
        (text(), text().replace("OTHER_KEY}", "OTHER_KEY, description: short}"), True),
        (text(a="b"), text(a="b", b="c"), False),
    ],
)
def test_the_ladder_has_another_name_if_anything_on_it_changes(
    before: str, after: str, same: bool, tmp_path: Path
) -> None:
    def named(content: str, templates: str = "") -> str:
        rules = loaded(tmp_path, content).rules
        (target,) = rules.receivers["a"].targets
        return Rulebook(rules, templates=templates).ladder("a", target.integration)

    assert (named(before) == named(after)) is same
    assert named(before) != named(before, templates="mended")
