"""Alertmanager's API v2 at the relay's own doors. Statuses and texts are those of Alertmanager 0.25, recorded there."""

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay.alert import HOUR, MINUTE
from relay.config.operators import Operators
from relay.rules.ledger import Link, Lookup, Plan, Role
from relay.rules.silences import RETENTION
from relay.secret import Secret
from tests.integration.house import CONFIG, KEY, House, alert, message, open_house

SECRET = "correct-horse-battery-staple"
MATCHERS = [{"name": "alertname", "value": "HighLatency", "isRegex": False}]
NOBODY = "11111111-1111-4111-8111-111111111111"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path) as opened:
        yield opened


def silence(**changes: Any) -> dict[str, Any]:
    """A silence as amtool posts it; a change to `...` leaves the field out."""
    whole = {
        "matchers": MATCHERS,
        "startsAt": "2026-11-23T12:00:00Z",
        "endsAt": "2026-11-23T13:00:00Z",
        "createdBy": "anna",
        "comment": "disk swap",
        **changes,
    }
    return {name: value for name, value in whole.items() if value is not ...}


async def ask(house: House, method: str, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
    """Make a request; return the status and the JSON of the answer, None for an empty one."""
    sent = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    kind = {"Content-Type": "application/json"} if sent is not None else {}
    async with house.http.request(method, house.url + path, data=sent, headers={**kind, **headers}) as reply:
        text = await reply.text()
        return reply.status, json.loads(text) if text else None


async def make(house: House, **changes: Any) -> str:
    status, answer = await ask(house, "POST", "/api/v2/silences", silence(**changes))
    assert status == 200, answer
    return str(answer["silenceID"])


async def listed(house: House, query: str = "") -> list[dict[str, Any]]:
    status, answer = await ask(house, "GET", f"/api/v2/silences{query}")
    assert status == 200, answer
    return list(answer)


# Silences


async def test_a_silence_is_shown_as_alertmanager_shows_it(house: House) -> None:
    made = await make(house)
    shown = {
        "id": made,
        "status": {"state": "active"},
        "updatedAt": "2026-11-23T12:00:00.000Z",
        "comment": "disk swap",
        "createdBy": "anna",
        "endsAt": "2026-11-23T13:00:00.000Z",
        "matchers": [{"isEqual": True, "isRegex": False, "name": "alertname", "value": "HighLatency"}],
        "startsAt": "2026-11-23T12:00:00.000Z",
    }

    assert await ask(house, "GET", f"/api/v2/silence/{made}") == (200, shown)
    assert await listed(house) == [shown]
    assert [one.id for one in house.began] == [made]


@pytest.mark.parametrize(
    ("matcher", "op"),
    [
        ({"isRegex": False}, "="),
        ({"isRegex": True}, "=~"),
        ({"isRegex": False, "isEqual": False}, "!="),
        ({"isRegex": True, "isEqual": False}, "!~"),
        ({"isRegex": True, "isEqual": None}, "=~"),
    ],
)
async def test_every_kind_of_matcher_is_read(house: House, matcher: dict[str, Any], op: str) -> None:
    made = await make(house, matchers=[{"name": "a", "value": "b", **matcher}])
    found = house.silencer.get(made)

    assert found is not None
    assert str(found.matchers[0]) == f'a{op}"b"'


def unreadable(why: str) -> dict[str, Any]:
    return {"code": 400, "message": f'parsing silence body from "" failed, because {why}'}


def missing(name: str) -> dict[str, Any]:
    return {"code": 602, "message": f"{name} in body is required"}


@pytest.mark.parametrize(
    ("body", "status", "answer"),
    [
        (silence(comment=...), 422, missing("comment")),
        (silence(comment=None), 422, missing("comment")),
        (silence(createdBy=...), 422, missing("createdBy")),
        (silence(endsAt=...), 422, missing("endsAt")),
        (silence(startsAt=...), 422, missing("startsAt")),
        (silence(matchers=...), 422, missing("matchers")),
        (silence(matchers=..., createdBy=..., comment=...), 422, missing("comment")),
        (silence(matchers=[{"name": "a"}]), 422, missing("matchers.0.isRegex")),
        (silence(matchers=[*MATCHERS, {"value": "a", "isRegex": True}]), 422, missing("matchers.1.name")),
        (silence(matchers=[{"name": "a", "isRegex": True}]), 422, missing("matchers.0.value")),
        (silence(matchers=[None]), 422, missing("matchers.0.isRegex")),
        (silence(matchers=[]), 422, {"code": 612, "message": "matchers in body should have at least 1 items"}),
        (b"null", 422, missing("comment")),
        (b"", 422, missing("silence")),
        (b" \n", 422, missing("silence")),
        (silence(comment=5), 400, unreadable("Expected `str | null`, got `int` - at `$.comment`")),
        ([1], 400, unreadable("Expected `object | null`, got `array`")),
        (b"{", 400, unreadable("Input data was truncated")),
        (b"[" * 100_000, 400, unreadable("Expected `object | null`, got `array`")),
        (silence(endsAt="tomorrow"), 400, unreadable('"tomorrow" is no time: write 2026-11-23T12:00:00Z')),
        (silence(endsAt="2030-01-01"), 400, unreadable('"2030-01-01" is no time: write 2026-11-23T12:00:00Z')),
        (
            silence(matchers=[{"name": "a", "value": "", "isRegex": False}]),
            400,
            "silence invalid: at least one matcher must not match the empty string",
        ),
        (
            silence(matchers=[{"name": "a", "value": "(", "isRegex": True}]),
            400,
            'silence invalid: invalid label matcher 0: invalid regular expression "(": '
            "error parsing regexp: missing closing ): `(`",
        ),
        (
            silence(matchers=[{"name": "", "value": "x", "isRegex": False}]),
            400,
            'silence invalid: invalid label matcher 0: invalid label name ""',
        ),
        (silence(startsAt="2030-01-01T00:00:00Z"), 400, "Failed to create silence: start time must be before end time"),
        (
            silence(startsAt="2020-01-01T00:00:00Z", endsAt="2020-01-02T00:00:00Z"),
            400,
            "Failed to create silence: end time can't be in the past",
        ),
        (silence(id=NOBODY), 404, "silence not found"),
        (silence(id="xx"), 404, "silence not found"),
    ],
)
async def test_what_cannot_be_is_refused_as_alertmanager_does(
    house: House, body: object, status: int, answer: object
) -> None:
    assert await ask(house, "POST", "/api/v2/silences", body) == (status, answer)
    assert await listed(house) == []


@pytest.mark.parametrize("text", ["2027-01-01T00:00:00Z", "2027-01-01 00:00:00", "2027-01-01T02:00:00.000000001+02:00"])
async def test_times_are_read_as_go_openapi_reads_them(house: House, text: str) -> None:
    await make(house, endsAt=text, startsAt="0001-01-01T00:00:00Z", comment="", createdBy="", unknown=1)

    (one,) = await listed(house)
    assert (one["startsAt"], one["endsAt"]) == ("2026-11-23T12:00:00.000Z", "2027-01-01T00:00:00.000Z")


async def test_only_json_is_read(house: House) -> None:
    async with house.http.post(house.url + "/api/v2/silences", data=json.dumps(silence())) as reply:
        assert reply.status == 415
        assert (await reply.json()) == {
            "code": 415,
            "message": 'unsupported media type "text/plain", only [application/json] are allowed',
        }


async def test_a_change_keeps_the_id_or_ends_the_old_one(house: House) -> None:
    first = await make(house)
    house.now += MINUTE

    assert await make(house, id=first, endsAt="2026-11-23T14:00:00Z", comment="still") == first
    assert [(one["comment"], one["endsAt"]) for one in await listed(house)] == [("still", "2026-11-23T14:00:00.000Z")]

    other = await make(house, id=first, matchers=[{"name": "a", "value": "b", "isRegex": False}])
    assert {one["id"]: one["status"]["state"] for one in await listed(house)} == {other: "active", first: "expired"}
    assert [one.id for one in house.began] == [first, first, first, other]


async def test_a_silence_is_ended_once(house: House) -> None:
    made = await make(house)
    house.now += MINUTE

    assert await ask(house, "DELETE", f"/api/v2/silence/{made}") == (200, None)
    house.now += MINUTE
    assert await ask(house, "DELETE", f"/api/v2/silence/{made}") == (200, None)
    (one,) = await listed(house)
    assert (one["status"]["state"], one["endsAt"]) == ("expired", "2026-11-23T12:01:00.000Z")
    assert len(house.began) == 2


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_ids_that_are_none_and_ids_that_nobody_knows(house: House, method: str) -> None:
    assert await ask(house, method, "/api/v2/silence/xx") == (
        422,
        {"code": 601, "message": 'silenceID in path must be of type uuid: "xx"'},
    )
    status, answer = await ask(house, method, f"/api/v2/silence/{NOBODY}")
    assert (status, answer) == (404, None if method == "GET" else "silence not found")


async def test_silences_are_listed_in_alertmanagers_order_and_filtered_word_for_word(house: House) -> None:
    at = "2026-11-23T{}:00Z".format
    long = await make(house, endsAt=at("18:00"))
    short = await make(house, endsAt=at("13:30"), matchers=[*MATCHERS, {"name": "a", "value": "b|c", "isRegex": True}])
    later = await make(house, startsAt=at("15:00"), endsAt=at("16:00"))
    soon = await make(house, startsAt=at("14:00"), endsAt=at("16:00"))
    over, gone = await make(house, endsAt=at("12:10")), await make(house, endsAt=at("12:05"))
    house.now += HOUR

    assert [one["id"] for one in await listed(house)] == [short, long, soon, later, over, gone]
    assert [one["id"] for one in await listed(house, "?filter=" + quote('a=~"b|c"'))] == [short]
    assert await listed(house, "?filter=" + quote('a=~"b"')) == []
    assert await ask(house, "GET", "/api/v2/silences?filter=a") == (400, "bad matcher format: a")


async def test_silences_outlive_a_restart_and_are_forgotten_in_time(house: House, tmp_path: Path) -> None:
    made, over = await make(house, endsAt="2027-01-01T00:00:00Z"), await make(house)
    before = await listed(house)
    await house.silencer.open()
    assert await listed(house) == before

    house.now += HOUR + RETENTION
    assert {one["id"] for one in await listed(house)} == {made, over}
    house.now += 1
    await house.silencer.open()
    assert {one["id"] for one in await listed(house)} == {made}
    assert [one.id for one in await house.store.silences()] == [made]


async def test_making_one_forgets_those_that_ended_long_ago(house: House) -> None:
    await make(house)
    house.now += HOUR + RETENTION + 1

    made = await make(house, endsAt="2027-01-01T00:00:00Z")

    assert [one["id"] for one in await listed(house)] == [made]
    assert [one.id for one in await house.store.silences()] == [made]


async def test_those_it_keeps_quiet_are_due_once_a_silence_is_changed_or_ended(house: House) -> None:
    await house.post(message(alert(), alert("Other")))
    made = await make(house)
    link = Link(one.key, Role.WATCHER) if (one := house.silencer.get(made)) else None
    assert link is not None
    held = {one.id: one for one in await house.store.firing(-1, 10)}
    watching = next(one for one in held.values() if b"HighLatency" in one.raw)
    await house.store.keep(Lookup(), lambda _: Plan(linked=((watching.id, link),)))

    async def due() -> list[int]:
        while await house.store.spread(house.now, 10):
            pass
        found = [one.id for one in await house.store.due_alerts(house.now, 10)]
        await house.store.keep(Lookup(), lambda _: Plan(alerts=tuple(held.values())))
        return found

    assert await due() == []
    await make(house, id=made, comment="still")
    assert await due() == [watching.id]
    await ask(house, "DELETE", f"/api/v2/silence/{made}")
    assert await due() == [watching.id]


async def test_each_act_is_one_line_of_the_log(house: House) -> None:
    made = await make(house)
    await make(house, id=made, comment="still")
    await ask(house, "DELETE", f"/api/v2/silence/{made}")

    lines = [line for line in house.log if "silence" in line]
    assert [line.partition('msg="')[2].partition('"')[0] for line in lines] == [
        "silence made",
        "silence changed",
        "silence expired",
    ]
    assert all('by="this machine" author=anna' in line and made in line for line in lines)


async def test_a_store_that_cannot_write_changes_nothing_and_says_come_again(house: House) -> None:
    await house.store.close()

    status, answer = await ask(house, "POST", "/api/v2/silences", silence())

    assert status == 503
    assert "closed" in answer
    assert (await listed(house), house.began) == ([], [])


# Who may


def basic(name: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{secret}".encode()).decode()


AWAY = {"X-Forwarded-For": "10.0.0.9"}
"""What a proxy adds: whoever asks is not on this machine."""
CHANGES = [("POST", "/api/v2/silences"), ("DELETE", f"/api/v2/silence/{NOBODY}"), ("POST", "/-/reload")]


@pytest.mark.parametrize(("method", "path"), CHANGES)
async def test_without_operators_only_this_machine_changes_things(house: House, method: str, path: str) -> None:
    given = {**AWAY, "Authorization": basic("anna", SECRET)}
    async with house.http.request(method, house.url + path, headers=given) as reply:
        assert reply.status == 403
        assert "--web.operators-file" in await reply.text()


@pytest.mark.parametrize(("method", "path"), CHANGES)
@pytest.mark.parametrize(
    ("given", "status"),
    [
        ("", 401),
        (basic("anna", "wrong"), 401),
        (basic("bob", SECRET), 401),
        (basic("anna", "") + "!", 401),
        ("Basic !!!", 401),
        ("Basic " + base64.b64encode(b"\xff:\xff").decode(), 401),
        ("Bearer wrong", 401),
        ("Bearer", 401),
        (f"Token {SECRET}", 401),
        (basic("anna", SECRET), 0),
        (f"Bearer {SECRET}", 0),
        (f"bearer {SECRET}", 0),
    ],
)
async def test_an_operators_credential_opens_the_doors_that_change_things(
    house: House, method: str, path: str, given: str, status: int
) -> None:
    house.operators = Operators({"anna": Secret(SECRET)})
    headers = {**AWAY, **({"Authorization": given} if given else {})}

    async with house.http.request(method, house.url + path, headers=headers) as reply:
        assert (reply.status if reply.status in (401, 403) else 0) == status
        if status:
            challenges = [one.partition(" ")[0] for one in reply.headers.getall("WWW-Authenticate")]
            assert challenges == ["Basic", "Bearer"]
    assert SECRET not in "".join(house.log)


async def test_who_did_it_is_logged_by_the_operators_name(house: House) -> None:
    house.operators = Operators({"anna": Secret("x" * 20), "bob": Secret(SECRET)})

    status, _ = await ask(house, "POST", "/api/v2/silences", silence(), Authorization=f"Bearer {SECRET}", **AWAY)

    assert status == 200
    assert "by=bob author=anna" in house.log[-1]


async def test_guesses_are_logged_once_and_never_shown(house: House) -> None:
    house.operators = Operators({"anna": Secret(SECRET)})
    for guess in ("guess-one", "guess-two"):
        await ask(house, "POST", "/-/reload", Authorization=f"Bearer {guess}", **AWAY)

    assert len([line for line in house.log if "operator refused" in line]) == 1
    assert "guess" not in "".join(house.log)


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://elsewhere.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "same-origin", "Host": "rebound.example"},
        {"Origin": "http://rebound.example", "Host": "rebound.example"},
    ],
)
async def test_pages_of_other_sites_in_a_browser_change_nothing(house: House, headers: dict[str, str]) -> None:
    assert (await ask(house, "POST", "/api/v2/silences", silence(), **headers))[0] == 403
    house.operators = Operators({"anna": Secret(SECRET)})
    known = {**headers, "Authorization": basic("anna", SECRET)}
    if "Host" not in headers:
        assert (await ask(house, "POST", "/api/v2/silences", silence(), **known))[0] == 403
        assert await listed(house) == []


