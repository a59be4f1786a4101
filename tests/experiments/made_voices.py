"""Recordings as the Free Spoken Digit Dataset has them; and six made speakers, each a buzz of a pitch of its own."""

import numpy as np

from tests.data.sources.writers import wav


def write_one(root, digit, speaker, index, wave):
    """One recording, (n,) of -32768 to 32767, below this data directory."""
    folder = root / "free_spoken_digits" / "recordings"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{digit}_{speaker}_{index}.wav").write_bytes(wav(wave.astype("<i2").tobytes(), 1, 8000, 16))


def write(root, indices=(0, 4, 5, 9, 10, 30), seconds=0.4):
    """Ten digits of each index by each speaker, below this data directory."""
    rng = np.random.default_rng(0)
    time = np.arange(int(8000 * seconds)) / 8000
    for speaker in range(6):
        for digit in range(10):
            for index in indices:
                pitch = 90 * 1.3**speaker * (1 + 0.02 * rng.normal())
                wave = np.sign(np.sin(2 * np.pi * pitch * time)) * np.sin(np.pi * (digit + 1) * time / seconds)
                write_one(root, digit, f"speaker{speaker}", index, 8000 * (wave + 0.1 * rng.normal(size=len(time))))
    return str(root)
