"""ONNX's operators against torch, values and gradients, and graphs that are built by hand: without the package onnx."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jnn.interop._fitting import fitting
from jnn.interop.onnx import OPERATORS
from jnn.interop.onnx._read import Graph, Node
from jnn.interop.onnx._run import check, run
from jnn.interop.onnx._weights import weights
from tests.oracle import assert_matches_torch, configurations


def graph(nodes, inputs, outputs, **constants):
    made = [Node(operator, out[0], tuple(into), tuple(out), how) for operator, into, out, how in nodes]
    return Graph(tuple(made), tuple(inputs), tuple(outputs), {name: np.asarray(x) for name, x in constants.items()})


@pytest.mark.parametrize("rng", configurations(fast=[0]), ids=range(20))
def test_convolutions_are_torchs(rng):
    group, stride, padding, dilation = (int(n) for n in rng.integers([1, 1, 0, 1], [3, 3, 3, 3]))
    how = {"strides": [stride] * 2, "dilations": [dilation] * 2, "group": group}
    sizes = {"stride": stride, "padding": padding, "dilation": dilation, "groups": group}
    x, b = rng.normal(size=(2, 2 * group, 7, 6)), rng.normal(size=4)
    w, turned = rng.normal(size=(4, 2, 3, 2)), rng.normal(size=(2 * group, 4 // group, 3, 2))

    def ours(x, w, b, turned):
        y = OPERATORS["Conv"](x, w, b, pads=[padding] * 4, **how)
        return jnp.concatenate([y.ravel(), OPERATORS["ConvTranspose"](x, turned, b, pads=[padding] * 4, **how).ravel()])

    def theirs(x, w, b, turned):
        y = torch.nn.functional.conv2d(x, w, b, **sizes)
        return torch.cat([y.ravel(), torch.nn.functional.conv_transpose2d(x, turned, b, **sizes).ravel()])

    assert_matches_torch(ours, theirs, [x, w, b, turned])


@pytest.mark.parametrize("rng", configurations(fast=[0]), ids=range(20))
def test_pooling_and_resizing_are_torchs(rng):
    kernel, stride = int(rng.integers(2, 4)), int(rng.integers(1, 4))
    how = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [1] * 4, "ceil_mode": 1}
    sizes = np.array([2, 3, *rng.integers(5, 12, 2)])
    linear = {"mode": "linear", "coordinate_transformation_mode": str(rng.choice(["half_pixel", "align_corners"]))}
    aligned = linear["coordinate_transformation_mode"] == "align_corners"

    def ours(x):
        found = [OPERATORS["MaxPool"](x, **how), OPERATORS["AveragePool"](x, **how, count_include_pad=1)]
        found.append(OPERATORS["Resize"](x, None, None, sizes, **linear))
        return jnp.concatenate([y.ravel() for y in found])

    def theirs(x):
        pools = torch.nn.functional.max_pool2d, torch.nn.functional.avg_pool2d
        found = [pool(x, kernel, stride, 1, ceil_mode=True) for pool in pools]
        out = [int(n) for n in sizes[2:]]
        found.append(torch.nn.functional.interpolate(x, out, mode="bilinear", align_corners=aligned))
        return torch.cat([y.ravel() for y in found])

    assert_matches_torch(ours, theirs, [rng.normal(size=(2, 3, 7, 8))])


@pytest.mark.parametrize("rng", configurations(fast=[0]), ids=range(20))
def test_recurrent_layers_are_torchs(rng):
    t, b, i, h = (int(n) for n in rng.integers(2, 5, 4))
    order = [0, 3, 1, 2]  # torch's gates are i, f, g, o, ONNX's i, o, f, c
    ours_of = lambda w: jnp.concatenate([jnp.split(w, 4)[k] for k in order])[None]

    def ours(x, w, r, b0, b1):
        bias = jnp.concatenate([ours_of(b0), ours_of(b1)], 1)
        return OPERATORS["LSTM"](x, ours_of(w), ours_of(r), bias, hidden_size=h)[0][:, 0]

    def theirs(x, w, r, b0, b1):
        state = (torch.zeros(1, b, h),) * 2
        return torch.lstm(x, state, (w, r, b0, b1), True, 1, 0.0, False, False, False)[0]

    sizes = [(t, b, i), (4 * h, i), (4 * h, h), (4 * h,), (4 * h,)]
    assert_matches_torch(ours, theirs, [rng.normal(size=size) for size in sizes])


def test_what_is_computed_of_shapes_is_known_under_jit():
    """Rows of an image, flattened by a shape that the graph computes, and a branch by the number of rows."""
    nodes = [
        ("Shape", ["x"], ["shape"], {}),
        ("Gather", ["shape", "zero"], ["rows"], {}),
        ("Unsqueeze", ["rows", "first"], ["rows1"], {}),
        ("Concat", ["rows1", "rest"], ["wanted"], {"axis": 0}),
        ("Reshape", ["x", "wanted"], ["flat"], {}),
        ("Slice", ["flat", "begin", "far", "last", "back"], ["turned"], {}),
        ("Greater", ["rows", "two"], ["many"], {}),
        ("If", ["many"], ["y"], {"then_branch": branch("Neg"), "else_branch": branch("Identity")}),
        ("Loop", ["rows", "", "y"], ["end", "all"], {"body": body()}),
    ]
    constants = {"zero": np.int64(0), "two": np.int64(2), "first": [0], "rest": [-1], "begin": [-1], "last": [1]}
    constants |= {"far": [np.iinfo(np.int64).min], "back": [-1]}
    whole = graph(nodes, ["x"], ["y", "end", "all"], **constants)
    check(whole, 21, OPERATORS)
    for rows in (2, 3):
        x = np.arange(rows * 6.0, dtype=np.float32).reshape(rows, 2, 3)
        y, end, every = jax.jit(lambda x: run(whole, {"x": x}, 21, OPERATORS))(x)
        expected = x.reshape(rows, -1)[:, ::-1] * (-1 if rows > 2 else 1)
        np.testing.assert_array_equal(y, expected)
        np.testing.assert_array_equal(end, expected + sum(range(rows)))
        assert every.shape == (rows, rows, 6)


def branch(operator):
    return graph([(operator, ["turned"], ["out"], {})], [], ["out"])


def body():
    nodes = [
        ("Cast", ["i"], ["number"], {"to": 1}),
        ("Add", ["before", "number"], ["after"], {}),
        ("Identity", ["go"], ["go_on"], {}),
    ]
    return graph(nodes, ["i", "go", "before"], ["go_on", "after", "after"])


@pytest.mark.parametrize(
    ("name", "inputs", "attributes", "expected"),
    [
        ("ArgMin", [np.array([3, 0, 1], np.uint8)], {}, [1]),
        ("ArgMin", [np.array([3, -(2**31), 1], np.int32)], {"keepdims": 0}, 1),
        ("CumSum", [np.array([1, 1e8, 3]), np.array(0)], {"exclusive": 1}, [0, 1, 1e8]),
        ("CumSum", [np.array([[1, np.inf, 3]]), np.array(-1)], {"exclusive": 1, "reverse": 1}, [[np.inf, 3, 0]]),
        (
            "DequantizeLinear",
            [np.ones((2, 3), np.int8), np.array([[1.0, 2], [3, 4]])],
            {"block_size": 2},
            [[1, 1, 2], [3, 3, 4]],
        ),
        ("Flatten", [np.ones((0, 3, 2))], {}, np.ones((0, 6))),
        ("GatherElements", [np.arange(12).reshape(4, 3), np.array([[1, -1]])], {"axis": 1}, [[1, 2]]),
        ("Hardmax", [np.array([[[1.0, 1], [3, 3]]])], {"version": 11}, [[[0, 0], [1, 0]]]),
        ("LpNormalization", [np.array([[0.0, 0], [3, -4]])], {"p": 2}, [[0, 0], [0.6, -0.8]]),
        (
            "OneHot",
            [np.array([-1, 3, -4, 0]), np.array(3), np.array([0, 1])],
            {},
            [[0, 0, 1], [0] * 3, [0] * 3, [1, 0, 0]],
        ),
        ("Pow", [np.array([1.0, 2]), np.array([[2.0]])], {}, [[1, 4]]),
        ("ReduceMax", [np.zeros((0, 2))], {"axes": [0]}, [[-np.inf] * 2]),
        ("ReduceSumSquare", [np.array([-3.0, 4])], {"noop_with_empty_axes": 1}, [9, 16]),
        ("Resize", [np.ones((1, 5)), None, np.array([1, 1.4])], {}, np.ones((1, 7))),
        (
            "Resize",
            [np.array([[10, 200]], np.uint8), None, np.array([1.0, 2])],
            {"mode": "linear"},
            [[10, 57, 152, 200]],
        ),
        (
            "Resize",
            [np.arange(7.0)[None], None, np.array([1, 0.6])],
            {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
            [[0, 1, 3, 5]],
        ),
        ("Slice", [np.arange(5), np.array([-9]), np.array([-9]), np.array([0]), np.array([-1])], {}, [0]),
        ("TopK", [np.array([3, 0, 1], np.uint8), np.array(2)], {"largest": 0}, [0, 1]),
    ],
)
def test_operators_hold_at_their_edges(name, inputs, attributes, expected):
    single = lambda x: x.astype(np.float32) if x is not None and x.dtype == np.float64 else x
    first, *rest = map(single, inputs)
    for x in (first, jnp.asarray(first)):
        found = OPERATORS[name](x, *rest, **attributes)
        found = found[0] if isinstance(found, tuple) else found
        assert found.shape == np.shape(expected)
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_an_output_without_a_name_is_no_input():
    weights = {"w": np.ones((1, 4, 1)), "r": np.ones((1, 4, 1)), "most": np.float32(0.1)}
    nodes = [
        ("LSTM", ["x", "w", "r"], ["", "h"], {"hidden_size": 1}),
        ("Clip", ["h", "", "most"], ["y"], {}),
    ]
    (y,) = run(graph(nodes, ["x"], ["y"], **weights), {"x": jnp.ones((2, 1, 1))}, 21, OPERATORS)
    assert y.shape == (1, 1, 1)


def test_what_is_behind_the_end_of_a_row_is_not_there():
    x = jnp.array([1.0, jnp.nan]).reshape(2, 1, 1)
    outputs, last = OPERATORS["RNN"](x, np.ones((1, 1, 1)), np.ones((1, 1, 1)), None, np.array([1]), hidden_size=1)
    np.testing.assert_allclose(outputs.ravel(), [np.tanh(1), 0], rtol=1e-6)
    np.testing.assert_allclose(last.ravel(), np.tanh(1), rtol=1e-6)


def test_parameters_are_the_floats_that_something_is_learnt_of():
    nodes = [
        ("Identity", ["table"], ["same"], {}),
        ("Gather", ["same", "tokens"], ["h"], {}),
        ("Gemm", ["h", "w", "b"], ["g"], {"transB": 1}),
        ("BatchNormalization", ["g", "scale", "shift", "mean", "var"], ["n"], {}),
        ("Resize", ["n", "", "scales"], ["r"], {}),
        ("Add", ["r", "one"], ["y"], {}),
    ]
    f32 = lambda *shape: np.ones(shape, np.float32)
    constants = {name: f32(8) for name in ("scale", "shift", "mean", "var", "b")}
    constants |= {"table": f32(9, 4), "w": f32(8, 4), "scales": f32(2), "one": f32(), "integers": np.arange(3)}
    found, layers = weights(graph(nodes, ["tokens"], ["y"], **constants))
    assert found.keys() == {"table", "w", "b", "scale", "shift"}
    assert layers["table"] == ("h", "vocab -> embed")
    assert layers["w"] == ("g", "out <- in")


def test_constants_take_the_dtype_of_what_is_computed():
    of = lambda name, *xs, **how: OPERATORS[name](*xs, **how).dtype
    x, constant = jnp.ones((2, 3), jnp.bfloat16), np.float32(2)
    assert of("Mul", x, np.asarray(constant)) == of("Concat", x, np.ones((2, 3), np.float32), axis=0) == jnp.bfloat16
    assert of("MatMul", x, np.ones((3, 2), np.float32)) == of("Pow", x, np.asarray(constant)) == jnp.bfloat16
    assert OPERATORS["Pow"](jnp.float32(-2.0).reshape(1), np.asarray(constant)).item() == 4


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: check(graph([("Det", ["x"], ["y"], {})], ["x"], ["y"]), 17, OPERATORS),
            ValueError,
            "node 'y', operator set 17: there is no operator 'Det'",
        ),
        (
            lambda: check(graph([("Relu", ["x"], ["y"], {"slope": 1})], ["x"], ["y"]), 17, OPERATORS),
            ValueError,
            "Relu has no attribute 'slope' here",
        ),
        (
            lambda: jax.jit(lambda shape: OPERATORS["Reshape"](jnp.ones(6), shape))(jnp.array([2, 3])),
            ValueError,
            "Reshape: the shape must be known when the function is traced",
        ),
        (
            lambda: OPERATORS["Resize"](jnp.ones((1, 1, 2)), None, None, np.array([1, 1, 4]), antialias=1),
            ValueError,
            "Resize: antialias=1",
        ),
        (
            lambda: OPERATORS["BatchNormalization"](*[jnp.ones((1, 1))] * 5, training_mode=1),
            ValueError,
            "export the network for evaluation",
        ),
        (lambda: OPERATORS["Cast"](jnp.ones(1), to=8), ValueError, "type of elements 8 is not known"),
        (
            lambda: OPERATORS["RNN"](*[jnp.ones((1, 1, 1))] * 3, activations=["Affine"]),
            ValueError,
            "no activation Affine",
        ),
    ],
)
def test_bad_input_is_one_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_an_input_that_the_weights_do_not_take_is_named():
    net = graph([("MatMul", ["x", "w"], ["h"], {}), ("Add", ["h", "y"], ["z"], {})], ["x", "y"], ["z"])
    p, y = {"w": jnp.ones((3, 5))}, np.ones((2, 5), np.float32)
    apply = lambda p, inputs: run(net, {**p, **inputs}, 17, OPERATORS)
    known = {"['x']": (None, 3), "['y']": (None, 5)}
    assert fitting("f", apply, p, {"x": y[:, :3], "y": y}, known)[0].shape == (2, 5)
    for shapes in (known, None):
        with pytest.raises(ValueError, match=r"f: .* such as float32\[2,3\] for inputs\['x'\], found float32\[2,4\]\."):
            fitting("f", apply, p, {"x": y[:, :4], "y": y}, shapes)
    with pytest.raises(TypeError, match="add got incompatible shapes"):  # no width of the parameters mends both
        fitting("f", apply, p, {"x": y[:, :3], "y": np.ones((7, 4), np.float32)})


def test_of_many_widths_only_so_many_are_tried():
    calls, p = [], {str(n): jnp.ones(n) for n in range(1, 1000)}

    def refused(p, inputs):
        calls.append(inputs["x"].shape)
        raise ValueError("its own words")

    with pytest.raises(ValueError, match=r"^its own words$"):
        fitting("f", refused, p, {"x": np.ones((2, 3), np.float32)})
    assert len(calls) <= 70
