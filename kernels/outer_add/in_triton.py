"""Outer sum in Triton: out[i, j] = a[i] + b[j], a (rows,), b (cols,), out (rows, cols) float32."""

import triton
import triton.language as tl

# --------------------------------------------------------------------------------------------------
# Idea: a program owns a row: one element of a, and b in pieces.
# Should help: it is the formula with the loop over j written as a block.
# Costs: all of b is loaded again for each row.


@triton.jit
def _one_row_a_program(a_ptr, b_ptr, out_ptr, cols, BLOCK: tl.constexpr):
    row = tl.program_id(0)
    mine = tl.load(a_ptr + row)
    for first in range(0, cols, BLOCK):
        col = first + tl.arange(0, BLOCK)  # (BLOCK,), may pass cols in the last round
        b = tl.load(b_ptr + col, mask=col < cols)
        tl.store(out_ptr + row * cols + col, mine + b, mask=col < cols)


def one_row_a_program(a, b, out, *, BLOCK=512):
    rows, cols = out.shape
    _one_row_a_program[(rows,)](a, b, out, cols, BLOCK=BLOCK)


# --------------------------------------------------------------------------------------------------
# Idea: a program owns a tile: BLOCK_R elements of a as a column, BLOCK_C of b as a row, and the
# addition broadcasts both.
# Should help: what was loaded serves a whole tile.
# Costs: registers for (BLOCK_R, BLOCK_C) results.


@triton.jit
def _one_tile_a_program(a_ptr, b_ptr, out_ptr, rows, cols, BLOCK_R: tl.constexpr, BLOCK_C: tl.constexpr):
    row = tl.program_id(1) * BLOCK_R + tl.arange(0, BLOCK_R)  # (BLOCK_R,)
    col = tl.program_id(0) * BLOCK_C + tl.arange(0, BLOCK_C)  # (BLOCK_C,)
    a = tl.load(a_ptr + row, mask=row < rows)
    b = tl.load(b_ptr + col, mask=col < cols)
    inside = (row[:, None] < rows) & (col[None, :] < cols)  # (BLOCK_R, BLOCK_C)
    tl.store(out_ptr + row[:, None] * cols + col[None, :], a[:, None] + b[None, :], mask=inside)


def one_tile_a_program(a, b, out, *, BLOCK_R=16, BLOCK_C=64):
    rows, cols = out.shape
    grid = (triton.cdiv(cols, BLOCK_C), triton.cdiv(rows, BLOCK_R))
    _one_tile_a_program[grid](a, b, out, rows, cols, BLOCK_R=BLOCK_R, BLOCK_C=BLOCK_C)
