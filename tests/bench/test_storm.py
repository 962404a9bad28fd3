"""A small storm: all is answered 2xx, nothing is lost, criticals leave in order. `make storm` is the large one."""

from pathlib import Path

import pytest

from bench.processes import Bench
from bench.storm import Size, storm
from bench.waits import overtaken


@pytest.mark.parametrize("folding", [False, True], ids=["each alert a page", "folding"])
def test_nothing_of_a_storm_is_lost(folding: bool, tmp_path: Path) -> None:
    size = Size(webhooks=5, alerts=200, criticals=20)

    with Bench(tmp_path) as bench:
        found = storm(bench, size, seed=4, folding=folding)

    assert found.statuses == {200: 5}
    assert found.outcomes.total() == 1_000
    assert found.outcomes["lost"] == found.outcomes["dead letter"] == 0
    assert (found.outcomes["folded"] > 800) is folding
    assert len(found.waits) == 20
    assert overtaken(found.waits) < 1.0
    assert 30 < found.peak < 300
