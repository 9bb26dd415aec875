"""Amounts add up to the CT; the picture shows every slice; the command tells both."""

import numpy as np
import pytest
from PIL import Image

from synthex_ros import cli
from synthex_ros.anatomy import torso_phantom
from synthex_ros.anatomy.material_report import (
    COLOURS,
    colours_of,
    material_amounts,
    material_picture,
    save_picture,
)
from synthex_ros.anatomy.tissue import TissueModel, tissue_model
from synthex_ros.anatomy.tissue_rules import Override

DENSITIES = {'iodine_contrast': 1.406, 'Ti': 4.54}


@pytest.fixture(scope='module')
def phantom():
    return torso_phantom((40, 36, 44), 8e-3)


def classify(volume, model):
    return tissue_model(model).classify(volume, DENSITIES.get)


@pytest.mark.parametrize('model', ['standard', 'detailed', 'naive'])
def test_amounts_add_up(phantom, model):
    table = classify(phantom, model)
    amounts = material_amounts(phantom, table)
    assert [item.name for item in amounts] == list(table.names)
    assert sum(item.voxels for item in amounts) == phantom.hu.size
    voxel_m3 = np.prod(phantom.spacing_m)
    total = sum(item.mass_kg for item in amounts)
    by_voxel = table.density_g_cm3.sum(1)[phantom.hu - table.hu_min]
    expected = by_voxel.sum(dtype=float) * voxel_m3 * 1e3
    assert total == pytest.approx(expected, rel=1e-3)
    assert sum(item.volume_m3 for item in amounts) == pytest.approx(phantom.hu.size * voxel_m3)


def test_amounts_of_an_override(phantom):
    voxels = np.count_nonzero(phantom.structure_mask('aorta'))
    model = TissueModel(overrides={'aorta': Override('iodine_contrast', 0.05)})
    amounts = {a.name: a for a in material_amounts(phantom, classify(phantom, model))}
    agent = amounts['iodine_contrast']
    assert agent.voxels == voxels
    assert agent.mean_hu == 50
    density = 1 / (0.05 / 1.406 + 0.95 / (1 + 50 * 0.592e-3))
    assert agent.mean_density_g_cm3 == pytest.approx(density, rel=1e-4)
    grams = 0.05 * density * voxels * np.prod(phantom.spacing_m) * 1e3
    assert agent.mass_kg == pytest.approx(grams, rel=1e-4)


def test_picture_has_the_colours_of_what_is_there(phantom, tmp_path):
    table = classify(phantom, 'detailed')
    save_picture(phantom, table, tmp_path / 'new' / 'map.png')
    picture = np.asarray(Image.open(tmp_path / 'new' / 'map.png'))
    assert picture.shape[2] == 3
    axial = picture[30:350, 12:400].reshape(-1, 3).astype(float)
    shades = axial / np.maximum(axial.max(axis=1, keepdims=True), 1)
    for name in ('adipose', 'soft_tissue', 'lung'):
        colour = np.array(COLOURS[name]) / max(COLOURS[name])
        assert np.any(np.abs(shades - colour).max(axis=1) < 0.03), name
    with pytest.raises(ValueError, match='must be a .png file'):
        save_picture(phantom, table, tmp_path / 'map.jpg')


def test_oblong_slices_keep_their_shape():
    slab = torso_phantom((4, 36, 44), 8e-3)
    assert material_picture(slab, classify(slab, 'standard')).height < 700


def test_every_material_has_a_colour_of_its_own():
    names = ('air', 'bone', 'Ti', 'gold', 'Pt', 'lung', 'W', 'blood')
    assert len(set(colours_of(names))) == len(names)


def test_command(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv('COLUMNS', '120')
    settings = tmp_path / 'scene.yaml'
    settings.write_text(
        'materials:\n  test_tracer: {parts: {water: 0.9, I: 0.1}, density_g_cm3: 1.1}\n'
        'tissue:\n  model: detailed\n  overrides: {aorta: test_tracer}\n',
        encoding='utf-8',
    )
    out = tmp_path / 'map.png'
    call = ['materials', 'phantom', '--settings', str(settings), '--out', str(out)]
    assert cli.main([*call, '--override', 'heart=iodine_contrast:0.05']) == 0
    text = capsys.readouterr().out
    for word in ('phantom, detailed', 'adipose', 'test_tracer', 'iodine_contrast', str(out)):
        assert word in text
    assert out.is_file()


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--override', 'aorta'], 'must read STRUCTURE=MATERIAL'),
        (['--override', 'aorta=Ti:much'], 'must read STRUCTURE=MATERIAL'),
        (['--override', 'aotra=Ti'], 'did you mean aorta'),
        (['--model', 'best'], 'must be one of standard'),
        (['--override', 'aorta=unobtainium'], "unknown material 'unobtainium'"),
    ],
)
def test_slips_on_the_command_line(arguments, message, capsys, tmp_path):
    call = ['materials', 'phantom', '--out', str(tmp_path / 'x.png'), *arguments]
    assert cli.main(call) == 2
    assert message in capsys.readouterr().err
