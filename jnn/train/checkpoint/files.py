"""One checkpoint on the disk: a folder named by its step, that Orbax wrote and nobody has to trust.

    items(copy, body) -> Composite            what Orbax is to write: the arrays and the manifest, as one unit
    steps(folder) -> [10, 20, ...]            whole ones by name; `halves(folder)`: what a killed save left
    read_body(folder) -> body                 the manifest, or `Damaged`
    read_arrays(folder, wanted) -> {path: array}      straight onto the shardings that are wanted
    verify(arrays, body)                      whether they are what was saved

Law: what `read_arrays` and then `verify` let through has the bits that were saved.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp

from jnn.train.checkpoint.checksum import checksums
from jnn.train.checkpoint.manifest import FORMAT, Body, Damaged, unseal
from jnn.train.paths import free_name

GROUP_BYTES = 2**23  # what is read at once, at least: 1/32 of all, so that host memory stays near the state's own size
CHUNK_BYTES = 2**22  # what of an array is decompressed at once
GENERATORS = ("threefry2x32", "rbg", "unsafe_rbg")  # of typed PRNG keys
UNFINISHED = ".orbax-checkpoint-tmp"  # Orbax's name for a step until it is whole


def items(arrays: Mapping[str, jax.Array], sealed: dict[str, Any]) -> ocp.args.Composite:
    """The arguments of an Orbax save; arrays without elements are in the manifest alone, since Orbax refuses them."""
    stored = _nest({path: _raw(x) for path, x in arrays.items() if x.size})
    in_chunks = jax.tree.map(lambda _: ocp.SaveArgs(chunk_byte_size=CHUNK_BYTES), stored)
    return ocp.args.Composite(
        state=ocp.args.PyTreeSave(stored, save_args=in_chunks), manifest=ocp.args.JsonSave(sealed)
    )


def steps(folder: Path) -> list[int]:
    """The steps in a folder, oldest first: by number, whatever the clock said."""
    return sorted(int(path.name) for path in folder.iterdir() if path.name.isdecimal() and path.is_dir())


def halves(folder: Path) -> list[Path]:
    """What saves left that were killed before they were whole."""
    return sorted(path for path in folder.iterdir() if UNFINISHED in path.name)


def read_body(folder: Path) -> Body:
    """The body of a checkpoint's manifest.

    Raises:
      Damaged: it is missing, torn, changed, or of another version.
    """
    path = folder / "manifest" / "metadata"
    if not any(folder.iterdir()):
        raise Damaged("its folder is empty")
    try:
        body = unseal(json.loads(path.read_text()))
    except FileNotFoundError:
        raise Damaged("its manifest is missing") from None
    except ValueError as error:  # no UTF-8, no JSON
        raise Damaged(f"its manifest cannot be read: {error}") from error
    if body.get("format") != FORMAT:
        raise Damaged(f"its manifest has format {body.get('format')}, this version of jnn reads {FORMAT}")
    return body


def metrics(folder: Path) -> dict[str, float]:
    """The metrics of a checkpoint; none of a damaged one."""
    try:
        return read_body(folder)["metrics"]
    except Damaged:
        return {}


def move_aside(path: Path) -> str:
    """Moves a folder into `damaged` beside it, under a name that is free; says what became of it."""
    room = path.parent / "damaged"
    try:
        room.mkdir(exist_ok=True)
        target = path.rename(free_name(room / path.name))
    except OSError as error:
        return f"it could not be moved aside: {error}"
    return f"moved to {target}"


def read_arrays(folder: Path, wanted: Mapping[str, Any]) -> dict[str, jax.Array]:
    """The arrays of a checkpoint, straight onto their shardings.

    Args:
      folder: of the step.
      wanted: path -> what has the shape, dtype and perhaps a sharding; it fits the manifest.

    Raises:
      ValueError: a sharding does not divide its shape; a 64-bit dtype without `jax_enable_x64`.
      Damaged: they cannot be read. They may still be wrong: see `verify`.
      MemoryError, OSError, JaxRuntimeError: it is not the checkpoint that is wrong, but this machine.
    """
    _check_wanted(wanted)
    full = {path: like for path, like in wanted.items() if math.prod(like.shape)}
    arrays: dict[str, jax.Array] = {}
    with contextlib.closing(ocp.PyTreeCheckpointHandler()) as handler:
        for group in _groups(full):
            try:
                read = _read_group(handler, folder / "state", group)
            except (MemoryError, PermissionError, jax.errors.JaxRuntimeError):
                raise
            except Exception as error:  # Orbax's and TensorStore's are of every kind, `Exception` itself included
                raise Damaged(f"its arrays cannot be read: {first_line(error)}") from error
            arrays |= read
            if sum(map(_size, group.values())) >= GROUP_BYTES:
                gc.collect(1)  # Orbax leaves cycles behind that hold what it read
    empty = lambda like: jnp.zeros(like.shape, like.dtype, device=_sharding(like))
    return {path: arrays[path] if path in arrays else empty(like) for path, like in wanted.items()}


def wanted_by(body: Body) -> dict[str, jax.ShapeDtypeStruct]:
    """The arrays as the manifest describes them, wanted on the host."""
    host = jax.sharding.SingleDeviceSharding(jax.local_devices(backend="cpu")[0])
    dtype = lambda name: _generators()[name][1] if name in _generators() else jnp.dtype(name)
    return {
        path: jax.ShapeDtypeStruct(tuple(entry["shape"]), dtype(entry["dtype"]), sharding=host)
        for path, entry in body["arrays"].items()
    }


def verify(arrays: Mapping[str, jax.Array], body: Body) -> None:
    """Raises unless every array sums to what the manifest says.

    Raises:
      Damaged: names the arrays that do not.
    """
    found = checksums(dict(arrays))
    if wrong := sorted(path for path, entry in body["arrays"].items() if found[path] != entry["sum"]):
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise Damaged(f"the checksum of {', '.join(wrong[:3])}{more} is not the one that was saved")


def _check_wanted(wanted: Mapping[str, Any]) -> None:
    """What would fail later as if the files were damaged."""
    for path, like in wanted.items():
        _sharding(like).shard_shape(like.shape)
        if (
            not jnp.issubdtype(like.dtype, jax.dtypes.extended)
            and jax.dtypes.canonicalize_dtype(like.dtype) != like.dtype
        ):
            raise ValueError(
                f"{path} is {like.dtype}, which JAX has only with jax.config.update('jax_enable_x64', True)."
            )


def _read_group(handler: Any, folder: Path, group: Mapping[str, Any]) -> dict[str, jax.Array]:
    target = _nest({path: _raw_struct(like) for path, like in group.items()})
    args = ocp.args.PyTreeRestore(
        target, restore_args=ocp.checkpoint_utils.construct_restore_args(target), partial_restore=True
    )
    nested = handler.restore(folder, args=args)
    arrays = {}
    for path, like in group.items():
        raw = _at(nested, path)
        if jnp.issubdtype(like.dtype, jax.dtypes.prng_key):
            raw = jax.random.wrap_key_data(raw, impl=_generators()[str(like.dtype)][0])
        if (raw.shape, raw.dtype) != (like.shape, like.dtype):
            raise Damaged(f"{path} was read as {raw.dtype}{list(raw.shape)}")
        arrays[path] = raw
    return arrays


def _groups(wanted: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Pieces of at most `GROUP_BYTES` or 1/32 of all; an array that is larger is a piece of its own."""
    limit = max(GROUP_BYTES, sum(map(_size, wanted.values())) // 32)
    group: dict[str, Any] = {}
    total = 0
    for path, like in wanted.items():
        if group and total + _size(like) > limit:
            yield group
            group, total = {}, 0
        group[path] = like
        total += _size(like)
    if group:
        yield group


def _size(like: Any) -> int:
    return math.prod(like.shape) * like.dtype.itemsize


def _raw(x: jax.Array) -> jax.Array:
    """What is stored of an array: typed keys as their words."""
    return jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x


def _raw_struct(like: Any) -> jax.ShapeDtypeStruct:
    """The shape, dtype and sharding in which a wanted array is read; a key's sharding fits its words as well."""
    raw = jax.eval_shape(_raw, jax.ShapeDtypeStruct(like.shape, like.dtype))
    return jax.ShapeDtypeStruct(raw.shape, raw.dtype, sharding=_sharding(like))


@functools.cache
def _generators() -> dict[str, tuple[str, Any]]:
    """The generator and the dtype of typed keys by what a manifest calls the dtype."""
    dtypes = {name: jax.eval_shape(functools.partial(jax.random.key, 0, impl=name)).dtype for name in GENERATORS}
    return {str(dtype): (name, dtype) for name, dtype in dtypes.items()}


def _sharding(like: Any) -> jax.sharding.Sharding:
    return getattr(like, "sharding", None) or jax.sharding.SingleDeviceSharding(jax.local_devices()[0])


def _nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Nested dicts from paths. A key with a slash in it becomes two; `_at` finds it all the same."""
    tree: dict[str, Any] = {}
    for path, leaf in flat.items():
        *above, last = path.split("/")
        node = tree
        for name in above:
            node = node.setdefault(name, {})
        node[last] = leaf
    return tree


def _at(tree: Mapping[str, Any], path: str) -> Any:
    node: Any = tree
    for name in path.split("/"):
        node = node[name]
    return node


def first_line(error: Exception) -> str:
    """What an error says, in one line; of a long one the beginning and the end, where TensorStore has the cause."""
    line = next(iter(str(error).splitlines()), "") or type(error).__name__
    return line if len(line) <= 240 else f"{line[:80]} ... {line[-150:]}"
