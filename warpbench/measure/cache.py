"""What is in the card's L2 cache when a sample begins. Three answers, never mixed: cold, rotate, hot."""

from __future__ import annotations

import math
from typing import Any

MIB = 1 << 20


def flush_bytes(l2_bytes: int, integrated: bool = False) -> int:
    """Size of the buffer that empties the cache: twice the L2, at least 32 MiB (64 on integrated memory)."""
    return max(2 * l2_bytes, (64 if integrated else 32) * MIB)


def copies(l2_bytes: int, touched_bytes: int, free_bytes: int) -> int | None:
    """How many copies of all tensors `rotate` needs, so that each launch meets cold data.

    None if they would take more than a quarter of the free memory: then `cold`.
    """
    count = math.ceil(5 * l2_bytes / max(touched_bytes, 1)) + 1
    return None if count * touched_bytes > free_bytes / 4 else count


def dram_share_allowed(mode: str, bytes_read: int, l2_bytes: int) -> bool:
    """Whether a share of DRAM bandwidth may be printed: what was read cannot have come from the cache."""
    return mode == "rotate" or (mode == "cold" and bytes_read >= 4 * l2_bytes)


class Flusher:
    """Empties the L2 of one card: writes a buffer twice its size, then reads it back.

    The read leaves the cache full of clean lines, so that nobody else's write-back is billed to the kernel.
    """

    def __init__(self, l2_bytes: int, integrated: bool = False, device: str = "cuda") -> None:
        import torch

        self.bytes = flush_bytes(l2_bytes, integrated)
        self._buffer: Any = torch.empty(self.bytes // 4, dtype=torch.float32, device=device)
        self._sum: Any = torch.empty((), dtype=torch.float32, device=device)

    def flush(self) -> None:
        """Queue the write and the read on the current stream."""
        import torch

        self._buffer.zero_()
        torch.sum(self._buffer, dim=0, out=self._sum)
