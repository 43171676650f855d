"""What several folders of tests share."""

from __future__ import annotations

import os
import signal

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # pytest's workers share the cores: no threads of torch beside them

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A script's background job: the processes that tests start would ignore Ctrl-C too.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def emulated():
    """ptxvm for an RTX 3090, all three DSLs hooked: what `warpbench check` runs on. One architecture a process."""
    from warpbench.targets import Emulated

    return Emulated("sm_86")
