"""`pagerelay pagerduty` against the sandbox's REST API: what people and scripts read, and what its status means."""

import asyncio
import json
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from aiohttp.test_utils import TestServer
from click.testing import CliRunner, Result

from relay.__main__ import main
from relay.sandbox.account import Window
from relay.sandbox.app import make_app
from relay.sandbox.faults import Fault
from relay.sandbox.state import Sandbox, Settings

KEYS = {"platform": "1" * 32, "payments": "2" * 32}
TOKEN = "y_NbAkKc66ryYTWUXYEu"
PAYLOAD = {"summary": "disk of db01 is full", "source": "db01", "severity": "critical"}


@pytest.fixture
def tokens() -> dict[str, str]:
    """The tokens that the sandbox knows, each with its user."""
    return {TOKEN: "anna@example.com"}


@pytest.fixture
def sandbox(tokens: dict[str, str]) -> Sandbox:
    return Sandbox(Settings(keys=KEYS, tokens=tokens))


@pytest.fixture
def url(sandbox: Sandbox) -> Iterator[str]:
    """Serve the sandbox on a thread of its own, since the command runs its own event loop."""
    loop, ready, urls = asyncio.new_event_loop(), threading.Event(), list[str]()

    def run() -> None:
        server = TestServer(make_app(sandbox=sandbox))
        loop.run_until_complete(server.start_server())
        urls.append(str(server.make_url("")).rstrip("/"))
        ready.set()
        loop.run_forever()
        loop.run_until_complete(server.close())
        loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    assert ready.wait(10)
    yield urls[0]
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)


@pytest.fixture
def config(tmp_path: Path, url: str) -> Path:
    for name, key in {**KEYS, "unknown": "3" * 32, "orchestrated": "R" + "4" * 31}.items():
        (tmp_path / f"{name}.key").write_text(key)
    (tmp_path / "token").write_text(TOKEN)
    file = tmp_path / "relay.yml"
    file.write_text(
        f"""
global: {{pagerduty_url: "{url}/v2/enqueue"}}
pagerduty: {{api_url: "{url}", api_token_file: token, from: anna@example.com}}
time_intervals: [{{name: always, time_intervals: [{{times: [{{start_time: '00:00', end_time: '24:00'}}]}}]}}]
route:
  receiver: platform
  routes:
    - {{matchers: ['team="payments"'], receiver: payments, continue: true}}
    - {{matchers: ['severity="critical"'], receiver: platform}}
    - {{matchers: ['team="night"'], receiver: platform, mute_time_intervals: [always]}}
    - {{matchers: ['team="mild"'], receiver: platform, mute_time_intervals: [always], outside: downgrade}}
    - {{matchers: ['team="deploys"'], receiver: platform, change: true}}
    - {{matchers: ['team="nobody"'], receiver: nobody}}
receivers:
  - {{name: platform, pagerduty_configs: [{{routing_key_file: platform.key}}]}}
  - {{name: payments, pagerduty_configs: [{{routing_key_file: payments.key}}]}}
  - {{name: nobody}}
"""
    )
    return file


def pagerduty(config: Path | None, *words: str, **environ: str) -> Result:
    named = {"PAGERELAY_CONFIG_FILE": str(config)} if config else {}
    clear = dict.fromkeys(name for name in os.environ if name.startswith("PAGERELAY_"))
    return CliRunner().invoke(main, ["pagerduty", *words], env={**clear, **named, **environ})


def opened(sandbox: Sandbox, dedup_key: str = "disk/db01", key: str = KEYS["platform"], **payload: str) -> None:
    event = {"routing_key": key, "dedup_key": dedup_key, "event_action": "trigger", "payload": PAYLOAD | payload}
    sandbox.enqueue(json.dumps(event).encode())


def statuses(sandbox: Sandbox) -> list[str]:
    return [incident.status for incident in sandbox.incidents.all]


# Incidents


