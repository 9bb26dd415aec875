"""Folders of labelled radiographs in COCO's format: images/ and annotations.json.

While frames are being made, a line each is appended to log.jsonl; at the end the lines become
annotations.json, sorted by frame, and the log goes. An interrupted folder is continued from both.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as rle

LABELLED, VISIBLE = 1, 2
"""COCO's visibility: 0 not in the image, 1 labelled but not visible, 2 visible."""

_FAST = [cv2.IMWRITE_PNG_COMPRESSION, 1]
_INFO, _LOG, _DONE = 'info.json', 'log.jsonl', 'annotations.json'

Json = dict[str, Any]


class CocoWriter:
    """A folder that frames are added to, in any order, by any number of processes.

    Images are written first; a frame exists when its line in the log is complete. Only one
    process may append lines.

    Args:
        root: the folder; made if missing.
        info: what the frames are made with, stored as COCO's `info`.
        categories: COCO's categories.

    Raises:
        ValueError: the folder was begun with other `info` or categories.
    """

    def __init__(self, root: str | Path, info: Json, categories: Sequence[Json]) -> None:
        self.root = Path(root)
        self._head = {'info': info, 'categories': list(categories)}
        (self.root / 'images').mkdir(parents=True, exist_ok=True)
        before = self._before()
        if before is None:
            _write_json(self.root / _INFO, self._head)
            return
        differing = _differing(before, self._head)
        if differing:
            raise ValueError(
                f'{self.root} holds frames made with other {", ".join(differing)}; '
                'continue with the same settings and seed, or choose an empty folder'
            )

    def _before(self) -> Json | None:
        for name in (_DONE, _INFO):
            if (self.root / name).is_file():
                content = json.loads((self.root / name).read_text(encoding='utf-8'))
                return {key: content.get(key) for key in ('info', 'categories')}
        return None

    def known(self) -> set[int]:
        """Return the ids of all frames that exist; a line that a crash cut short is removed."""
        return {item['image']['id'] for item in self._items()}

    def append(self, items: Iterable[Json]) -> None:
        """Add {'image': ..., 'annotations': [...]} of frames whose images have been written."""
        with (self.root / _LOG).open('a', encoding='utf-8') as file:
            file.writelines(json.dumps(item) + '\n' for item in items)

    def finish(self) -> Path:
        """Write annotations.json of all frames, in order, and return its path."""
        items = sorted(self._items(), key=lambda item: item['image']['id'])
        annotations: list[Json] = []
        for item in items:
            for annotation in item['annotations']:
                annotations.append({'id': len(annotations) + 1, **annotation})
        path = self.root / _DONE
        images = [item['image'] for item in items]
        _write_json(path, {**self._head, 'images': images, 'annotations': annotations})
        for name in (_LOG, _INFO):
            (self.root / name).unlink(missing_ok=True)
        return path

    def _items(self) -> list[Json]:
        logged = _complete_lines(self.root / _LOG)
        if not (self.root / _DONE).is_file():
            return logged
        done = json.loads((self.root / _DONE).read_text(encoding='utf-8'))
        items = {image['id']: {'image': image, 'annotations': []} for image in done['images']}
        for annotation in done['annotations']:
            rest = {key: value for key, value in annotation.items() if key != 'id'}
            items[annotation['image_id']]['annotations'].append(rest)
        items.update({item['image']['id']: item for item in logged})
        return list(items.values())


def write_image(root: str | Path, file_name: str, counts: NDArray[np.uint16]) -> None:
    """Write a radiograph to images/`file_name`: whole or not at all.

    Raises:
        OSError: the disk refused.
    """
    path = Path(root) / 'images' / file_name
    coded, data = cv2.imencode('.png', counts, _FAST)
    if not coded:
        raise OSError(f'could not encode {path}')
    part = path.with_suffix('.part')
    part.write_bytes(data.tobytes())
    part.replace(path)


