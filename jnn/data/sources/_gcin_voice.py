"""Mandarin syllables as the input method gcin speaks them: `gcin_voice/<syllable><tone>/<speaker>.ogg`, 44.1 kHz.

Law: what is not as it should be is one error that names the file.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from jnn.data.sources._root import PathLike, find
from jnn.data.sources._wav import one_channel, side_by_side
from jnn.optional import optional

RATE = 44_100
NEUTRAL = 5
TONES = {"": 1, "1": NEUTRAL, "2": 2, "3": 3, "4": 4}  # as gcin's keys are: the first tone has no mark
NAME = re.compile(r"([^0-9]+)([1-4]?)")


def gcin_voice(data_dir: PathLike | None = None) -> tuple[dict[str, np.ndarray], tuple[str, ...], tuple[str, ...]]:
    """Voices of gcin, an input method: 1,200 Mandarin syllables with their tones by two speakers.

    There are 44,100 samples a second. soundfile decodes: `pip install 'jnn[audio]'`.

    Args:
      data_dir: as for `data_root`; the folders are in `gcin_voice/`.

    Returns:
      `{"x": (n, t) float32 in -1..1, with zeros behind each recording, "length": (n,) int32, its samples, "tone": (n,)
      int32, 1 to 4, and 5 for the neutral one, "syllable": (n,) int32, whatever its tone, "speaker": (n,) int32}`, in
      order of syllable, tone and speaker; the syllables in Bopomofo; and the speakers' names.

    Raises:
      FileNotFoundError: one line that says which folder, where, and how to get it.
      ModuleNotFoundError: soundfile is missing.
      ValueError: a folder that is no syllable's, or a file that is not one channel of 44.1 kHz.
    """
    folder = find(data_dir, "gcin_voice/", how="put the folders of gcin's syllables there")
    files = sorted(_named(path) for path in folder.glob("*/*.ogg"))
    if not files:
        raise ValueError(f"{folder}: expected recordings such as ㄇㄚ3/5.ogg, found none.")
    syllables = tuple(sorted({syllable for syllable, *_ in files}))
    speakers = tuple(sorted({speaker for _, _, speaker, _ in files}))
    x, length = side_by_side([_samples(path) for *_, path in files])
    ids = [(syllables.index(syllable), tone, speakers.index(speaker)) for syllable, tone, speaker, _ in files]
    columns = dict(zip(("syllable", "tone", "speaker"), np.array(ids, np.int32).T, strict=True))
    return {"x": x, "length": length, **columns}, syllables, speakers


def _named(path: Path) -> tuple[str, int, str, Path]:
    """Syllable, tone and speaker of a file."""
    found = NAME.fullmatch(path.parent.name)
    if found is None:
        raise ValueError(f"{path.parent}: expected a syllable and its tone, such as ㄇㄚ3.")
    return found[1], TONES[found[2]], path.stem, path


def _samples(path: Path) -> np.ndarray:
    soundfile = optional("soundfile", "audio")
    try:
        x, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise ValueError(f"{path}: expected a sound, found none: {error}") from error
    return one_channel(path, np.asarray(x), rate, RATE)
