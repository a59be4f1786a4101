"""Attention as one kernel, which holds no scores in memory: what accelerators have for it, and what that cannot do.

    splash(q, k, v, mask, causal=True, window=None) -> y         on a TPU, by Pallas
    cudnn(q, k, v, mask, causal=True, window=None) -> y          on an NVIDIA GPU
    dot_product(q, k, v, mask, ...) -> y                         what `jax.nn` has for any backend
    no_splash(q, k, mask, ...), no_cudnn(q, k, mask, ...)        why it cannot run on these, or ""

Axes: `t` queries, `s` keys, `h` heads, `g` key-value heads (h is a multiple of g), `k` head size.

Laws: both are `jnn.layers.dot_product_attention`'s function of the same arguments, in reverse mode;
neither has forward mode.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jax.sharding import get_abstract_mesh
from jax.typing import DTypeLike

from jnn import backend
from jnn.axes import free_axes, placement, shard_mapped
from jnn.layers._masks import within

_QUERIES, _KEYS = (None, "heads", "head"), (None, "kv_heads", "head")
_LANES = 128  # a TPU's; the kernel's blocks are multiples of it


def splash(
    q: jax.Array, k: jax.Array, v: jax.Array, mask: jax.Array | None, *, causal: bool, window: int | None
) -> jax.Array:
    """Blocks of scores at a time, and none where a block is masked as a whole.

    See "FlashAttention-2", Dao, 2023; the kernel is JAX's `splash_attention`. Every device runs it on its own rows
    and heads.
    """
    assert mask is None  # see `no_splash`
    return shard_mapped(functools.partial(_splash, causal=causal, window=window), _QUERIES, _KEYS, _KEYS)(q, k, v)


def _splash(q: jax.Array, k: jax.Array, v: jax.Array, *, causal: bool, window: int | None) -> jax.Array:
    from jax.experimental.pallas.ops.tpu import splash_attention  # takes half a second, which no CPU should

    t, h, size = q.shape[-3:]
    s = k.shape[-3]
    if window is not None:
        mask: Any = splash_attention.LocalMask((t, s), (window - 1, 0 if causal else window - 1), 0)
    else:
        mask = (splash_attention.CausalMask if causal else splash_attention.FullMask)((t, s))
    kernel = splash_attention.make_splash_mha(
        splash_attention.MultiHeadMask([mask] * h),
        block_sizes=_blocks(splash_attention.BlockSizes, t, s),
        head_shards=1,
        q_seq_shards=1,
        residual_checkpoint_name="attended",  # for `jnn.remat`: its answer, and the sums of its softmax
    )
    first = lambda a: jnp.swapaxes(a, -3, -2).reshape(-1, a.shape[-2], a.shape[-3], size)
    y = jax.vmap(kernel)(first(q * size**-0.5), first(k), first(v))
    return jnp.swapaxes(y.reshape(*q.shape[:-3], h, t, size), -3, -2)


def _blocks(sizes: Any, t: int, s: int) -> Any:
    """The largest blocks up to 512 that divide the axes: fewer reads of keys, and they fit a TPU's on-chip memory."""
    of_t, of_s = (next(block for block in (512, 384, 256, _LANES) if n % block == 0) for n in (t, s))
    return sizes(block_q=of_t, block_kv=of_s, block_q_dq=of_t, block_kv_dq=of_s, block_q_dkv=of_t, block_kv_dkv=of_s)


def no_splash(q: jax.Array, k: jax.Array, mask: jax.Array | None, *, window: int | None) -> str:
    """Why `splash` cannot run on these arguments, or ""."""
    t, s, size = q.shape[-3], k.shape[-3], q.shape[-1]
    return _first(
        (mask is not None, "it takes no mask that is an array"),
        (t % _LANES or s % _LANES, f"found {t} queries and {s} keys, it takes multiples of {_LANES}"),
        (size % 16 or size > 256, f"found heads of {size}, it takes multiples of 16 up to 256"),
        (q.dtype not in (jnp.float32, jnp.bfloat16), f"found {q.dtype}, it takes float32 and bfloat16"),
        (window is not None and t != s, f"found a window over {t} queries and {s} keys, it takes as many"),
    ) or _no_pieces(q, k)


def _no_pieces(q: jax.Array, k: jax.Array) -> str:
    """Why the devices cannot each run a kernel on its own pieces, or ""."""
    if not free_axes():
        return _no_layout()
    queries, keys = placement(q, *_QUERIES), placement(k, *_KEYS)
    whose = f"devices share {q.shape[-2]} heads otherwise than {k.shape[-2]} key-value heads"
    return whose if k.shape[-2] > 1 and queries.spec[-2] != keys.spec[-2] else ""


