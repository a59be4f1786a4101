"""The official client, alone and as a crowd of which some vanish, against `python -m experiments.serve` itself."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request

import numpy as np
import pytest

from jnn.data import write_safetensors
from tests.experiments.test_generate import LLAMA, TEMPLATE, byte_level
from tests.models.decoders import TINY

openai = pytest.importorskip("openai", reason="pip install openai")
pytest.importorskip("uvicorn", reason="pip install jnn[serve]")
pytest.importorskip("jinja2", reason="pip install jnn[text]")
pytestmark = pytest.mark.slow
PAGES, CROWD = 24, 40  # room for few of the longest, so that requests are preempted
ASK = {"model": "tiny", "temperature": 0, "max_tokens": 100}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """As of Hugging Face, of a model that knows nothing and says no end token."""
    folder = tmp_path_factory.mktemp("tiny")
    alphabet = lambda tokenizers: sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    tokenizer, _ = byte_level(lambda t: t.models.BPE({letter: i for i, letter in enumerate(alphabet(t))}, []))
    tokenizer.save(str(folder / "tokenizer.json"))
    rng = np.random.default_rng(0)
    shapes = {"model.embed_tokens": (256, 8), "model.norm": (8,)} | {
        f"model.layers.{i}.{name}": shape for i in range(2) for name, shape in LLAMA.items()
    }
    tensors = {f"{name}.weight": rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    write_safetensors(folder / "model.safetensors", tensors)
    fields = TINY | {"vocab_size": 256, "model_type": "llama", "tie_word_embeddings": True}
    (folder / "config.json").write_text(json.dumps(fields))
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": TEMPLATE, "eos_token": "."}))
    return folder


@pytest.fixture(scope="module")
def server(folder):
    """The process and its address."""
    options = ["--name", "tiny", "--port", "0", "--pages", str(PAGES), "--longest", "256", "--queue", str(CROWD)]
    command = [sys.executable, "-m", "experiments.serve", "--weights", str(folder), "--rows", "8", *options]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | {"JAX_PLATFORMS": "cpu"})
    for line in process.stderr:
        if found := re.search(r"http://[^;]+", line):
            break
    else:
        raise AssertionError(f"the server ended: {process.wait()}")
    yield process, found[0]
    process.kill()
    process.wait()
    process.stderr.close()


@pytest.fixture
def client(server):
    with openai.OpenAI(base_url=f"{server[1]}v1", api_key="none", max_retries=0, timeout=120) as client:
        yield client


def metrics(server):
    text = urllib.request.urlopen(f"{server[1]}metrics", timeout=60).read().decode()
    return {name: float(value) for name, value in re.findall(r"^(\S+) (\S+)$", text, re.M)}


def prompt(i):
    return f"The {i % 4}th beginning that some share, and then {i}"


def test_what_a_client_gets(client):
    assert [model.id for model in client.models.list()] == ["tiny"]
    whole = client.completions.create(prompt="abc", **ASK).choices[0].text
    pieces = [chunk.choices[0].text for chunk in client.completions.create(prompt="abc", stream=True, **ASK)]
    assert "".join(pieces) == whole
    assert len(pieces) > 5
    said = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hello"}]
    chat = client.chat.completions.create(messages=said, logprobs=True, **ASK)
    assert chat.choices[0].finish_reason == "length"
    assert chat.usage.completion_tokens == 100 == len(chat.choices[0].logprobs.content)
    told = list(
        client.chat.completions.create(messages=said, stream=True, stream_options={"include_usage": True}, **ASK)
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in told if chunk.choices)
    assert text == chat.choices[0].message.content
    assert told[-1].usage.completion_tokens == 100


def test_what_a_client_is_refused(client):
    with pytest.raises(openai.BadRequestError, match="n: expected 1"):
        client.completions.create(prompt="abc", n=2, **ASK)
    with pytest.raises(openai.NotFoundError, match="There is no model 'other' here"):
        client.completions.create(prompt="abc", model="other")
    with pytest.raises(openai.BadRequestError, match="leaves room for"):
        client.completions.create(prompt="abc", model="tiny", max_tokens=300)


def test_a_crowd_of_which_some_vanish_leaves_nothing_behind(server, client):
    alone = {i: client.completions.create(prompt=prompt(i), **ASK).choices[0].text for i in range(0, CROWD, 3)}
    found, errors = {}, []

    def one(i):
        luck = random.Random(i)
        try:
            if i in alone:
                found[i] = "".join(
                    chunk.choices[0].text for chunk in client.completions.create(prompt=prompt(i), stream=True, **ASK)
                )
            elif i % 3 == 1:  # goes in mid-stream
                stream = client.completions.create(prompt=prompt(i), stream=True, **ASK)
                for _ in zip(range(luck.randrange(6)), stream, strict=False):
                    pass
                stream.close()
            else:  # does not wait for an answer
                client.with_options(timeout=luck.random()).completions.create(prompt=prompt(i), **ASK)
        except openai.APITimeoutError:
            pass
        except Exception as error:
            errors.append(error)

    before = metrics(server)
    for _ in range(2):
        threads = [threading.Thread(target=one, args=(i,)) for i in range(CROWD)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (found, errors) == (alone, [])
    for _ in range(100):
        after = metrics(server)
        if after["jnn_requests_running"] == after["jnn_requests_waiting"] == after['jnn_pages{state="used"}'] == 0:
            break
        time.sleep(0.1)
    else:
        raise AssertionError(after)
    cancelled = 'jnn_requests_total{outcome="cancelled"}'
    assert after[cancelled] > before[cancelled]
    assert after["jnn_preempted_total"] > 0
    assert after["jnn_prompt_tokens_shared_total"] > 0
    assert after['jnn_requests_total{outcome="failed"}'] == after["jnn_refused_total"] == 0


def test_a_newcomer_does_not_wait_for_anothers_end(client):
    long = client.completions.create(prompt="abc", stream=True, model="tiny", temperature=0, max_tokens=240)
    next(long)
    client.completions.create(prompt="xyz", model="tiny", temperature=0, max_tokens=4)
    rest = len(list(long))
    assert rest > 10


def test_a_server_that_is_told_to_end_lets_texts_end(server, client):  # the last one
    stream = client.completions.create(prompt="abc", stream=True, **ASK)
    text = next(stream).choices[0].text
    server[0].send_signal(signal.SIGTERM)
    text += "".join(chunk.choices[0].text for chunk in stream)
    assert len(text.encode()) >= 100
    assert server[0].wait(timeout=60) in (0, -signal.SIGTERM)
