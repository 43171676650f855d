"""Opcodes outside of the matrix families, put together from the words that the PTX ISA's grammar has, rightly or not.

A row is a pattern as `lane_forms.each` takes it, and the operands. In these, T1 is a register of the last type of the
opcode, S1 of the type before it, W1 of twice the last type's width, V1 as many as the opcode's vector has; `%p`, `%h`,
`%r`, `%d`, `%q` are registers of 1, 16, 32, 64 and 128 bits; `<a b>` is a choice.
"""

from __future__ import annotations

import re

from tests.ptxvm.lane_forms import each

WIDTHS = {
    "pred": 1, "f32": 32, "tf32": 32, "f64": 64, "f16": 16, "bf16": 16, "f16x2": 32, "bf16x2": 32, "f32x2": 64,
    "u16x2": 32, "s16x2": 32, "e4m3": 8, "e5m2": 8, "e4m3x2": 16, "e5m2x2": 16, "b128": 128,
    **{f"{sign}{bits}": bits for sign in "bus" for bits in (8, 16, 32, 64)},
}  # fmt: skip
LETTERS = {1: "p", 8: "h", 16: "h", 32: "r", 64: "d", 128: "q"}

INTEGER = "u8 s8 u16 s16 u32 s32 u64 s64"
BITS = "b8 b16 b32 b64 b128"
FLOAT = "f16 f16x2 bf16 bf16x2 f32 f32x2 f64"
ALL = f"{INTEGER} {BITS} {FLOAT} u16x2 s16x2"
ROUND = "{- .rn .rz .rm .rp}"
COMPARE = "eq ne lt le gt ge lo ls hi hs equ neu ltu leu gtu geu num nan"
SPACE = "- .const .global .local .param .param::entry .shared .shared::cta"
SCOPE = "cta cluster gpu sys"
MEMORY_TYPES = f"{INTEGER} {BITS} f32 f64 f16 pred"
EVICT_1 = ".L1::evict_normal .L1::evict_unchanged .L1::evict_first .L1::evict_last .L1::no_allocate"
EVICT_2 = ".L2::evict_normal .L2::evict_first .L2::evict_last"
ORDER = "- .weak .volatile .relaxed .acquire .release " + " ".join(
    f".{order}.{scope}" for order in ("relaxed", "acquire", "release") for scope in SCOPE.split()
) + " .mmio.relaxed.sys .mmio.relaxed.gpu .weak.gpu .volatile.gpu"  # fmt: skip
ATOMIC = "add min max and or xor inc dec exch cas"
SEMANTICS = "- .relaxed .acquire .release .acq_rel .sc"

Row = tuple[str, str]

