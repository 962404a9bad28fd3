"""Renders sample pages by every receiver's own texts, in the relay's bounded worker: which template would fail."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from relay.alert import HOUR, MINUTE, Instant, Status
from relay.config import Examined
from relay.config.yaml import Path
from relay.event import Rendered, Severity
from relay.rendering import Renderer, read_sources
from relay.rules.routing import walk
from relay.rules.ruleset import Target, Texts
from relay.rules.view import MemberView, PageView

_LABELS = {
    "alertname": "HighErrorRate",
    "cluster": "eu-1",
    "instance": "10.0.0.7:9100",
    "job": "checkout",
    "namespace": "shop",
    "service": "checkout",
    "severity": "critical",
    "team": "payments",
}
_ANNOTATIONS = {
    "summary": "5 % of requests fail",
    "description": "checkout answers 5 % of its requests with 500",
    "runbook_url": "https://runbooks.example.com/HighErrorRate",
    "dashboard_url": "https://grafana.example.com/d/checkout",
}
_FAILED = re.compile(r'Template "(.*)" failed \((.*)\); a plain text stands in its place\.', re.DOTALL)
_PART = re.compile(r"([\w]+)(?:\[(\d+)\])?")


@dataclass(frozen=True, slots=True)
class Failure:
    """A template that did not come out well."""

    path: Path
    message: str


async def failures(examined: Examined, now: Instant) -> tuple[list[Failure], str]:
    """Render samples; return what failed, and why nothing could be tried ("" where it could)."""
    jobs = list(_jobs(examined, now))
    if not jobs:
        return [], ""
    renderer = Renderer(read_sources(tuple(examined.templates)))
    await renderer.start()
    try:
        rendered = await renderer.render([(job.view, job.texts) for job in jobs])
        problem = renderer.problem
    finally:
        await renderer.close()
    found: dict[Path, Failure] = {}
    for job, one in zip(jobs, rendered, strict=True):
        for failure in _failed(job, one):
            found.setdefault(failure.path, failure)
    return ([], problem) if problem else (list(found.values()), "")


@dataclass(frozen=True, slots=True)
class _Job:
    path: Path
    texts: Texts
    view: PageView
    what: str
    """The sample, in words."""
    whole: bool
    """Whether it has all that alerts ought to have."""


def _jobs(examined: Examined, now: Instant) -> Iterator[_Job]:
    if examined.built is None or examined.config is None:
        return
    indexes = {spec.name: index for index, spec in reversed(list(enumerate(examined.config.receivers)))}
    asked = _asked_labels(examined)
    for receiver in examined.built.cast.receivers.values():
        for target in receiver.targets:
            if target.texts == Texts() and not examined.templates:
                continue
            path: Path = ("receivers", indexes[receiver.name], "pagerduty_configs", target.index)
            yield from _samples(path, target, {**_LABELS, **asked.get(receiver.name, {})}, now)


def _asked_labels(examined: Examined) -> Mapping[str, Mapping[str, str]]:
    """Say by receiver which labels the first route that leads there asks for, as far as it names their values."""
    found: dict[str, dict[str, str]] = {}
    for route in walk(examined.root) if examined.root is not None else ():
        named = {matcher.name: min(matcher.values) for matcher in route.matchers if matcher.values}
        found.setdefault(route.receiver, {name: value for name, value in named.items() if value})
    return found


def _samples(path: Path, target: Target, labels: Mapping[str, str], now: Instant) -> Iterator[_Job]:
    full = _member(labels, _ANNOTATIONS, now)
    others = [_member({**labels, "instance": f"10.0.0.{last}:9100"}, _ANNOTATIONS, now) for last in (8, 9)]
    over = _member({**labels, "instance": "10.0.0.10:9100"}, _ANNOTATIONS, now, firing=False)
    bare = _member({"alertname": labels["alertname"]}, {}, now)
    for members, what, whole in (
        ([full], "of one alert", True),
        ([full, *others, over], "of four alerts", True),
        ([bare], "of an alert without annotations and further labels", False),
    ):
        yield _Job(path, target.texts, _page(target.receiver, members, now), what, whole)


def _member(
    labels: Mapping[str, str], annotations: Mapping[str, str], now: Instant, *, firing: bool = True
) -> MemberView:
    return MemberView(
        status=Status.FIRING if firing else Status.RESOLVED,
        labels=labels,
        annotations=annotations,
        starts_at=now - HOUR,
        ends_at=0 if firing else now - MINUTE,
        generator_url="http://prometheus.example.com/graph?g0.expr=up",
        fingerprint="0123456789abcdef",
        severity=Severity.CRITICAL,
    )


def _page(receiver: str, members: Sequence[MemberView], now: Instant) -> PageView:
    firing = sum(member.status is Status.FIRING for member in members)
    group = {"alertname": members[0].labels["alertname"]}
    return PageView(
        page="aaaaaaaaaaaab",
        dedup_key="0" * 64,
        receiver=receiver,
        source="default",
        severity=Severity.CRITICAL,
        group_key=f'{{}}:{{alertname="{group["alertname"]}"}}',
        group_labels=group,
        alertmanager_url="http://alertmanager.example.com",
        relay_url="https://relay.example.com/pages/aaaaaaaaaaaab",
        now=now,
        members=tuple(members),
        firing=firing,
        resolved=len(members) - firing,
    )


def _failed(job: _Job, rendered: Rendered) -> Iterator[Failure]:
    told = set()
    for step in rendered.steps:
        if found := _FAILED.fullmatch(step.because):
            told.add(found[1])
            message = f"fails on a sample page {job.what}: {found[2]}; mend it: pages go out with a plain text here"
            yield Failure(_place(job, found[1]), message)
        elif job.whole and step.because.startswith('"'):
            field, _, rest = step.because.removeprefix('"').partition('" ')
            yield Failure(_place(job, field), f"on a sample page {job.what} this {rest}")
    for field in rendered.failed_fields:
        if field not in told:
            yield Failure(_place(job, field), f"fails on a sample page {job.what}; mend it: pages go out without it")


def _place(job: _Job, field: str) -> Path:
    """Find where a field of the event is written; a default of `templates` has no place of its own."""
    if field == "default_summary" or field.endswith(" (default)"):
        return ("templates",)
    if field.startswith("details."):
        return (*job.path, "details", field.removeprefix("details."))
    parts: list[str | int] = []
    for name, index in _PART.findall(field):
        parts += [name, int(index)] if index else [name]
    return (*job.path, *parts)
