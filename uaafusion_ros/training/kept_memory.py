"""Memory that one step of training frees stays with the process for the next.

glibc hands large blocks back to the system as soon as they are freed, and every step then pays for
the same gigabytes page by page: measured, a quarter to a third of its time on a CPU.
"""

from __future__ import annotations

import ctypes

# Parameters of glibc's mallopt.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4
_NEVER_TRIM, _PAD = -1, 2**29


def keep_freed_memory() -> bool:
    """Have this process keep what it frees; return whether its C library can."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # another C library, which has ways of its own
        return False
    settings = ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, _NEVER_TRIM), (_TOP_PAD, _PAD))
    return all(mallopt(name, value) == 1 for name, value in settings)
