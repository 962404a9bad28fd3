"""What checks find is written as programs read it: JSON, SARIF 2.1.0, GitHub's workflow commands."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from relay.cli.config import config
from relay.cli.formats import Finding, github_text, json_text, sarif_text
from tests.unit.configuring import KEY, paging, write

FINDING = Finding(
    "route-unreachable", "warning", "conf/my relay,1.yml", 3, 5, "route.routes[1]", "100% never:\nnot once"
)
BARE = Finding("yaml", "error", "/etc/relay.yml", 1, 1, "", "a tab")
BROKEN = paging(f"routing_key: {KEY}, descripshun: x", rest="inhibit_rules: [{source_matchers: [a=b, a=c]}]\n")


def check(*arguments: str) -> Result:
    return CliRunner().invoke(config, ["check", *arguments])


def test_workflow_commands_escape_what_would_end_them() -> None:
    assert github_text([FINDING, BARE]) == (
        "::warning file=conf/my relay%2C1.yml,line=3,col=5,title=route-unreachable"
        "::route.routes[1]: 100%25 never:%0Anot once\n"
        "::error file=/etc/relay.yml,line=1,col=1,title=yaml::a tab"
    )


def test_sarif_names_rule_place_and_level() -> None:
    log = json.loads(sarif_text([FINDING, BARE], {"route-unreachable": "Never reached.", "unused": "Not found."}))

    (run,) = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert log["version"] == "2.1.0"
    assert [rule["id"] for rule in rules] == ["route-unreachable", "unused", "yaml"]
    assert run["results"][0] == {
        "ruleId": "route-unreachable",
        "ruleIndex": 0,
        "level": "warning",
        "message": {"text": "100% never:\nnot once"},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": "conf/my%20relay%2C1.yml"},
                    "region": {"startLine": 3, "startColumn": 5},
                },
                "logicalLocations": [{"fullyQualifiedName": "route.routes[1]"}],
            }
        ],
    }
    place = run["results"][1]["locations"][0]
    assert place["physicalLocation"]["artifactLocation"]["uri"] == "file:///etc/relay.yml"
    assert "logicalLocations" not in place


def test_json_counts_by_level() -> None:
    told = json.loads(json_text([FINDING, BARE], files=[]))

    assert (told["files"], told["errors"], told["warnings"], told["notes"]) == ([], 1, 1, 0)
    assert told["findings"][1] == {
        **{"rule": "yaml", "level": "error", "file": "/etc/relay.yml", "line": 1, "column": 1},
        **{"path": "", "message": "a tab"},
    }


@pytest.mark.parametrize("form", ["text", "json", "sarif", "github"])
def test_each_format_tells_errors_and_warnings_and_no_secret(form: str, tmp_path: Path) -> None:
    answer = check(f"--format={form}", str(write(tmp_path, BROKEN)))

    assert answer.exit_code == 1
    assert "descripshun" in answer.stdout
    assert "no alert is on the source side" in answer.stdout
    assert KEY not in answer.output
    if form in ("json", "sarif"):
        json.loads(answer.stdout)


@pytest.mark.parametrize(("options", "status"), [((), 0), (("--strict",), 1)])
def test_warnings_fail_only_where_that_is_asked_for(options: tuple[str, ...], status: int, tmp_path: Path) -> None:
    file = write(tmp_path, "route: {receiver: a}\nreceivers: [{name: a}, {name: b}]\n")

    assert check(*options, str(file)).exit_code == status
    assert check(*options, str(write(tmp_path, "route: {receiver: a}\nreceivers: [{name: a}]\n"))).exit_code == 0


def test_a_clean_file_gives_github_nothing_to_show(tmp_path: Path) -> None:
    answer = check("--format=github", str(write(tmp_path, "route: {receiver: a}\nreceivers: [{name: a}]\n")))

    assert (answer.exit_code, answer.stdout) == (0, "")


def test_a_store_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    file = write(tmp_path, "route: {receiver: a}\nreceivers: [{name: a}]\n")

    answer = check(f"--store={tmp_path / 'nowhere'}", str(file))

    assert (answer.exit_code, answer.stdout) == (2, "")
    assert "there is no store to read" in answer.stderr
    assert not (tmp_path / "nowhere").exists()


def test_colours_are_for_terminals_and_not_with_no_color(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["check", str(write(tmp_path, BROKEN))]

    assert "\x1b[" not in CliRunner().invoke(config, arguments).stdout
    assert "\x1b[" in CliRunner().invoke(config, arguments, color=True).stdout
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in CliRunner().invoke(config, arguments, color=True).stdout
