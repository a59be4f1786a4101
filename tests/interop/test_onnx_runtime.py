"""ONNX's operators over random configurations, and whole files, against ONNX Runtime. Needs the extra `oracles`."""

import importlib.util
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnn.data import data_root
from jnn.interop.onnx import OPERATORS, from_onnx
from tests.interop.imported import check_trains
from tests.interop.onnx_cases import CASES, i64
from tests.needed_data import needs

onnx = pytest.importorskip("onnx", reason="of the extra `onnx`")
runtime = pytest.importorskip("onnxruntime", reason="of the extra `oracles`")
pytestmark = pytest.mark.slow
GRAPHS = {"If", "Loop"}  # which have tests of their own


def model_of(nodes, inputs, outputs, constants=(), version=21):
    """A model of nodes, whose inputs and outputs are of any type."""
    info = [onnx.helper.make_tensor_value_info(name, _number(x), x.shape) for name, x in inputs.items()]
    results = [onnx.helper.make_empty_tensor_value_info(name) for name in outputs]
    kept = [onnx.numpy_helper.from_array(x, name) for name, x in dict(constants).items()]
    graph = onnx.helper.make_graph(nodes, "graph", info, results, kept)
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", version)], ir_version=10)


def _number(x):
    return onnx.helper.np_dtype_to_tensor_dtype(x.dtype)


def of_runtime(model, inputs):
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    return runtime.InferenceSession(model.SerializeToString(), options).run(None, inputs)


def test_every_operator_has_a_case():
    assert OPERATORS.keys() - CASES.keys() == GRAPHS
    assert CASES.keys() <= OPERATORS.keys()


@pytest.mark.parametrize("name", CASES)
def test_operators_are_onnx_runtimes(name):
    compared = 0
    for seed in range(5):
        call = CASES[name](np.random.default_rng((seed, len(name))))
        arrays = {f"x{i}": np.asarray(x) for i, x in enumerate(call.inputs) if x is not None}
        names = [f"x{i}" if x is not None else "" for i, x in enumerate(call.inputs)]
        inputs = {name: arrays[name] for name in names[: call.given] if name}
        constants = {name: x for name, x in arrays.items() if name not in inputs}
        outputs = [f"y{i}" for i in range(call.outputs)]
        node = onnx.helper.make_node(name, names, outputs, **call.attributes)
        model = model_of([node], inputs, outputs, constants, call.version)
        try:
            expected = of_runtime(model, inputs)
        except runtime.capi.onnxruntime_pybind11_state.NotImplemented:
            continue  # of this type or operator set
        network = from_onnx(model)
        found = jax.jit(network.function)(network.params, *inputs.values())
        found = found if isinstance(found, tuple) else (found,)
        for a, b in zip(found, expected, strict=True):
            assert a.shape == b.shape, (name, seed, call.attributes, a.shape, b.shape)
            message = f"{name}, seed {seed}, {call.attributes}"
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4, err_msg=message)
            assert np.dtype(a.dtype).kind == b.dtype.kind, message
        compared += 1
    if not compared:
        pytest.skip(f"ONNX Runtime has {name} for no type that was tried")


def test_branches_and_loops_are_folded():
    make = onnx.helper.make_node
    body = lambda name, node: onnx.helper.make_graph([node], name, [], [onnx.helper.make_empty_tensor_value_info(name)])
    branch = {
        "then_branch": body("double", make("Add", ["x", "x"], ["double"])),
        "else_branch": body("same", make("Identity", ["x"], ["same"])),
    }
    nodes = [
        make("Shape", ["x"], ["shape"]),
        make("Gather", ["shape", "zero"], ["rows"]),
        make("Equal", ["rows", "two"], ["is_two"]),
        make("If", ["is_two"], ["y"], **branch),
        make("Loop", ["rows", "", "y"], ["last", "all"], body=_body(make)),
    ]
    constants = {"zero": np.int64(0), "two": np.int64(2)}
    for rows in (2, 3):
        x = np.random.default_rng(rows).normal(size=(rows, 3)).astype(np.float32)
        model = model_of(nodes, {"x": x}, ["last", "all"], {name: np.asarray(c) for name, c in constants.items()})
        model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "rows"
        network = from_onnx(model)
        for a, b in zip(jax.jit(network.function)(network.params, x), of_runtime(model, {"x": x}), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5)


