"""Silences: while an active one matches, an alert is kept quiet, and it says whose silence that is."""

from relay.alert import Instant, moment
from relay.page import Suppression, SuppressionKind
from relay.rules.cleaning import cut, line
from relay.rules.quoting import go_quote
from relay.rules.silences import Silence
from relay.rules.suppression.case import NOTHING, Case, Found

_LONGEST_AUTHOR = 100
_LONGEST_COMMENT = 500


def judge(case: Case) -> Found:
    """Keep an alert quiet until the last of the silences that match it has ended; that one is named."""
    found = case.silences.matching(case.labels, case.now)
    if not found:
        return NOTHING
    last = found[0]
    return Found(Suppression(SuppressionKind.SILENCE, because(last), last.ends_at), again=last.ends_at)


def because(silence: Silence) -> str:
    """Say whose it is, until when, what for and which: `silenced by anna until 2026-11-23 12:00 UTC: "disk swap"`."""
    author = cut(line(silence.created_by), _LONGEST_AUTHOR) or "somebody"
    what_for = cut(line(silence.comment), _LONGEST_COMMENT)
    comment = f": {go_quote(what_for)}" if what_for else ""
    return f"silenced by {author} until {_when(silence.ends_at)}{comment} (silence {silence.id})"


def _when(at: Instant) -> str:
    when = moment(at)
    return when.strftime("%Y-%m-%d %H:%M:%S UTC" if when.second else "%Y-%m-%d %H:%M UTC")
