"""The sender against servers that answer, refuse, stall, lie and break: one Outcome each, and never an exception."""

import asyncio
import contextlib
import json
import logging
import shutil
import socket
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestServer
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker

from relay.alert import SECOND
from relay.event import Action, Delivered, Event, Image, Link, Outcome, Rejected, Retry, Severity
from relay.pagerduty.answers import judge
from relay.pagerduty.connection import Resolver
from relay.pagerduty.encoding import LARGEST, encode
from relay.pagerduty.events import EventSender
from relay.sandbox.app import SANDBOX, make_app
from relay.sandbox.validation import alert_event_errors
from relay.secret import Key, Secret, Tls

ROUTING_KEY = "0123456789abcdef0123456789ABCDEF"
SCHEMA = Path(__file__).parents[1] / "data" / "pagerduty" / "alert-event.schema.json"
TRIGGER = Event(Action.TRIGGER, "k", summary="disk full", source="web-1", severity=Severity.CRITICAL)
LONG = Event(Action.TRIGGER, "k", summary="s", source="x", custom_details={"log": "x" * 500_000})
ACCEPTED = b'{"status":"success","message":"Event processed","dedup_key":"k"}'

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def key(url: str, **more: Any) -> Key:
    return Key(id="0011223344556677", url=url, routing_key=Secret(ROUTING_KEY), name="platform", **more)


@contextlib.asynccontextmanager
async def sender(
    url: str, *, resolver: Resolver | None = None, connect_timeout: float = 3.0, **more: Any
) -> AsyncIterator[Callable[[Event], Awaitable[Outcome]]]:
    """Yield a function that sends one event to `url`."""
    one = key(url, **more)
    sending = EventSender({one.id: one}.get, connect_timeout=connect_timeout, resolver=resolver)
    await sending.start()
    try:
        yield lambda event: sending.send(event, one.id)
    finally:
        await sending.close()


