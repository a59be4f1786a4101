"""The ledger of real programs: compiled for this CPU, ahead of time for a TPU, and as read from a GPU's."""

import functools

import jax
import jax.numpy as jnp
import optax
import pytest
from jax.sharding import SingleDeviceSharding

import jnn
from jnn import backend
from jnn.inspect import Expect, SilentFallback, fallbacks, kernels, own_source_lines, platform_of, read
from jnn.layers import attention, attention_spec, conv, conv_spec, linear, linear_spec
from tests.inspect.tpu import topology

S = jax.ShapeDtypeStruct
CPU_LIBRARIES = {"YNNPACK", "Eigen"}


def test_a_product_in_a_loop_is_one_row_for_each_of_its_three():
    spec = jnn.param.stack(linear_spec(32, 32, axes=("a", "b")), 5)

    def loss(p, x):
        return jnp.sum(jax.lax.scan(lambda x, p: (jnp.tanh(linear(p, x)), None), x, p)[0] ** 2)

    ledger = kernels(jax.grad(loss), jnn.abstract(spec), S((64, 32), "float32"), strict=True)
    assert [row.op for row in ledger.rows] == ["matmul"] * 3
    for row in ledger.rows:
        assert (row.operands, row.result, row.accumulates, row.times) == (("f32", "f32"), "f32", "f32", 5)
        assert row.runs in CPU_LIBRARIES
        assert "linear.py" in str(row.place)
        assert [str(choice) for choice in row.chosen] == ["dense: flat"]
    assert backend.TABLE["dense"].why in str(ledger)


def test_a_formulation_is_recorded_though_it_was_traced_before():
    inner = jax.jit(linear)
    p, x = jax.tree.map(lambda s: jnp.ones(s.shape), linear_spec(4, 4)), jnp.ones((3, 4))
    inner(p, x)
    for _ in range(2):
        (row,) = kernels(inner, p, x).rows
        assert [choice.formulation for choice in row.chosen] == ["flat"]


def test_a_convolution_and_a_chain_of_choices():
    p = jnn.abstract({"a": conv_spec(8, 16, (3, 3)), "b": conv_spec(16, 8, (1, 1))})

    def f(p, x):
        h = conv(p["a"], x)
        return conv(p["b"], h)

    ledger = kernels(f, p, S((2, 8, 8, 8), "float32"), strict=True)
    rows = {row.op: row for row in ledger.rows}
    assert set(rows) == {"convolution", "matmul"}
    assert [str(choice) for choice in rows["convolution"].chosen] == ["conv_gradient: channels_last"]
    assert {str(choice) for choice in rows["matmul"].chosen} == {"conv_of_one: dot", "dense: flat"}


def test_a_train_step_passes_as_it_is_and_an_upcast_does_not():
    def loss(params, batch, ctx):
        return jnn.train.LossOutput(jnn.losses.squared_error(linear(params, batch["x"]), batch["y"]))

    optimizer = optax.sgd(0.1)
    state = jnn.train.create_state(jnn.init(linear_spec(32, 16), jax.random.key(0)), optimizer)
    batch = {"x": jnp.ones((64, 32)), "y": jnp.ones((64, 16))}
    step = jnn.train.make_step(loss, optimizer, jax.random.key(1))
    kernels(step, state, batch, strict=True, expect=Expect(dtype="f32"))
    half = jnn.train.make_step(loss, optimizer, jax.random.key(1), compute_dtype=jnp.float16)
    with pytest.raises(SilentFallback, match=r"linear.py.*multiplies f32 by f32, upcast: the program says f16 by f16"):
        kernels(half, state, batch, strict=True)
    kernels(half, state, batch, strict=True, expect=Expect(dtype="f32"))  # said to be known
    assert kernels(half, state, batch).rows  # not strict: a table


def test_a_policy_that_a_program_does_not_keep_names_each_product():
    f = lambda x, w: x @ w
    x, w = S((64, 32), "float32"), S((32, 16), "float32")
    with pytest.raises(
        SilentFallback, match=r"test_kernels.py.*multiplies f32 by f32, where bf16 is expected"
    ) as error:
        kernels(f, x, w, strict=True, expect=Expect(dtype="bf16"))
    assert len(error.value.problems) == 1
    with pytest.raises(SilentFallback, match=r"has precision 'default', where 'highest' is asked for"):
        kernels(f, x, w, strict=True, expect=Expect(precision="highest"))
    highest = functools.partial(jnp.dot, precision="highest")
    (row,) = kernels(highest, x, w, strict=True, expect=Expect(precision="highest")).rows
    assert row.precision == "highest"


