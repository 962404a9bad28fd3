"""Every metric there is, with the words that Prometheus shows of it."""

from relay.metrics.families import Families

_FAST = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
_CALL = (0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_RESPONSE = (30, 60, 120, 300, 600, 1800, 3600, 7200, 14_400, 28_800, 86_400)
_PATIENCE = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600)


class Declared(Families):
    """The metrics of one relay, before anything is counted."""

    def __init__(self) -> None:
        super().__init__()
        self._intake()
        self._delivery()
        self._state()
        self._people()

    def _intake(self) -> None:
        self._requests = self._counter(
            "webhook_requests", "Webhook requests answered, by source and HTTP status.", "source", "code"
        )
        self._bytes = self._counter("webhook_request_bytes", "Bytes of webhook bodies received.", "source")
        self._invalid = self._counter("webhook_invalid", "Webhook bodies refused, by reason.", "reason")
        self._auth_failures = self._counter(
            "auth_failures", "Requests that were not let in, by kind of door and why.", "door", "kind"
        )
        self._unlisted = self._counter(
            "unknown_source",
            "Bodies posted under a name that `sources` does not list: they count as the unnamed source.",
        )[()]
        self._dropped = self._counter(
            "connections_dropped", "Connections the relay closed before their time.", "reason"
        )
        self._connections = self._gauge("connections", "Connections to the relay's doors.")[()]
        self._received = self._counter(
            "alerts_received",
            "Alerts read from webhooks, by PagerDuty severity (`none`: no receiver of ours).",
            "source",
            "status",
            "severity",
        )
        self._truncated = self._counter(
            "alerts_truncated_upstream", "Alerts that max_alerts cut off before they reached the relay.", "source"
        )
        self._deduplicated = self._counter(
            "alerts_deduplicated", "Alerts whose statement was known word for word, so that nothing was done."
        )[()]
        self._unknown_severity = self._counter(
            "unknown_severity",
            "Alerts that page with the default severity, since the route's map has no word for theirs.",
        )[()]
        self._decisions = self._counter("decisions", "What became of the alerts received.", "verdict")
        self._suppressed = self._counter(
            "suppressed", "Alerts that fire and were put to quiet in a page, by what did it.", "reason"
        )
        self._folded_pages = self._counter(
            "folded_pages", "New pages that were folded into the storm page of an integration.", "receiver"
        )
        self._folded_alerts = self._counter("folded_alerts", "Alerts that fired in those pages.", "receiver")
        self._changes = self._counter(
            "changes",
            "Change events, by what became of them (`none`: no route had a receiver for it).",
            "receiver",
            "outcome",
        )
        self._changes_waiting = self._gauge("changes_waiting", "Change events that wait to be sent.", "receiver")
        self._storm = self._gauge("storm", "1 while new pages of an integration are folded into one.", "receiver")
        self._last_heard = self._gauge("source_last_heard_timestamp_seconds", "When a source was last heard.", "source")
        self._stale_alerts = self._gauge(
            "stale_alerts", "Alerts that fire and were not heard of for the `stale_after` of their source.", "source"
        )
        self._stale_pages = self._gauge("stale_pages", "Pages in which all that fires is stale.")[()]
        self._rest_calls = self._counter(
            "rest_calls", "Calls to PagerDuty's REST API, by outcome: `ok`, or why there was no answer.", "outcome"
        )
        self._polls = self._counter(
            "alertmanager_polls", "Times that a source's Alertmanagers were asked about stale alerts.", "source"
        )
        self._poll_failures = self._counter(
            "alertmanager_poll_failures", "Those in which one of them gave no answer to go by.", "source"
        )
        self._request_seconds = self._histogram(
            "webhook_request_duration_seconds", "Time to answer a webhook, from its headers to its answer.", _FAST
        )[()]

    def _delivery(self) -> None:
        self._delivered = self._counter(
            "events_delivered", "Events PagerDuty answered with 202.", "action", "severity", "receiver"
        )
        self._attempts = self._counter(
            "delivery_attempts",
            "Attempts by outcome (`unchanged`: it rendered equal to what is open, so nothing was sent).",
            "receiver",
            "outcome",
        )
        self._failures = self._counter("delivery_failures", "Attempts that failed, by reason.", "receiver", "reason")
        self._dead_lettered = self._counter(
            "events_dead_lettered", "Events that PagerDuty refused on every rung of the ladder, by reason.", "reason"
        )
        self._minimal = self._counter(
            "events_minimal", "Events PagerDuty took as minimal ones, since it had refused the full one.", "receiver"
        )
        self._fallback = self._counter(
            "events_fallback", "Events that went to this receiver as the fallback of another.", "receiver"
        )
        self._template_errors = self._counter(
            "template_errors", "Template fields that failed and fell back to plain text.", "field"
        )
        self._last_delivery = self._gauge(
            "last_delivery_success_timestamp_seconds", "When PagerDuty last took an event.", "receiver"
        )
        self._call_seconds = self._histogram(
            "delivery_request_duration_seconds", "Time of one call to PagerDuty.", _CALL, "receiver"
        )
        self._waited = self._histogram(
            "accept_to_delivery_seconds",
            "Time from accepting a change to PagerDuty's 202, waits for budget and holds included.",
            _PATIENCE,
            "severity",
        )
        self._render_seconds = self._histogram("template_render_duration_seconds", "Time to render one page.", _FAST)[
            ()
        ]
        self._circuit = self._gauge(
            "circuit_open", "1 while an integration is left alone after a 429 or a configuration fault.", "receiver"
        )
        self._tokens = self._gauge(
            "rate_limit_tokens", "Events an integration may still send within its window.", "receiver"
        )

    def _state(self) -> None:
        self._queue = self._gauge("queue_events", "Pages that wait to be sent, by lane.", "lane")
        self._queue_age = self._gauge(
            "queue_oldest_age_seconds", "Age of the oldest change that waits to be sent, by lane.", "lane"
        )
        self._open = self._gauge(
            "open_pages", "Pages that are open at PagerDuty; one that went to its fallback counts there.", "receiver"
        )
        self._dead_letters = self._gauge(
            "dead_letters", "Pages that are dead letters now, without those that a person let go of."
        )[()]
        self._key_gone = self._gauge(
            "pages_key_gone", "Open pages whose routing key is not at hand: they cannot be resolved."
        )[()]
        self._self_page = self._gauge("self_page", "1 while the relay has this reason to page about itself.", "reason")
        self._drift = self._gauge(
            "drift",
            "Differences between Alertmanagers, pages and PagerDuty at the last comparison, by kind.",
            "kind",
        )
        self._drift_not_ours = self._gauge(
            "drift_not_ours", "Alerts open in integrations of ours that the relay did not open: it leaves them alone."
        )[()]
        self._reconciled = self._counter("drift_repaired", "Differences that were put right, by kind.", "kind")
        self._comparisons = self._counter("reconciliations", "Comparisons with PagerDuty, by outcome.", "outcome")
        self._compared_at = self._gauge(
            "reconcile_last_success_timestamp_seconds", "When pages were last compared with PagerDuty."
        )[()]
        self._secrets_unreadable = self._gauge(
            "secrets_unreadable", "Files with secrets that cannot be used: what they held before is in use."
        )[()]
        self._pulses = self._counter(
            "heartbeat_pings",
            "Times that heartbeat_url was due: asked, asked in vain, or withheld since pages do not get through.",
            "outcome",
        )
        self._pulsed_at = self._gauge("heartbeat_last_success_timestamp_seconds", "When heartbeat_url last answered.")[
            ()
        ]
        self._paused = self._gauge("paused", "1 while nothing is sent to a receiver (`all`: to any).", "receiver")
        self._store_errors = self._counter("store_errors", "Calls to the store that failed.", "op")
        self._emergency_pages = self._counter(
            "emergency_pages", "Pages sent while the store could not be written, past it."
        )[()]
        self._emergency_in_use = self._gauge(
            "emergency_exit_in_use", "1 while something was paged past the store that is not written down yet."
        )[()]
        self._store_up = self._gauge("store_up", "1 while the store takes writes.")[()]
        self._store_size = self._gauge("store_size_bytes", "Size of the database.")[()]
        self._store_free = self._gauge("store_free_bytes", "Free space on the disk that holds the database.")[()]
        self._commit_seconds = self._histogram("store_commit_duration_seconds", "Time of one commit.", _FAST)[()]
        self._loop_lag = self._histogram("event_loop_lag_seconds", "How late the event loop was.", _FAST)[()]
        self._reloads = self._counter("config_reloads", "Loads of the configuration, by outcome.", "outcome")
        self._reload_ok = self._gauge(
            "config_last_reload_successful", "Whether the last load of the configuration succeeded."
        )[()]
        self._reload_at = self._gauge(
            "config_last_reload_success_timestamp_seconds", "When the configuration was last loaded."
        )[()]
        self._config_hash = self._gauge("config_hash", "A number that names the configuration in use.")[()]

    def _people(self) -> None:
        self._returned = self._counter(
            "pagerduty_webhooks", "V3 webhooks from PagerDuty, by what became of them.", "outcome"
        )
        self._acted = self._counter("pagerduty_acts", "What was done about pages at PagerDuty, by kind.", "kind")
        self._unconfirmed = self._counter(
            "pages_unconfirmed",
            "Triggers PagerDuty took and showed no incident for within `pagerduty.confirm_within`.",
            "receiver",
        )
        self._resent = self._counter(
            "pages_resent", "Those of them that were sent again (`pagerduty.resend_unconfirmed`).", "receiver"
        )
        self._confirming = self._gauge(
            "confirmation_on", "1 while triggers of a receiver are awaited to be confirmed.", "receiver"
        )
        self._to_acknowledge = self._histogram(
            "time_to_acknowledge_seconds",
            "Time from PagerDuty's 202 for the trigger of an incident to its first acknowledgement.",
            _RESPONSE,
            "receiver",
            "severity",
        )
        self._to_resolve = self._histogram(
            "time_to_resolve_seconds",
            "Time from PagerDuty's 202 for the trigger of an incident to its end, whoever closed it.",
            _RESPONSE,
            "receiver",
            "severity",
        )
        self._by_hour = self._counter(
            "incidents_by_hour",
            "Incidents that the relay opened, by hour of the day (00 to 23, where `business_hours` is, else in UTC).",
            "receiver",
            "hour",
        )
        self._after_hours = self._counter(
            "incidents_after_hours",
            "Incidents that the relay opened outside of `pagerduty.business_hours`.",
            "receiver",
            "severity",
        )
        self._silenced = self._counter(
            "alertmanager_silences",
            "Silences in Alertmanager for what a person has at PagerDuty (`on_acknowledge: silence`), by what was done"
            " about them.",
            "source",
            "act",
        )
