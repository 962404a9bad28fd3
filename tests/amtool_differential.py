"""Compares `pagerelay route` with the real amtool over random routing trees: `python -m tests.amtool_differential`.

A tree stays inside what amtool 0.25 understands: classic matchers and label names, none of the relay's own keys.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
from click.testing import CliRunner
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from relay.cli.route import route

Tree = dict[str, Any]
Labels = tuple[tuple[str, str], ...]

NAMES = ("a", "b", "_c", "job2")
"""Few, so that matchers and labels meet."""
VALUES = (
    "1",
    "2",
    "",
    "x y",
    'say "x"',
    "back\\slash",
    "two\nlines",
    "tab\t",
    "ä€😀",
    "{a}",
    "a|b",
    "1.50",
    "0x10",
    "a,b",
    " ",
)
REGEXES = (
    "1|2",
    ".*",
    ".+",
    "",
    "[12]",
    "1.*",
    "(?i)X Y",
    "^1$",
    "a\\|b",
    "\\d+(\\.\\d+)?",
    "(1|2)?",
    "ä.*",
    "x\\sy",
    "(?s)two.lines",
)
RECEIVERS = ("default", "team-x", "team y", "ä", "r.1")
OPS = ("=", "!=", "=~", "!~")


def _quoted(value: str) -> str:
    """Write a value as a classic matcher has it (pkg/labels/parse.go)."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


@st.composite
def _matcher(draw: st.DrawFn) -> str:
    name, op = draw(st.sampled_from(NAMES)), draw(st.sampled_from(OPS))
    value = draw(st.sampled_from(REGEXES if "~" in op else VALUES))
    bare = value.isalnum() and value.isascii() and draw(st.booleans())
    around = draw(st.sampled_from(("", " ")))
    return f"{name}{around}{op}{around}{value if bare else _quoted(value)}"


_OWN = st.fixed_dictionaries(
    {"continue": st.sampled_from((True, True, False))},
    optional={
        "receiver": st.sampled_from(RECEIVERS),
        "matchers": st.lists(_matcher(), max_size=2),
        "match": st.dictionaries(st.sampled_from(NAMES), st.sampled_from((*VALUES, 1, 2, True)), max_size=1),
        "match_re": st.dictionaries(st.sampled_from(NAMES), st.sampled_from(REGEXES), max_size=1),
        "group_by": st.lists(st.sampled_from(NAMES), min_size=1, max_size=2, unique=True) | st.just(["..."]),
        "group_wait": st.sampled_from(("0s", "30s")),
        "repeat_interval": st.sampled_from(("4h", "1h30m")),
    },
)


def _with_children(children: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
    return st.builds(lambda own, below: {**own, "routes": below}, _OWN, st.lists(children, min_size=1, max_size=4))


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    """Make a whole configuration."""
    below = draw(st.lists(st.recursive(_OWN, _with_children, max_leaves=12), max_size=5))
    root = {"receiver": draw(st.sampled_from(RECEIVERS)), "routes": below}
    return {"route": root, "receivers": [{"name": name} for name in RECEIVERS]}


label_sets: st.SearchStrategy[list[Labels]] = st.lists(
    st.dictionaries(st.sampled_from(NAMES), st.sampled_from(VALUES)).map(lambda one: tuple(one.items())),
    min_size=2,
    max_size=6,
)
"""Several for one tree: a tree is dearer than a question."""


class Comparison:
    """Asks both the same, and counts what was asked."""

    def __init__(self, amtool: str, directory: Path) -> None:
        self._amtool = amtool
        self._file = directory / "routes.yml"
        self.counts: Counter[str] = Counter()

    def compare(self, tree: Tree, questions: Sequence[Labels]) -> None:
        """Raise AssertionError where the two differ, with what was asked and both answers."""
        text = json.dumps(tree, ensure_ascii=False)
        self._file.write_text(text, encoding="utf-8")
        self.counts["trees"] += 1
        self.counts["routes"] += sum(1 for _ in _walk(tree["route"]))
        theirs = self._same("show")
        self.counts["trees that both refuse"] += theirs is None
        for labels in questions:
            words = [f"{name}={_quoted(value)}" for name, value in labels]
            self.counts["label sets"] += 1
            said = self._same("test", "--tree", *words)
            if said is not None:
                receivers = said.splitlines()[-1]
                self.counts["label sets that several routes take"] += "," in receivers
                self.counts["label sets that more than the root takes"] += "Matching" in said and "    " in said
                self._same("test", f"--verify.receivers={receivers}", *words)

    def _same(self, command: str, *words: str) -> str | None:
        """Return what both say; None where both refuse."""
        self.counts["comparisons"] += 1
        asked = [command, f"--config.file={self._file}", *words]
        theirs = subprocess.run([self._amtool, "config", "routes", *asked], capture_output=True, timeout=30)
        ours = CliRunner().invoke(route, asked)
        said = theirs.stdout.decode("utf-8", "replace")
        told = f"asked: {asked}\nof: {self._file.read_text(encoding='utf-8')}\namtool: {theirs.returncode} {said}"
        told += f"{theirs.stderr.decode('utf-8', 'replace')}\npagerelay: {ours.exit_code} {ours.output}"
        both_refuse = ours.exit_code != 0 and theirs.returncode != 0 and not said
        assert both_refuse or (ours.exit_code, ours.stdout) == (theirs.returncode, said), told
        return said if theirs.returncode == 0 else None


def _walk(node: Tree) -> Iterator[Tree]:
    yield node
    for child in node.get("routes", ()):
        yield from _walk(child)


def run(comparison: Comparison, examples: int, start: int) -> None:
    """Compare so many random trees; raises AssertionError with the smallest that differs."""

    @seed(start)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(trees(), label_sets)
    def compared(tree: Tree, questions: list[Labels]) -> None:
        comparison.compare(tree, questions)

    compared()


@click.command()
@click.option("--trees", "examples", default=2_000, show_default=True, help="Random routing trees.")
@click.option("--seed", "start", default=20261123, show_default=True)
def main(examples: int, start: int) -> None:
    """Compare `pagerelay route show` and `route test` with amtool's."""
    amtool = shutil.which("amtool")
    if amtool is None:
        sys.exit("amtool is missing: install prometheus-alertmanager")
    with tempfile.TemporaryDirectory() as directory:
        comparison = Comparison(amtool, Path(directory))
        try:
            run(comparison, examples, start)
        finally:
            for what, count in comparison.counts.items():
                click.echo(f"{count:>9,} {what}")
    click.echo("        0 differences")


if __name__ == "__main__":
    main()
