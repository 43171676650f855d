"""What several folders of tests share."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def emulated():
    """ptxvm for an RTX 3090, all three DSLs hooked: what `warpbench check` runs on. One architecture a process."""
    from warpbench.targets import Emulated

    return Emulated("sm_86")
