"""Recommend: a few ratings teach the taste of a new user; the list before and after."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

import streamlit as st

from pages.common import chosen, download, errors_in_place, time_taken
from pages.drawnfeatures import embedder
from pages.models import data_settings, source_of, trained
from pages.placefeatures import USERS, place_features
from pages.ready import choose_model

if TYPE_CHECKING:
    from metalab.data.event_source import EventSource
    from metalab.event_model import Suggested
    from metalab.inspection import TaskView
    from metalab.own_events import RatedList, RatedTask

HERE, SAMPLE, FILE = "Rate here", "Somebody held out", "A file of ratings"
ASKED = 12
"""Products that a new user is asked about."""
LIMITS = (
    "The ready model knows the **made-up shop** that comes with metalab: its books do not exist, their "
    "statistics are near those of real film ratings. For your own products train on your own ratings "
    "(*Train*, application *Product recommendation*, source *ratings*): a table with the columns user, item "
    "and rating. MovieLens-100k, where its package is installed, may be used for **non-commercial** purposes "
    "only."
)


@st.cache_resource(show_spinner="Looking at held-out users …", max_entries=4)
def view_of(which: str, version: float, settings: str, shot: int) -> TaskView:
    """Look at many held-out users before and after adaptation."""
    from metalab.inspection_events import inspect_events
    from metalab.tasks import TaskShape

    model = trained(which, version)
    return inspect_events(model.metalearner, model.pretrained, source_of(settings), TaskShape(1, shot, 50))


def rated_here(source: EventSource) -> RatedTask | None:
    """Let the user rate well-known products; None before the first."""
    from metalab.own_events import RatedTask, starters

    st.caption("Rate a few: one to five stars. What you do not know, leave out.")
    names = starters(source, ASKED)
    more = st.multiselect(
        "Others", [str(name) for name in source.events.entity_names], key="rate-more", placeholder="Add one"
    )
    names = [*names, *(name for name in more if name not in names)]
    held = {}
    for number, name in enumerate(names):
        if number % 4 == 0:  # a row of its own: level side by side, and in order on a phone
            columns = st.columns(4)
        with columns[number % 4].container(border=True, height="stretch"):
            st.markdown(f"**{name}**  \n:gray[{described(source, name)}]")
            stars = st.feedback("stars", key=f"stars-{name}")
            if stars is not None:
                held[name] = 1.0 + stars
    low, high = source.events.scale
    if not held:
        st.info("The list appears with your first rating.", icon=":material/star:")
        return None
    scaled = tuple(low + (stars - 1) / 4 * (high - low) for stars in held.values())
    return RatedTask(tuple(held), scaled)


def described(source: EventSource, name: str) -> str:
    """Return in words what a product is of."""
    events = source.events
    row = events.entity_features[list(events.entity_names).index(name)]
    return ", ".join(
        word for word, value in zip(events.feature_names[: len(row)], row.tolist(), strict=True) if value == 1
    )


def rated_sample(source: EventSource) -> RatedTask:
    """Let the user leaf through held-out users."""
    from metalab.own_events import held_out_user

    row = st.columns([2, 1, 2], vertical_alignment="bottom")
    shot = row[0].segmented_control(
        "Ratings to learn from", [5, 10, 20], default=10, required=True, key="recommend-shot"
    )
    number = st.session_state.setdefault("recommend-user", 0)
    if row[1].button("Another user", icon=":material/shuffle:", width="stretch"):
        number = st.session_state["recommend-user"] = number + 1
    return held_out_user(source, number, shot)


def rated_file(source: EventSource) -> RatedTask | None:
    """Read the ratings of one user from a CSV with the columns item and rating."""
    from metalab.data.event_rows import read_rows
    from metalab.own_events import RatedTask

    st.caption(
        "A CSV with the columns **item** and **rating**; items by the names of the training data. Unknown "
        "ones need the columns that described items there."
    )
    file = st.file_uploader("Ratings", type=["csv"], key="recommend-file")
    if file is None:
        return None
    table = read_rows(file.getvalue(), "ratings", file.name)
    return RatedTask(tuple(table.names), tuple(table.outcomes), table=table)


def cards(title: str, found: list[Suggested], top: float, explained: str) -> None:
    """Show a list with bars."""
    st.markdown(f"**{title}**")
    st.caption(explained)
    rows = []
    for place, one in enumerate(found, 1):
        name = html.escape(one.name)
        band = "" if one.low is None or one.because is None else f" ({one.low:.1f} to {one.high:.1f})"
        because = "" if one.because is None else f"<br><small>because of {html.escape(one.because)}</small>"
        share = max(0.0, min(1.0, one.expected / top))
        rows.append(
            f'<div style="margin:.35rem 0"><div style="display:flex;justify-content:space-between;gap:1rem">'
            f"<span>{place}. <b>{name}</b>{because}</span>"
            f'<span style="white-space:nowrap"><b>{one.expected:.1f}</b>{band}</span></div>'
            f'<div style="height:4px;border-radius:2px;background:#8884">'
            f'<div style="height:4px;border-radius:2px;width:{100 * share:.0f}%;background:#2a78d6"></div>'
            "</div></div>"
        )
    st.html("".join(rows))


def results(held: RatedList, top: float) -> None:
    """Show scores, and the list before and after."""
    with st.container(horizontal=True, gap="medium"):
        for name, (before, after) in held.scores.items():
            share = name.startswith("NDCG")
            shown = f"{after:.0%}" if share else f"{after:.2f}"
            change = f"{100 * (after - before):+.0f} points" if share else f"{after - before:+.2f} stars"
            st.metric(
                f"{name} after",
                shown,
                change,
                delta_color="normal" if share else "inverse",
                help="On the user's other ratings, which the model has not seen; the difference is to the "
                "model without these ratings. One user says little: see the table in the README.",
                width="content",
            )
        st.metric("Time to adapt", time_taken(held.seconds), width="content")
    left, right = st.columns(2)
    with left:
        cards("Before: what is rated most", held.before, top, "The same for everybody, with its mean rating.")
    with right:
        cards(
            "After: for this user",
            held.after,
            top,
            "Expected rating, its 95 % interval, and the rating that speaks most for it.",
        )


def take_away(held: RatedList) -> None:
    """Offer model, list and script."""
    from metalab.own_events import SCRIPT, list_csv

    row = st.columns(3)
    download(row[0], "Download the model", held.model.to_bytes, "model.safetensors", width="stretch")
    download(
        row[1], "Download the list", lambda: list_csv(held.model.suggest(100)), "list.csv", width="stretch"
    )
    download(row[2], "Download a script", SCRIPT, "recommend.py", width="stretch")


st.title("Recommend")
st.caption(
    "Rate a few things, and the model turns what it knows of many tastes into yours, in milliseconds. "
    "Nothing leaves this machine."
)
with errors_in_place():
    model = choose_model("product-recommendation")
    if model is not None:
        from metalab.own_events import rate

        held_model = trained(*model)
        settings = data_settings(held_model.config)
        source = source_of(settings)
        st.subheader("1 · What is liked", help="**Support**: the ratings that the model adapts to.")
        where = chosen("Ratings from", [HERE, SAMPLE, FILE], "recommend-where")
        task = {HERE: rated_here, SAMPLE: rated_sample, FILE: rated_file}[where](source)
        if task is not None:
            if where != HERE:
                with st.expander(f"The {len(task.names)} ratings", icon=":material/star:"):
                    st.dataframe(
                        {"Product": task.names, "Rating": task.outcomes}, width="stretch", hide_index=True
                    )
            st.subheader("2 · The list")
            listed = rate(held_model.metalearner, source, task)
            results(listed, source.events.scale[1])
            st.subheader("3 · Take it away")
            take_away(listed)
        st.subheader("4 · Tastes", help="What the model makes of many users, drawn as points.")
        place_features(view_of(*model, settings, 10), f"tastes-{model[0]}", "NDCG@5", USERS)
with st.expander("What it can and cannot do", icon=":material/info:"):
    st.markdown(LIMITS)

embedder()
