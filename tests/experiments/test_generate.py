"""Text of a published model: of a small folder, and of SmolLM2's real weights."""

import io
import json
import re
from types import SimpleNamespace

import jax
import numpy as np
import pytest

import jnn
from experiments import generate, gpt
from experiments.claims import claimed
from experiments.options import settings
from experiments.published import Published, published
from jnn.data import data_root, read_gguf, write_safetensors
from jnn.models import TRANSFORMER, transformer_spec
from tests.models.decoders import TINY

TEMPLATE = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{{ eos_token }}{% endfor %}<assistant>"
LLAMA = {
    **{"input_layernorm": (8,), "post_attention_layernorm": (8,), "self_attn.q_proj": (8, 8)},
    **{"self_attn.k_proj": (4, 8), "self_attn.v_proj": (4, 8), "self_attn.o_proj": (8, 8)},
    **{"mlp.gate_proj": (12, 8), "mlp.up_proj": (12, 8), "mlp.down_proj": (8, 12)},
}
LAYER = "model.layers.{i}"
OF_LLAMA_CPP = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    **{f"blk.{{i}}.attn_{ours}": f"{LAYER}.self_attn.{theirs}_proj" for ours, theirs in zip("qkv", "qkv", strict=True)},
    "blk.{i}.attn_output": f"{LAYER}.self_attn.o_proj",
    "blk.{i}.attn_norm": f"{LAYER}.input_layernorm",
    "blk.{i}.ffn_norm": f"{LAYER}.post_attention_layernorm",
    **{f"blk.{{i}}.ffn_{name}": f"{LAYER}.mlp.{name}_proj" for name in ("gate", "up", "down")},
}


def byte_level(model):
    """A tokenizer whose tokens are bytes, and merges of them."""
    tokenizers = pytest.importorskip("tokenizers", reason="pip install jnn[text]")
    tokenizer = tokenizers.Tokenizer(model(tokenizers))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    return tokenizer, tokenizers


@pytest.fixture
def small(tmp_path):
    """A folder as of Hugging Face, of a model that knows nothing."""
    alphabet = lambda tokenizers: sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    vocabulary = lambda tokenizers: {letter: i for i, letter in enumerate(alphabet(tokenizers))}
    tokenizer, _ = byte_level(lambda tokenizers: tokenizers.models.BPE(vocabulary(tokenizers), []))
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    fields = TINY | {"vocab_size": 256, "model_type": "llama", "eos_token_id": 0, "tie_word_embeddings": True}
    rng = np.random.default_rng(0)
    shapes = {"model.embed_tokens": (256, 8), "model.norm": (8,)} | {
        f"model.layers.{i}.{name}": shape for i in range(2) for name, shape in LLAMA.items()
    }
    tensors = {f"{name}.weight": rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    write_safetensors(tmp_path / "model.safetensors", tensors)
    (tmp_path / "config.json").write_text(json.dumps(fields))
    words = {"chat_template": TEMPLATE, "eos_token": {"content": "."}}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(words))
    return tmp_path


def test_a_prompt_is_gone_on_with(small, capsys):
    for _ in range(2):  # the same seed, the same text
        generate.main(generate.Config(weights=str(small), prompt="abc", tokens=5))
    out = capsys.readouterr()
    one, two = out.out.splitlines()
    assert one == two
    assert one.startswith("abc")
    assert len(re.findall(r"\d+ tokens in \S+ s", out.err)) == 2


