"""The controller node and the measured field: used where a law asks for it and it makes sense."""

import time

import numpy as np
import pytest

rclpy = pytest.importorskip('rclpy')

from rclpy.parameter import Parameter  # noqa: E402
from sensor_msgs.msg import MagneticField  # noqa: E402

from control_node.node import ControlNode  # noqa: E402
from synthex_ros.control.magnetic.rolling_field import FRESH_NS  # noqa: E402
from synthex_ros.ros import field_messages, messages, qos, topics  # noqa: E402

pytestmark = pytest.mark.graph

STEP_NS = 20_000_000
RATE_RAD_S = 2.0


class Rig:
    """A controller node of a soft robot, and a drive that says what field it makes."""

    def __init__(self, context, executor, lead_rad):
        values = {
            'controller': 'magnetic',
            'device': 'soft_robot',
            'time_mode': 'lockstep',
            'use_sim_time': True,
            'field_lead_rad': lead_rad,
        }
        self._executor = executor
        self.control = ControlNode(
            context=context,
            parameter_overrides=[Parameter(key, value=value) for key, value in values.items()],
        )
        self.drive = rclpy.create_node('drive', context=context)
        self.field = self.drive.create_publisher(MagneticField, topics.MEASURED_FIELD, qos.STATE)
        for node in (self.control, self.drive):
            executor.add_node(node)
        self.spin(lambda: self.control.state == 'active')

    def spin(self, condition, deadline_s=20.0):
        end = time.monotonic() + deadline_s
        while not condition():
            assert time.monotonic() < end, 'condition not met before the deadline'
            self._executor.spin_once(timeout_sec=0.02)

    def publish(self, step, field_t, frame='world'):
        header = messages.make_header(step * STEP_NS, frame)
        self.field.publish(field_messages.to_field(field_t, header))


@pytest.fixture
def start(domain):
    context, executor = domain
    made = []

    def build(lead_rad):
        made.append(Rig(context, executor, lead_rad))
        return made[-1]

    yield build
    for rig in made:
        rig.control.shut_down()
        for node in (rig.control, rig.drive):
            executor.remove_node(node)
            node.destroy_node()


def test_a_turning_field_tells_the_law_how_the_robot_rolls(start):
    """About -x on the posterior wall: along +z with R omega."""
    rig = start(1.0)
    rig.spin(lambda: rig.field.get_subscription_count() == 1)
    law = rig.control.controller.law
    for step in range(1, 6):
        angle = RATE_RAD_S * step * STEP_NS * 1e-9
        rig.publish(step, 1.2e-3 * np.array([0.0, np.sin(angle), np.cos(angle)]))
    last_ns = 5 * STEP_NS
    rig.spin(lambda: law.rolling.rolled_m_s(last_ns + FRESH_NS - 1) is not None)
    speed_m_s = law.model.radius_m * RATE_RAD_S
    np.testing.assert_allclose(law.rolling.rolled_m_s(last_ns), [0.0, 0.0, speed_m_s], atol=1e-6)
    assert law.rolling.rolled_m_s(last_ns + FRESH_NS) is None


@pytest.mark.parametrize(
    ('field_t', 'frame'), [([np.nan, 0.0, 1e-3], 'world'), ([0.0, 0.0, 1e-3], 'coils')]
)
def test_a_measured_field_without_sense_is_refused_and_counted(start, field_t, frame):
    rig = start(1.0)
    rig.spin(lambda: rig.field.get_subscription_count() == 1)
    rig.publish(1, field_t, frame)
    rig.spin(lambda: rig.control.controller.rejections['measured_field'] == 1)
    assert rig.control.controller.law.rolling.rolled_m_s(STEP_NS) is None


def test_a_law_that_does_not_look_at_the_field_made_does_not_listen(start):
    rig = start(0.0)
    assert rig.drive.count_subscribers(topics.MEASURED_FIELD) == 0
