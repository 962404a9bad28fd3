"""Whatever is asked of whatever door, in whatever way: never a 5xx, always words, and the relay serves on."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import aiohttp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from yarl import URL

from relay.web.routes import Route, table
from tests.acceptance.programs import Relay
from tests.fuzz import seeds
from tests.fuzz.mutate import WORDS, mutated
from tests.integration.house import CONFIG, alert, message

pytestmark = pytest.mark.acceptance

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW")
NAMES = (
    *("limit", "after", "before", "page", "fingerprint", "source", "dedup_key", "wanted", "delivered", "receiver"),
    *("filter", "active", "silenced", "verbose", "x", ""),
    *("events", "time", "no_silences", "incident"),
)
Request = tuple[str, str, list[str], list[tuple[str, str]], bytes | None, str]


def routes() -> tuple[Route, ...]:
    """Read the table of URLs; nothing is served for that."""
    return table(_Nothing())  # type: ignore[arg-type]


class _Nothing:
    """A house with nothing in it: the table is built without looking."""

    def __getattr__(self, name: str) -> "_Nothing":
        return self


PATHS = tuple(dict.fromkeys(route.path for route in routes()))
_text = st.one_of(st.sampled_from(WORDS), st.text(max_size=30), st.sampled_from(["open", "1", "-1", "9" * 40, "a=~b"]))
_part = _text.map(lambda text: text.encode("utf-8", "replace").decode())


def _path(path: str, parts: Sequence[str]) -> URL:
    """Put something in place of each {name} of a path."""
    given = iter(parts)
    raw = re.sub(r"\{[^}]*\}", lambda _: URL.build(path="/" + next(given)).raw_path[1:] or "%20", path)
    return URL(raw, encoded=True)


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[Relay]:
    """A whole relay, with every room behind its doors."""
    file = tmp_path / "relay.yml"
    file.write_text(CONFIG.replace("route:", "global: {pagerduty_url: 'http://127.0.0.1:9/v2/enqueue'}\nroute:", 1))
    relay = Relay(tmp_path, file)
    try:
        yield relay.start()
    finally:
        relay.put_away()


_requests = st.tuples(
    st.sampled_from(METHODS),
    st.sampled_from(PATHS),
    st.lists(_part, min_size=2, max_size=2),
    st.lists(st.tuples(st.sampled_from(NAMES), _part), max_size=3),
    st.one_of(
        st.none(),
        st.binary(max_size=40),
        st.integers(0, 10_000).map(lambda number: mutated(seeds.webhooks(), 1, number)),
        st.integers(0, 10_000).map(lambda number: mutated(seeds.alert_lists(), 1, number)),
        st.integers(0, 10_000).map(lambda number: mutated(seeds.silences(), 1, number)),
    ),
    st.sampled_from(["application/json", "text/plain", "application/json; charset=utf-16", "multipart/form-data"]),
)


async def test_no_request_at_any_door_is_answered_5xx(relay: Relay) -> None:
    asked: list[Request] = []

    @settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(st.lists(_requests, min_size=4, max_size=8))
    def collect(some: list[Request]) -> None:
        asked.extend(some)

    collect()
    async with aiohttp.ClientSession() as http:
        for method, path, parts, query, body, kind in asked:
            url = URL(relay.url).join(_path(path, parts)).with_query(query)
            async with http.request(method, url, data=body, headers={"Content-Type": kind}) as reply:
                answer = await reply.read()
                assert reply.status < 500, (method, str(url), body, reply.status, answer[:400])

    assert len(asked) > 400
    assert "Traceback" not in relay.output()
    assert relay.post(message(alert())).status == 200


def test_the_table_names_every_door() -> None:
    assert {"/webhook", "/api/v2/silences", "/api/v1/explain", "/pages/{id}", "/metrics"} <= set(PATHS)
