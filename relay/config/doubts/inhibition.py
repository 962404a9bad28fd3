"""Doubts about inhibit rules: those that can never keep anything quiet.

A rule without matchers on one side is no doubt: `{target_matchers: [alertname=InfoInhibitor]}` stands in many files.
"""

from relay.config.doubts.look import Look
from relay.rules.covering import apart, contradiction, covers
from relay.rules.ruleset import InhibitRule


def doubt_inhibition(look: Look) -> None:
    """Warn of rules that cannot apply."""
    if not look.sound("inhibit_rules"):
        return
    for index, rule in enumerate(look.built.inhibit_rules):
        name, message = _doubt(rule)
        if name:
            look.problems.warn(("inhibit_rules", index), message, rule=name)


def _doubt(rule: InhibitRule) -> tuple[str, str]:
    """Return the name of the doubt and what to say; two empty texts for none."""
    for side, matchers in (("source", rule.source), ("target", rule.target)):
        if found := contradiction(matchers):
            said = " and ".join(map(str, found))
            message = f"never applies: no alert is on the {side} side, since {said} leave no value of {found[0].name}"
            return "inhibit-contradiction", f"{message}; correct one of them"
    if label := apart(rule.source, rule.target, rule.equal):
        message = (
            f"never applies: label {label} is in equal, and the matchers of the two sides leave no value that it has "
            "on both; take it out of equal"
        )
        return "inhibit-apart", message
    if covers(rule.target, rule.source) and covers(rule.source, rule.target):
        message = (
            "never applies: the same alerts are on both sides, and of two that are on both neither inhibits the other; "
            "tell the sides apart, perhaps by severity"
        )
        return "inhibit-itself", message
    return "", ""
