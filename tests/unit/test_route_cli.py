"""`pagerelay route` draws and answers as amtool does, and says what a route would do with an alert at a time."""

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from relay.answers.times import read_time
from relay.cli.instants import read_instant
from relay.cli.route import route
from tests.amtool_differential import Comparison, run
from tests.unit.configuring import write

FILE = """\
route:
  receiver: platform
  routes:
  - {matchers: [severity="warning"], receiver: low, continue: true, mute_time_intervals: [nights], outside: hold}
  - {matchers: [severity="warning"], receiver: drop, continue: true, mute_time_intervals: [nights]}
  - matchers: [severity=~"warning|critical"]
    receiver: platform
    active_time_intervals: [office]
    outside: downgrade
    hold_trigger: 5m
    continue: true
  - {matchers: [kind="deploy"], receiver: platform, change: true, hold_trigger: 5m}
  - {receiver: nobody}
inhibit_rules:
- {name: node, source_matchers: [alertname=NodeDown], target_matchers: [alertname=Disk], inhibit_hold: 30s}
time_intervals:
- {name: nights, time_intervals: [{times: [{start_time: '22:00', end_time: '06:00'}]}]}
- {name: office, time_intervals: [{times: [{start_time: '09:00', end_time: '17:00'}]}]}
receivers:
- {name: platform, pagerduty_configs: [{routing_key_file: not-here}]}
- {name: low, pagerduty_configs: [{routing_key_file: not-here-either, severity: info}]}
- {name: drop, pagerduty_configs: [{routing_key: '${NOT_SET}'}]}
- {name: nobody}
"""
NIGHT, DAY = "2026-11-23T23:00:00Z", "2026-11-24T12:00:00Z"
MUTED = 'muted by time interval "nights" until 2026-11-24 06:00 UTC'
OUTSIDE = 'outside of active time interval "office" until 2026-11-24 09:00 UTC'


def ask(file: Path, *words: str, command: str = "test") -> Result:
    return CliRunner().invoke(route, [command, f"--config.file={file}", *words])


def then(answer: Result) -> list[list[str]]:
    """The rows of the table, cell by cell."""
    assert answer.exit_code == 0, answer.output
    return [[cell for cell in line.split("  ") if cell] for line in answer.stdout.splitlines()[4:]]


@pytest.mark.parametrize(
    ("at", "labels", "rows"),
    [
        (
            NIGHT,
            "severity=warning",
            [
                ["low", "held", "info", f" {MUTED}; outside: hold, so it pages then if it fires"],
                [
                    "drop",
                    "muted",
                    "warning",
                    f"{MUTED}; outside: drop, so it pages only if it is heard again after that",
                ],
                ["platform", "held", "warning", "hold_trigger: pages if it still fires at 23:05:00 UTC"],
                ["nobody", "pages nobody", " receiver nobody has no pagerduty_configs"],
            ],
        ),
        (
            NIGHT,
            "severity=critical",
            [
                [
                    "platform",
                    "downgraded",
                    "warning",
                    f"{OUTSIDE}; outside: downgrade, so it pages as warning for so long",
                ],
                ["nobody", "pages nobody", " receiver nobody has no pagerduty_configs"],
            ],
        ),
        (
            DAY,
            "severity=critical",
            [
                ["platform", "pages", " critical"],
                ["nobody", "pages nobody", "receiver nobody has no pagerduty_configs"],
            ],
        ),
        (DAY, "kind=deploy", [["platform", "change event"]]),
    ],
)
def test_each_receiver_says_what_it_would_do_then(at: str, labels: str, rows: list[list[str]], tmp_path: Path) -> None:
    """Also where the secrets that the file names are not at hand: a rule author has none of them."""
    found = then(ask(write(tmp_path, FILE), f"--time={at}", labels))

    assert [[cell.strip() for cell in row] for row in found] == [[cell.strip() for cell in row] for row in rows]


def test_the_default_severity_is_said_and_so_is_who_may_inhibit(tmp_path: Path) -> None:
    rest = FILE[FILE.index("inhibit_rules") :].replace(", severity: info", "")
    file = write(tmp_path, "route: {receiver: low}\n" + rest)

    assert (
        then(ask(file, f"--time={DAY}", "a=b"))[0][-1].strip() == "label severity is missing: paged as error (default)"
    )
    (row,) = then(ask(file, f"--time={DAY}", "alertname=Disk"))
    assert row[1].strip() == "held"
    assert row[-1].strip() == 'waits until 12:00:30 UTC for an alert that inhibit rule "node" may inhibit it with'


def test_the_first_line_stays_amtools(tmp_path: Path) -> None:
    file = write(tmp_path, FILE)

    plain = ask(file, "severity=warning").stdout
    assert plain == "low,drop,platform,nobody\n"
    assert ask(file, "severity=warning", f"--time={DAY}").stdout.startswith(
        plain + "\nIf it begins to fire at 2026-11-24"
    )


def test_a_time_needs_a_file_that_loads(tmp_path: Path) -> None:
    answer = ask(write(tmp_path, FILE.replace("inhibit_hold: 30s", "inhibit_hold: soon")), f"--time={DAY}", "a=b")

    assert (answer.exit_code, "inhibit_hold" in answer.stderr) == (1, True)


def test_a_store_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    answer = ask(write(tmp_path, FILE), f"--store={tmp_path / 'nowhere'}", command="show")

    assert (answer.exit_code, answer.stdout) == (1, "")
    assert "there is no store to read in" in answer.stderr


NOON = read_time("2026-11-23T12:00:30Z")


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-11-24T03:00:00Z", "2026-11-24T03:00:00Z"),
        ("2026-11-24T03:00:00+01:00", "2026-11-24T02:00:00Z"),
        ("2026-11-24 03:00Z", "2026-11-24T03:00:00Z"),
        ("03:00", "2026-11-24T03:00:00Z"),
        ("12:00", "2026-11-24T12:00:00Z"),
        ("12:01", "2026-11-23T12:01:00Z"),
        ("9:05", "2026-11-24T09:05:00Z"),
    ],
)
def test_a_time_of_day_is_the_next_one(text: str, at: str) -> None:
    assert read_instant(text, NOON) == read_time(at)


@pytest.mark.parametrize("text", ["", "24:00", "tomorrow", "2026-11-24", "2026-11-24T03:00:00", "1969-12-31T00:00:00Z"])
def test_what_is_no_time_is_a_usage_error_that_says_what_is(text: str, tmp_path: Path) -> None:
    answer = ask(write(tmp_path, FILE), f"--time={text}", "a=b")

    assert answer.exit_code == 2
    assert "or 03:00 for the next time" in answer.stderr


def test_random_trees_are_drawn_and_answered_as_amtool_does(tmp_path: Path) -> None:
    """A short part of `python -m tests.amtool_differential`."""
    amtool = shutil.which("amtool")
    if amtool is None:
        pytest.skip("AMTOOL IS MISSING: install prometheus-alertmanager to compare with it")
    comparison = Comparison(amtool, tmp_path)

    run(comparison, 12, 20261123)

    assert comparison.counts["comparisons"] > 30
