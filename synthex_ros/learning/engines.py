"""Where the work of a data set is done: processes of this machine, or a Ray cluster."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any

Task = Sequence[int]
Worker = Callable[..., Callable[[Task], Any]]
"""Makes what does a task, once a process: called with the arguments and the threads it may use."""

RESTARTS = 3
_AHEAD = 4

_worker: Callable[[Task], Any] | None = None


def _start(make: Worker, arguments: tuple) -> None:
    global _worker
    _worker = make(*arguments)


def _work(task: Task) -> Any:
    if _worker is None:
        raise RuntimeError('worker was not started')
    return _worker(task)


def in_processes(
    make: Worker, arguments: tuple, tasks: Sequence[Task], workers: int
) -> Iterator[Any]:
    """Yield the results of tasks as they are done, in any order.

    A worker that is killed is replaced, and what it was doing is done again.

    Raises:
        RuntimeError: workers die again and again.
    """
    if not tasks:
        return
    threads = max(1, (os.cpu_count() or 1) // workers)
    # Workers read it when they import numpy: threads of small matrix products only wait there.
    os.environ.setdefault('OPENBLAS_NUM_THREADS', '1')
    left = [list(task) for task in tasks]
    for _ in range(RESTARTS + 1):
        broken = False
        for done, result in _one_pool(make, (*arguments, threads), left, workers):
            if done is None:
                broken = True
                break
            left.remove(list(done))
            yield result
        if not broken:
            return
    raise RuntimeError(
        f'workers were killed {RESTARTS + 1} times, perhaps for memory; use fewer workers. '
        'What is written is kept: the same command continues'
    )


def _one_pool(
    make: Worker, arguments: tuple, tasks: Sequence[Task], workers: int
) -> Iterator[tuple[Task | None, Any]]:
    """Yield (task, result); (None, None) and no more when a worker died."""
    context = multiprocessing.get_context('spawn')
    waiting = iter(list(tasks))
    with ProcessPoolExecutor(workers, context, _start, (make, arguments)) as pool:
        running: dict[Future, Task] = {}
        try:
            while True:
                while len(running) < _AHEAD * workers:
                    task = next(waiting, None)
                    if task is None:
                        break
                    running[pool.submit(_work, task)] = task
                if not running:
                    return
                finished, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    task = running.pop(future)
                    yield task, future.result()
        except BrokenProcessPool:
            yield None, None
        finally:
            for future in running:
                future.cancel()


def on_ray(make: Worker, arguments: tuple, tasks: Sequence[Task], workers: int) -> Iterator[Any]:
    """Yield the results of tasks as they are done by actors of a Ray cluster.

    The cluster is that of RAY_ADDRESS, or one on this machine. Its nodes need the package and a
    folder that they share.

    Raises:
        ImportError: Ray is not installed.
    """
    try:
        import ray
        from ray.util import ActorPool
    except ImportError as error:
        raise ImportError('engine ray needs Ray; pip install synthex_ros[ray]') from error
    if not tasks:
        return
    begun = not ray.is_initialized()
    if begun:
        ray.init(log_to_driver=False)
    try:
        actor = ray.remote(_Actor).options(max_restarts=RESTARTS, max_task_retries=RESTARTS)
        pool = ActorPool([actor.remote(make, (*arguments, 1)) for _ in range(workers)])
        yield from pool.map_unordered(lambda one, task: one.work.remote(task), list(tasks))
    finally:
        if begun:
            ray.shutdown()


class _Actor:
    """A worker in a process of a Ray cluster."""

    def __init__(self, make: Worker, arguments: tuple) -> None:
        self._worker = make(*arguments)

    def work(self, task: Task) -> Any:
        """Do a task."""
        return self._worker(task)


ENGINES: dict[str, Callable[[Worker, tuple, Sequence[Task], int], Iterator[Any]]] = {
    'processes': in_processes,
    'ray': on_ray,
}
