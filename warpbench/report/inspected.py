"""The text of `warpbench inspect` and `warpbench doctor`; what they say is gathered in `inspection` and `doctor`."""

from __future__ import annotations

import linecache
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from warpbench import errors
from warpbench.report import all_cards, checks
from warpbench.report.terminal import Column, console, figure, percent, shape_text
from warpbench.report.terminal import show as table

Found = Mapping[str, Any]
LAUNCHES = (
    Column("kernel"),
    Column("grid"),
    Column("block"),
    Column("registers", "right"),
    Column("spill bytes", "right", 1),
    Column("stack bytes", "right", 4),
    Column("static shared", "right", 2),
    Column("dynamic shared", "right", 2),
    Column("barriers", "right", 3),
    Column("blocks/SM", "right", 3),
    Column("occupancy", "right"),
    Column("limited by", priority=1),
)
LINES = (
    Column("line"),
    Column("source", priority=1, least=32),
    Column("requests", "right"),
    Column("sectors/request", "right"),
    Column("efficiency", "right", 2),
    Column("wavefronts", "right", 2),
    Column("excess", "right"),
    Column("instructions", "right", 3),
    Column("flops", "right", 4),
    Column("divergent", "right", 3),
    Column("barriers", "right", 3),
)
MIX = (Column("instruction"), Column("PTX", "right"), Column("SASS", "right"), Column("as", priority=1))
LEGEND = (
    "requests: warps that touch global memory; sectors/request: 32-byte sectors that each of them touches",
    "efficiency: bytes that threads ask for over the bytes of these sectors",
    "wavefronts: passes through shared memory; excess: those that bank conflicts add",
    "divergent: warps whose lanes split at a branch; barriers: warps that arrive at one",
    "Counts are of PTX, all launches together; none is a time.",
)
SOURCE_WIDTH = 72  # characters of a source line that a table shows


def show(found: Found) -> None:
    """Print what is known of a rung."""
    wants = found["wants"]
    if wants["ptx"] and not (wants["sass"] or wants["counters"]):
        for line in heading(found):
            print(f"// {line}")
    else:
        _tell(heading(found))
    for kernel in found.get("kernels", ()):
        if kernel["problem"] and not wants["ptx"]:
            _tell(kernel["problem"].splitlines())
    if wants["summary"] and found.get("launches"):
        _summary(found)
    if wants["ptx"]:
        _ptx(found)
    if wants["sass"]:
        for kernel in found.get("kernels", ()):
            if kernel["sass"] is not None:
                _sass(kernel)
    if wants["all_cards"]:
        all_cards.show(found)
    if wants["counters"] and found.get("lines") is not None:
        print()
        table(LINES, [line_cells(one) for one in found["lines"]], ["", *LEGEND])
        _tell(list(_beside(found)))


def exit_code(found: Found) -> int:
    """0 if what was asked for was given, 1 a rung that is wrong, 3 something is missing, 5 refused or not executed."""
    verdict = found["verdict"]
    if found["refused"] or verdict == "not executed":
        return errors.NOT_RUN
    if verdict == "fail":
        return errors.WRONG
    if verdict not in ("pass", "compiled"):
        return errors.ENVIRONMENT
    problems = [kernel["problem_code"] for kernel in found["kernels"] if kernel["problem"]]
    return max(problems, default=errors.OK) if found["wants"]["sass"] else errors.OK


def heading(found: Found) -> list[str]:
    """What is shown, for which card, at which shape; why it was not run, or what is wrong with it."""
    lines = [f"{found['rung']}: {found['idea']}"]
    if found["refused"]:
        lines.append(found["refused"])
    if "kernels" not in found:
        return lines if found["refused"] else [*lines, found["reason"]]
    shape = f"at {shape_text(found['shape'])}, {found['dtype']}"
    lines.append(f"for {found['name']} ({found['cc']}, {found['arch']}) {shape}. {_state(found)}")
    return lines + checks.findings(found["findings"])


def _state(found: Found) -> str:
    """What was done with it, as a sentence."""
    if not found["kernels"]:
        return "It does not compile:" if found["verdict"] == "fail" else "It launches no kernel."
    match found["verdict"]:
        case "pass":
            return "Executed on ptxvm: the answer is right. Nothing was timed."
        case "fail":
            return "Executed on ptxvm, and wrong:"
        case "not executed":
            return f"Compiled, not executed: {found['reason'].rstrip('.')}."
    return "Compiled for it all the same, not executed." if found["refused"] else "Compiled, not executed."


