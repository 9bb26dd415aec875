"""A device of the user's own: its file is checked, its labels agree with its pixels."""

from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
import trimesh
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synthex_ros.learning.coco import CocoFolder, segmentation
from synthex_ros.learning.device_sources import device_source
from synthex_ros.learning.distractors import Distractors
from synthex_ros.learning.generate import generate
from synthex_ros.learning.imaging import ImagingSampling
from synthex_ros.learning.own_device_file import read_own_device
from synthex_ros.learning.sampling import SceneSampling

MESHES = {
    'rod.stl': trimesh.creation.cylinder(radius=1.5, segment=[[0, 0, 0], [0, 0, 40]]),
    'grip.stl': trimesh.creation.box((16, 16, 10), trimesh.transformations.translation_matrix(
        [0, 0, -5.1])),
    'sheet.stl': trimesh.Trimesh([[0, 0, 0], [10, 0, 0], [0, 10, 0]], [[0, 1, 2]]),
}  # fmt: skip
ROD = {
    'name': 'rod',
    'parts': [
        {'mesh': 'rod.stl', 'material': 'stainless_steel'},
        {'mesh': 'grip.stl', 'material': 'stainless_steel', 'labelled': False},
    ],
    'landmarks': {'back': [0, 0, 0], 'middle': [0, 0, 20], 'front': [0, 0, 40]},
}
CODE = """
from dataclasses import dataclass

import numpy as np

import beside
from synthex_ros.bodies import TriangleMesh
from synthex_ros.devices.magnetic.swept_mesh import swept_tube
from synthex_ros.learning.own_device import DeviceShape, Part


@dataclass
class Bar:
    length_m: float = 0.03
    points: int = 1
    inside_out: bool = False
    landmarks = ('end',)

    def draw(self, rng):
        line = np.array([[0, 0, 0], [0, 0, self.length_m * rng.uniform(0.5, 1)]])
        mesh = swept_tube(line, beside.RADIUS_M)
        if self.inside_out:
            mesh = TriangleMesh(mesh.vertices_m, mesh.faces[:, ::-1])
        bar = Part(mesh, 'nitinol')
        return DeviceShape([bar], np.repeat(line[1:], self.points, axis=0), {'seen': True})


class Wrong:
    landmarks = ('end',)

    def draw(self, rng):
        return None


class NoLandmarks:
    pass
"""


@pytest.fixture
def write(tmp_path):
    """Return a function that writes a device's file, and all meshes and code beside it."""
    for name, mesh in MESHES.items():
        mesh.export(tmp_path / name)
    (tmp_path / 'bar.py').write_text(CODE, encoding='utf-8')
    (tmp_path / 'beside.py').write_text('RADIUS_M = 0.001\n', encoding='utf-8')
    (tmp_path / 'broken.py').write_text('import no_such_module_at_all\n', encoding='utf-8')

    def written(content):
        path = tmp_path / 'device.yaml'
        path.write_text(yaml.safe_dump(content, sort_keys=False), encoding='utf-8')
        return path

    return written


def scene_of(path, **changes):
    scene = SceneSampling(
        anatomies={'phantom': 1.0},
        materials='standard',
        device=str(path),
        image_px=384,
        negative_share=0.0,
        edge_share=0.0,
        imaging=ImagingSampling(collimated_share=0.0, lag_share=0.0),
        distractors=Distractors(share=0.0, negative_share=0.0),
    )
    return replace(scene, **changes)


def frames_of(path, root, frames=6, **changes):
    assert list(generate(scene_of(path, **changes), frames, root, 5, workers=1))[-1] == frames
    return CocoFolder(root)


