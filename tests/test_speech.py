"""Spoken words: the synthesiser, files of sound, own recordings, and the recogniser."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import metalab
from metalab import shipped
from metalab.api import create_metalearner
from metalab.backbones import create_backbone
from metalab.baselines_speech import warped
from metalab.cli import main
from metalab.config import Config
from metalab.data import spoken
from metalab.data.phonemes import made_up_words, sounds
from metalab.data.recordings import read_samples, recordings
from metalab.data.sounds import as_pictures, clipped, read_sound, word_picture
from metalab.data.voices import RATE, disturbed, draw_voice, speak
from metalab.errors import DataError
from metalab.own_words import adapt_words, judge, listen, pictures, spans, task_of_zip
from metalab.tasks import SPLITS

WORDS = ("w V n", "t u", "s I k s")


def say(word: str, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return speak(sounds(word), draw_voice(rng), rng)


def wav(samples: np.ndarray, rate: int = RATE, form: str = "WAV", subtype: str | None = None) -> bytes:
    kept = io.BytesIO()
    soundfile.write(kept, samples, rate, format=form, subtype=subtype)
    return kept.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("words")
    for word in WORDS:
        (place / word.replace(" ", "")).mkdir()
        for take in range(4):
            (place / word.replace(" ", "") / f"{take}.wav").write_bytes(wav(say(word, take)))
    return place


def test_a_voice_says_words_each_time_a_little_other() -> None:
    one, again, other = say("s I k s", 0), say("s I k s", 0), say("s I k s", 1)
    assert np.array_equal(one, again)
    assert len(one) != len(other) or not np.array_equal(one, other)
    assert 0.15 * RATE < len(one) < 1.5 * RATE
    assert np.isfinite(one).all()
    assert 0.5 < np.abs(one).max() <= 1
    assert np.isfinite(disturbed(one, np.random.default_rng(0))).all()


def test_vowels_have_their_formants() -> None:
    rng = np.random.default_rng(0)
    voice = draw_voice(rng)
    high, low = (np.abs(np.fft.rfft(speak(sounds(vowel) * 3, voice, rng))) for vowel in ("i", "u"))

    def share(spectrum: np.ndarray) -> float:
        hertz = np.linspace(0, RATE / 2, len(spectrum))
        return spectrum[(hertz > 1700) & (hertz < 3500)].sum() / spectrum.sum()

    assert share(high) > 2 * share(low), "the second formant of i is high, that of u low"


def test_words_are_different_and_the_splits_share_none() -> None:
    assert len(set(made_up_words(200, 1))) == 200
    held = spoken.spoken_words()
    everything = [word for split in SPLITS for word in held[split]]
    assert len(everything) == len(set(everything)) == sum(spoken.WORDS.values())


def test_embedded_words_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spoken, "WORDS", {"train": 3, "validation": 2, "test": 2})
    monkeypatch.setattr(spoken, "CLIPS", 3)
    first, again = spoken.spoken(), spoken.spoken()
    assert torch.equal(first.images, again.images)
    assert first.images.shape == (21, 1, 64, 64)
    assert first.largest_way("test") == 2


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
@pytest.mark.parametrize(
    ("form", "subtype"), [("WAV", "PCM_24"), ("WAV", "FLOAT"), ("FLAC", None), ("OGG", None)]
)
def test_any_rate_and_kind_is_read(rate: int, form: str, subtype: str | None) -> None:
    time = np.arange(rate) / rate
    tone = 0.5 * np.sin(2 * np.pi * 440 * time)
    found = read_sound(wav(np.stack([tone, tone], 1), rate, form, subtype), "tone")
    assert len(found) == pytest.approx(RATE, rel=0.01)
    assert np.abs(np.fft.rfft(found)).argmax() * RATE / len(found) == pytest.approx(440, abs=3)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"ID3 no sound at all" * 20, "not a recording"),
        (b"", "not a recording"),
        (wav(np.zeros(RATE)), "silent"),
        (wav(np.ones(500) * 0.1), "31 ms long"),
        (wav(np.zeros(8000 * 90), 8000), "90 s long"),
    ],
)
def test_what_is_no_word_is_said(content: bytes, words: str) -> None:
    with pytest.raises(DataError, match=words):
        read_sound(content, "file")


def test_overdriven_sound_is_noticed() -> None:
    tone = np.sin(np.arange(RATE) / 20)
    assert clipped(np.clip(3 * tone, -1, 1)) > 0.1
    assert clipped(0.5 * tone) == 0


def test_a_picture_does_not_depend_on_silence_loudness_or_speed() -> None:
    samples = say("f aI v", 3)
    plain = word_picture(samples)
    assert plain.shape == (1, 64, 64)
    assert 0 <= plain.min() <= plain.max() <= 1
    padded = word_picture(np.pad(0.1 * samples, (4000, 6000)))
    assert (plain - padded).abs().mean() < 0.03
    other = word_picture(say("t u", 3))
    assert (plain - other).abs().mean() > 0.1


def test_samples_are_taken_as_they_come() -> None:
    samples = say("t u", 0)
    both = as_pictures([samples, (samples, RATE), wav(samples, subtype="FLOAT")])
    assert torch.allclose(both[0], both[1])
    assert (both[0] - both[2]).abs().max() < 0.05
    with pytest.raises(DataError, match="one channel"):
        as_pictures([np.zeros((10, 2))])


def test_own_recordings_are_a_source(folder: Path) -> None:
    source = recordings(folder, test_only=True)
    assert source.names == ["sIks", "tu", "wVn"]
    assert len(source.images) == 12


def test_what_cannot_be_read_is_left_out_and_named(folder: Path, tmp_path: Path) -> None:
    place = tmp_path / "all.zip"
    with zipfile.ZipFile(place, "w") as archive:
        for path in sorted(folder.rglob("*.wav")):
            archive.write(path, path.relative_to(folder))
        archive.writestr("tu/broken.wav", b"RIFF")
        archive.writestr("tu/notes.txt", b"no sound")
    held, notes = read_samples(place, "all.zip")
    assert {word: len(own) for word, own in held.items()} == {"sIks": 4, "tu": 4, "wVn": 4}
    assert [note.where for note in notes] == ["all.zip: tu/broken.wav"]
    with pytest.raises(DataError, match=r"broken\.wav"):
        read_samples(place, "all.zip", leave_out=False)
    with pytest.raises(DataError, match="no such file"):
        read_samples(tmp_path / "nothing", "nothing")
    task, _ = task_of_zip(place.read_bytes(), "all.zip", 3)
    assert {len(own) for own in task.query.values()} == {1}


def test_a_longer_recording_is_parted(folder: Path) -> None:
    gap = np.zeros(RATE // 2, dtype=np.float32)
    sound = np.concatenate([gap, say("w V n", 0), gap, say("t u", 1), gap])
    sound += np.random.default_rng(0).normal(0, 1e-3, len(sound)).astype(np.float32)
    parts = spans(sound)
    assert len(parts) == 2
    assert parts[0][0] == pytest.approx(len(gap), abs=0.1 * RATE)


def test_dynamic_time_warping_forgives_speed() -> None:
    slow, fast = np.repeat(np.eye(4), 4, 0)[None], np.repeat(np.eye(4), 2, 0)[None]
    assert warped(slow, fast)[0] == pytest.approx(0, abs=1e-6)
    assert warped(slow, fast[:, ::-1])[0] > 0.3


@pytest.fixture(scope="module")
def small() -> metalab.metalearners.MetaLearner:
    config = Config.create(application="speech-recognition", width=16, pretrained="none")
    return create_metalearner("word-protonet", create_backbone(config), seed=0)


def test_adapt_listen_save_and_load(small, tmp_path: Path) -> None:
    support = {word: [say(word, take) for take in range(3)] for word in WORDS}
    model = adapt_words(small, pictures(support))
    assert model.predict([support["t u"][0]]) == ["t u"]
    gap = np.zeros(RATE // 2, dtype=np.float32)
    heard = listen(model, np.concatenate([support["w V n"][0], gap, support["t u"][1]]))
    assert len(heard) == 2
    model.save(tmp_path / "words.safetensors")
    again = metalab.load(tmp_path / "words.safetensors")
    assert np.allclose(
        again.predict_proba([support["t u"][2]]), model.predict_proba([support["t u"][2]]), atol=1e-6
    )
    with pytest.raises(DataError, match="two words"):
        adapt_words(small, pictures({"one": support["t u"]}))


@pytest.mark.skipif(not shipped.shipped("speech-recognition"), reason="no recogniser is shipped")
def test_the_shipped_model_by_every_way(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    files = sorted(folder.rglob("[01].wav"))
    model = metalab.adapt("speech-recognition", files, [path.parent.name for path in files])
    assert sorted(model.classes) == ["sIks", "tu", "wVn"]
    asked = sorted(folder.rglob("[23].wav"))
    right = [found == path.parent.name for found, path in zip(model.predict(asked), asked, strict=True)]
    assert sum(right) >= 5
    out = tmp_path / "words.safetensors"
    assert not main(
        ["adapt", "--application", "speech-recognition", "--support", str(folder), "--out", str(out)]
    )
    assert not main(["predict", "--model", str(out), str(asked[0])])
    assert json.loads(capsys.readouterr().out.strip().splitlines()[-1])["class"] in model.classes
    flags = ["--way", "3", "--shot", "1", "--query", "2", "--tasks", "4", "--json"]
    assert not main(["evaluate", "--application", "speech-recognition", "--data", str(folder), *flags])
    rows = json.loads(capsys.readouterr().out.strip().splitlines()[-1])["rows"]
    assert {"word-film", "templates", "nearest-centroid"} <= {row["method"] for row in rows}
    assert all({"method", "accuracy", "interval", "tasks"} <= row.keys() for row in rows)


def test_a_task_is_judged(small) -> None:
    from metalab.own_words import WordTask

    task = WordTask({word: [say(word, 0)] for word in WORDS}, {word: [say(word, 0)] for word in WORDS})
    assert judge(small, task).accuracy == 1
