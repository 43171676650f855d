"""Everything arithmetic that generated code calls, under one name (`nm`): pure functions on arrays.

rounding    float32 and float64: modes, `.ftz`, `.sat`, min, max, fma, and `select`
exact       float64 fma and directed modes
approximate `.approx` and `.full` of float32
halves      float16, bfloat16, tf32, fp8, packed pairs
integers    division, carries, bit fields, byte permutes
sums        integers that are a part of the block plus a part of the thread
"""

import numpy as np

from ptxvm.approximate import *  # noqa: F403
from ptxvm.exact import *  # noqa: F403
from ptxvm.halves import *  # noqa: F403
from ptxvm.integers import *  # noqa: F403
from ptxvm.rounding import *  # noqa: F403
from ptxvm.sums import either, plus, whole  # noqa: F401

# A float64 register of a full batch has 128 KiB, the size from which glibc returns every freed block to the system,
# which makes arithmetic three times slower (measured). Freeing one larger block, never touched, raises that limit.
np.empty(16 << 20, np.uint8)
