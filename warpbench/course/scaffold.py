"""`learn dev new`: the files of an exercise that nobody has written yet, and its row in the catalogue.

What is written compiles and has a hole. It is a place to begin, no exercise yet:
`learn dev check` says what is missing.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from warpbench import catalogue as operations
from warpbench import errors
from warpbench.course import catalogue
from warpbench.course.runner import Course

TEXT = '''"""{title}: what this teaches, in a line.

What a newcomer must know, with a picture where it helps.

What to do: ...
What to look at: ...
"""
'''
NUMBA = """
from numba import cuda


@cuda.jit
def _{id}({arguments}):
    i = cuda.grid(1)
    # hole: 2 lines. What is asked here?
    #| {out}[i] = {x}[i]
    if i < {out}.size:
        {out}[i] = {x}[i]
    # end hole


def {id}({arguments}, *, BLOCK=256):
    blocks = ({out}.numel() + BLOCK - 1) // BLOCK
    _{id}[blocks, BLOCK]({arguments})
"""
TRITON = """
import triton
import triton.language as tl


@triton.jit
def _{id}({pointers}, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    # hole: 1 line. What is asked here?
    #| tl.store({out}_ptr + i, tl.load({x}_ptr + i))
    tl.store({out}_ptr + i, tl.load({x}_ptr + i, mask=i < n), mask=i < n)
    # end hole


def {id}({arguments}, *, BLOCK=256):
    n = {out}.numel()
    _{id}[(triton.cdiv(n, BLOCK),)]({arguments}, n, BLOCK=BLOCK)
"""
CUPY = """
from pathlib import Path

import cupy
import numpy as np

_module = cupy.RawModule(
    code=Path(__file__).with_suffix(".cu").read_text(encoding="utf-8"),
    options=("--std=c++17", "-lineinfo"),
)


def {id}({arguments}, *, BLOCK=256):
    # hole: 1 line. What is asked here?
    #| n = {out}.numel() + 1
    n = {out}.numel()
    # end hole
    blocks = (n + BLOCK - 1) // BLOCK
    kernel = _module.get_function("{id}")
    kernel((blocks,), (BLOCK,), ({passed}, np.int32(n)))
"""
CUDA = """// {title}: what this teaches, in a line.

extern "C" __global__ void {id}({parameters}, int n) {{
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  // hole: 1 line. What is asked here?
  //| {out}[i] = {x}[i];
  if (i < n) {out}[i] = {x}[i];
  // end hole
}}
"""
ROW = """
[[exercise]]
id = "{id}"
part = "{part}"
title = "{title}"
objective = ""
dsl = "{dsl}"
operation = "{operation}"
files = {files}
fails_with = "M4"
proved = ""
hints = ["", "", ""]
"""


def new(course: Course, name: str, part: str, dsl: str, operation: str) -> list[Path]:
    """Write solution, exercise and row. Returns what was written. Raises UsageError for names that cannot be."""
    known = operations.operations()
    if operation not in known:
        raise errors.unknown("operation", operation, known, "Nothing was written")
    if dsl not in ("numba", "cupy", "triton"):
        raise errors.unknown("DSL", dsl, ("numba", "cupy", "triton"), "Nothing was written")
    if not name.isidentifier() or not name.islower() or len(name) > 32 or name in [e.id for e in course.exercises]:
        raise errors.UsageError(
            f"{name} cannot be the id of a new exercise: snake case, at most 32 characters, not taken. "
            "Nothing was written."
        )
    texts = _texts(name, dsl, known[operation])
    path = course.root / "catalog.toml"
    files = "[" + ", ".join(f'"{file}"' for file in texts) + "]"
    row = ROW.format(id=name, part=part, title=_title(name), dsl=dsl, operation=operation, files=files)
    solutions = course.root / "solutions" / part
    solutions.mkdir(parents=True, exist_ok=True)
    for file, text in texts.items():
        (solutions / file).write_text(text, encoding="utf-8")
    path.write_text(_with_row(path.read_text(encoding="utf-8"), part, row), encoding="utf-8")
    made = catalogue.find(catalogue.load(course.root), name)
    made.path().parent.mkdir(parents=True, exist_ok=True)
    for file in made.files:
        made.path(file).write_text(made.cut(file).exercise, encoding="utf-8")
    return [path, *(made.solution_path(file) for file in made.files), *(made.path(file) for file in made.files)]


def _texts(name: str, dsl: str, operation: Any) -> dict[str, str]:
    """File name -> text of the solution, with a hole. The function takes what the operation's rungs take."""
    inputs = list(inspect.signature(operation.reference).parameters)
    outputs = list(operation.outputs(operation.shapes.tiny[0], "f32"))
    every = [*inputs, *outputs]
    words = {
        "id": name, "title": _title(name), "arguments": ", ".join(every), "out": outputs[0], "x": inputs[-1],
        "pointers": ", ".join(f"{one}_ptr" for one in every),
        "passed": ", ".join(f"cupy.asarray({one})" for one in every),
        "parameters": ", ".join([*(f"const float* {one}" for one in inputs), *(f"float* {one}" for one in outputs)]),
    }  # fmt: skip
    body = {"numba": NUMBA, "triton": TRITON, "cupy": CUPY}[dsl]
    text = (TEXT + body).format(**words)
    return {f"{name}.cu": CUDA.format(**words), f"{name}.py": text} if dsl == "cupy" else {f"{name}.py": text}


def _title(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _with_row(text: str, part: str, row: str) -> str:
    """The catalogue with a row behind the last one of its part, or at its end."""
    rows = text.split("\n[[exercise]]\n")
    last = max((i for i, one in enumerate(rows) if f'\npart = "{part}"\n' in f"\n{one}"), default=len(rows) - 1)
    head, tail = "\n[[exercise]]\n".join(rows[: last + 1]), rows[last + 1 :]
    return head.rstrip() + "\n" + row + "".join(f"\n[[exercise]]\n{one}" for one in tail)
