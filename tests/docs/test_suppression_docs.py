"""docs/suppression.md is true: each of its files loads, and each of its stories happens, event by event."""

import asyncio
import re
import typing
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from relay.alert import instant
from relay.config import load
from relay.config.schema import Route
from relay.page import SuppressionKind
from tests.docs import pages
from tests.docs.stories import play, read
from tests.docs.test_examples import EXAMPLES, run, tool, with_secrets
from tests.integration.house import open_house
from tests.integration.timelapse import open_relay

PAGE = "docs/suppression.md"


class Example(NamedTuple):
    """A section's whole file, and the story of it."""

    title: str
    file: str
    story: str


def sections() -> Iterator[tuple[str, str]]:
    for part in re.split(r"^#{2,3} ", pages.page(PAGE), flags=re.MULTILINE)[1:]:
        title, _, text = part.partition("\n")
        yield title, text


def examples() -> Iterator[Example]:
    for title, text in sections():
        files = [block for block in pages.blocks(text, "yaml") if block.startswith("# relay.yml")]
        stories = list(pages.blocks(text, "story"))
        assert len(files) == len(stories) <= 1, f"{title}: one file, one story"
        if files:
            yield Example(title, files[0], stories[0])


EACH = pytest.mark.parametrize("example", list(examples()), ids=lambda example: example.title)


async def tell(tmp_path: Path, file: str, story: str) -> None:
    """Play a story against the real rules, store, dispatcher and a stand-in for PagerDuty, by a clock that is moved."""
    async with open_relay(tmp_path, yaml.safe_load(with_secrets(tmp_path, file).read_text())) as relay:
        await play(relay, story)


@EACH
def test_every_file_loads_without_a_warning(tmp_path: Path, example: Example) -> None:
    assert load(with_secrets(tmp_path, example.file), {}).warnings == ()


@EACH
async def test_every_story_happens_as_it_is_told(tmp_path: Path, example: Example) -> None:
    await tell(tmp_path, example.file, example.story)


def lies(story: str) -> Iterator[tuple[str, str]]:
    """Return a story with each of its expectations left out, put off, and said otherwise."""
    lines = [*story.splitlines(), "13:00  -> nothing"]
    for number, line in enumerate(lines):
        if " -> " not in line or "nothing" in line:
            continue
        later = re.sub(r":(\d\d)", lambda found: f":{int(found[1]) + 1:02}", line, count=1)
        worse = re.sub(r"(warning|critical)$", "error", line)
        other = {"left out": None, "later": later, "other page": line + " node=z", "severity": worse}
        for what, instead in other.items():
            if instead != line:
                told = [*lines[:number], *([] if instead is None else [instead]), *lines[number + 1 :]]
                yield f"{what}: {line}", "\n".join(sorted(told, key=lambda one: read(one)[0].at))


def of(title: str) -> Example:
    return next(example for example in examples() if example.title == title)


@pytest.mark.parametrize(
    "story", [pytest.param(story, id=what) for what, story in lies(of("An alert must fire for a while").story)]
)
async def test_a_story_that_is_not_true_fails(tmp_path: Path, story: str) -> None:
    with pytest.raises(AssertionError):
        await tell(tmp_path, of("An alert must fire for a while").file, story)


@pytest.mark.parametrize(
    "line",
    [
        "12:00:30  explain CpuHot: it is somebody's birthday",
        "12:00:30  -> nothing at all",
        "12:00:30  -> trigger CpuHot warning",
        "12:06:00  -> nothing\n12:07:00  -> trigger CpuHot warning",
    ],
)
async def test_a_story_that_tells_too_much_fails(tmp_path: Path, line: str) -> None:
    with pytest.raises(AssertionError):
        await tell(tmp_path, of("An alert must fire for a while").file, f"12:00  fires CpuHot severity=warning\n{line}")


