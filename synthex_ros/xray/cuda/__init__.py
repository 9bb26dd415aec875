"""The X-ray engine on a GPU: the numbers of the CPU, many frames at a time.

`cuda.projector.CudaProjector` is a projector for a `Renderer`; `cuda.batch.BatchRenderer` keeps
the whole chain on the GPU. Kernels are CUDA C in `data/`; hosts reach them through a `Device`, so
that they also run where they are compiled for the processor.
"""
