"""Launches on ptxvm with their arguments written down, so that they can be repeated without a DSL.

An argument is {"storage": number, "offset": bytes} for a pointer into a tensor, else {"bytes": hex} as it was packed. A
case's storages are named after its tensors; one that the rung made itself has no name and begins with zeros.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ptxvm.report import Finding
from warpbench.backends.emulated import Emulator, Launch, Tensor


class Recorder(Emulator):
    """The emulator, writing into the row of a case."""

    def __init__(self, arch: str, out: Path) -> None:
        super().__init__(arch)
        self.folder = out / "ptx"
        self.folder.mkdir(parents=True, exist_ok=True)
        self._row: dict[str, Any] = {}
        self._names: dict[int, str] = {}
        self._storages: dict[int, int] = {}
        self._alive: list[Any] = []  # so that no address is used twice in a case

    def begin(self, row: dict[str, Any], arguments: Mapping[str, Any]) -> None:
        """Write into this row from now on; `arguments` are the case's tensors and numbers."""
        self._row, self._storages, self._alive = row, {}, []
        row["storages"] = []
        tensors = {name: v for name, v in arguments.items() if hasattr(v, "untyped_storage")}
        self._names = {v.untyped_storage().data_ptr(): name for name, v in tensors.items()}

    def launch(
        self, launch: Launch, args: Sequence[Any], cooperative: bool = False, lints: Sequence[Finding] = ()
    ) -> Launch:
        """Write the launch down and run it."""
        name = f"{hashlib.sha256(launch.ptx.encode()).hexdigest()[:16]}.ptx"
        (self.folder / name).write_text(launch.ptx, encoding="utf-8")
        row: dict[str, Any] = {
            "kernel": launch.kernel, "entry": launch.entry, "ptx": name, "grid": launch.grid, "block": launch.block,
            "dynamic_shared_bytes": launch.dynamic_shared_bytes, "cooperative": cooperative,
            "args": [self._described(arg) for arg in args], "not_executed": None,
        }  # fmt: skip
        self._row["launches"].append(row)
        done = super().launch(launch, args, cooperative, lints)
        row["not_executed"] = done.not_executed
        return done

    def _described(self, arg: Any) -> dict[str, Any]:
        if not isinstance(arg, Tensor):
            return {"bytes": (arg if isinstance(arg, bytes) else arg.tobytes()).hex()}
        storage = arg.value.untyped_storage()
        self._alive.append(arg.value)
        key = storage.data_ptr()
        if key not in self._storages:
            self._storages[key] = len(self._storages)
            self._row["storages"].append({"name": self._names.get(key, ""), "bytes": storage.nbytes()})
        return {"storage": self._storages[key], "offset": arg.value.storage_offset() * arg.value.element_size()}
