"""Who speaks to the relay, and who must keep speaking: sources and heartbeats."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from ipaddress import ip_address
from typing import TypeVar

from relay.alert import DAY
from relay.config import schema
from relay.config.problems import Problems
from relay.config.routes import match_fields
from relay.config.secrets import SecretReader
from relay.config.yaml import Path
from relay.rules.quoting import go_quote
from relay.rules.ruleset import Heartbeat, Source
from relay.secret import Secret

Value = TypeVar("Value")

_SHORT = 16
"""Characters of a secret below which somebody may guess it."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a source may show; any one of them will do, so that a new one can be given out before the old one goes."""

    bearer_tokens: tuple[Secret, ...] = ()
    users: tuple[tuple[str, Secret], ...] = ()
    """User name and password, for HTTP Basic."""
    client_sans: tuple[str, ...] = ()
    """Names in a client's certificate (DNS, e-mail, IP address or URI)."""


def read_sources(specs: Sequence[schema.Source], problems: Problems) -> dict[str, Source]:
    """Read every source; what is wrong is reported."""
    found: dict[str, Source] = {}
    for index, spec in enumerate(specs):
        path: Path = ("sources", index)
        if not _is_source_name(spec.name):
            if not problems.gone((*path, "name")):
                message = (
                    "a source needs a name of letters, digits, `-` and `_`: it is part of the path /webhook/{name}"
                )
                problems.error((*path, "name") if spec.name else path, message)
        elif spec.name in found:
            problems.error((*path, "name"), f"source name {go_quote(spec.name)} is not unique")
        found.setdefault(spec.name, _source(spec, alone=len(specs) == 1))
    _check_native_keys(specs, problems)
    _tell_namespaces(specs, problems)
    return found


def read_credentials(
    specs: Sequence[schema.Source], problems: Problems, secrets: SecretReader
) -> Mapping[str, Credentials]:
    """Read what each source that must show a credential may show, by name; what is wrong is reported."""
    found: dict[str, Credentials] = {}
    owners: dict[object, str] = {}
    for index, spec in enumerate(specs):
        if demands(spec):
            reader = _CredentialReader(("sources", index), problems, secrets)
            found[spec.name] = reader.read(spec)
            for path, shown in reader.places:
                owner = owners.setdefault(shown, spec.name)
                if owner != spec.name:
                    message = f"is a credential of source {go_quote(owner)} as well: it could not be told who speaks"
                    problems.error(path, message)
    return found


class _CredentialReader:
    """Reads the credentials of one source."""

    def __init__(self, path: Path, problems: Problems, secrets: SecretReader) -> None:
        self.places: list[tuple[Path, object]] = []
        """Where each credential stands."""
        self._path = path
        self._problems = problems
        self._secrets = secrets

    def read(self, spec: schema.Source) -> Credentials:
        tokens = tuple(self._tokens(spec.bearer_token_file))
        users = tuple(self._users(spec.basic_auth))
        return Credentials(tokens, users, tuple(self._sans(spec.client_san)))

    def _tokens(self, given: str | list[str] | None) -> Iterator[Secret]:
        for path, name in self._listed("bearer_token_file", given):
            token = self._secrets.file(name, path, "the bearer token", _token_fault)
            if token is not None:
                self._note(path, ("bearer", token), token)
                yield token

    def _users(self, given: schema.BasicAuth | list[schema.BasicAuth] | None) -> Iterator[tuple[str, Secret]]:
        for path, user in self._listed("basic_auth", given):
            if self._problems.gone(path):
                continue
            if not user.username or ":" in user.username:
                self._problems.error((*path, "username"), "a user name is not empty and has no colon")
            if (user.password is None) == (user.password_file is None):
                if not self._problems.gone((*path, "password"), (*path, "password_file")):
                    self._problems.error(path, "exactly one of password and password_file is needed")
                continue
            password = self._password(user, path)
            if password is not None:
                self._note(path, ("basic", user.username, password), password)
                yield user.username, password

    def _password(self, user: schema.BasicAuth, path: Path) -> Secret | None:
        if user.password is not None:
            return self._secrets.value(user.password, (*path, "password"))
        return self._secrets.file(user.password_file or "", (*path, "password_file"), "the password")

    def _sans(self, given: str | list[str] | None) -> Iterator[str]:
        for path, name in self._listed("client_san", given):
            if not name.strip():
                self._problems.error(path, "a name in a certificate is not empty")
                continue
            self.places.append((path, ("san", san(name))))
            yield san(name)

    def _listed(self, name: str, given: Value | list[Value] | None) -> Iterator[tuple[Path, Value]]:
        """Go over one, or each of several, with its place."""
        path = (*self._path, name)
        if not isinstance(given, list):
            if given is not None:
                yield path, given
            return
        if not given and not self._problems.gone(path):
            self._problems.error(path, "is empty, so nobody could ever speak: list one, or take it out", key=True)
        yield from (((*path, index), one) for index, one in enumerate(given))

    def _note(self, path: Path, shown: object, secret: Secret) -> None:
        self.places.append((path, shown))
        if len(secret.reveal()) < _SHORT:
            message = (
                f"is shorter than {_SHORT} characters, and might be guessed: `openssl rand -hex 24` makes a good one"
            )
            self._problems.warn(path, message, rule="short-secret")


