"""The static panel: what the assembler makes of a kernel's PTX. No card is needed, nothing runs.

`static_panel` asks ptxas for registers, spills, stack, shared memory and barriers; `sass` takes its machine code apart.
Both are by the assembler that the DSL itself would use (`backends.tools`), for the target that the PTX declares. They
are kept on disk by PTX, tool and target, for ptxas takes from 0.05 to several seconds.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from warpbench import cache
from warpbench.backends import tools
from warpbench.errors import EnvironmentProblem, KernelWrong, UsageError

_REFUSED = re.compile(r"^ptxas\S*\s+\S+, line (\d+); (?:error|fatal)\s*: (.*)$", re.M)
_FATAL = re.compile(r"^ptxas\S*\s+(?:error|fatal)\s*: (.*)$", re.M)
_PROPERTIES = re.compile(
    r"Function properties for (\S+)\s+(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads"
)
_COMPILING = re.compile(r"Compiling entry function '([^']+)' for '[^']+'(.*?)(?=Compiling entry function|\Z)", re.S)
_SECTION = re.compile(r'^\s*\.section\s+\.text\.([^,"\s]+)')
_ANY_SECTION = re.compile(r"^\s*\.section\s")
_PLACE = re.compile(r'^\s*//## File "([^"]*)", line (\d+)')
_MACHINE = re.compile(r"^\s*/\*([0-9a-f]{4,})\*/\s+(\S.*?)\s*;")
_LABEL = re.compile(r"^(?!\.text\.)([.$]\S+):\s*$")
_MNEMONIC = re.compile(r"(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_]*)")


@dataclass(frozen=True)
class Panel:
    """What ptxas says of one kernel.

    registers      a thread
    spill_bytes    bytes of spill stores and spill loads in the code, each instruction counted once, those of device
                   functions that the kernel calls included; 0: no register was spilled
    stack_bytes    local memory of a thread: spilled registers and arrays that are indexed at run time
    shared_bytes   a block, static only: what is passed at the launch is not in it
    barriers       of the 16 that a block has
    tool, target   "ptxas 13.0.88", "sm_86"
    """

    entry: str
    registers: int
    spill_bytes: int
    stack_bytes: int
    shared_bytes: int
    barriers: int
    tool: str
    target: str


@dataclass(frozen=True)
class Machine:
    """One line of machine code. `address` None: a label. The source is the outermost frame of inlined code."""

    address: int | None
    text: str
    file: str | None
    line: int | None

    @property
    def mnemonic(self) -> str:
        """`@!P0 LDG.E.128 R4, [R2]` gives "LDG"; a label gives ""."""
        found = _MNEMONIC.match(self.text) if self.address is not None else None
        return found[1] if found else ""


@dataclass(frozen=True)
class Sass:
    """The machine code of one kernel, in order of address, device functions that it calls included."""

    entry: str
    target: str
    assembler: str
    disassembler: str
    code: tuple[Machine, ...]

    @property
    def histogram(self) -> Counter[str]:
        """How often each mnemonic stands in the code; what only fills the last cache line (NOP) is left out."""
        return Counter(one.mnemonic for one in self.code if one.mnemonic not in ("", "NOP"))

    def by_line(self) -> dict[tuple[str, int], list[Machine]]:
        """The instructions of each source line; empty without line information."""
        table: dict[tuple[str, int], list[Machine]] = {}
        for one in self.code:
            if one.address is not None and one.file is not None and one.line is not None:
                table.setdefault((one.file, one.line), []).append(one)
        return table


def static_panel(ptx: str, arch: str, dsl: str, entry: str | None = None) -> Panel:
    """What ptxas says of a kernel.

    entry   its name in the PTX; None where it is the only one

    Raises EnvironmentProblem where the assembler is missing, KernelWrong for PTX that it refuses (the first line is its
    reason), UsageError for an entry that is not there.
    """
    target = target_of(ptx, arch)
    tool = tools.assembler(dsl, target)
    key = _key("panel", ptx, tool, target)
    found = cache.load(key)
    if found is None:
        with tempfile.TemporaryDirectory(prefix="warpbench-") as folder:
            log = _assemble(ptx, tool, target, Path(folder))
        found = {panel.entry: asdict(panel) for panel in _panels(log, ptx, tool, target)}
        cache.store(key, found)
    return Panel(**_chosen(found, entry))


def sass(ptx: str, arch: str, dsl: str, entry: str | None = None) -> Sass:
    """The machine code of a kernel, by the same rules and with the same errors as `static_panel`."""
    target = target_of(ptx, arch)
    tool, reader = tools.assembler(dsl, target), tools.nvdisasm()
    name = static_panel(ptx, arch, dsl, entry).entry
    key = _key("sass", ptx, tool, target, str(reader))
    found = cache.load(key)
    if found is None:
        with tempfile.TemporaryDirectory(prefix="warpbench-") as folder:
            _assemble(ptx, tool, target, Path(folder))
            # -gi names the source line of every instruction, through inlined functions
            said = tools.run(reader, ["-c", "-gi", "kernel.cubin"], Path(folder))
        functions = disassembled(said.out)
        if said.status or not all(functions.values()):
            raise EnvironmentProblem(
                f"{reader} cannot read the machine code that {tool} wrote for {target}: {_first_line(said.err)}. "
                "Nothing was disassembled. Install the tested versions: make setup"
            )
        found = {name: [list(vars(one).values()) for one in code] for name, code in functions.items()}
        cache.store(key, found)
    code = tuple(Machine(*row) for row in _chosen(found, name))
    return Sass(name, target, str(tool), str(reader), code)


def target_of(ptx: str, arch: str) -> str:
    """What PTX must be assembled for: "sm_90a" where its `.target` says so for an `arch` of "sm_90", else `arch`."""
    declared = re.search(r"^\s*\.target\s+(sm_\w+)", ptx, re.M)
    return declared[1] if declared and declared[1].rstrip("af") == arch.rstrip("af") else arch


def _key(what: str, ptx: str, tool: tools.Tool, target: str, *more: str) -> str:
    sha = hashlib.sha256(ptx.encode("utf-8", "surrogatepass")).hexdigest()
    return cache.key(f"static {what}", sha, str(tool), tool.options, target, *more)


def _chosen(found: dict[str, Any], entry: str | None) -> Any:
    """What is known of one entry."""
    if entry is None and len(found) == 1:
        return next(iter(found.values()))
    if entry not in found:
        names = ", ".join(sorted(found)) or "none"
        asked = f"there is no kernel {entry} in it" if entry else "one of its kernels must be named"
        raise UsageError(f"the PTX was assembled, but {asked}; it holds: {names}.")
    return found[entry]


# -- ptxas ---------------------------------------------------------------------------------------------------------
def _assemble(ptx: str, tool: tools.Tool, target: str, folder: Path) -> str:
    """Assemble into folder/kernel.cubin; what ptxas said. KernelWrong for PTX that it refuses."""
    (folder / "kernel.ptx").write_text(ptx, encoding="utf-8", errors="surrogatepass")
    said = tools.run(tool, ["-v", "-lineinfo", f"--gpu-name={target}", "kernel.ptx", "-o", "kernel.cubin"], folder)
    if said.status == 0:
        return said.err + said.out
    raise KernelWrong(_refusal(said, tool, target))


def _refusal(said: tools.Said, tool: tools.Tool, target: str) -> str:
    """Why ptxas refused: its first reason with the line of the PTX, then all that it said."""
    text = said.err + said.out
    if said.status < 0:
        return f"{tool} was ended by signal {-said.status}. Nothing was assembled for {target}.\n{text}".rstrip()
    named, plain = _REFUSED.search(text), _FATAL.search(text)
    if named:
        reason = f"{named[2].strip()} (line {named[1]} of the PTX)"
    else:
        reason = plain[1].strip() if plain else _first_line(text)
    return f"{tool} refuses this PTX: {reason}. Nothing was assembled for {target}.\n{text}".rstrip()


def _first_line(text: str) -> str:
    return (text.strip().splitlines() or ["it does not say why"])[0]


def _panels(log: str, ptx: str, tool: tools.Tool, target: str) -> Iterator[Panel]:
    """The panel of every entry, from what `ptxas -v` said."""
    stacks = {name: int(stack) for name, stack, _, _ in _PROPERTIES.findall(log)}
    spills = {name: int(stores) + int(loads) for name, _, stores, loads in _PROPERTIES.findall(log)}
    entries = _COMPILING.findall(log)
    functions = set(spills) - {entry for entry, _ in entries}
    for entry, text in entries:
        called = _called(ptx, entry) & functions if any(spills[name] for name in functions) else set()
        yield Panel(
            entry=entry,
            registers=_number(r"Used (\d+) registers", text),
            spill_bytes=spills.get(entry, 0) + sum(spills[name] for name in called),
            stack_bytes=_number(r"(\d+) bytes cumulative stack size", text) or stacks.get(entry, 0),
            shared_bytes=_number(r"(\d+) bytes smem", text),
            barriers=_number(r"used (\d+) barriers", text),
            tool=str(tool),
            target=target,
        )


def _called(ptx: str, entry: str) -> set[str]:
    """The device functions that an entry calls, directly or through others."""
    from ptxvm import Module

    return {function.name for function in Module.from_ptx(ptx).reachable(entry)}


def _number(pattern: str, text: str) -> int:
    """The number that ptxas gives; it leaves out what is 0."""
    found = re.search(pattern, text)
    return int(found[1]) if found else 0


# -- nvdisasm ------------------------------------------------------------------------------------------------------
def disassembled(text: str) -> dict[str, tuple[Machine, ...]]:
    """The code of every function in an nvdisasm listing.

    A place is written once, before the instructions that come from it; its frames one below the other, outermost last.
    """
    table: dict[str, list[Machine]] = {}
    code: list[Machine] | None = None
    place: tuple[str | None, int | None] = (None, None)
    for row in text.splitlines():
        if section := _SECTION.match(row):
            code, place = table.setdefault(section[1], []), (None, None)
        elif _ANY_SECTION.match(row) or code is None:
            code = None
        elif frame := _PLACE.match(row):
            place = (frame[1], int(frame[2]))
        elif machine := _MACHINE.match(row):
            code.append(Machine(int(machine[1], 16), machine[2], *place))
        elif label := _LABEL.match(row):
            code.append(Machine(None, label[1], None, None))
    return {name: _trimmed(code) for name, code in table.items()}


def _trimmed(code: list[Machine]) -> tuple[Machine, ...]:
    """Without the NOPs that fill the last cache line, and the label behind them."""
    end = len(code)
    while end and code[end - 1].mnemonic in ("", "NOP"):
        end -= 1
    return tuple(code[:end])
