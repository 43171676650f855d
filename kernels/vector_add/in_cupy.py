"""Launch geometry of the CUDA C++ vector additions in in_cupy.cu. x, y, out (n,) float32, n < 2^31."""

from pathlib import Path

import cupy
import numpy as np

_module = cupy.RawModule(
    code=Path(__file__).with_suffix(".cu").read_text(encoding="utf-8"),
    options=("--std=c++17", "-lineinfo"),
)


def one_thread_an_element(x, y, out, *, BLOCK=256):
    n = out.numel()
    blocks = (n + BLOCK - 1) // BLOCK  # rounded up: a part of a block is a block
    kernel = _module.get_function("one_thread_an_element")
    # np.int32: a bare Python int would be packed as 8 bytes, the kernel's `int n` has 4
    kernel((blocks,), (BLOCK,), (cupy.asarray(x), cupy.asarray(y), cupy.asarray(out), np.int32(n)))


def four_floats_a_load(x, y, out, *, BLOCK=256):
    n = out.numel()
    vectors = (n + 3) // 4  # groups of four, the last one maybe not full
    blocks = (vectors + BLOCK - 1) // BLOCK
    kernel = _module.get_function("four_floats_a_load")
    kernel((blocks,), (BLOCK,), (cupy.asarray(x), cupy.asarray(y), cupy.asarray(out), np.int32(n)))


def streaming_hints(x, y, out, *, BLOCK=256, BLOCKS=1024):
    n = out.numel()
    vectors = (n + 3) // 4
    blocks = min(BLOCKS, (vectors + BLOCK - 1) // BLOCK)  # no more blocks than there is work for
    kernel = _module.get_function("streaming_hints")
    kernel((blocks,), (BLOCK,), (cupy.asarray(x), cupy.asarray(y), cupy.asarray(out), np.int32(n)))