def test_open_incidents_are_listed_in_a_table_and_as_json(config: Path, sandbox: Sandbox) -> None:
    assert pagerduty(config, "incidents", "list").output == "no incidents\n"
    opened(sandbox)
    opened(sandbox, "deploy", severity="warning", summary="deploy is \x1b[31mslow")

    done = pagerduty(config, "incidents", "list")
    heads, newest, oldest = done.output.splitlines()
    (found,) = json.loads(pagerduty(config, "incidents", "list", "--dedup-key", "disk/db01", "--json").output)

    assert done.exit_code == 0
    assert heads.split() == ["NUMBER", "ID", "STATUS", "URGENCY", "OPENED", "SERVICE", "ASSIGNED", "TO", "TITLE"]
    assert newest.split()[2:4] == ["triggered", "low"]
    assert "\x1b" not in newest
    assert oldest.endswith("platform  Anna Adler   disk of db01 is full")
    assert (found["number"], found["status"], found["service_name"]) == (1, "triggered", "platform")
    assert found["created_at"].endswith("Z")


def test_a_list_says_when_there_may_be_more(config: Path, sandbox: Sandbox) -> None:
    for number in range(3):
        opened(sandbox, f"disk/{number}")

    done = pagerduty(config, "incidents", "list", "--limit", "2")

    assert len(done.output.splitlines()) == 1 + 2 + 1
    assert "there may be more" in done.output


def test_an_incident_is_shown_with_its_alerts_and_notes(config: Path, sandbox: Sandbox) -> None:
    opened(sandbox)
    pagerduty(config, "incidents", "note", "1", "looking at it")

    shown = pagerduty(config, "incidents", "show", "1").output
    told = json.loads(pagerduty(config, "incidents", "show", "1", "--json").output)

    assert "critical  " in shown
    assert "disk/db01" in shown
    assert "Anna Adler: looking at it" in shown
    assert [alert["key"] for alert in told["alerts"]] == ["disk/db01"]
    assert [(note["who"], note["text"]) for note in told["notes"]] == [("Anna Adler", "looking at it")]


def test_incidents_are_acknowledged_and_resolved_by_id_number_or_address(config: Path, sandbox: Sandbox) -> None:
    for number in range(3):
        opened(sandbox, f"disk/{number}")
    id_ = sandbox.incidents.all[2].id

    acknowledged = pagerduty(config, "incidents", "ack", "1", f"https://example.pagerduty.com/incidents/{id_}")
    resolved = pagerduty(config, "incidents", "resolve", "2", "--note", "a disk was added")

    assert (acknowledged.exit_code, resolved.exit_code) == (0, 0)
    assert f"incident {id_} (#3) is acknowledged: disk of db01 is full" in acknowledged.output
    assert statuses(sandbox) == ["acknowledged", "resolved", "acknowledged"]
    assert [note.content for note in sandbox.incidents.all[1].notes] == ["a disk was added"]


def test_one_incident_that_cannot_be_resolved_does_not_keep_back_the_others(config: Path, sandbox: Sandbox) -> None:
    opened(sandbox)

    done = pagerduty(config, "incidents", "resolve", "999", "1")
    again = pagerduty(config, "incidents", "resolve", "1")

    assert done.exit_code == 1
    assert "incident 999: PagerDuty has nothing at /incidents/999" in done.output
    assert statuses(sandbox) == ["resolved"]
    assert again.exit_code == 1
    assert "Already Resolved" in again.output


def test_an_accounts_token_needs_to_know_who_acts(config: Path, sandbox: Sandbox, tokens: dict[str, str]) -> None:
    tokens[TOKEN] = ""
    config.write_text(config.read_text().replace(", from: anna@example.com", ""))
    opened(sandbox)

    without = pagerduty(config, "incidents", "ack", "1")
    named = pagerduty(config, "incidents", "ack", "1", "--from", "ben@example.com")

    assert without.exit_code == 1
    assert "set pagerduty.from" in without.output
    assert named.exit_code == 0
    assert "by Ben Brandt" in pagerduty(config, "incidents", "show", "1").output


# The token


