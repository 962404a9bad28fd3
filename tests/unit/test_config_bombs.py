"""A template bomb in a configuration is not set off by reading it: nothing is computed before a page is rendered."""

import resource
import time
from pathlib import Path

import pytest

from relay.rules.templates import Engine
from tests.unit.configuring import examined, paging
from tests.unit.test_render_worker import BOMBS

CONSTANTS = {
    **BOMBS,
    "center of a constant": "{{ 'x' | center(1000000000) }}",
    "format in a branch": "{% if severity %}{{ '%1000000000d' | format(1) }}{% endif %}",
    "autoescape": "{% autoescape 'x' | center(1000000000) %}{% endautoescape %}",
}


@pytest.mark.parametrize("bomb", CONSTANTS.values(), ids=CONSTANTS.keys())
def test_reading_a_bomb_costs_nothing(tmp_path: Path, bomb: str) -> None:
    held, began = _peak(), time.process_time()
    examined(tmp_path, paging(f"routing_key: KEY, description: {bomb!r}"))

    assert time.process_time() - began < 1.0
    assert _peak() - held < 100 * 1024


def test_a_constant_is_still_rendered() -> None:
    assert Engine({}).text("{{ 'x' | center(3) }}{{ 1 + 1 }} {{ 'a' ~ 'b' }}", {}) == " x 2 ab"


def _peak() -> int:
    """KiB this process has held at the most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
