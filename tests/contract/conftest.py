"""Every contract test runs once per engine."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from relay.store import SqliteStore
from tests.contract.engines import ENGINES, Sqlite


@pytest.fixture(params=sorted(ENGINES))
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Sqlite:
    """A place for one store, empty."""
    return ENGINES[request.param](tmp_path / "storage")


@pytest.fixture
async def store(engine: Sqlite) -> AsyncIterator[SqliteStore]:
    """An open, empty store."""
    opened = await engine.open()
    yield opened
    await opened.close()
