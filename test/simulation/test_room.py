"""The room exposes what is true: device in the mask, breathing in the anatomy, seeded noise."""

import numpy as np
import pytest

from synthex_ros.devices.continuum.parameters import ContinuumParameters
from synthex_ros.geometry import CArm, make_pose
from synthex_ros.simulation.breathing import Breathing
from synthex_ros.simulation.build import RoomSettings, build_room
from synthex_ros.xray.renderer import Technique


def build(breathing=None, seed=0, base_z_m=-0.06):
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
            anatomy_px=64,
            seed=seed,
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
