"""Form fields made from the one configuration; what is filled in stays with the browser session."""

from __future__ import annotations

import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import streamlit as st
from pydantic.fields import FieldInfo

from metalab.config import Config

IMAGES = "image-classification"


def draft() -> dict[str, Any]:
    """Return what this session has filled in so far, on Tasks and on Train alike: setting → value."""
    return st.session_state.setdefault("draft", {})


def fill_in(config: Config, name: str) -> None:
    """Let the form show ``config`` and ``name`` the next time it is opened."""
    values = config.model_dump(mode="json")
    values[f"data-{config.source}"] = values.pop("data") or ""
    for option, value in values.pop("options").items():
        values[f"{config.metalearner}-{option}"] = value
    st.session_state["draft"] = {**values, "name": name}


def open_form(page: str) -> None:
    """Begin ``page``: its fields show the draft, whatever fields of the same name another page had."""
    if st.session_state.get("form-page") != page:
        st.session_state["form-page"] = page
        for key in [key for key in st.session_state if str(key).startswith("set-")]:
            del st.session_state[key]


def keyed(name: str, default: Any) -> str:
    """Return the key of the widget for ``name``, holding what was filled in before, else ``default``."""
    key = f"set-{name}"
    if key not in st.session_state:
        st.session_state[key] = draft().get(name, default)
    return key


def control(
    name: str,
    info: FieldInfo,
    default: Any = None,
    choices: Sequence[Any] | None = None,
    words: tuple[str | None, str | None] | None = None,
) -> Any:
    """Show the form field that fits the setting ``info`` and return its value.

    ``default``, ``choices`` and ``words`` (title and description) stand in for those of ``info``.
    """
    label, help = words or (info.title, info.description)
    label, default = label or name, info.default if default is None else default
    kinds = (info.annotation, *typing.get_args(info.annotation))
    literal = next((kind for kind in kinds if typing.get_origin(kind) is typing.Literal), None)
    limits = {
        limit: getattr(item, limit)
        for item in info.metadata
        for limit in ("ge", "le")
        if hasattr(item, limit)
    }
    value: Any
    if literal is not None and Path not in kinds:
        value = st.selectbox(label, choices or typing.get_args(literal), help=help, key=keyed(name, default))
    elif bool in kinds:
        value = st.toggle(label, help=help, key=keyed(name, default))
    elif int in kinds:
        empty = {"value": None, "placeholder": "automatic"} if type(None) in kinds else {}
        value = st.number_input(
            label,
            min_value=limits.get("ge"),
            max_value=limits.get("le"),
            step=1,
            help=help,
            key=keyed(name, default),
            **empty,
        )
    elif float in kinds:
        value = st.number_input(
            label, min_value=None, step=None, format="%g", help=help, key=keyed(name, float(default))
        )
    else:
        value = st.text_input(label, help=help, key=keyed(name, str(default or ""))) or default
    draft()[name] = value
    return value


def field(name: str) -> Any:
    """Show the form field of setting ``name``, as the chosen application has it, and return its value."""
    from metalab.applications import application

    chosen = application(draft().get("application", IMAGES))
    choices = chosen.backbones if name == "backbone" else None
    info = Config.model_fields[name]
    return control(name, info, chosen.defaults.get(name), choices, chosen.words.get(name))


def application_field() -> str:
    """Show what is to be learnt and return the application; another one begins a new form."""
    from metalab.applications import offered

    known = offered()
    key = keyed("application", IMAGES)
    before = draft().get("application", IMAGES)
    chosen = st.selectbox(
        "Application",
        list(known),
        format_func=lambda name: known[name].label,
        key=key,
        help=Config.model_fields["application"].description,
    )
    if chosen != before:
        draft().clear()
        for other in [item for item in st.session_state if str(item).startswith("set-") and item != key]:
            del st.session_state[other]
    draft()["application"] = chosen
    st.caption(known[chosen].summary)
    return chosen
