"""Writes out what explain says would become of alerts: routes, rules, pages, and the events PagerDuty would get."""

from collections.abc import Iterable, Iterator, Sequence

from relay.answers import DecisionAnswer, EventAnswer, ExplainAnswer, ExplainedAlert
from relay.cli.event_block import block
from relay.cli.telling import aligned, decisions_of, labels_of


def tell_explained(explained: ExplainAnswer, decisions: Sequence[DecisionAnswer], *, asked_for_time: bool) -> list[str]:
    """Tell of a webhook body: what would become of each alert, of what PagerDuty is sent, and what was before."""
    lines = list(_head(explained, asked_for_time))
    lines += [f"note: {note}" for note in explained.notes]
    for alert in explained.alerts:
        lines += [*_alert(alert), ""]
    if explained.more:
        lines += [f"and {explained.more} more alerts, not shown", ""]
    for event in explained.events:
        lines += [*_event(event), ""]
    return [*lines, *decisions_of("what became of them last:", decisions)] if decisions else lines


def _head(explained: ExplainAnswer, asked_for_time: bool) -> Iterator[str]:
    when = f"as if it came at {explained.at}" if asked_for_time and explained.at else ""
    loud = "" if explained.silences else "without the silences there are"
    if when or loud:
        yield f"{', '.join(filter(None, (when, loud)))}:"
        yield ""


_VERDICTS = {
    "opens": "would open a page",
    "joins": "would join a page",
    "folded": "would be folded into the storm page",
    "repeats": "would change nothing",
    "resolves": "would stop firing in its pages",
    "supersedes": "would stop firing before its page was sent",
    "ignored": "would be ignored",
    "nothing_open": "would resolve nothing",
    "suppressed": "would be kept quiet",
    "changes": "would become a change event, which pages nobody",
    "not_ours": "would page nobody",
}


def _alert(alert: ExplainedAlert) -> list[str]:
    graded = f", {alert.severity}" if alert.severity else ""
    head = f"alert {alert.alertname or '(no alertname)'} {alert.fingerprint}: {alert.status}{graded}"
    held = {"": "this alert was never seen", "firing": "known, and firing", "resolved": "known, and resolved"}
    lines = [
        head,
        *aligned([("labels", labels_of(alert.labels.items())), ("so far", held.get(alert.held, alert.held))]),
    ]
    lines += ["  routes tried:", *(f"    {step}" for step in alert.routes)]
    lines += [f"  it {_VERDICTS.get(alert.verdict, alert.verdict)}, because:" if alert.verdict else "  why:"]
    lines += [f"    {step}" for step in alert.steps]
    lines += _reasons("silences", alert.silences)
    lines += _reasons("inhibit rules", (one.says for one in alert.inhibitors))
    lines += _reasons("time intervals", (one.says for one in alert.windows))
    lines += _reasons("holds", (one.says for one in alert.holds))
    if not alert.pages:
        return [*lines, "  pages: none, nobody is paged"]
    for place in alert.pages:
        lines += [f"  {place.says}", f"    dedup key {place.dedup_key}, severity {place.severity}, state {place.state}"]
        if place.lowered:
            lines.append(f"    {place.lowered}")
        if place.joins and place.joins != place.page:
            lines.append(f"    it stands in page {place.joins} then")
    return lines


def _reasons(title: str, says: Iterable[str]) -> list[str]:
    found = [f"    {one}" for one in says]
    return [f"  {title} that it is judged by:", *found] if found else []


def _event(event: EventAnswer) -> list[str]:
    of = f"of page {event.page}" if event.page else "of a change"
    head = f"event {of} for receiver {event.receiver}"
    if event.sends == "resolve":
        lines = [f"{head}: PagerDuty is sent a resolve, due at {event.due_at}"]
    elif event.sends:
        lines = [f"{head}: PagerDuty is sent this {event.sends}, due at {event.due_at}"]
    else:
        lines = [f"{head}: PagerDuty is sent nothing by it; it would say"]
    if event.event is None:
        return [*lines, "  a text of its own, made when it is sent"]
    return [*lines, *block(event.event), *(f"  note: {note}" for note in event.notes)]
