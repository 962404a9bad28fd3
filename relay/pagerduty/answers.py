"""Say what one answer of the far end comes to."""

import json
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from relay.alert import MINUTE, SECOND, Duration
from relay.event import Delivered, Outcome, Rejected, Retry

LONGEST_WAIT: Duration = 5 * MINUTE
"""However long the far end asks us to wait, we ask again after this."""

_WORDS = 300


def judge(status: int, headers: Mapping[str, str], body: bytes) -> Outcome:
    """Turn an HTTP answer into an Outcome; `body` is as much of it as was read.

    Only 202 is an acceptance (developer.pagerduty.com/docs/events-api-v2/overview, "API response codes").
    """
    words = _words(body)
    said = f"HTTP {status}: {words}" if words else f"HTTP {status}"
    if status == 202:
        return Delivered()
    if status == 429:
        return Retry("rateLimited", said, retry_after(headers), ambiguous=False)
    if status >= 500:
        return Retry("serverError", said, retry_after(headers))
    if status == 413 or (status == 400 and _about_the_event(body, words)):
        return Rejected("clientError", words or said)
    if status in (401, 403):
        return Retry("authError", said, ambiguous=False, configuration=True)
    if 300 <= status < 400:
        return Retry("configuration", _redirected(status, headers), ambiguous=False, configuration=True)
    # Another 2xx is someone else speaking, who may or may not have passed the event on.
    return Retry("configuration", said, ambiguous=status < 300, configuration=True)


def retry_after(headers: Mapping[str, str]) -> Duration | None:
    """Read Retry-After (seconds or an HTTP date); never more than five minutes, None if it says nothing usable.

    A date is counted from the answer's own Date, so that neither clock matters.
    """
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdecimal():
        return min(int(text[:9]) * SECOND, LONGEST_WAIT)
    until, now = _http_date(text), _http_date(headers.get("Date", ""))
    if until is None or now is None:
        return None
    seconds = int((until - now).total_seconds())
    return min(max(seconds, 0) * SECOND, LONGEST_WAIT)


def _http_date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return date if date.tzinfo else None


def _about_the_event(body: bytes, words: str) -> bool:
    """Whether a 400 speaks of the event: not of the key, and not from a stranger on the way.

    PagerDuty answers an unknown key in plain text, `Invalid routing key` (robusta-dev/robusta#571), and an event it
    does not like in JSON.
    """
    if "routing_key" in words or "routing key" in words.lower():
        return False
    return not body.strip() or _object(body) is not None


def _words(body: bytes) -> str:
    answer = _object(body)
    text = body.decode(errors="replace") if answer is None else _said(answer)
    text = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return text if len(text) <= _WORDS else text[: _WORDS - 1] + "…"


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None


def _said(answer: dict[str, Any]) -> str:
    errors = answer.get("errors")
    if isinstance(errors, list) and errors:
        return "; ".join(str(error) for error in errors)
    return str(errors or answer.get("message") or answer.get("error") or answer)


def _redirected(status: int, headers: Mapping[str, str]) -> str:
    try:
        host = urlsplit(headers.get("Location", "")).hostname
    except ValueError:
        host = None
    return f"HTTP {status}: a redirect to {host or 'another address'}, which is not followed: set the receiver's url"
