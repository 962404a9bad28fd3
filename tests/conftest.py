"""What holds for every test: no secret that it used may be found in what it left behind."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.canaries import Heard, canaries, leaks, listen, listen_to_answers, places_of

_HEARD = Heard()


def pytest_configure(config: pytest.Config) -> None:
    """Listen before anything is imported that would let a secret out."""
    listen(_HEARD)


@pytest.fixture(autouse=True)
def no_secret_is_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail the test that let a secret out, with the place and without the secret."""
    listen_to_answers(_HEARD)
    _HEARD.secrets.clear()
    _HEARD.texts.clear()
    yield
    folder = request.node.funcargs.get("tmp_path")
    where = folder if isinstance(folder, Path) and folder.exists() else None
    wanted = canaries(_HEARD.secrets, where)
    captured = places_of(request.node._report_sections)
    found = leaks(wanted, where, [*_HEARD.texts, *captured.items()])
    excused = request.node.get_closest_marker("shows_secrets")
    if excused is None:
        assert found == [], f"a secret was let out, it stands in: {', '.join(found)}"


class Together(LoadScopeScheduling):  # type: ignore[misc]
    """Hands out tests one by one, but those that share programs to one worker: their programs run once."""

    def _split_scope(self, nodeid: str) -> str:
        return "clients" if nodeid.startswith("tests/clients/") else nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Together:
    """Tests are handed out by folder here, since marks of groups do not reach the nodes with every pytest."""
    return Together(config, log)
