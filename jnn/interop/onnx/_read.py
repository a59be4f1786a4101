"""A graph as it is read from a file: nodes, and the arrays that they begin with."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jnn.optional import optional

OLDEST, NEWEST = 11, 21  # operator sets
OURS = ("", "ai.onnx")  # names of the domain of ONNX's own operators


@dataclasses.dataclass(frozen=True, eq=False)
class Node:
    """One operator's call: of which arrays, by which attributes, and what its results are called.

    Attributes:
      operator: "Conv", or "domain.Name" of another domain than ONNX's.
      name: its own, or that of its first output.
    """

    operator: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]


@dataclasses.dataclass(frozen=True, eq=False)
class Graph:
    """Graph: nodes in the order of their calls.

    Attributes:
      inputs, outputs: names.
      constants: what is known before anything is called, by name.
      shapes: of inputs, as far as the file says them; None for a size that it leaves open.
    """

    nodes: tuple[Node, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    constants: dict[str, np.ndarray]
    shapes: Mapping[str, tuple[int | None, ...]] = dataclasses.field(default_factory=dict)

    def walk(self) -> Iterator[Node]:
        """All nodes, those of graphs that are attributes among them."""
        for node in self.nodes:
            yield node
            for attribute in node.attributes.values():
                if isinstance(attribute, Graph):
                    yield from attribute.walk()


def read(model: Any) -> tuple[Graph, int]:
    """The graph of a file, of its bytes or of an `onnx.ModelProto`, and its operator set.

    Raises:
      ImportError: onnx is not installed.
      ValueError: it is no ONNX file, or the operator set is older or newer than those that are known.
    """
    onnx = optional("onnx", "onnx")
    try:
        if isinstance(model, str | Path):
            model = onnx.load(str(model))
        elif isinstance(model, bytes):
            model = onnx.load_from_string(model)
    except optional("google.protobuf.message", "onnx").DecodeError as error:
        raise ValueError(f"from_onnx: {str(model)[:100]!r} is no ONNX file: {error}.") from error
    if model.functions:
        model = optional("onnx.inliner", "onnx").inline_local_functions(model)
    version = next((each.version for each in model.opset_import if each.domain in OURS), 0)
    if not OLDEST <= version <= NEWEST:
        raise ValueError(
            f"from_onnx: operator set {version}, where {OLDEST} to {NEWEST} are known. Convert the model: "
            f"onnx.version_converter.convert_version(model, {NEWEST})."
        )
    return _graph(onnx, model.graph), version


def _graph(onnx: Any, proto: Any) -> Graph:
    constants = {each.name: onnx.numpy_helper.to_array(each) for each in proto.initializer}
    nodes = []
    for node in proto.node:
        attributes = {each.name: _attribute(onnx, each) for each in node.attribute}
        if node.op_type == "Constant":
            constants[node.output[0]] = np.asarray(_constant(attributes))
            continue
        operator = node.op_type if node.domain in OURS else f"{node.domain}.{node.op_type}"
        names = (tuple(node.input), tuple(node.output))
        nodes.append(Node(operator, node.name or node.output[0], *names, attributes))
    inputs = {each.name: each.type.tensor_type for each in proto.input if each.name not in constants}
    said = {name: kind.shape.dim for name, kind in inputs.items() if kind.HasField("shape")}
    shapes = {name: tuple(dim.dim_value or None for dim in dims) for name, dims in said.items()}
    return Graph(tuple(nodes), tuple(inputs), tuple(each.name for each in proto.output), constants, shapes)


def _constant(attributes: dict[str, Any]) -> Any:
    ((name, value),) = attributes.items()
    dtype = {"value_float": np.float32, "value_floats": np.float32, "value_int": np.int64, "value_ints": np.int64}
    return np.asarray(value, dtype.get(name))


def _attribute(onnx: Any, proto: Any) -> Any:
    """As numbers, strings, lists of them, arrays and graphs."""
    value = onnx.helper.get_attribute_value(proto)
    if isinstance(value, onnx.GraphProto):
        return _graph(onnx, value)
    if isinstance(value, onnx.TensorProto):
        return onnx.numpy_helper.to_array(value)
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, int | float):
        return value
    return [each.decode() if isinstance(each, bytes) else each for each in value]
