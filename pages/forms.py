"""The form of a run: where tasks come from, their shape, the method, and all settings."""

from __future__ import annotations

from typing import Any

import streamlit as st

from metalab.config import Config
from pages.fields import IMAGES, application_field, control, draft, field, keyed

SOURCES = {
    "glyphs": "Characters (embedded)",
    "omniglot": "Omniglot (a folder of its zips)",
    "image-folder": "Own images (a zip, or a folder on the server)",
    "scenes": "Composed scenes (embedded)",
    "documentation": "Documentation of installed Python packages",
    "stories": "Made-up stories (embedded)",
    "shop": "A made-up shop (embedded)",
    "movielens": "MovieLens-100k (an installed package, or a folder on the server; non-commercial use only)",
    "ratings": "Own ratings (CSV: user, item, rating)",
    "campaigns": "Made-up campaigns (embedded)",
    "movielens-clicks": "Films of MovieLens in the place of advertisements (non-commercial use only)",
    "clicks": "Own impressions (CSV: campaign, clicked, time; or Criteo's or Avazu's layout)",
    "annotated": "Own annotated pictures (a folder or zip on the server)",
}
PLACES = {
    "movielens": "empty: the installed package",
    "movielens-clicks": "empty: the installed package",
    "ratings": "/data/ratings.csv",
    "clicks": "/data/impressions.csv",
}
"""What stands in the empty field of a path."""


def options_of(metalearner: str) -> dict[str, Any]:
    """Show the options of a meta-learner and return those that differ from its defaults."""
    from metalab.metalearners import get_metalearner

    fields = get_metalearner(metalearner).Options.model_fields
    values = {name: control(f"{metalearner}-{name}", info) for name, info in fields.items()}
    return {name: value for name, value in values.items() if value != fields[name].default}


def source_fields(chosen: str) -> dict[str, Any]:
    """Show where tasks of application ``chosen`` come from and return the settings."""
    from metalab.applications import application

    suits = [name for name in SOURCES if name in application(chosen).sources]
    source = st.selectbox(
        "Data source",
        suits,
        format_func=SOURCES.get,
        key=keyed("source", suits[0]),
        help="Where the many earlier tasks come from. Classes are split so that meta-train, meta-validation "
        "and meta-test share none.",
    )
    draft()["source"], name = source, f"data-{source}"
    if source in ("glyphs", "scenes", "documentation", "stories", "shop", "campaigns"):
        return {"source": source}
    key = keyed(name, "")
    if source in ("ratings", "clicks"):
        table_upload(key)
    if source == "image-folder":
        upload = st.file_uploader(
            "A zip with one folder per class",
            type="zip",
            help="For meta-training ten classes or more: they are split 60/20/20 into meta-train, "
            "meta-validation and meta-test. With fewer, go to *Adapt*.",
        )
        if upload is not None and st.session_state.get("taken-upload") != upload.file_id:
            from metalab.data.folder import keep_upload

            st.session_state[key] = str(keep_upload(upload.getvalue(), upload.name))
            st.session_state["taken-upload"] = upload.file_id
    data = st.text_input("Path on the server", key=key, placeholder=PLACES.get(source, "/data/omniglot"))
    draft()[name] = data
    values = {"source": source, "data": data or None}
    faulty = source in ("annotated", "ratings", "clicks")
    return values | {"leave_out": field("leave_out")} if faulty else values


def table_upload(key: str) -> None:
    """Take a table of events and keep it on the server; its path becomes the value of field ``key``."""
    upload = st.file_uploader("A CSV of events", type=["csv", "tsv", "parquet"], key=f"upload-{key}")
    if upload is not None and st.session_state.get("taken-upload") != upload.file_id:
        from metalab.data.events_table import keep_table

        st.session_state[key] = str(keep_table(upload.getvalue(), upload.name))
        st.session_state["taken-upload"] = upload.file_id


def task_fields() -> dict[str, Any]:
    """Show the shape of a task and return the settings."""
    from metalab.applications import application

    unused = application(draft().get("application", IMAGES)).unused
    shape = [name for name in ("way", "shot", "query") if name not in unused]
    values, columns = {}, st.columns(3)
    for column, name in zip(columns, shape, strict=False):
        with column:
            values[name] = field(name)
    if draft().get("source") in ("glyphs", "omniglot"):
        values["episodes"] = field("episodes")
    return values


def run_form() -> Config:
    """Show all settings and return them; raises :class:`ConfigError` while they contradict each other."""
    from metalab.applications import application
    from metalab.metalearners import family, metalearners

    st.markdown("##### 1 · Data and task")
    chosen = application_field()
    values = {"application": chosen} | source_fields(chosen) | task_fields()
    st.markdown("##### 2 · Method")
    known = metalearners(chosen)
    values["metalearner"] = st.selectbox(
        "Meta-learner",
        list(known),
        format_func=lambda name: f"{known[name].label} · {family(known[name])}",
        key=keyed("metalearner", application(chosen).defaults.get("metalearner", "protonet")),
        help=Config.model_fields["metalearner"].description,
    )
    draft()["metalearner"] = values["metalearner"]
    st.caption(known[values["metalearner"]].summary)
    st.markdown("##### 3 · Training")
    columns = st.columns(2)
    for column, name in zip(columns, ("steps", "meta_batch"), strict=True):
        with column:
            values[name] = field(name)
    with st.expander("Advanced"):
        values["options"] = options_of(values["metalearner"])
        groups: dict[str, list[str]] = {}
        for name, info in Config.model_fields.items():
            if name not in (*values, *application(chosen).unused, "data", "episodes", "leave_out"):
                groups.setdefault(info.json_schema_extra["group"], []).append(name)
        for group, names in groups.items():
            st.caption(group)
            columns = st.columns(2, vertical_alignment="bottom")
            for number, name in enumerate(names):
                with columns[number % 2]:
                    values[name] = field(name)
    return Config.create(**values)
