"""What would become of an alert: at a time, with or without silences, by which rules; and the very event it brings."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from relay.cli.explain import explain
from relay.cli.route import route
from tests.integration.pagerduty_news import SECRET, PagerDuty
from tests.integration.timelapse import Relay, config, fires, minutes, open_relay, resolved

NIGHTS = {"name": "nights", "time_intervals": [{"times": [{"start_time": "22:00", "end_time": "06:00"}]}]}
NODE = {
    "name": "node",
    "source_matchers": ["alertname=NodeDown"],
    "target_matchers": ["alertname=Disk"],
    "equal": ["n"],
}


async def ask(relay: Relay, *alerts: Mapping[str, Any], query: str = "events", group: str = "") -> dict[str, Any]:
    """Ask the running relay what would become of alerts."""
    body = {"version": "4", "groupKey": group or alerts[0]["labels"]["alertname"], "alerts": list(alerts)}
    async with relay.http.post(f"{relay.url}/api/v1/explain?{query}", json=body) as reply:
        assert reply.status == 200, await reply.text()
        found: dict[str, Any] = await reply.json()
        return found


async def run(relay: Relay, *words: str, stdin: bytes = b"") -> str:
    """Ask the command, which must know an answer."""
    asked = [*words, f"--relay.url={relay.url}"]
    result = await asyncio.to_thread(CliRunner().invoke, explain, asked, input=stdin)
    assert result.exit_code == 0, result.output
    return result.output


def open_there(relay: Relay, dedup_key: str) -> dict[str, Any]:
    """What PagerDuty was sent last of what is open, without the routing key."""
    (found,) = [one for one in relay.sandbox.open_alerts if one.dedup_key == dedup_key]
    return {name: value for name, value in found.latest.items() if name != "routing_key"}


# The event


async def test_the_event_that_is_explained_is_the_one_that_is_sent(tmp_path: Path) -> None:
    """A page that opens, one that an alert joins while another says more, one that goes on, ends, and opens again."""
    routes = config(dedup_key="{labels.team}", group_interval="1s")
    disk, queue = fires("Disk", "critical", team="x"), fires("Queue", "warning", team="x", node="b")
    async with open_relay(tmp_path, routes) as relay:
        for alerts, sends in (
            ([disk], "trigger"),
            ([{**disk, "annotations": {"summary": "Disk is worse"}}, queue], "update"),
            ([resolved("Disk", "critical", team="x"), queue], "update"),
            ([resolved("Queue", team="x", node="b")], "resolve"),
            ([queue], "trigger"),
        ):
            (told,) = (await ask(relay, *alerts, group="g"))["events"]
            calls = len(relay.sandbox.requests)
            await relay.post(*alerts, group="g")

            assert len(relay.sandbox.requests) == calls + 1
            resolve = {"event_action": "resolve", "dedup_key": "x"}
            sent = open_there(relay, "x") if sends != "resolve" else resolve
            assert (told["sends"], told["event"]) == (sends, sent)
            await relay.wait(minutes(2))


async def test_a_page_that_is_taken_over_is_explained_with_the_page_that_takes_over(tmp_path: Path) -> None:
    routes = config(dedup_key="{labels.team}")
    async with open_relay(tmp_path, routes) as relay:
        await relay.post(fires("Queue", "warning", team="x"), group="g")
        await relay.wait(minutes(2))
        rise = fires("Disk", "critical", team="x")
        found = await ask(relay, fires("Queue", "warning", team="x"), rise, group="g")
        await relay.post(fires("Queue", "warning", team="x"), rise, group="g")

        (place,) = found["alerts"][1]["pages"]
        heir = await relay.page("x/2")
        assert place["joins"] == heir["id"]
        assert next(one["event"] for one in found["events"] if one["page"] == heir["id"]) == heir["event"]


async def test_what_is_kept_quiet_is_sent_nothing_and_shown_all_the_same(tmp_path: Path) -> None:
    async with open_relay(tmp_path, config()) as relay:
        await relay.silence(("=", "alertname", "Disk"), last=minutes(10))
        (told,) = (await ask(relay, fires("Disk")))["events"]
        assert (told["sends"], told["due_at"]) == ("", None)
        assert "Disk is bad" in told["event"]["payload"]["summary"]
        assert relay.sent() == []


async def test_a_change_event_is_explained_as_it_is_sent(tmp_path: Path) -> None:
    async with open_relay(tmp_path, config({"matchers": ["alertname=Rollout"], "change": True})) as relay:
        (told,) = (await ask(relay, fires("Rollout")))["events"]
        await relay.post(fires("Rollout"))
        (sent,) = relay.sandbox.changes
        assert (told["sends"], told["event"]) == ("change", sent["event"])


async def test_events_are_made_only_where_they_are_asked_for(tmp_path: Path) -> None:
    async with open_relay(tmp_path, config()) as relay:
        assert (await ask(relay, fires("Disk"), query=""))["events"] == []


# Reasons


async def test_time_and_silences_are_as_they_were_asked_for(tmp_path: Path) -> None:
    hushed = config(
        {"matchers": ["alertname=Disk"], "mute_time_intervals": ["nights"], "outside": "hold", "hold_trigger": "5m"},
        top={"time_intervals": [NIGHTS]},
    )
    async with open_relay(tmp_path, hushed) as relay:
        silence = await relay.silence(("=", "alertname", "Disk"), last=minutes(600))

        async def suppressed(query: str) -> list[str]:
            found = await ask(relay, fires("Disk"), query=query)
            return [words.split('"')[0].split(":")[0].strip() for words in found["alerts"][0]["pages"][0]["suppressed"]]

        assert await suppressed("") == ["silenced by anna until 2026-11-23 22", "hold_trigger"]
        assert await suppressed("no_silences") == ["hold_trigger"]
        assert await suppressed("time=2026-11-23T23:00:00Z") == ["muted by time interval", "hold_trigger"]
        assert await suppressed("time=2026-11-24T00:00:00%2B02:00") == ["muted by time interval", "hold_trigger"]

        (alert,) = (await ask(relay, fires("Disk"), query="time=2026-11-23T21:00:00Z"))["alerts"]
        assert [one.endswith(f"(silence {silence.id})") for one in alert["silences"]] == [True]
        (window,) = alert["windows"]
        assert (window["name"], window["kind"], window["inside"]) == ("nights", "mute", False)
        assert window["until"] == "2026-11-23T22:00:00.000Z"
        (hold,) = alert["holds"]
        assert (hold["kind"], hold["seconds"], hold["until"]) == ("hold_trigger", 300.0, "2026-11-23T21:05:00.000Z")
        assert await relay.pages() == {}, "nothing was written"


@pytest.mark.parametrize("time", ["", "03:00", "2026-11-24", "2026-11-24T03:00:00", "9999-01-01T00:00:00Z", "soon"])
async def test_a_time_that_is_none_is_refused(tmp_path: Path, time: str) -> None:
    async with open_relay(tmp_path, config()) as relay:
        url = f"{relay.url}/api/v1/explain?time={time}"
        async with relay.http.post(url, json={"alerts": [fires("Disk")]}) as reply:
            assert (reply.status, "RFC3339" in (await reply.json())["error"]) == (400, True)


@pytest.mark.parametrize("where", ["in the store", "in the body"])
async def test_inhibit_rules_are_named_with_who_fires_there(tmp_path: Path, where: str) -> None:
    async with open_relay(tmp_path, config(rules=[NODE])) as relay:
        (before,) = (await ask(relay, fires("Disk", n="1")))["alerts"]
        assert before["inhibitors"][0]["by"] == []
        assert [one["kind"] for one in before["holds"]] == ["inhibit_hold"]
        alerts = [fires("Disk", n="1")]
        if where == "in the store":
            await relay.post(fires("NodeDown", n="1"), fires("NodeDown", n="2"))
        else:
            alerts += [fires("NodeDown", n="1"), fires("NodeDown", n="2")]

        disk = (await ask(relay, *alerts))["alerts"][0]

        (rule,) = disk["inhibitors"]
        assert (rule["rule"], rule["equal"]) == ('inhibit rule "node"', {"n": "1"})
        assert [name.split("{")[0] for name in rule["by"]] == ["NodeDown"]
        assert disk["verdict"] == "suppressed"


# The command


async def test_labels_and_the_same_in_a_file_have_one_answer(tmp_path: Path) -> None:
    async with open_relay(tmp_path, config()) as relay:
        told = await run(relay, "alertname=Disk", "severity=critical", "--annotation", "summary=Disk is bad")
        body = json.dumps({"version": "4", "alerts": [{**fires("Disk", "critical"), "generatorURL": ""}]}).encode()
        from_file = await run(relay, "-", stdin=body)

        assert "  it opens page " in told
        assert "  │ [critical] Disk is bad" in told
        assert "severity   critical (high urgency" in told
        about = [line for line in from_file.splitlines() if line.startswith("  it opens") or "[critical]" in line]
        assert [line for line in told.splitlines() if line.startswith("  it opens") or "[critical]" in line] == about
        single = await run(relay, "alertname=Disk")
        assert "alert Disk " in single


async def test_the_matcher_that_failed_is_named_for_each_route(tmp_path: Path) -> None:
    async with open_relay(tmp_path, config({"matchers": ['team="x"', 'env=~"p.*"']})) as relay:
        told = await run(relay, "alertname=Disk", "team=x", "env=dev")
        assert 'does not match: env=~"p.*" is wanted, and env is "dev"' in told


async def test_a_page_is_found_by_its_url_and_by_its_incident(tmp_path: Path) -> None:
    routes = config(top={"pagerduty": {"webhook_secrets": [SECRET]}})
    async with open_relay(tmp_path, routes) as relay:
        pagerduty = PagerDuty(relay)
        await relay.post(fires("Disk", "critical"))
        await pagerduty.tells()
        page = await relay.page("Disk")
        incident = pagerduty.incident("Disk")

        told = await run(relay, page["id"])
        host = "https://x.pagerduty.com/incidents/"
        for name in (f"http://relay.example/pages/{page['id']}", incident.id, host + incident.id, page["incident_url"]):
            assert await run(relay, name) == told
        assert "  as PagerDuty shows what it was sent last:\n  │ [critical] Disk is bad" in told


async def test_what_fires_in_a_page_is_explained_for_another_time(tmp_path: Path) -> None:
    muted = config(
        {"matchers": ["alertname=Disk"], "mute_time_intervals": ["nights"]}, top={"time_intervals": [NIGHTS]}
    )
    async with open_relay(tmp_path, muted) as relay:
        await relay.post(fires("Disk", "critical"))
        told = await run(relay, (await relay.page("Disk"))["id"], "--time=2026-11-23T23:00:00Z")

        assert "as if it came at 2026-11-23T23:00:00.000Z:" in told
        assert "known, and firing" in told
        assert 'muted by time interval "nights" until 2026-11-24 06:00 UTC' in told
        found = json.loads(await run(relay, "Disk", "--no-silences", "--json"))
        assert [one["silences"] for one in found["explained"]] == [False]


async def test_each_rule_of_a_rule_file_is_explained(tmp_path: Path) -> None:
    rules = """