def test_the_token_comes_from_a_file_or_the_environment(config: Path, url: str, tmp_path: Path) -> None:
    """--token-file counts more than the environment, and that more than the routing file."""
    (tmp_path / "other.token").write_text("not-a-token-of-this-account\n")
    there = ("incidents", "list", "--api.url", url)

    assert pagerduty(None, *there, "--token-file", str(tmp_path / "token")).exit_code == 0
    assert pagerduty(None, *there, PAGERELAY_PAGERDUTY_TOKEN=TOKEN).exit_code == 0
    assert pagerduty(config, *there, PAGERELAY_PAGERDUTY_TOKEN="not-a-token-of-this-account").exit_code == 1
    refused = pagerduty(config, *there, "--token-file", str(tmp_path / "other.token"), PAGERELAY_PAGERDUTY_TOKEN=TOKEN)
    assert refused.exit_code == 1
    assert "check the token" in refused.output
    assert "not-a-token" not in refused.output


@pytest.mark.parametrize(
    ("words", "environ", "says"),
    [
        (["incidents", "list"], {}, "set pagerduty.api_token_file in the routing file"),
        (["incidents", "list", "--token-file", "missing"], {}, "cannot read the REST API token from missing"),
        (["incidents", "list"], {"PAGERELAY_PAGERDUTY_TOKEN": "two words"}, "one line of ASCII without blanks"),
        (["keys", "check"], {"PAGERELAY_PAGERDUTY_TOKEN": TOKEN}, "this needs the routing file"),
        (["incidents", "list", "--config.file", "missing.yml"], {}, "missing.yml does not load"),
    ],
)
def test_what_is_missing_is_said_with_its_remedy(words: list[str], environ: dict[str, str], says: str) -> None:
    done = pagerduty(None, *words, **environ)

    assert done.exit_code == 1
    assert says in done.output
    assert "two words" not in done.output


# Who is paged


def test_who_would_be_paged_for_a_receiver_is_said_level_by_level(config: Path) -> None:
    done = pagerduty(config, "oncalls", "--receiver", "platform")
    (way,) = json.loads(pagerduty(config, "oncalls", "--receiver", "platform", "--json").output)["would_page"]

    assert done.exit_code == 0
    _heads, first, second = done.output.splitlines()
    assert first.split("  ")[0] == "platform"
    assert "1      Anna Adler <anna@example.com>  Primary" in first
    assert second.strip().startswith("2      Ben Brandt <ben@example.com>   always")
    assert [(turn["level"], turn["who"]) for turn in way["on_call"]] == [(1, "Anna Adler"), (2, "Ben Brandt")]
    assert way["reaches_somebody"] is True


BOTH = [("payments", "critical", "high"), ("platform", "critical", "high")]


@pytest.mark.parametrize(
    ("labels", "ways", "exit_code", "note"),
    [
        (["team=payments", "severity=critical"], BOTH, 0, ""),
        (["alertname=X", "severity=warning"], [("platform", "warning", "low")], 0, ""),
        (["alertname=X"], [("platform", "error", "high")], 0, ""),
        (["team=night"], [("platform", "error", "muted now")], 1, 'muted by time interval "always"'),
        (["team=mild"], [("platform", "warning", "low")], 0, "outside: downgrade"),
        (["team=deploys"], [], 1, "change event"),
        (["team=nobody"], [], 1, "it pages nobody"),
    ],
)
def test_an_alert_goes_through_the_routing_tree(
    config: Path, labels: list[str], ways: list[tuple[str, str, str]], exit_code: int, note: str
) -> None:
    words = [word for label in labels for word in ("--label", label)]

    done = pagerduty(config, "oncalls", *words, "--json")
    found = json.loads(done.output)
    for_people = pagerduty(config, "oncalls", *words)

    assert [(way["receiver"], way["severity"], way["urgency"]) for way in found["would_page"]] == ways
    assert (done.exit_code, for_people.exit_code) == (exit_code, exit_code)
    assert note in " ".join(found["notes"])
    assert note in for_people.output


def test_a_receiver_that_there_is_not_is_said_with_those_there_are(config: Path) -> None:
    done = pagerduty(config, "oncalls", "--receiver", "platform2")

    assert done.exit_code == 1
    assert "there are: nobody, payments, platform" in done.output


def test_an_override_changes_who_would_be_paged(config: Path) -> None:
    done = pagerduty(config, "schedules", "override", "primary", "chloe@example.com", "--for", "2h")

    assert done.exit_code == 0
    assert "Chloe Chen is on call in Primary from" in done.output
    assert "Chloe Chen" in pagerduty(config, "oncalls", "--receiver", "platform").output
    assert "Primary" in pagerduty(config, "schedules", "list", "prim").output


