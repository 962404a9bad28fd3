"""The stand-in for PagerDuty: as strict as PagerDuty, with its words, and broken on demand."""

import asyncio
import contextlib
import json
import re
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pdpyras
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker

from relay.cli.sandbox import sandbox as command
from relay.sandbox.answers import Answer
from relay.sandbox.app import SANDBOX, make_app
from relay.sandbox.faults import Fault
from relay.sandbox.state import CHANGE_PATH, Sandbox, Settings
from relay.sandbox.validation import alert_event_errors, change_event_errors

KEY = "0123456789abcdef0123456789ABCDEF"
OTHER = "fedcba9876543210fedcba9876543210"
ORCHESTRATION = "R123456789abcdef0123456789ABCDEF"
SCHEMAS = Path(__file__).parents[1] / "data" / "pagerduty"

Client = TestClient[web.Request, web.Application]


class Clock:
    """A clock that moves when told."""

    def __init__(self) -> None:
        self.at = 1_700_000_000.0

    def __call__(self) -> float:
        return self.at


def trigger(dedup_key: str = "k", **payload: Any) -> dict[str, Any]:
    said = {"summary": "disk full", "source": "web-1", "severity": "critical", **payload}
    return {"routing_key": KEY, "event_action": "trigger", "dedup_key": dedup_key, "payload": said}


def tell(action: str, dedup_key: str = "k", routing_key: str = KEY) -> dict[str, Any]:
    return {"routing_key": routing_key, "event_action": action, "dedup_key": dedup_key}


def post(sandbox: Sandbox, event: object, path: str = "/v2/enqueue") -> Answer:
    return sandbox.enqueue(json.dumps(event).encode(), path)


def said(answer: Answer) -> Any:
    return json.loads(answer.body)


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with TestClient(TestServer(make_app(Settings()))) as client:
        yield client


# --- what PagerDuty says to an event -------------------------------------------------------------------------------


def test_an_accepted_event_is_answered_as_pagerduty_does() -> None:
    answer = post(Sandbox(), trigger("disk"))

    assert answer.status == 202
    assert said(answer) == {"status": "success", "message": "Event processed", "dedup_key": "disk"}


def test_a_trigger_without_a_dedup_key_gets_one_and_is_a_new_alert_each_time() -> None:
    sandbox = Sandbox()
    event = trigger()
    del event["dedup_key"]

    keys = {said(post(sandbox, event))["dedup_key"] for _ in range(2)}

    assert len(keys) == len(sandbox.open_alerts) == 2


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (
            {"payload": {"summary": "s", "source": "x", "severity": "Info"}},
            "'payload.severity' is invalid (must be one of the following: 'critical', 'warning', 'error' or 'info')",
        ),
        ({"payload": {"summary": "s", "source": "x", "severity": ""}}, "'payload.severity' is missing or blank"),
        ({"payload": {"summary": "s", "severity": "info"}}, "'payload.source' is missing or blank"),
        ({"payload": {"summary": " ", "source": "x", "severity": "info"}}, "'payload.summary' is missing or blank"),
        (
            {"payload": {"summary": "ü" * 1025, "source": "x", "severity": "info"}},
            "'summary' is too long (maiximum is 1024 characters)",  # codespell:ignore
        ),
        ({"payload": None}, "'payload' is missing or blank"),
        ({"routing_key": "short"}, "Length of 'routing_key' is incorrect (should be 32 characters)"),
        ({"routing_key": "-" * 32}, "'routing_key' cannot contain non-alphanumeric characters."),
        ({"routing_key": None}, "'routing_key' is missing or blank"),
        ({"event_action": "resolve", "dedup_key": ""}, "'dedup_key' is missing or blank"),
        ({"dedup_key": "d" * 256}, "'dedup_key' is too long (maximum is 255 characters)"),
        ({"images": [{"src": "http://example.com/a.png"}]}, "'images[0].src' must be an HTTPS URL"),
        ({"links": [{"text": "Runbook"}]}, "'links[0].href' is missing or blank"),
        ({"client_url": "grafana"}, "'client_url' is not a valid URL"),
    ],
)
def test_a_refused_event_is_told_why_in_pagerdutys_words(change: dict[str, Any], error: str) -> None:
    answer = post(Sandbox(), trigger() | change)

    assert answer.status == 400
    assert said(answer) == {"status": "invalid event", "message": "Event object is invalid", "errors": [error]}


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'"x"', b'{"a": NaN}', b"\xff", b"[" * 100_000, b'{"a":' * 500 + b"1" + b"}" * 500]
)
def test_a_body_that_is_no_json_object_is_unrecognized(body: bytes) -> None:
    answer = Sandbox().enqueue(body)

    assert (answer.status, said(answer)["errors"]) == (400, ["JSON parse error"])


