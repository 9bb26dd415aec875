"""A detector on frames of another pitch; both ends of a body from its mask."""

from dataclasses import dataclass

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthex_ros.tracking.body_ends import ends_of, mask_of
from synthex_ros.tracking.detections import Detection, DetectorMaps
from synthex_ros.tracking.detector import DetectorMetadata
from synthex_ros.tracking.pitched_detector import PitchedDetector

PITCH_MM, STRIDE = 0.291, 2
SHAPE = (240, 200)


@dataclass
class DarkSpot:
    """A detector that finds the darkest place, 10 of its pixels wide."""

    metadata: DetectorMetadata = DetectorMetadata('1', PITCH_MM, ('background', 'sphere'), STRIDE)  # noqa: RUF009

    def maps(self, counts):
        rows, columns = (-(-n // STRIDE) for n in counts.shape)
        smooth = cv2.GaussianBlur(np.asarray(counts, np.float32), (0, 0), 2.0)
        weight = np.clip(smooth.max() / 2 - smooth, 0, None)
        v, u = ((weight * axis).sum() / weight.sum() for axis in np.indices(counts.shape))
        centres, boxes = np.zeros((1, rows, columns)), np.zeros((4, rows, columns))
        row, column = int((v + 0.5) / STRIDE), int((u + 0.5) / STRIDE)
        centres[0, row, column] = 0.9
        middle = np.array([column, row]) * STRIDE + (STRIDE - 1) / 2
        boxes[:, row, column] = [u - middle[0], v - middle[1], np.log(10), np.log(10)]
        return DetectorMaps(centres, boxes, (weight > 0)[None].astype(np.float32))


def spot(u, v, pitch_mm):
    """Counts of a disc of 10 detector pixels in a frame of another pitch."""
    rows, columns = np.indices(SHAPE)
    radius = 5 * PITCH_MM / pitch_mm
    return np.where(np.hypot(columns - u, rows - v) < radius, 200, 20000).astype(np.uint16)


@pytest.mark.parametrize('pitch_mm', [0.194, 0.291, 0.388])
def test_places_and_sizes_are_those_of_the_frame(pitch_mm):
    detector = PitchedDetector(DarkSpot(), pitch_mm * 1e-3)
    seen = detector.detect(spot(81.4, 130.8, pitch_mm))
    (found,) = seen.devices
    assert (found.u, found.v) == pytest.approx((81.4, 130.8), abs=0.25)
    assert found.width_px == pytest.approx(10 * PITCH_MM / pitch_mm, rel=5e-3)
    assert seen.labels.shape == SHAPE
    v, u = np.nonzero(seen.labels)
    assert (u.mean(), v.mean()) == pytest.approx((81.4, 130.8), abs=0.7)


@pytest.mark.parametrize('pitch_mm', [0.05, 1.2])
def test_a_pitch_far_from_the_models_is_refused_with_what_to_do(pitch_mm):
    with pytest.raises(ValueError, match=r'0\.291 mm.*binning'):
        PitchedDetector(DarkSpot(), pitch_mm * 1e-3)


def bar(centre, length, width, angle):
    rows, columns = np.indices((120, 120))
    along = (columns - centre[0]) * np.cos(angle) + (rows - centre[1]) * np.sin(angle)
    across = (rows - centre[1]) * np.cos(angle) - (columns - centre[0]) * np.sin(angle)
    return (np.abs(along) <= length / 2) & (np.abs(across) <= width / 2)


@given(st.floats(0, 2 * np.pi), st.floats(16, 60), st.floats(50, 70))
def test_ends_lie_on_the_axis_at_half_the_length_and_keep_their_sense(angle, length, u):
    centre, forwards = np.array([u, 60.0]), np.array([np.cos(angle), np.sin(angle)])
    back, front = ends_of(bar(centre, length, 6.0, angle), centre, forwards)
    np.testing.assert_allclose((back + front) / 2, centre)
    assert np.linalg.norm(front - back) == pytest.approx(length, abs=1.5)
    assert (front - back) @ forwards > 0.97 * np.linalg.norm(front - back)


def test_no_mask_gives_the_centre_twice():
    centre = np.array([30.0, 40.0])
    ends = ends_of(np.zeros((80, 80), bool), centre, None)
    np.testing.assert_array_equal(ends, [centre, centre])


def test_the_mask_of_a_detection_leaves_out_what_is_outside_its_box():
    labels = np.zeros((60, 80), np.uint8)
    labels[20:30, 30:40] = 1
    labels[50:55, 10:15] = 2
    one = Detection('soft_robot', 34.5, 24.5, 10.0, 10.0, 0.8)
    mask = mask_of(labels, one)
    assert mask.sum() == 100
    assert mask[20:30, 30:40].all()
