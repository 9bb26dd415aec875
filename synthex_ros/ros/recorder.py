"""recorder_node: write the topics of a run into a bag, as serialized as they arrive."""

from __future__ import annotations

import importlib
import json
import platform
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

from synthex_ros.evaluation.bag_format import BagTopic, OfferedQos
from synthex_ros.evaluation.bag_writer import BagWriter
from synthex_ros.ros import parameters, topics
from synthex_ros.ros.managed_node import ManagedNode, run

INTERFACE = {
    topics.CLOCK: 'rosgraph_msgs/msg/Clock',
    topics.TARGET: 'geometry_msgs/msg/PoseStamped',
    topics.PATH: 'nav_msgs/msg/Path',
    topics.CLASS_NAMES: 'std_msgs/msg/String',
    topics.LANDMARK_NAMES: 'std_msgs/msg/String',
    topics.SCORE_GATE: 'std_msgs/msg/Float64',
    topics.MASK: 'sensor_msgs/msg/Image',
    topics.CENTERLINE: 'nav_msgs/msg/Path',
    topics.MEASURED_CP: 'geometry_msgs/msg/PoseWithCovarianceStamped',
    topics.LANDMARKS: 'sensor_msgs/msg/PointCloud2',
    topics.MEASURED_JS: 'sensor_msgs/msg/JointState',
    topics.SERVO_JP: 'sensor_msgs/msg/JointState',
    topics.SERVO_FIELD: 'sensor_msgs/msg/MagneticField',
    topics.SERVO_WRENCH: 'geometry_msgs/msg/WrenchStamped',
    topics.SERVO_POINT: 'geometry_msgs/msg/PointStamped',
    topics.MEASURED_FIELD: 'sensor_msgs/msg/MagneticField',
    topics.COIL_CURRENTS: 'sensor_msgs/msg/JointState',
    topics.TRUTH_TIP: 'geometry_msgs/msg/PoseStamped',
    topics.TRUTH_LANDMARKS: 'sensor_msgs/msg/PointCloud2',
    topics.TRUTH_CENTERLINE: 'nav_msgs/msg/Path',
    topics.TRUTH_MASK: 'sensor_msgs/msg/Image',
    topics.CARM_JOINT_STATES: 'sensor_msgs/msg/JointState',
    topics.CARM_POSE: 'geometry_msgs/msg/PoseStamped',
    topics.EXPOSURE: 'diagnostic_msgs/msg/DiagnosticArray',
    topics.CAMERA_INFO: 'sensor_msgs/msg/CameraInfo',
    topics.IMAGE_RAW: 'sensor_msgs/msg/Image',
}
"""Topics whose type is known beforehand: they are subscribed before their publisher exists, so
that the first message is not lost. The image is last: an imager that waits for the subscriber of
its images then has all of them."""

_LATCHED = {
    topics.TARGET,
    topics.PATH,
    topics.CLASS_NAMES,
    topics.LANDMARK_NAMES,
    topics.SCORE_GATE,
}
_DEPTH = 60
_CLOCK_BYTES = struct.Struct('<iI')
_CDR_HEADER_SIZE = 4
_PACKAGES = ('synthex_ros', 'ros-jazzy-rclpy', 'numpy', 'onnxruntime', 'mujoco', 'mcap')


@dataclass(frozen=True)
class RecorderParams:
    """Parameters of recorder_node."""

    output: str = parameters.text('out/bag', 'bag folder to make')
    if_exists: str = parameters.choice(
        'fail', ('fail', 'next'), 'an output that exists: an error, or output_2, output_3...'
    )
    topics: tuple[str, ...] = parameters.words(
        tuple(INTERFACE), 'topics to record, relative to the namespace or absolute'
    )
    record_diagnostics: bool = parameters.flag(
        False, 'record /diagnostics too; it holds wall-clock durations, never equal in two runs'
    )
    compression: str = parameters.choice('none', ('none', 'zstd'), 'compression of the chunks')
    flush_period_s: float = parameters.bounded(
        0.1, 0.01, 5.0, 'what a killed recorder loses at most [s]'
    )
    discovery_period_s: float = parameters.bounded(
        0.2, 0.05, 5.0, 'how often publishers and their quality of service are looked up [s]'
    )
    time_mode: str = parameters.choice(
        'real_time',
        ('real_time', 'paced', 'lockstep'),
        'log time: receive time in real_time, else the last /clock',
    )
    seed: int = parameters.bounded(0, 0, 2**31 - 1, 'seed of the run, for the report')
    task: str = parameters.text('', 'name of the task, for the report')
    limits: str = parameters.text('', 'limits of the task as a JSON object, for the report')
    config_sha256: str = parameters.text('', 'hash of the scenario, for the report')
    ct_sha256: str = parameters.text('', 'hash of the CT, for the report')
    model_sha256: str = parameters.text('', 'hash of the tracker model, for the report')
    git_revision: str = parameters.text('', 'revision of the source, for the report')
    versions: str = parameters.text('', 'versions as a JSON object; looked up when empty')


PARAMS = RecorderParams


