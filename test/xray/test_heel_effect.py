"""Heel effect: which side is darker, by how much, and SpekPy's values."""

import numpy as np
import pytest

from synthex_ros.geometry import CArm, ProjectionGeometry
from synthex_ros.xray.beam import Beam, Technique
from synthex_ros.xray.detector import Detector
from synthex_ros.xray.heel_effect import heel_factor, signal_behind_anode

GEOMETRY = CArm().geometry().resized((33, 33))
BEAM = Beam(Technique(80.0), Detector())


def test_central_ray_is_one_and_the_cathode_side_is_brighter():
    factor = heel_factor(GEOMETRY, BEAM)
    assert factor.dtype == np.float32
    assert factor[16, 16] == pytest.approx(1, abs=1e-4)
    assert np.all(np.diff(factor[:, 16]) > 0)
    assert factor[0, 16] < 0.9
    assert 1 < factor[-1, 16] < 1.1


def test_axes_turn_the_profile():
    down = heel_factor(GEOMETRY, BEAM, cathode='+y')
    np.testing.assert_allclose(heel_factor(GEOMETRY, BEAM, cathode='-y'), down[::-1], rtol=1e-5)
    np.testing.assert_allclose(heel_factor(GEOMETRY, BEAM, cathode='+x'), down.T, rtol=1e-5)
    np.testing.assert_allclose(heel_factor(GEOMETRY, BEAM, cathode='-x'), down.T[:, ::-1], 1e-5)


def test_flat_across_the_other_axis():
    factor = heel_factor(GEOMETRY, BEAM)
    np.testing.assert_allclose(factor, factor[:, 16:17] * np.ones(33), rtol=0.005)


def test_steeper_anodes_and_lower_voltages_have_less_of_it():
    def spread(voltage, anode):
        factor = heel_factor(GEOMETRY, Beam(Technique(voltage), Detector()), anode)
        return factor.max() - factor.min()

    assert spread(80, 20) < spread(80, 12) < spread(80, 9)
    assert spread(60, 12) < spread(80, 12) < spread(120, 12)


@pytest.mark.parametrize(
    ('voltage', 'spekpy'),
    [
        (60, (0.884, 0.968, 1.017, 1.027)),
        (80, (0.858, 0.959, 1.022, 1.037)),
        (120, (0.774, 0.929, 1.041, 1.068)),
    ],
)
def test_profile_agrees_with_spekpy(voltage, spekpy):
    # SpekPy 2.5.4: th=12, 3 mm Al, 0.1 mm Cu, obli=False, absorbed energy of 600 um CsI.
    angles = np.radians(12 + np.array([-8, -4, 4, 8]))
    ours = signal_behind_anode(Beam(Technique(voltage), Detector()), 12, 1 / np.sin(angles))
    np.testing.assert_allclose(ours, spekpy, rtol=0.015)


def test_rays_behind_the_face_are_dark():
    wide = ProjectionGeometry(0.5, (0.01, 0.01), (15.5, 15.5), (32, 32))
    factor = heel_factor(wide, BEAM, 12.0)
    edge = 15.5 - np.tan(np.radians(12)) * 0.5 / 0.01
    assert not factor[: int(edge)].any()
    assert factor[16:].all()
    assert np.all(np.isfinite(factor))


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [((2.0, '+y'), 'anode_angle_deg must be 4..45'), ((12.0, 'y'), 'cathode must be one of')],
)
def test_bad_settings_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        heel_factor(GEOMETRY, BEAM, *arguments)
