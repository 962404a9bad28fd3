"""PagerDuty's REST API through `Rest`, against a server that answers as the documentation says, and worse."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from relay.metrics import Metrics
from relay.pagerduty.rest import EVENTS_V2, Limits, Rest, RestError
from relay.rules.ruleset import Account
from relay.secret import Secret

TOKEN = "y_NbAkKc66ryYTWUXYEu"
OTHER_TOKEN = "u+zyxwvutsrqponmlkji"
KEY = "0123456789abcdef0123456789abcdef"
LIMITED = {"error": {"message": "Rate Limit Exceeded", "code": 2020}}
QUICK = Limits(timeout=0.3, whole=10.0, largest=100_000, sleep=0.01)

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class PagerDuty:
    """What the server answers, and what it was asked."""

    answers: dict[str, list[Answer]] = field(default_factory=dict)
    """By method and path; the last one is given again and again."""
    asked: list[web.Request] = field(default_factory=list)
    bodies: list[str] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0

    def says(self, what: str, *answers: Answer) -> None:
        self.answers[what] = list(answers)

    async def take(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request)
        self.bodies.append(await request.text())
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        try:
            known = self.answers.get(f"{request.method} {request.path}")
            if known is None:
                return web.json_response({"error": {"message": "Not Found", "code": 2100}}, status=404)
            return await (known.pop(0) if len(known) > 1 else known[0])(request)
        finally:
            self.at_once -= 1


def said(body: object = None, status: int = 200, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    async def answer(_: web.Request) -> web.StreamResponse:
        if isinstance(body, str):
            return web.Response(text=body, status=status, headers={"Content-Type": "text/html"} | named)
        return web.json_response(body, status=status, headers=named)

    return answer


def slow(seconds: float) -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(seconds)
        return web.json_response({"incidents": [], "more": False})

    return answer


async def dripping(request: web.Request) -> web.StreamResponse:
    """Never silent for long, and never done."""
    response = web.StreamResponse()
    await response.prepare(request)
    for _ in range(100):
        if request.transport is None or request.transport.is_closing():
            break
        await response.write(b" ")
        await asyncio.sleep(0.05)
    return response


async def broken(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


@pytest.fixture
async def pagerduty() -> PagerDuty:
    return PagerDuty()


@pytest.fixture
async def account(pagerduty: PagerDuty) -> AsyncIterator[Account]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", pagerduty.take)
    server = TestServer(app)
    await server.start_server()
    yield Account(api_url=str(server.make_url("")).rstrip("/"), from_email="anna@example.com")
    await server.close()


@pytest.fixture
async def rest(account: Account) -> AsyncIterator[Rest]:
    made = Rest(lambda: Secret(TOKEN), lambda: account, limits=QUICK)
    await made.start()
    yield made
    await made.close()


async def failure(call: Awaitable[object]) -> RestError:
    with pytest.raises(RestError) as caught:
        await call
    return caught.value


def page_of(start: int, count: int, *, more: bool) -> Answer:
    found = [{"id": f"P{number}", "incident_number": number} for number in range(start, start + count)]
    return said({"incidents": found, "limit": 100, "offset": start, "more": more, "total": None})


async def test_a_list_is_read_to_its_last_page(pagerduty: PagerDuty, rest: Rest) -> None:
    pages = (page_of(0, 100, more=True), page_of(100, 100, more=True), page_of(200, 7, more=False))
    pagerduty.says("GET /incidents", *pages)

    found = await rest.incidents(services=["PSERV01"])

    assert [one.number for one in found] == list(range(207))
    assert [request.query["offset"] for request in pagerduty.asked] == ["0", "100", "200"]
    first = pagerduty.asked[0]
    assert first.query.getall("statuses[]") == ["triggered", "acknowledged"]
    assert first.query.getall("service_ids[]") == ["PSERV01"]
    assert first.query["date_range"] == "all"  # else PagerDuty shows one month
    assert first.headers["Authorization"] == f"Token token={TOKEN}"
    assert first.headers["Accept"] == "application/vnd.pagerduty+json;version=2"
    assert first.headers["From"] == "anna@example.com"


async def test_a_list_that_always_promises_more_comes_to_an_end(pagerduty: PagerDuty, rest: Rest) -> None:
    pagerduty.says("GET /incidents", page_of(0, 3, more=True), said({"incidents": [], "more": True}))
    assert len(await rest.incidents()) == 3

    pagerduty.says("GET /incidents", page_of(0, 100, more=True))
    assert (await failure(rest.incidents())).reason == "refused"
    assert len(pagerduty.asked) == 2 + 100


@pytest.mark.parametrize(
    ("answer", "reason", "words"),
    [
        (said("HTTP Token: Access denied.", 401), "unauthorized", "account's region"),
        (said({"error": {"message": f"Bad token {TOKEN}"}}, 401), "unauthorized", "<secret>"),
        (said({"error": {"message": "Access Denied", "code": 2010}}, 403), "forbidden", "Access Denied"),
        (said({"error": {"message": "Not Found", "code": 2100}}, 404), "not_found", "/incidents"),
        (said({"error": {"message": "Invalid", "errors": ["Since is odd"]}}, 400), "refused", "Since is odd"),
        (said({"error": "odd"}, 409), "refused", "odd"),
        (said(None, 500), "server", "trouble of its own"),
        (said("<html>Bad gateway</html>", 502), "server", "Bad gateway"),
        (said("<html>Sign in first</html>"), "bad_answer", "is a proxy in between?"),
        (said({"something": "else"}), "bad_answer", "no list of incidents"),
        (said([1, 2]), "bad_answer", "no list of incidents"),
        (said(""), "bad_answer", "no list of incidents"),
        (said("[" * 50_000), "bad_answer", "does not speak JSON"),
        (said(None, 302, Location="https://elsewhere.example/"), "bad_answer", "redirects elsewhere"),
        (said("x" * 200_000), "bad_answer", "more than 100,000 bytes"),
        (said(LIMITED, 429), "rate_limited", "come again later"),
        (dripping, "unreachable", "no answer in time"),
        (slow(5.0), "unreachable", "no answer in time"),
        (broken, "unreachable", "cannot be reached"),
    ],
)
async def test_what_goes_wrong_is_said_in_plain_words(
    pagerduty: PagerDuty, rest: Rest, answer: Answer, reason: str, words: str
) -> None:
    pagerduty.says("GET /incidents", answer)

    error = await failure(rest.incidents())

    assert error.reason == reason
    assert words in str(error)
    assert TOKEN not in str(error)
    assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("url", "words"),
    [("http://127.0.0.1:1", "refused"), ("https://no.such.host.invalid", "no.such.host.invalid cannot be reached")],
)
async def test_an_address_where_nobody_is_is_unreachable(url: str, words: str) -> None:
    rest = Rest(lambda: Secret(TOKEN), lambda: Account(api_url=url), limits=QUICK)

    error = await failure(rest.incidents())

    assert error.reason == "unreachable"
    assert words in str(error)
    await rest.close()


async def test_a_429_is_tried_again_a_few_times_and_no_more(pagerduty: PagerDuty, rest: Rest) -> None:
    pagerduty.says("GET /incidents/P1", said(LIMITED, 429))
    assert (await failure(rest.incident("P1"))).reason == "rate_limited"
    assert len(pagerduty.asked) == 1 + QUICK.throttled

    pagerduty.says("GET /incidents/P1", said(LIMITED, 429), said({"incident": {"id": "P1"}}))
    assert (await rest.incident("P1")).id == "P1"


async def test_the_rate_limits_reset_is_waited_for(pagerduty: PagerDuty, account: Account) -> None:
    waits: list[float] = []
    rest = Rest(lambda: Secret(TOKEN), lambda: account, waits=waits.append, limits=QUICK)
    there = said({"incident": {"id": "P1"}}, ratelimit_remaining="0", ratelimit_reset="1")
    pagerduty.says("GET /incidents/P1", said(LIMITED, 429, ratelimit_reset="1"), there)

    began = time.monotonic()
    await rest.incident("P1")
    throttled = time.monotonic() - began
    await rest.incident("P1")
    both = time.monotonic() - began

    assert throttled >= 1.0
    assert both >= 2.0
    assert len(waits) == 2
    await rest.close()


async def test_nothing_is_waited_for_after_the_last_try(pagerduty: PagerDuty, account: Account) -> None:
    waits: list[float] = []
    limits = replace(QUICK, longest_wait=0.05)
    rest = Rest(lambda: Secret(TOKEN), lambda: account, waits=waits.append, limits=limits)
    pagerduty.says("GET /incidents/P1", said(LIMITED, 429, ratelimit_reset="30"))

    assert (await failure(rest.incident("P1"))).reason == "rate_limited"

    assert len(waits) == limits.throttled
    await rest.close()


async def test_a_reset_far_away_is_waited_for_no_longer_than_the_limit(pagerduty: PagerDuty, account: Account) -> None:
    limits = replace(QUICK, longest_wait=0.05, throttled=1)
    rest = Rest(lambda: Secret(TOKEN), lambda: account, limits=limits)
    pagerduty.says("GET /incidents/P1", said(LIMITED, 429, ratelimit_reset="86400"))

    began = time.monotonic()
    assert (await failure(rest.incident("P1"))).reason == "rate_limited"

    assert time.monotonic() - began < 2.0
    await rest.close()


@pytest.mark.parametrize("answer", [said(None, 503), broken, slow(5.0)])
async def test_what_may_have_been_written_is_not_written_twice(
    pagerduty: PagerDuty, rest: Rest, answer: Answer
) -> None:
    """A POST without an answer may have been heard; a GET and a PUT do no harm if they come again."""
    pagerduty.says("POST /incidents/P1/notes", answer)
    await failure(rest.note("P1", "once"))
    assert len(pagerduty.asked) == 1

    done = said({"incident": {"id": "P1", "status": "resolved"}})
    pagerduty.says("PUT /incidents/P1", answer, done)
    assert (await rest.act("P1", "resolved")).status == "resolved"


async def test_calls_are_made_one_after_another(pagerduty: PagerDuty, rest: Rest) -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(0.02)
        return web.json_response({"incident": {"id": "P1"}})

    pagerduty.says("GET /incidents/P1", answer)
    await asyncio.gather(*(rest.incident("P1") for _ in range(8)))

    assert pagerduty.most_at_once == 1
    assert len(pagerduty.asked) == 8


async def test_a_call_that_hangs_does_not_hold_up_the_next(pagerduty: PagerDuty, account: Account) -> None:
    rest = Rest(lambda: Secret(TOKEN), lambda: account, limits=replace(QUICK, timeout=20.0, whole=0.2))
    pagerduty.says("GET /incidents", slow(1.5))
    pagerduty.says("GET /incidents/P1", said({"incident": {"id": "P1"}}))

    error = await failure(rest.incidents())
    assert error.reason == "unreachable"
    assert "no whole answer within" in str(error)
    assert (await rest.incident("P1")).id == "P1"

    await failure(rest.incidents())
    await failure(rest.incidents())
    assert "hang still" in str(await failure(rest.incident("P1")))  # threads are not made without end
    await rest.close()


async def test_without_a_token_nothing_is_asked(pagerduty: PagerDuty, account: Account) -> None:
    rest = Rest(lambda: None, lambda: account, limits=QUICK)

    error = await failure(rest.incidents())

    assert error.reason == "no_token"
    assert "api_token_file" in str(error)
    assert pagerduty.asked == []
    await rest.close()


async def test_a_rotated_token_counts_at_once(pagerduty: PagerDuty, account: Account) -> None:
    token, sender = TOKEN, "anna@example.com"
    rest = Rest(lambda: Secret(token), lambda: replace(account, from_email=sender), limits=QUICK)
    pagerduty.says("GET /incidents/P1", said({"incident": {"id": "P1"}}))

    await rest.incident("P1")
    token, sender = OTHER_TOKEN, ""
    await rest.incident("P1")

    first, second = (request.headers for request in pagerduty.asked)
    assert (first["Authorization"], first["From"]) == (f"Token token={TOKEN}", "anna@example.com")
    assert second["Authorization"] == f"Token token={OTHER_TOKEN}"
    assert "From" not in second
    await rest.close()


async def test_a_netrc_file_does_not_take_the_tokens_place(
    pagerduty: PagerDuty, rest: Rest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login anna password a-netrc-password\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    pagerduty.says("GET /incidents/P1", said({"incident": {"id": "P1"}}))

    await rest.incident("P1")

    assert pagerduty.asked[0].headers["Authorization"] == f"Token token={TOKEN}"


async def test_an_act_without_a_sender_that_pagerduty_wants_says_how_to_name_one(
    pagerduty: PagerDuty, account: Account
) -> None:
    rest = Rest(lambda: Secret(TOKEN), lambda: replace(account, from_email=""), limits=QUICK)
    pagerduty.says("PUT /incidents/P1", said({"error": {"message": "Requester User Not Found"}}, 400))

    error = await failure(rest.act("P1", "acknowledged"))

    assert error.reason == "refused"
    assert "set pagerduty.from" in str(error)
    await rest.close()


@pytest.mark.parametrize("odd", ["", "../users", "P1/alerts", "P1?x", "ü", "P" * 65])
async def test_what_is_no_id_asks_for_nothing(pagerduty: PagerDuty, rest: Rest, odd: str) -> None:
    assert (await failure(rest.incident(odd))).reason == "not_found"
    assert pagerduty.asked == []


SERVICE = {
    "id": "PSERV01",
    "name": "Database",
    "status": "active",
    "html_url": "https://example.pagerduty.com/services/PSERV01",
    "escalation_policy": {"id": "PPOL001", "type": "escalation_policy_reference", "summary": "Default"},
    "integrations": [
        {"id": "PINT001", "type": EVENTS_V2, "name": "Pagerelay", "vendor": None, "integration_key": KEY},
        {"id": "PINT002", "type": "generic_email_inbound_integration", "vendor": {"summary": "Email"}},
    ],
}


async def test_where_a_routing_key_leads_is_asked_once(pagerduty: PagerDuty, rest: Rest) -> None:
    pagerduty.says("GET /services", said({"services": [SERVICE], "more": False}))

    found = await asyncio.gather(*(rest.integration_of(Secret(KEY)) for _ in range(5)))
    unknown = await rest.integration_of(Secret("f" * 32))

    hooked = found[0]
    assert hooked is not None
    assert (hooked.integration, hooked.kind, hooked.service, hooked.policy) == (
        "PINT001",
        EVENTS_V2,
        "PSERV01",
        "PPOL001",
    )
    assert unknown is None
    assert len(pagerduty.asked) == 1
    assert pagerduty.asked[0].query.getall("include[]") == ["integrations"]


async def test_a_key_made_meanwhile_is_known(pagerduty: PagerDuty, rest: Rest) -> None:
    without: dict[str, Any] = SERVICE | {"integrations": []}
    pagerduty.says("GET /services", said({"services": [without]}), said({"services": [SERVICE]}))
    made = {"id": "PINT001", "type": EVENTS_V2, "integration_key": KEY}
    pagerduty.says("POST /services/PSERV01/integrations", said({"integration": made}, 201))

    assert await rest.integration_of(Secret(KEY)) is None
    id_, key = await rest.create_integration("PSERV01", "Pagerelay")

    assert (id_, key) == ("PINT001", Secret(KEY))
    assert await rest.integration_of(key) is not None


async def test_who_is_on_call_is_asked_once_a_minute(pagerduty: PagerDuty, rest: Rest) -> None:
    turns = [
        {"escalation_level": 2, "user": {"id": "PU2", "summary": "Ben"}, "schedule": None, "start": None, "end": None},
        {
            "escalation_level": 1,
            "user": {"id": "PU1", "name": "Anna", "email": "anna@example.com"},
            "schedule": {"summary": "Primary"},
            "end": "2026-11-24T08:00:00Z",
        },
    ]
    pagerduty.says("GET /oncalls", said({"oncalls": turns, "more": False}))

    first, again = await rest.oncalls("PPOL001"), await rest.oncalls("PPOL001")

    assert [(one.level, one.who, one.schedule) for one in first] == [(1, "Anna", "Primary"), (2, "Ben", "")]
    assert again == first
    assert len(pagerduty.asked) == 1


async def test_open_alerts_are_those_of_open_incidents(pagerduty: PagerDuty, rest: Rest) -> None:
    incidents = [{"id": f"P{number}", "incident_number": number, "status": "acknowledged"} for number in (1, 2, 3)]
    pagerduty.says("GET /incidents", said({"incidents": incidents, "more": False}))
    alert = {
        "id": "A1",
        "status": "triggered",
        "alert_key": "disk/db01",
        "summary": "disk is full",
        "service": {"id": "PSERV01"},
        "integration": {"id": "PINT001"},
        "created_at": "2015-10-06T21:30:42Z",
    }
    done, keyless = alert | {"status": "resolved", "alert_key": "gone"}, alert | {"alert_key": None}
    pagerduty.says("GET /incidents/P1/alerts", said({"alerts": [alert, done, keyless], "more": False}))
    pagerduty.says("GET /incidents/P3/alerts", said({"alerts": [], "more": False}))  # P2 was deleted meanwhile

    (found,) = await rest.open_alerts()

    assert (found.key, found.incident, found.number, found.status) == ("disk/db01", "P1", 1, "acknowledged")
    assert (found.service, found.integration_id, found.title) == ("PSERV01", "PINT001", "disk is full")
    assert found.created_at == 1_444_167_042_000_000


async def test_a_list_of_open_alerts_that_is_not_whole_is_none(pagerduty: PagerDuty, rest: Rest) -> None:
    pagerduty.says("GET /incidents", said({"incidents": [{"id": "P1"}, {"id": "P2"}], "more": False}))
    pagerduty.says("GET /incidents/P1/alerts", said({"alerts": [], "more": False}))
    pagerduty.says("GET /incidents/P2/alerts", said(None, 500))

    assert (await failure(rest.open_alerts())).reason == "server"


async def test_an_override_that_is_refused_within_the_answer_is_refused(pagerduty: PagerDuty, rest: Rest) -> None:
    """PagerDuty answers 201 to the call, and says of each override what became of it."""
    pagerduty.says("POST /schedules/PS1/overrides", said([{"status": 400, "errors": ["Override must end later"]}], 201))
    error = await failure(rest.override("PS1", "PU1", 0, 1_000_000))
    assert "Override must end later" in str(error)

    pagerduty.says("POST /schedules/PS1/overrides", said([{"status": 201, "override": {"id": "Q1"}}], 201))
    await rest.override("PS1", "PU1", 0, 1_000_000)
    assert '"user_reference"' in pagerduty.bodies[-1]


async def test_calls_are_counted_by_what_came_of_them(pagerduty: PagerDuty, account: Account) -> None:
    metrics = Metrics()
    rest = Rest(lambda: Secret(TOKEN), lambda: account, metrics=metrics, limits=QUICK)
    pagerduty.says("GET /incidents/P1", said({"incident": {"id": "P1"}}))

    await rest.incident("P1")
    await failure(rest.incident("P2"))

    shown = metrics.render()[0].decode()
    assert 'pagerelay_rest_calls_total{outcome="ok"} 1.0' in shown
    assert 'pagerelay_rest_calls_total{outcome="not_found"} 1.0' in shown
    assert 'pagerelay_rest_calls_total{outcome="server"} 0.0' in shown
    await rest.close()


def test_the_library_behind_it_says_nothing_at_import_and_loads_only_when_a_call_is_made() -> None:
    program = "import relay.app, sys; assert 'requests' not in sys.modules; import relay.pagerduty.session"
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", program], capture_output=True, text=True, timeout=60
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
