"""The project's own cases are true, and a case that is not true fails with its place, what was got, and why."""

import asyncio
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result

from relay.__main__ import main
from relay.cases import Report, read_cases, run

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "tests" / "cases").glob("*.yml"))
CASES = [(file, case.name) for file in FILES for case in read_cases(file).cases]


@pytest.fixture(scope="module")
def report() -> Report:
    return asyncio.run(run([read_cases(file) for file in FILES], {}))


@pytest.mark.parametrize(("file", "name"), [pytest.param(*one, id=f"{one[0].stem}: {one[1]}") for one in CASES])
def test_each_case_of_the_project_is_true(report: Report, file: Path, name: str) -> None:
    (result,) = [one for one in report.results if (one.file, one.case.name) == (file, name)]

    assert result.failures == ()


def test_they_are_many_and_reach_every_route_and_rule(report: Report) -> None:
    assert len(report.results) >= 25
    assert [(one.file, list(one.missed())) for one in report.covered if list(one.missed())] == []


CONFIG = """\
config:
  route:
    receiver: platform
    group_by: [alertname]
    hold_trigger: 5m
    routes:
      - matchers: ['team="db"']
        receiver: db
  inhibit_rules:
    - {source_matchers: ['alertname="Down"'], target_matchers: ['team="db"']}
  receivers:
    - {name: platform, pagerduty_configs: [{routing_key: 0123456789abcdef0123456789abcdef}]}
    - {name: db, pagerduty_configs: [{routing_key_file: /nowhere/db}]}
cases:
  - name: a disk is full
    given:
      - {at: 0m, fires: {alertname: Disk, team: db, severity: critical}}
      - {at: 2m, fires: {alertname: Cpu, severity: warning}}
      - {at: 20m, resolves: {alertname: Disk, team: db, severity: critical}}
    then:
"""
ANOTHER = """    - {source_matchers: ['alertname="Gone"'], target_matchers: ['team="db"']}\n"""
"""A rule with the same targets, of which no source fires."""
DISK = "{alertname: Disk, team: db, severity: critical}"
SENT = """\
      - at: 30m
        sent:
          - {at: 0m, action: trigger, receiver: db, page: disk, severity: critical}
          - {at: 7m, action: trigger, receiver: platform, severity: warning}
          - {at: 20m, action: resolve, page: disk}
"""


@pytest.fixture
def play(tmp_path: Path) -> "Play":
    return Play(tmp_path)


class Play:
    """Runs `pagerelay test` on a case file."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / "cases.yml"

    def __call__(self, then: str, *options: str, env: dict[str, str] | None = None) -> Result:
        self.file.write_text(CONFIG + then)
        return CliRunner().invoke(main, ["test", *options, str(self.file)], env=env)

    def lines(self, then: str, *options: str) -> list[str]:
        """Return what is printed of a case that fails, without the file's name."""
        done = self(then, *options)
        assert done.exit_code == 1, done.output
        told = done.stdout.replace(str(self.file), "cases.yml")
        return [line.strip() for line in told.splitlines()]


def test_what_is_true_passes(play: Play) -> None:
    done = play(SENT)

    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0] == f"ok    {play.file}: 1 of 1 passed"


@pytest.mark.parametrize(
    ("then", "told"),
    [
        (
            f"      - {{alert: {DISK}, receivers: platform}}\n",
            [
                "cases.yml:21:77: at 0m: alert Disk: receivers",
                "expected  platform",
                "got       db",
                "because   route {} (line 3) matches",
                'route {}/{team="db"}/0 (line 7) matches',
            ],
        ),
        (
            f"      - {{alert: {DISK}, severity: error}}\n",
            [
                "cases.yml:21:76: at 0m: alert Disk: severity",
                "expected  error",
                "got       critical",
                'because   route {}/{team="db"} sends it to receiver db',
            ],
        ),
        (
            "      - {at: 3m, alert: {alertname: Cpu, severity: warning}, suppressed: no}\n",
            [
                "cases.yml:21:74: at 3m: alert Cpu: suppressed",
                "expected  no",
                "got       hold",
                "because   hold_trigger: pages if it still fires at 12:07:00 UTC",
            ],
        ),
        (
            f"      - {{alert: {DISK}, suppressed: [silence, hold]}}\n",
            ["cases.yml:21:78: at 0m: alert Disk: suppressed", "expected  silence, hold", "got       no"],
        ),
        (
            f"      - {{alert: {DISK}, because: it is Monday}}\n",
            [
                "cases.yml:21:75: at 0m: alert Disk: because",
                "expected  it is Monday",
                'got       route {}/{team="db"} sends it to receiver db',
            ],
        ),
        (
            "      - {alert: {alertname: Other}, firing: yes}\n",
            [
                "cases.yml:21:45: at 0m: alert Other: firing",
                "expected  yes",
                "got       no",
                "because   this alert was never said to fire",
            ],
        ),
        (
            SENT.replace("at: 7m", "at: 6m").replace("severity: warning", "severity: error"),
            [
                "expected  at: 6m, severity: error",
                "got       at: 7m, severity: warning",
                'because   12:00:00 Disk opens: route {}/{team="db"} sends it to receiver db',
            ],
        ),
        (
            SENT.replace("          - {at: 20m, action: resolve, page: disk}\n", ""),
            [
                "cases.yml:21:9: at 30m: events sent",
                "expected  nothing more",
                "got       at: 20m, action: resolve, page: disk, receiver: db",
            ],
        ),
        (
            SENT + "          - {at: 25m, action: acknowledge}\n",
            [
                "cases.yml:26:18: at 30m: events sent",
                "expected  at: 25m, action: acknowledge",
                "got       nothing more",
            ],
        ),
        ("      - {at: 1h, open: []}\n", ["cases.yml:21:9: at 1h: open at PagerDuty", "expected  nothing more"]),
        ("      - {at: 1h, sent: []}\n", ["cases.yml:21:9: at 1h: events sent", "expected  nothing more"]),
    ],
)
def test_what_is_not_true_fails_with_its_place_what_was_got_and_why(play: Play, then: str, told: list[str]) -> None:
    lines = play.lines(then)

    assert [line for line in told if line not in lines] == [], "\n".join(lines)


