"""Text of a published language model, shown as it is drawn.

Weights   a folder with config.json, *.safetensors (and their index, where there are several) and tokenizer.json, such
          as a copy of huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct: of Llama's family, or GPT-2.
Run       python -m experiments.generate --weights DIR --prompt 'The capital of France is'
          python -m experiments.generate --weights DIR --chat         asks for a line, answers, and so on
Chats     are put into words by the model's own template, that of tokenizer_config.json or chat_template.jinja.
Measured  SmolLM2-135M-Instruct, whose weights were 4 bits each: "The capital of France is" goes on with " Paris".
"""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, NoReturn

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from experiments.options import COUNT, NOT_NEGATIVE, TEXT, Rule, check_ranges
from experiments.refusals import refuse
from jnn.data import read_safetensors, read_tokenizer
from jnn.generation import CachedModel, Sampling, stream
from jnn.interop.torch import load_state_dict
from jnn.launch import USAGE
from jnn.models import TRANSFORMER, decoder_from_hf, decoder_model, decoder_spec, gpt2_from_hf, transformer_spec
from jnn.optional import optional
from jnn.terminal import say

PAD = 64  # prompts of nearly one length need one program
FILES = ("config.json", "tokenizer.json")
Words = Callable[[Sequence[Mapping[str, str]]], str]


@dataclasses.dataclass(frozen=True)
class Config:
    """Text of a published language model, shown as it is drawn."""

    weights: str  # a folder as of Hugging Face
    prompt: str | None = None  # what the text begins with; of a chat, what is said first
    chat: bool = False  # whether to answer, line by line
    tokens: int = 256  # that are drawn, at most
    longest: int = 4096  # tokens of a text and all before it; how positions are seen hangs on it in some models
    temperature: float = 0.7  # 0 for the likeliest token
    top_k: int | None = None
    top_p: float | None = 0.95
    seed: int = 0
    dtype: Literal["float32", "bfloat16"] = "float32"


LONGEST: Rule = ("a whole number of at least 2", lambda x: x >= 2)
PROBABILITY: Rule = ("a number over 0 and at most 1", lambda x: 0 < x <= 1)
RULES: dict[str, Rule] = {
    **dict.fromkeys(("tokens", "top_k"), COUNT),
    **dict.fromkeys(("weights", "prompt"), TEXT),
    "longest": LONGEST,
    "temperature": NOT_NEGATIVE,
    "top_p": PROBABILITY,
    "seed": ("a whole number of at least 0 and less than 2**32", lambda x: 0 <= x < 2**32),
}


def main(config: Config) -> None:
    """Loads, and writes one text, or answers line by line."""
    check_ranges(vars(config), RULES)
    folder = weights_folder(config.weights)
    if config.prompt is None and not config.chat:
        refuse("--prompt: expected a text to begin with, or --chat.", USAGE)
    tokenizer = tokenizer_of(folder)
    p, model = load(folder, config.dtype, config.longest)
    write = partial(answer, p, model, tokenizer, ends(folder), config)
    if not config.chat:
        sys.stdout.write(config.prompt or "")
        write(config.prompt or "", jax.random.key(config.seed))
        return
    if (words := template(folder, partial(refuse, code=1))) is None:
        refuse(f"--chat: {folder} has no chat_template. Give a model that was trained to answer, or --prompt.", 1)
    converse(write, words, config)


def weights_folder(path: str) -> Path:
    """The folder of a published model, once it has what is read first."""
    folder = Path(path)
    if missing := [name for name in FILES if not (folder / name).is_file()]:
        refuse(f"--weights: {folder} lacks {' and '.join(missing)}. Give a folder as of Hugging Face.", 1)
    return folder


def load(folder: Path, dtype: str, longest: int) -> tuple[Any, CachedModel]:
    """Parameters, and the model that they are of, for texts of up to so many tokens."""
    fields = json.loads((folder / "config.json").read_text())
    weights = read_safetensors(folder)
    if fields["model_type"] == "gpt2":
        sizes, names = gpt2_from_hf(fields)
        spec, model, tied = transformer_spec(**sizes, dtype=dtype), TRANSFORMER, True
        if not any(name.startswith("transformer.") for name in weights):  # as its first files have it
            weights = {f"transformer.{name}": array for name, array in weights.items()}
        beside = ["*.attn.bias", "*.attn.masked_bias"]
    else:
        config, names = decoder_from_hf(fields)
        config = config.for_length(longest)
        spec, model, tied, beside = decoder_spec(config, dtype=dtype), decoder_model(config), config.tied, []
    return load_state_dict(spec, weights, names, ignore=beside + ["*lm_head.weight"] * tied), model


