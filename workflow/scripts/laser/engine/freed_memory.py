"""Freed memory kept for the next batch on the CPU.

By default glibc returns every large block to the system when it is freed, and the system clears its pages when they are
allocated again. If activations of several megabytes are allocated and freed hundreds of times a second, this adds half
to the run time (docs/engine.md).
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
    """Make glibc's allocator keep freed blocks in the process. Return True if it does; do nothing on other systems.

    This changes where memory comes from, but no result.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(MMAP_MAX, 0) and mallopt(TRIM_THRESHOLD, LARGEST))
