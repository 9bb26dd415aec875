"""Messages and back: nothing is lost, and what makes no sense is refused."""

import array

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point, Pose, Quaternion
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import Image, PointCloud2
from transforms3d.euler import euler2mat

from synthex_ros.geometry import CArm, ProjectionGeometry, make_pose
from synthex_ros.ros import messages

HEADER = messages.make_header(1_234_567_890, 'carm_source_optical')
SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 9))
PIXELS = st.sampled_from(['u2', 'u1', 'f4']).flatmap(lambda dtype: arrays.arrays(dtype, SHAPES))
ANGLES = st.floats(-3.1, 3.1)
METRES = st.floats(-2.0, 2.0)


def over_the_wire(message):
    return deserialize_message(serialize_message(message), type(message))


@given(st.integers(0, (2**31 - 1) * 10**9 + 999_999_999))
def test_stamps_keep_every_nanosecond(time_ns):
    assert messages.stamp_ns(messages.to_stamp(time_ns)) == time_ns


def test_stamp_is_seconds_and_nanoseconds():
    assert messages.to_stamp(1_500_000_000) == Time(sec=1, nanosec=500_000_000)


@given(PIXELS)
def test_images_survive_the_wire(pixels):
    back = messages.from_image(over_the_wire(messages.to_image(pixels, HEADER)))
    assert back.dtype == pixels.dtype
    assert np.array_equal(back, pixels, equal_nan=pixels.dtype.kind == 'f')


def test_image_of_a_cut_out_and_of_big_endian_pixels():
    pixels = np.arange(600, dtype='u2').reshape(20, 30)
    cut = pixels[2:18:2, 3:20]
    assert np.array_equal(messages.from_image(messages.to_image(cut, HEADER)), cut)
    big = pixels.astype('>u2')
    assert np.array_equal(messages.from_image(messages.to_image(big, HEADER)), pixels)


def test_foreign_images_with_padding_and_big_endian_are_read():
    pixels = np.array([[1, 2, 3], [4, 5, 60000]], 'u2')
    lines = np.zeros((2, 8), np.uint8)
    lines[:, :6] = pixels.astype('>u2').view(np.uint8)
    message = Image(
        height=2, width=3, encoding='mono16', is_bigendian=1, step=8, data=lines.tobytes()
    )
    assert np.array_equal(messages.from_image(message), pixels)


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        ({'encoding': 'rgb8'}, "encoding must be one of .* got 'rgb8'"),
        ({'height': 4}, 'mono16 of 4 x 3 px needs step >= 6'),
        ({'step': 5}, 'got step 5'),
        ({'width': 0}, 'image is empty'),
        ({'data': array.array('B', [0] * 11)}, '11 bytes'),
    ],
)
def test_inconsistent_images_are_refused(change, words):
    message = messages.to_image(np.zeros((2, 3), 'u2'), HEADER)
    for name, value in change.items():
        setattr(message, name, value)
    with pytest.raises(ValueError, match=words):
        messages.from_image(message)


@pytest.mark.parametrize(
    'pixels',
    [np.zeros((2, 2)), np.zeros(4, 'u2'), np.zeros((0, 3), 'u2'), np.zeros((2, 2, 3), 'u1')],
)
def test_arrays_that_are_no_image_are_refused(pixels):
    with pytest.raises(ValueError, match='must'):
        messages.to_image(pixels, HEADER)


@given(ANGLES, ANGLES, ANGLES, METRES, METRES, METRES)
def test_poses_survive(roll, pitch, yaw, x, y, z):
    pose = make_pose(euler2mat(roll, pitch, yaw), [x, y, z])
    back = messages.pose_matrix(over_the_wire(messages.to_pose(pose)))
    np.testing.assert_allclose(back, pose, atol=1e-12)


