"""Check templates before anything fires: Go's syntax is refused with the Jinja to write, and Jinja must compile."""

import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches

from jinja2 import TemplateError

from relay.rules.filters import filters, snake
from relay.rules.templates import NAMES, Engine

FIELDS = ("description", "source", "class", "component", "group", "client", "client_url")
"""The fields that are one template each; the shipped defaults are files of these names."""

_STRING = re.compile(r"\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'|`[^`]*`", re.DOTALL)
_WORD = re.compile(r"\s*(template|range|define|end|block|with|if|else|break|continue)\b(?!\s*[.(\[|])")
_DOT = re.compile(r"(?<![\w\])\"'])\.(?![0-9])")
_GO_PATH = re.compile(r"\.([A-Z]\w*(?:\.\w+)*)((?:\s*\|\s*\w+\s*)*)")
_GO_FILTERS = {"len": "length", "urlquery": "urlencode", "html": "escape"}
_WORD_BORDER = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_MAPS = frozenset({"CommonLabels", "GroupLabels", "CommonAnnotations", "RouteLabels"})
_MAP_METHODS = frozenset({"SortedPairs", "Names", "Values", "Remove"})
_UNKNOWN = re.compile(r"unknown name '(\w+)'")
_LONGEST = 65_536
_TOO_MUCH = (RecursionError, ValueError, OverflowError, MemoryError, SyntaxError)


class TextCheck:
    """Say of any template what is wrong with it, given the template files it may include."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        self._engine = Engine({**{f"{name}.j2": "" for name in FIELDS}, **sources})
        self._known: dict[str, str | None] = {}

    def fault(self, text: str) -> str | None:
        """Say what is wrong with a text of the configuration, and what to write; None if nothing is."""
        if len(text) > _LONGEST:
            return f"longer than {_LONGEST:,} characters: put it into a file of `templates` and include that"
        if text not in self._known:
            self._known[text] = self._go_fault(text) or self._jinja_fault(text)
        return self._known[text]

    def file_fault(self, name: str, text: str) -> str | None:
        """Say what is wrong with a template file; names are not looked at, since who includes it may set them."""
        return self._go_fault(text) or _guarded(lambda: self._engine.compile_file(name))

    def _go_fault(self, text: str) -> str | None:
        pieces = _pieces(text)
        foreign = next((action for action in pieces[1::2] if _is_go(action)), None)
        if foreign is None:
            return None
        written = [_in_jinja(piece) if number % 2 else piece for number, piece in enumerate(pieces)]
        jinja = "".join(piece or "" for piece in written)
        if None in written or self._jinja_fault(jinja):
            return f"this is a Go template ({{{{{_short(foreign)}}}}}); templates are Jinja here: write it in Jinja"
        return f"this is a Go template; templates are Jinja here: write {_short(jinja)}"

    def _jinja_fault(self, text: str) -> str | None:
        said: list[str] = []
        return _guarded(lambda: said.extend(self._engine.complaints(text))) or _told(said)


def has_template(text: str) -> bool:
    """Say whether a text means to be a template of whatever kind."""
    return "{{" in text or "{%" in text


def _guarded(check: Callable[[], object]) -> str | None:
    try:
        check()
    except TemplateError as error:
        return f"not a Jinja template: {error.message}"
    except _TOO_MUCH:
        return "not a Jinja template: it is nested too deeply or holds a number that is too long"
    return None


def _told(said: list[str]) -> str | None:
    if not said:
        return None
    unknown = _UNKNOWN.search(said[0])
    near = get_close_matches(unknown[1], NAMES, n=1) if unknown else []
    return "not a template that can work: " + "; ".join(said) + (f" (did you mean {near[0]!r}?)" if near else "")


def _pieces(text: str) -> list[str]:
    """Cut a text at its actions: text, what stands between `{{` and `}}`, text, and so on."""
    pieces, at = [], 0
    while (start := text.find("{{", at)) >= 0 and (end := text.find("}}", start)) >= 0:
        pieces += [text[at:start], text[start + 2 : end].removeprefix("-").removesuffix("-")]
        at = end + 2
    return [*pieces, text[at:]]


def _is_go(action: str) -> bool:
    bare = _STRING.sub('""', action)
    return bool("$" in bare or ":=" in bare or _WORD.match(bare) or _DOT.search(bare))


def _in_jinja(action: str) -> str | None:
    """Write one simple Go action (a path and perhaps some pipes) in Jinja; None if it is not simple."""
    found = _GO_PATH.fullmatch(action.strip())
    if found is None:
        return None
    head, *rest = found[1].split(".")
    pipes = [_GO_FILTERS.get(pipe) or snake(pipe) for pipe in found[2].replace("|", " ").split()]
    if not all(pipe in filters() or pipe in _GO_FILTERS.values() for pipe in pipes):
        return None
    as_written = head in _MAPS and rest and rest[0] not in _MAP_METHODS
    names = [_field(head), *(rest if as_written else map(_field, rest))]
    return "{{ " + " | ".join([".".join(names), *pipes]) + " }}"


def _field(name: str) -> str:
    """Turn Alertmanager's name of a field into ours: `ExternalURL` -> `external_url`."""
    return _WORD_BORDER.sub("_", name).lower()


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 160 else f"{line[:157]}..."
