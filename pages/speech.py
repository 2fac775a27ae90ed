"""Speech: a few recordings of each word teach a recogniser; say another, and it tells which word it was."""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from pages.common import chart, chosen, download, errors_in_place, remarks, time_taken
from pages.drawnfeatures import embedder
from pages.models import trained
from pages.placefeatures import RECORDINGS, place_features
from pages.ready import choose_model

if TYPE_CHECKING:
    from metalab.inspection import TaskView
    from metalab.own_words import JudgedWords, WordTask

OF = "speech-recognition"
HELD, HERE, FILE = "Held-out words", "Recorded here", "A zip of recordings"
SHOT = "Recordings of each word that the model learns from: K of K-shot."
MOST_HERE = 6
"""Words that can be recorded on the page."""


@st.cache_resource(show_spinner="Speaking …", max_entries=8)
def held_out(way: int, shot: int, number: int) -> WordTask:
    """Return embedded words that no training has met; once, for all reruns."""
    from metalab.own_words import held_out_task

    return held_out_task(way, shot, 4, number)


@st.cache_resource(show_spinner="Adapting …", max_entries=8)
def judged(key: str, which: str, version: float, _task: WordTask) -> JudgedWords:
    """Adapt to a task and judge its query recordings; once, for all reruns."""
    from metalab.own_words import judge

    return judge(trained(which, version).metalearner, _task)


@st.cache_resource(show_spinner="Looking at features …", max_entries=8)
def view_of(key: str, which: str, version: float, _task: WordTask) -> TaskView:
    """Look at recordings before and after adaptation."""
    from metalab.own_words import view

    model = trained(which, version)
    return view(model.metalearner, model.pretrained, _task)


def words_held_out() -> WordTask:
    """Let the user choose the shape of a held-out task."""
    row = st.columns(3)
    way = row[0].number_input("Words", 2, 20, 5, key="speech-way")
    shot = row[1].number_input("Examples", 1, 8, 3, key="speech-shot", help=SHOT)
    number = row[2].number_input("Task", 1, 999, 1, key="speech-task", help="Other numbers, other words.")
    st.caption(
        "Made-up words, named by their sounds and spoken by a small synthesiser of our own: no training has "
        "met them, nor any of the voices. Each recording is another voice, three of four with echo, noise or "
        "a telephone's band."
    )
    return held_out(way, shot, number)


def words_recorded() -> WordTask | None:
    """Let the user record words with the microphone; None until there are two words."""
    from metalab.data.sounds import read_sound
    from metalab.own_words import WordTask

    words: dict[str, list[np.ndarray]] = {}
    count = st.number_input("Words", 2, MOST_HERE, 3, key="speech-count")
    st.caption(
        "Name each word and say it once or several times, with pauses between: every part that is said "
        "counts as one recording. Without a microphone choose a zip, or upload files below each word."
    )
    columns = st.columns(min(count, 3))
    for at in range(count):
        with columns[at % len(columns)].container(border=True):
            name = st.text_input("Word", f"word {at + 1}", key=f"speech-name-{at}").strip()
            said = st.audio_input("Say it, with pauses", key=f"speech-said-{at}")
            files = st.file_uploader(
                "or files",
                type=["wav", "flac", "ogg", "mp3"],
                accept_multiple_files=True,
                key=f"speech-up-{at}",
            )
            own = [read_sound(one.getvalue(), one.name) for one in files]
            if said is not None:
                own += parts(read_sound(said.getvalue(), f"the recording of {name}"))
            if own:
                st.caption(f"{len(own)} recordings")
                words.setdefault(name or f"word {at + 1}", []).extend(own)
    if len(words) < 2:
        st.info("Record two words, or more, to go on.", icon=":material/mic:")
        return None
    return WordTask(words, {})


def parts(samples: np.ndarray) -> list[np.ndarray]:
    """Return what is said in a recording, part by part."""
    from metalab.own_words import spans

    return [samples[start:end] for start, end in spans(samples)] or [samples]


def words_of_file() -> WordTask | None:
    """Let the user bring a zip with a folder for each word; None until there is one."""
    from metalab.own_words import task_of_zip

    upload = st.file_uploader(
        "A zip with a folder for each word",
        type=["zip"],
        key="speech-zip",
        help="WAV, FLAC, OGG or MP3 inside.",
    )
    if upload is None:
        st.caption("The first recordings of each word teach, the others judge.")
        return None
    shot = st.number_input("Examples", 1, 50, 3, key="speech-zip-shot", help=SHOT, width=160)
    task, notes = task_of_zip(upload.getvalue(), upload.name, shot)
    remarks(notes, "recordings")
    return task


