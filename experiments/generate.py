"""Text of a published language model, or of one that was trained here, shown as it is drawn.

Weights   a folder with config.json, *.safetensors (and their index, where there are several) and tokenizer.json, such
          as a copy of huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct: of Llama's family, or GPT-2; a GGUF file of
          Llama's family; or the folder of a run of experiments.gpt.
Run       python -m experiments.generate --weights DIR --prompt 'The capital of France is'
          python -m experiments.generate --weights FILE.gguf --chat   asks for a line, answers, and so on
          python -m experiments.generate --weights runs/gpt --prompt 'ROMEO:'
Chats     are put into words by the model's own template; what is typed is never one of its special tokens.
Measured  SmolLM2-135M-Instruct, whose weights were 4 bits each: "The capital of France is" goes on with " Paris".
"""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from experiments.options import COUNT, NOT_NEGATIVE, TEXT, Rule, check_ranges, description
from experiments.published import Published, published, template
from experiments.refusals import refuse
from jnn.generation import Sampling, chat_tokens, stream
from jnn.launch import USAGE
from jnn.terminal import say

PAD = 64  # prompts of nearly one length need one program
Messages = Sequence[Mapping[str, str]]


@dataclasses.dataclass(frozen=True)
class Config:
    """Text of a published language model, shown as it is drawn."""

    weights: str  # a folder as of Hugging Face, a GGUF file, or the folder of a run of experiments.gpt
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
    if config.prompt is None and not config.chat:
        refuse("--prompt: expected a text to begin with, or --chat.", USAGE)
    own = published(config.weights, config.dtype, config.longest)
    write = partial(answer, own, config)
    if config.prompt is not None and not config.chat:
        sys.stdout.write(config.prompt)
        write(tokens_of(own, config.prompt), jax.random.key(config.seed))
        return
    if (words := template(own, partial(refuse, code=1))) is None:
        refuse(f"--chat: {own.name} has no chat_template. Give a model that was trained to answer, or --prompt.", 1)
    converse(write, partial(chat_tokens, template=words, tokenizer=own.tokenizer), config)


def tokens_of(own: Published, text: str) -> list[int]:
    """The tokens of a text, with those that the tokenizer puts around one."""
    try:
        return own.tokenizer.encode(text, add_special_tokens=True).ids
    except ValueError as error:  # of characters, one that the training text had not
        refuse(f"--prompt: {error}", 1)


def answer(own: Published, config: Config, tokens: list[int], key: jax.Array) -> str:
    """The text behind a prompt, shown as it is drawn, and how fast that was."""
    sampling = Sampling(config.temperature, config.top_k, config.top_p)
    longest = min(config.longest, own.model.longest(own.params) or config.longest)
    if len(tokens) >= longest:
        known = f"--longest and the model allow fewer than {longest}"
        refuse(f"The text has {len(tokens)} tokens, and {known}. Begin with a shorter one.", 1)
    width = min(-(-len(tokens) // PAD) * PAD, max(len(tokens), longest - config.tokens))
    padded = jnp.asarray(np.pad(tokens, (0, width - len(tokens))), jnp.int32)
    begun, text = time.perf_counter(), ""
    pieces = stream(
        own.params,
        padded,
        min(config.tokens, longest - width),
        own.model,
        sampling,
        tokenizer=own.tokenizer,
        key=key,
        lengths=jnp.int32(len(tokens)),
        end=own.ends,
    )
    for piece in pieces:
        text += piece
        sys.stdout.write(piece)
        sys.stdout.flush()
    count, seconds = len(own.tokenizer.encode(text, add_special_tokens=False).ids), time.perf_counter() - begun
    sys.stdout.write("\n")
    say(f"{count} tokens in {seconds:.1f} s, the time to compile among them")
    return text


def converse(
    write: Callable[[list[int], jax.Array], str], tokens: Callable[[Messages], list[int]], config: Config
) -> None:
    """Lines and answers, until there is no line."""
    key, said = jax.random.key(config.seed), []
    line = config.prompt if config.prompt is not None else ask()
    while line:
        said.append({"role": "user", "content": line})
        text = write(tokens(said), jax.random.fold_in(key, len(said)))
        said.append({"role": "assistant", "content": text})
        line = ask()


def ask() -> str:
    """A line of standard input, empty at its end."""
    sys.stdout.write("> ")
    sys.stdout.flush()
    return sys.stdin.readline().strip()


if __name__ == "__main__":
    main(tyro.cli(Config, description=description(__doc__)))
