"""What a script that was written for a card finds without one: its libraries say that a card is here.

"cuda" is the CPU's memory, streams do nothing, since each launch is complete when it returns, and whoever asks how
long something took is answered with NaN, and told why, once. One module a library (`pretend_torch`, ...); each is
applied when the script imports the library, after the hook of this folder that takes over its launches.
"""

from __future__ import annotations

import contextlib
import functools
import math
import os
import sys
from collections.abc import Iterator
from importlib import import_module
from typing import TYPE_CHECKING, Any

from warpbench.backends import hooks

if TYPE_CHECKING:
    from warpbench.backends.emulated import Emulator

# module whose import is waited for -> the module here that makes it say that a card is there
LIBRARIES = {
    "torch": "pretend_torch",
    "triton": "pretend_triton",
    "numba.cuda": "pretend_numba",
    "cupy": "pretend_cupy",
    "cupyx": "pretend_cupyx",
}
FORKED = "the script forks: what its other processes launch is executed, and is not in the report."
SPAWNED = (
    "the script starts processes that are a new Python each: no card is pretended in them. Let it fork them: "
    'multiprocessing.set_start_method("fork").'
)
AUTOTUNED_BLOCKS = 4  # of a launch that is made to rank a configuration


def install(emulator: Emulator) -> None:
    """Hook every DSL, and make every library say that the emulator's card is there. Once a process."""
    emulator.install()
    card = Card(emulator)
    for name, module in LIBRARIES.items():
        hooks.when_imported(name, functools.partial(_apply, module, card))
    os.register_at_fork(after_in_parent=functools.partial(card.tell, "fork", FORKED))
    hooks.when_imported("multiprocessing.util", functools.partial(_tell_of_spawned, card))


def _tell_of_spawned(card: Card) -> None:
    """Processes that multiprocessing does not fork begin as a new Python, in which nothing of this is installed."""
    util: Any = import_module("multiprocessing.util")
    spawn = util.spawnv_passfds

    def told(*args: Any) -> Any:
        if b"resource_tracker" not in b"".join(map(os.fsencode, args[1])):  # a helper of multiprocessing's own
            card.tell("spawn", SPAWNED)
        return spawn(*args)

    util.spawnv_passfds = told


def _apply(module: str, card: Card) -> None:
    import_module(f"warpbench.backends.{module}").install(card)


class Card:
    """The card that is pretended, as the libraries ask about it."""

    def __init__(self, emulator: Emulator) -> None:
        card, limits = emulator.card, emulator.card.limits if emulator.card else None
        self.emulator = emulator
        self.name = card.name if card else f"ptxvm {emulator.arch}"
        self.capability = emulator.capability
        self.memory_bytes = int((card.memory_gb or 8) * 1e9) if card else 8 << 30
        self.sms = card.sm_count if card else 1
        self.l2_bytes = (card.l2_bytes or 0) if card else 0
        self.clock_khz = int((card.boost_clock_mhz or 0) * 1000) if card else 0
        self.bus_bits = (card.memory_bus_bits or 0) if card else 0
        self.threads_per_sm = limits.threads_per_sm if limits else 2048
        self.threads_per_block = limits.threads_per_block if limits else 1024
        self.blocks_per_sm = limits.blocks_per_sm if limits else 16
        self.shared_per_block = limits.shared_per_block_bytes if limits else 48 << 10
        self.shared_per_block_optin = emulator.shared_bytes
        self.shared_per_sm = limits.shared_per_sm_bytes if limits else 64 << 10
        self.registers_per_sm = limits.registers_per_sm if limits else 65536
        self.registers_per_block = limits.registers_per_block if limits else 65536
        self._told: set[str] = set()

    def tell(self, key: str, text: str) -> None:
        """Say something on stderr, once."""
        if key not in self._told:
            self._told.add(key)
            sys.stdout.flush()  # in the order in which it came
            print(f"warpbench: {text}", file=sys.stderr, flush=True)

    def nan(self, what: str) -> float:
        """NaN, for whoever asks how long something took."""
        self.tell(
            "time",
            f"{what}: nothing is timed without a card, so every time is NaN. What the script reads from the host's "
            "clock is the time of the emulation.",
        )
        return math.nan


def nothing(*args: Any, **options: Any) -> None:
    """In place of whatever has nothing to do here."""


@contextlib.contextmanager
def scope(*args: Any, **options: Any) -> Iterator[Any]:
    """In place of a context manager that chooses a device or a stream."""
    yield args[0] if args else None
