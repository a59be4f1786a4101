"""Completion of Python by a small decoder, measured by characters and by what parses.

Data      the sources of the standard library of the Python that runs (PSF licence; another version has other files),
          without tests and tables; the tenth of the files that a hash of their paths holds out. Pieces of a byte-level
          BPE of 1,024 that is trained on the others, line by line, so that no piece is of two lines.
Network   decoder-only transformer ("Language Models are Unsupervised Multitask Learners", Radford et al., 2019): 3
          layers, 4 heads, 128 wide, rotary positions, no biases, tied read-out.
Training  400 steps of 32 windows of 128 pieces; AdamW, 40 steps of warm-up to 3e-3, cosine to a tenth.
Measures  bits per character of the held-out files, in windows of which each is read without those before it. Then 300
          lines of them up to which the file parses, each given up to its middle piece, with what stands before it: the
          likeliest pieces up to the end of the line (greedy, with the cache). How many lines are as they were, how many
          of the characters are before the first that differs, and whether the file up to there parses; beside what
          parses if nothing is added.
Run       python -m experiments.completion [--sources FOLDER]        (pip install 'jnn[experiments,text]')
Measured  Python 3.11.7, one seed: 1.930 bits per character of 61 files (980,570 characters), 0.293 of the pieces right.
          Of 300 lines 0.010 are as they were, 0.062 of their characters and 0.400 of the first ones are right; 0.637
          parse, and 0.483 if nothing is added. Two busy CPU cores: 250 seconds of processor time, data and all.
"""

from __future__ import annotations

import ast
import dataclasses
import itertools
import math
import platform
import warnings
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import optax

import jnn
from experiments import pictures
from experiments.datasets import SPLIT_SEED
from experiments.harness import Outcome, launch
from experiments.options import Common
from experiments.programs import END, Programs, programs
from experiments.refusals import refuse
from experiments.training import evaluate, train
from jnn.data import Windows, in_order, windows_in_order
from jnn.generation import GREEDY, generate
from jnn.launch import USAGE
from jnn.models import TRANSFORMER, transformer, transformer_spec
from jnn.train import LossOutput

BITS = 1 / math.log(2)


@dataclasses.dataclass(frozen=True)
class Config(Common):
    """Completion of Python."""

    steps: int = 400
    workdir: str = "runs/completion"
    sources: str | None = None  # a folder of Python files; by default the standard library's
    vocab: int = 1024
    layers: int = 3
    heads: int = 4
    embed: int = 128
    context: int = 128
    batch_size: int = 32
    learning_rate: float = 3e-3
    warmup: int = 40
    weight_decay: float = 0.1
    lines: int = 300  # that are completed
    tokens: int = 32  # that are drawn for one, at most


def loss(params, batch, ctx):
    """Cross-entropy of the next piece, one number a piece."""
    logits = transformer(params, batch["x"], key=ctx.key)
    weight = batch.get("weight")  # a full batch of random windows needs none
    metrics = {"accuracy": jnn.metrics.accuracy(logits, batch["y"], weight)}
    return LossOutput(jnn.losses.cross_entropy(logits, batch["y"]), weight, metrics=metrics)


class Place(NamedTuple):
    """A line to complete: the file before it, its first pieces, their text, and the text of the others."""

    before: str
    pieces: np.ndarray
    given: str
    rest: str


