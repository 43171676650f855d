"""Repeat recorded launches on ptxvm, from their PTX and packed arguments alone, and count what a profiler counts.

The counts are of PTX instructions by what they do, so that loads stand beside loads:

    global_{load,store,atom,red,async}_{requests,sectors}    async: cp.async, which a card counts as LDGSTS
    shared_{load,store,atom,red,async,ldmatrix,stmatrix}_{requests,wavefronts}
    shared_wavefronts_ideal             of all of them
    local_{load,store}_requests
    instructions, barriers, shuffles    of warps
    fused_multiply_adds                 of threads, in single precision
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from unittest import mock

import numpy as np

import ptxvm
import ptxvm.device
from ptxvm.access import Access
from ptxvm.counters import Counting
from tests.calibration.merged import merged

KINDS = {"ld": "load", "st": "store", "atom": "atom", "red": "red", "cp": "async", "ldmatrix": "ldmatrix",
         "stmatrix": "stmatrix"}  # fmt: skip


class _Kept(Counting):
    """Counters that can be read instruction by instruction after the launch."""

    last: _Kept

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.low_bits: dict[int, int] = {}  # line of a load from shared memory -> its addresses, or-ed together
        _Kept.last = self

    def access(self, a: Access) -> None:
        super().access(a)
        if a.space == "shared" and a.kind == "load":
            active = True if a.mask is None else np.broadcast_to(a.mask, a.group.shape)
            address = np.bitwise_or.reduce(np.broadcast_to(a.address, a.group.shape), axis=None, where=active)
            line = a.site.ins.ptx_line
            self.low_bits[line] = self.low_bits.get(line, 0) | int(address)


def replay_merged(
    case: Mapping[str, Any], arguments: Mapping[str, Any], texts: Mapping[str, str], arch: str
) -> Iterator[dict[str, int] | str]:
    """The same as `replay`, of PTX in which loads from shared memory are merged as `merged.py` says."""
    low_bits: dict[str, dict[int, int]] = {}
    for launch, _ in zip(case["launches"], replay(case, arguments, texts, arch), strict=True):
        low_bits.setdefault(launch["ptx"], {}).update(_Kept.last.low_bits)
    changed = {name: merged(texts[name], seen) for name, seen in low_bits.items()}
    return replay(case, arguments, {**texts, **changed}, arch)


def replay(
    case: Mapping[str, Any], arguments: Mapping[str, Any], texts: Mapping[str, str], arch: str
) -> Iterator[dict[str, int] | str]:
    """The counts of each launch of a case, one after another; a string where ptxvm does not execute the kernel.

    case         "storages" and "launches" as `recording.Recorder` writes them; the PTX may be another machine's
    arguments    the case's tensors by name, on the CPU; they stay as they are. Storages without a name begin with zeros
    texts        PTX by the name that a launch gives
    """
    device = ptxvm.Device(arch, memory_bytes=1 << 28)
    pointers = [_bound(device, storage, arguments) for storage in case["storages"]]
    for launch in case["launches"]:
        module = ptxvm.Module.from_ptx(texts[launch["ptx"]])
        entry = launch["entry"] if launch["entry"] in module.entries else only(module.entries)
        refused = module.unsupported(entry)
        if refused:
            yield str(refused[0])
            return  # what follows would read what this launch had to write
        kernel = module.kernel(entry)
        args = _fitted([_argument(device, arg, pointers) for arg in launch["args"]], len(kernel.params))
        with mock.patch.object(ptxvm.device, "Counting", _Kept):
            report = device.launch(
                kernel, launch["grid"], launch["block"], args, cooperative=launch["cooperative"],
                dynamic_shared_bytes=launch["dynamic_shared_bytes"], checks=ptxvm.Checks(races="off"),
            )  # fmt: skip
        yield {**_by_kind(_Kept.last), "instructions": report.counters.instructions}


def only(entries: Sequence[str]) -> str:
    """The one entry of a module. Raises ValueError for a module with several: its launch must say which."""
    (entry,) = entries
    return entry


def _bound(device: ptxvm.Device, storage: Mapping[str, Any], arguments: Mapping[str, Any]) -> ptxvm.Pointer:
    """A storage in the device's memory, with the bytes of the tensor that it is named after."""
    import torch

    content = np.zeros(storage["bytes"], np.uint8)
    if storage["name"]:
        raw = arguments[storage["name"]].untyped_storage()
        if raw.nbytes() != storage["bytes"]:
            raise ValueError(f"{storage['name']} has {raw.nbytes()} bytes, at the reading it had {storage['bytes']}")
        content[:] = torch.empty(0, dtype=torch.uint8).set_(raw).numpy()
    return device.bind(content, name=storage["name"])


def _argument(device: ptxvm.Device, arg: Mapping[str, Any], pointers: Sequence[ptxvm.Pointer]) -> Any:
    if "bytes" in arg:
        return bytes.fromhex(arg["bytes"])
    return device.alias(pointers[arg["storage"]], arg["offset"])


def _fitted(args: list[Any], parameters: int) -> list[Any]:
    """As many as the kernel takes: versions of Triton differ in the empty scratch pointers at the end."""
    return [*args, *[bytes(8)] * (parameters - len(args))][:parameters]


def _by_kind(counting: Counting) -> dict[str, int]:
    """The counts of a launch, by what the instruction does."""
    counts: Counter[str] = Counter()
    for index, c in counting.at.items():
        parts = counting.sites[index].ins.parts
        kind = KINDS.get(parts[0])
        if kind is not None:
            counts[f"global_{kind}_requests"] += c.global_load_requests + c.global_store_requests
            counts[f"global_{kind}_sectors"] += c.global_load_sectors + c.global_store_sectors
            counts[f"shared_{kind}_requests"] += c.shared_requests
            counts[f"shared_{kind}_wavefronts"] += c.shared_wavefronts
            counts[f"local_{kind}_requests"] += c.local_requests
        counts["shared_wavefronts_ideal"] += c.shared_wavefronts_ideal
        counts["barriers"] += c.barriers
    for holding, warps, threads in zip(counting.blocks, counting.warps, counting.threads, strict=True):
        for opcode, times in holding.opcodes.items():
            parts = opcode.split(".")
            if parts[0] == "shfl":
                counts["shuffles"] += times * warps
            elif parts[0] == "fma" and parts[-1] == "f32":
                counts["fused_multiply_adds"] += times * threads
    return {name: n for name, n in sorted(counts.items()) if n}