class RecorderNode(ManagedNode):
    """Subscribe raw to every wanted topic and hand the bytes to a bag writer."""

    def __init__(self, **node_kwargs: Any) -> None:
        super().__init__('recorder_node', RecorderParams, **node_kwargs)
        self._bag: BagWriter | None = None
        self._recorded: dict[str, tuple[QoSProfile, Any]] = {}
        self._clock_ns = -1
        self._opened = False

    def configure(self) -> None:
        """Open the bag, so that a folder that exists is noticed before anything moves."""
        for text in (self.params.limits, self.params.versions):
            if text and not isinstance(json.loads(text), dict):
                raise ValueError(f'limits and versions must be JSON objects, got {text!r}')
        self._wanted = self._wanted_topics()
        self._open()

    def activate(self) -> None:
        """Subscribe to the topics of the interface and look for the others."""
        if self._bag is None:
            self._open()
        for name, type_name in self._wanted.items():
            if type_name:
                latched = any(name.endswith(f'/{topic}') for topic in _LATCHED)
                self._subscribe(name, type_name, _subscription_qos(True, latched))
        self.every(self.params.discovery_period_s, self._look_for_publishers)
        self.every(self.params.flush_period_s, self._flush)

    def deactivate(self) -> None:
        """Stop recording and close the bag."""
        for _, subscription in self._recorded.values():
            self.destroy_subscription(subscription)
        self._recorded.clear()
        self._close()

    def cleanup(self) -> None:
        """Close the bag if it is still open."""
        self._close()

    def _open(self) -> None:
        folder = Path(self.params.output).expanduser().absolute()
        if self._opened or self.params.if_exists == 'next':
            folder = _next_free(folder)
        self._opened = True
        self._bag = BagWriter(
            folder, self.params.compression, provenance(self.params), self.params.flush_period_s
        )
        self.get_logger().info(f'recording {len(self._wanted)} topics to {folder}')

    def _close(self) -> None:
        if self._bag is not None:
            self._bag.close()
            self.get_logger().info(
                f'closed {self._bag.folder}: {self._bag.message_count} messages'
            )
            self._bag = None

    def _wanted_topics(self) -> dict[str, str]:
        """Return the type by absolute topic name, '' where only a publisher can tell it."""
        names = list(self.params.topics)
        if self.params.record_diagnostics:
            names.append(topics.DIAGNOSTICS)
        return {self.resolve_topic_name(name): INTERFACE.get(name, '') for name in names}

    def _look_for_publishers(self) -> None:
        """Follow what publishers offer: subscribe late topics, adapt to their quality."""
        for name, type_name in self._wanted.items():
            offers = self.get_publishers_info_by_topic(name)
            if not offers:
                continue
            profile = _subscription_qos(
                all(o.qos_profile.reliability == ReliabilityPolicy.RELIABLE for o in offers),
                all(o.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL for o in offers),
            )
            self._subscribe(name, type_name or offers[0].topic_type, profile)

    def _subscribe(self, name: str, type_name: str, profile: QoSProfile) -> None:
        """Subscribe, or subscribe anew when the publishers ask for another quality."""
        known = self._recorded.get(name)
        if known is not None and _same(known[0], profile):
            return
        if known is not None:
            self.destroy_subscription(known[1])
        message_type = _message_class(type_name)
        offered = OfferedQos(
            'reliable' if profile.reliability == ReliabilityPolicy.RELIABLE else 'best_effort',
            _durability_name(profile),
        )
        if self._bag is not None:
            self._bag.add_topic(BagTopic(name, type_name, offered))
        subscription = self.create_subscription(
            message_type, name, self._receiver(name), profile, raw=True
        )
        self._recorded[name] = profile, subscription

    def _receiver(self, name: str) -> Callable[[bytes], None]:
        if name == topics.CLOCK:

            def receive(data: bytes) -> None:
                seconds, rest = _CLOCK_BYTES.unpack_from(data, _CDR_HEADER_SIZE)
                clock_ns = seconds * 1_000_000_000 + rest
                if clock_ns != self._clock_ns:  # a simulator that waits repeats its time
                    self._clock_ns = clock_ns
                    self._write(name, data)
        else:

            def receive(data: bytes) -> None:
                self._write(name, data)

        return receive

    def _write(self, name: str, data: bytes) -> None:
        if self._bag is None:
            return
        # No callback with message info: Jazzy's EventsExecutor raises SystemError on it.
        real = self.params.time_mode == 'real_time'
        log_ns = time.time_ns() if real else max(self._clock_ns, 0)
        try:
            self._bag.write(name, data, log_ns)
        except OSError as error:
            self.fail(f'cannot write {self._bag.folder}: {error}')

    def _flush(self) -> None:
        if self._bag is not None:
            try:
                self._bag.flush()
            except OSError as error:
                self.fail(f'cannot write {self._bag.folder}: {error}')


def provenance(params: RecorderParams) -> dict[str, str]:
    """Return what the report needs to know about the run, as text."""
    known = {
        key: str(getattr(params, key))
        for key in ('seed', 'time_mode', 'task', 'limits', 'git_revision')
    }
    hashes = {
        f'{key}_sha256': getattr(params, f'{key}_sha256') for key in ('config', 'ct', 'model')
    }
    return {**known, **hashes, 'versions': params.versions or json.dumps(installed_versions())}


def installed_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that shape a run."""
    found = {'python': platform.python_version(), 'platform': sys.platform}
    for name in _PACKAGES:
        try:
            found[name.removeprefix('ros-jazzy-')] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _next_free(folder: Path) -> Path:
    """Return `folder`, or the first of folder_2, folder_3... that does not exist."""
    candidate, number = folder, 1
    while candidate.exists():
        number += 1
        candidate = folder.with_name(f'{folder.name}_{number}')
    return candidate


def _subscription_qos(reliable: bool, latched: bool) -> QoSProfile:
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=_DEPTH,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )


def _durability_name(profile: QoSProfile) -> str:
    latched = profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
    return 'transient_local' if latched else 'volatile'


def _same(a: QoSProfile, b: QoSProfile) -> bool:
    return a.reliability == b.reliability and a.durability == b.durability


def _message_class(type_name: str) -> type:
    package, _, short = type_name.split('/')
    return getattr(importlib.import_module(f'{package}.msg'), short)


def main() -> int:
    """Run recorder_node."""
    return run(RecorderNode)


if __name__ == '__main__':
    sys.exit(main())
