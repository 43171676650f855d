"""From which target on there is a form: as the "Target ISA Notes" of the PTX ISA say, and as ptxas has it.

`arch` compares targets; matrix instructions have a table of their own, `matrix_forms`.
"""

from __future__ import annotations

import re
from functools import lru_cache

from ptxvm.arch import capability

_BF16 = r"(.*\.)?bf16(x2)?"
# (pattern of whole opcodes, least target). The last row that fits decides.
_NEEDS = [
    (rf"(abs|neg|fma|min|max)\.{_BF16}", "sm_80"),
    (r"(min|max)\.(.*\.)?f16(x2)?", "sm_80"),
    (r"(min|max)\.(.*\.)?NaN\..*", "sm_80"),
    (r"fma\..*relu\..*", "sm_80"),
    (r"(min|max)\..*xorsign\..*", "sm_86"),
    (rf"(add|sub|mul)\.{_BF16}", "sm_90"),
    (rf"(ex2|tanh)\.{_BF16}", "sm_90"),
    (r"(add|min|max)\.(relu\.)?[us]16x2|(min|max)\.relu\.s32", "sm_90"),
    (r"min of three", "sm_100"),
    (r"(add|sub|mul|fma)\..*f32x2|(add|sub|fma)\.(.*\.)?f32\.b?f16", "sm_100"),
    (r"cvt\.(.*\.)?(bf16\.f32|f32\.bf16|(f16x2|bf16x2)\.f32|tf32\.f32)|cvt\..*relu.*", "sm_80"),
    (r"cvt\.pack\..*", "sm_72"),
    (r"cvt\..*(e4m3|e5m2)x2.*", "sm_89"),
    (r"cvt\.r[nz]\.(relu\.)?tf32\.f32", "sm_90"),
    (r"cvt\.r[nz]\.satfinite\.(relu\.)?tf32\.f32", "sm_100"),
    (r"cvt\.(.*\.)?(bf16\.(?!f32)\w+|(?!f32)\w+\.bf16)|cvt\.(r\w\.)?ftz\.f32\.bf16", "sm_90"),
    (rf"(set|setp)\.{_BF16}|set\.(.*\.)?bf16(x2)?\.\w+", "sm_90"),
    (r"%(aggr_smem_size|n?clusterid|cluster_|is_explicit_cluster).*", "sm_90"),
    (r"%reserved_smem.*", "sm_80"),
    (r"redux\..*|mbarrier\..*|cp\.async\..*", "sm_80"),
    (r"mbarrier\.try_wait.*", "sm_90"),
    (r"fence\.(.*\.)?cluster|elect\..*", "sm_90"),
    (r"(set|setp)\.(\w+\.)*bf16(x2)?", "sm_90"),
    (
        r"(ld|st|atom|red|cp)\..*(L2::cache_hint|L2::256B).*|(createpolicy|discard|applypriority)\..*|prefetch\..*L2::.*",
        "sm_80",
    ),
    (r"(ld|st|atom|red)\.(.*\.)?cluster\..*|(atom|red)\..*bf16(x2)?|prefetch\..*tensormap", "sm_90"),
    (r"(ld|st)\..*(v8\.\w32|v4\.\w64)", "sm_100"),
]


@lru_cache(maxsize=4096)
def least_target(opcode: str) -> str:
    """The least target that has an opcode, or a special register; "" where every one does that ptxvm knows."""
    found = ""
    for pattern, target in _NEEDS:
        if re.fullmatch(pattern, opcode):
            found = target
    return found


def too_new(opcode: str, target: str) -> str:
    """Why a text for `target` may not hold an opcode; "" if it may."""
    need = least_target(opcode) if target else ""
    if not need or capability(target) >= capability(need):
        return ""
    return f"it is for {need} or newer, and this text for {target}"
