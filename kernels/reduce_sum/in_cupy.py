"""Launch geometry of the CUDA C++ sums in in_cupy.cu. x (n,) float32, n < 2^31, out (1,) float32."""

from pathlib import Path

import cupy
import numpy as np

_module = cupy.RawModule(
    code=Path(__file__).with_suffix(".cu").read_text(encoding="utf-8"),
    options=("--std=c++17", "-lineinfo"),
)


def one_atomic_an_element(x, out, *, BLOCK=256):
    out.zero_()  # the kernel only adds
    n = x.numel()
    blocks = (n + BLOCK - 1) // BLOCK
    kernel = _module.get_function("one_atomic_an_element")
    kernel((blocks,), (BLOCK,), (cupy.asarray(x), cupy.asarray(out), np.int32(n)))


def shared_tree(x, out, *, BLOCKS=512):
    out.zero_()
    n = x.numel()
    blocks = min(BLOCKS, (n + 255) // 256)  # the kernel is written for 256 threads a block
    kernel = _module.get_function("shared_tree")
    kernel((blocks,), (256,), (cupy.asarray(x), cupy.asarray(out), np.int32(n)))


def warp_shuffles(x, out, *, BLOCKS=512):
    out.zero_()
    n = x.numel()
    blocks = min(BLOCKS, (n + 255) // 256)
    kernel = _module.get_function("warp_shuffles")
    kernel((blocks,), (256,), (cupy.asarray(x), cupy.asarray(out), np.int32(n)))


def four_floats_a_load(x, out, *, BLOCKS=512):
    out.zero_()
    n = x.numel()
    blocks = min(BLOCKS, (n + 1023) // 1024)  # four elements a thread
    kernel = _module.get_function("four_floats_a_load")
    kernel((blocks,), (256,), (cupy.asarray(x), cupy.asarray(out), np.int32(n)))
