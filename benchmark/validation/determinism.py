"""The same seed gives the same bytes: hashes of frames on one thread and on two."""

from __future__ import annotations

import hashlib
import itertools

import numba
import numpy as np
import trimesh

from benchmark.validation.section import Check, Section, Table
from synthex_ros.anatomy import load_sample
from synthex_ros.bodies import Body, TriangleMesh
from synthex_ros.geometry import CArm, make_pose, rotation
from synthex_ros.xray.beam import Technique
from synthex_ros.xray.imaging_chain import ImagingChain
from synthex_ros.xray.parallel import parallel
from synthex_ros.xray.renderer import Renderer
from synthex_ros.xray.scene import Scene

FRAMES = 3
RUNS = {
    'seed 1, one thread': (1, 1),
    'seed 1, two threads': (1, 2),
    'seed 1, two threads again': (1, 2),
}
OTHER = {'seed 2, two threads': (2, 2)}


def frame_hashes(seed: int, threads: int, pixels: int) -> list[str]:
    """Return SHA-256 of the counts of a moving wire in the phantom, full imaging chain."""
    volume, chain = load_sample('phantom'), ImagingChain.full()
    pose = make_pose(None, -volume.centre_patient_m)
    scene = Scene(volume, world_from_patient=pose)
    wire = trimesh.creation.cylinder(1e-3, 0.06, sections=24)
    mesh = TriangleMesh(np.array(wire.vertices), np.ascontiguousarray(wire.faces, np.int32))
    view = CArm().view(0.4, 0.1).resized((pixels, pixels))
    with parallel(threads):
        renderer = Renderer(scene, Technique(80, 0.02), chain=chain, threads=threads)
        memory, hashes = chain.memory(view.geometry.shape_px), []
        for index in range(FRAMES):
            body = Body(mesh, 'nitinol', make_pose(rotation('y', 0.3 * index), (0, 0, 0)), 1)
            rng = np.random.default_rng([seed, index])
            shot = renderer.render(view, [body], rng, memory=memory, interval_s=1 / 15)
            hashes.append(hashlib.sha256(shot.counts.tobytes()).hexdigest())
    return hashes


def section(quick: bool) -> Section:
    """Compare runs of one seed, and one of another."""
    pixels = 256 if quick else 1024
    found = {name: frame_hashes(*run, pixels) for name, run in (RUNS | OTHER).items()}
    same = [found[name] for name in RUNS]
    differing = sum(
        a != b for pair in itertools.combinations(same, 2) for a, b in zip(*pair, strict=True)
    )
    repeated = len(set(same[0]) & set(found[next(iter(OTHER))]))
    rows = [(name, *(f'`{digest[:12]}`' for digest in hashes)) for name, hashes in found.items()]
    note = ''
    if numba.config.NUMBA_NUM_THREADS < 2:
        note = 'This run had one thread only.'
    return Section(
        'Determinism',
        f'{FRAMES} frames of {pixels} x {pixels} pixels: a moving wire in the procedural torso, '
        'scatter, focal spot, heel, collimator, quantum and read-out noise, lag. Each run renders '
        'everything anew. Shown are the first digits of SHA-256 over the counts.',
        [
            Check('frames that differ between runs of one seed', differing, 0, ''),
            Check('frames that two seeds share', repeated, 0, ''),
        ],
        [Table(('run', *(f'frame {n}' for n in range(FRAMES))), rows)],
        (),
        note or 'Bytes hold for one machine and build; other processors may round differently.',
    )
