"""Read a Go template into its parts, and the templates that it defines.

Source of the grammar: Go's text/template (package documentation, and parse.go).
"""

from dataclasses import dataclass, field

from relay.importing.go_lexer import Action, GoTemplateError, Token, pieces
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

_DEEPEST = 60
_WORDS = ("true", "false", "nil")


@dataclass(frozen=True, slots=True)
class Parsed:
    """A template, and what it defines by name."""

    body: Body
    defined: dict[str, Body] = field(default_factory=dict)


def parse(text: str) -> Parsed:
    """Read a template. Raises GoTemplateError with what cannot be read."""
    reader = _Reader(list(pieces(text)))
    body, end = reader.body(0)
    if end:
        raise GoTemplateError(f"there is nothing that {{{{ {end} }}}} could belong to")
    return Parsed(body, reader.defined)


class _Reader:
    """Walk over the pieces of a template."""

    def __init__(self, found: list[str | Action]) -> None:
        self.left = found[::-1]
        self.defined: dict[str, Body] = {}
        self.ending: _Words = _Words(())

    def body(self, depth: int) -> tuple[Body, str]:
        """Read up to `end` or `else`, which is returned; "" at the end of the template."""
        if depth > _DEEPEST:
            raise GoTemplateError("it is nested too deep")
        nodes: list[Node] = []
        while self.left:
            piece = self.left.pop()
            if isinstance(piece, str):
                nodes.append(Written(piece))
                continue
            words = _Words(piece.tokens)
            if words.take_name("end", "else"):
                self.ending = words
                return tuple(nodes), words.taken
            found = self._node(words, depth)
            if found is not None:
                nodes.append(found)
        return tuple(nodes), ""

    def _node(self, words: "_Words", depth: int) -> Node | None:
        if words.take_name("if", "with", "range"):
            return self._block(words.taken, words, depth)
        if words.take_name("define", "block"):
            return self._definition(words.taken, words, depth)
        if words.take_name("template"):
            name = words.string()
            return Call(name, words.pipe() if words.left else None)
        if words.take_name("break", "continue"):
            raise GoTemplateError(f"{words.taken} has no like in Jinja")
        if not words.left:
            raise GoTemplateError("an action says nothing")
        name, declares = words.assigned()
        pipe = words.whole_pipe()
        return Assign(name, pipe, declares) if name else Print(pipe)

    def _block(self, kind: str, words: "_Words", depth: int) -> Node:
        names = words.range_names() if kind == "range" else (words.declared(), "")
        pipe = words.whole_pipe()
        then, end = self.body(depth + 1)
        otherwise: Body = ()
        if end == "else":
            otherwise = self._otherwise(depth)
        elif not end:
            raise GoTemplateError(f"{{{{ {kind} }}}} has no {{{{ end }}}}")
        if kind == "if":
            return If(names[0], pipe, then, otherwise)
        if kind == "with":
            return With(names[0], pipe, then, otherwise)
        return Range(*names, pipe, then, otherwise)

    def _otherwise(self, depth: int) -> Body:
        words = self.ending
        if words.take_name("if", "with"):
            return (self._block(words.taken, words, depth + 1),)
        words.done()
        body, end = self.body(depth + 1)
        if end != "end":
            raise GoTemplateError("{{ else }} has no {{ end }}")
        return body

    def _definition(self, kind: str, words: "_Words", depth: int) -> Node | None:
        name = words.string()
        pipe = words.whole_pipe() if kind == "block" else None
        body, end = self.body(depth + 1)
        if end != "end":
            raise GoTemplateError(f"{{{{ {kind} }}}} has no {{{{ end }}}}")
        self.defined[name] = body
        return Call(name, pipe) if pipe is not None else None


class _Words:
    """The tokens of one action."""

    def __init__(self, tokens: tuple[Token, ...]) -> None:
        self.left = list(tokens[::-1])
        self.taken = ""

    def peek(self, kind: str, *texts: str) -> bool:
        return bool(self.left) and self.left[-1].kind == kind and (not texts or self.left[-1].text in texts)

    def take_name(self, *names: str) -> bool:
        if not self.peek("name", *names):
            return False
        self.taken = self.left.pop().text
        return True

    def string(self) -> str:
        if not self.peek("string"):
            raise GoTemplateError("a name in quotes is missing")
        return self.left.pop().text

    def sign(self, *texts: str) -> bool:
        if not self.peek("sign", *texts):
            return False
        self.taken = self.left.pop().text
        return True

    def done(self) -> None:
        if self.left:
            raise GoTemplateError(f"{self.left[-1].text!r} is not understood there")

    def assigned(self) -> tuple[str, bool]:
        """Read `$x :=` or `$x =`; "" where neither is there."""
        signed = self.peek("variable") and len(self.left) > 1 and self.left[-2].kind == "sign"
        if signed and self.left[-2].text in (":=", "="):
            name, sign = self.left.pop().text, self.left.pop().text
            return name, sign == ":="
        return "", False

    def declared(self) -> str:
        name, declares = self.assigned()
        if name and not declares:
            raise GoTemplateError("= is not understood there")
        return name

    def range_names(self) -> tuple[str, str]:
        """Read `$key, $value :=`: key and value."""
        if self.peek("variable") and len(self.left) > 1 and self.left[-2].text == ",":
            key = self.left.pop().text
            self.left.pop()
            return key, self.declared()
        return "", self.declared()

    def whole_pipe(self) -> Pipe:
        pipe = self.pipe()
        self.done()
        return pipe

    def pipe(self, depth: int = 0) -> Pipe:
        if depth > _DEEPEST:
            raise GoTemplateError("it is nested too deep")
        commands = [self._command(depth)]
        while self.sign("|"):
            commands.append(self._command(depth))
        return Pipe(tuple(commands))

    def _command(self, depth: int) -> tuple[Operand, ...]:
        operands: list[Operand] = []
        while self.left and not self.peek("sign", "|", ")"):
            operands.append(self._operand(depth))
        if not operands:
            raise GoTemplateError("a value is missing")
        return tuple(operands)

    def _operand(self, depth: int) -> Operand:
        token = self.left.pop()
        found: Operand
        match token.kind, token.text:
            case "string", _:
                return Text(token.text)
            case "number", _:
                return Number(token.text)
            case "name", _:
                return Word(token.text) if token.text in _WORDS else Function(token.text)
            case "dot", _:
                found = Dot()
            case "field", _:
                found = Field(Dot(), token.text)
            case "variable", _:
                found = Variable(token.text)
            case "sign", "(":
                found = self.pipe(depth + 1)
                if not self.sign(")"):
                    raise GoTemplateError("a bracket is not closed")
            case _:
                raise GoTemplateError(f"{token.text!r} is not understood there")
        while self.peek("field") and not self.left[-1].spaced:
            found = Field(found, self.left.pop().text)
        return found
