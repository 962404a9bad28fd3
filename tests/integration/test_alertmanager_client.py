"""The client of Alertmanager's API against a real Alertmanager, and against servers that are none or break."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port

from relay.alert import MINUTE, fingerprint_of
from relay.alertmanager import AlertmanagerClient, Fault, State
from tests.acceptance.bodies import labels
from tests.acceptance.programs import Alertmanager, call

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

STATUS = '{"cluster": {"status": "ready"}, "uptime": "2026-11-23T11:40:00.000Z", "config": {"original": ""}}'
DATE = "Mon, 23 Nov 2026 12:00:00 GMT"


@contextlib.asynccontextmanager
async def client(timeout: float = 10.0, largest: int = 64 * 1024 * 1024) -> AsyncIterator[AlertmanagerClient]:
    """A client that is ready to ask."""
    found = AlertmanagerClient(timeout=timeout, largest=largest)
    await found.start()
    try:
        yield found
    finally:
        await found.close()


@contextlib.asynccontextmanager
async def server(handler: Handler) -> AsyncIterator[str]:
    """A server that answers as it is told, whatever is asked."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    async with TestServer(app, host="127.0.0.1") as running:
        yield str(running.make_url("/prom/"))


def saying(alerts: str = "[]", status: str = STATUS, date: str = DATE, code: int = 200) -> Handler:
    """Answer with these texts."""

    async def answer(request: web.Request) -> web.Response:
        if request.path.endswith("/elsewhere"):
            return web.Response(text="[]")
        headers = {"Date": date, "Content-Type": "application/json", "Location": "/elsewhere"}
        return web.Response(text=alerts if "alerts" in request.path else status, status=code, headers=headers)

    return answer


async def fault(handler: Handler, **bounds: float) -> str:
    """Return why there is no answer to go by."""
    async with server(handler) as url, client(**bounds) as asking:  # type: ignore[arg-type]
        found = await asking.ask(url)
    assert isinstance(found, Fault), found
    return found.because


@pytest.fixture
def alertmanager(tmp_path: Path) -> Iterator[Alertmanager]:
    """A real one, whose webhook nobody answers."""
    if shutil.which("prometheus-alertmanager") is None:
        pytest.skip("!! NOT TESTED with a real Alertmanager, there is none here")
    found = Alertmanager(tmp_path, f"http://127.0.0.1:{unused_port()}/webhook")
    found.start()
    yield found
    found.put_away()


def silenced(alertmanager: Alertmanager, alertname: str) -> None:
    """Silence an alert there."""
    matcher = {"name": "alertname", "value": alertname, "isRegex": False, "isEqual": True}
    times = {"startsAt": "2020-01-01T00:00:00Z", "endsAt": "2099-01-01T00:00:00Z"}
    body = {"matchers": [matcher], **times, "createdBy": "anna", "comment": "disk swap"}
    assert call("POST", f"{alertmanager.url}/api/v2/silences", body).status == 200


async def test_a_real_one_names_what_fires_and_what_it_silences_but_not_what_is_over(
    alertmanager: Alertmanager,
) -> None:
    alertmanager.fire(labels("Fires"), labels("Silenced"), labels("Over"))
    silenced(alertmanager, "Silenced")
    alertmanager.resolve(labels("Over"))

    async with client() as asking:
        found = await asking.ask(alertmanager.url)
        wanted = [
            await asking.ask(alertmanager.url + "/", lambda one, name=name: one["alertname"] == name)  # type: ignore[misc]
            for name in ("Silenced", "Over")
        ]

    assert isinstance(found, State)
    assert found.known == {fingerprint_of(labels("Fires")), fingerprint_of(labels("Silenced"))}
    assert found.uptime <= MINUTE
    assert [isinstance(one, State) and one.wanted for one in wanted] == [True, False]


