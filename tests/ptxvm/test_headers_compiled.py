"""Do kernels that use the headers of the toolkit give right values, with no report?

What these headers make of a line of C++ (mbarriers, copies, shuffles, matches, atomics of every kind) is what people
run.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import ptxvm
from tests.ptxvm.compiled import nvrtc
from tests.ptxvm.header_kernels import THREADS, N
from tests.ptxvm.header_kernels_values import KERNELS


def options() -> list[str]:
    import nvidia

    include = Path(next(iter(nvidia.__path__))) / "cu13" / "include"
    return ["--std=c++17", "-lineinfo", f"-I{include}", f"-I{include / 'cccl'}"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "arch"), [(n, a) for n in KERNELS for a in ("75", "86", "89") if (n, a) != ("bfloat16", "75")]
)
def test_right_values_and_no_report(name: str, arch: str) -> None:
    source, kind, want = KERNELS[name]
    rng = np.random.default_rng(7)
    module = ptxvm.Module.from_ptx(nvrtc(source, f"{name}.cu", arch, *options()))
    assert module.unsupported() == []
    if kind == "f":
        given = (rng.integers(-64, 64, N) / np.float32(16)).astype(np.float32)
        given[::7] = rng.standard_normal(given[::7].size).astype(np.float32) if "half" in name else given[::7]
    else:
        given = rng.integers(0, 1 << 32, N, np.uint32) >> rng.integers(0, 28, N).astype(np.uint32)
    expected = np.asarray(want(given)).ravel()
    device = ptxvm.Device(f"sm_{arch}", memory_bytes=1 << 26)
    for schedule in (ptxvm.Schedule.normal(), ptxvm.Schedule.fuzz(1), ptxvm.Schedule.fuzz(2)):
        x, out = (device.array((N,), given.dtype.name, name=n) for n in ("x", "out"))
        x[:] = given
        checks = ptxvm.Checks(races="all")
        report = device.launch(module.kernel(), (N // THREADS,), (THREADS,), (x, out), checks=checks, schedule=schedule)
        assert [f.message() for f in (*report.faults, *report.races)] == []
        np.testing.assert_array_equal(np.array(out), expected.astype(given.dtype))
