"""The values that labels take: every one starts at zero, so that a first failure is an increase."""

SOURCES = 50
"""Sources that get a label value of their own; the path is anybody's to write, so later ones are `other`."""
RECEIVERS = 100
"""Receivers that get a label value of their own where there is a label beside it; further ones are `other`."""
SILENCES = ("made", "extended", "ended", "failed")
RETURNED = ("placed", "seen", "waiting", "unplaced", "other", "unsigned", "unreadable", "too_large", "off", "not_kept")
"""What becomes of a V3 webhook: the outcomes of relay.rules.news, and those that are not kept."""
ACTS = (
    "triggered",
    "acknowledged",
    "unacknowledged",
    "resolved",
    "reopened",
    "merged",
    "reassigned",
    "delegated",
    "escalated",
    "annotated",
    "priority updated",
    "responder added",
    "responder replied",
    "status update",
)
"""What is kept with a page of what is done at PagerDuty (relay/rules/acts.py)."""
SEVERITIES = ("critical", "error", "warning", "info")
LANES = ("critical", "error", "resolve", "warning", "update", "refresh")
"""By value of relay.page.Lane."""
REASONS = (
    "rateLimited",
    "serverError",
    "timeout",
    "tls",
    "dns",
    "network",
    "clientError",
    "authError",
    "configuration",
    "tooLarge",
    "other",
)
"""Alertmanager's words for failures (notify/util.go `Reason`), and ours beside them."""
REST_OUTCOMES = (
    "ok",
    "no_token",
    "unauthorized",
    "forbidden",
    "not_found",
    "refused",
    "rate_limited",
    "unreachable",
    "server",
    "bad_answer",
)
"""`ok`, and the values of relay.pagerduty.calling.Reason."""
INVALID = ("empty", "encoding", "malformed", "not_a_webhook", "nothing_salvageable", "too_large", "invalid_event")
VERDICTS = (
    "opens",
    "joins",
    "folded",
    "repeats",
    "resolves",
    "supersedes",
    "ignored",
    "nothing_open",
    "suppressed",
    "forgotten",
    "retried",
    "discarded",
    "acknowledges",
    "changes",
    "reconciled",
    "not_ours",
)
"""The values of relay.decision.Verdict."""
SUPPRESSIONS = (
    "unrouted",
    "silence",
    "inhibition",
    "mute_time_interval",
    "active_time_interval",
    "hold",
    "inhibit_hold",
)
"""The values of relay.page.SuppressionKind."""
CHANGES = ("accepted", "delivered", "retried", "refused", "given_up", "dropped")
"""What becomes of a change event at an integration; `unrouted` where there was none for it."""
DRIFT = ("lost_resolve", "lost_trigger", "closed_elsewhere", "muted_open", "key_gone", "missed_webhook")
"""The values of relay.rules.drift.Kind."""
SELF_PAGES = (
    "dead_letters",
    "key_refused",
    "store_failing",
    "store_corrupt",
    "config_last_good",
    "secrets_unreadable",
    "paused",
    "body_too_large",
    "unknown_source",
    "auth_failures",
    "body_refused",
    "web_config",
    "clock_back",
    "template_failing",
    "key_gone",
)
"""Reasons for which the relay pages about itself."""
STORE_OPS = ("keep", "claim", "settle", "read", "schedule", "prune", "open")
FIELDS = (
    "description",
    "source",
    "class",
    "component",
    "group",
    "client",
    "client_url",
    "details",
    "links",
    "images",
)
CODES = ("200", "202", "400", "401", "413", "503")
AUTH_FAILURES = (
    ("sender", "missing"),
    ("sender", "wrong"),
    ("sender", "other_source"),
    ("event", "wrong"),
    ("reader", "missing"),
    ("reader", "wrong"),
    ("operator", "missing"),
    ("operator", "wrong"),
    ("tls", "certificate"),
)
"""Doors, and why somebody was not let in."""
CONNECTIONS = ("headers", "unread", "full", "making_room")
"""Why a connection was dropped."""
