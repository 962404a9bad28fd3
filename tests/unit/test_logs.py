"""What stands in the log: one clean line each, no secrets, and no error over and over."""

import io
import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.logs import Log, Repeats, clean
from relay.secret import Secret

MINUTE = 60_000_000
AT = 1_795_393_272_123_456  # 2026-11-23T00:21:12.123456Z


def written(form: str = "logfmt", *, hidden: tuple[str, ...] = (), level: str = "info", **words: object) -> str:
    stream = io.StringIO()
    log = Log(lambda: AT, form=form, level=level, stream=stream)
    log.hide(hidden)
    log.info("accepted webhook", **words)
    return stream.getvalue()


def test_a_line_of_logfmt_starts_with_time_level_and_message() -> None:
    line = written(source="main", alerts=3, group_key='{}:{alertname="Down"}')

    assert line == (
        'ts=2026-11-23T00:21:12.123Z level=info msg="accepted webhook" source=main alerts=3 '
        'group_key="{}:{alertname=\\"Down\\"}"\n'
    )


def test_a_line_of_json_says_the_same() -> None:
    said = json.loads(written("json", source="main", alerts=3, none=None, ratio=0.5, endless=float("inf")))

    assert said == {
        "ts": "2026-11-23T00:21:12.123Z",
        "level": "info",
        "msg": "accepted webhook",
        "source": "main",
        "alerts": 3,
        "none": None,
        "ratio": 0.5,
        "endless": "inf",
    }


@pytest.mark.parametrize("form", ["logfmt", "json"])
@pytest.mark.parametrize("bad", ["\x1b[31m", "\x00", "\x9b", "\x7f", "\u202e", "\u2066", "\u200f", "\ud800", "\u2028"])
def test_characters_that_repaint_a_terminal_are_replaced(form: str, bad: str) -> None:
    line = written(form, group_key=f"a{bad}b")

    assert bad not in line
    assert "a�" in line


@given(
    words=st.dictionaries(st.text(min_size=1, max_size=5), st.text(), max_size=4),
    form=st.sampled_from(["logfmt", "json"]),
)
def test_whatever_it_is_given_it_writes_one_line(words: dict[str, Any], form: str) -> None:
    line = written(form, **{f"w{name}": value for name, value in words.items()})

    assert line.endswith("\n")
    assert len(line.splitlines()) == 1
    assert line.encode()


def test_hidden_strings_stand_in_no_line() -> None:
    line = written(hidden=("R0UT1NGKEY", "R0UT1NGKEYLONGER"), error="401 for R0UT1NGKEYLONGER", key=["R0UT1NGKEY"])

    assert "R0UT" not in line
    assert "<secret>LONGER" not in line


def test_a_secret_prints_as_itself_nowhere() -> None:
    assert "hush-hush" not in written(key=Secret("hush-hush"), keys={"a": Secret("hush-hush")})


def test_strings_too_short_to_be_secrets_are_not_hidden() -> None:
    assert "source=main" in written(hidden=("", "a"), source="main")


def test_a_long_value_is_cut() -> None:
    assert len(written(error="x" * 100_000)) < 3_000


def test_lines_below_the_level_are_left_out() -> None:
    assert written(level="warning") == ""


def test_a_log_that_cannot_be_written_stops_nothing() -> None:
    stream = io.StringIO()
    stream.close()

    Log(lambda: AT, stream=stream).error("disk full")


def test_the_same_failure_is_logged_once_in_five_minutes() -> None:
    stream, now = io.StringIO(), AT
    log = Log(lambda: now, stream=stream)

    for minute in range(7):
        now = AT + minute * MINUTE
        log.delivery_failed(("platform", "503"), "attempt failed", error="503")
    log.delivery_failed(("platform", "timeout"), "attempt failed", error="timeout")

    times = [line.split()[0] for line in stream.getvalue().splitlines()]
    assert times == ["ts=2026-11-23T00:21:12.123Z", "ts=2026-11-23T00:26:12.123Z", "ts=2026-11-23T00:27:12.123Z"]


def test_ten_thousand_bad_requests_in_a_second_leave_a_hundred_lines_and_their_number() -> None:
    stream, now = io.StringIO(), AT
    log = Log(lambda: now, stream=stream)

    for number in range(10_000):
        log.warning("webhook refused", source="x", error="e" * 1_000_000 if number < 3 else "not JSON")
    log.error("disk full")
    now += 1_000_000
    log.warning("webhook refused", source="x", error="not JSON")

    lines = stream.getvalue().splitlines()
    assert len(lines) == 102
    assert max(map(len, lines)) < 3_000
    assert lines[-1].endswith('error="not JSON" left_out_before=9900')


def test_what_is_said_once_for_each_message_is_never_left_out() -> None:
    stream = io.StringIO()
    log = Log(lambda: AT, stream=stream)

    for _ in range(500):
        log.info("accepted webhook")

    assert len(stream.getvalue().splitlines()) == 500


def test_repeats_are_remembered_within_bounds() -> None:
    repeats = Repeats(room=3)

    assert [repeats.worth_saying(what, 0) for what in "abca"] == [True, True, True, False]
    assert repeats.worth_saying("d", 0)
    assert repeats.worth_saying("b", 0)


def test_a_clock_set_back_does_not_silence() -> None:
    repeats = Repeats()
    repeats.worth_saying("a", 100 * MINUTE)

    assert repeats.worth_saying("a", 0)


def test_clean_text_is_left_alone() -> None:
    assert clean("Ünï 😀 plain") == "Ünï 😀 plain"


def test_a_log_that_nobody_reads_holds_nothing_up() -> None:
    """The pipe behind standard error is full after 64 KiB; the program goes on, and ends."""
    program = "\n".join(
        (
            "from relay.logs import Log",
            "log = Log(lambda: 0)",
            "for n in range(20_000): log.info('x' * 100, n=n)",
            "print('went on', flush=True)",
        )
    )
    unread = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert unread.stdout is not None

    assert unread.stdout.readline() == b"went on\n"
    assert unread.wait(30) == 0
    unread.stdout.close()
    assert unread.stderr is not None
    unread.stderr.close()
