"""Write a Go template as the Jinja that says the same, or say what keeps that from being done."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from relay.importing import go_functions
from relay.importing.go_parser import Parsed, parse
from relay.importing.go_syntax import (
    Assign,
    Body,
    Call,
    Dot,
    Field,
    Function,
    If,
    Node,
    Number,
    Operand,
    Pipe,
    Print,
    Range,
    Text,
    Variable,
    With,
    Word,
    Written,
)
from relay.importing.values import Kind, NameGiver, Tight, Untranslatable, Value, label, quoted, string

_DEEPEST = 12
"""How deep templates may call each other."""
_LONGEST = 60_000
"""Characters of Jinja; a text of the routing file may have 65,536."""

_FIELDS: dict[Kind, dict[str, tuple[str, Kind]]] = {
    Kind.DATA: {
        "Receiver": ("receiver", Kind.STRING),
        "Status": ("status", Kind.STRING),
        "Alerts": ("alerts", Kind.ALERTS),
        "GroupLabels": ("group_labels", Kind.MAP),
        "CommonLabels": ("common_labels", Kind.MAP),
        "CommonAnnotations": ("common_annotations", Kind.MAP),
        "ExternalURL": ("external_url", Kind.STRING),
        "NotificationReason": ("notification_reason", Kind.STRING),
        "RouteLabels": ("route_labels", Kind.MAP),
    },
    Kind.ALERTS: {"Firing": ("firing", Kind.ALERTS), "Resolved": ("resolved", Kind.ALERTS)},
    Kind.ALERT: {
        "Status": ("status", Kind.STRING),
        "Labels": ("labels", Kind.MAP),
        "Annotations": ("annotations", Kind.MAP),
        "StartsAt": ("starts_at", Kind.TIME),
        "EndsAt": ("ends_at", Kind.TIME),
        "GeneratorURL": ("generator_url", Kind.STRING),
        "Fingerprint": ("fingerprint", Kind.STRING),
    },
    Kind.MAP: {
        "SortedPairs": ("sorted_pairs", Kind.PAIRS),
        "Names": ("names", Kind.STRINGS),
        "Values": ("values", Kind.STRINGS),
    },
    Kind.PAIRS: {"Names": ("names", Kind.STRINGS), "Values": ("values", Kind.STRINGS)},
    Kind.PAIR: {"Name": ("name", Kind.STRING), "Value": ("value", Kind.STRING)},
}
"""By kind: Go's fields and methods, ours, and what they are (template/template.go Data, Alerts, Alert, KV, Pairs)."""

_LOOPED = {
    Kind.ALERTS: ("alert", Kind.ALERT),
    Kind.PAIRS: ("pair", Kind.PAIR),
    Kind.STRINGS: ("item", Kind.STRING),
    Kind.MAP: ("value", Kind.STRING),
}
_PRINTED = frozenset((Kind.STRING, Kind.INTEGER, Kind.TIME, Kind.SPAN, Kind.MAP, Kind.PAIRS))
_ALWAYS_THERE = frozenset((Kind.DATA, Kind.ALERT, Kind.PAIR, Kind.TIME))
"""Structs: Go's `if` takes them whatever they hold."""
_MARK = re.compile(r"\{[{%#]|\{\Z")
DATA = Value("", Kind.DATA)


def translate(text: str, defined: Mapping[str, Body] | None = None) -> str:
    """Translate a template; `defined` are the named templates that it may call.

    Raises Untranslatable, and GoTemplateError where it is no Go template.
    """
    if "{{" not in text:
        return _escaped(text)
    return translate_body(parse(text), defined or {})


def translate_body(parsed: Parsed, defined: Mapping[str, Body], dot: Value = DATA) -> str:
    """Translate a template that was read."""
    writer = _Writer({**defined, **parsed.defined}, NameGiver())
    jinja = writer.body(parsed.body, _Scope(dot, dot))
    if len(jinja) > _LONGEST:
        raise Untranslatable("it is too long once all it calls is written out")
    return jinja


def _escaped(text: str) -> str:
    """Write a text so that Jinja takes it as it stands; a `{` at its end must not meet the one of a tag."""
    return _MARK.sub(lambda mark: f"{{{{ {quoted(mark[0])} }}}}", text)


@dataclass(slots=True)
class _Scope:
    """What `.`, `$` and the variables are, at one place of a template."""

    dot: Value
    root: Value
    variables: dict[str, Value] = field(default_factory=dict)
    depth: int = 0

    def inside(self, dot: Value | None = None) -> "_Scope":
        """Open a scope within this one: what is declared there ends there."""
        return replace(self, dot=dot or self.dot, variables=dict(self.variables))


