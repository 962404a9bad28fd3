"""Says of an alerting rule what its alerts would do: receivers, severity, windows, dedup key."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from functools import cached_property

from relay.alert import Duration, Instant
from relay.event import Severity
from relay.promrules.expanding import Filled, Samples, fill
from relay.promrules.hours import hours
from relay.promrules.reaching import Reached, others, reach
from relay.promrules.reading import Rule
from relay.rules import severity as severities
from relay.rules.beginning import begins
from relay.rules.dedup import Field
from relay.rules.grouping import dedup_key, go_quote, group_key
from relay.rules.routing import walk
from relay.rules.rulebook import Rulebook
from relay.rules.ruleset import Route, Target

_THRESHOLD = re.compile(
    r"(?P<op>>=|<=|==|!=|>|<)\s*(?:bool\s+)?(?P<number>-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)\s*\)*\s*$", re.I
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of every rule."""

    book: Rulebook
    source: str = ""
    labels: Mapping[str, str] | None = None
    """What its alerts have beside the labels of the rule: of the series, or the external_labels of Prometheus."""
    value: float | None = None
    """What `$value` is; None: a number that the rule's own threshold would let through."""
    at: Instant | None = None
    """When it fires; None: at any time."""


@dataclass(frozen=True, slots=True)
class Muting:
    """One time interval of a route."""

    name: str
    kind: str
    """mute or active."""
    hours: str


@dataclass(frozen=True, slots=True)
class Page:
    """One page that an alert of the rule would open."""

    route: Route
    receiver: str
    target: Target
    severity: Severity
    defaulted: bool
    """Whether the label's value, or its absence, means nothing to the route's map."""
    dedup_key: str
    """"" where it depends on labels that are known only once it fires."""
    key_text: str
    """What the dedup key is made of; labels that are not known stand in angle brackets."""
    needs: tuple[str, ...]
    """Labels that are known only once it fires and that the key depends on."""
    muting: tuple[Muting, ...]
    outside: str
    """What those intervals do: drop, hold or downgrade; "" where there are none."""
    hold: Duration
    then: str = ""
    """What becomes of it at the time that was asked about, and why; "" where none was."""

    @property
    def urgency(self) -> str:
        """At a service with severity-based urgency."""
        return "high" if self.severity.urgent else "low"


@dataclass(frozen=True)
class Outlook:
    """Everything that can be said of a rule's alerts before one fires."""

    rule: Rule
    samples: Samples
    labels: Mapping[str, str]
    """Filled in, with the alertname and what was given besides."""
    runtime: frozenset[str]
    """Those of them that a template writes: the values are samples."""
    filled: Mapping[str, Filled]
    """The labels of the rule that are templates."""
    annotations: Mapping[str, Filled]
    routes: tuple[Route, ...]
    """Those that take it as far as its labels are known."""
    pages: tuple[Page, ...]
    reached: tuple[Reached, ...]
    book: Rulebook

    def targets(self, route: Route) -> tuple[Target, ...]:
        """Return the PagerDuty entries that a route leads to."""
        return self.book.targets(route)

    @cached_property
    def may_also(self) -> tuple[Reached, ...]:
        """Receivers it would go to instead, or as well, with other labels that are known only once it fires."""
        return tuple(others(self.reached, self.routes))

    @property
    def worst(self) -> Page | None:
        """The page with the worst severity."""
        return min(self.pages, key=lambda page: page.severity.rank, default=None)


def outlook(rule: Rule, asked: Asked) -> Outlook:
    """Say everything of one rule."""
    samples = _samples(rule, asked)
    filled = {name: fill(text.text, samples) for name, text in rule.labels.items() if "{{" in text.text}
    plain = {name: text.text for name, text in rule.labels.items()}
    written = {**plain, **{name: one.text for name, one in filled.items()}, "alertname": rule.alert}
    # Prometheus adds external labels where an alert has none of that name, and sends no empty ones.
    labels = {name: value for name, value in {**(asked.labels or {}), **written}.items() if value}
    known = {*labels, *plain} - filled.keys()
    severity_labels = {route.severity_label for route in walk(asked.book.rules.root)}

    def unknown(name: str) -> bool:
        return name in filled or (name not in known and name not in severity_labels)

    routes = asked.book.router.match(labels)
    return Outlook(
        rule,
        samples,
        labels,
        frozenset(filled),
        filled,
        {name: fill(text.text, samples) for name, text in rule.annotations.items()},
        routes,
        tuple(page for route in routes for page in _Pager(asked, labels, unknown).pages(route)),
        reach(asked.book.rules.root, labels, unknown),
        asked.book,
    )


