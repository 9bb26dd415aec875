"""What SimpleITK does not say about a NIfTI file: that it ends early, or holds NaN.

Its reader fills missing bytes with zeros and turns values that are not finite into 0, which is
water.
"""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np

_CHUNK_BYTES = 1 << 22
_FLOATS = {16: 'f4', 64: 'f8'}  # NIfTI data type codes


def count_not_finite(path: Path) -> int:
    """Return how many stored values of a .nii or .nii.gz file are NaN or infinite.

    Reads the whole file.

    Raises:
        RuntimeError: a compressed file is truncated or damaged.
    """
    opened = gzip.open if path.name.lower().endswith('.gz') else open
    try:
        with opened(path, 'rb') as file:
            header = file.read(544)
            kind, offset = _layout(header)
            if kind is None:
                while file.read(_CHUNK_BYTES):
                    pass
                return 0
            file.seek(offset)
            count, rest = 0, b''
            while chunk := file.read(_CHUNK_BYTES):
                data = rest + chunk
                whole = len(data) // kind.itemsize * kind.itemsize
                count += int(np.count_nonzero(~np.isfinite(np.frombuffer(data[:whole], kind))))
                rest = data[whole:]
            return count
    except (EOFError, OSError, zlib.error) as error:
        raise RuntimeError(str(error)) from error


def _layout(header: bytes) -> tuple[np.dtype | None, int]:
    """Return the type of stored floats, or None for other types, and where the data begin."""
    for order in '<>':
        size = int(np.frombuffer(header[:4], f'{order}i4')[0]) if len(header) >= 4 else 0
        if size == 348 and len(header) >= 112:  # NIfTI-1
            code = int(np.frombuffer(header[70:72], f'{order}i2')[0])
            offset = int(np.frombuffer(header[108:112], f'{order}f4')[0])
        elif size == 540 and len(header) >= 176:  # NIfTI-2
            code = int(np.frombuffer(header[12:14], f'{order}i2')[0])
            offset = int(np.frombuffer(header[168:176], f'{order}i8')[0])
        else:
            continue
        return (np.dtype(order + _FLOATS[code]) if code in _FLOATS else None), offset
    return None, 0
