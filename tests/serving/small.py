"""A small model that knows nothing and says much, a tokenizer of bytes, and what `generate` says of each request."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np

from jnn.generation import GREEDY, Sampling, generate
from jnn.models import TRANSFORMER, transformer_spec
from jnn.serving import Engine, EngineConfig, GenerationRequest
from tests.models.decoders import moved

P = moved(transformer_spec(256, None, layers=1, heads=2, embed=8, kv_heads=1), 0.5)
BYTES = SimpleNamespace(
    decode=lambda tokens: bytes(tokens).decode(errors="replace"),
    encode=lambda text, add_special_tokens=True: SimpleNamespace(ids=list(text.encode())),
)
PLAN = EngineConfig(rows=4, pages=24, page=4, longest=64, steps=3, chunk=32)
KINDS = (
    GREEDY,
    Sampling(0.7, None, 0.9),
    Sampling(1.3, min_p=0.05, typical_p=0.95, repetition=1.2, presence=0.5, frequency=0.1),
)
PADDED, STEPS = 40, 24


def engine(plan=PLAN, **options):
    return Engine(P, TRANSFORMER, plan, BYTES, **options)


def asks(count, seed=0):
    """Random requests, of which many begin alike."""
    rng = np.random.default_rng(seed)
    common = rng.integers(0, 256, PADDED).tolist()
    for _ in range(count):
        alike = rng.integers(0, PADDED - 8)
        prompt = common[:alike] + rng.integers(0, 256, rng.integers(1, 8)).tolist()
        kind = KINDS[rng.integers(len(KINDS))]
        yield GenerationRequest(tuple(prompt), int(rng.integers(1, STEPS + 1)), kind, seed=int(rng.integers(99)))


def alone(some):
    """The texts of requests as `generate` draws each by itself, those of a kind in one call."""
    found = {}
    for kind in KINDS:
        if not (own := [ask for ask in some if ask.sampling == kind]):
            continue
        rows = [own[i % len(own)] for i in range(-(-len(own) // 16) * 16)]  # few shapes, few programs
        prompts = jnp.array([[*ask.prompt, *[0] * (PADDED - len(ask.prompt))] for ask in rows])
        keys = jnp.stack([jax.random.key(ask.seed) for ask in rows])
        lengths = jnp.array([len(ask.prompt) for ask in rows])
        texts = generate(P, prompts, STEPS, TRANSFORMER, kind, key=keys, lengths=lengths)
        for ask, row, log_probs in zip(rows, np.asarray(texts.tokens), np.asarray(texts.log_probs), strict=True):
            span = slice(len(ask.prompt), len(ask.prompt) + ask.steps)
            found[ask] = row[span].tolist(), log_probs[span].tolist()
    return found


def audit(one):
    """Every page is free, kept, or held by whom the pool thinks; what is going to be written has one user."""
    pool, running = one.pool, one.scheduler.running
    held = [page for request in running for page in request.pages]
    assert pool.users == [held.count(page) for page in range(pool.pages)]
    free = [*pool._blank, *pool._kept]
    assert sorted(free + list(set(held))) == list(range(pool.pages))
    assert pool.free == len(free)
    assert set(pool._known.values()) == set(pool._names)
    for request in running:
        assert all(pool.users[page] == 1 for page in request.pages[request.read // pool.page :])
        assert len(request.pages) * pool.page >= request.read
    assert all(not request.pages for request in one.scheduler.waiting)
