# expect: M4 transpose rows=31 cols=65
"""Triton: the mask covers the columns and forgets the rows."""

import triton
import triton.language as tl


@triton.jit
def _reads_past_the_row(x_ptr, out_ptr, rows, cols, BLOCK: tl.constexpr):
    row = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    col = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tile = tl.load(x_ptr + row[:, None] * cols + col, mask=col[None, :] < cols)
    tl.store(
        out_ptr + col[:, None] * rows + row,
        tl.trans(tile),
        mask=(col[:, None] < cols) & (row < rows),
    )


def reads_past_the_row(x, out):
    rows, cols = x.shape
    _reads_past_the_row[(triton.cdiv(cols, 32), triton.cdiv(rows, 32))](
        x, out, rows, cols, BLOCK=32
    )
