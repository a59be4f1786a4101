"""The reader of HLO: every line of real programs, loops and their trip counts, and text that is none."""

import re

import jax
import jax.numpy as jnp
import pytest

from jnn.inspect import executions, parse

TEXT = """HloModule jit_f, is_scheduled=true

FileNames
1 "/me/layers/linear.py"
2 "/me/models/mlp.py"

FunctionNames
1 "linear"
2 "mlp"

FileLocations
1 {file_name_id=1 function_name_id=1 line=81 end_line=81 column=8 end_column=9}
2 {file_name_id=2 function_name_id=2 line=40 end_line=41 column=8 end_column=9}

StackFrames
1 {file_location_id=2 parent_frame_id=1}
2 {file_location_id=1 parent_frame_id=2}


%body (p: (s32[], f32[4,4])) -> (s32[], f32[4,4]) {
  %p = (s32[]{:T(128)}, f32[4,4]{1,0:T(8,128)S(1)}) parameter(0)
  %i = s32[]{:T(128)} get-tuple-element(%p), index=0
  %two = s32[]{:T(128)} constant(2)
  %add.1 = s32[]{:T(128)} add(%i, %two), metadata={op_name="jit(f)/while/body/add" stack_frame_id=2}
  %x = f32[4,4]{1,0:T(8,128)S(1)} get-tuple-element(%p), index=1
  %dot.1 = f32[4,4]{1,0:T(8,128)S(1)} dot(%x, /*index=1*/%x), DIMENSIONS, METADATA, backend_config={"sizes":["16"]}
  ROOT %tuple.1 = (s32[]{:T(128)}, f32[4,4]{1,0:T(8,128)S(1)}) tuple(%add.1, %dot.1)
}

%compare (a: s32[], b: s32[]) -> pred[] {
  %a = s32[] parameter(0)
  %b = s32[] parameter(1)
  ROOT %lt.1 = pred[]{:T(512)} compare(%a, %b), direction=LT
}

%condition (p.1: (s32[], f32[4,4])) -> pred[] {
  %p.1 = (s32[]{:T(128)}, f32[4,4]{1,0:T(8,128)S(1)}) parameter(0)
  %limit = s32[] constant(LIMIT)
  %i.1 = s32[]{:T(128)} get-tuple-element(%p.1), index=0
  ROOT %wrapped = pred[] fusion(%i.1, %limit), kind=kLoop, calls=%compare
}

ENTRY %main.1 (arg.1: f32[4,4]) -> f32[4,4] {
  %arg.1 = f32[4,4]{1,0} parameter(0), metadata={op_name="state[\\'w\\']" source_file="/me/train.py" source_line=7}
  %start = s32[] START
  %copy.1 = s32[] copy(%start)
  %tuple.2 = (s32[], f32[4,4]{1,0}) tuple(%copy.1, %arg.1)
  %while.1 = (s32[], f32[4,4]{1,0}) while(%tuple.2), condition=%condition, body=%body
  ROOT %out = f32[4,4]{1,0} get-tuple-element(%while.1), index=1
}
"""
TEXT = TEXT.replace("DIMENSIONS", "lhs_contracting_dims={1}, rhs_contracting_dims={0}")
TEXT = TEXT.replace("METADATA", 'metadata={op_name="jit(f)/while/body/dot_general[a, (b)]" stack_frame_id=2}')


def times(text, name):
    return next(e.times for e in executions(parse(text)) if e.instruction.name == name)


@pytest.mark.parametrize(
    ("start", "limit", "trips"),
    [
        ("constant(0)", 6, 3),
        ("constant(1)", 6, 3),
        ("constant(0)", 7, 4),
        ("constant(9)", 6, 0),
        ("custom-call()", 6, None),
    ],
)
def test_trip_counts_are_read_from_the_loop_where_the_compiler_does_not_note_them(start, limit, trips):
    text = TEXT.replace("START", start).replace("LIMIT", str(limit))
    assert times(text, "dot.1") == trips
    assert times(text, "while.1") == 1
    noted = text.replace("body=%body\n", 'body=%body, backend_config={"known_trip_count":{"n":"11"}}\n')
    assert times(noted, "dot.1") == 11
    assert times(text.replace("direction=LT", "direction=EQ"), "dot.1") is None


