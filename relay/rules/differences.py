"""What the members of a page share, where they differ, and how many they are: the words of the default page."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from relay.alert import Status
from relay.rules.cleaning import cut, line
from relay.rules.view import MemberView, PageView

# What a person looks for first, best first: the thing that is broken ...
THINGS = (
    "pod", "instance", "host", "hostname", "node", "nodename", "target", "device", "mountpoint", "volume",
    "persistentvolumeclaim", "container", "deployment", "statefulset", "daemonset", "job_name", "queue", "topic",
    "consumergroup", "database", "datname", "name",
)  # fmt: skip
# A pod says it all: no need for its address and machine in a line.
_ADDRESSES = frozenset(("instance", "host", "hostname", "node", "nodename", "target", "container"))
# ... whose it is ...
SERVICES = ("service", "app", "application", "component", "job", "namespace")
# ... and where.
PLACES = ("cluster", "environment", "env", "region", "datacenter", "dc", "zone", "availability_zone")
# Labels that tell instances apart to machines only.
_NOISE = frozenset((
    "uid", "id", "container_id", "image", "image_id", "endpoint", "prometheus", "replica", "prometheus_replica",
    "pod_template_hash", "controller_revision_hash", "monitor", "metrics_path",
))  # fmt: skip
_PREFERENCE = {name: rank for rank, name in enumerate((*THINGS, *SERVICES, *PLACES))}
_NOT_A_DIFFERENCE = ("alertname", "severity", "priority")

SUMMARIES = ("summary", "title", "message", "description")
"""Annotations that say in a line what is wrong, best first."""

MOST_VALUES = 5
LONGEST_SHOWN = 40
LONGEST_ABOUT = 160


@dataclass(frozen=True, slots=True)
class Words:
    """A page in words; every part may be "" but `name`."""

    name: str
    """`HighErrorRate`, or `HighErrorRate, DiskFull +2`."""
    about: str
    """What is wrong, or whose it is: the summary all members share, else their service."""
    where: str
    """`cluster=eu1, namespace=shop`: what they share."""
    count: str
    """`3 of 5 firing`; "" for a single one."""
    differs: str
    """`pod a, b, c +4`: what tells them apart."""

    @property
    def tail(self) -> str:
        """where, count and differs, as they stand in the brackets of the default summary."""
        count = ": ".join(part for part in (self.count, self.differs) if part)
        return ", ".join(part for part in (self.where, count) if part)

    @property
    def line(self) -> str:
        """The whole page in a line, without its severity."""
        starts_alike = self.about.lower().startswith(self.name.lower())
        head = self.about if starts_alike else ": ".join(part for part in (self.name, self.about) if part)
        return f"{head} ({self.tail})" if self.tail else head


@dataclass(frozen=True, slots=True)
class Parts:
    """The members of a page by what they do, and what those that matter share."""

    firing: tuple[MemberView, ...]
    """Those that fire and are not muted; if all that fires is muted, those."""
    resolved: tuple[MemberView, ...]
    muted: tuple[MemberView, ...]
    """Those that fire and are muted, where something else fires."""
    labels: Mapping[str, str]
    """Common to all of `heads`."""
    annotations: Mapping[str, str]

    @property
    def heads(self) -> tuple[MemberView, ...]:
        """The members the page speaks of: those that fire, or all if none does."""
        return self.firing or self.resolved


def parts(view: PageView) -> Parts:
    """Sort a page's members and say what they share, as Alertmanager does for a group."""
    fires = [member for member in view.members if member.status == Status.FIRING]
    loud = tuple(member for member in fires if not member.suppressed) or tuple(fires)
    muted = tuple(member for member in fires if member.suppressed) if len(loud) < len(fires) else ()
    resolved = tuple(member for member in view.members if member.status != Status.FIRING)
    heads = loud or resolved
    return Parts(
        loud,
        resolved,
        muted,
        labels=common([member.labels for member in heads]),
        annotations=common([member.annotations for member in heads]),
    )


