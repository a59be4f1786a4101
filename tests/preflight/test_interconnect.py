"""crossing, against a torus on which every byte is sent by the shortest way; and its laws."""

import dataclasses
import itertools
from types import SimpleNamespace

import numpy as np
import pytest

from jnn.inspect import Collective, Place
from jnn.preflight import CHIPS, Topology
from jnn.preflight._interconnect import Interconnect, _wires, crossing, moved

KINDS = ["all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute"]


@dataclasses.dataclass(frozen=True)
class Device:
    coords: tuple[int, ...]
    slice_index: int = 0
    process_index: int = 0


def torus(chip, *shape, slices=1):
    devices = [Device(at, s) for s in range(slices) for at in itertools.product(*map(range, shape))]
    return Topology("a torus", CHIPS[chip], slices, shape, tuple(devices))


def node(count, nodes=1):
    devices = [Device((), process_index=n) for n in range(nodes) for _ in range(count)]
    return Topology("nodes", CHIPS["h100"], nodes, (count,), tuple(devices))


def seconds(kind, topology, group, size=10**9, times=1):
    """Of a collective of these devices, in the order of the topology."""
    row = Collective(kind, size, ("f32",), times, (tuple(group),), None, (), False, Place(), "", "")
    mesh = SimpleNamespace(devices=np.array(topology.devices, dtype=object))
    return crossing(row, mesh, topology)


def along(topology, *axes):
    """The devices that stand at zero along all other axes."""
    return [i for i, d in enumerate(topology.devices) if not any(c for a, c in enumerate(d.coords) if a not in axes)]


@pytest.mark.parametrize(
    ("topology", "axes", "wires"),
    [
        (torus("v5p", 4, 4, 8), (0,), 2),
        (torus("v5p", 4, 4, 8), (0, 1), 4),
        (torus("v5p", 4, 4, 8), (0, 1, 2), 6),
        (torus("v5p", 2, 4, 4), (1, 2), 2),  # no cube: lines
        (torus("v5e", 16, 16), (0, 1), 4),
        (torus("v5e", 8, 16), (0, 1), 3),
        (torus("v5e", 8, 16), (0,), 1),
    ],
)
def test_all_wires_along_the_axes_are_used(topology, axes, wires):
    group, link = along(topology, *axes), topology.chip.link
    n = len(group)
    assert seconds("all-gather", topology, group).within == pytest.approx((n - 1) / n * 1e9 / (wires * link))
    assert seconds("all-reduce", topology, group).within == pytest.approx(2 * (n - 1) / n * 1e9 / (wires * link))
    assert seconds("collective-permute", topology, group).within == pytest.approx(1e9 / link)


def test_groups_that_alternate_share_the_wires():
    pod = torus("v5e", 16, 16)
    every_fourth = [i for i in along(pod, 0) if pod.devices[i].coords[0] % 4 == 0]
    first_four = along(pod, 0)[:4]
    wires = lambda group: _wires([pod.devices[i] for i in group], pod)
    assert wires(every_fourth) == [Interconnect(4, 2 * 50e9 / 4)]  # a ring, of which a quarter is theirs
    assert wires(first_four) == [Interconnect(4, 50e9)]  # a line, all of it


@pytest.mark.parametrize("ring", [False, True])
@pytest.mark.parametrize("count", [2, 4, 8, 16])
def test_all_to_all_is_what_the_busiest_wire_carries(count, ring):
    """Each device sends every other its share by the shortest way, half of it each way where two are equal."""
    busy = np.zeros((count, 2))  # of the wire from i upwards, and downwards
    for start, end in itertools.permutations(range(count), 2):
        ways = (
            [((end - start) % count, 1), ((start - end) % count, -1)]
            if ring
            else [(abs(end - start), np.sign(end - start))]
        )
        shortest = min(hops for hops, _ in ways)
        ways = [way for way in ways if way[0] == shortest]
        for hops, step in ways:
            for hop in range(hops):
                busy[(start + hop * step) % count, int(step < 0)] += 1 / count / len(ways)
    size = 16 if ring else 32  # with 16 a v5e's axis closes, with less it does not
    pod = torus("v5e", max(count, size) if ring else count, 1)
    if ring and count < 16:
        pod = dataclasses.replace(
            pod, chip=dataclasses.replace(pod.chip, ring=count), shape=(count, 1), devices=pod.devices[:count]
        )
    elif not ring:
        pod = dataclasses.replace(pod, chip=dataclasses.replace(pod.chip, ring=0))
    found = seconds("all-to-all", pod, range(count), size=10**9).within
    assert found == pytest.approx(busy.max() * 1e9 / 50e9)


@pytest.mark.parametrize("kind", KINDS)
def test_laws(kind):
    pod = torus("v5p", 4, 4, 4)
    one = seconds(kind, pod, range(64)).seconds
    assert seconds(kind, pod, range(64), times=3).seconds == pytest.approx(3 * one)
    assert seconds(kind, pod, range(64), size=2 * 10**9).seconds == pytest.approx(2 * one)
    assert seconds(kind, pod, [5]).seconds == 0
    assert moved(kind, 100, 1) == (100 if kind == "collective-permute" else 0)


def test_between_slices_each_device_carries_its_share():
    pods = torus("v5e", 4, 4, slices=2)
    across = seconds("all-reduce", pods, [0, 16])  # one device of each
    assert across.within == 0
    assert across.between == pytest.approx(2 * 0.5 * 1e9 / 3.125e9)
    everything = seconds("all-reduce", pods, range(32))
    assert everything.between == pytest.approx(across.between / 16)
    assert everything.within == pytest.approx(seconds("all-reduce", pods, range(16)).within)


def test_behind_a_switch_all_are_neighbours():
    assert seconds("all-gather", node(8), range(8)).within == pytest.approx(7 / 8 * 1e9 / 450e9)
    assert seconds("all-gather", node(8, 2), range(16)).between == pytest.approx(0.5 * 1e9 / 8 / 50e9)


def test_two_devices_of_a_chip_are_close():
    chip = Topology("one", CHIPS["tpu7x"], 1, (1, 1, 1), (Device((0, 0, 0)), Device((0, 0, 0))))
    assert seconds("all-gather", chip, [0, 1]).within == pytest.approx(0.5 * 1e9 / 600e9)
