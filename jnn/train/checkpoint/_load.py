"""The reading side: the arrays of a checkpoint, straight onto the shardings that are wanted.

    read_arrays(folder, wanted) -> {path: array}
    check_readable(folder, body)                whether a manifest's arrays can be read, for little

Laws: what `read_arrays` and then `verify` let through has the bits that were saved. A process reads what its own
devices want and nothing else, one chunk of `CHUNK_BYTES` after the other, into buffers that belong to the device: so
that the host needs little more memory than its share of the state.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tensorstore

from jnn.terminal import in_one_line
from jnn.train.checkpoint._folder import plain_name
from jnn.train.checkpoint._manifest import Body, CorruptCheckpoint, read_body, wanted_by
from jnn.train.checkpoint._stored import as_stored, is_cut, stored_name, unwords

Region = tuple[slice, ...]
Read = Callable[[Region, Any], Iterator[tuple[Region, np.ndarray]]]
NO_MESH = jax.sharding.Mesh(np.empty((), object), ())  # whatever mesh the program has set
ONE_BY_ONE = {  # every thread would keep buffers of its own
    "cache_pool": {"total_bytes_limit": 2**24},  # the index, or it is read again for every array
    "data_copy_concurrency": {"limit": 1},
    "file_io_concurrency": {"limit": 1},
}


def read_arrays(folder: Path, wanted: Mapping[str, Any]) -> dict[str, jax.Array]:
    """The arrays of a checkpoint, straight onto their shardings.

    Args:
      folder: of the step.
      wanted: path -> what has the shape, dtype and perhaps a sharding; it fits the manifest.

    Raises:
      ValueError: a sharding does not divide its shape; a 64-bit dtype without `jax_enable_x64`.
      CorruptCheckpoint: they cannot be read. They may still be wrong: see `verify`.
      MemoryError, PermissionError, JaxRuntimeError: it is not the checkpoint that is wrong, but this machine.
    """
    _check_wanted(wanted)
    context = tensorstore.Context(ONE_BY_ONE)
    with plain_name(folder) as name, jax.set_mesh(NO_MESH):
        return {
            path: _read_array(functools.partial(_pieces, name, path, context), like) for path, like in wanted.items()
        }


def check_readable(folder: Path, body: Body) -> None:
    """Raises unless a step's folder holds this manifest, every array's name, and a chunk of the largest array.

    It costs some hundredths of a save: whatever reading all would find besides, the file system has vouched for.

    Raises:
      CorruptCheckpoint: says what is missing.
    """
    if read_body(folder) != body:
        raise CorruptCheckpoint("its manifest is another one")
    context = tensorstore.Context({"cache_pool": ONE_BY_ONE["cache_pool"]})
    wanted = {path: like for path, like in wanted_by(body).items() if like.size}
    with plain_name(folder) as name, _damage():
        store = tensorstore.KvStore.open(_stored(name), context=context).result()
        held = {key.decode() for key in store.list().result()}
        if absent := [path for path in wanted if f"{stored_name(path)}/.zarray" not in held]:
            raise CorruptCheckpoint(f"{len(absent)} of its arrays are missing, {absent[0]} among them")
        largest = max(wanted, key=lambda path: wanted[path].size)
        raw = _raw(wanted[largest])
        next(_pieces(name, largest, context, _everywhere(raw.shape), raw.dtype))


def _stored(folder: Path, path: str = "") -> dict[str, Any]:
    """Where TensorStore finds what Orbax wrote into the folder of a step."""
    return {"driver": "ocdbt", "base": {"driver": "file", "path": f"{folder / 'state'}/"}, "path": path}


def _check_wanted(wanted: Mapping[str, Any]) -> None:
    """What would fail later as if the files were damaged."""
    for path, like in wanted.items():
        if (sharding := _sharding(like)) is not None:
            sharding.shard_shape(like.shape)
        if is_cut(like):
            raise ValueError(
                f"{path} is {like.dtype}, which JAX has only with jax.config.update('jax_enable_x64', True)."
            )


def _pieces(
    folder: Path, path: str, context: tensorstore.Context, region: Region, dtype: Any
) -> Iterator[tuple[Region, np.ndarray]]:
    """The pieces of a region of one array, chunk by chunk, and where they are."""
    spec = {"driver": "zarr", "kvstore": _stored(folder, f"{stored_name(path)}/")}
    with _damage():
        store = tensorstore.open(spec, open=True, read=True, context=context).result()
        if store.dtype.numpy_dtype != dtype or store.rank != len(region):
            raise CorruptCheckpoint(f"{path} is stored as {store.dtype.name}{list(store.shape)}")
        chunk = tuple(size or 1 for size in store.chunk_layout.read_chunk.shape or ())
    for place in _cut(region, chunk):
        with _damage():
            numbers = np.asarray(store[place].read().result())
        yield place, numbers


@contextlib.contextmanager
def _damage() -> Iterator[None]:
    """Whatever goes wrong here is `CorruptCheckpoint`, but for what is this machine's affair."""
    try:
        yield
    except (MemoryError, PermissionError, CorruptCheckpoint):
        raise
    except Exception as error:  # TensorStore's are of every kind
        raise CorruptCheckpoint(f"its arrays cannot be read: {in_one_line(error)}") from error


