"""A small cache of costly results that several threads may ask."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Item = TypeVar('Item')


class LruCache(Generic[Item]):
    """Keeps the results used last; two threads that miss at once both compute, and agree."""

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError(f'a cache must keep at least 1 item, got capacity {capacity}')
        self._capacity = capacity
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
            while len(self._items) > self._capacity:
                self._items.popitem(last=False)
        return item
