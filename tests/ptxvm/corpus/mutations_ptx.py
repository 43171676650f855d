"""Kernels of the corpus with an instruction of their PTX taken out: what a compiler places and no source line shows."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class PtxMutation:
    """An instruction that is taken out, and what must be said of it.

    case      the kernel, as in `case.names()`
    pattern   of the statement, a line of the PTX
    number    which of those that match, from 0; -1: all
    kind, at, object, who    of the finding, as in `mutations.Mutation`
    fuzz      whether some shuffled schedule must give wrong numbers, where the normal one gives right ones
    """

    case: str
    pattern: str
    number: int
    kind: str
    at: str
    object: str = ""
    who: str = ""
    fuzz: bool = False

    @property
    def id(self) -> str:
        return f"{self.case}-{self.kind}-{self.number}".replace(" ", "_")

    def edit(self, text: str) -> str:
        """The text without the statement. Line numbers of the rest stay."""
        found = list(re.finditer(rf"^\s*{self.pattern}[^;\n]*;", text, re.M))
        assert found, f"no `{self.pattern}` in the PTX of {self.case}"
        for m in reversed(found if self.number < 0 else [found[self.number]]):
            text = f"{text[: m.start()]}{' ' * (m.end() - m.start())}{text[m.end() :]}"
        return text


MUTATIONS_PTX = [
    PtxMutation("triton_scans:transpose", "bar.sync", 0, "race", "", "global_smem, byte", fuzz=True),
    PtxMutation("triton_rows:layer_norm", "bar.sync", 0, "race", "tl.sum(x)", "global_smem, byte", fuzz=True),
    PtxMutation("triton_scans:argmax", "bar.sync", 0, "race", "tl.argmax(x, axis=0)", "global_smem, byte", fuzz=True),
    PtxMutation("triton_dots:batched_f16", "bar.sync", 0, "race", "", "global_smem, byte", fuzz=True),
    PtxMutation("triton_dots:persistent_with_async_copies", "cp.async.wait_group", -1, "missing wait",
                "total = tl.dot(", "global_smem, byte"),
    PtxMutation("triton_dots:persistent_with_async_copies", "bar.sync", -1, "race", "total = tl.dot(",
                "global_smem, byte"),
    PtxMutation("triton_dots:convolution_by_products", "st.shared", 0, "uninitialised read", "pixels = tl.load(",
                "global_smem, byte"),
    PtxMutation("triton_scans:scans_of_blocks", "st.shared|@%p\\d+ st.shared", 0, "uninitialised read", "tl.cumsum",
                "global_smem, byte"),
]  # fmt: skip
