"""Launch geometry of the CUDA C++ attention kernels in in_cupy.cu. q, k, v, out (heads, n, d)
float32.
"""

import math
from pathlib import Path

import cupy
import numpy as np
import torch

_module = cupy.RawModule(
    code=Path(__file__).with_suffix(".cu").read_text(encoding="utf-8"),
    options=("--std=c++17", "-lineinfo"),
)


def three_kernels(q, k, v, causal, out):
    heads, n, d = q.shape
    scores = torch.empty((heads, n, n), device=q.device)  # scores, then weights
    s = cupy.asarray(scores)
    scale = np.float32(1 / math.sqrt(d))
    tiles = (n + 15) // 16
    _module.get_function("scores")(
        (tiles, tiles, heads),
        (16, 16),
        (cupy.asarray(q), cupy.asarray(k), s, np.int32(n), np.int32(d), scale, np.int32(causal)),
    )
    _module.get_function("softmax_rows")(((n + 31) // 32, heads), (32,), (s, np.int32(n)))
    _module.get_function("weighted_values")(
        ((d + 15) // 16, tiles, heads),
        (16, 16),
        (s, cupy.asarray(v), cupy.asarray(out), np.int32(n), np.int32(d)),
    )


def fused_online(q, k, v, causal, out):
    heads, n, d = q.shape
    assert d == 64, "the kernel is written for d = 64"
    arrays = (cupy.asarray(q), cupy.asarray(k), cupy.asarray(v), cupy.asarray(out))
    scale = np.float32(1 / math.sqrt(d))
    kernel = _module.get_function("fused_online")
    kernel(((n + 63) // 64, heads), (64,), (*arrays, np.int32(n), scale, np.int32(causal)))
