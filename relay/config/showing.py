"""Writes the effective configuration: every default and every inherited value filled in, no secret in it."""

from collections.abc import Iterator, Mapping
from typing import Any, get_args, get_type_hints

from pydantic import WithJsonSchema

from relay.alert import HOUR, MINUTE
from relay.config import schema
from relay.config.layout import Block, Items, Leaf, Node, flow, laid_out
from relay.config.lengths import written
from relay.config.problems import Problems, hidden
from relay.config.yaml import Path
from relay.event import Severity
from relay.secret import Secret

_OWN = (
    *("matchers", "match", "match_re", "continue_"),
    *("mute_time_intervals", "active_time_intervals", "labels"),
)
_INHERITED = {
    "receiver": None,
    "group_by": None,
    "dedup_key": None,
    "group_wait": "0s",
    "group_interval": written(MINUTE),
    "repeat_interval": written(4 * HOUR),
    "severity": {**{str(word): str(word) for word in Severity}, "default": "error"},
    "severity_label": "severity",
    "regroup": schema.Regroup(),
    "hold_trigger": "0s",
    "hold_resolve": "0s",
    "flap": "off",
    "outside": "drop",
    "on_mute": "leave",
    "on_stale": "leave",
    "on_pd_resolve": "reopen",
    "on_acknowledge": "leave",
    "change": False,
}
"""What a route has of those above it, with what a root has that says nothing (rules/ruleset.py, config/routes.py)."""
_GROUPING = ("group_by", "dedup_key")
"""Either takes the place of the other."""


def shown_config(config: schema.Config, problems: Problems, file: str, *, origins: bool) -> str:
    """Write a file as YAML that loads to the same; with `origins` each value says where it comes from."""
    return "\n".join(laid_out(_Writer(problems, file).config(config), origins=origins)) + "\n"


class _Writer:
    def __init__(self, problems: Problems, file: str) -> None:
        self._problems = problems
        self._file = file

    def config(self, config: schema.Config) -> Block:
        found: list[tuple[str, Node]] = []
        for name, alias in _fields(config):
            value, path = getattr(config, name), (alias,)
            if name == "route":
                found += [(alias, self._route(config.route, path, {}))] if config.route is not None else []
            elif value or name in ("global_", "pagerduty"):
                found.append((alias, self._value(value, path, _hint(config, name))))
        return Block(found)

    def _route(self, route: schema.Route, path: Path, above: Mapping[str, tuple[Any, str]]) -> Block:
        """Write a route; `above` is what its parent has, and where that is from."""
        mine = dict(above)
        if any(getattr(route, name) is not None for name in _GROUPING):
            mine = {name: said for name, said in mine.items() if name not in _GROUPING}
        aliases = dict(_fields(route))
        for name in _INHERITED:
            value = getattr(route, name)
            if value is not None and value != "":
                mine[name] = (value, self._place((*path, name)))
        found: list[tuple[str, Node]] = [
            (aliases[name], self._value(getattr(route, name), (*path, aliases[name]), _hint(route, name)))
            for name in _OWN
            if getattr(route, name)
        ]
        for name, default in _INHERITED.items():
            value, origin = mine.get(name, (default, "default"))
            if value is not None:
                own = (*path, name) if getattr(route, name) not in (None, "") else None
                origin = origin if own or origin == "default" else f"inherited from {origin}"
                found.append((name, Leaf(_flat(value, _hint(route, name)), origin)))
        if route.routes:
            children = [self._route(child, (*path, "routes", at), mine) for at, child in enumerate(route.routes)]
            found.append(("routes", Items(children)))
        return Block(found)

    def _value(self, value: Any, path: Path, hint: Any) -> Node:
        if isinstance(value, schema.Section) and not isinstance(value, _SMALL):
            return Block(list(self._section(value, path)))
        if isinstance(value, list) and value and isinstance(value[0], schema.Section):
            return Items([self._value(one, (*path, at), hint) for at, one in enumerate(value)])
        return Leaf(_flat(value, hint), self._place(path))

    def _section(self, section: schema.Section, path: Path) -> Iterator[tuple[str, Node]]:
        """Write the fields that say something, defaults among them; what is not ours is left out."""
        for name, alias in _fields(section):
            value, hint = getattr(section, name), _hint(section, name)
            silent = value in ("", [], {}) and name not in section.model_fields_set
            if value is None or silent or hint == schema.Foreign or _unsaid(section, name):
                continue
            if alias == "http_config" and isinstance(value, dict):
                known = {key: one for key, one in value.items() if key in schema.HttpConfig.model_fields}
                value = schema.HttpConfig.model_validate(known)
            node = self._value(value, (*path, alias), hint)
            if name not in section.model_fields_set and isinstance(node, Leaf):
                node = Leaf(node.text, "default")
            yield alias, node

    def _place(self, path: Path) -> str:
        return f"{self._file}:{self._problems.line(path)}"


_SMALL = (schema.Hold, schema.Budget, schema.Storm, schema.Flap, schema.Regroup, schema.TimeRange, schema.Link)
"""Sections that fit on one line."""


def _fields(section: schema.Section) -> Iterator[tuple[str, str]]:
    """List (attribute, name in the file)."""
    for name, field in type(section).model_fields.items():
        yield name, str(field.validation_alias or name)


def _unsaid(section: schema.Section, name: str) -> bool:
    """Say whether a default stands for something else: no timeout of its own, in place of a timeout of zero."""
    return isinstance(section, schema.PagerDuty) and name == "timeout" and name not in section.model_fields_set


def _hint(section: schema.Section, name: str) -> Any:
    return get_type_hints(type(section), include_extras=True)[name]


def _is_length(hint: Any) -> bool:
    told = [one.json_schema or {} for one in getattr(hint, "__metadata__", ()) if isinstance(one, WithJsonSchema)]
    return any(one.get("x-kind") == "duration" for one in told) or any(map(_is_length, get_args(hint)))


def _flat(value: Any, hint: Any) -> str:
    """Write a value on one line."""
    return flow(_plain(value, hint))


def _plain(value: Any, hint: Any) -> Any:
    """Turn a value into texts, lists and mappings, as a file could have them."""
    if isinstance(value, Secret):
        return "<secret>"
    if isinstance(value, bool):
        return "true" if value else "off" if hint in (schema.StormOrOff, schema.FlapOrOff | None) else "false"
    if isinstance(value, schema.Section):
        fields = ((alias, getattr(value, name), _hint(value, name)) for name, alias in _fields(value))
        return {alias: _plain(one, inner) for alias, one, inner in fields if one is not None and one != ""}
    if isinstance(value, dict):
        return {hidden(str(name)): _plain(one, None) for name, one in value.items()}
    if isinstance(value, list):
        return [_plain(one, hint) for one in value]
    if isinstance(value, int) and _is_length(hint):
        return written(value)
    return hidden(str(value)) if value is not None else ""