@pytest.mark.parametrize(
    ("words", "exit_code", "says"),
    [
        (["Primary", "e", "--for", "1h"], 1, "may mean 3 of them"),
        (
            ["Primary", "nobody@example.com", "--for", "1h"],
            1,
            "there is no user 'nobody@example.com' at PagerDuty: give an id",
        ),
        (
            ["Tertiary", "Anna", "--for", "1h"],
            1,
            "there is no schedule 'Tertiary' at PagerDuty: `pagerelay pagerduty schedules list`",
        ),
        (["Primary", "Anna"], 2, "how long, or until when"),
        (["Primary", "Anna", "--for", "2 hours"], 2, "not a valid duration"),
        (["Primary", "Anna", "--end", "2026-11-23T18:00:00"], 2, "write it with its zone"),
        (["Primary", "Anna", "--start", "2030-01-02T00:00Z", "--end", "2030-01-01T00:00Z"], 2, "before it begins"),
        (["Primary", "Anna", "--start", "2020-01-01T00:00Z", "--end", "2020-01-02T00:00Z"], 1, "PagerDuty refuses"),
    ],
)
def test_an_override_that_makes_no_sense_is_refused(config: Path, words: list[str], exit_code: int, says: str) -> None:
    done = pagerduty(config, "schedules", "override", *words)

    assert done.exit_code == exit_code
    assert says in done.output


# Services and keys


def test_a_service_is_made_with_the_configuration_to_paste(config: Path, sandbox: Sandbox) -> None:
    done = pagerduty(config, "services", "create", "disks: all", "--escalation-policy", "Default")
    pasted = yaml.safe_load(done.stdout)

    (receiver,) = pasted["receivers"]
    key = receiver["pagerduty_configs"][0]["routing_key"]
    integration = sandbox.account.integration(key)
    assert receiver["name"] == "disks: all"
    assert integration is not None
    assert (integration.service.name, integration.type) == ("disks: all", "events_api_v2_inbound_integration")
    assert key not in pagerduty(config, "services", "list").output
    assert key not in pagerduty(config, "services", "list", "--json").output


def test_a_routing_key_can_go_to_a_file_unseen(config: Path, sandbox: Sandbox, tmp_path: Path) -> None:
    file = tmp_path / "disks.key"

    done = pagerduty(config, "services", "create", "disks", "--escalation-policy", "Default", "--key-file", str(file))
    key = file.read_text().strip()

    assert sandbox.account.integration(key) is not None
    assert key not in done.output
    assert yaml.safe_load(done.stdout)["receivers"][0]["pagerduty_configs"] == [{"routing_key_file": str(file)}]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_service_that_cannot_be_made_leaves_no_file_and_no_service(
    config: Path, sandbox: Sandbox, tmp_path: Path
) -> None:
    file, before = tmp_path / "disks.key", len(sandbox.account.services)

    nobody = pagerduty(config, "services", "create", "x", "--escalation-policy", "Nix", "--key-file", str(file))
    left = file.exists()
    taken = pagerduty(config, "services", "create", "platform", "--escalation-policy", "Default")
    file.write_text("another key")
    there = pagerduty(config, "services", "create", "x", "--escalation-policy", "Default", "--key-file", str(file))

    assert [done.exit_code for done in (nobody, taken, there)] == [1, 1, 1]
    assert not left
    assert (
        "there is no escalation policy 'Nix' at PagerDuty: `pagerelay pagerduty services list` shows" in nobody.output
    )
    assert "Name has already been taken" in taken.output
    assert "cannot write" in there.output
    assert file.read_text() == "another key"
    assert len(sandbox.account.services) == before


def test_keys_that_lead_to_somebody_are_found_well(config: Path) -> None:
    done = pagerduty(config, "keys", "check")

    assert done.exit_code == 0
    assert [line.split() for line in done.output.splitlines()[1:]] == [
        ["platform", "platform", "active", "Anna", "Adler", "arrives"],
        ["payments", "payments", "active", "Anna", "Adler", "arrives"],
    ]


