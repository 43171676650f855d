"""Launch geometry of the CUDA C++ kernels in in_cupy.cu. x, y, out (n,) float32, n < 2^31."""

from pathlib import Path

import cupy
import numpy as np

_module = cupy.RawModule(
    code=Path(__file__).with_suffix(".cu").read_text(encoding="utf-8"),
    options=("--std=c++17", "-lineinfo"),
)


def one_thread_an_element(a, x, y, out, *, BLOCK=256):
    n = out.numel()
    blocks = (n + BLOCK - 1) // BLOCK
    kernel = _module.get_function("one_thread_an_element")
    # np.float32 and np.int32: a bare Python number is packed as 8 bytes, the kernel's parameters
    # have 4
    kernel(
        (blocks,),
        (BLOCK,),
        (np.float32(a), cupy.asarray(x), cupy.asarray(y), cupy.asarray(out), np.int32(n)),
    )


def four_floats_a_load(a, x, y, out, *, BLOCK=256):
    n = out.numel()
    vectors = (n + 3) // 4  # groups of four, the last one maybe not full
    blocks = (vectors + BLOCK - 1) // BLOCK
    kernel = _module.get_function("four_floats_a_load")
    kernel(
        (blocks,),
        (BLOCK,),
        (np.float32(a), cupy.asarray(x), cupy.asarray(y), cupy.asarray(out), np.int32(n)),
    )
