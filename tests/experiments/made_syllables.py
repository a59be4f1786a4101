"""Syllables as gcin has them: made voices whose pitch stays, rises, dips and falls."""

import numpy as np

SHAPES = {"": lambda t: 0 * t, "2": lambda t: 6 * t, "3": lambda t: 24 * (t - 0.5) ** 2 - 6, "4": lambda t: -8 * t}


def write(root, soundfile, syllables=("ㄅㄚ", "ㄇㄚ", "ㄌㄧ", "ㄍㄨ", "ㄏㄠ")):
    """Four tones of each by two speakers, below this data directory; pitches move by so many semitones."""
    rng, time = np.random.default_rng(0), np.arange(13_000) / 44_100
    for syllable in syllables:
        for tone, shape in SHAPES.items():
            for speaker, pitch in (("3", 220.0), ("5", 120.0)):
                turns = np.cumsum(pitch * 2 ** (shape(time / time[-1]) / 12)) / 44_100
                x = 0.2 * sum(np.sin(2 * np.pi * n * turns) / n for n in range(1, 6)) + 0.01 * rng.normal(size=13_000)
                folder = root / "gcin_voice" / f"{syllable}{tone}"
                folder.mkdir(parents=True, exist_ok=True)
                soundfile.write(folder / f"{speaker}.ogg", x, 44_100, format="OGG", subtype="VORBIS")
    return str(root)
