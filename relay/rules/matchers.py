"""Alertmanager's matchers."""


class Matcher:
    """Placeholder."""
