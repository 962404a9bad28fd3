"""The real amtool works on the relay as on an Alertmanager, and the relay answers as a real Alertmanager does."""

import http.client
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.acceptance.bodies import alert, body, labels
from tests.acceptance.conftest import INSTALL, Scene, base_key
from tests.acceptance.programs import Alertmanager, Relay, call, stays, wait_for

pytestmark = pytest.mark.acceptance

DOWN, SLOW = labels("Down"), labels("Slow", severity="warning")
SECRET = "correct-horse-battery-staple"


def amtool(url: str, *arguments: str, fails: bool = False, said: str | None = None) -> str:
    """Run amtool and return what it printed, errors included where it was to fail."""
    if shutil.which("amtool") is None:
        pytest.skip(f"!! NOT TESTED with the real amtool, there is none here: {INSTALL}")
    command = ["amtool", f"--alertmanager.url={url}", "--no-version-check", *arguments]
    done = subprocess.run(command, input=said, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode != 0) is fails, (done.returncode, done.stdout, done.stderr)
    return done.stderr if fails else done.stdout.strip()


def add(url: str, *arguments: str, **more: Any) -> str:
    return amtool(url, "silence", "add", "--author=anna", "--comment=disk swap", *arguments, **more)


def silences(url: str, *arguments: str) -> dict[str, dict[str, Any]]:
    """Return what `amtool silence query` lists, by id."""
    return {one["id"]: one for one in json.loads(amtool(url, "-o", "json", "silence", "query", *arguments))}


def alerts(url: str, *arguments: str) -> dict[str, str]:
    """Return the state of each alert that `amtool alert query` lists, by name."""
    found = json.loads(amtool(url, "-o", "json", "alert", "query", *arguments))
    return {one["labels"]["alertname"]: one["status"]["state"] for one in found}


def test_silences_are_added_queried_updated_and_expired(scene: Scene) -> None:
    relay = scene.stage().relay()
    url = relay.url

    made = add(url, "alertname=Down", "instance=~a|b", "job!=x", "--duration=2h")
    other = add(url, "Slow")
    assert set(silences(url)) == {made, other}
    one = silences(url, "alertname=Down")[made]
    assert (one["createdBy"], one["comment"], one["status"]["state"]) == ("anna", "disk swap", "active")
    assert [(m["name"], m["value"], m["isRegex"], m["isEqual"]) for m in one["matchers"]] == [
        ("alertname", "Down", False, True),
        ("instance", "a|b", True, True),
        ("job", "x", False, False),
    ]
    assert made in amtool(url, "silence", "query", "-o", "extended")
    assert amtool(url, "silence", "query", "-q", "--created-by=anna", "alertname=Slow") == other

    assert made in amtool(url, "silence", "update", "--duration=30m", "--comment=still", made)
    updated = silences(url)[made]
    assert (updated["comment"], updated["startsAt"][:19]) == ("still", one["startsAt"][:19])
    assert updated["endsAt"] < one["endsAt"]

    amtool(url, "silence", "expire", made)
    assert set(silences(url)) == {other}
    assert silences(url, "--expired")[made]["status"]["state"] == "expired"
    assert "404" in amtool(url, "silence", "expire", "11111111-1111-4111-8111-111111111111", fails=True)

    later = add(url, "alertname=Later", "--start=2036-01-01T00:00:00Z", "--end=2036-01-02T00:00:00Z")
    assert silences(url)[later]["status"]["state"] == "pending"


def test_amtool_shows_why_a_silence_was_refused(scene: Scene) -> None:
    url = scene.stage().relay().url

    assert "must not match the empty string" in add(url, "alertname=~.*", fails=True)


def test_silences_are_imported_and_outlive_a_crash(scene: Scene, tmp_path: Path) -> None:
    relay = scene.stage().relay()
    made = add(relay.url, "alertname=Down")
    file = tmp_path / "silences.json"
    file.write_text(amtool(relay.url, "-o", "json", "silence", "query"))

    amtool(relay.url, "silence", "import", str(file))
    assert set(silences(relay.url)) == {made}
    amtool(relay.url, "silence", "import", "--force", str(file))
    both = silences(relay.url)
    assert len(both) == 2

    relay.kill()
    relay.start()
    assert silences(relay.url) == both

    file.write_text(file.read_text().replace(made, "11111111-1111-4111-8111-111111111111"))
    amtool(relay.url, "silence", "import", str(file))
    assert len(silences(relay.url)) == 3


