"""Studies: arms differ in what they say alone; a tiny one runs to its tables and continues."""

import json
from dataclasses import replace

import pytest

pytest.importorskip('torch', reason='training needs torch (extra `train`)')
pytest.importorskip('onnx', reason='export needs onnx (extra `train`)')

import yaml  # noqa: E402

from synthex_ros.cli import build_parser  # noqa: E402
from synthex_ros.learning import study as study_module  # noqa: E402
from synthex_ros.learning.imaging import ImagingSampling  # noqa: E402
from synthex_ros.learning.sampling import SceneSampling  # noqa: E402
from synthex_ros.learning.study import UNSEEN_IMAGING, Study, StudySettings, slug  # noqa: E402
from synthex_ros.learning.study_arms import ARMS, Arm, changed_scene  # noqa: E402
from synthex_ros.settings import as_plain  # noqa: E402


def differing(scene, other):
    """Return the dotted names of settings that differ."""
    names = set()
    for key, value in as_plain(scene).items():
        after = as_plain(other)[key]
        if isinstance(value, dict) and key in ('imaging', 'distractors'):
            names |= {f'{key}.{k}' for k in value if value[k] != after[k]}
        elif value != after:
            names.add(key)
    return names


def test_domain_arms_are_levels_times_randomization():
    arms = ARMS['domain'](500)
    assert len(arms) == 6
    scenes = {changed_scene(SceneSampling(), arm.scene).realism for arm in arms}
    assert scenes == {'naive', 'heuristic', 'realistic'}
    assert {arm.recipe['strong_probability'] for arm in arms} == {0.0, 0.5}
    for arm in arms:
        changed = differing(SceneSampling(), changed_scene(SceneSampling(), arm.scene))
        assert changed <= {'realism'}


def test_size_arms_share_their_scene():
    assert [arm.recipe['frames'] for arm in ARMS['size'](5000)] == [1000, 2000, 5000]
    assert [arm.recipe['frames'] for arm in ARMS['size'](300)] == [300]
    assert all(not arm.scene for arm in ARMS['size'](10000))


def test_ablation_arms_lack_one_part_each():
    for arm in ARMS['ablation'](500):
        changed = differing(SceneSampling(), changed_scene(SceneSampling(), arm.scene))
        groups = {name.split('.')[0] for name in changed}
        assert len(groups) == (0 if arm.name == 'everything' else 1), arm.name


@pytest.mark.parametrize('head', [True, False], ids=['with head', 'without'])
def test_patients_are_left_out_in_turn_and_all_tested_on(head, monkeypatch, tmp_path):
    monkeypatch.setattr(study_module, 'find_head', lambda: tmp_path if head else None)
    study = Study('patients', StudySettings('', ''), tmp_path)
    known = ['chest', 'head', 'phantoms'] if head else ['chest', 'phantoms']
    assert [arm.name for arm in study.arms] == [f'trained on {name}' for name in known]
    tests = study._test_scenes()
    assert list(tests) == [f'tested on {name}' for name in known]
    for arm, scene in zip(study.arms, tests.values(), strict=True):
        assert changed_scene(study.scene, arm.scene).anatomies == scene.anatomies
        assert len(scene.anatomies) == 1


def test_the_unseen_chain_lies_outside_what_training_draws():
    known = ImagingSampling()
    for name in ('scintillator_um', 'copper_mm', 'aluminium_mm', 'focal_spot_mm'):
        low, high = getattr(known, name)
        unseen = getattr(UNSEEN_IMAGING, name)
        assert unseen[0] >= high or unseen[1] <= low, name


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """Settings of a study of two arms and a few frames of the phantom."""
    arms = (Arm('one', {}, {}, '1 mm'), Arm('no noise', {'realism': 'naive'}))
    monkeypatch.setitem(study_module.ARMS, 'ablation', lambda frames: arms)
    monkeypatch.setattr(study_module, 'find_head', lambda: None)
    scene, recipe = tmp_path / 'scene.yaml', tmp_path / 'recipe.yaml'
    scene.write_text(
        yaml.safe_dump(
            {
                'anatomies': {'phantom': 1.0},
                'materials': 'standard',
                'negative_share': 0.0,
                'edge_share': 0.0,
            }
        )
    )
    recipe.write_text(
        yaml.safe_dump({'epochs': 1, 'batch_size': 2, 'crop_px': 64, 'workers': 0, 'threads': 1})
    )
    return StudySettings(str(scene), str(recipe), 4, validation_frames=2, test_frames=2, workers=1)


def test_a_tiny_study_ends_in_tables_and_continues(tiny, tmp_path):
    said = []
    values = Study('ablation', tiny, tmp_path / 'study', said.append).run()
    assert list(values['arms']) == ['one', 'no noise']
    for arm in values['arms'].values():
        assert set(arm['tests']) == {'own chain, other views', 'unseen chain'}
        assert all(0 <= test['dice_mean'] <= 1 for test in arm['tests'].values())
    text = (tmp_path / 'study' / 'ablation.md').read_text(encoding='utf-8')
    assert text.count('| one |') == text.count('| no noise |') == 2
    assert '| 1 mm |' in text
    stored = json.loads((tmp_path / 'study' / 'ablation.json').read_text(encoding='utf-8'))
    assert stored == json.loads(json.dumps(values))
    assert sum(line.startswith('training') for line in said) == 2
    again = []
    assert Study('ablation', tiny, tmp_path / 'study', again.append).run() == values
    assert not any(line.startswith(('training', 'testing')) for line in again)


def test_arms_may_begin_from_one_network_of_naive_frames(tiny, tmp_path):
    said = []
    study = Study('ablation', replace(tiny, start_epochs=2), tmp_path / 'study', said.append)
    study.run()
    trained = [line for line in said if line.startswith('training')]
    assert trained == ['training start, 2 epochs', 'training one', 'training no noise']
    for arm in ('one', 'no_noise'):
        manifest = (study.root / 'runs' / arm / 'model.json').read_text(encoding='utf-8')
        settings = json.loads(manifest)['settings']
        assert settings['start_from'] == str(study.root / 'runs' / 'start_2_epochs' / 'best.pt')
    start = json.loads((study.root / 'settings.json').read_text(encoding='utf-8'))
    assert start['start_epochs'] == 2


def test_a_folder_of_a_study_with_other_settings_is_refused(tiny, tmp_path):
    Study('ablation', tiny, tmp_path / 'study')
    Study('domain', replace(tiny, test_frames=5, workers=3), tmp_path / 'study')
    with pytest.raises(ValueError, match='study with another frames, start_epochs: choose'):
        Study('domain', replace(tiny, frames=8, start_epochs=1), tmp_path / 'study')


def test_a_negative_start_is_refused():
    with pytest.raises(ValueError, match='start_epochs must not be negative, got -1'):
        StudySettings(start_epochs=-1)


def test_the_command_offers_every_study():
    for name in ARMS:
        assert build_parser().parse_args(['study', name]).name == name
    with pytest.raises(SystemExit):
        build_parser().parse_args(['study', 'colour'])


def test_an_unknown_study_is_refused(tmp_path):
    with pytest.raises(
        ValueError, match="must be one of domain, size, ablation, patients, got 'colour'"
    ):
        Study('colour', StudySettings('', ''), tmp_path)
    assert slug('Naive, strong (50 %)') == 'naive_strong_50'
