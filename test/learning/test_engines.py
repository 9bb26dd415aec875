"""The same bytes whoever makes them: workers that are killed, a Ray cluster."""

import multiprocessing
import os
import signal

import pytest

from synthex_ros.learning.generate import generate

from .conftest import FRAMES, SAMPLING, SEED


def contents(root):
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob('*'))
        if path.is_file()
    }


def test_a_killed_worker_is_replaced_and_nothing_is_lost(frames_root, tmp_path):
    running = generate(SAMPLING, FRAMES, tmp_path, SEED, workers=1)
    assert [next(running), next(running)] == [0, 4]
    logged = (tmp_path / 'log.jsonl').read_bytes()
    killed = [child.pid for child in multiprocessing.active_children()]
    assert killed
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    first = next(running)
    assert (tmp_path / 'log.jsonl').read_bytes().startswith(logged)
    assert [first, *running][-1] == FRAMES
    assert contents(tmp_path) == contents(frames_root)


def test_an_error_in_a_worker_is_no_kill(tmp_path):
    broken = type(SAMPLING)(anatomies={'phantom': 1.0}, materials='no such material')
    with pytest.raises(ValueError, match='no such material'):
        list(generate(broken, 2, tmp_path, SEED, workers=1))


@pytest.mark.filterwarnings('ignore')
def test_a_ray_cluster_makes_the_same_bytes(frames_root, tmp_path):
    ray = pytest.importorskip('ray', reason='needs the extra `ray`')
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
    try:
        assert list(generate(SAMPLING, FRAMES, tmp_path, SEED, 1, 'ray'))[-1] == FRAMES
    finally:
        ray.shutdown()
    assert contents(tmp_path) == contents(frames_root)


def test_an_unknown_engine_is_refused(tmp_path):
    with pytest.raises(ValueError, match="must be one of processes, ray, got 'slurm'"):
        next(generate(SAMPLING, 1, tmp_path, SEED, engine='slurm'))
