"""The wall clock, read where traffic enters; everything below gets the time as an argument."""

import time


def wall_ms() -> int:
    """Return the time now, in Unix milliseconds."""
    return time.time_ns() // 1_000_000
