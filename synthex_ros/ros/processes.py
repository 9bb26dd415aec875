"""One node as a child process: start, output with a prefix, orderly stop."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import yaml

from synthex_ros.ros.bringup import NodeDescription
from synthex_ros.ros.lifeline import SUPERVISOR
from synthex_ros.ros.transport import with_transport

Sink = Callable[[str, str], None]
"""Takes the section of a node and one line of its output."""

_POLL_S = 0.02


def node_environment(
    base: Mapping[str, str], domain_id: int | None, supervisor: int
) -> dict[str, str]:
    """Return the environment of a node: transport, domain, this machine only by default."""
    environment = with_transport(base)
    environment.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    environment['RCUTILS_LOGGING_BUFFERED_STREAM'] = '0'
    environment['PYTHONUNBUFFERED'] = '1'
    environment[SUPERVISOR] = str(supervisor)
    if domain_id is not None:
        environment['ROS_DOMAIN_ID'] = str(domain_id)
    return environment


def node_command(description: NodeDescription, parameter_file: Path) -> list[str]:
    """Return the command line of a node that reads its parameters from `parameter_file`."""
    command = [sys.executable, '-m', description.module, '--ros-args']
    command += ['--params-file', str(parameter_file), '--log-level', description.log_level]
    command += ['-r', f'__node:={description.name}']
    if description.namespace:
        command += ['-r', f'__ns:=/{description.namespace.strip("/")}']
    for old, new in description.remappings:
        command += ['-r', f'{old}:={new}']
    return command


class NodeProcess:
    """A node's process; starting it again keeps the log tail.

    Args:
        description: the node.
        folder: where its parameter file is written.
        environment: complete environment.
        sink: receives every line of output.
    """

    def __init__(
        self, description: NodeDescription, folder: Path, environment: dict[str, str], sink: Sink
    ) -> None:
        self.description = description
        self.tail: deque[str] = deque(maxlen=40)
        self.starts = 0
        self._environment, self._sink = environment, sink
        self._file = folder / f'{description.section}.yaml'
        content = {'/**': {'ros__parameters': description.parameters}}
        self._file.write_text(yaml.safe_dump(content, sort_keys=True))
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    def start(self) -> None:
        """Start the process in a process group of its own: Ctrl-C reaches only the supervisor."""
        self.starts += 1
        self._process = subprocess.Popen(
            node_command(self.description, self._file),
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors='replace',
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()

    def _read(self, process: subprocess.Popen[str]) -> None:
        if process.stdout is None:
            return
        with process.stdout as stream:
            for line in stream:
                self.tail.append(line.rstrip())
                self._sink(self.description.section, line.rstrip())

    @property
    def pid(self) -> int:
        """Process id of the last start."""
        return self._started().pid

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None:
            raise RuntimeError(f'{self.description.name} was never started')
        return self._process

    def exit_code(self) -> int | None:
        """Return the exit code, negative for a signal, or None while it runs."""
        return None if self._process is None else self._process.poll()

    def running(self) -> bool:
        """Tell whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def signal(self, number: int) -> None:
        """Send a signal to the process and all its children; a process that has ended is fine."""
        if self._process is None:
            return
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            return

    def last_lines(self) -> str:
        """Return the end of the log, complete once the process has ended."""
        if self._reader is not None and not self.running():
            self._reader.join(timeout=2.0)
        return '\n'.join(self.tail)

    def close(self) -> None:
        """Wait for the end of the output after the process has ended."""
        if self._reader is not None:
            self._reader.join(timeout=2.0)


def stop_all(processes: Iterable[NodeProcess], term_s: float = 5.0, kill_s: float = 10.0) -> None:
    """Stop processes: SIGINT now, SIGTERM after `term_s` [s], SIGKILL after `kill_s` [s]."""
    processes = list(processes)
    begin = time.monotonic()
    for number, deadline in (
        (signal.SIGINT, begin + term_s),
        (signal.SIGTERM, begin + kill_s),
        (signal.SIGKILL, begin + kill_s + 5.0),
    ):
        for process in processes:
            if process.running():
                process.signal(number)
        while any(process.running() for process in processes) and time.monotonic() < deadline:
            time.sleep(_POLL_S)
    for process in processes:
        process.signal(signal.SIGKILL)  # a grandchild that outlived its node
        process.close()