def test_a_dtype_without_a_library_kernel_is_a_loop():
    f = lambda x, w: jax.lax.dot(x, w, preferred_element_type=jnp.int8)
    x, w = S((64, 32), "int8"), S((32, 16), "int8")
    with pytest.raises(SilentFallback, match="runs as a plain loop"):
        kernels(f, x, w, strict=True)
    (row,) = kernels(f, x, w, strict=True, expect=Expect(loops=True)).rows
    assert (row.runs, row.operands, row.asked) == ("loop", ("s8", "s8"), ((("s8", "s8"), "default"),))


def test_attention_that_shall_be_fused_and_is_not():
    p = jnn.abstract(attention_spec(8, 2))
    f = lambda p, x: attention(p, x, causal=True)
    with pytest.raises(SilentFallback, match="attention that is expected to be one fused kernel") as error:
        kernels(f, p, S((2, 16, 8), "float32"), strict=True, expect=Expect(attention="fused"))
    assert len(error.value.problems) == 2
    rows = kernels(f, p, S((2, 16, 8), "float32"), strict=True).rows
    assert {str(choice) for row in rows if row.in_attention for choice in row.chosen} == {"attention: heads_first"}
    assert sum(row.in_attention for row in rows) == 2


def module(*lines):
    return "HloModule m\n\nENTRY %main (p: f32[]) -> f32[] {\n" + "\n".join(f"  {line}" for line in lines) + "\n}\n"


# As XLA:GPU (jaxlib 0.12.0.1) wrote them, compiled ahead of time for an H100; what does not matter here is left out.
THREE_PASSES = "ALG_DOT_BF16_BF16_F32_X3"
PRECISION = '"precision_config":{"operand_precision":["%s","%s"],"algorithm":"%s"}'
GPU = module(
    "%a = bf16[256,512]{1,0} parameter(0)",
    "%b = bf16[512,1024]{1,0} parameter(1)",
    "%c = f32[256,512]{1,0} parameter(2)",
    "%d = f32[512,1024]{1,0} parameter(3)",
    "%q = bf16[4,128,8,64]{3,2,1,0} parameter(4)",
    "%x = f32[64,8,18,4]{3,2,1,0} parameter(5)",
    "%k = f32[8,3,3,4]{3,2,1,0} parameter(6)",
    "%cublas-lt-matmul.2 = (f32[256,1024]{1,0}, s8[4194304]{0}) custom-call(%a, %b), "
    'custom_call_target="__cublas$lt$matmul", '
    'metadata={op_name="jit(d)/dot_general"}, backend_config={"gemm_backend_config":{"alpha_real":1,'
    + PRECISION % ("DEFAULT", "DEFAULT", "ALG_UNSET")
    + "}}",
    '%custom-call.2 = (f32[256,1024]{1,0}, s8[4194304]{0}) custom-call(%c, %d), custom_call_target="__cublas$gemm", '
    'backend_config={"gemm_backend_config":{' + PRECISION % ("HIGHEST", "HIGHEST", "ALG_UNSET") + "}}",
    "%custom-call.3 = (f32[256,1024]{1,0}, s8[4194304]{0}) custom-call(%c, %d), "
    'custom_call_target="__cublas$gemm", '
    'backend_config={"gemm_backend_config":{' + PRECISION % ("DEFAULT", "DEFAULT", THREE_PASSES) + "}}",
    "%cudnn-conv.1 = (f32[64,8,16,8]{3,2,1,0}, u8[0]{0}) custom-call(%x, %k), window={size=3x3 pad=0_0x1_1}, "
    'dim_labels=b01f_o01i->b01f, custom_call_target="__cudnn$convForward", '
    'backend_config={"cudnn_conv_backend_config":{}}',
    "%dot_product_attention_fwd.5 = (bf16[4,8,128,64]{3,1,2,0}, f32[4,8,128]{2,1,0}, u8[0]{0}) "
    'custom-call(%q, %q, %q), custom_call_target="__cudnn$fmhaSoftmax", '
    'metadata={op_name="jit(att)/jvp()/custom_partitioning"}',
    '%other = f32[] custom-call(%c), custom_call_target="SomethingElse"',
    "ROOT %gemm_fusion_dot.8 = f32[256,1024]{1,0} fusion(%a, %b), kind=kCustom, calls=%gemm_computation, "
    'backend_config={"fusion_backend_config":{"kind":"__triton_nested_gemm_fusion"}}',
).replace(
    "ENTRY",
    "%gemm_computation (p.0: bf16[256,512], p.1: bf16[512,1024]) -> f32[256,1024] {\n"
    "  %p.0 = bf16[256,512]{1,0} parameter(0)\n  %p.1 = bf16[512,1024]{1,0} parameter(1)\n"
    "  ROOT %dot.12 = f32[256,1024]{1,0} dot(%p.0, %p.1), lhs_contracting_dims={1}, rhs_contracting_dims={0}\n"
    "}\n\nENTRY",
)


