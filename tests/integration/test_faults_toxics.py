"""The proxy of tests/faults hurts connections as its toxics say, and nothing where there is none."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.faults.toxics import UPSTREAM, Dose, Proxy, Toxic, schedule

SAID = b"0123456789" * 4


class Echo:
    """A server that says back what it hears."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=_echo, args=(connection,), daemon=True).start()

    def close(self) -> None:
        self._listener.close()


def _echo(connection: socket.socket) -> None:
    with connection:
        try:
            while heard := connection.recv(4096):
                connection.sendall(heard)
        except OSError:
            return


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    echo = Echo()
    found = Proxy("toxics", echo.address, seed=1, patience=0.4).start()
    yield found
    found.stop()
    echo.close()


def ask(proxy: Proxy) -> tuple[bytes, float]:
    """Say something through the proxy; return what came back until it ended, and the seconds that took."""
    began, heard = time.monotonic(), b""
    try:
        with socket.create_connection(("127.0.0.1", proxy.port), 1) as client:
            client.settimeout(1)
            client.sendall(SAID)
            client.shutdown(socket.SHUT_WR)
            while chunk := client.recv(4096):
                heard += chunk
    except OSError:
        pass
    return heard, time.monotonic() - began


def test_a_proxy_without_toxics_passes_everything_on(proxy: Proxy) -> None:
    assert ask(proxy)[0] == SAID
    assert proxy.injuries == []


@pytest.mark.parametrize(
    ("toxic", "heard"),
    [
        (Toxic("timeout", timeout=0.1), b""),
        (Toxic("reset_peer"), b""),
        (Toxic("reset_peer", UPSTREAM), b""),
        (Toxic("limit_data", bytes=10), SAID[:10]),
        (Toxic("down"), b""),
    ],
)
def test_a_toxic_that_cuts_leaves_the_client_without_its_answer(proxy: Proxy, toxic: Toxic, heard: bytes) -> None:
    proxy.add(toxic)
    answer, _ = ask(proxy)

    assert answer == heard
    assert proxy.hurt[toxic.kind] == 1
    assert len(proxy.injuries) == 1


@pytest.mark.parametrize(
    "toxic",
    [
        Toxic("latency", latency=0.4),
        Toxic("bandwidth", rate=0.2),
        Toxic("slicer", average_size=4, size_variation=0, delay=0.03),
        Toxic("slow_close", delay=0.3),
    ],
)
def test_a_toxic_that_slows_delivers_all_of_it_late(proxy: Proxy, toxic: Toxic) -> None:
    proxy.add(toxic)
    answer, took = ask(proxy)

    assert answer == SAID
    assert took > 0.15


def test_what_is_cleared_hurts_no_more(proxy: Proxy) -> None:
    proxy.add(Toxic("down"))
    proxy.play([Dose(0.0, 60.0, Toxic("reset_peer"))])
    proxy.clear()

    assert ask(proxy)[0] == SAID


def test_a_seed_draws_the_same_schedule_again() -> None:
    toxics = [Toxic("timeout"), Toxic("latency", latency=1.0)]

    assert schedule(toxics, 7, 10.0, 5) == schedule(toxics, 7, 10.0, 5)
    assert schedule(toxics, 7, 10.0, 5) != schedule(toxics, 8, 10.0, 5)


def test_an_unknown_toxic_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="no toxic is called 'acid'; there are latency, down"):
        Toxic("acid")
