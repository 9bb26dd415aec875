"""Density and materials of CT numbers: conservation, order, known tissues."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthex_ros.anatomy import MATERIALS, MaterialModel


@st.composite
def models(draw):
    ends = sorted(draw(st.lists(st.floats(-1000, 3000), min_size=6, max_size=6)))
    return MaterialModel(
        air_density_g_cm3=draw(st.floats(1e-4, 0.5)),
        water_density_g_cm3=draw(st.floats(0.6, 1.5)),
        bone_slope_g_cm3=draw(st.floats(0, 2e-3)),
        lung_ramp_hu=(ends[0], ends[1]),
        soft_tissue_ramp_hu=(ends[2], ends[3]),
        bone_ramp_hu=(ends[4], ends[5]),
        hu_max=draw(st.integers(3071, 8000)),
    )


@given(models())
def test_partial_densities_sum_to_the_total_density(model):
    table = model.table()
    hu = np.arange(table.hu_min, table.hu_max + 1)
    np.testing.assert_allclose(table.density_g_cm3.sum(1), model.density_g_cm3(hu), rtol=1e-6)
    assert table.density_g_cm3.dtype == np.float32
    assert np.all(table.density_g_cm3 >= 0)


@given(models())
def test_total_density_never_falls_with_hu(model):
    total = model.density_g_cm3(np.arange(-1024, model.hu_max + 1))
    assert np.all(np.diff(total) >= 0)


@given(models(), st.floats(-2000, 9000))
def test_table_between_rows_is_close_to_the_model(model, hu):
    table = model.table()
    inside = np.clip(hu, table.hu_min, table.hu_max)
    assert table.at(hu).sum() == pytest.approx(float(model.density_g_cm3(inside)), rel=0.02)


@given(st.floats(-1024, 3071))
def test_at_most_two_neighbouring_materials_share_a_voxel(hu):
    present = np.flatnonzero(MaterialModel().mass_fractions(hu) > 0)
    assert present.size in (1, 2)
    assert np.ptp(present) == present.size - 1


@pytest.mark.parametrize(
    ('hu', 'material', 'density_g_cm3', 'tolerance'),
    [
        (-1000, 'air', 0.001205, 0.01),  # dry air, NIST
        (-750, 'lung', 0.26, 0.06),  # inflated lung, ICRU 44
        (-90, 'soft_tissue', 0.95, 0.05),  # adipose tissue, ICRU 44
        (0, 'soft_tissue', 1.0, 1e-9),
        (45, 'soft_tissue', 1.05, 0.03),  # skeletal muscle, ICRU 44
        (1524, 'bone', 1.92, 0.02),  # cortical bone, HU of Schneider et al. 2000, density ICRU 44
    ],
)
def test_known_tissues(hu, material, density_g_cm3, tolerance):
    model = MaterialModel()
    partial = model.table().at(hu)
    assert partial[MATERIALS.index(material)] == pytest.approx(partial.sum(), rel=1e-6)
    assert partial.sum() == pytest.approx(density_g_cm3, rel=tolerance)


def test_threshold_moves_the_bone():
    stiff = MaterialModel(bone_ramp_hu=(700.0, 900.0))
    assert MaterialModel().mass_fractions(600.0)[3] == 1
    assert stiff.mass_fractions(600.0)[3] == 0
    hard = MaterialModel(bone_ramp_hu=(300.0, 300.0))
    assert [float(hard.mass_fractions(hu)[3]) for hu in (299, 300)] == [0, 1]


@pytest.mark.parametrize(
    ('change', 'reason'),
    [
        ({'bone_ramp_hu': (450.0, 150.0)}, 'run upwards'),
        ({'bone_ramp_hu': (-300.0, 450.0)}, 'not overlap'),
        ({'air_density_g_cm3': 1.2}, 'air_density_g_cm3 < water_density_g_cm3'),
        ({'bone_slope_g_cm3': 0.6}, '0..0.01'),
        ({'hu_max': 1000}, 'at least 3071'),
    ],
)
def test_impossible_models(change, reason):
    with pytest.raises(ValueError, match=reason):
        MaterialModel(**change)
