"""Ready models of an application, and the way from a run to the page that uses its model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from metalab.config import RECOMMENDERS, WRITERS
from pages.fields import IMAGES

if TYPE_CHECKING:
    from metalab.runs import Run

WHAT = {"Paint pixels": "segmentation", "Draw boxes": "detection"}
"""What *Pictures* does → the application."""

USES = {
    "product-recommendation": ("Recommend", "pages/recommend.py"),
    "ad-recommendation": ("Use on campaigns", "pages/adverts.py"),
}
"""The button and the page of recommenders."""

AUTO = "auto"
"""Stands for the ready model that does best on the labelled pictures."""


def choose_model(application: str, first: str | None = None) -> tuple[str, float] | None:
    """Return a model and the time of its file: the shipped one, or a run; None where there is none.

    Of pictures :data:`AUTO` is the first choice, where several ready models can be tried; else ``first``.
    """
    from metalab.comparison import models

    found = models(application=application)
    if first in found:
        found = {first: found[first], **found}
    if application in WHAT.values():
        from metalab.picture_choice import CANDIDATES

        if len(found.keys() & set(CANDIDATES[application])) > 1:
            found = {AUTO: ("What suits the pictures", 0.0), **found}
    if not found:
        st.info(f"There is no ready model for {application} here yet: train one.", icon=":material/info:")
        if st.button("Train one", icon=":material/play_arrow:", type="primary"):
            st.session_state["draft"] = {"application": application}
            st.switch_page("pages/train.py")
        st.caption(f"Or on the command line: `python -m metalab train --application {application}`")
        return None
    which = next(iter(found))
    if len(found) > 1:
        which = st.selectbox(
            "Model",
            list(found),
            format_func=lambda key: found[key][0],
            key=f"model-{application}",
            help="*What suits the pictures* tries the ready models on your labels and takes the best one."
            if AUTO in found
            else None,
        )
    return which, found[which][1]


def use_button(run: Run) -> None:
    """Offer to use the model of ``run``, once there is one, on the page of its application."""
    ready, of = run.checkpoint("best").is_file(), run.config.application
    if of == IMAGES:
        if ready and st.button("Adapt", icon=":material/visibility:", type="primary", key=f"adapt-{run.id}"):
            st.session_state["go-model"] = run.id
            st.switch_page("pages/adapt.py")
    elif of == "question-answering":
        if st.button("Use on questions", icon=":material/quiz:", disabled=not ready, key=f"answers-{run.id}"):
            st.session_state[f"model-{of}"] = run.id
            st.switch_page("pages/answers.py")
    elif of == "speech-recognition":
        if st.button("Use on words", icon=":material/mic:", disabled=not ready, key=f"speech-{run.id}"):
            st.session_state[f"model-{of}"] = run.id
            st.switch_page("pages/speech.py")
    elif of in WRITERS:
        if st.button("Use on texts", icon=":material/translate:", disabled=not ready, key=f"texts-{run.id}"):
            st.session_state.pop("texts-what", None)
            st.session_state["texts-what-kept"] = "Translate" if of == "translation" else "Sum up"
            st.session_state[f"model-{of}"] = run.id
            st.switch_page("pages/texts.py")
    elif of in RECOMMENDERS:
        label, page = USES[of]
        if st.button(label, icon=":material/recommend:", disabled=not ready, key=f"recommend-{run.id}"):
            st.session_state[f"model-{of}"] = run.id
            st.switch_page(page)
    elif st.button(
        "Use on pictures", icon=":material/image_search:", disabled=not ready, key=f"pictures-{run.id}"
    ):
        st.session_state.pop("pictures-what", None)
        st.session_state["pictures-what-kept"] = next(label for label, name in WHAT.items() if name == of)
        st.session_state[f"model-{of}"] = run.id
        st.switch_page("pages/pictures.py")
