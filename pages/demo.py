"""Demo: five screens for people who have two minutes and no jargon."""

from __future__ import annotations

import streamlit as st

from metalab.demonstration import Demonstration, demo_model, demonstrate
from metalab.shipped import shipped
from pages.common import errors_in_place
from pages.models import data_settings, source_of, trained
from pages.screens import SCREENS, STYLE, problem


@st.cache_resource(show_spinner="Preparing the demo …", max_entries=16)
def demonstration(name: str, number: int) -> Demonstration:
    """Return what all five screens show of task ``number``."""
    version, config = shipped()[name].path.stat().st_mtime, shipped()[name].config
    return demonstrate(trained(name, version), source_of(data_settings(config)), number)


def go(screen: int) -> None:
    """Turn to ``screen``, 1 is the first."""
    st.query_params["screen"] = str(screen)


asked = st.query_params.get("screen", "1")
screen = min(max(int(asked), 1), len(SCREENS)) if asked.isdecimal() and len(asked) < 9 else 1
if asked != str(screen):
    st.query_params["screen"] = str(screen)  # the address names a screen that is there
st.html(STYLE)
number = st.session_state.setdefault("demo-task", 0)
title, show = list(SCREENS.items())[screen - 1]
with st.container(key="demo-screen"), errors_in_place():
    st.title(title)
    if show is problem:
        problem()
    else:
        show(demonstration(demo_model(), number))
marks = "".join(f"<span class='{'here' if i + 1 == screen else ''}'></span>" for i in range(len(SCREENS)))
words = f"Screen {screen} of {len(SCREENS)}"
with st.container(
    horizontal=True, wrap=False, horizontal_alignment="distribute", vertical_alignment="center"
):
    st.button(
        "Back", icon=":material/arrow_back:", disabled=screen == 1, on_click=go, args=[screen - 1], width=105
    )
    st.html(
        f'<div class="demo-dots" role="img" aria-label="{words}" title="{words}">{marks}</div>',
        width="content",
    )
    st.button(
        "Next" if screen < len(SCREENS) else "Again",
        icon=":material/arrow_forward:" if screen < len(SCREENS) else ":material/replay:",
        type="primary",
        on_click=go,
        args=[screen % len(SCREENS) + 1],
        width=105,
    )
if screen == 1:
    with errors_in_place():
        demonstration(demo_model(), number)  # made ready while the first screen is read
