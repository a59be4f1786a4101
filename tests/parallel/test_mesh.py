"""Meshes from strings, on CPU devices, on slices, and on a torus that is only described."""

import dataclasses

import jax
import pytest
from jax.sharding import AxisType

from jnn.parallel import AXES, mesh


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("data=8", {"data": 8}),
        ("tensor=2,data=4", {"data": 4, "tensor": 2}),
        (" fsdp = -1 , tensor = 2 ", {"fsdp": 4, "tensor": 2}),
        ("data=1,fsdp=8", {"data": 1, "fsdp": 8}),
        ("stage=2,expert=2,context=2", {"stage": 2, "expert": 2, "context": 2}),
    ],
)
def test_what_a_string_means(text, shape):
    found = mesh(text)
    assert dict(found.shape) == shape
    assert list(found.shape) == [name for name in AXES if name in shape]
    assert set(found.devices.flat) == set(jax.devices())


def test_axes_are_auto():
    """`jax.make_mesh` makes them Explicit unless it is told."""
    assert set(mesh("data=4,tensor=2").axis_types) == {AxisType.Auto}
    assert set(jax.make_mesh((8,), ("data",)).axis_types) == {AxisType.Explicit}


def test_some_of_the_devices():
    assert list(mesh("data=-1", jax.devices()[2:4]).devices) == jax.devices()[2:4]


@dataclasses.dataclass(frozen=True)
class Described:
    """A chip as `jax.experimental.topologies` describes it."""

    id: int
    coords: tuple[int, ...]
    slice_index: int = 0
    core_on_chip: int = 0
    process_index: int = 0
    platform: str = "tpu"
    device_kind: str = "TPU v5"


def torus(x, y, z, slices=1):
    spots = [(i, j, k) for k in range(z) for j in range(y) for i in range(x)]
    return [Described(s * len(spots) + n, at, s) for s in range(slices) for n, at in enumerate(spots)]


def test_a_mesh_that_splits_an_axis_of_the_torus():
    """`jax.make_mesh` refuses it."""
    devices = torus(4, 4, 8)
    with pytest.raises(NotImplementedError):
        jax.make_mesh((2, 16, 4), ("data", "fsdp", "tensor"), devices=devices, axis_types=(AxisType.Auto,) * 3)
    found = mesh("data=2,fsdp=16,tensor=4", devices)
    assert dict(found.shape) == {"data": 2, "fsdp": 16, "tensor": 4}
    assert len(set(found.devices.flat)) == 128


@pytest.mark.parametrize("text", ["slice=2,fsdp=32,tensor=4", "data=4,fsdp=8,tensor=8", "fsdp=64,tensor=4"])
def test_slices_lie_along_the_first_axis_and_no_other_crosses(text):
    found = mesh(text, torus(4, 4, 8, slices=2))
    halves = [
        {d.slice_index for d in half.flat}
        for half in (found.devices[: len(found.devices) // 2], found.devices[len(found.devices) // 2 :])
    ]
    assert halves == [{0}, {1}]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a string such as 'data=4,fsdp=8', found ''"),
        ("data", "found 'data' in 'data'"),
        ("data=0", "found 'data=0'"),
        ("data=-2", "found 'data=-2'"),
        ("data=4,,tensor=2", "found ''"),
        ("data=4;tensor=2", "found 'data=4;tensor=2'"),
        ("model=8", "axis 'model' is none of slice, stage, data"),
        ("data=4,data=2", "axis 'data' is named twice"),
        ("data=-1,fsdp=-1", "one size may be -1, found 2"),
        ("data=3,fsdp=-1", r"the sizes of 'data=3,fsdp=-1' \(3\) do not divide the number of devices, 8"),
        ("data=3", r"\(3\) do not make up the number of devices, 8"),
        ("data=4", r"\(4\) do not make up the number of devices, 8.*-1 for what is left"),
        ("data=16", r"\(16\) do not make up the number of devices, 8"),
    ],
)
def test_a_bad_string_is_one_clear_error(text, message):
    with pytest.raises(ValueError, match=f"mesh: .*{message}"):
        mesh(text)


@pytest.mark.parametrize("text", ["tensor=256", "slice=4,fsdp=64"])
def test_slices_that_fit_no_axis_are_one_clear_error(text):
    with pytest.raises(ValueError, match=r"mesh: the devices lie in 2 slices.* Add slice=2"):
        mesh(text, torus(4, 4, 8, slices=2))
