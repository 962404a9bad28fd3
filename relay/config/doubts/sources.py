"""Doubts about sources: times that are shorter than the sender's own."""

from relay.config.doubts.look import Look


def doubt_sources(look: Look) -> None:
    """Warn where silence is taken for an end before the sender would speak again."""
    for index, source in enumerate(look.config.sources):
        if source.stale_after and source.repeat_interval and source.stale_after <= source.repeat_interval:
            message = (
                "not longer than repeat_interval: alerts that fire on would be stale before they are heard of again; "
                "make it twice as long, or leave it out"
            )
            look.problems.warn(("sources", index, "stale_after"), message, rule="stale-too-short")
