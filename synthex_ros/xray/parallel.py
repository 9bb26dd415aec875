"""The lock of multi-threaded kernels."""

import threading

PARALLEL_LOCK = threading.RLock()
"""Held by multi-threaded kernels: one of numba's threading layers runs one at a time only."""