def _token_fault(token: str) -> str:
    if not token.isascii() or not token.isprintable() or " " in token:
        return "a bearer token is one line of ASCII without blanks"
    return ""


def san(name: str) -> str:
    """Write a name as those in certificates are compared: IP addresses in their one shortest form."""
    try:
        return str(ip_address(name))
    except ValueError:
        return name


def check_stale(
    route: schema.Route, specs: Sequence[schema.Source], problems: Problems, path: Path = ("route",)
) -> None:
    """Refuse `on_stale: resolve` where silence may mean nothing: a source that nobody knows how often to hear of."""
    if route.on_stale == "resolve" and not problems.gone(("sources",)):
        untold = [spec.name for spec in specs if not spec.repeat_interval and not spec.alertmanager_url]
        if untold or not specs:
            problems.error((*path, "on_stale"), _stale_message(untold))
    for index, child in enumerate(route.routes):
        check_stale(child, specs, problems, (*path, "routes", index))


def read_heartbeats(config: schema.Config, problems: Problems) -> tuple[Heartbeat, ...]:
    """Read every heartbeat; what is wrong is reported."""
    names: set[str] = set()
    found = []
    for index, spec in enumerate(config.heartbeats):
        path: Path = ("heartbeats", index)
        _check_heartbeat(spec, path, names, problems)
        _check_receiver(spec.receiver, path, config.receivers, problems)
        _check_source(spec.source, path, config.sources, problems)
        names.add(spec.name)
        matchers = match_fields({}, {}, spec.matchers, path, problems)
        line = problems.line(path)
        found.append(Heartbeat(spec.name, matchers, spec.within or 0, spec.receiver, spec.source, line))
    return tuple(found)


def _source(spec: schema.Source, *, alone: bool) -> Source:
    urls = spec.alertmanager_url or ()
    return Source(
        name=spec.name,
        native_keys=alone if spec.native_keys is None else spec.native_keys,
        repeat_interval=spec.repeat_interval,
        alertmanager_urls=(urls,) if isinstance(urls, str) else tuple(dict.fromkeys(urls)),
        stale_after=spec.stale_after or 2 * (spec.repeat_interval or 0) or DAY,
        credentials=demands(spec),
        routing_keys=bool(spec.routing_keys or spec.routing_key_files),
    )


def demands(spec: schema.Source) -> bool:
    """Say whether a source must show a credential of its own."""
    return any(given is not None for given in (spec.bearer_token_file, spec.basic_auth, spec.client_san))


def _is_source_name(name: str) -> bool:
    return len(name) <= 64 and name.replace("-", "").replace("_", "").isalnum() and name.isascii()


