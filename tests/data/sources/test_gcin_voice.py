"""Voices of gcin: small recordings that are made here, and what is wrong with others."""

import re

import numpy as np
import pytest

from jnn.data import gcin_voice
from tests.needed_data import needs

soundfile = pytest.importorskip("soundfile")


def write(root, name, n=4000, rate=44_100, channels=1):
    path = root / "gcin_voice" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    wave = 0.5 * np.sin(np.arange(n) / 20)[:, None].repeat(channels, 1)
    soundfile.write(path, wave, rate, format="OGG", subtype="VORBIS")
    return wave[:, 0]


def test_syllables_tones_and_speakers_in_order(tmp_path):
    longest = write(tmp_path, "ㄇㄚ3/5.ogg", 6000)
    for name in ("ㄇㄚ3/3.ogg", "ㄅㄚ/5.ogg", "ㄇㄚ1/3.ogg"):
        write(tmp_path, name)
    arrays, syllables, speakers = gcin_voice(tmp_path)
    assert (syllables, speakers) == (("ㄅㄚ", "ㄇㄚ"), ("3", "5"))
    found = {name: arrays[name].tolist() for name in ("length", "syllable", "tone", "speaker")}
    assert found == {
        "length": [4000, 4000, 6000, 4000],
        "syllable": [0, 1, 1, 1],
        "tone": [1, 3, 3, 5],
        "speaker": [1, 0, 1, 0],
    }
    assert arrays["x"].shape == (4, 6000)
    assert np.corrcoef(arrays["x"][2], longest)[0, 1] > 0.99
    assert (arrays["x"][0, 4000:] == 0).all()


def test_what_is_wrong_is_one_error(tmp_path):
    (tmp_path / "gcin_voice").mkdir()
    with pytest.raises(ValueError, match=r"expected recordings such as .*, found none"):
        gcin_voice(tmp_path)
    write(tmp_path, "ㄇㄚ3/5.ogg", rate=8000)
    with pytest.raises(
        ValueError, match=re.escape("expected one channel of 44100 Hz, found [4000, 1] samples of 8000")
    ):
        gcin_voice(tmp_path)
    (tmp_path / "gcin_voice" / "ㄇㄚ3" / "5.ogg").write_bytes(b"no sound")
    with pytest.raises(ValueError, match=r"5\.ogg: expected a sound, found none"):
        gcin_voice(tmp_path)
    write(tmp_path, "ㄇㄚ7/5.ogg")
    with pytest.raises(ValueError, match="ㄇㄚ7: expected a syllable and its tone"):
        gcin_voice(tmp_path)


def test_the_voices_as_published():
    needs("gcin_voice")
    arrays, syllables, speakers = gcin_voice()
    assert (len(arrays["x"]), speakers) == (2358, ("3", "5"))
    assert np.bincount(arrays["tone"]).tolist()[1:] == [625, 479, 582, 648, 24]
    assert "ㄅㄚ" in syllables
