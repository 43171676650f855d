"""Run a script as Python would, with a card pretended: its arguments, its folder, its errors, its exit code."""

from __future__ import annotations

import builtins
import importlib.machinery
import os
import re
import sys
import traceback
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from warpbench import errors

# What a launch passes through on its way from the script to ptxvm; of no interest to the script's author.
_OURS = tuple(str(Path(__file__).resolve().parents[2] / name) + os.sep for name in ("warpbench", "ptxvm"))
_DSLS = tuple(
    f"{os.sep}site-packages{os.sep}{name}{os.sep}" for name in ("triton", "numba_cuda", "numba", "cupy", "torch")
)
# What libraries raise where there is no card, once a call has gone round what is pretended.
_DRIVER_ERRORS = (
    "cupy_backends.cuda.api.runtime.CUDARuntimeError",
    "cupy_backends.cuda.api.driver.CUDADriverError",
    "numba.cuda.cudadrv.error.CudaSupportError",
)
_DRIVER = re.compile(
    "Torch not compiled with CUDA|no NVIDIA driver|dummy base class|CUDA_HOME environment|Could not load CUDA driver"
)
NO_DRIVER = (
    "warpbench: the script's last call above needs NVIDIA's driver or compiler itself, and neither is here. Kernels of "
    "Triton, Numba and CuPy are emulated, and what is usually called around them. The script was not run to its end."
)
UNHANDLED = 1  # exit code of Python after an exception that nobody caught


def load(path: Path) -> Any:
    """The compiled script. UsageError for what cannot be read, KernelWrong for what does not parse."""
    if path.suffix == ".ipynb":
        raise errors.UsageError(
            f"{path} is a notebook; a Python script is needed. Nothing was run. Turn it into one: "
            f"jupyter nbconvert --to script {path}"
        )
    try:
        source = path.read_bytes()
    except OSError as error:
        raise errors.UsageError(
            f"{path} cannot be read: {error.strerror}. A Python script is needed. Nothing was run."
        ) from None
    try:
        return compile(source, str(path.absolute()), "exec", dont_inherit=True)
    except SyntaxError as error:
        said = (error.text or "").strip()
        place = f"{path}:{error.lineno}" if error.lineno else str(path)
        raise errors.KernelWrong(
            f"{place} does not parse: {error.msg}{f': {said}' if said else ''}. Nothing was run."
        ) from None
    except ValueError as error:  # a null byte
        raise errors.KernelWrong(f"{path} is no Python script: {error}. Nothing was run.") from None


def execute(code: Any, path: Path, arguments: Sequence[str]) -> int:
    """Run a script as `__main__`. Its exit code; what Python says of an exception goes to stderr."""
    module = types.ModuleType("__main__")
    module.__file__ = file = str(path.absolute())
    module.__dict__["__builtins__"] = builtins
    module.__loader__ = importlib.machinery.SourceFileLoader("__main__", file)
    sys.modules["__main__"] = module
    sys.excepthook = sys.__excepthook__  # the command line has put its own there
    sys.argv = [str(path), *arguments]
    sys.path[0] = str(path.resolve().parent)
    try:
        exec(code, module.__dict__)
    except SystemExit as error:
        return _exit_code(error.code)
    except KeyboardInterrupt as error:
        _tell(error, file)
        return errors.INTERRUPTED
    except BaseException as error:
        _tell(error, file)
        if _asks_the_driver(error):
            print(NO_DRIVER, file=sys.stderr)
            return errors.NOT_RUN
        return errors.NOT_RUN if isinstance(error, errors.CapabilityMissing) else UNHANDLED
    return errors.OK


def _exit_code(code: Any) -> int:
    """What Python's own exit makes of `sys.exit(code)`."""
    if code is None:
        return errors.OK
    if isinstance(code, int):
        return code & 0xFF
    print(code, file=sys.stderr)
    return UNHANDLED


def _asks_the_driver(error: BaseException | None) -> bool:
    """Whether a library failed, here or first, because there is no driver or no build of it for a card."""
    if error is None:
        return False
    kind = f"{type(error).__module__}.{type(error).__name__}"
    found = kind in _DRIVER_ERRORS or (
        isinstance(error, RuntimeError | AssertionError | OSError) and _DRIVER.search(str(error))
    )
    return bool(found) or _asks_the_driver(error.__cause__ or error.__context__)


def _tell(error: BaseException, file: str) -> None:
    """Print an exception that nobody caught: by the script's own hook if it has one, else its part of the traceback."""
    sys.stdout.flush()
    if sys.excepthook is not sys.__excepthook__:
        sys.excepthook(type(error), error, error.__traceback__)
        return
    said = traceback.TracebackException.from_exception(error)
    _prune(said, file, hasattr(error, "finding") or type(error).__module__.startswith("ptxvm"))
    print("".join(said.format()), end="", file=sys.stderr)


def _prune(said: traceback.TracebackException, script: str, launched: bool) -> None:
    """Leave our frames out, and with `launched` those of the libraries that the launch passed through."""
    hidden = (*_OURS, *_DSLS) if launched else _OURS

    def shown(frame: traceback.FrameSummary) -> bool:
        name = frame.filename
        return name == script or not (name.startswith(("<frozen", "<ptxvm")) or any(part in name for part in hidden))

    kept = [frame for frame in said.stack if shown(frame)]
    if kept:
        said.stack = traceback.StackSummary.from_list(kept)
    for chained in (said.__cause__, said.__context__):
        if chained is not None:
            _prune(chained, script, launched)
