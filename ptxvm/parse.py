"""PTX text to a `Program`: the statements of a module. `body.py` reads the bodies of functions."""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import replace

from ptxvm.body import Body, Text, excerpt
from ptxvm.declarations import header, variables
from ptxvm.errors import PtxSyntaxError
from ptxvm.lines import FILE, LOC
from ptxvm.operands import Malformed
from ptxvm.types import Function, Program, Variable

_COMMENT = re.compile(r'"(?:[^"\\\n]|\\.)*+"|//([^\n]*)|/\*(.*?)(?:\*/|\Z)', re.DOTALL)
_FILE = re.compile(FILE)
_STATEMENT = re.compile(
    r"\s*(?:"
    r"\.version\s+(?P<major>\d{1,4})\.(?P<minor>\d{1,4})"
    r"|\.target\s+(?P<target>\w+)(?:\s*,\s*\w+)*"
    r"|\.address_size\s+(?P<size>\d{1,4})"
    r'|\.section\s+[\w.$"]+\s*(?P<section>\{)'
    rf"|(?P<file>{FILE})"
    rf"|(?P<loc>{LOC})"
    r"|(?P<pragma>\.(?:pragma|alias)\b[^;]*;)"
    r"|(?P<dwarf>@@[^\n]*)"
    r"|(?P<words>(?:\.(?!entry\b|func\b)\w+(?:\((?:[^()]|\([^()]*\))*+\))?\s+)*+)"
    r"(?P<function>\.(?:entry|func)\b)"
    r'|(?P<variable>\.\w(?:[^;"]++|"(?:[^"\\\n]|\\.)*+")*+;)'
    r"|(?P<nothing>;)"
    r"|(?P<bad>\S)"
    r")"
)
_HEAD = re.compile(r'(?:[^;{}"]++|"(?:[^"\\\n]|\\.)*+"\s*;?)*+')


def parse(text: str) -> Program:
    """Read a PTX module. Raises PtxSyntaxError with the line of what cannot be read."""
    return _Module(_without_comments(text)).program()


def _without_comments(text: str) -> Text:
    """The text with its comments taken out and its lines kept."""
    text = text.rstrip("\0")  # some compilers count the end of a C string to its text
    comments: dict[int, str] = {}
    newlines = [m.start() for m in re.finditer("\n", text)]

    def blank(m: re.Match[str]) -> str:
        if m[1] is not None:
            if " @[ " in m[1]:
                comments[bisect_left(newlines, m.start()) + 1] = m[1]
            return ""
        if m[2] is not None and m[0].endswith("*/") and len(m[0]) > 3:
            return " " + "\n" * m[2].count("\n")
        return m[0]

    stripped = _COMMENT.sub(blank, text)
    ends = [m.start() for m in re.finditer("\n", stripped)]
    files = {int(m[1]): m[2] for m in _FILE.finditer(stripped)}
    return Text(stripped, ends, files, comments)


class _Module:
    """What has been read of a module."""

    def __init__(self, text: Text) -> None:
        self.text = text
        self.target = ""
        self.functions: dict[str, Function] = {}
        self.variables: dict[str, Variable] = {}
        self.declared: set[str] = set()  # functions, with a body or without

    def program(self) -> Program:
        text = self.text.text
        version: tuple[int, int] | None = None
        position = 0
        while m := _STATEMENT.match(text, position):
            kind = m.lastgroup
            start, position = m.start(kind or 0), m.end()
            if kind == "minor":
                version = (int(m["major"]), int(m["minor"]))
            elif kind == "target":
                self.target = m["target"]
            elif kind == "size" and m["size"] != "64":
                raise self.fail(start, f"addresses of {m['size']} bits: only 64 are known")
            elif kind == "section":
                position = text.find("}", position) + 1
                if position == 0:
                    raise self.fail(start, "this section is not closed")
            elif kind == "function":
                position = self._function(m.start("words"), start, position)
            elif kind == "variable":
                self._variable(start, m["variable"])
            elif kind == "bad":
                message = f"`{excerpt(text, start)}` is not a statement of a PTX module"
                raise self.fail(start, message)
        if version is None or not self.target:
            message = "a PTX module begins with `.version` and `.target`; this text lacks them"
            raise PtxSyntaxError(1, message)
        for name, line in self.text.unresolved.items():
            if name not in self.declared and name not in self.variables:
                raise PtxSyntaxError(line, f"`{name}` is not declared")
        variables = tuple(self.variables.values())
        return Program(version, self.target, self.functions, variables, self.text.files)

    def fail(self, position: int, message: str) -> PtxSyntaxError:
        return PtxSyntaxError(self.text.line(position), message)

    def _variable(self, start: int, text: str) -> None:
        try:
            for variable in variables(text[:-1]):
                known = self.variables.get(variable.name)
                if known is not None and not known.extern and not variable.extern:
                    raise Malformed(f"two variables are called {variable.name}")
                if known is None or known.extern:
                    self.variables[variable.name] = variable
        except Malformed as error:
            raise self.fail(start, str(error)) from None

    def _function(self, words: int, start: int, position: int) -> int:
        """Read a function. Its linkage begins at `words`; returns the place behind it."""
        text = self.text.text
        m = _HEAD.match(text, position)
        end = m.end() if m else position
        try:
            head = header(text[words:end])
            if head.name in self.functions or head.name in self.variables:
                raise Malformed(f"two functions are called {head.name}")
            if text[end : end + 1] not in ("{", ";"):
                raise Malformed(f"the body of {head.name}, or a `;`, was expected")
        except Malformed as error:
            raise self.fail(start, str(error)) from None
        self.declared.add(head.name)
        if text[end] == "{":
            body = Body(self.text, head)
            end = body.read(end)
            self.functions[head.name] = replace(body.function(end), target=self.target)
        return end + 1
