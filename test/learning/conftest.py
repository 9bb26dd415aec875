"""A handful of frames of the procedural phantom, made once."""

import pytest

from synthex_ros.learning.generate import generate
from synthex_ros.learning.sampling import SceneSampling

FRAMES, SEED = 8, 11
SAMPLING = SceneSampling(
    anatomy='phantom',
    frames_per_view=4,
    tube_voltage_kv=(70.0, 70.0),
    collimated_share=0.3,
    negative_share=0.3,
)


@pytest.fixture(scope='session')
def sampling():
    return SAMPLING


@pytest.fixture(scope='session')
def frames_root(tmp_path_factory):
    """Folder of FRAMES frames of seed SEED, made without a stop."""
    root = tmp_path_factory.mktemp('data') / 'frames'
    assert list(generate(SAMPLING, FRAMES, root, SEED, workers=1)) == [0, 4, 8]
    return root
