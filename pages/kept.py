"""What the page *Your data* computes once and keeps for all reruns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

if TYPE_CHECKING:
    from metalab.choice import Choice
    from metalab.data.reading import ImageSet, Note
    from metalab.inspection import TaskView
    from metalab.own import CrossRow


@st.cache_resource(show_spinner=False)
def warmed_up() -> None:
    """Read the ready models, once a server, while the visitor still looks for images."""
    from metalab.choice import read_ahead

    read_ahead()


@st.cache_resource(show_spinner=False, max_entries=8)
def adapted(key: str, _held: ImageSet, name: str) -> Choice:
    """Adapt the ready model ``name``, or the one that suits the images best; once, for all reruns."""
    from metalab.choice import adapt_as_asked

    return adapt_as_asked(_held.images, _held.labels, name)


@st.cache_data(show_spinner=False, ttl=60)
def local_names() -> list[str]:
    """Return the networks whose weights torchvision or timm left on this machine."""
    from metalab.backbones.local import PREFIX, local_weights

    return [PREFIX + name for name in sorted(local_weights())]


@st.cache_resource(show_spinner=False, max_entries=8)
def baselines(key: str, _choice: Choice) -> list[CrossRow]:
    """Cross-validate the method and every baseline on the examples."""
    from metalab.choice import untrained_backbone
    from metalab.own import cross_validate

    return cross_validate(_choice.model, untrained_backbone(_choice.name), _choice.name)


@st.cache_resource(show_spinner=False, max_entries=8)
def view_of(key: str, _choice: Choice) -> TaskView | None:
    """Look at features before and after adaptation; a third of each class is kept back as query."""
    from metalab.choice import untrained_backbone
    from metalab.own import view_support

    return view_support(_choice.model, untrained_backbone(_choice.name))


@st.cache_resource(show_spinner=False, max_entries=8)
def duplicates(key: str, _held: ImageSet) -> list[Note]:
    """Find images that are there twice."""
    from metalab.data.reading import leakage

    return leakage(_held)
