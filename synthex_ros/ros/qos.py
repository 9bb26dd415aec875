"""Quality of service by name: publishers are reliable, frames are read best-effort.

A reliable publisher serves both kinds of subscriber; a best-effort one would starve the reliable
subscribers silently. Depth 1 for control and lockstep: an old frame or command is worth nothing.
"""

from __future__ import annotations

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSPolicyKind, QoSProfile, ReliabilityPolicy


def _profile(depth: int, *, best_effort: bool = False, latched: bool = False) -> QoSProfile:
    reliability = ReliabilityPolicy.BEST_EFFORT if best_effort else ReliabilityPolicy.RELIABLE
    durability = DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=reliability,
        durability=durability,
    )


FRAME_PUBLISH = _profile(5)
"""Images, camera_info, poses, masks: the publisher's side."""

FRAME_SUBSCRIBE = _profile(1, best_effort=True)
"""Images and masks: the reader's side, newest frame only."""

FRAME_LOCKSTEP = _profile(1)
"""Both sides of a frame in lockstep, where time waits and nothing may be lost."""

FRAME_RECORD = _profile(30)
"""The recorder's side of every frame topic: reliable, deep enough for two seconds."""

CONTROL = _profile(1)
"""Commands."""

STATE = _profile(10)
"""Measured states, poses and small results."""

LATCHED = _profile(1, latched=True)
"""Names and static descriptions: late joiners get the newest one."""

GOALS = _profile(64, latched=True)
"""Targets and paths: a whole schedule may be sent before the controller starts."""

EVENTS = _profile(10)
"""Diagnostics and other events."""

CLOCK = _profile(1)
"""/clock."""


def frame_subscription(time_mode: str) -> QoSProfile:
    """Return how frames are read: best effort, but reliable in lockstep."""
    return FRAME_LOCKSTEP if time_mode == 'lockstep' else FRAME_SUBSCRIBE


def frame_publication(time_mode: str) -> QoSProfile:
    """Return how frames are published."""
    return FRAME_LOCKSTEP if time_mode == 'lockstep' else FRAME_PUBLISH


def policy_name(kind: int) -> str:
    """Return the readable name of the policy that an incompatible-QoS event reports."""
    try:
        return QoSPolicyKind(kind).name.lower()
    except ValueError:
        return f'policy {kind}'