@pytest.mark.parametrize("host", ["localhost:9095", "127.0.0.1", "[::1]:9095"])
async def test_a_browser_on_this_machine_may(house: House, host: str) -> None:
    headers = {"Sec-Fetch-Site": "same-origin", "Host": host}

    assert (await ask(house, "POST", "/api/v2/silences", silence(), **headers))[0] == 200


async def test_looking_needs_no_credential(house: House) -> None:
    house.operators = Operators({"anna": Secret(SECRET)})
    for path in ("silences", "alerts", "alerts/groups", "receivers", "status"):
        assert (await ask(house, "GET", f"/api/v2/{path}", **AWAY))[0] == 200


# What fires


async def names(house: House, query: str = "") -> list[str]:
    status, answer = await ask(house, "GET", f"/api/v2/alerts{query}")
    assert status == 200, answer
    return sorted(one["labels"]["alertname"] for one in answer)


async def test_an_alert_is_shown_as_alertmanager_shows_it(house: House) -> None:
    await house.post(message(alert(job="api")))

    status, (one,) = await ask(house, "GET", "/api/v2/alerts")

    assert status == 200
    assert one == {
        "annotations": {"summary": "HighLatency is bad"},
        "endsAt": "0001-01-01T00:00:00.000Z",
        "fingerprint": one["fingerprint"],
        "receivers": [{"name": "platform"}],
        "startsAt": "2026-11-23T11:59:00.000Z",
        "status": {"inhibitedBy": [], "mutedBy": [], "silencedBy": [], "state": "active"},
        "updatedAt": "2026-11-23T12:00:00.000Z",
        "generatorURL": "http://prometheus/graph",
        "labels": {"alertname": "HighLatency", "severity": "critical", "job": "api"},
    }
    assert len(one["fingerprint"]) == 16


