"""The places where a rung can run, behind one face (`check.Backend`): ptxvm, the card. One a process.

`Bare` calls a function on CPU tensors as it is, with no launch in between: what the engine's own tests run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from warpbench import catalogue, compare
from warpbench.check import Case, Finding, exception_finding, ptxvm_finding
from warpbench.errors import EnvironmentProblem


class Emulated:
    """ptxvm for one architecture ("sm_86"). Making one installs the hooks: before any kernel file is imported."""

    device = "cpu"
    band = 0  # ptxvm checks each access against the tensor itself

    def __init__(self, arch: str) -> None:
        import torch  # first: where it is missing nothing is hooked and no memory is taken

        from warpbench.backends.emulated import Emulator

        self.arch = arch
        self.emulator = Emulator(arch)
        self.emulator.install()
        torch.set_num_threads(1)  # a worker a core

    def run(self, call: Callable[[], None], tensors: Mapping[str, Any], case: Case, execute: bool) -> Sequence[Any]:
        """Call the rung with its launches going to ptxvm; `execute` False compiles and records them only."""
        self.emulator.execute = execute
        self.emulator.shuffle = case.schedule
        with self.emulator.record(tensors) as launches:
            call()
        return list(launches)

    def usable(self) -> bool:
        """Whether the process can serve another task."""
        return True

    def explain(self, error: BaseException, files: Sequence[Path]) -> Finding | None:
        """Faults of ptxvm, launches that it or the DSL refuses, compile errors, exceptions of the learner's code."""
        finding = getattr(error, "finding", None)
        if finding is not None:
            return ptxvm_finding(finding)
        return explain(error, files)


class Card:
    """The card that CUDA_VISIBLE_DEVICES leaves visible."""

    device = "cuda"
    band = compare.BAND_BYTES

    def __init__(self) -> None:
        import torch

        if not torch.cuda.is_available():
            raise EnvironmentProblem(
                f"PyTorch {torch.__version__} sees no card. Nothing was run. Install its CUDA build (make setup), "
                "or go on without the card: --virtual"
            )
        torch.backends.cuda.matmul.allow_tf32 = False  # the rival is raced at the precision that is asked for
        torch.backends.cudnn.allow_tf32 = False
        major, minor = torch.cuda.get_device_capability()
        self.arch = f"sm_{major}{minor}"

    def run(self, call: Callable[[], None], tensors: Mapping[str, Any], case: Case, execute: bool) -> Sequence[Any]:
        """Call the rung and wait for the card. Nothing is known of its launches."""
        import torch

        if execute:
            call()
            torch.cuda.synchronize()
        return ()

    def usable(self) -> bool:
        """False after an error that CUDA does not recover from (an illegal address): the process must end."""
        import torch

        try:
            torch.cuda.synchronize()
        except RuntimeError:
            return False
        return True

    def explain(self, error: BaseException, files: Sequence[Path]) -> Finding | None:
        """Exceptions of the learner's code, and CUDA's errors, which come when the card is waited for.

        The process is of no use after some of them.
        """
        found = explain(error, files)
        if found is None and isinstance(error, RuntimeError) and "CUDA error" in str(error):
            said = str(error).strip().partition("\n")[0]
            found = exception_finding(error, files)
            found["message"] = f"the card stopped the kernel: {said}. Which line did it: check it on ptxvm (no --card)"
        return found


class Bare:
    """CPU tensors, guard bands, and whatever the function does with them."""

    device = "cpu"
    band = compare.BAND_BYTES
    arch = "cpu"

    def run(self, call: Callable[[], None], tensors: Mapping[str, Any], case: Case, execute: bool) -> Sequence[Any]:
        """Call the function."""
        if execute:
            call()
        return ()

    def usable(self) -> bool:
        """Always."""
        return True

    def explain(self, error: BaseException, files: Sequence[Path]) -> Finding | None:
        """Exceptions of the function."""
        return explain(error, files)


def open_target(target: str) -> Emulated | Card | Bare:
    """The backend of "emulated:sm_86", "card:<uuid>" or "bare". EnvironmentProblem if card or package is missing."""
    kind, _, which = target.partition(":")
    return Emulated(which) if kind == "emulated" else Card() if kind == "card" else Bare()


def explain(error: BaseException, files: Sequence[Path]) -> Finding | None:
    """The finding for an exception while a rung ran; None if it is the environment's fault or ours.

    It is the kernel file's if the traceback passes through it: its own code raised, or a DSL that it called.
    """
    kind = type(error).__name__
    if isinstance(error, EnvironmentProblem | MemoryError | ModuleNotFoundError) or kind == "OutOfMemoryError":
        return None
    if kind in ("LaunchError", "PtxSyntaxError") or "ut of resources" in str(error):
        return exception_finding(error, files, kind="launch refused")
    if (
        "ompil" in kind
        or "Typing" in kind
        or "Lowering" in kind
        or kind in ("NvvmError", "NVRTCError", "UnsupportedError")
    ):
        return exception_finding(error, files, kind="compile error")
    if catalogue.line_in(error, files) is None:
        return None
    return exception_finding(error, files)
