"""The stand-in's two screens: all incidents, and one of them about as PagerDuty would show it."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jinja2

from relay.sandbox.incident import Incident
from relay.sandbox.state import CHANGE_PATH, Sandbox

_SHOWN = 100
_WEBHOOKS = 20


def incidents(sandbox: Sandbox, webhooks: Sequence[Mapping[str, Any]] = ()) -> str:
    """Return the page of open and past incidents, the last requests, and what became of the last webhooks."""
    known = sandbox.incidents.all
    open_ = [incident for incident in reversed(known) if incident.open]
    past = sorted((incident for incident in known if not incident.open), key=_ended, reverse=True)
    subscriptions = tuple(sandbox.subscriptions)
    return _PAGES.get_template("incidents.html").render(
        now=sandbox.now(),
        open=open_[:_SHOWN],
        open_count=len(open_),
        past=past[:_SHOWN],
        past_count=len(past),
        users=sandbox.account.users,
        requests=sandbox.requests[: -_SHOWN - 1 : -1],
        change_path=CHANGE_PATH,
        faults=[(fault, sandbox.shown_fault(fault)) for fault in sandbox.faults.listed()],
        webhook_faults=sandbox.webhook_faults.listed(),
        webhooks=webhooks[: -_WEBHOOKS - 1 : -1],
        urls={one.id: one.url for one in subscriptions},
        off=[one for one in subscriptions if not one.enabled(sandbox.now()) and one.disabled_until is not None],
    )


def incident(sandbox: Sandbox, incident: Incident) -> str:
    """Return the page of one incident, with what a person can do."""
    others = [other for other in reversed(sandbox.incidents.all) if other.open and other is not incident]
    return _PAGES.get_template("incident.html").render(
        now=sandbox.now(),
        incident=incident,
        users=sandbox.account.users,
        actor=incident.assignees[0] if incident.assignees else None,
        others=others[:_SHOWN],
    )


def _ended(incident: Incident) -> float:
    return incident.resolved_at or 0.0


def clock(at: float) -> str:
    """Write seconds since 1970 as a person reads them, in UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")


def age(at: float, now: float) -> str:
    """Say how long ago something was."""
    seconds = max(0, int(now - at))
    for length, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= length:
            return f"{seconds // length} {unit} ago"
    return f"{seconds} s ago"


def web_link(url: object) -> str:
    """Return a URL that is safe to click on, "" for any other (`javascript:` and its kin)."""
    try:
        return url if isinstance(url, str) and urlsplit(url).scheme in ("http", "https") else ""
    except ValueError:
        return ""


_PAGES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "pages"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_PAGES.filters.update(clock=clock, age=age, web_link=web_link)
