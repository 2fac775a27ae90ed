"""Pictures: label a few, and find the same kinds of things in others, as pixels or as boxes."""

from __future__ import annotations

import streamlit as st

from pages.common import chosen, errors_in_place
from pages.drawnfeatures import embedder
from pages.picturemodels import Outcome, choice, outcome, tell, view_of
from pages.pictureshow import legend, metrics, query_cards, support_cards, too_small
from pages.picturesource import FILES, HERE, SAMPLE, picture_task
from pages.picturesout import LEAST, new_pictures, take_away
from pages.placefeatures import place_features
from pages.ready import AUTO, WHAT, choose_model

WHERE = (SAMPLE, FILES, HERE)


@st.fragment
@errors_in_place()
def results(key: str, held: Outcome) -> None:
    """Show what is found in the query pictures and in new ones; offer to take it away."""
    from metalab.own_pictures import surer

    adapted, least = held.adapted, 0.0
    st.subheader(
        "3 · What it finds", help="**Query**: the other pictures, which the model did not learn from."
    )
    if held.scores is not None or held.after:
        metrics(adapted, held.scores)
    if adapted.after.application == "detection":
        least = st.slider(
            "Confidence, at least",
            LEAST,
            0.95,
            0.3,
            0.05,
            key="pictures-least",
            help="Boxes that the model is less sure of are hidden. Scores are computed from all of them.",
        )
    before, after = ([surer(one, least) for one in part] for part in (held.before, held.after))
    if after:
        legend(adapted.task.classes)
        query_cards(adapted, before, after)
        st.caption(
            "**Before**: frozen pre-trained features and the nearest mean pixel. **After**: the model, "
            "adapted to your labels."
        )
    else:
        st.info("Every picture here is labelled. Bring new ones to search.", icon=":material/upload:")
    st.subheader("4 · New pictures")
    fresh = new_pictures(key, adapted.after, least)
    st.subheader("5 · Take it away")
    take_away(adapted.after, [*after, *fresh])


st.title("Pictures")
st.caption(
    "Find things in pictures: label a few, and the model finds the same kinds of things in others, within "
    "seconds. Nothing leaves this machine."
)
with errors_in_place():
    left, right = st.columns([1, 1.6])
    with left:
        application = WHAT[chosen("What to do", list(WHAT), "pictures-what")]
    with right:
        where = chosen("Pictures from", list(WHERE), "pictures-where")
    which = st.container()
    st.subheader("1 · Pictures")
    with st.spinner("Starting …"), which:  # the first visit to a new server waits for PyTorch here
        model = choose_model(application)
    task = picture_task(application, where) if model is not None else None
    if task is not None:
        from metalab.own_pictures import task_key

        st.subheader(
            "2 · What it learns from",
            help="**Support**: the few labelled pictures that the model adapts to. **Shot**: how many of "
            "them show each class.",
        )
        legend(task.classes)
        support_cards(task.support, task.classes)
        seen = st.container()
        name = task_key(task)
        if model[0] == AUTO:
            suited = choice(name, application, task)
            tell(suited)
            model = (suited.name, 0.0)
        with st.spinner("Adapting …"):
            held = outcome(name, *model, task)
        with seen:
            too_small(held.adapted)
        results(name, held)
        st.subheader("6 · Features", help="What the model makes of places in the pictures, drawn as points.")
        measure = None if held.scores is None else "mean IoU" if application == "segmentation" else "AP50"
        place_features(view_of(name, *model, held.adapted), f"places-{name}", measure)

embedder()
