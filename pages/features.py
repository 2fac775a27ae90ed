"""Features: what a model makes of a task before and after adaptation, drawn, selected, measured, exported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from metalab import plots_features
from metalab.inspection import separation
from metalab.plots_separation import score_rows
from pages.common import chart, errors_in_place
from pages.drawnfeatures import METHODS, embedder, embedding_of
from pages.manytasks import many_tasks
from pages.picked import export, selected
from pages.taskpick import DIGITS, HELD_OUT, choose_model, choose_task

if TYPE_CHECKING:
    from metalab.inspection import TaskView


@st.fragment
@errors_in_place()
def features(key: str, version: float) -> None:
    """Choose a task, then show its features and how far they separate."""
    view = choose_task(key, version)
    if isinstance(view, str):
        return
    pictures(view)
    if st.session_state["where"] in (HELD_OUT, DIGITS):
        many_tasks(key, version)


@st.fragment
@errors_in_place()
def pictures(view: TaskView) -> None:
    """Show the picture as asked for, the selected examples, the numbers, and what can be taken away."""
    row = st.columns([3, 1.6, 4, 3], vertical_alignment="bottom")
    choices: dict[str, Any] = {"required": True, "width": "stretch"}
    label = row[0].segmented_control(
        "Picture",
        list(METHODS),
        default="UMAP",
        key="method",
        help="One reducer is fitted on all stages together, so positions can be compared. UMAP and t-SNE "
        "keep neighbours together and take some seconds; PCA is linear and instant.",
        **choices,
    )
    dimensions = row[1].segmented_control("Dimensions", ["2D", "3D"], default="2D", key="solid", **choices)
    colour = row[2].segmented_control(
        "Colour", ["class", "correctness", "confidence"], default="class", key="colour", **choices
    )
    how = row[3].segmented_control(
        "View", ["Side by side", "Morph"], default="Side by side", key="how", **choices
    )
    embedding = embedding_of(view, METHODS[label], label, 3 if dimensions == "3D" else 2)
    draw = plots_features.before_after if how == "Side by side" else plots_features.morph
    figure = draw(view, embedding, colour=colour)
    flat = dimensions == "2D" and how == "Side by side"
    image = {"format": st.session_state.get("image", "PNG").lower(), "filename": "features", "scale": 2}
    bar = {"displaylogo": False, "displayModeBar": True, "toImageButtonOptions": image}
    words = f"{label} of the features before and after adaptation, coloured by {colour}"
    if flat:
        picked = st.plotly_chart(
            figure,
            key="picture",
            config=bar,
            alt=words,
            on_select="rerun",
            selection_mode=("lasso", "box", "points"),
        )
        selected(view, sorted({point["customdata"] for point in picked.selection.points}))
    else:
        chart(figure, "picture-seen", words, bar)
    st.caption(
        "Each point is an example; hover to see it. Before: the pre-trained backbone. After: adapted to this "
        "task."
    )
    left, right = st.columns([3, 1])
    with left.expander("Numbers of this task"):
        st.dataframe(score_rows(separation(view, embedding)), width="stretch", hide_index=True)
        st.caption("One task is a lucky or an unlucky draw: see many tasks below.")
    with right.popover("Export", icon=":material/download:", width="stretch"):
        export(figure, view, embedding)


st.title("Features")
st.caption(
    "**Features**: the numbers that the backbone makes of an image. Good features put a class's examples "
    "together and different classes apart."
)
with errors_in_place():
    features(*choose_model())

embedder()
