"""What the controller subscribes to: frames joined by stamp, joints, and goals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
from geometry_msgs.msg import PoseStamped, PoseWithCovarianceStamped, TwistStamped
from nav_msgs.msg import Path
from numpy.typing import NDArray
from sensor_msgs.msg import PointCloud2

from control_node.magnetic import back_distance_m, end_of_line, line_of, lumen_path
from control_node.params import ControlParams
from control_node.settings import steered_landmarks, teleop_goal
from synthex_ros.control.frame import TrackedFrame
from synthex_ros.control.magnetic.lumen_path import LumenPath
from synthex_ros.control.reference import (
    GoalSchedule,
    SpeedPath,
    TargetGoal,
    TeleopGoal,
    TimedPath,
)
from synthex_ros.geometry import View
from synthex_ros.ros import messages

PARTS = ('landmarks', 'measured_cp', 'camera_info', 'pose')


def frame_parts(params: ControlParams) -> tuple[str, ...]:
    """Return what a frame consists of for the controller of the parameters."""
    return (*PARTS, 'centerline') if back_distance_m(params) > 0 else PARTS


def reason_not_to_wait(message: PointCloud2, params: ControlParams) -> str:
    """Return why a frame is held without waiting for its other parts, '' if it is not.

    Raises:
        ValueError: a message that is no list of landmarks, or has no tip.
    """
    score = _tip(message, params)[1]
    if not score > 0:
        return 'lost'
    return 'low_score' if score < params.min_score else ''


def _tip(message: PointCloud2, params: ControlParams) -> tuple[NDArray[np.float64], float]:
    """Return (u, v) [px] of the point that is steered, shape (2,), and its score.

    It is one landmark, or the middle of all of a device without tether.
    """
    rows = messages.from_landmarks(message)
    for landmark in steered_landmarks(params):
        if np.sum(rows['id'] == landmark) != 1:
            raise ValueError(
                f'landmarks must have id {landmark} (the tip) once, got ids {rows["id"].tolist()}'
            )
    tips = rows[np.isin(rows['id'], steered_landmarks(params))]
    return np.array([tips['u'].mean(), tips['v'].mean()], float), float(tips['score'].min())


def tracked_frame(
    stamp_ns: int, parts: dict, source_to_detector_m: float, params: ControlParams
) -> TrackedFrame:
    """Return the tracker's findings of complete parts.

    Raises:
        ValueError: a message that contradicts itself.
    """
    pixel, score = _tip(parts['landmarks'], params)
    pose: PoseStamped = parts['pose']
    measured: PoseWithCovarianceStamped = parts['measured_cp']
    for name, message in (('carm/pose', pose), ('tracker/measured_cp', measured)):
        check_frame(message.header.frame_id, params.world_frame, name)
    geometry = messages.geometry_from_camera_info(parts['camera_info'], source_to_detector_m)
    tip, covariance = messages.from_pose_with_covariance(measured)
    shape, line = None, None
    if 'centerline' in parts:
        whole = messages.from_path(parts['centerline'])[0]
        shape, line = end_of_line(whole, back_distance_m(params)), line_of(whole, params)
    return TrackedFrame(
        stamp_ns,
        view=View(geometry, messages.pose_matrix(pose.pose)),
        tip_px=pixel,
        score=score,
        tip_world_m=tip[:3, 3],
        covariance_m2=covariance,
        shape_world_m=shape,
        line_world_m=line,
    )


def check_frame(frame_id: str, world_frame: str, name: str) -> None:
    """Raise ValueError where a message is not in the world frame."""
    if frame_id not in ('', world_frame):
        raise ValueError(f'{name} must be in frame {world_frame!r}, got {frame_id!r}')


class GoalInput:
    """Turns goal messages into goals; refuses and counts those that make no sense.

    Args:
        params: frames, speeds and time-outs.
        schedule: where goals go; asked for anew with each message.
        refuse: called with a sentence for each refused message.
    """

    def __init__(
        self,
        params: ControlParams,
        schedule: Callable[[], GoalSchedule],
        refuse: Callable[[str], None],
    ) -> None:
        self._params, self._schedule, self._refuse = params, schedule, refuse
        self.refused: Counter[str] = Counter()

    def target(self, message: PoseStamped) -> None:
        """Take a target; stamp 0 means now."""
        try:
            check_frame(message.header.frame_id, self._params.world_frame, 'control/target')
            point = message.pose.position
            goal = TargetGoal([point.x, point.y, point.z])
        except ValueError as error:
            self._reject('target', error)
            return
        self._schedule().add(goal, messages.stamp_ns(message.header.stamp))

    def path(self, message: Path) -> None:
        """Take a path, with times where its poses have different stamps."""
        params = self._params
        try:
            check_frame(message.header.frame_id, params.world_frame, 'control/path')
            points, stamps = messages.from_path(message)
            goal: TimedPath | SpeedPath | LumenPath
            if len(stamps) > 1 and np.any(stamps != stamps[0]):
                goal = TimedPath(stamps, points, params.path_jump_speed_m_s)
            elif back_distance_m(params) > 0:
                goal = lumen_path(points, params)
            else:
                goal = SpeedPath(points, params.path_speed_m_s, params.path_start_tolerance_m)
        except ValueError as error:
            self._reject('path', error)
            return
        self._schedule().add(goal, messages.stamp_ns(message.header.stamp))

    def teleop(self, message: TwistStamped, now_ns: int) -> None:
        """Take a velocity of the reference; it must be stamped and fresh at `now_ns` [ns]."""
        try:
            check_frame(message.header.frame_id, self._params.world_frame, 'control/teleop')
            stamp_ns = messages.stamp_ns(message.header.stamp)
            age_s = (now_ns - stamp_ns) * 1e-9
            if stamp_ns == 0 or not -0.05 <= age_s <= self._params.teleop_timeout_s:
                raise ValueError(
                    f'control/teleop must be stamped within {self._params.teleop_timeout_s:g} s, '
                    f'got stamp {stamp_ns * 1e-9:.3f} s at {now_ns * 1e-9:.3f} s'
                )
            linear = message.twist.linear
            schedule = self._schedule()
            goal = schedule.active
            fresh = isinstance(goal, TeleopGoal)
            if not isinstance(goal, TeleopGoal):
                goal = teleop_goal(self._params)
            goal.move([linear.x, linear.y, linear.z], stamp_ns)
        except ValueError as error:
            self._reject('teleop', error)
            return
        if not fresh:
            schedule.add(goal, 0)

    def _reject(self, kind: str, error: ValueError) -> None:
        self.refused[kind] += 1
        self._refuse(f'{kind} refused: {error}')