class _Writer:
    """Write nodes in order."""

    def __init__(self, defined: Mapping[str, Body], names: NameGiver) -> None:
        self.defined = defined
        self.names = names
        self.size = 0

    def body(self, nodes: Body, scope: _Scope) -> str:
        text = "".join(self._node(node, scope) for node in nodes)
        self.size += len(text)
        if self.size > 20 * _LONGEST:
            raise Untranslatable("it is too long once all it calls is written out")
        return text

    def _node(self, node: Node, scope: _Scope) -> str:
        match node:
            case Written(text):
                return _escaped(text)
            case Print(pipe):
                return _printed(self.value(pipe, scope))
            case Assign(name, pipe, declares):
                return self._assigned(name, pipe, scope, declares=declares)
            case If():
                return self._if(node, scope)
            case With(name, pipe, then, otherwise):
                return self._with(name, pipe, then, otherwise, scope)
            case Range():
                return self._range(node, scope)
            case Call(name, pipe):
                return self._called(name, pipe, scope)
        raise TypeError(node)

    def _assigned(self, name: str, pipe: Pipe, scope: _Scope, *, declares: bool) -> str:
        if not declares:
            # Jinja's loops and blocks keep what they set to themselves.
            raise Untranslatable(f"${name} is set anew by =")
        value = self.value(pipe, scope)
        ours = self.names.fresh(name or "it")
        scope.variables[name] = Value(ours, value.kind)
        return f"{{% set {ours} = {value.code} %}}"

    def _held(self, name: str, pipe: Pipe, scope: _Scope) -> tuple[str, Value]:
        """Make the value of an `if` or `with`: what sets it first, and how it is then called."""
        value = self.value(pipe, scope)
        if name:
            ours = self.names.fresh(name)
            scope.variables[name] = Value(ours, value.kind)
            return f"{{% set {ours} = {value.code} %}}", scope.variables[name]
        return "", value

    def _if(self, node: If, scope: _Scope) -> str:
        inner = scope.inside()
        before, value = self._held(node.name, node.pipe, inner)
        written = f"{before}{{% if {_condition(value)} %}}{self.body(node.then, inner.inside())}"
        otherwise = node.otherwise
        while len(otherwise) == 1 and isinstance(otherwise[0], If) and not otherwise[0].name:
            chained = otherwise[0]
            condition = _condition(self.value(chained.pipe, inner))
            written += f"{{% elif {condition} %}}{self.body(chained.then, inner.inside())}"
            otherwise = chained.otherwise
        return f"{written}{self._else(otherwise, inner)}{{% endif %}}"

    def _with(self, name: str, pipe: Pipe, then: Body, otherwise: Body, scope: _Scope) -> str:
        inner = scope.inside()
        before, value = self._held(name, pipe, inner)
        if not before and value.tight != Tight.NAMED:
            ours = self.names.fresh("it")
            before, value = f"{{% set {ours} = {value.code} %}}", Value(ours, value.kind)
        written = f"{before}{{% if {_condition(value)} %}}{self.body(then, inner.inside(value))}"
        return f"{written}{self._else(otherwise, inner)}{{% endif %}}"

    def _range(self, node: Range, scope: _Scope) -> str:
        value = self.value(node.pipe, scope)
        if value.kind not in _LOOPED:
            raise Untranslatable(f"range goes over {value.kind}")
        wish, kind = _LOOPED[value.kind]
        each = Value(self.names.fresh(node.value or wish), kind)
        inner = scope.inside(each)
        if node.value:
            inner.variables[node.value] = each
        if value.kind == Kind.MAP:
            # Go walks over a map in the order of its keys.
            key = Value(self.names.fresh(node.key or "name"), Kind.STRING)
            head, counted = f"for {key.code}, {each.code} in {value.at_least(Tight.FILTERED)} | dictsort(true)", ""
            inner.variables |= {node.key: key} if node.key else {}
        else:
            head, counted = f"for {each.code} in {go_functions.ordered(value).code}", ""
            if node.key and node.key != "_":
                index = Value(self.names.fresh(node.key), Kind.INTEGER)
                inner.variables[node.key] = index
                counted = f"{{% set {index.code} = loop.index0 %}}"
        body = self.body(node.then, inner)
        return f"{{% {head} %}}{counted}{body}{self._else(node.otherwise, scope.inside())}{{% endfor %}}"

    def _else(self, nodes: Body, scope: _Scope) -> str:
        return f"{{% else %}}{self.body(nodes, scope.inside())}" if nodes else ""

    def _called(self, name: str, pipe: Pipe | None, scope: _Scope) -> str:
        if name not in self.defined:
            raise Untranslatable(f"the template {name!r} is not at hand: give the file that defines it")
        if scope.depth >= _DEEPEST:
            raise Untranslatable(f"the template {name!r} calls itself")
        if pipe is None:
            raise Untranslatable(f"the template {name!r} is given nothing")
        dot = self.value(pipe, scope)
        before = ""
        if dot.kind != Kind.DATA and dot.tight != Tight.NAMED:
            ours = self.names.fresh("it")
            before, dot = f"{{% set {ours} = {dot.code} %}}", Value(ours, dot.kind)
        return before + self.body(self.defined[name], _Scope(dot, dot, depth=scope.depth + 1))

    def value(self, pipe: Pipe, scope: _Scope) -> Value:
        """Write a pipe: each command is given what the one before it made as its last argument."""
        found: Value | None = None
        for command in pipe.commands:
            found = self._command(command, scope, [] if found is None else [found])
        assert found is not None
        return found

    def _command(self, command: tuple[Operand, ...], scope: _Scope, piped: list[Value]) -> Value:
        head, *rest = command
        arguments = [*(self._operand(operand, scope) for operand in rest), *piped]
        match head:
            case Function(name):
                return go_functions.call(name, arguments)
            case Field(of, name) if arguments:
                return _method(self._operand(of, scope), name, arguments)
            case _ if arguments:
                raise Untranslatable("a value that is no function is given arguments")
        return self._operand(head, scope)

    def _operand(self, operand: Operand, scope: _Scope) -> Value:
        match operand:
            case Dot():
                return scope.dot
            case Variable(name):
                if name and name not in scope.variables:
                    raise Untranslatable(f"${name} is not set there")
                return scope.variables[name] if name else scope.root
            case Field(of, name):
                return _field(self._operand(of, scope), name)
            case Text(text):
                return string(text)
            case Number(text):
                return _number(text)
            case Word("true" | "false" as word):
                return Value(word, Kind.BOOLEAN)
            case Function(name):
                return go_functions.call(name, [])
            case Pipe():
                return self.value(operand, scope)
        raise Untranslatable("nil is nothing that Jinja knows")


