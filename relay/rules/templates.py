"""The sandbox that templates run in, and the data they see there."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC
from functools import cached_property
from typing import Any

from jinja2 import DictLoader, Environment, StrictUndefined, Template, TemplateSyntaxError, meta, nodes
from jinja2.compiler import CodeGenerator
from jinja2.sandbox import ImmutableSandboxedEnvironment

from relay.alert import Instant, Status, moment
from relay.rules.differences import Parts, Words, firing_count
from relay.rules.filters import filters, functions
from relay.rules.gotime import ZERO, Time, layout, time_of
from relay.rules.view import MemberView, PageView

MOST_OUTPUT = 65_536
"""Characters one template may write."""

_MOST_BITS = 8_192
_LONGEST_PRODUCT = MOST_OUTPUT


NAMES = frozenset((
    "alerts", "common_annotations", "common_labels", "dedup_key", "default_summary", "external_url", "group_labels",
    "notes", "notification_reason", "now", "num_firing", "num_resolved", "page", "receiver", "relay_url",
    "route_labels", "severity", "source", "status", "words",
))  # fmt: skip
"""What a template may name of a page."""


class TooMuch(ValueError):
    """A template wrote, or asked for, more than it may."""


class Engine:
    """Compiled templates: the files by name, and each text of the configuration once."""

    def __init__(self, sources: Mapping[str, str], read_value: Callable[[str], Any] | None = None) -> None:
        """Take the template files as name -> text; nothing is compiled before it is used.

        `read_value` reads a rendered detail as data (a YAML reader); None keeps every detail a string.
        """
        self.read_value = read_value or (lambda text: text)
        self._environment = _Environment(dict(sources))
        self._compiled: dict[str, Template] = {}

    def text(self, source: str, data: Mapping[str, Any]) -> str:
        """Render a text of the configuration. Raises whatever the template does."""
        if "{" not in source:
            return source
        template = self._compiled.get(source)
        if template is None:
            template = self._compiled[source] = self._environment.from_string(source)
        return _written(template, data)

    def file(self, name: str, data: Mapping[str, Any]) -> str:
        """Render a template file by its name. Raises whatever the template does."""
        return _written(self._environment.get_template(name), data)

    def complaints(self, source: str) -> tuple[str, ...]:
        """Say what is wrong with a text, as far as that shows without an alert; () if nothing does."""
        try:
            tree = self._environment.parse(source)
            self._environment.compile(source)
            unknown = _names(tree, self._environment) - NAMES - self._environment.globals.keys()
            wanted = {name for name in meta.find_referenced_templates(tree) if name} - set(self.files)
        except TemplateSyntaxError as error:
            return (f"line {error.lineno}: {error.message}",)
        except RecursionError:
            return ("it is nested too deep",)
        missing = [f"there is no template file {name!r}" for name in sorted(wanted)]
        return (*(f"unknown name {name!r}" for name in sorted(unknown)), *missing)

    def compile_file(self, name: str) -> None:
        """Raise jinja2.TemplateSyntaxError if a template file does not compile."""
        self._environment.get_template(name)

    @property
    def files(self) -> tuple[str, ...]:
        """The names of the template files."""
        return tuple(self._environment.list_templates())

    def data(self, view: PageView, parts: Parts, words: Words) -> dict[str, Any]:
        """Make what a template sees of a page; pass it to `text` and `file`."""
        return {**self._environment.globals, **_data(view, parts, words)}


def _written(template: Template, data: Mapping[str, Any]) -> str:
    # Template.new_context would walk all of Jinja's globals for each field; `data` has them already.
    environment = template.environment
    context = environment.context_class(environment, data, template.name, template.blocks)  # type: ignore[arg-type]
    chunks, size = [], 0
    for chunk in template.root_render_func(context):
        size += len(chunk)
        if size > MOST_OUTPUT:
            raise TooMuch(f"it wrote more than {MOST_OUTPUT:,} characters")
        chunks.append(chunk)
    return "".join(chunks)


class _Later(CodeGenerator):
    """Leaves every computation to the rendering, which is bounded; compiling, by which a file is checked, is not."""

    def _output_child_to_const(self, node: nodes.Expr, frame: Any, finalize: Any) -> str:
        # Jinja folds `{{ "x"|center(10**9) }}` while it compiles, also with optimized=False (compiler.py visit_Output).
        if not isinstance(node, nodes.TemplateData | nodes.Const):
            raise nodes.Impossible
        return super()._output_child_to_const(node, frame, finalize)

    def visit_EvalContextModifier(self, node: nodes.EvalContextModifier, frame: Any) -> None:
        if not all(isinstance(option.value, nodes.Const) for option in node.options):
            self.fail("autoescape takes true or false here", node.lineno)
        super().visit_EvalContextModifier(node, frame)


class _Tracker(_Later, meta.TrackingCodeGenerator):
    """Notes names that nothing declares; meta.find_undeclared_variables would compute constants."""


def _names(tree: nodes.Template, environment: Environment) -> set[str]:
    tracker = _Tracker(environment)
    tracker.optimizer = None
    tracker.visit(tree)
    return tracker.undeclared_identifiers


class _Environment(ImmutableSandboxedEnvironment):
    """Jinja that reads label maps item first, and refuses what would explode."""

    code_generator_class = _Later
    intercepted_binops = frozenset(("*", "**", "%"))

    def __init__(self, sources: dict[str, str]) -> None:
        # optimized=False: the compiler would compute `"a" * 10**9` before any bound holds.
        super().__init__(
            loader=DictLoader(sources),
            undefined=StrictUndefined,
            optimized=False,
            autoescape=False,
            auto_reload=False,
            cache_size=-1,
            keep_trailing_newline=False,
        )
        # What is not the same each time would make an unchanged page look changed.
        self.globals.pop("lipsum")
        self.filters.pop("random")
        self.globals.update(functions())
        self.filters.update(filters())

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, Labels):
            return obj.look_up(attribute)
        return super().getattr(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(obj, Labels) and isinstance(argument, str):
            return obj.look_up(argument)
        return super().getitem(obj, argument)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        _refuse_explosions(operator, left, right)
        return super().call_binop(context, operator, left, right)


_WIDE = re.compile(r"%[^a-zA-Z%]*(?:\d{4}|\*)")


def _refuse_explosions(operator: str, left: Any, right: Any) -> None:
    if isinstance(left, int) and isinstance(right, int):
        bits = left.bit_length() * right if operator == "**" else left.bit_length() + right.bit_length()
        if operator != "%" and bits > _MOST_BITS:
            raise TooMuch(f"the result of {operator} is too large")
    elif operator == "*" and max(_size(left) * _times(right), _size(right) * _times(left)) > _LONGEST_PRODUCT:
        raise TooMuch("the result of * is too long")
    elif operator == "%" and isinstance(left, str) and _WIDE.search(left):
        raise TooMuch("a width in the format is too large")


def _size(value: Any) -> int:
    return len(value) if isinstance(value, str | bytes | list | tuple) else 0


def _times(value: Any) -> int:
    return value if isinstance(value, int) else 0


class Pairs(tuple["Pair", ...]):
    """Alertmanager's Pairs: name and value of labels; prints as `a=1, b=2`."""

    __slots__ = ()

    @property
    def names(self) -> "Strings":
        return Strings(pair.name for pair in self)

    @property
    def values(self) -> "Strings":
        return Strings(pair.value for pair in self)

    def __call__(self) -> "Pairs":
        return self

    def __str__(self) -> str:
        return ", ".join(f"{pair.name}={pair.value}" for pair in self)