def test_a_chat_is_put_into_words_by_the_models_template(small, monkeypatch, capsys):
    pytest.importorskip("jinja2")
    asked, tokenizer = [], published(str(small), "float32", 64).tokenizer
    monkeypatch.setattr(generate, "answer", lambda own, config, tokens, key: asked.append(tokens) or "yes")
    monkeypatch.setattr("sys.stdin", io.StringIO("two\n"))
    generate.main(generate.Config(weights=str(small), prompt="one", chat=True))
    texts = [tokenizer.decode(tokens) for tokens in asked]
    assert texts == ["<user>one.<assistant>", "<user>one.<assistant>yes.<user>two.<assistant>"]
    assert capsys.readouterr().out == "> > "


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"weights": "nowhere", "prompt": "a"},
            "nowhere is not there. Give a folder as of Hugging Face, or of a run; or a GGUF file",
        ),
        ({"weights": "nowhere", "prompt": "a", "tokens": 0}, "--tokens: expected a whole number of at least 1"),
        ({"weights": "nowhere", "prompt": "a", "top_p": 1.5}, "--top-p: expected a number over 0 and at most 1"),
    ],
)
def test_what_is_missing_is_one_error(config, message, capsys):
    with pytest.raises(SystemExit):
        generate.main(generate.Config(**config))
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "lacks config.json and tokenizer.json"),
        ({"config.json": '{"seed": 0, "steps": 2}'}, "the run is none of experiments.gpt: its settings lack tokenizer"),
        ({"a.gguf": "nothing"}, "a.gguf: "),
    ],
)
def test_what_is_no_model_is_one_error(files, message, tmp_path, capsys):
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    (path,) = list(tmp_path.glob("*.gguf")) or [tmp_path]
    with pytest.raises(SystemExit):
        published(str(path), "float32", 64)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: --weights: {path}")
    assert message in line


def test_a_model_of_another_family_is_one_error(small, capsys):
    (small / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(SystemExit):
        generate.main(generate.Config(weights=str(small), prompt="a"))
    assert re.search(r"^error: --weights: .*: expected model_type among .* found 'bert'", capsys.readouterr().err)


def test_positions_that_hang_on_how_long_texts_get_are_those_of_the_longest(small, capsys):
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1}
    fields = json.loads((small / "config.json").read_text()) | heads
    scaling = {"rope_type": "dynamic", "factor": 2.0}
    (small / "config.json").write_text(json.dumps(fields | {"rope_scaling": scaling, "max_position_embeddings": 16}))
    generate.main(generate.Config(weights=str(small), prompt="abc", tokens=5, longest=64))
    assert capsys.readouterr().out.startswith("abc")


def test_a_tokenizer_cuts_nothing_off(small, capsys):
    of = lambda: published(str(small), "float32", 64).tokenizer
    tokenizer = of()
    tokenizer.enable_truncation(2)
    tokenizer.enable_padding(length=9)
    tokenizer.save(str(small / "tokenizer.json"))
    assert len(of().encode("abcde").ids) == 5
    (small / "tokenizer.json").write_text("{}")
    with pytest.raises(SystemExit):
        of()
    assert "tokenizer.json: no tokenizer" in capsys.readouterr().err


def test_a_prompt_that_nearly_fills_the_learned_positions_leaves_room(capsys):
    p = jnn.init(transformer_spec(256, 70, layers=1, heads=2, embed=8), jax.random.key(0))
    letters = SimpleNamespace(
        encode=lambda text, add_special_tokens: SimpleNamespace(ids=list(text.encode())),
        decode=lambda tokens: "".join(chr(97 + token % 26) for token in tokens),
    )
    own, config = Published("x", p, TRANSFORMER, letters), generate.Config("x", tokens=9)
    write = lambda prompt: generate.answer(own, config, list(prompt.encode()), jax.random.key(0))
    assert len(write("a" * 66)) == 4
    assert "4 tokens in" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        write("a" * 70)
    assert "has 70 tokens, and --longest and the model allow fewer than 70" in capsys.readouterr().err


@pytest.mark.parametrize("tokenizer", ["characters", pytest.param("bpe", marks=pytest.mark.slow)])
def test_a_run_is_gone_on_with(tokenizer, tmp_path, capsys):
    """Of characters and of byte pairs: what was trained is what draws."""
    (tmp_path / "text.txt").write_text("how art thou, Ann? how do, Ben?\n" * 40)
    folder, sizes = tmp_path / "run", {"layers": 1, "heads": 2, "embed": 8, "context": 32, "batch_size": 8}
    config = gpt.Config(
        steps=2, warmup=1, workdir=str(folder), text=str(tmp_path / "text.txt"), tokenizer=tokenizer, **sizes
    )
    with claimed(folder, settings(config)):
        trained = gpt.experiment(config).params
    own = published(str(folder), "float32", 64)
    jax.tree.map(np.testing.assert_array_equal, own.params, trained)
    assert own.tokenizer.decode(generate.tokens_of(own, "Ann? how")) == "Ann? how"
    generate.main(generate.Config(weights=str(folder), prompt="Ann? how", tokens=5, temperature=0.0))
    assert capsys.readouterr().out.startswith("Ann? how")
    if tokenizer == "characters":
        with pytest.raises(SystemExit):
            generate.main(generate.Config(weights=str(folder), prompt="Zoe"))
        assert "--prompt: Characters: 'Z' at 0 is not among the" in capsys.readouterr().err


