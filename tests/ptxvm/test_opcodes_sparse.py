"""Does `mma.sp` multiply each stored element of A with the element of B that the metadata means?"""

from __future__ import annotations

import numpy as np
import pytest
import torch

import ptxvm
from tests.ptxvm.lane_forms import each
from tests.ptxvm.matrix_kernel import SHAPES, check_mma

VARIANTS = "mma.{sp sp::ordered_metadata}.sync.aligned"
SPARSE = [
    *each(VARIANTS + ".m16n8{k16 k32}.row.col{.f16.f16.f16.f16 .f32.f16.f16.f32 .f32.bf16.bf16.f32}"),
    *each(VARIANTS + ".m16n8{k8 k16}.row.col.f32.tf32.tf32.f32"),
    *each(VARIANTS + ".m16n8{k32 k64}.row.col{- .satfinite}.s32{.s8 .u8}{.s8 .u8}.s32"),
    *each(VARIANTS + ".m16n8{k64 k128}.row.col{- .satfinite}.s32{.s4 .u4}{.s4 .u4}.s32"),
    *each(VARIANTS + ".m16n8k64.row.col.f32{.e4m3 .e5m2}{.e4m3 .e5m2}.f32"),
]


@pytest.mark.parametrize("part", range(4))
def test_sparse_products(part: int) -> None:
    shapes = (SHAPES[part],)
    assert check_mma(SPARSE[part::4], f"sparse {part}", 20, shapes, every=5) == len(SPARSE[part::4])


@pytest.mark.parametrize("how", ["flat", "guarded"])
def test_some_warps(how: str) -> None:
    assert check_mma(SPARSE[::11], how, 2, ("both",), every=5, how=how) == len(SPARSE[::11])


def compressed(dense: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> tuple[np.ndarray, np.ndarray]:
    """What CUTLASS wants of a matrix: stored elements and metadata, in PyTorch's words for it."""
    from torch.sparse import _semi_structured_conversions as conversions

    stored, meta = conversions.sparse_semi_structured_from_dense_cutlass(dense)
    return stored.numpy(), meta.numpy().view(np.uint32).ravel()


@pytest.mark.parametrize("kind", ["f16", "s8"])
def test_metadata_is_where_cutlass_puts_it(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """CUTLASS gives lane i word i of its reordered metadata: 32 rows of f16 by two selectors, 16 rows of s8 by one."""
    generator = torch.Generator().manual_seed(3)
    rows, k, element = (32, 32, torch.float16) if kind == "f16" else (16, 64, torch.int8)
    dense = torch.randint(1, 8, (rows, k), generator=generator)
    order = torch.rand(rows, k // 4, 4, generator=generator).argsort(dim=-1)
    dense = (dense * (order >= 2).reshape(rows, k)).to(element)
    stored, meta = compressed(dense, monkeypatch)
    b = torch.randint(-4, 5, (k, 8), generator=generator).to(element)
    for half in range(rows // 16):
        got = _multiply(kind, stored[16 * half : 16 * half + 16], b.numpy(), meta, half)
        want = dense[16 * half : 16 * half + 16].to(torch.int64) @ b.to(torch.int64)
        assert np.array_equal(got, want.numpy())


def _multiply(kind: str, stored: np.ndarray, b: np.ndarray, meta: np.ndarray, selector: int) -> np.ndarray:
    """A B of one warp that loads its fragments as the tables say."""
    per = 2 if kind == "f16" else 4  # elements a register
    group, thread = np.divmod(np.arange(32), 4)
    a_words = np.ascontiguousarray(stored).view(np.uint32)  # (16, 8): four words are a piece of k
    b_words = np.ascontiguousarray(b.T).view(np.uint32)  # (8, 16)
    operands = [a_words[group + 8 * (r & 1), thread + 4 * (r >> 1)] for r in range(4)]
    operands += [b_words[group, thread + 4 * r] for r in range(4)]
    assert a_words.shape[1] * per == stored.shape[1]
    types = "f32.f16.f16.f32" if kind == "f16" else "s32.s8.s8.s32"
    shape, register = ("m16n8k32", "f32") if kind == "f16" else ("m16n8k64", "s32")
    loads = "\n".join(f"ld.global.b32 %r{i}, [%at+{128 * i}];" for i in range(9))
    zero = "0f00000000" if kind == "f16" else "0"
    text = f""".version 9.0
.target sm_86
.address_size 64
.visible .entry k(.param .u64 given, .param .u64 out)
{{ .reg .b32 %r<9>; .reg .{register} %c<4>; .reg .b64 %at, %to; .reg .b32 %t;
mov.u32 %t, %tid.x;
ld.param.u64 %at, [given];
mad.wide.u32 %at, %t, 4, %at;
ld.param.u64 %to, [out];
mad.wide.u32 %to, %t, 16, %to;
{loads}
mma.sp::ordered_metadata.sync.aligned.{shape}.row.col.{types} {{%c0, %c1, %c2, %c3}}, {{%r0, %r1, %r2, %r3}},
    {{%r4, %r5, %r6, %r7}}, {{{zero}, {zero}, {zero}, {zero}}}, %r8, {selector};
st.global.v4.{register} [%to], {{%c0, %c1, %c2, %c3}};
ret;
}}
"""
    device = ptxvm.Device("sm_86", memory_bytes=1 << 16)
    given, out = device.array((9, 32), "uint32"), device.array((32, 4), "uint32")
    given[:8], given[8] = np.stack(operands), meta
    device.launch(ptxvm.Module.from_ptx(text).kernel(), (1,), (32,), (given, out))
    result = np.zeros((16, 8), np.int64)
    values = np.array(out).view(np.float32 if kind == "f16" else np.int32)
    for i in range(4):
        result[group + 8 * (i >> 1), 2 * thread + (i & 1)] = values[:, i]
    return result


WRONG = [
    ("m16n8k16.row.col.f32.f16.f16.f32", 2, 2, "%e, 4", "from 0 to 3"),
    ("m16n8k16.row.col.f32.f16.f16.f32", 2, 2, "%e, %e", "from 0 to 3"),
    ("m16n8k32.row.col.f32.f16.f16.f32", 4, 4, "%e, 2", "from 0 to 1"),
    ("m16n8k64.row.col.f32.e4m3.e4m3.f32", 4, 4, "%e, 1", "from 0 to 0"),
    ("m16n8k16.row.col.f32.f16.f16.f32", 4, 2, "%e, 0", "a vector of 2 registers of 32 bits"),
]


@pytest.mark.parametrize(("form", "a", "b", "rest", "reason"), WRONG)
def test_operands_that_ptxas_refuses(form: str, a: int, b: int, rest: str, reason: str) -> None:
    names = [f"{{{', '.join(f'%{w}{i}' for i in range(n))}}}" for w, n in (("f", 4), ("r", a), ("r", b), ("f", 4))]
    text = f""".version 9.0
.target sm_89
.address_size 64
.visible .entry k()
{{ .reg .b32 %r<8>, %e; .reg .f32 %f<4>;
mma.sp.sync.aligned.{form} {", ".join(names)}, {rest};
ret; }}
"""
    (error,) = ptxvm.Module.from_ptx(text).unsupported()
    assert (error.line, reason in str(error)) == (6, True)
