"""Two ways from one Alertmanager's alerts to PagerDuty: its own receivers, and the relay that was made of them.

As a program it takes a folder of alertmanager.yml files, and compares the summaries of every template in one:
    python -m tests.acceptance.importing FOLDER
"""

import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from relay.config import yaml as positions
from relay.importing import Imported, convert
from relay.importing.go_jinja import translate
from relay.importing.go_lexer import GoTemplateError
from relay.importing.reading import read_native
from relay.importing.values import Untranslatable
from relay.rules.cleaning import line
from tests.acceptance.programs import Alertmanager, Program, Relay, Sandbox, wait_for

Alert = tuple[Mapping[str, str], Mapping[str, str]]
"""Labels and annotations."""
_SURE = 800
"""Characters of a summary that are compared: Alertmanager cuts it before the relay joins its lines."""
QUICK = {"group_wait": "2s", "group_interval": "10s", "repeat_interval": "1h"}
ALERTS: tuple[Alert, ...] = (
    (
        {"alertname": "DiskFull", "severity": "critical", "job": "node", "instance": "a:9100", "region": "eu/1"},
        {"summary": "disk of a & b < 5% full", "description": "first\nsecond", "runbook_url": "https://r.example/d"},
    ),
    *(
        (
            {"alertname": "api_down", "severity": "warning", "job": "api", "instance": pod, "team": "shop", "env": "p"},
            {"summary": f"the api on {pod} is down", "message": "api is down", "wiki": "API"},
        )
        for pod in ("one", "three", "two")
    ),
    *(
        ({"alertname": "tied", "job": "t", "instance": "i", **more}, {"summary": f"{more}"})
        for more in ({"pod": "b"}, {"disk": "z"}, {"disk": "a", "pod": "a"}, {"disk": "y"}, {"pod": "a"})
    ),
)


def native_file(templates: Sequence[str], url: str) -> str:
    """Write an alertmanager.yml with a PagerDuty receiver for each description, each with group keys of its own."""
    receivers, routes = [], []
    for number, template in enumerate(templates):
        entry = {"routing_key": f"{number:032x}", "description": template}
        receivers.append({"name": f"pd{number}", "pagerduty_configs": [entry]})
        routes.append({"receiver": f"pd{number}", "matchers": [f'alertname!="none{number}"'], "continue": True})
    root = {"receiver": "nobody", "group_by": ["alertname", "job"], **QUICK, "routes": routes}
    document = {"global": {"pagerduty_url": url}, "route": root, "receivers": [{"name": "nobody"}, *receivers]}
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True)


def make(text: str, relay_url: str, url: str) -> Imported:
    """Import a file, with its events going to another PagerDuty."""
    imported = convert("alertmanager.yml", text.encode(), templates={}, url=f"{relay_url}/webhook")
    return Imported(_moved(imported.relay, url), imported.alertmanager, imported.keys, imported.notes)


def _moved(text: str, url: str) -> str:
    lines = [f"  pagerduty_url: {url}" if row.startswith("  pagerduty_url:") else row for row in text.splitlines()]
    return "\n".join(lines) + "\n"


def fire(alertmanagers: Sequence[Alertmanager], alerts: Sequence[Alert]) -> None:
    """Tell Alertmanagers of alerts that began now; of older ones they would not wait for the rest of the group."""
    began = datetime.now(UTC).isoformat(timespec="milliseconds")
    told = [{"labels": dict(labels), "annotations": dict(said), "startsAt": began} for labels, said in alerts]
    for alertmanager in alertmanagers:
        alertmanager._tell(told)


def summaries(sandbox: Sandbox) -> dict[str, str]:
    """Return the summary of what was triggered, by dedup key."""
    calls = [call for call in sandbox.requests() if call["result"] == "triggered"]
    return {call["dedup_key"]: line(call["event"]["payload"]["summary"])[:_SURE] for call in calls}


def both_ways(
    templates: Sequence[str], folder: Path, alerts: Sequence[Alert] = ALERTS
) -> tuple[dict[str, str], dict[str, str], Imported]:
    """Fire alerts both ways; return the summaries, natively and through the relay, by dedup key, and the import."""
    programs: list[Program] = []
    try:
        (folder / "a").mkdir()
        (folder / "b").mkdir()
        native_pd, relay_pd = Sandbox(folder / "a"), Sandbox(folder / "b")
        config = folder / "relay.yml"
        relay = Relay(folder, config)
        old, new = (
            Alertmanager(folder, "http://127.0.0.1:9/", name="old"),
            Alertmanager(folder, "http://127.0.0.1:9/", name="new"),
        )
        for alertmanager in (old, new):
            alertmanager.command.append("--web.external-url=http://alertmanager.example")
        programs += [native_pd, relay_pd, relay, old, new]
        text = native_file(templates, native_pd.events_url)
        imported = make(text, relay.url, relay_pd.events_url)
        old._config.write_text(text)
        new._config.write_text(imported.alertmanager)
        config.write_text(imported.relay)
        for name, key in imported.keys.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(key.reveal())
        for started in (native_pd, relay_pd, relay, old, new):
            started.start()
        fire((old, new), alerts)
        groups = len({(labels["alertname"], labels["job"]) for labels, _ in alerts})
        wanted = groups * len(templates)
        wait_for(lambda: len(summaries(relay_pd)) >= wanted or None, f"{wanted} pages", within=30 + wanted / 10)
        settled(native_pd)
        return summaries(native_pd), summaries(relay_pd), imported
    finally:
        for program in programs:
            program.put_away()


def settled(sandbox: Sandbox) -> None:
    """Wait until nothing new has arrived for two seconds: a template that fails natively sends nothing at all."""
    before, since = -1, time.monotonic()
    while time.monotonic() - since < 2:
        if (now := len(sandbox.requests())) != before:
            before, since = now, time.monotonic()
        time.sleep(0.1)


def texts_of(folder: Path) -> list[str]:
    """Collect every text with a template in it that stands under receivers of the files in a folder."""
    found: dict[str, None] = {}
    for file in sorted(folder.rglob("*.y*ml")):
        try:
            data = positions.plain(positions.read(file.read_text())[0])
        except (positions.BadYaml, UnicodeDecodeError):
            continue
        stack = [data.get("receivers")] if isinstance(data, dict) else []
        while stack:
            value = stack.pop()
            if isinstance(value, dict | list):
                stack += value.values() if isinstance(value, dict) else value
            elif isinstance(value, str) and "{{" in value:
                found[value] = None
    return list(found)


def main(folder: Path) -> int:
    """Compare, and print figures."""
    every = texts_of(folder)
    defined = read_native("x", b"route: {receiver: a}\nreceivers: [{name: a}]", {}).defined
    good, left = [], {}
    for text in every:
        try:
            translate(text, defined)
            good.append(text)
        except (Untranslatable, GoTemplateError) as error:
            left[text] = str(error)
    native: dict[str, Any] = {}
    ours: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as place:
        native, ours, _ = both_ways(good, Path(place))
    # Before 0.27 or so a map of labels was printed as Go prints maps; the relay prints it as Alertmanager does now.
    maps = [key for key in native if "map[" in native[key]]
    wrong = {key: (native[key], ours.get(key)) for key in native.keys() - maps if native[key] != ours.get(key)}
    for one, other in wrong.values():
        print(f"natively: {one}\nrelay:    {other}\n")
    for text, why in left.items():
        print(f"not translated: {why}: {text[:100]!r}")
    print(
        f"{len(every)} templates, {len(good)} translated, {len(native)} native summaries, "
        f"{len(maps)} with a Go map left out, {len(wrong)} differ"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
