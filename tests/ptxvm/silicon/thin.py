"""Makes a small file of readings from a full one.

    python -m tests.gpu.silicon_values FULL.npz          on a card
    python -m tests.ptxvm.silicon.thin FULL.npz OUT.npz

It keeps the first 12 operands, which are special, every fourth, and those with the greatest differences to what ptxvm
gives; of matrix instructions every 24th warp. `places` tells which operands.
"""

from __future__ import annotations

import sys

import numpy as np

from tests.gpu.silicon_values import BINARY, MATRIX, UNARY
from tests.ptxvm.silicon.emulated import distance, emulated

WARP_STEP = 24


def main() -> int:
    """Thin the file named first into the one named second."""
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    full = np.load(sys.argv[1])
    operands = next(iter(full.values())).size
    places = set(range(12)) | set(range(0, operands, 4))
    for name in (*UNARY, *BINARY):
        ours = emulated(name)
        steps, value = distance(full[name], ours), ours.view(np.float32)
        with np.errstate(invalid="ignore"):
            size = np.nan_to_num(np.abs(full[name].view(np.float32).astype(np.float64) - value))
        for difference in (steps, np.where(np.abs(value) >= 1, steps, 0), size):
            places |= set(np.argsort(difference, kind="stable")[-4:].tolist())
    kept = {"places": np.array(sorted(places), np.uint16)}
    kept |= {name: full[name][kept["places"]] for name in (*UNARY, *BINARY)}
    kept |= {name: full[name][::WARP_STEP] for name in MATRIX}
    np.savez_compressed(sys.argv[2], **kept)  # type: ignore[arg-type]
    return 0


if __name__ == "__main__":
    sys.exit(main())
