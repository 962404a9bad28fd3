"""Foreign speech into WebhookMessage: one file per format, and the registry that names them."""

from collections.abc import Callable, Mapping

from relay.alert import WebhookMessage
from relay.ingress import alertmanager

Format = Callable[..., WebhookMessage]
"""`parse(body, source, known=()) -> WebhookMessage`, raising BadBody."""

FORMATS: Mapping[str, Format] = {
    "alertmanager": alertmanager.parse,
}
"""Every format the relay reads. A new one is one file beside this one and one line here."""