@pytest.mark.parametrize(
    ('pose', 'words'),
    [
        (Pose(orientation=Quaternion(x=0.0, y=0.0, z=0.0, w=0.0)), 'unset orientation is w = 1'),
        (Pose(orientation=Quaternion(x=1.0, y=0.0, z=0.0, w=1.0)), 'length 1, got 1.41'),
        (Pose(position=Point(x=float('nan'))), 'must be finite'),
    ],
)
def test_poses_that_are_not_rigid_are_refused(pose, words):
    with pytest.raises(ValueError, match=words):
        messages.pose_matrix(pose)


def test_scaled_transform_is_refused():
    with pytest.raises(ValueError, match='millimetres'):
        messages.to_pose(np.diag([1000.0, 1000.0, 1000.0, 1.0]))


def test_covariance_survives_and_orientation_is_unknown():
    spread = np.array([[4e-6, 1e-6, 0], [1e-6, 2e-6, 0], [0, 0, 1e-2]])
    message = over_the_wire(messages.to_pose_with_covariance(np.eye(4), spread, HEADER))
    pose, back = messages.from_pose_with_covariance(message)
    assert np.array_equal(back, spread)
    assert np.array_equal(pose, np.eye(4))
    assert message.pose.covariance[35] == pytest.approx(np.pi**2)


@pytest.mark.parametrize(
    ('covariance', 'words'),
    [
        (np.diag([1.0, 1.0, -1.0]), 'positive semi-definite'),
        (np.array([[1, 1, 0], [0, 1, 0], [0, 0, 1.0]]), 'symmetric'),
        (np.full((3, 3), np.nan), 'finite'),
    ],
)
def test_impossible_covariances_are_refused(covariance, words):
    with pytest.raises(ValueError, match=words):
        messages.to_pose_with_covariance(np.eye(4), covariance, HEADER)


@given(arrays.arrays('f8', st.tuples(st.integers(0, 6), st.just(3)), elements=METRES))
def test_paths_survive_with_their_times(points):
    stamps = [10**9 * k + 7 for k in range(len(points))]
    back, times = messages.from_path(over_the_wire(messages.to_path(points, HEADER, stamps)))
    assert np.array_equal(back, points)
    assert times.tolist() == stamps


@given(
    arrays.arrays(
        'f4', st.tuples(st.integers(0, 5), st.just(2)), elements=st.floats(0, 512, width=32)
    )
)
def test_landmarks_survive(points):
    scores = np.linspace(0, 1, len(points), dtype='f4')
    message = over_the_wire(
        messages.to_landmarks(points, scores, HEADER, ids=range(7, 7 + len(points)))
    )
    back = messages.from_landmarks(message)
    assert np.array_equal(np.stack([back['u'], back['v']], axis=1), points)
    assert np.array_equal(back['score'], scores)
    assert back['id'].tolist() == list(range(7, 7 + len(points)))


def test_landmarks_of_another_layout_are_read_by_name():
    ours = messages.to_landmarks([[10, 20], [30, 40]], [0.5, 1.0], HEADER)
    values = messages.from_landmarks(ours)
    fields = [ours.fields[k] for k in (3, 1, 0, 2)]
    wire = np.dtype([('id', '<u4'), ('v', '<f4'), ('u', '<f4'), ('score', '<f4')])
    rows = np.zeros(2, wire)
    for k, field in enumerate(fields):
        field.offset = 4 * k
        rows[field.name] = values[field.name]
    other = PointCloud2(height=1, width=2, fields=fields, point_step=16, data=rows.tobytes())
    assert np.array_equal(messages.from_landmarks(other), values)


def test_incomplete_landmarks_are_refused():
    message = messages.to_landmarks([[1, 2]], [1.0], HEADER)
    message.width = 2
    with pytest.raises(ValueError, match='do not fill 16 bytes'):
        messages.from_landmarks(message)
    message.fields = message.fields[:2]
    with pytest.raises(ValueError, match="missing \\['score', 'id'\\]"):
        messages.from_landmarks(message)


