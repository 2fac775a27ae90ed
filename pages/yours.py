"""Your data: a few images of each class in, an adapted model out, tried and taken away."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from pages.collect import collect
from pages.common import errors_in_place
from pages.drawnfeatures import embedder, picture
from pages.kept import adapted, baselines, duplicates, local_names, view_of, warmed_up
from pages.more import with_more
from pages.tryout import take_away, try_images

if TYPE_CHECKING:
    from metalab.choice import Choice
    from metalab.data.reading import ImageSet
    from metalab.own import CrossRow


def choose_ready() -> str:
    """Let the user choose another network where there are any; by itself the page takes what suits."""
    from metalab.choice import AUTO

    names = local_names()
    if not names:
        return AUTO
    return st.selectbox(
        "Model",
        [AUTO, *names],
        format_func=lambda name: "What suits the images" if name == AUTO else name,
        key="own-model",
        help="Networks whose weights torchvision or timm left on this machine can be taken instead.",
    )


def checked(key: str, held: ImageSet) -> None:
    """Say what is in the data, and what was wrong with it."""
    counts = held.counts()
    few, most = min(counts.values()), max(counts.values())
    each = f"{few}" if few == most else f"{few} to {most}"
    st.markdown(f"**{len(counts)} classes, {len(held.labels)} images**, {each} in each class.")
    notes = [*held.notes, *duplicates(key, held)]
    if notes:
        words = {"skipped": "left out", "repaired": "repaired", "warning": "worth a look"}
        with st.expander("Remarks on the files: " + str(len(notes)), icon=":material/report:"):
            rows = [{"File": note.where, "What": note.what, "Done": words[note.action]} for note in notes]
            st.dataframe(pd.DataFrame(rows), hide_index=True, width="stretch")
    else:
        st.caption("No duplicates, every file is readable.")


def outcome(key: str, held: ImageSet, choice: Choice) -> None:
    """Show which model was taken, why, and how sure it may be."""
    from metalab.own import recommendation

    known = choice.model.confidence
    row = st.columns(4)
    row[0].metric(
        "Right on held-out examples",
        "–" if known.accuracy is None else f"{known.accuracy:.0%}",
        help="Cross-validation: each example was left out once and then classified.",
    )
    row[1].metric("Chance", f"{1 / len(choice.model.classes):.0%}")
    row[2].metric(
        "Confidence off by",
        "–" if known.ece is None else f"{100 * known.ece:.0f} points",
        help="By how much its confidence misses how often it is right (calibration error, ECE); "
        "with so few examples a rough figure.",
    )
    row[3].metric(
        "Strangers told apart",
        "–" if known.auroc is None else f"{known.auroc:.2f}",
        help="How well it tells images of no class of yours, each class left out in turn (AUROC). 0.5: no "
        "better than a coin, 1: perfect.",
    )
    st.caption(
        f"Model: **{choice.model.metalearner.label}** ({choice.reason}). {recommendation(held.counts())}"
    )
    if st.toggle(
        "Compare with every baseline on your examples",
        key="own-baselines",
        help="By cross-validation: each example is held out once and then classified. Takes some seconds.",
    ):
        with st.spinner("Cross-validating every method …"):
            rows = baselines(key, choice)
        compared(rows)


def compared(rows: list[CrossRow]) -> None:
    """Show the meta-learner and the baselines, best first."""
    if not rows:
        st.info("Two examples of a class or more are needed to hold one out.")
        return
    table = [
        {
            "Method": one.label,
            "Kind": "meta-learner" if one.kind == "metalearner" else "baseline",
            "Right": 100 * one.accuracy,
            "±": 100 * one.interval,
        }
        for one in rows
    ]
    st.dataframe(
        pd.DataFrame(table),
        hide_index=True,
        width="stretch",
        column_config={name: st.column_config.NumberColumn(format="%.0f %%") for name in ("Right", "±")},
    )
    st.caption(
        f"{rows[0].examples} examples, each held out once, the same for every method; half the 95 % interval "
        "over examples. With so few, differences within it mean nothing."
    )


st.title("Your data")
st.caption(
    "A few images of each class in, a model out. Nothing leaves this machine, and nothing is trained for "
    "minutes: a ready model adapts in about a second."
)
with errors_in_place():
    found = collect()
    if found is None:
        warmed_up()
    else:
        brought, held = found
        st.subheader("1 · What you brought")
        key, held = with_more(brought, held)
        checked(key, held)
        st.subheader("2 · The adapted model")
        name = choose_ready()
        with st.spinner("Looking at your images and adapting …"):
            choice = adapted(key, held, name)
        shown = f"{key}-{choice.name}"
        outcome(shown, held, choice)
        st.subheader("3 · Try it on a new image")
        try_images(brought, held, choice.model)
        st.subheader("4 · Features", help="What the model makes of each image, drawn as a point.")
        view = view_of(shown, choice)
        if view is None:
            st.info("Three examples of each class or more are needed: two to learn from, one to judge by.")
        else:
            st.caption(
                "A third of each class is kept back here to judge by (*query*). The model in this picture "
                "learns from the rest, so less of it may be right than of the model above."
            )
            picture(view, f"yours-{shown}")
        st.subheader("5 · Take it away")
        take_away(shown, choice.model)

embedder()
