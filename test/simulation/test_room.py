"""The room exposes what is true: device in the mask, breathing in the anatomy, seeded noise."""

import numpy as np
import pytest

from synthex_ros.devices.continuum.parameters import ContinuumParameters
from synthex_ros.geometry import CArm, make_pose
from synthex_ros.simulation.breathing import Breathing
from synthex_ros.simulation.build import RoomSettings, build_room
from synthex_ros.xray.collimator import Collimator
from synthex_ros.xray.imaging_chain import ImagingChain
from synthex_ros.xray.lag import Lag
from synthex_ros.xray.renderer import Technique


def build(breathing=None, seed=0, base_z_m=-0.06, anatomy_px=64, **kwargs):
    return build_room(
        RoomSettings(
            anatomy='phantom',
            isocenter_patient_m=(0.0, 0.0, 0.0),
            device=ContinuumParameters(),
            device_start=(0.03, 0.0, 0.001, -0.001),
            device_enabled=True,
            command_max_age_s=0.5,
            world_from_device_base=make_pose(translation_m=(0, 0, base_z_m)),
            carm=CArm(pixel_pitch_m=2.4e-3, detector_px=128, binning=1),
            carm_start=(0.0, 0.0, 0.0, 1.02),
            technique=Technique(),
            breathing=breathing or Breathing(),
            anatomy_px=anatomy_px,
            seed=seed,
            **kwargs,
        )
    )


@pytest.fixture(scope='module')
def still():
    return build()


def test_truth_agrees_with_itself(still):
    still.room.reset()
    exposure = still.room.expose(1)
    base, tip = exposure.landmarks_px
    assert np.allclose(exposure.view.project(exposure.world_from_tip[:3, 3]), tip)
    line = exposure.view.project(exposure.centerline_world_m)
    assert np.allclose(line[[0, -1]], [base, tip], atol=1e-6)
    middle_u, middle_v = np.round(line[len(line) // 2]).astype(int)
    mask = exposure.radiograph.mask
    assert mask[middle_v - 2 : middle_v + 3, middle_u - 2 : middle_u + 3].any()
    rows, columns = np.nonzero(mask)
    assert rows.min() >= min(base[1], tip[1]) - 4
    assert rows.max() <= max(base[1], tip[1]) + 4


def test_same_seed_same_frames_after_reset_and_each_frame_has_its_own_noise(still):
    still.room.reset()
    first = [still.room.expose(k).radiograph.counts for k in range(2)]
    still.room.reset()
    again = [still.room.expose(k).radiograph.counts for k in range(2)]
    assert np.array_equal(first, again)
    assert not np.array_equal(first[0], first[1])


def test_dose_adds_up(still):
    still.room.reset()
    kerma = [still.room.expose(k).radiograph.air_kerma_gy for k in range(3)]
    assert still.room.air_kerma_gy == pytest.approx(sum(kerma))
    assert kerma[0] > 0


def test_time_cannot_go_back(still):
    with pytest.raises(ValueError, match='back'):
        still.room.advance(-0.1)


def test_breathing_moves_the_anatomy_and_leaves_the_device():
    breathing = Breathing(amplitude_m=0.02, period_s=4.0, phases=5)
    room = build(breathing, base_z_m=-0.06).room
    rest = room.expose(0)
    room.advance(2.0)
    inspired = room.expose(1)
    room.advance(2.0)
    expired = room.expose(2)
    assert np.allclose(rest.landmarks_px, inspired.landmarks_px, atol=1e-3)

    def difference(a, b):
        signal_a, signal_b = (np.log1p(x.radiograph.counts.astype(float)) for x in (a, b))
        return float(np.sqrt(np.mean((signal_a - signal_b) ** 2)))

    assert difference(rest, inspired) > 2 * difference(rest, expired)


def test_exposure_control_lets_the_charge_follow_the_patient():
    set_low, set_high = (build(detector_kerma_gy=kerma) for kerma in (5e-9, 20e-9))
    charges = [made.room.expose(0).radiograph.technique.charge_mas for made in (set_low, set_high)]
    assert charges[1] == pytest.approx(4 * charges[0], rel=1e-3)


def test_lag_is_carried_from_frame_to_frame_and_forgotten_on_reset():
    chain = ImagingChain(lag=Lag(((0.3, 1.0),)))
    made = build(chain=chain)
    first, second = (made.room.expose(k).radiograph.counts.mean() for k in range(2))
    kept, left = 1 - 0.3 * np.exp(-1 / 15), 0.3 * np.exp(-1 / 15) * (1 - np.exp(-1 / 15))
    assert second / first == pytest.approx((kept + left) / kept, rel=1e-3)
    made.room.reset()
    again = made.room.expose(0).radiograph.counts.mean()
    assert again == first


def test_simpler_realism_has_no_noise_and_one_energy():
    made = build(realism='naive', chain=ImagingChain.full())
    counts = [made.room.expose(k).radiograph.counts for k in range(2)]
    np.testing.assert_array_equal(*counts)
    real = build().room
    assert not np.array_equal(*(real.expose(k).radiograph.counts for k in range(2)))


def test_kerma_area_product_is_that_of_the_open_field():
    whole, half = (
        build(chain=ImagingChain(collimator=Collimator(left=left))).room.expose(0).radiograph
        for left in (0.0, 0.5)
    )
    ratio = half.kerma_area_product_gy_m2 / whole.kerma_area_product_gy_m2
    assert ratio == pytest.approx(0.5)
    assert half.air_kerma_gy == whole.air_kerma_gy


def test_room_breathes_and_says_what_does_not_go_together():
    breathing = Breathing(amplitude_m=0.015)
    made = build(breathing, breathing_model='deformable', background=False)
    rest = made.room.expose(0)
    made.room.advance(2.0)
    inspired = made.room.expose(1)
    np.testing.assert_allclose(rest.landmarks_px, inspired.landmarks_px, atol=1e-3)
    assert np.abs(np.diff([x.radiograph.counts.astype(float) for x in (rest, inspired)])).max() > 0
    with pytest.raises(ValueError, match='needs breathing_model'):
        build(heartbeat_amplitude_m=0.003)
    with pytest.raises(ValueError, match='rigid, deformable'):
        build(breathing, breathing_model='elastic')


def test_a_moving_c_arm_sees_a_draft_and_the_anatomy_when_it_rests():
    """A draft has half the samples: nearly the same picture; at rest it is the whole again."""
    made, still = build(anatomy_px=128), build(anatomy_px=128)
    made.room.axes.move([0.5], [[0.2, 0.0, 0.0, 1.02]])
    made.room.advance(0.25)
    assert made.room.axes.moving
    draft = made.room._anatomy(made.room.axes.view())
    whole = made.room._renderer.anatomy(draft.view)
    assert draft.grid.samples.shape_px < whole.grid.samples.shape_px
    ratio = draft.signal_kev / whole.signal_kev
    assert np.abs(ratio - 1).max() > 0
    assert np.sqrt(np.mean((ratio - 1) ** 2)) < 0.05
    made.room.advance(1.0)
    still.room.axes.move([0.1], [[0.2, 0.0, 0.0, 1.02]])
    still.room.advance(1.0)
    views = [room.axes.view() for room in (made.room, still.room)]
    layers = [item.room._anatomy(view) for item, view in zip((made, still), views, strict=True)]
    np.testing.assert_allclose(layers[0].signal_kev, layers[1].signal_kev, rtol=1e-5)
