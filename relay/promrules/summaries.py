"""Renders the summaries that the pages of rules would show, by the relay's own templates."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from relay.alert import Instant, Status, fingerprint_of
from relay.promrules.paging import Outlook, Page
from relay.rendering.aside import Aside
from relay.rules.view import MemberView, PageView


class Summary(NamedTuple):
    """What PagerDuty would show first."""

    text: str
    failed: tuple[str, ...] = ()
    """What went wrong with the templates of the receiver, in words."""


async def summaries(
    outlooks: Sequence[Outlook], sources: Mapping[str, str], now: Instant
) -> dict[tuple[int, int], Summary]:
    """Render each page: by the number of its outlook and of the page in it. `sources` are the template files."""
    jobs = {
        (number, at): (_view(found, page, now), page.target.texts)
        for number, found in enumerate(outlooks)
        for at, page in enumerate(found.pages)
    }
    rendered = await Aside(lambda: sources).render(list(jobs.values()))
    return {
        name: Summary(one.event.summary, tuple(step.because for step in one.steps if one.failed_fields))
        for name, one in zip(jobs, rendered, strict=True)
    }


def _view(found: Outlook, page: Page, now: Instant) -> PageView:
    """Show a page with one alert that has just begun to fire."""
    labels = found.labels
    member = MemberView(
        status=Status.FIRING,
        labels=labels,
        annotations={name: filled.text for name, filled in found.annotations.items() if filled.text},
        starts_at=now,
        ends_at=0,
        fingerprint=fingerprint_of(labels),
        severity=page.severity,
    )
    return PageView(
        page="",
        dedup_key=page.dedup_key or page.key_text,
        receiver=page.receiver,
        source="",
        severity=page.severity,
        group_key=page.key_text,
        group_labels={name: labels[name] for name in page.route.group_by or () if name in labels},
        alertmanager_url="",
        relay_url="",
        now=now,
        members=(member,),
        firing=1,
        resolved=0,
    )
