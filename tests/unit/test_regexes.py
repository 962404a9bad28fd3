"""No regular expression takes for ever: a user's is RE2's, and ours are asked long texts that try."""

import ast
import importlib
import pkgutil
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import relay

ROOT = Path(relay.__file__).parent
RE_CALLS = frozenset({"compile", "match", "fullmatch", "search", "sub", "subn", "split", "findall", "finditer"})
OURS = {
    "rules/gotime.py": "patterns of a table in that file",
    "rules/differences.py": "a value of an alert, escaped",
    "rendering/values.py": "made of another pattern of that file",
    "rules/cleaning.py": "a table of that file",
    "rules/dedup.py": "put together in that file",
    "sandbox/validation.py": "the sandbox's own format",
}
"""Files that build a pattern for Python's own engine, and of what; never of what a user wrote as a regex."""
OF_USERS = {
    "rules/matchers.py": 2,
    "rules/filters.py": 1,
    "rules/matcher_syntax.py": 1,
    "cases/checking.py": 1,
    "cases/expecting.py": 1,
}
"""Where RE2 compiles, and how often: matchers of routes, inhibit rules, silences and filter=; filters of templates;
what cases expect of a text."""


def calls(engine: str) -> Iterator[tuple[str, ast.Call]]:
    for file in sorted(ROOT.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            match node:
                case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=attr)) if name == engine:
                    if attr in RE_CALLS:
                        yield str(file.relative_to(ROOT)), node


def test_pythons_engine_is_given_patterns_of_ours_alone() -> None:
    built = {file for file, call in calls("re") if not isinstance(call.args[0], ast.Constant)}

    assert built <= set(OURS)


def test_every_regex_that_a_user_can_give_is_compiled_by_re2() -> None:
    found = [file for file, _ in calls("re2")]

    assert {file: found.count(file) for file in found} == OF_USERS


HEAR_SENDERS = ("relay.ingress", "relay.web", "relay.logs", "relay.rules.cleaning", "relay.pagerduty")
"""Rooms whose patterns see what others send. Those of templates run in the worker, which is bounded."""


def patterns() -> Iterator[tuple[str, str, re.Pattern[str]]]:
    """Yield each pattern with each way in which its own module uses it."""
    for module in pkgutil.walk_packages([str(ROOT)], "relay."):
        if not module.name.startswith(HEAR_SENDERS):
            continue
        loaded = importlib.import_module(module.name)
        source = Path(str(loaded.__file__)).read_text()
        for name, value in vars(loaded).items():
            if isinstance(value, re.Pattern) and isinstance(value.pattern, str):
                for way in sorted(set(re.findall(rf"\b{name}\.(match|search|fullmatch|sub|findall)\(", source))):
                    yield name, way, value


PATTERNS = {f"{name}.{way}": (pattern, way) for name, way, pattern in patterns()}
LONG = 20_000
TEXTS = [
    *(
        piece * (LONG // len(piece))
        for piece in ("a", " ", "\n", "1", ".", '"', "\\", "{", "%", "A1", "a.", "- ", "'a")
    ),
    *(
        "http://" + "a" * LONG,
        "a:" * (LONG // 2) + "\x00",
        " \t" * (LONG // 2) + "x",
        "\x1b[" + "0;" * LONG,
        "(" * LONG,
    ),
    *("0" * LONG + "x", "label_" + "A" * LONG + "!", "2026-11-23 " * (LONG // 11), "\x1b]" * (LONG // 2)),
]


@pytest.mark.parametrize("name", PATTERNS)
def test_a_pattern_that_hears_senders_is_quick_with_texts_that_try_it(name: str) -> None:
    pattern, way = PATTERNS[name]
    for text in TEXTS:
        began = time.process_time()
        if way == "sub":
            pattern.sub("", text)
        else:
            getattr(pattern, way)(text)

        assert time.process_time() - began < 0.5, f"{text[:20]!r}..., {len(text)} characters"


def test_there_are_patterns_to_try() -> None:
    assert len(PATTERNS) > 10