groups:
- name: g
  rules:
  - alert: Disk
    expr: free < 10
    labels: {severity: critical}
    annotations: {summary: '{{ $value }} on {{ $labels.i }}'}
  - {record: x, expr: y}
  - {alert: Queue, expr: up}
"""
    (tmp_path / "rules.yml").write_text(rules)
    async with open_relay(tmp_path, config()) as relay:
        told = await run(relay, str(tmp_path / "rules.yml"), "i=db1")

        assert [line.split()[1] for line in told.splitlines() if line.startswith("alert ")] == ["Disk", "Queue"]
        assert "  │ [critical] Disk: 9 on db1" in told
        (tmp_path / "rules.yml").write_text("groups: []")
        asked = [str(tmp_path / "rules.yml"), f"--relay.url={relay.url}"]
        result = await asyncio.to_thread(CliRunner().invoke, explain, asked)
        assert (result.exit_code, "has no alerting rules" in result.output) == (1, True)


@pytest.mark.parametrize("words", [("a=1", "b"), ("a=~1", "b=2"), ("a=1", "--annotation=x"), ("a=1", "--time=soon")])
async def test_what_cannot_be_read_is_a_usage_error(words: tuple[str, ...]) -> None:
    result = await asyncio.to_thread(CliRunner().invoke, explain, words)
    assert result.exit_code == 2, result.output


# What a tree was hit by


async def test_route_show_counts_what_the_store_knows(tmp_path: Path) -> None:
    """Also for a tree that was never in force."""
    async with open_relay(tmp_path, config()) as relay:
        await relay.post(fires("Disk", team="x"), fires("Disk", team="y"), fires("Queue", team="x"), group="g")
        await relay.post(resolved("Disk", team="y"), group="g")
        other = config(
            {"matchers": ["team=x"], "continue": True}, {"matchers": ["alertname=Disk"]}, {"match": {"a": "b"}}
        )
        (tmp_path / "new.yml").write_text(json.dumps(other))
        words = ["show", f"--config.file={tmp_path / 'new.yml'}", f"--store={relay.directory / 'data'}"]
        result = await asyncio.to_thread(CliRunner().invoke, route, words)

    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[2:6] == [
        "└── default-route  receiver: a",
        '    ├── {team="x"}  continue: true  receiver: a  (2 firing, 2 decisions)',
        '    ├── {alertname="Disk"}  receiver: a  (1 firing, 2 decisions)',
        '    └── {a="b"}  receiver: a  (never hit)',
    ]
    assert "2 firing alerts, and 3 decisions about firing alerts since 2026-11-23T12:00:00.000Z" in result.output
