"""Starts what is measured as processes of its own, reads their CPU time and memory, and ends them."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from bench.load import Order, written

ROUTING_KEY = "0123456789abcdef0123456789abcdef"
_PATIENCE = 60.0


class Process:
    """A running program; its children count as itself."""

    def __init__(self, command: Sequence[str], *, log: Path, stdin: bool = False, stdout: bool = False) -> None:
        with log.open("ab") as errors:
            self._popen = subprocess.Popen(
                command,
                stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
                stdout=subprocess.PIPE if stdout else errors,
                stderr=errors,
                text=True,
            )
        self.pid = self._popen.pid
        self.command = command
        self._log = log

    def cpu(self) -> float:
        """CPU seconds it has used so far, to the nanosecond, with those of its children that live."""
        return sum(_cpu(pid) for pid in _tree(self.pid))

    def memory(self) -> float:
        """MB of memory it holds, with its children; what several share counts once (Pss)."""
        return sum(_pss(pid) for pid in _tree(self.pid)) / 1000

    def peak(self) -> float:
        """MiB of memory it held at most (VmHWM), with the most of each of its children that live."""
        return sum(_peak(pid) for pid in _tree(self.pid)) / 1024

    def read(self) -> str:
        """Read its next line."""
        assert self._popen.stdout
        line = self._popen.stdout.readline()
        if not line:
            raise self.ended()
        return line.strip()

    def ended(self) -> RuntimeError:
        """Say what it and its like wrote last."""
        return RuntimeError(f"a process ended: {self._log.read_text(errors='replace')[-2000:]}")

    def write(self, line: str) -> None:
        """Write it a line."""
        assert self._popen.stdin
        self._popen.stdin.write(line + "\n")
        self._popen.stdin.flush()

    def alive(self) -> bool:
        """Say whether it still runs."""
        return self._popen.poll() is None

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self._popen.send_signal(number)

    def kill(self) -> None:
        """Kill it at once (kill -9), and wait until it is gone."""
        self._popen.kill()
        self._popen.wait()

    def end(self) -> None:
        """Let it end; kill it if it does not."""
        self._popen.terminate()
        try:
            self._popen.wait(15)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()
        for stream in (self._popen.stdin, self._popen.stdout):
            if stream:
                stream.close()


@dataclass(frozen=True, slots=True)
class Server:
    """A process that listens."""

    process: Process
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str) -> bytes:
        """Fetch what it says there."""
        with urlopen(f"{self.url}{path}", timeout=10) as response:
            return bytes(response.read())

    def count(self) -> int:
        """How many events a stand-in has taken."""
        return int(self.get("/count"))


@dataclass(frozen=True, slots=True)
class Spent:
    """What one load came to."""

    cpu: float
    """CPU seconds of the server for each request."""
    seconds: float
    """Wall seconds for each request."""


class Bench:
    """The room of one run: a directory on a disk, and every process that was started, ended with it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._stack = ExitStack()
        self._load: Process | None = None
        self._numbers = 0

    def __enter__(self) -> "Bench":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def fresh(self, name: str) -> Path:
        """Make a directory that was not there."""
        self._numbers += 1
        made = self.directory / f"{self._numbers:02}-{name}"
        made.mkdir()
        return made

    def start(self, command: Sequence[str], *, stdin: bool = False, stdout: bool = False) -> Process:
        """Start a program."""
        process = Process(command, log=self.directory / "stderr.log", stdin=stdin, stdout=stdout)
        self._stack.callback(process.end)
        return process

    def bare(self, read: str = "body") -> Server:
        """Start the yardstick."""
        process = self.start([sys.executable, "-m", "bench.bare", "--read", read], stdout=True)
        return Server(process, int(process.read()))

    def relay(self, config: str, store: Path | None = None, module: str = "relay") -> Server:
        """Start a relay with this routing YAML, and wait until it is ready."""
        home = self.fresh("relay")
        (home / "relay.yml").write_text(config)
        port = free_port()
        command = [sys.executable, "-m", module, "serve", f"--config.file={home / 'relay.yml'}"]
        command += [f"--storage.path={store or home / 'data'}", f"--web.listen-address=127.0.0.1:{port}"]
        server = Server(self.start(command), port)
        ready(server)
        return server

    def alertmanager(self, config: str) -> Server:
        """Start a real Alertmanager without a cluster, and wait until it is ready."""
        home = self.fresh("alertmanager")
        (home / "alertmanager.yml").write_text(config)
        port = free_port()
        command = ["prometheus-alertmanager", f"--config.file={home / 'alertmanager.yml'}"]
        command += [f"--storage.path={home / 'data'}", f"--web.listen-address=127.0.0.1:{port}"]
        server = Server(self.start([*command, "--cluster.listen-address=", "--log.level=error"]), port)
        ready(server)
        return server

    def again(self, server: Server) -> Server:
        """Start a server that was killed once more, as it was, and wait until it is ready."""
        fresh = Server(self.start(server.process.command), server.port)
        ready(fresh)
        return fresh

    def load(self, server: Server, order: Order) -> Spent:
        """Send an order's bodies; everything must be answered 200."""
        if self._load is None:
            self._load = self.start([sys.executable, "-m", "bench.load"], stdin=True, stdout=True)
        self._load.write(written(order, server.port))
        assert json.loads(self._load.read())["ready"]
        before = server.process.cpu()
        self._load.write("go")
        answer: Mapping[str, Any] = json.loads(self._load.read())
        spent = server.process.cpu() - before
        if answer["statuses"] != {"200": order.requests}:
            raise RuntimeError(f"{order.requests} requests were answered {answer['statuses']}")
        return Spent(spent / order.requests, answer["seconds"] / order.requests)


