"""Calls PagerDuty's REST API from a thread of its own, one call at a time, and says in plain words what went wrong."""

import asyncio
import json
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from relay.errors import RelayError
from relay.logs import clean
from relay.metrics import Metrics
from relay.rules.ruleset import Account
from relay.secret import Secret

if TYPE_CHECKING:
    from relay.pagerduty.session import Session

Reason = Literal[
    "no_token",
    "unauthorized",
    "forbidden",
    "not_found",
    "refused",
    "rate_limited",
    "unreachable",
    "server",
    "bad_answer",
]
"""Why there is no answer to go by; also the label of a metric."""

_ABANDONED = 3
"""Threads that may hang before no more are begun."""
_WORDS = 300

UNTOLD = (
    "there is no token for PagerDuty's REST API: set pagerduty.api_token_file in the routing file, "
    "or give --token-file or PAGERELAY_PAGERDUTY_TOKEN"
)


class RestError(RelayError):
    """PagerDuty's REST API gave no answer to go by; says why and what to do, and holds no secret."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason: Reason = reason


@dataclass(frozen=True, slots=True)
class Limits:
    """How long and how often one call is tried."""

    timeout: float = 10.0
    """Seconds to connect, for a silence within an answer, and for the whole of its body."""
    whole: float = 240.0
    """Seconds one call may take with all its tries and waits."""
    largest: int = 16 * 1024 * 1024
    """Bytes of an answer."""
    throttled: int = 2
    """Tries more after a 429."""
    failed: int = 2
    """Tries more after 500, 502, 503 or 504, where trying again does no harm."""
    unconnected: int = 2
    """Tries more without an answer, where trying again does no harm."""
    sleep: float = 0.5
    """Seconds before the first further try; each one doubles it, or more: there is chance in it."""
    longest_wait: float = 60.0
    """Seconds that `ratelimit-reset` is waited for; PagerDuty counts in minutes."""


@dataclass(frozen=True, slots=True)
class _Job:
    """One call to make."""

    method: str
    path: str
    params: Mapping[str, Any]
    body: Mapping[str, Any] | None
    token: Secret
    url: str
    from_email: str
    answer: "Future[object]" = field(default_factory=Future)


class Caller:
    """Makes calls, one after another: PagerDuty asks for that, per token (developer.pagerduty.com, rate limits).

    Nothing on a page's path may wait for it: a call may take minutes.
    """

    def __init__(
        self,
        token: Callable[[], Secret | None],
        account: Callable[[], Account],
        *,
        metrics: Metrics | None = None,
        waits: Callable[[float], None] = lambda _: None,
        limits: Limits | None = None,
    ) -> None:
        """`waits` is told the seconds of each wait that PagerDuty's rate limit asks for, from a thread."""
        self._token = token
        self._account = account
        self._metrics = metrics
        self._waits = waits
        self._limits = limits or Limits()
        self._turn = asyncio.Lock()
        self._clerk: _Clerk | None = None
        self._abandoned: list[_Clerk] = []

    @property
    def has_token(self) -> bool:
        """Say whether there is a token now."""
        return self._token() is not None

    async def call(
        self,
        method: str,
        path: str,
        params: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> object:
        """Make one call and return what its JSON says; None where the answer is empty. Raises RestError."""
        try:
            answer = await self._call(method, path, params or {}, body)
        except RestError as error:
            self._count(error.reason)
            raise
        self._count("ok")
        return answer

    async def close(self) -> None:
        """Let the thread end; a call under way is given up."""
        if self._clerk is not None:
            self._clerk.stop()
            self._clerk = None

    async def _call(self, method: str, path: str, params: Mapping[str, Any], body: Mapping[str, Any] | None) -> object:
        async with self._turn:
            token, account = self._token(), self._account()
            if token is None:
                raise RestError("no_token", UNTOLD)
            job = _Job(method, path, params, body, token, account.api_url, account.from_email)
            clerk = self._ready()
            clerk.jobs.put(job)
            try:
                async with asyncio.timeout(clerk.whole):
                    return await asyncio.wrap_future(job.answer)
            except TimeoutError:
                self._abandon(clerk)
                why = f"{_host(account.api_url)} gave no whole answer within {clerk.whole:.0f} s"
                raise RestError("unreachable", why) from None

    def _ready(self) -> "_Clerk":
        """Return a thread that takes calls."""
        self._abandoned = [clerk for clerk in self._abandoned if clerk.is_alive()]
        if self._clerk is None and len(self._abandoned) >= _ABANDONED:
            raise RestError("unreachable", f"{len(self._abandoned)} calls hang still: no other is begun")
        if self._clerk is None:
            self._clerk = _Clerk(self._limits, self._waits)
            self._clerk.start()
        return self._clerk

    def _abandon(self, clerk: "_Clerk") -> None:
        clerk.stop()
        self._abandoned.append(clerk)
        self._clerk = None

    def _count(self, outcome: str) -> None:
        if self._metrics is not None:
            self._metrics.rest_called(outcome)


class _Clerk(threading.Thread):
    """The thread that makes calls; a daemon, so that a call that hangs does not keep the program from ending."""

    def __init__(self, limits: Limits, waits: Callable[[float], None]) -> None:
        super().__init__(name="pagerduty-rest", daemon=True)
        self.jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._limits = limits
        self._waits = waits
        self._stop_asked = threading.Event()
        self._session: Session | None = None
        self._known: tuple[Secret, str, str] | None = None

    @property
    def whole(self) -> float:
        """Seconds one call may take."""
        return self._limits.whole

    def stop(self) -> None:
        """Take no more calls; do not wait for the one under way."""
        self._stop_asked.set()
        self.jobs.put(None)

    def run(self) -> None:
        """Make one call after another."""
        while (job := self.jobs.get()) is not None:
            if not job.answer.set_running_or_notify_cancel():
                continue
            try:
                job.answer.set_result(self._made(job))
            except BaseException as error:
                job.answer.set_exception(error)
        if self._session is not None:
            self._session.close()

    def _made(self, job: _Job) -> object:
        # Loaded here: a relay without a token need not hold requests and pdpyras, nor its event loop wait for them.
        from requests.exceptions import RequestException
        from urllib3.exceptions import HTTPError

        from relay.pagerduty.session import PDClientError, Stopped, TooLarge

        host = _host(job.url)
        try:
            status, body = self._session_for(job).call(job.method, job.path, job.params, job.body)
        except TooLarge:
            raise RestError("bad_answer", f"{host} answered with more than {self._limits.largest:,} bytes") from None
        except Stopped:
            raise RestError("unreachable", "given up, since the program ends") from None
        except PDClientError as error:
            # Its own words hold the end of the token and the whole URL.
            if error.response is None:
                raise RestError("unreachable", f"{host} cannot be reached: {_cause(error.__cause__)}") from None
            status, body = error.response.status_code, error.response.content
        except (RequestException, HTTPError, OSError, ValueError) as error:
            raise RestError("unreachable", f"{host} cannot be reached: {_cause(error)}") from None
        return _judged(status, body, job)

    def _session_for(self, job: _Job) -> "Session":
        """Keep one session for as long as the token, the address and the sender stay."""
        from relay.pagerduty.session import Session

        wanted = (job.token, job.url, job.from_email)
        if self._session is None or wanted != self._known:
            if self._session is not None:
                self._session.close()
            self._session = Session(
                job.token.reveal(), job.url, job.from_email, self._limits, self._stop_asked, self._waits
            )
            self._known = wanted
        return self._session


def _judged(status: int, body: bytes, job: _Job) -> object:
    """Return what an answer says, or say why it is none."""
    body = body.replace(job.token.reveal().encode(), b"<secret>")  # whoever is asked may repeat what it was told
    answer = _parsed(body)
    if 200 <= status < 300 and (answer is not _NOT_JSON):
        return answer
    said = _said(answer, body)
    host, words = _host(job.url), f": {said}" if said else ""
    match status:
        case 401:
            region = "check the token, and that pagerduty.api_url is the account's region"
            raise RestError("unauthorized", f"{host} does not know the token (401{words}); {region}")
        case 402 | 403:
            raise RestError("forbidden", f"the token may not {job.method} {_shape(job.path)} ({status}{words})")
        case 404:
            raise RestError("not_found", f"PagerDuty has nothing at {_shape(job.path)} (404{words})")
        case 429:
            raise RestError("rate_limited", f"{host} still limits the rate after several tries (429); come again later")
        case _ if 300 <= status < 400:
            raise RestError("bad_answer", f"{host} redirects elsewhere ({status}), which is not followed")
        case _ if status >= 500:
            raise RestError("server", f"{host} has trouble of its own ({status}{words}); come again later")
        case _ if status >= 400:
            raise RestError("refused", _refusal(status, said, job))
    raise RestError("bad_answer", f"what answers at {host} does not speak JSON{words}; is a proxy in between?")


def _refusal(status: int, said: str, job: _Job) -> str:
    words = f"PagerDuty refuses this ({status}): {said or 'it does not say why'}"
    if job.method != "GET" and not job.from_email and ("from" in said.lower() or "requester" in said.lower()):
        return f"{words}; set pagerduty.from to the e-mail address of the user that acts count as"
    return words


_NOT_JSON = object()


def _parsed(body: bytes) -> object:
    if not body.strip():
        return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return _NOT_JSON


def _said(answer: object, body: bytes) -> str:
    """Say what an answer says went wrong: `{"error": {"message", "code", "errors"}}`, or whatever stands there."""
    error = answer.get("error", answer) if isinstance(answer, dict) else answer
    if isinstance(error, dict):
        reasons = error.get("errors")
        told = "; ".join(map(str, reasons)) if isinstance(reasons, list) and reasons else error.get("message")
        text = str(told or "")
    elif answer is _NOT_JSON or error is None:
        text = body[: 4 * _WORDS].decode(errors="replace")
    else:
        text = str(error)
    text = " ".join(clean(text).split())
    return text if len(text) <= _WORDS else text[: _WORDS - 1] + "…"


def _shape(path: str) -> str:
    return clean(path)[:120]


def _host(url: str) -> str:
    try:
        return urlsplit(url).netloc.rpartition("@")[2] or url
    except ValueError:
        return "pagerduty.api_url"


def _cause(error: BaseException | None) -> str:
    """Say what happened without the URL: what lies deepest says it best."""
    while error is not None and (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    name = type(error).__name__
    if "Timeout" in name or isinstance(error, TimeoutError):
        return "no answer in time"
    said = error.strerror if isinstance(error, OSError) else None
    return said or name
