"""The two functions behind `cuda.cg.this_grid().sync()`: on a card Numba links them from NVIDIA's device runtime.

Here they are text, put in place of their declarations, and do what `cooperative_groups.h` does: the first thread of
each block adds to a word of the grid's workspace, whose address the driver leaves in two registers, and waits until the
top bit of that word turns. The block that comes as block 0 adds what makes the sum of all blocks turn it.
"""

from __future__ import annotations

import re

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
_DECLARED = re.compile(r"\.extern \.func\s*\([^()]*\)\s*(cudaCGGetIntrinsicHandle|cudaCGSynchronize)\s*\([^()]*\)\s*;")


def linked(ptx: str) -> str:
    """The same PTX with the functions that it declares defined."""
    texts = {"cudaCGGetIntrinsicHandle": _HANDLE, "cudaCGSynchronize": _SYNCHRONIZE}
    return _DECLARED.sub(lambda found: texts[found[1]], ptx)
