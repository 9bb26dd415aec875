"""How long threads of a training wait for each other before they sleep."""

from __future__ import annotations

import os

_SPINS = '20000'


def let_threads_wait_briefly() -> None:
    """Let OpenMP threads spin for some 0.1 ms before they sleep; call it before torch is imported.

    A step waits for its threads a thousand times. Where they sleep at once (OMP_WAIT_POLICY
    passive), waking them takes a quarter of the time: 70 ms a frame of 512 px instead of 52, on
    two cores with one loader. Where they spin for long, they take the core from the loader. What
    the user has set is kept.
    """
    if 'OMP_WAIT_POLICY' in os.environ:
        return
    os.environ.setdefault('GOMP_SPINCOUNT', _SPINS)
