"""Launch geometry of the CUDA C++ kernels in in_cupy.cu. x (n,) float32, n < 2^31, out (1,) int64."""

from pathlib import Path

import cupy
import numpy as np

_module = cupy.RawModule(
    code=Path(__file__).with_suffix(".cu").read_text(encoding="utf-8"),
    options=("--std=c++17", "-lineinfo"),
)
LOWEST = -(2**63)  # less than every key


def one_atomic_an_element(x, out, *, BLOCK=256):
    out.fill_(LOWEST)  # the kernel only raises it
    n = x.numel()
    blocks = (n + BLOCK - 1) // BLOCK
    kernel = _module.get_function("one_atomic_an_element")
    kernel((blocks,), (BLOCK,), (cupy.asarray(x), cupy.asarray(out), np.int32(n)))
    _module.get_function("index_of_key")((1,), (1,), (cupy.asarray(out),))


def keys_by_shuffle(x, out, *, BLOCKS=512):
    out.fill_(LOWEST)
    n = x.numel()
    blocks = min(BLOCKS, (n + 255) // 256)  # the kernel is written for 256 threads a block
    kernel = _module.get_function("keys_by_shuffle")
    kernel((blocks,), (256,), (cupy.asarray(x), cupy.asarray(out), np.int32(n)))
    _module.get_function("index_of_key")((1,), (1,), (cupy.asarray(out),))
