"""Damaged PTX: texts of the corpus with tokens, numbers, lines or bytes changed, from a seed."""

from __future__ import annotations

import random
import re

_TOKEN = re.compile(r"[A-Za-z_$%.][\w$.:]*|\d\w*|\S")
_NUMBER = re.compile(r"(?<![\w$.%])-?\d+(?!\w)")
_NUMBERS = ["0", "1", "-1", "7", "31", "33", "64", "255", "65536", "-2147483648", "4294967295", str(2**64 - 1), "1e9"]
_NAMES = [".u32", ".f16x2", ".pred", ".shared", ".global", ".local", ".param", ".sync", ".v4", ".reg", "%r1", "%rd1"]
_WORDS = [*_NAMES, "%p1", "%tid.x", *"[]{};,@!_-|", "bra", "ret", "ld.global.u32", "bar.sync", "mma"]
_BYTES = "\0\t\n\r\"'/*\\{}[]<>%$@;:,.-+ \x7fé€\u2028"


def damaged(text: str, seed: int) -> str:
    """A text with one to three changes within the kernel's declarations and body."""
    rng = random.Random(seed)
    for _ in range(rng.choice((1, 1, 2, 3))):
        end = text.find(".section")
        text = rng.choice(_CHANGES)(text, rng, len(text) if end < 0 else end)
    return text


def _spans(text: str, pattern: re.Pattern[str], end: int) -> list[tuple[int, int]]:
    return [m.span() for m in pattern.finditer(text, 0, end)]


def _with(text: str, span: tuple[int, int], new: str) -> str:
    return text[: span[0]] + new + text[span[1] :]


def _token(text: str, rng: random.Random, end: int) -> str:
    """A token is taken out, doubled, or replaced by another word or another token of the text."""
    spans = _spans(text, _TOKEN, end)
    if not spans:
        return text
    span, other = rng.choice(spans), rng.choice(spans)
    old = text[span[0] : span[1]]
    return _with(text, span, rng.choice(("", f"{old} {old}", rng.choice(_WORDS), text[other[0] : other[1]])))


def _swap(text: str, rng: random.Random, end: int) -> str:
    """Two tokens change places."""
    spans = _spans(text, _TOKEN, end)
    if len(spans) < 2:
        return text
    first, second = sorted(rng.sample(spans, 2))
    a, b = text[first[0] : first[1]], text[second[0] : second[1]]
    return _with(_with(text, second, a), first, b)


def _number(text: str, rng: random.Random, end: int) -> str:
    """A number becomes another one."""
    spans = _spans(text, _NUMBER, end)
    return _with(text, rng.choice(spans), rng.choice(_NUMBERS)) if spans else text


def _line(text: str, rng: random.Random, end: int) -> str:
    """A line is taken out, or moved to another place."""
    lines = text[:end].split("\n")
    line = lines.pop(rng.randrange(len(lines)))
    if rng.random() < 0.5:
        lines.insert(rng.randrange(len(lines) + 1), line)
    return "\n".join(lines) + text[end:]


def _bytes(text: str, rng: random.Random, end: int) -> str:
    """A character becomes another one, or one comes between."""
    at = rng.randrange(end + 1)
    return _with(text, (at, min(end, at + rng.randint(0, 1))), rng.choice(_BYTES))


def _cut(text: str, rng: random.Random, end: int) -> str:
    """The rest is missing."""
    return text[: rng.randrange(end + 1)]


_CHANGES = (_token, _token, _token, _swap, _number, _number, _line, _bytes, _cut)
