"""Reads a case file: every mistake in it at once, each at its line and column."""

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from relay.alert import Duration, Instant, instant
from relay.cases.case import REPEATED, Case, CaseFile, Expires, Fires, Given, Resolves, Silenced, Stated
from relay.cases.expecting import expected
from relay.cases.shapes import At, Node, Shapes
from relay.cases.stating import counted, labels, named_alerts, stated
from relay.config import yaml
from relay.config.problems import Problems, problem_of
from relay.config.reading import Unreadable, decoded, read_file
from relay.config.schema import duration
from relay.errors import BadConfig, Problem
from relay.rules.matcher_syntax import Triple
from relay.rules.matchers import parse_matchers

START = instant(datetime(2026, 11, 23, 12, tzinfo=UTC))
"""When a case begins that does not say: a Monday, at noon in UTC."""
ALSO = ("alerts", "start", "source", "repeat_interval")
"""What a file says for all its cases, and a case for itself."""
GIVEN: Mapping[str, Sequence[str]] = {
    "fires": ("annotations", "count", "group"),
    "resolves": ("count",),
    "silence": ("lasts", "name"),
    "expire": (),
}
_OFTEN: Duration | None = REPEATED
T = TypeVar("T")


def read_cases(path: Path) -> CaseFile:
    """Read one file of cases. Raises BadConfig with every problem in it."""
    try:
        text = read_file(path)
        root, faults = yaml.read(decoded(text))
    except Unreadable as error:
        raise BadConfig((Problem(str(path), error.line, error.column, "", str(error)),)) from None
    except yaml.BadYaml as error:
        raise BadConfig(tuple(problem_of(str(path), bad) for bad in error.faults)) from None
    problems = Problems(str(path), root)
    for bad in faults:
        problems.fault(bad)
    read = _Reader(path, text, Shapes(problems)).file(root)
    if read is None or problems.failed(()):
        raise BadConfig(problems.found)
    return read


