"""Read what severity a `pagerduty_configs` entry gives its events: one word, or a map over one label."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from jinja2 import TemplateError

from relay.alert import Status
from relay.event import Severity
from relay.importing.go_jinja import translate
from relay.importing.go_syntax import Body
from relay.importing.values import Untranslatable
from relay.rules.differences import parts, words
from relay.rules.severity import fold
from relay.rules.templates import Engine
from relay.rules.view import MemberView, PageView

_LABEL = re.compile(r"\blabels\.(?:get\(\"(\w+)\"\)|(\w+))|_labels\.(?:get\(\"(\w+)\"\)|(\w+))|labels\[\"([^\"]+)\"\]")
_LITERAL = re.compile(r'"([^"\\]{1,80})"')
_UNKNOWN = "no-such-severity"
_WORDS = tuple(severity.value for severity in Severity)
_ORDER = {"critical": 0, "error": 1, "warning": 2, "info": 3}


@dataclass(frozen=True, slots=True)
class Fixed:
    """Every event has this severity."""

    word: str


@dataclass(frozen=True, slots=True)
class Mapped:
    """A label says the severity, by a map with a default for all else."""

    label: str
    words: Mapping[str, str]


def severity_form(template: str, defined: Mapping[str, Body]) -> Fixed | Mapped:
    """Say what a `severity` template comes to, by trying it on every value it knows.

    Raises Untranslatable, and GoTemplateError.
    """
    if template in _WORDS:
        return Fixed(template)
    jinja = translate(template, defined)
    labels = {next(filter(None, found)) for found in _LABEL.findall(jinja)}
    if len(labels) > 1:
        raise Untranslatable(f"it reads several labels: {', '.join(sorted(labels))}")
    label = next(iter(labels), "severity")
    said = {value: _tried(jinja, label, value) for value in (*_LITERAL.findall(jinja), *_WORDS, "", _UNKNOWN)}
    if set(said.values()) <= {said[""]} and said[""] in _WORDS:
        return Fixed(said[""])
    if not set(said.values()) & set(_WORDS):
        raise Untranslatable("no value that stands in it makes it say critical, error, warning or info")
    return Mapped(label, _map(said))


def _map(said: Mapping[str, str]) -> dict[str, str]:
    """Make the map; PagerDuty refuses other words, so what makes one pages as the default."""
    absent, unknown = said[""], said[_UNKNOWN]
    default = next((word for word in (unknown, absent) if word in _WORDS), "error")
    found: dict[str, str] = {}
    for value, word in said.items():
        key = fold(value)
        if value in ("", _UNKNOWN) or word not in _WORDS or (word == default and word != key):
            continue
        # Values compare without case here: of two that differ by it alone the worse one counts.
        found[key] = min(word, found.get(key, word), key=_ORDER.__getitem__)
    if absent in _WORDS and absent != default:
        found[""] = absent
    return {**found, "default": default}


def _tried(jinja: str, label: str, value: str) -> str:
    """Render it for one alert that fires with that value of the label ("": without it)."""
    labels = {"alertname": "Example", **({label: value} if value else {})}
    member = MemberView(Status.FIRING, labels, {}, 0, 0)
    view = PageView("", "", "", "", Severity.ERROR, "", labels, "", "", 0, (member,), 1, 0)
    found = parts(view)
    engine = Engine({})
    try:
        return engine.text(jinja, engine.data(view, found, words(view, found))).strip()
    except (TemplateError, ValueError, TypeError, LookupError) as error:
        raise Untranslatable(f"it fails on an example: {error}") from None
