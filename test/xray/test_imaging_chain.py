"""Effects of tube, collimator and panel, each against what it must do and leave alone."""

import numpy as np
import pytest
import trimesh

from synthex_ros.bodies import Body, TriangleMesh
from synthex_ros.geometry import make_pose
from synthex_ros.xray.collimator import Collimator
from synthex_ros.xray.detector import Detector
from synthex_ros.xray.device_layer import behind_devices, trace_bodies
from synthex_ros.xray.focal_spot import FocalSpot
from synthex_ros.xray.imaging_chain import Heel, ImagingChain
from synthex_ros.xray.lag import Lag
from synthex_ros.xray.renderer import Renderer
from synthex_ros.xray.scatter import AntiScatterGrid, KernelScatter
from synthex_ros.xray.scene import Scene

from .boxes import blobs_volume, box_volume, view

SEEN = view(0.3, 0.1, 128)
CLEAN = Detector(blur_m=0.0, electronic_noise_counts=0.0)


def renderer(chain=None, volume=None, **kwargs):
    return Renderer(Scene(volume or blobs_volume()), anatomy_px=128, chain=chain, **kwargs)


def body(mesh, position_m=(0, 0, 0)):
    triangles = TriangleMesh(np.array(mesh.vertices), np.ascontiguousarray(mesh.faces, np.int32))
    return Body(triangles, 'nitinol', make_pose(None, position_m), 1)


def counts(made, bodies=(), seen=SEEN, seed=0, **kwargs):
    return made.render(seen, bodies, np.random.default_rng(seed), **kwargs).counts


def image_with(made, bodies, seen=SEEN):
    """Expected signal with devices, shape (rows, columns)."""
    layer = made.anatomy(seen)
    devices = trace_bodies(bodies, seen)
    covered = behind_devices(devices, layer, made.scene, made.beam(), made.chain.focal_spot)
    signal = layer.signal_kev.copy()
    signal[covered.pixels()] = covered.values[0]
    return signal


def test_default_chain_changes_nothing():
    np.testing.assert_array_equal(counts(renderer(ImagingChain())), counts(renderer()))


def test_collimator_leaves_leakage_outside_and_all_inside():
    blades = Collimator(0.25, 0.75, 0.125, 0.9, penumbra_m=0.0, leakage=0.002)
    plain, cut = (renderer(c).anatomy(SEEN) for c in (None, ImagingChain(collimator=blades)))
    ratio = cut.signal_kev / plain.signal_kev
    np.testing.assert_allclose(ratio[34:94, 18:113], 1, rtol=1e-5)
    np.testing.assert_allclose(ratio[:30], 0.002, rtol=1e-4)
    np.testing.assert_allclose(ratio[:, :14], 0.002, rtol=1e-4)
    assert blades.field_size_m(SEEN.geometry)[0] == pytest.approx(64 * 2.328e-3, rel=1e-3)


def test_device_behind_the_blades_is_dark_too():
    blades = Collimator(right=0.5, penumbra_m=0.0, leakage=0.0)
    device = [body(trimesh.creation.box((0.2, 0.004, 0.004)))]
    signal = image_with(renderer(ImagingChain(collimator=blades)), device)
    assert signal[:, 66:].max() == 0
    assert signal[:, :60].min() > 0


def test_heel_effect_is_one_in_the_middle_and_falls_to_the_anode():
    chain = ImagingChain(heel=Heel(cathode='-x'))
    ratio = renderer(chain).anatomy(SEEN).signal_kev / renderer().anatomy(SEEN).signal_kev
    assert ratio[64, 64] == pytest.approx(1, abs=0.01)
    across = ratio[64]
    assert np.all(np.diff(across) < 0)
    assert 0.5 < across[-1] < 0.95
    np.testing.assert_allclose(ratio[10], ratio[64], rtol=0.02)


