"""The record file `warpbench-result/1`: what a run measured or counted, one JSON object a line.

    run          first line: when, where, with what; kind "measured" (on a card) or "virtual" (counted, nothing timed)
    roof         a bandwidth or arithmetic roof of the card
    case         one rung (or the torch rival) at one shape: what it is, whether it is right, why it was skipped
    replicate    raw samples of one case from one process
    count        what ptxvm counted of one case
    seal         last line: number of lines and hash of everything before it

Units stand in names; null means not available and is never 0; numbers are finite; unknown fields are refused; the JSON
is canonical, so that a line has one spelling. Derived figures (medians, rates, shares) are computed by readers, never
stored.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Final, Literal

SCHEMA: Final = "warpbench-result/1"
Json = dict[str, Any]
_STRICT: dict[str, Any] = {"extra": "forbid", "strict": True, "allow_inf_nan": False}  # read by pydantic

Kind = Literal["measured", "virtual"]
Mode = Literal["cold", "rotate", "hot"]
Timer = Literal["event_blocked", "event", "event_sleep", "graph_batch"]
Stop = Literal["converged", "max_samples", "max_time", "sync_tag"]
Status = Literal["ok", "throttled", "clock_drift", "retry", "invalid"]
Verdict = Literal["pass", "fail", "skipped"]
RoofKind = Literal[
    "bw_theory", "bw_theory_pstate", "bw_read", "bw_write", "bw_copy", "bw_triad",
    "flops_theory_rated", "flops_theory_at_clock", "flops_library",
]  # fmt: skip
Dsl = Literal["numba", "cupy", "triton", "torch"]


@dataclass(frozen=True)
class Card:
    """The card of a run. In a virtual run every field is None."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    name: str | None = None
    cc: tuple[int, int] | None = None
    sm_count: int | None = None
    memory_total_bytes: int | None = None
    l2_bytes: int | None = None
    integrated: bool | None = None
    uuid_hash: str | None = None  # of a local salt and the UUID
    vbios: str | None = None
    pci_device_id: str | None = None
    pci_subsystem_id: str | None = None
    ecc_enabled: bool | None = None
    mig_enabled: bool | None = None
    display_active: bool | None = None
    persistence_mode: bool | None = None
    driver_model: Literal["linux", "wddm", "tcc", "mcdm", "wsl2"] | None = None
    attr_sm_clock_mhz: float | None = None  # as the driver reports them, never corrected
    attr_mem_clock_mhz: float | None = None
    attr_mem_bus_bits: int | None = None
    nvml_max_sm_clock_mhz: float | None = None
    nvml_max_mem_clock_mhz: float | None = None
    clocks_locked_sm_mhz: tuple[float, float] | None = None
    power_limit_w: float | None = None
    power_limit_default_w: float | None = None
    power_limit_max_w: float | None = None
    pcie_gen: int | None = None
    pcie_width: int | None = None


@dataclass(frozen=True)
class Config:
    """How to run it again. `planned` is the number of cases that the run set out to do: with fewer it ended early."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    replicates: int
    seed: int
    planned: int
    n_min: int | None = None
    n_max: int | None = None
    tol: float | None = None
    margin: float | None = None
    modes: tuple[Mode, ...] = ()


@dataclass(frozen=True)
class Run:
    """First line."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    run_id: str
    kind: Kind
    created_utc: str  # RFC 3339
    harness_version: str
    harness_sha256: str
    command: tuple[str, ...]
    config: Config
    python: str
    libs: dict[str, str | None]
    os: str
    os_kernel: str
    cpu_model: str
    host_hash: str
    foreign_processes: int
    concurrent_gpus: int
    gpu: Card
    git_commit: str | None = None
    git_dirty: bool | None = None
    driver_version: str | None = None
    cuda_driver: str | None = None
    cuda_runtime: str | None = None
    cpu_governor: str | None = None
    container: str | None = None
    virtualised: bool | None = None
    record: Literal["run"] = "run"
    schema: Literal["warpbench-result/1"] = SCHEMA


