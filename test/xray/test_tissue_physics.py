"""What tissue models do to X-rays: the CT's own numbers back, rules seen by every projector."""

import numpy as np
import pytest
import trimesh

from synthex_ros.anatomy import Volume
from synthex_ros.anatomy.material_curves import DetailedModel
from synthex_ros.anatomy.tissue import TissueModel, tissue_model
from synthex_ros.anatomy.tissue_rules import Contrast, Metal, Override
from synthex_ros.bodies import Body, TriangleMesh
from synthex_ros.geometry import CArm, make_pose
from synthex_ros.xray.attenuation import density_g_cm3, mass_attenuation_cm2_g
from synthex_ros.xray.device_layer import behind_devices, trace_bodies
from synthex_ros.xray.ray_marcher import RayMarcher
from synthex_ros.xray.realism import REALISM, realism
from synthex_ros.xray.renderer import Renderer
from synthex_ros.xray.scene import Scene
from synthex_ros.xray.shear_warp import ShearWarpProjector
from synthex_ros.xray.voxel_densities import pack

from .boxes import centred, view

CT_KEV = 70.0  # effective energy of a CT at 120 kVp
REST = np.eye(4)


def ct_number(names, partial):
    """HU that a CT of one energy would measure of partial densities (..., M)."""
    mu = np.array([mass_attenuation_cm2_g(name, CT_KEV)[0] for name in names])
    return 1000 * (partial @ mu / mass_attenuation_cm2_g('water', CT_KEV)[0] - 1)


def labelled_block(vessel_hu=400, shape=(20, 24, 28), spacing_m=(3e-3, 3e-3, 3e-3)):
    """A soft block with a labelled vessel along z and a saturated pin beside it."""
    hu = np.full(shape, -1000, np.int16)
    hu[2:-2, 3:-3, 3:-3] = 40
    labels = np.zeros(shape, np.uint8)
    labels[4:-4, 8:14, 6:12] = 52
    hu[labels == 52] = vessel_hu
    hu[6:12, 8:14, 18:22] = 3071
    middle = -0.5 * (np.array(shape[::-1]) - 1) * spacing_m
    return Volume(hu, spacing_m, make_pose(None, middle), labels, {'aorta': 52}, 'block')


def test_detailed_model_gives_the_ct_its_numbers_back():
    table = DetailedModel().table()
    hu = np.arange(-1000, 1601)
    error = ct_number(table.names, table.at(hu)) - hu
    assert np.abs(error).max() < 45
    assert np.abs(error[hu > 150]).max() < 15


def test_contrast_gives_the_ct_its_numbers_back():
    table = tissue_model('detailed').classify(labelled_block(), density_g_cm3)
    hu = np.arange(130, 2500)
    rows = table.regions.density_g_cm3[1][hu - table.hu_min]
    np.testing.assert_allclose(ct_number(table.names, rows), hu, atol=20)


def test_default_scene_is_the_plain_table_bit_for_bit():
    volume = labelled_block()
    plain, named = Scene(volume), Scene(volume, 'standard')
    assert plain.table.regions is named.table.regions is None
    np.testing.assert_array_equal(plain.table.density_g_cm3, named.table.density_g_cm3)
    np.testing.assert_array_equal(
        pack(volume, plain.table, (0, 1, 2)).levels, pack(volume, named.table, (0, 1, 2)).levels
    )


@pytest.mark.parametrize('axes', [(0, 1, 2), (1, 0, 2)])
def test_packed_voxels_hold_their_regions_densities(axes):
    volume = labelled_block()
    rules = TissueModel(DetailedModel(), Contrast(), Metal())
    table = rules.classify(volume, density_g_cm3)
    packed = pack(volume, table, axes)
    density = packed.levels[1:-1, 1:-1, 1:-1] * packed.unit_g_cm3
    if axes == (1, 0, 2):
        density = density.transpose(0, 2, 1, 3)
    region, row = table.regions.of_voxel, volume.hu - table.hu_min
    expected = table.regions.density_g_cm3[region, row]
    np.testing.assert_allclose(density[..., :8], expected, atol=packed.unit_g_cm3.max())
    assert density[8, 10, 19, table.names.index('Ti')] == pytest.approx(4.54, rel=1e-4)


@pytest.mark.parametrize('angles', [(0.0, 0.0), (1.2, 0.2), (0.3, 1.2)])
def test_marcher_and_factorised_projector_agree_on_regions(angles):
    volume = labelled_block()
    table = TissueModel(DetailedModel(), Contrast(), Metal()).classify(volume, density_g_cm3)
    seen = view(*angles, pixels=48)
    marched = RayMarcher(5e-4).area_density_g_cm2(volume, table, seen, REST)
    fast = ShearWarpProjector(256).area_density_g_cm2(volume, table, seen, REST)
    for m, name in enumerate(table.names[1:], 1):
        scale = np.abs(marched[m]).max()
        if scale > 0:
            assert np.sqrt(np.mean((fast[m] - marched[m]) ** 2)) < 0.02 * scale, name
    assert marched[table.names.index('Ti')].max() > 4


