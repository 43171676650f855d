"""Which card, what it can do, and its roofs.

    gpu("rtx3090")                 one card of the catalogue; gpus() is all of them
    missing(gpu, ("fp8", "tma"))   what a card lacks of a rung's needs; refusal(...) says it in a sentence
    detect()                       the cards plugged in, or why none can be used
    floor_seconds(gpu, ...)        the least time that any kernel needs on a card
    occupancy(gpu.cc, ...)         blocks and warps on one SM

Standard library only; the driver's own packages are imported when `detect` is called.
"""

from warpbench.hardware.cards import Gpu, Limits, Price, gpu, gpus, limits
from warpbench.hardware.consistency import check
from warpbench.hardware.detect import DetectedGpu, Detection, detect
from warpbench.hardware.features import (
    Claim,
    Feature,
    Group,
    Missing,
    Pretended,
    claims,
    features,
    groups,
    has,
    having,
    lookup,
    missing,
    older,
    pretend,
    refusal,
    sources,
)
from warpbench.hardware.occupancy import Occupancy, occupancy
from warpbench.hardware.peaks import Floor, floor, floor_seconds, peak_tflops
from warpbench.hardware.tables import CatalogueError, UnknownName

__all__ = [
    "CatalogueError",
    "Claim",
    "DetectedGpu",
    "Detection",
    "Feature",
    "Floor",
    "Gpu",
    "Group",
    "Limits",
    "Missing",
    "Occupancy",
    "Pretended",
    "Price",
    "UnknownName",
    "check",
    "claims",
    "detect",
    "features",
    "floor",
    "floor_seconds",
    "gpu",
    "gpus",
    "groups",
    "has",
    "having",
    "limits",
    "lookup",
    "missing",
    "occupancy",
    "older",
    "peak_tflops",
    "pretend",
    "refusal",
    "sources",
]
