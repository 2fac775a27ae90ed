"""Set up a task: what to learn from, how, with a look at real examples and an estimate of time."""

from __future__ import annotations

import typing
from pathlib import Path
from typing import Any

import streamlit as st
from pydantic.fields import FieldInfo

from metalab.config import Config
from metalab.estimate import Estimate, estimate
from metalab.jobs import LocalBackend
from metalab.runs import RunStore
from pages.common import WORDS, data_settings, duration, errors_in_place, source_of, task_table, thumbs

SOURCES = {
    "glyphs": "Characters (embedded)",
    "omniglot": "Omniglot (a folder of its zips)",
    "image-folder": "Own images (a zip, or a folder on the server)",
}
MINE = ("source", "data", "way", "shot", "metalearner", "steps")
"""Fields that the page lays out itself; the others are in the expander, made from their metadata."""


def control(key: str, info: FieldInfo) -> Any:
    """Show the form field that fits the setting ``info`` and return its value."""
    label, help, default = info.title or key, info.description, info.default
    kinds = (info.annotation, *typing.get_args(info.annotation))
    literal = next((kind for kind in kinds if typing.get_origin(kind) is typing.Literal), None)
    limits = {
        name: getattr(item, name) for item in info.metadata for name in ("ge", "le") if hasattr(item, name)
    }
    if literal is not None and Path not in kinds:
        options = list(typing.get_args(literal))
        return st.selectbox(label, options, index=options.index(default), help=help, key=key)
    if bool in kinds:
        return st.toggle(label, value=default, help=help, key=key)
    if int in kinds:
        low, high = limits.get("ge"), limits.get("le")
        return st.number_input(
            label, min_value=low, max_value=high, value=default, step=1, help=help, key=key
        )
    if float in kinds:
        return st.number_input(label, value=float(default), format="%g", help=help, key=key)
    return st.text_input(label, value=str(default or ""), help=help, key=key) or default


def field(name: str) -> Any:
    """Show the form field of setting ``name`` and return its value."""
    return control(f"set-{name}", Config.model_fields[name])


def options_of(metalearner: str) -> dict[str, Any]:
    """Show the options of a meta-learner and return those that differ from its defaults."""
    from metalab.metalearners import get_metalearner

    fields = get_metalearner(metalearner).Options.model_fields
    values = {name: control(f"option-{metalearner}-{name}", info) for name, info in fields.items()}
    return {name: value for name, value in values.items() if value != fields[name].default}


def form() -> Config:
    """Show all settings and return them; raises :class:`ConfigError` while they contradict each other."""
    from metalab.metalearners import family, metalearners

    values: dict[str, Any] = {}
    st.markdown("##### 1 · Data and task")
    values["source"] = st.selectbox(
        "Data source",
        list(SOURCES),
        format_func=SOURCES.get,
        key="set-source",
        help="Where the many earlier tasks come from. Classes are split so that meta-train, meta-validation "
        "and meta-test share none.",
    )
    upload = None
    if values["source"] == "image-folder":
        upload = st.file_uploader(
            "A zip with one folder per class",
            type="zip",
            key="set-upload",
            help="For meta-training ten classes or more: they are split 60/20/20 into meta-train, "
            "meta-validation and meta-test. With fewer, go to *Adapt and see*.",
        )
    if upload is not None:
        from metalab.data.folder import keep_upload

        values["data"] = keep_upload(upload.getvalue(), upload.name)
    elif values["source"] != "glyphs":
        values["data"] = (
            st.text_input(
                "Path on the server", key=f"set-data-{values['source']}", placeholder="/data/omniglot"
            )
            or None
        )
    columns = st.columns(2)
    with columns[0]:
        values["way"] = field("way")
    with columns[1]:
        values["shot"] = field("shot")
    st.markdown("##### 2 · Method")
    known = metalearners()
    values["metalearner"] = st.selectbox(
        "Meta-learner",
        known,
        format_func=lambda name: f"{known[name].label} · {family(known[name])}",
        key="set-metalearner",
        help=Config.model_fields["metalearner"].description,
    )
    st.caption(known[values["metalearner"]].summary)
    st.markdown("##### 3 · Training")
    values["steps"] = field("steps")
    with st.expander("More settings"):
        values["options"] = options_of(values["metalearner"])
        groups: dict[str, list[str]] = {}
        for name, info in Config.model_fields.items():
            if name not in (*MINE, "options", "application"):
                groups.setdefault(info.json_schema_extra["group"], []).append(name)
        for group, names in groups.items():
            st.caption(group)
            columns = st.columns(2, vertical_alignment="bottom")
            for number, name in enumerate(names):
                with columns[number % 2]:
                    values[name] = field(name)
    return Config.create(**values)


