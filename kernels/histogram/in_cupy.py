"""Launch geometry of the CUDA C++ kernels in in_cupy.cu. x (n,) int32 in 0..255, out (256,) int32, n < 2^31."""

from pathlib import Path

import cupy
import numpy as np

_module = cupy.RawModule(
    code=Path(__file__).with_suffix(".cu").read_text(encoding="utf-8"),
    options=("--std=c++17", "-lineinfo"),
)


def _launch(name, x, out, blocks, block):
    out.zero_()  # the kernels only add
    arguments = (cupy.asarray(x), cupy.asarray(out), np.int32(x.numel()))
    _module.get_function(name)((blocks,), (block,), arguments)


def one_atomic_an_element(x, out, *, BLOCK=256):
    _launch("one_atomic_an_element", x, out, (x.numel() + BLOCK - 1) // BLOCK, BLOCK)


def bins_of_the_block(x, out, *, BLOCKS=512):
    _launch("bins_of_the_block", x, out, min(BLOCKS, (x.numel() + 4095) // 4096), 256)  # a thread for each bin
