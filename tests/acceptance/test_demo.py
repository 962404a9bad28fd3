"""`make run`: a sandbox, a relay and an example page on one machine, and nothing left of them afterwards."""

import itertools
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.programs import PATIENCE, free_port

ROOT = Path(__file__).parents[2]
_DEMO = """
import signal, sys
from pathlib import Path
from relay.cli import demo as it
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has what it runs in the background ignore it
sandbox, relay, examples = sys.argv[1:]
it.SANDBOX, it.RELAY, it._examples = sandbox, relay, lambda: Path(examples)
sys.argv[1:] = []
it.demo()
"""


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_however_it_is_ended_it_leaves_no_program_behind(tmp_path: Path, end: signal.Signals) -> None:
    sandbox, relay = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    examples = shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns("event.json"))
    file = examples / "relay.yml"
    file.write_text(file.read_text().replace("http://127.0.0.1:9999", sandbox))
    command = [sys.executable, "-c", _DEMO, sandbox, relay, str(examples)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        said = list(itertools.takewhile(lambda line: not line.startswith("Serving until"), demo.stdout))
        demo.send_signal(end)
        try:
            demo.wait(PATIENCE)
        finally:
            demo.kill()

    assert "  severity   critical\n" in said
    assert [_answers(url) for url in (sandbox, relay)] == [False, False]


def _answers(url: str) -> bool:
    host, _, port = url.removeprefix("http://").partition(":")
    try:
        socket.create_connection((host, int(port)), 1).close()
    except OSError:
        return False
    return True
