"""What a card's linker adds to a kernel of Numba's: functions that its PTX declares and does not hold.

They come from CUDA C++ or PTX that the kernel names (`link=`, `cuda.declare_device`), and from Numba's own CUDA C++,
such as the operators of float16. Here PTX is linked as text: definitions take the place of declarations.

Two functions are text of ours, those behind `cuda.cg.this_grid().sync()`, which a card's linker takes from NVIDIA's
device runtime. They do what `cooperative_groups.h` does: the first thread of each block adds to a word of the grid's
workspace, whose address the driver leaves in two registers, and waits until the top bit of that word turns. The block
that comes as block 0 adds what makes the sum of all blocks turn it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from typing import Any

from warpbench import cache
from warpbench.backends.cupy import compile_text

_HANDLE = """.func (.param .b64 func_retval0) cudaCGGetIntrinsicHandle (.param .b32 kind)
{
  .reg .b32 %low, %high;
  .reg .b64 %workspace;
  mov.u32 %high, %envreg1;
  mov.u32 %low, %envreg2;
  mov.b64 %workspace, {%low, %high};
  st.param.b64 [func_retval0], %workspace;
  ret;
}
"""
_SYNCHRONIZE = """.func (.param .b32 func_retval0) cudaCGSynchronize (.param .b64 handle, .param .b32 flags)
{
  .reg .pred %other, %waits;
  .reg .b32 %x, %y, %z, %blocks, %added, %before, %now;
  .reg .b64 %word;
  ld.param.b64 %word, [handle];
  barrier.sync 0;
  mov.u32 %x, %tid.x;
  mov.u32 %y, %tid.y;
  mov.u32 %z, %tid.z;
  or.b32 %x, %x, %y;
  or.b32 %x, %x, %z;
  setp.ne.u32 %other, %x, 0;
  @%other bra $together;
  mov.u32 %blocks, %nctaid.x;
  mov.u32 %y, %nctaid.y;
  mov.u32 %z, %nctaid.z;
  mul.lo.u32 %blocks, %blocks, %y;
  mul.lo.u32 %blocks, %blocks, %z;
  sub.u32 %blocks, 0x80000001, %blocks;
  mov.u32 %x, %ctaid.x;
  mov.u32 %y, %ctaid.y;
  mov.u32 %z, %ctaid.z;
  or.b32 %x, %x, %y;
  or.b32 %x, %x, %z;
  setp.eq.u32 %other, %x, 0;
  selp.b32 %added, %blocks, 1, %other;
  atom.add.release.gpu.u32 %before, [%word + 4], %added;
$again:
  ld.acquire.gpu.u32 %now, [%word + 4];
  xor.b32 %now, %now, %before;
  setp.ge.s32 %waits, %now, 0;
  @%waits bra $again;
$together:
  barrier.sync 0;
  st.param.b32 [func_retval0], 0;
  ret;
}
"""
_RUNTIME = {"cudaCGGetIntrinsicHandle": _HANDLE, "cudaCGSynchronize": _SYNCHRONIZE}
_DECLARED = re.compile(r"\.extern \.func\s*(?:\([^()]*\)\s*)?(\w+)\s*\([^()]*\)\s*;")
_DEFINED = re.compile(
    r"^(?:\.(?:visible|weak)\s+)?\.func\s*(?:\([^()]*\)\s*)?([\w$]+)\s*\([^()]*\)[^;{]*\{", re.MULTILINE
)
_COMMON = re.compile(r"^[ \t]*\.common\b[^;]*;", re.MULTILINE)  # a variable that several texts may declare
_FILE = re.compile(r"\.file\s+(\d+)\s+(\"[^\"\n]*\")[^\n]*")
_SECTION = re.compile(r"^[ \t]*\.section\b[^{]*\{[^}]*\}", re.MULTILINE)
_INLINED = re.compile(r",\s*function_name\s+[^\n]*")
_HEAD = re.compile(r"^\.(?:version|target|address_size)\b.*\n", re.MULTILINE)
_VERSION = re.compile(r"^\.version (\d+)\.(\d+)", re.MULTILINE)


def linked(ptx: str, others: Iterable[str] = ()) -> str:
    """One text of a kernel's and what else it is linked with; each function that is declared stands where its
    definition is found.
    """
    texts = [ptx, *others]
    if len(texts) == 1:
        return _DECLARED.sub(lambda one: _RUNTIME.get(one[1], one[0]), ptx)
    version = max((int(a), int(b)) for text in texts for a, b in _VERSION.findall(text))
    head = "".join(_HEAD.findall(texts[0])[:3])
    files: dict[str, int] = {}
    bodies = [_numbered(_HEAD.sub("", text), files, first=text is texts[0]) for text in texts]
    body = _once("\n".join(reversed(bodies)))  # what is called comes before who calls it
    for pattern in (_COMMON, _FILE):
        body = _each_once(pattern, body)
    known = {found[1] for found in _DEFINED.finditer(body)}
    body = _DECLARED.sub(lambda one: "" if one[1] in known else _RUNTIME.get(one[1], one[0]), body)
    return _VERSION.sub(".version {}.{}".format(*version), head, count=1) + body


def _numbered(text: str, files: dict[str, int], first: bool) -> str:
    """A text with the numbers of its source files as all texts together have them. Only the first one keeps its debug
    sections, whose labels are alike in all.
    """
    if not first:
        text = _SECTION.sub("", text)
        text = _INLINED.sub("", text)
    table = {found[1]: str(files.setdefault(found[2], len(files) + 1)) for found in _FILE.finditer(text)}
    text = _FILE.sub(lambda one: f".file {table[one[1]]} {one[2]}", text)
    return re.sub(r"(\.loc\s+|inlined_at\s+)(\d+)", lambda one: one[1] + table.get(one[2], one[2]), text)


def _each_once(pattern: re.Pattern[str], text: str) -> str:
    """Of pieces that are alike the first one."""
    seen: set[str] = set()

    def keep(found: re.Match[str]) -> str:
        new = found[0] not in seen
        seen.add(found[0])
        return found[0] if new else ""

    return pattern.sub(keep, text)


def _once(text: str) -> str:
    """Of functions that several texts define the first one."""
    known: set[str] = set()
    kept, end = [], 0
    for found in _DEFINED.finditer(text):
        if found[1] in known:
            kept.append(text[end : found.start()])
            end = _closed(text, found.end())
        known.add(found[1])
    return "".join([*kept, text[end:]])


def _closed(text: str, begin: int) -> int:
    """Behind the brace that closes the one before `begin`."""
    depth = 1
    for brace in re.compile("[{}]").finditer(text, begin):
        depth += 1 if brace[0] == "{" else -1
        if depth == 0:
            return brace.end()
    return len(text)


def sources(library: Any, arch: str) -> Iterator[str]:
    """The PTX of what a code library of Numba's is linked with. Other kinds of code are left out: the launch then
    names the function that is missing.
    """
    from numba.cuda.cudadrv.linkable_code import LinkableCode

    for one in sorted(library._linking_files, key=str):
        code = LinkableCode.from_path_or_obj(one)
        if code.kind not in ("cu", "ptx"):
            continue
        text = code.data.decode() if isinstance(code.data, bytes) else code.data
        yield text if code.kind == "ptx" else _compiled(text, code.name, arch)


def _compiled(text: str, name: str, arch: str) -> str:
    """CUDA C++ as Numba compiles it: its functions are kept, though nothing here calls them."""
    folders = _include_folders()
    options = [
        f"--gpu-architecture=compute_{arch.removeprefix('sm_')}", "--relocatable-device-code=true",
        *(f"--include-path={folder}" for folder in folders),
    ]  # fmt: skip
    key = cache.key("nvrtc of numba", text, name, options)
    found = cache.load(key)
    if found is None:
        found = {"ptx": compile_text(text, name, options, ())[0]}
        cache.store(key, found)
    return str(found["ptx"])


def _include_folders() -> list[str]:
    from cuda import pathfinder
    from numba.cuda import cuda_paths
    from numba.cuda.core import config
    from numba.cuda.cudadrv import nvrtc

    numba = os.path.dirname(cuda_paths.__file__)
    ours = [
        os.path.join(numba, "include", str(nvrtc._get_nvrtc_version()[0])),
        os.path.join(numba, "memory_management"),
    ]
    cccl = pathfinder.locate_nvidia_header_directory("cccl")
    extra = config.CUDA_NVRTC_EXTRA_SEARCH_PATHS
    return [
        *ours, cuda_paths.get_cuda_paths()["include_dir"].info, *([cccl.abs_path] if cccl else []),
        *(extra.split(":") if extra else []),
    ]  # fmt: skip
