"""The pdpyras session of one thread, with every limit set: left to itself it would retry a 429 for ever."""

import logging
import threading
import time
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import requests
from requests.exceptions import ReadTimeout

from relay.pagerduty.calling import Limits

with warnings.catch_warnings():
    # It says at import that there is a newer package. docs/decisions/0026 says why it is this one.
    warnings.simplefilter("ignore", UserWarning)
    import pdpyras
    from pdpyras import PDClientError

for _name in ("pdpyras", "urllib3"):
    # What they would log has URLs in it, and with them dedup keys; without a handler it would go to standard error.
    logging.getLogger(_name).addHandler(logging.NullHandler())
    logging.getLogger(_name).propagate = False

__all__ = ["PDClientError", "Session", "Stopped", "TooLarge"]

_PIECE = 64 * 1024


class TooLarge(Exception):
    """An answer is larger than what is read of one."""


class Stopped(Exception):
    """The program ends: nobody waits for this call."""


class Session:
    """Makes calls from one thread."""

    def __init__(
        self,
        token: str,
        url: str,
        from_email: str,
        limits: Limits,
        stop: threading.Event,
        waits: Callable[[float], None],
    ) -> None:
        """`waits` is told the seconds of each wait that PagerDuty's rate limit asks for."""
        self._limits = limits
        self._stop = stop
        self._waits = waits
        self._free_at = 0.0
        self._tries = 0
        self._session = _bounded(pdpyras.APISession(token, default_from=from_email or None), url, limits)
        self._session.postprocess = self._heed
        self._session.hooks["response"].append(self._read)

    def call(
        self, method: str, path: str, params: Mapping[str, Any], body: Mapping[str, Any] | None
    ) -> tuple[int, bytes]:
        """Make one call and return the status and body of its answer.

        Raises requests' and pdpyras's errors, TooLarge and Stopped.
        """
        self._pause(self._free_at - time.monotonic())
        self._tries = self._limits.throttled
        again = method != "POST"  # a POST that was not answered may have been heard: twice would be two notes
        self._session.max_network_attempts = self._limits.unconnected if again else 0
        failed = dict.fromkeys((500, 502, 503, 504), self._limits.failed if again else 0)
        self._session.retry = {429: self._limits.throttled, **failed}
        given: dict[str, Any] = {"params": dict(params), "allow_redirects": False}
        if body is not None:
            given["json"] = dict(body)
        answer = self._session.request(method, path, **given)
        return answer.status_code, answer.content

    def close(self) -> None:
        """Close its connections."""
        self._session.close()

    def _heed(self, answer: Any) -> None:
        """Wait as long as the answer's `ratelimit-*` headers say (support.pagerduty.com/docs/rest-api-rate-limits)."""
        throttled = answer.status_code == 429
        if not throttled and answer.headers.get("ratelimit-remaining", "").strip() != "0":
            return
        wait = min(_seconds(answer.headers.get("ratelimit-reset", "")), self._limits.longest_wait)
        self._free_at = time.monotonic() + wait
        if throttled and self._tries:
            self._tries -= 1
            self._pause(wait)  # pdpyras tries again after a pause of its own, which heeds no header

    def _pause(self, seconds: float) -> None:
        if seconds > 0:
            self._waits(seconds)
        if self._stop.wait(max(seconds, 0.0)):
            raise Stopped

    def _read(self, answer: Any, **_: Any) -> None:
        """Read a body within its time and size: requests bounds neither."""
        until, pieces, size = time.monotonic() + self._limits.timeout, [], 0
        while piece := answer.raw.read1(_PIECE, decode_content=False):
            pieces.append(piece)
            size += len(piece)
            if size > self._limits.largest:
                answer.raw.close()
                raise TooLarge
            if time.monotonic() > until:
                answer.raw.close()
                raise ReadTimeout
        answer._content = b"".join(pieces)
        answer._content_consumed = True


def _bounded(session: Any, url: str, limits: Limits) -> Any:
    """Set every limit of a pdpyras session; `retry` and `max_network_attempts` are set for each call."""
    session.url = url
    session.timeout = limits.timeout
    session.max_http_attempts = max(limits.throttled, limits.failed)
    session.sleep_timer = limits.sleep / 2  # doubled before the first sleep
    session.stagger_cooldown = 0.5
    session.default_page_size = 100
    session.headers["Accept-Encoding"] = "identity"  # what is read is what was counted
    session.auth = _as_it_is
    return session


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Leave the token where it is: without an `auth`, requests would put a netrc file's password in its place."""
    return request


def _seconds(header: str) -> float:
    text = header.strip()
    return float(text[:6]) if text.isascii() and text.isdecimal() else 0.0
