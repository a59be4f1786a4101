"""Subword tokenizers: text to integers and back, by the package `tokenizers`, from files that are here.

    read_tokenizer(path) -> tokenizer                       tokenizer.json, or a vocabulary with its merges
    gguf_tokenizer(metadata) -> tokenizer                   what a GGUF file says
    train_tokenizer(texts, size) -> tokenizer               byte-level BPE, of one's own texts
    tokenizer.encode(text) -> ids                           and decode, its inverse where it is byte-level

(Words and characters, which need no package: `_vocabulary`.)

Laws: ids lie in 0..len(tokenizer)-1; a byte-level one round-trips any text; nothing is cut off or filled up.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jnn.data._vocabulary import valid_ids
from jnn.data.sources._root import PathLike
from jnn.optional import optional

END = "<|endoftext|>"  # between two texts, as GPT-2 has it
_PAIRS = (("vocab.json", "merges.txt"), ("encoder.json", "vocab.bpe"))
_CONTROL = 3  # the kind of tokens that are no text, in GGUF


@dataclasses.dataclass(frozen=True)
class Tokenizer:
    """Subword tokenizer: ids of texts as NumPy has them.

    Attributes:
      inner: the `tokenizers.Tokenizer`, for whatever else it can.

    >>> tokenizer = train_tokenizer(["low lower lowest"], size=260)
    >>> tokenizer.decode(tokenizer.encode("low \N{PILE OF POO}"))
    'low 💩'
    """

    inner: Any = dataclasses.field(repr=False)  # it would write out its vocabulary

    def __len__(self) -> int:
        return int(self.inner.get_vocab_size())

    def encode(self, text: str, *, special: bool = False) -> np.ndarray:
        """The ids of a text, (n,) int32, all of them. Where a special token is written in it, that is one.

        Args:
          text: any.
          special: whether what the tokenizer puts around a text is there, such as BERT's "[CLS]" and "[SEP]".

        Raises:
          TypeError: no text.
        """
        return self.encode_all([text], special=special)[0]

    def encode_all(self, texts: Sequence[str], *, special: bool = False) -> list[np.ndarray]:
        """The ids of many texts, several at a time on all cores: what `Packed` takes."""
        for text in [texts] if isinstance(texts, str) else texts:
            if not isinstance(text, str) or text is texts:
                wanted, found = ("several texts", "one str") if text is texts else ("a text", type(text).__name__)
                raise TypeError(f"Tokenizer: expected {wanted}, found {found}.")
        found = self.inner.encode_batch_fast(list(texts), add_special_tokens=special)
        return [np.asarray(one.ids, np.int32) for one in found]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids, special tokens too. A part of a character is "\N{REPLACEMENT CHARACTER}".

        Raises:
          ValueError: ids that are no integers, or outside 0..len(tokenizer)-1.
        """
        return str(self.inner.decode(valid_ids("Tokenizer", ids, len(self)).tolist(), skip_special_tokens=False))

    def id(self, token: str) -> int:
        """The id of a token, such as "<|endoftext|>".

        Raises:
          ValueError: there is no such token.
        """
        found = self.inner.token_to_id(token)
        if found is None:
            raise ValueError(f"Tokenizer: {token!r} is not among its {len(self)} tokens.")
        return int(found)

    def save(self, path: PathLike) -> None:
        """Writes a tokenizer.json, which `read_tokenizer` and Hugging Face's packages read."""
        self.inner.save(str(path))


def read_tokenizer(path: PathLike) -> Tokenizer:
    """Subword tokenizer from files: tokenizer.json, its folder, or a folder with GPT-2's two files.

    See "Neural Machine Translation of Rare Words with Subword Units", Sennrich et al., 2016; "Language Models are
    Unsupervised Multitask Learners", Radford et al., 2019.

    Args:
      path: of a file tokenizer.json; or a folder with it, or with vocab.json and merges.txt (encoder.json and
        vocab.bpe), of a byte-level BPE. That texts be cut or padded, as a file may ask, is left to `pad`.

    Raises:
      ImportError: `tokenizers` is not installed.
      FileNotFoundError: no such file, or none of these in the folder.
      ValueError: it does not hold a tokenizer.
    """
    path, tokenizers = Path(path), optional("tokenizers", "text")
    file = path / "tokenizer.json" if path.is_dir() else path
    pair = next(((path / a, path / b) for a, b in _PAIRS if (path / a).is_file() and (path / b).is_file()), None)
    if not file.is_file() and pair is None:
        raise FileNotFoundError(f"read_tokenizer: expected tokenizer.json, or {_PAIRS[0]}, found none: {file}")
    try:
        if file.is_file():
            inner = tokenizers.Tokenizer.from_file(str(file))
        else:
            inner = _byte_level(tokenizers, tokenizers.models.BPE.from_file(*map(str, pair or ())))
            _set_special(tokenizers, inner, [END] if inner.token_to_id(END) is not None else [])
    except Exception as error:  # the package raises this class itself
        raise ValueError(f"{file}: no tokenizer ({error}).") from error
    inner.no_truncation()
    inner.no_padding()
    return Tokenizer(inner)


