"""After configure, the first frame, answer and motion need no kernel that is not there."""

import subprocess
import sys

import numpy as np
import pytest

from control_node.magnetic import build_magnetic_controller
from control_node.params import ControlParams
from sim_node.params import SimParams
from sim_node.settings import room_settings
from synthex_ros.simulation.build import build_room

SMALL = {
    'anatomy': 'phantom',
    'anatomy_px': 64,
    'detector_px': 128,
    'pixel_pitch_m': 2.4e-3,
    'binning': 1,
}

COMPILED = """
import sys
from numba.core.registry import CPUDispatcher

def compiled():
    found = set()
    for name, module in list(sys.modules.items()):
        if name.split('.')[0] == 'synthex_ros':
            for item in vars(module).values():
                if isinstance(item, CPUDispatcher):
                    found |= {(item.__qualname__, str(types)) for types in item.signatures}
    return found
"""
IMAGER = """
from sim_node.params import SimParams
from sim_node.settings import room_settings
from synthex_ros.simulation.build import build_room

room = build_room(room_settings(SimParams(**SMALL))).room
before = compiled()
exposure = room.expose(0)
room.expose(1)
assert exposure.radiograph.mask.any()
"""
DEVICE = """
import numpy as np
from sim_node.params import SimParams
from sim_node.settings import room_settings
from synthex_ros.control.magnetic.field_guard import FieldCommand
from synthex_ros.simulation.build import build_room

SMALL |= {'anatomy': 'vessel_phantom', 'vessels': 'tube', 'device': 'droplet',
          'vessel_pose': (0.0, 0.0, -0.06, 0.0, 0.0, 0.0), 'field_source': 'octomag_like'}
SMALL |= {'vessel_radius_m': 3e-3, 'device_base_pose': (0.0, 0.0, -0.01, 0.0, 0.0, 0.0)}
SMALL |= {'device_start': (0.0, 0.0, 0.0, 0.0), 'flow_m_s': 0.01}
built = build_room(room_settings(SimParams(**SMALL)))
before = compiled()
command = FieldCommand('world', (0.0, 0.0, 0.01), (0.0, 0.0, -0.01), np.zeros(3), 1.0)
assert built.device.servo_field(command, 1.0) is None
built.room.advance(0.1)
built.room.expose(0)
"""
CONTROLLER = """
import numpy as np
from control_node.magnetic import build_magnetic_controller
from control_node.params import ControlParams
from synthex_ros.control.frame import TrackedFrame
from synthex_ros.control.reference import TargetGoal
from synthex_ros.geometry import CArm

params = ControlParams(
    controller='magnetic', device='droplet', vessels='tube', vessel_radius_m=3e-3, flow_m_s=0.01,
    vessel_pose=(0.0, 0.0, -0.06, 0.0, 0.0, 0.0),
)
controller, view, tip = build_magnetic_controller(params), CArm().view(), np.zeros(3)
before = compiled()
controller.goals.add(TargetGoal([0.0, 0.0, 4e-3]))
spread = np.diag([3e-4, 1.5e-3, 3e-4]) ** 2
frame = TrackedFrame(10**9, '', view, view.project(tip), 0.95, tip, spread)
assert not controller.answer(frame, 1_100_000_000).held
"""
VERDICT = """
assert before, 'no kernel was there at all'
late = sorted(compiled() - before)
assert not late, late
"""


@pytest.mark.parametrize('first', [IMAGER, DEVICE, CONTROLLER], ids=['frame', 'motion', 'answer'])
def test_nothing_is_compiled_after_configure(first):
    code = f'SMALL = {SMALL!r}\n' + COMPILED + first + VERDICT
    result = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_a_controller_of_vessels_without_flow_has_nothing_to_compile():
    params = ControlParams(controller='magnetic', device='droplet', vessels='tube', flow_m_s=0.0)
    assert not build_magnetic_controller(params).law.rolls


def test_the_frame_that_is_thrown_away_leaves_nothing_behind():
    """Neither lag nor noise, nor a count."""
    once, twice = (
        build_room(room_settings(SimParams(**SMALL, imaging_chain='full'))).room for _ in range(2)
    )
    twice.prepare()
    assert twice.exposures == 0
    assert twice.air_kerma_gy == 0
    for index in range(2):
        frames = [room.expose(index).radiograph.counts for room in (once, twice)]
        np.testing.assert_array_equal(*frames)
