"""Recordings as the Free Spoken Digit Dataset has them: six made speakers, each a buzz of a pitch of its own."""

import numpy as np

from tests.data.sources.writers import wav


def write(root, indices=(0, 4, 5, 9, 10, 30), seconds=0.4):
    """Ten digits of each index by each speaker, below this data directory."""
    rng, folder = np.random.default_rng(0), root / "free_spoken_digits" / "recordings"
    folder.mkdir(parents=True)
    time = np.arange(int(8000 * seconds)) / 8000
    for speaker in range(6):
        for digit in range(10):
            for index in indices:
                pitch = 90 * 1.3**speaker * (1 + 0.02 * rng.normal())
                wave = np.sign(np.sin(2 * np.pi * pitch * time)) * np.sin(np.pi * (digit + 1) * time / seconds)
                samples = (8000 * (wave + 0.1 * rng.normal(size=len(time)))).astype("<i2")
                path = folder / f"{digit}_speaker{speaker}_{index}.wav"
                path.write_bytes(wav(samples.tobytes(), 1, 8000, 16))
    return str(root)
