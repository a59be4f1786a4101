"""What every data function says of arrays, seeds, sizes and steps that are none; what reaches a device exactly."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jnn.data import (
    Batches,
    Packed,
    SourceBatches,
    Windows,
    fit_standard,
    in_order,
    mixture,
    noisy_sum,
    split,
    sum_above_half,
    windows_in_order,
)

X, TOKENS = np.ones((6, 2), np.float32), np.arange(6)
EXAMPLES = [{"x": i} for i in range(6)]

SEEDED = {
    "Batches": lambda seed: Batches({"x": X}, 2, seed=seed),
    "Windows": lambda seed: Windows(TOKENS, 2, 2, seed=seed),
    "split": lambda seed: split({"x": X}, 0.5, seed=seed),
    "SourceBatches": lambda seed: SourceBatches(EXAMPLES, 2, seed=seed),
    "mixture": lambda seed: mixture({"a": EXAMPLES}, {"a": 1}, seed=seed),
    "noisy_sum": lambda seed: noisy_sum(seed=seed),
    "sum_above_half": lambda seed: sum_above_half(seed=seed),
}
OF_ARRAYS = {
    "Batches": lambda x: Batches({"x": x}, 2, seed=0),
    "in_order": lambda x: in_order({"x": x}, 2),
    "split": lambda x: split({"x": x}, 0.5, seed=0),
    "fit_standard": fit_standard,
    "Windows": lambda x: Windows(x, 2, 2, seed=0),
    "windows_in_order": lambda x: windows_in_order(x, 2),
}
SIZED = {
    "Batches": lambda size: Batches({"x": X}, size, seed=0),
    "in_order": lambda size: in_order({"x": X}, size),
    "Windows": lambda size: Windows(TOKENS, 2, size, seed=0),
    "SourceBatches": lambda size: SourceBatches(EXAMPLES, size, seed=0),
}
STEPPED = {
    "Batches": Batches({"x": X}, 2, seed=0),
    "Windows": Windows(TOKENS, 2, 2, seed=0),
    "SourceBatches": SourceBatches(EXAMPLES, 2, seed=0),
}
over = lambda table: pytest.mark.parametrize("name", table)


@over(SEEDED)
@pytest.mark.parametrize("seed", [-1, 0.5, "0", np.int64(-3), jax.random.key(0)], ids=str)
def test_a_seed_that_is_none_is_one_clear_error(name, seed):
    with pytest.raises(ValueError, match=rf"^{name}: expected a seed that is an integer .*, found "):
        SEEDED[name](seed)


@over(SEEDED)
def test_any_kind_of_integer_is_a_seed(name):
    SEEDED[name](np.uint32(7))


@over(OF_ARRAYS)
@pytest.mark.parametrize(
    ("x", "found"),
    [
        ([1, 2, 3], "list"),
        ([[1], [2, 3]], "list"),
        ("text", "str"),
        (torch.arange(3), "torch.Tensor"),
        (np.ma.masked_array([1, 2, 3], [0, 1, 0]), "numpy.ma.MaskedArray"),
        (None, "NoneType"),
    ],
    ids=["list", "ragged list", "str", "torch", "masked", "None"],
)
def test_what_is_no_array_is_one_clear_error(name, x, found):
    with pytest.raises(
        TypeError, match=rf"^{name}: expected '\w+' to be an array of NumPy or JAX, found {found}. Convert it: np\."
    ):
        OF_ARRAYS[name](x)


@over(OF_ARRAYS)
@pytest.mark.parametrize(
    ("x", "hint"),
    [
        (np.array(["a", "b", "c"]), "found <U1. Encode text: Words or Characters."),
        (np.array([[1], [1, 2], [3]], dtype=object), "found object. Pad rows of unequal lengths: jnn.data.pad."),
        (np.arange(3).astype("M8[s]"), r"found datetime64\[s\]. Encode it first."),
        (np.arange(3).astype("m8[s]"), r"found timedelta64\[s\]. Encode it first."),
        (np.zeros(3, [("a", "f4")]), "Encode it first."),
        (jax.random.split(jax.random.key(0), 3), "found .*fry.*. Encode it first."),
    ],
    ids=["text", "ragged", "dates", "durations", "records", "keys"],
)
def test_arrays_of_no_numbers_are_one_clear_error(name, x, hint):
    with pytest.raises(ValueError, match=rf"^{name}: '\w+' must be numeric, .*{hint}$"):
        OF_ARRAYS[name](x)


@pytest.mark.parametrize(
    "make", [lambda a: Batches(a, 1, seed=0), lambda a: in_order(a, 1), lambda a: split(a, 0.5, seed=0)]
)
@pytest.mark.parametrize("arrays", [X, (X, X), [X]])
def test_what_is_no_dict_of_arrays_is_one_clear_error(make, arrays):
    with pytest.raises(
        TypeError, match=r"expected a dict of arrays, such as {'x': x, 'y': y}, found (ndarray|tuple|list)"
    ):
        make(arrays)


@over(SIZED)
@pytest.mark.parametrize("size", [0, -2, 1.5, "4", None])
def test_a_batch_size_that_is_none_is_one_clear_error(name, size):
    with pytest.raises(ValueError, match=rf"^{name}: batch_size must be at least 1.*; found {size!r}"):
        SIZED[name](size)


@pytest.mark.parametrize("name", ["Batches", "SourceBatches"])
def test_a_batch_larger_than_the_data_is_said_and_holds_it_once(name):
    with pytest.warns(UserWarning, match=rf"^{name}: batch_size 10 is more than the 6 \w+ that there are: 4 rows of"):
        batches = SIZED[name](10)
    assert (batches.steps_per_epoch, batches[1]["weight"].sum(), len(batches[1]["x"])) == (1, 6, 10)


@over(STEPPED)
def test_batches_are_asked_for_by_step_and_have_no_end(name):
    batches = STEPPED[name]
    for index in ("x", 1.0, slice(0, 2), None):
        with pytest.raises(TypeError, match=rf"^{name}: a batch is asked for by the number of its step, \[0\]"):
            batches[index]
    with pytest.raises(TypeError, match=rf"^{name}: batches have no end, and so no length. Take them by their step"):
        len(batches)
    assert batches
    for step, batch in zip(range(7), batches, strict=False):  # beyond an epoch
        np.testing.assert_array_equal(batch["x"], batches[np.int64(step)]["x"])


def test_arrays_of_jax_are_batched_as_those_of_numpy():
    one, other = (Batches({"x": array}, 2, seed=0) for array in (np.arange(6), jnp.arange(6)))
    np.testing.assert_array_equal(one[1]["x"], other[1]["x"])


HELD = {  # the first batch of these values
    "Batches": lambda x: Batches({"x": x}, len(x), seed=0)[0],
    "in_order": lambda x: in_order({"x": x}, len(x))[0],
    "SourceBatches": lambda x: SourceBatches([{"x": value} for value in x], len(x), seed=0)[0],
}
OF_TOKENS = {
    "Windows": lambda x: Windows(x, 1, 64, seed=0)[0],
    "Packed": lambda x: Packed([x], len(x))[0],
}
EDGES = [
    (np.int32, 0),
    (np.uint8, 0),
    (np.uint16, 0),
    (np.int64, 1),
    (np.uint32, 0),
    (np.uint64, 1),
]  # 1: cannot be held


@over(HELD | OF_TOKENS)
@pytest.mark.parametrize(("dtype", "beyond"), EDGES, ids=lambda value: getattr(value, "__name__", ""))
def test_integers_reach_the_device_exact_or_are_refused(name, dtype, beyond):
    """JAX, and a cast, wrap around what does not fit: 2**40 would become 0."""
    info, first = np.iinfo(dtype), (HELD | OF_TOKENS)[name]
    x = np.array([info.max, 0 if name in OF_TOKENS else info.min, info.max, 1], dtype)
    if beyond or (name == "Packed" and info.max > 2**31):
        with pytest.raises(
            ValueError, match=rf"^{'batch 0' if name == 'SourceBatches' else name}.* -?{info.max // 10}"
        ):
            first(x)
        x = np.minimum(x, 2**31 - 1).clip(min=-(2**31) if info.min else 0).astype(dtype)
    found = jax.device_put(first(x))["x"]
    assert set(np.asarray(found).ravel().tolist()) <= set(x.tolist())
    assert int(np.asarray(found).max()) == int(x.max())


@over(HELD)
def test_floats_that_would_be_infinite_on_the_device_are_refused(name):
    with pytest.raises(ValueError, match=r"'x' holds 1e\+39, .*beyond the float32 that JAX makes of float64"):
        HELD[name](np.array([1.0, 1e39]))


def test_sixty_four_bits_are_held_where_jax_holds_them():
    with jax.enable_x64(True):
        x = np.array([2**40, -(2**62)])
        for first in HELD.values():
            assert sorted(np.asarray(jax.device_put(first(x))["x"]).tolist()) == sorted(x.tolist())


def test_errors_name_the_array_and_the_row():
    message = (
        "Batches: 'ids' holds 1099511627776, first in row 2, beyond the int32 that JAX makes of int64. Renumber it"
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        Batches({"ids": np.array([0, 1, 2**40])}, 1, seed=0)