class Pair(tuple[str, str]):
    """A label; `for name, value in ...` works as well as `.name` and `.value`."""

    __slots__ = ()

    @property
    def name(self) -> str:
        return self[0]

    @property
    def value(self) -> str:
        return self[1]


class Strings(tuple[str, ...]):
    """A list of strings; may be written with `()` behind it, as a method of Python's dict would be."""

    __slots__ = ()

    def join(self, separator: str) -> str:
        return separator.join(self)

    def __call__(self) -> "Strings":
        return self


class _Method(str):
    """What `labels.items` is where no label has that name: empty as any missing label, yet it can be called."""

    __slots__ = ("_function",)
    _function: Callable[..., Any]

    def __new__(cls, function: Callable[..., Any]) -> "_Method":
        made = super().__new__(cls, "")
        made._function = function
        return made

    def __call__(self, *arguments: Any) -> Any:
        return self._function(*arguments)


class Labels(dict[str, str]):
    """Alertmanager's KV: a missing name is "", a label wins over a method of its name; prints as `a=1, b=2`."""

    __slots__ = ()

    def __missing__(self, name: str) -> str:
        return ""

    def look_up(self, name: str) -> Any:
        """Answer `labels.name`: the label, else the method of that name, else ""."""
        if name in self:
            return self[name]
        method = _LOOK_UP.get(name)
        return method(self) if method else ""

    def pairs(self) -> Pairs:
        # Alertmanager puts alertname first (template.go SortedPairs).
        names = sorted(self, key=lambda name: (name != "alertname", name))
        return Pairs(Pair((name, self[name])) for name in names)

    def without(self, names: Iterable[str]) -> "Labels":
        gone = {names} if isinstance(names, str) else set(names)
        return Labels((name, value) for name, value in self.items() if name not in gone)

    def __str__(self) -> str:
        return str(self.pairs())


