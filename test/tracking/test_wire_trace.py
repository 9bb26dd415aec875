"""The centre line of a drawn wire: to half a pixel, over gaps, past what only looks like one."""

import cv2
import numpy as np
import pytest
from scipy.spatial import cKDTree

from synthex_ros.evaluation.drawn_wire import DrawnWire
from synthex_ros.geometry import ProjectionGeometry
from synthex_ros.tracking.wire_trace import TraceSettings, trace_wire

SIZE = 512
GEOMETRY = ProjectionGeometry(1.02, (388e-6,) * 2, (255.5, 255.5), (SIZE, SIZE))
SHARE = np.linspace(0, 1, 800)
CURVE = np.stack(
    [120 + 230 * SHARE + 45 * np.sin(5 * SHARE), 420 - 300 * SHARE + 60 * np.cos(4 * SHARE)],
    axis=1,
)
"""From the back to the tip, 480 px long with radii down to 50 px."""
LENGTH_PX = 330.0


def mask_of(curve=CURVE, gaps=(), noise=0.0, wide_px=2.0):
    network = DrawnWire(GEOMETRY, gaps_px=gaps, noise=noise)
    network.draw(curve, curve[[0, -1]], wide_px)
    return np.array(network.infer(np.zeros((SIZE, SIZE), np.uint16)).mask)


def off_px(line, curve=CURVE):
    """Return how far the points of a line are from a curve, and how far it reaches along it."""
    fine = np.stack([np.interp(np.linspace(0, 1, 20000), SHARE, c) for c in curve.T], axis=1)
    away, index = cKDTree(fine).query(line)
    return away, index


def length_px(line):
    return float(np.linalg.norm(np.diff(line, axis=0), axis=1).sum())


@pytest.mark.parametrize('wide_px', [1.0, 2.0])
@pytest.mark.parametrize('noise', [0.0, 0.15])
def test_a_curve_with_gaps_is_followed_to_half_a_pixel(wide_px, noise):
    line = trace_wire(
        mask_of(gaps=[(50, 62), (180, 195), (300, 310)], noise=noise, wide_px=wide_px),
        CURVE[-1], LENGTH_PX,
    )  # fmt: skip
    away, index = off_px(line)
    assert away.max() < 0.5
    assert length_px(line) == pytest.approx(LENGTH_PX, abs=8)
    assert np.all(np.diff(index) > 0)  # from the back to the tip, without turning
    assert line[-1] == pytest.approx(CURVE[-1], abs=1e-4)


def test_a_wire_ends_where_it_leaves_the_image():
    shifted = CURVE + [0.0, 220.0]
    inside = shifted[shifted[:, 1] < SIZE - 1]
    line = trace_wire(mask_of(shifted), shifted[-1], LENGTH_PX)
    assert length_px(line) == pytest.approx(length_px(inside), abs=6)
    assert off_px(line, shifted)[0].max() < 0.7


def test_a_wide_gap_is_not_bridged_and_what_is_beyond_is_left():
    line = trace_wire(mask_of(gaps=[(120, 160)]), CURVE[-1], LENGTH_PX)
    assert length_px(line) == pytest.approx(120, abs=6)


def test_a_faint_edge_beside_the_wire_does_not_attract():
    mask = mask_of()
    faint = np.zeros_like(mask)
    start, end = CURVE[-1] + [4, 8], CURVE[-1] + [150, 60]
    cv2.line(faint, start.astype(int), end.astype(int), 0.35, 3)
    line = trace_wire(np.maximum(mask, faint), CURVE[-1], LENGTH_PX)
    assert off_px(line)[0].max() < 0.5
    assert length_px(line) == pytest.approx(LENGTH_PX, abs=8)


def test_a_short_clear_blob_near_the_wire_is_left_aside():
    mask = mask_of()
    cv2.circle(mask, (CURVE[-1] + [14, 4]).astype(int), 4, 1.0, -1)
    line = trace_wire(mask, CURVE[-1], LENGTH_PX)
    assert off_px(line)[0].max() < 0.5


def loop():
    """A wire that crosses itself 40 px behind its tip, in a loop of 30 px radius."""
    turn = np.linspace(-0.5 * np.pi, 1.5 * np.pi, 300)
    ring = np.stack([250 + 30 * np.cos(turn), 250 + 30 * np.sin(turn)], axis=1)
    before = np.linspace([80, 280], ring[0] + [-1, 0], 150)
    before[:, 1] = 220
    after = np.linspace(ring[-1] + [1, 0], [300, 220], 60)
    return np.vstack([before, ring, after])


def test_the_marker_leads_the_line_through_a_loop_and_not_across():
    curve = loop()
    mask = mask_of(curve)
    marker = np.array([250.0, 280.0])
    line = trace_wire(mask, curve[-1], 400.0, marker)
    assert cKDTree(line).query(marker)[0] < 1.5
    short = trace_wire(mask, curve[-1], 400.0)
    assert cKDTree(short).query(marker)[0] > 20


def test_without_a_wire_at_the_tip_there_is_no_line():
    empty = np.zeros((SIZE, SIZE), np.float32)
    assert len(trace_wire(empty, (200.0, 200.0), LENGTH_PX)) == 0
    assert len(trace_wire(mask_of(), (20.0, 20.0), LENGTH_PX)) == 0
    assert len(trace_wire(mask_of(), (-30.0, 600.0), LENGTH_PX)) == 0
    assert len(trace_wire(np.ones((SIZE, SIZE), np.float32), (200.0, 200.0), LENGTH_PX)) == 0


def test_settings_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match='faint < clear'):
        TraceSettings(faint=0.8)
    with pytest.raises(ValueError, match='gap_px'):
        TraceSettings(gap_px=0.0)
