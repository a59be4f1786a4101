"""A law over readers and dtypes: what a reference library wrote comes back number by number, or is refused by name."""

import csv
import math

import jax.numpy as jnp
import numpy as np
import pytest

from jnn.data import read_csv, read_jsonl, read_npy, read_npz, read_parquet, read_safetensors

WHOLE = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
BROKEN = ["float16", "float32", "float64"]


def extremes(dtype):
    """The values of a dtype at which readers go wrong: its ends, and beside the ends of the narrower ones."""
    dtype = jnp.dtype(dtype)
    if dtype == np.bool_:
        values = [False, True]
    elif dtype.kind in "iu":
        info = np.iinfo(dtype)
        near = [0, 1, -1, 2**24 + 1, 2**31 - 1, 2**31, 2**53 + 1, info.min, info.max]
        values = [value for value in near if info.min <= value <= info.max]
    else:
        info = jnp.finfo(dtype)
        values = [0.0, -0.0, 1 / 3, -1.7e4, float(info.max), float(info.min), float(info.tiny), float(info.eps)]
    return np.array(values).astype(dtype) if dtype.kind not in "iu" else np.array(values, dtype)


def same(found, array):
    native = array.astype(array.dtype.newbyteorder("=")) if array.dtype.kind != "V" else array
    assert (found.dtype, found.shape) == (native.dtype, native.shape)
    assert found.tobytes() == native.tobytes()


def safetensors(path, array):
    pytest.importorskip("safetensors.numpy").save_file({"x": np.ascontiguousarray(array)}, path)


BINARY = {
    "npy": (np.save, read_npy),
    "npz": (lambda path, array: np.savez_compressed(path, x=array), lambda path: read_npz(path)["x"]),
    "safetensors": (safetensors, lambda path: read_safetensors(path)["x"]),
}


@pytest.mark.parametrize("dtype", ["bool", *WHOLE, *BROKEN, "bfloat16", "complex64", "complex128", "longdouble"])
@pytest.mark.parametrize("kind", BINARY)
def test_arrays_come_back_bit_by_bit_or_are_refused(tmp_path, kind, dtype):
    write, read = BINARY[kind]
    path, array = tmp_path / f"a.{kind}", extremes(dtype if dtype != "longdouble" else "float64").reshape(-1, 1)
    array = array.astype(np.longdouble) if dtype == "longdouble" else array
    orders = [array, np.asfortranarray(np.repeat(array, 3, 1))]
    orders += [
        one.astype(one.dtype.newbyteorder(">")) for one in orders if one.dtype.kind in "iuf" and kind != "safetensors"
    ]
    for each in orders:
        try:
            write(path, each)
        except Exception:  # the package itself has no such dtype, and an exception of its own
            assert kind == "safetensors"
            assert dtype in ("complex128", "longdouble")
            return
        if kind != "safetensors" and dtype in ("bfloat16", "longdouble"):
            with pytest.raises(ValueError, match=r"^a.np.*expected numbers or booleans, found dtype"):
                read(path)
        else:
            same(read(path), each)


def parquet(path, array):
    pyarrow = pytest.importorskip("pyarrow")
    pytest.importorskip("pyarrow.parquet").write_table(pyarrow.table({"x": array}), path)


def text(path, array):
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([["x"], *([value] for value in array.tolist())])


def lines(path, array):
    path.write_text("".join(f'{{"x": {value!r}}}\n' for value in array.tolist()))


TABLES = {
    "csv": (text, lambda path, column: read_csv(path, {"x": column})["x"]),
    "parquet": (parquet, lambda path, column: read_parquet(path, {"x": column})["x"]),
    "jsonl": (lines, lambda path, column: [record["x"] for record in read_jsonl(path, {"x": column})]),
}


@pytest.mark.parametrize("dtype", [*WHOLE, *BROKEN])
@pytest.mark.parametrize("kind", TABLES)
def test_numbers_of_a_table_are_exact_or_refused(tmp_path, kind, dtype):
    """Value by value: an int column holds 32 bits (in JSON any number), a float column 64."""
    write, read = TABLES[kind]
    path = tmp_path / f"a.{kind}"
    for value in extremes(dtype):
        write(path, np.array([value]))
        if np.dtype(dtype).kind in "iu":
            held = {int: kind == "jsonl" or -(2**31) <= int(value) < 2**31, float: float(int(value)) == int(value)}
            held[float] &= kind != "parquet" or abs(int(value)) <= 2**53  # PyArrow refuses whatever lies beyond
        else:
            held = {float: True}
        for column, fits in held.items():
            if fits:
                (found,) = read(path, column)
                assert found == value.item()
                assert math.copysign(1, found) == math.copysign(1, value.item())
            else:
                with pytest.raises(ValueError, match=rf"^a.{kind}: "):
                    read(path, column)
