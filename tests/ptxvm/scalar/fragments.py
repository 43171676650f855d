"""Which lane holds which element, from the fragment tables of the PTX ISA: each shape by itself, as it stands there.

groupID = lane >> 2 and threadID_in_group = lane % 4 are the ISA's names, here `group` and `thread`; i is the number of
an element of the lane, lowest bits of the first register first.
"""

from __future__ import annotations

Place = tuple[int, int]  # row, column
WIDTH = {
    "f16": 16, "bf16": 16, "tf32": 32, "f64": 64, "s8": 8, "u8": 8, "e4m3": 8, "e5m2": 8, "s4": 4, "u4": 4, "b1": 1,
}  # fmt: skip


def place_of_a(shape: str, kind: str, lane: int, i: int, layout: str = "row") -> Place:
    """(row, column) of element a_i."""
    group, thread, width = lane >> 2, lane % 4, WIDTH[kind]
    below = group + 8
    match shape, width:
        case "m8n8k4", 16:
            upper = 0 if lane < 16 else 4
            return (lane % 4 + upper, i) if layout == "row" else (i % 4 + upper, lane % 4)
        case "m8n8k4", 64:
            return group, thread
        case "m8n8k16", 8:
            return group, thread * 4 + i
        case "m8n8k32", 4:
            return group, thread * 8 + i
        case "m8n8k128", 1:
            return group, thread * 32 + i
        case "m16n8k4", _:
            return (group if i == 0 else below), thread
        case "m16n8k8", 16:
            return (group if i < 2 else below), thread * 2 + (i & 1)
        case "m16n8k8", _:
            return (group if i in (0, 2) else below), (thread if i < 2 else thread + 4)
        case "m16n8k16", 16:
            return (group if i < 2 or 4 <= i < 6 else below), thread * 2 + (i & 1) + (8 if i >= 4 else 0)
        case "m16n8k16", 8:
            return (group if i < 4 else below), thread * 4 + (i & 3)
        case "m16n8k16", 64:
            return (group, i * 2 + thread) if i % 2 == 0 else (below, i * 2 - 2 + thread)
        case "m16n8k32", 8:
            return (group if i < 4 or 8 <= i < 12 else below), thread * 4 + (i & 3) + (16 if i >= 8 else 0)
        case "m16n8k32", 4:
            return (group if i < 8 else below), thread * 8 + (i & 7)
        case "m16n8k64", 4:
            return (group if i < 8 or 16 <= i < 24 else below), thread * 8 + (i & 7) + (32 if i >= 16 else 0)
        case "m16n8k128", 1:
            return (group if i < 32 else below), thread * 32 + (i & 31)
        case "m16n8k256", 1:
            return (group if i < 32 or 64 <= i < 96 else below), thread * 32 + (i & 31) + (128 if i >= 64 else 0)
    raise ValueError(f"A of {shape}, {kind}")


def place_of_b(shape: str, kind: str, lane: int, i: int, layout: str = "col") -> Place:
    """(row, column) of element b_i."""
    group, thread, width = lane >> 2, lane % 4, WIDTH[kind]
    match shape, width:
        case "m8n8k4", 16:
            right = 0 if lane < 16 else 4
            return (lane % 4, i + right) if layout == "row" else (i, lane % 4 + right)
        case "m8n8k4" | "m16n8k4", _:
            return thread, group
        case "m8n8k16", 8:
            return thread * 4 + i, group
        case "m8n8k32", 4:
            return thread * 8 + i, group
        case "m8n8k128" | "m16n8k128", 1:
            return thread * 32 + i, group
        case "m16n8k8", 16:
            return thread * 2 + i, group
        case "m16n8k8" | "m16n8k16", 32 | 64:
            return thread + 4 * i, group
        case "m16n8k16" | "m16n8k32", 16:
            return thread * 2 + (i & 1) + 8 * (i // 2), group
        case "m16n8k16", 8:
            return thread * 4 + i, group
        case "m16n8k32" | "m16n8k64", 8:
            return thread * 4 + (i & 3) + 16 * (i // 4), group
        case "m16n8k32", 4:
            return thread * 8 + i, group
        case "m16n8k64" | "m16n8k128", 4:
            return thread * 8 + (i & 7) + 32 * (i // 8), group
        case "m16n8k256", 1:
            return thread * 32 + (i & 31) + (128 if i >= 32 else 0), group
    raise ValueError(f"B of {shape}, {kind}")


def place_of_c(shape: str, kind: str, lane: int, i: int) -> Place:
    """(row, column) of element c_i or d_i."""
    group, thread = lane >> 2, lane % 4
    if shape == "m8n8k4" and kind != "f64":
        if kind == "f16":
            return (lane % 4 if lane < 16 else lane % 4 + 4), i
        x = (lane & 0b1) + (i & 0b10)
        return (x if lane < 16 else x + 4), (i & 0b100) + (lane & 0b10) + (i & 0b1)
    if shape.startswith("m8"):
        return group, thread * 2 + i
    return (group if i < 2 else group + 8), thread * 2 + (i & 1)


# -- sparse A ------------------------------------------------------------------------------------------------------
CHUNK = {32: 2, 16: 4, 8: 4, 4: 8}  # bits of an element -> columns that four bits of metadata are for
HALF = {
    "m16n8k8": "m16n8k4",
    "m16n8k16": "m16n8k8",
    "m16n8k32": "m16n8k16",
    "m16n8k64": "m16n8k32",
    "m16n8k128": "m16n8k64",
}


def field_of(shape: str, kind: str, row: int, chunk: int, selector: int) -> tuple[int, int]:
    """(lane, lowest bit) of the four bits of metadata of a chunk of a row of A."""
    first, lower = 4 * (row % 8), row // 8
    match shape, WIDTH[kind]:
        case ("m16n8k16", 16) | ("m16n8k8", 32):
            return first + selector, 16 * lower + 4 * chunk
        case ("m16n8k32", 16) | ("m16n8k16", 32):
            return first + 2 * selector + chunk // 4, 16 * lower + 4 * (chunk % 4)
        case ("m16n8k32", 8) | ("m16n8k64", 4):
            return first + 2 * selector + lower, 4 * chunk
        case ("m16n8k64", 8) | ("m16n8k128", 4):
            return first + 2 * (chunk // 8) + lower, 4 * (chunk % 8)
    raise ValueError(f"metadata of {shape}, {kind}")


def column_of(kind: str, stored: int, fields: list[int]) -> int:
    """The column of A that a stored element of a row comes from; `fields`: metadata of the row's chunks."""
    if kind == "tf32":
        return 2 * stored + {0b0100: 0, 0b1110: 1}[fields[stored]]
    if WIDTH[kind] == 4:
        chunk, pair = stored // 4, stored // 2 % 2
        return 8 * chunk + 2 * (fields[chunk] >> 2 * pair & 3) + stored % 2
    chunk = stored // 2
    return 4 * chunk + (fields[chunk] >> 2 * (stored % 2) & 3)
