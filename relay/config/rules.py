"""Every kind of error and warning in a routing file, by the name that it has in reports; names never change."""

ERRORS = {
    "yaml": "The text is not YAML, or a key comes twice.",
    "unknown-field": "A field that is not known where it stands.",
    "wrong-value": "A value of the wrong kind, or none that this field takes.",
    "no-route": "There is no route at which alerts begin.",
    "undefined-name": "A receiver, time interval or source is named that is not there.",
    "matcher-syntax": "A matcher that cannot be read, or that two parsers read in two ways.",
    "template": "A text that is no Jinja template, or uses a name that is not there.",
    "secret": "A secret that cannot be read, or is not set.",
    "invalid": "Anything else for which a file does not load.",
}
WARNINGS = {
    "not-ours": "Something that is for integrations other than PagerDuty, which the relay does not serve.",
    "no-resolves": "A receiver whose incidents nobody but people closes.",
    "shared-integration": "Two entries with one url and routing key are one integration.",
    "no-effect": "A setting that brings about nothing as the file stands.",
    "no-template-file": "A name in templates that no file has.",
    "over-midnight": "A time over midnight, which Alertmanager itself would refuse.",
    "short-secret": "A credential that may be guessed.",
    "secret-stale": "A secret that cannot be read now, so that the one before stays in use.",
    "mixed-keys": "A source whose name is mixed into its dedup keys.",
    "odd": "Anything else that is odd.",
    "route-unreachable": "A route that earlier siblings leave nothing for.",
    "route-contradiction": "A route whose matchers no alert can satisfy together.",
    "route-duplicate": "A route that says again what the one before it says.",
    "severity-no-default": "A severity map that does not say what every other value means.",
    "receiver-unused": "A receiver that nothing names.",
    "interval-unused": "A time interval that nothing names.",
    "interval-never": "A time interval, or an entry of one, that no instant lies in.",
    "interval-always": "A time interval that every instant lies in.",
    "month-range": "A month that no year has.",
    "year-range": "A year that cannot be meant.",
    "inhibit-contradiction": "An inhibit rule with a side that no alert can be on.",
    "inhibit-apart": "An inhibit rule whose two sides never agree in a label of equal.",
    "inhibit-itself": "An inhibit rule with the same alerts on both sides, of which none inhibits another.",
    "equal-unknown": "A label of equal that no recorded alert has.",
    "equality-unknown": "A matcher that no recorded alert satisfies.",
    "stale-too-short": "Alerts count as stale before their Alertmanager speaks of them again.",
    "template-fails": "A template that fails on sample data.",
}
RULES = {**ERRORS, **WARNINGS}
"""What each is about, in one sentence."""
