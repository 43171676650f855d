"""Sums kept apart, accesses made without an address for every lane, multiply-adds run together: the same to the bit."""

import operator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ptxvm
from ptxvm import rounding, sums
from ptxvm.group import Group, merge
from ptxvm.rounding import Links
from ptxvm.sums import Parts, Sum, either, plus, whole
from tests.ptxvm.compiled import nvrtc

TYPES = ["i4", "u4", "i8", "u8"]
numbers = st.one_of(
    st.integers(-(1 << 63), (1 << 64) - 1), st.integers(-64, 4096), st.sampled_from([0, 1, -1, 1 << 31, (1 << 31) - 1])
)


def array(values, shape, dtype):
    wrapped = [v & ((1 << 64) - 1) for v in values]
    return np.array(wrapped, np.uint64).astype(np.dtype(dtype).str.replace("i", "u")).view(dtype).reshape(shape)


@st.composite
def parts(draw):
    dtype = draw(st.sampled_from(TYPES))
    rows, columns = draw(st.integers(2, 4)), draw(st.integers(2, 5))
    if draw(st.booleans()):  # evenly spaced, like addresses
        first, pitch, step = draw(st.integers(0, 1 << 20)), draw(st.integers(0, 4096)), draw(st.integers(0, 64))
        row, col = [first + pitch * i for i in range(rows)], [step * i for i in range(columns)]
    else:
        row = draw(st.lists(numbers, min_size=rows, max_size=rows))
        col = draw(st.lists(numbers, min_size=columns, max_size=columns))
    return array(row, (rows, 1), dtype), array(col, (1, columns), dtype)


BINARY = [operator.add, operator.sub, operator.mul, operator.or_, operator.lt, operator.le, operator.gt, operator.ge,
          operator.eq, operator.ne]  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(parts(), st.data())
def test_a_sum_behaves_like_its_array(given_parts, data):
    row, col = given_parts
    apart, plain = Sum(Parts(row, col), 0), row + col
    for _ in range(data.draw(st.integers(1, 6))):
        what = data.draw(st.sampled_from(["binary", "shift", "view", "astype", "reflected", "int", "part", "neg"]))
        one = array([data.draw(numbers)], (1, 1), plain.dtype)
        if what == "binary":
            operation = data.draw(st.sampled_from(BINARY))
            found, want = operation(apart, one), operation(plain, one)
        elif what == "reflected":
            operation = data.draw(st.sampled_from(BINARY))
            found, want = operation(one, apart), operation(one, plain)
        elif what == "shift":
            count = array([data.draw(st.integers(0, 70))], (1, 1), plain.dtype)
            operation = data.draw(st.sampled_from([operator.lshift, operator.rshift]))
            found, want = operation(apart, count), operation(plain, count)
        elif what == "view":
            kind = np.dtype(data.draw(st.sampled_from("iu")) + str(plain.dtype.itemsize))
            found, want = apart.view(kind), plain.view(kind)
        elif what == "astype":
            kind = np.dtype(data.draw(st.sampled_from(TYPES)))
            found, want = apart.astype(kind), plain.astype(kind)
        elif what == "int":
            number = data.draw(st.integers(0, 4096))
            found, want = apart + number, plain + plain.dtype.type(number)
        elif what == "part":
            part = data.draw(st.sampled_from([row, col])).astype(plain.dtype)
            found, want = data.draw(st.sampled_from([(apart + part, plain + part), (apart - part, plain - part)]))
        else:
            found, want = -apart, -plain
        shown = np.broadcast_to(whole(found), plain.shape)
        assert shown.dtype == want.dtype
        assert np.array_equal(shown, want), what
        if not sums.is_sum(found):
            return
        apart, plain = found, want
        bounds = apart.bounds()
        if bounds is not None:
            assert bounds == (int(plain.min()), int(plain.max()))
        for width in (2, 4, 8, 16):
            assert apart.aligned(width) == (not (plain & plain.dtype.type(width - 1)).any())
        assert np.array_equal(apart.starts(), plain[:, :1])


