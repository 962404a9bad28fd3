"""Compares what a case expects with what was seen, and says clearly where they differ."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import re2

from relay.alert import SECOND, Duration, Instant
from relay.cases.case import Fields, Value
from relay.cases.seen import PageKey, Seen
from relay.config.schema import duration
from relay.rules.suppression.words import span

Names = Mapping[str, PageKey]
"""What the names are that a case gives to pages."""
_LONGEST = 400


@dataclass(frozen=True, slots=True)
class Failure:
    """One thing that is not as a case says."""

    line: int
    column: int
    at: Duration
    """Since the case began."""
    what: str
    """What is not so: `alert disk: severity`."""
    expected: str
    got: str
    why: tuple[str, ...] = ()
    """The reasons for what was got."""


@dataclass(frozen=True, slots=True)
class Miss:
    """One field that differs."""

    name: str
    value: Value
    got: str


class Comparison:
    """Compares within one case; `names` are what its pages are called, each named where it is first spoken of."""

    def __init__(self, start: Instant) -> None:
        self._start = start
        self._names: dict[str, PageKey] = {}

    def misses(self, fields: Fields, seen: Seen) -> list[Miss]:
        """Compare fields; the names of pages count from then on if nothing differs."""
        found, names = self._compared(fields, seen)
        if not found:
            self._names = names
        return found

    def pair(self, expected: Sequence[Fields], seen: Sequence[Seen]) -> tuple[list[Fields], list[Seen]]:
        """Pair what is expected with what was seen, in any order; return what is left of both."""
        missing, left = [], list(seen)
        for fields in expected:
            fitting = next((one for one in left if not self.misses(fields, one)), None)
            if fitting is None:
                missing.append(fields)
            else:
                left.remove(fitting)
        return missing, left

    def told(self, one: Seen) -> str:
        """Tell of an event as a case would write it."""
        told = {"at": self._since(one.at), "action": one.fields.get("action"), "page": self._named(one)}
        told |= {name: one.fields.get(name) for name in ("receiver", "dedup_key", "severity", "summary")}
        if told["page"]:
            del told["dedup_key"]
        return ", ".join(f"{name}: {shown(value)}" for name, value in told.items() if value not in (None, ""))

    def _named(self, one: Seen) -> str:
        return next((name for name, page in self._names.items() if page in one.pages), "")

    def _compared(self, fields: Fields, seen: Seen) -> tuple[list[Miss], dict[str, PageKey]]:
        names = dict(self._names)
        found = []
        for name, value in fields.items():
            match name:
                case "at":
                    fits, got = (
                        duration(value.says) // SECOND == (seen.at - self._start) // SECOND,
                        self._since(seen.at),
                    )
                case "page":
                    fits, got = self._is_page(value.says, seen, names)
                case "because":
                    fits, got = _is_said(value.says, seen.fields[name]), "; ".join(seen.fields[name]) or "nothing"
                case "suppressed":
                    fits, got = _is_set(value.says, seen.fields[name]), shown(seen.fields[name]) or "no"
                case "receivers":
                    fits, got = _listed(value.says) == seen.fields[name], shown(seen.fields[name])
                case "firing":
                    fits = (value.says in ("yes", "true")) == (seen.fields[name] == "yes")
                    got = seen.fields[name]
                case _:
                    fits, got = matches(value.says, seen.fields.get(name)), shown(seen.fields.get(name)) or "nothing"
            if not fits:
                found.append(Miss(name, value, got))
        return found, names

    def _is_page(self, name: str, seen: Seen, names: dict[str, PageKey]) -> tuple[bool, str]:
        """Say whether a page has this name; one that has none yet may get it."""
        if name in names:
            other = next((one for one, page in names.items() if page in seen.pages), "")
            return names[name] in seen.pages, other or (
                f"another page, {seen.pages[0][1]}" if seen.pages else "no page"
            )
        taken = {page: one for one, page in names.items()}
        fresh = [page for page in seen.pages if page not in taken]
        if fresh:
            names[name] = fresh[0]
            return True, name
        return False, next((taken[page] for page in seen.pages), "no page")

    def _since(self, at: Instant) -> str:
        return since(at - self._start)


def since(length: Duration) -> str:
    """Write a time since the beginning as a case does."""
    return span(length // SECOND * SECOND) if length >= SECOND else "0m"


def matches(expected: Any, got: Any) -> bool:
    """Compare a value with what is expected: a text, one of equals, contains and matches, or parts of a structure."""
    if isinstance(expected, dict):
        if len(expected) == 1 and not (isinstance(got, dict) and next(iter(expected)) in got):
            ((operator, text),) = expected.items()
            if operator in _OPERATORS:
                return all(_OPERATORS[operator](one, _text(got)) for one in _listed(text))
        return isinstance(got, dict) and all(matches(value, got.get(name)) for name, value in expected.items())
    if isinstance(expected, list):
        there = list(got) if isinstance(got, list | tuple) else [] if got is None else [got]
        return len(expected) == len(there) and all(map(matches, expected, there))
    if isinstance(got, list | tuple):
        return len(got) == 1 and matches(expected, got[0])
    return _text(got) == _text(expected)


_OPERATORS = {
    "equals": lambda wanted, got: bool(wanted == got),
    "contains": lambda wanted, got: wanted in got,
    "matches": lambda wanted, got: re2.search(wanted, got) is not None,
}


def shown(value: Any) -> str:
    """Write a value for people, shortened."""
    if isinstance(value, list | tuple):
        text = ", ".join(shown(one) for one in value) if value else ""
    elif isinstance(value, dict):
        text = "{" + ", ".join(f"{name}: {shown(one)}" for name, one in value.items()) + "}"
    else:
        text = _text(value)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


def _is_said(expected: Any, reasons: Sequence[str]) -> bool:
    """Say whether each expected text is found in one of the reasons."""
    if isinstance(expected, dict):
        return any(matches(expected, reason) for reason in reasons)
    return all(any(text in reason for reason in reasons) for text in _listed(expected))


def _is_set(expected: Any, got: Sequence[str]) -> bool:
    return set(_listed(expected)) - {"no"} == set(got)


def _listed(value: Any) -> list[str]:
    if value is None:
        return []
    return [_text(one) for one in value] if isinstance(value, list | tuple) else [_text(value)]


def _text(value: Any) -> str:
    """Write a value as YAML would: a case holds nothing but texts."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case _:
            return str(value)