@pytest.mark.parametrize("status", [400, 413])
def test_a_body_over_512_000_bytes_is_refused(status: int) -> None:
    sandbox = Sandbox(Settings(oversize_status=status))
    room = 512_000 - len(json.dumps(trigger(component="")).encode())

    fits, too_large = post(sandbox, trigger(component="x" * room)), post(sandbox, trigger(component="x" * (room + 1)))

    assert (fits.status, too_large.status) == (202, status)
    assert said(too_large)["errors"] == ["Event is too large (maximum is 512000 bytes)"]


def test_only_named_keys_are_known_once_any_is_named() -> None:
    sandbox = Sandbox(Settings(keys={"platform": KEY}))

    known, unknown = post(sandbox, trigger()), post(sandbox, {**trigger(), "routing_key": OTHER})

    assert known.status == 202
    assert (unknown.status, unknown.content_type, unknown.body) == (400, "text/plain", b"Invalid routing key")
    assert sandbox.open_alerts[0].key == "platform"


# --- rate ----------------------------------------------------------------------------------------------------------


def test_a_key_may_call_120_times_in_any_60_seconds() -> None:
    clock = Clock()
    sandbox = Sandbox(clock=clock)
    for n in range(120):
        clock.at += 0.25
        assert post(sandbox, trigger(f"k{n}")).status == 202

    refused = post(sandbox, trigger("one more"))
    other = post(sandbox, {**trigger("other"), "routing_key": OTHER})
    clock.at += 60 - 119 * 0.25
    later = [post(sandbox, trigger(f"later{n}")).status for n in range(2)]

    assert refused.status == 429
    assert said(refused)["status"] == "throttle exceeded"
    assert other.status == 202
    assert later == [202, 429]
    assert all(alert.dedup_key != "one more" for alert in sandbox.open_alerts)


# --- what becomes of accepted events -------------------------------------------------------------------------------


def test_a_trigger_on_an_open_key_is_a_log_entry() -> None:
    sandbox = Sandbox()
    post(sandbox, trigger(summary="one", severity="warning", custom_details={"n": 1}))
    post(sandbox, tell("acknowledge"))
    post(sandbox, trigger(summary="two", severity="critical", custom_details={"n": 2}))

    (alert,) = sandbox.open_alerts

    assert (alert.number, alert.status, alert.summary, alert.triggers) == (1, "acknowledged", "two", 2)
    assert (alert.severity, alert.urgency) == ("critical", "low")
    assert (alert.event["payload"]["custom_details"], alert.latest["payload"]["custom_details"]) == ({"n": 1}, {"n": 2})
    assert [entry.what for entry in alert.log] == ["triggered", "acknowledged", "triggered again"]


def test_a_trigger_after_a_resolve_is_a_new_incident() -> None:
    sandbox = Sandbox()
    for event in (trigger(), tell("resolve"), trigger()):
        assert post(sandbox, event).status == 202

    assert [alert.number for alert in sandbox.open_alerts] == [2]
    assert [(alert.number, alert.status) for alert in sandbox.past_alerts] == [(1, "resolved")]


@pytest.mark.parametrize("action", ["acknowledge", "resolve"])
@pytest.mark.parametrize("event", [tell("", "another"), tell("", routing_key=OTHER), tell("", "K")])
def test_a_word_about_nothing_open_is_taken_and_dropped(event: dict[str, Any], action: str) -> None:
    sandbox = Sandbox()
    post(sandbox, trigger())

    answer = post(sandbox, {**event, "event_action": action})

    assert answer.status == 202
    assert sandbox.requests[-1]["result"] == "dropped"
    assert [alert.status for alert in sandbox.open_alerts] == ["triggered"]