def experiment(config: Config) -> Outcome:
    """Trains, measures bits on the held-out files, and completes lines of them."""
    if not config.tokens < config.context:
        refuse(f"--tokens: expected fewer than the context's {config.context}, found {config.tokens}.", USAGE)
    data = programs(config.sources, config.vocab)
    if not (chosen := places(data, config.lines)):
        refuse("--sources: expected a line to complete in what is held out, found none.", 1)
    spec = transformer_spec(
        config.vocab, None, layers=config.layers, heads=config.heads, embed=config.embed, bias=False
    )
    rate = config.learning_rate
    schedule = optax.warmup_cosine_decay_schedule(0.0, rate, config.warmup, config.steps, rate / 10)
    held_out = np.concatenate([np.append(data.pieces(text), np.int32(END)) for text in data.held_out.values()])
    windows = in_order(windows_in_order(held_out, config.context), 64)
    state, history = train(
        config,
        spec,
        loss,
        optax.adamw(schedule, b2=0.99, weight_decay=config.weight_decay, mask=jnn.weight_mask(spec)),
        Windows(data.ids, config.context, config.batch_size, seed=config.seed),
        every=max(1, config.steps // 5),
        validation=windows[:8],
        clip_norm=1.0,
    )
    measured = evaluate(loss, state, windows)
    characters = sum(map(len, data.held_out.values())) / len(held_out)  # of a piece
    completed = complete(state.params, chosen, data, config)
    metrics = {
        "python": platform.python_version(),
        "files_held_out": len(data.held_out),
        "characters_held_out": sum(map(len, data.held_out.values())),
        "bits_per_character": float(measured["loss"].value()) * BITS / characters,
        "piece_accuracy": float(measured["accuracy"].value()),
        **judged(chosen, completed),
    }
    return Outcome(
        params=state.params,
        metrics=metrics,
        history=history,
        figures={"Held-out lines: given | completed | as it was.": lambda: pictures.page(table(chosen, completed))},
    )


def parses(text: str) -> bool:
    """Whether a text is Python, of the version that runs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of old escapes and the like
        try:
            ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return False
    return True


def places(data: Programs, n: int) -> list[Place]:
    """Lines of the held-out files, no comments, up to which their file parses, in an order of a fixed seed.

    A line is cut before its middle piece; what is given, and what is left, has more than spaces.
    """
    lines = [(text, i) for text in data.held_out.values() for i in range(text.count("\n"))]
    found: list[Place] = []
    for at in np.random.default_rng(SPLIT_SEED).permutation(len(lines)):
        text, i = lines[at]
        rows = text.split("\n")
        pieces = data.pieces(rows[i] + "\n")
        given = data.tokenizer.decode(pieces[: len(pieces) // 2])
        rest = rows[i][len(given) :]
        if not given.strip() or not rest.strip() or given.lstrip().startswith("#"):
            continue
        before = "".join(f"{row}\n" for row in rows[:i])
        if parses(before + rows[i] + "\n"):
            found.append(Place(before, pieces[: len(pieces) // 2], given, rest))
        if len(found) == n:
            break
    return found


def complete(params: Any, chosen: list[Place], data: Programs, config: Config) -> list[str]:
    """Greedy completions of lines, each up to its end, by what the model sees of the file."""
    room = config.context - config.tokens
    prompts = [np.concatenate([data.pieces(place.before[-20 * room :]), place.pieces])[-room:] for place in chosen]
    lengths = np.array([len(prompt) for prompt in prompts], np.int32)
    padded = np.stack([np.pad(prompt, (0, room - len(prompt))) for prompt in prompts])
    ends = [i for i in range(len(data.tokenizer)) if i == END or data.tokenizer.decode([i]).endswith("\n")]
    drawn = generate(
        params, jnp.asarray(padded), config.tokens, TRANSFORMER, GREEDY, lengths=jnp.asarray(lengths), end=ends
    )
    rows = zip(np.asarray(drawn.tokens), lengths, np.asarray(drawn.lengths), strict=True)
    texts = [data.tokenizer.decode([i for i in row[n:m] if i != END]) for row, n, m in rows]
    return [text.split("\n")[0] for text in texts]


def judged(chosen: list[Place], completed: list[str]) -> dict[str, float]:
    """Shares: of lines that are as they were, of characters before the first that differs, of what parses."""
    pairs = [*zip(chosen, completed, strict=True)]
    same = [common_prefix(place.rest, text) for place, text in pairs]
    share = lambda found: sum(found) / len(chosen)
    return {
        "lines": len(chosen),
        "lines_right": share(place.rest == text for place, text in pairs),
        "characters_right": sum(same) / sum(len(place.rest) for place in chosen),
        "first_characters_right": share(n > 0 for n in same),
        "parses": share(parses(f"{place.before}{place.given}{text}\n") for place, text in pairs),
        "parses_if_nothing_is_added": share(parses(f"{place.before}{place.given}\n") for place in chosen),
    }


def common_prefix(a: str, b: str) -> int:
    """Length of the common prefix of two texts."""
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(a, b, strict=False)))


def table(chosen: list[Place], completed: list[str]) -> str:
    """The first lines, as the report shows them."""
    pairs = [*zip(chosen, completed, strict=True)][:40]
    return "\n".join(f"{place.given.strip()} | {text} | {place.rest}" for place, text in pairs)


if __name__ == "__main__":
    launch(experiment, Config)
