"""Path lengths through the bodies of many frames at once: `mesh_tracer` on a GPU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synthex_ros.bodies import Body
from synthex_ros.geometry import View, invert_pose, transform_points
from synthex_ros.xray.cuda import source
from synthex_ros.xray.cuda.device import Array, Device
from synthex_ros.xray.device_layer import MASK_PATH_M
from synthex_ros.xray.mesh_tracer import MIN_DEPTH_M

FACE_THREADS = 64


@dataclass(frozen=True, eq=False)
class PathImages:
    """Paths of N frames with up to G layers each, one a material and label.

    Attributes:
        box: first row, end row, first column, end column of the images [px].
        materials: material of each layer, by frame; a frame may have fewer than G.
        labels: label of each layer, shape (N, G), int32; 0 is not labelled or no layer.
        path_m, entry_m, exit_m: shape (N, G, height, width), float32, on the device: mean path
            inside, first entry (+inf) and last exit (-inf) of a pixel's rays [m].
    """

    box: tuple[int, int, int, int]
    materials: tuple[tuple[str, ...], ...]
    labels: NDArray[np.int32]
    path_m: Array
    entry_m: Array
    exit_m: Array

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the box [px]."""
        return self.box[1] - self.box[0], self.box[3] - self.box[2]


@dataclass(frozen=True, eq=False)
class _Soup:
    """Faces of all frames: corners in their source frames [m] and on finer pixels."""

    corners: NDArray[np.float64]
    pixels: NDArray[np.float64]
    faces: NDArray[np.int32]
    image_of_face: NDArray[np.int32]
    frame_of_face: NDArray[np.int32]


def trace_frames(
    device: Device,
    views: Sequence[View],
    bodies: Sequence[Sequence[Body]],
    supersampling: int = 1,
) -> PathImages | None:
    """Trace the bodies of every frame.

    Args:
        device: where to run.
        views: N views with images of one size.
        bodies: closed meshes of each.
        supersampling: rays per pixel side.

    Returns:
        Images of the smallest box that holds all bodies, or None if the detector shows none.

    Raises:
        ValueError: a label or a depth is out of range; see `mesh_tracer.trace`.
    """
    if supersampling < 1:
        raise ValueError(f'supersampling must be at least 1, got {supersampling}')
    groups = [_grouped(members) for members in bodies]
    layers = max((len(group) for group in groups), default=0)
    if not layers:
        return None
    soup = _soup(views, groups, layers, supersampling)
    shape = views[0].geometry.shape_px
    box = _box(soup.pixels, shape, supersampling)
    if box[0] >= box[1] or box[2] >= box[3]:
        return None
    labels = np.zeros((len(views), layers), np.int32)
    for frame, group in enumerate(groups):
        labels[frame, : len(group)] = [label for _, label in group]
    images = _draw(device, soup, views, box, layers, supersampling)
    names = tuple(tuple(material for material, _ in group) for group in groups)
    return PathImages(box, names, labels, *images)


def mask_of(device: Device, images: PathImages | None, shape: tuple[int, int, int]) -> Array:
    """Return label images (N, rows, columns), uint8: where labels overlap, the longer path wins.

    Args:
        device: where to run.
        images: paths of the pixels' centre rays.
        shape: frames, rows and columns.
    """
    mask = device.zeros(shape, np.uint8)
    if images is not None:
        height, width = images.size
        size = (images.box[0], images.box[2], height, width, shape[1], shape[2])
        device.launch(
            source.MESHES,
            'label_pixels',
            (width, height, shape[0]),
            (
                images.path_m,
                device.upload(images.labels),
                np.int32(images.labels.shape[1]),
                *map(np.int32, size),
                np.float32(MASK_PATH_M),
                mask,
            ),
        )
    return mask


def paths_by_solid(device: Device, images: PathImages, solids: Sequence[str]) -> Array:
    """Return the path in each solid, shape (N, D, height, width) [m], float32."""
    frames, layers = images.labels.shape
    height, width = images.size
    number = np.full((frames, layers), -1, np.int32)
    for frame, names in enumerate(images.materials):
        number[frame, : len(names)] = [solids.index(name) for name in names]
    out = device.zeros((frames, len(solids), height, width), np.float32)
    device.launch(
        source.MESHES,
        'add_solids',
        (width, height, frames),
        (
            images.path_m,
            device.upload(number),
            *map(np.int32, (layers, len(solids), height, width)),
            out,
        ),
    )
    return out