def test_the_libraries_of_a_gpu_are_told_apart():
    rows = {row.name: row for row in read(GPU, "gpu").rows}
    assert {name: (row.op, row.runs, row.precision) for name, row in rows.items()} == {
        "cublas-lt-matmul.2": ("matmul", "cuBLASLt", "default"),
        "custom-call.2": ("matmul", "cuBLAS", "highest"),
        "custom-call.3": ("matmul", "cuBLAS", "dot_bf16_bf16_f32_x3"),
        "cudnn-conv.1": ("convolution", "cuDNN", "default"),
        "dot_product_attention_fwd.5": ("attention", "cuDNN attention", "default"),
        "dot.12": ("matmul", "Triton", "default"),
    }
    assert rows["dot.12"].operands == ("bf16", "bf16")
    fused = fallbacks([rows["dot_product_attention_fwd.5"]], Expect(attention="fused", dtype="bf16"))
    assert fused == []
    assert fallbacks([rows["custom-call.3"]], Expect(precision="highest")) == []


def test_a_product_that_no_library_runs_on_a_gpu_is_a_loop():
    text = module(
        "%a = f32[8,8]{1,0} parameter(0)",
        "ROOT %dot = f32[8,8]{1,0} dot(%a, %a), lhs_contracting_dims={1}, rhs_contracting_dims={0}",
    )
    assert [row.runs for row in read(text, "gpu").rows] == ["loop"]
    assert [row.runs for row in read(text, "cpu").rows] == ["Eigen"]
    assert [row.runs for row in read(text, "tpu").rows] == ["XLA:TPU"]


def test_a_tpu_program_is_read_on_a_machine_without_one():
    """bfloat16 stays bfloat16, the linear map is batched, and precision is kept; ahead of time, for one v5e."""
    place = SingleDeviceSharding(topology("v5e:2x2").devices[0])
    s = lambda *shape, dtype="float32": S(shape, dtype, sharding=place)

    def f(p, x, a):
        return linear(p, x.astype(jnp.bfloat16)).sum() + jnp.dot(a, a, precision="highest").sum()

    p = jax.tree.map(lambda param: s(*param.shape), linear_spec(256, 512))
    with backend.target("tpu"):
        ledger = kernels(f, p, s(4, 128, 256), s(256, 256), strict=True)
    assert ledger.platform == "tpu"
    half, exact = sorted(ledger.rows, key=lambda row: row.operands)
    assert (half.op, half.runs, half.operands, half.accumulates) == ("matmul", "XLA:TPU", ("bf16", "bf16"), "f32")
    assert [str(choice) for choice in half.chosen] == ["dense: batched"]
    assert (exact.op, exact.operands, exact.precision) == ("matmul", ("f32", "f32"), "highest")


def test_a_fused_attention_on_a_tpu_passes_where_plain_products_do_not():
    from jax.experimental.pallas.ops.tpu import splash_attention as splash

    place = SingleDeviceSharding(topology("v5e:2x2").devices[0])
    masks = splash.MultiHeadMask([splash.CausalMask((256, 256))] * 2)
    fused = splash.make_splash_mha(masks, head_shards=1, q_seq_shards=1)
    q = S((2, 256, 128), "float32", sharding=place)
    ledger = kernels(lambda q: fused(q, q, q), q, strict=True, expect=Expect(attention="fused", dtype="f32"))
    assert [(row.op, row.runs) for row in ledger.rows] == [("attention", "Pallas Mosaic")]
    p = jax.tree.map(lambda param: S(param.shape, "bfloat16", sharding=place), attention_spec(256, 2))
    plain = lambda p, x: attention(p, x, causal=True)
    uneven = S((2, 200, 256), "bfloat16", sharding=place)  # which the kernel does not take
    with backend.target("tpu"), pytest.raises(SilentFallback, match="expected to be one fused kernel"):
        kernels(plain, p, uneven, strict=True, expect=Expect(attention="fused"))


def test_a_programs_platform():
    assert platform_of(jax.jit(lambda: jnp.ones(3)).lower().compile()) == "cpu"
    assert platform_of(jax.jit(lambda x: x + 1).lower(1.0).compile()) == "cpu"


def test_an_equal_program_of_another_place_is_another():
    """JAX's persistent cache, which the tests have, would give the first one's source lines to the second."""
    with own_source_lines():  # as the tests of this room are; what is within comes back to it
        jax.config.update("jax_compilation_cache_include_metadata_in_key", False)
        x, w = jnp.ones((24, 7)), jnp.ones((7, 9))
        (first,) = kernels(lambda x, w: x @ w, x, w).rows
        (other,) = kernels(lambda x, w: x @ w, x, w).rows
    assert other.place.line[1] == first.place.line[1] + 1
