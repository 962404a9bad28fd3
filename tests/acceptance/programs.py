"""Real processes on this machine: the sandbox, the relay and Alertmanager, each with a log."""

import http.client
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit

import yaml

PATIENCE = 30.0
"""Seconds to wait for what should happen at once: the machine may be busy."""
_BETWEEN = 0.02
_PORTS = range(20_000, 32_000)
"""Below the range the kernel takes for outgoing connections, so that a port stays free while its program is down."""

Found = TypeVar("Found")
Labels = Mapping[str, str]


def wait_for(condition: Callable[[], Found], what: str, within: float = PATIENCE) -> Found:
    """Ask until the answer is true, and return it; AssertionError with the last answer if it never is."""
    deadline = time.monotonic() + within
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within:g} s: {what} (at last: {found!r})")
        time.sleep(_BETWEEN)
    return found


def stays(condition: Callable[[], bool], what: str, seconds: float) -> None:
    """Ask for a while and fail as soon as the answer is no: for what must not happen."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        assert condition(), f"no longer so: {what}"
        time.sleep(0.1)


def free_port() -> int:
    """Find a port nobody listens on."""
    for port in random.SystemRandom().sample(_PORTS, 200):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no free port found on 127.0.0.1")


class Answer:
    """What an HTTP server said."""

    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        self.body = body

    @property
    def text(self) -> str:
        return self.body.decode(errors="replace")

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def call(method: str, url: str, body: object = None, timeout: float = 10.0) -> Answer:
    """Make one call over a connection of its own; OSError or HTTPException if there is no answer."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)
    sent = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    path = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    try:
        connection.request(method, path, sent, {"Content-Type": "application/json"} if sent is not None else {})
        response = connection.getresponse()
        return Answer(response.status, response.read())
    finally:
        connection.close()


class Program:
    """One process; its output goes to a file that grows over restarts."""

    def __init__(self, name: str, command: Sequence[str], folder: Path, environ: Labels | None = None) -> None:
        self.name = name
        self.command = list(command)
        self.log = folder / f"{name}.log"
        self.environ = dict(environ or {})
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def output(self) -> str:
        """Return everything it has printed."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def spawn(self) -> None:
        """Start it, without waiting for anything."""
        assert not self.running, f"{self.name} runs already"
        # A routing file or address of whoever runs the tests must not reach the programs.
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PAGERELAY_")}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.log.parent,
                env={**inherited, "PYTHONFAULTHANDLER": "1", **self.environ},
            )

    def wait_until(self, url: str, within: float = PATIENCE) -> None:
        """Wait until a GET of `url` answers 200; fail at once if the process ends."""
        deadline = time.monotonic() + within
        while (status := reachable(url)) != 200:
            assert self.running, f"{self.name} ended with {self.ended()}:\n{self.output()[-4_000:]}"
            if time.monotonic() > deadline:
                self.abort()
                raise AssertionError(f"not within {within:g} s: {self.name} is ready at {url} (it said {status})")
            time.sleep(_BETWEEN)

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def ended(self, within: float = PATIENCE) -> int:
        """Wait for the process to end, and return its exit status."""
        assert self._process is not None
        return self._process.wait(within)

    def stop(self, within: float = PATIENCE) -> int:
        """Ask it to end and return its exit status."""
        self.signal(signal.SIGTERM)
        return self.ended(within)

    def kill(self) -> None:
        """End it without a word, as a crash does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def abort(self) -> None:
        """End it and let it write into its log where each of its threads was."""
        self.signal(signal.SIGABRT)
        self.ended()

    def put_away(self) -> bool:
        """End it, however it is, and say whether it ended when asked to."""
        if self.running:
            self.signal(signal.SIGTERM)
            try:
                self.ended(15)
            except subprocess.TimeoutExpired:
                self.abort()
                return False
        return True


def reachable(url: str) -> int | None:
    """Return the status of a GET; None if nobody answers."""
    try:
        return call("GET", url, timeout=2).status
    except (OSError, http.client.HTTPException):
        return None


def pagerelay() -> str:
    """Find the installed command."""
    beside = Path(sys.executable).with_name("pagerelay")
    return str(beside) if beside.exists() else shutil.which("pagerelay") or "pagerelay"


class Sandbox(Program):
    """The stand-in for PagerDuty. It is never restarted within a test: it is what the tests believe."""

    def __init__(self, folder: Path, keys: Labels | None = None, rate: int = 0) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.events_url = f"{self.url}/v2/enqueue"
        self.ledger = folder / "pagerduty.jsonl"
        known = [f"--key={name}={key}" for name, key in (keys or {}).items()]
        command = [pagerelay(), "sandbox", f"--listen-address=127.0.0.1:{port}", f"--ledger={self.ledger}"]
        super().__init__("sandbox", [*command, f"--rate.events={rate}", *known], folder)

    def start(self) -> "Sandbox":
        self.spawn()
        self.wait_until(f"{self.url}/sandbox/healthz")
        return self

    def open(self) -> dict[str, dict[str, Any]]:
        """Return open alerts by dedup key."""
        return {alert["dedup_key"]: alert for alert in self._alerts()["open"]}

    def past(self) -> list[dict[str, Any]]:
        """Return resolved alerts, newest first."""
        found: list[dict[str, Any]] = self._alerts()["past"]
        return found

    def _alerts(self) -> Any:
        return call("GET", f"{self.url}/sandbox/alerts.json").json

    def requests(self) -> list[dict[str, Any]]:
        """Return every call it got, oldest first, as its ledger has them: with the event, without the key."""
        with self.ledger.open(encoding="utf-8") as lines:
            return [json.loads(line) for line in lines if line.endswith("\n")]

    def results(self) -> list[str]:
        """Return what became of each call, oldest first."""
        return [line["result"] for line in self.requests()]

    def fault(self, **fault: object) -> None:
        """Put a fault in force (docs/sandbox.md lists them)."""
        answer = call("POST", f"{self.url}/sandbox/faults", fault)
        assert answer.status == 200, answer.text

    def well(self) -> None:
        """Take all faults away."""
        call("DELETE", f"{self.url}/sandbox/faults")