def test_alerts_are_queried_by_state_and_receiver(scene: Scene) -> None:
    relay = scene.stage().relay()
    for one in (DOWN, SLOW):
        assert relay.post(body(one["alertname"], alert(one))).status == 200
    add(relay.url, "alertname=Slow")

    assert alerts(relay.url) == {"Down": "active"}
    assert alerts(relay.url, "--silenced") == {"Slow": "suppressed"}
    assert alerts(relay.url, "--active", "severity=~crit.*") == {"Down": "active"}
    assert alerts(relay.url, "--active", "--receiver=t..m") == {"Down": "active"}
    assert alerts(relay.url, "--active", "--receiver=other") == {}
    assert re.search(r"Down .* active", amtool(relay.url, "alert", "query"))
    assert 'alertname="Slow"' in amtool(relay.url, "alert", "query", "--silenced", "-o", "extended")


def test_amtool_reads_cluster_configuration_and_routes(scene: Scene) -> None:
    scene.stage()
    rules = {
        "routes": [
            {"receiver": "other", "matchers": ['team=~"a|b"'], "continue": True, "mute_time_intervals": ["nights"]},
            {"receiver": "other", "matchers": ['note="it\'s \\"so\\""']},
        ],
        "top": {
            "time_intervals": [{"name": "nights", "time_intervals": [{"weekdays": ["sunday"]}]}],
            "inhibit_rules": [{"source_matchers": ["a=b"], "target_matchers": ["c=d"], "equal": ["e"]}],
        },
    }
    url = scene.relay(scene.config(**rules)).url

    assert "Cluster Status:  disabled" in amtool(url, "cluster", "show")
    assert "mute_time_intervals:" in amtool(url, "config", "show")
    shown = amtool(url, "config", "routes", "show")
    assert "default-route  receiver: team" in shown
    assert '{team=~"a|b"}  continue: true  receiver: other' in shown
    assert amtool(url, "config", "routes", "test", "team=a") == "other"
    assert amtool(url, "config", "routes", "test", 'note=it\'s \\"so\\"') == "other"
    assert amtool(url, "config", "routes", "test", "team=c") == "team"


