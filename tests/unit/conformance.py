"""Reads the tables of tests/data/conformance."""

import json
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent.parent / "data" / "conformance"


def rows(name: str) -> list[dict[str, Any]]:
    """Answer every row of one table."""
    found: list[dict[str, Any]] = json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return found
