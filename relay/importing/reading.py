"""Read an alertmanager.yml as strictly as Alertmanager does, all but what its PagerDuty entries say."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

from relay.config import schema, yaml
from relay.config.build import build
from relay.config.problems import Problems, problem_of
from relay.config.reading import Unreadable, decoded
from relay.config.routes import Timers
from relay.config.secrets import SecretReader
from relay.config.shape import shaped
from relay.config.texts import TextCheck
from relay.errors import BadConfig, Problem
from relay.importing.go_lexer import GoTemplateError
from relay.importing.go_parser import parse
from relay.importing.go_syntax import Body
from relay.importing.writing import AsWritten

_NATIVE_ROUTE = frozenset((
    "receiver", "group_by", "group_wait", "group_interval", "repeat_interval", "match", "match_re", "matchers",
    "continue", "mute_time_intervals", "active_time_intervals", "labels", "routes",
))  # fmt: skip
_OURS = ("sources", "heartbeats", "pagerduty")
_NATIVE_RULE = frozenset((
    "name", "source_match", "source_match_re", "source_matchers", "target_match", "target_match_re",
    "target_matchers", "equal",
))  # fmt: skip
_KEYS = ("routing_key", "routing_key_file", "service_key", "service_key_file")
_ENTRY = {str(found.validation_alias or name) for name, found in schema.PagerDuty.model_fields.items()}
_NATIVE_ENTRY = (_ENTRY | set(_KEYS)) - {"previous_routing_key_files", "budget", "storm"}


@dataclass(frozen=True, slots=True)
class Note:
    """Something a person should know of what became of a file."""

    line: int
    path: str
    message: str


@dataclass(frozen=True, slots=True)
class Native:
    """An alertmanager.yml that Alertmanager would load."""

    name: str
    text: str = field(repr=False)
    root: yaml.Mapping = field(repr=False)
    data: dict[str, Any] = field(repr=False)
    """The whole file as dicts, lists and strings."""
    defined: Mapping[str, Body] = field(repr=False)
    """Named templates: Alertmanager's own, and those of the files at hand."""
    notes: tuple[Note, ...] = ()

    def line(self, path: yaml.Path, *, key: bool = True) -> int:
        """Return the line of what stands at a path."""
        return yaml.place(self.root, path, key=key)[0]


def read_native(name: str, raw: bytes, templates: Mapping[str, str]) -> Native:
    """Read a file; `templates` are the texts of the template files it names, by file name.

    Raises BadConfig with every problem, each at its place.
    """
    try:
        text = decoded(raw)
        root, faults = yaml.read(text)
    except Unreadable as error:
        raise BadConfig((Problem(name, error.line, error.column, "", str(error)),)) from None
    except yaml.BadYaml as error:
        raise BadConfig(tuple(problem_of(name, bad) for bad in error.faults)) from None
    problems = Problems(name, root)
    for bad in faults:
        problems.fault(bad)
    data = _as_written(root)
    if not isinstance(data, dict) or not isinstance(root, yaml.Mapping):
        problems.error((), "not an alertmanager.yml: there is no `route` in it")
        raise BadConfig(problems.found)
    _check_ours(data, problems)
    _check(data, problems)
    _check_entries(data, problems)
    errors = tuple(problem for problem in problems.found if not problem.warning)
    if errors:
        raise BadConfig(errors)
    defined, notes = _defined(templates)
    return Native(name, text, root, data, defined, notes)


def _as_written(node: yaml.Node) -> Any:
    """Write a node out as `yaml.plain` does, and remember which texts had no quotes."""
    match node:
        case yaml.Scalar(value=str(value), plain=True):
            return AsWritten(value)
        case yaml.Sequence():
            return [_as_written(item) for item in node.items]
        case yaml.Mapping():
            return {key: _as_written(value) for key, (_, value) in node.pairs.items()}
    return yaml.plain(node)


def _check(data: dict[str, Any], problems: Problems) -> None:
    """Hold all but the PagerDuty entries against what Alertmanager takes; the relay's own reader is as strict."""
    stripped = copy.deepcopy(data)
    stripped.pop("templates", None)
    if isinstance(stripped.get("global"), dict):
        stripped["global"] = {**stripped["global"]}
        stripped["global"].pop("http_config", None)
    receivers = stripped.get("receivers")
    for receiver in receivers if isinstance(receivers, list) else ():
        if isinstance(receiver, dict):
            receiver.pop("pagerduty_configs", None)
    config = shaped(stripped, problems)
    if config is not None:
        nowhere = FilePath()
        secrets = SecretReader(nowhere, {}, problems, {})
        build(config, nowhere, {}, Timers(), TextCheck({}), problems, secrets)


