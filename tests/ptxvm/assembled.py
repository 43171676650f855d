"""Which of many statements ptxas takes for a target, and which ptxvm, each as a line of one text."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import ptxvm
from warpbench.backends.tools import ptxas


def refused_by_ptxas(target: str, header: str, statements: Sequence[str], folder: Path) -> set[str]:
    """Assembles without what it complains of until it has nothing to say. What it then cannot digest is refused too."""
    left, refused, above = list(statements), set(), header.count("\n") + 1
    while True:
        said = assemble(target, whole(header, left), folder)
        wrong = {int(line) - above for line in re.findall(r"k\.ptx, line (\d+); (?:error|fatal)", said)}
        if not wrong:
            break
        refused |= {left[i] for i in wrong}
        left = [s for i, s in enumerate(left) if i not in wrong]
    if said:  # of a form in the middle, without its line: one by one
        refused |= {s for s in left if assemble(target, whole(header, [s]), folder)}
    return refused


def whole(header: str, statements: Sequence[str]) -> str:
    return header + "\n".join(statements) + "\nret; }\n"


def assemble(target: str, text: str, folder: Path) -> str:
    """What ptxas complains of."""
    source = folder / "k.ptx"
    source.write_text(text)
    command = [str(ptxas().path), "--gpu-name", target, "-O0", "-o", str(folder / "k.cubin"), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr if done.returncode else ""


def refused_by_ptxvm(header: str, statements: Sequence[str]) -> set[str]:
    """Of statements with one opcode each is in a text of its own, as a refusal names an opcode's first line."""
    seen: Counter[str] = Counter()
    texts: list[list[str]] = []
    for statement in statements:
        opcode = statement.split(" ")[0].rstrip(";")
        if seen[opcode] == len(texts):
            texts.append([])
        texts[seen[opcode]].append(statement)
        seen[opcode] += 1
    return {statement for text in texts for statement in _refused(header, text)}


def _refused(header: str, statements: list[str]) -> set[str]:
    refused: set[str] = set()
    above = header.count("\n") + 1
    while True:
        left = [s for s in statements if s not in refused]
        try:
            refusals = ptxvm.Module.from_ptx(whole(header, left)).unsupported()
        except ptxvm.PtxSyntaxError as error:
            refused.add(left[error.line - above])
            continue
        return refused | {left[(error.line or 0) - above] for error in refusals}
