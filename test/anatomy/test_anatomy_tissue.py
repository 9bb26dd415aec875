"""Tissue models: what voxels are made of by HU, by structure and by saturation."""

import numpy as np
import pytest

from synthex_ros.anatomy import MaterialModel, Volume, torso_phantom
from synthex_ros.anatomy.material_curves import DETAILED_MATERIALS, DetailedModel, LinearModel
from synthex_ros.anatomy.tissue import PRESETS, TissueModel, tissue_model
from synthex_ros.anatomy.tissue_rules import Contrast, Metal, Override
from synthex_ros.anatomy.tissue_settings import tissue_from_settings

DENSITIES = {'iodine_contrast': 1.406, 'Ti': 4.54, 'blood': 1.06, 'water': 1.0, 'W': 19.3}


def density_of(name):
    return DENSITIES[name]


def box(hu, labels=None, structures=None, spacing_m=2e-3):
    return Volume(np.asarray(hu, np.int16), (spacing_m,) * 3, np.eye(4), labels, structures or {})


def vessel_volume(vessel_hu=345, around_hu=45):
    """A labelled aorta and heart in soft tissue, and an unlabelled bright spot."""
    hu = np.full((8, 9, 10), around_hu, np.int16)
    labels = np.zeros(hu.shape, np.uint8)
    labels[2:6, 2:4, 2:4], labels[2:6, 6:8, 6:8] = 52, 51
    hu[labels == 52], hu[labels == 51] = vessel_hu, 50
    hu[0, 0, 0] = 345
    return box(hu, labels, {'heart': 51, 'aorta': 52})


def partial(table, volume, index):
    """Partial densities by material at a voxel [g/cm^3]."""
    region = 0 if table.regions is None else table.regions.of_voxel[index]
    densities = table.density_g_cm3 if table.regions is None else table.regions.density_g_cm3
    row = volume.hu[index] - table.hu_min
    values = densities[row] if table.regions is None else densities[region, row]
    return dict(zip(table.names, values.tolist(), strict=True))


def test_standard_preset_is_the_plain_table():
    volume = torso_phantom((12, 12, 12), 2e-2)
    for model in ('standard', MaterialModel(), TissueModel()):
        table = tissue_model(model).classify(volume, density_of)
        assert table.regions is None
        np.testing.assert_array_equal(table.density_g_cm3, MaterialModel().table().density_g_cm3)


def test_detailed_fractions_sum_to_one_and_density_rises():
    model = DetailedModel()
    hu = np.arange(-1024, 3072)
    np.testing.assert_allclose(model.mass_fractions(hu).sum(-1), 1, atol=1e-12)
    assert model.mass_fractions(hu).min() >= 0
    assert np.all(np.diff(model.density_g_cm3(hu)) >= 0)
    np.testing.assert_allclose(model.table().density_g_cm3.sum(1), model.density_g_cm3(hu), 1e-6)


@pytest.mark.parametrize(
    ('hu', 'material', 'density_g_cm3', 'tolerance'),
    [
        (-1000, 'air', 0.001205, 0.01),  # dry air, NIST
        (-750, 'lung', 0.26, 0.03),  # inflated lung, ICRU 44
        (-98, 'adipose', 0.95, 0.03),  # ICRU 44
        (45, 'soft_tissue', 1.05, 0.01),  # skeletal muscle, ICRU 44
        (1524, 'bone', 1.92, 0.002),  # cortical bone, ICRU 44
    ],
)
def test_detailed_model_knows_pure_tissues(hu, material, density_g_cm3, tolerance):
    partial_g_cm3 = DetailedModel().table().at(hu)
    share = partial_g_cm3[DETAILED_MATERIALS.index(material)] / partial_g_cm3.sum()
    assert share == pytest.approx(1, abs=1e-6)
    assert partial_g_cm3.sum() == pytest.approx(density_g_cm3, rel=tolerance)


def test_bone_is_a_mixture_whose_cortical_volume_is_linear_in_hu():
    model = DetailedModel()
    hu = np.array([200.0, 500.0, 900.0, 1300.0])
    fractions = model.mass_fractions(hu)
    marrow, cortical = fractions[:, 4], fractions[:, 5]
    np.testing.assert_allclose(marrow + cortical, 1)
    volume = cortical / 1.92 / (cortical / 1.92 + marrow / 1.0)
    np.testing.assert_allclose(np.diff(volume) / np.diff(hu), 1 / 1546, rtol=1e-9)
    # An ideal mixture of that composition has the density of the fit to one percent.
    ideal = 1 / (cortical / 1.92 + marrow / 1.0)
    np.testing.assert_allclose(model.density_g_cm3(hu), ideal, rtol=0.012)