async def test_muted_alerts_are_asked_for_by_name() -> None:
    asked: list[tuple[str, Mapping[str, str]]] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        asked.append((request.path, dict(request.query)))
        return await saying()(request)

    async with server(answer) as url, client() as asking:
        await asking.ask(url)

    everything = dict.fromkeys(("active", "silenced", "inhibited", "unprocessed"), "true")
    assert asked == [("/prom/api/v2/alerts", everything), ("/prom/api/v2/status", {})]


async def test_uptime_is_told_by_its_own_clock() -> None:
    async with server(saying()) as url, client() as asking:
        assert await asking.ask(url) == State(frozenset(), False, 20 * MINUTE)
    async with server(saying(date="Mon, 23 Nov 2026 11:39:59 GMT")) as url, client() as asking:
        assert await asking.ask(url) == State(frozenset(), False, 0)


ALERT = '{"fingerprint": "0123456789abcdef", "labels": {"alertname": "A"}, "status": {"state": "active"}}'


@pytest.mark.parametrize(
    ("handler", "because"),
    [
        (saying(code=503), "HTTP 503"),
        (saying(code=404), "HTTP 404"),
        (saying(code=302), "HTTP 302, a redirect, which is not followed"),
        (saying(code=204), "HTTP 204"),
        (saying("<html>log in</html>"), "its answer is not one of Alertmanager's API v2"),
        (saying('{"status": "success", "data": []}'), "its answer is not one of Alertmanager's API v2"),
        (saying(f"[{ALERT}, {{}}]"), "its answer is not one of Alertmanager's API v2"),
        (saying(f"[{ALERT}"), "its answer is not one of Alertmanager's API v2"),
        (saying("[\x00]"), "its answer is not one of Alertmanager's API v2"),
        (saying(status="{}"), "its answer is not one of Alertmanager's API v2"),
        (saying(status='{"uptime": "soon"}'), "its answer is not one of Alertmanager's API v2"),
        (saying(status='{"uptime": "2026-11-23T11:40:00"}'), "its answer is not one of Alertmanager's API v2"),
        (saying(date="yesterday"), "its answer has no Date, so that its uptime cannot be told"),
    ],
)
async def test_what_is_no_alertmanager_is_a_fault_in_words(handler: Handler, because: str) -> None:
    assert await fault(handler) == because


async def test_an_answer_that_is_too_large_is_not_read_to_its_end() -> None:
    sent = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        reply = web.StreamResponse()
        await reply.prepare(request)
        with contextlib.suppress(ConnectionError):
            for _ in range(10_000):
                await reply.write(b" " * 65_536)
                sent += 65_536
        return reply

    assert await fault(endless, largest=1_000_000) == "its answer is larger than 1000000 bytes"
    assert sent < 100_000_000


async def test_one_that_takes_its_time_is_a_fault() -> None:
    gone = asyncio.Event()

    async def stalls(_: web.Request) -> web.StreamResponse:
        await gone.wait()
        return web.Response()

    async with server(stalls) as url, client(timeout=0.2) as asking:
        assert await asking.ask(url) == Fault("no answer in time")
        gone.set()


async def test_one_that_breaks_off_is_a_fault() -> None:
    async def breaks(request: web.Request) -> web.StreamResponse:
        reply = web.StreamResponse(headers={"Content-Length": "1000"})
        await reply.prepare(request)
        await reply.write(b"[")
        assert request.transport is not None
        request.transport.abort()
        return reply

    assert (await fault(breaks)).startswith("the connection broke")


async def test_one_that_is_not_there_is_a_fault() -> None:
    async with client() as asking:
        assert await asking.ask(f"http://127.0.0.1:{unused_port()}") == Fault("cannot connect: Connection refused")
        assert await asking.ask("http://nobody.invalid") == Fault("its name cannot be resolved")


async def test_a_hundred_thousand_alerts_are_read() -> None:
    many = ",".join(ALERT.replace("0123456789abcdef", f"{number:016x}") for number in range(100_000))

    async with server(saying(f"[{many}]")) as url, client() as asking:
        found = await asking.ask(url, lambda labels: labels["alertname"] == "B")

    assert isinstance(found, State)
    assert (len(found.known), found.wanted) == (100_000, False)
