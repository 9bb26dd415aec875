"""Explicit vector arithmetic for numba kernels whose inner loop is four or eight lanes wide.

Numba leaves the compiler's own vectorisation of such straight-line code switched off; written out
as LLVM vectors it is three times faster. The number of lanes is the length of a tuple argument, so
that it is part of a kernel's types: kernels made by a function would not be cached on disk.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

_BYTE = ir.IntType(8)


@intrinsic
def _lerp_lanes(typing_context, tag, levels, here, f, out, there):
    """Set out[there + m] to a + f * (b - a) for m < lanes; the lanes are the length of `tag`.

    a is levels[here + m] and b levels[here + lanes + m]. `levels` is uint16 and `out` float32,
    both flat and contiguous; the indices are uint64 and not checked.
    """
    lanes = tag.count
    signature = types.void(tag, levels, types.uint64, types.float32, out, types.uint64)

    def generate(context, builder, signature, arguments):
        _, levels_value, here_value, f_value, out_value, there_value = arguments
        levels_type, out_type = signature.args[1], signature.args[4]
        source = cgutils.create_struct_proxy(levels_type)(context, builder, levels_value)
        target = cgutils.create_struct_proxy(out_type)(context, builder, out_value)
        halves = ir.VectorType(ir.IntType(16), lanes)
        wholes = ir.VectorType(ir.IntType(32), lanes)
        floats = ir.VectorType(ir.FloatType(), lanes)

        def load(offset):
            pointer = builder.gep(source.data, [offset])
            vector = builder.load(builder.bitcast(pointer, halves.as_pointer()))
            vector.align = 2
            return builder.sitofp(builder.zext(vector, wholes), floats)

        a = load(here_value)
        b = load(builder.add(here_value, ir.Constant(ir.IntType(64), lanes)))
        share = ir.Constant(floats, ir.Undefined)
        for m in range(lanes):
            share = builder.insert_element(share, f_value, ir.Constant(ir.IntType(32), m))
        step = builder.fmul(share, builder.fsub(b, a, flags=['fast']), flags=['fast'])
        pointer = builder.gep(target.data, [there_value])
        stored = builder.store(
            builder.fadd(a, step, flags=['fast']),
            builder.bitcast(pointer, floats.as_pointer()),
        )
        stored.align = 4
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def _prefetch(typing_context, levels, here):
    """Ask for the cache line of levels[here], uint16; an address past the end does no harm."""
    signature = types.void(levels, types.uint64)

    def generate(context, builder, signature, arguments):
        levels_value, here_value = arguments
        source = cgutils.create_struct_proxy(signature.args[0])(context, builder, levels_value)
        pointer = builder.bitcast(builder.gep(source.data, [here_value]), _BYTE.as_pointer())
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [_BYTE.as_pointer(), number, number, number])
        function = builder.module.declare_intrinsic('llvm.prefetch', [_BYTE.as_pointer()], kind)
        read, keep, data = (ir.Constant(number, value) for value in (0, 3, 1))
        builder.call(function, [pointer, read, keep, data])
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def _spline_lanes(typing_context, tag, plane, here, width, u, v, out):
    """Set out[m] to a weighted sum of 4 x 4 vectors for m < lanes, the length of `tag`.

    out[m] = sum over j, i < 4 of v[j] * u[i] * plane[here + (j * width + i) * lanes + m]. `plane`
    and `out` are float32, flat and contiguous; `here` and `width` are uint64 and not checked; u
    and v are tuples of four float32.
    """
    lanes = tag.count
    taps = types.UniTuple(types.float32, 4)
    signature = types.void(tag, plane, types.uint64, types.uint64, taps, taps, out)

    def generate(context, builder, signature, arguments):
        _, plane_value, here_value, width_value, u_value, v_value, out_value = arguments
        source = cgutils.create_struct_proxy(signature.args[1])(context, builder, plane_value)
        target = cgutils.create_struct_proxy(signature.args[6])(context, builder, out_value)
        floats = ir.VectorType(ir.FloatType(), lanes)

        def spread(value):
            vector = ir.Constant(floats, ir.Undefined)
            for m in range(lanes):
                place = ir.Constant(ir.IntType(32), m)
                vector = builder.insert_element(vector, value, place)
            return vector

        across = [spread(builder.extract_value(u_value, i)) for i in range(4)]
        total = None
        for j in range(4):
            row = builder.mul(width_value, ir.Constant(ir.IntType(64), j * lanes))
            row, line = builder.add(here_value, row), None
            for i in range(4):
                place = builder.add(row, ir.Constant(ir.IntType(64), i * lanes))
                pointer = builder.gep(source.data, [place])
                loaded = builder.load(builder.bitcast(pointer, floats.as_pointer()))
                loaded.align = 4
                part = builder.fmul(across[i], loaded, flags=['fast'])
                line = part if line is None else builder.fadd(line, part, flags=['fast'])
            part = builder.fmul(spread(builder.extract_value(v_value, j)), line, flags=['fast'])
            total = part if total is None else builder.fadd(total, part, flags=['fast'])
        pointer = builder.bitcast(target.data, floats.as_pointer())
        stored = builder.store(total, pointer)
        stored.align = 4
        return context.get_dummy_value()

    return signature, generate


# Kernels call them without the typing context.
lerp_lanes: Any = _lerp_lanes
spline_lanes: Any = _spline_lanes
prefetch: Any = _prefetch