class CocoFolder:
    """A finished folder, from `synthex generate` or any other source.

    Per image, `pixel_pitch_mm`, `source_to_detector_mm` and `source_to_object_mm` are read where
    they are, and `inverted` (true where larger values are fewer X-rays).

    Args:
        root: folder with annotations.json; file names are looked up in it and in images/.

    Raises:
        FileNotFoundError: there is no annotations.json.
        ValueError: it is no COCO file with images.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        path = self.root / _DONE
        if not path.is_file():
            begun = (self.root / _LOG).is_file() or (self.root / _INFO).is_file()
            hint = (
                'it was not finished; run the same `synthex generate` again'
                if begun
                else ('make one with `synthex generate`')
            )
            raise FileNotFoundError(f'{self.root} is no data set (no {_DONE}); {hint}')
        try:
            content = json.loads(path.read_text(encoding='utf-8'))
            self.images: list[Json] = sorted(content['images'], key=lambda image: image['id'])
            self.categories: list[Json] = content['categories']
            found: list[Json] = content['annotations']
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise ValueError(f'{path} is no COCO file: {error!r}') from None
        if not self.images:
            raise ValueError(f'{path} lists no images')
        self.info: Json = content.get('info') or {}
        self._of_image: dict[Any, list[Json]] = {}
        for annotation in found:
            self._of_image.setdefault(annotation['image_id'], []).append(annotation)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes in a mask; 0 is the background."""
        return ('background', *(item['name'] for item in self.categories))

    @property
    def landmarks(self) -> tuple[str, ...]:
        """Names of the keypoints of all categories, in order."""
        return tuple(name for item in self.categories for name in item.get('keypoints', ()))

    def annotations(self, row: int) -> list[Json]:
        """Return the annotations of image `row`."""
        return self._of_image.get(self.images[row]['id'], [])

    def counts(self, row: int) -> NDArray[np.uint16]:
        """Return image `row`, larger = more X-rays, shape (rows, columns), uint16.

        8-bit and inverted images are brought to that form.

        Raises:
            FileNotFoundError: the file is missing or damaged.
        """
        image = self.images[row]
        name = image['file_name']
        path = next(
            (p for p in (self.root / 'images' / name, self.root / name) if p.is_file()), None
        )
        pixels = None if path is None else cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        if pixels is None:
            raise FileNotFoundError(
                f'image {name} of {self.root} is missing or damaged; restore it, or delete the '
                'folder and generate it again'
            )
        if pixels.ndim == 3:
            pixels = cv2.cvtColor(pixels[..., :3], cv2.COLOR_BGR2GRAY)
        if pixels.dtype == np.uint8:
            pixels = pixels.astype(np.uint16) * 257
        if pixels.dtype != np.uint16:
            raise ValueError(f'image {name} must have 8 or 16 bits, got {pixels.dtype}')
        counts = np.asarray(pixels, np.uint16)
        return np.uint16(65535) - counts if image.get('inverted') else counts

    def mask(self, row: int) -> NDArray[np.uint8]:
        """Return the class ids of image `row`, shape (rows, columns); later annotations win."""
        mask = np.zeros(self._shape(row), np.uint8)
        for number, pixels in self._drawn(row):
            mask[pixels] = number
        return mask

    def class_masks(self, row: int) -> NDArray[np.bool_]:
        """Return the mask of each category in image `row`, shape (C - 1, rows, columns)."""
        masks = np.zeros((len(self.categories), *self._shape(row)), bool)
        for number, pixels in self._drawn(row):
            masks[number - 1] |= pixels
        return masks

    def _shape(self, row: int) -> tuple[int, int]:
        return int(self.images[row]['height']), int(self.images[row]['width'])

    def _drawn(self, row: int) -> Iterator[tuple[int, NDArray[np.bool_]]]:
        """Yield class id and mask, shape (rows, columns), of every annotation that has one."""
        numbers = {item['id']: index for index, item in enumerate(self.categories, start=1)}
        for annotation in self.annotations(row):
            if annotation.get('segmentation'):
                pixels = segmentation(annotation['segmentation'], self._shape(row))
                yield numbers[annotation['category_id']], pixels

    def keypoints(self, row: int) -> NDArray[np.float64]:
        """Return (u, v, COCO visibility) of every landmark of image `row`, shape (L, 3).

        Of several instances of a category the largest one counts. What has no keypoints is 0.
        """
        points = np.zeros((len(self.landmarks), 3))
        for part, annotation in self._largest(row):
            points[part] = np.reshape(annotation['keypoints'], (-1, 3))
        return points

    def landmark_snr(self, row: int) -> NDArray[np.float64]:
        """Return how well each landmark of image `row` can be told, shape (L,); NaN where unsaid.

        `keypoint_snr` of the annotations; see `synthex_ros.learning.device_labels`.
        """
        ratios = np.full(len(self.landmarks), np.nan)
        for part, annotation in self._largest(row):
            if 'keypoint_snr' in annotation:
                ratios[part] = annotation['keypoint_snr']
        return ratios

    def _largest(self, row: int) -> Iterator[tuple[slice, Json]]:
        """Yield the landmarks and largest annotation of each category that has both."""
        start = 0
        for item in self.categories:
            count = len(item.get('keypoints', ()))
            own = [
                annotation
                for annotation in self.annotations(row)
                if annotation['category_id'] == item['id'] and annotation.get('keypoints')
            ]
            if own and count:
                largest = max(own, key=lambda annotation: annotation.get('area', 0))
                yield slice(start, start + count), largest
            start += count


