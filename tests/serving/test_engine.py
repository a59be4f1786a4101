"""The engine: each text as if it were alone, first come first served, and no page lost, whatever happens."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnn.cached_model import CachedModel
from jnn.generation import GREEDY, Sampling, generate, stream
from jnn.models import TRANSFORMER
from jnn.serving import Engine, EngineConfig, GenerationRequest
from jnn.serving._programs import decode, prefill
from tests.serving.small import BYTES, PLAN, P, alone, asks, audit, engine

SMALL = dataclasses.replace(PLAN, pages=17)  # one of the longest, and little more: who is young has to wait again


def finish(one):
    """What each request was told, until all have ended."""
    told = {}
    while one.busy:
        for news in one.step():
            told.setdefault(news.request, []).append(news)
        audit(one)
    return told


def assert_alone(requests):
    texts = alone([request.ask for request in requests])
    for request in requests:
        tokens, log_probs = texts[request.ask]
        count = len(request.drawn) if request.outcome in ("cancelled", "timeout") else len(tokens)
        assert request.drawn == tokens[:count]
        np.testing.assert_allclose(request.log_probs, log_probs[:count], atol=1e-4)


@pytest.mark.parametrize("plan", [PLAN, SMALL], ids=["room", "little room"])
@pytest.mark.parametrize("seed", range(3))
def test_any_schedule_of_requests_gives_each_its_text_and_loses_no_page(plan, seed):
    rng, now = np.random.default_rng(seed), [0.0]
    one, requests, order = engine(plan, clock=lambda: now[0]), [], []
    admit = one.scheduler.admit
    one.scheduler.admit = lambda: order.extend(new := admit()) or new
    coming = list(asks(40, seed))
    while coming or one.busy:
        for _ in range(rng.integers(0, 4)):
            if coming:
                late = 40.0 if rng.random() < 0.1 else np.inf
                requests.append(one.submit(dataclasses.replace(coming.pop(), seconds=late)))
        if rng.random() < 0.15 and requests:
            one.cancel(requests[rng.integers(len(requests))])
        one.step()
        now[0] += 1
        audit(one)
    assert one.pool.free == plan.pages
    assert {request.outcome for request in requests} >= {"length", "cancelled"}
    first = list(dict.fromkeys(order))
    assert first == [request for request in requests if request in first]
    assert plan is PLAN or one.scheduler.preempted > 0
    for request in requests:
        request.ask = dataclasses.replace(request.ask, seconds=np.inf)
    assert_alone(requests)


def test_equal_beginnings_are_read_once():
    one, prompt = engine(), tuple(range(30))
    first = one.submit(GenerationRequest(prompt, 5, GREEDY))
    finish(one)
    read = one.prompt_tokens
    second, other = (
        one.submit(GenerationRequest(prompt, 5, GREEDY)),
        one.submit(GenerationRequest((*prompt[:10], 99), 5, GREEDY)),
    )
    finish(one)
    assert (first.cached, second.cached, other.cached) == (0, 28, 8)
    assert second.drawn == first.drawn
    assert one.prompt_tokens - read == 1 + 2
    assert_alone([first, second, other])


def test_nobody_waits_for_anothers_end():
    one = engine()
    long = one.submit(GenerationRequest((1, 2, 3), 50, GREEDY))
    one.step()
    short = one.submit(GenerationRequest((4, 5, 6), 3, GREEDY))
    one.step()
    assert short.outcome == "length"
    assert long.outcome is None


def test_prompts_are_read_in_chunks_between_which_others_go_on():
    one = engine()
    here = one.submit(GenerationRequest((1, 2, 3), 40, GREEDY))
    one.step()
    long = one.submit(GenerationRequest(tuple(range(60)), 2, GREEDY))
    before, steps = len(here.tokens), 0
    while long.first is None:
        one.step()
        steps += 1
    assert steps == 2  # 59 tokens, 32 at a time
    assert len(here.tokens) == before + 2 * PLAN.steps


def test_short_prompts_are_read_together():
    one = engine()
    requests = [one.submit(GenerationRequest((i, *range(12)), 2, GREEDY)) for i in range(4)]
    one.step()
    assert [request.outcome for request in requests] == ["length"] * 2 + [None] * 2
    finish(one)
    assert_alone(requests)


def test_end_tokens_and_stop_strings_end_a_text_as_in_generate():
    one = engine()
    prompt = tuple(b"Say ")
    whole = one.submit(GenerationRequest(prompt, 24, Sampling(), seed=5))
    finish(one)
    text = BYTES.decode(whole.drawn)
    stop = next(text[i : i + 2] for i in range(8, len(text)) if "\ufffd" not in text[i : i + 2])
    ended, stopped = (
        one.submit(GenerationRequest(prompt, 24, Sampling(), seed=5, ends=frozenset(whole.drawn[7:8]))),
        one.submit(GenerationRequest(prompt, 24, Sampling(), seed=5, stop=("zzz", stop))),
    )
    told = finish(one)
    assert ended.outcome == stopped.outcome == "stop"
    assert ended.drawn == whole.drawn[: whole.drawn.index(whole.drawn[7]) + 1]
    options = {"key": jax.random.key(5), "tokenizer": BYTES, "stop": ("zzz", stop)}
    given = jnp.array(prompt)
    theirs = generate(P, given, 24, TRANSFORMER, **options)
    assert stopped.tokens == theirs.tokens[: theirs.lengths].tolist()
    shown = "".join(news.text for news in told[stopped])
    assert shown == "".join(stream(P, given, 24, TRANSFORMER, **options))
    assert shown == text[: text.index(stop)]


def test_what_is_told_is_what_was_drawn():
    one = engine()
    requests = [one.submit(ask) for ask in asks(9, seed=7)]
    for request, news in finish(one).items():
        assert [token for new in news for token in new.tokens] == request.drawn
        assert [log for new in news for log in new.log_probs] == request.log_probs
        assert (
            "".join(new.text for new in news)
            == BYTES.decode(request.tokens)[len(BYTES.decode(list(request.ask.prompt)).rstrip("\ufffd")) :]
        )
    assert len(requests) == 9


def test_a_request_ends_when_its_time_is_over_waiting_or_running():
    now = [0.0]
    one = engine(dataclasses.replace(PLAN, rows=1), clock=lambda: now[0])
    running, waiting = (one.submit(GenerationRequest((1, 2), 50, GREEDY, seconds=9.0)) for _ in range(2))
    one.step()
    now[0] = 9.0
    told = one.step()
    assert [(news.request, news.outcome) for news in told] == [(running, "timeout"), (waiting, "timeout")]
    assert (len(running.drawn), len(waiting.drawn), one.busy) == (3, 0, False)


@pytest.mark.parametrize("nothing", [jnp.nan, -jnp.inf])
def test_logits_of_which_nothing_can_be_drawn_fail_one_request_alone(nothing):
    def chunk(p, tokens, cache, lengths=None):
        logits, cache = TRANSFORMER.paged_chunk(p, tokens, cache, lengths=lengths)
        return jnp.where((tokens == 7)[..., None], nothing, logits), cache

    model = dataclasses.replace(TRANSFORMER, paged_chunk=chunk)
    one = Engine(P, model, PLAN, BYTES)
    bad, good = one.submit(GenerationRequest((7,), 5, GREEDY)), one.submit(GenerationRequest((8,), 1, GREEDY))
    finish(one)
    assert (bad.outcome, bad.drawn, good.outcome) == ("failed", [], "length")
    assert one.pool.free == PLAN.pages


def test_nothing_is_compiled_once_it_is_warm():
    one = engine(EngineConfig(rows=2, pages=16, page=4, longest=32, steps=2, chunk=16))
    one.warm()
    sizes = decode._cache_size(), prefill._cache_size()
    for ask in asks(9, seed=3):
        if len(ask.prompt) + ask.steps <= 32:
            one.submit(ask)
    finish(one)
    assert (decode._cache_size(), prefill._cache_size()) == sizes
    assert one.pool.kept > 0


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (GenerationRequest((), 1, GREEDY), "prompt is empty"),
        (GenerationRequest((256,), 1, GREEDY), "outside 0..255"),
        (
            GenerationRequest((1,), 64, GREEDY),
            "exceed the 64 that a request may have here. Shorten the prompt, or ask for at most 63",
        ),
        (GenerationRequest((1,), 0, GREEDY), "steps"),
        (GenerationRequest((1,), 1, Sampling(-1.0)), "a temperature that is finite and at least 0"),
        (GenerationRequest((1,), 1, Sampling(top_k=3)), "a top_k of None, found 3"),
        (GenerationRequest((1,), 1, GREEDY, stop=("",)), "not empty"),
        (
            GenerationRequest((1,), 1, Sampling(np.ones(2), top_p=np.ones(2))),
            r"one temperature of one row, found \(2,\)",
        ),
    ],
)
def test_what_cannot_be_served_is_one_clear_error(ask, message):
    one = engine()
    with pytest.raises(ValueError, match=message):
        one.submit(ask)
    assert not one.busy


@pytest.mark.parametrize(("field", "one"), [("stop", "end"), ("ends", 3)])
def test_one_where_several_are_expected_is_one_clear_error(field, one):
    with pytest.raises(TypeError, match=f"GenerationRequest: expected several .* as {field}, found {one!r}"):
        engine().submit(GenerationRequest((1,), 1, GREEDY, **{field: one}))


@pytest.mark.parametrize(
    "fields",
    [
        {"prompt": (1.5,)},
        {"prompt": np.array([1, 2])},
        {"prompt": "ab"},
        {"ends": {1.5}},
        {"stop": (3,)},
        {"seed": 2**70},
        {"seed": None},
        {"seconds": float("nan")},
        {"sampling": None},
    ],
    ids=str,
)
def test_a_field_of_another_kind_is_one_clear_error(fields):
    own = {"prompt": (1,), "steps": 1, "sampling": GREEDY} | fields
    with pytest.raises(TypeError, match=f"GenerationRequest: expected .*({'|'.join(fields)}|Sampling)"):
        engine().submit(GenerationRequest(**own))


def test_what_is_no_request_or_ends_with_no_token_is_one_clear_error():
    with pytest.raises(TypeError, match="Engine: expected a GenerationRequest, found dict"):
        engine().submit({"prompt": (1,)})
    with pytest.raises(ValueError, match=r"expected ends in 0\.\.255, found \[256\]"):
        engine().submit(GenerationRequest((1,), 1, GREEDY, ends=frozenset([256])))


def test_what_is_no_engine_is_one_clear_error():
    with pytest.raises(ValueError, match=r"hold no request of 64\. Take pages=16 at least, or longest=60"):
        engine(dataclasses.replace(PLAN, pages=15))
    with pytest.raises(TypeError, match="expected a model"):
        Engine(P, None, PLAN)
    with pytest.raises(TypeError, match="Engine: expected an EngineConfig, found dict"):
        Engine(P, TRANSFORMER, {"rows": 2})
    with pytest.raises(TypeError, match="Engine: expected a tokenizer whose decode"):
        Engine(P, TRANSFORMER, PLAN, tokenizer=3)
    with pytest.raises(TypeError, match=r"transformer: expected params, a dict with 'embed'.* found NoneType"):
        Engine(None, TRANSFORMER, PLAN)
    with pytest.raises(ValueError, match="a paged cache"):
        Engine(P, CachedModel(TRANSFORMER.cache, TRANSFORMER.chunk, TRANSFORMER.vocab), PLAN)