def players(task: WordTask) -> None:
    """Play one recording of each word, with its spectrum."""
    from metalab.plots_speech import spectra

    with st.expander("Listen, and look at the spectra"):
        one = {word: own[0] for word, own in task.support.items()}
        chart(spectra(one), "speech-spectra", "Mel spectra of one recording of each word")
        for column, (word, samples) in zip(st.columns(4) * 5, one.items(), strict=False):
            column.caption(word)
            column.audio(wav(samples), format="audio/wav")


def wav(samples: np.ndarray) -> bytes:
    """Return samples at 16 kHz as a WAV file."""
    import soundfile

    from metalab.data.voices import RATE

    kept = io.BytesIO()
    soundfile.write(kept, samples, RATE, format="WAV", subtype="PCM_16")
    return kept.getvalue()


@st.fragment
@errors_in_place()
def ask(key: str, held: JudgedWords) -> None:
    """Let the user say something, and show which words were heard where."""
    from metalab.data.sounds import read_sound
    from metalab.own_words import listen

    row = st.columns(2)
    said = row[0].audio_input("Say one of the words, or several with pauses", key=f"speech-ask-{key}")
    file = row[1].file_uploader(
        "or a recording", type=["wav", "flac", "ogg", "mp3"], key=f"speech-file-{key}"
    )
    given = said or file
    samples = None
    if given is not None:
        samples = read_sound(given.getvalue(), given.name)
    elif held.task.query:
        word = st.selectbox(
            "or one of the query recordings", list(held.task.query), key=f"speech-query-{key}", width=320
        )
        samples = held.task.query[word][0]
    if samples is None:
        return
    st.audio(wav(samples), format="audio/wav")
    found = listen(held.model, samples)
    if not found:
        st.info("Nothing was heard in it.", icon=":material/hearing_disabled:")
    for one in found:
        name = "none of these" if one.word is None else one.word
        st.markdown(f"**{name}** · {one.probability:.0%} · {one.start:.1f} to {one.end:.1f} s")


def confused(held: JudgedWords) -> None:
    """Show which words were taken for which."""
    from metalab.plots_speech import confusion

    if held.task.query:
        chart(confusion(held), "speech-confusion", "Which word was taken for which")


st.title("Speech")
st.caption(
    "Say a few words, some times each, and the model tells them apart, whoever says them next. Nothing "
    "leaves this machine."
)
with errors_in_place():
    model = choose_model(OF)
    if model is not None:
        st.subheader("1 · Words")
        where = chosen("Words from", [HELD, HERE, FILE], "speech-where")
        task = {HELD: words_held_out, HERE: words_recorded, FILE: words_of_file}[where]()
        if task is not None:
            digest = hashlib.sha256()
            for word, own in [*task.support.items(), *task.query.items()]:
                digest.update(word.encode())
                for samples in own:
                    digest.update(samples.tobytes())
            key = digest.hexdigest()[:16]
            players(task)
            held = judged(key, *model, task)
            st.subheader("2 · How well it hears", help="**Query**: recordings that it did not learn from.")
            with st.container(horizontal=True, gap="medium"):
                if held.accuracy is not None:
                    count = sum(map(len, task.query.values()))
                    st.metric(
                        "Right", f"{held.accuracy:.0%}", help=f"Of {count} query recordings.", width="content"
                    )
                st.metric("Time to adapt", time_taken(held.seconds), width="content")
            confused(held)
            st.subheader("3 · Try it")
            ask(key, held)
            st.subheader("4 · Take it away")
            download(
                st,
                "Download the recogniser",
                held.model.to_bytes,
                "words.safetensors",
                icon=":material/download:",
            )
            st.caption(
                "`python -m metalab predict --model words.safetensors RECORDING …`, or `metalab.load()`."
            )
            st.subheader("5 · Features", help="What the listener makes of recordings, drawn as points.")
            place_features(
                view_of(key, *model, task), f"speech-{key}", "accuracy" if task.query else None, RECORDINGS
            )

embedder()
