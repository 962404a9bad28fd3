"""Foreign speech into WebhookMessage: one file per format, and the registry that names them."""

from collections.abc import Callable, Mapping

from relay.alert import WebhookMessage
from relay.ingress import alertmanager, pagerduty, prometheus

Format = Callable[..., WebhookMessage]
"""`parse(body, source, ...) -> WebhookMessage`, raising BadBody; what else it must be told differs."""

FORMATS: Mapping[str, Format] = {
    "alertmanager": alertmanager.parse,
    "prometheus": prometheus.parse,
    "pagerduty": pagerduty.parse,
}
"""Every format the relay reads. A new one is one file beside this one and one line here."""