def test_one_dedup_key_on_two_routing_keys_is_two_incidents() -> None:
    sandbox = Sandbox()
    post(sandbox, trigger())
    post(sandbox, {**trigger(), "routing_key": OTHER})

    assert len(sandbox.open_alerts) == 2


def test_change_events_are_taken_but_not_with_an_orchestrations_key() -> None:
    sandbox = Sandbox()
    event = {"routing_key": KEY, "payload": {"summary": "deploy"}}

    statuses = [post(sandbox, {**event, "routing_key": key}, CHANGE_PATH).status for key in (KEY, ORCHESTRATION)]

    assert statuses == [202, 400]
    assert [change["event"]["payload"]["summary"] for change in sandbox.changes] == ["deploy"]
    assert sandbox.open_alerts == ()


# --- the schema, as a second opinion -------------------------------------------------------------------------------


def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(json.loads((SCHEMAS / name).read_text()), format_checker=FormatChecker())


ALERT_EVENT, CHANGE_EVENT = validator("alert-event.schema.json"), validator("change-event.schema.json")


def mostly(good: st.SearchStrategy[Any], *bad: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Nearly always something good, so that whole events are; else something doubtful or of a wrong type."""
    return st.integers(0, 39).flatmap(lambda n: st.one_of(odd, *bad) if n == 23 else good)


def fields(required: dict[str, Any], optional: dict[str, Any]) -> st.SearchStrategy[Any]:
    whole = st.fixed_dictionaries(required, optional=optional)
    return mostly(whole, st.fixed_dictionaries({}, optional={**required, **optional}))


texts = st.text(max_size=8)
odd = st.none() | st.booleans() | st.integers() | texts | st.lists(texts, max_size=2) | st.dictionaries(texts, texts)
words = mostly(texts)
names = mostly(
    st.sampled_from(["disk full", "x" * 1024, "ü" * 1024]), st.sampled_from(["", " \n", "\u00a0", "ü" * 1025])
)
urls = mostly(
    st.sampled_from(
        [
            "https://example.com/a.png",
            "https://am:9093/#/alerts?receiver=x",
            "https://[::1]:9090/graph?g0.expr=up%3D%3D0&g0.tab=1",
            "https://u:p@h/?a=b/?#c?",
        ]
    ),
    st.sampled_from(
        ["HTTPS://example.com", "http://example.com", "mailto:a@example.com", "x:", "x:/", "x:/a", "x:a/b"]
    ),
    st.sampled_from(
        ["https://a/b c", "https://ä.de/", "https://a/{x}", "https://a/%zz", "//a", "a", "", "http://h:8x/"]
    ),
    st.builds(
        "{}://{}".format,
        st.sampled_from(["http", "https", "a+b.c-1", "1a"]),
        st.text("az09.:/?#%@&=~ |\\^<é", max_size=12),
    ),
)
stamps = mostly(
    st.sampled_from(["2015-07-17T08:42:58.315+0000", "2026-01-02T03:04:05Z", "2026-01-02T03:04:05.123456+01:00"]),
    st.sampled_from(["2026-01-02T03:04Z", "2026-01-02T3:04:05Z", "2021-10-22 5:01:32", "2026-01-02T03:04:05+00:00Z"]),
)
links = mostly(st.lists(fields({"href": urls}, {"text": words}), max_size=2))
images = mostly(st.lists(fields({"src": urls}, {"href": urls, "alt": words}), max_size=2))
routing_keys = mostly(
    st.sampled_from([KEY, ORCHESTRATION, OTHER, OTHER]), st.sampled_from([KEY[:31], KEY[:31] + "ü", KEY[:31] + "-"])
)
payloads = fields(
    {
        "summary": names,
        "source": names,
        "severity": mostly(
            st.sampled_from(["critical", "error", "warning", "info"]), st.sampled_from(["Info", "none", ""])
        ),
    },
    {
        "timestamp": stamps,
        "component": words,
        "group": words,
        "class": words,
        "custom_details": mostly(st.dictionaries(texts, odd, max_size=2)),
        "unknown": odd,
    },
)
actions = mostly(st.sampled_from(["trigger", "trigger", "acknowledge", "resolve"]), st.sampled_from(["Trigger", ""]))
dedup_keys = mostly(st.sampled_from(["k", "ü" * 255]), st.sampled_from(["", "k" * 256]))
around = {"client": words, "client_url": urls, "links": links, "images": images, "unknown": odd}
alert_events = st.one_of(
    fields(
        {"routing_key": routing_keys, "event_action": actions, "payload": payloads}, {"dedup_key": dedup_keys, **around}
    ),
    fields(
        {"routing_key": routing_keys, "event_action": actions, "dedup_key": dedup_keys}, {"payload": payloads, **around}
    ),
)
change_events = fields({"routing_key": routing_keys, "payload": payloads}, {**around, "client_url": words})


@settings(max_examples=1500, deadline=None)
@given(alert_events.filter(lambda event: isinstance(event, dict)))
def test_the_sandbox_takes_an_alert_event_if_and_only_if_the_schema_does(event: dict[str, Any]) -> None:
    errors = alert_event_errors(event)

    assert (errors == []) == ALERT_EVENT.is_valid(event), errors
    assert (post(Sandbox(), event).status == 202) == (errors == [])


@settings(max_examples=700, deadline=None)
@given(change_events.filter(lambda event: isinstance(event, dict)))
def test_the_sandbox_takes_a_change_event_if_and_only_if_the_schema_does(event: dict[str, Any]) -> None:
    errors = change_event_errors(event)

    assert (errors == []) == CHANGE_EVENT.is_valid(event), errors
    assert (post(Sandbox(), event, CHANGE_PATH).status == 202) == (errors == [])


# --- faults on demand, over HTTP -----------------------------------------------------------------------------------


async def spoil(client: Client, **fault: Any) -> None:
    assert (await client.post("/sandbox/faults", json=fault)).status == 200


async def open_keys(client: Client) -> list[str]:
    return [alert["dedup_key"] for alert in (await (await client.get("/sandbox/alerts.json")).json())["open"]]


async def results(client: Client) -> list[tuple[int, str]]:
    listed = (await (await client.get("/sandbox/events.json")).json())["events"]
    return [(event["status"], event["result"]) for event in listed]


async def test_a_status_befalls_as_many_requests_as_asked_and_ingests_nothing(client: Client) -> None:
    await spoil(client, status=503, count=2, retry_after=7, body="down")

    answers = [await client.post("/v2/enqueue", json=trigger(f"k{n}")) for n in range(3)]

    assert [answer.status for answer in answers] == [503, 503, 202]
    assert (answers[0].headers["Retry-After"], await answers[0].text(), answers[0].content_type) == (
        "7",
        "down",
        "text/plain",
    )
    assert await open_keys(client) == ["k2"]


async def test_a_fault_may_ingest_and_still_fail(client: Client) -> None:
    await spoil(client, status=500, ingest=True)

    assert (await client.post("/v2/enqueue", json=trigger("k"))).status == 500
    assert await open_keys(client) == ["k"]
    assert await results(client) == [(500, "triggered")]


@pytest.mark.parametrize(("drop", "kept"), [("before", []), ("after", ["k"])])
async def test_a_connection_is_reset_before_or_after_ingesting(client: Client, drop: str, kept: list[str]) -> None:
    await spoil(client, drop=drop, count=1)

    with pytest.raises((aiohttp.ClientOSError, aiohttp.ServerDisconnectedError)):
        await client.post("/v2/enqueue", json=trigger("k"))

    assert await open_keys(client) == kept
    assert (await results(client))[0][0] == 0


async def test_an_event_can_be_accepted_and_forgotten(client: Client) -> None:
    await spoil(client, forget=True, count=1)

    assert (await client.post("/v2/enqueue", json=trigger("k"))).status == 202
    assert await open_keys(client) == []
    assert await results(client) == [(202, "forgotten")]


async def test_latency_comes_after_ingesting(client: Client) -> None:
    await spoil(client, latency=30.0)

    with pytest.raises(asyncio.TimeoutError):
        await client.post("/v2/enqueue", json=trigger("k"), timeout=aiohttp.ClientTimeout(total=0.2))

    assert await open_keys(client) == ["k"]


async def test_an_answer_can_drip(client: Client) -> None:
    await spoil(client, drip=0.001)

    answer = await client.post("/v2/enqueue", json=trigger("k"))

    assert (await answer.json())["dedup_key"] == "k"


async def test_a_fault_can_be_for_one_key_one_action_or_a_share_and_be_cleared(client: Client) -> None:
    client.app[SANDBOX]._chance = lambda: 0.5
    await spoil(client, status=500, key=OTHER)
    await spoil(client, status=501, action="resolve")
    await spoil(client, status=502, share=0.4)

    async def statuses() -> list[int]:
        events = trigger(), {**trigger(), "routing_key": OTHER}, tell("resolve")
        return [(await client.post("/v2/enqueue", json=event)).status for event in events]

    assert await statuses() == [202, 500, 501]
    await client.delete("/sandbox/faults")
    assert await statuses() == [202, 202, 202]


async def test_a_fault_nobody_knows_is_refused(client: Client) -> None:
    answer = await client.post("/sandbox/faults", json={"explode": True})

    assert (answer.status, await answer.text()) == (400, "Object contains unknown field `explode`\n")


async def test_state_can_be_forgotten(client: Client) -> None:
    await client.post("/v2/enqueue", json=trigger("k"))

    assert (await client.delete("/sandbox/state")).status == 204
    assert (await open_keys(client), await results(client)) == ([], [])
    assert (await client.get("/sandbox/healthz")).status == 200


# --- what is written down and shown --------------------------------------------------------------------------------


def test_the_ledger_has_each_request_before_it_is_answered(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.jsonl"
    sandbox = Sandbox(Settings(ledger=ledger))

    for body in (json.dumps(trigger("k")).encode(), b"{", json.dumps(tell("resolve")).encode()):
        sandbox.enqueue(body)
    lines = [json.loads(line) for line in ledger.read_text().splitlines()]

    assert [(line["status"], line["result"]) for line in lines] == [
        (202, "triggered"),
        (400, "invalid"),
        (202, "resolved"),
    ]
    assert lines[0]["event"] == {name: value for name, value in trigger("k").items() if name != "routing_key"}
    assert KEY not in ledger.read_text()


NASTY = "<script>alert(1)</script>"


@pytest.fixture
async def shown(client: Client) -> Client:
    event = trigger(
        "key " + NASTY,
        summary=NASTY + "\ud800",
        component="disk",
        custom_details={
            "firing": [{"instance": NASTY, "value": 3, "dashboard": "https://example.com/d"}],
            "none": None,
        },
    )
    event |= {
        "client": "Pagerelay",
        "client_url": "http://localhost/pages/1",
        "links": [
            {"href": "https://example.com/runbook", "text": "Runbook"},
            {"href": "javascript:alert(1)", "text": "Bad"},
        ],
        "images": [{"src": "https://example.com/a.png", "alt": "graph"}],
    }
    for _ in range(2):
        assert (await client.post("/v2/enqueue", json=event)).status == 202
    return client


@pytest.mark.parametrize("path", ["/", "/alerts/1"])
async def test_the_screens_show_what_was_sent_and_run_none_of_it(shown: Client, path: str) -> None:
    answer = await shown.get(path)
    page = await answer.text()

    assert answer.status == 200
    assert "&lt;script&gt;alert(1)" in page
    assert "<script" not in page
    assert 'href="javascript:' not in page
    assert KEY not in page
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


async def test_an_incidents_page_shows_details_links_and_log(shown: Client) -> None:
    page = await (await shown.get("/alerts/1")).text()

    for text in (
        "high urgency",
        'href="https://example.com/runbook"',
        "Pagerelay",
        "instance",
        "Triggered again",
        "graph",
    ):
        assert text in page


async def test_one_incident_is_there_as_json_with_its_events(client: Client) -> None:
    await client.post("/v2/enqueue", json=trigger("k", component="disk"))

    alert = await (await client.get("/sandbox/alerts/1.json")).json()

    assert (alert["dedup_key"], alert["event"]["payload"]["component"]) == ("k", "disk")


async def test_the_screens_stand_when_nothing_or_only_trouble_came(client: Client) -> None:
    await spoil(client, status=503)
    await client.post("/v2/enqueue", data=b"{")

    page = await (await client.get("/")).text()

    assert "Nothing is open." in page
    assert "status=503" in page
    assert (await client.get("/alerts/1")).status == 404


# --- PagerDuty's own client ----------------------------------------------------------------------------------------


@contextlib.contextmanager
def served() -> Iterator[tuple[str, Sandbox]]:
    """Serve a sandbox on a thread of its own, since PagerDuty's client is not async."""
    sandbox, loop, ready, urls = Sandbox(), asyncio.new_event_loop(), threading.Event(), list[str]()

    async def start() -> TestServer:
        server = TestServer(make_app(sandbox=sandbox))
        await server.start_server()
        urls.append(str(server.make_url("")).rstrip("/"))
        ready.set()
        return server

    def run() -> None:
        server = loop.run_until_complete(start())
        loop.run_forever()
        loop.run_until_complete(server.close())
        loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert ready.wait(10)
        yield urls[0], sandbox
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_pagerdutys_own_python_client_is_content() -> None:
    with served() as (url, sandbox):
        events, changes = pdpyras.EventsAPISession(KEY), pdpyras.ChangeEventsAPISession(KEY)
        events.url = changes.url = url
        with events, changes:
            key = events.trigger("disk full", "web-1", severity="error", custom_details={"free": "0"})
            events.acknowledge(key)
            states = [alert.status for alert in sandbox.open_alerts]
            events.resolve(key)
            changes.submit("deployed 1.2.3", source="ci")
            with pytest.raises(pdpyras.PDHTTPError, match=re.escape("'summary' is too long")):
                events.trigger("x" * 1025, "web-1")

    assert states == ["acknowledged"]
    assert [(alert.dedup_key, alert.status) for alert in sandbox.past_alerts] == [(key, "resolved")]
    assert len(sandbox.changes) == 1


# --- the program ---------------------------------------------------------------------------------------------------

PROGRAM = [sys.executable, "-c", "from relay.cli.sandbox import sandbox; sandbox()"]


async def test_the_program_says_where_it_listens_takes_events_and_stops_when_told(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.jsonl"
    arguments = [*PROGRAM, "--listen-address", "127.0.0.1:0", "--key", f"platform={KEY}", "--ledger", str(ledger)]
    program = await asyncio.create_subprocess_exec(*arguments, stdout=subprocess.PIPE)
    assert program.stdout is not None
    try:
        line = (await program.stdout.readline()).decode()
        found = re.search(r"events go to (\S+)\)", line)
        assert found, line
        async with aiohttp.ClientSession() as session, session.post(found[1], json=trigger("k")) as answer:
            assert answer.status == 202
        assert json.loads(ledger.read_text())["routing_key"] == "platform"
        program.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(program.wait(), 10) == 0
    finally:
        with contextlib.suppress(ProcessLookupError):
            program.kill()
        await program.wait()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--listen-address", "nowhere"], "write it as HOST:PORT"),
        (["--key", "abc"], "write it as NAME=KEY"),
        (["--listen-address", "192.0.2.1:80"], "cannot listen on 192.0.2.1:80"),
    ],
)
def test_the_program_says_what_is_wrong_with_its_arguments(arguments: list[str], words: str) -> None:
    ended = subprocess.run([*PROGRAM, *arguments], capture_output=True, text=True, timeout=20, check=False)

    assert ended.returncode != 0
    assert words in ended.stderr


# --- the documentation ---------------------------------------------------------------------------------------------


def test_every_option_fault_and_address_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "sandbox.md").read_text()
    options = [option for parameter in command.params for option in parameter.opts]
    faults = [field.name for field in msgspec.structs.fields(Fault)]
    doors = [route.resource.canonical for route in make_app().router.routes() if route.resource is not None]

    assert [name for name in (*options, *faults) if f"| `{name}` |" not in text] == []
    assert [door for door in doors if door not in text] == []


async def test_the_page_says_of_a_fault_whom_it_befalls_and_shows_no_key(client: Client) -> None:
    await spoil(client, status=429, key=KEY, action="trigger", field="links")
    await spoil(client, status=500, key="f" * 28 + "beef")

    page = await (await client.get("/")).text()

    assert "status=429 action=trigger field=links key=" in page
    assert "status=500 key=…beef" in page
    assert "f" * 28 not in page