async def test_a_silenced_alert_names_its_silences(house: House) -> None:
    await house.post(message(alert(), alert("Other")))
    made = sorted([await make(house), await make(house)])
    await make(house, startsAt="2026-11-23T12:30:00Z")

    _, answer = await ask(house, "GET", "/api/v2/alerts?filter=alertname%3DHighLatency")

    assert [one["status"] for one in answer] == [
        {"inhibitedBy": [], "mutedBy": [], "silencedBy": made, "state": "suppressed"}
    ]
    assert await names(house) == ["HighLatency", "Other"]
    assert await names(house, "?silenced=false") == ["Other"]
    assert await names(house, "?active=false") == ["HighLatency"]
    assert await names(house, "?active=false&silenced=no") == []
    assert await names(house, "?inhibited=false&muted=0&unprocessed=false&whatever=1") == ["HighLatency", "Other"]
    house.now += HOUR
    assert await names(house, "?silenced=false") == ["HighLatency", "Other"]


async def test_alerts_that_stopped_firing_are_gone_and_those_that_page_nobody_are_there(house: House) -> None:
    await house.post(message(alert(), alert("Quiet", team="nobody")))
    await house.post(message(alert(status="resolved")))

    assert await names(house) == ["Quiet"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ('?filter=alertname="A"', ["A"]),
        ('?filter=alertname=~"A|B"&filter=team!="x"', ["B"]),
        ('?filter=team=""', ["B", "C"]),
        ('?filter=team!=""', ["A"]),
        ("?receiver=low", ["C"]),
        ("?receiver=plat.*", ["A", "B"]),
        ("?receiver=plat", []),
    ],
)
async def test_alerts_are_filtered_by_matchers_and_receiver(house: House, query: str, found: list[str]) -> None:
    await house.post(message(alert("A", team="x"), alert("B"), alert("C", severity="warning")))

    assert await names(house, quote(query, safe="?&=")) == found