def _body(make):
    """y -> (y + i, (y + i) ** 2 scanned)."""
    info = onnx.helper.make_tensor_value_info
    nodes = [
        make("Cast", ["i"], ["number"], to=1),
        make("Add", ["before", "number"], ["after"]),
        make("Mul", ["after", "after"], ["square"]),
        make("Identity", ["go"], ["go_on"]),
    ]
    inputs = [info("i", 7, []), info("go", 9, []), info("before", 1, None)]
    outputs = [info("go_on", 9, []), info("after", 1, None), info("square", 1, None)]
    return onnx.helper.make_graph(nodes, "body", inputs, outputs)


def test_functions_of_a_file_are_inlined():
    make, domain = onnx.helper.make_node, onnx.helper.make_opsetid
    twice = onnx.helper.make_function("mine", "Twice", ["a"], ["b"], [make("Add", ["a", "a"], ["b"])], [domain("", 21)])
    x = f32(2, 3)
    model = model_of([make("Twice", ["x"], ["y"], domain="mine")], {"x": x}, ["y"])
    model.functions.append(twice)
    model.opset_import.append(domain("mine", 1))
    np.testing.assert_array_equal(from_onnx(model.SerializeToString()).function({}, x), 2 * x)


def shipped(package, pattern):
    """A model that is in a package."""
    found = importlib.util.find_spec(package)
    paths = sorted(Path(found.submodule_search_locations[0]).rglob(pattern)) if found else []
    return paths[0] if paths else pytest.skip(f"the package {package}, which has {pattern}, is not installed")


def silero():
    name = "weights/silero_vad/silero_vad_16k_op15.onnx"
    needs(name)
    return data_root() / name


