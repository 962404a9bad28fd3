"""Finds what is wrong with an alerting rule for those it pages: each check has a name that stays the same."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Literal, NamedTuple

from relay.promrules.expanding import shows
from relay.promrules.paging import Outlook, Page
from relay.promrules.reading import Rule, RuleFile, Text
from relay.rules.cleaning import address
from relay.rules.dedup import Field
from relay.rules.details import RUNBOOKS
from relay.rules.differences import SUMMARIES
from relay.rules.quoting import go_quote
from relay.rules.ruleset import Route

Level = Literal["error", "warning", "note"]


class Check(NamedTuple):
    """One check: how much it matters, and what it is about."""

    level: Level
    about: str


CHECKS: Mapping[str, Check] = {
    "bad-yaml": Check("error", "The file cannot be read"),
    "bad-rule": Check("error", "Prometheus would refuse this rule"),
    "bad-template": Check("error", "A template that Prometheus would refuse, or write an error in place of"),
    "no-rules": Check("warning", "A file without rules"),
    "no-severity": Check("warning", "A rule without the label that says how bad it is"),
    "unmapped-severity": Check("warning", "A severity that means nothing to the route's map"),
    "no-summary": Check("warning", "A rule without the annotation summary"),
    "no-runbook": Check("warning", "A rule without the annotation runbook_url"),
    "bad-runbook": Check("warning", "A runbook that is no http or https address"),
    "value-in-label": Check("warning", "A label that changes with the value of the expression"),
    "label-breaks-grouping": Check("warning", "A label that parts alerts which belong to one page"),
    "unrouted": Check("warning", "A rule that pages nobody; a note where a route says so and it is not urgent"),
    "no-team": Check("warning", "A page that says nothing of whose it is"),
    "unfilled-template": Check("note", "A part of a text that only a running Prometheus can fill in"),
    "unknown-check": Check("warning", "A comment that ignores a check which does not exist"),
}
"""Every check by its name."""


class Complaint(NamedTuple):
    """What a check found at a place of a file."""

    check: str
    level: Level
    line: int
    column: int
    path: str
    message: str


def complaints_of_file(file: RuleFile) -> Iterator[Complaint]:
    """Say what is wrong with a file itself, and with its comments."""
    for flaw in file.flaws:
        if not file.ignored.covers(flaw.path, flaw.check):
            yield Complaint(flaw.check, CHECKS[flaw.check].level, flaw.line, flaw.column, flaw.path, flaw.message)
    for name, line, column in file.ignored.places:
        if name not in CHECKS:
            near = get_close_matches(name, CHECKS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(CHECKS)}"
            message = f"there is no check {name} to ignore; {hint}"
            yield Complaint("unknown-check", "warning", line, column, "", message)


def complaints(found: Outlook, team_label: str = "team") -> tuple[Complaint, ...]:
    """Say what is wrong with a rule, in the order of the file; comments that ignore checks are not looked at."""
    desk = _Desk(found, team_label)
    for check in (
        desk.templates, desk.severity, desk.summary, desk.runbook, desk.values, desk.grouping, desk.routing, desk.team,
    ):  # fmt: skip
        check()
    return tuple(sorted(desk.said, key=lambda one: (one.line, one.column)))


class _Desk:
    """Where one rule is looked at."""

    def __init__(self, found: Outlook, team_label: str) -> None:
        self.found = found
        self.rule: Rule = found.rule
        self.team_label = team_label
        self.said: list[Complaint] = []

    def say(self, check: str, message: str, part: str = "", *, level: Level | None = None) -> None:
        """Note a complaint about a part of the rule (`labels.severity`), or about the rule itself."""
        place = self.place(part)
        path = f"{self.rule.path}.{part}" if part else self.rule.path
        self.said.append(Complaint(check, level or CHECKS[check].level, *place, path, message))

    def place(self, part: str) -> tuple[int, int]:
        kind, _, name = part.partition(".")
        texts: Mapping[str, Text] = self.rule.labels if kind == "labels" else self.rule.annotations
        return (texts[name].line, texts[name].column) if part else (self.rule.line, self.rule.column)

    def templates(self) -> None:
        for kind, texts in (("labels", self.found.filled), ("annotations", self.found.annotations)):
            for name, filled in texts.items():
                if filled.broken:
                    self.say("bad-template", f"the template cannot be used: {filled.broken}", f"{kind}.{name}")
                for part in filled.unfilled:
                    self.say("unfilled-template", f"shown as it stands: {part}", f"{kind}.{name}")

    def severity(self) -> None:
        for route in dict.fromkeys((route.severity_label, route.severity.default) for route in self.asked_severity()):
            label, default = route
            value = self.found.labels.get(label, "")
            if not value.strip():
                message = f"no label {label}: it pages as {default}; add {label}, or a comment that says it is meant"
                self.say("no-severity", message)
            elif self.unmapped(label, value):
                message = f"{go_quote(value)} is not in the severity map of its route: it pages as {default}"
                self.say("unmapped-severity", message, f"labels.{label}" if label in self.rule.labels else "")

    def asked_severity(self) -> list[Route]:
        """List the routes that look at a label: those where no entry has a severity of its own."""
        paging = [page.route for page in self.found.pages if page.target.severity is None]
        return paging if self.found.pages else [route for route in self.found.routes if not route.change]

    def unmapped(self, label: str, value: str) -> bool:
        if label in self.found.filled and ("<" in value or "{{" in value):
            return False  # the sample means nothing; what it is at run time may
        pages = [page for page in self.found.pages if page.route.severity_label == label]
        return any(page.defaulted for page in pages)

    def summary(self) -> None:
        if self.said_in("summary"):
            return
        instead = next((name for name in SUMMARIES if self.said_in(name)), "")
        shown = f"the page shows its {instead}" if instead else "the page shows nothing but its name and labels"
        self.say("no-summary", f"no annotation summary: {shown}; say in one line what is wrong")

    def said_in(self, name: str) -> bool:
        return name in self.rule.annotations and bool(self.rule.annotations[name].text.strip())

    def runbook(self) -> None:
        name = next((name for name in RUNBOOKS if self.said_in(name)), "")
        if not name:
            self.say("no-runbook", "no annotation runbook_url: whoever is paged has nothing that says what to do")
            return
        text = self.found.annotations[name].text.strip()
        if text.startswith(("<", "{{")):
            return  # a label begins it, which is known only once it fires
        if not address(text.replace("<", "").replace(">", "")):
            message = f"{name} is no http:// or https:// address, so the page has no link to it: {_short(text)}"
            self.say("bad-runbook", message, f"annotations.{name}")

    def values(self) -> None:
        for name, text in self.rule.labels.items():
            if shows(text.text, "$value", "Value", "query"):
                message = (
                    f"label {name} changes with the value, and so does what the alert is called: "
                    "with each new value the old alert resolves and another fires; say the value in an annotation"
                )
                self.say("value-in-label", message, f"labels.{name}")

    def grouping(self) -> None:
        for name, text in self.rule.labels.items():
            if text.text != text.text.strip() and "{{" not in text.text:
                message = (
                    f"label {name} has white space around its value, as in {go_quote(text.text[:40])}: "
                    "matchers and groups take it for another value"
                )
                self.say("label-breaks-grouping", message, f"labels.{name}")
            elif shows(text.text, "$value", "Value", "query"):
                route = next((page.route for page in self.found.pages if _grouped_by(page, name)), None)
                if route is not None:
                    message = f"route {route.id} groups by label {name}, which changes with the value: {_EACH_ITS_OWN}"
                    self.say("label-breaks-grouping", message, f"labels.{name}")

    def routing(self) -> None:
        routes = [route for route in self.found.routes if not route.change]
        if self.found.pages or not routes or any(self.pages(one.route) for one in self.found.may_also):
            return
        route = routes[0]
        severity = route.severity.words.get(self.found.labels.get(route.severity_label, "").strip().lower())
        meant = bool(route.matchers) and not (severity is not None and severity.urgent)
        where = f"route {route.id} sends it to receiver {route.receiver}, which has no pagerduty_configs"
        self.say("unrouted", f"nobody is paged: {where}", level="note" if meant else None)

    def pages(self, route: Route) -> bool:
        return not route.change and bool(self.found.targets(route))

    def team(self) -> None:
        label = self.team_label
        if self.found.pages and label not in self.found.labels:
            receivers = ", ".join(dict.fromkeys(page.receiver for page in self.found.pages))
            self.say("no-team", f"it pages {receivers} and has no label {label}: nothing says whose it is")


_EACH_ITS_OWN = "each value is a page of its own"


def _grouped_by(page: Page, label: str) -> bool:
    route = page.route
    if route.dedup_key is not None:
        return any(isinstance(part, Field) and part.label == label for part in route.dedup_key.parts)
    return route.group_by_all or label in (route.group_by or ())


def _short(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:79]}…"
