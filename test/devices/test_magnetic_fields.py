import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthex_ros import magnetics
from synthex_ros.devices.magnetic.cylinder import CylinderMagnet, CylinderShape
from synthex_ros.devices.magnetic.dipole import Dipole
from synthex_ros.devices.magnetic.field_source import SumOfSources

magpylib = pytest.importorskip('magpylib')

SHAPE = CylinderShape(0.050, 0.050, 1.3)
AXIS = np.array([0.3, -0.5, 0.8])
CENTRE = np.array([0.02, -0.01, 0.1])
unit = st.floats(-1.0, 1.0)


def cylinder(shape=SHAPE):
    return CylinderMagnet(shape, CENTRE, AXIS)


def magpylib_cylinder(shape=SHAPE):
    magnet = magpylib.magnet.Cylinder(
        polarization=(0, 0, shape.remanence_t), dimension=(shape.diameter_m, shape.length_m)
    )
    axis = AXIS / np.linalg.norm(AXIS)
    turn = np.cross([0, 0, 1], axis)
    angle = np.arctan2(np.linalg.norm(turn), axis[2])
    magnet.rotate_from_angax(angle, turn, degrees=False)
    magnet.position = CENTRE
    return magnet


def cloud(count=300, low=0.04, high=0.4, seed=0):
    """Points around the magnet, none inside, some on its axis."""
    rng = np.random.default_rng(seed)
    directions = rng.standard_normal((count, 3))
    directions[: count // 10] = AXIS
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return CENTRE + directions * rng.uniform(low, high, (count, 1))


def differences(source, points, step=2e-5):
    """Gradient matrices by central differences of fourth order."""
    columns = []
    for axis in np.eye(3):
        near, far = (
            source.field_t(points + k * step * axis) - source.field_t(points - k * step * axis)
            for k in (1, 2)
        )
        columns.append((8 * near - far) / (12 * step))
    return np.stack(columns, axis=-1)


def sources():
    return {
        'dipole': Dipole(CENTRE, 90.0 * AXIS),
        'cylinder': cylinder(),
        'disc': cylinder(CylinderShape(0.060, 0.010)),
        'rod': cylinder(CylinderShape(0.010, 0.060)),
        'sum': SumOfSources([cylinder(), Dipole([0.3, 0.3, 0.3], [1.0, 2.0, 3.0])]),
    }


def test_cylinder_agrees_with_magpylib_everywhere_outside():
    points = cloud()
    expected = magpylib_cylinder().getB(points)
    error = np.linalg.norm(cylinder().field_t(points) - expected, axis=1)
    assert np.max(error / np.linalg.norm(expected, axis=1)) < 1e-9


def test_cylinder_agrees_with_magpylib_inside():
    points = CENTRE + np.random.default_rng(1).uniform(-0.01, 0.01, (50, 3))
    expected = magpylib_cylinder().getB(points)
    np.testing.assert_allclose(cylinder().field_t(points), expected, rtol=1e-9, atol=1e-12)


def test_dipole_agrees_with_magpylib():
    points, moment = cloud(), np.array([1.0, -2.0, 0.5])
    expected = magpylib.misc.Dipole(position=CENTRE, moment=moment).getB(points)
    got = Dipole(CENTRE, moment).field_t(points)
    error = np.linalg.norm(got - expected, axis=1) / np.linalg.norm(expected, axis=1)
    assert np.max(error) < 1e-9  # its mu0 is the measured one, 1.3e-10 off


@pytest.mark.parametrize('name', list(sources()))
def test_gradient_is_the_derivative_of_the_field(name):
    source, points = sources()[name], cloud(60)
    matrices = magnetics.gradient_matrix(source.field_and_gradient(points)[1])
    scale = np.linalg.norm(matrices, axis=(1, 2), keepdims=True)
    assert np.max(np.abs(matrices - differences(source, points)) / scale) < 1e-6


@pytest.mark.parametrize('name', list(sources()))
def test_field_has_no_curl_and_no_divergence(name):
    matrices = differences(sources()[name], cloud(60))
    scale = np.linalg.norm(matrices, axis=(1, 2))
    assert np.max(np.abs(np.trace(matrices, axis1=1, axis2=2)) / scale) < 1e-6
    curl = matrices - matrices.transpose(0, 2, 1)
    assert np.max(np.abs(curl) / scale[:, None, None]) < 1e-6


def test_gradient_is_continuous_at_the_axis():
    axis = AXIS / np.linalg.norm(AXIS)
    across = np.cross(axis, [1.0, 0, 0]) * SHAPE.diameter_m / 2
    offsets = np.array([0.0, 0.9e-5, 1.1e-5, 1e-4])
    points = CENTRE + 0.06 * axis + offsets[:, None] * across
    field, gradient = cylinder().field_and_gradient(points)
    np.testing.assert_allclose(gradient[1:], gradient[[0]].repeat(3, 0), rtol=1e-3)
    exact = magpylib_cylinder().getB(points)
    np.testing.assert_allclose(field, exact, rtol=1e-9)


def test_cylinder_becomes_a_dipole_far_away():
    points = cloud(50, 1.9, 2.0)
    dipole = Dipole(CENTRE, cylinder().moment_a_m2).field_t(points)
    error = np.linalg.norm(cylinder().field_t(points) - dipole, axis=1)
    assert np.max(error / np.linalg.norm(dipole, axis=1)) < 2e-4


def test_cylinder_of_the_best_proportion_is_nearly_a_dipole_at_two_diameters():
    def worst(length_m):
        magnet = CylinderMagnet(CylinderShape(0.06, length_m), [0, 0, 0], [0, 0, 1])
        points = 0.12 * np.array([[np.sin(a), 0, np.cos(a)] for a in np.linspace(0, np.pi, 19)])
        far = Dipole([0, 0, 0], magnet.moment_a_m2).field_t(points)
        off = np.linalg.norm(magnet.field_t(points) - far, axis=1)
        return np.max(off / np.linalg.norm(far, axis=1))

    assert worst(0.052) < 0.012
    assert worst(0.030) > 0.05


def test_opposite_charges_make_the_axial_field():
    """On the axis, B is the difference of the solid angles of the two faces."""
    z, half, radius = 0.09, SHAPE.length_m / 2, SHAPE.diameter_m / 2
    magnet = CylinderMagnet(SHAPE, [0, 0, 0], [0, 0, 1])
    ends = [(z + s * half) / np.hypot(z + s * half, radius) for s in (1, -1)]
    expected = SHAPE.remanence_t / 2 * (ends[0] - ends[1])
    assert magnet.field_t([[0, 0, z]])[0, 2] == pytest.approx(expected, rel=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.tuples(unit, unit, unit), st.tuples(unit, unit, unit))
def test_dipoles_act_on_each_other_with_opposite_forces_and_no_net_torque(place, moment):
    place, moment = 0.1 * np.array(place) + [0.3, 0, 0], np.array(moment)
    ours = np.array([0.2, -1.0, 0.4])
    there, here = Dipole([0, 0, 0], ours), Dipole(place, moment)
    field_there, gradient_there = there.field_and_gradient(place[None])
    field_here, gradient_here = here.field_and_gradient(np.zeros((1, 3)))
    push = magnetics.force_n(moment, gradient_there[0])
    back = magnetics.force_n(ours, gradient_here[0])
    np.testing.assert_allclose(push, -back, atol=1e-18 + 1e-10 * np.abs(push).max())
    torques = magnetics.torque_n_m(moment, field_there[0])
    torques = torques + magnetics.torque_n_m(ours, field_here[0]) + np.cross(place, push)
    np.testing.assert_allclose(torques, 0, atol=1e-18 + 1e-10 * np.abs(push).max())


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.floats(-5, 5), min_size=5, max_size=5),
    st.lists(st.floats(-1, 1), min_size=3, max_size=3),
)
def test_force_map_is_the_force_of_a_moment(gradient, moment):
    np.testing.assert_allclose(
        magnetics.force_map(moment) @ gradient, magnetics.force_n(moment, gradient), atol=1e-12
    )
    matrix = magnetics.gradient_matrix(gradient)
    assert np.trace(matrix) == pytest.approx(0, abs=1e-12)
    np.testing.assert_array_equal(matrix, matrix.T)
    np.testing.assert_array_equal(magnetics.gradient_components(matrix), gradient)


def test_wrong_points_and_magnets_are_refused():
    with pytest.raises(ValueError, match=r'\[\[x, y, z\]\]'):
        cylinder().field_t([0.0, 0.0, 1.0])
    with pytest.raises(ValueError, match='finite'):
        cylinder().field_t([[0.0, np.nan, 1.0]])
    with pytest.raises(ValueError, match='millimetres'):
        CylinderShape(diameter_m=50.0)
    with pytest.raises(ValueError, match='direction'):
        CylinderMagnet(SHAPE, [0, 0, 0], [0, 0, 0])
    with pytest.raises(ValueError, match='on its source'):
        Dipole([0, 0, 0], [1, 0, 0]).field_t([[0, 0, 0]])