class _Pager:
    """Works the pages of one rule out."""

    def __init__(self, asked: Asked, labels: Mapping[str, str], unknown: Callable[[str], bool]) -> None:
        self.asked, self.labels, self.unknown = asked, labels, unknown

    def pages(self, route: Route) -> list[Page]:
        if route.change:
            return []
        severity, default = severities.decide(route, self.labels)
        key, text, needs = self.key(route)
        windows = self.asked.book.rules.windows
        muting = tuple(
            Muting(name, kind, hours(windows[name]))
            for kind, names in (("mute", route.mute_time_intervals), ("active", route.active_time_intervals))
            for name in names
        )
        return [
            Page(
                route=route,
                receiver=target.receiver,
                target=target,
                severity=target.severity or severity,
                defaulted=default is not None and target.severity is None,
                dedup_key=key,
                key_text=text,
                needs=needs,
                muting=muting,
                outside=route.outside if muting else "",
                hold=route.hold_trigger.of(target.severity or severity),
                then=self.then(route),
            )
            for target in self.asked.book.targets(route)
        ]

    def then(self, route: Route) -> str:
        if self.asked.at is None:
            return ""
        found = begins(route, self.labels, self.asked.at, self.asked.book, source=self.asked.source)
        return ": ".join(part for part in (str(found.then), "; ".join(found.because)) if part)

    def key(self, route: Route) -> tuple[str, str, tuple[str, ...]]:
        """Return (dedup key, what it is made of, the labels it needs); the key is "" where it needs some."""
        if route.dedup_key is not None:
            return self.own_key(route)
        if route.group_by is None and not route.group_by_all:
            return "", "the group key of Alertmanager's own tree", ("the route's group in Alertmanager",)
        names = sorted(self.labels) if route.group_by_all else route.group_by or ()
        open_ = tuple(name for name in names if self.unknown(name))
        if not open_ and not route.group_by_all:
            text = group_key(route, self.labels)
            return dedup_key(self.asked.book.rules.namespace(self.asked.source), text), text, ()
        pairs = [
            f"{name}=<{name}>" if name in open_ else f"{name}={go_quote(self.labels[name])}"
            for name in names
            if name in open_ or self.labels.get(name)
        ]
        everything = ("every label of the alert",) if route.group_by_all else ()
        pairs += ["..."] if everything else []
        return "", f"{route.key}:{{{', '.join(pairs)}}}", everything or open_

    def own_key(self, route: Route) -> tuple[str, str, tuple[str, ...]]:
        assert route.dedup_key is not None
        fields = [part for part in route.dedup_key.parts if isinstance(part, Field)]
        open_ = {part.label for part in fields if part.name == "labels" and self.unknown(part.label)}
        needs = (*sorted(open_), *(["fingerprint"] if any(part.name == "fingerprint" for part in fields) else []))
        labels = {**self.labels, **{name: f"<{name}>" for name in open_}}
        text = route.dedup_key.evaluate(labels, self.asked.source, route.receiver, "<fingerprint>")
        if text or needs:
            return "" if needs else text, text, needs
        return self.key(replace(route, dedup_key=None))


def _samples(rule: Rule, asked: Asked) -> Samples:
    labels = asked.labels or {}
    value = asked.value if asked.value is not None else likely_value(rule.expr.text if rule.expr else "")
    return Samples(value, labels, labels)


def likely_value(expr: str) -> float:
    """Guess a `$value` from the threshold that an expression ends with: a tenth beyond it; 1 where there is none."""
    found = _THRESHOLD.search(expr)
    if found is None:
        return 1.0
    try:
        threshold = Decimal(found["number"])
    except InvalidOperation:
        return 1.0
    beyond = abs(threshold) / 10 or Decimal(1)
    step = {">": beyond, "<": -beyond, "!=": beyond}.get(found["op"], Decimal(0))
    return float(threshold + step)
