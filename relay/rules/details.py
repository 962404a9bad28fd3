"""The default custom_details and links: what all share said once, then each alert with what is its own, worst first."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from relay.alert import DAY, Instant, moment
from relay.event import Link
from relay.rules.cleaning import LONGEST_ADDRESS, address, cut, line, prose
from relay.rules.differences import Parts, common, firing_count
from relay.rules.passing import passed
from relay.rules.view import MemberView, PageView

EARLIEST: Instant = 946_684_800_000_000
"""2000-01-01: a startsAt before it is no time anybody meant."""

LISTS = ("firing", "muted", "resolved")
"""The details that list alerts, in the order in which they are kept when there is no room for all."""

RUNBOOKS = ("runbook_url", "runbook", "runbookURL", "runbook_link")
_DASHBOARDS = ("dashboard_url", "dashboard", "dashboardURL", "grafana_url")
_LINKED = frozenset((*RUNBOOKS, *_DASHBOARDS, "__dashboardUid__", "__panelId__"))
MOST_OF_A_KIND = 3
"""Links to different runbooks (dashboards, graphs) of one page."""


def shared_details(view: PageView, parts: Parts) -> dict[str, Any]:
    """Say once what holds for the whole page."""
    annotations = {name: prose(text) for name, text in parts.annotations.items() if name not in _LINKED}
    details: dict[str, Any] = {
        name: annotations.pop(name) for name in ("summary", "message", "description") if annotations.get(name)
    }
    if view.notes:
        details["notes"] = [prose(note) for note in view.notes]
    details["num_firing"] = firing_count(view, parts)
    details["num_resolved"] = view.resolved
    if parts.muted:
        details["num_muted"] = len(parts.muted)
    details["labels"] = _ordered(parts.labels)
    if annotations:
        details["annotations"] = _ordered(annotations)
    return details


def listed(parts: Parts) -> dict[str, list[dict[str, Any]]]:
    """List the alerts by what they do, each with what it does not share with all the others, worst first."""
    everyone = (*parts.firing, *parts.muted, *parts.resolved)
    labels = common([parts.labels, *(member.labels for member in everyone)])
    annotations = common([parts.annotations, *(member.annotations for member in everyone)])
    severities = {member.severity for member in everyone}
    groups = {"firing": parts.firing, "muted": parts.muted, "resolved": parts.resolved}
    return {
        kind: [_entry(member, kind, labels, annotations, mixed=len(severities) > 1) for member in members]
        for kind, members in groups.items()
        if members or kind != "muted"
    }


def _entry(
    member: MemberView, kind: str, labels: Mapping[str, str], annotations: Mapping[str, str], *, mixed: bool
) -> dict[str, Any]:
    entry: dict[str, Any] = {"severity": str(member.severity)} if mixed else {}
    own = {name: value for name, value in member.labels.items() if labels.get(name) != value}
    if own:
        entry["labels"] = _ordered(own)
    said = {name: text for name, text in member.annotations.items() if annotations.get(name) != text}
    for name in ("summary", "message", "description"):
        if said.get(name):
            entry[name] = prose(said.pop(name))
    rest = {name: text for name, text in said.items() if name not in _LINKED and text}
    if rest:
        entry["annotations"] = _ordered(rest)
    runbook = next((said[name] for name in RUNBOOKS if said.get(name)), "")
    if runbook:
        entry["runbook"] = line(runbook)
    if kind == "muted":
        entry["muted"] = line(member.suppressed)
    if kind == "resolved":
        entry["until"] = written(member.ends_at)
    else:
        entry["since"] = written(member.starts_at)
    return entry


def _ordered(values: Mapping[str, str]) -> dict[str, str]:
    names = sorted(values, key=lambda name: (name != "alertname", name))
    return {line(name) or "?": prose(values[name]) for name in names}


def written(at: Instant) -> str:
    """Write a moment in UTC to the second; "unknown" where it is none anybody meant."""
    try:
        return moment(at).strftime("%Y-%m-%dT%H:%M:%SZ") if at >= EARLIEST else "unknown"
    except OverflowError:
        return "unknown"


def left_out(view: PageView, parts: Parts, lists: Mapping[str, Sequence[Any]]) -> str:
    """Say how many alerts are not listed, and where all of them are; "" if all are."""
    totals = {"firing": firing_count(view, parts), "muted": len(parts.muted), "resolved": view.resolved}
    missing = {kind: total - len(lists.get(kind, ())) for kind, total in totals.items()}
    said = " and ".join(f"{count:,} {kind}" for kind, count in missing.items() if count > 0)
    where = f"; all of them: {view.relay_url}" if view.relay_url else ""
    return f"{said} not listed here, for want of room{where}" if said else ""


def shortened(lists: Mapping[str, list[dict[str, Any]]], keep: int) -> dict[str, list[dict[str, Any]]]:
    """Keep the first `keep` alerts over all lists; the mildest go first."""
    kept = {}
    for kind in LISTS:
        if kind in lists:
            kept[kind] = lists[kind][:keep]
            keep -= len(kept[kind])
    return kept


def timestamp(view: PageView, parts: Parts) -> str:
    """Write when the first of the firing alerts began; "" where nothing sensible is known."""
    latest = view.now + DAY
    starts = [member.starts_at for member in parts.firing if EARLIEST <= member.starts_at <= latest]
    if not starts:
        return ""
    return moment(min(starts)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def links(view: PageView, parts: Parts) -> tuple[Link, ...]:
    """Lead to runbooks, dashboards, the alert's graph, the group in Alertmanager, and the page in the relay."""
    heads = parts.heads
    found = [
        *_kind("Runbook", [_first(member.annotations, RUNBOOKS) for member in heads]),
        *_kind("Dashboard", [_first(member.annotations, _DASHBOARDS) for member in heads]),
        *_kind("Graph", [member.generator_url for member in heads]),
        Link(href=alertmanager_link(view, parts), text="Alertmanager"),
        Link(href=address(view.relay_url), text="This page in Pagerelay"),
    ]
    return tuple(link for link in found if link.href)