def _read_array(read: Read, like: Any) -> jax.Array:
    """The array on its devices; where several want the same region, it is read once."""
    raw, sharding = _raw(like), _sharding(like)
    if sharding is None:
        return unwords(_read_shard(read, _everywhere(raw.shape), raw.dtype, None), like.dtype)
    shards: dict[str, jax.Array] = {}
    on_devices = []
    for device, index in sharding.addressable_devices_indices_map(raw.shape).items():
        place = jax.sharding.SingleDeviceSharding(device, memory_kind=sharding.memory_kind)
        region = tuple(slice(*part.indices(size)[:2]) for part, size in zip(index or (), raw.shape, strict=True))
        if str(region) not in shards:
            shards[str(region)] = _read_shard(read, region, raw.dtype, device)
        on_devices.append(jax.device_put(shards[str(region)], place))
    whole = jax.make_array_from_single_device_arrays(raw.shape, sharding, on_devices)
    return unwords(whole, like.dtype)


def _read_shard(read: Read, region: Region, dtype: Any, device: jax.Device | None) -> jax.Array:
    """A region in one buffer of the device's own: one of the host's that JAX borrows could not be donated."""
    shape = tuple(part.stop - part.start for part in region)
    if not math.prod(shape):
        return jnp.zeros(shape, dtype, device=device)
    shard: jax.Array | None = None
    for place, numbers in read(region, dtype):
        piece = jax.device_put(numbers, device, may_alias=False)
        if piece.shape == shape:
            return piece
        at = tuple(part.start - whole.start for part, whole in zip(place, region, strict=True))
        shard = _begin(piece, at, shape) if shard is None else _put(shard, piece, at)
        shard.block_until_ready()  # or the pieces would queue up
    assert shard is not None  # a region that holds elements has pieces
    return shard


@functools.partial(jax.jit, static_argnames="shape")
def _begin(piece: jax.Array, at: tuple[Any, ...], shape: tuple[int, ...]) -> jax.Array:
    """On the device of the piece: zeros that are asked for by `device=` are made on another and copied."""
    return jax.lax.dynamic_update_slice(jnp.zeros(shape, piece.dtype), piece, at)


@functools.partial(jax.jit, donate_argnums=0)
def _put(shard: jax.Array, piece: jax.Array, at: tuple[Any, ...]) -> jax.Array:
    return jax.lax.dynamic_update_slice(shard, piece, at)


def _everywhere(shape: tuple[int, ...]) -> Region:
    return tuple(slice(0, size) for size in shape)


def _cut(region: Region, chunk: tuple[int, ...]) -> Iterator[Region]:
    """A region in pieces, cut wherever a chunk ends."""
    first = lambda part, size: range(part.start - part.start % size, part.stop, size)
    axes = [
        [slice(max(at, part.start), min(at + size, part.stop)) for at in first(part, size)]
        for part, size in zip(region, chunk, strict=True)
    ]
    return itertools.product(*axes)


def _raw(like: Any) -> jax.ShapeDtypeStruct:
    """What is stored of such an array."""
    return jax.eval_shape(as_stored, jax.ShapeDtypeStruct(like.shape, like.dtype))


def _sharding(like: Any) -> jax.sharding.Sharding | None:
    """Where it is wanted; None if it may move: a step on a mesh takes what nobody has put anywhere, and only that."""
    return getattr(like, "sharding", None) if getattr(like, "committed", True) else None