def encoded(mask: NDArray[np.bool_]) -> Json:
    """Return a mask as COCO's compressed run lengths."""
    coded = rle.encode(np.asfortranarray(mask, np.uint8))
    return {'size': [int(n) for n in coded['size']], 'counts': coded['counts'].decode('ascii')}


def segmentation(coded: Any, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the mask, shape (rows, columns), of run lengths or polygons."""
    if isinstance(coded, Mapping):
        if isinstance(coded['counts'], list):
            coded = rle.frPyObjects(coded, *shape)
        return rle.decode(coded).astype(bool)
    return rle.decode(rle.merge(rle.frPyObjects(coded, *shape))).astype(bool)


def annotation_of(
    image_id: int,
    mask: NDArray[np.bool_],
    keypoints: NDArray[np.float64] | None,
    category_id: int = 1,
    **more: Any,
) -> Json:
    """Return the annotation of one device, object or structure, without its id.

    Args:
        image_id: frame it belongs to.
        mask: pixels that show it, shape (rows, columns).
        keypoints: (u, v, visibility), shape (L, 3); None for what has none.
        category_id: id of its category.
        more: anything else that is known, in JSON types.
    """
    coded = encoded(mask)
    marks: Json = {}
    if keypoints is not None:
        points = [[float(u), float(v), int(shown)] for u, v, shown in keypoints]
        marks['keypoints'] = [value for point in points for value in point]
        marks['num_keypoints'] = sum(point[2] > 0 for point in points)
    return {
        'image_id': image_id,
        'category_id': category_id,
        'iscrowd': 0,
        'area': int(rle.area(coded)),
        'bbox': [float(value) for value in rle.toBbox(coded)],
        'segmentation': coded,
        **marks,
        **more,
    }


def _write_json(path: Path, content: Json) -> None:
    part = path.with_suffix('.part')
    part.write_text(json.dumps(content) + '\n', encoding='utf-8')
    part.replace(path)


def _complete_lines(path: Path) -> list[Json]:
    """Return the lines of a log; what a crash cut short is removed from it."""
    if not path.exists():
        return []
    text = path.read_bytes()
    complete = text[: text.rfind(b'\n') + 1]
    if len(complete) < len(text):
        path.write_bytes(complete)
    return [json.loads(line) for line in complete.splitlines()]


def _differing(before: Json, now: Json) -> list[str]:
    """Return the names of what differs between two heads of a data set."""
    plain = json.loads(json.dumps(now))
    if before['categories'] != plain['categories']:
        return ['categories']
    keys = sorted({*before['info'], *plain['info']})
    return [key for key in keys if before['info'].get(key) != plain['info'].get(key)]
