"""The roofs of a card, by formula: what the hardware could do at a clock, and the floor that follows for a kernel.

Formulas (1 GB = 1e9 bytes, a multiply-add counts 2, never sparse):

    bandwidth [GB/s]  = 2 x memory clock [kHz] x 1e3 x bus [bits] / 8 / 1e9        factor 1 on integrated memory
    FP32 [TFLOPS]     = 2 x SMs x FP32 cores an SM x clock [MHz] / 1e6
    tensor [TFLOPS]   = SMs x dense operations a clock and SM x clock [MHz] / 1e6
"""

from __future__ import annotations

from dataclasses import dataclass

from warpbench.hardware.cards import Gpu

# CUDA C++ Programming Guide, "Arithmetic Instructions": 32-bit floating-point results a clock and SM.
FP32_CORES_PER_SM = {
    "6.0": 64, "6.1": 128, "7.0": 64, "7.5": 64, "8.0": 64, "8.6": 128, "8.7": 128, "8.9": 128,
    "9.0": 128, "10.0": 128, "10.3": 128, "11.0": 128, "12.0": 128, "12.1": 128,
}  # fmt: skip

# dtype of a contract -> inputs as gpus.toml names them
TENSOR_INPUTS = {
    "f16": "f16", "bf16": "bf16", "tf32": "tf32", "e4m3": "fp8", "e5m2": "fp8", "i8": "i8", "u8": "i8", "f64": "f64"
}  # fmt: skip


@dataclass(frozen=True)
class Floor:
    """The least time that any kernel needs on a card, and which roof decides: "bandwidth" or "arithmetic"."""

    seconds: float
    bound: str


def bandwidth_gbps(memory_clock_khz: float, bus_bits: int, integrated: bool) -> float:
    """Theoretical DRAM bandwidth in GB/s, from the driver's memory clock (kHz) and bus width (bits)."""
    return (1 if integrated else 2) * memory_clock_khz * 1e3 * bus_bits / 8 / 1e9


def fp32_tflops(sm_count: int, cores_per_sm: int, clock_mhz: float) -> float:
    """FP32 peak in TFLOPS at a clock in MHz."""
    return 2 * sm_count * cores_per_sm * clock_mhz / 1e6


def tensor_tflops(sm_count: int, rate: float, clock_mhz: float) -> float:
    """Dense tensor peak in TFLOPS at a clock in MHz; `rate` in operations a clock and SM."""
    return sm_count * rate * clock_mhz / 1e6


def tensor_key(dtype: str, accumulator: str) -> str | None:
    """The key of Gpu.tensor_tflops: ("e4m3", "f32") -> "fp8_f32". None for a dtype that tensor cores do not take."""
    inputs = TENSOR_INPUTS.get(dtype)
    if inputs is None:
        return None
    return f"{inputs}_{'i32' if inputs == 'i8' else 'f64' if inputs == 'f64' else accumulator}"


def peak_tflops(gpu: Gpu, dtype: str, accumulator: str = "f32", clock_mhz: float | None = None) -> float | None:
    """The highest arithmetic roof of a card for a dtype and accumulator, in TFLOPS (TOPS for integers), or None.

    f32 is the FP32 cores' (TF32 is another dtype). At `clock_mhz`, the roof that cannot be passed at this clock;
    without it, the published figure, which real clocks can exceed.
    """
    if dtype == "f32":
        if clock_mhz is None:
            return gpu.fp32_tflops
        return fp32_tflops(gpu.sm_count, gpu.fp32_cores_per_sm, clock_mhz) if gpu.fp32_cores_per_sm else None
    key = tensor_key(dtype, accumulator)
    if key is None:
        return None
    if clock_mhz is None:
        return gpu.tensor_tflops.get(key)
    rate = gpu.tensor_rates.get(key)
    return None if rate is None else tensor_tflops(gpu.sm_count, rate, clock_mhz)


def floor(gpu: Gpu, moved_bytes: float, flops: float, dtype: str, accumulator: str = "f32") -> Floor | None:
    """The floor for work that must move `moved_bytes` and do `flops` operations; None if both roofs are unknown.

    The larger of bytes over bandwidth and operations over peak. Where one roof is unknown, the other alone: still a
    time that no kernel can beat, as long as its data starts and ends in DRAM.
    """
    peak = peak_tflops(gpu, dtype, accumulator)
    times = []
    if gpu.bandwidth_gbps is not None:
        times.append(Floor(moved_bytes / (gpu.bandwidth_gbps * 1e9), "bandwidth"))
    if peak is not None:
        times.append(Floor(flops / (peak * 1e12), "arithmetic"))
    return max(times, key=lambda one: one.seconds, default=None)


def floor_seconds(gpu: Gpu, moved_bytes: float, flops: float, dtype: str, accumulator: str = "f32") -> float | None:
    """The seconds of `floor`, or None."""
    found = floor(gpu, moved_bytes, flops, dtype, accumulator)
    return None if found is None else found.seconds
