"""Files of rendered frames: images, masks, depth, and one annotation beside them."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from synthex_ros.rendering.dicom_writer import write_dicom
from synthex_ros.rendering.frame import RenderedFrame
from synthex_ros.rendering.request import RenderSettings, near_miss
from synthex_ros.xray.display import DisplayChain

SUFFIXES = {'.png': 'png', '.tif': 'tiff', '.tiff': 'tiff', '.npy': 'npy', '.dcm': 'dicom'}


def check_folder(folder: Path) -> None:
    """Make a folder and prove that files can be written to it, before anything is rendered.

    Raises:
        OSError: it cannot be made or written to; the message says which.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (FileExistsError, NotADirectoryError) as error:
        raise OSError(f'cannot write to {folder}: it is, or lies under, a file') from error
    except OSError as error:
        raise OSError(
            f'cannot write to {folder}: {error.strerror}; choose another --out'
        ) from error


class FrameWriter:
    """Writes the frames of one request to a folder.

    A radiograph gives `image.png`, a cine `image_0000.png` and so on; a cine's DICOM is one
    multi-frame file. `annotation.json` is written last and holds all frames.

    Args:
        folder: where to; made if it is missing.
        settings: what is rendered; its formats are written.
    """

    def __init__(self, folder: Path, settings: RenderSettings) -> None:
        check_folder(folder)
        self.folder, self.settings = folder, settings
        self._frames: list[RenderedFrame] = []
        self._entries: list[dict[str, Any]] = []
        self.files: list[Path] = []
        self._chain: DisplayChain | None = None

    def add(self, frame: RenderedFrame) -> None:
        """Write one frame's images; what a multi-frame file needs is kept until `finish`."""
        number = f'_{frame.index:04d}' if self.settings.frames > 1 else ''
        images = {}
        for name in self.settings.formats:
            if name == 'dicom':
                self._frames.append(frame)
                images[name] = 'image.dcm'
            else:
                path = self.folder / f'{_STEMS[name]}{number}{_ENDINGS[name]}'
                _write_image(path, name, frame)
                self.files.append(path)
                images[name] = path.name
        labels = write_labels(self.folder, number, frame)
        picture = self.folder / f'display{number}.png'
        self._chain = self._chain or frame.display_chain()
        write_picture(picture, frame.display(self._chain))
        self.files += [*labels.values(), picture]
        files = {**images, 'display': picture.name, **{k: v.name for k, v in labels.items()}}
        self._entries.append({**frame.annotation(), 'files': files})
        self._origin = frame.origin()

    def finish(self) -> list[Path]:
        """Write DICOM and annotation; return all files."""
        if self._frames:
            path = self.folder / 'image.dcm'
            write_dicom(path, self._frames)
            self.files.append(path)
        path = self.folder / 'annotation.json'
        write_json(path, {**self._origin, 'frames': self._entries})
        self.files.append(path)
        return self.files


_STEMS = {'png': 'image', 'tiff': 'image', 'npy': 'expected'}
_ENDINGS = {'png': '.png', 'tiff': '.tiff', 'npy': '.npy'}


def save_single(frame: RenderedFrame, path: Path) -> list[Path]:
    """Write one frame to `path` and what belongs to it beside; see `RenderedFrame.save`."""
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(
            f'{path}: the ending must be one of {", ".join(SUFFIXES)}, got {path.suffix!r}'
            + near_miss(path.suffix, SUFFIXES)
        )
    check_folder(path.parent)
    kind = SUFFIXES[path.suffix.lower()]
    if kind == 'dicom':
        write_dicom(path, [frame])
    else:
        _write_image(path, kind, frame)
    picture = path.with_name(f'{path.stem}_display.png')
    write_picture(picture, frame.display())
    labels = write_labels(path.parent, '', frame, f'{path.stem}_')
    annotation = path.with_suffix('.json')
    files = {kind: path.name, 'display': picture.name, **{k: v.name for k, v in labels.items()}}
    write_json(annotation, {**frame.origin(), 'frames': [{**frame.annotation(), 'files': files}]})
    return [path, picture, *labels.values(), annotation]


def write_labels(
    folder: Path, number: str, frame: RenderedFrame, prefix: str = ''
) -> dict[str, Path]:
    """Write masks of device and instances, depth, and mask and path length of each structure."""
    files: dict[str, Path] = {}
    if frame.settings.device != 'none':
        files['mask'] = folder / f'{prefix}mask{number}.png'
        write_picture(files['mask'], frame.mask)
        files['depth'] = folder / f'{prefix}depth{number}.npy'
        _write_array(files['depth'], frame.depth_m)
    if frame.instance_mask is not None:
        files['instances'] = folder / f'{prefix}instances{number}.png'
        write_picture(files['instances'], frame.instance_mask)
    for name, image in frame.structures.items():
        files[f'mask_{name}'] = folder / f'{prefix}mask_{name}{number}.png'
        write_picture(files[f'mask_{name}'], image.mask.astype(np.uint8) * 255)
        files[f'path_{name}'] = folder / f'{prefix}path_{name}{number}.npy'
        _write_array(files[f'path_{name}'], image.path_m)
    return files


def _write_image(path: Path, kind: str, frame: RenderedFrame) -> None:
    if kind == 'npy':
        _write_array(path, frame.stages().expected_counts)
    else:
        write_picture(path, frame.counts)


def write_picture(path: Path, pixels: NDArray) -> None:
    """Write an 8- or 16-bit picture as PNG or TIFF, by the path's ending."""
    done, data = cv2.imencode(path.suffix, pixels)
    if not done:
        raise OSError(f'{path}: a picture of {pixels.dtype} {pixels.shape} cannot be encoded')
    _replace(path, data.tobytes())


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write JSON with one number list a line kept short."""
    _replace(path, (json.dumps(content, indent=1, allow_nan=False) + '\n').encode())


def _write_array(path: Path, array: NDArray[np.float32]) -> None:
    with tempfile.TemporaryFile() as file:
        np.save(file, np.ascontiguousarray(array, np.float32))
        file.seek(0)
        _replace(path, file.read())


def _replace(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    part = path.with_name(path.name + '.part')
    part.write_bytes(data)
    os.replace(part, path)
