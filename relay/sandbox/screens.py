"""The stand-in's two screens: all alerts, and one incident about as PagerDuty would show it."""

from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import jinja2

from relay.sandbox.incidents import SandboxAlert
from relay.sandbox.state import Sandbox

_SHOWN = 100


def alerts(sandbox: Sandbox) -> str:
    """Return the page of open and past alerts and the last requests."""
    return _PAGES.get_template("alerts.html").render(
        now=sandbox.now(),
        open=sandbox.open_alerts,
        past=sandbox.past_alerts[:_SHOWN],
        past_count=len(sandbox.past_alerts),
        requests=sandbox.requests[: -_SHOWN - 1 : -1],
        faults=[(fault, sandbox.shown_fault(fault)) for fault in sandbox.faults.listed()],
    )


def alert(sandbox: Sandbox, alert: SandboxAlert) -> str:
    """Return the page of one incident."""
    return _PAGES.get_template("alert.html").render(now=sandbox.now(), alert=alert)


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
