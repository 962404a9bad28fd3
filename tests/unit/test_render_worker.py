"""The template worker: bombs cost one field and half a second, and the page always comes back."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from relay.errors import BadConfig
from relay.event import Rendered
from relay.rendering import Renderer, read_sources
from relay.rules.ruleset import Texts
from tests.unit.pages import member, page

PAGE = page(member("a"), member("b"))
DEFAULT = "[critical] HighErrorRate: checkout (cluster=eu1, 2 firing: pod a, b)"
FALLBACK = '[critical] HighErrorRate: 2 firing (template "description" failed)'

# Where a bomb is defused without a kill it takes milliseconds; a kill takes half a second, and a fork.
PROMPT = 0.7
# A machine that is busy with other tests can hold a whole process back for seconds; unbounded, all of these take more.
NOISE = 6.0


@pytest.fixture
async def renderer() -> AsyncIterator[Renderer]:
    made = Renderer(read_sources())
    await made.start()
    assert made.problem == ""
    yield made
    await made.close()


async def one(renderer: Renderer, **texts: object) -> Rendered:
    (rendered,) = await renderer.render([(PAGE, Texts(**texts))])  # type: ignore[arg-type]
    return rendered


BOMBS = {
    "nested loops": "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "nested loops that write": "{% for i in range(99999) %}{% for j in range(99999) %}x{% endfor %}{% endfor %}",
    "long product": "{{ 'a' * 10**9 }}",
    "long product of a list": "{{ [0] * 10**9 }}",
    "product in a loop": "{% set n = namespace(s='ab') %}"
    "{% for i in range(99999) %}{% set n.s = n.s ~ n.s %}{% endfor %}",
    "center": "{{ 'x' | center(10**9) }}",
    "ljust": "{{ 'x'.ljust(10**9) }}",
    "zfill": "{{ 'x'.zfill(4 * 10**9) }}",
    "wide format": "{{ '%1000000000d' | format(1) }}",
    "wide percent": "{{ '%1000000000d' % 1 }}",
    "str.format": "{{ '{:>1000000000}'.format('x') }}",
    "power tower": "{{ 9**(9**9) }}",
    "power chain": "{{ (9**99999)**99999 }}",
    "replace": "{{ ('a' * 60000) | replace('a', 'b' * 60000) }}",
    "recursion": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "double recursion": "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(60) }}",
    "self include": "{% include 'bomb.j2' %}",
    "great join": "{{ range(99999) | map('string') | join('x' * 60000) }}",
    "great sum": "{{ range(99999) | batch(1) | sum(start=[]) }}",
    "great range": "{{ range(10**12) | list }}",
    "great indent": "{{ ('a\n' * 30000) | indent(60000) }}",
    "regex": "{{ ('a' * 60000) | match('(a*)*(a*)*(a*)*b{1000}') }}{% for i in range(99999) %}"
    "{{ ('a' * 60000) | re_replace_all('a', 'bb') | length }}{% endfor %}",
    "great sort": "{% for i in range(99999) %}{% set x = range(99999) | sort(reverse=true) %}{% endfor %}",
    "deep nesting": "{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}",
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS.keys())
async def test_a_template_bomb_costs_its_field_and_half_a_second(tmp_path: Path, bomb: str) -> None:
    (tmp_path / "bomb.j2").write_text(bomb)
    renderer = Renderer(read_sources([tmp_path / "bomb.j2"]))
    await renderer.start()
    try:
        await renderer.render([(PAGE, Texts())])
        began = time.monotonic()
        rendered = await one(renderer, description=bomb, details={"fine": "{{ page }}"})
        took = time.monotonic() - began
    finally:
        await renderer.close()

    assert took < PROMPT + NOISE
    assert rendered.event.summary == FALLBACK
    assert rendered.failed_fields == ("description",)
    assert rendered.steps[0].by == "template"
    assert rendered.event.custom_details["fine"] == PAGE.page
    assert rendered.event.source == "checkout"


async def test_a_looping_field_is_killed_in_time(renderer: Renderer) -> None:
    for _ in range(5):
        began = time.monotonic()
        rendered = await one(renderer, description=f"{{# {began} #}}" + BOMBS["nested loops"])
        took = time.monotonic() - began
        if took < PROMPT:
            break

    assert took < PROMPT
    assert "it took longer than 0.5 s" in rendered.steps[0].because
    assert renderer.starts == 1


@pytest.mark.parametrize("field", ["source", "class_", "client_url"])
async def test_a_bomb_in_any_field_leaves_the_default_in_its_place(renderer: Renderer, field: str) -> None:
    rendered = await one(renderer, **{field: BOMBS["nested loops"]})

    assert rendered.failed_fields == (field.rstrip("_"),)
    assert rendered.event.summary == DEFAULT
    assert (rendered.event.source, rendered.event.class_) == ("checkout", "HighErrorRate")


async def test_bombs_in_details_and_links_cost_only_themselves(renderer: Renderer) -> None:
    loop = BOMBS["nested loops"]
    rendered = await one(
        renderer,
        details={"bad": loop, "good": "{{ status }}"},
        links=({"href": loop}, {"href": "https://wiki.example"}),
    )

    assert set(rendered.failed_fields) == {"details.bad", "links[0].href"}
    assert rendered.event.custom_details["bad"] == '(template "details.bad" failed)'
    assert rendered.event.custom_details["good"] == "firing"
    assert [link.href for link in rendered.event.links] == ["https://wiki.example"]


async def test_a_page_full_of_bombs_goes_out_plain(renderer: Renderer) -> None:
    began = time.monotonic()
    rendered = await one(renderer, details={str(n): BOMBS["nested loops"] for n in range(30)})

    assert time.monotonic() - began < 3 * PROMPT + NOISE
    assert rendered.event.summary == "[critical] HighErrorRate: 2 firing (its templates failed)"
    assert rendered.failed_fields == ("event",)
    assert "went out plain" in rendered.steps[0].because


async def test_many_pages_with_the_same_bomb_cost_two_kills(renderer: Renderer) -> None:
    bad = Texts(description=BOMBS["nested loops"], client="{{ page }}")
    began = time.monotonic()
    rendered = await renderer.render([(PAGE, bad if number % 2 else Texts()) for number in range(200)])

    assert time.monotonic() - began < 2 * PROMPT + NOISE
    assert renderer.losses == 2
    assert [one.event.summary for one in rendered] == [DEFAULT, FALLBACK] * 100
    assert all(one.event.client == PAGE.page for one in rendered[1::2])
    assert "rests" in rendered[-1].steps[0].because


async def test_slow_templates_share_one_second_a_page(renderer: Renderer) -> None:
    slow = "{% for i in range(20) %}{% set x = range(2000) | list | sort %}{% endfor %}{{ page }}"
    began = time.monotonic()
    rendered = await one(renderer, details={str(n): slow for n in range(1_500)})

    assert time.monotonic() - began < 1.5 + NOISE
    assert rendered.event.summary == DEFAULT
    assert rendered.event.custom_details["0"] == PAGE.page
    assert "longer than 1 s" in rendered.steps[-1].because


async def test_a_batch_comes_back_whole_and_in_order(renderer: Renderer) -> None:
    jobs = [(page(member(f"p{number}")), Texts(source="{{ common_labels.pod }}")) for number in range(350)]
    rendered = await renderer.render(jobs)

    assert [one.event.source for one in rendered] == [f"p{number}" for number in range(350)]
    assert await renderer.render([]) == []


async def test_large_pages_travel_whole(renderer: Renderer) -> None:
    large = page(*(member(f"p{number}", text=f"{number}" + "é" * 3_000) for number in range(1_000)))
    rendered = await renderer.render([(large, Texts())] * 5)

    assert [one.event.custom_details["num_firing"] for one in rendered] == [1_000] * 5
    assert all("not listed here" in one.event.custom_details["left_out"] for one in rendered)


async def test_renders_asked_for_at_once_do_not_mix(renderer: Renderer) -> None:
    texts = Texts(source="{{ common_labels.pod }}")
    answers = await asyncio.gather(*(renderer.render([(page(member(f"p{n}")), texts)]) for n in range(20)))

    assert [rendered.event.source for (rendered,) in answers] == [f"p{n}" for n in range(20)]


async def test_a_cancelled_render_leaves_nothing_behind(renderer: Renderer) -> None:
    mine = Texts(source="{{ common_labels.pod }}")
    asked = asyncio.create_task(renderer.render([(page(member(f"old{n}")), mine) for n in range(90)]))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked

    for pod in ("new", "newer"):
        (rendered,) = await renderer.render([(page(member(pod)), mine)])
        assert rendered.event.source == pod


async def test_a_template_that_asks_for_a_gigabyte_gets_half_of_it(renderer: Renderer) -> None:
    rendered = await one(renderer, description=BOMBS["ljust"])

    assert "it needed too much memory" in rendered.steps[0].because


async def test_the_loop_goes_on_while_a_template_loops(renderer: Renderer) -> None:
    looping = asyncio.create_task(one(renderer, description=BOMBS["nested loops"]))
    longest, last = 0.0, time.monotonic()
    while not looping.done():
        await asyncio.sleep(0.005)
        longest, last = max(longest, time.monotonic() - last), time.monotonic()

    assert longest < 0.45


def nursery(renderer: Renderer) -> int:
    """The worker's outer process."""
    assert renderer._worker is not None
    return renderer._worker._process.pid


