"""Random calls of ONNX's operators: name -> a function of a generator that gives inputs and attributes.

What is an array of integers or booleans, or comes behind the first `given`, is in the graph as a constant.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np


class Call(NamedTuple):
    """Inputs, attributes, how many inputs are the graph's, how many outputs are asked for, and the operator set."""

    inputs: list[Any]
    attributes: Mapping[str, Any] = MappingProxyType({})
    given: int = 1
    outputs: int = 1
    version: int = 21


Case = Callable[[np.random.Generator], Call]


def f32(rng, *shape):
    return rng.normal(size=shape).astype(np.float32)


def positive(rng, *shape):
    return (np.abs(f32(rng, *shape)) + 0.1).astype(np.float32)


def i64(*numbers):
    return np.array(numbers, np.int64)


def shape_of(rng, low=1, high=4, rank=None):
    return tuple(int(n) for n in rng.integers(low, high + 1, rank or rng.integers(1, 5)))


def version(rng, *of):
    return int(rng.choice(of or (13, 15, 17, 18, 21)))


def unary(make=f32, **attributes) -> Case:
    return lambda rng: Call([make(rng, *shape_of(rng))], attributes, version=version(rng))


def unit(rng, *shape):
    return rng.uniform(-0.99, 0.99, shape).astype(np.float32)


def above_one(rng, *shape):
    return (1 + positive(rng, *shape)).astype(np.float32)


def binary(make=f32, second=None) -> Case:
    def case(rng):
        shape = shape_of(rng)
        other = [n if rng.integers(2) else 1 for n in shape][int(rng.integers(len(shape))) :]
        a, b = make(rng, *shape), (second or make)(rng, *other)
        return Call([a, b] if rng.integers(2) or second else [b, a], given=2)

    return case


def integers(rng, *shape):
    return rng.integers(-9, 10, shape).astype(np.int32)


def not_zero(rng, *shape):
    return (rng.integers(1, 5, shape) * rng.choice([-1, 1], shape)).astype(np.int32)


def some(rng, *shape):
    """Of several dtypes, their ends among them."""
    dtype = np.dtype(rng.choice(["float32", "uint8", "int32"]))
    if dtype == np.float32:
        return f32(rng, *shape)
    ends = np.iinfo(dtype)
    return rng.choice(np.array([ends.min, ends.min + 1, 3, ends.max], dtype), shape)


def booleans(rng, *shape):
    return rng.integers(2, size=shape).astype(bool)


def many(rng):
    shape = shape_of(rng)
    return Call([f32(rng, *shape) for _ in range(int(rng.integers(1, 4)))], given=3)


def reduction(make=f32, by_input=13) -> Case:
    def case(rng):
        shape = shape_of(rng, rank=3)
        axes = sorted(int(a) for a in rng.choice(3, int(rng.integers(1, 4)), replace=False))
        v = version(rng, 13, 18, 21)
        how = {"keepdims": int(rng.integers(2))}
        if rng.integers(4) == 0:
            return Call([make(rng, *shape)], how | ({"noop_with_empty_axes": 1} if v >= by_input else {}), version=v)
        if v >= by_input:
            return Call([make(rng, *shape), i64(*axes)], how, version=v)
        return Call([make(rng, *shape)], how | {"axes": axes}, version=v)

    return case


def window(rng, rank):
    """Sizes, strides, dilations and padding of a window that fits."""
    kernel = [int(k) for k in rng.integers(1, 4, rank)]
    how = {"strides": [int(s) for s in rng.integers(1, 4, rank)]}
    padding = rng.choice(["pads", "pads", "SAME_UPPER", "SAME_LOWER", "VALID"])
    if padding == "pads":
        how["pads"] = [int(rng.integers(0, k)) for k in kernel * 2]
    else:
        how["auto_pad"] = str(padding)
    return kernel, how


