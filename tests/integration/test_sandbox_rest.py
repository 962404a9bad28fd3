"""The stand-in's REST API: shaped as PagerDuty's, and as strict about who asks for what."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pdpyras
import pytest
from aiohttp.test_utils import TestServer

from relay.sandbox.app import make_app
from relay.sandbox.state import Sandbox, Settings
from tests.integration.sandboxed import ANNA, BEN, KEY, OTHER, TOKEN, Stand, stand


@pytest.fixture
async def here() -> AsyncIterator[Stand]:
    async with stand() as made:
        yield made


# --- who may ask ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", ["", "Token token=other", "Bearer other", f"Basic {TOKEN}", "Token", TOKEN])
async def test_without_a_token_that_it_knows_a_call_is_answered_401(here: Stand, given: str) -> None:
    answer = await here.rest("GET", "/incidents", status=401, Authorization=given)

    assert answer["error"] == {"message": "Authentication Failed", "code": 2006}


@pytest.mark.parametrize("given", [f"Token token={TOKEN}", f"Bearer {TOKEN}", f'Token token="{TOKEN}"'])
async def test_a_token_is_shown_in_either_way(here: Stand, given: str) -> None:
    assert (await here.rest("GET", "/abilities", Authorization=given))["abilities"]


@pytest.mark.parametrize(
    ("sender", "error"),
    [
        (
            "",
            {
                "message": 'You must specify a user\'s email address in the "From" header to perform this action',
                "code": 2016,
            },
        ),
        ("eve@example.com", {"message": "Requester User Not Found", "code": 1008}),
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [("PUT", "/incidents/1"), ("PUT", "/incidents"), ("POST", "/incidents/1/notes"), ("PUT", "/incidents/1/merge")],
)
async def test_who_acts_has_to_say_who_it_is(here: Stand, method: str, path: str, sender: str, error: object) -> None:
    await here.event()

    answer = await here.rest(method, path, {"incident": {"status": "resolved"}}, status=400, From=sender)

    assert answer["error"] == error
    assert [incident["status"] for incident in await here.incidents()] == ["triggered"]


async def test_a_users_own_token_says_who_acts() -> None:
    async with stand(tokens={TOKEN: BEN}) as here:
        await here.event()
        await here.rest("PUT", "/incidents/1", {"incident": {"status": "acknowledged"}}, From="")
        me = await here.rest("GET", "/users/me")
        (incident,) = await here.incidents()

    assert me["user"]["email"] == BEN
    assert incident["acknowledgements"][0]["acknowledger"]["summary"] == me["user"]["name"]


async def test_a_token_may_call_so_often_in_a_minute_and_each_answer_says_how_often(here: Stand) -> None:
    async with stand(rate_calls=2) as here:
        headers = {"Authorization": f"Token token={TOKEN}"}
        seen = []
        for _ in range(3):
            async with here.client.get("/abilities", headers=headers) as answer:
                told = [answer.headers[f"ratelimit-{name}"] for name in ("limit", "remaining", "reset")]
                seen.append((answer.status, *told))
        refused = await here.rest("GET", "/abilities", status=429)
        here.clock.at += 60
        await here.rest("GET", "/abilities")

    assert seen == [(200, "2", "1", "60"), (200, "2", "0", "60"), (429, "2", "0", "60")]
    assert refused == {"error": {"message": "Rate Limit Exceeded", "code": 2020}}


# --- incidents -----------------------------------------------------------------------------------------------------


async def test_an_incident_that_an_event_opened_has_no_incident_key_and_its_alert_has_the_dedup_key(
    here: Stand,
) -> None:
    await here.event(dedup_key="disk")
    (incident,) = await here.incidents()
    (alert,) = (await here.rest("GET", f"/incidents/{incident['id']}/alerts"))["alerts"]

    assert (incident["incident_key"], alert["alert_key"]) == (None, "disk")
    assert (incident["status"], incident["urgency"], incident["service"]["summary"]) == (
        "triggered",
        "high",
        "platform",
    )
    assert (alert["status"], alert["severity"], alert["incident"]["id"]) == ("triggered", "critical", incident["id"])
    assert alert["integration"]["type"] == "events_api_v2_inbound_integration_reference"
    assert incident["assignments"][0]["assignee"]["summary"] == "Anna Adler"


async def test_a_switch_gives_incidents_of_events_an_incident_key() -> None:
    async with stand(show_incident_key=True) as here:
        await here.event(dedup_key="disk")

        assert (await here.incidents())[0]["incident_key"] == "disk"


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", [1, 2, 3]),
        ("?statuses[]=triggered", [1]),
        ("?statuses[]=triggered&statuses[]=resolved", [1, 3]),
        ("?incident_key=b", [2]),
        ("?incident_key=nothing", []),
        ("?sort_by=incident_number:desc", [3, 2, 1]),
        ("?sort_by=created_at:desc", [3, 2, 1]),
        ("?limit=2", [1, 2]),
        ("?limit=2&offset=2", [3]),
        ("?since=2023-11-14T22:13:21Z&until=2023-11-14T22:13:22Z", [2]),
        ("?since=2023-12-24", []),
    ],
)
async def test_incidents_are_found_by_what_one_asks_for(here: Stand, query: str, found: list[int]) -> None:
    for key in ("a", "b", "c"):
        await here.event(dedup_key=key)
        here.clock.at += 1
    await here.event("acknowledge", "b")
    await here.event("resolve", "c")

    assert [incident["incident_number"] for incident in await here.incidents(query)] == found


async def test_incidents_are_found_by_service(here: Stand) -> None:
    await here.event()
    await here.event(key=OTHER)
    service = (await here.incidents())[1]["service"]["id"]

    assert [each["incident_number"] for each in await here.incidents(f"?service_ids[]={service}")] == [2]


async def test_without_dates_only_the_last_months_incidents_are_listed(here: Stand) -> None:
    await here.event()
    here.clock.at += 40 * 86_400

    assert await here.incidents() == []
    assert len(await here.incidents("?date_range=all")) == 1


async def test_a_list_says_whether_there_is_more_and_how_many_where_asked(here: Stand) -> None:
    for n in range(3):
        await here.event(dedup_key=f"k{n}")

    pages = [
        await here.rest("GET", f"/incidents?{query}") for query in ("limit=2", "limit=2&offset=2&total=true", "limit=3")
    ]

    assert [(page["more"], page["total"], len(page["incidents"])) for page in pages] == [
        (True, None, 2),
        (False, 3, 1),
        (False, None, 3),
    ]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("statuses[]=open", "Status must be a list of triggered, acknowledged, or resolved."),
        ("offset=9990&limit=100", "Offset plus limit cannot be greater than 10000"),
        ("limit=many", "Limit must be a whole number of at least 0"),
        ("sort_by=title", "Sort by title is not possible"),
        ("since=yesterday", "since must be an ISO 8601 date and time"),
    ],
)
async def test_a_question_that_makes_no_sense_is_told_why(here: Stand, query: str, words: str) -> None:
    answer = await here.rest("GET", f"/incidents?{query}", status=400)

    assert answer["error"] == {"message": "Invalid Input Provided", "code": 2001, "errors": [words]}


async def test_an_incident_is_acknowledged_reassigned_and_resolved_by_a_person(here: Stand) -> None:
    await here.event()
    ben = (await here.rest("GET", "/users?query=ben"))["users"][0]

    acknowledged = (await here.rest("PUT", "/incidents/1", {"incident": {"status": "acknowledged"}}, From=BEN))[
        "incident"
    ]
    moved = {"incident": {"assignments": [{"assignee": {"id": ben["id"], "type": "user_reference"}}]}}
    reassigned = (await here.rest("PUT", "/incidents/1", moved))["incident"]
    ended = {"incident": {"status": "resolved", "resolution": "made room"}}
    resolved = (await here.rest("PUT", "/incidents/1", ended))["incident"]
    notes = (await here.rest("GET", "/incidents/1/notes"))["notes"]

    assert (acknowledged["status"], acknowledged["last_status_change_by"]["id"]) == ("acknowledged", ben["id"])
    assert (reassigned["status"], reassigned["assignments"][0]["assignee"]["id"]) == ("triggered", ben["id"])
    assert (resolved["status"], resolved["assignments"], resolved["alert_counts"]["resolved"]) == ("resolved", [], 1)
    assert [note["content"] for note in notes] == ["Resolution Note: made room"]
    assert here.sandbox.open_alerts == ()


async def test_several_incidents_change_at_once_or_not_at_all(here: Stand) -> None:
    for key in ("a", "b"):
        await here.event(dedup_key=key)
    ids = [incident["id"] for incident in await here.incidents()]

    unknown = [{"id": id_, "type": "incident_reference", "status": "resolved"} for id_ in (*ids, "QNOBODY")]
    await here.rest("PUT", "/incidents", {"incidents": unknown}, status=404)
    assert len(here.sandbox.open_alerts) == 2
    changed = await here.rest("PUT", "/incidents", {"incidents": unknown[:2]})

    assert [incident["status"] for incident in changed["incidents"]] == ["resolved", "resolved"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"incident": {"status": "triggered"}}, 400, 1003),
        ({"incident": {"status": "resolved"}}, 400, 1001),
        ({"incident": [1]}, 400, 2001),
        ([], 400, 2001),
        ({"incident": {"assignments": [{"assignee": {"id": "PNOBODY"}}]}}, 400, 2001),
        ({"incident": {"title": " "}}, 400, 2001),
    ],
)
async def test_a_change_that_cannot_be_is_refused(here: Stand, body: object, status: int, code: int) -> None:
    await here.event()
    await here.event("resolve")

    answer = await here.rest("PUT", "/incidents/1", body, status=status)

    assert answer["error"]["code"] == code


async def test_a_merge_moves_the_alerts_and_resolves_the_others(here: Stand) -> None:
    for key in ("a", "b"):
        await here.event(dedup_key=key)
    target, source = [incident["id"] for incident in await here.incidents()]

    await here.rest(
        "PUT", f"/incidents/{target}/merge", {"source_incidents": [{"id": source, "type": "incident_reference"}]}
    )
    merged = (await here.rest("GET", f"/incidents/{source}"))["incident"]
    keys = [alert["alert_key"] for alert in (await here.rest("GET", f"/incidents/{target}/alerts"))["alerts"]]
    await here.event("resolve", "a")
    after_one = (await here.rest("GET", f"/incidents/{target}"))["incident"]["status"]
    await here.event("resolve", "b")
    after_both = (await here.rest("GET", f"/incidents/{target}"))["incident"]["status"]

    assert (merged["status"], merged["resolve_reason"]["type"]) == ("resolved", "merge_resolve_reason")
    assert merged["resolve_reason"]["incident"]["id"] == target
    assert (keys, after_one, after_both) == (["a", "b"], "triggered", "resolved")


async def test_an_incident_that_is_merged_twice_at_once_is_resolved_once(here: Stand) -> None:
    for key in ("a", "b"):
        await here.event(dedup_key=key)
    twice = {"source_incidents": [{"id": "2", "type": "incident_reference"}] * 2}

    await here.rest("PUT", "/incidents/1/merge", twice)

    assert [entry.what for entry in here.sandbox.incidents.all[1].log] == ["triggered", "resolved"]


async def test_notes_and_the_log_tell_what_happened(here: Stand) -> None:
    await here.event()
    await here.event("acknowledge")
    note = await here.rest("POST", "/incidents/1/notes", {"note": {"content": "looking"}}, From=BEN)
    empty = await here.rest("POST", "/incidents/1/notes", {"note": {"content": " "}}, status=400)
    log = (await here.rest("GET", "/incidents/1/log_entries"))["log_entries"]

    assert (note["note"]["content"], note["note"]["user"]["summary"]) == ("looking", "Ben Brandt")
    assert empty["error"]["errors"] == ["Content cannot be empty"]
    assert [(entry["type"], entry["agent"]["type"]) for entry in log] == [
        ("annotate_log_entry", "user_reference"),
        ("acknowledge_log_entry", "inbound_integration_reference"),
        ("trigger_log_entry", "inbound_integration_reference"),
    ]


@pytest.mark.parametrize(
    "path",
    [
        "/incidents/QNOBODY",
        "/incidents/QNOBODY/alerts",
        "/services/P",
        "/schedules/P",
        "/users/P",
        "/escalation_policies/P",
        "/webhook_subscriptions/P",
    ],
)
async def test_what_is_not_there_is_answered_404(here: Stand, path: str) -> None:
    assert await here.rest("GET", path, status=404) == {"error": {"message": "Not Found", "code": 2100}}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/services/{service}", {"service": {"acknowledgement_timeout": 10**30}}),
        ("PUT", "/services/{service}", {"service": {"status": ["disabled"]}}),
        ("GET", "/incidents?since=0001-01-01T00:00:00%2B23:59", None),
        ("GET", "/oncalls?since=9999-12-31", None),
        ("PUT", "/incidents", {"incidents": [{"id": {}}]}),
        ("PUT", "/incidents/1", {"incident": {"status": {}}}),
        ("PUT", "/incidents/1", {"incident": {"assignments": [[]]}}),
        ("PUT", "/incidents/1/merge", {"source_incidents": [None]}),
        ("POST", "/services", {"service": {"name": [], "escalation_policy": 1}}),
        ("POST", "/services/{service}/integrations", {"integration": {"type": {}}}),
        ("POST", "/maintenance_windows", {"maintenance_window": {"start_time": 1, "end_time": None}}),
        ("POST", "/webhook_subscriptions", {"webhook_subscription": {"delivery_method": []}}),
    ],
)
async def test_nonsense_is_refused_and_breaks_nothing(here: Stand, method: str, path: str, body: object) -> None:
    await here.event()
    service = (await here.incidents())[0]["service"]["id"]

    await here.rest(method, path.format(service=service), body, status=400)

    assert [incident["status"] for incident in await here.incidents()] == ["triggered"]


# --- services, and who is on call ----------------------------------------------------------------------------------


async def test_each_routing_key_is_a_service_with_one_events_v2_integration(here: Stand) -> None:
    bare = (await here.rest("GET", "/services"))["services"]
    whole = (await here.rest("GET", "/services?include[]=integrations"))["services"]

    assert [service["name"] for service in bare] == ["payments", "platform"]
    assert all("integration_key" not in service["integrations"][0] for service in bare)
    assert [service["integrations"][0]["integration_key"] for service in whole] == [OTHER, KEY]
    assert {service["integrations"][0]["type"] for service in whole} == {"events_api_v2_inbound_integration"}


async def test_a_new_services_integration_has_a_key_that_works(here: Stand) -> None:
    policy = (await here.rest("GET", "/escalation_policies?query=Default"))["escalation_policies"][0]
    asked = {
        "type": "service",
        "name": "search",
        "escalation_policy": {"id": policy["id"], "type": "escalation_policy_reference"},
    }
    service = (await here.rest("POST", "/services", {"service": asked}, status=201))["service"]
    kind = {"integration": {"type": "events_api_v2_inbound_integration", "name": "relay"}}
    made = (await here.rest("POST", f"/services/{service['id']}/integrations", kind, status=201))["integration"]
    shown = (await here.rest("GET", f"/services/{service['id']}/integrations/{made['id']}"))["integration"]
    await here.event(key=made["integration_key"])

    assert shown["integration_key"] == made["integration_key"]
    assert (await here.incidents())[0]["service"]["summary"] == "search"
    again = await here.rest("POST", "/services", {"service": asked}, status=400)
    assert again["error"]["errors"] == ["Name has already been taken"]


async def test_a_services_status_follows_its_incidents(here: Stand) -> None:
    async def status() -> str:
        services = (await here.rest("GET", "/services?query=platform"))["services"]
        return str(services[0]["status"])

    seen = [await status()]
    for action in ("trigger", "acknowledge", "resolve"):
        await here.event(action)
        seen.append(await status())

    assert seen == ["active", "critical", "warning", "active"]


async def disable(here: Stand, service: str) -> None:
    await here.rest("PUT", f"/services/{service}", {"service": {"status": "disabled"}})


async def maintain(here: Stand, service: str) -> None:
    window = {"start_time": "2023-11-14T22:00:00Z", "end_time": "2023-11-14T23:00:00Z", "services": [{"id": service}]}
    await here.rest("POST", "/maintenance_windows", {"maintenance_window": window}, status=201)


@pytest.mark.parametrize("stop", [disable, maintain])
async def test_a_service_that_is_disabled_or_in_maintenance_takes_events_and_drops_them(here: Stand, stop: Any) -> None:
    await here.event(dedup_key="before")
    service = (await here.incidents())[0]["service"]["id"]

    await stop(here, service)
    await here.event(dedup_key="meanwhile")
    await here.event("resolve", "before")

    assert [alert.dedup_key for alert in here.sandbox.open_alerts] == ["before"]
    assert [request["result"] for request in here.sandbox.requests] == ["triggered", "dropped", "dropped"]


async def test_a_trigger_that_would_page_nobody_is_dropped(here: Stand) -> None:
    policy = (await here.rest("GET", "/escalation_policies?query=Nobody"))["escalation_policies"][0]
    service = (await here.rest("GET", "/services?query=platform"))["services"][0]["id"]
    await here.rest("PUT", f"/services/{service}", {"service": {"escalation_policy": {"id": policy["id"]}}})

    await here.event()

    assert here.sandbox.open_alerts == ()
    assert (await here.rest("GET", f"/oncalls?escalation_policy_ids[]={policy['id']}"))["oncalls"] == []


async def test_an_override_changes_who_is_on_call_for_a_while(here: Stand) -> None:
    schedule = (await here.rest("GET", "/schedules?query=Primary"))["schedules"][0]["id"]
    chloe = (await here.rest("GET", "/users?query=chloe"))["users"][0]
    override = {
        "start": "2023-11-14T22:00:00Z",
        "end": "2023-11-14T23:00:00Z",
        "user": {"id": chloe["id"], "type": "user_reference"},
    }
    bad = {**override, "end": override["start"]}

    answers = await here.rest("POST", f"/schedules/{schedule}/overrides", {"overrides": [override, bad]}, status=201)

    async def first(at: str = "") -> tuple[str, int]:
        oncall = (await here.rest("GET", f"/oncalls?schedule_ids[]={schedule}&include[]=users{at}"))["oncalls"][0]
        return oncall["user"]["email"], oncall["escalation_level"]

    assert [answer["status"] for answer in answers] == [201, 400]
    assert await first() == ("chloe@example.com", 1)
    assert await first("&since=2023-11-15T00:00:00Z") == (ANNA, 1)


# --- faults, and PagerDuty's own client ----------------------------------------------------------------------------


async def test_a_fault_of_the_rest_api_befalls_no_event_and_the_other_way_round(here: Stand) -> None:
    rest = {"path": "/incidents", "method": "GET", "status": 429, "retry_after": 3, "count": 1}
    for fault in (rest, {"status": 503, "count": 1}):
        async with here.client.post("/sandbox/faults", json=fault) as answer:
            assert answer.status == 200

    async with here.client.post("/v2/enqueue", json={}) as answer:
        event = answer.status
    untouched = await here.rest("PUT", "/incidents", {}, status=400)
    limited = await here.rest("GET", "/incidents", status=429)
    await here.rest("GET", "/incidents")

    assert (event, untouched["error"]["code"], limited["error"]["code"]) == (503, 2001, 2020)


async def test_a_faulty_call_may_count_all_the_same(here: Stand) -> None:
    await here.event()
    async with here.client.post(
        "/sandbox/faults", json={"path": "/", "status": 500, "ingest": True, "count": 1}
    ) as answer:
        assert answer.status == 200

    await here.rest("PUT", "/incidents/1", {"incident": {"status": "resolved"}}, status=500)

    assert here.sandbox.open_alerts == ()


@contextlib.contextmanager
def served(settings: Settings) -> Iterator[tuple[str, Sandbox]]:
    """Serve a sandbox on a thread of its own, since PagerDuty's client is not async."""
    sandbox, loop, ready, urls = Sandbox(settings), asyncio.new_event_loop(), threading.Event(), list[str]()

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


