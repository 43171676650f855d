"""The first line of a record file: when, where, with what, on which card."""

from __future__ import annotations

import datetime
import hashlib
import importlib.metadata
import os
import platform
import secrets
import subprocess
import uuid
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from warpbench.catalogue import ROOT
from warpbench.hardware.detect import in_wsl
from warpbench.measure.clocks import Gauge
from warpbench.measure.records import Card, Config, Kind, Run

# Raised by hand when times of before and after can no longer be compared.
HARNESS_VERSION = "1"

# name in the record -> distribution
LIBS = {
    "torch": "torch", "triton": "triton", "numba": "numba", "numba-cuda": "numba-cuda", "cupy": "cupy-cuda13x",
    "cuda-bindings": "cuda-bindings", "ptxas": "nvidia-cuda-nvcc", "nvrtc": "nvidia-cuda-nvrtc",
    "nvidia-ml-py": "nvidia-ml-py", "numpy": "numpy",
}  # fmt: skip


def make_run(kind: Kind, command: Sequence[str], config: Config, card: Any = None) -> Run:
    """The run record. `card` is a hardware.DetectedGpu for a measured run."""
    commit, dirty = _git()
    return Run(
        run_id=str(uuid.uuid4()),
        kind=kind,
        created_utc=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        harness_version=HARNESS_VERSION,
        harness_sha256=harness_sha256(),
        command=tuple(command),
        config=config,
        python=platform.python_version(),
        libs={name: _version(distribution) for name, distribution in LIBS.items()},
        os=f"{platform.system()} {_distribution()}".strip(),
        os_kernel=platform.release(),
        cpu_model=_cpu(),
        cpu_governor=_text_of("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        host_hash=_hash(platform.node()),
        foreign_processes=0 if card is None else foreign_processes(card.uuid),
        concurrent_gpus=0 if card is None else 1,
        gpu=Card() if card is None else describe(card),
        git_commit=commit,
        git_dirty=dirty,
        driver_version=None if card is None else card.driver,
        cuda_driver=None if card is None else _cuda_of_driver(),
        cuda_runtime=None if card is None else _version("nvidia-cuda-runtime"),
    )


def run_path(run: Run, gpu_slug: str, root: Path | None = None) -> Path:
    """profiling/runs/<gpu>/<utc>-<id>.jsonl; `gpu_slug` is "virtual" without a card. It lies beside `root`."""
    stamp = run.created_utc.replace("-", "").replace(":", "")
    return (ROOT if root is None else root.parent) / "profiling" / "runs" / gpu_slug / f"{stamp}-{run.run_id[:8]}.jsonl"


def describe(card: Any) -> Card:
    """A detected card as a record. What the driver does not say is None."""
    major, _, minor = card.cc.partition(".")
    return Card(
        name=card.name,
        cc=(int(major), int(minor)),
        sm_count=card.sm_count,
        memory_total_bytes=card.memory_bytes,
        l2_bytes=card.l2_bytes,
        integrated=card.integrated,
        uuid_hash=_hash(card.uuid),
        ecc_enabled=card.ecc,
        mig_enabled=card.partitioned,
        driver_model="wsl2" if in_wsl() else "linux",
        attr_sm_clock_mhz=card.clock_mhz,
        attr_mem_clock_mhz=card.memory_clock_mhz,
        attr_mem_bus_bits=card.memory_bus_bits,
        power_limit_w=card.power_limit_watts,
        **Gauge(card.uuid).facts(),
    )


@cache
def harness_sha256() -> str:
    """Hash of the code that times and compares."""
    here = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted([*here.glob("*.py"), here.parent / "compare.py", here.parent / "check.py"]):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def foreign_processes(uuid_text: str) -> int:
    """Processes of others that compute on a card, by NVML; 0 if it does not say."""
    try:
        import pynvml

        handle = pynvml.nvmlDeviceGetHandleByUUID(uuid_text)
        return sum(process.pid != os.getpid() for process in pynvml.nvmlDeviceGetComputeRunningProcesses(handle))
    except Exception:  # NVML in a container often may not list processes
        return 0


def _cuda_of_driver() -> str | None:
    """The newest CUDA that the driver knows, such as "13.0"; None if NVML does not say."""
    try:
        import pynvml

        number = pynvml.nvmlSystemGetCudaDriverVersion()
    except Exception:  # whatever NVML raises: it is not known then
        return None
    return f"{number // 1000}.{number % 1000 // 10}"


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git() -> tuple[str | None, bool | None]:
    """Commit and whether files differ from it; None where there is no repository."""
    try:
        commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True)
        status = subprocess.run(["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None, None
    return commit.stdout.strip(), bool(status.stdout.strip())


def _hash(text: str) -> str:
    """Hash with a salt of this user's: known to its owner, anonymous to others."""
    return hashlib.sha256(_salt() + text.encode()).hexdigest()[:16]


@cache
def _salt() -> bytes:
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    path = Path(base) / "warpbench" / "salt"
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(secrets.token_bytes(16))
        return path.read_bytes()
    except OSError:
        return secrets.token_bytes(16)  # a home that cannot be written: anonymous to its owner too


def _text_of(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="utf-8").strip() or None
    except OSError:
        return None


def _cpu() -> str:
    for line in (_text_of("/proc/cpuinfo") or "").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "")
    except OSError:
        return ""
