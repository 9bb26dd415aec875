"""A graph of node processes: start, wait until active, watch, stop, leave nothing behind."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from synthex_ros.errors import SynthexError
from synthex_ros.ros.bringup import NodeDescription
from synthex_ros.ros.claims import Claims
from synthex_ros.ros.probe import DISCOVERY_S, GraphProbe
from synthex_ros.ros.processes import NodeProcess, Sink, node_environment, stop_all

_MOST_STARTS = 6
"""A node that dies again and again is given up after so many starts."""


class GraphError(SynthexError):
    """The graph cannot start, or has lost a node."""


class DomainTakenError(GraphError):
    """Nodes of the same names already run on the ROS domain."""


def _quiet(_section: str, _line: str) -> None:
    """Drop a line of output; the tail of each node is kept anyway."""


class Graph:
    """Run the nodes of a scenario as processes.

        with Graph(load_scenario('chest_cm.yaml').nodes()) as graph:
            graph.wait_active(60.0)

    Start, `poll` and `stop` it from one thread that lives as long as the graph: the nodes end
    with the thread that started them.

    Args:
        nodes: what to run.
        domain_id: ROS domain; default: ROS_DOMAIN_ID, else 0.
        sink: receives (section, line) of all output; default: dropped.
        environment: base environment of the nodes; default: that of this process.

    Attributes:
        domain_id: ROS domain the graph runs on.
        nodes: what runs.
        processes: the node processes by section (sim, tracker, control, recorder).
    """

    def __init__(
        self,
        nodes: Sequence[NodeDescription],
        domain_id: int | None = None,
        sink: Sink = _quiet,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.nodes = list(nodes)
        if not self.nodes:
            raise GraphError('the scenario runs no node: every back end is none')
        self.processes: dict[str, NodeProcess] = {}
        self._sink = sink
        self._environment = dict(os.environ if environment is None else environment)
        inherited = int(self._environment.get('ROS_DOMAIN_ID') or 0)
        self.domain_id = inherited if domain_id is None else domain_id
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._probe: GraphProbe | None = None
        self._claims = Claims()

    def __enter__(self) -> Graph:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start all nodes.

        Raises:
            DomainTakenError: nodes of the same names already run on this domain.
            GraphError: a node cannot start.
        """
        try:
            self._probe = GraphProbe(self.domain_id)
            self._refuse_taken_domain(self._probe)
            self._folder = tempfile.TemporaryDirectory(prefix='synthex_')
            environment = node_environment(self._environment, self.domain_id, os.getpid())
            for node in self.nodes:
                process = NodeProcess(node, Path(self._folder.name), environment, self._sink)
                self.processes[node.section] = process
                process.start()
        except BaseException:
            self.stop()
            raise

    def _refuse_taken_domain(self, probe: GraphProbe) -> None:
        names = {node.full_name for node in self.nodes}
        taken = self._claims.take(self.domain_id, names)
        # Nodes that were not started by a graph of this machine have claimed nothing.
        if not taken and probe.spin_until(lambda: bool(names & set(probe.present())), DISCOVERY_S):
            taken = sorted(names & set(probe.present()))
        if taken:
            raise DomainTakenError(
                f'ROS domain {self.domain_id} is taken: {", ".join(taken)} already run; stop '
                'that graph or choose another with domain_id:=N (0..101) or namespace:=NAME'
            )

    def wait_active(self, timeout_s: float = 60.0) -> None:
        """Wait until every node is active.

        Raises:
            GraphError: a node has ended (with its last lines), is doubled, or the time is over;
                the graph is stopped.
        """
        deadline = time.monotonic() + timeout_s
        try:
            waiting = list(self.nodes)
            while waiting:
                self._refuse_dead()
                waiting = [node for node in waiting if self.state(node.section) != 'active']
                if waiting and time.monotonic() > deadline:
                    states = {node.name: self.state(node.section) for node in waiting}
                    raise GraphError(f'not active after {timeout_s:g} s: {states}')
                self._spin(0.05)
        except BaseException:
            self.stop()
            raise

    def _spin(self, duration_s: float) -> None:
        if self._probe is not None:
            self._probe.spin_until(lambda: False, duration_s)

    def _refuse_dead(self) -> None:
        for process in self.processes.values():
            code = process.exit_code()
            if code is not None:
                name = process.description.name
                raise GraphError(
                    f'{name} ended at start with code {code}; its last lines:\n'
                    f'{process.last_lines()}'
                )

    def state(self, section: str) -> str:
        """Return the lifecycle state of a node, 'absent' or 'silent'."""
        if self._probe is None:
            return 'absent'
        return self._probe.state(self.processes[section].description.full_name)

    def poll(self) -> dict[str, int]:
        """Start again what died and has `respawn`; return the exit codes of the others that ended.

        Returns:
            Exit code by section, negative for a signal; empty while all run.
        """
        ended = {}
        for section, process in self.processes.items():
            code = process.exit_code()
            if code is None:
                continue
            if process.description.respawn and code != 0 and process.starts < _MOST_STARTS:
                self._sink(section, f'ended with code {code}, starting it again')
                process.start()
            else:
                ended[section] = code
        return ended

    def wait(self, duration_s: float) -> dict[str, int]:
        """Serve the graph for a while [s], then `poll`."""
        self._spin(duration_s)
        return self.poll()

    def stop_node(self, section: str) -> None:
        """Stop one node and wait for its end; it is not started again."""
        stop_all([self.processes.pop(section)])

    def stop(self, term_s: float = 5.0, kill_s: float = 10.0) -> None:
        """Stop all nodes and leave the domain; calling it again does nothing.

        Args:
            term_s: SIGTERM for nodes that SIGINT has not ended by then [s].
            kill_s: SIGKILL for nodes that run even then [s].
        """
        stop_all(self.processes.values(), term_s, kill_s)
        if self._probe is not None:
            self._probe.close()
            self._probe = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None
        self._claims.release()