def _check_ours(data: dict[str, Any], problems: Problems) -> None:
    """Refuse what only the relay has: Alertmanager would not load it, so it is not its file."""
    message = "is no field of alertmanager.yml: is this a routing file of the relay already?"
    for name in _OURS:
        if name in data:
            problems.error((name,), f"{name} {message}", key=True)
    stack: list[tuple[Any, yaml.Path]] = [(data.get("route"), ("route",))]
    while stack:
        route, path = stack.pop()
        if not isinstance(route, dict):
            continue
        for name in route.keys() & (_fields(schema.Route) - _NATIVE_ROUTE):
            problems.error((*path, name), f"{name} {message}", key=True)
        children = route.get("routes")
        if isinstance(children, list):
            stack += [(child, (*path, "routes", index)) for index, child in enumerate(children)]
    rules = data.get("inhibit_rules")
    for index, rule in enumerate(rules if isinstance(rules, list) else ()):
        for name in (rule if isinstance(rule, dict) else {}).keys() & (_fields(schema.InhibitRule) - _NATIVE_RULE):
            problems.error(("inhibit_rules", index, name), f"{name} {message}", key=True)


def _fields(section: type[schema.Section]) -> set[str]:
    return {str(found.validation_alias or name) for name, found in section.model_fields.items()}


def _check_entries(data: dict[str, Any], problems: Problems) -> None:
    receivers = data.get("receivers")
    for number, receiver in enumerate(receivers if isinstance(receivers, list) else ()):
        path: yaml.Path = ("receivers", number, "pagerduty_configs")
        entries = receiver.get("pagerduty_configs") if isinstance(receiver, dict) else None
        if entries is None:
            continue
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            problems.error(path, "must be a list of mappings")
            continue
        for index, entry in enumerate(entries):
            _check_entry(entry, (*path, index), problems)


def _check_entry(entry: dict[str, Any], path: yaml.Path, problems: Problems) -> None:
    for name in entry.keys() - _NATIVE_ENTRY:
        problems.error((*path, name), f'unknown field "{name}"', key=True)
    given = [name for name in _KEYS if entry.get(name)]
    if not given:
        problems.error(path, "missing service or routing key in PagerDuty config")
    for kind in ("routing_key", "service_key"):
        if kind in given and f"{kind}_file" in given:
            problems.error((*path, kind), f"at most one of {kind} & {kind}_file must be configured", key=True)


# What Alertmanager's own templates write (template/default.tmpl), for files that call them by name.
_DEFAULTS = """
{{ define "__alertmanager" }}Alertmanager{{ end }}
{{ define "__alertmanagerURL" }}{{ .ExternalURL }}/#/alerts?receiver={{ .Receiver | urlquery }}{{ end }}
{{ define "__subject" -}}
[{{ .Status | toUpper }}{{ if eq .Status "firing" }}:{{ .Alerts.Firing | len }}{{ end }}]
{{- " " }}{{ .GroupLabels.SortedPairs.Values | join " " }}{{ " " }}
{{- if gt (len .CommonLabels) (len .GroupLabels) }}(
{{- (.CommonLabels.Remove .GroupLabels.Names).Values | join " " }}){{ end }}{{ end }}
{{ define "__description" }}{{ end }}
{{ define "__text_alert_list" }}{{ range . }}Labels:
{{ range .Labels.SortedPairs }} - {{ .Name }} = {{ .Value }}
{{ end }}Annotations:
{{ range .Annotations.SortedPairs }} - {{ .Name }} = {{ .Value }}
{{ end }}Source: {{ .GeneratorURL }}
{{ end }}{{ end }}
{{ define "pagerduty.default.description" }}{{ template "__subject" . }}{{ end }}
{{ define "pagerduty.default.client" }}{{ template "__alertmanager" . }}{{ end }}
{{ define "pagerduty.default.clientURL" }}{{ template "__alertmanagerURL" . }}{{ end }}
{{ define "pagerduty.default.instances" }}{{ template "__text_alert_list" . }}{{ end }}
"""


def _defined(templates: Mapping[str, str]) -> tuple[dict[str, Body], tuple[Note, ...]]:
    """Collect named templates; a later file takes the place of an earlier one, and all of Alertmanager's own."""
    defined, notes = dict(parse(_DEFAULTS).defined), []
    for file, text in templates.items():
        try:
            defined |= parse(text).defined
        except GoTemplateError as error:
            notes.append(Note(0, "templates", f"{file} could not be read as Go templates: {error}"))
    return defined, tuple(notes)


def named_templates(raw: bytes) -> list[str]:
    """List the globs of the template files that a file names; none where it cannot be read."""
    try:
        data = yaml.plain(yaml.read(decoded(raw))[0])
    except (Unreadable, yaml.BadYaml):
        return []
    patterns = data.get("templates") if isinstance(data, dict) else None
    return (
        [name for name in patterns if isinstance(name, str) and "\0" not in name] if isinstance(patterns, list) else []
    )
