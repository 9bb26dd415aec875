"""Lifecycle, parameters and QoS of managed nodes in one process."""

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_msgs.msg import String
from talker import Talker

from synthex_ros.ros import qos, topics

pytestmark = pytest.mark.graph


def make(local, **parameters):
    overrides = [Parameter(name, value=value) for name, value in parameters.items()]
    return local.add(Talker(context=local.context, parameter_overrides=overrides))


def change(local, observer, transition):
    client = observer.create_client(ChangeState, '/talker/change_state')
    request = ChangeState.Request(transition=Transition(id=transition))
    answer = local.call(client, request).success
    observer.destroy_client(client)
    return answer


def collect(observer, message_type, topic, profile):
    received = []
    observer.create_subscription(message_type, topic, received.append, profile)
    return received


def test_node_starts_itself_and_says_safe_before_it_falls_silent(local):
    observer = local.observer()
    received = collect(observer, String, 'chatter', qos.STATE)
    node = make(local)
    local.spin_until(lambda: len(received) > 2, 'messages')
    node.shut_down()
    local.spin_until(lambda: received[-1].data == 'safe', 'the safe message')
    assert node.calls == ['configure', 'activate', 'deactivate', 'cleanup']
    assert node.state == 'finalized'
    assert node.finished
    assert not node.failed


def test_node_without_autostart_waits_for_a_manager_and_can_be_cycled(local):
    observer = local.observer()
    node = make(local, autostart=False)
    received = collect(observer, String, 'chatter', qos.STATE)
    for _ in range(2):
        assert change(local, observer, Transition.TRANSITION_CONFIGURE)
        assert node.state == 'inactive'
        assert change(local, observer, Transition.TRANSITION_ACTIVATE)
        received.clear()
        local.spin_until(lambda: len(received) > 1, 'messages')
        assert change(local, observer, Transition.TRANSITION_DEACTIVATE)
        assert change(local, observer, Transition.TRANSITION_CLEANUP)
        assert node.count_publishers('chatter') == 0
    assert node.calls == ['configure', 'activate', 'deactivate', 'cleanup'] * 2


def test_invalid_transition_is_refused_and_the_node_lives_on(local):
    observer = local.observer()
    node = make(local)
    local.spin_until(lambda: node.state == 'active', 'active')
    assert not change(local, observer, Transition.TRANSITION_ACTIVATE)
    assert node.state == 'active'
    state = observer.create_client(GetState, '/talker/get_state')
    assert local.call(state, GetState.Request()).current_state.label == 'active'
    assert change(local, observer, Transition.TRANSITION_DEACTIVATE)


@pytest.mark.parametrize(
    ('fault', 'state', 'reason'),
    [
        ('configure', 'unconfigured', 'FileNotFoundError: no model file talker.onnx'),
        ('activate', 'inactive', 'ValueError: beam is locked'),
    ],
)
def test_failed_step_gives_its_reason_in_diagnostics(local, fault, state, reason):
    observer = local.observer()
    reports = collect(observer, DiagnosticArray, topics.DIAGNOSTICS, qos.EVENTS)
    node = make(local, fault=fault)
    local.spin_until(lambda: node.finished, 'end of the start')
    assert node.failed
    assert node.state == state

    def found():
        return [s for r in reports for s in r.status if s.name == f'talker: {fault}']

    local.spin_until(found, 'diagnostics')
    assert found()[0].level == DiagnosticStatus.ERROR
    assert reason in found()[0].message


def test_failed_configuration_leaves_no_publisher_and_may_be_tried_again(local):
    observer = local.observer()
    node = make(local, autostart=False, fault='configure')
    assert not change(local, observer, Transition.TRANSITION_CONFIGURE)
    assert node.count_publishers('chatter') == 0
    node.set_parameters([Parameter('fault', value='none')])
    assert change(local, observer, Transition.TRANSITION_CONFIGURE)


def test_mutable_parameter_changes_and_others_are_refused(local):
    observer = local.observer()
    node = make(local)
    client = observer.create_client(SetParameters, '/talker/set_parameters')

    def set_parameter(name, value):
        parameter = Parameter(name, value=value).to_parameter_msg()
        return local.call(client, SetParameters.Request(parameters=[parameter])).results[0]

    assert set_parameter('gain', 1.5).successful
    assert node.params.gain == 1.5
    for name, value in (('gain', 2.5), ('period_s', 1.0), ('fault', 'flood')):
        result = set_parameter(name, value)
        assert not result.successful
        assert result.reason
    assert node.params.gain == 1.5


def test_incompatible_qos_is_an_error_in_diagnostics(local):
    observer = local.observer()
    reports = collect(observer, DiagnosticArray, topics.DIAGNOSTICS, qos.EVENTS)
    node = make(local)
    local.spin_until(lambda: node.state == 'active', 'active')
    best_effort = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    observer.create_publisher(String, 'heard', best_effort)
    node.subscribe(String, 'heard', lambda message: None, qos.CONTROL)

    def messages():
        return [s.message for r in reports for s in r.status if s.name == 'talker: qos heard']

    local.spin_until(messages, 'QoS error')
    assert 'subscription heard' in messages()[0]
    assert 'reliability' in messages()[0]


@pytest.mark.parametrize(
    ('parameters', 'words'),
    [
        ({'period_s': 20.0}, 'period_s'),
        ({'period_s': 1}, 'write 1.0, not 1'),
        ({'fault': 'flood'}, 'fault must be one of'),
        ({'pose': [0.0, 1.0]}, 'pose must have 6 numbers, got 2'),
    ],
)
def test_bad_parameter_value_says_what_is_allowed(local, parameters, words):
    overrides = [Parameter(name, value=value) for name, value in parameters.items()]
    with pytest.raises(ValueError, match=words):
        Talker(context=local.context, parameter_overrides=overrides)
