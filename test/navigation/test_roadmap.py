"""Roadmaps by subtraction, and the command that writes them."""

import json

import cv2
import numpy as np
import pytest
import trimesh

from synthex_ros.anatomy.vessels import procedural_tree
from synthex_ros.anatomy.volume import Volume
from synthex_ros.bodies import TriangleMesh
from synthex_ros.cli import main
from synthex_ros.geometry import CArm, make_pose
from synthex_ros.navigation.phantom import water_block
from synthex_ros.navigation.view import roadmap_of
from synthex_ros.rendering.roadmap import contrast_blood, make_roadmap
from synthex_ros.xray.attenuation import density_g_cm3, mass_attenuation_cm2_g
from synthex_ros.xray.beam import Technique
from synthex_ros.xray.renderer import Renderer
from synthex_ros.xray.scene import Scene

WATER = Volume(
    np.zeros((32, 32, 32), np.int16), (5e-3,) * 3, make_pose(translation_m=[-0.0775] * 3)
)


def slab(thickness_m):
    box = trimesh.creation.box((0.04, thickness_m, 0.04))
    return TriangleMesh(np.array(box.vertices, float), np.array(box.faces, np.int32))


def density_behind(thickness_m, iodine_mg_ml, frames=4):
    carm = CArm(detector_px=384, pixel_pitch_m=776e-6, binning=4)
    renderer = Renderer(Scene(WATER), Technique(70.0, 5.0), anatomy_px=64)
    roadmap = make_roadmap(
        renderer, carm.view(), slab(thickness_m), np.random.default_rng(0),
        iodine_mg_ml=iodine_mg_ml, averaged_frames=frames,
    )  # fmt: skip
    centre = roadmap.density[40:56, 40:56]
    return float(centre.mean()), roadmap


def test_density_grows_with_path_and_concentration_as_beer_and_lambert_say():
    thin, roadmap = density_behind(4e-3, 40)
    thick, _ = density_behind(8e-3, 40)
    strong, _ = density_behind(4e-3, 80)
    assert thick / thin == pytest.approx(2, rel=0.06)
    assert strong / thin == pytest.approx(2, rel=0.06)
    assert abs(roadmap.density[~roadmap.vessels].mean()) < 0.01
    assert thin > 10 * roadmap.density[~roadmap.vessels].std()


def test_density_is_that_of_the_added_iodine():
    """Between the values at the ends of the useful energies, by attenuation tables."""
    measured, _ = density_behind(4e-3, 40)
    material = contrast_blood(40)
    energies = np.array([38.0, 62.0])
    mixed = mass_attenuation_cm2_g(material, energies) * density_g_cm3(material)
    blood = mass_attenuation_cm2_g('blood', energies) * density_g_cm3('blood')
    high, low = (mixed - blood) * 0.4
    assert low < measured < high


def test_contrast_agent_takes_the_place_of_blood():
    """350 mg/mL is the pure agent; half of it has the mean density."""
    assert density_g_cm3(contrast_blood(350)) == pytest.approx(1.406)
    assert density_g_cm3(contrast_blood(175)) == pytest.approx((1.406 + 1.06) / 2)
    with pytest.raises(ValueError, match='1..350 mg/mL'):
        contrast_blood(0)


def test_a_picture_shows_vessels_dark_and_mirrored():
    _, roadmap = density_behind(4e-3, 40)
    picture = roadmap.picture()
    seen = roadmap.vessels[:, ::-1]
    assert picture.dtype == np.uint8
    assert np.median(picture[seen]) < 80 < 200 < np.median(picture[~seen])


def test_centrelines_are_seen_where_the_roadmap_is_dark():
    model = procedural_tree(2, 3, step_m=0.8e-3)
    seen = roadmap_of(model, water_block(model), lao_deg=20, cran_deg=10)
    pixels = np.round(seen.view_of_patient.project(model.tree.points_m[3:])).astype(int)
    inside = seen.view_of_patient.geometry.contains(pixels)
    assert inside.all()
    assert seen.roadmap.vessels[pixels[:, 1], pixels[:, 0]].mean() > 0.99
    assert seen.name == 'LAO 20 CRAN 10'


def test_the_command_writes_wall_roadmap_overview_and_path(tmp_path, capsys):
    arguments = ['vessels', 'procedural', '--seed', '1', '--forks', '3', '--out', str(tmp_path)]
    assert main([*arguments, '--target', 'vessel_b', '--mesh', 'ply']) in (0, 2)
    text = capsys.readouterr()
    place = (text.out + text.err).split('places: ')[1].splitlines()[0].split(', ')[-1]
    assert main([*arguments, '--target', place, '--mesh', 'ply']) == 0
    names = {file.name for file in tmp_path.iterdir()}
    assert names == {'wall.ply', 'vessels.json', 'path.json', 'roadmap.png', 'overview.png'}
    path = json.loads((tmp_path / 'path.json').read_text(encoding='utf-8'))
    vessels = json.loads((tmp_path / 'vessels.json').read_text(encoding='utf-8'))
    np.testing.assert_allclose(path['points_m'][-1], vessels['places'][place], atol=2e-6)
    assert cv2.imread(str(tmp_path / 'roadmap.png')).shape == (512, 512, 3)
    assert trimesh.load(tmp_path / 'wall.ply').is_watertight


def test_the_command_says_which_places_there_are(capsys):
    assert main(['vessels', 'procedural', '--seed', '1', '--target', 'liver']) == 2
    assert 'this tree has entry' in capsys.readouterr().err
    assert main(['vessels', 'procedural', '--seed', '1', '--target', '0', '0']) == 2
    assert 'a name or three numbers' in capsys.readouterr().err
