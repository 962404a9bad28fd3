"""A relay that says 503 is asked again by those clients that ask PagerDuty again, and the others say so."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from tests.acceptance.programs import wait_for
from tests.clients.conftest import House
from tests.clients.programs import Where, missing, sending
from tests.clients.stories import opened, words

pytestmark = pytest.mark.acceptance


BUSY = {"interval": "1h", "burst": 1}
"""One request an hour is all that it takes."""


@pytest.fixture
def busy(house: House, tmp_path: Path) -> Iterator[Where]:
    """A relay that answers 503 to every event, until its web configuration says something else."""
    house.web("busy", rate_limit=BUSY)
    with sending("curl", house.at(house.busy), tmp_path) as curl:
        wait_for(lambda: "dedup_key" not in curl.say("resolve", "nothing"), "it is busy")
    yield house.at(house.busy)
    house.web("busy")


def test_pdpyras_and_pagerduty_send_again_until_it_is_taken(house: House, busy: Where, tmp_path: Path) -> None:
    """They ask seven times in 189 s, for the second time after 3 s."""
    names = [name for name in ("pdpyras", "pagerduty") if not missing(name)]
    with ThreadPoolExecutor() as pool:
        told = {name: pool.submit(triggered, name, busy, tmp_path) for name in names}
        try:
            for name in names:
                wait_for(partial(asks_again, name, tmp_path), f"{name} is refused")
        finally:
            house.web("busy")
        answers = {name: future.result()["dedup_key"] for name, future in told.items()}

    assert answers == {name: f"busy-{name}" for name in names}
    for name in names:
        opened(house.sandbox, f"busy-{name}")


def triggered(name: str, where: Where, folder: Path) -> dict[str, object]:
    with sending(name, where, folder) as client:
        return client.say("trigger", f"busy-{name}")


def asks_again(name: str, folder: Path) -> bool:
    """Say whether a client has logged that it was refused and will ask again."""
    return any("HTTP error (503); retrying" in log.read_text() for log in folder.glob(f"{name}-*/{name}.log"))


@pytest.mark.parametrize("name", ["pdjs", "curl", "go-pagerduty"])
def test_others_say_at_once_that_it_was_not_taken(name: str, busy: Where, tmp_path: Path) -> None:
    """They retry nothing but a 429, or nothing at all; what they are told is JSON all the same."""
    with sending(name, busy, tmp_path) as client:
        told = client.say("trigger", f"busy-{name}")

    assert told.get("dedup_key") is None
    assert ("status code 503" if name.startswith("go-") else "more requests than rate_limit lets in") in words(told)
