"""Environment of every process on the graph: transport profile, malloc and thread settings.

With its defaults Fast DDS loses most large frames between processes, glibc maps fresh pages for
each frame, and every process keeps a BLAS thread a core that mostly waits. All three are settings
of the environment that must stand before a process starts; one that lacks them starts itself
anew, once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

PROFILE = Path(__file__).parent / 'data' / 'fastdds.xml'

MALLOC = {'MALLOC_MMAP_THRESHOLD_': '268435456', 'MALLOC_TRIM_THRESHOLD_': '536870912'}
"""Keep freed frame buffers in the process, see mallopt(3): 4 times less CPU for large frames."""

THREADS = {'OPENBLAS_NUM_THREADS': '1'}
"""Small matrix products gain nothing from a second thread, and wait long for it on a busy core."""

_OLD_DISTRIBUTIONS = {'', 'humble', 'iron', 'jazzy'}
_OLD_NAME, _NEW_NAME = 'FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE'
_RESTARTED = 'SYNTHEX_TRANSPORT_READY'


def profile_variable(environment: Mapping[str, str]) -> str:
    """Return the variable this ROS distribution reads a profile from (unset means Jazzy)."""
    return _OLD_NAME if environment.get('ROS_DISTRO', '') in _OLD_DISTRIBUTIONS else _NEW_NAME


def user_profile(environment: Mapping[str, str]) -> str | None:
    """Return the path of a transport profile the user has set, or None."""
    for name in (_OLD_NAME, _NEW_NAME):
        path = environment.get(name)
        if path and Path(path) != PROFILE:
            return path
    return None


def missing_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables to add to `environment`; what the user has set is left alone."""
    wanted = {**MALLOC, **THREADS}
    if user_profile(environment) is None:
        wanted[profile_variable(environment)] = str(PROFILE)
    return {name: value for name, value in wanted.items() if not environment.get(name)}


def with_transport(environment: Mapping[str, str]) -> dict[str, str]:
    """Return `environment` with the transport settings, for a child process."""
    return {**environment, **missing_settings(environment), _RESTARTED: '1'}


def ensure_transport() -> None:
    """Start this process anew with the transport settings if it lacks them; same arguments."""
    if os.environ.get(_RESTARTED) or not missing_settings(os.environ):
        return
    environment = with_transport(os.environ)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)


def description(environment: Mapping[str, str]) -> str:
    """Return one line for the log: which transport profile is in use."""
    own = user_profile(environment)
    if own is not None:
        return f'transport profile of the user is kept: {own}'
    middleware = environment.get('RMW_IMPLEMENTATION', 'rmw_fastrtps_cpp')
    if not middleware.startswith('rmw_fastrtps'):
        return f'{middleware}: no transport profile needed by this package is shipped for it'
    return f'transport profile {PROFILE.name} (32 MiB shared memory)'
