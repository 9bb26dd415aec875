"""A small cache of costly results that several threads may ask."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Item = TypeVar('Item')


class LruCache(Generic[Item]):
    """Keeps the results used last; two threads that miss at once both compute, and agree."""

    def __init__(
        self,
        capacity: int,
        max_bytes: float = math.inf,
        size_of: Callable[[Item], int] = lambda item: 0,
    ) -> None:
        """Make a cache.

        Args:
            capacity: greatest number of results.
            max_bytes: greatest sum of their sizes; the last two used stay in any case.
            size_of: gives the size of a result [bytes].
        """
        if capacity < 1:
            raise ValueError(f'a cache must keep at least 1 item, got capacity {capacity}')
        self._capacity, self._max_bytes, self._size_of = capacity, max_bytes, size_of
        self._items: OrderedDict[Hashable, Item] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._items)

    def get(self, key: Hashable, make: Callable[[], Item]) -> Item:
        """Return the item of `key`, made by `make` if it is not there."""
        with self._lock:
            if key in self._items:
                self._items.move_to_end(key)
                return self._items[key]
        item = make()
        with self._lock:
            self._items[key] = item
            total = sum(map(self._size_of, self._items.values()))
            while len(self._items) > self._capacity or (
                total > self._max_bytes and len(self._items) > 2
            ):
                total -= self._size_of(self._items.popitem(last=False)[1])
        return item
