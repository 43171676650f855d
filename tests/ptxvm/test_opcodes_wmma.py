"""Do `wmma.load`, `wmma.mma` and `wmma.store` together make the product, from and into every layout and space?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import product

import pytest

import ptxvm
from tests.ptxvm.wmma_kernel import Run, check

LAYOUTS = ("row", "col")
SPACES = ("", "global", "shared", "shared::cta")
SQUARE = ((16, 16, 16), (32, 8, 16), (8, 32, 16))
# shapes, type of A and B, types of D and C, whether there are all layouts
TYPES = [
    *((SQUARE, "f16", pair, True) for pair in product(("f16", "f32"), repeat=2)),
    (SQUARE, "bf16", ("f32", "f32"), True),
    (((16, 16, 8),), "tf32", ("f32", "f32"), True),
    (((8, 8, 4),), "f64", ("f64", "f64"), True),
    *((SQUARE, kind, ("s32", "s32"), True) for kind in ("s8", "u8")),
    *((((8, 8, 32),), kind, ("s32", "s32"), False) for kind in ("s4", "u4")),
    (((8, 8, 128),), "b1", ("s32", "s32"), False),
]


def opcodes(shape: tuple[int, int, int], kind: str, ends: tuple[str, str], layouts: tuple[str, str]) -> list[str]:
    """Every `wmma.mma` of a shape and its types."""
    size, order, (d, c) = "m{}n{}k{}".format(*shape), ".".join(layouts), ends
    start, factors = f"sync.aligned.{order}.{size}", f"{kind}.{kind}."
    if kind == "f16":
        return [f"wmma.mma.{start}.{d}.{c}"]
    if kind == "f64":
        return [f"wmma.mma.{start}{word}.{d}.{factors}{c}" for word in ("", ".rn", ".rz", ".rm", ".rp")]
    if kind == "b1":
        return [f"wmma.mma.{logic}.popc.{start}.{d}.{factors}{c}" for logic in ("xor", "and")]
    return [f"wmma.mma.{start}.{d}.{factors}{c}{word}" for word in ("", ".satfinite")[: 2 if d == "s32" else 1]]


def all_runs() -> list[Run]:
    """Every form of `wmma.mma`; layouts of C and D and the spaces so that each load and store is among them."""
    runs: list[Run] = []
    for shapes, kind, (d, c), free in TYPES:
        for shape in shapes:
            for i, layouts in enumerate(product(LAYOUTS, LAYOUTS) if free else [("row", "col")] * 2):
                forms = opcodes(shape, kind, (d, c), layouts)
                for turn in range(max(4, len(forms))):
                    outer = (LAYOUTS[(turn + i) % 2], *layouts, LAYOUTS[i % 2])
                    of_b, of_c, of_d, of_a = (SPACES[(turn + n) % 4] for n in range(4))
                    spaces, padded = (of_d, of_a, of_b, of_c), len(runs) % 3 > 0
                    runs.append(Run(forms[turn % len(forms)], shape, (d, kind, kind, c), outer, spaces, padded))
    return runs


RUNS = all_runs()
# f32 that no `wmma.mma` of the shape takes: loaded and stored again.
MOVES = [
    Run("", shape, ("f32", kind, kind, "f32"), (layout, "row", "col", other), (space, "", "", space), padded=True)
    for shape, kind in (((8, 8, 32), "s4"), ((8, 8, 128), "b1"))
    for layout, other, space in product(LAYOUTS, LAYOUTS, SPACES)
]
FORMS = {opcode for run in (*RUNS, *MOVES) for opcode in run.executed}


def fresh(runs: Iterable[Run], twice: bool = False) -> list[Run]:
    """The same without data."""
    return [replace(run, data=[], twice=twice) for run in runs]


@pytest.mark.parametrize("part", range(4))
def test_products(part: int) -> None:
    runs = fresh(RUNS[part::4])
    assert check(runs, f"wmma {part}") == {opcode for run in runs for opcode in run.executed}


def test_sums_of_any_numbers() -> None:
    """Rounded as one `mma` rounds: one run of each opcode."""
    runs = list({run.opcode: run for run in RUNS}.values())
    assert len(check(fresh(runs[::3]), "any numbers", any_number=True)) > len(runs[::3])


def test_matrices_that_are_only_moved() -> None:
    """By rows or columns, which need not be the same: the fragment is."""
    moves = [replace(run, opcode="") for run in RUNS[::7] if run.kinds[0] == run.kinds[3]]
    assert {run.kinds[0] for run in moves} == {"f16", "f32", "f64", "s32"}
    check(fresh((*MOVES, *moves)), "moves")


def test_every_element_of_a_fragment_may_be_changed() -> None:
    """`x.x[i] *= 2` of all elements, also where registers of f16 hold an element more than once."""
    kinds = ("f16", "bf16", "tf32", "f64")
    runs = fresh((run for run in RUNS[::5] if run.kinds[1] in kinds), twice=True)
    assert {run.kinds[1] for run in runs} == set(kinds)
    check(runs, "twice")


HEADER = """.version 9.0
.target sm_86
.address_size 64
.visible .entry k(.param .u64 x, .param .u64 y)
{ .reg .b64 %x, %y; .reg .f32 %f<8>; .reg .b32 %r<8>; .shared .align 32 .b8 tile[1024];
ld.param.u64 %x, [x];
ld.param.u64 %y, [y];
"""


def launch(body: str, bytes_of_x: int = 1024, checks: ptxvm.Checks | None = None) -> ptxvm.Report:
    device = ptxvm.Device("sm_86", memory_bytes=1 << 16)
    x, y = device.array((bytes_of_x // 4,), "float32", name="x"), device.array((256,), "float32", name="y")
    x[:] = range(bytes_of_x // 4)
    kernel = ptxvm.Module.from_ptx(f"{HEADER}{body}\nret;\n}}\n").kernel()
    report = device.launch(kernel, (1,), (32,), (x, y), checks=checks or ptxvm.Checks(races="all"))
    if bytes_of_x == 1024:
        moved = x.reshape(16, 16).T if "store.d.sync.aligned.col" in body else x.reshape(16, 16)
        assert y.reshape(16, 16).tolist() == moved.tolist()
    return report


LOAD = "wmma.load.c.sync.aligned.row.m16n16k16.global.f32 {%f0, %f1, %f2, %f3, %f4, %f5, %f6, %f7}, [%x]"
STORE = "wmma.store.d.sync.aligned.{}.m16n16k16.global.f32 [%y], {{%f0, %f1, %f2, %f3, %f4, %f5, %f6, %f7}}, 16;"


@pytest.mark.parametrize(("layout", "stores"), [("row", 4), ("col", 8)])
def test_accesses_are_counted(layout: str, stores: int) -> None:
    """A row of eight neighbours is a sector, which four lanes load eight bytes each; so is a column of eight lanes."""
    report = launch(f"{LOAD}, 16;\n{STORE.format(layout)}")
    counters = report.counters
    assert (counters.global_load_requests, counters.global_load_sectors, counters.global_load_bytes) == (4, 32, 1024)
    assert (counters.global_store_requests, counters.global_store_sectors) == (stores, 32)
    assert counters.global_store_bytes == 1024
    assert report.ok


def test_a_matrix_beyond_a_tensor_is_a_fault() -> None:
    with pytest.raises(ptxvm.Fault) as caught:
        launch(f"{LOAD}, 16;\n{STORE.format('row')}", bytes_of_x=1024 - 32)
    assert (caught.value.finding.kind, caught.value.finding.object[:6]) == ("out of bounds", "x[248]")


def test_a_stride_that_no_card_can_load_is_a_fault() -> None:
    with pytest.raises(ptxvm.Fault) as caught:
        launch(f"{LOAD}, 15;\n{STORE.format('row')}", bytes_of_x=1028)
    assert caught.value.finding.kind == "misaligned"


SHARED = STORE.replace("global", "shared").replace("%y", "tile").format("row")


def test_shared_memory_that_nobody_wrote() -> None:
    load = LOAD.replace("global", "shared").replace("%x", "tile")
    report = launch(f"{load}, 16;\n{LOAD}, 16;\n{STORE.format('row')}")
    assert {f.kind for f in report.findings} == {"uninitialised read"}
    assert launch(f"{LOAD}, 16;\n{SHARED}\n{load}, 16;\n{STORE.format('row')}").ok


READ = """mov.u32 %r0, %tid.x;
mov.u32 %r1, tile;
mad.lo.u32 %r0, %r0, 4, %r1;
ld.shared.b32 %r2, [%r0+128];
"""


@pytest.mark.parametrize("between", ["", "bar.warp.sync 0xffffffff;\n"])
def test_a_race_with_a_store_of_a_matrix(between: str) -> None:
    """A lane that reads what `wmma.store` of its warp wrote needs a `__syncwarp` between."""
    report = launch(f"{LOAD}, 16;\n{SHARED}\n{between}{READ}{STORE.format('row')}")
    assert [race.kind for race in report.races] == ([] if between else ["race"])
