"""CT volumes: reading, samples, a phantom, segmented structures, materials."""

from pathlib import Path

from synthex_ros.anatomy.head_phantom import head_phantom
from synthex_ros.anatomy.materials import MATERIALS, MaterialModel, MaterialTable
from synthex_ros.anatomy.phantom import torso_phantom
from synthex_ros.anatomy.reader import read_volume
from synthex_ros.anatomy.samples import SAMPLES, SampleMissingError, load_sample
from synthex_ros.anatomy.structures import TOTALSEGMENTATOR_IDS
from synthex_ros.anatomy.volume import Volume

__all__ = [
    'MATERIALS',
    'SAMPLES',
    'TOTALSEGMENTATOR_IDS',
    'MaterialModel',
    'MaterialTable',
    'SampleMissingError',
    'Volume',
    'head_phantom',
    'load_sample',
    'load_volume',
    'read_volume',
    'torso_phantom',
]


def load_volume(spec: str | Path) -> Volume:
    """Return a CT by sample name ('chest', 'head', 'phantom') or by path.

    Raises:
        FileNotFoundError: no sample and no file of that name.
        ValueError: the file is no plausible CT.
    """
    if str(spec) in SAMPLES:
        return load_sample(str(spec))
    if not Path(spec).exists():
        raise FileNotFoundError(
            f'no CT {str(spec)!r}: give one of {", ".join(SAMPLES)}, or the path of a NIfTI, '
            'NRRD or MetaImage file or of a DICOM folder'
        )
    return read_volume(spec)