def test_linear_models_of_the_simple_levels():
    naive, heuristic = (PRESETS[name].curve.table() for name in ('naive', 'heuristic'))
    assert naive.names == heuristic.names == ('water',)
    for hu in (-800, -100, 0, 700, 3071):
        assert naive.at(hu)[0] == heuristic.at(hu)[0] == pytest.approx(1 + hu / 1000, rel=1e-6)
    assert naive.at(-900)[0] == pytest.approx(0.1)
    assert heuristic.at(-900)[0] == naive.at(-1000)[0] == 0


def test_contrast_follows_hu_inside_labelled_vessels_only():
    volume = vessel_volume(vessel_hu=45 + 26 * 7)
    table = tissue_model('detailed').classify(volume, density_of)
    inside = partial(table, volume, (3, 3, 3))
    agent = 7 / 350  # 7 mg/mL of iodine from an agent of 350
    assert inside['iodine_contrast'] == pytest.approx(1.406 * agent, rel=1e-5)
    assert inside['soft_tissue'] == pytest.approx((1 - agent) * 1.0432, rel=1e-3)
    assert inside['bone'] == inside['marrow'] == 0
    assert partial(table, volume, (0, 0, 0))['iodine_contrast'] == 0
    heart = partial(table, volume, (3, 7, 7))
    assert heart['iodine_contrast'] == 0
    assert heart == partial(DetailedModel().table(), volume, (3, 7, 7)) | {'iodine_contrast': 0}


def test_contrast_table_is_continuous_in_hu():
    volume = vessel_volume()
    table = tissue_model('detailed').classify(volume, density_of)
    steps = np.abs(np.diff(table.regions.density_g_cm3[1], axis=0))
    assert steps.max() < 0.05


def test_metal_is_found_in_pieces_large_enough_and_gets_its_own_density():
    hu = np.full((12, 12, 12), 40, np.int16)
    hu[2:5, 2:5, 2:5], hu[8, 8, 8] = 3071, 3071
    volume = box(hu, spacing_m=1e-3)
    model = TissueModel(DetailedModel(), metal=Metal(min_volume_m3=1e-8))
    table = model.classify(volume, density_of)
    assert np.count_nonzero(table.regions.of_voxel) == 27
    assert partial(table, volume, (3, 3, 3))['Ti'] == pytest.approx(4.54)
    assert sum(partial(table, volume, (3, 3, 3)).values()) == pytest.approx(4.54)
    assert partial(table, volume, (8, 8, 8))['Ti'] == 0
    heavy = TissueModel(metal=Metal('W', density_g_cm3=17.0)).classify(volume, density_of)
    assert partial(heavy, volume, (3, 3, 3))['W'] == pytest.approx(17.0)
    assert TissueModel(metal=Metal(threshold_hu=3072)).classify(volume, density_of).regions is None


@pytest.mark.parametrize(
    ('rule', 'expected'),
    [
        (Override('iodine_contrast'), {'iodine_contrast': 1.406}),
        (Override('water', density_g_cm3=0.5), {'water': 0.5}),
        (Override(density_scale=2.0), {'soft_tissue': 2 * 1.0}),
        (Override(density_g_cm3=1.3), {'soft_tissue': 1.3}),
        (Override(hu_offset=-1000.0), {'air': 0.0012}),
        (Override('water', mass_fraction=0.0), {'soft_tissue': 1.0}),
        # Ideal mixture: the volumes of 0.25 g of agent and 0.75 g of tissue add up.
        (
            Override('iodine_contrast', 0.25),
            {'iodine_contrast': 0.25 / (0.25 / 1.406 + 0.75), 'soft_tissue': 0.75 / 0.92781},
        ),
        (
            Override('iodine_contrast', 0.25, keep_density=True),
            {'iodine_contrast': 0.25, 'soft_tissue': 0.75},
        ),
    ],
)
def test_override_of_a_structure(rule, expected):
    volume = vessel_volume(vessel_hu=0)
    table = TissueModel(overrides={'aorta': rule}).classify(volume, density_of)
    found = partial(table, volume, (3, 3, 3))
    for name, value in found.items():
        assert value == pytest.approx(expected.get(name, 0.0), rel=1e-4, abs=1e-7), name
    outside = partial(MaterialModel().table(), volume, (1, 1, 1))
    assert partial(table, volume, (1, 1, 1)).items() >= outside.items()


