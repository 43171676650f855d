"""Launch geometry of the CUDA C++ kernels in in_cupy.cu. rgb (n, 3) uint8, out (n,) uint8, 3 n < 2^31."""

from pathlib import Path

import cupy
import numpy as np

_module = cupy.RawModule(
    code=Path(__file__).with_suffix(".cu").read_text(encoding="utf-8"),
    options=("--std=c++17", "-lineinfo"),
)


def _launch(name, rgb, out, block):
    n = out.numel()
    blocks = (n + block - 1) // block
    _module.get_function(name)((blocks,), (block,), (cupy.asarray(rgb), cupy.asarray(out), np.int32(n)))


def three_bytes_a_thread(rgb, out, *, BLOCK=256):
    _launch("three_bytes_a_thread", rgb, out, BLOCK)


def staged_words(rgb, out):
    _launch("staged_words", rgb, out, 256)  # the tile holds the pixels of 256 threads