def test_a_name_chooses_cases(play: Play) -> None:
    more = SENT + "  - name: another one\n    then: [{at: 0m, sent: [{}]}]\n"

    assert play(more).exit_code == 1
    assert play(more, "-k", "DISK").exit_code == 0
    assert play(more, "-k", "nobody").exit_code == 2


def test_coverage_names_what_no_case_reached_and_may_be_too_little(play: Play) -> None:
    first = play.lines(SENT, "--coverage", "--coverage.minimum", "70")

    assert first[-2:] == [
        "cases.yml: 2 of 2 routes, 0 of 1 inhibit rules reached",
        "cases.yml:10: the inhibit rule in line 10: it keeps no alert of a case quiet",
    ]
    assert play(SENT, "--coverage.minimum", "66").exit_code == 0


def test_a_rule_is_reached_by_an_alert_that_it_keeps_quiet(play: Play) -> None:
    rule = """\
      - {at: 0m, sent: [{}]}
  - name: inhibited
    given:
      - {fires: [{alertname: Down, severity: critical}, {alertname: Disk, team: db, severity: critical}]}
    then:
      - {at: 0m, sent: [{summary: {contains: Down}}]}
"""
    done = play(rule, "--coverage", "--coverage.minimum", "100")

    assert done.exit_code == 0, done.output
    play.file.write_text(play.file.read_text().replace("inhibit_rules:\n", "inhibit_rules:\n" + ANOTHER))
    more = CliRunner().invoke(main, ["test", "--coverage", str(play.file)])
    assert f"{play.file}: 2 of 2 routes, 1 of 2 inhibit rules reached" in more.stdout
    assert f"{play.file}:10: the inhibit rule in line 10" in more.stdout


def test_junit_names_each_case_with_what_failed(play: Play, tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    done = play(SENT + "  - name: another one\n    then: [{at: 0m, sent: [{}]}]\n", "--junit", str(report))

    assert done.exit_code == 1
    root = ElementTree.parse(report).getroot()
    assert {name: root.get(name) for name in ("tests", "failures", "errors")} == {
        "tests": "2",
        "failures": "1",
        "errors": "0",
    }
    good, bad = root.iter("testcase")
    assert (good.get("name"), good.get("file"), good.get("line")) == ("a disk is full", str(play.file), "15")
    assert good.find("failure") is None
    failure = bad.find("failure")
    assert failure is not None
    assert failure.get("message") == "events sent: expected anything, got nothing more"


def test_what_cannot_be_read_or_does_not_load_is_no_failed_case(play: Play, tmp_path: Path) -> None:
    unread, unloaded = play("      - {sent: {}}\n"), CliRunner()
    play.file.write_text((CONFIG + SENT).replace("receiver: db\n", "receiver: bd\n"))
    loaded = unloaded.invoke(main, ["test", str(play.file)])

    assert (unread.exit_code, loaded.exit_code) == (2, 2)
    assert f"{play.file}:21:16: cases[0].then[0].sent: here a list is needed" in unread.stderr
    assert f'{play.file}:8:19: route.routes[0].receiver: undefined receiver "bd" used in route' in loaded.stderr
    assert "0123456789abcdef" not in unread.output + loaded.output


def test_what_cannot_happen_is_told_where_it_is_given(play: Play) -> None:
    nothing = "      - {at: 0m, sent: [{}]}\n  - name: two\n    given: [{silence: ['a=~\".*\"'], lasts: 1h}]\n"
    lines = play.lines(nothing + "    then: [{sent: []}]\n")

    assert "cases.yml:23:1: at 0m: what is given" in lines
    assert "got       silence invalid: at least one matcher must not match the empty string" in lines


def test_a_source_that_the_routing_file_does_not_name_is_told(play: Play) -> None:
    play.file.write_text(CONFIG.replace("config:\n", "source: stagin\nconfig:\n  sources: [{name: prod}]\n") + SENT)
    done = CliRunner().invoke(main, ["test", str(play.file)])

    assert done.exit_code == 1
    assert f"expected  one of the sources of {play.file}: prod" in done.stdout


def test_colours_are_for_terminals(play: Play) -> None:
    assert "\x1b[" not in play(SENT).output
    assert "\x1b[" in CliRunner().invoke(main, ["test", str(play.file)], color=True).output
    assert "\x1b[" not in CliRunner().invoke(main, ["test", str(play.file)], color=True, env={"NO_COLOR": "1"}).output