def _first(values: Mapping[str, str], names: Sequence[str]) -> str:
    return next((values[name] for name in names if values.get(name)), "")


def _kind(text: str, candidates: Sequence[str]) -> list[Link]:
    distinct = [href for href in (address(one) for one in dict.fromkeys(candidates) if one) if href]
    kept = distinct[:MOST_OF_A_KIND]
    if len(kept) == 1:
        return [Link(href=kept[0], text=text)]
    return [Link(href=href, text=f"{text} {number}") for number, href in enumerate(kept, 1)]


def alertmanager_link(view: PageView, parts: Parts) -> str:
    """Address of this group in Alertmanager's own screens; "" if its address is unknown."""
    named = parts.labels.get("alertname", "")
    shown = {name: value for name, value in view.group_labels.items() if value} or (
        {"alertname": named} if named else {}
    )
    matchers = ",".join(f"{_quoted_name(name)}={_quoted(value)}" for name, value in shown.items())
    query = f"?filter={quote('{' + matchers + '}', safe='', errors='replace')}" if matchers else ""
    base = address(view.alertmanager_url.rstrip("/"))
    link = f"{base}/#/alerts{query}"
    return link if base and "#" not in base and len(link) <= LONGEST_ADDRESS else ""


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _quoted_name(name: str) -> str:
    return name if name.isascii() and name.replace("_", "a").isalnum() else _quoted(name)


def plain_line(view: PageView, parts: Parts, reason: str) -> str:
    """Say what fires without any template: `[critical] HighErrorRate: 3 firing (reason)`; of an event what it says."""
    why = f" ({cut(line(reason), 300)})" if reason else ""
    event = passed(view)
    if event is not None and event.texts.get("summary"):
        return cut(line(event.texts["summary"]), 700) + why
    names = dict.fromkeys(line(member.labels.get("alertname", "")) for member in parts.heads)
    known = [name for name in names if name]
    name = cut(", ".join(known[:3]), 200) or f"page {view.page}"
    firing = firing_count(view, parts)
    count = f"{firing} firing" if firing else f"{view.resolved} resolved"
    return f"[{view.severity}] {name}: {count}{why}"