def children(pid: int) -> list[int]:
    """The processes that a process has begun."""
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)
    return [int(line) for line in found.stdout.split()]


async def test_a_worker_that_is_killed_is_replaced(renderer: Renderer) -> None:
    await one(renderer)
    (child,) = children(nursery(renderer))
    os.kill(child, signal.SIGKILL)
    after_child = await one(renderer)
    os.killpg(nursery(renderer), signal.SIGKILL)
    after_all = await one(renderer)

    assert after_child.event.summary == DEFAULT
    assert after_all.event.summary == DEFAULT


async def test_a_worker_that_dies_idle_answers_for_no_page_but_its_own(renderer: Renderer) -> None:
    """As where the kernel wants its memory back: what it was asked next must not be answered twice."""
    await one(renderer)
    (child,) = children(nursery(renderer))
    os.kill(child, signal.SIGKILL)
    await asyncio.sleep(0.1)  # until the nursery has seen it
    pages = [page(member(name), dedup_key=name * 64) for name in "xyz"]
    rendered = [(await renderer.render([(one_page, Texts())]))[0] for one_page in pages]

    assert [answer.event.dedup_key for answer in rendered] == [one_page.dedup_key for one_page in pages]
    assert not any(answer.failed_fields for answer in rendered)


async def test_signals_that_end_the_relay_do_not_end_its_worker_first(renderer: Renderer) -> None:
    pid = nursery(renderer)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.killpg(pid, number)

    assert (await one(renderer)).event.summary == DEFAULT
    assert (nursery(renderer), renderer.losses) == (pid, 0)
    assert os.getpgid(pid) != os.getpgid(os.getpid())


