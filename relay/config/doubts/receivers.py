"""Doubts about receivers: those that nothing leads to."""

from relay.config.doubts.look import Look
from relay.rules.quoting import go_quote


def doubt_receivers(look: Look) -> None:
    """Warn of receivers that no route, heartbeat, fallback or meta_receiver names."""
    if not look.sound("route", "heartbeats") or any(
        look.problems.gone(("receivers", index, "name")) or look.problems.gone(("receivers", index, "fallback"))
        for index in range(len(look.config.receivers))
    ):
        return
    used = {here.spec.receiver for here in look.routes()}
    used |= {heartbeat.receiver for heartbeat in look.config.heartbeats}
    used |= {receiver.fallback for receiver in look.config.receivers}
    used.add(look.config.global_.meta_receiver)
    for index, receiver in enumerate(look.config.receivers):
        if receiver.name and receiver.name not in used:
            message = f"no route leads to receiver {go_quote(receiver.name)}, nor does anything else name it"
            if receiver.pagerduty_configs:
                message += ": only events that show its own routing key reach it"
            look.problems.warn(
                ("receivers", index), f"{message}; name it in a route, or take it out", rule="receiver-unused"
            )