def config(
    url: str,
    *,
    events: int = 120,
    within: str = "60s",
    routes: str = "",
    pages: str = "group_by: [alertname, cluster]",
    rest: str = "",
) -> str:
    """Write a routing YAML that pages one integration at `url`; `pages` says what makes a page."""
    return f"""
global: {{pagerduty_url: "{url}/v2/enqueue", budget: {{events: {events}, within: {within}}}}}
route:
  receiver: platform
  {pages}
  severity: {{critical: critical, warning: warning, default: error}}
  routes: [{routes}]
receivers:
  - name: platform
    pagerduty_configs: [{{routing_key: {ROUTING_KEY}}}]
{rest}"""


def wait_until(true: Callable[[], bool], what: str, seconds: float = _PATIENCE, every: float = 0.02) -> None:
    """Wait for something; raise if it does not come."""
    until = time.monotonic() + seconds
    while not true():
        if time.monotonic() > until:
            raise RuntimeError(f"waited {seconds:g} s in vain: {what}")
        time.sleep(every)


def ready(server: Server, every: float = 0.02) -> None:
    """Wait until a server says it is ready."""

    def answers() -> bool:
        if not server.process.alive():
            raise server.process.ended()
        try:
            return bool(server.get("/-/ready"))
        except OSError:
            return False

    wait_until(answers, "the server is ready", every=every)


def quiet(process: Process, share: float = 0.05, seconds: float = _PATIENCE) -> None:
    """Wait until a process has little to do: less than this share of a core, for half a second."""

    def idle() -> bool:
        before = process.cpu()
        time.sleep(0.5)
        return process.cpu() - before < share / 2

    wait_until(idle, "the process has nothing to do", seconds, every=0)


def free_port() -> int:
    """Name a port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def on_disk(directory: Path) -> bool:
    """Say whether a directory is on a disk, where an fsync costs something."""
    kinds = {"tmpfs", "ramfs"}
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    path = str(directory.resolve())
    inside = [(len(at), kind) for at, kind in mounts if path == at or path.startswith(at.rstrip("/") + "/")]
    return max(inside)[1] not in kinds


def _tree(pid: int) -> list[int]:
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += _tree(int(child))
    return found


def _cpu(pid: int) -> float:
    # The CPU clock of another process (clock_getcpuclockid(3)): /proc/<pid>/stat knows hundredths of a second only.
    return time.clock_gettime((~pid << 3) | 2)


def _pss(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("Pss:")).split()[1])


def _peak(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1])


def cores() -> int:
    """How many cores this machine gives us."""
    return len(os.sched_getaffinity(0))
