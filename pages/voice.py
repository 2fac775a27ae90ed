"""Voice: some seconds of speech retune a speaking model, which then says any sentence in that voice."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from pages.common import chart, chosen, download, errors_in_place, remarks, time_taken

if TYPE_CHECKING:
    from metalab.metalearners.voice_film import VoiceFiLM
    from metalab.speaking import VoiceModel

HERE, FILES, HELD = "Recorded here", "Recordings", "Held-out voice"
SENTENCE = "Hello, this is a voice that nobody has heard before."


@st.cache_resource(show_spinner="Loading …")
def model() -> VoiceFiLM:
    """Return the shipped model; once, for all sessions."""
    from metalab.speaking import shipped_voices

    return shipped_voices()


@st.cache_resource(show_spinner="Loading …")
def average() -> VoiceModel:
    """Return the voice that is not adapted."""
    from metalab.speaking import average_voice

    return average_voice()


@st.cache_resource(show_spinner="Adapting …", max_entries=16)
def adapted(key: str, _recordings: list[np.ndarray]) -> VoiceModel:
    """Adapt to recordings; once, for all reruns."""
    from metalab.speaking import adapt_voice

    return adapt_voice(_recordings, model())


@st.cache_data(show_spinner="Speaking …", max_entries=64)
def spoken(key: str, text: str, _voice: VoiceModel) -> np.ndarray:
    """Return samples of ``text`` in a voice."""
    return _voice.say(text)


def recorded() -> list[np.ndarray]:
    """Let the user speak for about ten seconds."""
    from metalab.data.sounds import read_sound

    said = st.audio_input("Speak for about ten seconds, in any language", key="voice-said")
    st.caption("What is said does not matter: no transcript is needed.")
    return [read_sound(said.getvalue(), "the recording")] if said is not None else []


def uploaded() -> list[np.ndarray]:
    """Let the user bring recordings of one voice."""
    from metalab.data.sounds import read_sound

    files = st.file_uploader(
        "Recordings of one voice, about ten seconds together",
        type=["wav", "flac", "ogg", "mp3"],
        accept_multiple_files=True,
        key="voice-files",
    )
    return [read_sound(one.getvalue(), one.name) for one in files]


def held_out() -> list[np.ndarray]:
    """Let the user choose a voice that no training has met."""
    from metalab.data.utterances import FRAMES, VOICES, take

    row = st.columns(2)
    number = row[0].number_input("Voice", 1, VOICES["test"], 1, key="voice-number")
    shot = row[1].number_input("References", 1, 20, 5, key="voice-shot", help="Utterances it learns from.")
    st.caption(
        f"Made by a small synthesiser of our own, that says made-up words, {FRAMES / 100:.1f} s at most. "
        "No training has met the voice, nor the words."
    )
    return [take("test", number - 1, which)[0] for which in range(shot)]


@st.fragment
@errors_in_place()
def say(key: str, voice: VoiceModel) -> None:
    """Let the user type a sentence, and play it un-adapted and adapted."""
    from metalab.plots_voices import melodies, spoken_spectra
    from metalab.speaking import tagged_wav

    text = st.text_input("Sentence", SENTENCE, key="voice-text", max_chars=300, help="English, numbers too.")
    made = {"Un-adapted": spoken("average", text, average()), "Adapted": spoken(key, text, voice)}
    for column, (name, samples) in zip(st.columns(2), made.items(), strict=True):
        column.markdown(f"**{name}**")
        column.audio(tagged_wav(samples), format="audio/wav")
    download(
        st,
        "Download the sentence",
        tagged_wav(made["Adapted"]),
        "spoken.wav",
        "audio/wav",
        icon=":material/download:",
    )
    chart(spoken_spectra(made), "voice-spectra", "Mel spectra of the sentence, un-adapted and adapted")
    chart(melodies(made), "voice-melody", "Pitch of the sentence over time, un-adapted and adapted")


st.title("Voice")
st.caption(
    "Some seconds of speech, and a network retunes a speaking model: it says any sentence in about that "
    "voice. Nothing leaves this machine."
)
st.info(
    "Imitate only voices whose owners agree. Files say in their metadata that they are synthetic.",
    icon=":material/handshake:",
)
with errors_in_place():
    st.subheader("1 · A voice")
    where = chosen("Voice from", [HELD, HERE, FILES], "voice-where")
    recordings = {HELD: held_out, HERE: recorded, FILES: uploaded}[where]()
    if recordings:
        from metalab.speaking import tagged_wav

        if where == HELD:
            st.audio(tagged_wav(recordings[0]), format="audio/wav")
        digest = hashlib.sha256()
        for one in recordings:
            digest.update(one.tobytes() + b"|")
        key = digest.hexdigest()[:16]
        voice = adapted(key, recordings)
        remarks(voice.notes, "recordings")
        st.metric("Time to adapt", time_taken(voice.seconds), width="content")
        st.subheader("2 · Let it speak")
        say(key, voice)
        st.subheader("3 · Take it away")
        download(st, "Download the voice", voice.to_bytes, "voice.safetensors", icon=":material/download:")
        st.caption('`python -m metalab say "Any text" --model voice.safetensors --out spoken.wav`')
