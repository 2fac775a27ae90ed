"""Adaptation step by step: curves and features at every moment, and what is predicted at the chosen one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from metalab import plots, plots_adapt
from pages.common import WORDS, chart, errors_in_place
from pages.drawnfeatures import instant_embedding, view_key
from pages.sheets import sheets

if TYPE_CHECKING:
    from metalab.inspection import TaskView


@st.fragment
@errors_in_place()
def moments(view: TaskView, key: str) -> None:
    """Step through the adaptation: curves and features in the browser alone, predictions in this part."""
    st.subheader("Step by step", help="From the pre-trained backbone through the inner steps to the end.")
    picture = instant_embedding(view_key(view), view)
    words = "Accuracy, confidence, loss and features from the pre-trained backbone to the adapted model"
    chart(plots_adapt.step_by_step(view, picture), "steps", words)
    st.caption(
        "Move the slider: curves and features go along. **Inner step**: a gradient step on the support set. "
        "**Confidence**: mean probability of what is predicted. **Loss**: cross-entropy; lower is better."
    )
    stages = [stage.name for stage in view.stages]
    row = st.columns([3, 2], vertical_alignment="bottom")
    name = row[1].select_slider(
        "Predictions at this moment",
        stages,
        stages[-1],
        key=f"stage-{key}",
        help="**pre-trained**: the backbone before meta-learning, classified by the nearest class centroid.",
    )
    show = row[0].segmented_control(
        "Predictions",
        ["Task", "Confusion", "Most confident mistakes", "Every prediction"],
        default="Task",
        required=True,
        key="show",
        help=f"{WORDS['support']} {WORDS['query']}",
    )
    if show == "Task":
        sheets(view, name)
    elif show == "Confusion":
        chart(plots_adapt.confusion(view, name), "confusion", "How often each class is taken for which")
    else:
        predictions(view, name, mistakes_only=show != "Every prediction")


def predictions(view: TaskView, name: str, mistakes_only: bool) -> None:
    """Show query examples with what is predicted: all of them, or the wrong ones it was surest of."""
    stage = view.stage(name)
    chosen = view.surest_mistakes(stage, 20) if mistakes_only else np.arange(len(stage.probabilities))
    if not len(chosen):
        st.caption("None: every query example is right.")
        return
    images, labels = view.images[~view.support], view.labels[~view.support]
    said, sure = stage.probabilities.argmax(1), stage.probabilities.max(1)
    rows = [
        {
            "Example": plots.thumbnail(images[i]),
            "Class": view.classes[labels[i]],
            "Predicted": view.classes[said[i]],
            "Confidence": float(sure[i]),
            "Probability of its class": float(stage.probabilities[i, labels[i]]),
            "Right": bool(said[i] == labels[i]),
        }
        for i in chosen
    ]
    percent = {"format": "percent", "min_value": 0.0, "max_value": 1.0}
    columns = {
        "Example": st.column_config.ImageColumn(width="small"),
        "Confidence": st.column_config.ProgressColumn(**percent),
        "Probability of its class": st.column_config.ProgressColumn(**percent),
    }
    st.dataframe(rows, width="stretch", hide_index=True, column_config=columns, row_height=44, height=400)
