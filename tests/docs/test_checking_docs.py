"""docs/checking.md lists every rule, and no other."""

from relay.cli.formats import FORMATS
from relay.config.rules import RULES
from tests.docs.pages import listed, page, tables


def test_every_rule_is_explained_with_a_remedy() -> None:
    text = page("docs/checking.md")

    assert listed(text) - {*FORMATS, "--format"} == RULES.keys()
    assert all(all(row) for table in tables(text) for row in table)
