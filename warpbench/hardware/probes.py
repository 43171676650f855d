"""The smallest text that uses each feature, with which the assembler is asked: features.toml is proven, not believed.

probes.ptx and probes.cu hold one probe a feature. A PTX probe is the body of a kernel; here it gets its frame, and many
of them make one module, so that a whole architecture is asked in one run.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from warpbench.hardware.tables import CatalogueError

_BEGIN = re.compile(r"^// probe: (\w+)(?: \[(.*)\])?$", re.MULTILINE)
_FRAME = """.visible .entry NAME(.param .u64 p_out, .param .u64 p_in, .param .u32 p_n)
DIRECTIVES{
  .reg .pred p<8>;
  .reg .b16 h<16>;
  .reg .b32 r<64>;
  .reg .b64 rd<16>;
  .reg .f32 f<16>;
  .reg .f64 d<16>;
  .shared .align 128 .b8 smem[4096];
  .shared .align 16 .b8 mbar[16];
  ld.param.u64 rd0, [p_out];
  cvta.to.global.u64 rd0, rd0;
  ld.param.u64 rd1, [p_in];
  cvta.to.global.u64 rd1, rd1;
  ld.param.u32 r0, [p_n];
  mov.u32 r1, smem;
  mov.u64 rd9, smem;
  mov.u32 r60, mbar;
BODY  ret;
}
"""


@dataclass(frozen=True)
class Probe:
    """What is assembled ("ptx") or compiled ("cu") to ask for one feature; `options` are the compiler's."""

    feature: str
    language: str
    text: str
    options: tuple[str, ...] = ()

    @property
    def kernel(self) -> str:
        """The PTX of a kernel that is named like the feature."""
        lines = self.text.splitlines(keepends=True)
        directives = "".join(line for line in lines if line.startswith("."))
        body = "".join(line for line in lines if not line.startswith("."))
        return _FRAME.replace("NAME", self.feature).replace("DIRECTIVES", directives).replace("BODY", body)


@dataclass(frozen=True)
class Module:
    """Probes in one PTX module, and the lines of each, counted from 1."""

    ptx: str
    lines: Mapping[str, range]

    def at(self, line: int) -> str | None:
        """The feature whose probe holds a line."""
        return next((name for name, lines in self.lines.items() if line in lines), None)


@cache
def probes() -> Mapping[str, Probe]:
    """All probes by feature. CatalogueError for one that stands twice."""
    found: dict[str, Probe] = {}
    for language in ("ptx", "cu"):
        for probe in _read(language):
            if found.setdefault(probe.feature, probe) is not probe:
                raise CatalogueError(f"probes.{language}: there are two probes of {probe.feature}")
    return MappingProxyType(found)


def module(features: Iterable[str], target: str, version: str) -> Module:
    """The PTX probes of these features as one module for a target such as "sm_90a"."""
    text = f".version {version}\n.target {target}\n.address_size 64\n"
    lines = {}
    for name in features:
        first = text.count("\n") + 1
        text += probes()[name].kernel
        lines[name] = range(first, text.count("\n") + 1)
    return Module(text, MappingProxyType(lines))


def shows(opcode: str, word: str) -> bool:
    """Whether an opcode is a word of machine code: the same mnemonic, all its parts. "LDG.256" is "LDG.E.ENL2.256"."""
    mnemonic, *parts = word.split(".")
    first, *all_parts = opcode.split(".")
    return first == mnemonic and set(parts) <= set(all_parts)


def _read(language: str) -> Iterator[Probe]:
    text = (files(__package__) / f"probes.{language}").read_text("utf-8")
    begins = [*_BEGIN.finditer(text)]
    for i, begin in enumerate(begins):
        end = begins[i + 1].start() if i + 1 < len(begins) else len(text)
        body = text[begin.end() : end].strip("\n") + "\n"
        yield Probe(begin[1], language, body, tuple((begin[2] or "").split()))
