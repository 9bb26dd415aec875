"""End a node with the process that supervises it, so that nothing is left behind."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

SUPERVISOR = 'SYNTHEX_SUPERVISOR_PID'
"""Environment variable that carries the process id of the supervisor."""

_PR_SET_PDEATHSIG = 1  # prctl(2)


def follow_supervisor() -> None:
    """Ask the kernel for SIGTERM when the supervisor ends; return at once without one.

    The signal comes when the thread that started this process ends (prctl(2)), so a supervisor
    starts its nodes from a thread that lives as long as they do.
    """
    supervisor = os.environ.get(SUPERVISOR, '')
    if not supervisor.isdigit() or not sys.platform.startswith('linux'):
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != int(supervisor):
        raise SystemExit(f'supervisor {supervisor} has ended before this node started')
