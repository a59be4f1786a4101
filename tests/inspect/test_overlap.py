"""Whether work stands between a collective's start and its end: in known schedules, and a TPU's own."""

import re

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from jnn.inspect import collectives, parse
from jnn.inspect._overlap import overlapped
from jnn.parallel import mesh
from tests.inspect import tpu

P = PartitionSpec
TEXT = """HloModule m, is_scheduled=true

%add (a: f32[], b: f32[]) -> f32[] {
  %a = f32[] parameter(0)
  %b = f32[] parameter(1)
  ROOT %sum = f32[] add(%a, %b)
}

%product (l: f32[8,8], r: f32[8,8]) -> f32[8,8] {
  %l = f32[8,8] parameter(0)
  %r = f32[8,8] parameter(1)
  ROOT %dot.1 = f32[8,8] dot(%l, %r), lhs_contracting_dims={1}, rhs_contracting_dims={0}
}

%renamed (o: f32[8,8]) -> f32[64] {
  %o = f32[8,8] parameter(0)
  ROOT %same = f32[64] bitcast(%o)
}

%scattered (s: f32[8,8]) -> f32[1,8] {
  %s = f32[8,8] parameter(0)
  %all = f32[8,8] all-reduce(%s), replica_groups={}, to_apply=%add
  ROOT %piece = f32[1,8] slice(%all), slice={[0:1], [0:8]}
}

%next (n: s32[]) -> s32[] {
  %n = s32[] parameter(0)
  %one = s32[] constant(1)
  ROOT %n.1 = s32[] add(%n, %one)
}

ENTRY %main (x: f32[8,8], i: s32[]) -> f32[8,8] {
  %x = f32[8,8] parameter(0)
  %i = s32[] parameter(1)
  %start = (f32[8,8], f32[8,8]) collective-permute-start(%x), source_target_pairs={{0,1},{1,0}}
  BETWEEN
  ROOT %done = f32[8,8] collective-permute-done(%start)
}
"""
WORK = {
    "a product": "%y = f32[8,8] dot(%x, %x), lhs_contracting_dims={1}, rhs_contracting_dims={0}",
    "a fusion": "%y = f32[8,8] fusion(%x, %x), kind=kOutput, calls=%product",
    "a fusion on another stream": "%y = ((f32[8,8]), f32[8,8]) fusion-start(%x, %x), kind=kLoop, calls=%product",
    "a convolution": "%y = f32[8,8] convolution(%x, %x), dim_labels=bf_io->bf",
    "a sum": "%y = f32[] reduce(%x, %zero), dimensions={0,1}, to_apply=%add",
    "a kernel": '%y = f32[8,8] custom-call(%x), custom_call_target="tpu_custom_call"',
    "a call": "%y = f32[8,8] call(%x, %x), to_apply=%product",
    "a copy": "%y = f32[8,8] copy(%x)",
}
NONE = {
    "nothing": "",
    "names": "%y = (f32[8,8], s32[]) tuple(%x, %i)\n  %z = f32[8,8] get-tuple-element(%y), index=0",
    "a constant": "%y = f32[64] constant({...})",
    "a bitcast": "%y = f32[64] bitcast(%x)",
    "a fusion of a bitcast": "%y = f32[64] fusion(%x), kind=kLoop, calls=%renamed",
    "a loop's counter": "%y = s32[] fusion(%i), kind=kLoop, calls=%next",
    "a copy of nothing": "%y = f32[0,8] copy(%empty)",
    "room": '%y = f32[8,8] custom-call(), custom_call_target="AllocateBuffer"',
    "what is brought nearer": "%y = (f32[8,8], f32[8,8], u32[]) copy-start(%x)\n  %z = f32[8,8] copy-done(%y)",
    "another collective": "%y = f32[8,8] all-reduce(%x), replica_groups={}, to_apply=%add",
    "another's start": "%y = (f32[8,8], f32[16,8]) all-gather-start(%x), replica_groups={}, dimensions={0}",
    "a scattered sum": "%y = f32[1,8] fusion(%x), kind=kCustom, calls=%scattered",
}


@pytest.mark.parametrize("between", WORK.values(), ids=WORK)
def test_work_overlaps(between):
    row = collectives(TEXT.replace("BETWEEN", between))[0]
    assert (row.kind, row.asynchronous, row.overlapped) == ("collective-permute", True, True)


@pytest.mark.parametrize("between", NONE.values(), ids=NONE)
def test_what_is_no_work_does_not(between):
    row = collectives(TEXT.replace("BETWEEN", between))[0]
    assert (row.kind, row.asynchronous, row.overlapped) == ("collective-permute", True, False)


def test_work_before_and_after_does_not():
    work = WORK["a product"]
    before = TEXT.replace("  BETWEEN\n", "").replace("  %start =", f"  {work}\n  %start =")
    after = TEXT.replace("  BETWEEN\n", "").replace("  ROOT %done =", "  %done =")
    after = after.replace("(%start)\n", f"(%start)\n  ROOT {work}\n")
    assert [row.overlapped for text in (before, after) for row in collectives(text)] == [False, False]


def test_one_that_is_not_asynchronous_is_never_overlapped():
    text = TEXT.replace("BETWEEN", "%y = f32[8,8] all-reduce(%x), replica_groups={}, to_apply=%add")
    row = collectives(text)[1]
    assert (row.kind, row.asynchronous, row.overlapped) == ("all-reduce", False, False)


