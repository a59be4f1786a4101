"""A language model with its tokenizer, read from what `--weights` may name: other people's, and what was trained here.

    published(path, dtype, longest) -> Published     of Hugging Face: a folder; a GGUF file; a run of experiments.gpt
    template(model, complain) -> what puts a conversation into words

What of it makes no sense is one line, and ends the process.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import numpy as np

import jnn
from experiments.refusals import refuse
from jnn.data import Characters, gguf_tokenizer, read_gguf, read_safetensors, read_tokenizer
from jnn.generation import CachedModel, Tokenizer
from jnn.interop.torch import load_state_dict
from jnn.models import (
    TRANSFORMER,
    decoder_from_hf,
    decoder_model,
    decoder_spec,
    gpt2_from_hf,
    llama_from_gguf,
    transformer_spec,
)
from jnn.optional import optional
from jnn.train.checkpoint import read

Words = Callable[[Sequence[Mapping[str, str]]], str]
CHARACTERS = "characters.json"  # of a run by characters, beside tokenizer.json of one by byte pairs


@dataclasses.dataclass(frozen=True)
class Published:
    """A language model, for texts of up to so many tokens.

    ends: the tokens that end a text.
    source: of the chat template, None for none.
    special: its words, by name.
    """

    name: str
    params: Any
    model: CachedModel
    tokenizer: Tokenizer
    ends: tuple[int, ...] = ()
    source: str | None = None
    special: Mapping[str, str] = dataclasses.field(default_factory=dict)


def published(path: str, dtype: str, longest: int) -> Published:
    """What lies at a path, by what it is."""
    where = Path(path)
    known = (where.is_file(), _of_gguf), (_is_run(where), _of_run), (where.is_dir(), _of_hugging_face)
    if (read_it := next((own for fits, own in known if fits), None)) is None:
        refuse(f"--weights: {where} is not there. Give a folder as of Hugging Face, or of a run; or a GGUF file.", 1)
    try:
        return read_it(where, dtype, longest)
    except (ValueError, FileNotFoundError) as error:  # of another family, damaged, or not whole
        refuse(f"--weights: {where}: {error}", 1)


def _of_gguf(file: Path, dtype: str, longest: int) -> Published:
    metadata, arrays = read_gguf(file)
    config, names = llama_from_gguf(metadata, arrays)
    config = config.for_length(longest)
    p = load_state_dict(decoder_spec(config, dtype=dtype), arrays, names)
    words, of = metadata.get("tokenizer.ggml.tokens", ()), lambda name: metadata.get(f"tokenizer.ggml.{name}_token_id")
    special = {f"{name}_token": words[of(name)] for name in ("bos", "eos") if of(name) is not None}
    ends = () if of("eos") is None else (int(of("eos")),)
    source = metadata.get("tokenizer.chat_template")
    return Published(file.stem, p, decoder_model(config), gguf_tokenizer(metadata).inner, ends, source, special)


def _is_run(folder: Path) -> bool:
    """Whether there are the settings of a run: Hugging Face's file of the same name says a type of model."""
    file = folder / "config.json"
    return file.is_file() and "model_type" not in (fields := json.loads(file.read_text())) and "seed" in fields


def _of_run(folder: Path, dtype: str, longest: int) -> Published:
    fields = json.loads((folder / "config.json").read_text())
    if absent := [name for name in ("tokenizer", "context", "layers", "heads", "embed") if name not in fields]:
        raise ValueError(f"the run is none of experiments.gpt: its settings lack {', '.join(absent)}.")
    tokenizer, size = _tokenizer_of_run(folder)
    sizes = {name: fields[name] for name in ("layers", "heads", "embed")}
    spec = transformer_spec(size, fields["context"], **sizes, bias=False, dtype=dtype)
    p = jnn.load(spec, read(folder / "checkpoints", below="params").state)
    return Published(folder.resolve().name, p, TRANSFORMER, tokenizer)


def _tokenizer_of_run(folder: Path) -> tuple[Tokenizer, int]:
    """What makes tokens of text, and how many there are."""
    if (folder / CHARACTERS).is_file():
        characters = Characters(json.loads((folder / CHARACTERS).read_text()))
        encode = lambda text, add_special_tokens: SimpleNamespace(ids=characters.encode(text).tolist())
        return SimpleNamespace(encode=encode, decode=characters.decode), len(characters)
    if not (folder / "tokenizer.json").is_file():
        raise FileNotFoundError(
            "the run has no tokenizer beside its settings: it has not ended. Let it go on to its end."
        )
    tokenizer = read_tokenizer(folder)
    return tokenizer.inner, len(tokenizer)


def _of_hugging_face(folder: Path, dtype: str, longest: int) -> Published:
    if missing := [name for name in ("config.json", "tokenizer.json") if not (folder / name).is_file()]:
        raise FileNotFoundError(f"it lacks {' and '.join(missing)}, which a folder as of Hugging Face has.")
    fields = json.loads((folder / "config.json").read_text())
    tokenizer = read_tokenizer(folder).inner
    p, model = _weights(folder, fields, dtype, longest)
    beside = folder / "tokenizer_config.json"
    words = json.loads(beside.read_text()) if beside.is_file() else {}
    file, word = folder / "chat_template.jinja", lambda token: token["content"] if isinstance(token, dict) else token
    source = file.read_text() if file.is_file() else words.get("chat_template")
    special = {name: word(words[name]) for name in ("bos_token", "eos_token") if words.get(name)}
    source = source if isinstance(source, str) else None
    return Published(folder.resolve().name, p, model, tokenizer, _ends(folder), source, special)


def _weights(folder: Path, fields: Mapping[str, Any], dtype: str, longest: int) -> tuple[Any, CachedModel]:
    weights = read_safetensors(folder)
    if fields["model_type"] == "gpt2":
        sizes, names = gpt2_from_hf(fields)
        spec, model, tied = transformer_spec(**sizes, dtype=dtype), TRANSFORMER, True
        if not any(name.startswith("transformer.") for name in weights):  # as its first files have it
            weights = {f"transformer.{name}": array for name, array in weights.items()}
        beside = ["*.attn.bias", "*.attn.masked_bias"]
    else:
        config, names = decoder_from_hf(fields)
        config = config.for_length(longest)
        spec, model, tied, beside = decoder_spec(config, dtype=dtype), decoder_model(config), config.tied, []
    return load_state_dict(spec, weights, names, ignore=beside + ["*lm_head.weight"] * tied), model


def _ends(folder: Path) -> tuple[int, ...]:
    for name in ("generation_config.json", "config.json"):
        if (folder / name).is_file() and (
            found := json.loads((folder / name).read_text()).get("eos_token_id")
        ) is not None:
            return tuple(np.atleast_1d(found).tolist())
    return ()


def template(model: Published, complain: Callable[[str], NoReturn]) -> Words | None:
    """What puts a conversation into words, as the model knows it, and complains of one that it does not; or None."""
    if model.source is None:
        return None
    how: dict[str, Any] = {"trim_blocks": True, "lstrip_blocks": True, "extensions": ["jinja2.ext.loopcontrols"]}
    sandbox = optional("jinja2.sandbox", "text").ImmutableSandboxedEnvironment(**how)  # as templates are written for
    sandbox.globals["raise_exception"] = complain
    compiled = sandbox.from_string(model.source)
    return lambda messages: compiled.render(messages=messages, add_generation_prompt=True, **model.special)
