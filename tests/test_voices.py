"""Voices: text to phonemes, frames and their pitch, the vocoder, adapting, what is refused."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile
import torch

import metalab
from metalab.backbones.teller import Teller, expanded
from metalab.baselines_voices import shifted
from metalab.cli import main
from metalab.data.acoustics import BANDS, described
from metalab.data.letters import number_words, phonemes_of, plain_words
from metalab.data.phonemes import sounds
from metalab.data.utterances import FRAMES, MOST, NUMBERS, Utterances, said, take, utterance_words
from metalab.data.voices import RATE, STEP, draw_voice, speak, speak_timed
from metalab.errors import CheckpointError, DataError
from metalab.metalearners.voice_film import VoiceFiLM
from metalab.speaking import TAG, adapt_voice, average_voice, load_voice, pieces, shipped_voices, tagged_wav
from metalab.vocoder import sounded
from metalab.voice_measures import aligned, compared
from metalab.voice_training import load_voices, new_model, save_voices, train_voices


@pytest.fixture(scope="module")
def model() -> VoiceFiLM:
    return shipped_voices()


def few(voices: int, takes: int, split: str = "validation") -> Utterances:
    frames = torch.zeros(voices, takes, FRAMES, BANDS + 2)
    phonemes, lasting = (torch.zeros(voices, takes, MOST, dtype=torch.long) for _ in range(2))
    for at in np.ndindex(voices, takes):
        samples, names, long = take(split, *at)
        seen = torch.from_numpy(described(samples))
        frames[at][: len(seen)] = seen
        phonemes[at][: len(names)] = torch.tensor([NUMBERS[name] for name in names])
        lasting[at][: len(names)] = torch.tensor(long)
    return Utterances(frames, phonemes, lasting)


def test_numbers_symbols_and_accents_are_spelled_out():
    assert number_words(999_999) == plain_words("999,999")
    assert plain_words("23 % of naïve Straße & 0.5") == [
        *("twenty", "three", "percent", "of", "naive", "strasse", "and", "zero", "point", "five"),
    ]
    assert plain_words("007") == ["zero", "zero", "seven"]


def test_letters_become_sounds_that_the_voice_has():
    assert phonemes_of("Hello, my knight!") == [
        [*list("_hEl"), "oU", "_"],
        ["_", "m", "aI", "_", "n", "aI", "t", "_"],
    ]
    text = "The quick brown fox jumps over a lazy dog; judges giggle, sixty-six vision queue rhythm"
    assert {name for clause in phonemes_of(text) for name in clause} <= set(NUMBERS)


@pytest.mark.parametrize(("text", "named"), [("a Привет", "'п' (character 3)"), ("你", "'你'")])
def test_foreign_letters_are_named(text, named):
    with pytest.raises(DataError) as caught:
        phonemes_of(text)
    assert named in str(caught.value)


@pytest.mark.parametrize("text", ["", "  \n", "...", "a" * 2000])
def test_nothing_or_too_much_to_say(text):
    with pytest.raises(DataError):
        phonemes_of(text)


def test_timed_speech_is_the_same_speech():
    word, voice = sounds("k & t"), draw_voice(np.random.default_rng(1))
    plain = speak(word, voice, np.random.default_rng(2))
    timed, frames = speak_timed(word, voice, np.random.default_rng(2))
    assert np.array_equal(plain, timed)
    assert sum(frames) * STEP == len(plain)


def test_splits_share_no_word_and_no_utterance_is_too_long():
    held = utterance_words()
    assert not set(held["train"]) & set(held["test"])
    assert not set(held["validation"]) & set(held["test"])
    samples, names, lasting = take("test", 3, 1)
    assert len(described(samples)) == sum(lasting) <= FRAMES
    assert len(names) <= MOST
    assert np.array_equal(samples, take("test", 3, 1)[0])


@pytest.mark.parametrize("hertz", [80, 150, 310])
def test_pitch_of_a_known_tone(hertz):
    time = np.arange(RATE) / RATE
    tone = sum(np.sin(2 * np.pi * hertz * k * time) / k for k in range(1, 8)) * 0.2
    seen = described(tone.astype(np.float32))[5:-5]
    assert seen[:, -1].all()
    assert 100 * 2 ** np.median(seen[:, -2]) == pytest.approx(hertz, rel=0.01)


def test_vocoder_keeps_bands_and_pitch():
    true = described(take("validation", 2, 0)[0])
    told = compared(described(sounded(true)), true)
    assert told["mcd"] < 2
    assert told["pitch"] < 0.5
    assert told["melody"] > 0.9


def test_alignment_undoes_a_slower_copy():
    rows = np.repeat(np.arange(6), 2)
    distance = np.abs(rows[:, None] - np.arange(6)).astype(float)
    one, other = aligned(distance)
    assert distance[one, other].sum() == 0
    assert one[-1] == 11
    assert other[-1] == 5


def test_expansion_repeats_each_phoneme():
    index, _, spoken = expanded(torch.tensor([[2, 1, 3, 0], [1, 1, 0, 0]]), 7)
    assert index[0, :6].tolist() == [0, 0, 1, 2, 2, 2]
    assert spoken[..., 0].sum(1).tolist() == [6, 2]


def test_padding_changes_nothing(model):
    held = few(1, 2)
    frames, lengths = held.frames[0], held.lengths[0]
    state = model.adapt(frames, lengths)
    noisy = frames.clone()
    for row, length in zip(noisy, lengths, strict=True):
        row[length:] = 5.0
    assert torch.allclose(model.adapt(noisy, lengths)["code"], state["code"], atol=1e-5)
    cut = model.adapt(frames[:, : int(lengths.max())], lengths)
    assert torch.allclose(cut["code"], state["code"], atol=1e-5)
    swapped = model.adapt(frames.flip(0), lengths.flip(0))
    assert torch.allclose(swapped["code"], state["code"], atol=1e-4)
    short = model.tell(state, held.phonemes[0, :1, : int((held.phonemes[0, 0] > 0).sum())])
    assert torch.allclose(short.bands, model.tell(state, held.phonemes[0, :1]).bands, atol=1e-4)


def test_untrained_generators_leave_the_average_voice():
    fresh, held = new_model(32, 32), few(1, 1)
    state = fresh.adapt(held.frames[0], held.lengths[0])
    phonemes = held.phonemes[0]
    assert torch.equal(fresh.tell(state, phonemes).bands, fresh.backbone(phonemes).bands)


def test_training_lowers_the_loss_and_travels_in_a_file(tmp_path):
    held, fresh = few(8, 8), new_model(32, 32)
    losses = [one.loss for one in train_voices(fresh, held, held, 60, validate_every=1000)]
    assert losses[-1] < losses[0]
    save_voices(tmp_path / "one.safetensors", fresh)
    again = load_voices(tmp_path / "one.safetensors")
    one = held.phonemes[0, :1]
    true = {"lasting": held.lasting[0, :1]}
    ours, theirs = (other.backbone(one, **true).bands for other in (again, fresh))
    assert (ours - theirs).abs().mean() < 0.03
    save_voices(tmp_path / "average.safetensors", fresh, average=True)
    alone = load_voices(tmp_path / "average.safetensors")
    assert torch.equal(alone.backbone(one, **true).bands, ours)


def test_adapted_voice_is_nearer_than_the_average_one(model):
    gains, pitches = [], []
    plain = average_voice()
    for voice in range(4):
        adapted = adapt_voice([take("validation", voice, which)[0] for which in range(5)], model)
        samples, names, _ = take("validation", voice, 20)
        true = described(samples)
        ours, theirs = (compared(one.frames(names), true) for one in (adapted, plain))
        gains.append(theirs["mcd"] - ours["mcd"])
        pitches.append(ours["pitch"])
    assert np.mean(gains) > 0.3
    assert np.mean(pitches) < 2


def test_shift_finds_speed_and_pitch():
    held = few(1, 3)
    one = Utterances(held.frames[0], held.phonemes[0], held.lasting[0])
    higher = one.frames.clone()
    higher[..., BANDS] += 0.5
    plain = Teller(16)
    moved = shifted(plain, Utterances(higher, one.phonemes, one.lasting)) - shifted(plain, one)
    assert moved.tolist() == pytest.approx([0, 0.5], abs=1e-3)


def test_says_text_in_files_that_are_tagged(model, tmp_path):
    voice = draw_voice(np.random.default_rng(5))
    samples, _ = said(list("_mama_nini_lu_rim_"), voice, np.random.default_rng(6))
    place = tmp_path / "me.flac"
    soundfile.write(place, np.repeat(samples, 3)[:, None].repeat(2, 1), 3 * RATE)
    told = adapt_voice([place], model)
    spoken = told.say("Hello, world. 12 %")
    assert np.isfinite(spoken).all()
    assert 0.5 < np.abs(spoken).max() <= 1
    assert 1 < len(spoken) / RATE < 8
    with soundfile.SoundFile(io.BytesIO(tagged_wav(spoken))) as file:
        assert file.comment == TAG
        assert file.samplerate == RATE


def test_a_voice_travels_in_a_file_and_on_the_command_line(model, tmp_path, capsys):
    place, kept, out = (tmp_path / name for name in ("me.wav", "me.safetensors", "out.wav"))
    soundfile.write(place, take("validation", 0, 0)[0], RATE)
    assert main(["say", "Hi", "--voice", str(place), "--keep", str(kept), "--out", str(out)]) == 0
    first = out.read_bytes()
    assert main(["say", "Hi", "--model", str(kept), "--out", str(out)]) == 0
    assert out.read_bytes() == first
    told = metalab.adapt("speech-synthesis", [place]).say("Hi")
    assert np.allclose(load_voice(kept).say("Hi"), told)
    assert main(["say", "ы", "--model", str(kept)]) == 2
    assert "'ы' (character 1)" in capsys.readouterr().err
    other = new_model()
    with pytest.raises(CheckpointError):
        load_voice(kept, other)


def test_long_recordings_are_cut_into_pieces():
    samples = np.concatenate([take("validation", 1, which)[0] for which in range(4)])
    parts = pieces(described(samples))
    assert len(parts) > 1
    assert max(map(len, parts)) <= FRAMES


@pytest.mark.parametrize(
    ("samples", "said_of_it"),
    [
        (np.zeros(RATE * 2, np.float32), "silent"),
        (np.random.default_rng(0).normal(0, 0.1, RATE * 2).astype(np.float32), "voice"),
        (np.ones(800, np.float32), "ms long"),
        (np.full(RATE, np.nan, np.float32), "finite"),
        (b"no sound at all", "not a recording"),
    ],
)
def test_what_is_no_voice_is_refused(model, samples, said_of_it):
    with pytest.raises(DataError) as caught:
        adapt_voice([samples], model)
    assert said_of_it in str(caught.value)


def test_overdriven_and_short_recordings_are_remarked(model):
    samples = np.clip(take("validation", 0, 0)[0] * 8, -1, 1)
    notes = adapt_voice([samples], model).notes
    assert any("overdriven" in note.what for note in notes)
    assert any("only" in note.what for note in notes)
