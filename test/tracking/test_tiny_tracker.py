"""A tiny device among others and hidden: the track stays with its own and finds it again."""

import numpy as np
import pytest

from synthex_ros.tracking.detections import Detection, Sighting
from synthex_ros.tracking.tiny_tracker import TinyTracker

SHAPE = (400, 500)
RATE_HZ = 15.0


class Seeing:
    """Finds marked pixels: the value of a pixel is the score in percent of a device there."""

    def __init__(self):
        self.shapes = []

    def detect(self, counts):
        self.shapes.append(counts.shape)
        found = [
            Detection('sphere', float(u), float(v), 5.0, 5.0, counts[v, u] / 100)
            for v, u in zip(*np.nonzero(counts), strict=True)
        ]
        found.sort(key=lambda one: -one.score)
        return Sighting(found, (counts > 0).astype(np.uint8))


def frame(*marks):
    counts = np.zeros(SHAPE, np.uint16)
    for u, v, percent in marks:
        counts[round(v), round(u)] = percent
    return counts


def path(k):
    return 100.0 + 3 * k, 200.0 + k


def test_track_stays_with_its_device_beside_a_surer_one():
    tracker = TinyTracker(Seeing(), 'sphere')
    for k in range(40):
        other = (path(k)[0] + 40, path(k)[1], 99 if k else 0)
        result = tracker.track(frame((*path(k), 80), other), k / RATE_HZ)
        assert not result.state.lost
        assert result.detection.score == 0.8
    assert result.state.position == pytest.approx(path(39), abs=1.0)
    assert result.state.velocity == pytest.approx([3 * RATE_HZ, RATE_HZ], abs=5.0)


def test_only_the_surroundings_are_looked_at_while_the_track_holds():
    seeing = Seeing()
    tracker = TinyTracker(seeing, 'sphere')
    whole = [tracker.track(frame((*path(k), 80)), k / RATE_HZ).whole for k in range(20)]
    assert [k for k, flag in enumerate(whole) if flag] == [0, 15]
    assert seeing.shapes.count(SHAPE) == 2
    assert set(seeing.shapes) == {SHAPE, (160, 160)}


def test_labels_are_of_the_frame_also_where_only_a_part_of_it_was_looked_at():
    tracker = TinyTracker(Seeing(), 'sphere')
    for k in range(3):
        shown = frame((*path(k), 80), (400, 20, 80 if k else 0))
        result = tracker.track(shown, k / RATE_HZ)
        seen = shown > 0
        if not result.whole:
            seen[20, 400] = False
        np.testing.assert_array_equal(result.labels, seen)
    assert not result.whole


def test_hidden_device_is_lost_and_found_again_within_three_frames():
    tracker = TinyTracker(Seeing(), 'sphere')
    lost = []
    for k in range(40):
        shown = frame((*path(k), 80)) if not 15 <= k < 27 else frame()
        lost.append(tracker.track(shown, k / RATE_HZ).state.lost)
    assert lost[26]
    assert not any(lost[29:])


def test_short_gap_is_bridged_by_prediction():
    tracker = TinyTracker(Seeing(), 'sphere')
    for k in range(30):
        result = tracker.track(
            frame((*path(k), 80)) if k not in (20, 21) else frame(), k / RATE_HZ
        )
        if k in (20, 21):
            assert not result.state.lost
            assert result.detection is None
            assert result.state.position == pytest.approx(path(k), abs=2.0)


def test_other_classes_and_weak_detections_start_no_track():
    tracker = TinyTracker(Seeing(), 'soft_robot')
    assert tracker.track(frame((50, 50, 90)), 0.0).detection is None
    assert TinyTracker(Seeing(), 'sphere').track(frame((50, 50, 40)), 0.0).state.lost


def test_device_at_the_border_is_tracked():
    tracker = TinyTracker(Seeing(), 'sphere')
    for k in range(10):
        result = tracker.track(frame((498, 2 + k, 80)), k / RATE_HZ)
    assert result.state.position == pytest.approx((498, 11), abs=1.5)
