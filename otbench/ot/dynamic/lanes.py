"""A vector type for Numba: one double of each of several systems, held in one register.

The vectors are explicit because the compiler's vectoriser cannot know that two arrays do not
overlap, and gives up. LLVM splits a vector that is wider than the machine's registers.
"""

from __future__ import annotations

from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.core.cgutils import get_or_insert_function
from numba.extending import intrinsic, models, register_model

LANES = 8 if llvm.get_host_cpu_features().get("avx512f") else 4
"""Number of systems that are solved side by side."""

VECTOR = ir.VectorType(ir.DoubleType(), LANES)


class _LanesType(types.Type):
    def __init__(self) -> None:
        super().__init__(name=f"Lanes{LANES}")


_lanes = _LanesType()


@register_model(_LanesType)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, numba_type: Any) -> None:
        super().__init__(manager, numba_type, VECTOR)


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    first = builder.mul(index, ir.Constant(index.type, LANES))
    return builder.bitcast(builder.gep(data, [first]), VECTOR.as_pointer())


@intrinsic
def load(typing_context: Any, array: Any, index: Any) -> Any:
    """Read vector ``index`` of a flat float64 array."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value = builder.load(_pointer(context, builder, signature.args[0], *arguments))
        value.align = 8
        return value

    return _lanes(array, types.intp), generate


@intrinsic
def store(typing_context: Any, array: Any, index: Any, value: Any) -> Any:
    """Write vector ``index`` of a flat float64 array."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, index, value = arguments
        pointer = _pointer(context, builder, signature.args[0], array, index)
        builder.store(value, pointer).align = 8
        return context.get_dummy_value()

    return types.void(array, types.intp, _lanes), generate


@intrinsic
def spread(typing_context: Any, number: Any) -> Any:
    """Put one number in all lanes."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        undefined = ir.Constant(VECTOR, ir.Undefined)
        first = builder.insert_element(undefined, arguments[0], ir.IntType(32)(0))
        everywhere = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        return builder.shuffle_vector(first, undefined, everywhere)

    return _lanes(types.float64), generate


def _arithmetic(name: str, doc: str, arity: int, emit: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return emit(builder, *arguments)

    def one(typing_context: Any, a: Any) -> Any:
        return _lanes(_lanes), generate

    def two(typing_context: Any, a: Any, b: Any) -> Any:
        return _lanes(_lanes, _lanes), generate

    def three(typing_context: Any, a: Any, b: Any, c: Any) -> Any:
        return _lanes(_lanes, _lanes, _lanes), generate

    chosen = {1: one, 2: two, 3: three}[arity]
    chosen.__name__ = name
    chosen.__doc__ = doc
    return intrinsic(chosen)


FUSED = ("contract",)


def _multiply_subtract(builder: Any, c: Any, a: Any, b: Any) -> Any:
    return builder.fsub(c, builder.fmul(a, b, flags=FUSED), flags=FUSED)


def _multiply_add(builder: Any, c: Any, a: Any, b: Any) -> Any:
    return builder.fadd(c, builder.fmul(a, b, flags=FUSED), flags=FUSED)


def _inverse_root(builder: Any, a: Any) -> Any:
    name = f"llvm.sqrt.v{LANES}f64"
    root = get_or_insert_function(builder.module, ir.FunctionType(VECTOR, [VECTOR]), name)
    one = ir.Constant(VECTOR, [1.0] * LANES)
    return builder.fdiv(one, builder.call(root, [a]))


add = _arithmetic("add", "a + b", 2, lambda builder, a, b: builder.fadd(a, b))
subtract = _arithmetic("subtract", "a - b", 2, lambda builder, a, b: builder.fsub(a, b))
multiply = _arithmetic("multiply", "a * b", 2, lambda builder, a, b: builder.fmul(a, b))
divide = _arithmetic("divide", "a / b", 2, lambda builder, a, b: builder.fdiv(a, b))
subtract_product = _arithmetic("subtract_product", "c - a * b", 3, _multiply_subtract)
add_product = _arithmetic("add_product", "c + a * b", 3, _multiply_add)
inverse_root = _arithmetic("inverse_root", "1 / sqrt(a)", 1, _inverse_root)