class _Reader:
    """Reads one file."""

    def __init__(self, path: Path, text: bytes, shapes: Shapes) -> None:
        self._path = path
        self._text = text
        self._shapes = shapes

    def file(self, root: Node) -> CaseFile | None:
        top = self._shapes.mapping(root, (), ("config", *ALSO, "cases"))
        for name, what in (("config", "the routing file, or all of it"), ("cases", "the list of cases")):
            if name not in top and isinstance(root, yaml.Mapping):
                self._shapes.problems.error((), f"`{name}` is missing: {what}")
        if "config" not in top or "cases" not in top:
            return None
        config, inline = self._config(top["config"], root)
        known = named_alerts(self._shapes, top, ())
        cases = [self._case(node, at, top, known) for node, at in self._shapes.items(top["cases"], ("cases",))]
        if not cases:
            self._shapes.problems.error(("cases",), "there is no case here", key=True)
        self._check_names(cases)
        return CaseFile(self._path, config, inline, self._text, tuple(cases))

    def _config(self, node: Node, root: Node) -> tuple[Path, bytes | None]:
        if isinstance(node, yaml.Mapping):
            return self._path, _alone(self._text, root)
        return Path(os.path.normpath(self._path.parent / self._shapes.text(node, ("config",)))), None

    def _check_names(self, cases: Sequence[Case]) -> None:
        lines: dict[str, int] = {}
        for number, case in enumerate(cases):
            if case.name in lines:
                message = f"the case in line {lines[case.name]} has this name already"
                self._shapes.problems.error(("cases", number, "name"), message)
            lines.setdefault(case.name, case.line)

    def _case(self, node: Node, at: At, file: Mapping[str, Node], known: Mapping[str, Stated]) -> Case:
        shapes = self._shapes
        own = shapes.mapping(node, at, ("name", *ALSO, "given", "then"))
        alerts = {**known, **named_alerts(shapes, own, at)}
        needed = (("name", "the sentence that it shows to be true"), ("then", "what is expected"))
        for name, what in needed if isinstance(node, yaml.Mapping) else ():
            if name not in own:
                shapes.problems.error(at, f"`{name}` is missing: {what}")
        given = [self._given(one, there, alerts) for one, there in shapes.items(own.get("given"), (*at, "given"))]
        then = [expected(shapes, one, there, alerts) for one, there in shapes.items(own.get("then"), (*at, "then"))]
        if "then" in own and not then:
            shapes.problems.error((*at, "then"), "nothing is expected here", key=True)
        self._check_silences(given, at)
        return Case(
            name=shapes.text(own["name"], (*at, "name")) if "name" in own else "",
            line=node.line,
            start=self._either("start", own, at, file, _moment, START),
            source=self._either("source", own, at, file, str, ""),
            repeat_interval=self._either("repeat_interval", own, at, file, _repeats, _OFTEN),
            given=tuple(one for one in given if one is not None),
            then=tuple(one for one in then if one is not None),
        )

    def _either(
        self,
        name: str,
        own: Mapping[str, Node],
        at: At,
        file: Mapping[str, Node],
        parse: Callable[[str], T],
        default: T,
    ) -> T:
        """Read what a case says for itself, or else its file for all."""
        if name in own:
            return self._shapes.read(own[name], (*at, name), parse, default)
        return self._shapes.read(file[name], (name,), parse, default) if name in file else default

    def _check_silences(self, given: Sequence[Given | None], at: At) -> None:
        """Have each silence named once, and only those ended that are there."""
        names: set[str] = set()
        for number, one in sorted(enumerate(given), key=lambda one: one[1].at if one[1] is not None else 0):
            match one:
                case Given(what=Silenced(name=name)) if name in names:
                    self._shapes.problems.error((*at, "given", number, "name"), f"a silence above is named {name}")
                case Given(what=Silenced(name=name)) if name:
                    names.add(name)
                case Given(what=Expires(name=name)) if name not in names:
                    message = f"no silence above is named {name}: give it a `name`"
                    self._shapes.problems.error((*at, "given", number, "expire"), message)

    def _given(self, node: Node, at: At, known: Mapping[str, Stated]) -> Given | None:
        shapes = self._shapes
        word, own = shapes.one_of(node, at, GIVEN)
        when = shapes.time(own, at)
        match word:
            case "fires":
                return Given(when, node.line, self._fires(own, at, known))
            case "resolves":
                alerts = stated(shapes, own["resolves"], (*at, "resolves"), known)
                return Given(when, node.line, Resolves(counted(shapes, alerts, own, at)))
            case "silence":
                return Given(when, node.line, self._silence(own, at))
            case "expire":
                return Given(when, node.line, Expires(shapes.text(own["expire"], (*at, "expire"))))
        return None

    def _fires(self, own: Mapping[str, Node], at: At, known: Mapping[str, Stated]) -> Fires:
        shapes = self._shapes
        alerts = stated(shapes, own["fires"], (*at, "fires"), known)
        if "annotations" in own:
            more = labels(shapes, own["annotations"], (*at, "annotations"))
            alerts = [Stated(one.labels, {**one.annotations, **more}) for one in alerts]
        group = shapes.text(own["group"], (*at, "group")) if "group" in own else ""
        return Fires(counted(shapes, alerts, own, at), group)

    def _silence(self, own: Mapping[str, Node], at: At) -> Silenced:
        shapes = self._shapes
        if "lasts" not in own:
            shapes.problems.error(at, "`lasts` is missing: how long the silence lasts, such as 2h")
        lasts = shapes.read(own["lasts"], (*at, "lasts"), duration, 0) if "lasts" in own else 0
        matchers: list[Triple] = []
        for node, there in shapes.items(own["silence"], (*at, "silence")):
            matchers += shapes.read(node, there, _matchers, [])
        return Silenced(tuple(matchers), lasts, shapes.text(own["name"], (*at, "name")) if "name" in own else "")


def _moment(text: str) -> Instant:
    """Read RFC 3339: with a time zone, since hours mean nothing without one."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"not a time: {text}; write 2026-11-23T22:30:00Z") from None
    if found.tzinfo is None:
        raise ValueError(f"say in which zone: {text}Z, or {text}+01:00")
    return instant(found)


def _repeats(text: str) -> Duration | None:
    if text == "off":
        return None
    found = duration(text)
    if not found:
        raise ValueError("how often what still fires is said again: 4h; or off")
    return found


def _matchers(text: str) -> list[Triple]:
    found, _ = parse_matchers(text)
    return [(one.op, one.name, one.value) for one in found]


def _alone(text: bytes, root: Node) -> bytes:
    """Blank everything out of a file but what stands under `config`: what is left keeps its lines and columns."""
    assert isinstance(root, yaml.Mapping)
    key, value = root.pairs["config"]
    lines = decoded(text).split("\n")
    after = [name.line for name, _ in root.pairs.values() if name.line > key.line]
    end = min(after, default=len(lines) + 1) - 1
    kept = [" " * (value.column - 1) + lines[value.line - 1][value.column - 1 :], *lines[value.line : end]]
    return "\n".join(["" for _ in lines[: value.line - 1]] + kept).encode()