async def test_a_window_over_midnight_is_the_night_of_the_day_it_began_on(tmp_path: Path) -> None:
    (fragment,) = [
        block for block in pages.blocks(dict(sections())["Time windows"], "yaml") if not block.startswith("# relay.yml")
    ]
    file = (
        "route: {receiver: a, routes: [{matchers: ['team=\"batch\"'], mute_time_intervals: [nights], outside: hold}]}\n"
        f"{fragment}"
        "receivers: [{name: a, pagerduty_configs: [{routing_key_file: /run/secrets/a}]}]\n"
    )
    story = """\
Thu 23:00  fires BatchSlow team=batch severity=warning
Thu 23:00  -> trigger BatchSlow warning
Fri 05:00  resolves BatchSlow
Fri 05:00  -> resolve BatchSlow
Fri 23:00  fires BatchFailed team=batch severity=warning
Sat 06:00  -> trigger BatchFailed warning
Sat 23:00  fires BatchLate team=batch severity=warning
Sat 23:00  -> trigger BatchLate warning"""

    (warning,) = load(with_secrets(tmp_path, file), {}).warnings
    assert "midnight" in str(warning)
    await tell(tmp_path, file, story)


async def test_the_real_amtool_does_what_is_written(tmp_path: Path) -> None:
    tool("amtool")
    (console,) = pages.blocks(dict(sections())["Silences"], "console")
    commands = [line.removeprefix("$ ") for line in console.splitlines()]
    said = []

    async with open_house(tmp_path) as house:
        house.now = instant(datetime.now(UTC))  # amtool has a clock of its own
        for command in commands:
            line = command.replace("127.0.0.1:9095", f"127.0.0.1:{house.port}").replace(
                "amtool ", "amtool --no-version-check "
            )
            process = await asyncio.create_subprocess_shell(
                line, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
            )
            out, err = await process.communicate()
            assert (process.returncode, err) == (0, b""), (line, err)
            said.append(out.decode())
        house.now = instant(datetime.now(UTC))

        (silence,) = house.silencer.list()
        assert (silence.id, silence.created_by, silence.comment) == (said[0].strip(), "anna", "disk swap")
        assert silence.id in said[1]
        assert silence.ends_at <= house.now


def test_every_kind_and_every_key_has_its_place_on_the_page() -> None:
    text = pages.page(PAGE)
    named = {"inhibit_hold", "across_sources", "hold_trigger", "hold_resolve", "flap", "regroup", "on_mute", "on_stale"}
    named |= {
        "stale_after",
        "group_wait",
        "resolve_timeout",
        "heartbeats",
        "mute_time_intervals",
        "active_time_intervals",
    }

    assert {name for name in named if not re.search(rf"\b{name}\b", text)} == set()
    assert set(SuppressionKind) == {
        *("unrouted", "silence", "inhibition", "mute_time_interval", "active_time_interval", "hold", "inhibit_hold")
    }, "a new kind needs a section with an example and a story"


@pytest.mark.parametrize(("section", "key"), [("Time windows", "outside"), ("When a page is muted", "on_mute")])
def test_every_value_is_in_its_table(section: str, key: str) -> None:
    literal, _ = typing.get_args(Route.model_fields[key].annotation)  # or None

    assert pages.listed(dict(sections())[section]) == set(typing.get_args(literal))


@pytest.mark.parametrize("title", [example.title for example in examples()])
def test_every_section_says_what_its_kind_does_not_do(title: str) -> None:
    text = dict(sections())[title]
    parent = "Inhibition" if title == "More than one Alertmanager" else title

    assert text.lstrip().startswith("*"), "the problem, in a sentence"
    assert "**What it does not do.**" in dict(sections())[parent]


def test_promtool_accepts_the_example_of_a_prometheus_that_posts_here(tmp_path: Path) -> None:
    for name in ("prometheus.yml", "prometheus-rules.yml"):
        (tmp_path / name).write_text((EXAMPLES / name).read_text())

    run(tool("promtool"), "check", "config", str(tmp_path / "prometheus.yml"))


def test_the_example_prometheus_posts_to_a_door_of_the_relay() -> None:
    told = yaml.safe_load((EXAMPLES / "prometheus.yml").read_text())
    (manager,) = told["alerting"]["alertmanagers"]

    assert manager["path_prefix"] in ("/", "/source/prod")
    assert manager["api_version"] == "v2"
    assert manager["static_configs"] == [{"targets": ["pagerelay:9095"]}]
