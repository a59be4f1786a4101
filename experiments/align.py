"""Instruction tuning, DPO and a reward model, by LoRA: SmolLM2 learns to say a line as Shakespeare would.

Data      tinyshakespeare (public domain). A rule puts old words into today's (thou: you, hath: has). Asked to "Say it
          as Shakespeare would", with a line in today's words, the chosen answer is the line as it stands in the play,
          and the rejected one repeats what was asked. Lines of 5 to 9 words, each once; the last tenth is held out.
Network   SmolLM2-135M-Instruct ("SmolLM2: When Smol Goes Big", Allal et al., 2025) from `weights/smollm2/` below the
          data directory, in 4 bits there. It stays as it is; LoRA of rank 8 on queries and values is trained.
Stages    sft     cross-entropy of the chosen answer, the prompt masked
          dpo     "Direct Preference Optimization", Rafailov et al., 2023, beta 0.1, from what sft has made, which is
                  the reference; without sft among the stages both are SmolLM2 itself
          reward  a head of one number on the last token, with a LoRA of its own: Bradley and Terry's loss of pairs
Training  Adam, a warm-up of 5 steps; 20 steps of 4 answers or 2 pairs.
Measures  on held-out pairs: how often the chosen answer is the likelier one, given the prompt (the win rate), the loss
          of its tokens, and how often its reward is the higher one.
Run       python -m experiments.align [--stages sft dpo]          (pip install 'jnn[experiments,text]')
Measured  on 32 of the held-out pairs, seed 0 (standard error up to 0.09): win rate 0.06 as published, 0.28 by sft, 0.72
          by dpo; loss 1.69, 0.51 and 1.10; the chosen answer's reward is the higher one in all 32. Two busy CPU cores,
          5 minutes.
"""

from __future__ import annotations

import dataclasses
import re
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jnn
from experiments.harness import Outcome, launch
from experiments.options import Common
from experiments.refusals import refuse
from experiments.training import named, train
from jnn import finetune, layers, losses, models
from jnn.data import Batches, Tokenizer, find, gguf_tokenizer, in_order, pad, read_gguf, tinyshakespeare
from jnn.interop.torch import load_state_dict
from jnn.launch import USAGE
from jnn.train import LossOutput, create_state, evaluate_on, make_eval

TODAY = {
    **{"thou": "you", "thee": "you", "ye": "you", "thy": "your", "thine": "your", "hath": "has", "doth": "does"},
    **{"hast": "have", "dost": "do", "art": "are", "wilt": "will", "shalt": "shall", "ere": "before", "nay": "no"},
    **{"o'er": "over", "e'er": "ever", "ne'er": "never", "'tis": "it is", "'twas": "it was", "hither": "here"},
}
OLD = re.compile(rf"(?<!\w)({'|'.join(TODAY)})(?!\w)", re.IGNORECASE)
PROMPT = "<|im_start|>user\nSay it as Shakespeare would: {}<|im_end|>\n<|im_start|>assistant\n"
END = "<|im_end|>"


@dataclasses.dataclass(frozen=True)
class Config(Common):
    """SmolLM2 learns to say a line as Shakespeare would."""

    steps: int = 20  # of each stage
    workdir: str = "runs/align"
    stages: tuple[Literal["sft", "dpo", "reward"], ...] = ("sft", "dpo", "reward")
    batch_size: int = 2  # pairs; of answers alone twice as many
    rank: int = 8
    tokens: int = 36  # of a prompt and an answer, at most
    test_pairs: int = 32
    learning_rate: float = 1e-3
    dpo_rate: float = 5e-4
    beta: float = 0.1
    every: int = 2


def today(line: str) -> str:
    """A line with today's words in place of old ones; a capital stays one."""
    as_it_was = lambda new, old: new[0].upper() + new[1:] if old.lstrip("'")[0].isupper() else new
    return OLD.sub(lambda found: as_it_was(TODAY[found[0].lower()], found[0]), line)


def pairs(text: str, tokenizer: Tokenizer, size: int) -> dict[str, np.ndarray]:
    """Tokens "x" (n, 2, size) of prompts with the chosen and the rejected answer; which are the answer's, "mask"."""
    lines = [line for line in dict.fromkeys(text.split("\n")) if OLD.search(line) and 5 <= len(line.split()) <= 9]
    prompts = tokenizer.encode_all([PROMPT.format(today(line)) for line in lines])
    answers = [tokenizer.encode_all([say(line) + END for line in lines]) for say in (str, today)]
    rows = [[np.concatenate([p, a]) for a in both] for p, *both in zip(prompts, *answers, strict=True)]
    longest = [max(map(len, row)) for row in rows]
    if not (fits := [i for i, length in enumerate(longest) if length <= size]):
        why = f"expected enough for a prompt and its answer, found {size}; the shortest has {min(longest)}."
        refuse(f"--tokens: {why}", USAGE)
    x, lengths = pad([one for i in fits for one in rows[i]], size)
    begins = np.repeat([len(prompts[i]) for i in fits], 2)
    mask = (np.arange(size) >= begins[:, None]) & (np.arange(size) < lengths[:, None])
    return {"x": x.reshape(-1, 2, size), "mask": mask.reshape(-1, 2, size)}


def pretrained(config: Config) -> tuple[models.DecoderConfig, Any, Tokenizer]:
    """Pretrained SmolLM2: its sizes, parameters and tokenizer."""
    name = "weights/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
    metadata, arrays = read_gguf(find(config.data_dir, name, how="put SmolLM2's there"))
    sizes, names = models.llama_from_gguf(metadata, arrays)
    return sizes, load_state_dict(models.decoder_spec(sizes), arrays, names), gguf_tokenizer(metadata)