def _grouped(bodies: Sequence[Body]) -> dict[tuple[str, int], list[Body]]:
    """Return bodies by material and label, in the order in which the CPU draws them."""
    groups: dict[tuple[str, int], list[Body]] = {}
    for body in bodies:
        if not 0 <= body.label <= 255:
            raise ValueError(f'a label must be 0..255 to fit the mask, got {body.label}')
        groups.setdefault((body.material, body.label), []).append(body)
    return dict(sorted(groups.items(), key=lambda item: item[0]))


def _soup(
    views: Sequence[View],
    groups: Sequence[dict[tuple[str, int], list[Body]]],
    layers: int,
    supersampling: int,
) -> _Soup:
    corners, pixels, faces, image_of_face, frame_of_face = [], [], [], [], []
    first = 0
    for frame, (view, group) in enumerate(zip(views, groups, strict=True)):
        source_from_world = invert_pose(view.world_from_source)
        rows, columns = view.geometry.shape_px
        fine = view.geometry.resized((rows * supersampling, columns * supersampling))
        for layer, members in enumerate(group.values()):
            for body in members:
                pose = source_from_world @ body.world_from_mesh
                part = transform_points(pose, body.mesh.vertices_m)
                if len(part) and not part[:, 2].min() > MIN_DEPTH_M:
                    raise ValueError(
                        f'mesh reaches depth {part[:, 2].min():.4g} m in frame {frame}, at or '
                        'behind the focal spot; check its pose and that world_from_source looks '
                        'at it'
                    )
                count = len(body.mesh.faces)
                corners.append(part)
                pixels.append(fine.project(part))
                faces.append(body.mesh.faces + first)
                image_of_face.append(np.full(count, frame * layers + layer, np.int32))
                frame_of_face.append(np.full(count, frame, np.int32))
                first += len(part)
    return _Soup(
        np.concatenate(corners),
        np.concatenate(pixels),
        np.concatenate(faces).astype(np.int32),
        np.concatenate(image_of_face),
        np.concatenate(frame_of_face),
    )


def _box(
    pixels: NDArray[np.float64], shape_px: tuple[int, int], finer: int
) -> tuple[int, int, int, int]:
    """Return the box round points of finer pixels, in whole pixels."""
    if not len(pixels):
        return 0, 0, 0, 0
    low = np.floor(pixels.min(axis=0) / finer).astype(int)
    high = np.ceil((pixels.max(axis=0) + 1) / finer).astype(int)
    rows, columns = shape_px
    top, bottom = np.clip([low[1], high[1]], 0, rows)
    left, right = np.clip([low[0], high[0]], 0, columns)
    return int(top), int(bottom), int(left), int(right)


def _draw(
    device: Device,
    soup: _Soup,
    views: Sequence[View],
    box: tuple[int, int, int, int],
    layers: int,
    finer: int,
) -> tuple[Array, Array, Array]:
    """Return paths, entries and exits of a box, (N, G, height, width) each, on the device."""
    top, bottom, left, right = box
    height, width, frames = bottom - top, right - left, len(views)
    corner = np.array([left * finer, top * finer])
    lenses = device.upload(_lenses(views, finer, corner))
    drawn = [
        device.empty((frames, layers, height * finer, width * finer), np.int64) for _ in range(3)
    ]
    count = frames * layers * height * width * finer**2
    device.launch(
        source.MESHES, 'clear_paths', (count, 1, 1), (np.int64(count), *drawn), (256, 1, 1)
    )
    soup_arrays = (
        soup.corners, soup.pixels - corner, soup.faces, soup.image_of_face, soup.frame_of_face,
    )  # fmt: skip
    if len(soup.faces):
        device.launch(
            source.MESHES,
            'draw_faces',
            (FACE_THREADS * len(soup.faces), 1, 1),
            (
                *map(device.upload, soup_arrays),
                lenses,
                np.int32(height * finer),
                np.int32(width * finer),
                *drawn,
            ),
            (FACE_THREADS, 1, 1),
        )
    done = [device.empty((frames, layers, height, width), np.float32) for _ in range(3)]
    device.launch(
        source.MESHES,
        'finish_paths',
        (width, height, frames * layers),
        (*drawn, lenses, *map(np.int32, (layers, finer, height, width)), *done),
    )
    return done[0], done[1], done[2]


def _lenses(views: Sequence[View], finer: int, corner: NDArray) -> NDArray[np.float64]:
    """Return piercing point (u, v) from a corner on and slope a pixel (u, v), shape (N, 4)."""
    lenses = []
    for view in views:
        rows, columns = view.geometry.shape_px
        fine = view.geometry.resized((rows * finer, columns * finer))
        pitch_v, pitch_u = fine.pixel_pitch_m
        slopes = np.array([pitch_u, pitch_v]) / fine.source_to_detector_m
        lenses.append([*(np.array(fine.piercing_px) - corner), *slopes])
    return np.array(lenses, np.float64)