@pytest.mark.parametrize("path", ["alerts", "alerts/groups"])
async def test_filters_that_cannot_be_read_are_refused(house: House, path: str) -> None:
    assert await ask(house, "GET", f"/api/v2/{path}?filter=%7Ba%7D") == (400, "unexpected open or close brace: {a}")
    assert await ask(house, "GET", f"/api/v2/{path}?receiver=(") == (
        400,
        "failed to parse receiver param: error parsing regexp: missing closing ): `^(?:()$`",
    )


async def test_groups_are_those_of_the_routes(house: House) -> None:
    await house.post(message(alert("B", job="1"), alert("B", job="2"), alert("A", severity="warning")))

    _, answer = await ask(house, "GET", "/api/v2/alerts/groups")

    shown = [
        (one["receiver"]["name"], one["labels"], [a["labels"].get("job") for a in one["alerts"]]) for one in answer
    ]
    assert [(name, labels, sorted(jobs, key=str)) for name, labels, jobs in shown] == [
        ("low", {"alertname": "A"}, [None]),
        ("platform", {"alertname": "B"}, ["1", "2"]),
    ]
    _, answer = await ask(house, "GET", "/api/v2/alerts/groups?receiver=low")
    assert [one["receiver"]["name"] for one in answer] == ["low"]


