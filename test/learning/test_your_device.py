"""The tutorial `docs/your_device.md` does what it says: its files are written, its commands run.

Numbers of frames and epochs, and the size of batches, are cut down.
"""

import json
import re
import runpy
import shlex
from pathlib import Path

import pytest
import yaml

pytest.importorskip('torch', reason='training needs torch (extra `train`)')
pytest.importorskip('onnx', reason='export needs onnx (extra `train`)')

from synthex_ros.cli import main  # noqa: E402
from synthex_ros.learning.coco import CocoFolder  # noqa: E402
from synthex_ros.learning.own_device_file import read_own_device  # noqa: E402
from synthex_ros.tracking.model import TrackerModel  # noqa: E402

TUTORIAL = Path(__file__).parents[2] / 'docs' / 'your_device.md'
FILE = re.compile(r'^`([\w.]+)`:\n\n```\w+\n(.*?)^```$', re.MULTILINE | re.DOTALL)
COMMANDS = re.compile(r'^```bash\n(.*?)^```$', re.MULTILINE | re.DOTALL)
FRAMES, EPOCHS = 6, 1


def run(line):
    """Run a command of the tutorial in the working directory, with few frames."""
    words = shlex.split(line)
    if words[0] == 'python':
        runpy.run_path(words[1], run_name='__main__')
        return
    assert words[0] == 'synthex', line
    if '--frames' in words:
        words[words.index('--frames') + 1] = str(FRAMES)
        words += ['--workers', '1']
    assert main(words[1:]) == 0, line


def shortened(name, text):
    """Return a file of the tutorial; of the recipe for a few frames."""
    if name != 'recipe.yaml':
        return text
    recipe = yaml.safe_load(text)
    few = {'epochs': EPOCHS, 'batch_size': 2, 'crop_px': 64, 'workers': 0, 'threads': 1}
    return yaml.safe_dump(recipe | few)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """The tutorial's folder after all of its commands."""
    root = tmp_path_factory.mktemp('tutorial')
    text = TUTORIAL.read_text(encoding='utf-8')
    files = dict(FILE.findall(text))
    assert {'make_needle.py', 'needle.yaml', 'scene.yaml', 'recipe.yaml'} < set(files)
    for name, content in files.items():
        (root / name).write_text(shortened(name, content), encoding='utf-8')
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        for block in COMMANDS.findall(text):
            for line in block.splitlines():
                run(line)
    return root


def test_frames_show_the_needle_where_its_labels_say(folder):
    frames = CocoFolder(folder / 'data/needle/train')
    assert frames.classes == ('background', 'biopsy_needle')
    assert len(frames.images) == FRAMES
    shown = [item for row in range(FRAMES) for item in frames.annotations(row)]
    assert shown, 'three of four frames have a needle'
    for item in shown:
        assert item['snr'] > 0
        assert len(item['keypoints']) == 6
    assert (folder / 'data/needle/train/preview.png').stat().st_size > 10_000


def test_the_model_knows_the_needle_and_is_scored(folder):
    model = TrackerModel(folder / 'needle.onnx')
    assert model.metadata.classes == ('background', 'biopsy_needle')
    assert model.metadata.landmarks == ('hub', 'tip')
    scores = json.loads((folder / 'report/evaluation.json').read_text(encoding='utf-8'))
    assert scores['frames'] == FRAMES
    assert (folder / 'report/evaluation.html').is_file()


def test_the_class_bends_the_needle_within_its_settings(folder):
    known = read_own_device(folder / 'bent_needle.yaml')
    assert known.about['settings'] == {'most_deg': 30.0}
    frames = CocoFolder(folder / 'data/bent/train')
    bends = [item['bend_rad'] for row in range(FRAMES) for item in frames.annotations(row)]
    assert len(set(bends)) == len(bends) > 0
    assert all(0 < bend < 0.5236 for bend in bends)
