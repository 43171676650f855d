"""Triton: `tl.dot` of e4m3, which is for Ada and newer; so these cases are not among those that run for sm_86."""

import torch

from tests.ptxvm.corpus import triton_dot_types
from tests.ptxvm.corpus.triton_dot_types import K, M, N


def case_e4m3(rng):
    counters = {"mma": M // 16 * N // 8 * K // 32, "flops": 2 * M * N * K}
    return triton_dot_types.product(rng, torch.float8_e4m3fn, torch.float32, counters=counters, since=89)
