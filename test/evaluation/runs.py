"""A small recorded run with known errors: device at rest at the isocentre, one target."""

import json
from pathlib import Path

import numpy as np

from synthex_ros.evaluation.bag_format import BagTopic
from synthex_ros.evaluation.bag_writer import BagWriter
from synthex_ros.geometry import CArm

from .bags import TYPES, header, serialize

SIZE = 64
VIEW = CArm(detector_px=1536, binning=24).view()
PITCH_M = 0.582e-3
TIP_M = np.array([0.0, 0.0, 0.0])
LATENCY_NS = 40_000_000
FRAME_NS = 100_000_000


def pose(xyz, quaternion=(1.0, 0.0, 0.0, 0.0)):
    w, x, y, z = map(float, quaternion)
    point = TYPES['geometry_msgs/msg/Point'](*map(float, xyz))
    return TYPES['geometry_msgs/msg/Pose'](
        point, TYPES['geometry_msgs/msg/Quaternion'](x=x, y=y, z=z, w=w)
    )


def pose_stamped(stamp_ns, xyz, quaternion=(1.0, 0.0, 0.0, 0.0), frame='world'):
    return TYPES['geometry_msgs/msg/PoseStamped'](header(stamp_ns, frame), pose(xyz, quaternion))


def image(stamp_ns, pixels, encoding):
    return TYPES['sensor_msgs/msg/Image'](
        header(stamp_ns, 'carm_source_optical'), *pixels.shape, encoding, 0,
        pixels.strides[0], np.frombuffer(pixels.tobytes(), np.uint8),
    )  # fmt: skip


def landmarks(stamp_ns, points, score):
    field = TYPES['sensor_msgs/msg/PointField']
    fields = [
        field(n, 4 * i, 6 if n == 'id' else 7, 1) for i, n in enumerate(['u', 'v', 'score', 'id'])
    ]
    rows = np.zeros(len(points), [('u', '<f4'), ('v', '<f4'), ('score', '<f4'), ('id', '<u4')])
    rows['u'], rows['v'] = np.asarray(points).T
    rows['score'], rows['id'] = score, np.arange(len(points))
    return TYPES['sensor_msgs/msg/PointCloud2'](
        header(stamp_ns), 1, len(points), fields, False, 16, 16 * len(points),
        np.frombuffer(rows.tobytes(), np.uint8), True,
    )  # fmt: skip


def camera_info(stamp_ns):
    """Describe a detector with twice the pixels, read with a binning of two."""
    k = VIEW.geometry.intrinsics()
    k[0, 0] = k[1, 1] = 1.02 / PITCH_M
    k[:2] *= 2
    k[:2, 2] += 0.5
    return TYPES['sensor_msgs/msg/CameraInfo'](
        header(stamp_ns), 2 * SIZE, 2 * SIZE, 'plumb_bob',
        np.zeros(5), k.ravel(), np.eye(3).ravel(),
        np.c_[k, [0, 0, 0]].ravel(), 2, 2,
        TYPES['sensor_msgs/msg/RegionOfInterest'](0, 0, 0, 0, False),
    )  # fmt: skip


def exposure(stamp_ns, index):
    pair = TYPES['diagnostic_msgs/msg/KeyValue']
    values = {
        'frame_index': index, 'tube_voltage_kv': 70.0, 'charge_mas': 0.1,
        'pulse_length_s': 0.008, 'air_kerma_gy': 2e-6, 'source_to_detector_m': 1.02,
    }  # fmt: skip
    status = TYPES['diagnostic_msgs/msg/DiagnosticStatus'](
        0, 'exposure', '', '', [pair(key, repr(value)) for key, value in values.items()]
    )
    return TYPES['diagnostic_msgs/msg/DiagnosticArray'](header(stamp_ns), [status])


def write_run(
    folder: Path,
    count=30,
    lost=(),
    leave_out=(),
    nan_landmarks_from=10**9,
    goal_frame='world',
    score=0.97,
    score_gate=None,
    path_m=(),
) -> Path:
    """Write a run of `count` exposures 0.1 s apart, without the topics that start as told."""
    from transforms3d.quaternions import mat2quat

    source = VIEW.world_from_source
    truth = np.array([[20.0, 20.0], [40.0, 44.0]])
    mask = np.zeros((SIZE, SIZE), np.uint8)
    mask[20:44, 20:40] = 1
    rng = np.random.default_rng(0)
    custom = {
        'seed': '5', 'time_mode': 'lockstep', 'config_sha256': 'ab', 'ct_sha256': '',
        'versions': json.dumps({'numpy': '2'}),
    }  # fmt: skip
    joints = TYPES['sensor_msgs/msg/JointState']
    with BagWriter(folder, custom=custom) as bag:

        def put(topic, message, log_ns):
            if not topic.startswith(tuple(leave_out)):
                bag.add_topic(BagTopic('/' + topic, message.__msgtype__))
                bag.write('/' + topic, serialize(message), log_ns)

        if score_gate is not None:
            gate = TYPES['std_msgs/msg/Float64'](score_gate)
            put('tracker/score_gate', gate, FRAME_NS)
        if path_m:
            poses = [pose_stamped(0, point) for point in path_m]
            put('control/path', TYPES['nav_msgs/msg/Path'](header(0), poses), FRAME_NS)
        else:
            target = pose_stamped(0, [0.001, 0, 0], frame=goal_frame)
            put('control/target', target, FRAME_NS)
        for index in range(count):
            stamp = (index + 1) * FRAME_NS
            log = stamp + LATENCY_NS
            if index in lost:
                continue
            counts = rng.integers(1000, 30000, (SIZE, SIZE)).astype(np.uint16)
            nothing = index >= nan_landmarks_from
            found = np.full((2, 2), np.nan) if nothing else truth + [2.0, 0.0]
            put('sim/ground_truth/tip', pose_stamped(stamp, TIP_M), log)
            put('sim/ground_truth/landmarks', landmarks(stamp, truth, 1.0), log)
            put('sim/ground_truth/mask', image(stamp, mask, 'mono8'), log)
            put('carm/pose', pose_stamped(stamp, source[:3, 3], mat2quat(source[:3, :3])), log)
            put('carm/exposure', exposure(stamp, index), log)
            put('carm/camera_info', camera_info(stamp), log)
            put('carm/image_raw', image(stamp, counts, 'mono16'), log)
            put('tracker/mask', image(stamp, mask, 'mono8'), log)
            put('tracker/landmarks', landmarks(stamp, found, 0.0 if nothing else score), log)
            empty = np.zeros(0)
            put('device/servo_jp', joints(header(stamp), ['roll'], np.zeros(1), empty, empty), log)
    return folder