class Server:
    """A TCP server that talks as it is told and counts the connections and requests it had."""

    def __init__(self, talk: Talk) -> None:
        self.talk = talk
        self.connections = 0
        self.port = 0
        self._talks: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def running(self, tls: ssl.SSLContext | None = None) -> AsyncIterator["Server"]:
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0, ssl=tls)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in self._talks:
                task.cancel()
            await asyncio.gather(*self._talks, return_exceptions=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v2/enqueue"

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._talks.add(asyncio.ensure_future(self._talk(reader, writer)))

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self.talk(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


async def request(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Read one request: its head and its body."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next((line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), b":0")
    return head, await reader.readexactly(int(length.split(b":")[1]))


def answer(status: int = 202, body: bytes = ACCEPTED, *headers: str, length: int | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body) if length is None else length}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def reset(writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


# --- what is sent --------------------------------------------------------------------------------------------------

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
urls = st.sampled_from(["https://example.com/a?b=c#d", "https://10.0.0.1:9090/graph"])
names = texts.filter(str.strip)
details = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
events = st.builds(
    Event,
    event_action=st.sampled_from(Action),
    dedup_key=names,
    summary=names,
    source=names,
    severity=st.sampled_from(Severity),
    timestamp=st.sampled_from(["", "2026-01-02T03:04:05.678Z"]),
    component=texts,
    group=texts,
    class_=texts,
    custom_details=st.dictionaries(texts, details, max_size=3),
    links=st.lists(st.builds(Link, href=urls, text=texts), max_size=2).map(tuple),
    images=st.lists(st.builds(Image, src=urls, href=st.just("") | urls, alt=texts), max_size=2).map(tuple),
    client=texts,
    client_url=st.just("") | urls,
)
OFFICIAL = Draft202012Validator(json.loads(SCHEMA.read_text()), format_checker=FormatChecker())


@settings(max_examples=300, deadline=None)
@given(events)
def test_every_event_that_is_written_passes_pagerdutys_schema(event: Event) -> None:
    sent = json.loads(encode(event, Secret(ROUTING_KEY)))

    assert not list(OFFICIAL.iter_errors(sent))
    assert alert_event_errors(sent) == []


@given(events.filter(lambda event: event.event_action is not Action.TRIGGER))
def test_a_resolve_or_acknowledge_says_what_it_is_about_and_nothing_more(event: Event) -> None:
    sent = json.loads(encode(event, Secret(ROUTING_KEY)))

    assert sent == {"routing_key": ROUTING_KEY, "event_action": event.event_action, "dedup_key": event.dedup_key}


def test_a_trigger_leaves_empty_fields_out_and_names_class_as_pagerduty_does() -> None:
    event = Event(Action.TRIGGER, "k", summary="s", source="x", class_="disk", links=(Link("https://example.com"),))

    assert json.loads(encode(event, Secret(ROUTING_KEY))) == {
        "routing_key": ROUTING_KEY,
        "event_action": "trigger",
        "dedup_key": "k",
        "payload": {"summary": "s", "source": "x", "severity": "error", "class": "disk"},
        "links": [{"href": "https://example.com"}],
    }


@pytest.mark.parametrize(
    ("event", "reason", "words"),
    [
        (
            Event(Action.TRIGGER, "k", summary="s", source="x", custom_details={"log": "x" * LARGEST}),
            "tooLarge",
            "512000",
        ),
        (Event(Action.TRIGGER, "k", summary="\ud800", source="x"), "clientError", "cannot be written as JSON"),
    ],
)
async def test_an_event_that_cannot_be_sent_is_rejected_unsent(event: Event, reason: str, words: str) -> None:
    async with sender("http://127.0.0.1:1/v2/enqueue") as send:
        outcome = await send(event)

    assert isinstance(outcome, Rejected)
    assert outcome.reason == reason
    assert words in outcome.message


async def test_the_largest_event_is_sent() -> None:
    room = LARGEST - len(
        encode(Event(Action.TRIGGER, "k", summary="s", source="x", component="x"), Secret(ROUTING_KEY))
    )
    event = Event(Action.TRIGGER, "k", summary="s", source="x", component="x" * (room + 1))
    async with TestServer(make_app()) as server, sender(str(server.make_url("/v2/enqueue"))) as send:
        assert await send(event) == Delivered()


async def test_a_key_that_is_not_at_hand_is_waited_for() -> None:
    sending = EventSender(lambda _: None)

    assert await sending.send(TRIGGER, "gone") == Retry(
        "configuration", "routing key not at hand", ambiguous=False, configuration=True
    )


async def test_the_sandbox_is_kept_in_step() -> None:
    app = make_app()
    async with TestServer(app) as server, sender(str(server.make_url("/v2/enqueue"))) as send:
        opened = await send(TRIGGER)
        shown = [(alert.dedup_key, alert.summary) for alert in app[SANDBOX].open_alerts]
        closed = await send(Event(Action.RESOLVE, "k"))

        assert (opened, closed) == (Delivered(), Delivered())
        assert shown == [("k", "disk full")]
        assert app[SANDBOX].open_alerts == ()


# --- what an answer comes to ---------------------------------------------------------------------------------------

INVALID = b'{"status":"invalid event","message":"Event object is invalid","errors":["a is bad","b is bad"]}'
KEY_LENGTH = b"""{"status":"invalid event","message":"Event object is invalid",
"errors":["Length of 'routing_key' is incorrect (should be 32 characters)"]}"""
DATE = "Wed, 25 Nov 2026 10:00:00 GMT"


@pytest.mark.parametrize(
    ("status", "headers", "body", "outcome"),
    [
        (202, {}, ACCEPTED, Delivered()),
        (202, {"Content-Type": "text/html"}, b"<html>", Delivered()),
        (202, {}, b"", Delivered()),
        (429, {}, b"", Retry("rateLimited", "HTTP 429", None, False)),
        (429, {"Retry-After": "7"}, b"", Retry("rateLimited", "HTTP 429", 7 * SECOND, False)),
        (429, {"Retry-After": "99999999999"}, b"", Retry("rateLimited", "HTTP 429", 300 * SECOND, False)),
        (429, {"Retry-After": "soon"}, b"", Retry("rateLimited", "HTTP 429", None, False)),
        (429, {"Retry-After": "-3"}, b"", Retry("rateLimited", "HTTP 429", None, False)),
        (429, {"Retry-After": "Wed, 25 Nov 2026 10:00:09 GMT", "Date": DATE}, b"",
         Retry("rateLimited", "HTTP 429", 9 * SECOND, False)),
        (429, {"Retry-After": "Wed, 25 Nov 2026 09:00:00 GMT", "Date": DATE}, b"",
         Retry("rateLimited", "HTTP 429", 0, False)),
        (429, {"Retry-After": "Wed, 25 Nov 2027 10:00:09 GMT", "Date": DATE}, b"",
         Retry("rateLimited", "HTTP 429", 300 * SECOND, False)),
        (429, {"Retry-After": "Wed, 25 Nov 2026 10:00:09 GMT"}, b"", Retry("rateLimited", "HTTP 429", None, False)),
        (429, {"Retry-After": f"Wed, 25 Nov {'9' * 20} 10:00:09 GMT", "Date": DATE}, b"",
         Retry("rateLimited", "HTTP 429", None, False)),
        (429, {"Retry-After": f"Wed, 25 Nov 2026 10:00:09 +{'9' * 20}", "Date": DATE}, b"",
         Retry("rateLimited", "HTTP 429", None, False)),
        (500, {}, b'{"message":"boom"}', Retry("serverError", "HTTP 500: boom")),
        (503, {"Retry-After": "2"}, b"", Retry("serverError", "HTTP 503", 2 * SECOND)),
        (504, {}, b"<html>\n<b>late</b>", Retry("serverError", "HTTP 504: <html> <b>late</b>")),
        (400, {}, INVALID, Rejected("clientError", "a is bad; b is bad")),
        (400, {}, b"", Rejected("clientError", "HTTP 400")),
        (413, {}, b"<html>too large", Rejected("clientError", "<html>too large")),
        (400, {}, b"Invalid routing key",
         Retry("configuration", "HTTP 400: Invalid routing key", ambiguous=False, configuration=True)),
        (400, {}, KEY_LENGTH,
         Retry("configuration", "HTTP 400: Length of 'routing_key' is incorrect (should be 32 characters)",
               ambiguous=False, configuration=True)),
        (400, {}, b"<html>proxy says no",
         Retry("configuration", "HTTP 400: <html>proxy says no", ambiguous=False, configuration=True)),
        (401, {}, b"", Retry("authError", "HTTP 401", ambiguous=False, configuration=True)),
        (403, {}, b"", Retry("authError", "HTTP 403", ambiguous=False, configuration=True)),
        (404, {}, b"", Retry("configuration", "HTTP 404", ambiguous=False, configuration=True)),
        (418, {}, b"\x00\x07tea\xff", Retry("configuration", "HTTP 418: tea�", ambiguous=False, configuration=True)),
        (301, {"Location": "https://u:secret@other.example/x?token=1"}, b"",
         Retry("configuration", "HTTP 301: a redirect to other.example, which is not followed: set the receiver's url",
               ambiguous=False, configuration=True)),
        (307, {"Location": "http://[bad"}, b"",
         Retry("configuration", "HTTP 307: a redirect to another address, which is not followed: "
               "set the receiver's url", ambiguous=False, configuration=True)),
        (200, {}, b"OK", Retry("configuration", "HTTP 200: OK", ambiguous=True, configuration=True)),
    ],
)  # fmt: skip
def test_what_an_answer_comes_to(status: int, headers: dict[str, str], body: bytes, outcome: Outcome) -> None:
    assert judge(status, headers, body) == outcome


@given(st.integers(200, 999), st.binary(max_size=200), st.dictionaries(st.just("Retry-After"), st.text(max_size=40)))
def test_no_answer_is_too_strange(status: int, body: bytes, headers: dict[str, str]) -> None:
    outcome = judge(status, {**headers, "Date": DATE}, body)

    assert isinstance(outcome, Delivered) == (status == 202)
    assert not isinstance(outcome, Retry) or outcome.after is None or 0 <= outcome.after <= 300 * SECOND


# --- what a broken connection comes to -----------------------------------------------------------------------------


async def reset_at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    reset(writer)


async def reset_midway(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readexactly(10_000)
    reset(writer)


async def reset_after_the_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await request(reader)
    reset(writer)


async def close_after_the_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await request(reader)


async def half_a_head(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await request(reader)
    writer.write(b"HTTP/1.1 202 Acc")
    await writer.drain()


async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await request(reader)
    writer.write(b"\x16\x03\x01 SSH-2.0 hello\r\n\r\n")
    await writer.drain()


async def endless_head(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await request(reader)
    writer.write(b"HTTP/1.1 202 OK\r\nX: " + b"x" * 1_000_000)
    await writer.drain()


async def nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await request(reader)
    await reader.read()


async def head_in_drips(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await request(reader)
    for byte in answer():
        writer.write(bytes([byte]))
        await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("talk", "reason"),
    [
        (reset_at_once, "network"),
        (reset_midway, "network"),
        (reset_after_the_request, "network"),
        (close_after_the_request, "network"),
        (half_a_head, "network"),
        (garbage, "network"),
        (endless_head, "network"),
        (nothing, "timeout"),
        (head_in_drips, "timeout"),
    ],
)
async def test_a_connection_that_breaks_or_stalls_may_have_delivered(talk: Talk, reason: str) -> None:
    async with Server(talk).running() as server, sender(server.url, timeout=0.5) as send:
        outcome = await send(LONG)

    assert isinstance(outcome, Retry)
    assert (outcome.reason, outcome.ambiguous, outcome.configuration) == (reason, True, False)
    assert server.connections == 1
    assert outcome.message.startswith(f"127.0.0.1:{server.port}: ")


async def half_a_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await request(reader)
    writer.write(answer(length=1000))


async def body_in_drips(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await request(reader)
    writer.write(answer(202, b"", length=1000))
    while True:
        writer.write(b"x")
        await asyncio.sleep(0.05)
        await writer.drain()


async def not_really_gzip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await request(reader)
    writer.write(answer(202, b"not gzip", "Content-Encoding: gzip", "Content-Type: application/json"))


@pytest.mark.parametrize("talk", [half_a_body, body_in_drips, not_really_gzip])
async def test_202_is_delivered_whatever_follows(talk: Talk) -> None:
    started = time.monotonic()
    async with Server(talk).running() as server, sender(server.url, timeout=0.5) as send:
        assert await send(TRIGGER) == Delivered()

    assert time.monotonic() - started < 3


async def test_no_more_of_an_answer_is_read_than_is_decent() -> None:
    sent = 0

    async def endless_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await request(reader)
        writer.write(answer(202, b"", "Content-Type: image/png", length=10**12))
        while True:
            writer.write(b"x" * 65_536)
            await writer.drain()
            sent += 65_536

    async with Server(endless_body).running() as server, sender(server.url) as send:
        assert await send(TRIGGER) == Delivered()

    # What the kernel's own buffers swallow counts here too; a second of reading would be hundreds of megabytes.
    assert sent < 20_000_000


async def refusal_in_drips(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await request(reader)
    writer.write(answer(503, b"down", length=1000))
    await reader.read()


async def test_a_refusal_counts_though_its_words_never_end() -> None:
    async with Server(refusal_in_drips).running() as server, sender(server.url, timeout=0.5) as send:
        assert await send(TRIGGER) == Retry("serverError", "HTTP 503: down")


async def test_nobody_listening_is_known_not_to_have_delivered() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    async with sender(f"http://127.0.0.1:{port}/v2/enqueue") as send:
        outcome = await send(TRIGGER)

    assert outcome == Retry("network", f"127.0.0.1:{port}: cannot connect: Connection refused", ambiguous=False) or (
        isinstance(outcome, Retry) and (outcome.reason, outcome.ambiguous) == ("network", False)
    )


async def test_a_connection_that_is_never_taken_is_known_not_to_have_delivered() -> None:
    with socket.socket() as full, contextlib.ExitStack() as waiting:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):  # fill the queue, so that the kernel drops what comes next
            one = waiting.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        async with sender(f"http://127.0.0.1:{full.getsockname()[1]}/", connect_timeout=0.3) as send:
            outcome = await send(TRIGGER)

    assert isinstance(outcome, Retry)
    assert (outcome.reason, outcome.ambiguous) == ("timeout", False)


async def test_a_cancelled_send_is_cancelled() -> None:
    arrived = asyncio.Event()

    async def arrive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.set()
        await reader.read()

    async with Server(arrive).running() as server, sender(server.url) as send:
        task = asyncio.ensure_future(send(TRIGGER))
        await arrived.wait()
        task.cancel()

        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.mark.parametrize(
    "url", ["nonsense", "ftp://127.0.0.1/", "http://127.0.0.1:99999/", "http://[::1/", "http://\ud800/"]
)
async def test_an_address_that_is_none_is_for_a_person_to_mend(url: str) -> None:
    async with sender(url) as send:
        outcome = await send(TRIGGER)

    assert isinstance(outcome, Retry)
    assert (outcome.reason, outcome.ambiguous, outcome.configuration) == ("configuration", False, True)


# --- connections that are kept -------------------------------------------------------------------------------------


async def keep_alive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        await request(reader)
        writer.write(answer())


async def test_one_connection_carries_many_events() -> None:
    async with Server(keep_alive).running() as server, sender(server.url) as send:
        outcomes = [await send(TRIGGER) for _ in range(5)]

    assert outcomes == [Delivered()] * 5
    assert server.connections == 1


@pytest.mark.parametrize("end", [reset, lambda writer: writer.close()])
async def test_a_kept_connection_that_closes_under_us_is_retried_at_once(
    end: Callable[[asyncio.StreamWriter], None],
) -> None:
    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(answer())
        await request(reader)
        end(writer)

    async with Server(once).running() as server, sender(server.url) as send:
        outcomes = [await send(TRIGGER) for _ in range(2)]

    assert outcomes == [Delivered()] * 2
    assert server.connections == 2


async def test_a_second_failure_is_not_retried_at_once_and_may_have_delivered() -> None:
    async def once_in_all(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if server.connections == 1:
            await request(reader)
            writer.write(answer())
        await request(reader)
        reset(writer)

    server = Server(once_in_all)
    async with server.running(), sender(server.url) as send:
        await send(TRIGGER)
        outcome = await send(TRIGGER)

    assert isinstance(outcome, Retry)
    assert (outcome.reason, outcome.ambiguous, server.connections) == ("network", True, 2)


async def test_a_redirect_is_not_followed() -> None:
    async def elsewhere(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(answer(307, b"", f"Location: {server.url}"))

    server = Server(elsewhere)
    async with server.running(), sender(server.url) as send:
        outcome = await send(TRIGGER)

    assert isinstance(outcome, Retry)
    assert outcome.configuration
    assert server.connections == 1


# --- names ---------------------------------------------------------------------------------------------------------


def no_such_name(*_: Any, **__: Any) -> list[Any]:
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


async def test_a_name_that_does_not_resolve_is_known_not_to_have_delivered() -> None:
    async with sender("http://events.example/v2/enqueue", resolver=Resolver(no_such_name)) as send:
        outcome = await send(TRIGGER)

    words = "events.example: the name cannot be resolved: Name or service not known"
    assert outcome == Retry("dns", words, ambiguous=False)


async def test_name_servers_that_hang_hold_up_neither_other_work_nor_the_end() -> None:
    asked: list[str] = []
    hanging = threading.Event()

    def hang(host: str, *_: Any, **__: Any) -> list[Any]:
        asked.append(host)
        hanging.wait(20)
        return []

    resolver = Resolver(hang, at_once=2)
    outcomes = []
    for n in range(3):
        async with sender(f"http://events{n}.example/", resolver=resolver, connect_timeout=0.2) as send:
            outcomes.append(await send(TRIGGER))
    other_work = await asyncio.wait_for(asyncio.to_thread(lambda: "done"), 2)
    hanging.set()

    assert [isinstance(outcome, Retry) and (outcome.reason, outcome.ambiguous) for outcome in outcomes] == [
        ("dns", False)
    ] * 3
    assert (len(asked), other_work) == (2, "done")


async def test_one_dead_address_of_several_does_not_matter() -> None:
    def two(_host: str, port: int, **_: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port)) for ip in ("127.0.0.9", "127.0.0.1")]

    async with Server(keep_alive).running() as server:
        url = f"http://events.example:{server.port}/v2/enqueue"
        async with sender(url, resolver=Resolver(two)) as send:
            assert await send(TRIGGER) == Delivered()


async def test_real_names_resolve() -> None:
    async with Server(keep_alive).running() as server, sender(server.url.replace("127.0.0.1", "localhost")) as send:
        assert await send(TRIGGER) == Delivered()


# --- TLS -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate for events.test, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("the openssl program is missing: TLS is NOT tested")
    folder = tmp_path_factory.mktemp("tls")
    cert, private = folder / "cert.pem", folder / "key.pem"
    wanted = ["-subj", "/CN=events.test", "-addext", "subjectAltName=DNS:events.test", "-days", "2"]
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", *wanted]
    subprocess.run([*command, "-keyout", private, "-out", cert], check=True, capture_output=True)
    return cert, private


@pytest.fixture
async def secure(certificate: tuple[Path, Path]) -> AsyncIterator[Server]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # failed handshakes are the point
    async with Server(keep_alive).running(context) as server:
        yield server


def to_loopback(_host: str, port: int, **_: Any) -> list[Any]:
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]


@pytest.mark.parametrize(
    ("host", "tls", "words"),
    [
        ("events.test", None, "its certificate is not trusted"),
        ("events.test", Tls(ca_file="CA"), None),
        ("other.test", Tls(ca_file="CA"), "its certificate is not trusted"),
        ("other.test", Tls(ca_file="CA", server_name="events.test"), None),
        ("other.test", Tls(insecure_skip_verify=True), None),
        ("events.test", Tls(ca_file="/nowhere.pem"), "tls_config cannot be used"),
    ],
)
async def test_certificates_are_checked_unless_told_otherwise(
    secure: Server, certificate: tuple[Path, Path], host: str, tls: Tls | None, words: str | None
) -> None:
    if tls is not None and tls.ca_file == "CA":
        tls = Tls(ca_file=str(certificate[0]), server_name=tls.server_name)
    url = f"https://{host}:{secure.port}/v2/enqueue"
    async with sender(url, resolver=Resolver(to_loopback), tls=tls) as send:
        outcome = await send(TRIGGER)

    if words is None:
        assert outcome == Delivered()
    else:
        assert isinstance(outcome, Retry)
        assert words in outcome.message
        assert not outcome.ambiguous
        assert outcome.reason == ("configuration" if outcome.configuration else "tls")


async def test_a_server_that_does_not_speak_tls_is_known_not_to_have_delivered() -> None:
    async def speaks_plainly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with Server(speaks_plainly).running() as server, sender(server.url.replace("http", "https")) as send:
        outcome = await send(TRIGGER)

    assert isinstance(outcome, Retry)
    assert (outcome.reason, outcome.ambiguous) == ("tls", False)


async def test_a_handshake_that_stalls_is_known_not_to_have_delivered() -> None:
    async def stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100_000)
        await reader.read()

    server, resolver = Server(stall), Resolver(to_loopback)
    async with (
        server.running(),
        sender(f"https://events.test:{server.port}/", connect_timeout=0.3, resolver=resolver) as send,
    ):
        outcome = await send(TRIGGER)

    assert isinstance(outcome, Retry)
    assert (outcome.reason, outcome.ambiguous) == ("timeout", False)


# --- proxies -------------------------------------------------------------------------------------------------------


async def proxied(server: Server, heads: list[bytes], status: int = 202) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head, _ = await request(reader)
        heads.append(head)
        writer.write(answer(status))

    server.talk = talk


async def test_a_proxy_is_asked_with_its_credentials() -> None:
    heads: list[bytes] = []
    server = Server(nothing)
    await proxied(server, heads)
    async with server.running():
        proxy = Secret(f"http://user:hunter22@127.0.0.1:{server.port}")
        async with sender("http://events.test/v2/enqueue", proxy_url=proxy) as send:
            assert await send(TRIGGER) == Delivered()

    assert heads[0].startswith(b"POST http://events.test/v2/enqueue HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic" in heads[0]


async def test_a_proxy_that_refuses_is_for_a_person_to_mend() -> None:
    heads: list[bytes] = []
    server = Server(nothing)
    await proxied(server, heads, 407)
    async with server.running():
        proxy = Secret(f"http://user:hunter22@127.0.0.1:{server.port}")
        async with sender("https://events.test/v2/enqueue", proxy_url=proxy) as send:
            outcome = await send(TRIGGER)

    assert isinstance(outcome, Retry)
    assert (outcome.ambiguous, outcome.configuration) == (False, True)
    assert "hunter22" not in repr(outcome)


async def test_a_proxy_of_another_kind_is_for_a_person_to_mend() -> None:
    async with sender("https://events.test/", proxy_url=Secret("socks5://127.0.0.1:1080")) as send:
        outcome = await send(TRIGGER)

    words = "the proxy's address must start with http:// or https://"
    assert outcome == Retry("configuration", words, ambiguous=False, configuration=True)


@pytest.mark.parametrize(("asked", "used"), [(True, 1), (False, 0)])
async def test_the_environments_proxy_is_used_only_when_asked_for(
    monkeypatch: pytest.MonkeyPatch, asked: bool, used: int
) -> None:
    heads: list[bytes] = []
    server = Server(nothing)
    await proxied(server, heads)
    async with server.running(), Server(keep_alive).running() as direct:
        for name, value in (("http_proxy", f"http://127.0.0.1:{server.port}"), ("no_proxy", ""), ("NO_PROXY", "")):
            monkeypatch.setenv(name, value)
        async with sender(direct.url, proxy_from_environment=asked) as send:
            assert await send(TRIGGER) == Delivered()

    assert (len(heads), direct.connections) == (used, 1 - used)


# --- secrets -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 400, 404, 413, 429, 503])
async def test_a_server_that_echoes_the_key_does_not_get_it_into_outcomes_or_logs(
    status: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, body = await request(reader)
        writer.write(answer(status, body))

    caplog.set_level(logging.DEBUG)
    server = Server(echo)
    async with server.running(), sender(f"http://user:hunter22@127.0.0.1:{server.port}/?token=sesame99") as send:
        outcome = await send(TRIGGER)

    for secret in (ROUTING_KEY, "hunter22", "sesame99"):
        assert secret not in repr(outcome) + caplog.text


@pytest.mark.parametrize("echoed", ["x" * 270 + ROUTING_KEY, " " * (64 * 1024 - 20) + ROUTING_KEY, ROUTING_KEY[:20]])
async def test_nor_a_part_of_the_key_where_the_answer_is_cut(echoed: str) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(answer(503, echoed.encode()))

    server = Server(echo)
    async with server.running(), sender(f"http://127.0.0.1:{server.port}/") as send:
        outcome = await send(TRIGGER)

    assert ROUTING_KEY[:8] not in repr(outcome)


async def test_a_renewed_key_is_reached_by_its_own_way(certificate: tuple[Path, Path], secure: Server) -> None:
    """A reload brings new Keys of the same id; their certificates are read anew."""
    url = f"https://events.test:{secure.port}/"
    keys = {"k": key(url, tls=Tls(server_name="events.test"))}
    sending = EventSender(keys.get, resolver=Resolver(to_loopback))
    await sending.start()
    try:
        before = await sending.send(TRIGGER, "k")
        keys["k"] = key(url, tls=Tls(ca_file=str(certificate[0])))
        after = await sending.send(TRIGGER, "k")
    finally:
        await sending.close()

    assert isinstance(before, Retry)
    assert before.reason == "tls"
    assert after == Delivered()