def _no_layout() -> str:
    """Why it is not known, without a layout, which pieces a device has, or "" where it has all."""
    mesh = get_abstract_mesh()
    if taken := mesh.manual_axes:
        left = [axis for axis in mesh.axis_names if axis not in taken and mesh.shape[axis] > 1]
        return f"within a shard_map that leaves {', '.join(left)} to the compiler" if left else ""
    here = backend.platform() == jax.default_backend() and jax.device_count() > 1
    return f"there are {jax.device_count()} devices, and no layout (jnn.axes.use_layout) is in force" if here else ""


def cudnn(
    q: jax.Array, k: jax.Array, v: jax.Array, mask: jax.Array | None, *, causal: bool, window: int | None
) -> jax.Array:
    """cuDNN's flash attention; what causality and a window leave out, it does not compute."""
    mask = None if mask is None else within(mask, q, k, causal=causal, window=window)
    local = None if window is None else (window - 1, 0)
    y = dot_product(q, k, v, mask, is_causal=causal, local_window_size=local, implementation="cudnn")
    return checkpoint_name(y, "attended")


def no_cudnn(q: jax.Array, k: jax.Array, mask: jax.Array | None, *, causal: bool, window: int | None) -> str:
    """Why `cudnn` cannot run on these arguments, values and gradients, or ""."""
    (t, h, size), (s, g, _) = q.shape[-3:], k.shape[-3:]
    return _first(
        (q.dtype not in (jnp.float16, jnp.bfloat16), f"found {q.dtype}, it takes float16 and bfloat16"),
        (k.dtype != q.dtype, f"found queries of {q.dtype} and keys of {k.dtype}, it takes one dtype"),
        (size % 8 or size > 128, f"found heads of {size}, it takes multiples of 8 up to 128"),
        # JAX asks this of every gradient, for it takes an absent bias for one; and who differentiates is not known here
        (t % 2 or s % 2, f"found {t} queries and {s} keys, its gradient takes even numbers"),
        (not t or not s, f"found {t} queries and {s} keys, it takes some"),
        (causal and t != s, f"found causality over {t} queries and {s} keys, it takes as many"),
        (window is not None and not causal, "it takes no window that looks ahead"),
    ) or _cudnn_refuses((1, t, h, size), (1, s, g, size), q.dtype, mask is not None, causal, window)


def dot_product(q: jax.Array, k: jax.Array, v: jax.Array, mask: jax.Array | None, **options: Any) -> jax.Array:
    """`jax.nn.dot_product_attention`, which takes one batch axis, with zeros where nothing may be attended to."""
    flat = lambda a, axes: a.reshape(math.prod(a.shape[:-axes]), *a.shape[-axes:])  # not -1: an axis may be empty
    dot_product_attention = functools.partial(
        jax.nn.dot_product_attention, flat(q, 3), flat(k, 3), flat(v, 3), **options
    )
    if mask is None:
        return dot_product_attention().reshape(q.shape)
    mask = jnp.broadcast_to(mask, (*q.shape[:-3], q.shape[-3], k.shape[-3]))
    return jnp.where(
        mask.any(-1)[..., None, None], dot_product_attention(mask=flat(mask, 2)[:, None]).reshape(q.shape), 0
    )


@functools.cache
def _cudnn_refuses(
    q: tuple[int, ...], k: tuple[int, ...], dtype: DTypeLike, masked: bool, causal: bool, window: int | None
) -> str:
    """What JAX says against a kernel of these shapes and its gradient, without cuDNN too; "" where it has nothing."""
    kind = jax.local_devices()[0]
    if (able := getattr(kind, "compute_capability", None)) and kind.platform == "gpu" and float(able) < 8:
        return f"found a GPU of compute capability {able}, it takes 8.0 and later"
    shapes = [jax.ShapeDtypeStruct(shape, dtype) for shape in (q, k, k)]
    mask = jnp.ones((1, q[-3], k[-3]), bool) if masked else None
    kernel = functools.partial(cudnn, mask=mask, causal=causal, window=window)
    try:
        jax.eval_shape(lambda q, k, v: jax.vjp(kernel, q, k, v)[0], *shapes)
    except (NotImplementedError, RuntimeError, ValueError) as error:
        return str(error)
    return ""


def _first(*cases: tuple[object, str]) -> str:
    """The words of the first case that is so."""
    return next((words for so, words in cases if so), "")
