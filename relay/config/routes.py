"""Turn the routing tree of a file into Route objects with everything inherited filled in."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from relay.alert import HOUR, MINUTE, Duration
from relay.config import schema
from relay.config.problems import Problems
from relay.config.yaml import Path
from relay.event import Severity
from relay.rules.dedup import DedupTemplate, parse_dedup
from relay.rules.grouping import route_key
from relay.rules.matchers import Matcher, MatcherError, parse_matchers, valid_label_name
from relay.rules.quoting import go_quote
from relay.rules.ruleset import Flap, Hold, Regroup, Route, SeverityMap
from relay.rules.severity import STANDARD, fold

ALL_LABELS = "..."


@dataclass(frozen=True, slots=True)
class Timers:
    """What a root route that sets no timers gets, in microseconds."""

    group_wait: Duration = 0
    group_interval: Duration = MINUTE
    repeat_interval: Duration = 4 * HOUR


def build_tree(root: schema.Route, timers: Timers, problems: Problems) -> Route:
    """Build the tree; what is wrong in it is reported and left out."""
    _check_root(root, problems)
    top = Route(
        id="{}",
        key="{}",
        order=0,
        receiver="",
        group_wait=timers.group_wait,
        group_interval=timers.group_interval,
        repeat_interval=timers.repeat_interval,
        severity=STANDARD,
    )
    return _Builder(problems).node(root, ("route",), replace(top, receiver=root.receiver or ""))


def _check_root(root: schema.Route, problems: Problems) -> None:
    if not root.receiver and not problems.gone(("route", "receiver")):
        problems.error(("route",), "root route must specify a default receiver", key=True)
    for name in ("match", "match_re", "matchers"):
        if getattr(root, name):
            problems.error(("route", name), "root route must not have any matchers", key=True)
    if root.mute_time_intervals:
        problems.error(("route", "mute_time_intervals"), "root route must not have any mute time intervals", key=True)
    if root.active_time_intervals:
        path = ("route", "active_time_intervals")
        problems.error(path, "root route must not have any active time intervals", key=True)
    if root.continue_:
        problems.error(("route", "continue"), "cannot have continue in root route", key=True)


class _Builder:
    """Walk the tree depth first, counting routes."""

    def __init__(self, problems: Problems) -> None:
        self.problems = problems
        self.order = 0

    def node(self, spec: schema.Route, path: Path, base: Route) -> Route:
        """Build one route from what it says and what it inherits (`base`: all of it filled in, no children yet)."""
        order, self.order = self.order, self.order + 1
        mine = replace(
            base,
            order=order,
            line=self.problems.line(path),
            continue_=spec.continue_,
            mute_time_intervals=tuple(spec.mute_time_intervals),
            active_time_intervals=tuple(spec.active_time_intervals),
        )
        mine = self._waiting(spec, self._grouped(spec, path, self._timed(spec, path, mine)))
        mine = self._paging(spec, path, mine)
        self._check_labels(spec, path)
        children = (self._child(child, (*path, "routes", index), mine) for index, child in enumerate(spec.routes))
        return replace(mine, routes=tuple(children))

    def _child(self, spec: schema.Route, path: Path, parent: Route) -> Route:
        found = match_fields(spec.match, spec.match_re, spec.matchers, path, self.problems)
        base = replace(
            parent,
            id=f"{route_key(parent.id, found)}/{path[-1]}",
            key=route_key(parent.key, found),
            receiver=spec.receiver or parent.receiver,
            matchers=found,
        )
        return self.node(spec, path, base)

    def _timed(self, spec: schema.Route, path: Path, base: Route) -> Route:
        for name in ("group_interval", "repeat_interval"):
            if getattr(spec, name) == 0:
                self.problems.error((*path, name), f"{name} cannot be zero")
        return replace(
            base,
            group_wait=base.group_wait if spec.group_wait is None else spec.group_wait,
            group_interval=spec.group_interval or base.group_interval,
            repeat_interval=spec.repeat_interval or base.repeat_interval,
        )

    def _grouped(self, spec: schema.Route, path: Path, base: Route) -> Route:
        """Say how alerts become pages; group_by takes the place of an inherited dedup_key, and the other way round."""
        if spec.group_by is not None and spec.dedup_key is not None:
            message = "group_by and dedup_key both say what becomes one page: keep one of them"
            self.problems.error((*path, "dedup_key"), message, key=True)
        if spec.dedup_key is not None:
            dedup_key = self._dedup_key(spec.dedup_key, (*path, "dedup_key"))
            return replace(base, dedup_key=dedup_key, group_by=None, group_by_all=False)
        if spec.group_by is not None:
            self._check_group_by(spec.group_by, (*path, "group_by"))
            everything = ALL_LABELS in spec.group_by
            labels = () if everything else tuple(sorted(set(spec.group_by)))
            return replace(base, dedup_key=None, group_by=labels, group_by_all=everything)
        return base

    def _dedup_key(self, text: str, path: Path) -> DedupTemplate | None:
        try:
            return parse_dedup(text)
        except ValueError as error:
            self.problems.error(path, str(error))
            return None

    def _check_group_by(self, labels: list[str], path: Path) -> None:
        seen: set[str] = set()
        for index, label in enumerate(labels):
            if label != ALL_LABELS and not valid_label_name(label):
                self.problems.error((*path, index), f"invalid label name {go_quote(label)} in group_by list")
            if label != ALL_LABELS and label in seen:
                self.problems.error((*path, index), f"duplicated label {go_quote(label)} in group_by")
            seen.add(label)
        if ALL_LABELS in seen and len(seen) > 1:
            message = "cannot have wildcard group_by (`...`) and other labels at the same time"
            self.problems.error(path, message)

    def _paging(self, spec: schema.Route, path: Path, base: Route) -> Route:
        if spec.severity_label is not None and not valid_label_name(spec.severity_label):
            self.problems.error((*path, "severity_label"), f"invalid label name {go_quote(spec.severity_label)}")
        return replace(
            base,
            severity=base.severity if spec.severity is None else self._severity(spec.severity, (*path, "severity")),
            severity_label=spec.severity_label or base.severity_label,
            regroup=base.regroup if spec.regroup is None else _regroup(spec.regroup),
            on_mute=spec.on_mute or base.on_mute,
            on_stale=spec.on_stale or base.on_stale,
            on_pd_resolve=spec.on_pd_resolve or base.on_pd_resolve,
            on_acknowledge=spec.on_acknowledge or base.on_acknowledge,
            change=base.change if spec.change is None else spec.change,
        )

    def _waiting(self, spec: schema.Route, base: Route) -> Route:
        """Say how long what is held, and what windows do."""
        trigger, resolve = spec.hold_trigger, spec.hold_resolve
        return replace(
            base,
            hold_trigger=base.hold_trigger if trigger is None else hold(trigger, critical=False),
            hold_resolve=base.hold_resolve if resolve is None else hold(resolve, critical=True),
            flap=base.flap if spec.flap is None else _flap(spec.flap),
            outside=spec.outside or base.outside,
        )

    def _severity(self, words: Mapping[str, str], path: Path) -> SeverityMap:
        """Read a severity map; `default` is for every other value, and for none."""
        found: dict[str, Severity] = {}
        for key, word in words.items():
            if word not in list(Severity):
                message = f"{go_quote(word)} is not a severity at PagerDuty: write critical, error, warning or info"
                self.problems.error((*path, key), message)
            elif fold(key) in found:
                self.problems.error(
                    (*path, key), f"{go_quote(key)} is there twice: values compare without case", key=True
                )
            else:
                found[fold(key)] = Severity(word)
        return SeverityMap(found, found.pop("default", Severity.ERROR))

    def _check_labels(self, spec: schema.Route, path: Path) -> None:
        for name in spec.labels:
            if not valid_label_name(name):
                message = f"invalid label name {go_quote(name)} in route labels"
                self.problems.error((*path, "labels", name), message, key=True)


def hold(delay: schema.Hold | Duration, *, critical: bool) -> Hold:
    """Read a delay: a map holds as it says; one duration holds every severity, criticals only if they may be held."""
    if isinstance(delay, schema.Hold):
        named = {severity: getattr(delay, severity) for severity in Severity}
        return Hold({severity: length for severity, length in named.items() if length is not None}, delay.default)
    return Hold({} if critical else {Severity.CRITICAL: 0}, delay)


def _flap(spec: schema.Flap | bool) -> Flap | None:
    return Flap(spec.changes, spec.within, spec.hold) if isinstance(spec, schema.Flap) else None


def _regroup(spec: schema.Regroup) -> Regroup:
    return Regroup(urgency=spec.urgency, growth=spec.growth, worse_severity=spec.worse_severity)


def match_fields(
    match: Mapping[str, str],
    match_re: Mapping[str, str | None],
    matchers: list[str],
    path: Path,
    problems: Problems,
    prefix: str = "",
) -> tuple[Matcher, ...]:
    """Read `match`, `match_re` and `matchers` (with a prefix in inhibit rules) as one list that must all hold."""
    return (
        *_read_match(match, (*path, f"{prefix}match"), problems),
        *_read_match_re(match_re, (*path, f"{prefix}match_re"), problems),
        *_read_matchers(matchers, (*path, f"{prefix}matchers"), problems),
    )


def _read_match(match: Mapping[str, str], path: Path, problems: Problems) -> Iterator[Matcher]:
    for name, value in match.items():
        if not valid_label_name(name, "classic"):
            problems.error((*path, name), f"invalid label name {go_quote(name)}", key=True)
        else:
            yield Matcher("=", name, value)


def _read_match_re(match_re: Mapping[str, str | None], path: Path, problems: Problems) -> Iterator[Matcher]:
    for name, value in match_re.items():
        if not valid_label_name(name, "classic"):
            problems.error((*path, name), f"invalid label name {go_quote(name)}", key=True)
        elif value is None:
            problems.error((*path, name), f"invalid regexp value for {go_quote(name)}")
        else:
            try:
                # Alertmanager keeps the anchors in the text, so they are part of its route keys (dispatch/route.go).
                yield Matcher("=~", name, f"^(?:{value})$")
            except MatcherError as error:
                problems.error((*path, name), str(error), rule="matcher-syntax")


def _read_matchers(matchers: list[str], path: Path, problems: Problems) -> Iterator[Matcher]:
    for index, text in enumerate(matchers):
        try:
            found, warnings = parse_matchers(text)
        except MatcherError as error:
            problems.error((*path, index), str(error), rule="matcher-syntax")
            continue
        for warning in warnings:
            problems.warn((*path, index), warning, rule="matcher-syntax")
        yield from found
