"""`pagerelay change send` against a relay's door and PagerDuty's own: what it sends, and what it says came of it."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner

from relay.__main__ import main
from relay.cli import change
from relay.sandbox.faults import Fault
from tests.acceptance.programs import free_port
from tests.integration.timelapse import KEY, Relay, config, open_relay

VIRTUAL = "5" * 32
SOURCES = config(top={"sources": [{"name": "ci", "native_keys": False, "routing_keys": [VIRTUAL]}]})
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def in_haste(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(change, "_FIRST", 0.01)
    for name in (*PROXIES, "PD_ROUTING_KEY", "PAGERELAY_CHANGE_URL"):
        monkeypatch.delenv(name, raising=False)


async def send(
    url: str, *arguments: str, key: str = VIRTUAL, environ: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """Run the command; return its exit status and all it said."""
    words = ["change", "send", "--url", url, *(arguments or ("--summary", "Deployed"))]
    known = {"PAGERELAY_ROUTING_KEY": key, **(environ or {})}
    done = await asyncio.to_thread(CliRunner(env=known).invoke, main, words)
    assert not key or key not in done.output
    return done.exit_code, done.output


def summaries(relay: Relay) -> list[str]:
    return [one["event"]["payload"]["summary"] for one in relay.sandbox.changes]


async def test_it_finds_the_door_at_a_relay_and_at_pagerduty(tmp_path: Path) -> None:
    async with open_relay(tmp_path, SOURCES) as relay:
        for number, url in enumerate(("", "/", "/v2/change/enqueue", "/v2/enqueue")):
            assert await send(f"{relay.pagerduty}{url}", "--summary", str(number), key=KEY) == (
                0,
                "change event accepted by 127.0.0.1\n",
            )
        assert await send(relay.url, "--summary", "by the relay") == (0, "change event accepted by 127.0.0.1\n")
        await relay.settle()

        assert summaries(relay) == ["0", "1", "2", "3", "by the relay"]


async def test_the_key_comes_from_a_file_or_the_environment(tmp_path: Path) -> None:
    (tmp_path / "routing.key").write_text(f"{KEY}\n")
    async with open_relay(tmp_path, SOURCES) as relay:
        named = ("--summary", "by file", "--routing-key-file", str(tmp_path / "routing.key"))
        assert (await send(relay.pagerduty, *named, key=""))[0] == 0
        assert (await send(relay.pagerduty, key="", environ={"PD_ROUTING_KEY": KEY}))[0] == 0
        status, said = await send(relay.pagerduty, key="")
        assert (status, "there is no routing key" in said) == (2, True)
        status, said = await send(relay.pagerduty, "--summary", "x", "--routing-key-file", str(tmp_path / "none.key"))
        assert (status, "cannot be read: No such file" in said) == (2, True)


async def test_what_it_says_is_cut_and_cleaned_to_what_pagerduty_takes(tmp_path: Path) -> None:
    async with open_relay(tmp_path, SOURCES) as relay:
        title = "Fix\n\x1b[31mred\x1b[0m  " + "x" * 2_000
        given = ("--summary", title, "--detail", "notes=line\nline", "--timestamp", "2026-11-23T12:00:00Z")
        assert (await send(relay.pagerduty, *given, "--link", "https://x.example/a b=  Blank ", key=KEY))[0] == 0

        event = relay.sandbox.changes[0]["event"]
        assert (event["payload"]["summary"][:10], len(event["payload"]["summary"])) == ("Fix red xx", 1024)
        assert event["payload"]["custom_details"] == {"notes": "line\nline"}
        assert event["payload"]["timestamp"] == "2026-11-23T12:00:00Z"
        assert event["links"] == [{"href": "https://x.example/a%20b", "text": "Blank"}]


async def test_it_tries_again_for_a_while_and_says_how_it_went(tmp_path: Path) -> None:
    async with open_relay(tmp_path, SOURCES) as relay:
        relay.sandbox.faults.add(Fault(status=503, count=2))
        relay.sandbox.faults.add(Fault(status=429, count=1))
        status, said = await send(relay.pagerduty, key=KEY)
        assert (status, said.count("not taken yet, trying again in")) == (0, 3)

        relay.sandbox.faults.add(Fault(status=500, body=f"cannot take {KEY}"))
        status, said = await send(relay.pagerduty, "--summary", "x", "--retry-for", "0s", key=KEY)
        assert (status, said) == (
            3,
            "pagerelay: the change event was not accepted in time: serverError: HTTP 500: cannot take <secret>\n",
        )
        nobody = f"http://127.0.0.1:{free_port()}"
        status, said = await send(nobody, "--summary", "x", "--retry-for", "0s")
        assert (status, "cannot connect" in said) == (3, True)


WRONG = (
    (("--summary", "x", "--timestamp", "yesterday"), 1, "was refused: clientError: 'payload.timestamp' is invalid"),
    (("--summary", " "), 2, "says nothing"),
    (("--summary", "x", "--detail", "y"), 2, "'y' is not NAME=TEXT"),
    (("--summary", "x", "--link", "/y=z"), 2, "'/y=z' is not URL=TEXT"),
    (("--summary", "x", "--link", "https://x.example/"), 2, "is not URL=TEXT"),
    (("--summary", "x", "--retry-for", "soon"), 2, "write 30s, 5m, 4h or 1h30m"),
    (("--summary", "x", "--url", "relay:9095"), 2, "is not an http:// or https:// address"),
    (("--summary", "x", "--url", "http://[::1"), 2, "is not an http:// or https:// address"),
)


async def test_what_can_never_work_says_so_at_once(tmp_path: Path) -> None:
    async with open_relay(tmp_path, SOURCES) as relay:
        for arguments, status, words in WRONG:
            found, said = await send(relay.url, *arguments)
            assert (found, words in said) == (status, True), said

        status, said = await send(relay.url, key="9" * 32)
        assert (status, "was refused" in said, "Invalid routing key" in said) == (1, True, True)
        assert await relay.changes.waiting() == {}


async def test_it_goes_through_the_proxy_of_the_environment(tmp_path: Path) -> None:
    async with open_relay(tmp_path, SOURCES) as relay:
        # What the sandbox is asked as a proxy it takes as PagerDuty: there is nothing else at that name.
        through = {"http_proxy": relay.pagerduty}
        done = await send("http://events.pagerduty.invalid", key=KEY, environ=through)
        assert done == (0, "change event accepted by events.pagerduty.invalid\n")

        beside = {"http_proxy": f"http://127.0.0.1:{free_port()}", "no_proxy": "127.0.0.1"}
        assert (await send(relay.pagerduty, key=KEY, environ=beside))[0] == 0
        assert len(summaries(relay)) == 2


def test_no_key_stands_on_the_command_line() -> None:
    """A flag would be seen by everybody on the machine, and in the pipeline's log."""
    names = [name for option in change.send.params for name in option.opts]

    assert not [name for name in names if "key" in name and not name.endswith("-file")]
