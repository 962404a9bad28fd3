"""The `dedup_key` language of a route: literal text with fields of one alert, read at load, evaluated at intake."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256

LIMIT = 255
"""The most characters PagerDuty takes in a dedup_key (developer.pagerduty.com/docs/events-api-v2/trigger-events)."""
_KEPT = LIMIT - 1 - 64


@dataclass(frozen=True, slots=True)
class Filter:
    """One step that a field's text goes through."""

    name: str
    """`lower`, `upper` or `default`."""
    text: str = ""
    """What `default` puts in place of an empty text."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of an alert."""

    name: str
    """`labels`, `source`, `receiver` or `fingerprint`."""
    label: str = ""
    filters: tuple[Filter, ...] = ()


@dataclass(frozen=True, slots=True)
class DedupTemplate:
    """A dedup key with places for the fields of one alert."""

    text: str
    """As written."""
    parts: tuple[str | Field, ...]

    def evaluate(self, labels: Mapping[str, str], source: str, receiver: str, fingerprint: str) -> str:
        """Fill it in for one alert: at most 255 characters; "" when nothing but white space comes out."""
        plain = {"source": source, "receiver": receiver, "fingerprint": fingerprint}
        key = "".join(part if isinstance(part, str) else _fill(part, labels, plain) for part in self.parts)
        if not key.strip():
            return ""
        # `x/2` is the page linked to `x`: no key of its own may end like that.
        return cap(f"{key}/") if _LINKED.search(key) else cap(key)


_LINKED = re.compile(r"/[0-9]+\Z")


def cap(key: str) -> str:
    """Fit a dedup key into 255 characters: a longer one becomes its first 190, `-` and the sha256 of the whole."""
    if len(key) <= LIMIT:
        return key
    return f"{key[:_KEPT]}-{sha256(key.encode('utf-8', 'replace')).hexdigest()}"


def _fill(field: Field, labels: Mapping[str, str], plain: Mapping[str, str]) -> str:
    text = labels.get(field.label, "") if field.name == "labels" else plain[field.name]
    for step in field.filters:
        text = _FILTERS[step.name](text, step.text)
    return text


_FILTERS: Mapping[str, Callable[[str, str], str]] = {
    "lower": lambda text, _: text.lower(),
    "upper": lambda text, _: text.upper(),
    "default": lambda text, instead: text or instead,
}


def parse_dedup(text: str) -> DedupTemplate:
    """Read a `dedup_key`: `text {labels.cluster} {labels["odd name"]|lower|default("x")}`; `{{` and `}}` are braces.

    Raises ValueError with the column, from 1, and what to write instead.
    """
    parts: list[str | Field] = []
    at = 0
    while at < len(text):
        part, at = _field(text, at) if text[at] == "{" and text[at : at + 2] != "{{" else _literal(text, at)
        parts.append(part)
    if not any(isinstance(part, Field) for part in parts):
        raise ValueError(_NO_FIELD)
    return DedupTemplate(text, tuple(parts))


# Besides the plain mistake this catches Jinja's `{{ labels.cluster }}`, which would be one and the same text for all.
_NO_FIELD = (
    "dedup_key names no field of the alert, so every alert would be one page: "
    "write a field in single braces, as {labels.cluster}, or use group_by: [] for one page"
)


def _literal(text: str, at: int) -> tuple[str, int]:
    """Read plain text up to the next field; a doubled brace stands for one."""
    found = _PLAIN.match(text, at)
    if found is None:
        raise _error(at, "a single }", "write }} for a brace")
    return found[0].replace("{{", "{").replace("}}", "}"), found.end()


_PLAIN = re.compile(r"(?:[^{}]|\{\{|\}\})+")
_STRING = r'"(?:[^"\\]|\\.)*"'
_FIELD = re.compile(
    rf"\s*(?:labels\.(?P<label>[a-zA-Z_][a-zA-Z0-9_]*)|labels\[\s*(?P<odd>{_STRING})\s*\]"
    r"|(?P<plain>source|receiver|fingerprint)(?![\w.\[]))\s*",
    re.DOTALL,
)
_FILTER = re.compile(
    rf"\|\s*(?:(?P<plain>lower|upper)(?![\w(])|(?P<default>default)\(\s*(?P<text>{_STRING})\s*\))\s*", re.DOTALL
)


def _field(text: str, opened: int) -> tuple[Field, int]:
    """Read one field with its filters, from its opening brace on."""
    found = _FIELD.match(text, opened + 1)
    if found is None:
        raise _error(*_word(text, opened + 1, "unknown field"), _FIELDS)
    name = found["plain"] or "labels"
    label = found["label"] or _unquote(found["odd"] or "")
    filters, at = _filters(text, found.end())
    if at == len(text):
        raise _error(opened, "a { that is never closed", "close it with }, or write {{ for a brace")
    if text[at] != "}":
        raise _error(*_word(text, at, "unexpected"), "end the field with }, or put | before a filter")
    return Field(name, label, filters), at + 1


_FIELDS = 'use labels.NAME, labels["odd name"], source, receiver or fingerprint'


def _filters(text: str, at: int) -> tuple[tuple[Filter, ...], int]:
    filters: list[Filter] = []
    while text.startswith("|", at):
        found = _FILTER.match(text, at)
        if found is None:
            raise _error(*_word(text, at + 1, "unknown filter"), 'use lower, upper or default("text")')
        filters.append(Filter(found["plain"] or "default", _unquote(found["text"] or "")))
        at = found.end()
    return tuple(filters), at


def _unquote(quoted: str) -> str:
    return re.sub(r"\\(.)", r"\1", quoted[1:-1], flags=re.DOTALL)


def _word(text: str, at: int, fault: str) -> tuple[int, str]:
    """Find the word that a fault is about; answer where it stands and what to say of it."""
    while at < len(text) and text[at].isspace():
        at += 1
    found = re.compile(r"[^\s|{}]+").match(text, at)
    return at, f"{fault} {found[0] if found else text[at : at + 1] or 'end of text'}"


def _error(at: int, fault: str, remedy: str) -> ValueError:
    return ValueError(f"column {at + 1}: {fault}: {remedy}")
