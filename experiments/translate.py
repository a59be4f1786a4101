"""English to German: the transformer of 2017 on the sentences of a program's help.

Data      27,973 pairs of LibreOffice's help in English and German, 1,484 of other pages to test; a thirtieth validates.
          4,000 byte pairs learned from both languages; pairs of at most 32 tokens a side train, 70 % of them.
Network   encoder-decoder ("Attention Is All You Need", Vaswani et al., 2017): 2 layers a side, 4 heads, 128 wide, 512
          within, one table of embeddings, norms before the branches. Dropout 0.1.
Training  Adam (0.9, 0.98), 200 steps of warm-up to 2e-3 and cosine to 0, labels smoothed by 0.1, batches of 32.
Run       python -m experiments.translate        (with the extra `text`)
Measured  on the other pages, one seed: BLEU 12.8 and chrF 35.2; validation loss 2.484. The same in PyTorch,
          one seed: BLEU 13.2 and chrF 35.6. Processor time 690 seconds, PyTorch's on one thread 531.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure

import jnn
from experiments import pictures
from experiments.datasets import SPLIT_SEED
from experiments.harness import Outcome, launch
from experiments.options import Common
from experiments.teacher_forcing import teacher_forced_loss
from experiments.training import train
from jnn.data import Batches, Tokenizer, in_order, libreoffice_en_de, pad, split, train_tokenizer
from jnn.generation import GREEDY, generate
from jnn.models import EncoderDecoderConfig, encoder_decoder, encoder_decoder_model, encoder_decoder_spec
from jnn.overrides import override

SPECIAL = ("<pad>", "<start>", "<end>")
PAD, START, END = range(3)
LONGEST = 96  # tokens of a source or a translation, in testing; what is longer is cut
MAPS = 2  # sentences whose attention is drawn


@dataclasses.dataclass(frozen=True)
class Config(Common):
    """English to German, on the sentences of a program's help."""

    steps: int = 2400
    workdir: str = "runs/translate"
    vocab: int = 4000
    length: int = 32
    layers: int = 2
    heads: int = 4
    embed: int = 128
    hidden: int = 512
    batch_size: int = 32
    learning_rate: float = 2e-3
    warmup: int = 200
    dropout: float = 0.1
    smoothing: float = 0.1


def encode(tokenizer: Tokenizer, english: list[str], german: list[str], length: int) -> dict[str, np.ndarray]:
    """Pairs that fit: source x (n, length) with its "length", and the target y (n, length + 1) behind its start."""
    pairs = [
        (a, b)
        for a, b in zip(tokenizer.encode_all(english), tokenizer.encode_all(german), strict=True)
        if 0 < len(a) <= length and len(b) < length
    ]
    x, lengths = pad([a for a, _ in pairs], length)
    y, _ = pad([np.array([START, *b, END]) for _, b in pairs], length + 1)
    return {"x": x, "length": lengths, "y": y}


def loss(params, batch, ctx, config: Config, sizes: EncoderDecoderConfig):
    """Cross-entropy of the next token of the translation, one number a token."""
    how = {"key": ctx.key, "lengths": batch["length"], "rate": config.dropout}
    logits_of = lambda read: encoder_decoder(params, batch["x"], read, sizes, **how)
    return teacher_forced_loss(logits_of, batch, ctx, pad=PAD, smoothing=config.smoothing)


def translate(
    params, tokenizer: Tokenizer, texts: list[str], sizes: EncoderDecoderConfig, rows: int = 128
) -> list[str]:
    """Greedy translations, made of sentences of about one length together."""
    ids = [own[:LONGEST] for own in tokenizer.encode_all(texts)]
    order, found = np.argsort([len(own) for own in ids], kind="stable"), {}
    for at in range(0, len(order), rows):
        some = order[at : at + rows]
        source = np.full((rows, LONGEST), PAD, np.int32)
        length = np.ones(rows, np.int32)
        for i, row in enumerate(some):
            source[i, : len(ids[row])], length[i] = ids[row], len(ids[row])
        given = {"params": params, "source": jnp.asarray(source), "lengths": jnp.asarray(length)}
        start = jnp.full((rows, 1), START, jnp.int32)
        written = generate(given, start, LONGEST, encoder_decoder_model(sizes), GREEDY, end=END)
        for row, tokens, length in zip(some, np.asarray(written.tokens), np.asarray(written.lengths), strict=False):
            found[row] = tokenizer.decode(token for token in tokens[1:length] if token != END)
    return [found[row] for row in range(len(texts))]


