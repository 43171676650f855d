"""`mma.sp`: a product in which half of each row of A is left out, and metadata says which half is there.

Of four neighbours of a row of A two are stored, of 4-bit elements four of eight in pairs of neighbours, of tf32 one of
two. Four bits of metadata a chunk hold two positions, of 16, 8 or twice 4 bits each; those of tf32 name the two 16-bit
halves of an element, so that 0b0100 means the first and 0b1110 the second. The stored elements lie in the registers as
those of a dense A of half the width.

A lane l of the group l/4 holds metadata of rows l/4 and l/4 + 8, and F, the sparsity selector, says which lanes are
asked (q is the first chunk that a word names):

    16 and 32 bits, 4 chunks a row      lane F of the group: row l/4 in its lower half, row l/4 + 8 in its upper half
    16 and 32 bits, 8 chunks a row      lanes 2F and 2F + 1 likewise, q = 0 and q = 4
    8 and 4 bits, 8 chunks a row        lane 2F: row l/4; lane 2F + 1: row l/4 + 8
    8 and 4 bits, 16 chunks a row       lanes 0 and 1 likewise with q = 0, lanes 2 and 3 with q = 8

The PTX ISA shows this in figures; so do CUTLASS's `reorder_meta` and PyTorch's copy of it, to which the tests hold it.
Positions that are equal are undefined behaviour by the ISA: here both elements count. The ISA demands of
`ordered_metadata` that positions rise; they are taken as they are. fp8 sums are formed as for dense fp8, of the stored
elements; no reading of a card covers them.
"""

from __future__ import annotations

import numpy as np

from ptxvm.group import Array, Group
from ptxvm.matrix_forms import BITS, INTEGERS, MmaForm
from ptxvm.mma import floats, integers, whole_warps, words_of
from ptxvm.tensorcore import Factors


def mma(
    g: Group,
    form: MmaForm,
    a: Factors,
    b: Factors,
    c: list[Array],
    metadata: Array,
    selector: int,
    guard: Array | None,
) -> list[Array]:
    """D = A B + C for every warp of a group; operands as in `mma.mma`, metadata uint32."""
    whole_warps(g, guard)
    left, right = a.numbers, b.numbers
    positions = places(form, words_of(g, [metadata], np.uint32)[0], selector)
    shape = (*positions.shape[:2], right.shape[1], *np.broadcast_shapes(positions.shape[2:], right.shape[2:]))
    met = np.take_along_axis(  # (k/2, m, n, c, w): the element of B that each stored element of A meets
        np.broadcast_to(right[:, None], (len(right), *shape[1:])), np.broadcast_to(positions[:, :, None], shape), axis=0
    )
    if form.kinds[1] not in INTEGERS:
        return floats(g, form, a, Factors(met), c)
    return integers(g, form, (left[:, :, None] * met).sum(axis=0), c)


def places(form: MmaForm, words: Array, selector: int) -> Array:
    """The place along k of each stored element of A, (k/2, 16, c, w), from the metadata of the lanes (8, 4, c, w)."""
    bits = BITS[form.kinds[1]]
    chunks = form.shape[2] // {32: 2, 16: 4, 8: 4, 4: 8}[bits]
    warps = words.shape[2:]
    if bits >= 16:  # (group, lane, c, w, row half): a word names four chunks of each row
        lanes = chunks // 4
        rows = words[:, lanes * selector : lanes * (selector + 1)][..., None] >> np.array([0, 16], np.uint32)
        fields = rows.transpose(4, 0, 1, 2, 3)[..., None] >> np.arange(0, 16, 4, dtype=np.uint32)
    else:  # (group, lane of 8 chunks, row half, c, w)
        rows = words[:, 2 * selector : 2 * selector + chunks // 4].reshape(8, -1, 2, *warps)
        fields = rows.transpose(2, 0, 1, 3, 4)[..., None] >> np.arange(0, 32, 4, dtype=np.uint32)
    # (row half, group, word, c, w, chunk of the word) to (chunk, row, c, w)
    field = fields.transpose(2, 5, 0, 1, 3, 4).reshape(chunks, 16, *warps).astype(np.int64) & 15
    chunk = np.arange(chunks).reshape(-1, 1, 1, 1, 1)
    if bits == 32:
        return (2 * chunk[:, 0] + ((field & 3) >> 1)).reshape(-1, 16, *warps)
    position = np.stack([field & 3, field >> 2], axis=1)  # (chunk, 2, row, c, w)
    if bits == 4:  # each position is of a pair
        pair = 8 * chunk + 2 * position
        return np.stack([pair, pair + 1], axis=2).reshape(-1, 16, *warps)
    return (4 * chunk + position).reshape(-1, 16, *warps)
