"""A handful of frames of the procedural phantom, made once."""

import pytest

from synthex_ros.learning.distractors import Distractors
from synthex_ros.learning.generate import generate
from synthex_ros.learning.imaging import ImagingSampling
from synthex_ros.learning.sampling import SceneSampling

FRAMES, SEED = 16, 28
SAMPLING = SceneSampling(
    anatomies={'phantom': 1.0},
    materials='standard',
    frames_per_view=4,
    negative_share=0.3,
    imaging=ImagingSampling(tube_voltage_kv=(70.0, 70.0), collimated_share=0.5, lag_share=0.3),
    distractors=Distractors(share=0.5, negative_share=0.5),
)


@pytest.fixture(scope='session')
def sampling():
    return SAMPLING


@pytest.fixture(scope='session')
def frames_root(tmp_path_factory):
    """Folder of FRAMES frames of seed SEED, made without a stop."""
    root = tmp_path_factory.mktemp('data') / 'frames'
    assert list(generate(SAMPLING, FRAMES, root, SEED, workers=1)) == [0, 4, 8, 12, 16]
    return root


@pytest.fixture(scope='session')
def validation_root(tmp_path_factory):
    """Folder of four frames of another seed."""
    root = tmp_path_factory.mktemp('data') / 'validation'
    list(generate(SAMPLING, 4, root, SEED + 1, workers=1))
    return root


@pytest.fixture(scope='module')
def one_thread():
    """Threads that wait for each other are slow beside other work on the machine."""
    torch = pytest.importorskip('torch')
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