def test_landmarks_lie_on_the_axis_of_the_mask_and_the_grip_is_not_in_it(write, tmp_path):
    folder = frames_of(write(ROD), tmp_path / 'frames')
    assert folder.categories[0]['keypoints'] == ['back', 'middle', 'front']
    assert folder.categories[0]['skeleton'] == [[1, 2], [2, 3]]
    for row in range(6):
        (item,) = folder.annotations(row)
        back, middle, front = np.reshape(item['keypoints_projected'], (3, 2))
        mask = segmentation(item['segmentation'], (384, 384))
        v, u = np.nonzero(mask)
        along = (front - back) / np.linalg.norm(front - back)
        across = np.array([-along[1], along[0]])
        pixels = np.column_stack([u, v]) - back
        # Diameter 3 mm, magnified 1.2 to 1.7 times, is 6 to 9 pixels of 0.58 mm.
        assert np.abs(pixels @ across).max() < 7
        inside = np.all((front > 5) & (front < 378) & (back > 5) & (back < 378))
        if inside:
            reach = pixels @ along
            length = np.linalg.norm(front - back)
            assert reach.min() == pytest.approx(0, abs=5)
            assert reach.max() == pytest.approx(length, abs=5)
        assert np.linalg.norm(middle - (back + front) / 2) < 0.1 * np.linalg.norm(front - back)


def test_landmarks_that_noise_hides_are_labelled_and_not_visible(write, tmp_path):
    """A hundredth of the dose is a tenth of the ratio; thin pebax falls below 5."""
    thin = ROD | {'parts': [{'mesh': 'rod.stl', 'material': 'pebax'}]}
    ratios, levels = [], []
    for number, dose in enumerate((100.0, 1.0)):
        imaging = ImagingSampling(
            collimated_share=0.0, lag_share=0.0, detector_kerma_ngy=(dose, dose),
            electronic_noise_counts=(1e-3, 1e-3),
        )  # fmt: skip
        folder = frames_of(
            write(thin), tmp_path / str(number), 6, imaging=imaging, least_contrast=0.0
        )
        items = [item for row in range(6) for item in folder.annotations(row)]
        ratios.append(np.array([item['keypoint_snr'] for item in items]).ravel())
        levels.append(np.array([item['keypoints'][2::3] for item in items]).ravel())
    np.testing.assert_allclose(ratios[0], 10 * ratios[1], rtol=0.05)
    assert np.all(ratios[1][levels[1] == 2] >= 5)
    assert (levels[1] == 2).sum() < (levels[0] == 2).sum()


def test_a_seed_makes_the_same_bytes_and_a_changed_mesh_is_refused(write, tmp_path):
    path = write(ROD)
    one, two = (frames_of(path, tmp_path / name, 2) for name in ('a', 'b'))
    for row in range(2):
        np.testing.assert_array_equal(one.counts(row), two.counts(row))
    MESHES['rod.stl'].copy().apply_scale(1.1).export(tmp_path / 'rod.stl')
    with pytest.raises(ValueError, match='frames made with other device'):
        frames_of(path, tmp_path / 'a', 4)


def test_a_class_draws_another_shape_for_every_frame(write, tmp_path):
    path = write({'name': 'bar', 'python': 'bar.py:Bar', 'settings': {'length_m': 0.05}})
    source = device_source(scene_of(path))
    assert source.categories[0]['name'] == 'bar'
    assert source.categories[0]['skeleton'] == []
    folder = frames_of(path, tmp_path / 'frames', 3)
    areas = [item['area'] for row in range(3) for item in folder.annotations(row)]
    assert len(set(areas)) == 3
    assert folder.annotations(0)[0]['seen'] is True


def test_an_installed_class_is_found_by_its_module(write):
    path = write({'name': 'bar', 'python': 'collections:OrderedDict'})
    with pytest.raises(ValueError, match='OrderedDict must have landmarks'):
        read_own_device(path)


