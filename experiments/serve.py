"""A published language model behind OpenAI's HTTP interface, for many clients at a time, and a page to chat on.

Weights   a folder or a file as of `experiments.generate`.
Run       python -m experiments.serve --weights DIR          then open the address that it says
Ask       openai.OpenAI(base_url="http://127.0.0.1:8000/v1", api_key="none").chat.completions.create(model=..., ...)
Others    than this machine are answered with `--host 0.0.0.0 --token SECRET`, in the clear: put TLS before it.
Needs     pip install 'jnn[experiments,text,serve]'
"""

from __future__ import annotations

import dataclasses
import ipaddress
import socket
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NoReturn

import tyro

from experiments.generate import LONGEST
from experiments.options import COUNT, POSITIVE, RULES, TEXT, Rule, check_ranges, description
from experiments.published import Published, Words, published, template
from experiments.refusals import refuse
from jnn.launch import USAGE
from jnn.optional import optional
from jnn.serving import Engine, EngineConfig, Service
from jnn.serving.http import Limits, ServedModel, application
from jnn.terminal import in_one_line, say

GRACE = 10  # seconds that texts have to end once the server is told to
CONNECTIONS = 1024  # that may be open beside those that the queue takes


@dataclasses.dataclass(frozen=True)
class Config:
    """A published language model behind OpenAI's HTTP interface."""

    weights: str  # a folder as of Hugging Face, a GGUF file, or the folder of a run of experiments.gpt
    name: str | None = None  # by which clients ask for it; that of the folder or file by default
    host: str = "127.0.0.1"  # another one than this machine needs a token
    port: int = 8000  # 0: any free one
    token: str | None = None  # that clients have to name
    rows: int = 16  # texts that are drawn at a time
    queue: int = 64  # requests that wait beside them; others are refused
    longest: int = 2048  # tokens of a request, prompt and text together
    pages: int = 512  # of the cache, 16 tokens each, for all requests together
    steps: int = 4  # tokens that a call of the device draws
    tokens: int = 512  # that are drawn where a chat says no number
    seconds: float = 300.0  # that a request may take
    body: int = 1 << 20  # bytes of a request
    warm: bool = True  # whether to compile everything before anybody is answered
    dtype: Literal["float32", "bfloat16"] = "float32"


OURS: dict[str, Rule] = {
    **dict.fromkeys(("rows", "pages", "steps", "tokens", "body"), COUNT),
    **dict.fromkeys(("weights", "name", "host", "token"), TEXT),
    "port": RULES["serve"],
    "queue": ("a whole number of at least 0", lambda x: x >= 0),
    "longest": LONGEST,
    "seconds": POSITIVE,
}


def main(config: Config) -> None:
    """Loads, compiles, and serves until it is told to end."""
    check_ranges(vars(config), OURS)
    if config.token is None and not loopback(config.host):
        refuse(f"--host {config.host}: others than this machine can ask there. Give them a --token.", USAGE)
    uvicorn = optional("uvicorn", "serve")
    with listen(config.host, config.port) as listener:
        run(uvicorn, listener, published(config.weights, config.dtype, config.longest), config)


def run(uvicorn: Any, listener: socket.socket, own: Published, config: Config) -> None:
    """Serves a model until it is told to end."""
    service, talk = start(own, config)
    limits = Limits(config.body, config.tokens, config.seconds)
    app = application(service, talk, limits, token=config.token)
    options: dict[str, Any] = {"timeout_graceful_shutdown": GRACE, "log_level": "warning", "access_log": False}
    most = config.rows + config.queue + CONNECTIONS
    server = uvicorn.Server(uvicorn.Config(app, limit_concurrency=most, server_header=False, **options))
    say(f"{talk.name} is served at {url(listener)}; Ctrl-C ends it.")
    try:
        server.run(sockets=[listener])
    except KeyboardInterrupt:
        say("Ended.")


def start(own: Published, config: Config) -> tuple[Service, ServedModel]:
    """What draws the texts, and what is known of the model."""
    longest = min(config.longest, own.model.longest(own.params) or config.longest)
    try:
        plan = EngineConfig(rows=config.rows, pages=config.pages, longest=longest, steps=config.steps)
        engine = Engine(own.params, own.model, plan, own.tokenizer)
    except ValueError as error:
        refuse(str(error), USAGE)
    if config.warm:
        say("Compiling all programs; --no-warm compiles each when it is needed.")
        engine.warm()
    talk = ServedModel(config.name or own.name, own.tokenizer, words(own), frozenset(own.ends), longest)
    return Service(engine, config.queue), talk


def words(own: Published) -> Words | None:
    """The model's chat template; what it refuses is a ValueError. None where there is none."""
    if (render := template(own, complain)) is None:
        return None

    def checked(messages: Sequence[Mapping[str, str]]) -> str:
        try:
            return render(messages)
        except Exception as error:  # it is a program, and others' one
            raise ValueError(in_one_line(error)) from error

    return checked


def complain(message: str) -> NoReturn:
    """What a template calls."""
    raise ValueError(message)


def loopback(host: str) -> bool:
    """Whether this machine alone can ask there."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def listen(host: str, port: int) -> socket.socket:
    """A socket that is bound before a model is loaded for nothing."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        refuse(f"--host {host} --port {port}: cannot listen there ({error}). Take another, or port 0.", 1)


def url(listener: socket.socket) -> str:
    """Where a person finds it."""
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


if __name__ == "__main__":
    main(tyro.cli(Config, description=description(__doc__)))
