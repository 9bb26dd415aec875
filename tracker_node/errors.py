"""Errors of the tracker node."""

from __future__ import annotations


class FrameRejected(ValueError):
    """A frame that cannot be used; `kind` is what is counted."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind
