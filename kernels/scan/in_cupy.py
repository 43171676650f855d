"""Launch geometry of the CUDA C++ kernels in in_cupy.cu. x, out (n,) float32, n < 2^31."""

from pathlib import Path

import cupy
import numpy as np
import torch

_module = cupy.RawModule(
    code=Path(__file__).with_suffix(".cu").read_text(encoding="utf-8"),
    options=("--std=c++17", "-lineinfo"),
)


def _launch(name, blocks, *tensors):
    """The first tensor is what is scanned: its length goes last."""
    arguments = (*map(cupy.asarray, tensors), np.int32(tensors[0].numel()))
    _module.get_function(name)((blocks,), (256,), arguments)


def one_block_walks(x, out):
    _launch("one_block_walks", 1, x, out)


def totals_first(x, out):
    blocks = (x.numel() + 255) // 256
    totals, before = torch.empty(2, blocks, device=x.device)  # (blocks,) float32 each, written in full
    _launch("block_totals", blocks, x, totals)
    _launch("one_block_walks", 1, totals, before)
    _launch("scan_from", blocks, x, before, out)
