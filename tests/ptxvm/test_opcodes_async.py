"""Does `cp.async` bring the bytes that it was told to, when they are waited for, and zeros beyond the source size?"""

from __future__ import annotations

from collections.abc import Sequence

import ptxvm
from tests.ptxvm.ptx_kernel import FILL
from tests.ptxvm.scalar import memory
from tests.ptxvm.spaces_kernel import LANES, WINDOW, ZONE, Spaces

OLD = 0x5A5A5A5A5A5A5A5A
# Opcode and bytes; then which source size is given.
COPIES = [
    ("cp.async.ca.shared.global", 4), ("cp.async.ca.shared.global", 8), ("cp.async.ca.shared.global", 16),
    ("cp.async.cg.shared.global", 16), ("cp.async.cg.shared::cta.global", 16),
    ("cp.async.cg.shared.global.L2::128B", 16), ("cp.async.ca.shared.global.L2::256B", 8),
    ("cp.async.ca.shared.global.L2::cache_hint", 16),
]  # fmt: skip
SIZES = ("all", "uniform", "lane", "ignored")
SHAPES = (("both", ""), ("uniform", ""), ("block", ""), ("thread", "@%p "), ("both", "@!%p "))


def check(copies: Sequence[tuple[str, int]], seed: str) -> int:
    """Copies in every shape, guarded and in a flat group; how many there were."""
    program = Spaces(seed)
    rng = program.rng
    program.windows["global"] = [rng.randbytes(WINDOW)] * LANES
    program.add(f"mad.lo.u32 %base_shared, %thread, {ZONE}, %base_shared;")
    for name, kind in (("%from", "b64"), ("%old", "b64"), ("%policy", "b64"), ("%x", "pred")):
        program.register(name, kind)
    program.add(f"mov.b64 %old, {OLD};", "createpolicy.fractional.L2::evict_last.b64 %policy, 0f3F800000;")
    done = []
    for flat in (False, True):
        if flat:
            program.add("@!%p bra END;")
        for (opcode, size), how in ((c, how) for c in copies for how in SIZES):
            for shape, guard in SHAPES[: 2 if flat else None]:
                offsets = [rng.randrange(WINDOW // size) * size for _ in range(LANES)]
                sizes = [rng.randrange(size + 1) for _ in range(LANES)]
                offset = program.load("%off", "b64", shape, program.words(offsets))
                program.add(f"add.u64 %from, {offset}, %base_global;")
                extra = ""
                if how in ("uniform", "lane"):
                    wide = "uniform" if how == "uniform" else "both"
                    extra = f", {program.load('%size', 'b32', wide, program.words(sizes))}"
                elif how == "ignored":
                    extra = f", {program.load('%x', 'pred', 'both', program.words(program.flags))}"
                extra += ", %policy" if "cache_hint" in opcode else ""
                program.add(*(f"st.shared.b64 [%base_shared+{8 * i}], %old;" for i in range(4)))
                program.add(f"{guard}{opcode} [%base_shared], [%from], {size}{extra};")
                program.add(*_wait(len(done)))
                for i in range(4):
                    program.register(f"%back{i}", "b64")
                    program.add(f"ld.shared.b64 %back{i}, [%base_shared+{8 * i}];")
                slots = [program.store(f"%back{i}", 64) for i in range(4)]
                done.append((opcode, size, how, shape, guard, flat, offsets, sizes, slots))
    program.add("END:")
    results = program.launch(program.global_words())
    window = program.windows["global"][0]
    for opcode, size, how, shape, guard, flat, offsets, sizes, slots in done:
        for lane in range(LANES):
            flag = program.flags[lane]
            zone = bytearray(OLD.to_bytes(8, "little") * 4)
            wanted = {"": None, "@%p ": 1, "@!%p ": 0}[guard]
            if wanted is None or flag == wanted:
                place = offsets[program.place[shape][lane]]
                read = {"all": None, "uniform": sizes[0], "lane": sizes[lane], "ignored": 0 if flag else size}[how]
                zone[:size] = memory.async_copy(window[place:], size, read)
            words = [int.from_bytes(zone[8 * i : 8 * i + 8], "little") for i in range(4)]
            if flat and not flag:
                words = [FILL] * 4
            got = [results[slot][lane] for slot in slots]
            where = f"{guard}{opcode} of {size}, source size: {how}, {shape}{' flat' * flat}, lane {lane}"
            assert got == words, f"{where}: {[hex(x) for x in got]}, not {[hex(x) for x in words]}"
    return len(done)


def _wait(number: int) -> tuple[str, ...]:
    """The three ways to wait, in turn."""
    return (
        ("cp.async.commit_group;", "cp.async.wait_group 0;"),
        ("cp.async.wait_all;",),
        ("cp.async.commit_group;", "cp.async.commit_group;", "cp.async.wait_group 1;"),
    )[number % 3]


def test_copies() -> None:
    assert check(COPIES, "copies") == len(COPIES) * len(SIZES) * (len(SHAPES) + 2)


def test_groups_are_waited_for_in_order() -> None:
    """`wait_group n` leaves the n latest groups in flight: those bytes are still the old ones here."""
    program = Spaces("groups")
    program.windows["global"] = [program.rng.randbytes(WINDOW)] * LANES
    program.add(f"mad.lo.u32 %base_shared, %thread, {ZONE}, %base_shared;")
    for name in ("%old", *(f"%back{i}" for i in range(4))):
        program.register(name, "b64")
    program.add(f"mov.b64 %old, {OLD};")
    program.add(*(f"st.shared.b64 [%base_shared+{8 * i}], %old;" for i in range(4)))
    for i in range(3):
        program.add(f"cp.async.ca.shared.global [%base_shared+{8 * i}], [%base_global+{8 * i}], 8;")
        program.add("cp.async.commit_group;")
    slots = []
    for left in (2, 1, 0):
        program.add(f"cp.async.wait_group {left};")
        program.add(*(f"ld.shared.b64 %back{i}, [%base_shared+{8 * i}];" for i in range(3)))
        slots.append([program.store(f"%back{i}", 64) for i in range(3)])
    results = program.launch(program.global_words(), checks=ptxvm.Checks(races="off", counters=False))
    source = program.global_words()
    for landed, row in enumerate(slots, 1):
        for lane in range(LANES):
            got = [results[slot][lane] for slot in row]
            assert got == [source[i] if i < landed else OLD for i in range(3)]
