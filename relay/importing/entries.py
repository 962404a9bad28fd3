"""Make a receiver's `pagerduty_configs` those of the relay: keys into files, templates into Jinja."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from relay.config import schema
from relay.config.yaml import Path
from relay.importing.go_jinja import translate
from relay.importing.go_lexer import GoTemplateError
from relay.importing.reading import Native, Note
from relay.importing.severities import Fixed, Mapped, severity_form
from relay.importing.values import Untranslatable
from relay.importing.writing import pair
from relay.secret import Secret

DEFAULT_SUMMARY = '{{ template "pagerduty.default.description" . }}'
_TEXTS = ("client", "client_url", "source", "class", "component", "group")
_KEY = re.compile("[A-Za-z0-9]{32}")
_V1 = "generic/2010-04-15"
_V1_NOTE = (
    "is for PagerDuty's Events API v1. The relay speaks v2: add an Events API v2 integration to the same PagerDuty "
    "service, put its key into {where}, and try it with `pagerelay send-test --receiver {receiver}`"
)


@dataclass(slots=True)
class Entries:
    """What the PagerDuty entries of a file become, receiver by receiver."""

    native: Native
    key_folder: str
    relocate: Callable[[str], str]
    keys: dict[str, Secret] = field(default_factory=dict)
    """By file: the keys to write."""
    notes: list[Note] = field(default_factory=list)
    _named: set[str] = field(default_factory=set)
    """Key files that are named already."""
    _anchored: bool = False
    """Whether Alertmanager's default summary is written already."""

    def lines(self, receiver: dict[str, Any], path: Path, indent: int) -> list[str]:
        """Write the entries of one receiver."""
        written: list[str] = []
        for index, entry in enumerate(receiver.get("pagerduty_configs") or ()):
            block = list(self._entry(entry, receiver["name"], index, (*path, "pagerduty_configs", index), indent + 2))
            first = next(number for number, line in enumerate(block) if not line.lstrip().startswith("#"))
            written += [line[2:] for line in block[:first]]
            written.append(f"{' ' * indent}- {block[first][indent + 2 :]}")
            written += block[first + 1 :]
        return written

    def form(self, receiver: dict[str, Any]) -> Mapped | None:
        """Say by which map a receiver's severities are decided; None where no entry has one."""
        for entry in receiver.get("pagerduty_configs") or ():
            form = self._severity_form(entry)
            if isinstance(form, Mapped):
                return form
        return None

    def note(self, path: Path, message: str) -> None:
        """Say something about what stands at a path of the file that is read."""
        self.notes.append(Note(self.native.line(path), _shown(path), message))

    def _severity_form(self, entry: dict[str, Any]) -> Fixed | Mapped | Untranslatable | GoTemplateError:
        try:
            # Alertmanager's default is error (notify/pagerduty).
            return severity_form(entry.get("severity") or "error", self.native.defined)
        except (Untranslatable, GoTemplateError) as error:
            return error

    def _entry(self, entry: dict[str, Any], receiver: str, index: int, path: Path, indent: int) -> Iterator[str]:
        pad = " " * indent
        yield from self._key(entry, receiver, index, path, indent)
        url = entry.get("url")
        if url and _V1 not in url:
            yield from pair("url", url, indent)
        if entry.get("send_resolved") is not None:
            yield from pair("send_resolved", entry["send_resolved"], indent)
        yield from self._severity(entry, path, pad)
        yield from self._description(entry, path, indent)
        for name in _TEXTS:
            if entry.get(name):
                yield from self._field(name, entry[name], (*path, name), indent)
        for name in ("details", "links", "images"):
            if entry.get(name):
                yield from self._field(name, entry[name], (*path, name), indent)
        if entry.get("timeout"):
            yield from pair("timeout", entry["timeout"], indent)
        http = self.http(entry.get("http_config"), (*path, "http_config"))
        if http:
            yield from pair("http_config", http, indent)

    def _key(self, entry: dict[str, Any], receiver: str, index: int, path: Path, indent: int) -> Iterator[str]:
        old = bool(entry.get("service_key") or entry.get("service_key_file"))
        kind = "service_key" if old else "routing_key"
        if entry.get(f"{kind}_file"):
            where = self.relocate(entry[f"{kind}_file"])
        else:
            where = f"{self.key_folder}/{_slug(receiver)}{f'-{index + 1}' if index else ''}.key"
            where = self._unused(where)
            key = entry[kind].strip()
            if _KEY.fullmatch(key):
                self.keys[where] = Secret(key)
            else:
                why = (
                    "is a template: give each key a receiver of its own" if "{{" in key else "has not the form of a key"
                )
                message = f"{kind} {why} (32 letters and digits); put the right one into {where}"
                self.note((*path, kind), message)
                yield f"{' ' * indent}# The {kind} there {why}: put the right one into this file."
        if old:
            note = _V1_NOTE.format(where=where, receiver=receiver)
            self.note((*path, kind if entry.get(kind) else f"{kind}_file"), f"{kind} {note}")
            yield f"{' ' * indent}# Was a {kind} (Events API v1): an Events API v2 integration has to take its place."
        yield from pair("routing_key_file", where, indent)

    def _unused(self, where: str) -> str:
        name, number = where, 1
        while name in self._named:
            number += 1
            name = f"{where.removesuffix('.key')}-{number}.key"
        self._named.add(name)
        return name

    def _severity(self, entry: dict[str, Any], path: Path, pad: str) -> Iterator[str]:
        form = self._severity_form(entry)
        if isinstance(form, Fixed):
            why = "" if entry.get("severity") else "  # Alertmanager's default; without it the label severity decides"
            yield f"{pad}severity: {form.word}{why}"
        elif isinstance(form, Exception):
            self.note((*path, "severity"), f"not translated: {form}. The label severity decides, by the route's map")
            yield from _kept("severity", entry["severity"], str(form), pad)

    def _description(self, entry: dict[str, Any], path: Path, indent: int) -> Iterator[str]:
        template = entry.get("description") or DEFAULT_SUMMARY
        written = list(self._field("description", template, (*path, "description"), indent))
        if template != DEFAULT_SUMMARY or written[0].lstrip().startswith("#"):
            yield from written
        elif self._anchored:
            yield f"{' ' * indent}description: *alertmanager_summary"
        else:
            self._anchored = True
            yield f"{' ' * indent}# Alertmanager's own summary; without it the relay writes one."
            yield written[0].replace("description:", "description: &alertmanager_summary", 1)
            yield from written[1:]

    def _field(self, name: str, value: Any, path: Path, indent: int) -> Iterator[str]:
        """Write a field of templates; what cannot be translated is kept as a comment."""
        kept: list[str] = []
        written = self._translated(value, path, kept, " " * indent)
        yield from kept
        if written not in (None, {}, []):
            yield from pair(name, written, indent)

    def _translated(self, value: Any, path: Path, kept: list[str], pad: str) -> Any:
        if isinstance(value, dict):
            found = {name: self._translated(item, (*path, name), kept, pad) for name, item in value.items()}
            return {name: item for name, item in found.items() if item is not None or value[name] is None}
        if isinstance(value, list):
            every = [self._translated(item, (*path, index), kept, pad) for index, item in enumerate(value)]
            return [item for item in every if item is not None]
        if not isinstance(value, str):
            return value
        try:
            return translate(value, self.native.defined)
        except (Untranslatable, GoTemplateError, RecursionError) as error:
            self.note(path, f"not translated, the relay's default stands in: {error}")
            kept += _kept(_shown(path[4:]), value, str(error), pad)
            return None

    def http(self, config: Any, path: Path) -> dict[str, Any]:
        """Take over how PagerDuty is reached; what the relay has no use for is said."""
        if not isinstance(config, dict):
            return {}
        found: dict[str, Any] = {}
        for name, value in config.items():
            if name == "tls_config" and isinstance(value, dict):
                found[name] = self._tls(value, (*path, name))
            elif name == "proxy_url" and "@" in str(value):
                self.note((*path, name), "holds a password and was left out: write it into the new file yourself")
            elif name in ("proxy_url", "proxy_from_environment"):
                found[name] = value
            elif name not in ("follow_redirects", "enable_http2"):
                self.note((*path, name), "is not used for PagerDuty and was left out")
        return {name: value for name, value in found.items() if value}

    def _tls(self, config: dict[str, Any], path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in config.items():
            if name not in schema.Tls.model_fields:
                self.note((*path, name), "is not supported and was left out")
            else:
                found[name] = self.relocate(value) if name.endswith("_file") and value else value
        return found


def _kept(name: str, template: str, why: str, pad: str) -> list[str]:
    """Keep a template that has no translation as a comment."""
    shown = [f"{pad}#   {line}" for line in template.splitlines()]
    return [f"{pad}# {name} was not translated: {' '.join(why.split())}", *shown]


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-.") or "receiver"


def _shown(path: Path) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
