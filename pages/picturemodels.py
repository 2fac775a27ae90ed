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
    from metalab.picture_choice import PictureChoice
    from metalab.picture_model import Prediction


@dataclass(frozen=True)
class Outcome:
    """A task with what was found in its query pictures, and the scores before and after, if known."""

    adapted: Adapted
    before: list[Prediction]
    after: list[Prediction]
    scores: tuple[float, float] | None


@st.cache_resource(show_spinner="Trying the ready models on the labels …", max_entries=16)
def choice(key: str, application: str, _task: PictureTask) -> PictureChoice:
    """Find the ready model that suits a task; once, for all reruns."""
    from metalab.data.fitting import fitting_size
    from metalab.picture_choice import choose

    size = _task.size or fitting_size(_task.support, _task.classes)
    return choose(application, _task.support, _task.classes, size)


def tell(found: PictureChoice) -> None:
    """Say which model was chosen, and why."""
    from metalab.picture_choice import named

    application = found.trained.config.application
    words = f"**{named(found.name)}** was chosen"
    if found.scores:
        measure = "Mean IoU" if application == "segmentation" else "AP50"
        told = ", ".join(f"{named(name)} {value:.0%}" for name, value in found.scores.items())
        words += f": each ready model was tried on labels that were kept from it. {measure}: {told}."
    else:
        words += (
            ". With more labelled pictures, the ready models are tried on them and the best one is taken."
        )
    st.caption(words)


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
