"""Who may post, look and change: sources by their own credentials, users by theirs, and nobody in another's name."""

import asyncio
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import bcrypt
import pytest

from relay.config import load
from relay.config.operators import Operators
from relay.config.web import Rate, WebConfig
from relay.errors import NotTaken
from relay.secret import Secret
from relay.web import authentication, passwords
from relay.web.passwords import Passwords
from tests.integration.house import CONFIG, House, alert, message, open_house

TOKENS = {"new": "token-of-prod-that-is-new", "old": "token-of-prod-that-was", "eu": "token-of-the-eu-source"}
SOURCES = """
sources:
  - name: prod
    native_keys: true
    bearer_token_file: [new.token, old.token]
    basic_auth: {username: am, password: prods-own-password}
  - {name: eu, native_keys: false, bearer_token_file: eu.token}
"""
OPEN = "  - {name: open, native_keys: false}\n"
PASSWORD = "anna's password"
ANNA = {"anna": Secret(bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode())}
OPERATOR = "the-operators-own-secret"


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def basic(name: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(f"{name}:{password}".encode()).decode()}


PROD, ANNAS = bearer(TOKENS["new"]), basic("anna", PASSWORD)


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    for name, token in TOKENS.items():
        (tmp_path / f"{name}.token").write_text(token)
    return tmp_path


@pytest.fixture
async def house(folder: Path) -> AsyncIterator[House]:
    """Every source must show something."""
    async with open_house(folder, config=CONFIG + SOURCES) as opened:
        yield opened


async def post(house: House, path: str, headers: dict[str, str], body: object = None) -> tuple[int, Any]:
    said = message(alert()) if body is None else body
    async with house.http.post(house.url + path, json=said, headers=headers) as reply:
        assert (reply.headers.getall("WWW-Authenticate", []) != []) == (reply.status == 401)
        text = await reply.text()
        return reply.status, text


async def get(house: House, path: str, headers: dict[str, str]) -> int:
    async with house.http.get(house.url + path, headers=headers) as reply:
        return reply.status


async def heard(house: House) -> list[str]:
    return [one["source"] for one in (await house.get("/api/v1/status"))["sources"]]


@pytest.mark.parametrize("shown", [PROD, bearer(TOKENS["old"]), basic("am", "prods-own-password")])
@pytest.mark.parametrize("path", ["/webhook", "/webhook/", "/webhook/prod"])
async def test_any_of_its_credentials_speaks_for_a_source_named_or_not(
    house: House, shown: dict[str, str], path: str
) -> None:
    assert (await post(house, path, shown))[0] == 200
    assert await heard(house) == ["prod"]


async def test_prometheus_speaks_as_its_source_too(house: House) -> None:
    alerts = [{"labels": {"alertname": "A", "severity": "critical"}}]

    assert (await post(house, "/api/v2/alerts", bearer(TOKENS["eu"]), alerts))[0] == 200
    assert (await post(house, "/source/eu/api/v2/alerts", bearer(TOKENS["eu"]), alerts))[0] == 200
    assert await heard(house) == ["eu"]
    status, text = await post(house, "/api/v2/alerts", {}, alerts)
    assert (status, "every source must show its credential here" in text) == (401, True)


@pytest.mark.parametrize(
    ("path", "shown", "status", "words"),
    [
        ("/webhook/prod", {}, 401, "source prod must show a credential of its own: send it as HTTP Basic or as"),
        ("/webhook/prod", bearer("wrong"), 401, "and this one is not known"),
        ("/webhook/prod", {"Authorization": "Negotiate abc"}, 401, "source prod must show"),
        ("/webhook/prod", {"Authorization": "Basic !!!"}, 401, "source prod must show"),
        ("/webhook/prod", {"Authorization": "Basic " + b64encode(b"no colon").decode()}, 401, "source prod must show"),
        ("/webhook/prod", basic("am", TOKENS["new"]), 401, "is not known"),
        ("/webhook/prod", bearer("prods-own-password"), 401, "is not known"),
        ("/webhook/prod", bearer(OPERATOR), 401, "is not known"),
        ("/webhook/eu", PROD, 403, "speaks for source prod only"),
        ("/webhook/nobody", PROD, 403, "speaks for source prod only"),
        ("/webhook", {}, 401, "every source must show its credential here"),
        ("/webhook/nobody", {}, 401, "every source must show its credential here"),
    ],
)
async def test_nobody_speaks_for_a_source_without_its_credential(
    house: House, path: str, shown: dict[str, str], status: int, words: str
) -> None:
    house.operators = Operators({"olga": Secret(OPERATOR)})
    got, text = await post(house, path, shown)

    assert (got, words in text) == (status, True), text
    assert await heard(house) == []
    assert (await house.get("/api/v1/pages"))["pages"] == []


