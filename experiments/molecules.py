"""A language model of SMILES, that writes molecules; how many are valid, unique and novel.

Data      MOSES ("Molecular Sets (MOSES): A Benchmarking Platform for Molecular Generation Models", Polykovskiy et al.,
          2020): of its 1,584,663 molecules that train, 50,000 drawn by a fixed seed; 2,000 of those that test validate.
          Tokens are atoms, bonds, branches and rings; rows of 128 are packed with molecules, and none sees another.
Network   decoder-only transformer ("Language Models are Unsupervised Multitask Learners", Radford et al., 2019): 3
          layers, 4 heads, 128 wide, rotary positions, no biases, tied read-out.
Training  Muon, and AdamW for what is no linear map ("Muon is Scalable for LLM Training", Liu et al., 2025), 100 steps
          of warm-up to 3e-3, cosine to a tenth, 1,100 batches of 16 rows, which is 1.1 passes over the 50,000.
Measures  validity by RDKit (pip install 'jnn[experiments,molecules]': without it none of the three is measured),
          uniqueness of the first 1,000 valid ones, and how many of the distinct ones did not train; beside a 6-gram of
          the same 50,000.
Run       python -m experiments.molecules
Measured  one seed: loss 0.626 a token of validation; of 2,000 drawn 0.767 are valid, 1.000 of these unique, 0.999
          novel, and 0.958 to all of MOSES that trains; the 6-gram 0.121, 0.893, 1.000. MOSES's repository
          (github.com/molecularsets/moses) has 0.960 and 1.000 of a CharRNN that saw 250,000. By AdamW in 450 batches
          of 32 (--optimizer adamw --batch-size 32 --steps 450 --warmup 40), on 14,400 rows, not 17,600: loss 0.781,
          valid 0.262. A busy CPU core, 208 seconds of processor time.
"""

from __future__ import annotations

import dataclasses
import importlib.util
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

import jnn
from experiments import pictures
from experiments.corpus import packed_rows
from experiments.datasets import SPLIT_SEED
from experiments.gpt import loss, optimizer
from experiments.harness import Outcome, launch
from experiments.options import Common
from experiments.smiles import END, Vocabulary, drawings, judged, ngram
from experiments.training import train
from jnn.data import Batches, in_order, moses
from jnn.generation import Sampling, generate
from jnn.models import TRANSFORMER, transformer_spec
from jnn.terminal import say

LONGEST, TOGETHER = 80, 500  # tokens of a molecule that is written, molecules that are written at a time
GRAM = 6  # tokens that the baseline sees
VALIDATION = 2000


@dataclasses.dataclass(frozen=True)
class Config(Common):
    """A language model of SMILES."""

    steps: int = 1100
    workdir: str = "runs/molecules"
    examples: int = 50_000  # that train
    samples: int = 2000  # that are written
    layers: int = 3
    heads: int = 4
    embed: int = 128
    context: int = 128
    batch_size: int = 16
    optimizer: Literal["muon", "adamw"] = "muon"  # as experiments.gpt has them, and the schedule
    schedule: Literal["cosine", "wsd"] = "cosine"
    learning_rate: float = 3e-3
    warmup: int = 100
    weight_decay: float = 0.1


def experiment(config: Config) -> Outcome:
    """Trains, validates, and judges what the model and the n-gram write."""
    all_known = moses(config.data_dir)
    rows = np.random.default_rng(SPLIT_SEED).permutation(len(all_known))[: config.examples]
    training = all_known[rows].tolist()
    vocabulary = Vocabulary.build(training)
    validating = [molecule for molecule in moses(config.data_dir, "test")[:VALIDATION] if vocabulary.knows(molecule)]
    documents, held_out = ([vocabulary.encode(molecule) for molecule in part] for part in (training, validating))
    spec = transformer_spec(
        len(vocabulary.names), None, layers=config.layers, heads=config.heads, embed=config.embed, bias=False
    )
    state, history = train(
        config,
        spec,
        loss,
        optimizer(config, spec),
        Batches(packed_rows(documents, config.context), config.batch_size, seed=config.seed),
        every=200,
        validation=in_order(packed_rows(held_out, config.context), 64),
        clip_norm=1.0,
    )
    written = write(state.params, vocabulary, config)
    draws = np.random.default_rng(config.seed)
    by_ngram = [vocabulary.decode(ids) for ids in ngram(documents, GRAM, config.samples, draws)]
    metrics = {"val_loss": history[-1]["val/loss"], "val_accuracy": history[-1]["val/accuracy"]}
    if not chemistry():
        say("Validity, and so uniqueness and novelty, need RDKit: pip install 'jnn[molecules]'. They are not measured.")
        figures = {"Molecules that it wrote, unjudged.": lambda: pictures.page("\n".join(written[:40]))}
        return Outcome(state.params, metrics, history, figures)
    metrics |= judged(written, {"novel": training, "novel_to_all": all_known.tolist()})
    metrics |= judged(by_ngram, {"novel": training}, "ngram_")
    return Outcome(state.params, metrics, history, {"Molecules that it wrote.": lambda: drawings(written)})


def chemistry() -> bool:
    """Whether RDKit is installed."""
    return importlib.util.find_spec("rdkit") is not None


def write(params: Any, vocabulary: Vocabulary, config: Config) -> list[str]:
    """Molecules drawn from the model, each from its beginning to its end."""
    key, found = jnn.path_key(jax.random.key(config.seed), "write"), []
    together = min(TOGETHER, config.samples)
    for i in range(-(-config.samples // together)):
        drawn = generate(
            params,
            jnp.full((together, 1), END, jnp.int32),
            LONGEST,
            TRANSFORMER,
            Sampling(),
            key=jax.random.fold_in(key, i),
            end=END,
        )
        rows = zip(np.asarray(drawn.tokens), np.asarray(drawn.lengths), strict=True)
        found += [vocabulary.decode(ids[:length]) for ids, length in rows]
    return found[: config.samples]


if __name__ == "__main__":
    launch(experiment, Config)