def test_joint_states_are_read_by_name_in_the_asked_order():
    message = over_the_wire(messages.to_joint_state(['roll', 'insertion'], [0.5, 0.02], HEADER))
    assert messages.from_joint_state(message, ['insertion', 'roll']).tolist() == [0.02, 0.5]
    with pytest.raises(ValueError, match="lacks \\['tendon_1'\\]"):
        messages.from_joint_state(message, ['insertion', 'tendon_1'])
    message.name = ['roll', 'roll']
    with pytest.raises(ValueError, match='no name twice'):
        messages.from_joint_state(message, ['roll'])
    with pytest.raises(ValueError, match='velocity must have 1 values, got 2'):
        messages.to_joint_state(['roll'], [0.5], HEADER, velocities=[1.0, 2.0])


@given(st.dictionaries(st.from_regex('[a-z_]{1,12}', fullmatch=True), st.floats(allow_nan=False)))
def test_exposure_numbers_survive_exactly(values):
    values = {key: np.float64(value) for key, value in values.items()}
    message = over_the_wire(messages.to_exposure(values, HEADER))
    assert messages.from_exposure(message) == values


@given(
    binning=st.integers(1, 6),
    rows=st.integers(8, 200),
    columns=st.integers(8, 200),
    corner=st.tuples(st.integers(0, 50), st.integers(0, 50)),
    pitch=st.tuples(st.floats(5e-5, 1e-3), st.floats(5e-5, 1e-3)),
    piercing=st.tuples(st.floats(-50, 300), st.floats(-50, 300)),
    distance=st.floats(0.5, 2.0),
)
def test_camera_info_gives_the_published_geometry_back(
    binning, rows, columns, corner, pitch, piercing, distance
):
    geometry = ProjectionGeometry(distance, pitch, piercing, (rows, columns))
    detector = (corner[0] + rows * binning + 3, corner[1] + columns * binning + 5)
    info = messages.to_camera_info(geometry, HEADER, binning, corner, detector)
    back = messages.geometry_from_camera_info(over_the_wire(info), distance)
    np.testing.assert_allclose(back.intrinsics(), geometry.intrinsics(), rtol=1e-12, atol=1e-9)
    assert back.shape_px == geometry.shape_px


def test_camera_info_of_the_default_c_arm_describes_the_full_detector():
    carm = CArm()
    info = messages.to_camera_info(carm.geometry(), HEADER, carm.binning)
    assert (info.width, info.height) == (1536, 1536)
    assert info.k[0] == pytest.approx(1.020 / 194e-6)
    assert info.k[2] == pytest.approx(767.5)
    assert (info.binning_x, info.roi.width) == (3, 0)
    assert info.header.frame_id.endswith('_optical')


def test_same_world_point_lies_in_the_same_place_whatever_the_binning():
    point = np.array([0.02, -0.01, 0.7])
    full = CArm(binning=1).geometry().project(point)
    binned = CArm(binning=3).geometry().project(point)
    np.testing.assert_allclose((binned + 0.5) * 3 - 0.5, full)


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        ({'k': np.zeros(9)}, 'uncalibrated'),
        ({'d': [0.1, 0.0, 0.0, 0.0, 0.0]}, 'distortion is not supported'),
        ({'p': np.arange(12.0)}, 'carm/pose'),
        ({'binning_x': 5}, 'multiple of the binning'),
        ({'width': 0}, 'does not fit'),
    ],
)
def test_camera_info_that_cannot_be_used_is_refused(change, words):
    info = messages.to_camera_info(CArm().geometry(), HEADER, 3)
    for name, value in change.items():
        setattr(info, name, value)
    with pytest.raises(ValueError, match=words):
        messages.geometry_from_camera_info(info, 1.02)


def test_window_outside_the_detector_is_refused():
    geometry = CArm().geometry()
    with pytest.raises(ValueError, match='does not fit'):
        messages.to_camera_info(geometry, HEADER, 3, (1, 0), (1536, 1536))
