"""Who the threads of a batch are: special registers, and their coordinates for messages."""

from __future__ import annotations

import numpy as np

from ptxvm.errors import Unsupported
from ptxvm.group import WARP, Array, Group

Dim3 = tuple[int, int, int]


class Threads:
    """The threads of one batch: `cta_ids` are the linear block numbers of the launch that run together.

    shared_bytes   of a block, of which `dynamic_shared_bytes` are given at the launch
    workspace      address of the words by which a cooperative grid waits for itself
    """

    def __init__(
        self, grid: Dim3, block: Dim3, cta_ids: Array, shared_bytes: int, dynamic_shared_bytes: int, workspace: int
    ) -> None:
        self.grid, self.block = grid, block
        self.shared_bytes, self.dynamic_shared_bytes, self.workspace = shared_bytes, dynamic_shared_bytes, workspace
        self.visits = 0  # basic blocks run so far: what clocks show
        threads = np.arange(block[0] * block[1] * block[2], dtype=np.int64)
        self._tids = _unravel(threads, block)  # x, y, z of each thread, uint32
        self._ctaids = _unravel(cta_ids, grid)

    def special(self, g: Group, name: str) -> Array:
        """A special register as an unsigned array. Raises Unsupported for one that has no meaning here."""
        base, _, axis = name.partition(".")
        if base == "%tid" and axis:
            return self._tids["xyz".index(axis)][g.tids]
        if base in ("%ctaid", "%clusterid") and axis:
            return self._ctaids["xyz".index(axis)][g.ctas]
        if base == "%ntid" and axis:
            return _scalar(self.block["xyz".index(axis)])
        if base in ("%nctaid", "%nclusterid") and axis:
            return _scalar(self.grid["xyz".index(axis)])
        if base == "%laneid":
            return (g.tids % WARP).astype(np.uint32)
        if base == "%warpid":
            return (g.tids // WARP).astype(np.uint32)
        if base.startswith("%lanemask_"):
            return _lanemask((g.tids % WARP).astype(np.uint64), base[-2:])
        if base in ("%clock64", "%clock", "%globaltimer", "%globaltimer_lo", "%clock_hi", "%globaltimer_hi"):
            return _scalar(self.visits, "u8")  # monotone, never a time
        if base in _CONSTANT_SPECIALS:
            return _scalar(_CONSTANT_SPECIALS[base])
        if base in ("%cluster_ctaid", "%cluster_nctaid"):
            return _scalar(int(base == "%cluster_nctaid"))
        if base == "%nwarpid":
            return _scalar(-(-(self.block[0] * self.block[1] * self.block[2]) // WARP))
        if base == "%dynamic_smem_size":
            return _scalar(self.dynamic_shared_bytes)
        if base in ("%total_smem_size", "%aggr_smem_size"):
            return _scalar(self.shared_bytes)
        if base in ("%envreg1", "%envreg2"):  # as the driver gives cooperative groups the address of its workspace
            return _scalar(self.workspace >> 32 if base == "%envreg1" else self.workspace & 0xFFFFFFFF)
        if base.startswith("%envreg"):
            return _scalar(0)
        raise Unsupported(name)

    def block_coordinates(self, cta: int) -> Dim3:
        """Block index in the launch of a CTA of this batch."""
        x, y, z = (int(axis[cta]) for axis in self._ctaids)
        return x, y, z

    def launch_coordinates(self, block: int) -> Dim3:
        """Block index of a linear block number of the launch."""
        x, y, z = (int(axis[0]) for axis in _unravel(np.array([block], np.int64), self.grid))
        return x, y, z

    def thread_coordinates(self, tid: int) -> Dim3:
        x, y, z = (int(axis[tid]) for axis in self._tids)
        return x, y, z


_AXES = {"%tid", "%ntid", "%ctaid", "%nctaid", "%clusterid", "%nclusterid", "%cluster_ctaid", "%cluster_nctaid"}
_PLAIN_SPECIALS = {
    "%laneid", "%warpid", "%nwarpid", "%clock", "%clock64", "%clock_hi", "%globaltimer", "%globaltimer_lo",
    "%globaltimer_hi", "%dynamic_smem_size", "%total_smem_size", "%aggr_smem_size",
    *(f"%lanemask_{relation}" for relation in ("eq", "lt", "le", "gt", "ge")), *(f"%envreg{i}" for i in range(32)),
}  # fmt: skip


def knows_special(name: str) -> bool:
    """Whether `Threads.special` has a value for a register, so that code generation can refuse the others at load."""
    base, _, axis = name.partition(".")
    return (base in _AXES and axis in ("x", "y", "z")) or name in _PLAIN_SPECIALS or name in _CONSTANT_SPECIALS


_CONSTANT_SPECIALS = {
    "%smid": 0, "%nsmid": 1, "%gridid": 1, "%cluster_ctarank": 0, "%cluster_nctarank": 1, "%is_explicit_cluster": 0,
    "%current_graph_exec": 0, "%reserved_smem_offset_begin": 0,
}  # fmt: skip


def _unravel(linear: Array, shape: Dim3) -> tuple[Array, Array, Array]:
    x, y = shape[0], shape[1]
    parts = (linear % x, linear // x % y, linear // (x * y))
    return parts[0].astype(np.uint32), parts[1].astype(np.uint32), parts[2].astype(np.uint32)


def _scalar(value: int, kind: str = "u4") -> Array:
    return np.array([[value]], kind)


def _lanemask(lane: Array, relation: str) -> Array:
    one = np.uint64(1)
    equal = one << lane
    masks = {
        "eq": equal,
        "lt": equal - one,
        "le": (equal << one) - one,
        "gt": ~((equal << one) - one),
        "ge": ~(equal - one),
    }
    return (masks[relation] & np.uint64(0xFFFFFFFF)).astype(np.uint32)