@pytest.mark.parametrize(
    ('changes', 'error', 'message'),
    [
        ({'name': 'my rod'}, ValueError, "name must be letters.*got 'my rod'"),
        ({'parts': []}, ValueError, 'either parts .* or python'),
        ({'python': 'bar.py:Bar'}, ValueError, 'either parts .* or python'),
        ({'unit': 'inch'}, ValueError, "unit must be one of mm, m, got 'inch'"),
        ({'landmarks': {}}, ValueError, 'must name a point'),
        ({'landmarks': {'a': [0, 0]}}, ValueError, 'landmark a must be three finite numbers'),
        ({'landmarks': {'a': [0, 0, 'x']}}, ValueError, 'landmark a must be three finite'),
        ({'landmarks': {'a': [0, 0, 4000]}}, ValueError, 'landmark a .* lies far from the mesh'),
        ({'unit': 'm'}, ValueError, 'is its unit mm'),
        ({'colour': 'red'}, ValueError, "unknown settings .'colour'"),
        ({'parts': [{'mesh': 'none.stl', 'material': 'air'}]}, FileNotFoundError, 'no mesh'),
        ({'parts': [{'mesh': 'rod.stl'}]}, ValueError, 'mapping of mesh, material'),
        ({'parts': ['rod.stl']}, ValueError, 'mapping of mesh, material'),
        ({'parts': 'rod.stl'}, ValueError, "parts must be a list, got 'rod.stl'"),
        ({'landmarks': [[0, 0, 40]]}, ValueError, 'landmarks must be a mapping'),
        ({'parts': [{'mesh': 'rod.stl', 'material': 'stel'}]}, ValueError, "material 'stel'"),
        ({'parts': [{'mesh': 'sheet.stl', 'material': 'air'}]}, ValueError, 'not watertight'),
        ({'parts': [{'mesh': 'rod.stl', 'material': 'air', 'labelled': False}]}, ValueError,
         'must be labelled'),
    ],
)  # fmt: skip
def test_a_wrong_file_is_refused_with_what_is_wrong(write, changes, error, message):
    path = write(ROD | changes)
    with pytest.raises(error, match=message) as caught:
        read_own_device(path)
    assert str(path) in str(caught.value) or str(path.parent) in str(caught.value)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(
        ['rod.stl', 'nitinol', 'bar.py:Bar', 'mm', '']
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(['mesh', 'material', 'labelled', 'tip', 'length_m']), inner, max_size=3
    ),
    max_leaves=6,
)  # fmt: skip


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from([*ROD, 'unit', 'python', 'settings']), VALUES))
def test_any_content_is_read_or_refused_in_words(write, changes):
    with suppress(ValueError, FileNotFoundError):
        known = read_own_device(write(ROD | changes))
        assert known.name.isidentifier()


@pytest.mark.parametrize(
    ('python', 'settings', 'error', 'message'),
    [
        ('Bar', {}, ValueError, 'FILE.py:CLASS or MODULE:CLASS'),
        ('none.py:Bar', {}, FileNotFoundError, 'no Python file'),
        ('no_such_module:Bar', {}, ValueError, 'cannot import no_such_module'),
        ('broken.py:Bar', {}, ValueError, 'broken.py fails: ModuleNotFoundError'),
        ('bar.py:Rod', {}, ValueError, 'has no class Rod'),
        ('bar.py:Bar', {'length': 1}, ValueError, 'cannot be made with its settings'),
        ('bar.py:NoLandmarks', {}, ValueError, 'must have landmarks'),
    ],
)
def test_a_wrong_class_is_refused(write, python, settings, error, message):
    path = write({'name': 'bar', 'python': python, 'settings': settings})
    with pytest.raises(error, match=message):
        read_own_device(path)


@pytest.mark.parametrize(
    ('python', 'settings', 'message'),
    [
        ('bar.py:Wrong', {}, 'must return a DeviceShape, got NoneType'),
        ('bar.py:Bar', {'points': 2}, r'must give 1 landmarks .* got shape \(2, 3\)'),
        ('bar.py:Bar', {'length_m': float('nan')}, 'finite'),
        ('bar.py:Bar', {'inside_out': True}, 'must enclose a volume'),
    ],
)
def test_a_shape_that_cannot_be_drawn_stops_the_frame(write, tmp_path, python, settings, message):
    path = write({'name': 'bar', 'python': python, 'settings': settings})
    with pytest.raises(Exception, match=message):
        frames_of(path, tmp_path / 'frames', 1)


def test_a_missing_file_and_an_unknown_device_name_what_there_is(tmp_path):
    with pytest.raises(FileNotFoundError, match='no device file .*your_device.md'):
        read_own_device(tmp_path / 'none.yaml')
    with pytest.raises(ValueError, match=r"continuum.*your_device\.md.*got 'needle'"):
        device_source(SceneSampling(device='needle'))
