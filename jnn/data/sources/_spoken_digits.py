"""Free Spoken Digit Dataset in its original files: `recordings/<digit>_<speaker>_<index>.wav`, one channel of 8 kHz.

Law: what is not as it should be is one error that names the file.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from jnn.data.sources._root import PathLike, check_part, find
from jnn.data.sources._wav import one_channel, read_wav, side_by_side

RATE = 8000
TEST_INDICES = 5  # recordings 0 to 4 of each digit by each speaker are its test set
NAME = re.compile(r"([0-9])_([^_]+)_([0-9]+)\.wav")


def spoken_digits(
    data_dir: PathLike | None = None, part: str = "train"
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Free Spoken Digit Dataset: English digits, 50 recordings of each by each of six speakers, 8,000 samples a second.

    See "Free Spoken Digit Dataset", Jackson et al., 2016. Recordings 0 to 4 of each digit and speaker are its test set.

    Args:
      data_dir: as for `data_root`; the files are in `free_spoken_digits/recordings/`.
      part: "train" or "test".

    Returns:
      `{"x": (n, t) float32 in -1..1, with zeros behind each recording, "length": (n,) int32, its samples, "y": (n,)
      int32, the digit, "speaker": (n,) int32, "index": (n,) int32}`, in order of digit, speaker and index; and the
      speakers' names. t is the longest recording's length.

    Raises:
      FileNotFoundError: one line that says which folder, where, and how to get it.
      ValueError: an unknown part, a name that is not such a recording's, or a file that is not one channel of 8 kHz.
    """
    check_part("spoken_digits", part)
    folder = find(data_dir, "free_spoken_digits/recordings/", how="put the dataset's folder recordings there")
    files = sorted((_parts(path), path) for path in folder.glob("*.wav"))
    speakers = tuple(sorted({speaker for (_, speaker, _), _ in files}))
    chosen = [(name, path) for name, path in files if (name[2] < TEST_INDICES) == (part == "test")]
    if not chosen:
        raise ValueError(f"{folder}: expected recordings of the part {part!r}, found none.")
    x, length = side_by_side([one_channel(path, *read_wav(path), RATE) for _, path in chosen])
    columns = zip(*[(digit, speakers.index(speaker), index) for (digit, speaker, index), _ in chosen], strict=True)
    y, speaker, index = (np.array(column, np.int32) for column in columns)
    return {"x": x, "length": length, "y": y, "speaker": speaker, "index": index}, speakers


def _parts(path: Path) -> tuple[int, str, int]:
    """Digit, speaker and index, as the file is named."""
    found = NAME.fullmatch(path.name)
    if found is None:
        raise ValueError(f"{path}: expected a name such as 7_jackson_32.wav: digit, speaker and index.")
    digit, speaker, index = found.groups()
    return int(digit), speaker, int(index)