def in_pairs(rows, heads):
    """The rows of queries or keys as Hugging Face has them: halves of a head, where llama.cpp has neighbours."""
    return rows.reshape(heads, -1, 2, rows.shape[-1]).swapaxes(1, 2).reshape(rows.shape)


@pytest.fixture(scope="module")
def smollm2(tmp_path_factory):
    """SmolLM2's real weights, in a folder as of Hugging Face."""
    path = data_root() / "weights" / "smollm2" / "SmolLM2-135M-Instruct.Q4_1.gguf"
    if not path.is_file():
        pytest.skip(f"weights/smollm2/{path.name} is not in {data_root()}; set JNN_DATA to where it is.")
    folder, (metadata, arrays) = tmp_path_factory.mktemp("smollm2"), read_gguf(path)
    theirs = {}
    for name, array in arrays.items():
        layer = re.search(r"\d+", name)
        stem = re.sub(r"\d+", "{i}", name.removesuffix(".weight"))
        rows = np.asarray(array)
        rows = in_pairs(rows, {"q": 9, "k": 3}[stem[-1]]) if stem.endswith(("attn_q", "attn_k")) else rows
        theirs[OF_LLAMA_CPP[stem].format(i=layer and layer[0]) + ".weight"] = rows.astype(np.float16)
    write_safetensors(folder / "model.safetensors", theirs)
    fields = {
        **{"model_type": "llama", "vocab_size": 49152, "hidden_size": 576, "intermediate_size": 1536},
        **{"num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3, "tie_word_embeddings": True},
        **{"rope_theta": metadata["llama.rope.freq_base"], "rms_norm_eps": 1e-5, "hidden_act": "silu"},
        "eos_token_id": metadata["tokenizer.ggml.eos_token_id"],
    }
    (folder / "config.json").write_text(json.dumps(fields))
    tokens = metadata["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ")) for merge in metadata["tokenizer.ggml.merges"]]
    tokenizer, tokenizers = byte_level(
        lambda tokenizers: tokenizers.models.BPE({token: i for i, token in enumerate(tokens)}, merges)
    )
    tokenizer.add_special_tokens(
        [token for token, kind in zip(tokens, metadata["tokenizer.ggml.token_type"], strict=True) if kind == 3]
    )
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Sequence(
        [tokenizers.pre_tokenizers.Digits(individual_digits=True), tokenizer.pre_tokenizer]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"chat_template": metadata["tokenizer.chat_template"], "eos_token": tokens[fields["eos_token_id"]]})
    )
    return folder


@pytest.mark.slow
def test_smollm2_is_read_from_its_file_alone(smollm2, capsys):
    file = data_root() / "weights" / "smollm2" / "SmolLM2-135M-Instruct.Q4_1.gguf"
    generate.main(generate.Config(str(file), "The capital of France is", tokens=8, temperature=0.0))
    assert capsys.readouterr().out.startswith("The capital of France is Paris")
    ours, theirs = (published(str(path), "float32", 64) for path in (file, smollm2))
    assert (ours.ends, ours.source, ours.special["eos_token"]) == (theirs.ends, theirs.source, "<|im_end|>")


@pytest.mark.slow
def test_smollm2_knows_the_capital_of_france(smollm2, capsys, monkeypatch):
    generate.main(generate.Config(str(smollm2), "The capital of France is", tokens=8, temperature=0.0))
    assert capsys.readouterr().out.startswith("The capital of France is Paris")
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    generate.main(generate.Config(str(smollm2), "What is the capital of France?", True, tokens=24, temperature=0.0))
    assert "Paris" in capsys.readouterr().out