ARITHMETIC: list[Row] = [
    (f"{{add sub}}{ROUND}{{- .ftz}}{{- .sat}}.{{{ALL}}}", "T0, T1, T2"),
    (f"{{mul}}{ROUND}{{- .ftz}}{{- .sat}}{{- .relu}}.{{{FLOAT}}}", "T0, T1, T2"),
    (f"{{fma mad}}{ROUND}{{- .ftz}}{{- .sat .relu .sat.relu}}.{{{FLOAT}}}", "T0, T1, T2, T3"),
    (f"{{add sub mul}}{ROUND}{{- .ftz}}{{- .sat}}.{{f32 f64}}.{{f16 bf16 f32}}", "S0, T1, S2"),
    (f"fma{ROUND}{{- .ftz}}{{- .sat}}.{{f32 f64}}.{{f16 bf16 f32}}", "S0, T1, T2, S3"),
    (f"{{add sub addc subc}}{{- .cc}}{{- .sat}}.{{{INTEGER} b32 b64}}", "T0, T1, T2"),
    (f"mul{{- .lo .hi}}{{- .sat}}.{{{INTEGER} b32}}", "T0, T1, T2"),
    (f"mul.wide.{{{INTEGER} b32}}", "W0, T1, T2"),
    (f"{{mad madc}}{{- .lo .hi}}{{- .sat}}{{- .cc}}.{{{INTEGER} b32}}", "T0, T1, T2, T3"),
    (f"{{mad madc}}.wide{{- .sat}}{{- .cc}}.{{{INTEGER}}}", "W0, T1, T2, W3"),
    (f"mul24{{- .lo .hi .wide}}.{{{INTEGER}}}", "T0, T1, T2"),
    (f"mad24{{- .lo .hi}}{{- .sat}}.{{{INTEGER}}}", "T0, T1, T2, T3"),
    (f"{{div rem}}.{{{INTEGER} b32}}", "T0, T1, T2"),
    (f"div{{- .rn .rz .rm .rp .full .approx}}{{- .ftz}}{{- .sat}}.{{{FLOAT}}}", "T0, T1, T2"),
    (f"{{rcp sqrt rsqrt}}{{- .rn .rz .rm .rp .approx}}{{- .ftz}}.{{{FLOAT}}}", "T0, T1"),
    (f"{{ex2 lg2 sin cos tanh}}{{- .approx}}{{- .ftz}}.{{{FLOAT}}}", "T0, T1"),
    (f"{{abs neg}}{{- .ftz}}{{- .sat}}.{{{ALL}}}", "T0, T1"),
    (f"copysign.{{{ALL}}}", "T0, T1, T2"),
    (f"{{min max}}{{- .ftz}}{{- .NaN}}{{- .xorsign.abs .abs}}.{{{FLOAT}}}", "T0, T1, T2"),
    (f"{{min max}}{{- .ftz}}{{- .NaN}}{{- .abs .xorsign.abs}}.{{{FLOAT}}}", "T0, T1, T2, T3"),
    (f"{{min max}}{{- .relu}}.{{{INTEGER} {BITS} u16x2 s16x2}}", "T0, T1, T2"),
    (f"sad.{{{ALL}}}", "T0, T1, T2, T3"),
]
BIT: list[Row] = [
    (f"{{and or xor}}.{{pred {ALL}}}", "T0, T1, T2"),
    (f"{{not cnot}}.{{pred {ALL}}}", "T0, T1"),
    (f"{{shl shr}}.{{{ALL}}}", "T0, T1, %r9"),
    ("shf.{l r}{- .wrap .clamp}.{b32 b64 u32 s32}", "T0, T1, T2, %r9"),
    (f"{{popc clz}}.{{{INTEGER} {BITS}}}", "%r0, T1"),
    (f"brev.{{{INTEGER} {BITS}}}", "T0, T1"),
    (f"bfind{{- .shiftamt}}.{{{INTEGER} {BITS}}}", "%r0, T1"),
    (f"fns.{{{INTEGER} {BITS}}}", "T0, T1, %r2, %r3"),
    (f"bfe.{{{INTEGER} {BITS}}}", "T0, T1, %r2, %r3"),
    (f"bfi.{{{INTEGER} {BITS}}}", "T0, T1, T2, %r3, %r4"),
    (f"bmsk{{- .clamp .wrap}}.{{{INTEGER} {BITS}}}", "T0, %r1, %r2"),
    (f"szext{{- .clamp .wrap}}.{{{INTEGER} {BITS}}}", "T0, T1, %r2"),
    (f"lop3.{{{INTEGER} {BITS}}}", "T0, T1, T2, T3, 0x1a"),
    ("lop3.{and or xor}.{b32 b64}", "T0|%p0, T1, T2, T3, 0x1a, %p1"),
    ("lop3.{and or xor}.b32", "_|%p0, T1, T2, T3, 0x1a, %p1"),
    ("prmt.{b32 b64}{- .f4e .b4e .rc8 .ecl .ecr .rc16}", "%r0, %r1, %r2, %r3"),
    ("dp4a.{u32 s32 b32}.{u32 s32 b32}", "%r0, %r1, %r2, %r3"),
    ("dp2a{- .lo .hi}.{u32 s32 b32}.{u32 s32 b32}", "%r0, %r1, %r2, %r3"),
]  # fmt: skip
COMPARISONS: list[Row] = [
    (f"setp.{{{COMPARE}}}{{- .ftz}}.{{{ALL}}}", "%p0, T1, T2"),
    (f"setp.{{{COMPARE}}}{{- .ftz}}.{{{ALL}}}", "%p0|%p1, T1, T2"),
    (f"setp.{{lt ne num hi}}.{{and or xor}}{{- .ftz}}.{{{ALL}}}", "%p0, T1, T2, %p3"),
    (f"setp.{{lt ne num hi}}.{{and or xor}}{{- .ftz}}.{{{ALL}}}", "%p0|%p1, T1, T2, !%p3"),
    (f"set.{{{COMPARE}}}.{{u32 s32 f32}}.{{{ALL}}}", "S0, T1, T2"),
    (f"set.{{lt ne num hi}}{{- .ftz}}.{{{ALL}}}.{{{ALL}}}", "S0, T1, T2"),
    (
        f"set.{{lt ne num hi}}.{{and or xor}}{{- .ftz}}.{{u32 s32 f32 f16 bf16 f16x2 bf16x2}}.{{{ALL}}}",
        "S0, T1, T2, %p3",
    ),
    (f"selp.{{pred {ALL}}}", "T0, T1, T2, %p0"),
    (f"slct{{- .ftz}}.{{{ALL}}}.{{s32 f32 u32 f16 s64}}", "S0, S1, S2, T3"),
    (f"testp.{{finite infinite number notanumber normal subnormal}}.{{{ALL}}}", "%p0, T1"),
]
SOURCES = f"{INTEGER} f16 bf16 f32 f64"
ROUNDINGS = "- .rn .rz .rm .rp .rna .rni .rzi .rmi .rpi"
CONVERSIONS: list[Row] = [
    (f"cvt{{{ROUNDINGS}}}{{- .ftz}}{{- .sat}}.{{{SOURCES}}}.{{{SOURCES}}}", "S0, T1"),
    (
        f"cvt{{{ROUNDINGS}}}{{.relu .satfinite .relu.satfinite .relu.sat}}"
        f"{{- .ftz}}.{{{SOURCES}}}.{{{SOURCES}}}",
        "S0, T1",
    ),
    (
        f"cvt{{{ROUNDINGS}}}{{- .ftz}}"
        f"{{- .relu .satfinite .satfinite.relu .sat}}.{{f16x2 bf16x2 e4m3x2 e5m2x2}}.{{f32 f16 f64}}",
        "S0, T1, T2",
    ),
    (f"cvt{{{ROUNDINGS}}}{{- .relu .satfinite .satfinite.relu .sat}}.{{f16x2 bf16x2 e4m3x2 e5m2x2 e4m3 e5m2 tf32 f32}}"
     ".{f16x2 bf16x2 e4m3x2 e5m2x2 f32 tf32}", "S0, T1"),
    ("cvt.pack{- .sat}.{u16 s16 u8 s8 u32}.{s32 u32}", "%r0, %r1, %r2"),
    ("cvt.pack{- .sat}.{u16 s16 u8 s8 u4 s4 u2 s2}.{s32 u32}.b32", "%r0, %r1, %r2, %r3"),
]  # fmt: skip
MOVES: list[Row] = [
    (f"mov.{{pred {ALL}}}", "T0, T1"),
    ("mov.b16", "%h0, {%b0, %b1}"),
    ("mov.{b32 u32 f32 s32 f16x2}", "%r0, {%h0, %h1}"),
    ("mov.{b32 u32}", "%r0, {%b0, %b1, %b2, %b3}"),
    ("mov.{b64 u64 f64}", "%d0, {%r0, %r1}"),
    ("mov.{b64 f32x2}", "%d0, {%h0, %h1, %h2, %h3}"),
    ("mov.b128", "%q0, {%d0, %d1}"),
    ("mov.b128", "%q0, {%r0, %r1, %r2, %r3}"),
    ("mov.b16", "{%b0, %b1}, %h0"),
    ("mov.{b32 u32 f32}", "{%h0, _}, %r0"),
    ("mov.b32", "{%b0, %b1, _, %b3}, %r0"),
    ("mov.{b64 u64}", "{%r0, %r1}, %d0"),
    ("mov.b64", "{%h0, %h1, _, %h3}, %d0"),
    ("mov.b128", "{%d0, %d1}, %q0"),
    ("mov.{b64 u64 s64}", "%d0, G"),
    ("mov.{u32 b32 s32}", "%r0, S"),
    ("mov.{u32 b32 s32}", "T0, %tid.x"),
    ("mov.{u64 b64 s64}", "T0, %<clock64 globaltimer>"),
    ("mov.{b32 u32}", "%r0, %<laneid warpid nwarpid smid nsmid clock lanemask_eq lanemask_lt lanemask_le lanemask_gt"
     " lanemask_ge ctaid.x ctaid.y ctaid.z nctaid.x ntid.z dynamic_smem_size total_smem_size aggr_smem_size clock_hi"
     " envreg0 envreg31 globaltimer_lo globaltimer_hi pm0 reserved_smem_offset_begin>"),
    ("mov.u64", "%d0, %<gridid pm0_64 current_graph_exec>"),
    ("cvta{- .to}{- .const .global .local .shared .shared::cta .param .param::entry}.{u32 u64 s64 b64}", "T0, T1"),
    ("isspacep.{const global local shared shared::cta param param::entry}", "%p0, %d1"),
]  # fmt: skip
MEMORY: list[Row] = [
    (f"ld{{{SPACE}}}{{- .v2 .v4 .v8}}.{{{MEMORY_TYPES}}}", "V0, [%d9]"),
    (f"st{{- .const .global .local .shared .shared::cta}}{{- .v2 .v4 .v8}}.{{{MEMORY_TYPES}}}", "[%d9], V0"),
    ("ld.param{- .v2 .v4}.{b8 u16 s32 b32 f32 b64}", "V0, [P]"),
    (f"ld{{{ORDER}}}{{{SPACE}}}{{- .v4}}.b32", "V0, [%d9]"),
    (f"st{{{ORDER}}}{{- .const .global .local .shared .shared::cta}}{{- .v4}}.b32", "[%d9], V0"),
    (
        "ld{- .weak .volatile .relaxed.gpu}{- .global .shared .local .const}{- .ca .cg .cs .lu .cv .wb .wt}"
        "{- .L2::64B .L2::128B .L2::256B .L2::32B}.b32",
        "T0, [%d9]",
    ),
    ("st{- .weak .volatile .relaxed.gpu}{- .global .shared .local}{- .wb .cg .cs .wt .ca}.b32", "[%d9], T0"),
    ("ld{- .weak .relaxed.gpu}{- .global}{.ca .cg .cs}{- .nc}{- .L2::128B}{- .v2}.f32", "V0, [%d9]"),
    (
        f"ld{{- .weak .volatile .relaxed.gpu}}{{- .global .shared}}{{- .nc}}{{- {EVICT_1}}}{{- {EVICT_2}}}"
        f"{{- .L2::64B .L2::256B}}.b32",
        "T0, [%d9]",
    ),
    (
        "ld{- .weak .acquire.gpu}{- .global .shared}{- .nc}"
        "{- .L1::evict_last}.L2::cache_hint{- .L2::128B}.{b32 v4.b32}",
        "V0, [%d9], %d8",
    ),
    (f"st{{- .weak .volatile .release.gpu}}{{- .global .shared}}{{- {EVICT_1}}}{{- {EVICT_2}}}.b32", "[%d9], T0"),
    ("st{- .weak .release.gpu}{- .global .shared}{- .L1::no_allocate}.L2::cache_hint.{b32 v4.b32}", "[%d9], V0, %d8"),
    (f"ldu{{- .global .shared}}{{- .v2 .v4}}.{{{MEMORY_TYPES}}}", "V0, [%d9]"),
    ("prefetch{- .global .local .const .param .shared}{.L1 .L2 .L2::evict_last .L2::evict_normal .tensormap}", "[%d9]"),
    ("prefetchu.{L1 L2}", "[%d9]"),
    ("discard{- .global .shared}{.L2 .L1}", "[%d9], <128 64>"),
    ("applypriority{- .global .shared}{.L2::evict_normal .L2::evict_last}", "[%d9], 128"),
    (
        "createpolicy.fractional{.L2::evict_last .L2::evict_normal .L2::evict_first .L2::evict_unchanged}"
        "{- .L2::evict_first .L2::evict_unchanged .L2::evict_last}.b64",
        "%d0",
    ),
    (
        "createpolicy.fractional{.L2::evict_last .L2::evict_normal .L2::evict_first .L2::evict_unchanged}"
        "{- .L2::evict_first .L2::evict_unchanged}.{b64 b32}",
        "%d0, 0.5",
    ),
    (
        "createpolicy.range{- .global}"
        "{.L2::evict_last .L2::evict_normal .L2::evict_first .L2::evict_unchanged}"
        "{- .L2::evict_first .L2::evict_unchanged}.b64",
        "%d0, [%d9], 0x100, %r1",
    ),
    ("createpolicy.cvt.L2.b64", "%d0, %d1"),
]  # fmt: skip
ATOMICS: list[Row] = [
    (
        "atom{- .global .shared .shared::cta .local}.{add min max and or xor inc dec exch}"
        f"{{- .noftz .ftz}}.{{{ALL}}}",
        "T0, [%d9], T1",
    ),
    (f"atom{{- .global .shared}}.cas.{{{ALL}}}", "T0, [%d9], T1, T2"),
    (f"red{{- .global .shared .shared::cta .local}}.{{{ATOMIC}}}{{- .noftz .ftz}}.{{{ALL}}}", "[%d9], T1"),
    (
        f"atom{{{SEMANTICS}}}{{- .cta .cluster .gpu .sys}}{{- .global .shared}}.{{add exch}}.{{u32 u64 f32 b64 b32}}",
        "T0, [%d9], T1",
    ),
    (f"atom{{{SEMANTICS}}}{{- .cta .gpu .sys}}{{- .global .shared}}.cas.{{b16 b32 b128}}", "T0, [%d9], T1, T2"),
    (
        f"red{{{SEMANTICS}}}{{- .cta .cluster .gpu .sys}}{{- .global .shared}}.add{{- .noftz}}.{{u32 u64 f32 f16x2}}",
        "[%d9], T1",
    ),
    (
        "atom{- .relaxed}{- .cta}{- .global .shared}.{add.noftz min.noftz max.noftz add}{.v2 .v4 .v8}"
        ".{f16 f16x2 bf16 bf16x2 f32}",
        "V0, [%d9], V4",
    ),
    (
        "red{- .relaxed}{- .cta}{- .global .shared}.{add.noftz min.noftz max.noftz add}{.v2 .v4 .v8}"
        ".{f16 f16x2 bf16 bf16x2 f32}",
        "[%d9], V4",
    ),
    ("atom{- .relaxed.gpu}{- .global .shared}.add{- .noftz}.L2::cache_hint.{u32 f32 f16x2}", "T0, [%d9], T1, %d8"),
    ("red{- .relaxed.gpu}{- .global .shared}.add{- .noftz}.L2::cache_hint.{u32 f32 f16x2}", "[%d9], T1, %d8"),
    ("atom.global.{add inc exch or}.{u32 b32}", "_, [%d9], T1"),
    ("atom.global.cas.b32", "_, [%d9], T1, T2"),
]
ASYNCHRONOUS: list[Row] = [
    ("cp.async.{ca cg}.{shared shared::cta}.global{- .L2::64B .L2::128B .L2::256B}", "[%r9], [%d9], <4 8 16 12>"),
    ("cp.async.{ca cg}.shared.global{- .L2::128B}", "[%d7], [%d9], 16, %r1"),
    ("cp.async.{ca cg}.shared.global{- .L2::128B}", "[%d7], [%d9], 16, %p1"),
    ("cp.async.{ca cg}.shared.global.L2::cache_hint{- .L2::128B}", "[%d7], [%d9], 16, %d8"),
    ("cp.async.{ca cg}.shared.global.L2::cache_hint", "[%d7], [%d9], 16, %r1, %d8"),
    ("cp.async.{ca cg}.shared.global.L2::cache_hint", "[%d7], [%d9], 16, %p1, %d8"),
    ("cp.async.{commit_group wait_all}", ""),
    ("cp.async.wait_group", "<0 1 7>"),
    ("cp.async.mbarrier.arrive{- .noinc}{- .shared .shared::cta .shared::cluster}.{b64 b32}", "[%d9]"),
    ("mbarrier.init{- .shared .shared::cta .shared::cluster .global}.{b64 b32}", "[%d9], <4 %r1>"),
    ("mbarrier.inval{- .shared .shared::cta}.b64", "[%d9]"),
    (
        "mbarrier.<arrive arrive_drop>{- .release}{- .cta .cluster .gpu}"
        "{- .shared .shared::cta .shared::cluster}.b64",
        "<%d0 _>, [%d9]",
    ),
    (
        "mbarrier.<arrive arrive_drop>{- .release.cta .relaxed.cta}"
        "{- .shared .shared::cta .shared::cluster}.b64",
        "<%d0 _>, [%d9], <3 %r1>",
    ),
    ("mbarrier.<arrive arrive_drop>.noComplete{- .release.cta}{- .shared .shared::cta}.b64", "<%d0 _>, [%d9], <3 %r1>"),
    ("mbarrier.<arrive arrive_drop>.expect_tx{- .release.cta}{- .shared .shared::cta}.b64", "%d0, [%d9], <64 %r1>"),
    ("mbarrier.<expect_tx complete_tx>{- .relaxed.cta}{- .shared .shared::cta}.b64", "[%d9], 64"),
    (
        "mbarrier.<test_wait try_wait>{- .acquire .relaxed}{- .cta .cluster}"
        "{- .shared .shared::cta .shared::cluster}.b64",
        "%p0, [%d9], %d1",
    ),
    (
        "mbarrier.<test_wait try_wait>.parity{- .acquire .relaxed}{- .cta .cluster}"
        "{- .shared .shared::cta}.b64",
        "%p0, [%d9], <%r1 1>",
    ),
    ("mbarrier.try_wait{- .shared}.b64", "%p0, [%d9], %d1, %r2"),
    ("mbarrier.try_wait.parity{- .shared}.b64", "%p0, [%d9], %r1, %r2"),
    ("mbarrier.pending_count.{b64 b32}", "%r0, %d1"),
    ("cp.async.bulk.commit_group", ""),
]  # fmt: skip
SYNCHRONISATION: list[Row] = [
    ("{bar barrier}{- .cta}.{sync arrive}{- .aligned}", "<0 %r1>"),
    ("{bar barrier}{- .cta}.{sync arrive}{- .aligned}", "<1 %r1>, <64 %r2>"),
    ("{bar barrier}{- .cta}.red.popc{- .aligned}.u32", "%r0, 1, <64, ->%p1"),
    ("{bar barrier}{- .cta}.red.popc{- .aligned}.u32", "%r0, %r1, %r2, !%p1"),
    ("{bar barrier}{- .cta}.red{.and .or .xor}{- .aligned}.pred", "%p0, 1, <64, ->%p1"),
    ("{bar barrier}{- .cta}.red{.and .or}{- .aligned}.pred", "%p0, %r1, %r2, !%p1"),
    ("bar.warp.sync", "<-1 %r1>"),
    ("barrier.cluster.{arrive wait}{- .aligned}", ""),
    ("membar.{cta gl sys proxy.alias proxy.async}", ""),
    ("fence{- .sc .acq_rel .acquire .release}{- .cta .cluster .gpu .sys}", ""),
    ("fence.proxy.{alias async async.global async.shared::cta async.shared::cluster}", ""),
    ("fence.mbarrier_init.release.cluster", ""),
    ("fence.{acquire release}.sync_restrict::shared::cta.cluster", ""),
    ("redux.sync.{add min max and or xor}.{b32 u32 s32 u64 f32 b64}", "T0, T1, <-1 %r2>"),
    ("redux.sync.{min max}{- .abs}{- .NaN}.f32", "T0, T1, -1"),
    ("match.{any all}{- .sync}.{b32 b64 u32 b16}", "%r0, T1, <-1 %r2>"),
    ("match.all{- .sync}.{b32 b64}", "<%r0 _>|%p0, T1, %r2"),
    ("vote{- .sync}.{all any uni}.pred", "%p0, <%p1 !%p1>, %r2"),
    ("vote{- .sync}.ballot.{b32 u32}", "%r0, <%p1 !%p1>, <-1 %r2>"),
    ("vote.{all any uni}.pred", "%p0, %p1"),
    ("vote.ballot.b32", "%r0, %p1"),
    ("activemask.{b32 u32}", "%r0"),
    ("shfl{- .sync}.{up down bfly idx}.{b32 u32 b64 f32}", "<%r0 %r0|%p0 _|%p0>, T1, <%r2 3>, <%r3 31>, <-1 %r4>"),
    ("shfl.{up down bfly idx}.b32", "%r0|%p0, %r1, %r2, %r3"),
    ("elect.sync", "<%r0 _>|%p0, <-1 %r1>"),
]  # fmt: skip
CONTROL: list[Row] = [
    ("bra{- .uni}", "L"),
    ("brx.idx{- .uni}", "%r0, T"),
    ("{ret exit}{- .uni}", ""),
    ("trap", ""),
    ("brkpt", ""),
    ("nanosleep.u32", "<%r0 20>"),
    ("pmevent{- .mask}", "<3 1>"),
    ("call{- .uni}", "F"),
    ("call{- .uni}", "(%r0), H, (%r1)"),
    ("call{- .uni}", "(%r0), %d0, (%r1), Q"),
    ("call{- .uni}", "(%r0), %d0, (%r1), R"),
    ("alloca.{u64 b64}", "%d0, <%d1 16>"),
    ("alloca.u64", "%d0, <%d1 16>, <8 16>"),
    ("stacksave.{u64 b64}", "%d0"),
    ("stackrestore.{u64 b64}", "%d0"),
    ("setmaxnreg.{inc dec}.sync.aligned.u32", "40"),
    ("griddepcontrol.{wait launch_dependents}", ""),
]  # fmt: skip
VIDEO: list[Row] = [
    ("{vadd vsub vabsdiff vmin vmax}.{u32 s32}.{u32 s32}.{u32 s32}{- .sat}", "%r0, %r1<- .b0 .h1>, %r2<- .b3 .h0>"),
    (
        "{vadd vsub vabsdiff vmin vmax}.{u32 s32}.{u32 s32}.{u32 s32}{- .sat}{.add .min .max}",
        "%r0, %r1.b2, %r2.h1, %r3",
    ),
    ("{vadd vsub vabsdiff vmin vmax}.{u32 s32}.{u32 s32}.{u32 s32}{- .sat}", "%r0.<b0 b3 h1>, %r1.b2, %r2.h1, %r3"),
    ("{vshl vshr}.{u32 s32}.{u32 s32}.u32{- .sat}.{clamp wrap}", "%r0, %r1<- .b1>, %r2"),
    ("{vshl vshr}.{u32 s32}.{u32 s32}.u32{- .sat}.{clamp wrap}{.add .min}", "%r0, %r1, %r2, %r3"),
    ("vmad.{u32 s32}.{u32 s32}.{u32 s32}{- .sat}{- .shr7 .shr15}", "%r0, %r1<- .b1>, %r2, <- ->%r3"),
    ("vmad.{u32 s32}.{u32 s32}.{u32 s32}.po{- .sat}{- .shr7 .shr15}", "%r0, %r1, %r2, %r3"),
    ("vset.{u32 s32}.{u32 s32}.{eq ne lt le gt ge}", "%r0, %r1<- .h1>, %r2"),
    ("vset.{u32 s32}.{u32 s32}.{eq lt}{.add .min .max}", "%r0, %r1, %r2, %r3"),
    (
        "{vadd2 vsub2 vavrg2 vabsdiff2 vmin2 vmax2 vadd4 vsub4 vavrg4 vabsdiff4 vmin4 vmax4}.{u32"
        " s32}.{u32 s32}.{u32 s32}{- .sat .add}",
        "%r0, %r1, %r2, %r3",
    ),
    ("{vset2 vset4}.{u32 s32}.{u32 s32}.{eq ne lt ge}{- .add}", "%r0, %r1, %r2, %r3"),
]  # fmt: skip
FAMILIES = {
    "arithmetic": ARITHMETIC,
    "bits": BIT,
    "comparison": COMPARISONS,
    "conversion": CONVERSIONS,
    "moves": MOVES,
    "memory": MEMORY,
    "atomic": ATOMICS,
    "asynchronous": ASYNCHRONOUS,
    "synchronisation": SYNCHRONISATION,
    "control": CONTROL,
    "video": VIDEO,
}