def common(maps: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Keep the pairs that every map has."""
    if not maps:
        return {}
    shared = set(maps[0].items())
    for one in maps[1:]:
        shared &= one.items()
        if not shared:
            return {}
    return {name: value for name, value in maps[0].items() if (name, value) in shared}


def firing_count(view: PageView, parts: Parts) -> int:
    """How many fire and are not muted; exact as far as members are shown."""
    return max(view.firing - len(parts.muted), len(parts.firing))


def words(view: PageView, parts: Parts) -> Words:
    """Put a page in words."""
    name = _name(view, parts)
    subject = _about(parts) or _value(parts.labels, SERVICES)
    alone = len(parts.heads) == 1
    return Words(
        name=name,
        about=cut(subject, LONGEST_ABOUT),
        where=_where(view, parts.labels, f"{name} {subject}", alone),
        count=_count(view, parts),
        differs="" if alone else "; ".join(_listed(label, parts.heads) for label in _telling(parts.heads)),
    )


def _name(view: PageView, parts: Parts) -> str:
    shared = _shown(parts.labels.get("alertname", ""))
    if shared:
        return shared
    names = _distinct(_shown(member.labels.get("alertname", "")) for member in parts.heads)
    if names:
        return ", ".join(names[:2]) + (f" +{len(names) - 2}" if len(names) > 2 else "")
    grouped = _shown(view.group_labels.get("alertname", ""))
    if grouped:
        return grouped
    pairs = [f"{label}={_shown(value)}" for label, value in view.group_labels.items() if line(value)]
    return ", ".join(pairs[:3]) or next((_first_pair(member) for member in parts.heads), f"page {view.page}")


def _first_pair(member: MemberView) -> str:
    best = sorted((name for name, value in member.labels.items() if line(value)), key=_rank)
    if best:
        return f"{_shown(best[0])}={_shown(member.labels[best[0]])}"
    return f"alert {member.fingerprint}"


def _about(parts: Parts) -> str:
    found = (line(parts.annotations[name]) for name in SUMMARIES if name in parts.annotations)
    return next((text for text in found if text), "").removesuffix(".")


def _value(labels: Mapping[str, str], names: Iterable[str]) -> str:
    return next((text for text in (_shown(labels[name]) for name in names if name in labels) if text), "")


def _where(view: PageView, labels: Mapping[str, str], told: str, alone: bool) -> str:
    grouped = [name for name in view.group_labels if name not in _NOT_A_DIFFERENCE]
    things = [name for name in THINGS if name not in _ADDRESSES] if "pod" in labels else THINGS
    wanted = [*PLACES, *grouped, *(things if alone else ()), *SERVICES]
    said: list[str] = []
    seen: set[str] = set()
    for name in dict.fromkeys(wanted):
        value = _shown(labels[name]) if name in labels else ""
        if value and value not in seen and not _says(told, value):
            seen.add(value)
            said.append(f"{_shown(name)}={value}")
    if alone and not said:
        others = sorted((name for name in labels if name not in _NOT_A_DIFFERENCE), key=_rank)
        untold = [(name, _shown(labels[name])) for name in others if not _says(told, _shown(labels[name]))]
        said = [f"{_shown(name)}={value}" for name, value in untold[:2] if value]
    return ", ".join(said[:4])


def _says(text: str, value: str) -> bool:
    return value in text and re.search(rf"(?<!\w){re.escape(value)}(?!\w)", text) is not None


def _count(view: PageView, parts: Parts) -> str:
    firing = firing_count(view, parts)
    muted = f", {len(parts.muted)} muted" if parts.muted else ""
    if not parts.firing:
        return f"{view.resolved} resolved" if view.resolved > 1 else "resolved"
    if view.resolved:
        return f"{firing} of {firing + view.resolved} firing{muted}"
    return f"{firing} firing{muted}" if firing > 1 or muted else ""


def _telling(members: Sequence[MemberView]) -> list[str]:
    """Name the one or two labels that tell the members apart best."""
    kinds = {name: kind for name, kind in _kinds(members).items() if kind > 1}
    best = sorted(kinds, key=lambda name: (name in _NOISE, -kinds[name], _rank(name)))
    if not best or kinds[best[0]] == len(members):
        return best[:1]
    return best[:2]


def _kinds(members: Sequence[MemberView]) -> dict[str, int]:
    names = {name for member in members for name in member.labels}
    chosen = (name for name in names if name not in _NOT_A_DIFFERENCE and not name.startswith("__"))
    return {name: len({member.labels.get(name, "") for member in members}) for name in chosen}


def _rank(name: str) -> tuple[int, int, str]:
    return (name in _NOISE, _PREFERENCE.get(name, len(_PREFERENCE)), name)


def _listed(label: str, members: Sequence[MemberView]) -> str:
    values = _distinct(_shown(member.labels.get(label, "")) for member in members)
    more = f" +{len(values) - MOST_VALUES}" if len(values) > MOST_VALUES else ""
    return f"{_shown(label)} {', '.join(values[:MOST_VALUES])}{more}"


def _distinct(values: Iterable[str]) -> list[str]:
    return [value for value in dict.fromkeys(values) if value]


def _shown(text: str) -> str:
    return cut(line(text), LONGEST_SHOWN)
