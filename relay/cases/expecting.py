"""Reads what a case expects: of alerts, of what is sent, of what is open."""

from collections.abc import Mapping, Sequence

import re2

from relay.cases.case import Expected, Fields, OfAlert, Sends, Stands, Stated, Value
from relay.cases.shapes import At, Node, Shapes
from relay.cases.stating import stated
from relay.config import yaml
from relay.config.schema import duration
from relay.page import SuppressionKind

OPERATORS = ("equals", "contains", "matches")
ALERT = ("firing", "receivers", "severity", "suppressed", "because", "page", "dedup_key", "verdict")
OPEN = (
    *("page", "receiver", "dedup_key", "severity", "summary", "source", "timestamp", "component", "group", "class"),
    *("custom_details", "links", "images", "client", "client_url"),
)
EVENT = ("at", "action", *OPEN)
_THEN: Mapping[str, Sequence[str]] = {"alert": ALERT, "sent": (), "open": ()}
_KINDS = tuple(kind.value for kind in SuppressionKind)
_ACTIONS = ("trigger", "acknowledge", "resolve", "change")


def _quiet() -> re2.Options:
    options = re2.Options()
    options.log_errors = False  # else the C++ library writes to stderr by itself
    return options


_QUIETLY = _quiet()


def _said(error: Exception) -> str:
    """Say what RE2 says: it gives bytes."""
    said = error.args[0] if error.args else ""
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)


def expected(shapes: Shapes, node: Node, at: At, known: Mapping[str, Stated]) -> Expected | None:
    """Read one expectation; `known` are the alerts that have names. None: what is wrong was noted."""
    word, own = shapes.one_of(node, at, _THEN)
    when = shapes.time(own, at)
    what: OfAlert | Sends | Stands | None = None
    match word:
        case "alert":
            what = _of_alert(shapes, own, at, known)
        case "sent":
            what = Sends(_events(shapes, own["sent"], (*at, "sent"), EVENT))
        case "open":
            what = Stands(_events(shapes, own["open"], (*at, "open"), OPEN))
    return None if what is None else Expected(when, node.line, node.column, what)


def _of_alert(shapes: Shapes, own: Mapping[str, Node], at: At, known: Mapping[str, Stated]) -> OfAlert | None:
    node = own["alert"]
    if isinstance(node, yaml.Sequence):
        shapes.problems.error((*at, "alert"), "one alert at a time: its name, or its labels")
        return None
    found = stated(shapes, node, (*at, "alert"), known)
    fields = _fields(shapes, {name: one for name, one in own.items() if name in ALERT}, at)
    if not fields:
        shapes.problems.error(at, f"say what is expected of it: {', '.join(ALERT)}")
    if "suppressed" in fields:
        _check_words(shapes, fields["suppressed"], (*at, "suppressed"), ("no", *_KINDS))
    named = (node.value or "") if isinstance(node, yaml.Scalar) else ""
    return OfAlert(found[0], named, fields) if found else None


def _events(shapes: Shapes, node: Node, at: At, known: Sequence[str]) -> tuple[Fields, ...]:
    return tuple(_fields(shapes, shapes.mapping(item, there, known), there) for item, there in shapes.items(node, at))


def _fields(shapes: Shapes, own: Mapping[str, Node], at: At) -> Fields:
    fields = {name: Value(yaml.plain(node), node.line, node.column) for name, node in own.items()}
    if "at" in own:
        shapes.read(own["at"], (*at, "at"), duration, 0)
    if "action" in fields:
        _check_words(shapes, fields["action"], (*at, "action"), _ACTIONS)
    if "page" in own:
        shapes.text(own["page"], (*at, "page"))
    for name, value in fields.items():
        if name not in ("custom_details", "page"):
            _check_operator(shapes, value.says, (*at, name))
    return fields


def _check_words(shapes: Shapes, value: Value, at: At, words: Sequence[str]) -> None:
    for said in value.says if isinstance(value.says, list) else [value.says]:
        if said not in words:
            shapes.problems.error(at, f"{said} is none of {', '.join(words)}")


def _check_operator(shapes: Shapes, says: object, at: At) -> None:
    """A text is compared as it stands, or by one operator."""
    if not isinstance(says, dict):
        return
    if len(says) != 1 or next(iter(says)) not in OPERATORS:
        shapes.problems.error(at, f"write the text itself, or one of {', '.join(OPERATORS)}, as in {{contains: text}}")
    elif "matches" in says:
        try:
            re2.compile(str(says["matches"]), _QUIETLY)
        except re2.error as error:
            shapes.problems.error((*at, "matches"), f"not a regular expression: {_said(error)}")