def check(config: Config) -> None:
    """Raise at once what would stop a run of ``config`` later."""
    from metalab.training import preflight

    preflight(config, source_of(data_settings(config)))


@st.fragment
@errors_in_place()
def preview(config: Config) -> None:
    """Show one meta-training task as the model would meet it."""
    from metalab.palette import class_colours
    from metalab.tasks import TaskShape, seeded

    number = st.session_state.setdefault("preview-task", 0)
    head = st.columns([2, 1], vertical_alignment="center")
    head[0].markdown("##### A meta-training task", help=WORDS["task"])
    if head[1].button("Another", icon=":material/shuffle:", width="stretch"):
        number = st.session_state["preview-task"] = number + 1
    source = source_of(data_settings(config))
    shape = TaskShape(config.way, config.shot, min(config.train_query, 6))
    task = source.sample(1, "train", shape, seeded("cpu", number, "preview"))[0]
    names, rows = source.class_names("train"), []
    for label, colour in enumerate(class_colours(config.way)[:10]):
        name = names[int(task.classes[label])]
        support, query = (
            thumbs(part.x[part.y == label].numpy(), colour, f"{role} example of {name}")
            for role, part in (("support", task.support), ("query", task.query))
        )
        rows.append((name, support[:10], query))
    task_table(rows)
    if config.way > 10:
        st.caption(f"10 of {config.way} classes shown.")


@st.cache_data(show_spinner="Two training steps to measure …", max_entries=32)
def estimated(config_json: str) -> Estimate:
    """Return the estimate of a configuration."""
    return estimate(Config.from_json(config_json))


st.title("Set up a task")
st.caption(f"{WORDS['task']} {WORDS['way']}")
left, right = st.columns([1, 1], gap="large")
config, ready = None, False
with left, errors_in_place():
    config = form()
with right:
    if config is not None:
        with errors_in_place():
            check(config)
            ready = True
        if ready:
            preview(config)
        st.markdown("##### Start")
        name = st.text_input(
            "Name of the run", placeholder=f"{config.metalearner} {config.way}-way", key="name"
        )
        buttons = st.columns(2)
        start = buttons[0].button(
            "Start training",
            type="primary",
            icon=":material/play_arrow:",
            width="stretch",
            disabled=not ready,
        )
        if buttons[1].button(
            "How long will it take?", icon=":material/timer:", width="stretch", disabled=not ready
        ):
            st.session_state["estimate-of"] = config.to_json()
        if ready and st.session_state.get("estimate-of") == config.to_json():
            with errors_in_place():
                found = estimated(config.to_json())
                parts = " · ".join(f"{stage} {duration(s)}" for stage, s in found.seconds.items())
                st.info(
                    f"About **{duration(found.total)}** and {found.memory / 1e9:.1f} GB of memory: {parts}. "
                    "Early stopping may end it sooner.",
                    icon=":material/timer:",
                )
        if start:
            with errors_in_place():
                run = RunStore().create(config, name or None)
                LocalBackend().submit(run)
                st.session_state["go-run"] = run.id
                st.switch_page("pages/train.py")
