"""Labelled frames of a continuum manipulator from an imaging chain that training never saw.

    pip install itk-rtk==2.7.0.post1 gvxr==2.1.0        # none of them is a dependency
    python -m benchmark.foreign make DIR --frames 200 --seed 903
    python -m benchmark.foreign score models/cm_tracker_quarter.onnx --data DIR

Poses, kinematics and label rules are the project's; what makes the picture is not: line integrals
by ITK-RTK's Joseph projector, path lengths through the device by gVirtualXray, tissues by plain
thresholds, a tube after Kramers' law, panels of other screens, scatter as a broad spread, and the
exports that leave a clinic. Half of the frames are raw, half processed; half show the chest, half
the head, whose CT (GPL-2) is for evaluation on your own machine: keep such frames to yourself.
"""
