"""Keeping freed memory for the next batch on the CPU.

By default glibc gives every large block back to the system when it is freed and clears its pages anew when it is taken
again. With activations of some megabytes, taken and freed hundreds of times a second, that adds half to the run time
(docs/engine.md).
"""

from __future__ import annotations

import ctypes
import sys
from functools import cache

TRIM_THRESHOLD = -1
MMAP_MAX = -4
LARGEST = 2**31 - 1


@cache
def keep_freed_memory() -> bool:
    """Tell glibc's allocator to keep freed blocks in the process; return whether it did. Elsewhere nothing happens.

    It changes where memory comes from, and no number.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(MMAP_MAX, 0) and mallopt(TRIM_THRESHOLD, LARGEST))
