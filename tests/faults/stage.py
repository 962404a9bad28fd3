"""One run's programs and books: the oracle, the two proxies, the producer, the relay, and what is done to it.

The oracle is what is believed: the sandbox, a process of its own with its ledger, and the books of the bodies that were
issued and acknowledged. Nothing that a scenario breaks reaches it.
"""

import json
import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from http.client import HTTPException
from pathlib import Path
from typing import Any

import yaml

from tests.acceptance.conftest import leaks
from tests.acceptance.programs import Relay, Sandbox, call, wait_for
from tests.faults.judge import AFTERGLOW, OURS, Allowance, Evidence, Sample, i2_convergence
from tests.faults.producer import Group, Instance, Producer, make_groups
from tests.faults.toxics import Proxy

KEYS = {
    "team": "7e57ca4a41ab1e0000000000000000aa",
    "spare": "7e57ca4a41ab1e0000000000000000bb",
    "meta": "7e57ca4a41ab1e0000000000000000cc",
}
GROUP_INTERVAL = 1.0
TIMEOUT = 2.0
"""Seconds after which the relay gives a call to PagerDuty up."""
_LOST = (
    "while the store cannot be written",
    "an outcome cannot be written down yet",
    "the store takes writes again",
    "no answer in time",
)
"""What the relay logs where it cannot know, or cannot write down, what became of a call."""
SETTLES_WITHIN = 90.0
RESTS = 0.6
"""Seconds without a call after which it has come to rest."""
CALM = 1.0
"""Seconds in which nothing may be sent while every group says again what is true."""
DATABASE = "pagerelay.db"
SHOWN = "{% for alert in alerts.firing %}{{ alert.labels.instance }}={{ alert.annotations.episode }} {% endfor %}"
_NEVER_HELD_UP = {"events": 1_000_000, "within": "60s"}


@dataclass(frozen=True)
class Setting:
    """How a run is set up: the traffic, and what its relay.yml says besides the usual."""

    groups: int = 12
    most: int = 3
    """Alerts of a group at the most."""
    restless: float | None = None
    """Chance that a group changes before it is posted again; None: some often, some seldom."""
    repeats: float = 0.1
    """Chance that a group says again what was acknowledged already."""
    replicas: int = 1
    """Alertmanagers that post every body at once."""
    direct: bool = False
    """Post to the relay itself, and not by way of a proxy: what is refused is told from what is broken off."""
    staging: int = 0
    """Groups that a second source posts under the same names."""
    key_text: str = ""
    """The route's `dedup_key` after the alertname."""
    entry: Mapping[str, Any] = field(default_factory=dict)
    """Of the receiver's pagerduty_configs."""
    receiver: Mapping[str, Any] = field(default_factory=dict)
    route: Mapping[str, Any] = field(default_factory=dict)
    all: Mapping[str, Any] = field(default_factory=dict)
    """Of `global`."""
    top: Mapping[str, Any] = field(default_factory=dict)
    serve: tuple[str, ...] = ()
    """More arguments of `pagerelay serve`."""
    sandbox: tuple[str, ...] = ()
    """More arguments of `pagerelay sandbox`."""
    environ: Mapping[str, str] = field(default_factory=dict)


