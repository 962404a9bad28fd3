"""The planted defects can be planted: their places in the code are there, and so are the tests that must catch them."""

from pathlib import Path

import pytest

from tests.defects.plant import ROOT, Defect, planted, read_defects


@pytest.mark.parametrize("defect", read_defects(), ids=lambda one: one.name)
def test_a_defect_can_be_planted(defect: Defect) -> None:
    assert planted(defect) != (ROOT / defect.file).read_text(encoding="utf-8")
    assert all(Path(ROOT / test).exists() for test in defect.tests)
