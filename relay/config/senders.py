"""Who speaks to the relay, and who must keep speaking: sources and heartbeats."""

from collections.abc import Sequence
from difflib import get_close_matches

from relay.alert import DAY
from relay.config import schema
from relay.config.problems import Problems
from relay.config.routes import match_fields
from relay.config.yaml import Path
from relay.rules.quoting import go_quote
from relay.rules.ruleset import Heartbeat, Source


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
    return found


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
    )


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
        if source.native_keys is None:
            message = (
                "with two or more sources each must say native_keys: true for the one whose dedup keys are "
                "Alertmanager's own, false for all others"
            )
            problems.error(("sources", index), message)


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
        problems.error((*path, "receiver"), f"undefined receiver {go_quote(name)} used in heartbeat{hint}")
    elif not specs[index].pagerduty_configs and not problems.gone(("receivers", index, "pagerduty_configs")):
        message = f"receiver {go_quote(name)} has no pagerduty_configs: a heartbeat that falls silent would page nobody"
        problems.error((*path, "receiver"), message)


def _check_source(name: str | None, path: Path, specs: Sequence[schema.Source], problems: Problems) -> None:
    places = [("sources",), *(("sources", index, "name") for index in range(len(specs)))]
    if name is not None and all(spec.name != name for spec in specs) and not problems.gone(*places):
        message = f"undefined source {go_quote(name)} used in heartbeat: list it in sources, or leave it out for any"
        problems.error((*path, "source"), message)
