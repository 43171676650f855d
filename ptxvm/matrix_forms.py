"""Which matrix instructions there are, and for which targets: forms that the PTX ISA describes and ptxas accepts.

`tests/ptxvm/test_matrix_forms.py` holds the lists to ptxas. Like ptxas, they leave the order of modifiers open, but for
types and for the layouts of A and B. ptxas takes a few forms more, of which the ISA does not say where an element lies:
`mma` m8n8k4 of bf16 and tf32, `wmma.mma` m16n16k16 of s4 and u4, m16n16k8 and m16n16k16 of f64. They are not executed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import product, zip_longest

from ptxvm.arch import capability

BITS = {
    "f16": 16, "bf16": 16, "tf32": 32, "f32": 32, "f64": 64, "s32": 32,
    "e4m3": 8, "e5m2": 8, "s8": 8, "u8": 8, "s4": 4, "u4": 4, "b1": 1,
}  # fmt: skip
INTEGERS = ("s8", "u8", "s4", "u4", "b1")
LAYOUTS = ("row", "col")
SPACES = {"": "generic", "global": "global", "shared": "shared", "shared::cta": "shared"}
Target = tuple[int, int]
Key = tuple[str, tuple[str, ...], tuple[str, ...], frozenset[str]]
Shape = tuple[int, int, int]


@dataclass(frozen=True)
class MmaForm:
    """D = A B + C of one warp.

    kinds     element types of D, A, B, C
    layouts   of A and B: what they mean for `mma` m8n8k4 only; `wmma` has obeyed them when it loaded
    logic     "xor" or "and" of one-bit elements
    rounding  of f64
    selectors how many sparsity selectors there are; 0 where A is dense
    wide      f16 of `wmma`: A and B take eight registers whatever their size, and hold everything more than once
    least     the first compute capability; `own`: it alone, as with the target sm_120a
    """

    shape: Shape
    kinds: tuple[str, str, str, str]
    layouts: tuple[str, str] = ("row", "col")
    saturate: bool = False
    logic: str = ""
    rounding: str = "rn"
    selectors: int = 0
    wide: bool = False
    least: Target = (8, 0)
    own: bool = False

    @property
    def quads(self) -> bool:
        """Whether eight lanes, a quad of each half of the warp, make a product of their own: four a warp."""
        return self.shape == (8, 8, 4) and self.kinds[1] != "f64"

    @cached_property
    def registers(self) -> tuple[tuple[int, str], ...]:
        """(number of registers, PTX type that they are read as) of D, A, B, C."""
        return tuple(self._registers(i) for i in range(4))

    def _registers(self, i: int) -> tuple[int, str]:
        m, n, k = self.shape
        kind = self.kinds[i]
        if i in (0, 3):
            values = 8 if self.quads else m * n // 32
            return (values // 2, "u32") if kind == "f16" else (values, kind)
        if self.wide:
            return 8, "u32"
        elements = 4 if self.quads else (m if i == 1 else n) * k // 32
        if i == 1 and self.selectors:
            elements //= 2
        return (elements, "f64") if kind == "f64" else (elements * BITS[kind] // 32, "u32")


@dataclass(frozen=True)
class FragmentForm:
    """A `wmma.load` or `wmma.store` of one operand: "a", "b", "c" or "d"."""

    operand: str
    shape: Shape
    kind: str
    layout: str
    space: str
    least: Target = (7, 0)

    @property
    def registers(self) -> tuple[int, str]:
        """(number of registers, PTX type that they are read as)."""
        m, n, k = self.shape
        if self.operand in "cd":
            values = m * n // 32
            return (values // 2, "u32") if self.kind == "f16" else (values, self.kind)
        elements = (m if self.operand == "a" else n) * k // 32
        if self.kind == "f64":
            return elements, "f64"
        return (8 if self.kind == "f16" else elements * BITS[self.kind] // 32), "u32"

    @property
    def along_k(self) -> bool:
        """Whether neighbours in memory are neighbours along k: rows of A, columns of B."""
        return self.layout == ("row" if self.operand == "a" else "col")


def key_of(parts: tuple[str, ...]) -> Key | None:
    """What tells forms apart; None where a word is repeated."""
    types = tuple(p for p in parts[1:] if p in BITS)
    layouts = tuple(p for p in parts[1:] if p in LAYOUTS)
    rest = [p for p in parts[1:] if p not in BITS and p not in LAYOUTS]
    return (parts[0], layouts, types, frozenset(rest)) if len(set(rest)) == len(rest) else None


def lack(target: str, least: Target, own: bool = False) -> str:
    """Why a target such as "sm_86" has no instruction of a first capability; "" where it has, or is no target."""
    try:
        here = capability(target)
    except ValueError:  # a launch will say so
        return ""
    if (here == least and target[-1] == "a") if own else here >= least:
        return ""
    name = f"sm_{least[0]}{least[1]}{'a' if own else ' or newer'}"
    return f"it is for {name}, and this text for {target}"


# -- mma -----------------------------------------------------------------------------------------------------------
def _mma() -> Iterator[tuple[str, MmaForm]]:
    for layouts, (d, c) in product(product(LAYOUTS, LAYOUTS), (("f16", "f16"), ("f32", "f16"), ("f32", "f32"))):
        kinds = (d, "f16", "f16", c)
        yield _opcode("mma", (8, 8, 4), kinds, layouts), MmaForm((8, 8, 4), kinds, layouts, least=(7, 0))
    tall: list[tuple[int, tuple[str, ...], tuple[str, ...], Target]] = [
        (8, ("f16",), ("f16", "f32"), (7, 5)),
        (16, ("f16",), ("f16", "f32"), (8, 0)),
        *((k, ("bf16",), ("f32",), (8, 0)) for k in (8, 16)),
        *((k, ("tf32",), ("f32",), (8, 0)) for k in (4, 8)),
        *((k, ("f64",), ("f64",), (9, 0)) for k in (4, 8, 16)),
        *((k, ("e4m3", "e5m2"), ("f16", "f32"), (8, 9)) for k in (16, 32)),
        *((k, ("s8", "u8"), ("s32",), (8, 0)) for k in (16, 32)),
        *((k, ("s4", "u4"), ("s32",), (8, 0)) for k in (32, 64)),
    ]
    for k, factors, sums, least in tall:
        yield from _plain("mma", (16, 8, k), factors, sums, least)
    yield from _plain("mma", (8, 8, 4), ("f64",), ("f64",), (8, 0))
    yield from _plain("mma", (8, 8, 16), ("s8", "u8"), ("s32",), (7, 5))
    yield from _plain("mma", (8, 8, 32), ("s4", "u4"), ("s32",), (7, 5))
    bits = ("s32", "b1", "b1", "s32")
    for (m, k), logic in product(((8, 128), (16, 128), (16, 256)), ("xor", "and")):
        least = (7, 5) if (m, logic) == (8, "xor") else (8, 0)
        opcode = f"{_opcode('mma', (m, 8, k), bits)}.{logic}.popc"
        yield opcode, MmaForm((m, 8, k), bits, logic=logic, least=least)
    for k, a, b, d in product((16, 32), ("e4m3", "e5m2"), ("e4m3", "e5m2"), ("f16", "f32")):
        opcode = _opcode("mma", (16, 8, k), (d, a, b, d), word=".kind::f8f6f4")
        yield opcode, MmaForm((16, 8, k), (d, a, b, d), least=(12, 0), own=True)


def _sparse() -> Iterator[tuple[str, MmaForm]]:
    halved: list[tuple[int, int, tuple[str, ...], tuple[str, ...], Target]] = [
        *((k, 64 // k, ("f16",), ("f16", "f32"), (8, 0)) for k in (16, 32)),
        *((k, 64 // k, ("bf16",), ("f32",), (8, 0)) for k in (16, 32)),
        *((k, 32 // k, ("tf32",), ("f32",), (8, 0)) for k in (8, 16)),
        *((k, 64 // k, ("s8", "u8"), ("s32",), (8, 0)) for k in (32, 64)),
        *((k, 128 // k, ("s4", "u4"), ("s32",), (8, 0)) for k in (64, 128)),
        (64, 1, ("e4m3", "e5m2"), ("f32",), (8, 9)),
    ]
    for (k, selectors, factors, sums, least), variant in product(halved, ("sp", "sp::ordered_metadata")):
        yield from _plain(f"mma.{variant}", (16, 8, k), factors, sums, least, selectors)


def _plain(
    base: str, shape: Shape, factors: tuple[str, ...], sums: tuple[str, ...], least: Target, selectors: int = 0
) -> Iterator[tuple[str, MmaForm]]:
    """Every pair of types of A and B, every type of C and D; integers also saturated."""
    for a, b, d in product(factors, factors, sums):
        for word in ("", ".satfinite") if d == "s32" else ("",):
            kinds = (d, a, b, d)
            form = MmaForm(shape, kinds, saturate=bool(word), selectors=selectors, least=least)
            yield _opcode(base, shape, kinds, word=word), form


def _opcode(
    base: str, shape: Shape, kinds: tuple[str, ...], layouts: tuple[str, str] = ("row", "col"), word: str = ""
) -> str:
    size, order = "m{}n{}k{}".format(*shape), ".".join(layouts)
    place = f"{order}.{size}" if base.startswith("wmma") else f"{size}.{order}"
    return f"{base}.sync.aligned.{place}{word}.{'.'.join(kinds)}"


# -- wmma ----------------------------------------------------------------------------------------------------------
_SQUARE: tuple[Shape, ...] = ((16, 16, 16), (32, 8, 16), (8, 32, 16))
# (shapes, types of A and B, types of C and D, first capability, whether all layouts are there)
_WMMA: tuple[tuple[tuple[Shape, ...], tuple[str, ...], tuple[str, ...], Target, bool], ...] = (
    (_SQUARE, ("f16",), ("f16", "f32"), (7, 0), True),
    (_SQUARE, ("bf16",), ("f32",), (8, 0), True),
    (((16, 16, 8),), ("tf32",), ("f32",), (8, 0), True),
    (((8, 8, 4),), ("f64",), ("f64",), (8, 0), True),
    (_SQUARE, ("s8", "u8"), ("s32",), (7, 2), True),
    (((8, 8, 32),), ("s4", "u4"), ("s32",), (7, 5), False),
    (((8, 8, 128),), ("b1",), ("s32",), (7, 5), False),
)


def _wmma() -> Iterator[tuple[str, MmaForm]]:
    for shapes, factors, sums, least, free in _WMMA:
        layouts = tuple(product(LAYOUTS, LAYOUTS)) if free else (("row", "col"),)
        for shape, order, kind in product(shapes, layouts, factors):
            for d, c in product(sums, sums):
                kinds = (d, kind, kind, c)
                for before, middle, after in _variants(kind):
                    named = (d, c) if kind == "f16" else kinds
                    opcode = _opcode(f"wmma.mma{before}", shape, named, order, middle) + after
                    logic = before.split(".")[1] if before else ""
                    yield opcode, MmaForm(
                        shape, kinds, order, bool(after), logic, middle[1:] or "rn",
                        wide=kind == "f16", least=(8, 0) if logic == "and" else least,
                    )  # fmt: skip


def _variants(kind: str) -> list[tuple[str, str, str]]:
    """Words before `sync`, before the types and at the end."""
    if kind == "f64":
        return [("", word, "") for word in ("", ".rn", ".rz", ".rm", ".rp")]
    if kind == "b1":
        return [(".xor.popc", "", ""), (".and.popc", "", "")]
    return [("", "", ""), ("", "", ".satfinite")] if kind in INTEGERS else [("", "", "")]


def _fragments() -> Iterator[tuple[str, FragmentForm]]:
    for shapes, factors, sums, least, free in _WMMA:
        for shape, layout, (word, space) in product(shapes, LAYOUTS, SPACES.items()):
            operands = [(o, kind) for o in "ab" for kind in factors if free or layout == ("row" if o == "a" else "col")]
            operands += [(o, kind) for o in "cd" for kind in (sums if sums != ("s32",) or free else ("s32", "f32"))]
            for operand, kind in operands:
                m, n, k = shape
                name = f"wmma.{'store' if operand == 'd' else 'load'}.{operand}.sync.aligned.{layout}.m{m}n{n}k{k}"
                first = least if operand in "ab" else (7, 0) if shape in _SQUARE else least
                yield (
                    f"{name}{'.' if word else ''}{word}.{kind}",
                    FragmentForm(operand, shape, kind, layout, space, first),
                )


MMA: dict[str, MmaForm] = {**dict(_mma()), **dict(_sparse()), **dict(_wmma())}
FRAGMENTS: dict[str, FragmentForm] = dict(_fragments())
_BY_KEY = {key_of(tuple(opcode.split("."))): opcode for opcode in (*MMA, *FRAGMENTS)}


def form_of(parts: tuple[str, ...]) -> MmaForm | FragmentForm | None:
    """The form that an opcode names; None if there is none."""
    opcode = _BY_KEY.get(key_of(parts), "")
    return MMA.get(opcode) or FRAGMENTS.get(opcode)


@cache
def _there(target: str, kind: tuple[str, ...]) -> list[tuple[list[str], str]]:
    """(words, opcode) of the forms that a target has, of those that begin alike."""
    forms: dict[str, MmaForm | FragmentForm] = {**MMA, **FRAGMENTS}
    found = []
    for opcode, form in forms.items():
        words = opcode.split(".")
        if tuple(words[:2]) == kind and not lack(target, form.least, isinstance(form, MmaForm) and form.own):
            found.append((words, opcode))
    return found


def nearest(parts: tuple[str, ...], target: str) -> str:
    """The executed opcode that differs from one in the fewest words, as a sentence; "" if none is of its kind."""
    there = _there(target, parts[:2])
    types = [p for p in parts if p in BITS]
    like = [one for one in there if [p for p in one[0] if p in BITS] == types] or there
    if not like:
        return ""

    def difference(one: tuple[list[str], str]) -> tuple[int, int]:
        pairs = list(zip_longest(one[0], parts, fillvalue=""))
        beginnings = sum(mine[:3] != other[:3] for mine, other in pairs)  # shapes of the same m are nearer
        return sum(mine != other for mine, other in pairs), beginnings

    return f"the nearest form that {target or 'a target'} has is `{min(like, key=difference)[1]}`"
