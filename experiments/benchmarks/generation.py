"""Writing by a language model: jnn beside `transformers` on PyTorch, and llama.cpp where it is installed.

python -m experiments.benchmarks.generation --weights SmolLM2-135M-Instruct.Q4_1.gguf [--rounds 5]

The same weights and the same prompt of random tokens, one text, no sampling, as many threads as there are cores. In
each round all take turns: how many tokens of a prompt are read a second, and how many are written a second behind a
short one. Under them how many could be written if a token cost only reading the weights once from memory, as
fast as a large sum is read. jnn's float32 has to write what `transformers` does. llama.cpp computes with the file's
own weights of 4 bits; the others make float32 of them, and "int8" a byte of each.
"""

from __future__ import annotations

import dataclasses
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from experiments.benchmarks.table import Ratio
from experiments.options import description
from jnn.data import read_gguf
from jnn.generation import GREEDY, generate
from jnn.inspect import format_table
from jnn.interop.torch import load_state_dict
from jnn.models import DecoderConfig, decoder_model, decoder_spec, llama_from_gguf
from jnn.optional import optional
from jnn.quantization import quantize

Writer = Callable[[np.ndarray, int], np.ndarray]  # a prompt (t,), how many tokens -> those that are written


@dataclasses.dataclass(frozen=True)
class Config:
    """Writing by a language model of Llama's kind."""

    weights: Path  # a GGUF file
    prompt: int = 512  # tokens that are read
    tokens: int = 128  # that are written
    rounds: int = 5


def main(config: Config) -> None:
    """Prints the table."""
    metadata, arrays = read_gguf(config.weights)
    shape, names = llama_from_gguf(metadata, arrays)
    spec = decoder_spec(shape)
    p = load_state_dict(spec, arrays, names)
    small = quantize(p, spec)
    ours = by_jnn(p, shape)
    writers = {"jnn": ours, "jnn int8": by_jnn(small, shape), "transformers": by_transformers(config.weights)}
    if (llama := by_llama_cpp(config)) is not None:
        writers["llama.cpp, 4 bits"] = llama
    prompt = np.random.default_rng(0).integers(0, shape.vocab, config.prompt)
    same = agreement(*(writers[name](prompt[:16], config.tokens) for name in ("jnn", "transformers")))
    seconds = {name: [] for name in writers}
    for i in range(config.rounds + 1):
        for name, writer in writers.items():
            seconds[name].extend([timed(writer, prompt, config.tokens)] if i else [])
    print(report(config, seconds, {"jnn": bytes_of(p), "jnn int8": bytes_of(small)}))
    print(f"{same} of {config.tokens} tokens are those of transformers.")


def timed(writer: Writer, prompt: np.ndarray, tokens: int) -> tuple[float, float]:
    """Seconds to read a prompt, and to write so many tokens behind its first 16."""

    def of(prompt: np.ndarray, tokens: int) -> float:
        begun = time.perf_counter()
        writer(prompt, tokens)
        return time.perf_counter() - begun

    return of(prompt, 1), of(prompt[:16], tokens + 1) - of(prompt[:16], 1)


def by_jnn(p: Any, shape: DecoderConfig) -> Writer:
    """Ours."""
    model = decoder_model(shape)

    def write(prompt: np.ndarray, tokens: int) -> np.ndarray:
        found = generate(p, jnp.asarray(prompt[None]), tokens, model, GREEDY).tokens
        return np.asarray(found)[0, len(prompt) :]

    return write


def by_transformers(file: Path) -> Writer:
    """Hugging Face's model of the same file."""
    torch, transformers = optional("torch", "test"), optional("transformers", "oracles")
    torch.set_num_threads(os.cpu_count() or 1)
    read = optional("transformers.modeling_gguf_pytorch_utils", "oracles").load_gguf_checkpoint
    fields = read(str(file))["config"] | {"tie_word_embeddings": True}
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**fields)).eval()
    model.load_state_dict(read(str(file), return_tensors=True, model_to_load=model)["tensors"], strict=False)

    def write(prompt: np.ndarray, tokens: int) -> np.ndarray:
        ids = torch.tensor(prompt[None])
        how = {"attention_mask": torch.ones_like(ids), "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
        with torch.inference_mode():
            return model.generate(ids, max_new_tokens=tokens, **how).numpy()[0, len(prompt) :]

    return write


def by_llama_cpp(config: Config) -> Writer | None:
    """llama.cpp by its package for Python, where there is one."""
    try:
        import llama_cpp
    except ImportError:
        return None
    longest = config.prompt + config.tokens + 1
    model = llama_cpp.Llama(
        str(config.weights), n_ctx=longest, n_batch=longest, n_threads=os.cpu_count(), verbose=False
    )

    def write(prompt: np.ndarray, tokens: int) -> np.ndarray:
        drawn = model.generate(prompt.tolist(), temp=0.0, repeat_penalty=1.0, reset=True)
        model.reset()
        return np.asarray([next(drawn) for _ in range(tokens)])

    return write


def agreement(found: np.ndarray, wanted: np.ndarray) -> int:
    """How many tokens are the same before the first that is not."""
    return int(np.cumprod(found == wanted).sum())


def bytes_of(p: Any) -> int:
    """Bytes of all parameters."""
    return sum(a.nbytes for a in jax.tree.leaves(p))


def bandwidth() -> float:
    """Bytes that are read a second, by the fastest of ten sums over half a gigabyte."""
    numbers, total = jnp.ones((128, 2**20)), jax.jit(lambda a: a.sum(1))
    total(numbers).block_until_ready()

    def once() -> float:
        begun = time.perf_counter()
        total(numbers).block_until_ready()
        return time.perf_counter() - begun

    return numbers.nbytes / min(once() for _ in range(10))


def report(config: Config, seconds: dict[str, list[tuple[float, float]]], sizes: dict[str, int]) -> str:
    """Tokens a second, and how many times those of transformers."""
    rows, counts = [], (config.prompt, config.tokens)
    for name, own in seconds.items():
        row = [name]
        for count, times, base in zip(
            counts, zip(*own, strict=True), zip(*seconds["transformers"], strict=True), strict=True
        ):
            ratios = [b / a for a, b in zip(times, base, strict=True)]
            row += [
                f"{count / statistics.median(times):.1f}",
                str(Ratio(statistics.median(ratios), min(ratios), max(ratios))),
            ]
        rows.append(row)
    speed = bandwidth()
    rows += [[f"{name}: memory alone", "", "", f"{speed / size:.1f}", ""] for name, size in sizes.items()]
    return format_table(["", "read a second", "/ transformers", "written a second", "/ transformers"], rows)


if __name__ == "__main__":
    main(tyro.cli(Config, description=description(__doc__)))