def _tell(lines: Sequence[str]) -> None:
    from rich.text import Text

    out = console()
    for line in lines:
        out.print(Text(line))  # as it is: no markup, no names of emoji


# -- summary -------------------------------------------------------------------------------------------------------
def _summary(found: Found) -> None:
    """Launches, claims, totals."""
    print()
    table(LAUNCHES, [_launch(one) for one in found["launches"]])
    tools = dict.fromkeys(kernel["tool"] for kernel in found["kernels"] if kernel["tool"])
    notes = [f"Registers, spills and shared memory are those of {', '.join(tools)}."] if tools else []
    notes += [
        f'The ladder claims "{claim["claim"]}": {"found" if claim["found"] else "NOT found"} in the PTX.'
        for claim in found["claims"]
    ]
    print()
    _tell(notes)
    if found["counts"] is not None:
        print()
        table((Column("counted, all launches"), Column("", "right")), _totals(found))
    for kernel in (kernel for kernel in found["kernels"] if kernel["sass"] is not None):
        print()
        _tell([f"{kernel['kernel']}, instructions in its code:"])
        _mix(kernel["sass"])
    print()
    _tell(["By source line: --counters. Machine code: --sass. PTX: --ptx. Every card side by side: --all-cards"])


def _beside(found: Found) -> Iterator[str]:
    """What the table by line has no room for: mix, units, traffic, atomics, where the machine code differs."""
    counts = found["counts"]
    yield ""
    for title, name in (("Warp instructions", "mix"), ("Operations by unit", "units")):
        ranked = sorted(counts[name].items(), key=lambda one: -one[1])
        if ranked:
            yield f"{title}: {', '.join(f'{figure(count)} {key}' for key, count in ranked)}."
    yield (
        f"Bytes that threads ask for: {figure(counts['load_bytes'])} loaded, {figure(counts['store_bytes'])} stored. "
        f"Of sectors touched at least once: {figure(counts['unique_load_bytes'])} loaded, "
        f"{figure(counts['unique_store_bytes'])} stored."
    )
    for one in (one for one in found["lines"] if one["atomics"]):
        yield (
            f"{Path(one['file']).name}:{one['line']}: {figure(one['atomics'])} atomics, "
            f"up to {one['contention']} lanes of a warp at one address."
        )
    for kernel in found["kernels"]:
        if kernel["sass"] is not None:
            yield from (f"{kernel['kernel']}: {text}" for text in kernel["sass"]["warnings"])


def _launch(one: Found) -> list[str]:
    return [
        one["kernel"],
        extent(one["grid"]),
        extent(one["block"]),
        figure(one["registers"]),
        figure(one["spill_bytes"]),
        figure(one["stack_bytes"]),
        figure(one["static_shared_bytes"]),
        figure(one["dynamic_shared_bytes"]),
        figure(one["barriers"]),
        figure(one["blocks_per_sm"]),
        percent(one["occupancy"]),
        ", ".join(one["limiters"]),
    ]


def _totals(found: Found) -> list[list[str]]:
    """Name and figure of what the launches did; what no launch did at all is left out."""
    counts, compulsory = found["counts"], found["compulsory_bytes"]
    rows = [["warp instructions", figure(counts["instructions"])], ["global requests", figure(counts["requests"])]]
    if counts["requests"]:
        rows.append(["sectors/request", figure(counts["sectors_per_request"])])
        rows.append(["efficiency of the sectors", percent(counts["efficiency"])])
    if compulsory:
        rows.append(["asked/compulsory bytes", figure(counts["bytes_asked"] / compulsory, 2)])
    if counts["shared_requests"]:
        rows.append(["shared wavefronts", figure(counts["wavefronts"])])
        rows.append(["excess wavefronts", figure(counts["excess"])])
    names = {"barriers": "barriers", "divergent": "divergent branches", "atomics": "atomics"}
    names |= {"flops": "floating-point operations", "mma": "matrix instructions"}
    return rows + [[title, figure(counts[name])] for name, title in names.items() if counts[name]]


def extent(sizes: Sequence[int]) -> str:
    """`32` for (32, 1, 1), `4 x 2` for (4, 2, 1)."""
    x, y, z = sizes
    return f"{x} x {y} x {z}" if z > 1 else f"{x} x {y}" if y > 1 else str(x)