def test_mass_seen_from_a_far_source_is_the_mass_that_is_there():
    """Parallel-like beam: area density summed over the object's shadow is the metal's mass."""
    volume = labelled_block()
    table = TissueModel(DetailedModel(), metal=Metal()).classify(volume, density_g_cm3)
    arm = CArm(source_to_detector_m=3.0, source_to_isocenter_m=2.9)
    seen = arm.view().resized((256, 256))
    image = ShearWarpProjector(256).area_density_g_cm2(volume, table, seen, REST)
    pitch_cm = 100 * seen.geometry.pixel_pitch_m[0] * 2.9 / 3.0
    mass = image[table.names.index('Ti')].sum() * pitch_cm**2
    metal = np.count_nonzero(table.regions.of_voxel) * 0.3**3 * density_g_cm3('Ti')
    assert mass == pytest.approx(metal, rel=0.03)


def test_table_of_another_volume_is_refused():
    table = tissue_model('detailed').classify(labelled_block(), density_g_cm3)
    with pytest.raises(ValueError, match='must lie on the grid of volume'):
        pack(centred(np.zeros((5, 5, 5), np.int16), (2e-3,) * 3), table, (0, 1, 2))


def test_iodine_darkens_and_air_brightens_a_structure():
    volume = labelled_block(vessel_hu=40)
    seen = view(pixels=32)

    def signal(material):
        overrides = {'aorta': Override(material, 0.05)} if material else {}
        model = TissueModel(DetailedModel(), overrides=overrides)
        return Renderer(Scene(volume, model)).anatomy(seen).signal_kev

    assert (signal('iodine_contrast') / signal(None)).min() < 0.9
    scaled = TissueModel(overrides={'aorta': Override(density_scale=0.0)})
    bright = Renderer(Scene(volume, scaled)).anatomy(seen).signal_kev
    plain = Renderer(Scene(volume)).anatomy(seen).signal_kev
    assert (bright - plain).max() > 0.1 * plain.max()


@pytest.mark.parametrize('name', REALISM)
def test_every_level_of_realism_renders(name):
    level = realism(name)
    scene = Scene(labelled_block(), level.materials or 'detailed')
    made = Renderer(scene, energies=level.energies or 8, anatomy_px=64)
    signal = made.anatomy(view(pixels=32)).signal_kev
    assert np.isfinite(signal).all()
    assert signal.min() < 0.5 * signal.max()
    if level.energies == 1:
        assert scene.table.names == ('water',)


def test_a_single_energy_hardens_no_beam():
    """With one energy the log signal is linear in thickness; with the spectrum it is not."""
    ratios = {}
    for name, nodes in (('naive', 1), ('standard', 8)):
        depth = []
        for slices in (10, 20):
            hu = np.full((60, 2 * slices, 60), 0, np.int16)
            made = Renderer(Scene(centred(hu, (4e-3,) * 3), name), energies=nodes, anatomy_px=16)
            layer = made.anatomy(view(pixels=32))
            open_field = made.beam().pixel_weights(layer.view.geometry)[0].sum()
            path = layer.area_density_g_cm2.sum(0)[16, 16]
            depth.append(-np.log(layer.signal_kev[16, 16] / open_field) / path)
        ratios[name] = depth[1] / depth[0]
    assert ratios['naive'] == pytest.approx(1, abs=1e-4)
    assert ratios['standard'] < 0.99


def test_unknown_realism():
    with pytest.raises(ValueError, match='must be one of naive, heuristic, realistic'):
        realism('high')


def test_water_takes_the_iodine_out_of_the_vessel_it_lies_in():
    """A box of water inside iodine-filled blood: what is left behind it is blood less its path."""
    volume = labelled_block(vessel_hu=400, shape=(40, 60, 60))
    volume.labels[:], volume.hu[:] = 52, 400
    made = Renderer(Scene(volume, TissueModel(DetailedModel(), Contrast())))
    names, regions = made.scene.table.names, made.scene.table.regions
    blood = regions.density_g_cm3[1, 400 - made.scene.table.hu_min]
    assert blood[names.index('iodine_contrast')] > 0.02
    cube = trimesh.creation.box((0.02, 0.02, 0.02))
    mesh = TriangleMesh(np.array(cube.vertices), np.ascontiguousarray(cube.faces, np.int32))
    box = Body(mesh, 'water', REST, 1)
    seen = view(pixels=65)
    layer = made.anatomy(seen)
    covered = behind_devices(trace_bodies([box], seen), layer, made.scene, made.beam())
    signal = layer.signal_kev.copy()
    signal[covered.pixels()] = covered.values[0]
    rest = layer.area_density_g_cm2[:, 32, 32] - 2.0 * blood
    beam, mu = made.beam(), made.beam().mass_attenuation_cm2_g((*names, 'water'))
    weights = beam.pixel_weights(seen.geometry)[0]
    expected = weights @ np.exp(-np.append(rest, 2.0 * density_g_cm3('water')) @ mu)
    assert signal[32, 32] == pytest.approx(expected, rel=5e-3)
    assert signal[32, 32] > 1.2 * layer.signal_kev[32, 32]