_REGISTER = re.compile(r"\b([TSW])(\d)\b")
_VECTOR = re.compile(r"\bV(\d)\b")


def register(kind: str, number: str | int, times: int = 1) -> str:
    return f"%{LETTERS.get(WIDTHS[kind] * times, 'q')}{number}"


def statement(opcode: str, operands: str) -> str:
    """An opcode with its operands."""
    types = [word for word in opcode.split(".") if word in WIDTHS]
    kinds = {"T": (types[-1:], 1), "S": (types[-2:-1], 1), "W": (types[-1:], 2)}

    def one(m: re.Match[str]) -> str:
        (kind,), times = kinds[m[1]]
        return register(kind, m[2], times)

    def vector(m: re.Match[str]) -> str:
        count = next((int(w[1]) for w in opcode.split(".") if w in ("v2", "v4", "v8")), 1)
        names = [register(types[-1], int(m[1]) + i) for i in range(count)]
        return f"{{{', '.join(names)}}}" if count > 1 else names[0]

    return f"{opcode} {_VECTOR.sub(vector, _REGISTER.sub(one, operands))};".replace(" ;", ";")


def chosen(pattern: str) -> list[str]:
    """Every choice of `<a b>` in operands."""
    return list(each(pattern.replace("{", "\0").replace("}", "\1").replace("<", "{").replace(">", "}")))


def candidates(family: str) -> list[str]:
    """The statements of a family, each once."""
    found: dict[str, None] = {}
    for pattern, operands in FAMILIES[family]:
        for opcode in each(pattern):
            for name in chosen(opcode):
                for text in chosen(operands):
                    found[statement(name, text.replace("\0", "{").replace("\1", "}"))] = None
    return list(found)
