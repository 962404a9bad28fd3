"""Where secrets could come out: how things print, tracebacks, what the store keeps, answers. And the canaries' eyes."""

import io
from pathlib import Path

import pytest

from relay.config import load
from relay.errors import BadConfig
from relay.event import Rejected
from relay.logs import Log
from relay.metrics import Metrics
from relay.secret import Key, Secret, key_id
from relay.settings import Settings
from tests.canaries import Heard, canaries, leaks, listen
from tests.integration.house import CONFIG, KEY, alert, message, open_house

CANARY = "c4n4ry0f7h3c0a1m1n3r5w0n7s1ng4ny"
PASSWORD = "hunter2-but-rather-longer"


def config(folder: Path) -> Path:
    file = folder / "relay.yml"
    file.write_text(CONFIG.replace(KEY, CANARY))
    return file


def test_nothing_that_holds_a_secret_prints_it(tmp_path: Path) -> None:
    loaded = load(config(tmp_path), {})
    key = Key(key_id("u", Secret(CANARY)), "u", Secret(CANARY), "platform", proxy_url=Secret(f"http://u:{CANARY}@p"))
    settings = Settings(tmp_path / "relay.yml", tmp_path, (("127.0.0.1", 0),))
    printed = "".join(f"{one!r} {one!s} {one}" for one in (loaded, loaded.keys, key, settings, Secret(CANARY)))

    assert CANARY not in printed
    assert "<secret>" in printed


def test_a_key_that_is_none_is_not_quoted_back(tmp_path: Path) -> None:
    file = config(tmp_path)
    file.write_text(file.read_text().replace(CANARY, CANARY + "!!too-long"))
    with pytest.raises(BadConfig) as refused:
        load(file, {})

    assert CANARY not in str(refused.value)


def test_a_traceback_in_the_log_shows_no_secret() -> None:
    written = io.StringIO()
    log = Log(lambda: 0, stream=written)
    log.hide([CANARY])
    try:
        raise ValueError(f"Authorization: Bearer {CANARY}")
    except ValueError as error:
        log.error("request failed unexpectedly", traceback=repr(error), words=[CANARY])

    assert CANARY not in written.getvalue()
    assert "<secret>" in written.getvalue()


async def test_what_the_store_keeps_and_the_doors_show_of_a_refused_page_has_no_key(tmp_path: Path) -> None:
    """The dead letter with its attempts, the journal, the metrics: all that can be exported."""
    async with open_house(tmp_path, config=CONFIG.replace(KEY, CANARY)) as house:
        await house.post(message(alert()))
        await house.deliver(Rejected("clientError", "payload is odd"))
        pages = await house.get("/api/v1/pages")
        shown = [await house.get(f"/api/v1/pages/{page['id']}") for page in pages["pages"]]
        shown += [pages, await house.get("/api/v1/decisions"), await house.get("/api/v2/status")]
    kept = b"".join(file.read_bytes() for file in (tmp_path / "data").rglob("*") if file.is_file())

    assert CANARY not in str(shown)
    assert CANARY.encode() not in kept
    assert CANARY not in "".join(house.log)


# The canaries themselves: what they see, and what they let pass


def wanted(folder: Path) -> frozenset[str]:
    return canaries([CANARY], folder)


@pytest.mark.parametrize(
    "name", ["relay.log", "data/pagerelay.db", "data/pagerelay.db-wal", "export.json", "backup.db"]
)
def test_a_secret_in_a_file_is_seen_and_not_told(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"\x00\xff before " + CANARY.encode() + b" after")
    found = leaks(wanted(tmp_path), tmp_path, [])
    file.unlink()

    assert found == [str(file)]
    assert CANARY not in str(found)


@pytest.mark.parametrize("name", ["relay.yml", "config.last-good.yml", "team.key", "operators", "pagerduty.jsonl"])
def test_a_secret_may_stand_where_people_keep_it(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(CANARY)

    assert leaks(wanted(tmp_path), tmp_path, []) == []


def test_what_stands_in_key_files_and_configurations_is_a_canary(tmp_path: Path) -> None:
    (tmp_path / "team.key").write_text(CANARY + "\n")
    (tmp_path / "web.yml").write_text(f"basic_auth:\n  username: anna\n  password: {PASSWORD}\n")

    assert canaries([], tmp_path) == {CANARY, PASSWORD}


def test_answers_metrics_and_captured_output_are_searched() -> None:
    heard = Heard(texts=[("an answer", CANARY.encode()), ("/metrics", b"pagerelay_up 1"), ("the log", f"x={CANARY}")])

    assert leaks(frozenset({CANARY}), None, heard.texts) == ["an answer", "the log"]


def test_a_secret_becomes_a_canary_when_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    for where, name in ((Secret, "__init__"), (Log, "_written"), (Metrics, "render")):
        monkeypatch.setattr(where, name, getattr(where, name))  # so that it is as before when this test is over
    heard = Heard()
    listen(heard)
    Secret(CANARY)

    assert CANARY in heard.secrets
