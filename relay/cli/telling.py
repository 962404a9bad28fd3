"""Writes answers out for a terminal: what happened first, then why, aligned."""

from collections.abc import Iterable, Sequence

from relay.answers import (
    ActAnswer,
    AttemptAnswer,
    DecisionAnswer,
    MemberAnswer,
    PageAnswer,
    PageLine,
    Pages,
)
from relay.cli.event_block import block

_ALERTS = 20
"""Alerts of a page that are listed."""
_ATTEMPTS = 10
_ACTS = 20
_LABELS = 160
"""Characters of an alert's labels that are shown."""


def tell_found(pages: Sequence[PageAnswer], decisions: Sequence[DecisionAnswer]) -> list[str]:
    """Tell of pages, each with its alerts and attempts, then of the decisions about them."""
    lines: list[str] = []
    for page in pages:
        lines += [*_page(page), ""]
    return [*lines, *decisions_of("decisions, newest first:", decisions)]


def tell_list(found: Pages) -> list[str]:
    """Tell how many pages there are of each state, then of each in a line, and below it how it stands."""
    pages, there = found.pages, sum(found.counts.values())
    if not pages:
        return ["no pages"]
    counted = ", ".join(f"{count} {_state_of(count, word)}" for word, count in found.counts.items())
    shown = "all shown" if len(pages) == there else f"the first {len(pages)} shown"
    heads = _columns([(page.id, page.state, page.severity, _name(page), page.opened_at or "") for page in pages])
    lines = [line for head, page in zip(heads, pages, strict=True) for line in (head.strip(), f"    {page.why}")]
    more = ["", f"and {there - len(pages)} more: see --limit"] if len(pages) < there else []
    return [f"{counted}; {shown}", "", *lines, *more]


def _state_of(count: int, word: str) -> str:
    return f"{word}s" if word == "dead letter" and count != 1 else word


def _name(page: PageLine) -> str:
    grouped = labels_of(page.group_labels.items())
    return f"{page.receiver}: {page.title} {{{grouped}}}" if grouped else f"{page.receiver}: {page.title}"


def _page(page: PageAnswer) -> list[str]:
    words = [
        ("why", page.why),
        ("receiver", f"{page.receiver} (integration {page.integration})"),
        ("dedup key", page.dedup_key),
        ("group", page.group_key),
        ("source", page.source or "/webhook"),
        ("state", f"wanted {page.wanted}, delivered {page.delivered}, {_in_step(page)}"),
        ("opened", page.opened_at),
        ("last sent", page.last_sent_at),
        ("last heard", page.heard_at),
        ("incident", _incident(page)),
        ("taken by", _had(page)),
        ("closed", page.closed_at),
        ("due", f"{page.due_at} in lane {page.lane}" if page.due_at else None),
        ("last error", page.last_error),
        ("last tried" if page.dead else "goes out", _rung(page)),
        ("linked page", page.successor),
        ("alerts", _counted(page)),
    ]
    stale = ", stale" if page.stale else ""
    lines = [f"page {page.id}: {page.state}, {page.severity}{stale}", *aligned(words)]
    lines += _columns([_member(member) for member in page.members[:_ALERTS]])
    if len(page.members) > _ALERTS:
        lines.append(f"    and {page.firing + page.resolved - _ALERTS} more")
    if page.acts:
        lines += ["  at PagerDuty, newest last:", *_columns([_act(one) for one in page.acts[-_ACTS:]])]
    if page.attempts:
        lines += ["  attempts, newest first:", *_columns([_attempt(one) for one in page.attempts[:_ATTEMPTS]])]
    if page.event:
        lines += ["  as PagerDuty shows what it was sent last:", *block(page.event)]
    return lines


def _rung(page: PageAnswer) -> str | None:
    return f"on the {page.rung} rung of the delivery ladder" if page.rung else None


def _incident(page: PageAnswer) -> str | None:
    number = f"#{page.incident_number}" if page.incident_number else page.incident
    return " ".join(filter(None, (number, page.incident_url))) or None


def _had(page: PageAnswer) -> str | None:
    if page.acknowledged_by:
        return f"{page.acknowledged_by}, acknowledged at {page.acknowledged_at}"
    return f"nobody; assigned to {', '.join(page.assignees)}" if page.assignees else None


def _act(act: ActAnswer) -> tuple[str, ...]:
    ignored = f"(changed nothing: {act.ignored})" if act.ignored else ""
    return (act.at or "", act.kind, act.who, " ".join(filter(None, (act.words, ignored))))


def _in_step(page: PageAnswer) -> str:
    if page.sent_revision == page.revision:
        return f"PagerDuty accepted revision {page.revision}"
    return f"revision {page.revision}, of which PagerDuty accepted {page.sent_revision or 'none'}"


def _counted(page: PageAnswer) -> str:
    kept = f" ({page.suppressed} suppressed)" if page.suppressed else ""
    if page.state == "folded":
        return f"none here: they were folded into page {page.folded}"
    return f"{page.firing} firing{kept}, {page.resolved} resolved"


def _member(member: MemberAnswer) -> tuple[str, ...]:
    since = f"since {member.since}" if member.since else ""
    notes = [
        f"suppressed: {member.suppressed}" if member.suppressed else "",
        f"stale since {member.stale_since}" if member.stale_since else "",
        f"absent since {member.absent_since}" if member.absent_since else "",
    ]
    note = "; ".join(filter(None, notes)) or labels_of(member.labels.items())
    return (member.status, member.severity, member.alertname, member.fingerprint, since, note)


def _attempt(attempt: AttemptAnswer) -> tuple[str, ...]:
    took = "" if attempt.took_ms is None else f"{attempt.took_ms:.0f} ms"
    said = ": ".join(part for part in (attempt.reason, attempt.message) if part)
    return (attempt.at or "", attempt.action, attempt.rung, attempt.lane, attempt.outcome, took, said)


def decisions_of(title: str, decisions: Sequence[DecisionAnswer]) -> list[str]:
    """Tell of decisions under a title; nothing where there are none."""
    lines = [title] if decisions else []
    for one in decisions:
        name = f"{one.alertname or '(no alertname)'} {one.fingerprint}: " if one.fingerprint else ""
        lines.append(f"  {one.at}  {one.status:8}  {name}{_became(one)}")
        lines += [f"      {step}" for step in one.steps]
    return lines


def _became(one: DecisionAnswer) -> str:
    if one.verdict == "folded" and len(one.pages) > 1:
        *homes, storm = one.pages
        return f"page {', '.join(homes)} folded into {storm}"
    pages = f" page {', '.join(one.pages)}" if one.pages else ""
    return ("fires no more in" if one.verdict == "resolves" else one.verdict) + pages


def labels_of(labels: Iterable[tuple[str, str]]) -> str:
    """Write labels in a line, the alertname left out."""
    text = ", ".join(f'{name}="{value}"' for name, value in labels if name != "alertname")
    return text if len(text) <= _LABELS else text[:_LABELS] + "…"


def aligned(words: Iterable[tuple[str, str | None]]) -> list[str]:
    """Align names and values; what has no value is left out."""
    return [f"  {name:<11}  {value}" for name, value in words if value]


def _columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Align rows in columns; one that is empty throughout takes no room."""
    if not rows:
        return []
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True) if width]
        lines.append("    " + "  ".join(cells).rstrip())
    return lines