class Relay(Program):
    """`pagerelay serve` over one directory. It can be stopped, killed and started again."""

    def __init__(
        self,
        folder: Path,
        config: Path,
        *,
        name: str = "relay",
        storage: Path | None = None,
        ports: int = 1,
        environ: Labels | None = None,
        arguments: Sequence[str] | None = None,
    ) -> None:
        self.config = config
        self.storage = storage or folder / "storage"
        self.addresses = [f"127.0.0.1:{free_port()}" for _ in range(ports)]
        self.url = f"http://{self.addresses[0]}"
        listen = [f"--web.listen-address={address}" for address in self.addresses]
        flags = [f"--config.file={config}", f"--storage.path={self.storage}", *listen]
        command = [pagerelay(), "serve", *(flags if arguments is None else arguments)]
        super().__init__(name, command, folder, environ)

    def start(self) -> "Relay":
        self.spawn()
        self.wait_until(f"{self.url}/-/ready")
        return self

    def ready(self) -> bool:
        return reachable(f"{self.url}/-/ready") == 200

    def post(self, body: object, path: str = "/webhook", timeout: float = 30.0) -> Answer:
        """Post a webhook body."""
        return call("POST", f"{self.url}{path}", body, timeout)

    def get(self, path: str, **parameters: object) -> Any:
        """Return what the relay's own JSON says at `path`."""
        answer = call("GET", f"{self.url}{path}" + (f"?{urlencode(parameters)}" if parameters else ""))
        assert answer.status == 200, answer.text
        return answer.json

    def pages(self) -> list[dict[str, Any]]:
        """Return every page, as a list shows them."""
        found: list[dict[str, Any]] = self.get("/api/v1/pages", limit=1000)["pages"]
        return found

    def reload(self) -> Answer:
        return call("POST", f"{self.url}/-/reload")

    def metric(self, name: str, **labels: str) -> float:
        """Return the sum of a metric's samples with these labels."""
        return sum(value for found, value in self._samples(name) if labels.items() <= found.items())

    def _samples(self, name: str) -> list[tuple[dict[str, str], float]]:
        samples = []
        for line in call("GET", f"{self.url}/metrics").text.splitlines():
            head, _, value = line.rpartition(" ")
            if head.partition("{")[0] == name:
                labels = head.partition("{")[2].removesuffix("}")
                samples.append((dict(_label(part) for part in labels.split('",') if part), float(value)))
        return samples


def _label(text: str) -> tuple[str, str]:
    name, _, value = text.partition('="')
    return name, value.removesuffix('"')


class Alertmanager(Program):
    """A real Alertmanager that posts to one webhook, with a fresh memory of what it has sent."""

    def __init__(
        self,
        folder: Path,
        webhook: str,
        *,
        name: str = "alertmanager",
        max_alerts: int = 0,
        http_config: Mapping[str, object] | None = None,
        **timers: str,
    ):
        posting = {"url": webhook, "send_resolved": True, "max_alerts": max_alerts}
        if http_config is not None:
            posting["http_config"] = dict(http_config)
        self.url = f"http://127.0.0.1:{free_port()}"
        self._config = folder / f"{name}.yml"
        waits = {"group_wait": "0s", "group_interval": "1s", "repeat_interval": "1h", **timers}
        self._config.write_text(
            yaml.safe_dump(
                {
                    "route": {"receiver": "relay", "group_by": ["alertname"], **waits},
                    "receivers": [{"name": "relay", "webhook_configs": [posting]}],
                }
            )
        )
        command = [
            "prometheus-alertmanager",
            f"--config.file={self._config}",
            f"--storage.path={folder / name}",
            f"--web.listen-address={self.url.removeprefix('http://')}",
            "--cluster.listen-address=",
            "--log.level=debug",
        ]
        super().__init__(name, command, folder)

    def start(self) -> "Alertmanager":
        self.spawn()
        self.wait_until(f"{self.url}/-/ready")
        return self

    def fire(self, *alerts: Labels, **annotations: str) -> None:
        """Say that these alerts fire."""
        self._tell([{"labels": dict(labels), "annotations": annotations} for labels in alerts])

    def resolve(self, *alerts: Labels) -> None:
        """Say that these alerts have ended."""
        ended = (datetime.now(UTC) - timedelta(milliseconds=1)).isoformat()
        self._tell([{"labels": dict(labels), "endsAt": ended} for labels in alerts])

    def _tell(self, alerts: list[dict[str, Any]]) -> None:
        answer = call("POST", f"{self.url}/api/v2/alerts", alerts)
        assert answer.status == 200, answer.text