def at(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def posts() -> Iterator[tuple[str, dict[str, Any] | list[Any] | None]]:
    """What both are asked, by a name."""
    plain = [{"name": "a", "value": "b", "isRegex": False}]

    def one(**changes: Any) -> dict[str, Any]:
        whole = {
            "matchers": plain,
            "startsAt": at(0),
            "endsAt": at(3600),
            "createdBy": "anna",
            "comment": "c",
            **changes,
        }
        return {name: value for name, value in whole.items() if value is not ...}

    yield "plain", one()
    for name in ("comment", "createdBy", "startsAt", "endsAt", "matchers"):
        yield f"no {name}", one(**{name: ...})
        yield f"{name} null", one(**{name: None})
    for name in ("comment", "createdBy"):
        yield f"empty {name}", one(**{name: ""})
    yield "no matchers", one(matchers=[])
    for value, regex, equal in [("", False, True), (".*", True, True), ("x", False, False), ("x", True, False)]:
        yield (
            f"{value!r} {regex} {equal}",
            one(matchers=[{"name": "a", "value": value, "isRegex": regex, "isEqual": equal}]),
        )
    yield "one of two is empty", one(matchers=[*plain, {"name": "c", "value": "", "isRegex": False}])
    yield "bad regex", one(matchers=[{"name": "a", "value": "(", "isRegex": True}])
    yield "bad regex, second", one(matchers=[*plain, {"name": "a", "value": "x**", "isRegex": True}])
    yield "bad name", one(matchers=[{"name": "", "value": "x", "isRegex": False}])
    for part in ("name", "value", "isRegex"):
        yield f"matcher without {part}", one(matchers=[{k: v for k, v in plain[0].items() if k != part}])
    yield "ends before it starts", one(startsAt=at(100), endsAt=at(50))
    yield "no time at all", one(startsAt="2036-01-01T00:00:00Z", endsAt="2036-01-01T00:00:00Z")
    yield "over already", one(startsAt=at(-100), endsAt=at(-50))
    yield "starts in the past", one(startsAt=at(-100))
    yield "starts at Go's zero", one(startsAt="0001-01-01T00:00:00Z")
    yield "no zone", one(endsAt="2036-01-01T00:00:00")
    yield "unknown id", one(id="11111111-1111-4111-8111-111111111111")
    yield "no id", one(id="x")
    yield "more than is known", one(severity="high")
    yield "null", None


def test_the_relay_answers_posts_as_a_real_alertmanager_does(scene: Scene) -> None:
    relay = scene.stage().relay()
    alertmanager = scene.alertmanager(relay)

    def asked(url: str) -> dict[str, Any]:
        found = {name: call("POST", f"{url}/api/v2/silences", json.dumps(one).encode()) for name, one in posts()}
        return {name: (one.status, _without_ids(one.json)) for name, one in found.items()}

    assert asked(relay.url) == asked(alertmanager.url)


def _without_ids(answer: Any) -> Any:
    return {"silenceID": "..."} if isinstance(answer, dict) and "silenceID" in answer else answer


@pytest.mark.parametrize(
    ("first", "then", "in_place"),
    [
        ({}, {"endsAt": 7200.0, "comment": "x"}, True),
        ({}, {"startsAt": -500.0, "endsAt": 7200.0}, False),
        ({}, {"matchers": [{"name": "a", "value": "c", "isRegex": False}]}, False),
        ({"startsAt": 1000.0}, {"startsAt": 2000.0}, True),
        ({"startsAt": 1000.0}, {"startsAt": -1.0}, False),
    ],
)
def test_both_change_the_same_silences_in_place(
    scene: Scene, first: dict[str, Any], then: dict[str, Any], in_place: bool
) -> None:
    relay = scene.stage().relay()
    plain = {"matchers": [{"name": "a", "value": "b", "isRegex": False}], "createdBy": "anna", "comment": "c"}

    def states(url: str) -> list[tuple[bool, str]]:
        def post(**one: Any) -> str:
            times = {name: at(one[name]) for name in ("startsAt", "endsAt") if isinstance(one.get(name), float)}
            answer = call("POST", f"{url}/api/v2/silences", {**plain, **one, **times})
            assert answer.status == 200, answer.text
            return str(answer.json["silenceID"])

        made = post(**{"startsAt": 0.0, "endsAt": 3600.0, **first})
        before = call("GET", f"{url}/api/v2/silence/{made}").json
        again = {"startsAt": before["startsAt"], "endsAt": before["endsAt"], **then}
        assert (post(id=made, **again) == made) is in_place
        listed = call("GET", f"{url}/api/v2/silences").json
        return [(one["id"] == made, one["status"]["state"]) for one in listed]

    assert states(relay.url) == states(scene.alertmanager(relay).url)


def test_a_silenced_page_that_resolves_meanwhile_leaves_nothing_open(scene: Scene) -> None:
    relay = scene.stage().relay()
    alertmanager: Alertmanager = scene.alertmanager(relay)
    down = base_key("Down")
    alertmanager.fire(DOWN)
    scene.shows(down)

    made = add(relay.url, "alertname=Down")
    wait_for(lambda: relay.pages()[0]["suppressed"] == 1, "the page is kept quiet")
    (member,) = relay.get(f"/api/v1/pages/{relay.pages()[0]['id']}")["members"]
    assert "silenced by anna until " in member["suppressed"]
    assert f'"disk swap" (silence {made})' in member["suppressed"]
    alertmanager.resolve(DOWN)
    scene.shows()
    amtool(relay.url, "silence", "expire", made)

    stays(lambda: not scene.sandbox.open(), "nothing is open", 1.5)
    assert scene.told(down) == ["triggered", "resolved"]


def test_what_fires_under_a_silence_pages_when_it_ends(scene: Scene) -> None:
    relay = scene.stage().relay()
    made = add(relay.url, "alertname=Down", "--duration=1h")
    brief = add(relay.url, "alertname=Slow", "--duration=4s")
    for one in (DOWN, SLOW):
        assert relay.post(body(one["alertname"], alert(one))).json["outcomes"] == {"suppressed": 1}
    stays(lambda: not scene.sandbox.open(), "nobody is paged", 1)

    scene.shows(base_key("Slow"), within=10)
    amtool(relay.url, "silence", "expire", made)
    scene.shows(base_key("Slow"), base_key("Down"), within=10)
    assert silences(relay.url, "--expired")[brief]["status"]["state"] == "expired"


@contextmanager
def proxy(relay: Relay) -> Iterator[str]:
    """Stand in front of a relay as a proxy does, which says for whom it asks."""
    host = urlsplit(relay.url).netloc

    class Handler(BaseHTTPRequestHandler):
        def forward(self) -> None:
            sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            connection = http.client.HTTPConnection(host, timeout=10)
            connection.request(self.command, self.path, sent, {**self.headers, "X-Forwarded-For": "203.0.113.9"})
            answer = connection.getresponse()
            text = answer.read()
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.headers.get("Content-Type", "text/plain"))
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)
            connection.close()

        do_GET = do_POST = do_DELETE = forward

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


