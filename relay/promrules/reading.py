"""Reads Prometheus rule files and PrometheusRule manifests: every alerting rule, each part with its place."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from relay.config import yaml
from relay.config.reading import Unreadable, decoded, read_file
from relay.promrules.ignoring import Ignored, ignored

KINDS = ("PrometheusRule", "VMRule")
"""Kubernetes manifests whose `spec` is a rule file."""
_LISTS = ("List", "PrometheusRuleList", "VMRuleList")


@dataclass(frozen=True, slots=True)
class Text:
    """A text of the file and where it stands; line and column from 1."""

    text: str
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Rule:
    """One alerting rule."""

    alert: str
    group: str
    file: str
    path: str
    """Where in its document: `groups[0].rules[2]`."""
    line: int
    column: int
    expr: Text | None = None
    for_: str = ""
    """How long its expression must hold, as written; "" where it need not."""
    labels: Mapping[str, Text] = field(default_factory=dict)
    """As written, those of its group too: templates are not filled in."""
    annotations: Mapping[str, Text] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Flaw:
    """What is wrong with the file itself."""

    check: str
    """bad-yaml, bad-rule or no-rules."""
    line: int
    column: int
    path: str
    message: str


@dataclass(frozen=True, slots=True)
class RuleFile:
    """Everything a rule file says that this relay asks for."""

    file: str
    rules: tuple[Rule, ...] = ()
    flaws: tuple[Flaw, ...] = ()
    ignored: Ignored = field(default_factory=Ignored)
    """What its comments ask to be left unsaid."""


def read(path: Path) -> RuleFile:
    """Read a rule file. Never raises: what cannot be read is among its flaws."""
    try:
        text = decoded(read_file(path))
    except Unreadable as error:
        return RuleFile(str(path), flaws=(Flaw("bad-yaml", error.line, error.column, "", str(error)),))
    return read_text(text, str(path))


def read_text(text: str, file: str = "-") -> RuleFile:
    """Read the text of a rule file, which is called `file`."""
    try:
        documents = yaml.read_all(text)
    except yaml.BadYaml as error:
        flaws = tuple(Flaw("bad-yaml", bad.line, bad.column, "", bad.message) for bad in error.faults)
        return RuleFile(file, flaws=flaws, ignored=ignored(text, {}))
    reader = _Reader(file)
    for number, (root, faults) in enumerate(documents):
        reader.flaws += [Flaw("bad-yaml", bad.line, bad.column, "", bad.message) for bad in faults]
        reader.document(root, f"[{number}]." if len(documents) > 1 else "")
    if not reader.holders and not reader.flaws:
        message = "no rules here: neither `groups:` nor a manifest of kind PrometheusRule"
        reader.flaws.append(Flaw("no-rules", 1, 1, "", message))
    return RuleFile(file, tuple(reader.rules), tuple(reader.flaws), ignored(text, reader.owners))


class _Reader:
    """Walks through documents; what is not as it should be becomes a flaw, and what can be read is read."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.rules: list[Rule] = []
        self.flaws: list[Flaw] = []
        self.holders = 0
        """How many documents hold groups."""
        self.owners: dict[int, str] = {}
        """By the line it begins on: the path of each group and rule."""

    def document(self, root: yaml.Node, path: str) -> None:
        if not isinstance(root, yaml.Mapping):
            return
        kind = _scalar(root, "kind")
        if kind in _LISTS:
            for at, item in enumerate(self.items(root, "items", path)):
                self.document(item, f"{path}items[{at}].")
        elif kind in KINDS:
            self.holders += 1
            spec = root.pairs["spec"][1] if "spec" in root.pairs else None
            if isinstance(spec, yaml.Mapping):
                self.groups(spec, f"{path}spec.")
        elif "groups" in root.pairs and not kind:
            self.holders += 1
            self.groups(root, path)

    def groups(self, holder: yaml.Mapping, path: str) -> None:
        for at, group in enumerate(self.items(holder, "groups", path)):
            here = f"{path}groups[{at}]"
            if not isinstance(group, yaml.Mapping):
                self.bad(group, here, "a group must be a mapping with `name` and `rules`")
                continue
            self.owners.setdefault(group.line, here)
            shared = self.texts(group, "labels", here)
            for number, rule in enumerate(self.items(group, "rules", f"{here}.")):
                self.rule(rule, f"{here}.rules[{number}]", _scalar(group, "name"), shared)

    def rule(self, node: yaml.Node, path: str, group: str, shared: Mapping[str, Text]) -> None:
        if not isinstance(node, yaml.Mapping):
            self.bad(node, path, "a rule must be a mapping with `alert` or `record`")
            return
        self.owners[node.line] = path
        if "alert" not in node.pairs:
            if "record" not in node.pairs:
                self.bad(node, path, "one of 'record' or 'alert' must be set")
            return
        name, expr = _text(node.pairs["alert"][1]), node.pairs.get("expr")
        written = _text(expr[1]) if expr else None
        if name is None or not name.text:
            self.bad(node.pairs["alert"][0], f"{path}.alert", "one of 'record' or 'alert' must be set")
            return
        if "record" in node.pairs:
            self.bad(node.pairs["record"][0], f"{path}.record", "only one of 'record' and 'alert' must be set")
        if written is None or not written.text.strip():
            self.bad(node, path, "field 'expr' must be set in rule")
        rule = Rule(
            alert=name.text,
            group=group,
            file=self.file,
            path=path,
            line=node.line,
            column=node.column,
            expr=written,
            for_=_scalar(node, "for"),
            labels={**shared, **self.texts(node, "labels", path)},
            annotations=self.texts(node, "annotations", path),
        )
        self.rules.append(rule)

    def items(self, node: yaml.Mapping, name: str, path: str) -> Iterator[yaml.Node]:
        """Go through a list; an absent or empty one has no items."""
        found = node.pairs.get(name)
        if found is None or (isinstance(found[1], yaml.Scalar) and found[1].value is None):
            return
        if not isinstance(found[1], yaml.Sequence):
            self.bad(found[0], f"{path}{name}", f"{name} must be a list")
            return
        yield from found[1].items

    def texts(self, node: yaml.Mapping, name: str, path: str) -> dict[str, Text]:
        """Read labels or annotations; Prometheus takes numbers and the like for texts."""
        found = node.pairs.get(name)
        if found is None or (isinstance(found[1], yaml.Scalar) and found[1].value is None):
            return {}
        if not isinstance(found[1], yaml.Mapping):
            self.bad(found[0], f"{path}.{name}", f"{name} must be a mapping from names to texts")
            return {}
        texts: dict[str, Text] = {}
        for key, (place, value) in found[1].pairs.items():
            text = _text(value)
            if text is None:
                self.bad(place, f"{path}.{name}.{key}", f"{key} must be a text")
            else:
                texts[key] = text
        return texts

    def bad(self, node: yaml.Node, path: str, message: str) -> None:
        self.flaws.append(Flaw("bad-rule", node.line, node.column, path, message))


def _text(node: yaml.Node) -> Text | None:
    return Text(node.value or "", node.line, node.column) if isinstance(node, yaml.Scalar) else None


def _scalar(node: yaml.Mapping, name: str) -> str:
    found = node.pairs.get(name)
    return found[1].value or "" if found and isinstance(found[1], yaml.Scalar) else ""