async def test_where_some_source_demands_nothing_the_unnamed_one_does_not_either(folder: Path) -> None:
    async with open_house(folder, config=CONFIG + SOURCES + OPEN) as house:
        for path in ("/webhook", "/webhook/open"):
            assert (await post(house, path, {}))[0] == 200
            assert (await post(house, path, bearer("a token that nobody asked for")))[0] == 200
        assert house.rung == {}

        assert (await post(house, "/webhook/nobody", {}))[0] == 200
        assert sorted(await heard(house)) == ["", "open"]
        assert "somebody posts as source 'nobody', which `sources` does not list" in house.rung["unknown_source"]
        assert len([line for line in house.log if "unknown source" in line]) == 1
        assert "pagerelay_unknown_source_total 1.0" in house.metrics.render()[0].decode()


async def test_without_sources_any_name_is_a_source(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        assert (await post(house, "/webhook/anything", bearer("whatever")))[0] == 200
        assert await heard(house) == ["anything"]
        assert house.rung == {}


async def test_users_open_what_sources_and_operators_do_not_keep_for_themselves(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authentication, "_SLOWLY", 0.0)
    async with open_house(folder, config=CONFIG + SOURCES + OPEN, web=WebConfig(users=ANNA)) as house:
        house.operators = Operators({"olga": Secret(OPERATOR)})
        assert (await post(house, "/webhook/open", ANNAS))[0] == 200
        assert (await post(house, "/webhook", ANNAS))[0] == 200
        assert (await post(house, "/webhook/prod", ANNAS))[0] == 401
        assert (await post(house, "/webhook/open", {}))[0] == 401
        assert (await post(house, "/webhook", {}))[0] == 401
        assert (await post(house, "/webhook/nobody", {}))[0] == 401
        assert (await post(house, "/webhook", PROD))[0] == 200

        for path in ("/metrics", "/api/v1/pages", "/api/v1/status", "/pages", "/api/v2/silences", "/api/v2/alerts"):
            assert await get(house, path, {}) == 401
            assert await get(house, path, basic("anna", "wrong")) == 401
            assert await get(house, path, bearer(PASSWORD)) == 401
            assert await get(house, path, PROD) == 401
            assert await get(house, path, ANNAS) == 200
            assert await get(house, path, basic("olga", OPERATOR)) == 200
        for path in ("/-/healthy", "/-/ready"):
            assert await get(house, path, {}) == 200

        through_a_proxy = {"X-Forwarded-For": "10.0.0.9"}
        assert (await post(house, "/-/reload", {**through_a_proxy, **ANNAS}))[0] == 401
        assert (await post(house, "/-/reload", {**through_a_proxy, **PROD}))[0] == 401
        assert (await post(house, "/-/reload", {**through_a_proxy, **basic("olga", OPERATOR)}))[0] == 200


async def test_a_command_of_this_machine_is_known_by_the_pass_beside_the_store(folder: Path) -> None:
    async with open_house(folder, web=WebConfig(users=ANNA)) as house:
        assert await get(house, "/api/v1/pages", bearer(house.own_pass)) == 200
        assert await get(house, "/api/v1/pages", bearer(house.own_pass + "x")) == 401
        assert await get(house, "/api/v1/pages", bearer("")) == 401


async def test_a_credential_that_is_given_out_counts_at_once_and_one_taken_back_no_longer(house: House) -> None:
    assert (await post(house, "/webhook/prod", PROD))[0] == 200
    file = house.directory / "new.token"
    file.write_text("token-of-prod-of-tomorrow")
    house.loaded = load(house.directory / "relay.yml", {})

    assert (await post(house, "/webhook/prod", bearer("token-of-prod-of-tomorrow")))[0] == 200
    assert (await post(house, "/webhook/prod", bearer(TOKENS["old"])))[0] == 200
    assert (await post(house, "/webhook/prod", PROD))[0] == 401


async def test_a_known_address_that_keeps_failing_rings_until_it_is_let_in_again(house: House) -> None:
    for _ in range(5):
        await post(house, "/webhook/prod", bearer("wrong"))
    assert house.rung == {}  # nobody we know

    await post(house, "/webhook/prod", PROD)
    for _ in range(3):
        assert "auth_failures" not in house.rung
        await post(house, "/webhook/prod", bearer("wrong"))
    said = "127.0.0.1 is refused at /webhook/prod: it shows a credential that is not known"
    assert house.rung["auth_failures"] == f"an address that was let in before is refused now: {said}"

    await post(house, "/webhook/prod", PROD)
    assert house.rung == {}


async def test_what_is_refused_is_told_by_what_was_asked_for_and_another_source_does_not_end_it(house: House) -> None:
    await post(house, "/webhook/eu", bearer(TOKENS["eu"]))
    for _ in range(3):
        await post(house, "/webhook/prod", {})
        await post(house, "/webhook/eu", bearer(TOKENS["eu"]))

    assert "127.0.0.1 is refused at /webhook/prod: it shows no credential" in house.rung["auth_failures"]
    for _ in range(3):
        await post(house, "/source/eu/api/v2/alerts", PROD, [])
    assert "/source/eu/api/v2/alerts: it shows the credential of another source" in house.rung["auth_failures"]

    await post(house, "/webhook/eu", bearer(TOKENS["eu"]))
    assert "/webhook/prod" in house.rung["auth_failures"]
    assert "/eu/" not in house.rung["auth_failures"]
    await post(house, "/webhook/prod", PROD)
    assert house.rung == {}


async def test_refusals_are_counted_by_door_and_why_and_logged_once(house: House) -> None:
    for _ in range(4):
        await post(house, "/webhook/prod", bearer("a-wrong-secret-of-prod"))
    await post(house, "/webhook/eu", PROD)

    shown = house.metrics.render()[0].decode()
    assert 'pagerelay_auth_failures_total{door="sender",kind="wrong"} 4.0' in shown
    assert 'pagerelay_auth_failures_total{door="sender",kind="other_source"} 1.0' in shown
    assert 'pagerelay_webhook_requests_total{code="401",source="prod"} 4.0' in shown
    assert len([line for line in house.log if "sender refused" in line]) == 2
    assert not any("a-wrong-secret" in line for line in house.log)


async def test_who_fails_often_is_answered_slowly_and_who_is_right_at_once(house: House) -> None:
    guesses = [asyncio.create_task(post(house, "/webhook/prod", bearer(f"guess {one}"))) for one in range(30)]
    await asyncio.sleep(0.2)

    began = time.monotonic()
    assert (await post(house, "/webhook/prod", PROD))[0] == 200
    assert time.monotonic() - began < 0.5
    done = sum(guess.done() for guess in guesses)
    assert 0 < done < 30
    assert {status for status, _ in await asyncio.gather(*guesses)} == {401}


async def test_passwords_are_compared_one_at_a_time_and_each_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_way, most, compared = 0, 0, list[bytes]()

    def compare(password: bytes, hashed: bytes) -> bool:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        compared.append(hashed)
        time.sleep(0.02)
        under_way -= 1
        return password == PASSWORD.encode()

    monkeypatch.setattr(bcrypt, "checkpw", compare)
    async with open_house(tmp_path, web=WebConfig(users=ANNA)) as house:
        statuses = await asyncio.gather(*(get(house, "/metrics", ANNAS) for _ in range(5)))
        assert statuses == [200] * 5
        assert len(compared) <= 5
        before = len(compared)
        assert await get(house, "/metrics", ANNAS) == 200
        assert await get(house, "/metrics", basic("nobody", PASSWORD)) == 401
        assert await get(house, "/metrics", basic("nobody", PASSWORD)) == 401

    assert most == 1
    assert len(compared) == before + 1  # for a name that nobody has, against a hash of nothing
    assert compared[-1] != ANNA["anna"].reveal().encode()


async def test_a_right_password_is_let_in_while_others_are_guessed(tmp_path: Path) -> None:
    slow = {"anna": Secret(bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(8)).decode())}
    async with open_house(tmp_path, web=WebConfig(users=slow)) as house:
        assert await get(house, "/metrics", ANNAS) == 200
        guesses = [asyncio.create_task(get(house, "/metrics", basic("anna", f"{one}"))) for one in range(45)]
        await asyncio.sleep(0.1)

        began = time.monotonic()
        assert await get(house, "/metrics", ANNAS) == 200
        assert time.monotonic() - began < 0.5
        assert set(await asyncio.gather(*guesses)) <= {401, 503}