def f32(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


FILES = {
    "silero_vad": (silero, lambda: {"input": f32(2, 576), "state": f32(2, 2, 128), "sr": np.array(16_000)}),
    "magika": (
        partial(shipped, "magika", "model.onnx"),
        lambda: {"bytes": np.random.default_rng(0).integers(0, 257, (2, 2048)).astype(np.int32)},
    ),
    "detector": (partial(shipped, "rapidocr", "PP-OCRv6_det_small.onnx"), lambda: {"x": f32(1, 3, 64, 96)}),
    "recognizer": (partial(shipped, "rapidocr", "PP-OCRv6_rec_small.onnx"), lambda: {"x": f32(1, 3, 48, 64)}),
    "detector_v4": (partial(shipped, "rapidocr_onnxruntime", "*v4_det*.onnx"), lambda: {"x": f32(1, 3, 64, 96)}),
    "recognizer_v4": (partial(shipped, "rapidocr_onnxruntime", "*v4_rec*.onnx"), lambda: {"x": f32(1, 3, 48, 64)}),
    "classifier": (partial(shipped, "rapidocr_onnxruntime", "*cls*.onnx"), lambda: {"x": f32(2, 3, 48, 192)}),
}


@pytest.mark.parametrize("name", FILES)
def test_files_are_onnx_runtimes(name):
    path, inputs = FILES[name][0](), FILES[name][1]()
    network, expected = from_onnx(path), runtime.InferenceSession(path).run(None, inputs)
    scalars = {name: x for name, x in inputs.items() if x.ndim == 0}
    function = jax.jit(partial(network.function, **scalars))
    found = function(network.params, **{name: x for name, x in inputs.items() if name not in scalars})
    for a, b in zip(found if isinstance(found, tuple) else (found,), expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


def test_an_imported_file_trains_on_a_mesh():
    make, rng = onnx.helper.make_node, np.random.default_rng(0)
    nodes = [
        make("Conv", ["x", "conv", "conv_bias"], ["h0"], pads=[1, 1, 1, 1]),
        make("Relu", ["h0"], ["h1"]),
        make("GlobalAveragePool", ["h1"], ["h2"]),
        make("Reshape", ["h2", "flat"], ["h3"]),
        make("Gemm", ["h3", "fc", "fc_bias"], ["h4"], transB=1),
        make("Relu", ["h4"], ["h5"]),
        make("MatMul", ["h5", "out"], ["y"]),
    ]
    sizes = {"conv": (8, 2, 3, 3), "conv_bias": (8,), "fc": (16, 8), "fc_bias": (16,), "out": (16, 3)}
    weights = {name: rng.normal(size=shape).astype(np.float32) / 2 for name, shape in sizes.items()}
    x = rng.normal(size=(8, 2, 6, 6)).astype(np.float32)
    network = from_onnx(
        model_of(nodes, {"x": x}, ["y"], weights | {"flat": i64(0, -1)}), axes={"out": "embed -> classes"}
    )
    assert {name: param.axes for name, param in network.spec.items()} == {
        "conv": ("channels_out", "channels_in", "y", "x"),
        "conv_bias": ("channels_out",),
        "fc": ("hidden", "embed"),
        "fc_bias": ("hidden",),
        "out": ("embed", "classes"),
    }
    without_noise = lambda p, x, key: network.function(p, x)
    check_trains(network._replace(function=without_noise), network.params, x)


def test_a_published_file_is_fine_tuned_on_a_mesh():
    network = from_onnx(shipped("magika", "model.onnx"))
    logits = lambda p, x, key: jnp.log(network.function(p, x) + 1e-9)
    x = np.random.default_rng(0).integers(0, 257, (8, 2048)).astype(np.int32)
    check_trains(network._replace(function=logits), network.params, x)


def test_what_is_not_known_is_one_clear_error():
    make, x = onnx.helper.make_node, np.ones((2, 3), np.float32)
    bad = lambda node, version=21: model_of([node], {"x": x}, ["y"], version=version)
    with pytest.raises(ValueError, match="node 'odd', operator set 21: there is no operator 'Det'"):
        from_onnx(bad(make("Det", ["x"], ["y"], name="odd")))
    with pytest.raises(ValueError, match="node 'y', operator set 21: Relu has no attribute 'slope' here"):
        from_onnx(bad(make("Relu", ["x"], ["y"], slope=1.0)))
    with pytest.raises(ValueError, match="operator set 9, where 11 to 21 are known"):
        from_onnx(bad(make("Relu", ["x"], ["y"]), 9))
    network = from_onnx(bad(make("Det", ["x"], ["y"])), operators={"Det": lambda x: 2 * x})
    np.testing.assert_array_equal(network.function({}, x), 2 * x)
    with pytest.raises(TypeError, match="the graph has the inputs x; found z"):
        network.function({}, z=x)
    product = from_onnx(model_of([make("MatMul", ["x", "w"], ["y"])], {"x": x}, ["y"], {"w": x.T}))
    with pytest.raises(ValueError, match=r"from_onnx: .* float32\[5,3\] for inputs\[.x.\], found float32\[5,4\]"):
        product.function(product.params, np.ones((5, 4), np.float32))
    reshaped = from_onnx(model_of([make("Reshape", ["x", "shape"], ["y"])], {"x": x, "shape": i64(3, 2)}, ["y"]))
    with pytest.raises(ValueError, match="Reshape: the shape must be known when the function is traced"):
        jax.jit(reshaped.function)({}, x, i64(3, 2))
    assert reshaped.function({}, x, i64(3, 2)).shape == (3, 2)


def test_what_is_no_file_of_onnx_is_said(tmp_path):
    (tmp_path / "model.py").write_text("import jax")
    with pytest.raises(ValueError, match=r"from_onnx: '.*model\.py' is no ONNX file: Error parsing"):
        from_onnx(tmp_path / "model.py")
