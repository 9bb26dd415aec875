"""Base of every node: lifecycle with readable failures, autostart, parameters, QoS watch.

A node implements `configure`, `activate`, `deactivate` and `cleanup`, which may raise. What is
created by `advertise`, `subscribe`, `serve` and `every` belongs to the step that created it: made
in `configure`, it is destroyed after `cleanup`; made in `activate`, after `deactivate`.
"""

from __future__ import annotations

import dataclasses
import gc
import traceback
from collections.abc import Callable
from typing import Any

from rcl_interfaces.msg import ParameterDescriptor, SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.qos import QoSProfile

from synthex_ros.ros import parameters, qos
from synthex_ros.ros.diagnostics import Diagnostics
from synthex_ros.ros.spin import run

__all__ = ['ManagedNode', 'run']

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


class ManagedNode(LifecycleNode):
    """Lifecycle node that takes its parameters from a dataclass and never hides a reason.

    Args:
        name: default node name.
        params_cls: frozen dataclass of `parameters` fields.
        **node_kwargs: as for `rclpy.node.Node` (namespace, context, parameter_overrides...).

    Attributes:
        params: the parameter values, an instance of `params_cls`.
        diagnostics: 1 Hz reporter on /diagnostics.
        steady_clock: clock for durations, whatever drives ROS time.
        finished: the node wants its process to end.
        failed: an automatic start failed.
    """

    params: Any

    def __init__(self, name: str, params_cls: type, **node_kwargs: Any) -> None:
        super().__init__(name, **node_kwargs)
        self.finished = self.failed = False
        self.steady_clock = Clock(clock_type=ClockType.STEADY_TIME)
        self._owned: dict[str, list[tuple[Callable, Any]]] = {'configure': [], 'activate': []}
        self._step = 'configure'
        self._autostart = self._declare_autostart()
        self.params = parameters.declare(self, params_cls)
        self.add_on_set_parameters_callback(self._on_set_parameters)
        self.diagnostics = Diagnostics(self)
        self._answer_invalid_transitions()
        if self._autostart:
            self._start_timer = self.create_timer(0.0, self._start_once, clock=self.steady_clock)

    # What a node implements.

    def configure(self) -> None:
        """Load and check everything; raise with a readable reason."""

    def activate(self) -> None:
        """Start working; publishers are already live."""

    def deactivate(self) -> None:
        """Send a safe command, then stop; publishers are still live."""

    def cleanup(self) -> None:
        """Release what `configure` loaded."""

    def on_parameters(self) -> None:
        """React to a change of mutable parameters; `params` is already new."""

    # What a node uses.

    @property
    def state(self) -> str:
        """Label of the lifecycle state: unconfigured, inactive, active, finalized."""
        return self._state_machine.current_state[1]

    def advertise(self, message_type: type, topic: str, profile: QoSProfile) -> Any:
        """Return a publisher that is silent while the node is not active."""
        events = PublisherEventCallbacks(incompatible_qos=self._qos_watch(topic, 'publisher'))
        publisher = self.create_lifecycle_publisher(
            message_type, topic, profile, event_callbacks=events
        )
        if self.state in ('active', 'activating'):
            publisher.on_activate(None)
        return self._own(publisher, self.destroy_lifecycle_publisher)

    def subscribe(
        self,
        message_type: type,
        topic: str,
        callback: Callable,
        profile: QoSProfile,
        **kwargs: Any,
    ) -> Any:
        """Return a subscription whose incompatible publishers are reported."""
        events = SubscriptionEventCallbacks(
            incompatible_qos=self._qos_watch(topic, 'subscription')
        )
        subscription = self.create_subscription(
            message_type, topic, callback, profile, event_callbacks=events, **kwargs
        )
        return self._own(subscription, self.destroy_subscription)

    def serve(self, service_type: type, name: str, callback: Callable) -> Any:
        """Return a service."""
        return self._own(self.create_service(service_type, name, callback), self.destroy_service)

    def every(self, period_s: float, callback: Callable[[], None]) -> Any:
        """Return a timer on the steady clock, `period_s` [s]."""
        timer = self.create_timer(period_s, callback, clock=self.steady_clock)
        return self._own(timer, self.destroy_timer)

    def fail(self, reason: str) -> None:
        """End the process with an error once the present callback has returned."""
        self.get_logger().fatal(reason)
        self.finished = self.failed = True

    # Lifecycle.

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Call `configure`; after a failure the entities it created are destroyed."""
        self._step = 'configure'
        if self._attempt('configure', self.configure):
            # What was loaded lives as long as the node. Walking through it would hold frames up
            # for some 40 ms every few seconds.
            gc.collect()
            gc.freeze()
            return super().on_configure(state)
        self._destroy('configure')
        return FAILURE

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Make the publishers live, then call `activate`."""
        self._step = 'activate'
        super().on_activate(state)
        if self._attempt('activate', self.activate):
            return SUCCESS
        self.on_deactivate(state)
        return FAILURE

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Call `deactivate`, then silence the publishers whatever came of it."""
        self._attempt('deactivate', self.deactivate)
        self._destroy('activate')
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Call `cleanup` and destroy what `configure` created."""
        self._attempt('cleanup', self.cleanup)
        self._destroy('configure')
        gc.unfreeze()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop safely from any state; the process ends afterwards."""
        if state.label == 'active':
            self.on_deactivate(state)
        if state.label in ('active', 'inactive'):
            self.on_cleanup(state)
        self.finished = True
        return SUCCESS

    def shut_down(self) -> None:
        """Take the shutdown transition if the node has not taken it."""
        if self.state in ('unconfigured', 'inactive', 'active'):
            self.trigger_shutdown()

    # Inner workings.

    def _declare_autostart(self) -> bool:
        doc = 'configure and activate without a lifecycle manager'
        descriptor = ParameterDescriptor(description=doc, read_only=True)
        return bool(self.declare_parameter('autostart', True, descriptor).value)

    def _start_once(self) -> None:
        self.destroy_timer(self._start_timer)
        if self.state != 'unconfigured':
            return
        for step in (self.trigger_configure, self.trigger_activate):
            if step() != SUCCESS:
                self.finished = self.failed = True
                return

    def _attempt(self, step: str, action: Callable[[], None]) -> bool:
        try:
            action()
        except Exception as error:  # rclpy would swallow it: the reason belongs into the log
            reason = f'{step} failed: {type(error).__name__}: {error}'
            self.get_logger().error(f'{reason}\n{traceback.format_exc()}')
            self.diagnostics.error(step, reason)
            return False
        self.diagnostics.remove(step)
        return True

    def _own(self, entity: Any, destroy: Callable) -> Any:
        self._owned[self._step].append((destroy, entity))
        return entity

    def _destroy(self, step: str) -> None:
        owned, self._owned[step] = self._owned[step], []
        for destroy, entity in reversed(owned):
            destroy(entity)

    def _qos_watch(self, topic: str, side: str) -> Callable:
        def report(event: Any) -> None:
            policy = qos.policy_name(event.last_policy_kind)
            reason = f'{side} {topic}: the other side has incompatible QoS ({policy})'
            self.get_logger().error(reason)
            self.diagnostics.error(f'qos {topic}', reason)

        return report

    def _on_set_parameters(self, changed: list) -> SetParametersResult:
        known = {item.name for item in dataclasses.fields(self.params)}
        values = {item.name: item.value for item in changed if item.name in known}
        if not values:
            return SetParametersResult(successful=True)
        try:
            old = dataclasses.asdict(self.params)
            self.params = parameters.build(type(self.params), {**old, **values})
            self.on_parameters()
        except ValueError as error:
            self.params = parameters.build(type(self.params), old)
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _answer_invalid_transitions(self) -> None:
        """Answer a transition that is not valid now with success=False.

        Jazzy raises RCLError through the executor instead and never answers (fixed in Kilted).
        """
        service = self._service_change_state
        handle = service.callback

        def answer(request: Any, response: Any) -> Any:
            try:
                return handle(request, response)
            except rclpy_implementation.RCLError as error:
                name = request.transition.label or request.transition.id
                self.get_logger().error(
                    f'transition {name} refused in state {self.state}: {error}'
                )
                response.success = False
                return response

        service.callback = answer