def test_only_large_sums_are_kept_apart():
    row, col = np.arange(64)[:, None] * 128, np.arange(128)[None, :]
    assert sums.is_sum(plus(row, col))
    assert sums.is_sum(either(row, col))
    assert not sums.is_sum(either(row + 1, col)), "bits meet"
    assert not sums.is_sum(plus(row[:4], col[:, :4]))
    assert not sums.is_sum(plus(row, row))


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("alike", [True, False])
def test_groups_split_and_merge_sums(axis, alike):
    row, col = np.arange(64)[:, None] * 128 + 5, np.arange(64)[None, :] * 4
    group = Group(0, np.arange(64)[:, None], np.arange(64)[None, :], {"x": plus(row, col) + 7})
    plain = row + col + 7
    mask = (np.arange(64) % 3 == 0).reshape((64, 1) if axis == 0 else (1, 64))
    first, second = group.take(mask, ["x"]), group.take(~mask, ["x"])
    assert sums.is_sum(first.regs["x"])
    if not alike:  # one half becomes an array, or gets another second part
        second.regs["x"] = second.regs["x"] + (np.arange(64).reshape((1, 64) if axis == 0 else (64, 1)))
        plain = plain + ~mask * np.arange(64).reshape((1, 64) if axis == 0 else (64, 1))
    together = merge([first, second], ["x"])
    assert np.array_equal(whole(together.regs["x"]), plain)
    scattered = group.take(np.add.outer(np.arange(64), np.arange(64)) % 5 == 0, ["x"])
    assert not scattered.product
    assert np.array_equal(
        scattered.regs["x"].ravel(), (row + col + 7)[np.add.outer(np.arange(64), np.arange(64)) % 5 == 0]
    )


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1 << 30), st.booleans(), st.integers(1, 40), st.sampled_from([64, 1 << 15]))
def test_chains_of_multiply_adds_give_what_single_ones_give(seed, flush, count, together):
    rng = np.random.default_rng(seed)

    def numbers_of(shape):
        bits = rng.integers(0, 1 << 32, shape, np.uint32)
        few = rng.integers(-8, 9, shape) * np.exp2(rng.integers(-140, 20, shape))
        return np.where(rng.random(shape) < 0.5, bits.view(np.float32), few.astype(np.float32))

    shapes = [(1, 1), (3, 1), (1, 33), (3, 33)]
    factors = [numbers_of(shapes[rng.integers(4)]) for _ in range(10)]
    starts = [numbers_of(shapes[rng.integers(4)]) for _ in range(count)]
    steps = sorted((int(n) for n in rng.integers(1, count + 1, 4)), reverse=True)
    plan, sums_ = [], list(starts)
    prepare = rounding.ftz if flush else (lambda x: x)
    with np.errstate(all="ignore"):
        if flush:
            sums_ = [prepare(x) for x in sums_]
        for n in steps:
            left = tuple(int(i) for i in rng.integers(0, 10, 3))
            right = tuple(int(i) for i in rng.integers(0, 10, 2))
            grid = bool(n == 6 and rng.integers(2))
            pairs = tuple((i // 2, i % 2) if grid else (int(rng.integers(3)), int(rng.integers(2))) for i in range(n))
            plan.append(Links(left, right, pairs, grid))
            for i, (a, b) in enumerate(pairs):
                product = (prepare(factors[left[a]]), prepare(factors[right[b]]))
                sums_[i] = prepare(rounding.fma32(*product, sums_[i]))
        kept, rounding.LANES_TOGETHER = rounding.LANES_TOGETHER, together
        try:
            found = rounding.fma_chains(factors, starts, tuple(plan), flush)
        finally:
            rounding.LANES_TOGETHER = kept
    for one, want in zip(found, sums_, strict=True):
        want = np.broadcast_to(want, one.shape)
        nan = np.isnan(want)
        assert np.array_equal(nan, np.isnan(one))
        assert np.array_equal(one[~nan].view(np.uint32), want[~nan].view(np.uint32))


SOURCE = r"""
#define T 16
extern "C" __global__ void product(const float* a, const float* b, float* c, int n) {
    __shared__ float left[T][T + 1], right[T][T + 1];
    int row = blockIdx.y * T + threadIdx.y, col = blockIdx.x * T + threadIdx.x;
    float s0 = 0, s1 = 1, s2 = 2, s3 = 3;
    for (int k = 0; k < n; k += T) {
        left[threadIdx.y][threadIdx.x] = a[row * n + k + threadIdx.x];
        right[threadIdx.y][threadIdx.x] = b[(k + threadIdx.y) * n + col];
        __syncthreads();
        for (int i = 0; i < T; ++i) {
            float x = left[threadIdx.y][i], y = right[i][threadIdx.x];
            s0 += x * y; s1 += y * y; s2 += x * x; s3 += x * a[row];
        }
        __syncthreads();
    }
    c[row * n + col] = s0 + s1 + s2 + s3;
}
extern "C" __global__ void edges(const float* a, const float* b, float* c, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n - 3) c[i + 1] = a[i] + b[i / 2] * a[n - 1 - i];
    if (threadIdx.x > 5) c[2 * n + (i ^ 1)] = ((const float4*)b)[i / 4].y;
}
"""


@pytest.mark.parametrize("name", ["product", "edges"])
@pytest.mark.parametrize("races", ["off", "all"])
def test_nothing_changes_where_sums_are_never_kept_apart(name, races, monkeypatch):
    kernel = ptxvm.Module.from_ptx(nvrtc(SOURCE, "sums.cu", "86", "-lineinfo")).kernel(name)
    n = 64 if name == "product" else 4000
    grid, block = ((4, 4), (16, 16)) if name == "product" else ((16,), (256,))

    def result():
        device = ptxvm.Device("sm_86", memory_bytes=1 << 20)
        rng = np.random.default_rng(3)
        a, b, c = (device.array(4 * 4096, name=x) for x in "abc")
        a[:], b[:] = rng.standard_normal(a.size), rng.standard_normal(b.size)
        report = device.launch(
            kernel, grid, block, (a, b, c, n), checks=ptxvm.Checks(races=races, counters=True, on_fault="collect")
        )
        return np.array(c).tobytes(), report.to_dict()

    made = []
    monkeypatch.setattr(sums.Sum, "__init__", _counting(sums.Sum.__init__, made))
    apart = result()
    assert made, "the test shows nothing unless there are sums"
    monkeypatch.setattr(sums, "LEAST_LANES", 1 << 60)
    made.clear()
    assert result() == apart
    assert not made


def _counting(function, calls):
    def counted(*args):
        calls.append(1)
        function(*args)

    return counted


def test_an_access_behind_the_end_of_a_tensor_is_told_for_a_sum_too():
    kernel = ptxvm.Module.from_ptx(nvrtc(SOURCE, "sums.cu", "86", "-lineinfo")).kernel("product")
    device = ptxvm.Device("sm_86", memory_bytes=1 << 20)
    a, c = device.array(64 * 64, name="a"), device.array(64 * 64, name="c")
    b = device.array(64 * 64 - 1, name="b")
    with pytest.raises(ptxvm.Fault) as fault:
        device.launch(kernel, (4, 4), (16, 16), (a, b, c, 64))
    finding = fault.value.finding
    assert finding.kind == "out of bounds"
    assert (finding.block, finding.thread, finding.count) == ((3, 0, 0), (15, 15, 0), 4)
    assert "b[4095]" in finding.object