class Stage:
    """Everything of one run, in one folder that tells all of it afterwards."""

    def __init__(self, folder: Path, seed: int, setting: Setting) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.seed = seed
        self.setting = setting
        self.chance = random.Random(f"stage {seed}")
        self.disturbances: list[float] = []
        self.hostile: list[tuple[str, str]] = []
        self.samples: list[Sample] = []
        self.acts: Counter[str] = Counter()
        """What was done to the relay, and how often."""
        self.problems: list[str] = []
        self.restarts: list[float] = []
        """Seconds from start to ready."""
        self.memory = 0
        self.lag = 0.0
        self._lines: list[dict[str, Any]] = []
        self._read_up_to = 0
        self._sampled = 0
        self._books = (folder / "bodies.jsonl").open("a", encoding="utf-8")
        self._schedule = (folder / "schedule.jsonl").open("a", encoding="utf-8")
        self.began = time.monotonic()
        for name, key in KEYS.items():
            (folder / f"{name}.key").write_text(key + "\n")
        self.sandbox = Sandbox(folder, KEYS)
        self.sandbox.command += setting.sandbox
        self.proxy = Proxy("toxics", self.sandbox.url.removeprefix("http://"), seed, TIMEOUT)
        self.relay = Relay(folder, folder / "relay.yml", environ=setting.environ)
        self.relay.command += setting.serve
        self.front = Proxy("front", self.relay.addresses[0], seed, 10.0)
        self.configure()
        groups = make_groups(setting.groups, self.chance, most=setting.most, restless=setting.restless)
        for group in make_groups(setting.staging, self.chance, most=setting.most, restless=setting.restless):
            group.path, group.namespace = "/webhook/staging", "staging"
            groups.append(group)
        for group in groups if setting.key_text else ():
            group.key_text = group.name + setting.key_text
        door = self.relay.url if setting.direct else f"http://{self.front.address}"
        self.producer = Producer([door] * setting.replicas, groups, seed, self._write_book)
        self.producer.repeats = setting.repeats

    def __enter__(self) -> "Stage":
        try:
            self.proxy.start()
            self.front.start()
            self.sandbox.start()
            self.start()
            self.producer.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.producer.stop()
        self.front.stop()
        self.proxy.stop()
        if self.relay.running:
            self.relay.signal(signal.SIGCONT)
        self.relay.put_away()
        self.sandbox.put_away()
        self._books.close()
        self._schedule.close()

    def configure(self, **changes: Mapping[str, Any]) -> None:
        """Write relay.yml; `changes` go into `global`, the `route`, the first `receiver`, its `entry`, or the `top`."""
        setting = self.setting
        entry = {"routing_key_file": "team.key", "timeout": f"{TIMEOUT:g}s", "details": {"shown": SHOWN}}
        entry |= {**setting.entry, **changes.get("entry", {})}
        team = {"name": "team", "pagerduty_configs": [entry], **setting.receiver, **changes.get("receiver", {})}
        others = [
            {"name": name, "pagerduty_configs": [{"routing_key_file": f"{name}.key", "timeout": f"{TIMEOUT:g}s"}]}
            for name in ("spare", "meta")
        ]
        document = {
            "global": {
                "pagerduty_url": f"http://{self.proxy.address}/v2/enqueue",
                "budget": _NEVER_HELD_UP,
                "storm": "off",
                "meta_receiver": "meta",
                **setting.all,
                **changes.get("all", {}),
            },
            "route": {
                "receiver": "team",
                "group_by": ["alertname"],
                "group_interval": f"{GROUP_INTERVAL:g}s",
                "severity": {**{one: one for one in ("critical", "error", "warning", "info")}, "default": "error"},
                **setting.route,
                **changes.get("route", {}),
            },
            "receivers": [team, *others, {"name": "nobody"}],
            **setting.top,
            **changes.get("top", {}),
        }
        document["route"] = {name: said for name, said in document["route"].items() if said is not None}
        document["route"]["routes"] = [
            {"matchers": ['team="nobody"'], "receiver": "nobody"},
            *document["route"].get("routes", ()),
        ]
        self.relay.config.write_text(yaml.safe_dump(document))

    # Books

    def _write_book(self, line: Mapping[str, Any]) -> None:
        self._books.write(json.dumps(line) + "\n")

    def did(self, what: str) -> None:
        """Write down that something was done to the relay."""
        self.acts[what] += 1
        self._schedule.write(json.dumps({"at": time.time(), "did": what}) + "\n")
        self._schedule.flush()

    def disturb(self, glow: float = AFTERGLOW) -> None:
        """Note that the outcome of calls under way may be lost now."""
        self.disturbances.append(time.time() + glow)

    def lines(self) -> list[dict[str, Any]]:
        """Return the sandbox's ledger so far."""
        if self.sandbox.ledger.exists():
            with self.sandbox.ledger.open("rb") as ledger:
                ledger.seek(self._read_up_to)
                new = ledger.read()
            whole = new[: new.rfind(b"\n") + 1]
            self._read_up_to += len(whole)
            self._lines += [json.loads(line) for line in whole.splitlines()]
        return self._lines

    def open_alerts(self) -> list[dict[str, Any]]:
        """Return what is open at the sandbox."""
        found: list[dict[str, Any]] = call("GET", f"{self.sandbox.url}/sandbox/alerts.json", timeout=30).json["open"]
        return found

    # The relay

    def start(self, *, failpoint: str = "", ready: bool = True) -> None:
        """Start the relay, with a failpoint or without."""
        self.relay.environ = dict(self.setting.environ) | ({"PAGERELAY_FAILPOINT": failpoint} if failpoint else {})
        began = time.monotonic()
        self.relay.spawn()
        if ready:
            self.relay.wait_until(f"{self.relay.url}/-/ready", 60)
            self.restarts.append(time.monotonic() - began)

    def kill(self) -> None:
        """kill -9."""
        self.measure()
        self.relay.kill()
        self.disturb()
        self.did("kill -9")

    def dies(self, within: float) -> bool:
        """Wait until the relay has ended by itself; False if it does not."""
        try:
            self.relay.ended(within)
        except subprocess.TimeoutExpired:
            return False
        self.disturb()
        return True

    def measure(self) -> None:
        """Note how much memory the relay and its worker have used at the most."""
        if not self.relay.running:
            return
        total = 0
        for process in _family(self.relay.pid):
            with suppress(OSError, StopIteration, ValueError):
                status = Path(f"/proc/{process}/status").read_text()
                peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
                total += int(peak.split()[1]) * 1024
        self.memory = max(self.memory, total)

    @contextmanager
    def strace(self, *inject: str) -> Iterator[None]:
        """Have system calls of the relay fail: `fdatasync:error=EIO`."""
        calls = ",".join(one.partition(":")[0] for one in inject)
        command = ["strace", "-f", "-qq", "-ttt", "-o", str(self.folder / "strace.log"), "-e", f"trace={calls}"]
        command += [part for one in inject for part in ("-e", f"inject={one}")]
        tracer = subprocess.Popen([*command, "-p", str(self.relay.pid)], stderr=subprocess.DEVNULL)
        try:
            wait_for(lambda: _traced(self.relay.pid), "strace holds the relay", 10)
            yield
        finally:
            tracer.send_signal(signal.SIGINT)
            tracer.wait(10)
        failed = self.failed_calls()
        self.acts["system calls that failed"] += len(failed)
        self.disturbances += failed

    def failed_calls(self) -> list[float]:
        """Say when system calls were made to fail under the last `strace`."""
        lines = (self.folder / "strace.log").read_text(errors="replace").splitlines()
        return [float(line.split()[1]) for line in lines if line.endswith(("(INJECTED)", "(DELAYED)"))]

    def limit(self, kind: int, soft: int) -> tuple[int, int]:
        """Set a resource limit of the running relay; return what it was."""
        was = resource.prlimit(self.relay.pid, kind)
        resource.prlimit(self.relay.pid, kind, (soft, was[1]))
        return was

    def send(self, what: str, body: bytes, path: str = "/webhook", headers: Mapping[str, str] | None = None) -> str:
        """Post anything, and note what it was answered."""
        answer = raw_post(self.relay.addresses[0], path, body, headers or {})
        self.hostile.append((what, answer))
        return answer

    def sample(self) -> None:
        """Ask whether it takes pages, and try."""
        self._sampled += 1
        ready = _status("GET", f"{self.relay.url}/-/ready")
        labels = {"alertname": f"Sample{self._sampled}", "team": "nobody", "severity": "info"}
        group = Group(labels["alertname"], [Instance("sample", labels)], 0.0)
        group.instances[0].toggle()
        built = group.body()
        assert built is not None
        posted = _status("POST", f"{self.relay.url}/webhook", built[0])
        again = _status("GET", f"{self.relay.url}/-/ready")
        if ready == again:
            self.samples.append(Sample(time.time(), ready, posted))

    @contextmanager
    def sampling(self, every: float = 0.3) -> Iterator[None]:
        """Sample all the while."""
        over = threading.Event()

        def run() -> None:
            while not over.wait(every):
                self.sample()

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def database(self) -> Path:
        """Where the relay keeps what it knows."""
        return self.relay.storage / DATABASE

    # The end

    def settle(self) -> None:
        """Let faults end: nothing is broken any more, and nothing changes."""
        self.sandbox.well()
        self.proxy.clear()
        self.front.clear()
        if not self.relay.running:
            self.start()
        else:
            self.relay.wait_until(f"{self.relay.url}/-/ready", 60)
        self.producer.changing = False
        self.producer.wish = None
        wait_for(self.producer.settled, "everything is acknowledged", SETTLES_WITHIN)

    def converged(self, evidence: Evidence, within: float = SETTLES_WITHIN) -> None:
        """Wait until what is open is what fires; the judge says what was not. Puts what it saw into the evidence."""
        deadline = time.monotonic() + within
        while True:
            evidence.open_at_rest = self.open_alerts()
            evidence.ledger = self.lines()
            evidence.pages_at_rest = self.pages()
            evidence.past_the_store = self.past_the_store()
            if time.monotonic() > deadline:
                break
            if not i2_convergence(evidence):
                before = len(self.lines())
                time.sleep(RESTS)  # what waits for another page's answer stands in no lane yet
                if len(self.lines()) == before:
                    break
            time.sleep(0.1)
        evidence.firing_at_rest = {
            group.dedup_key: frozenset(one.name for one in group.firing) for group in self.producer.groups
        }

    def conclude(self, allows: Allowance, *, calm: float = CALM, stop: bool = True) -> Evidence:
        """Settle, see that it is calm and that a fresh critical gets through, let all resolve, and gather the rest."""
        self.settle()
        heals = allows.unsynced or allows.repeats  # by being heard again
        self.producer.repeats = self.setting.repeats if heals else 0.0
        evidence = Evidence(self.producer.groups, allows=allows, group_interval=GROUP_INTERVAL)
        self.converged(evidence)
        if calm:
            evidence.calm = self._calm(calm) if not allows.repeats else 0
        evidence.fresh = self._fresh()
        self.producer.repeats = self.setting.repeats if allows.unsynced else 0.0
        self.producer.wish = False
        wait_for(lambda: not any(group.firing for group in self.producer.groups), "every alert resolves")
        wait_for(self.producer.settled, "every resolve is acknowledged", SETTLES_WITHIN)
        evidence.open_at_end = self._closed(allows)
        self._gather(evidence)
        if stop:
            self._stop()
        evidence.ledger = self.lines()
        evidence.leaks = self.leaking()
        return evidence

    def _calm(self, seconds: float) -> int:
        """Count the calls about groups while all of them only say again what is true."""
        self.producer.repeats = 0.5
        before = len(self.lines())
        time.sleep(seconds)
        self.producer.repeats = 0.0
        return sum(not line["dedup_key"].startswith(OURS) for line in self.lines()[before:])

    def _fresh(self) -> float | None:
        labels = {"alertname": "Fresh", "instance": "i0", "severity": "critical"}
        group = Group("Fresh", [Instance("i0", labels)], 0.0)
        group.key_text = "Fresh" + self.setting.key_text if self.setting.key_text else ""
        group.change(group.instances)
        posted = time.time()
        self.producer.add(group)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            told = [line for line in self.lines() if line["dedup_key"] == group.dedup_key and line["status"] == 202]
            if told:
                return float(told[0]["at"]) - posted
            time.sleep(0.02)
        return None

    def _closed(self, allows: Allowance) -> list[dict[str, Any]]:
        deadline = time.monotonic() + SETTLES_WITHIN
        while True:
            still = [alert for alert in self.open_alerts() if not alert["dedup_key"].startswith(OURS)]
            unknown = allows.past_the_store and {alert["dedup_key"] for alert in still} <= self.past_the_store()
            pages = (
                [] if still and not unknown else [page for page in self.pages() if page["lane"] or page["in_flight"]]
            )
            if not ((still and not unknown) or pages) or time.monotonic() > deadline:
                return still
            time.sleep(0.1)

    def past_the_store(self) -> frozenset[str]:
        """Name what the log says was paged while the store could not be written."""
        lines = self.relay.output().splitlines()
        return frozenset(
            line.partition("dedup_key=")[2].split()[0] for line in lines if "while the store cannot be written" in line
        )

    def _lost(self) -> list[float]:
        """Say when the relay logged that it does not know what became of a call, or could not write it down."""
        lines = self.relay.output().splitlines()
        return [
            datetime.fromisoformat(line[3:26] + "+00:00").timestamp()
            for line in lines
            if line.startswith("ts=") and any(words in line for words in _LOST)
        ]

    def pages(self) -> list[dict[str, Any]]:
        """Return the relay's list of pages, all of it."""
        found: list[dict[str, Any]] = []
        after: dict[str, object] = {}
        while True:
            some = self.relay.get("/api/v1/pages", limit=1000, **after)
            found += some["pages"]
            if not some["next"]:
                return found
            after = {"after": some["next"]}

    def journal(self) -> list[dict[str, Any]]:
        """Return every decision the relay remembers, newest first."""
        found: list[dict[str, Any]] = []
        before: dict[str, object] = {}
        while True:
            some = self.relay.get("/api/v1/decisions", limit=1000, **before)
            found += some["decisions"]
            if not some["next"]:
                return found
            before = {"before": some["next"]}

    def _gather(self, evidence: Evidence) -> None:
        self.measure()
        evidence.journal = self.journal()
        evidence.disturbances = sorted([*self.disturbances, *self.proxy.injuries, *self._lost()])
        evidence.answers = self.producer.answers
        evidence.hostile = self.hostile
        evidence.samples = self.samples
        evidence.memory = self.memory
        evidence.disk = sum(file.stat().st_size for file in self.relay.storage.iterdir() if file.is_file())
        text = call("GET", f"{self.relay.url}/metrics").text
        (self.folder / "metrics.txt").write_text(text)
        (self.folder / "pages.json").write_text(json.dumps(evidence.pages_at_rest, indent=1))
        (self.folder / "decisions.json").write_text(json.dumps(evidence.journal, indent=1))
        evidence.lag = max(self.lag, _lag(text))

    def _stop(self) -> None:
        if (status := self.relay.stop()) != 0:
            self.problems.append(f"SIGTERM: exit status {status}")
        self.problems += [f"database: {said}" for said in integrity(self.relay.storage) if said != "ok"]

    def leaking(self) -> list[str]:
        """Name files that hold a routing key, but for the key files."""
        return sorted(str(file.relative_to(self.folder)) for file in leaks(self.folder, KEYS.values()))


