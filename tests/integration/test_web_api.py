"""/api/v1 shows pages, decisions and status as they are, in words, and explains a body without keeping it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from relay.alert import MINUTE, SECOND
from relay.event import Retry
from tests.integration.house import KEY, House, alert, as_bytes, message, open_house


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path) as opened:
        yield opened


async def _only_page(house: House) -> dict[str, Any]:
    (line,) = (await house.get("/api/v1/pages"))["pages"]
    page: dict[str, Any] = await house.get(f"/api/v1/pages/{line['id']}")
    assert line.items() <= page.items()
    return page


async def test_a_page_shows_all_that_is_known_of_it(house: House) -> None:
    await house.post(message(alert(instance="a"), alert(instance="b")))
    await house.deliver()
    house.now += MINUTE
    await house.post(message(alert(instance="a", status="resolved"), alert(instance="b")))

    page = await _only_page(house)

    assert len(page["id"]) == 13
    assert page["receiver"] == page["integration"] == "platform"
    assert (page["state"], page["severity"], page["wanted"], page["delivered"]) == ("open", "critical", "open", "open")
    assert (page["firing"], page["resolved"], page["suppressed"]) == (1, 1, 0)
    assert (page["lane"], page["due_at"]) == ("update", "2026-11-23T12:01:00.000Z")
    assert (page["revision"] > page["sent_revision"] > 0, page["episode"]) == (True, 1)
    assert page["opened_at"] == page["last_sent_at"] == "2026-11-23T12:00:00.000Z"
    assert page["group_labels"] == {"alertname": "HighLatency"}
    firing, resolved = page["members"]
    assert (firing["status"], firing["labels"]["instance"]) == ("firing", "b")
    assert (resolved["status"], resolved["ended_at"]) == ("resolved", "2026-11-23T12:00:00.000Z")
    assert firing["annotations"] == {"summary": "HighLatency is bad"}
    assert (firing["severity"], firing["route"], firing["receiver"]) == ("critical", "{}", "platform")
    assert firing["since"] == "2026-11-23T11:59:00.000Z"
    (attempt,) = page["attempts"]
    assert (attempt["action"], attempt["lane"], attempt["outcome"]) == ("trigger", "critical", "delivered")
    assert page["event"] == {"event_action": "trigger"}
    assert KEY not in str(page)


async def test_the_state_and_the_reason_follow_the_life_of_a_page(house: House) -> None:
    await house.post(message(alert()))
    assert await _said(house) == (
        "waiting",
        "the trigger is due since 2026-11-23T12:00:00.000Z and waits for its turn in lane critical",
    )

    await house.deliver(Retry("serverError", "500 from PagerDuty"))
    state, why = await _said(house)
    assert state == "waiting"
    assert why.startswith("the trigger is due 0.5 s from now")
    assert why.endswith("the last attempt failed, serverError: 500 from PagerDuty")

    house.now += 5 * SECOND
    await house.deliver()
    assert await _said(house) == ("open", "open at PagerDuty, which shows what fires")

    await house.post(message(alert(), alert(instance="b")))
    state, why = await _said(house)
    assert state == "open"
    assert "an update is due 60 s from now" in why
    assert "updates wait for group_interval, 60 s" in why

    await house.post(message(alert(status="resolved"), alert(instance="b", status="resolved")))
    state, why = await _said(house)
    assert state == "closing"
    assert why.startswith("the resolve is due 1.0 s from now")
    assert why.endswith("two events of one page are at least 1 s apart")

    house.now += 2 * SECOND
    await house.deliver()
    assert await _said(house) == ("closed", "nothing fires, and PagerDuty knows it is over")


async def test_a_page_that_resolves_unsent_is_superseded(house: House) -> None:
    await house.post(message(alert()))
    await house.post(message(alert(status="resolved")))

    assert await _said(house) == ("superseded", "it resolved before its page was ever sent: nobody was paged")


async def test_a_dead_letter_says_what_pagerduty_said(house: House) -> None:
    await house.post(message(alert()))
    await house.reject("'payload.summary' is missing")

    state, why = await _said(house)
    assert state == "dead letter"
    assert "'payload.summary' is missing" in why
    assert (await house.get("/api/v1/status"))["dead_letters"] == 1


async def _said(house: House) -> tuple[str, str]:
    page = await _only_page(house)
    return page["state"], page["why"]


async def test_pages_are_listed_and_narrowed(house: House) -> None:
    for number in range(7):
        await house.post(
            message(alert(f"A{number}", severity="warning" if number % 2 else "critical"), key=f"k{number}")
        )
    (key, *_) = [page["dedup_key"] for page in (await house.get("/api/v1/pages"))["pages"]]

    async def count(query: str) -> int:
        return len((await house.get(f"/api/v1/pages?{query}"))["pages"])

    assert await count("") == 7
    assert await count(f"dedup_key={key}") == 1
    assert await count("dedup_key=unheard-of") == 0
    assert await count("wanted=open") == 7
    assert await count("wanted=closed") == 0
    assert await count("delivered=never") == 7
    assert await count("receiver=low") == 3
    assert await count("receiver=platform") == 4


@pytest.mark.parametrize("query", ["", "&receiver=platform", "&receiver=low", "&wanted=open"])
async def test_pages_are_read_on_from_where_a_list_ended(house: House, query: str) -> None:
    for number in range(9):
        await house.post(
            message(alert(f"A{number}", severity="warning" if number % 2 else "critical"), key=f"k{number}")
        )
    whole = [page["id"] for page in (await house.get(f"/api/v1/pages?limit=100{query}"))["pages"]]
    seen: list[str] = []
    after = ""
    for _ in range(10):
        some = await house.get(f"/api/v1/pages?limit=2{query}{after}")
        assert len(some["pages"]) <= 2
        seen += [page["id"] for page in some["pages"]]
        if some["next"] is None:
            break
        after = f"&after={some['next']}"

    assert seen == whole


async def test_a_page_is_at_the_address_that_its_event_names(house: House) -> None:
    await house.post(message(alert()))
    page = await _only_page(house)

    assert await house.get(f"/pages/{page['id']}") == page
    assert (await house.get(f"/pages?dedup_key={page['dedup_key']}"))["pages"][0]["id"] == page["id"]


@pytest.mark.parametrize("name", ["aaaaaaaaaaaaa", "7777777777777", "x", "1", "..", "%00", "a" * 500, "ä"])
async def test_an_unknown_page_is_404_in_words(house: House, name: str) -> None:
    async with house.http.get(f"{house.url}/api/v1/pages/{name}") as reply:
        assert reply.status == 404
        assert "there is no" in (await reply.json())["error"]


async def test_decisions_say_what_became_of_an_alert_and_why(house: House) -> None:
    opened = (await house.post(message(alert()), "/webhook/eu"))["decisions"][0]
    house.now += MINUTE
    await house.post(message(alert(status="resolved")), "/webhook/eu")
    await house.post(message(alert("Other", team="nobody"), key="other"), "/webhook/us")

    everything = (await house.get("/api/v1/decisions"))["decisions"]
    assert [one["verdict"] for one in everything] == ["not_ours", "supersedes", "opens"]
    assert everything[2]["at"] == "2026-11-23T12:00:00.000Z"
    assert "no receiver it is routed to has a PagerDuty integration" in everything[0]["steps"]

    for query in (f"fingerprint={opened['fingerprint']}", f"page={opened['pages'][0]}", "source=eu"):
        narrowed = (await house.get(f"/api/v1/decisions?{query}"))["decisions"]
        assert [one["verdict"] for one in narrowed] == ["supersedes", "opens"], query


async def test_decisions_are_read_on_from_where_a_list_ended(house: House) -> None:
    for number in range(5):
        await house.post(message(alert(f"A{number}"), key=f"k{number}"))
    seen: list[str] = []
    before = ""
    for _ in range(10):
        some = await house.get(f"/api/v1/decisions?limit=2{before}")
        seen += [one["alertname"] for one in some["decisions"]]
        if some["next"] is None:
            break
        before = f"&before={some['next']}"

    assert seen == ["A4", "A3", "A2", "A1", "A0"]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/api/v1/pages?wanted=maybe", "give one of 'open', 'quiet', 'closed'"),
        ("/api/v1/pages?delivered=perhaps", "'unknown(trigger)'"),
        ("/api/v1/pages?limit=0", "from 1 to 1000"),
        ("/api/v1/pages?limit=1001", "from 1 to 1000"),
        ("/api/v1/pages?limit=many", "a whole number"),
        ("/api/v1/pages?limit=" + "9" * 5_000, "a whole number"),
        ("/api/v1/pages?after=x", "a page id"),
        ("/api/v1/pages?colour=red", "this door knows dedup_key"),
        ("/api/v1/pages?limit=1&limit=2", "given twice"),
        ("/api/v1/decisions?before=x", "as `next` gives it"),
        ("/api/v1/decisions?before=" + "9" * 30, "as `next` gives it"),
        ("/api/v1/decisions?page=x", "a page id"),
    ],
)
async def test_a_parameter_that_makes_no_sense_is_400_in_words(house: House, path: str, words: str) -> None:
    assert words in (await house.get(path, 400))["error"]


async def test_status_sums_the_relay_up(house: House) -> None:
    await house.post(message(alert()), "/webhook/eu")
    await house.post(message(alert("Slow", severity="warning"), key="slow"), "/webhook/us")
    house.now += 30 * SECOND

    status = await house.get("/api/v1/status")

    assert status["uptime_seconds"] == 30
    assert status["started_at"] == "2026-11-23T12:00:00.000Z"
    assert status["config"] == house.book.rules.fingerprint
    assert status["store"] == str(house.directory / "data")
    assert status["sources"] == [
        {"source": "eu", "heard_at": "2026-11-23T12:00:00.000Z"},
        {"source": "us", "heard_at": "2026-11-23T12:00:00.000Z"},
    ]
    assert status["queue"]["critical"] == {
        "waiting": 1,
        "oldest_at": "2026-11-23T12:00:00.000Z",
        "oldest_age_seconds": 30,
    }
    assert status["queue"]["warning"]["waiting"] == 1
    assert status["pages"] == {"open": 2, "quiet": 0, "closed": 0}
    assert [one["name"] for one in status["integrations"]] == ["low", "platform"]

    await house.deliver()
    assert [one["open"] for one in (await house.get("/api/v1/status"))["integrations"]] == [1, 1]


async def _explain(house: House, body: object, query: str = "") -> Any:
    async with house.http.post(f"{house.url}/api/v1/explain{query}", data=as_bytes(body)) as reply:
        assert reply.status == 200, await reply.text()
        return await reply.json()


async def test_explain_says_what_would_become_of_a_body_and_keeps_nothing(house: House) -> None:
    body = message(alert(severity="warning"), alert("Nobody", team="nobody"))

    explained = await _explain(house, body)

    first, second = explained["alerts"]
    (place,) = first["pages"]
    assert first["severity"] == place["severity"] == "warning"
    assert (place["receiver"], place["state"], place["open"]) == ("low", "none", False)
    assert place["says"] == f"it opens page {place['page']} at receiver low as warning"
    assert any('team="nobody" is wanted' in step for step in first["routes"])
    assert (second["pages"], second["severity"], second["held"]) == ([], "", "")
    assert (await house.get("/api/v1/pages"))["pages"] == []

    answer = await house.post(body)
    assert answer["decisions"][0]["pages"] == [place["page"]]
    assert (await _only_page(house))["dedup_key"] == place["dedup_key"]


async def test_explain_says_whether_a_page_is_open_now(house: House) -> None:
    await house.post(message(alert()))
    await house.deliver()

    (explained,) = (await _explain(house, message(alert())))["alerts"]
    assert explained["held"] == "firing"
    assert (explained["pages"][0]["state"], explained["pages"][0]["open"]) == ("open", True)
    (resolved,) = (await _explain(house, message(alert(status="resolved"))))["alerts"]
    assert resolved["pages"][0]["says"].startswith("it resolves in page")


async def test_explain_minds_the_source(house: House) -> None:
    plain, named = [(await _explain(house, message(alert()), query))["alerts"][0] for query in ("", "?source=eu")]

    assert plain["pages"][0]["dedup_key"] != named["pages"][0]["dedup_key"]


async def test_explain_shows_a_hundred_alerts_or_all(house: House) -> None:
    body = message(*(alert(instance=str(number)) for number in range(120)))

    some, everything = await _explain(house, body), await _explain(house, body, "?verbose")

    assert (len(some["alerts"]), some["more"]) == (100, 20)
    assert (len(everything["alerts"]), everything["more"]) == (120, 0)


async def test_explain_refuses_what_the_webhook_would_refuse(house: House) -> None:
    async with house.http.post(house.url + "/api/v1/explain", data=b"nonsense") as reply:
        assert reply.status == 400
        assert "line 1" in (await reply.json())["error"]


async def test_explain_and_the_webhook_agree_about_a_cut_off_group(house: House) -> None:
    body = message(alert(), truncatedAlerts=3)

    told = {
        page for one in (await _explain(house, body))["alerts"] for page in [place["page"] for place in one["pages"]]
    }
    done = {page for one in (await house.post(body))["decisions"] for page in one["pages"]}

    assert told == done
    assert len(done) == 2


async def test_a_page_is_written_to_be_read_where_a_browser_asks_for_it(house: House) -> None:
    await house.post(message(alert()))
    (page,) = (await house.get("/api/v1/pages"))["pages"]

    async with house.http.get(f"{house.url}/pages/{page['id']}", headers={"Accept": "text/html,*/*"}) as reply:
        text = await reply.text()

    assert text.startswith('{\n  "id": "')