def attention_map(params, tokenizer: Tokenizer, english: str, german: str, sizes: EncoderDecoderConfig) -> Figure:
    """Attention map: where each token of a translation looks in the source, the mean of the last layer's heads."""
    source, target = (tokenizer.encode(text) for text in (english, german))
    seen: list[np.ndarray] = []

    def attend(q, k, v, mask, *, causal, window):
        scores = jnp.einsum("...thk,...shk->...hts", q, k) * q.shape[-1] ** -0.5
        if mask is not None:
            scores = jnp.where(mask, scores, -jnp.inf)
        if causal:
            scores = jnp.where(jnp.tri(*scores.shape[-2:], dtype=bool), scores, -jnp.inf)
        weights = jax.nn.softmax(scores)
        jax.debug.callback(lambda weights: seen.append(np.asarray(weights)), weights, ordered=True)
        return jnp.einsum("...hts,...shk->...thk", weights, v)

    with override(dot_product_attention=attend):
        read = jnp.asarray([START, *target], jnp.int32)
        encoder_decoder(params, jnp.asarray(source, jnp.int32), read, sizes, key=None, remat=None).block_until_ready()
    jax.effects_barrier()
    words = lambda ids: [tokenizer.decode([token]) for token in ids]
    return pictures.heat(seen[-1].mean(0), words(source), [*words(target), "<end>"], "English", "German")


def prepared(config: Config) -> tuple[Tokenizer, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Tokenizer, and the pairs that train and that validate: the same whatever the run's seed."""
    english, german = libreoffice_en_de(config.data_dir)
    tokenizer = train_tokenizer(english + german, config.vocab, special=SPECIAL)
    return tokenizer, *split(encode(tokenizer, english, german, config.length), 1 / 30, seed=SPLIT_SEED)


def scores(found: list[str], german: list[str]) -> dict[str, float]:
    """BLEU and chrF of a corpus, in points of 100."""
    return {
        "bleu": 100 * float(jnn.metrics.bleu(found, german).value()),
        "chrf": 100 * float(jnn.metrics.chrf(found, german).value()),
    }


def experiment(config: Config) -> Outcome:
    """Trains, validates, and translates the pages that were held out."""
    tokenizer, training, validation = prepared(config)
    sizes = EncoderDecoderConfig(
        len(tokenizer), config.layers, config.heads, config.embed, config.hidden, pre_norm=True
    )
    schedule = optax.warmup_cosine_decay_schedule(0.0, config.learning_rate, config.warmup, config.steps)
    state, history = train(
        config,
        encoder_decoder_spec(sizes),
        functools.partial(loss, config=config, sizes=sizes),
        optax.adam(schedule, b2=0.98, eps=1e-9),
        Batches(training, config.batch_size, seed=config.seed),
        every=200,
        validation=in_order(validation, 128),
        clip_norm=1.0,
    )
    english, german = libreoffice_en_de(config.data_dir, "test")
    found = translate(state.params, tokenizer, english, sizes)
    draw = functools.partial(attention_map, state.params, tokenizer, sizes=sizes)
    return Outcome(
        params=state.params,
        metrics={"val_loss": history[-1]["val/loss"], **scores(found, german)},
        history=history,
        figures=figures(list(zip(english, found, german, strict=True)), draw),
    )


def figures(rows: list[tuple[str, str, str]], draw: Callable[[str, str], Figure]) -> dict[str, Callable[[], Figure]]:
    """Figures of the report, by what they show: attention maps of plain sentences, and a page of translations."""
    words = lambda text: text.replace(" ", "").rstrip(".").isalpha()
    shown = sorted(rows, key=lambda row: (not words(row[0]), abs(len(row[0]) - 45)))[:MAPS]
    maps = {
        f"Where the last layer looks while it writes {own!r}.": functools.partial(draw, text, own)
        for text, own, _ in shown
    }
    page = lambda: pictures.page("\n\n".join("\n".join(row) for row in rows[:400:25]))
    return {**maps, "Held-out sentences: English, the translation, the reference.": page}


if __name__ == "__main__":
    launch(experiment, Config)
