"""Names of nodes that a graph of this machine holds on a ROS domain.

Discovery takes a time that nobody can bound; two graphs that are started at once, or on a busy
machine, would not see each other. Graphs therefore also claim their names where the answer is
there at once: as abstract Unix sockets, which belong to the network namespace, as DDS does, and
end with the process that holds them.
"""

from __future__ import annotations

import errno
import hashlib
import socket
import sys
from collections.abc import Iterable


class Claims:
    """Names held on ROS domains until they are released, or this process ends.

    On systems other than Linux, which have no abstract sockets, every claim is granted.
    """

    def __init__(self) -> None:
        self._held: list[socket.socket] = []

    def take(self, domain_id: int, names: Iterable[str]) -> list[str]:
        """Claim all of the names, or none of them.

        Args:
            domain_id: ROS domain.
            names: absolute names of nodes.

        Returns:
            Those that somebody holds, sorted; empty where all are claimed now.
        """
        mine = {name: _claim(domain_id, name) for name in sorted(set(names))}
        taken = [name for name, claim in mine.items() if claim is None]
        granted = [claim for claim in mine.values() if claim is not None]
        if taken:
            _close(granted)
        else:
            self._held.extend(granted)
        return taken

    def release(self) -> None:
        """Give all names back."""
        _close(self._held)
        self._held = []


def _claim(domain_id: int, name: str) -> socket.socket | None:
    """Return a socket that holds a name, or None where somebody else does."""
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    if not sys.platform.startswith('linux'):
        return claim
    # An address has 107 bytes, a name of ROS up to 255.
    short = hashlib.sha256(name.encode()).hexdigest()[:32]
    try:
        claim.bind(f'\0synthex_ros/{domain_id}/{short}')
    except OSError as error:
        claim.close()
        if error.errno == errno.EADDRINUSE:
            return None
        raise
    return claim


def _close(claims: Iterable[socket.socket]) -> None:
    for claim in claims:
        claim.close()
