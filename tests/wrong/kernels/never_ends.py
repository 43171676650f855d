# expect: E3 reduce_sum n=1000
"""CUDA C++: the last block waits for one block more than there are."""

from pathlib import Path

import cupy
import numpy as np
import torch

_module = cupy.RawModule(
    code=Path(__file__).with_suffix(".cu").read_text(encoding="utf-8"),
    options=("--std=c++17", "-lineinfo"),
)


def never_ends(x, out):
    out.zero_()
    n = x.numel()
    done = torch.zeros(1, dtype=torch.int32, device=x.device)
    kernel = _module.get_function("never_ends")
    kernel(
        ((n + 255) // 256,),
        (256,),
        (cupy.asarray(x), cupy.asarray(out), cupy.asarray(done), np.int32(n)),
    )