async def test_more_alerts_than_are_listed_are_said_in_a_header(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.answers.alerts.MOST", 3)
    monkeypatch.setattr("relay.answers.alerts._AT_ONCE", 2)
    await house.post(message(*(alert(f"A{number}") for number in range(5))))

    for path in ("alerts", "alerts/groups"):
        async with house.http.get(f"{house.url}/api/v2/{path}") as reply:
            assert "X-Pagerelay-Truncated" in reply.headers
            found = await reply.json()
            assert sum(len(one.get("alerts", [one])) for one in found) == 3
    async with house.http.get(house.url + "/api/v2/alerts?filter=alertname%3DA1") as reply:
        assert ("X-Pagerelay-Truncated" in reply.headers, len(await reply.json())) == (False, 1)


# What runs here


async def test_receivers_and_status_are_shaped_as_alertmanagers(house: House) -> None:
    assert await ask(house, "GET", "/api/v2/receivers") == (
        200,
        [{"name": "null"}, {"name": "platform"}, {"name": "low"}],
    )
    _, status = await ask(house, "GET", "/api/v2/status")

    assert status["cluster"] == {"peers": [], "status": "disabled"}
    assert status["uptime"] == "2026-11-23T12:00:00.000Z"
    assert set(status["versionInfo"]) == {"branch", "buildDate", "buildUser", "goVersion", "revision", "version"}


async def test_the_configuration_shows_routes_and_no_secret(tmp_path: Path) -> None:
    more = CONFIG + "inhibit_rules:\n  - {source_matchers: [a=b], target_matchers: ['c!=\"d\"'], equal: [e]}\n"
    async with open_house(tmp_path, config=more) as house:
        _, status = await ask(house, "GET", "/api/v2/status")

    text = status["config"]["original"]
    shown = yaml.safe_load(text)
    assert KEY not in text
    assert KEY[::-1] not in text
    assert shown["route"]["group_by"] == ["alertname"]
    assert [(one["receiver"], one["matchers"]) for one in shown["route"]["routes"]] == [
        ("null", ['team="nobody"']),
        ("low", ['severity="warning"']),
    ]
    assert shown["inhibit_rules"] == [{"source_matchers": ['a="b"'], "target_matchers": ['c!="d"'], "equal": ["e"]}]
    assert shown["receivers"] == [{"name": "null"}, {"name": "platform"}, {"name": "low"}]


async def test_nothing_is_kept_by_caches(house: House) -> None:
    async with house.http.get(house.url + "/api/v2/silences") as reply:
        assert reply.headers["Cache-Control"] == "no-store"


async def test_before_the_store_is_open_the_answer_is_come_again(house: House) -> None:
    house.silencer = house.alerts = None  # type: ignore[assignment]
    for path in ("silences", "alerts", "status"):
        async with house.http.get(f"{house.url}/api/v2/{path}") as reply:
            assert (reply.status, reply.headers["Retry-After"]) == (503, "1")
            assert "not ready" in await reply.json()


# What nobody would send


words = st.sampled_from(
    ["a", "", "(", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59", "2027-01-01T00:00:00Z", NOBODY]
)
junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*MATCHERS[0], "isEqual"]), inner),
    max_leaves=6,
)
fields = st.sampled_from(["matchers", "startsAt", "endsAt", "createdBy", "comment", "id"])


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.dictionaries(fields, junk, max_size=3))
async def test_no_body_brings_a_door_down(house: House, changes: dict[str, Any]) -> None:
    status, _ = await ask(house, "POST", "/api/v2/silences", silence(**changes))

    assert status in (200, 400, 404, 422)
    assert not any("traceback" in line for line in house.log)
    assert len(await listed(house)) == len(house.silencer.current)