def gguf_tokenizer(metadata: Mapping[str, Any]) -> Tokenizer:
    """Subword tokenizer of a GGUF file: a byte-level BPE by its tokens and merges.

    Args:
      metadata: what `read_gguf` gives.

    Raises:
      ImportError: `tokenizers` is not installed.
      ValueError: the file has none, or one of another kind.

    >>> tokens = ["a", "b", "ab"]
    >>> more = {"tokenizer.ggml.tokens": tokens, "tokenizer.ggml.merges": ["a b"], "tokenizer.ggml.pre": "gpt-2"}
    >>> gguf_tokenizer({"tokenizer.ggml.model": "gpt2", **more}).encode("aba").tolist()
    [2, 0]
    """
    tokenizers = optional("tokenizers", "text")
    kind, cut, tokens, merges = (
        metadata.get(f"tokenizer.ggml.{name}") for name in ("model", "pre", "tokens", "merges")
    )
    digits = {"gpt-2": False, "smollm": True}
    if kind != "gpt2" or cut not in digits or not tokens or merges is None:
        raise ValueError(
            f"gguf_tokenizer: expected tokens and merges of model 'gpt2' with pre among {[*digits]}, found model "
            f"{kind!r} with pre {cut!r}."
        )
    vocabulary = {token: i for i, token in enumerate(tokens)}
    bpe = tokenizers.models.BPE(vocabulary, [tuple(merge.split(" ")) for merge in merges])
    inner = _byte_level(tokenizers, bpe, digits=digits[cut])
    kinds = metadata.get("tokenizer.ggml.token_type", [])
    control = [token for token, kind in zip(tokens, kinds, strict=False) if kind == _CONTROL]
    _set_special(tokenizers, inner, control)
    return Tokenizer(inner)


def train_tokenizer(
    texts: Iterable[str], size: int, *, special: Sequence[str] = (END,), least: int = 2, digits: bool = False
) -> Tokenizer:
    """Byte-level BPE, trained on the *training* texts: no text is unknown to it.

    See "Neural Machine Translation of Rare Words with Subword Units", Sennrich et al., 2016; for bytes "Language Models
    are Unsupervised Multitask Learners", Radford et al., 2019, by whose rule texts are cut into words.

    Args:
      texts: read once.
      size: how many ids there are: 256 bytes, special tokens (the first ids), and what is merged; fewer where the texts
        have no more to merge.
      special: tokens that are no text.
      least: how often a pair is there that is merged.
      digits: whether each digit is a word by itself.

    Raises:
      ImportError: `tokenizers` is not installed.
      TypeError: one text instead of several.
      ValueError: a size that bytes and special tokens exceed.

    >>> tokenizer = train_tokenizer(["low lower lowest"], size=259)
    >>> [tokenizer.decode([i]) for i in tokenizer.encode("lowly")]
    ['low', 'l', 'y']
    """
    if isinstance(texts, str):
        raise TypeError("train_tokenizer: expected several texts, found one str. Give a list of them: [text].")
    if size < 256 + len(special):
        raise ValueError(
            f"train_tokenizer: size counts 256 bytes and {len(special)} special tokens, found {size} in all."
        )
    tokenizers = optional("tokenizers", "text")
    inner = _byte_level(tokenizers, tokenizers.models.BPE(), digits=digits)
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=least,
        special_tokens=list(special),
        initial_alphabet=sorted(alphabet),
        show_progress=False,
    )
    inner.train_from_iterator(_texts(texts), trainer)
    return Tokenizer(inner)


def _texts(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        if not isinstance(text, str):
            raise TypeError(f"train_tokenizer: expected texts, found {type(text).__name__}.")
        yield text


def _set_special(tokenizers: Any, inner: Any, tokens: Sequence[str]) -> None:
    """Tokens that are never cut, wherever they are written; their ids stay."""
    inner.add_special_tokens([tokenizers.AddedToken(token, special=True, normalized=False) for token in tokens])


def _byte_level(tokenizers: Any, model: Any, *, digits: bool = False) -> Any:
    """A tokenizer of words of bytes, by GPT-2's rule; perhaps with every digit by itself."""
    cut = tokenizers.pre_tokenizers
    inner, words = tokenizers.Tokenizer(model), cut.ByteLevel(add_prefix_space=False)
    inner.pre_tokenizer = cut.Sequence([cut.Digits(individual_digits=True), words]) if digits else words
    inner.decoder = tokenizers.decoders.ByteLevel()
    return inner
