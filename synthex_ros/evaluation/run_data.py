"""Everything a report needs from a bag, as arrays: one pass over the messages, no pixels kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthex_ros.calibration import geometry_from_camera_info
from synthex_ros.evaluation.bag_reader import BagReader, BagRecord
from synthex_ros.evaluation.errors import BagError
from synthex_ros.evaluation.goals import Goal, PathGoal, TargetGoal
from synthex_ros.evaluation.message_arrays import (
    image_array,
    landmark_array,
    path_array,
    pose_array,
    position,
    stamp_ns,
)
from synthex_ros.evaluation.metrics import NCC_GATE, Array, dice
from synthex_ros.geometry import ProjectionGeometry, View

IMAGE, INFO, POSE, EXPOSURE = 'carm/image_raw', 'carm/camera_info', 'carm/pose', 'carm/exposure'
MASK, LANDMARKS, SCORE_GATE = 'tracker/mask', 'tracker/landmarks', 'tracker/score_gate'
CENTERLINE, MEASURED = 'tracker/centerline', 'tracker/measured_cp'
COMMAND, FIELD_COMMAND = 'device/servo_jp', 'device/servo_field'
TARGET, PATH = 'control/target', 'control/path'
TRUTH_TIP, TRUTH_LANDMARKS = 'sim/ground_truth/tip', 'sim/ground_truth/landmarks'
TRUTH_MASK, TRUTH_CENTERLINE = 'sim/ground_truth/mask', 'sim/ground_truth/centerline'

_PENDING_MASKS = 256
_POINT_FIELD_DTYPES = {
    1: 'i1',
    2: 'u1',
    3: '<i2',
    4: '<u2',
    5: '<i4',
    6: '<u4',
    7: '<f4',
    8: '<f8',
}


@dataclass(frozen=True)
class Track:
    """A sequence of stamped values in stamp order.

    Attributes:
        stamps_ns: header stamps [ns], shape (N,), strictly increasing.
        log_ns: times of receipt by the recorder [ns], shape (N,).
        values: shape (N, ...), float64.
        frame: frame_id of the first message, '' when there is none.
    """

    stamps_ns: NDArray[np.int64]
    log_ns: NDArray[np.int64]
    values: Array
    frame: str = ''

    def __len__(self) -> int:
        return len(self.stamps_ns)

    def at(self, stamps_ns: NDArray[np.int64]) -> Array:
        """Return the values at exactly these stamps; NaN where there is none."""
        result = np.full((len(stamps_ns), *self.values.shape[1:]), np.nan)
        if len(self) and len(stamps_ns):
            place = np.clip(np.searchsorted(self.stamps_ns, stamps_ns), 0, len(self) - 1)
            hit = self.stamps_ns[place] == stamps_ns
            result[hit] = self.values[place[hit]]
        return result


@dataclass
class _Collector:
    """Stamps, log times and values of one topic while the bag is read."""

    stamps: list[int] = field(default_factory=list)
    logs: list[int] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)
    frame: str = ''

    def add(self, stamp_ns: int, log_ns: int, value: Any, frame: str = '') -> None:
        """Append one value."""
        self.frame = self.frame or frame
        self.stamps.append(stamp_ns)
        self.logs.append(log_ns)
        self.values.append(value)

    def track(self, shape: tuple[int, ...]) -> Track:
        """Return the track; of several values with one stamp the first counts."""
        stamps, first = np.unique(np.array(self.stamps, np.int64), return_index=True)
        values = np.array(self.values, float).reshape((len(self.values), *shape))
        return Track(stamps, np.array(self.logs, np.int64)[first], values[first], self.frame)


EXPOSURE_KEYS = (
    'frame_index',
    'tube_voltage_kv',
    'charge_mas',
    'pulse_length_s',
    'air_kerma_gy',
    'source_to_detector_m',
)


@dataclass(frozen=True)
class RunData:
    """A recorded run.

    Attributes:
        frames: exposures whose image was recorded; no values.
        exposures: columns as in `EXPOSURE_KEYS`, shape (N, 6).
        poses: world_from_source, shape (N, 4, 4) [m].
        landmarks: (u, v, score), shape (N, L, 3).
        truth_landmarks: (u, v, score), shape (N, L, 3).
        tip: measured tip [m], shape (N, 3).
        truth_tip: true tip [m], shape (N, 3).
        commands: answers to frames; no values.
        dice: overlap of tracker and truth masks, shape (N,).
        goals: targets and paths.
        camera_info: the first camera_info, or None.
        custom: run metadata of the recorder.
        score_gate: score above which the tracker's landmarks count as found.
    """

    frames: Track
    exposures: Track
    poses: Track
    landmarks: Track
    truth_landmarks: Track
    tip: Track
    truth_tip: Track
    commands: Track
    dice: Track
    goals: list[Goal]
    camera_info: Any | None
    custom: dict[str, str]
    score_gate: float = NCC_GATE

    def exposure(self, key: str) -> Array:
        """Return one column of the exposures, shape (N,)."""
        return self.exposures.values[:, EXPOSURE_KEYS.index(key)]

    def geometry(self) -> ProjectionGeometry | None:
        """Return the projection geometry, or None when camera_info or the distance is missing."""
        distances = self.exposure('source_to_detector_m')
        distances = distances[np.isfinite(distances)]
        if self.camera_info is None or distances.size == 0:
            return None
        return geometry_from_camera_info(self.camera_info, float(distances[0]))

    def view(self, stamp_ns: int) -> View | None:
        """Return the view of the last pose at or before `stamp_ns` (else the first), or None."""
        geometry = self.geometry()
        if geometry is None or len(self.poses) == 0:
            return None
        place = max(int(np.searchsorted(self.poses.stamps_ns, stamp_ns, side='right')) - 1, 0)
        return View(geometry, self.poses.values[place])


def load_run(bag: BagReader) -> RunData:
    """Read a bag.

    Raises:
        BagError: a message whose content contradicts its type, such as a mask of the wrong size.
    """
    loader = _Loader()
    names = {bag.find(name): name for name in loader.handlers}
    for record in bag.records(*loader.handlers):
        try:
            loader.handlers[names[record.topic]](record)
        except (ValueError, IndexError, KeyError) as error:
            raise BagError(f'{bag.path}, topic {record.topic}: {error}') from error
    return loader.finish(bag.custom)


class _Loader:
    """Takes the messages of a bag one by one."""

    def __init__(self) -> None:
        self.frames, self.exposures, self.poses = _Collector(), _Collector(), _Collector()
        self.landmarks, self.truth_landmarks = _Collector(), _Collector()
        self.tip, self.truth_tip, self.commands = _Collector(), _Collector(), _Collector()
        self.dice = _Collector()
        self.goals: dict[tuple, Goal] = {}
        self.camera_info: Any | None = None
        self.score_gate = NCC_GATE
        self._masks: dict[int, tuple[str, tuple[int, int], bytes]] = {}
        self.handlers = {
            IMAGE: self._image,
            INFO: self._info,
            POSE: self._pose,
            EXPOSURE: self._exposure,
            LANDMARKS: lambda record: self._landmarks(record, self.landmarks),
            SCORE_GATE: self._score_gate,
            TRUTH_LANDMARKS: lambda record: self._landmarks(record, self.truth_landmarks),
            MEASURED: self._measured,
            TRUTH_TIP: self._truth_tip,
            COMMAND: lambda record: self._stamped(record, self.commands, ()),
            FIELD_COMMAND: lambda record: self._stamped(record, self.commands, ()),
            TARGET: self._target,
            PATH: self._path,
            MASK: lambda record: self._mask(record, 'tracker'),
            TRUTH_MASK: lambda record: self._mask(record, 'truth'),
        }

    def finish(self, custom: dict[str, str]) -> RunData:
        """Return what was collected."""
        goals = sorted(self.goals.values(), key=lambda goal: goal.active_ns)
        return RunData(
            frames=self.frames.track((0,)),
            exposures=self.exposures.track((len(EXPOSURE_KEYS),)),
            poses=self.poses.track((4, 4)),
            landmarks=_landmark_track(self.landmarks),
            truth_landmarks=_landmark_track(self.truth_landmarks),
            tip=self.tip.track((3,)),
            truth_tip=self.truth_tip.track((3,)),
            commands=self.commands.track((0,)),
            dice=self.dice.track(()),
            goals=goals,
            camera_info=self.camera_info,
            custom=custom,
            score_gate=self.score_gate,
        )

    def _stamped(self, record: BagRecord, into: _Collector, value: Any) -> None:
        header = record.message.header
        into.add(stamp_ns(header), record.log_time_ns, value, header.frame_id)

    def _image(self, record: BagRecord) -> None:
        self._stamped(record, self.frames, ())

    def _info(self, record: BagRecord) -> None:
        self.camera_info = self.camera_info or record.message

    def _score_gate(self, record: BagRecord) -> None:
        self.score_gate = float(record.message.data)

    def _pose(self, record: BagRecord) -> None:
        self._stamped(record, self.poses, pose_array(record.message.pose))

    def _exposure(self, record: BagRecord) -> None:
        pairs = record.message.status[0].values if record.message.status else []
        known = {pair.key: float(pair.value) for pair in pairs if pair.key in EXPOSURE_KEYS}
        self._stamped(record, self.exposures, [known.get(key, np.nan) for key in EXPOSURE_KEYS])

    def _landmarks(self, record: BagRecord, into: _Collector) -> None:
        self._stamped(record, into, landmark_array(record.message))

    def _measured(self, record: BagRecord) -> None:
        self._stamped(record, self.tip, position(record.message.pose.pose.position))

    def _truth_tip(self, record: BagRecord) -> None:
        self._stamped(record, self.truth_tip, position(record.message.pose.position))

    def _target(self, record: BagRecord) -> None:
        message = record.message
        active = stamp_ns(message.header) or record.log_time_ns
        point = np.array(position(message.pose.position), float)
        goal = TargetGoal(active, point, message.header.frame_id)
        self.goals[('target', stamp_ns(message.header), tuple(point))] = goal

    def _path(self, record: BagRecord) -> None:
        message = record.message
        points = path_array(message)
        if len(points) == 0:
            return
        stamps = np.array([stamp_ns(pose.header) for pose in message.poses], np.int64)
        timed = bool(np.all(stamps > 0) and np.all(np.diff(stamps) > 0))
        active = stamp_ns(message.header) or record.log_time_ns
        goal = PathGoal(active, stamps if timed else None, points, message.header.frame_id)
        self.goals[('path', stamp_ns(message.header), points.tobytes())] = goal

    def _mask(self, record: BagRecord, source: str) -> None:
        """Pair the two masks of a stamp; a mask that waits is kept as one bit a pixel."""
        stamp = stamp_ns(record.message.header)
        mask = image_array(record.message) > 0
        other = self._masks.pop(stamp, None)
        if other is None or other[0] == source:
            self._masks[stamp] = source, mask.shape, np.packbits(mask).tobytes()
            while len(self._masks) > _PENDING_MASKS:
                del self._masks[next(iter(self._masks))]
            return
        bits = np.unpackbits(np.frombuffer(other[2], np.uint8), count=int(np.prod(other[1])))
        self.dice.add(stamp, record.log_time_ns, dice(mask, bits.reshape(other[1])))


def _landmark_track(collector: _Collector) -> Track:
    """Pad every frame's landmarks to the same number."""
    count = max((len(table) for table in collector.values), default=0)
    padded = [
        np.concatenate([table, np.full((count - len(table), 3), np.nan)])
        for table in collector.values
    ]
    return _Collector(collector.stamps, collector.logs, padded, collector.frame).track((count, 3))