@dataclass(frozen=True)
class Roof:
    """A roof of the card: `value` in `unit`."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    run_id: str
    kind: RoofKind
    value: float
    unit: Literal["GB/s", "TFLOP/s"]
    source: Literal["attribute", "table", "measured"]
    dtype: str | None = None
    accumulate: str | None = None
    at_sm_mhz: float | None = None
    at_mem_mhz: float | None = None
    table_row: str | None = None
    bytes: int | None = None
    ci_rel: float | None = None
    record: Literal["roof"] = "roof"


@dataclass(frozen=True)
class Case:
    """One rung at one shape. `case_id` is operation/dsl/rung/dtype/shape."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    run_id: str
    case_id: str
    operation: str
    dsl: Dsl
    rung: str
    rung_sha256: str
    shape: dict[str, int]
    dtype: str
    bytes_read: int
    bytes_written: int
    flops: int
    working_set_bytes: int
    verdict_correct: Verdict
    tol_rule: str
    launch: Json = field(default_factory=dict)  # {"launches": [{kernel, grid, block, threads, ...}]}
    accumulate: str | None = None
    math_flags: tuple[str, ...] = ()
    bytes_model: Literal["minimal"] = "minimal"
    max_abs_err: float | None = None
    max_rel_err: float | None = None
    skip_reason: str | None = None
    regs: int | None = None
    smem_bytes: int | None = None
    spill_bytes: int | None = None
    compile_ms: float | None = None
    record: Literal["case"] = "case"


@dataclass(frozen=True)
class Replicate:
    """Raw samples of one case from one process."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    run_id: str
    case_id: str
    replicate: int
    order: int
    seed: int
    pid_start_utc: str
    mode: Mode
    timer: Timer
    launches_per_sample: int
    flush_bytes: int
    buffer_copies: int
    t_us: tuple[float, ...]
    stop: Stop
    status: Status
    checked_after: bool
    warnings: tuple[str, ...] = ()
    sm_mhz: tuple[float, ...] | None = None
    mem_mhz: float | None = None
    host_us_median: float | None = None
    temp_c_start: float | None = None
    temp_c_end: float | None = None
    power_w_mean: float | None = None
    power_w_max: float | None = None
    energy_mj: float | None = None
    event_reasons_or: int | None = None
    event_reasons_and: int | None = None
    pstate: int | None = None
    record: Literal["replicate"] = "replicate"


@dataclass(frozen=True)
class Count:
    """What ptxvm counted of one case for one architecture. Sums over the rung's launches."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    run_id: str
    case_id: str
    arch: str
    ptx_sha256: str
    requests: int
    sectors: int
    bytes_asked: int
    unique_sectors: int
    wavefronts: int
    wavefronts_ideal: int
    barriers: int
    divergent: int
    mma: int
    flops: int
    findings: tuple[Json, ...] = ()
    regs: int | None = None
    spill_bytes: int | None = None
    smem_bytes: int | None = None
    record: Literal["count"] = "count"


@dataclass(frozen=True)
class Seal:
    """Last line."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    run_id: str
    lines: int  # before this one
    sha256: str  # of all bytes before this line
    record: Literal["seal"] = "seal"


Record = Run | Roof | Case | Replicate | Count | Seal
CLASSES: Mapping[str, type[Record]] = {
    "run": Run,
    "roof": Roof,
    "case": Case,
    "replicate": Replicate,
    "count": Count,
    "seal": Seal,
}


def canonical(data: Any) -> str:
    """The one spelling of plain data. ValueError for NaN and infinities."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def line(record: Record) -> str:
    """A record as its line, without the newline."""
    return canonical(asdict(record))


def case_id(operation: str, dsl: str, rung: str, dtype: str, shape: Mapping[str, int]) -> str:
    """`softmax/triton/one_program_a_row/f32/rows=64,cols=256`"""
    return f"{operation}/{dsl}/{rung}/{dtype}/{','.join(f'{axis}={length}' for axis, length in shape.items())}"
