"""Copy of a matrix in Triton: out[i, j] = x[i, j], both (rows, cols) float32."""

import triton
import triton.language as tl
from triton.tools.tensor_descriptor import TensorDescriptor

# --------------------------------------------------------------------------------------------------
# Idea: a program owns a tile; it computes an address and a mask for each of its elements.
# Should help: neighbouring lanes read neighbouring elements, 16 bytes each where cols allows it.
# Costs: registers and integer instructions for (BLOCK_R, BLOCK_C) addresses; the tile passes
# through registers.


@triton.jit
def _tile_of_pointers(x_ptr, out_ptr, rows, cols, BLOCK_R: tl.constexpr, BLOCK_C: tl.constexpr):
    row = tl.program_id(1) * BLOCK_R + tl.arange(0, BLOCK_R)  # (BLOCK_R,)
    col = tl.program_id(0) * BLOCK_C + tl.arange(0, BLOCK_C)  # (BLOCK_C,)
    place = row[:, None] * cols + col[None, :]  # (BLOCK_R, BLOCK_C)
    inside = (row[:, None] < rows) & (col[None, :] < cols)
    tl.store(out_ptr + place, tl.load(x_ptr + place, mask=inside), mask=inside)


def tile_of_pointers(x, out, *, BLOCK_R=16, BLOCK_C=64):
    rows, cols = x.shape
    grid = (triton.cdiv(cols, BLOCK_C), triton.cdiv(rows, BLOCK_R))
    _tile_of_pointers[grid](x, out, rows, cols, BLOCK_R=BLOCK_R, BLOCK_C=BLOCK_C)


# --------------------------------------------------------------------------------------------------
# Idea: a descriptor holds base, shape and strides; the tensor memory accelerator (TMA) moves the
# tile between global and shared memory, clips it at the edges, and signals a barrier when it has
# arrived.
# Should help: one thread issues one instruction a tile; no addresses in registers, no masks.
# Costs: compute capability 9.0 or newer; rows must start at multiples of 16 bytes: cols % 4 == 0.


@triton.jit
def _tensor_descriptors(x, out, BLOCK_R: tl.constexpr, BLOCK_C: tl.constexpr):
    row = tl.program_id(1) * BLOCK_R  # the tile's corner; the part that passes the edge is dropped
    col = tl.program_id(0) * BLOCK_C
    out.store([row, col], x.load([row, col]))  # (BLOCK_R, BLOCK_C)


def tensor_descriptors(x, out, *, BLOCK_R=32, BLOCK_C=32):
    rows, cols = x.shape
    tile = [BLOCK_R, BLOCK_C]
    grid = (triton.cdiv(cols, BLOCK_C), triton.cdiv(rows, BLOCK_R))
    _tensor_descriptors[grid](
        TensorDescriptor.from_tensor(x, tile),
        TensorDescriptor.from_tensor(out, tile),
        BLOCK_R=BLOCK_R,
        BLOCK_C=BLOCK_C,
    )
