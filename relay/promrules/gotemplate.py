"""Reads Go's text/template as Prometheus does: a text becomes a tree, or an error in Go's own words.

Source: text/template/parse (lex.go, parse.go) of Go 1.22; functions must be known when a text is read.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from relay.promrules.golexer import Broken, Piece, literal, pieces

_ENDS = frozenset(("end", "else"))
_KEYWORDS = frozenset(("block", "break", "continue", "define", "else", "end", "if", "nil", "range", "template", "with"))
_DEEPEST = 60
"""Levels of brackets and blocks; no rule has more than a few."""


@dataclass(frozen=True, slots=True)
class Term:
    """One word of a command: a literal, `.`, a field, a variable, a function, or a pipeline in brackets."""

    kind: str
    """literal, dot, field, variable, function, pipe or nil."""
    value: object = None
    fields: tuple[str, ...] = ()
    """Fields that follow it: `$labels.instance` has ("instance",)."""


Command = tuple[Term, ...]


@dataclass(frozen=True, slots=True)
class Pipe:
    """Commands with `|` between them, and perhaps variables that get the result."""

    commands: tuple[Command, ...]
    variables: tuple[str, ...] = ()
    declares: bool = False
    """Whether with `:=`, not `=`."""


@dataclass(frozen=True, slots=True)
class Text:
    """What stands outside of actions."""

    text: str


@dataclass(frozen=True, slots=True)
class Action:
    """`{{ pipeline }}`."""

    pipe: Pipe
    source: str
    """As it stands in the template."""


@dataclass(frozen=True, slots=True)
class Block:
    """`{{ if }}`, `{{ with }}` or `{{ range }}`, up to its end."""

    kind: str
    pipe: Pipe
    body: "Nodes"
    otherwise: "Nodes"
    source: str


@dataclass(frozen=True, slots=True)
class Foreign:
    """What is read and not worked on: `define`, `template`, `block`, `break`, `continue`."""

    kind: str
    source: str
    body: "Nodes" = ()


Node = Text | Action | Block | Foreign
Nodes = tuple[Node, ...]


def parse(text: str, functions: Collection[str], variables: Collection[str] = ()) -> Nodes:
    """Read a template that may use these functions and variables. Raises Broken."""
    return _Parser(text, functions, variables).parse()


def shown(nodes: Nodes) -> Iterator[Pipe]:
    """List every pipeline whose value may be written, those in brackets too: all but the conditions of `if`."""
    for node in nodes:
        match node:
            case Action(pipe=pipe):
                yield from _inner(pipe)
            case Block(kind=kind, pipe=pipe, body=body, otherwise=otherwise):
                yield from _inner(pipe) if kind != "if" else ()
                yield from shown((*body, *otherwise))
            case Foreign(body=body):
                yield from shown(body)


def _inner(pipe: Pipe) -> Iterator[Pipe]:
    yield pipe
    for command in pipe.commands:
        for term in command:
            if isinstance(term.value, Pipe):
                yield from _inner(term.value)


class _Parser:
    """Puts pieces together to a tree."""

    def __init__(self, text: str, functions: Collection[str], variables: Collection[str]) -> None:
        self.text = text
        self.functions = functions
        self.scope = ["$", *variables]
        self.pieces = list(pieces(text))
        self.at = 0
        self.depth = 0

    def parse(self) -> Nodes:
        nodes, ended = self.nodes()
        if ended:
            raise Broken(f"unexpected {{{{{ended}}}}}")
        return nodes

    def nodes(self) -> tuple[Nodes, str]:
        """Read up to an `end` or `else` of the block around; its first word is left for the caller."""
        found: list[Node] = []
        while self.at < len(self.pieces):
            piece = self.pieces[self.at]
            if piece.text is not None:
                found.append(Text(piece.text))
                self.at += 1
                continue
            line = _Line(self, piece.tokens)
            word = line.keyword()
            if word in _ENDS:
                return tuple(found), word
            self.at += 1
            found.append(self.node(piece, line, word))
        return tuple(found), ""

    def node(self, piece: Piece, line: "_Line", word: str) -> Node:
        source = self.text[piece.start : piece.end]
        if word in ("if", "with", "range"):
            return self.block(piece, line, word)
        if word in ("define", "block"):
            line.rest()
            body = self.scoped()
            return Foreign(word, self.text[piece.start : self.pieces[self.at - 1].end], body)
        if word in ("template", "break", "continue"):
            line.rest()
            return Foreign(word, source)
        pipe = line.pipe("command")
        return Action(pipe, source)

    def block(self, piece: Piece, line: "_Line", word: str) -> Block:
        """Read from behind `{{ if ... }}` to its `{{ end }}`; `else if` is a block of its own that shares the end."""
        self.enter()
        known = len(self.scope)
        pipe = line.pipe(word)
        body, ended = self.nodes()
        otherwise: Nodes = ()
        if ended == "else":
            otherwise = self.otherwise(word)
        elif not ended:
            raise Broken("unexpected EOF: an {{ end }} is missing")
        else:
            self.at += 1
        del self.scope[known:]
        self.depth -= 1
        return Block(word, pipe, body, otherwise, self.text[piece.start : self.pieces[self.at - 1].end])

    def otherwise(self, word: str) -> Nodes:
        piece = self.pieces[self.at]
        line = _Line(self, piece.tokens)
        line.keyword()
        self.at += 1
        then = line.keyword()
        if then:
            if then != word or word == "range":
                raise Broken(f"unexpected <{then}> in else")
            return (self.block(piece, line, then),)
        line.rest()
        nodes, ended = self.nodes()
        if ended != "end":
            raise Broken("expected end; found {{else}}" if ended else "unexpected EOF: an {{ end }} is missing")
        self.at += 1
        return nodes

    def scoped(self) -> Nodes:
        self.enter()
        nodes, ended = self.nodes()
        if ended != "end":
            raise Broken("unexpected EOF: an {{ end }} is missing")
        self.at += 1
        self.depth -= 1
        return nodes

    def enter(self) -> None:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise Broken(f"nested more than {_DEEPEST} levels deep")


class _Line:
    """The tokens of one action, read from left to right."""

    def __init__(self, parser: _Parser, tokens: list[tuple[str, str]]) -> None:
        self.parser = parser
        self.tokens = tokens
        self.at = 0

    def keyword(self) -> str:
        """Take the word that says what kind of action this is; "" where it is a pipeline."""
        self.blanks()
        kind, text = self.peek()
        if kind == "word" and text in _KEYWORDS and text != "nil":
            self.at += 1
            return text
        return ""

    def rest(self) -> None:
        self.at = len(self.tokens)

    def pipe(self, context: str) -> Pipe:
        """Read a pipeline up to the end of the action or a closing bracket."""
        variables, declares = self.assignment(context)
        commands: list[Command] = []
        while True:
            commands.append(self.command())
            kind, text = self.peek()
            if (kind, text) != ("mark", "|"):
                break
            self.at += 1
        if commands == [()]:
            raise Broken(f"missing value for {context}")
        for stage, command in enumerate(commands, 1):
            if not command:
                raise Broken("missing value for command")
            if stage > 1 and command[0].kind in ("literal", "dot", "nil"):
                raise Broken(f"non executable command in pipeline stage {stage}")
        if self.at < len(self.tokens) and context != "(":
            raise Broken(f"unexpected {self.tokens[self.at][1]!r} in {context}")
        self.parser.scope += variables if declares else ()
        return Pipe(tuple(commands), tuple(variables), declares)

    def assignment(self, context: str) -> tuple[list[str], bool]:
        """Read `$a := `, `$a = ` and, of a range, `$a, $b := `."""
        begins, names = self.at, list[str]()
        while self.after_blanks()[0] == "variable":
            names.append(self.take())
            self.blanks()
            if context == "range" and len(names) < 2 and self.peek() == ("mark", ","):
                self.at += 1
            elif self.peek()[1] in (":=", "="):
                declares = self.take() == ":="
                for name in names if not declares else ():
                    self.known(name)
                return names, declares
            else:
                break
        self.at = begins
        return [], False

    def command(self) -> Command:
        terms: list[Term] = []
        while True:
            self.blanks()
            term = self.operand()
            if term is None:
                return tuple(terms)
            terms.append(term)
            kind, text = self.peek()
            if kind not in ("space", "") and text not in ("|", ")"):
                raise Broken(f"unexpected {text!r} in operand")

    def operand(self) -> Term | None:
        term = self.term()
        if term is None:
            return None
        fields: list[str] = list(term.fields)
        while self.peek()[0] == "field":
            fields.append(self.peek()[1][1:])
            self.at += 1
        if fields and term.kind in ("literal", "nil"):
            raise Broken(f"unexpected . after term {term.value!r}")
        return Term(term.kind, term.value, tuple(fields))

    def term(self) -> Term | None:
        kind, text = self.peek()
        if not kind or text in ("|", ")"):
            return None
        self.at += 1
        match kind:
            case "field":
                return Term("dot", None, (text[1:],))
            case "variable":
                self.known(text)
                return Term("variable", text)
            case "word":
                return self.word(text)
            case "number" | "string" | "raw" | "char":
                return Term("literal", literal(kind, text))
        if text == ".":
            return Term("dot")
        if text == "(":
            return self.bracket()
        raise Broken(f"unexpected {text!r} in operand")

    def bracket(self) -> Term:
        self.parser.enter()
        pipe = self.pipe("(")
        if self.peek() != ("mark", ")"):
            raise Broken("unclosed left paren")
        self.at += 1
        self.parser.depth -= 1
        return Term("pipe", pipe)

    def word(self, text: str) -> Term:
        if text in ("true", "false"):
            return Term("literal", text == "true")
        if text == "nil":
            return Term("nil")
        if text in _KEYWORDS:
            raise Broken(f"unexpected <{text}> in operand")
        if text not in self.parser.functions:
            raise Broken(f'function "{text}" not defined')
        return Term("function", text)

    def known(self, name: str) -> None:
        if name not in self.parser.scope:
            raise Broken(f'undefined variable "{name}"')

    def peek(self) -> tuple[str, str]:
        return self.tokens[self.at] if self.at < len(self.tokens) else ("", "")

    def after_blanks(self) -> tuple[str, str]:
        self.blanks()
        return self.peek()

    def take(self) -> str:
        self.at += 1
        return self.tokens[self.at - 1][1]

    def blanks(self) -> None:
        while self.peek()[0] == "space":
            self.at += 1
