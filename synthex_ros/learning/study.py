"""Studies: several trainings that differ in one thing, tested alike, and one table of them.

Every step is kept in the study's folder: an interrupted study continues, and frames that two arms
share are made once. Tests are held-out views of the scene, another CT through another imaging
chain (the head, where it is installed), and any COCO folders of the user's; a study of patients
tests on each of them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from synthex_ros.anatomy.samples import find_head
from synthex_ros.evaluation.model_evaluation import OnnxPredictor
from synthex_ros.evaluation.model_report import report_model
from synthex_ros.learning.generate import generate
from synthex_ros.learning.imaging import ImagingSampling
from synthex_ros.learning.sampling import SceneSampling
from synthex_ros.learning.study_arms import ARMS, PATIENTS, REGULAR, Arm, changed_scene
from synthex_ros.settings import as_plain, load_settings

UNSEEN_IMAGING = ImagingSampling(
    tube_voltage_kv=(75.0, 125.0),
    aluminium_mm=(4.0, 6.0),
    copper_mm=(0.3, 0.6),
    detector_kerma_ngy=(5.0, 60.0),
    focal_spot_mm=(1.0, 1.4),
    blur_mm=(0.2, 0.3),
    scintillator_um=(350.0, 450.0),
    electronic_noise_counts=(10.0, 30.0),
    open_field_fraction=(1.5, 4.0),
)
"""A chain whose spectrum, panel and noise lie outside the ranges that training draws from."""

_TRAIN, _VALIDATION, _TEST = 0, 1, 2


@dataclass(frozen=True)
class StudySettings:
    """What the arms of a study share.

    Attributes:
        scene: YAML file of the scene; empty for the defaults.
        recipe: YAML file of the training; empty for the defaults.
        frames: training frames of an arm, the greatest of a size study.
        start_epochs: before them all arms learn together from as many naive frames of phantoms,
            with regular randomization, for so many epochs; 0 for nothing. Noise, scatter and
            strong randomization take many more steps to begin with than to go on with.
        validation_frames: for the choice of the best epoch.
        test_frames: of each generated test set.
        tests: COCO folders to test on as well, such as frames of another simulator.
        seed: first of three seeds: training, validation and test frames.
        workers: processes that make frames.
    """

    scene: str = 'config/generate_cm.yaml'
    recipe: str = 'config/train_cm.yaml'
    frames: int = 10000
    start_epochs: int = 0
    validation_frames: int = 300
    test_frames: int = 500
    tests: tuple[str, ...] = ()
    seed: int = 100
    workers: int = 2

    def __post_init__(self):
        for name in ('frames', 'validation_frames', 'test_frames', 'workers'):
            if getattr(self, name) < 1:
                raise ValueError(f'{name} must be at least 1, got {getattr(self, name)}')
        if self.start_epochs < 0:
            raise ValueError(f'start_epochs must not be negative, got {self.start_epochs}')


class Study:
    """A study in a folder: data/, runs/ and tables.

    Args:
        name: 'domain', 'size', 'ablation' or 'patients'.
        settings: what the arms share.
        root: folder of the study.
        say: called with a line for every step.

    Raises:
        ValueError: there is no such study, or the folder holds one with other settings.
    """

    def __init__(
        self,
        name: str,
        settings: StudySettings,
        root: str | Path,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        from synthex_ros.learning.training import TrainingSettings

        if name not in ARMS:
            raise ValueError(f'study must be one of {", ".join(ARMS)}, got {name!r}')
        self.name, self.settings, self.root, self._say = name, settings, Path(root), say
        self.scene = load_settings(SceneSampling, settings.scene or None)
        self.recipe = load_settings(TrainingSettings, settings.recipe or None)
        self._keep_settings()
        self._head = find_head() is not None
        self.arms: Sequence[Arm] = [
            arm
            for arm in ARMS[name](settings.frames)
            if self._head or 'head' not in arm.scene.get('anatomies', {})
        ]

    def run(self) -> dict[str, Any]:
        """Train and test every arm; write study.json and study.md and return the numbers."""
        tests = self._tests()
        rows = {}
        for arm in self.arms:
            model = self._train(arm)
            rows[arm.name] = {
                'beside': arm.beside,
                'tests': {
                    name: self._score(arm, model, name, data) for name, data in tests.items()
                },
            }
        values = {'study': self.name, 'settings': as_plain(self.settings), 'arms': rows}
        text = json.dumps(values, indent=1)
        (self.root / f'{self.name}.json').write_text(text + '\n', encoding='utf-8')
        (self.root / f'{self.name}.md').write_text(table(values), encoding='utf-8')
        return values

    def _keep_settings(self) -> None:
        """Write what trainings depend on beside them; refuse a folder of other settings."""
        shared = ('frames', 'start_epochs', 'validation_frames', 'seed')
        content = {name: getattr(self.settings, name) for name in shared}
        content |= {'scene': as_plain(self.scene), 'recipe': as_plain(self.recipe)}
        text = json.dumps(content, indent=1, sort_keys=True) + '\n'
        plain = json.loads(text)
        file = self.root / 'settings.json'
        if file.is_file():
            known = json.loads(file.read_text(encoding='utf-8'))
            changed = [name for name in plain if plain[name] != known.get(name)]
            if changed:
                raise ValueError(
                    f'{self.root} holds a study with another {", ".join(changed)}: choose another '
                    'folder, or the settings that it was begun with'
                )
        self.root.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding='utf-8')

    def _tests(self) -> dict[str, Path]:
        """Make the test frames and return their folders by name."""
        made = {
            name: self._frames(scene, self.settings.test_frames, _TEST)
            for name, scene in self._test_scenes().items()
        }
        return made | {Path(folder).name: Path(folder) for folder in self.settings.tests}

    def _test_scenes(self) -> dict[str, SceneSampling]:
        if self.name == 'patients':
            names = [name for name in PATIENTS if self._head or name != 'head']
            return {
                f'tested on {name}': replace(self.scene, anatomies={name: 1.0}) for name in names
            }
        unseen = replace(self.scene, imaging=UNSEEN_IMAGING)
        scenes = {'own chain, other views': self.scene, 'unseen chain': unseen}
        if self._head:
            scenes['unseen chain, head CT'] = replace(unseen, anatomies={'head': 1.0})
        return scenes

    def _frames(self, scene: SceneSampling, frames: int, kind: int) -> Path:
        """Make frames of a scene and return their folder, named by scene and seed."""
        seed = self.settings.seed + kind
        text = json.dumps([as_plain(scene), seed], sort_keys=True)
        folder = self.root / 'data' / hashlib.sha256(text.encode()).hexdigest()[:12]
        self._say(f'{frames} frames in {folder}')
        for _ in generate(scene, frames, folder, seed, self.settings.workers):
            pass
        return folder

    def _train(self, arm: Arm) -> Path:
        """Train an arm, unless it is, and return its model file."""
        from synthex_ros.learning.export import export

        model = self.root / 'runs' / slug(arm.name) / 'model.onnx'
        if not model.is_file():
            changes = dict(arm.recipe)
            if self.settings.start_epochs:
                changes['start_from'] = str(self._start)
            best = self._trained(arm.name, changed_scene(self.scene, arm.scene), changes)
            export(best, model)
        return model

    @cached_property
    def _start(self) -> Path:
        """Weights that all arms begin from, trained when the first arm needs them."""
        scene = replace(self.scene, realism='naive', anatomies={'phantoms': 1.0})
        epochs = self.settings.start_epochs
        changes = {
            'frames': self.settings.frames,
            'epochs': epochs,
            'strong_probability': REGULAR,
        }
        return self._trained(f'start, {epochs} epochs', scene, changes)

    def _trained(self, name: str, scene: SceneSampling, changes: Mapping[str, Any]) -> Path:
        """Train on frames of a scene, or go on with it, and return the best weights."""
        from synthex_ros.learning.training import Training

        run = self.root / 'runs' / slug(name)
        recipe = replace(
            self.recipe,
            train=str(self._frames(scene, self.settings.frames, _TRAIN)),
            validation=str(self._frames(scene, self.settings.validation_frames, _VALIDATION)),
            **changes,
        )
        self._say(f'training {name}')
        Training(recipe, run, resume=(run / 'checkpoint.pt').is_file()).run()
        return run / 'best.pt'

    def _score(self, arm: Arm, model: Path, test: str, data: Path) -> dict[str, Any]:
        out = model.parent / slug(test)
        if not (out / 'evaluation.json').is_file():
            self._say(f'testing {arm.name} on {test}')
            report_model(OnnxPredictor(model), arm.name, data, out)
        values = json.loads((out / 'evaluation.json').read_text(encoding='utf-8'))
        errors = values['errors']['all landmarks [mm]']
        return {
            'mean_mm': errors['all']['mean'],
            'median_mm': errors['all']['median'],
            'std_mm': errors['all']['std'],
            'gated_mean_mm': errors['gated']['mean'],
            'gated_std_mm': errors['gated']['std'],
            'detection_rate': values['detection_rate'],
            'dice_mean': values['dice_mean'],
            'false_alarms': values['false_alarms']['landmark']['share'],
        }


def slug(name: str) -> str:
    """Return a name as a file name."""
    return '_'.join(''.join(c if c.isalnum() else ' ' for c in name.lower()).split())


def table(values: Mapping[str, Any]) -> str:
    """Return the results as Markdown: a table for each test, SyntheX's figures beside."""
    tests = next(iter(values['arms'].values()))['tests']
    parts = [f'# Study: {values["study"]}\n']
    for test in tests:
        parts.append(
            f'## {test}\n\n'
            '| arm | all [mm] | median | NCC > 0.9 [mm] | detected | Dice '
            '| false alarms | SyntheX |\n'
            '| --- | --- | --- | --- | --- | --- | --- | --- |'
        )
        for name, arm in values['arms'].items():
            v = arm['tests'][test]
            parts.append(
                f'| {name} | {_spread(v["mean_mm"], v["std_mm"])} | '
                f'{_number(v["median_mm"], 2)} | '
                f'{_spread(v["gated_mean_mm"], v["gated_std_mm"])} | '
                f'{_percent(v["detection_rate"])} | {_number(v["dice_mean"], 3)} | '
                f'{_percent(v["false_alarms"])} | {arm["beside"] or "–"} |'
            )
        parts.append('')
    parts.append(
        'SyntheX: hip landmarks of cadaver images above the gate, and Dice (Gao et al., Nature '
        'Machine Intelligence 5, 2023): another anatomy and task, so compare trends, not values.\n'
    )
    return '\n'.join(parts)


def _spread(mean: float | None, deviation: float | None) -> str:
    return f'{_number(mean, 2)} ± {_number(deviation, 2)}'


def _number(value: float | None, decimals: int) -> str:
    return '–' if value is None else f'{value:.{decimals}f}'


def _percent(value: float | None) -> str:
    return '–' if value is None else f'{100 * value:.1f} %'