def test_from_elsewhere_amtool_needs_an_operators_credential(scene: Scene, tmp_path: Path) -> None:
    operators = tmp_path / "operators"
    operators.write_text(f"# who may\nanna:{SECRET}\n")
    operators.chmod(0o600)
    relay = scene.stage().relay(environ={"PAGERELAY_WEB_OPERATORS_FILE": str(operators)})

    with proxy(relay) as place:
        assert "401" in add(f"http://{place}", "alertname=Down", fails=True)
        assert "401" in add(f"http://anna:wrong-horse-battery@{place}", "alertname=Down", fails=True)
        assert silences(f"http://{place}") == {}
        made = add(f"http://anna:{SECRET}@{place}", "alertname=Down")
        assert set(silences(f"http://{place}")) == {made}
        assert "401" in amtool(f"http://{place}", "silence", "expire", made, fails=True)
        amtool(f"http://anna:{SECRET}@{place}", "silence", "expire", made)
        assert call("POST", f"http://{place}/-/reload").status == 401

        operators.write_text(f"bob:{SECRET[::-1]}\n")
        assert relay.reload().status == 200
        assert "401" in add(f"http://anna:{SECRET}@{place}", "alertname=Down", fails=True)
        add(f"http://bob:{SECRET[::-1]}@{place}", "alertname=Down")

        operators.write_text("bob:short\n")
        answer = relay.reload()
        assert (answer.status, f"{operators}:1:1: the secret of bob is shorter" in answer.text) == (500, True)
        add(f"http://bob:{SECRET[::-1]}@{place}", "alertname=Down")
    wait_for(lambda: 'msg="silence made"' in relay.output() and "by=anna" in relay.output(), "the log tells of it")
    assert not any(secret in relay.output() for secret in (SECRET, SECRET[::-1], "wrong-horse"))


def test_without_an_operators_file_nobody_from_elsewhere_changes_anything(scene: Scene) -> None:
    relay = scene.stage().relay()

    with proxy(relay) as place:
        assert "403" in add(f"http://anna:{SECRET}@{place}", "alertname=Down", fails=True)
    assert silences(relay.url) == {}


def test_a_wrong_operators_file_keeps_the_relay_from_starting(scene: Scene, tmp_path: Path) -> None:
    operators = tmp_path / "operators"
    operators.write_text("anna\n")
    relay = scene.stage().relay(start=False, environ={"PAGERELAY_WEB_OPERATORS_FILE": str(operators)})
    relay.spawn()

    assert relay.ended() == 1
    assert f"{operators}:1:1: no `name:secret`" in relay.output()