async def test_closing_ends_the_processes(renderer: Renderer) -> None:
    pid = nursery(renderer)
    (child,) = children(pid)
    await renderer.close()

    assert not alive(pid)
    assert not alive(child)


def alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


PARENT = """
import asyncio, os
from relay.rendering import Renderer, read_sources
async def main():
    renderer = Renderer(read_sources())
    await renderer.start()
    print(renderer._worker._process.pid, flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


def test_the_worker_ends_when_the_relay_dies() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        pid = int(parent.stdout.readline())
        (child,) = children(pid)
        parent.kill()

    assert gone(pid)
    assert gone(child)


def gone(pid: int) -> bool:
    end = time.monotonic() + 5
    while alive(pid) and time.monotonic() < end:
        time.sleep(0.01)
    return not alive(pid)


async def test_the_worker_knows_nothing_of_the_relays_environment(
    monkeypatch: pytest.MonkeyPatch, renderer: Renderer
) -> None:
    monkeypatch.setenv("PAGERELAY_ROUTING_KEY", "0123456789abcdef0123456789abcdef")
    await renderer.reload(read_sources())

    assert b"0123456789abcdef" not in environment(nursery(renderer))


def environment(pid: int) -> bytes:
    return Path(f"/proc/{pid}/environ").read_bytes()


async def test_where_no_worker_can_be_started_pages_go_out_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    renderer = Renderer(read_sources())
    await renderer.start()
    rendered = await one(renderer)

    assert "No such file" in renderer.problem
    assert rendered.event.summary == "[critical] HighErrorRate: 2 firing (its templates failed)"
    assert "there is no template worker" in rendered.steps[0].because
    assert len(rendered.event.custom_details["firing"]) == 2

    monkeypatch.undo()
    await renderer.reload(read_sources())
    assert (await one(renderer)).event.summary == DEFAULT
    await renderer.close()


async def test_a_reload_changes_the_files(renderer: Renderer, tmp_path: Path) -> None:
    (tmp_path / "mine.j2").write_text("{% macro hello() %}hello{% endmacro %}")
    text = "{% from 'mine.j2' import hello %}{{ hello() }}"
    before = await one(renderer, description=text)
    await renderer.reload(read_sources([tmp_path / "mine.j2"]))
    after = await one(renderer, description=text)

    assert before.event.summary == FALLBACK
    assert after.event.summary == "hello"


async def test_a_template_file_that_loops_costs_a_field_as_any_text_does(tmp_path: Path) -> None:
    (tmp_path / "description.j2").write_text(BOMBS["nested loops"])
    (tmp_path / "class.j2").write_text("{% if %}")
    renderer = Renderer(read_sources([tmp_path / "description.j2", tmp_path / "class.j2"]))
    await renderer.start()
    rendered = await one(renderer)
    await renderer.close()

    assert rendered.event.summary == FALLBACK
    assert rendered.failed_fields == ("description", "class")


def test_template_files_that_cannot_be_read_are_all_named(tmp_path: Path) -> None:
    (tmp_path / "latin.j2").write_bytes(b"\xe9")
    with pytest.raises(BadConfig) as raised:
        read_sources([tmp_path / "missing.j2", tmp_path / "latin.j2"])

    assert [Path(problem.file).name for problem in raised.value.problems] == ["missing.j2", "latin.j2"]


def test_the_worker_imports_no_event_loop() -> None:
    code = "import sys, json, relay.rendering.worker; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert not {"asyncio", "aiohttp", "pydantic", "sqlite3"} & set(json.loads(done.stdout))


@pytest.fixture(autouse=True)
def no_worker_is_left() -> Iterator[None]:
    before = set(children(os.getpid()))
    yield
    assert all(gone(pid) for pid in set(children(os.getpid())) - before)
