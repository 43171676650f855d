"""Allocations never touch, and an address is described in the tensor's own coordinates."""

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptxvm.arena import ALIGNMENT, NULL_BYTES, Allocation, Arena, contiguous, element_index
from ptxvm.errors import LaunchError


@given(st.lists(st.tuples(st.integers(1, 5000), st.booleans()), min_size=1, max_size=30))
def test_allocations_keep_their_distance(requests):
    arena = Arena(1 << 20)
    alive = []
    for size, free_one in requests:
        alive.append(arena.allocate(size))
        if free_one and len(alive) > 1:
            arena.free(alive.pop(0))
    ordered = sorted(alive, key=lambda a: a.start)
    assert ordered[0].start >= NULL_BYTES
    for a in ordered:
        assert a.start % ALIGNMENT == 0
        assert arena.find(a.start) is a
        assert arena.find(a.end - 1) is a
        assert arena.find(a.end) is None
    for left, right in pairwise(ordered):
        assert right.start - left.end >= ALIGNMENT


def test_a_full_arena_refuses():
    arena = Arena(1 << 16)
    with pytest.raises(LaunchError, match="do not fit"):
        arena.allocate(1 << 16)


def test_a_strided_view_names_its_own_indices():
    """A transposed (3, 5) float32 tensor: element [i, j] lies at 4 * (j * 3 + i) bytes."""
    for i in range(3):
        for j in range(5):
            offset = 4 * (j * 3 + i)
            assert element_index(offset, (3, 5), (4, 12), 4) == (i, j)
            assert element_index(offset + 3, (3, 5), (4, 12), 4) == (i, j)


def test_bytes_between_the_elements_of_a_view_belong_to_no_element():
    assert element_index(4, (4,), (8,), 4) is None
    assert element_index(8, (4,), (8,), 4) == (1,)


@pytest.mark.parametrize(
    ("offset", "text"),
    [
        (0, "o[0, 0]"),
        (4 * 13, "o[1, 3]"),
        (-4, "o[-1, 9]: before the first element, o is (4, 10)"),
        (160, "o[4, 0]: first element past the end, o is (4, 10)"),
        (188, "o[4, 7]: past the end, o is (4, 10)"),
        (162, "2 bytes past the end of o, o is (4, 10)"),
    ],
)
def test_describing_an_address_of_a_matrix(offset, text):
    arena = Arena(1 << 16)
    o = arena.allocate(160, name="o", dtype="<f4", shape=(4, 10), strides=contiguous((4, 10), 4))
    assert o.describe(o.start + offset) == text


@pytest.mark.parametrize(
    ("element", "text"),
    [
        (5, "v[5]"),
        (10, "v[10]: first element past the end, v is (10,)"),
        (12, "v[12]: past the end, v is (10,)"),
        (-1, "v[-1]: before the first element, v is (10,)"),
    ],
)
def test_describing_an_address_of_a_vector(element, text):
    arena = Arena(1 << 16)
    v = arena.allocate(40, name="v", dtype="<f4", shape=(10,))
    assert v.describe(v.start + 4 * element) == text


def test_the_first_gap_that_is_wide_enough_is_taken() -> None:
    """Also after some were given back: where a search begins is remembered, and must not pass a gap over."""
    rng, arena = random.Random(4), Arena(1 << 22)
    alive: list[Allocation] = []
    for _ in range(400):
        if alive and rng.random() < 0.4:
            arena.free(alive.pop(rng.randrange(len(alive))))
            continue
        size = rng.choice((1, 500, 512, 513, 3000, 9000))
        taken = sorted((a.start, a.end) for a in alive)
        starts = [NULL_BYTES, *(-(-(end + ALIGNMENT) // ALIGNMENT) * ALIGNMENT for _, end in taken)]
        free = [
            s for s, (begin, _) in zip(starts, [*taken, (1 << 22, 0)], strict=True) if s + size + ALIGNMENT <= begin
        ]
        alive.append(arena.allocate(size))
        assert alive[-1].start == free[0]