def test_focal_spot_blurs_an_edge_by_its_enlarged_width():
    """The middle of an edge stays, and its spread is (SDD / d - 1) * width / sqrt(12)."""
    spot = FocalSpot(2e-3)
    seen = view(0, 0, 512)
    device = [body(trimesh.creation.box((0.05, 0.002, 0.05)))]
    volume = box_volume(hu=-1000, shape=(4, 4, 4))
    sharp = image_with(renderer(None, volume), device, seen)[256].astype(float)
    soft = image_with(renderer(ImagingChain(focal_spot=spot), volume), device, seen)[256]
    slope_sharp, slope_soft = (np.abs(np.diff(line[150:256])) for line in (sharp, soft))
    u = np.arange(105)
    means = [np.average(u, weights=w) for w in (slope_sharp, slope_soft)]
    widths = [
        np.average((u - m) ** 2, weights=w)
        for m, w in zip(means, (slope_sharp, slope_soft), strict=True)
    ]
    expected = spot.sigma_px(seen.geometry, 0.699)[0]
    assert means[1] == pytest.approx(means[0], abs=0.05)
    assert np.sqrt(widths[1] - widths[0]) == pytest.approx(expected, rel=0.05)
    assert soft.sum(dtype=float) == pytest.approx(sharp.sum(), rel=1e-3)


def test_focal_spot_at_the_detector_does_nothing():
    assert FocalSpot().sigma_px(SEEN.geometry, 1.02) == (0.0, 0.0)
    with pytest.raises(ValueError, match='distance_m'):
        FocalSpot().sigma_px(SEEN.geometry, 0.0)


def test_scatter_adds_signal_and_a_grid_takes_more_of_it_than_of_the_primary():
    block = box_volume(hu=0, shape=(80, 80, 80), spacing_m=(3e-3,) * 3)
    bare = renderer(ImagingChain(scatter=KernelScatter()), block).anatomy(SEEN)
    grid = AntiScatterGrid()
    with_grid = renderer(ImagingChain(scatter=KernelScatter(grid)), block).anatomy(SEEN)
    middle = (64, 64)
    ratios = [
        float(layer.scatter.signal_kev[32, 32] / layer.signal_kev[middle])
        for layer in (bare, with_grid)
    ]
    assert 0.3 < ratios[0] < 5
    assert ratios[1] == pytest.approx(
        ratios[0] * grid.scatter_transmission / grid.primary_transmission, rel=0.01
    )
    plain = counts(renderer(None, block, detector=CLEAN))
    lit = counts(renderer(ImagingChain(scatter=KernelScatter()), block, detector=CLEAN))
    assert lit[60:68, 60:68].mean() == pytest.approx(
        plain[60:68, 60:68].mean() * (1 + ratios[0]), rel=0.05
    )


def test_scatter_reaches_behind_the_blades():
    blades = Collimator(left=0.4, right=0.6, leakage=0.0)
    block = box_volume(hu=0, shape=(80, 80, 80), spacing_m=(3e-3,) * 3)
    chain = ImagingChain(collimator=blades, scatter=KernelScatter())
    picture = counts(renderer(chain, block))
    assert 0 < picture[:, 10].mean() < picture[:, 64].mean()
    open_field = counts(renderer(ImagingChain(scatter=KernelScatter()), block))
    assert picture[60:68, 60:68].mean() < open_field[60:68, 60:68].mean()


def test_full_chain_is_the_same_for_the_same_seed():
    pictures = []
    for _ in range(2):
        chain = ImagingChain.full()
        made = renderer(chain)
        memory = chain.memory(SEEN.geometry.shape_px)
        device = [body(trimesh.creation.box((0.05, 0.002, 0.05)))]
        pictures += [counts(made, device, seed=4, memory=memory) for _ in range(2)]
    np.testing.assert_array_equal(pictures[0], pictures[2])
    np.testing.assert_array_equal(pictures[1], pictures[3])
    assert not np.array_equal(pictures[0], pictures[1])  # lag


def test_panel_seed_makes_one_panel():
    first, again, other = (
        counts(renderer(ImagingChain(panel_seed=n), detector=CLEAN)) for n in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_memory_is_made_only_for_lag():
    assert ImagingChain().memory((4, 4)) is None
    assert ImagingChain(lag=Lag()).memory((4, 5)).states.shape == (2, 4, 5)


@pytest.mark.parametrize(
    ('make', 'message'),
    [
        (lambda: Collimator(top=0.6, bottom=0.5), 'top and bottom'),
        (lambda: Collimator(leakage=1.0), 'leakage'),
        (lambda: FocalSpot(0.6), '0.6 mm is 0.0006'),
    ],
)
def test_unusable_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