@pytest.mark.parametrize("guessed", [lambda one: "anna", lambda one: f"nobody {one}", lambda one: "bert"])
async def test_a_right_password_that_was_never_shown_is_let_in_while_one_address_guesses(
    tmp_path: Path, guessed: Callable[[int], str]
) -> None:
    slow = {name: Secret(bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(7)).decode()) for name in ("anna", "bert")}
    async with open_house(tmp_path, web=WebConfig(users=slow)) as house:
        over = False

        async def guess(number: int) -> None:
            tries = 0
            while not over:
                tries += 1
                await get(house, "/metrics", basic(guessed(number), f"{number} {tries}"))

        guesses = [asyncio.create_task(guess(one)) for one in range(60)]
        await asyncio.sleep(0.3)
        began = time.monotonic()
        assert await get(house, "/metrics", ANNAS) == 200
        took = time.monotonic() - began
        over = True
        await asyncio.gather(*guesses)

    assert took < 5


async def test_a_crowd_that_guesses_keeps_nobody_else_from_having_a_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "_IN_ALL", 8)
    slow = {name: Secret(bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(6)).decode()) for name in ("anna", "bert")}
    known = Passwords()
    guesses = [asyncio.create_task(known.right(slow, "anna", f"{one}", f"10.0.0.{one % 4}")) for one in range(40)]
    await asyncio.sleep(0)

    assert await known.right(slow, "bert", PASSWORD, "10.0.0.1")
    assert sum(guess.done() and guess.exception() is None for guess in guesses) < 8
    assert await known.right(slow, "anna", PASSWORD, "10.0.0.9")
    ends = await asyncio.gather(*guesses, return_exceptions=True)
    assert ends.count(False) == 8
    assert sum(isinstance(end, NotTaken) for end in ends) == 32


