"""docs/http-api.md lists the doors as relay/web/routes.py has them."""

import re
from pathlib import Path
from typing import Any

import msgspec

from relay.answers import ExplainAnswer, PageAnswer, PageLine, StatusAnswer
from relay.answers.words import PageState
from relay.decision import Verdict
from relay.page import State, Wanted
from relay.web import Doors
from relay.web.routes import Route, table

DOCS = (Path(__file__).parents[2] / "docs" / "http-api.md").read_text()


def _routes() -> tuple[Route, ...]:
    nothing: Any = None
    return table(Doors(nothing, nothing, nothing, nothing, nothing, nothing, nothing))


def test_every_door_has_a_heading_and_every_heading_a_door() -> None:
    headed = set(re.findall(r"`([A-Z]+) (/\S*)`", "\n".join(re.findall(r"^### (.*)$", DOCS, re.MULTILINE))))
    served = {(method, route.path) for route in _routes() for method in route.methods.split() if method != "HEAD"}

    assert headed == served


def test_every_get_takes_head_as_well() -> None:
    assert all("HEAD" in route.methods for route in _routes() if "GET" in route.methods)


def test_the_words_of_the_answers_are_documented() -> None:
    words = [*PageState, *Verdict, *State, *Wanted]

    assert [word for word in words if f"`{word}`" not in DOCS] == []


def test_the_fields_of_a_page_are_documented() -> None:
    fields = [*msgspec.structs.fields(PageLine), *msgspec.structs.fields(PageAnswer)]

    assert [field.name for field in fields if f"`{field.name}`" not in DOCS] == []


def test_answers_are_what_the_command_line_reads_back() -> None:
    for kind in (PageAnswer, StatusAnswer, ExplainAnswer):
        assert msgspec.json.Decoder(kind)