def _field(of: Value, name: str) -> Value:
    found = _FIELDS.get(of.kind, {}).get(name)
    if found is not None:
        return Value(found[0], found[1]) if of.kind == Kind.DATA else of.field(*found)
    if of.kind == Kind.MAP and name != "Remove":
        return label(of, name)
    raise Untranslatable(f".{name} is asked of {of.kind}")


def _method(of: Value, name: str, arguments: list[Value]) -> Value:
    kinds = [argument.kind for argument in arguments]
    if of.kind == Kind.MAP and name == "Remove" and kinds == [Kind.STRINGS]:
        return Value(f"{of.at_least(Tight.NAMED)}.remove({arguments[0].code})", Kind.MAP)
    if of.kind == Kind.TIME and name == "Format" and kinds == [Kind.STRING]:
        return of.filtered("date", arguments[0], kind=Kind.STRING)
    if of.kind == Kind.STRINGS and name == "Join" and kinds == [Kind.STRING]:
        return of.filtered("join", arguments[0], kind=Kind.STRING)
    raise Untranslatable(f".{name} of {of.kind} is called with arguments")


def _number(text: str) -> Value:
    if re.match(r"[+-]?0[xX0-9]", text):
        try:
            return Value(str(float(text)) if "." in text else str(int(text, 0)), Kind.INTEGER)
        except ValueError:
            raise Untranslatable(f"the number {text} is written oddly") from None
    return Value(text.lstrip("+"), Kind.DECIMAL if "." in text else Kind.INTEGER)


def _condition(value: Value) -> str:
    return "true" if value.kind in _ALWAYS_THERE else value.code


def _printed(value: Value) -> str:
    if value.literal is not None:
        return _escaped(value.literal)
    if value.kind == Kind.BOOLEAN:
        return f'{{{{ "true" if {value.code} else "false" }}}}'
    if value.kind == Kind.STRINGS:
        return f"[{{{{ {value.filtered('join', string(' ')).code} }}}}]"
    if value.kind not in _PRINTED:
        raise Untranslatable(f"{value.kind} is printed as Go prints it")
    return f"{{{{ {value.code} }}}}"