def conv(rng):
    rank, group = int(rng.integers(1, 4)), int(rng.integers(1, 3))
    kernel, how = window(rng, rank)
    if "SAME" not in how.get("auto_pad", ""):
        how["dilations"] = [int(d) for d in rng.integers(1, 3, rank)]
    c_in, c_out = group * int(rng.integers(1, 3)), group * int(rng.integers(1, 3))
    x, w = f32(rng, 2, c_in, *rng.integers(6, 9, rank)), f32(rng, c_out, c_in // group, *kernel)
    return Call([x, w, *([f32(rng, c_out)] if rng.integers(2) else [])], how | {"group": group}, 3)


def conv_transpose(rng):
    rank, group = int(rng.integers(1, 3)), int(rng.integers(1, 3))
    kernel = [int(k) for k in rng.integers(2, 4, rank)]
    strides = [int(s) for s in rng.integers(1, 4, rank)]
    how: dict[str, Any] = {"strides": strides, "group": group}
    kind = rng.integers(3)
    if kind == 0:
        how |= {
            "pads": [int(rng.integers(0, k)) for k in kernel * 2],
            "dilations": [int(d) for d in rng.integers(1, 3, rank)],
        }
        how["output_padding"] = [int(rng.integers(0, s)) for s in strides]
    elif kind == 1:
        how["auto_pad"] = str(rng.choice(["SAME_UPPER", "SAME_LOWER"]))
    c_in, c_out = group * int(rng.integers(1, 3)), int(rng.integers(1, 3))
    x, w = f32(rng, 2, c_in, *rng.integers(3, 6, rank)), f32(rng, c_in, c_out, *kernel)
    return Call([x, w, *([f32(rng, c_out * group)] if rng.integers(2) else [])], how, 3)


def pool(average: bool) -> Case:
    def case(rng):
        rank = int(rng.integers(1, 3))
        kernel, how = window(rng, rank)
        how |= {"kernel_shape": kernel}
        if "auto_pad" not in how:
            how["ceil_mode"] = int(rng.integers(2))
            how |= {} if average else {"dilations": [int(d) for d in rng.integers(1, 3, rank)]}
        if average:
            how["count_include_pad"] = int(rng.integers(2))
        return Call([f32(rng, 2, 2, *rng.integers(6, 9, rank))], how)

    return case


def resize(rng):
    mode = str(rng.choice(["nearest", "linear", "cubic"]))
    transform = ["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"]
    how: dict[str, Any] = {"mode": mode, "coordinate_transformation_mode": str(rng.choice(transform))}
    if mode == "nearest":
        how["nearest_mode"] = str(rng.choice(["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]))
    if mode == "cubic":
        how |= {"cubic_coeff_a": -0.5, "exclude_outside": int(rng.integers(2))}
    x, none = f32(rng, 1, 2, 4, 5), np.zeros(0, np.float32)
    if rng.integers(2):
        return Call([x, none, none, i64(1, 2, *rng.integers(2, 11, 2))], how)
    return Call([x, none, np.array([1, 1, *rng.choice([0.5, 1.0, 1.4, 1.5, 2.0, 3.0], 2)], np.float32)], how)


def recurrent(gates: int) -> Case:
    def case(rng):
        t, b, i, h = (int(n) for n in rng.integers(2, 5, 4))
        direction = str(rng.choice(["forward", "reverse", "bidirectional"]))
        d = 2 if direction == "bidirectional" else 1
        inputs = [f32(rng, t, b, i), f32(rng, d, gates * h, i), f32(rng, d, gates * h, h)]
        inputs.append(f32(rng, d, 2 * gates * h) if rng.integers(2) else None)
        inputs.append(rng.integers(1, t + 1, b).astype(np.int32) if rng.integers(2) else None)
        inputs.append(f32(rng, d, b, h) if rng.integers(2) else None)
        if gates == 4:
            inputs += [f32(rng, d, b, h) if rng.integers(2) else None, f32(rng, d, 3 * h) if rng.integers(2) else None]
        how = {"direction": direction, "hidden_size": h}
        if gates == 3:
            how["linear_before_reset"] = int(rng.integers(2))
        return Call(inputs, how, 1, 3 if gates == 4 else 2)

    return case


def layer_norm(rng):
    shape, axis = shape_of(rng, 2, 4, 3), int(rng.integers(-2, 3))
    size = shape[axis % 3 :]
    return Call([f32(rng, *shape), f32(rng, *size), *([f32(rng, *size)] if rng.integers(2) else [])], {"axis": axis})


def channel_norm(statistics=False, groups=False) -> Case:
    def case(rng):
        c = 4
        x = f32(rng, 3, c, *shape_of(rng, 2, 4, int(rng.integers(1, 3))))
        more = [f32(rng, c), positive(rng, c)] if statistics else []
        how = {"epsilon": 1e-3} | ({"num_groups": 2} if groups else {})
        return Call([x, f32(rng, c), f32(rng, c), *more], how)

    return case


def matmul(rng):
    lead = shape_of(rng, 1, 3, int(rng.integers(1, 3)))
    a, b = f32(rng, *lead, 3, 4), f32(rng, *lead[int(rng.integers(len(lead) + 1)) :], 4, 2)
    return Call([a, b] if rng.integers(3) else [a[(0,) * len(lead)][0], b], given=2)


def gemm(rng):
    ta, tb = int(rng.integers(2)), int(rng.integers(2))
    a, b, c = f32(rng, 3, 4), f32(rng, 4, 2), [f32(rng, 2), f32(rng, 3, 1), f32(rng, 1)][rng.integers(3)]
    how = {"transA": ta, "transB": tb, "alpha": 0.5, "beta": 2.0}
    return Call([a.T.copy() if ta else a, b.T.copy() if tb else b, *([c] if rng.integers(2) else [])], how)


def softmax(rng):
    v = version(rng, 11, 13, 21)
    return Call(
        [f32(rng, 2, 3, 4)], {"axis": int(rng.integers(1, 3)) if v < 13 else int(rng.integers(-3, 3))}, version=v
    )


def slices(rng):
    shape = shape_of(rng, 3, 6, 3)
    axes = [int(a) for a in rng.choice(3, int(rng.integers(1, 4)), replace=False)]
    steps = [int(rng.choice([-2, -1, 1, 2])) for _ in axes]
    far = np.iinfo(np.int64)
    starts = [int(rng.integers(-4, 4)) if s > 0 else int(rng.choice([-9, -1, 2, far.max])) for s in steps]
    ends = [int(rng.choice([-1, 2, far.max])) if s > 0 else int(rng.choice([-3, 0, far.min])) for s in steps]
    return Call([f32(rng, *shape), i64(*starts), i64(*ends), i64(*axes), i64(*steps)])


def pad(rng):
    mode = str(rng.choice(["constant", "reflect", "edge"]))
    low = -1 if mode == "constant" else 0
    sizes = i64(*rng.integers(low, 3, 6))
    return Call([f32(rng, 3, 4, 3), sizes, *([np.float32(1.5)] if mode == "constant" else [])], {"mode": mode})


def axes_of(name) -> Case:
    def case(rng):
        x, v = f32(rng, 1, 3, 1), version(rng, 11, 13, 21)
        axes = [int(a) for a in rng.choice([0, 2, -1] if name == "Squeeze" else [0, 2, 3], 1)]
        return Call([x, i64(*axes)], version=v) if v >= 13 else Call([x], {"axes": axes}, version=v)

    return case


def split(rng):
    v, axis = version(rng, 11, 13, 18), int(rng.integers(-2, 2))
    x = f32(rng, 4, 4)
    if v == 18 and rng.integers(2):
        return Call([f32(rng, 5, 5)], {"axis": axis, "num_outputs": 2}, 1, 2, v)
    if rng.integers(2):
        return (
            Call([x, i64(1, 3)], {"axis": axis}, 1, 2, v)
            if v > 11
            else Call([x], {"axis": axis, "split": [1, 3]}, 1, 2, v)
        )
    return Call([x], {"axis": axis} | ({"num_outputs": 2} if v == 18 else {}), 1, 2, v)


def gather(rng):
    axis = int(rng.integers(-3, 3))
    x = f32(rng, 3, 4, 5)
    n = x.shape[axis]
    return Call([x, rng.integers(-n, n, shape_of(rng, 1, 3, int(rng.integers(1, 3)))).astype(np.int64)], {"axis": axis})


def elements(updates: bool) -> Case:
    def case(rng):
        axis = int(rng.integers(2))
        where = (
            rng.permuted(np.tile(np.arange(4), (3, 1)), axis=1)[:, :2]
            if axis
            else rng.permuted(np.tile(np.arange(4)[:, None], (1, 3)), axis=0)[:2]
        )
        where = where[: int(rng.integers(1, 4))] if axis else where[:, : int(rng.integers(1, 4))]
        x = f32(rng, *((3, 4) if axis else (4, 3)))
        more = [f32(rng, *where.shape)] if updates else []
        how = {"axis": axis} | ({"reduction": str(rng.choice(["none", "add", "mul", "max"]))} if updates else {})
        return Call([x, where.astype(np.int64), *more], how, version=18)

    return case


def scatter_nd(rng):
    where = np.stack(np.unravel_index(rng.choice(12, 3, replace=False), (3, 4)), -1)
    how = {"reduction": str(rng.choice(["none", "add", "mul"]))}
    return Call([f32(rng, 3, 4, 2), where.astype(np.int64), f32(rng, 3, 2)], how, version=18)


def gather_nd(rng):
    if rng.integers(2):
        return Call([f32(rng, 3, 4, 2), rng.integers(0, 2, (3, 2, 1)).astype(np.int64)], {"batch_dims": 1})
    return Call([f32(rng, 3, 4, 2), rng.integers(0, 3, (2, 2)).astype(np.int64)])


def expand(rng):
    return Call([f32(rng, 3, 1), i64(*[(2, 3, 4), (1, 5), (3, 1), (1, 1, 1)][rng.integers(4)])])


def top_k(rng):
    how = {"axis": int(rng.integers(-1, 2)), "largest": int(rng.integers(2))}
    x = f32(rng, 4, 5) if rng.integers(2) else rng.permutation(np.arange(-10, 10, dtype=np.int32)).reshape(4, 5)
    return Call([x, i64(int(rng.integers(1, 4)))], how, 1, 2)


def one_hot(rng):
    how = {"axis": int(rng.integers(-1, 2))}
    return Call([rng.integers(-5, 5, (6,)).astype(np.int64), i64(3), np.array([0.5, 2], np.float32)], how, 0)


def quantized(back: bool) -> Case:
    def case(rng):
        each = bool(rng.integers(2))
        scale = positive(rng, 3) if each else np.float32(0.1)
        zero = rng.integers(0, 9, 3 if each else ()).astype(np.uint8)
        x = rng.integers(0, 255, (2, 3, 4)).astype(np.uint8) if back else f32(rng, 2, 3, 4)
        if rng.integers(2):
            return Call([x, scale, zero], {"axis": 1})
        scale, zero = positive(rng, 2, 3, 2), rng.integers(0, 9, (2, 3, 2)).astype(np.uint8)
        return Call([x, scale, zero], {"axis": 2, "block_size": 2})

    return case


PLAIN = (
    "Abs Neg Exp Floor Ceil Round Sign Sin Cos Tan Tanh Atan Sinh Cosh Asinh Erf Relu Elu Selu Celu Sigmoid HardSwish"
)
CASES: dict[str, Case] = {
    **{name: unary() for name in f"{PLAIN} Softplus Softsign Identity LeakyRelu ThresholdedRelu Shrink".split()},
    **{name: unary(positive) for name in ("Log", "Sqrt", "Reciprocal")},
    **{name: unary(unit) for name in ("Asin", "Acos", "Atanh")},
    **{name: binary() for name in ("Add", "Sub", "Mul", "Less", "Greater", "LessOrEqual", "GreaterOrEqual")},
    **{name: binary(booleans) for name in ("And", "Or", "Xor")},
    **{name: binary(integers) for name in ("BitwiseAnd", "BitwiseOr", "BitwiseXor", "Equal")},
    **dict.fromkeys(("Max", "Min", "Sum", "Mean"), many),
    **{
        f"Reduce{name}": reduction(by_input=18)
        for name in ("Mean", "Max", "Min", "Prod", "L1", "L2", "SumSquare", "LogSumExp")
    },
    **dict.fromkeys(("Softmax", "LogSoftmax", "Hardmax"), softmax),
    "Acosh": unary(above_one),
    "ArgMax": lambda rng: Call([f32(rng, 3, 4)], {"axis": int(rng.integers(-2, 2)), "keepdims": int(rng.integers(2))}),
    "ArgMin": lambda rng: Call([some(rng, 3, 4)], {"axis": int(rng.integers(-2, 2)), "keepdims": int(rng.integers(2))}),
    "AveragePool": pool(True),
    "BatchNormalization": channel_norm(statistics=True),
    "BitShift": lambda rng: Call([rng.integers(0, 99, 4).astype(np.uint32)] * 2, {"direction": "RIGHT"}, 2),
    "BitwiseNot": lambda rng: Call([integers(rng, 3, 4)]),
    "Cast": lambda rng: Call([3 * f32(rng, 3, 2)], {"to": int(rng.choice([1, 6, 9]))}),
    "CastLike": lambda rng: Call([3 * f32(rng, 3, 2), np.zeros(1, np.int32)]),
    "Clip": lambda rng: Call([f32(rng, 3, 2), np.float32(-0.5), *([np.float32(0.5)] if rng.integers(2) else [])]),
    "Concat": lambda rng: Call([f32(rng, 2, 3), f32(rng, 2, 3)], {"axis": int(rng.integers(-2, 2))}, 2),
    "ConstantOfShape": lambda rng: Call([i64(2, 3)], {}, 0),
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "CumSum": lambda rng: Call(
        [f32(rng, 3, 4), i64(int(rng.integers(2)))],
        {"exclusive": int(rng.integers(2)), "reverse": int(rng.integers(2))},
    ),
    "DepthToSpace": lambda rng: Call([f32(rng, 2, 8, 3, 2)], {"blocksize": 2, "mode": str(rng.choice(["DCR", "CRD"]))}),
    "DequantizeLinear": quantized(back=True),
    "Div": lambda rng: (binary(integers, not_zero) if rng.integers(2) else binary(f32, positive))(rng),
    "Dropout": unary(),
    "Einsum": lambda rng: Call([f32(rng, 2, 3, 4), f32(rng, 2, 4, 5)], {"equation": "bij,bjk->bik"}, 2),
    "Expand": expand,
    "EyeLike": lambda rng: Call([f32(rng, 3, 4)], {"k": int(rng.integers(-1, 2))}),
    "Flatten": lambda rng: Call([f32(rng, 2, 3, 4)], {"axis": int(rng.integers(-3, 4))}),
    "GRU": recurrent(3),
    "Gather": gather,
    "GatherElements": elements(updates=False),
    "GatherND": gather_nd,
    "Gelu": lambda rng: Call([f32(rng, 3, 4)], {"approximate": str(rng.choice(["none", "tanh"]))}),
    "Gemm": gemm,
    "GlobalAveragePool": lambda rng: Call([f32(rng, 2, 3, 4, 5)]),
    "GlobalMaxPool": lambda rng: Call([f32(rng, 2, 3, 4)]),
    "GroupNormalization": channel_norm(groups=True),
    "HardSigmoid": unary(alpha=0.3, beta=0.4),
    "InstanceNormalization": channel_norm(),
    "IsInf": lambda rng: Call([np.array([1, np.inf, -np.inf], np.float32)], {"detect_negative": int(rng.integers(2))}),
    "IsNaN": lambda rng: Call([np.array([1, np.nan], np.float32)]),
    "LRN": lambda rng: Call([f32(rng, 2, 5, 3, 3)], {"size": int(rng.choice([1, 3, 5])), "alpha": 0.1, "bias": 2.0}),
    "LSTM": recurrent(4),
    "LayerNormalization": layer_norm,
    "LpNormalization": lambda rng: Call([f32(rng, 3, 4)], {"p": int(rng.integers(1, 3)), "axis": int(rng.integers(2))}),
    "MatMul": matmul,
    "MaxPool": pool(False),
    "Mish": lambda rng: Call([f32(rng, 3, 4)]),
    "Mod": lambda rng: Call([integers(rng, 5), not_zero(rng, 5)], {"fmod": int(rng.integers(2))}, 2),
    "NonZero": lambda rng: Call([booleans(rng, 3, 4)], {}, 0),
    "Not": unary(booleans),
    "OneHot": one_hot,
    "PRelu": lambda rng: Call([f32(rng, 2, 3, 4), f32(rng, 3, 1)]),
    "Pad": pad,
    "Pow": lambda rng: Call([positive(rng, 3, 4), np.full((1,) * int(rng.integers(4)), rng.choice([2, 0.5, -1]), "f")]),
    "QuantizeLinear": quantized(back=False),
    "RNN": recurrent(1),
    "Range": lambda rng: Call([np.int64(int(rng.integers(-3, 3))), np.int64(7), np.int64(2)], {}, 0),
    "ReduceLogSum": reduction(positive, by_input=18),
    "ReduceSum": reduction(by_input=13),
    "Reshape": lambda rng: Call([f32(rng, 2, 3, 4), i64(*[(0, -1), (4, 3, 2), (-1, 0, 2)][rng.integers(3)])]),
    "Resize": resize,
    "ScatterElements": elements(updates=True),
    "ScatterND": scatter_nd,
    "Shape": lambda rng: Call([f32(rng, 2, 3, 4)], {"start": int(rng.integers(-2, 2))}),
    "Size": lambda rng: Call([f32(rng, 2, 3, 4)]),
    "Slice": slices,
    "SpaceToDepth": lambda rng: Call([f32(rng, 2, 2, 4, 6)], {"blocksize": 2}),
    "Split": split,
    "Squeeze": axes_of("Squeeze"),
    "Tile": lambda rng: Call([f32(rng, 2, 3), i64(*rng.integers(1, 4, 2))]),
    "TopK": top_k,
    "Transpose": lambda rng: Call([f32(rng, 2, 3, 4)], {"perm": [int(i) for i in rng.permutation(3)]}),
    "Trilu": lambda rng: Call([f32(rng, 3, 4), np.int64(int(rng.integers(-1, 2)))], {"upper": int(rng.integers(2))}),
    "Unsqueeze": axes_of("Unsqueeze"),
    "Where": lambda rng: Call([booleans(rng, 3, 1), f32(rng, 3, 4), f32(rng, 4)], {}, 3),
}
