"""The operators' file: what stands in it, what is wrong with it, and what nobody gets to see of it."""

from pathlib import Path

import pytest

from relay.config.operators import SHORTEST, Operators, read_operators
from relay.errors import BadConfig
from relay.secret import Secret

ANNA, BOB = "correct-horse-battery-staple", "8f14e45fceea167a5a36dedd4bea2543"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    found = tmp_path / "operators"
    found.touch(mode=0o600)
    return found


def faults(file: Path) -> list[str]:
    with pytest.raises(BadConfig) as refused:
        read_operators(file)
    return [str(problem).removeprefix(f"{file}:") for problem in refused.value.problems]


def test_each_line_is_an_operator_comments_and_blank_lines_are_none(file: Path) -> None:
    file.write_text(f"\ufeff# who may\n\n  anna:{ANNA}  \nbob@example.org:{BOB}:with:colons\r\n\t# and nobody else\n")

    operators, warnings = read_operators(file)

    assert warnings == ()
    assert operators.known(ANNA) == "anna"
    assert operators.known(ANNA, "anna") == "anna"
    assert operators.known(f"{BOB}:with:colons") == "bob@example.org"
    assert [
        operators.known(*one) for one in [(BOB,), (ANNA, "bob@example.org"), ("",), ("", "anna"), (ANNA + " ",)]
    ] == [None] * 5


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (ANNA, "2:1: no `name:secret`: write the operator's name, a colon and the secret"),
        ("anna:", "2:1: no `name:secret`: write the operator's name, a colon and the secret"),
        (
            f":{ANNA}",
            "2:1: the name before the colon is none: use 1 to 64 of A-Z a-z 0-9 . _ @ -, a letter or digit first",
        ),
        (f"an na:{ANNA}", "2:1: the name before the colon is none"),
        (f"{'x' * 65}:{ANNA}", "2:1: the name before the colon is none"),
        ("anna:short", f"2:1: the secret of anna is shorter than {SHORTEST} characters: `openssl rand -hex 24` makes"),
        ("anna:two words are not one", "2:1: the secret of anna holds a blank or what is not ASCII"),
        ("anna:straßenbahnfahrplan", "2:1: the secret of anna holds a blank or what is not ASCII"),
        (f"root:{ANNA}", "2:1: operator root stands above already: give each a name of their own"),
        (f"anna:{BOB}", "2:1: the secret of anna is that of an operator above: give each a secret of their own"),
    ],
)
def test_what_is_wrong_is_said_with_its_line_and_never_shown(file: Path, text: str, fault: str) -> None:
    file.write_text(f"root:{BOB}\n{text}\n")

    (found,) = faults(file)

    assert found.startswith(fault)
    assert not any(secret in found for secret in (ANNA, BOB, "short:", "two words", "straßen"))


def test_every_fault_is_told_at_once(file: Path) -> None:
    file.write_text(f"nothing\nanna:{ANNA}\nbob:short\n")

    assert [one.partition(":")[0] for one in faults(file)] == ["1", "3"]


def test_a_file_that_cannot_be_read_or_names_nobody_is_refused(file: Path) -> None:
    assert "there is no operator in this file" in faults(file)[0]
    file.write_bytes(b"\xff\xfe")
    assert "not UTF-8" in faults(file)[0]
    file.write_bytes(b"# " + b"x" * 1024 * 1024)
    assert "larger than 1 MiB" in faults(file)[0]
    file.unlink()
    assert "cannot read the operators' file: No such file or directory" in faults(file)[0]


def test_a_file_that_every_user_can_read_is_warned_of(file: Path) -> None:
    file.write_text(f"anna:{ANNA}\n")
    file.chmod(0o640)
    assert read_operators(file)[1] == ()

    file.chmod(0o644)
    (warning,) = read_operators(file)[1]
    assert (warning.warning, f"chmod o-r {file}" in warning.message) == (True, True)


def test_secrets_do_not_show() -> None:
    operators = Operators({"anna": Secret(ANNA)})

    assert ANNA not in repr(operators) + repr(vars(operators))
