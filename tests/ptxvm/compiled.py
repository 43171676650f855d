"""Compiles CUDA C++ for tests."""

from __future__ import annotations


def nvrtc(source: str, file: str, arch: str, *options: str) -> str:
    """PTX that NVRTC makes of a source. Raises RuntimeError with the compiler's log."""
    from cuda.bindings import nvrtc as lib

    _, program = lib.nvrtcCreateProgram(source.encode(), file.encode(), 0, [], [])
    given = [f"--gpu-architecture=compute_{arch}", *options]
    (result,) = lib.nvrtcCompileProgram(program, len(given), [o.encode() for o in given])
    if int(result):
        _, size = lib.nvrtcGetProgramLogSize(program)
        log = b" " * size
        lib.nvrtcGetProgramLog(program, log)
        raise RuntimeError(log.decode())
    _, size = lib.nvrtcGetPTXSize(program)
    text = b" " * size
    lib.nvrtcGetPTX(program, text)
    return text.decode()
