"""A small managed node, run as a process by the tests of supervision: `python -m talker`."""

import os
import sys
from dataclasses import dataclass

from std_msgs.msg import String

from synthex_ros.ros import qos
from synthex_ros.ros.managed_node import ManagedNode, run
from synthex_ros.ros.parameters import bounded, choice, numbers, text

FAULTS = ('none', 'configure', 'activate', 'callback', 'deaf')


@dataclass(frozen=True)
class TalkerParams:
    period_s: float = bounded(0.05, 0.01, 10.0, 'time between messages [s]')
    gain: float = bounded(1.0, 0.0, 2.0, 'changes while running', mutable=True)
    fault: str = choice('none', FAULTS, 'what goes wrong', mutable=True)
    pose: tuple[float, ...] = numbers([0.0] * 6, 'x y z roll pitch yaw')
    calls_file: str = text('', 'file to append the name of each step to')


class Talker(ManagedNode):
    def __init__(self, **kwargs):
        self.calls = []
        super().__init__('talker', TalkerParams, **kwargs)

    def _note(self, step):
        self.calls.append(step)
        if self.params.calls_file:
            with open(self.params.calls_file, 'a', encoding='utf-8') as file:
                file.write(f'{step} {os.getpid()}\n')

    def configure(self):
        self._note('configure')
        self.publisher = self.advertise(String, 'chatter', qos.STATE)
        if self.params.fault == 'configure':
            raise FileNotFoundError('no model file talker.onnx')

    def activate(self):
        self._note('activate')
        if self.params.fault == 'activate':
            raise ValueError('beam is locked')
        self.every(self.params.period_s, self._talk)

    def _talk(self):
        if self.params.fault == 'callback':
            raise RuntimeError('callback went wrong')
        self.publisher.publish(String(data=f'gain {self.params.gain}'))

    def deactivate(self):
        self._note('deactivate')
        self.publisher.publish(String(data='safe'))

    def cleanup(self):
        self._note('cleanup')


def main():
    return run(Talker)


if __name__ == '__main__':
    sys.exit(main())
