"""Check template fields before anything fires: Go's syntax is refused with the Jinja to write, Jinja must parse."""

import re
from collections.abc import Callable

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

_JINJA = ImmutableSandboxedEnvironment()
_ACTION = re.compile(r"\{\{-?(.*?)-?\}\}", re.DOTALL)
_STRING = re.compile(r"\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'|`[^`]*`", re.DOTALL)
_WORD = re.compile(r"\s*(template|range|define|end|block|with|if|else|break|continue)\b(?!\s*[.(\[|])")
_DOT = re.compile(r"(?<![\w\])\"'])\.(?![0-9])")
_PATH = re.compile(r"\.([A-Z]\w*(?:\.\w+)*)((?:\s*\|\s*\w+)*)")
_FILTERS = {
    **{"toUpper": "upper", "toLower": "lower", "title": "title", "len": "length"},
    **{"urlquery": "urlencode", "trimSpace": "trim", "toJson": "tojson"},
}
_SNAKE = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_MAPS = frozenset({"CommonLabels", "GroupLabels", "CommonAnnotations", "RouteLabels"})


def fault(text: str) -> str | None:
    """Say what is wrong with one template, and what to write; None if it is Jinja."""
    return _go_fault(text) or _jinja_fault(text, _JINJA.parse)


def has_template(text: str) -> bool:
    """Say whether a text means to be a template of whatever kind."""
    return "{{" in text or "{%" in text


def _go_fault(text: str) -> str | None:
    actions = list(_ACTION.finditer(text))
    foreign = next((action[0] for action in actions if _is_go(action[1])), None)
    if foreign is None:
        return None
    written = [_in_jinja(action[1]) for action in actions]
    if None in written:
        return f"this is a Go template ({_short(foreign)}); templates are Jinja here: write it in Jinja"
    pieces = iter(written)
    jinja = _ACTION.sub(lambda _: next(pieces) or "", text)
    return f"this is a Go template; templates are Jinja here: write {_short(jinja)}"


def _is_go(action: str) -> bool:
    bare = _STRING.sub('""', action)
    return bool("$" in bare or ":=" in bare or _WORD.match(bare) or _DOT.search(bare))


def _in_jinja(action: str) -> str | None:
    """Write one simple Go action (a path and perhaps some pipes) in Jinja; None if it is not simple."""
    found = _PATH.fullmatch(action.strip())
    if found is None:
        return None
    head, *rest = found[1].split(".")
    pipes = found[2].replace("|", " ").split()
    if not all(pipe in _FILTERS for pipe in pipes):
        return None
    names = [_snake(head), *(rest if head in _MAPS else map(_snake, rest))]
    return "{{ " + " | ".join([".".join(names), *(_FILTERS[pipe] for pipe in pipes)]) + " }}"


def _snake(name: str) -> str:
    return _SNAKE.sub("_", name).lower()


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 160 else f"{line[:157]}..."


def _jinja_fault(text: str, parse: Callable[[str], object]) -> str | None:
    try:
        parse(text)
    except TemplateError as error:
        return f"not a Jinja template: {error.message}"
    except (RecursionError, ValueError, OverflowError, MemoryError):
        return "not a Jinja template: it is nested too deeply or holds a number that is too long"
    return None
