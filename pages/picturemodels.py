"""Models that find things in pictures, adapted to a task; kept by the server for all sessions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import streamlit as st

from pages.models import trained
from pages.picturesout import LEAST

if TYPE_CHECKING:
    from metalab.inspection import TaskView
    from metalab.own_pictures import Adapted, PictureTask
    from metalab.picture_model import Prediction
    from metalab.runs import Run

WHAT = {"Paint pixels": "segmentation", "Draw boxes": "detection"}


@dataclass(frozen=True)
class Outcome:
    """A task with what was found in its query pictures, and the scores before and after, if known."""

    adapted: Adapted
    before: list[Prediction]
    after: list[Prediction]
    scores: tuple[float, float] | None


@st.cache_resource(show_spinner=False, max_entries=16)
def outcome(key: str, which: str, version: float, _task: PictureTask) -> Outcome:
    """Adapt to a task and look for its classes in the query pictures; once, for all reruns."""
    from metalab.own_pictures import adapt_task

    model = trained(which, version)
    adapted = adapt_task(model.metalearner, model.pretrained, _task)
    (before, first), (after, last) = (
        adapted.judge(model, LEAST) for model in (adapted.before, adapted.after)
    )
    return Outcome(adapted, before, after, None if first is None or last is None else (first, last))


@st.cache_resource(show_spinner="Looking at features …", max_entries=8)
def view_of(key: str, which: str, version: float, _adapted: Adapted) -> TaskView:
    """Look at places before and after adaptation."""
    return _adapted.view()


def choose_model(application: str) -> tuple[str, float] | None:
    """Return a model and the time of its file: the shipped one, or a run; None where there is none."""
    from metalab.comparison import models

    found = models(application=application)
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
            "Model", list(found), format_func=lambda key: found[key][0], key=f"model-{application}"
        )
    return which, found[which][1]


def pictures_button(run: Run) -> None:
    """Offer to use the model of ``run`` on *Pictures*, once there is one."""
    ready = run.checkpoint("best").is_file()
    if st.button(
        "Use on pictures", icon=":material/image_search:", disabled=not ready, key=f"pictures-{run.id}"
    ):
        of = run.config.application
        st.session_state.pop("pictures-what", None)
        st.session_state["pictures-what-kept"] = next(label for label, name in WHAT.items() if name == of)
        st.session_state[f"model-{of}"] = run.id
        st.switch_page("pages/pictures.py")