# -- counters ------------------------------------------------------------------------------------------------------
def line_cells(one: Found) -> list[str]:
    """A row of the table by source line."""
    reads = bool(one["requests"])
    return [
        f"{Path(one['file']).name}:{one['line']}",
        _cut(one["text"]),
        figure(one["requests"]),
        figure(one["sectors_per_request"]) if reads else "-",
        percent(one["efficiency"]) if reads else "-",
        figure(one["wavefronts"]) if one["shared_requests"] else "-",
        figure(one["excess"]) if one["shared_requests"] else "-",
        figure(one["instructions"]),
        figure(one["flops"]),
        figure(one["divergent"]),
        figure(one["barriers"]),
    ]


def _cut(text: str) -> str:
    return text if len(text) <= SOURCE_WIDTH else f"{text[: SOURCE_WIDTH - 3]}..."


# -- code ----------------------------------------------------------------------------------------------------------
def _ptx(found: Found) -> None:
    """The PTX of each module once, as it is, so that it can be assembled; above it where the launched kernels begin."""
    modules: dict[str, list[Found]] = {}
    for kernel in found.get("kernels", ()):
        modules.setdefault(kernel["ptx"], []).append(kernel)
    for text, kernels in modules.items():
        for kernel in kernels:
            place = next((i for i, row in enumerate(text.splitlines(), 1) if _begins(row, kernel["entry"])), None)
            print(f"// {kernel['kernel']} for {kernel['target']}: .entry {kernel['entry']}, line {place} of the PTX")
        print(text)


def _begins(row: str, entry: str) -> bool:
    return ".entry" in row and row.partition(".entry")[2].strip(" (\t") == entry


def _sass(kernel: Found) -> None:
    """The listing under the source lines that it comes from, the instruction mix, and where it differs from the PTX."""
    sass = kernel["sass"]
    print()
    by = f"machine code for {sass['target']} by {sass['assembler']}, listed by {sass['disassembler']}"
    names = {"registers": "registers", "spill_bytes": "spill bytes", "stack_bytes": "stack bytes"}
    names |= {"shared_bytes": "static shared bytes", "barriers": "barriers"}
    panel = ", ".join(f"{title} {figure(kernel[name])}" for name, title in names.items())
    _tell([f"{kernel['kernel']}: {by}", panel])
    _tell(list(_listing(sass["code"])))
    print()
    _mix(sass)


def _mix(sass: Found) -> None:
    """The instruction mix of the machine code beside the PTX's."""
    named = [row for row in sass["mix"] if row["ptx"] is not None]
    rest = ", ".join(f"{row['sass']} {row['family']}" for row in sass["mix"] if row["ptx"] is None)
    rows = [[row["family"], figure(row["ptx"]), figure(row["sass"]), row["names"]] for row in named]
    table(MIX, rows, ["", f"else in the machine code: {rest}", *sass["warnings"]])


def _listing(code: Sequence[Found]) -> Iterator[str]:
    """Machine code as text, a heading where the source line changes."""
    place: tuple[str, int] | None = None
    for one in code:
        if one["address"] is None:
            yield f"{one['text']}:"
            continue
        if one["file"] is not None and (one["file"], one["line"]) != place:
            place = (one["file"], one["line"])
            yield f"{Path(place[0]).name}:{place[1]}   {_cut(linecache.getline(*place).strip())}".rstrip()
        yield f"    {one['address']:04x}  {one['text']}"


# -- doctor --------------------------------------------------------------------------------------------------------
def show_doctor(found: Sequence[Found]) -> None:
    """Print what was looked at, and below it what to do where it is not as it should be."""
    from rich.text import Text

    out = console()
    width = max(len(one["name"]) for one in found)
    for one in found:
        word, style = ("ok", "green") if one["ok"] else ("without", "dim") if one["optional"] else ("fail", "red")
        out.print(Text.assemble((f"{word:7}", style), f"  {one['name']:{width}}  {one['text']}"))
        if one["fix"] and not one["ok"]:
            out.print(Text(f"{'':{width + 11}}to do: {one['fix']}"))
    failed = sum(not one["ok"] and not one["optional"] for one in found)
    _tell([f"{failed} of {len(found)} must be mended" if failed else "everything that is needed works"])