def test_rules_that_meet():
    """Override over contrast over metal; of two overrides the later one."""
    volume = vessel_volume(vessel_hu=3071)
    model = TissueModel(DetailedModel(), Contrast(), Metal(min_volume_m3=0.0))
    contrast = model.classify(volume, density_of)
    assert contrast.regions.names[contrast.regions.of_voxel[3, 3, 3]] == 'contrast'
    both = {'*': Override('water'), 'aort*': Override('blood')}
    table = TissueModel(MaterialModel(), Contrast(), None, both).classify(volume, density_of)
    assert table.regions.names[table.regions.of_voxel[3, 3, 3]] == 'aort*'
    assert table.regions.names[table.regions.of_voxel[3, 7, 7]] == '*'


def test_errors_of_overrides():
    volume = vessel_volume()
    with pytest.raises(ValueError, match=r"'aorta' .*|did you mean aorta"):
        TissueModel(overrides={'aotra': Override('water')}).classify(volume, density_of)
    with pytest.raises(ValueError, match='has no segmentation'):
        TissueModel(overrides={'aorta': Override('water')}).classify(
            box(np.zeros((3, 3, 3))), density_of
        )
    with pytest.raises(ValueError, match='at most 8 materials .* got 9'):
        TissueModel(
            DetailedModel(), Contrast(), None,
            {'heart': Override('water'), 'aorta': Override('blood')},
        ).classify(volume, density_of)  # fmt: skip
    with pytest.raises(ValueError, match='must be one of standard, detailed'):
        tissue_model('detaild')


def test_settings_describe_a_model():
    model = tissue_from_settings(
        {
            'model': 'detailed',
            'curve': {'bone_ramp_hu': [120, 180]},
            'contrast': {'hu_per_mg_ml': 36},
            'metal': 'stainless_steel',
            'overrides': {
                'aorta': {'material': 'iodine_contrast', 'mass_fraction': 0.03},
                'trachea': 'air',
            },
        }
    )
    assert model.curve.bone_ramp_hu == (120, 180)
    assert model.contrast.hu_per_mg_ml == 36
    assert model.metal.material == 'stainless_steel'
    assert model.overrides == {
        'aorta': Override('iodine_contrast', 0.03),
        'trachea': Override('air'),
    }
    assert tissue_from_settings({}) == TissueModel()
    plain = tissue_from_settings({'model': 'detailed', 'contrast': False, 'metal': True})
    assert (plain.contrast, plain.metal) == (None, Metal())


@pytest.mark.parametrize(
    ('section', 'message'),
    [
        ({'modell': 'detailed'}, 'does not know modell; it may hold model, curve'),
        ({'model': 'best'}, 'must be one of standard'),
        ({'metal': {'materiel': 'Ti'}}, 'tissue.metal does not know materiel'),
        ({'metal': {'min_volume_m3': 10.0}}, r'tissue.metal: min_volume_m3 .* 10 mm\^3 is 1e-8'),
        ({'overrides': {'aorta': {'mass_fraction': 3}}}, r'aorta: mass_fraction .* 3 % is 0.03'),
        ({'overrides': ['aorta']}, 'must map structures to materials'),
        ({'curve': {'bone_ramp_hu': [500, 100]}}, 'tissue.curve: ramps must not overlap'),
        ({'contrast': {'ramp_hu': [10, 20]}}, 'tissue.contrast: ramp_hu must run upwards'),
        ({'contrast': 3}, 'tissue.contrast must hold some of structures'),
    ],
)
def test_slips_in_settings(section, message):
    with pytest.raises(ValueError, match=message):
        tissue_from_settings(section)


@pytest.mark.parametrize(
    ('make', 'message'),
    [
        (lambda: DetailedModel(density_knots=((0, 1),)), 'must be .HU, g/cm.3. pairs'),
        (lambda: DetailedModel(density_knots=((0, 1), (0, 2))), 'must rise in HU'),
        (lambda: DetailedModel(density_knots=((0, 1), (9, 2000))), 'at most 25'),
        (lambda: DetailedModel(marrow=(2000, 1)), 'marrow must lie below'),
        (lambda: LinearModel(air_below_hu=-2e4), 'air is -1000'),
        (lambda: Override(density_g_cm3=1, keep_density=True), 'not both'),
        (lambda: Override(density_g_cm3=1060), 'at most 25'),
        (lambda: Metal(threshold_hu=100), '1000..32767'),
        (lambda: Contrast(hu_per_mg_ml=0), '5..100'),
    ],
)
def test_impossible_rules(make, message):
    with pytest.raises(ValueError, match=message):
        make()
