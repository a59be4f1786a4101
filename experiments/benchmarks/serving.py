"""How much faster many clients are served together than one alone, and how long a newcomer waits.

python -m experiments.benchmarks.serving --weights DIR       of a published model, a folder as of `experiments.generate`
python -m experiments.benchmarks.serving                     of a random model of the size that options say
python -m experiments.benchmarks.serving --http              by way of the web server

Each client asks for a text of its own and reads it to its end. Rounds of one client and of many take turns, so that
what else the machine does falls on both; what is compiled is compiled in a round that is not measured.
"""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import queue
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, Literal

import jax
import numpy as np
import tyro

from experiments.options import description
from experiments.published import published
from jnn.generation import GREEDY, CachedModel
from jnn.models import DecoderConfig, decoder_model, decoder_spec
from jnn.optional import optional
from jnn.param import init
from jnn.serving import Engine, EngineConfig, GenerationRequest, Service
from jnn.serving.http import Limits, ServedModel, application
from jnn.strict_json import dumps
from jnn.terminal import say


@dataclasses.dataclass(frozen=True)
class Config:
    """Tokens a second of one client and of many."""

    weights: str | None = None  # a folder as of Hugging Face; none for a random model of this size
    layers: int = 12
    embed: int = 512
    vocab: int = 32000
    clients: int = 16
    rounds: int = 3
    prompt: int = 32  # tokens
    tokens: int = 64  # that are drawn for each client
    steps: int = 4  # a call of the device
    http: bool = False  # whether clients come by way of the web server
    dtype: Literal["float32", "bfloat16"] = "float32"


@dataclasses.dataclass(frozen=True)
class Round:
    """What some clients had: tokens a second in all, and the longest wait for a first token."""

    speed: float
    wait: float


Client = Callable[[GenerationRequest], tuple[float, int]]  # -> seconds to its first token, how many it got


def main(config: Config) -> None:
    """Measures, and prints one line of JSON behind a few words."""
    p, model = model_of(config)
    longest = config.prompt + config.tokens
    plan = EngineConfig(
        rows=config.clients, pages=2 * config.clients * -(-longest // 16), longest=longest, steps=config.steps
    )
    measured: dict[int, list[Round]] = {1: [], config.clients: []}
    rng = np.random.default_rng(0)
    with contextlib.ExitStack() as stack:
        engine = Engine(p, model, plan, BYTES if config.http else None)
        service = stack.enter_context(Service(engine, queue=config.clients))
        client = stack.enter_context(by_http(service)) if config.http else direct(service)
        for i in range(config.rounds + 1):
            for count, rounds in measured.items():
                found = one_round(client, config, count, rng, engine.vocab)
                rounds.extend([found] if i else [])
                say(f"round {i}, {count} clients: {found.speed:.2f} tokens a second")
    print(report(config, measured))


def model_of(config: Config) -> tuple[Any, CachedModel]:
    """A published model, or a random one."""
    if config.weights is not None:
        own = published(config.weights, config.dtype, config.prompt + config.tokens)
        return own.params, own.model
    sizes = {"layers": config.layers, "heads": config.embed // 64, "embed": config.embed, "hidden": 3 * config.embed}
    shape = DecoderConfig(vocab=config.vocab, **sizes)
    return init(decoder_spec(shape, dtype=config.dtype), jax.random.key(0)), decoder_model(shape)


def one_round(client: Client, config: Config, count: int, rng: np.random.Generator, vocab: int) -> Round:
    """So many clients at once, each with a prompt that nobody had before."""
    prompts = rng.integers(0, vocab, (count, config.prompt)).tolist()
    found: list[tuple[float, int]] = []
    ask = lambda prompt: found.append(client(GenerationRequest(tuple(prompt), config.tokens, GREEDY)))
    threads = [threading.Thread(target=ask, args=(prompt,)) for prompt in prompts]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - begun
    if [tokens for _, tokens in found] != [config.tokens] * count:
        raise RuntimeError(f"Expected {config.tokens} tokens for each of {count} clients, found {found}.")
    return Round(sum(tokens for _, tokens in found) / seconds, max(wait for wait, _ in found))


def direct(service: Service) -> Client:
    """Clients within the process."""

    def client(ask: GenerationRequest) -> tuple[float, int]:
        told: queue.Queue[Any] = queue.Queue()
        begun, first, count = time.perf_counter(), None, 0
        service.submit(ask, told.put)
        while True:
            news = told.get()
            count += len(news.tokens)
            first = first or time.perf_counter() - begun
            if news.outcome is not None:
                return first, count

    return client


# of any vocabulary, one letter a token
BYTES = SimpleNamespace(decode=lambda tokens: "".join(chr(97 + token % 26) for token in tokens))


@contextlib.contextmanager
def by_http(service: Service) -> Iterator[Client]:
    """Clients of a web server on this machine."""
    uvicorn = optional("uvicorn", "serve")
    longest = service.engine.longest
    talk = ServedModel("model", BYTES, None, frozenset(), longest)
    server = uvicorn.Server(uvicorn.Config(application(service, talk, Limits(seconds=3600.0)), log_level="warning"))
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    port = listener.getsockname()[1]

    def client(ask: GenerationRequest) -> tuple[float, int]:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        fields = {"model": "model", "prompt": ask.prompt, "max_tokens": ask.steps, "temperature": 0, "stream": True}
        begun, first, count = time.perf_counter(), None, 0
        connection.request("POST", "/v1/completions", json.dumps(fields), {"Content-Type": "application/json"})
        for line in connection.getresponse():
            if line.startswith(b"data: {"):
                first = first or time.perf_counter() - begun
                count += len(json.loads(line[6:])["choices"][0]["text"])
        connection.close()
        return first or 0.0, count

    try:
        yield client
    finally:
        server.should_exit = True
        thread.join()


def report(config: Config, measured: dict[int, list[Round]]) -> str:
    """Medians of all rounds, and of the ratios within each."""
    one, many = measured[1], measured[config.clients]
    median = lambda values: round(statistics.median(values), 3)
    return dumps(
        {
            "one_tokens_per_second": median(round_.speed for round_ in one),
            "many_tokens_per_second": median(round_.speed for round_ in many),
            "ratio": median(b.speed / a.speed for a, b in zip(one, many, strict=True)),
            "one_first_token_seconds": median(round_.wait for round_ in one),
            "many_first_token_seconds": median(round_.wait for round_ in many),
            "clients": config.clients,
            "rounds": config.rounds,
        }
    )


if __name__ == "__main__":
    main(tyro.cli(Config, description=description(__doc__)))