@pytest.mark.parametrize(
    ("dtype", "start", "by", "limit", "direction", "trips"),
    [
        ("s32", "6", "-2", "0", "GE", 4),
        ("s32", "0", "2", "6", "NE", 3),
        ("s32", "0", "2", "5", "NE", None),
        ("f32", "0", "0.5", "2.2", "LT", 5),
        ("bf16", "250", "1", "255", "LT", 5),
        ("bf16", "250", "1", "300", "LT", None),  # 256 + 1 is 256 there
        ("pred", "false", "true", "true", "LT", None),
    ],
)
def test_loops_that_count_down_or_in_floats(dtype, start, by, limit, direction, trips):
    text = TEXT.replace("START", f"constant({start})").replace("LIMIT", limit).replace("constant(2)", f"constant({by})")
    assert (
        times(text.replace("s32[]", f"{dtype}[]").replace("direction=LT", f"direction={direction}"), "dot.1") == trips
    )


def test_an_instruction_is_taken_apart():
    text = TEXT.replace("START", "constant(0)").replace("LIMIT", "6")
    module = parse(text)
    dot = module.computations["body"]["dot.1"]
    assert (dot.opcode, dot.operands, dot.scope) == ("dot", ["x", "x"], "jit(f)/while/body/dot_general[a, (b)]")
    assert (dot.attribute("lhs_contracting_dims"), dot.attribute("dim_labels")) == ("{1}", None)
    assert dot.config == '{"sizes":["16"]}'
    assert str(dot.place) == "layers/linear.py:81 < models/mlp.py:40"
    assert [frame[2] for frame in dot.place.frames] == ["linear", "mlp"]
    assert str(module.computations["main.1"]["arg.1"].place) == "me/train.py:7"
    assert module.root("body").operands == ["add.1", "dot.1"]
    assert sum(map(len, module.computations.values())) == len(re.findall(r"^  .* = ", text, re.M))


def program(x, w):
    x, _ = jax.lax.scan(lambda x, w: (jnp.tanh(x @ w), None), x, w)
    return jax.lax.cond(x.sum() > 0, lambda x: x @ x.T, lambda x: 2 * x @ x.T, x)


def test_every_instruction_of_a_real_program_is_read():
    text = jax.jit(jax.grad(lambda x, w: program(x, w).sum(), 1)).lower(jnp.ones((8, 8)), jnp.ones((5, 8, 8))).compile()
    module = parse(text)
    lines = re.findall(r"^  (?:ROOT )?%?(\S+) = ", text.as_text(), re.M)
    assert [name for computation in module.computations.values() for name in computation] == lines
    found = executions(module)
    assert {e.times for e in found if e.loops} == {5}
    assert any(e.instruction.opcode == "dot" and e.loops for e in found)
    assert {str(e.instruction.place) for e in found if e.instruction.opcode == "dot"} <= {
        place for e in found if "test_hlo.py" in (place := str(e.instruction.place))
    }


@pytest.mark.parametrize("text", ["", "module @jit_f {\n}", "HloModule m\n", "ENTRY %main () -> f32[] {\n}"])
def test_text_that_is_no_program_is_one_clear_error(text):
    with pytest.raises(ValueError, match=r"inspect: expected the text of a compiled program"):
        parse(text)


def test_an_unknown_dtype_is_one_clear_error():
    from jnn.inspect._hlo import bits

    assert [bits(dtype) for dtype in ("pred", "s4", "f8e4m3fn", "bf16", "c64", "token")] == [8, 4, 8, 16, 64, 0]
    with pytest.raises(ValueError, match=r"expected a dtype of HLO such as f32 or pred, found 'weird'"):
        bits("weird")
