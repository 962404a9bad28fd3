"""Doubts about inhibit rules: those that can never keep anything quiet, and those that keep too much quiet."""

from relay.config.doubts.look import Look
from relay.rules.covering import apart, contradiction, covers
from relay.rules.quoting import go_quote
from relay.rules.ruleset import InhibitRule


def doubt_inhibition(look: Look) -> None:
    """Warn of rules that cannot apply, or that apply to everything."""
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
    bare = [side for side, matchers in (("source", rule.source), ("target", rule.target)) if not matchers]
    if len(bare) == 2 or (covers(rule.target, rule.source) and covers(rule.source, rule.target)):
        message = (
            "never applies: the same alerts are on both sides, and of two that are on both neither inhibits the other; "
            "tell the sides apart, perhaps by severity"
        )
        return "inhibit-itself", message
    if bare:
        agreeing = f" that agree in {', '.join(map(go_quote, rule.equal))}" if rule.equal else ""
        what = "any alert inhibits" if bare == ["source"] else "every alert is inhibited"
        message = (
            f"has no {bare[0]}_matchers: {what}, among those{agreeing}"
            if agreeing
            else f"has no {bare[0]}_matchers: {what}"
        )
        return "inhibit-everything", f"{message}; write {bare[0]}_matchers"
    return "", ""
