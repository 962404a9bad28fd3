"""Turn a well-formed configuration into the RuleSet, and check everything that needs two places to be seen at once."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from hashlib import sha256
from pathlib import Path as FilePath

from relay.alert import Duration
from relay.config import schema
from relay.config.account import AccountSecrets, read_account
from relay.config.changes import check_changes
from relay.config.intervals import read_windows
from relay.config.problems import Problems
from relay.config.quieting import check_quieting
from relay.config.receivers import Cast, ReceiverBuilder
from relay.config.routes import Timers, build_tree, hold, match_fields
from relay.config.secrets import SecretReader
from relay.config.senders import Credentials, check_stale, read_credentials, read_heartbeats, read_sources
from relay.config.texts import TextCheck
from relay.config.virtual_keys import VirtualKey, read_virtual_keys
from relay.config.yaml import Path
from relay.rules.matchers import valid_label_name
from relay.rules.quoting import go_quote
from relay.rules.ruleset import Account, Heartbeat, InhibitRule, Receiver, Route, RuleSet, Source
from relay.rules.windows import Window
from relay.secret import Secret

Known = tuple[str, str, str, int]
"""What the store remembers of an integration: (Integration.id, a key id, receiver name, index of the entry)."""


@dataclass(frozen=True, slots=True)
class Built:
    """What could be made of the file; only whole if no error was noted."""

    root: Route | None
    cast: Cast
    sources: Mapping[str, Source]
    windows: Mapping[str, Window]
    inhibit_rules: tuple[InhibitRule, ...]
    heartbeats: tuple[Heartbeat, ...]
    resolve_timeout: Duration
    meta_receiver: str
    heartbeat_url: Secret | None
    credentials: Mapping[str, Credentials]
    account: Account
    account_secrets: AccountSecrets
    virtual_keys: tuple[VirtualKey, ...]


def build(
    config: schema.Config,
    directory: FilePath,
    environ: Mapping[str, str],
    timers: Timers,
    texts: TextCheck,
    problems: Problems,
    secrets: SecretReader,
) -> Built:
    """Build everything the file speaks of, noting all that is wrong on the way."""
    windows = read_windows(config, environ, problems)
    inhibit_rules = tuple(_inhibit_rules(config, problems))
    cast = ReceiverBuilder(config, directory, environ, texts, problems, secrets).build()
    sources = read_sources(config.sources, problems)
    credentials = read_credentials(config.sources, problems, secrets)
    heartbeats = read_heartbeats(config, problems)
    root = None
    if config.route is None:
        message = "no routes provided: a `route` with a `receiver` is where every alert begins"
        problems.error((), message, rule="no-route")
    else:
        root = build_tree(config.route, timers, problems)
        _References(config, problems).check(config.route)
        check_stale(config.route, config.sources, problems)
        check_changes(config.route, root, cast, problems)
    meta, pulse = _meta_receiver(config, problems), _heartbeat_url(config.global_, problems, secrets)
    timeout = config.global_.resolve_timeout
    account, account_secrets = read_account(config, problems, secrets)
    if config.route is not None:
        check_quieting(config.route, config, problems, webhooks=account.webhooks)
    virtual = read_virtual_keys(config.sources, problems, secrets, {key.routing_key for key in cast.keys.values()})
    return Built(
        root,
        cast,
        sources,
        windows,
        inhibit_rules,
        heartbeats,
        timeout,
        meta,
        pulse,
        credentials,
        account,
        account_secrets,
        virtual,
    )


def rule_set(built: Built, text: bytes) -> RuleSet:
    """Put a faultless build together."""
    assert built.root is not None
    return RuleSet(
        root=built.root,
        receivers=built.cast.receivers,
        integrations=built.cast.integrations,
        sources=built.sources,
        windows=built.windows,
        inhibit_rules=built.inhibit_rules,
        heartbeats=built.heartbeats,
        account=built.account,
        meta_receiver=built.meta_receiver,
        resolve_timeout=built.resolve_timeout,
        fingerprint=sha256(text).hexdigest()[:16],
    )


def recognise(rules: RuleSet, known: Sequence[Known]) -> RuleSet:
    """Give integrations the ids they had before: by key first, by receiver name and position second.

    `known` comes from the store, newest first where two lines name one place. A place passes its id on only if its old
    key is nowhere in the file any more: else the receiver has moved to another integration.
    """
    by_key = {key: identity for identity, key, _, _ in reversed(known)}
    names = {key: by_key[key] for key in rules.integrations if key in by_key}
    by_place = {(receiver, index): identity for identity, _, receiver, index in reversed(known)}
    for receiver, index, key in places(rules):
        identity = by_place.get((receiver, index))
        if key not in names and identity is not None and identity not in names.values():
            names[key] = identity
    for key in rules.integrations:
        if key not in names:
            names[key] = _unused(key, set(names.values()))
    return _renamed(rules, names)


def places(rules: RuleSet) -> tuple[tuple[str, int, str], ...]:
    """List where integrations are used: (receiver name, index of the entry, Integration.key_id)."""
    keys = {integration.id: integration.key_id for integration in rules.integrations.values()}
    return tuple(
        (target.receiver, target.index, keys[target.integration])
        for receiver in rules.receivers.values()
        for target in receiver.targets
    )


def remembered(rules: RuleSet) -> tuple[Known, ...]:
    """List what the store should remember, for `recognise` to find at the next load."""
    ids = {integration.key_id: integration.id for integration in rules.integrations.values()}
    return tuple((ids[key], key, receiver, index) for receiver, index, key in places(rules))


def _unused(key: str, taken: set[str]) -> str:
    """Name a new integration after its key, unless an old one (now with another key) has that name."""
    number, identity = 1, key
    while identity in taken:
        number += 1
        identity = sha256(f"{key}/{number}".encode()).hexdigest()[:16]
    return identity


def _renamed(rules: RuleSet, names: Mapping[str, str]) -> RuleSet:
    current = {integration.id: names[integration.key_id] for integration in rules.integrations.values()}
    return replace(
        rules,
        integrations={current[old]: replace(item, id=current[old]) for old, item in rules.integrations.items()},
        receivers={name: _moved(receiver, current) for name, receiver in rules.receivers.items()},
    )


def _moved(receiver: Receiver, current: Mapping[str, str]) -> Receiver:
    targets = (replace(target, integration=current[target.integration]) for target in receiver.targets)
    return replace(receiver, targets=tuple(targets))


def _meta_receiver(config: schema.Config, problems: Problems) -> str:
    """Check the receiver of what the relay has to say of itself; "" where the file names none."""
    name, path = config.global_.meta_receiver or "", ("global", "meta_receiver")
    names = [spec.name for spec in config.receivers]
    if not name or problems.gone(path, ("receivers",), *(("receivers", index, "name") for index in range(len(names)))):
        return name
    if name not in names:
        near = get_close_matches(name, names, n=1, cutoff=0.6)
        hint = f"did you mean {go_quote(near[0])}?" if near else "add it to receivers, or take meta_receiver out"
        problems.error(
            path, f"undefined receiver {go_quote(name)} used as meta_receiver; {hint}", rule="undefined-name"
        )
        return name
    index = names.index(name)
    if not config.receivers[index].pagerduty_configs and not problems.gone(("receivers", index, "pagerduty_configs")):
        message = f"receiver {go_quote(name)} has no pagerduty_configs: nobody would hear of the relay's own trouble"
        problems.error(path, f"{message}; give it one with a routing key of its own, or name another receiver")
    return name


def _heartbeat_url(spec: schema.Global, problems: Problems, secrets: SecretReader) -> Secret | None:
    """Read the address that is told each minute that the relay is alive; None where there is none."""
    here: Path = ("global", "heartbeat_url")
    if spec.heartbeat_url_file is not None:
        file: Path = ("global", "heartbeat_url_file")
        if spec.heartbeat_url is not None:
            problems.error(file, "at most one of heartbeat_url & heartbeat_url_file must be configured", key=True)
        return secrets.file(spec.heartbeat_url_file, file, "the heartbeat's URL", _url_fault)
    url = secrets.value(spec.heartbeat_url, here) if spec.heartbeat_url is not None else None
    if url is not None and (fault := _url_fault(url.reveal())):
        problems.error(here, fault)
        return None
    return url


def _url_fault(text: str) -> str:
    """Say what is wrong with a URL that is a secret, without showing it; "" if nothing is."""
    try:
        schema.http_url(text)
    except ValueError:
        return "not an http:// or https:// URL without a user and password in it"
    return ""


def _inhibit_rules(config: schema.Config, problems: Problems) -> Iterator[InhibitRule]:
    for index, rule in enumerate(config.inhibit_rules):
        path: Path = ("inhibit_rules", index)
        for number, label in enumerate(rule.equal):
            if not valid_label_name(label):
                problems.error((*path, "equal", number), f"invalid label name {go_quote(label)} in equal list")
        delay = config.global_.inhibit_hold if rule.inhibit_hold is None else rule.inhibit_hold
        yield InhibitRule(
            name=rule.name,
            source=match_fields(
                rule.source_match, rule.source_match_re, rule.source_matchers, path, problems, "source_"
            ),
            target=match_fields(
                rule.target_match, rule.target_match_re, rule.target_matchers, path, problems, "target_"
            ),
            equal=tuple(sorted(set(rule.equal))),
            hold=hold(delay, critical=False),
            across_sources=rule.across_sources,
            line=problems.line(path),
        )


class _References:
    """Check that every receiver and time interval a route names is there."""

    def __init__(self, config: schema.Config, problems: Problems) -> None:
        self.problems = problems
        self.receivers = self._names(config, "receivers")
        self.intervals = self._names(config, "mute_time_intervals", "time_intervals")

    def check(self, route: schema.Route, path: Path = ("route",)) -> None:
        if route.receiver and not self._has(self.receivers, route.receiver):
            near = get_close_matches(route.receiver, self.receivers or (), n=1, cutoff=0.6)
            hint = f"; did you mean {go_quote(near[0])}?" if near else ""
            message = f"undefined receiver {go_quote(route.receiver)} used in route{hint}"
            self.problems.error((*path, "receiver"), message, rule="undefined-name")
        for section in ("mute_time_intervals", "active_time_intervals"):
            for index, name in enumerate(getattr(route, section)):
                if not self._has(self.intervals, name):
                    near = get_close_matches(name, self.intervals or (), n=1, cutoff=0.6)
                    hint = f"; did you mean {go_quote(near[0])}?" if near else ""
                    message = f"undefined time interval {go_quote(name)} used in route{hint}"
                    self.problems.error((*path, section, index), message, rule="undefined-name")
        for index, child in enumerate(route.routes):
            self.check(child, (*path, "routes", index))

    def _names(self, config: schema.Config, *sections: str) -> set[str] | None:
        """List the names of sections; None if one of them could not be read, so nothing can be said."""
        items = [
            ((section, index), item) for section in sections for index, item in enumerate(getattr(config, section))
        ]
        places = [(section,) for section in sections] + [(*path, "name") for path, _ in items]
        return None if self.problems.gone(*places) else {item.name for _, item in items}

    def _has(self, names: set[str] | None, name: str) -> bool:
        return names is None or name in names
