"""`config check` tells everything at once and `route test` answers as amtool does; no secret is shown by either."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from relay.cli.config import config, masked
from relay.cli.route import route
from tests.unit.configuring import KEY, paging, write

TREE = """\
route:
  receiver: d
  routes:
  - matchers: [a="1"]
    receiver: x
    continue: true
    routes: [{matchers: [b="2"], receiver: y}, {matchers: [c="2"], receiver: y}]
  - matchers: [a=~"1|2", c!="3"]
    receiver: z
  - {}
receivers: [{name: d}, {name: x}, {name: y}, {name: z}]
"""


def check(*files: Path) -> Result:
    return CliRunner().invoke(config, ["check", *map(str, files)])


def ask(file: Path, *arguments: str) -> Result:
    return CliRunner().invoke(route, ["test", f"--config.file={file}", *arguments])


def test_a_good_file_is_counted_as_amtool_counts(tmp_path: Path) -> None:
    file = write(tmp_path, paging("routing_key: KEY", rest="inhibit_rules: [{source_matchers: [a=b]}]\n"))

    answer = check(file)

    assert answer.exit_code == 0
    assert answer.stdout == (
        f"Checking '{file}'  SUCCESS\n"
        "Found:\n - global config\n - route\n - 1 inhibit rules\n - 1 receivers\n - 1 PagerDuty integrations\n"
        " - 0 templates\n"
        "Confirmation of pages is off: nothing says whether PagerDuty has an incident for a trigger that it took: "
        "set pagerduty.webhook_secret_files or pagerduty.api_token_file\n\n"
    )


def test_a_bad_file_shows_each_line_with_a_caret(tmp_path: Path) -> None:
    file = write(tmp_path, "route:\n  receiver: gone\n\n  grup_by: [x]\nreceivers: []\n")

    answer = check(file)

    assert answer.exit_code == 1
    assert answer.stdout == (
        f"Checking '{file}'  FAILED\n"
        f'{file}:2:13: route.receiver: undefined receiver "gone" used in route\n'
        "      receiver: gone\n"
        "                ^\n"
        f'{file}:4:3: route.grup_by: unknown field "grup_by"; did you mean "group_by"?\n'
        "      grup_by: [x]\n"
        "      ^\n\n"
    )
    assert answer.stderr == "error: failed to validate 1 file(s)\n"


def test_several_files_are_all_checked(tmp_path: Path) -> None:
    good = write(tmp_path, TREE)
    bad = tmp_path / "bad.yml"
    bad.write_text("")

    answer = check(bad, good, tmp_path / "missing.yml")

    assert answer.exit_code == 1
    assert [line.split("  ")[-1] for line in answer.stdout.splitlines() if line.startswith("Checking")] == [
        *("FAILED", "SUCCESS", "FAILED")
    ]
    assert "failed to validate 2 file(s)" in answer.stderr


def test_no_file_is_a_usage_error() -> None:
    assert check().exit_code == 2


@pytest.mark.parametrize(
    "text",
    [
        paging("routing_key: KEY, descripshun: x"),
        paging("descripshun: x, routing_key: 'KEY'"),
        paging('descripshun: x, "routing_key": "KEY"'),
        paging("routing_key: hunter2, descripshun: x"),
        "route: {receiver: r}\nglobal: {smtp_auth_password: hunter2, oops: 1}\nreceivers: [{name: r}]",
        "global: {slack_api_url: https://hooks/hunter2, oops: 1}",
        "global: {opsgenie_api_url: 'https://u:hunter2@x/', oops: 1}",
        "KEY: [",
        "routing_key: [KEY",
        "routing_key: {KEY: 1, KEY: 2}",
    ],
)
def test_lines_are_shown_without_the_secrets_in_them(text: str, tmp_path: Path) -> None:
    answer = check(write(tmp_path, text))

    assert answer.exit_code == 1
    assert "^" in answer.stdout
    assert KEY not in answer.output
    assert "hunter2" not in answer.output


@pytest.mark.parametrize(
    "line",
    [
        "dedup_key: 'text {labels.cluster}'",
        "routing_key_file: /run/secrets/platform",
        "previous_routing_key_files: [/run/secrets/old]",
        "native_keys: true",
        "pagerduty_url: https://events.pagerduty.com/v2/enqueue",
        "- matchers: ['team=\"payments\"', 'severity=~\"critical|page\"']",
        "default_receiver_of_the_platform_team: x",
    ],
)
def test_lines_without_secrets_are_shown_as_they_are(line: str) -> None:
    assert masked(line) == line


def test_masks_leave_every_column_where_it_is() -> None:
    assert masked(f"- {{routing_key: {KEY}, x: y}}") == f"- {{routing_key: {'*' * 32}, x: y}}"
    assert masked("password: 'a b'  # c") == "password: ** **  # c"


def test_a_long_line_is_shown_around_the_place(tmp_path: Path) -> None:
    answer = check(write(tmp_path, f"route: {{receiver: r, {'#' * 0}{' ' * 500}oops: 1}}\nreceivers: [{{name: r}}]"))

    shown, caret = answer.stdout.splitlines()[2:4]
    assert len(shown) < 180
    assert shown[caret.index("^") :].startswith("oops")


@pytest.mark.parametrize(
    ("labels", "receivers"),
    [
        ((), "d"),
        (("a=1", "b=2"), "y,z"),
        (("a=1",), "x,z"),
        (("a=1", "c=2"), "y,z"),
        (('a="2"',), "z"),
        (("a=2", "c=3"), "d"),
    ],
)
def test_route_test_prints_the_receivers(labels: tuple[str, ...], receivers: str, tmp_path: Path) -> None:
    answer = ask(write(tmp_path, TREE), *labels)

    assert (answer.exit_code, answer.stdout) == (0, f"{receivers}\n")


@pytest.mark.parametrize(("expected", "status"), [("y,z", 0), ("z,y", 1), ("", 1)])
def test_route_test_verifies_receivers(expected: str, status: int, tmp_path: Path) -> None:
    answer = ask(write(tmp_path, TREE), f"--verify.receivers={expected}", "a=1", "b=2")

    assert answer.exit_code == status
    assert ("WARNING: Expected receivers did not match resolved receivers." in answer.stdout) is bool(status)


@pytest.mark.parametrize("label", ["a", "a=~b", "a!=b", "=b", ""])
def test_a_label_that_is_none_is_a_usage_error(label: str, tmp_path: Path) -> None:
    assert ask(write(tmp_path, TREE), label).exit_code == 2


def test_route_test_refuses_a_tree_that_does_not_load(tmp_path: Path) -> None:
    answer = ask(write(tmp_path, TREE.replace("receiver: z", "receiver: gone")), "a=1")

    assert (answer.exit_code, answer.stdout) == (1, "")
    assert 'undefined receiver "gone" used in route' in answer.stderr


def test_route_test_answers_for_a_file_whose_receivers_are_not_ready(tmp_path: Path) -> None:
    answer = ask(write(tmp_path, paging("service_key: x")), "a=1")

    assert (answer.exit_code, answer.stdout) == (0, "r\n")
    assert "would not load: 1 error(s) outside the routes" in answer.stderr


def test_the_file_may_be_named_by_the_environment(tmp_path: Path) -> None:
    environ = {"PAGERELAY_CONFIG_FILE": str(write(tmp_path, TREE))}

    assert CliRunner().invoke(route, ["test", "a=2"], env=environ).stdout == "z\n"


@pytest.mark.parametrize("labels", [[], ["a=1", "b=2"], ["a=1", "c=2", "b=2"], ["a=9"]])
@pytest.mark.parametrize("options", [[], ["--tree"], ["--verify.receivers=q"]])
def test_route_test_and_amtool_print_the_same(labels: list[str], options: list[str], tmp_path: Path) -> None:
    amtool = shutil.which("amtool")
    if amtool is None:
        pytest.skip("AMTOOL IS MISSING: install prometheus-alertmanager to compare with it")
    file = write(tmp_path, TREE)
    command = [amtool, "config", "routes", "test", f"--config.file={file}", *options, *labels]

    theirs = subprocess.run(command, capture_output=True, text=True, timeout=30)
    ours = ask(file, *options, *labels)

    assert (ours.stdout, ours.exit_code) == (theirs.stdout, theirs.returncode)


def test_json_is_yaml_too(tmp_path: Path) -> None:
    text = json.dumps({"route": {"receiver": "r", "group_wait": "5s"}, "receivers": [{"name": "r"}]})

    assert ask(write(tmp_path, text)).stdout == "r\n"
