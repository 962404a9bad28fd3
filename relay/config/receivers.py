"""Turn receivers into targets and integrations, and their routing keys into the key ring."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

from relay.config import schema
from relay.config.fallbacks import check_fallbacks
from relay.config.problems import Problems, dotted
from relay.config.secrets import SecretReader
from relay.config.texts import TextCheck, has_template
from relay.config.yaml import Path
from relay.event import Severity
from relay.rules.matchers import valid_label_name
from relay.rules.quoting import go_quote
from relay.rules.ruleset import Budget, Integration, Receiver, Storm, Target, Texts
from relay.secret import Key, Secret, Tls, key_id

_KEY = re.compile("[A-Za-z0-9]{32}")
_KEY_FIELDS = ("routing_key", "routing_key_file", "service_key", "service_key_file")
_HARMLESS = ("follow_redirects", "enable_http2")
"""Of `global.http_config`: what makes no difference to a call to PagerDuty."""
_DEFAULT_TIMEOUT = 10.0
_LEAST_TIMEOUT = 0.1
_TEXT_FIELDS = ("description", "source", "class_", "component", "group", "client", "client_url")
_LABEL_IN_TEMPLATE = re.compile(r"[Ll]abels\.(\w+)")


@dataclass(slots=True)
class Cast:
    """What the receivers of a file come to."""

    receivers: dict[str, Receiver] = field(default_factory=dict)
    integrations: dict[str, Integration] = field(default_factory=dict)
    keys: dict[str, Key] = field(default_factory=dict)
    first: dict[str, Path] = field(default_factory=dict)
    """By integration: the entry that was there first."""


class ReceiverBuilder:
    """Read every receiver in turn; what is wrong is reported and left out."""

    def __init__(
        self,
        config: schema.Config,
        directory: FilePath,
        environ: Mapping[str, str],
        texts: TextCheck,
        problems: Problems,
        secrets: SecretReader,
    ) -> None:
        self.config = config
        self.directory = directory
        self.environ = environ
        self.texts = texts
        self.problems = problems
        self.secrets = secrets
        self.cast = Cast()

    def build(self) -> Cast:
        for index, spec in enumerate(self.config.receivers):
            self._receiver(spec, ("receivers", index))
        check_fallbacks(self.config, self.cast.receivers, self.problems)
        return self.cast

    def _receiver(self, spec: schema.Receiver, path: Path) -> None:
        if not spec.name:
            if not self.problems.gone((*path, "name")):
                self.problems.error(path, "missing name in receiver")
        elif spec.name in self.cast.receivers:
            message = f"notification config name {go_quote(spec.name)} is not unique"
            self.problems.error((*path, "name"), message)
        self._check_labels(spec, path)
        for kind in spec.others:
            message = f"not ours: alerts for {go_quote(spec.name)} are not sent to its {kind}, only to PagerDuty"
            self.problems.warn((*path, kind), message, key=True, rule="not-ours")
        targets = tuple(self._targets(spec, (*path, "pagerduty_configs")))
        self.cast.receivers.setdefault(spec.name, Receiver(spec.name, targets, spec.others, spec.fallback or ""))

    def _check_labels(self, spec: schema.Receiver, path: Path) -> None:
        for name, value in spec.labels.items():
            if not valid_label_name(name):
                self.problems.error(
                    (*path, "labels", name), f"invalid label name {go_quote(name)} in receiver", key=True
                )
            elif name == "name" and value != spec.name:
                message = f'receiver label "name" must match receiver name {go_quote(spec.name)}, got {go_quote(value)}'
                self.problems.error((*path, "labels", name), message)

    def _targets(self, spec: schema.Receiver, path: Path) -> Iterator[Target]:
        for index, entry in enumerate(spec.pagerduty_configs):
            here = (*path, index)
            integration = self._integration(entry, spec.name, index, here)
            texts, severity = self._texts(entry, here), self._severity(entry, here)
            if not entry.send_resolved:
                message = "resolves are not sent to PagerDuty: its incidents stay open until a person closes them"
                self.problems.warn((*here, "send_resolved"), message, key=True, rule="no-resolves")
            if integration is not None:
                yield Target(spec.name, index, integration, texts, severity, entry.send_resolved)

    def _integration(self, entry: schema.PagerDuty, receiver: str, index: int, path: Path) -> str | None:
        """Find or make the integration of an entry, and put its keys on the ring; None if it has no usable key."""
        url = entry.url or self.config.global_.pagerduty_url
        secret = self._current_key(entry, path)
        template = self._key_template(entry, path)
        previous = list(self._previous_keys(entry, path))
        if secret is None:
            return None
        identity = key_id(url, secret)
        name = receiver if index == 0 else f"{receiver}/{index + 1}"
        if identity in self.cast.integrations:
            self._share(entry, identity, path)
        else:
            budget = entry.budget or self.config.global_.budget
            limits = Budget(events=budget.events, within=budget.within)
            storm = self._storm(entry)
            self.cast.integrations[identity] = Integration(identity, identity, url, name, limits, storm)
            self.cast.keys[identity] = Key(identity, url, secret, name, **template)
            self.cast.first[identity] = path
        for old in previous:
            self.cast.keys.setdefault(key_id(url, old), Key(key_id(url, old), url, old, name, **template))
        return identity

    def _share(self, entry: schema.PagerDuty, identity: str, path: Path) -> None:
        first = self.cast.first[identity]
        message = f"has the url and routing key of {dotted(first)}: both are one integration, with one budget"
        if entry.budget or entry.timeout or entry.http_config or entry.storm is not None:
            message += "; budget, storm, timeout and http_config of the first one hold"
        self.problems.warn(path, message, rule="shared-integration")

    def _storm(self, entry: schema.PagerDuty) -> Storm | None:
        storm = self.config.global_.storm if entry.storm is None else entry.storm
        return Storm(storm.pages, storm.within) if isinstance(storm, schema.Storm) else None

    def _current_key(self, entry: schema.PagerDuty, path: Path) -> Secret | None:
        if entry.routing_key is not None and entry.routing_key_file is not None:
            message = "at most one of routing_key & routing_key_file must be configured"
            self.problems.error((*path, "routing_key_file"), message, key=True)
        if entry.routing_key is not None:
            return self._checked(entry.routing_key, (*path, "routing_key"))
        if entry.routing_key_file is not None:
            return self._key_file(entry.routing_key_file, (*path, "routing_key_file"))
        if not self.problems.gone(*((*path, name) for name in _KEY_FIELDS)):
            message = "missing routing key in PagerDuty config: set routing_key_file (or routing_key)"
            self.problems.error(path, message)
        return None

    def _previous_keys(self, entry: schema.PagerDuty, path: Path) -> Iterator[Secret]:
        for index, name in enumerate(entry.previous_routing_key_files):
            secret = self._key_file(name, (*path, "previous_routing_key_files", index))
            if secret is not None:
                yield secret

    def _key_file(self, name: str, path: Path) -> Secret | None:
        return self.secrets.file(name, path, "the routing key", _key_fault)

    def _checked(self, written: Secret, path: Path) -> Secret | None:
        secret = self.secrets.value(written, path)
        fault = _key_fault(secret.reveal()) if secret is not None else ""
        if fault:
            self.problems.error(path, fault)
        return None if fault else secret

    def _key_template(self, entry: schema.PagerDuty, path: Path) -> dict[str, Any]:
        """Read how the integration is called: timeout, proxy and TLS."""
        http, here = entry.http_config, (*path, "http_config")
        if http is None:
            http, here = self._global_http(), ("global", "http_config")
        timeout = entry.timeout / 1_000_000 or _DEFAULT_TIMEOUT
        if timeout < _LEAST_TIMEOUT:
            self.problems.error(
                (*path, "timeout"), f"no call ends in less than {_LEAST_TIMEOUT * 1000:.0f}ms: give it more"
            )
        return {
            "timeout": timeout,
            "proxy_url": self._proxy(http, here),
            "proxy_from_environment": http.proxy_from_environment,
            "tls": self._tls(http.tls_config, (*here, "tls_config")),
        }

    def _global_http(self) -> schema.HttpConfig:
        """Read of `global.http_config` what is for PagerDuty; the rest belongs to integrations that are not ours."""
        given = self.config.global_.http_config or {}
        known = {name: value for name, value in given.items() if name in schema.HttpConfig.model_fields}
        unused = ", ".join(name for name in given if name not in known and name not in _HARMLESS)
        if unused:
            message = f"not used for PagerDuty: {unused}"
            self.problems.warn(("global", "http_config"), message, key=True, rule="not-ours")
        try:
            return schema.HttpConfig.model_validate(known)
        except ValueError:
            message = "cannot be used for PagerDuty: proxy_url, proxy_from_environment or tls_config is not well formed"
            self.problems.error(("global", "http_config"), message)
            return schema.HttpConfig()

    def _proxy(self, http: schema.HttpConfig, path: Path) -> Secret | None:
        if http.proxy_from_environment:
            if http.proxy_url is not None:
                message = "if proxy_from_environment is configured, proxy_url must not be configured"
                self.problems.error((*path, "proxy_url"), message, key=True)
            if not any(name in self.environ for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy")):
                message = "no HTTPS_PROXY or HTTP_PROXY is set: PagerDuty is called directly"
                self.problems.warn((*path, "proxy_from_environment"), message, rule="no-effect")
        proxy = self.secrets.value(http.proxy_url, (*path, "proxy_url")) if http.proxy_url is not None else None
        if proxy is None:
            return None
        if not proxy.reveal().startswith(("http://", "https://")):
            self.problems.error((*path, "proxy_url"), "must be an http:// or https:// URL")
            return None
        return proxy

    def _tls(self, spec: schema.Tls | None, path: Path) -> Tls | None:
        if spec is None:
            return None
        files = {}
        for name in ("ca_file", "cert_file", "key_file"):
            given = getattr(spec, name)
            files[name] = str(self.directory / given) if given else ""
            if given and not (self.directory / given).is_file():
                self.problems.error((*path, name), f"cannot read {given}: there is no such file")
        if bool(spec.cert_file) != bool(spec.key_file):
            self.problems.error(path, "exactly one of cert_file and key_file is set: set both or neither")
        return Tls(**files, server_name=spec.server_name, insecure_skip_verify=spec.insecure_skip_verify)

    def _texts(self, entry: schema.PagerDuty, path: Path) -> Texts:
        for name in _TEXT_FIELDS:
            self._check_text(getattr(entry, name), (*path, name.rstrip("_")))
        self._check_text(entry.details, (*path, "details"))
        links = _pieces(entry.links, "href", "text")
        images = _pieces(entry.images, "src", "href", "alt")
        self._check_text(links, (*path, "links"))
        self._check_text(images, (*path, "images"))
        return Texts(
            **{name: getattr(entry, name) for name in _TEXT_FIELDS},
            details=_filled(entry.details),
            links=links,
            images=images,
        )

    def _check_text(self, value: Any, path: Path) -> None:
        """Check a template, or every template in a list or mapping."""
        if isinstance(value, str):
            message = self.texts.fault(value)
            if message:
                self.problems.error(path, message, rule="template")
        elif isinstance(value, Mapping):
            for name, item in value.items():
                self._check_text(item, (*path, name))
        elif isinstance(value, list | tuple):
            for index, item in enumerate(value):
                self._check_text(item, (*path, index))

    def _severity(self, entry: schema.PagerDuty, path: Path) -> Severity | None:
        if not entry.severity:
            return None
        if entry.severity in list(Severity):
            return Severity(entry.severity)
        if has_template(entry.severity):
            self.problems.error((*path, "severity"), _severity_map(entry.severity), rule="template")
        else:
            message = (
                f"{go_quote(entry.severity)} is not a severity: write critical, error, warning or info, or nothing"
            )
            self.problems.error((*path, "severity"), message)
        return None


def _severity_map(template: str) -> str:
    """Show the map to write in place of a severity template."""
    label = _LABEL_IN_TEMPLATE.search(template)
    naming = f"severity_label: {label[1]} and " if label and label[1] != "severity" else ""
    return (
        "a template cannot say the severity, since it is decided once, by the route: take it out and write on the "
        f"route {naming}severity: {{critical: critical, error: error, warning: warning, info: info, default: error}}"
    )


def _pieces(items: list[Any] | None, *names: str) -> tuple[dict[str, str], ...] | None:
    if items is None:
        return None
    return tuple({name: getattr(item, name) for name in names if getattr(item, name)} for item in items)


def _filled(value: Any) -> Any:
    """Write nothing at all as the empty text, as Alertmanager does."""
    if isinstance(value, dict):
        return {name: "" if item is None else _filled(item) for name, item in value.items()}
    if isinstance(value, list):
        return ["" if item is None else _filled(item) for item in value]
    return value


def _key_fault(text: str) -> str:
    """Say what is wrong with a routing key without showing it; "" if nothing is."""
    if _KEY.fullmatch(text):
        return ""
    if has_template(text):
        return "templates are not evaluated in a routing key: give each key a receiver of its own"
    return f"not a routing key: {len(text)} characters where an Events API v2 integration key has 32 letters and digits"