async def test_a_user_who_is_taken_out_is_out(tmp_path: Path) -> None:
    async with open_house(tmp_path, web=WebConfig(users=ANNA)) as house:
        assert await get(house, "/metrics", ANNAS) == 200
        house.web = WebConfig(users={"bert": ANNA["anna"]})
        assert await get(house, "/metrics", ANNAS) == 401
        assert await get(house, "/metrics", basic("bert", PASSWORD)) == 200


async def test_a_rate_asks_to_come_again_and_never_says_429(tmp_path: Path) -> None:
    async with open_house(tmp_path, web=WebConfig(rate=Rate(3_600_000_000, 3))) as house:
        statuses = [(await post(house, "/webhook", {}))[0] for _ in range(5)]

        assert statuses == [200, 200, 200, 503, 503]
        assert await get(house, "/metrics", {}) == 503
        assert await get(house, "/-/healthy", {}) == 200
        assert await get(house, "/-/ready", {}) == 200


async def test_every_answer_tells_browsers_to_run_and_frame_nothing(tmp_path: Path) -> None:
    own = WebConfig(headers={"X-Frame-Options": "sameorigin", "Strict-Transport-Security": "max-age=60"})
    async with open_house(tmp_path) as house:
        for path in ("/-/healthy", "/api/v1/pages", "/nope", "/metrics"):
            async with house.http.get(house.url + path) as reply:
                assert reply.headers["Content-Security-Policy"].startswith("default-src 'self'; frame-ancestors 'none'")
                assert reply.headers["X-Content-Type-Options"] == "nosniff"
                assert reply.headers["X-Frame-Options"] == "deny"
                assert reply.headers["Referrer-Policy"] == "no-referrer"
        house.web = own
        async with house.http.get(house.url + "/-/healthy") as reply:
            assert reply.headers["X-Frame-Options"] == "sameorigin"
            assert reply.headers["Strict-Transport-Security"] == "max-age=60"
