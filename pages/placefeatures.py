"""The features of places in pictures, of words, of users, before and after adaptation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pages.common import chart, errors_in_place
from pages.drawnfeatures import METHODS, choose_method, embedding_of

if TYPE_CHECKING:
    from metalab.embeddings import Embedding
    from metalab.inspection import TaskView


PLACES = (
    "Each point is a place in a picture, its colour what is there: grey is background, where none of the "
    "classes is. Hover to see its surroundings. Before: the pre-trained backbone with the nearest mean "
    "pixel. After: adapted to these pictures. A cross is a query place that is taken for something else."
)

TOKENS = (
    "Each point is a word or sign of a passage, coloured by what it is to the answer: outside it, its begin, "
    "or inside; hover to read it. Before: the pre-trained reader with the nearest mean. After: adapted to "
    "these examples. A cross is a query word that is taken for something else."
)


USERS = (
    "Each point is a user whom no training has met, coloured by what they like best; hover for the name. "
    "Before: what they rated, weighed by how. After: the taste that the model has made of the same ratings. "
    "A cross is a user who lies nearer to those of another colour."
)

CAMPAIGNS = (
    "Each point is a campaign that no training has met, coloured by what it is for; hover for the name. "
    "Before: the viewers who clicked against those who did not. After: the head that the model has made of "
    "the same impressions."
)

TEXTS = (
    "Each point is a whole text, coloured by whether it is to be read or to be written; hover to read it. "
    "Before: no example. After: adapted to these examples. A method that chooses among drafts leaves the "
    "features of texts as they are."
)

RECORDINGS = (
    "Each point is a recording, coloured by its word. Before: the pre-trained listener with the nearest "
    "mean. After: adapted to these examples. A cross is a query recording that is taken for another word."
)

EXPLAINED = {
    "summarisation": TEXTS,
    "translation": TEXTS,
    "speech-recognition": RECORDINGS,
    "question-answering": TOKENS,
    "product-recommendation": USERS,
    "ad-recommendation": CAMPAIGNS,
}
"""Application → what a point of its runs is, where it is no place in a picture."""


@st.fragment
@errors_in_place()
def place_features(
    view: TaskView,
    key: str,
    measure: str | None,
    explained: str = PLACES,
    stored: Embedding | None = None,
) -> None:
    """Show ``view``; ``measure`` names its stages' score, None where there is none to show.

    ``explained`` says what a point is. UMAP is ``stored``, or comes from the background.
    """
    from metalab import plots_features
    from metalab.inspection import separation
    from metalab.plots_separation import score_rows

    head = st.columns([2, 3], vertical_alignment="bottom")
    with head[0]:
        label = choose_method(key)
    with head[1]:
        embedding = embedding_of(view, METHODS[label], label, stored=stored)
    figure = plots_features.before_after(view, embedding)
    for title, name in zip(
        figure.layout.annotations, (embedding.stages[0], embedding.stages[-1]), strict=False
    ):
        title.text = f"{name}<br>{measure} {view.stage(name).accuracy:.0%}" if measure else name
    words = f"{label} of the features before and after adaptation, coloured by class"
    chart(figure, f"{key}-ba", words)
    without = "" if measure else " Here the query examples, too, are those that were learnt from."
    st.caption(explained + without)
    with st.expander("Numbers"):
        st.dataframe(score_rows(separation(view, embedding)), width="stretch", hide_index=True)
