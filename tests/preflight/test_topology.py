"""topology: names, rings, hosts; and every refusal."""

import importlib.util

import jax
import pytest

from jnn.preflight import CHIPS, topology
from jnn.preflight._topology import set_cpu_devices
from tests.preflight.small import needs_libtpu


def test_this_process_is_a_machine():
    here = topology("cpu:8")
    assert here.devices == tuple(jax.devices("cpu"))
    assert (here.chips, here.hosts, here.slices) == (8, 1, 1)
    assert not here.closed(0)


@needs_libtpu
@pytest.mark.parametrize(
    ("name", "chips", "devices", "slices", "closed"),
    [
        ("v5e:2x2", 4, 4, 1, [False, False]),
        ("v5e:8x16", 128, 128, 1, [False, True]),
        ("v6e:16x16", 256, 256, 1, [True, True]),
        ("v5p:2x2x1", 4, 4, 1, [False] * 3),
        ("v5p:4x4x8", 128, 128, 1, [True] * 3),
        ("v5p:2x4x4", 32, 32, 1, [False] * 3),
        ("tpu7x:2x2x2", 8, 16, 1, [False] * 3),
        ("2*v5e:4x4", 32, 32, 2, [False, False]),
    ],
)
def test_a_slice_of_a_pod(name, chips, devices, slices, closed):
    there = topology(name)
    assert (there.chips, len(there.devices), there.slices) == (chips, devices, slices)
    assert len({there.slice_of(device) for device in there.devices}) == slices
    assert [there.closed(axis) for axis in range(len(there.shape))] == closed
    assert there.hosts == chips // 4  # a host has four chips
    assert {device.platform for device in there.devices} == {"tpu"}
    assert topology(name).devices == there.devices  # the same devices, not others like them


def test_the_table_has_what_a_roofline_needs():
    for name, chip in CHIPS.items():
        numbers = [chip.memory, chip.flops, chip.bandwidth, chip.network, chip.link or chip.switch]
        assert chip.name == name
        assert all(n is None for n in numbers) if name == "cpu" else all(n and n > 0 for n in numbers)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "v9:2x2",
            r"expected a name such as v5p:8x8x8, .* found 'v9:2x2'; the chips are v5e, v5p, v6e, tpu7x, h100, h200, c",
        ),
        ("v5e", r"found 'v5e'"),
        ("v5e:0x2", r"found 'v5e:0x2'"),
        ("v5e:4x", r"found 'v5e:4x'"),
        ("0*v5e:4x4", r"found '0\*v5e:4x4'"),
        ("v5e:4x4x4", r"v5e is wired along 2 axes, found 'v5e:4x4x4'. Write v5e:4x4, say, or 2\* that"),
        ("v5p:4x4", r"v5p is wired along 3 axes, found 'v5p:4x4'. Write v5p:4x4x4"),
        ("cpu:2x4", r"cpu is wired along 1 axis, found 'cpu:2x4'. Write cpu:4, say\."),
        ("2*cpu:4", r"found '2\*cpu:4'"),
        ("v5p:1000x1000x1000", r"a slice of v5p has at most 8,960 chips, found .* with 1,000,000,000. Write fewer, or"),
        ("v5e:256x256", r"a slice of v5e has at most 256 chips, found 'v5e:256x256' .* such as 2\*v5e:4x4\."),
        ("2*v6e:16x32", r"a slice of v6e has at most 256 chips, found '2\*v6e:16x32' with 512"),
        ("tpu7x:16x24x25", r"a slice of tpu7x has at most 9,216 chips"),
        pytest.param("v5e:3x3", r"there is no v5e:3x3: .*not divisible", marks=needs_libtpu),
    ],
)
def test_a_bad_name_is_one_clear_error(name, message):
    with pytest.raises(ValueError, match=f"topology: .*{message}"):
        topology(name)


@pytest.mark.parametrize("name", ["v5e:16x16", "4*v6e:16x16", "v5p:16x20x28", "tpu7x:16x24x24"])
def test_the_largest_slice_is_no_bad_name(monkeypatch, name):
    """What stands in its way is the compiler alone, which here is not installed."""
    monkeypatch.delenv("TPU_LIBRARY_PATH", raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RuntimeError, match="needs a TPU's compiler"):
        topology(name)


@pytest.mark.parametrize("name", ["cpu:8", "cpu:1", "cpu:9", "v5e:16x16"])
def test_room_is_made_only_before_there_are_devices(name):
    """In this process there are eight already; that it is made is tested with the command line."""
    set_cpu_devices(name)
    assert len(jax.devices("cpu")) == 8
    assert jax.config.values["jax_num_cpu_devices"] == -1


def test_room_for_a_bad_name_is_one_clear_error():
    with pytest.raises(ValueError, match="topology: expected a name"):
        set_cpu_devices("cpu")


def test_too_few_devices_says_how_to_get_more():
    with pytest.raises(
        RuntimeError, match=r"cpu:9 needs 9 devices, this process has 8. Call .*jax_num_cpu_devices', 9"
    ):
        topology("cpu:9")


@pytest.mark.parametrize(("name", "extra"), [("v5e:4x4", "tpu"), ("h100:8", "cuda")])
def test_a_missing_compiler_says_how_to_get_it(monkeypatch, name, extra):
    monkeypatch.delenv("TPU_LIBRARY_PATH", raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        RuntimeError, match=rf"{name} needs .* not installed. It comes with: pip install 'jnn\[{extra}\]'"
    ):
        topology(name)