def sft(params, batch, ctx, sizes) -> LossOutput:
    """Cross-entropy of the chosen answer's tokens; the prompt's have no weight."""
    x, mask = batch["x"][:, 0], batch["mask"][:, 0, 1:]
    logits = models.decoder(finetune.with_lora(ctx.given, params["lora"]), x[:, :-1], sizes, key=None)
    return LossOutput(losses.cross_entropy(logits, x[:, 1:]), mask * batch["weight"][:, None])


def log_probs(p: Any, batch: Any, sizes: models.DecoderConfig) -> jax.Array:
    """Log-probabilities of the chosen and the rejected answers, (b, 2)."""
    logits = models.decoder(p, batch["x"][..., :-1], sizes, key=None)
    return losses.sequence_log_prob(logits, batch["x"][..., 1:], batch["mask"][..., 1:])


def dpo(params, batch, ctx, sizes, beta) -> LossOutput:
    """DPO's loss, whose reference is what is remembered from before the first step."""
    of = lambda lora: log_probs(finetune.with_lora(ctx.given, lora), batch, sizes)
    ours, theirs = of(params["lora"]), jax.lax.stop_gradient(of(ctx.memory["lora"]))
    values = losses.dpo_loss(ours[:, 0], ours[:, 1], theirs[:, 0], theirs[:, 1], beta=beta)
    return LossOutput(values, batch["weight"], metrics={"win_rate": wins(ours, batch)})


def reward(params, batch, ctx, sizes) -> LossOutput:
    """Bradley and Terry's loss: a decoder whose read-out is one number gives each answer's at its last token."""
    p = finetune.with_lora(ctx.given, params["lora"]) | {"out": params["head"]}
    each = models.decoder(p, batch["x"], sizes, key=None)[..., 0]
    last = batch["x"].shape[-1] - 1 - jnp.argmax(batch["mask"][..., ::-1], axis=-1)
    rewards = jnp.take_along_axis(each, last[..., None], -1)[..., 0]
    values = losses.bradley_terry(rewards[:, 0], rewards[:, 1])
    return LossOutput(values, batch["weight"], metrics={"accuracy": wins(rewards, batch)})


def wins(scores: jax.Array, batch: Any) -> Any:
    """Win rate: how often the first of two scores (b, 2) is the higher one."""
    return jnn.metrics.mean((scores[:, 0] > scores[:, 1]).astype(jnp.float32), batch["weight"])


def judge(params, batch, ctx, sizes) -> LossOutput:
    """What is measured of a policy: the loss of chosen answers' tokens, and the win rate."""
    ours = log_probs(finetune.with_lora(ctx.given, params["lora"]), batch, sizes)
    tokens = batch["mask"][:, 0].sum(-1)
    return LossOutput(-ours[:, 0] / tokens, tokens * batch["weight"], metrics={"win_rate": wins(ours, batch)})


def experiment(config: Config) -> Outcome:
    """One stage after another; what each has made is measured on the same held-out pairs."""
    if config.beta == 0:  # of GRPO it may be
        refuse("--beta: expected a positive number, found 0: it is what DPO learns by.", USAGE)
    sizes, base, tokenizer = pretrained(config)
    data = pairs(tinyshakespeare(config.data_dir), tokenizer, config.tokens)
    cut = len(data["x"]) * 9 // 10
    data, test = {k: v[:cut] for k, v in data.items()}, {k: v[cut:][: config.test_pairs] for k, v in data.items()}
    lora = {"lora": finetune.lora_spec(models.decoder_spec(sizes), config.rank)}
    learn, runs = partial(stage, config, base=base, data=data), {}
    states = {"base": create_state(jnn.init(lora, jax.random.key(config.seed)), optax.identity())}
    if "sft" in config.stages:
        runs["sft"] = learn("sft", lora, partial(sft, sizes=sizes), rate=config.learning_rate)
    if "dpo" in config.stages:
        more = {"start": (runs["sft"][0] if runs else states["base"]).params, "memory": lambda params: params}
        runs["dpo"] = learn("dpo", lora, partial(dpo, sizes=sizes, beta=config.beta), rate=config.dpo_rate, **more)
    if "reward" in config.stages:
        own = lora | {"head": layers.linear_spec(sizes.embed, 1)}
        runs["reward"] = learn("reward", own, partial(reward, sizes=sizes), rate=config.learning_rate)
    states |= {name: state for name, (state, _) in runs.items()}
    rows = [row for name, (_, history) in runs.items() for row in named(history, name)]
    return Outcome({name: state.params for name, state in states.items()}, measure(states, test, sizes, base), rows)


def stage(config: Config, name: str, spec: Any, loss: Any, *, base: Any, data: Any, rate: float, **more: Any) -> Any:
    """The state that a stage ends in, and its history."""
    return train(
        config,
        spec,
        loss,
        optax.adam(optax.warmup_constant_schedule(0.0, rate, 5)),
        Batches(data, config.batch_size * (2 if name == "sft" else 1), seed=config.seed),
        every=config.every,
        clip_norm=1.0,
        given=base,
        name=name,
        **more,
    )


def measure(states: dict[str, Any], test: Any, sizes: models.DecoderConfig, base: Any) -> dict[str, float]:
    """Of the policies their loss and win rate on held-out pairs, of the reward model its accuracy."""
    programs = {ask: make_eval(partial(ask, sizes=sizes), given=base) for ask in (judge, reward)}
    found = {}
    for name, state in states.items():
        metrics = evaluate_on(programs[reward if name == "reward" else judge], in_order(test, 8), state)
        found |= {f"{name}_{what}": float(metric.value()) for what, metric in metrics.items()}
    return found


if __name__ == "__main__":
    launch(experiment, Config)
