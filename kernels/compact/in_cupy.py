"""Launch geometry of the CUDA C++ kernels in in_cupy.cu. x, out (n,) float32, count (1,) int32, n < 2^31."""

from pathlib import Path

import cupy
import numpy as np
import torch

_module = cupy.RawModule(
    code=Path(__file__).with_suffix(".cu").read_text(encoding="utf-8"),
    options=("--std=c++17", "-lineinfo"),
)


def _launch(name, blocks, threads, *tensors):
    """The first tensor's length goes last."""
    arguments = (*map(cupy.asarray, tensors), np.int32(tensors[0].numel()))
    _module.get_function(name)((blocks,), (threads,), arguments)


def one_block_walks(x, out, count):
    _launch("one_block_walks", 1, 256, x, out, count)


def ballot(x, out, count):
    blocks = (x.numel() + 255) // 256
    numbers, before = torch.empty(2, blocks, dtype=torch.int32, device=x.device)  # (blocks,) each
    _launch("numbers_of_blocks", blocks, 256, x, numbers)
    _launch("scan_of_numbers", 1, 1, numbers, before, count)
    _launch("move", blocks, 256, x, before, count, out)