def test_a_text_that_is_no_schedule_says_nothing():
    module = parse(TEXT.replace(", is_scheduled=true", "").replace("BETWEEN", WORK["a product"]))
    made = module.computations["main"]
    assert overlapped(module, made["start"], made["done"]) is None


@pytest.mark.parametrize(("kind", "works"), [("product", True), ("renamed", False)])
def test_an_asynchronous_call(kind, works):
    """Of a computation that is a collective: begun, looked after, and done."""
    wrapped = """%wrapped (w: f32[8,8]) -> f32[8,8] {
  %w = f32[8,8] parameter(0)
  ROOT %turn = f32[8,8] all-to-all(%w), replica_groups={}, dimensions={0}
}

ENTRY"""
    lines = [
        "%begun = ((f32[8,8]), f32[8,8]) async-start(%x), calls=%wrapped",
        "%going = ((f32[8,8]), f32[8,8]) async-update(%begun)",
        f"%y = f32[8,8] fusion(%x, %x), kind=kLoop, calls=%{kind}",
        "ROOT %ended = f32[8,8] async-done(%going)",
    ]
    text = re.sub(r"  %start.*\)\n}", lambda found: "  " + "\n  ".join(lines) + "\n}", TEXT, flags=re.DOTALL)
    rows = [row for row in collectives(text.replace("ENTRY", wrapped)) if row.kind == "all-to-all"]
    assert [(row.asynchronous, row.overlapped) for row in rows] == [(True, works)]


@pytest.mark.parametrize(("between", "works"), [("a product", True), ("another's start", False)])
def test_what_a_tpus_sparse_cores_do_goes_on_beside(between, works):
    """They are called, asynchronously, with a computation that is a collective."""
    called = """%called (w: f32[8,8], t: token[]) -> f32[1,8] {
  %w = f32[8,8] parameter(0)
  ROOT %sum = f32[1,8] reduce-scatter(%w), replica_groups={}, dimensions={0}, to_apply=%add
}, execution_thread="sparsecore"

ENTRY"""
    lines = [
        '%ready = s32[] custom-call(), custom_call_target="PrepareAsyncCallStart"',
        '%begun = ((f32[8,8]), f32[1,8]) call-start(%x), async_execution_thread="sparsecore", to_apply=%called',
        (WORK | NONE)[between],
        '%late = token[] custom-call(%ready), custom_call_target="PrepareAsyncCallDone"',
        "ROOT %ended = f32[1,8] call-done(%begun)",
    ]
    text = re.sub(r"  %start.*\)\n}", lambda found: "  " + "\n  ".join(lines) + "\n}", TEXT, flags=re.DOTALL)
    row = next(row for row in collectives(text.replace("ENTRY", called)) if row.kind == "reduce-scatter")
    assert (row.bytes, row.asynchronous, row.overlapped) == (4 * 64, True, works)


@pytest.mark.parametrize(("between", "works"), [(1, True), (0, False)])
def test_a_tpus_chain_is_worked_on_in_the_fusions_between(between, works):
    gather = 'all-gather(%p), channel_id=7, replica_groups={}, dimensions={0}, frontend_attributes={chain_id="0"}'
    body = lambda name, *lines: "\n  ".join([f"%{name} (p: f32[8,8]) -> f32[16,8] {{", *lines]) + "\n}\n\n"
    parameter, whole = "%p = f32[8,8] parameter(0)", f"f32[16,8] {gather}"
    mark = lambda target: f'ROOT %c = f32[16,8] custom-call(%g), custom_call_target="{target}"'
    product = "%d = f32[8,8] dot(%p, %p), lhs_contracting_dims={1}, rhs_contracting_dims={0}"
    bodies = [
        body("begin", parameter, f"%g = {whole}", mark("AsyncCollectiveStart")),
        body("work", parameter, product, f"ROOT %g = {whole}"),
        body("end", parameter, f"%g = {whole}", mark("AsyncCollectiveDone")),
    ]
    calls = ["begin", *["work"] * between, "end"]
    lines = [f"%f.{i} = f32[16,8] fusion(%x), kind=kCustom, calls=%{name}" for i, name in enumerate(calls)]
    entry = body("main", "%x = f32[8,8] parameter(0)", *lines).replace("(p:", "(x:").replace("%main", "ENTRY %main")
    (row,) = collectives("HloModule m, is_scheduled=true\n\n" + "".join(bodies) + entry)
    assert (row.kind, row.asynchronous, row.overlapped) == ("all-gather", True, works)


def test_a_tpus_own_schedule():
    """A product that waits for what is sent stands after its end; one that need not, between."""
    there = mesh("data=4", tpu.topology("v5e:2x2").devices)
    send = lambda y: jax.lax.ppermute(y, "data", [(i, (i + 1) % 4) for i in range(4)])
    waits = lambda x, w: send(x @ w) @ w
    need_not = lambda x, w: (send(x), x @ w)

    def row(f, out):
        shard = jax.shard_map(f, mesh=there, in_specs=(P("data"), P()), out_specs=out)
        at = lambda rows, spec: jax.ShapeDtypeStruct((rows, 2048), jnp.bfloat16, sharding=NamedSharding(there, spec))
        (found,) = collectives(jax.jit(shard).lower(at(4096, P("data")), at(2048, P())).compile(), there)
        return found.kind, found.asynchronous, found.overlapped

    assert row(waits, P("data")) == ("collective-permute", True, False)
    assert row(need_not, P("data")) == ("collective-permute", True, True)