_LOOK_UP: Mapping[str, Callable[[Labels], Any]] = {
    "sorted_pairs": lambda labels: labels.pairs(),
    "SortedPairs": lambda labels: labels.pairs(),
    "names": lambda labels: labels.pairs().names,
    "Names": lambda labels: labels.pairs().names,
    "values": lambda labels: labels.pairs().values,
    "Values": lambda labels: labels.pairs().values,
    "remove": lambda labels: _Method(labels.without),
    "Remove": lambda labels: _Method(labels.without),
    "items": lambda labels: _Method(lambda: list(labels.items())),
    "keys": lambda labels: _Method(lambda: list(labels)),
    "get": lambda labels: _Method(lambda name, default="": labels.get(name, default)),
}


class AlertData:
    """One alert as templates see it."""

    def __init__(self, member: MemberView) -> None:
        self.status = str(member.status)
        self.labels = Labels(member.labels)
        self.annotations = Labels(member.annotations)
        self.generator_url = member.generator_url
        self.fingerprint = member.fingerprint
        self.severity = str(member.severity)
        self.suppressed = member.suppressed
        self._starts_at, self._ends_at = member.starts_at, member.ends_at

    @cached_property
    def starts_at(self) -> Time:
        return at(self._starts_at)

    @cached_property
    def ends_at(self) -> Time:
        return at(self._ends_at) if self.status == Status.RESOLVED else ZERO

    def as_json(self) -> dict[str, Any]:
        """Say it in Alertmanager's v4 names, as its own `toJson` does."""
        return {
            "status": self.status,
            "labels": dict(sorted(self.labels.items())),
            "annotations": dict(sorted(self.annotations.items())),
            "startsAt": layout(self.starts_at, _RFC3339),
            "endsAt": layout(self.ends_at, _RFC3339),
            "generatorURL": self.generator_url,
            "fingerprint": self.fingerprint,
        }


_RFC3339 = "2006-01-02T15:04:05.999999Z07:00"


class Alerts(Sequence[AlertData]):
    """A list of alerts with `.firing`, `.resolved`, `.muted` and `.by_labels`; made when it is first looked at."""

    def __init__(self, members: tuple[MemberView, ...], parts: Parts | None = None) -> None:
        self._members = members
        self._parts = parts

    @cached_property
    def firing(self) -> "Alerts":
        return Alerts(self._parts.firing if self._parts else self._that(fires=True))

    @cached_property
    def resolved(self) -> "Alerts":
        return Alerts(self._parts.resolved if self._parts else self._that(fires=False))

    @cached_property
    def muted(self) -> "Alerts":
        return Alerts(self._parts.muted if self._parts else ())

    @cached_property
    def by_labels(self) -> "Alerts":
        return Alerts(tuple(sorted(self._members, key=_native_order)))

    def _that(self, *, fires: bool) -> tuple[MemberView, ...]:
        return tuple(member for member in self._members if (member.status == Status.FIRING) is fires)

    @cached_property
    def _made(self) -> tuple[AlertData, ...]:
        return tuple(AlertData(member) for member in self._members)

    def __getitem__(self, index: Any) -> Any:
        return self._made[index]

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[AlertData]:
        return iter(self._made)


def _native_order(member: MemberView) -> tuple[Any, ...]:
    """Order as Alertmanager: by job, instance, then label set (types.go AlertSlice.Less, model LabelSet.Before)."""
    labels = member.labels
    # A name that only the other has comes before: in a list of pairs it is the greater name at that place.
    rest = tuple((_Reversed(name), labels[name]) for name in sorted(labels))
    return labels.get("job", ""), labels.get("instance", ""), len(labels), rest


class _Reversed(str):
    """A text that sorts the other way round."""

    __slots__ = ()

    def __lt__(self, other: str) -> bool:
        return str.__gt__(self, other)


def at(instant: Instant) -> Time:
    """Turn an Instant into a Time in UTC, held within the years that a calendar has."""
    try:
        return time_of(moment(instant))
    except OverflowError:
        return ZERO if instant < 0 else Time(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


def _data(view: PageView, parts: Parts, words: Words) -> dict[str, Any]:
    return {
        "receiver": view.receiver,
        "status": "firing" if parts.firing else "resolved",
        "alerts": Alerts(view.members, parts),
        "group_labels": Labels(view.group_labels),
        "common_labels": Labels(parts.labels),
        "common_annotations": Labels(parts.annotations),
        "external_url": view.alertmanager_url,
        "notification_reason": view.notification_reason,
        "route_labels": Labels(view.route_labels),
        "severity": str(view.severity),
        "page": view.page,
        "source": view.source,
        "dedup_key": view.dedup_key,
        "relay_url": view.relay_url,
        "num_firing": firing_count(view, parts),
        "num_resolved": view.resolved,
        "notes": view.notes,
        "now": at(view.now),
        "words": words,
    }