def tokenizer_of(folder: Path) -> Any:
    """What makes tokens of text, all of it, and text of tokens, without those that are special."""
    try:
        return read_tokenizer(folder).inner
    except ValueError as error:
        refuse(f"--weights: {error}", 1)


def ends(folder: Path) -> tuple[int, ...]:
    """The tokens that end a text."""
    for name in ("generation_config.json", "config.json"):
        if (folder / name).is_file() and (
            found := json.loads((folder / name).read_text()).get("eos_token_id")
        ) is not None:
            return tuple(np.atleast_1d(found).tolist())
    return ()


def answer(
    p: Any, model: CachedModel, tokenizer: Any, end: tuple[int, ...], config: Config, prompt: str, key: jax.Array
) -> str:
    """The text behind a prompt, shown as it is drawn, and how fast that was."""
    tokens = tokenizer.encode(prompt, add_special_tokens=not config.chat).ids  # a template says them itself
    sampling = Sampling(config.temperature, config.top_k, config.top_p)
    longest = min(config.longest, model.longest(p) or config.longest)
    if len(tokens) >= longest:
        known = f"--longest and the model allow fewer than {longest}"
        refuse(f"The text has {len(tokens)} tokens, and {known}. Begin with a shorter one.", 1)
    width = min(-(-len(tokens) // PAD) * PAD, max(len(tokens), longest - config.tokens))
    padded = jnp.asarray(np.pad(tokens, (0, width - len(tokens))), jnp.int32)
    begun, text = time.perf_counter(), ""
    pieces = stream(
        p,
        padded,
        min(config.tokens, longest - width),
        model,
        sampling,
        tokenizer=tokenizer,
        key=key,
        lengths=jnp.int32(len(tokens)),
        end=end,
    )
    for piece in pieces:
        text += piece
        sys.stdout.write(piece)
        sys.stdout.flush()
    count, seconds = len(tokenizer.encode(text, add_special_tokens=False).ids), time.perf_counter() - begun
    sys.stdout.write("\n")
    say(f"{count} tokens in {seconds:.1f} s, the time to compile among them")
    return text


def template(folder: Path, complain: Callable[[str], NoReturn]) -> Words | None:
    """What puts a conversation into words, as the model knows it, and complains of one that it does not; or None."""
    file, beside = folder / "chat_template.jinja", folder / "tokenizer_config.json"
    fields = json.loads(beside.read_text()) if beside.is_file() else {}
    source = file.read_text() if file.is_file() else fields.get("chat_template")
    if not isinstance(source, str):
        return None
    how: dict[str, Any] = {"trim_blocks": True, "lstrip_blocks": True, "extensions": ["jinja2.ext.loopcontrols"]}
    sandbox = optional("jinja2.sandbox", "text").ImmutableSandboxedEnvironment(**how)  # as templates are written for
    sandbox.globals["raise_exception"] = complain
    word = lambda token: token["content"] if isinstance(token, dict) else token
    special = {name: word(fields[name]) for name in ("bos_token", "eos_token") if fields.get(name)}
    compiled = sandbox.from_string(source)
    return lambda messages: compiled.render(messages=messages, add_generation_prompt=True, **special)


def converse(write: Callable[[str, jax.Array], str], words: Words, config: Config) -> None:
    """Lines and answers, until there is no line."""
    key, said = jax.random.key(config.seed), []
    line = config.prompt if config.prompt is not None else ask()
    while line:
        said.append({"role": "user", "content": line})
        text = write(words(said), jax.random.fold_in(key, len(said)))
        said.append({"role": "assistant", "content": text})
        line = ask()


def ask() -> str:
    """A line of standard input, empty at its end."""
    sys.stdout.write("> ")
    sys.stdout.flush()
    return sys.stdin.readline().strip()


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
