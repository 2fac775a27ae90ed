"""The features of places in pictures, before and after adaptation, for the page *Pictures*."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pages.common import chart, errors_in_place
from pages.drawnfeatures import METHODS, choose_method, embedding_of

if TYPE_CHECKING:
    from metalab.inspection import TaskView


@st.fragment
@errors_in_place()
def place_features(view: TaskView, key: str, measure: str | None) -> None:
    """Show ``view``; ``measure`` names its stages' score, None where there is none to show."""
    from metalab import plots_features
    from metalab.inspection import separation
    from metalab.plots_separation import score_rows

    head = st.columns([2, 3], vertical_alignment="bottom")
    with head[0]:
        label = choose_method(key)
    with head[1]:
        embedding = embedding_of(view, METHODS[label], label)
    figure = plots_features.before_after(view, embedding)
    for title, name in zip(
        figure.layout.annotations, (embedding.stages[0], embedding.stages[-1]), strict=False
    ):
        title.text = f"{name}<br>{measure} {view.stage(name).accuracy:.0%}" if measure else name
    words = f"{label} of the features of places before and after adaptation, coloured by class"
    chart(figure, f"{key}-ba", words)
    st.caption(
        "Each point is a place in a picture, its colour what is there: grey is background, where none of the "
        "classes is. Hover to see its surroundings. Before: the pre-trained backbone with the nearest mean "
        "pixel. After: adapted to these pictures. A cross is a query place that is taken for something else."
        + ("" if measure else " Here the query places, too, are from the labelled pictures.")
    )
    with st.expander("Numbers"):
        st.dataframe(score_rows(separation(view, embedding)), width="stretch", hide_index=True)