def raw_post(address: str, path: str, body: bytes, headers: Mapping[str, str]) -> str:
    """Post bytes as they are; return the status, or `broken` if the connection was ended without one."""
    import http.client

    connection = http.client.HTTPConnection(address, timeout=20)
    try:
        connection.request("POST", path, body, {"Content-Type": "application/json", **headers})
        return str(connection.getresponse().status)
    except (OSError, HTTPException):
        return "broken"
    finally:
        connection.close()


def integrity(storage: Path) -> list[str]:
    """Ask SQLite, over a copy, whether the file is sound."""
    copy = storage.with_name("copy")
    shutil.copytree(storage, copy)
    try:
        with closing(sqlite3.connect(copy / DATABASE)) as db:
            return [said for (said,) in db.execute("PRAGMA integrity_check")]
    finally:
        shutil.rmtree(copy)


def until(condition: Callable[[], object], within: float) -> bool:
    """Ask until the answer is true or time is up; say which."""
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _status(method: str, url: str, body: object = None) -> str:
    try:
        return str(call(method, url, body, 15).status)
    except (OSError, HTTPException):
        return "refused"


def _lag(metrics: str) -> float:
    """Read the bound that no look at the event loop's lag was above."""
    buckets = []
    for line in metrics.splitlines():
        if line.startswith("pagerelay_event_loop_lag_seconds_bucket"):
            bound, _, count = line.partition('le="')[2].partition('"} ')
            buckets.append((float(bound), float(count)))
    return next((bound for bound, count in buckets if buckets and count == buckets[-1][1]), 0.0)


def _family(pid: int) -> list[int]:
    """Name a process and its children."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found += [int(child) for child in task.read_text().split()]
    return found


def _traced(pid: int) -> bool:
    with suppress(OSError):
        return "TracerPid:\t0" not in Path(f"/proc/{pid}/status").read_text()
    return False


def may(what: str) -> bool:
    """Say whether this machine lets a test do something: `strace`, `mount`, `faketime`."""
    if what == "mount":
        return os.geteuid() == 0 and shutil.which("mount") is not None
    if what == "faketime":
        return bool(list(Path("/usr/lib").glob("*/faketime/libfaketime.so.1")))
    return shutil.which(what) is not None
