"""Prometheus' alerting rules: reads them, fills their templates in, says what they would page, checks them."""

from relay.promrules.reading import Flaw, Rule, RuleFile, Text, read, read_text

__all__ = ["Flaw", "Rule", "RuleFile", "Text", "read", "read_text"]