@pytest.mark.parametrize(
    ("fault", "exit_code", "says", "remedy"),
    [
        ("unknown key", 1, "no service of this account has this routing key", "services create"),
        ("orchestration", 0, "may be an event orchestration's", "Event Orchestration"),
        ("version 1", 1, "is for Events API v1, not Events API v2", "add an Events API v2 integration"),
        ("disabled", 1, "service payments is disabled", "enable it at http"),
        ("maintenance", 1, "is in a maintenance window", "end the window"),
        ("nobody on call", 1, "nobody is on call now in escalation policy Nobody", "put somebody on call"),
    ],
)
def test_a_key_that_pages_nobody_is_said_in_plain_words(
    config: Path, sandbox: Sandbox, fault: str, exit_code: int, says: str, remedy: str
) -> None:
    _break(fault, config, sandbox)

    done = pagerduty(config, "keys", "check")
    (told,) = [one for one in json.loads(pagerduty(config, "keys", "check", "--json").output) if one["problems"]]

    assert done.exit_code == exit_code
    assert says in done.output
    assert remedy in done.output
    assert told["receivers"] == ["payments"]
    assert told["problems"][0]["reaches_nobody"] is bool(exit_code)
    assert all(key not in done.output for key in (*KEYS.values(), "3" * 32))


def _break(fault: str, config: Path, sandbox: Sandbox) -> None:
    integration = sandbox.account.integration(KEYS["payments"])
    assert integration is not None
    service, now = integration.service, sandbox.now()
    match fault:
        case "unknown key":
            config.write_text(config.read_text().replace("payments.key", "unknown.key"))
        case "orchestration":
            config.write_text(config.read_text().replace("payments.key", "orchestrated.key"))
        case "version 1":
            kind = "generic_events_api_inbound_integration"
            made = sandbox.account.add_integration(service, "old", now, kind)
            (config.parent / "payments.key").write_text(made.routing_key)
        case "disabled":
            service.disabled = True
        case "maintenance":
            sandbox.account.windows.append(Window("PW1", now - 1, now + 3600, (service,)))
        case "nobody on call":
            service.policy = next(one for one in sandbox.account.policies.values() if one.name == "Nobody")


# A real page


def test_a_test_page_is_seen_and_resolved(config: Path, sandbox: Sandbox) -> None:
    done = pagerduty(config, "test", "platform", "--severity", "critical")

    steps = [line.partition(": ")[2] for line in done.output.splitlines()]
    assert done.exit_code == 0
    assert steps[0] == "leads to service platform (active); called first: Anna Adler"
    assert steps[1].startswith("trigger: accepted")
    assert "high urgency, assigned to Anna Adler" in steps[2]
    assert steps[3].startswith("look: http://")
    assert steps[4:] == ["resolve: accepted (HTTP 202)", "incident #1 is resolved"]
    (incident,) = sandbox.incidents.all
    assert incident.title.startswith("[TEST] ")
    assert incident.status == "resolved"


def test_a_page_that_was_accepted_and_paged_nobody_is_found_out(config: Path, sandbox: Sandbox) -> None:
    _break("nobody on call", config, sandbox)

    done = pagerduty(config, "test", "payments", "--wait", "1")

    assert done.exit_code == 1
    assert "trigger: accepted" in done.output
    assert "no incident within 1 s: the event was accepted, but nobody was paged" in done.output
    assert "resolve: accepted" in done.output


def test_a_test_page_is_resolved_even_where_it_cannot_be_looked_for(config: Path, sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault(status=403, path="/incidents"))

    done = pagerduty(config, "test", "platform")

    assert done.exit_code == 1
    assert "resolve: accepted" in done.output
    assert "the token may not GET /incidents" in done.output
    assert statuses(sandbox) == ["resolved"]


def test_a_test_without_a_token_pages_nobody(config: Path, sandbox: Sandbox) -> None:
    config.write_text(config.read_text().replace("api_token_file: token, ", ""))

    done = pagerduty(config, "test", "platform")

    assert done.exit_code == 1
    assert "there is no token" in done.output
    assert statuses(sandbox) == []