def _check_native_keys(specs: Sequence[schema.Source], problems: Problems) -> None:
    """Two sources must say whose dedup keys are Alertmanager's own, or their pages would be mistaken for each other."""
    if len(specs) < 2:
        return
    natives = [index for index, source in enumerate(specs) if source.native_keys]
    for index in natives[1:]:
        message = f"native_keys: true is said by source {go_quote(specs[natives[0]].name)} already: only one may"
        problems.error(("sources", index, "native_keys"), message, key=True)
    for index, source in enumerate(specs):
        if source.native_keys is None and not problems.gone(("sources", index, "native_keys")):
            message = (
                "with two or more sources each must say native_keys: true for the one whose dedup keys are "
                "Alertmanager's own, false for all others"
            )
            problems.error(("sources", index), message)


def _tell_namespaces(specs: Sequence[schema.Source], problems: Problems) -> None:
    """Warn of events whose dedup key is not what their sender gave: another source could send the same one."""
    senders = [(index, spec) for index, spec in enumerate(specs) if spec.routing_keys or spec.routing_key_files]
    for index, spec in senders if len(senders) > 1 else ():
        if not spec.native_keys:
            others = ", ".join(go_quote(other.name) for at, other in senders if at != index)
            message = (
                f"its events may reach the same integrations as those of {others}: its name is mixed into their dedup "
                "keys at PagerDuty, its senders are answered with their own. One source may say native_keys: true"
            )
            field = "routing_keys" if spec.routing_keys else "routing_key_files"
            problems.warn(("sources", index, field), message, key=True, rule="mixed-keys")


def _stale_message(untold: Sequence[str]) -> str:
    who = f"source {go_quote(untold[0])} does not" if untold else "no sources are listed"
    return (
        "resolve needs to know how often each source is heard of: state repeat_interval (as in that Alertmanager) or "
        f"alertmanager_url of every source; {who}"
    )


def _check_heartbeat(spec: schema.Heartbeat, path: Path, names: set[str], problems: Problems) -> None:
    if not spec.name:
        if not problems.gone((*path, "name")):
            problems.error(path, "missing name in heartbeat")
    elif spec.name in names:
        problems.error((*path, "name"), f"heartbeat name {go_quote(spec.name)} is not unique")
    if not spec.matchers and not problems.gone((*path, "matchers")):
        message = "a heartbeat needs matchers that say which alert must keep arriving: ['alertname=\"Watchdog\"']"
        problems.error(path, message)
    if not spec.within and not problems.gone((*path, "within")):
        message = "a heartbeat needs within, the longest silence: more than the repeat_interval of who sends it"
        problems.error(path, message)


def _check_receiver(name: str, path: Path, specs: Sequence[schema.Receiver], problems: Problems) -> None:
    places = [("receivers",), *(("receivers", index, "name") for index in range(len(specs)))]
    if problems.gone((*path, "receiver"), *places):
        return
    index = next((index for index, spec in enumerate(specs) if spec.name == name), None)
    if not name:
        problems.error(path, "missing receiver in heartbeat: name the one to page when it falls silent")
    elif index is None:
        near = get_close_matches(name, [spec.name for spec in specs], n=1, cutoff=0.6)
        hint = f"; did you mean {go_quote(near[0])}?" if near else ""
        message = f"undefined receiver {go_quote(name)} used in heartbeat{hint}"
        problems.error((*path, "receiver"), message, rule="undefined-name")
    elif not specs[index].pagerduty_configs and not problems.gone(("receivers", index, "pagerduty_configs")):
        message = f"receiver {go_quote(name)} has no pagerduty_configs: a heartbeat that falls silent would page nobody"
        problems.error((*path, "receiver"), message)


def _check_source(name: str | None, path: Path, specs: Sequence[schema.Source], problems: Problems) -> None:
    places = [("sources",), *(("sources", index, "name") for index in range(len(specs)))]
    if name is not None and all(spec.name != name for spec in specs) and not problems.gone(*places):
        message = f"undefined source {go_quote(name)} used in heartbeat: list it in sources, or leave it out for any"
        problems.error((*path, "source"), message, rule="undefined-name")
