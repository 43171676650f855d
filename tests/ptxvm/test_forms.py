"""Does ptxvm take just the instructions outside of the matrix families that ptxas takes for a target?

Candidates are what the grammar of the PTX ISA can be made to say (`candidates.py`). `test_matrix_forms.py` has the
matrices.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import ptxvm
from tests.ptxvm.assembled import assemble, refused_by_ptxas, refused_by_ptxvm, whole
from tests.ptxvm.candidates import FAMILIES, candidates

HEADER = """.version 9.0
.target {target}
.address_size 64
.global .b64 G[4];
.shared .b64 S[4];
.func F() {{ ret; }}
.func (.reg .b32 %o) H (.reg .b32 %i) {{ mov.b32 %o, %i; ret; }}
.visible .entry k(.param .align 16 .b8 P[64])
{{ .reg .b8 %b<8>; .reg .pred %p<8>; .reg .b16 %h<16>; .reg .b32 %r<16>; .reg .b64 %d<16>; .reg .b128 %q<16>;
L: T: .branchtargets L; Q: .callprototype (.param .b32 _) _ (.param .b32 _); R: .calltargets H;
"""
TARGETS = ("sm_75", "sm_86", "sm_89")
TOGETHER = [f for f in FAMILIES if f not in ("control", "video")]
# What ptxas takes, and ptxvm refuses.
UNDOCUMENTED = re.compile(
    r"fma\.r[zmp]\.(relu\.)?bf16(x2)? .*|(addc|subc|madc\.lo|madc\.hi)\.[us]16 .*|(addc|subc|madc\.hi)\.sat\.s32 .*"
    r"|rcp\.r[nzmp]\.ftz\.f64 .*|setp\.(\w+\.)+f16x2 %p0,.*"
)  # beyond the text of the PTX ISA, which says nothing of what they give
LEFT = re.compile(r"(mov|ld|ldu|st)\.(.*\.)?b128 .*|mov\.\w+ %\w+, %pm0.*")  # 128 bits at once, and counters of a card


def split(family: str, target: str, folder: Path, step: int) -> tuple[int, set[str], set[str]]:
    """(how many of each `step`-th candidate ptxas takes, what ptxvm refuses of these, what ptxvm takes beyond them)."""
    header, statements = HEADER.format(target=target), candidates(family)[::step]
    if family == "control":
        ours = {s for s in statements if refused_by_ptxvm(header, [s])}
        theirs = {s for s in statements if assemble(target, whole(header, [s]), folder)}
    else:
        ours = refused_by_ptxvm(header, statements)
        theirs = refused_by_ptxas(target, header, statements, folder)
    return len(statements) - len(theirs), ours - theirs, theirs - ours


def test_a_sample(tmp_path: Path) -> None:
    """Of every family, for the newest of these targets."""
    for family in TOGETHER:
        taken, missing, beyond = split(family, "sm_89", tmp_path, 29)
        assert beyond == set()
        assert {s for s in missing if not UNDOCUMENTED.fullmatch(s) and not LEFT.fullmatch(s)} == set()
        assert taken > 0, family


@pytest.mark.slow
@pytest.mark.parametrize("target", ["sm_80", "sm_90", "sm_120"])
@pytest.mark.parametrize("family", TOGETHER)
def test_nothing_is_taken_beyond_ptxas_elsewhere(family: str, target: str, tmp_path: Path) -> None:
    """What is missing for newer cards is no concern of this file."""
    assert split(family, target, tmp_path, 3)[2] == set()


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_ptxvm_takes_what_ptxas_takes(family: str, tmp_path: Path) -> None:
    """And the README says of how many statements that is so."""
    row = []
    for target in TARGETS:
        taken, missing, beyond = split(family, target, tmp_path, 1)
        assert beyond == set()
        left = {s for s in missing if not UNDOCUMENTED.fullmatch(s) and not LEFT.fullmatch(s)}
        assert left == set() or (family == "video" and taken > len(missing))
        row.append(f"{taken - len(missing):,} of {taken:,}")
    readme = Path(ptxvm.__file__).parent / "README.md"
    assert f"| {family} | {' | '.join(row)} |" in readme.read_text(encoding="utf-8")
