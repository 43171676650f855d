"""Transpose in Triton: out[j, i] = x[i, j], x (rows, cols), out (cols, rows), float32."""

import triton
import triton.language as tl

# --------------------------------------------------------------------------------------------------
# Idea: take out as one flat range; for each of its elements work out where it stands in x.
# Should help: stores are contiguous, and the kernel is four lines.
# Costs: neighbours of out are `cols` elements apart in x: 32 sectors a load, 4 bytes used of each;
# a division an element.


@triton.jit
def _one_element_a_lane(x_ptr, out_ptr, rows, cols, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)  # (BLOCK,) flat index of out, may pass the end
    inside = i < rows * cols
    row, col = i % rows, i // rows  # out[col, row] stands at col * rows + row
    tl.store(out_ptr + i, tl.load(x_ptr + row * cols + col, mask=inside), mask=inside)


def one_element_a_lane(x, out, *, BLOCK=256):
    rows, cols = x.shape
    _one_element_a_lane[(triton.cdiv(rows * cols, BLOCK),)](x, out, rows, cols, BLOCK=BLOCK)


# --------------------------------------------------------------------------------------------------
# Idea: a program owns a tile, loads it as (BLOCK_R, BLOCK_C) and stores its transpose.
# Should help: load and store each get the layout that suits them, both along rows; between the two
# the compiler moves the tile through shared memory, with its own swizzle.
# Costs: shared memory for the tile and a barrier, none of which stands in the source.


@triton.jit
def _tile_a_program(x_ptr, out_ptr, rows, cols, BLOCK_R: tl.constexpr, BLOCK_C: tl.constexpr):
    row = tl.program_id(1) * BLOCK_R + tl.arange(0, BLOCK_R)  # (BLOCK_R,)
    col = tl.program_id(0) * BLOCK_C + tl.arange(0, BLOCK_C)  # (BLOCK_C,)
    inside = (row[:, None] < rows) & (col[None, :] < cols)
    tile = tl.load(x_ptr + row[:, None] * cols + col[None, :], mask=inside)  # (BLOCK_R, BLOCK_C)
    inside = (col[:, None] < cols) & (row[None, :] < rows)
    tl.store(out_ptr + col[:, None] * rows + row[None, :], tl.trans(tile), mask=inside)  # (BLOCK_C, BLOCK_R)


def tile_a_program(x, out, *, BLOCK_R=32, BLOCK_C=32):
    rows, cols = x.shape
    grid = (triton.cdiv(cols, BLOCK_C), triton.cdiv(rows, BLOCK_R))
    _tile_a_program[grid](x, out, rows, cols, BLOCK_R=BLOCK_R, BLOCK_C=BLOCK_C)
