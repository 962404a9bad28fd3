"""Hold a document against the schema: name every field that does not fit, and go on with the rest."""

import types
from collections.abc import Mapping
from difflib import get_close_matches
from functools import lru_cache
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from relay.config import schema
from relay.config.problems import Problems
from relay.config.schema import Config, Section
from relay.config.yaml import Path

_WORDS = {
    "model_type": "must be a mapping (`key: value` lines)",
    "model_attributes_type": "must be a mapping (`key: value` lines)",
    "dict_type": "must be a mapping (`key: value` lines)",
    "list_type": "must be a list (`- item` lines)",
    "string_type": "must be text, not a list or a mapping",
}


_MOST_HOMES = 2
_PLACES: dict[type[Section], str] = {
    schema.Config: "the top of the file",
    schema.Global: "global",
    schema.Route: "route",
    schema.Receiver: "receivers",
    schema.PagerDuty: "pagerduty_configs",
    schema.InhibitRule: "inhibit_rules",
    schema.Source: "sources",
    schema.Heartbeat: "heartbeats",
    schema.Account: "pagerduty",
}
"""Sections that fields are put into by mistake, and how they are called."""

Document = TypeVar("Document", bound=Section)


def shaped(data: Any, problems: Problems) -> Config | None:
    """Validate plain YAML data; what does not fit is reported and left out. None: nothing is left to look at."""
    return shaped_as(Config, data, problems)


def shaped_as(document: type[Document], data: Any, problems: Problems) -> Document | None:
    """Validate plain YAML data against a schema of any kind of file, as `shaped` does."""
    while True:
        try:
            return document.model_validate(data)
        except ValidationError as error:
            wrong = error.errors(include_url=False, include_input=False)
            paths = {_report(document, detail, data, problems) for detail in wrong}
        if () in paths:
            return None
        for path in sorted(paths, key=lambda path: [str(part) for part in path], reverse=True):
            _take_out(data, path, problems)


def _report(document: type[Section], detail: ErrorDetails, data: Any, problems: Problems) -> Path:
    path = _real_path(detail["loc"], data)
    kind = detail["type"]
    if kind == "extra_forbidden":
        message = _unknown(_section(document, path[:-1]), str(path[-1]))
        problems.error(path, message, key=True, rule="unknown-field")
    elif kind == "literal_error":
        problems.error(path, f"must be one of {detail.get('ctx', {}).get('expected', '')}", rule="wrong-value")
    elif kind.endswith("_type"):
        problems.error(path, _WORDS.get(kind, detail["msg"]), rule="wrong-value")
    else:
        problems.error(path, detail["msg"], rule="wrong-value")
    return path


def _real_path(loc: tuple[str | int, ...], data: Any) -> Path:
    """Cut what pydantic adds of its own off an error's place."""
    path: Path = ()
    for part in loc:
        if isinstance(part, str) and part.startswith("|") and not (isinstance(data, dict) and part in data):
            continue  # the form a value is written in, where it has several (schema.py)
        inside = isinstance(data, dict) and part in data
        if not inside and not (isinstance(data, list) and isinstance(part, int) and part < len(data)):
            break
        path, data = (*path, part), data[part]
    return path


@lru_cache(maxsize=256)
def _unknown(section: type[Section], name: str) -> str:
    if name in section.REFUSED:
        return f"{name} {section.REFUSED[name].format(field=name)}"
    known = [field.validation_alias or name for name, field in section.model_fields.items()]
    words = [str(word) for word in known] + sorted(section.TOLERATED)
    if homes := _homes(section, name):
        return f'unknown field "{name}" here: it belongs in {" or ".join(homes)}'
    near = get_close_matches(name, words, n=1, cutoff=0.6) or get_close_matches(_snake(name), words, n=1, cutoff=0.8)
    hint = f'; did you mean "{near[0]}"?' if near else f"; known here: {', '.join(words)}" if len(words) < 8 else ""
    return f'unknown field "{name}"{hint}'


def _homes(section: type[Section], name: str) -> list[str]:
    """Say in which other sections of the routing YAML a field is known, as far as one is likely to be meant."""
    if section not in _PLACES:
        return []
    return [place for model, place in _PLACES.items() if name in _names(model)][:_MOST_HOMES]


def _names(section: type[Section]) -> set[str]:
    return {str(field.validation_alias or name) for name, field in section.model_fields.items()}


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


def _section(document: type[Section], path: Path) -> type[Section]:
    """Find the model that a path leads to."""
    section = document
    for part in path:
        if isinstance(part, str):
            fields = {str(field.validation_alias or name): field for name, field in section.model_fields.items()}
            section = _model_in(fields[part].annotation) or section
    return section


def _model_in(annotation: Any) -> type[Section] | None:
    if get_origin(annotation) in (Annotated, list, Union, types.UnionType):
        return next(filter(None, map(_model_in, get_args(annotation))), None)
    return annotation if isinstance(annotation, type) and issubclass(annotation, Section) else None


def _take_out(data: Any, path: Path, problems: Problems) -> None:
    """Remove the value at a path; in a list an entry leaves its place empty, or takes its list along."""
    parent = data
    for part in path[:-1]:
        if isinstance(parent, Mapping) and part not in parent:
            return
        parent = parent[part]
    last = path[-1]
    problems.spoil(path)
    if isinstance(parent, dict):
        parent.pop(last, None)
    elif isinstance(last, int) and isinstance(parent, list) and parent[last] != {}:
        parent[last] = {}
    else:
        _take_out(data, path[:-1], problems)