def test_pagerdutys_own_rest_client_finds_acts_and_pages_through_lists() -> None:
    with served(Settings(tokens={TOKEN: ""}, rate_events=0)) as (url, sandbox):
        events, rest = pdpyras.EventsAPISession(KEY), pdpyras.APISession(TOKEN, default_from=ANNA)
        events.url = rest.url = url
        with events, rest:
            for n in range(120):
                events.trigger("disk full", f"web-{n}", dedup_key=f"k{n}")
            found = rest.list_all("incidents", params={"statuses[]": ["triggered"]})
            (last,) = rest.list_all("incidents", params={"incident_key": "k119"})
            alerts = rest.list_all(f"incidents/{last['id']}/alerts")
            rest.rput(last, json={"type": "incident", "status": "acknowledged"})
            rest.rpost(f"{last['self']}/notes", json={"content": "looking"})
            closed = [{"id": each["id"], "type": "incident_reference", "status": "resolved"} for each in found[:50]]
            rest.rput("incidents", json=closed)
            policy = rest.find("escalation_policies", "Default")
            service = rest.rpost("services", json={"type": "service", "name": "new", "escalation_policy": policy})
            hook = rest.rpost(f"{service['self']}/integrations", json={"type": "events_api_v2_inbound_integration"})
            (oncall, _) = rest.list_all("oncalls", params={"escalation_policy_ids[]": [policy["id"]]})
            access = rest.api_key_access

    assert (len(found), alerts[0]["alert_key"], len(sandbox.open_alerts)) == (120, "k119", 70)
    assert sandbox.open_alerts[0].status == "acknowledged"
    assert sandbox.open_alerts[0].incident.notes[0].content == "looking"
    assert (oncall["user"]["summary"], access) == ("Anna Adler", "account")
    assert sandbox.account.integration(hook["integration_key"]) is not None
