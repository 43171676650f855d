"""No double by accident: in Numba a Python number is a double.

A consumer card has one unit for double precision where it has 64 for single, so a kernel that computes in float64 by
accident may run at a fraction of its speed, and gives the same answer. Nothing in the result shows it. The compiled code
does: look for `.f64` in the PTX.

    0.5                       a Python float: float64 in Numba
    float32 * float64         float64, as in NumPy arrays: the wider type wins
    np.float32(0.5)           a float32 constant

So `x[i] * 0.5 + 1.0` loads 4 bytes, widens them to 8, multiplies and adds in double, and rounds the result back.

What to do: compute out = 0.5 * x + 1 with no double-precision instruction in the compiled kernel.
What to look at: warpbench inspect shows the PTX of any kernel of the catalogue; the check names the line that widens.
"""

import numpy as np
from numba import cuda


@cuda.jit
def _scale_bias(x, out):
    i = cuda.grid(1)
    if i < out.size:
        # --- your code (1 line): Which of these numbers are doubles?
        out[i] = x[i] * 0.5 + 1.0
        # --- end of your code


def no_f64(x, out, *, BLOCK=256):
    blocks = (out.numel() + BLOCK - 1) // BLOCK
    _scale_bias[blocks, BLOCK](x, out)
