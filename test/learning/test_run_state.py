"""The state of a training run: its rate, its averaged weights, and checkpoints of any age."""

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='training needs torch (extra `train`)')

from synthex_ros.learning.run_state import (  # noqa: E402
    CosineRate,
    RunState,
    load_checkpoint,
    move_average,
    steps_of,
)


def small_state(root, seed=0):
    torch.manual_seed(seed)
    return RunState(torch.nn.Linear(3, 2), root, 1e-2, 1e-3, 0.998)


def learn(state, steps):
    """Let a linear layer learn to double its input."""
    x = torch.linspace(-1, 1, 12).reshape(4, 3)
    for _ in range(steps):
        state.descend(((state.network(x) - 2 * x[:, :2]) ** 2).mean(), 1e-2)


def test_an_epoch_is_of_whole_batches_one_at_least():
    assert steps_of(16, 16) == 1
    assert steps_of(50, 16) == 3
    with pytest.raises(ValueError, match='batch_size must be at most .* 6, got 16'):
        steps_of(6, 16)


def test_rate_rises_evenly_and_falls_as_a_cosine_to_a_twohundredth():
    rate = CosineRate(2.0, 100, 0.1)
    values = np.array([rate.at(step) for step in range(101)])
    np.testing.assert_allclose(values[:10], 0.2 * np.arange(1, 11))
    assert values[10] == pytest.approx(2.0)
    assert values[55] == pytest.approx(2.0 * (0.005 + 0.995 / 2))
    assert values[100] == pytest.approx(0.01)
    assert (np.diff(values[10:]) < 0).all()


def test_rate_of_a_run_without_steps_is_finite():
    assert np.isfinite(CosineRate(1.0, 0, 0.1).at(0))


def test_average_of_a_module_keeps_its_counters_and_mixes_its_weights():
    old, new = torch.nn.BatchNorm1d(2), torch.nn.BatchNorm1d(2)
    with torch.no_grad():
        new.weight.fill_(3.0)
        new.num_batches_tracked.fill_(7)
    move_average(old, new, 0.75)
    assert old.weight.tolist() == [1.5, 1.5]
    assert old.num_batches_tracked.item() == 7


def test_steps_lower_the_loss_and_the_average_follows(tmp_path):
    state = small_state(tmp_path)
    start = state.average.weight.clone()
    learn(state, 300)
    assert state.step == 300
    far = (start - state.network.weight).abs().max()
    assert (state.average.weight - state.network.weight).abs().max() < 0.2 * far


def test_best_file_is_that_of_the_best_epoch(tmp_path):
    state = small_state(tmp_path)
    for epoch, better in ((1, True), (2, False)):
        state.epoch = epoch
        state.save({'epoch': epoch}, better, {'settings': {'seed': 0}})
    assert load_checkpoint(tmp_path / 'best.pt')['epoch'] == 1
    assert load_checkpoint(tmp_path / 'checkpoint.pt')['epoch'] == 2
    assert len((tmp_path / 'history.jsonl').read_text().splitlines()) == 2


def test_checkpoint_of_an_earlier_release_is_resumed(tmp_path):
    """Files of runs begun before this module have the keys written here."""
    before = small_state(tmp_path, 1)
    learn(before, 3)
    optimizer = before._optimizer.state_dict()
    torch.save(
        {
            'settings': {'seed': 4}, 'network': before.network.state_dict(),
            'average': before.average.state_dict(), 'optimizer': optimizer,
            'epoch': 1, 'step': 3, 'seconds': 12.5, 'best': 0.25, 'validation': {'epoch': 1},
            'train_data': {'seed': 4}, 'train_frames': 8, 'validation_data': {'seed': 5},
        },
        tmp_path / 'checkpoint.pt',
    )  # fmt: skip
    after = small_state(tmp_path, 2)
    after.resume()
    assert (after.epoch, after.step, after.seconds, after.best) == (1, 3, 12.5, 0.25)
    learn(before, 5)
    learn(after, 5)
    for one, two in ((before.network, after.network), (before.average, after.average)):
        assert torch.equal(one.weight, two.weight)


def test_nothing_to_resume_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='no checkpoint .*run `synthex train` first'):
        small_state(tmp_path).resume()
