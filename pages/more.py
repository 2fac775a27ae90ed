"""Adding to the images on the page *Your data*: a class more, or more images of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pages.collect import content_name, kinds, read_singles

if TYPE_CHECKING:
    from metalab.data.reading import ImageSet


def with_more(key: str, held: ImageSet) -> tuple[str, ImageSet]:
    """Let the user add to ``held``, whose content is named ``key``; return both as they are then."""
    files: dict[str, list[tuple[str, bytes]]] = {}
    with st.expander("Add a class, or more images of one", icon=":material/add:"):
        place = 0
        while _one_more(f"{key}-{place}", files):  # a filled row calls for the next one
            place += 1
    if not files:
        return key, held
    added = content_name([(f"{label}/{name}", one) for label, row in files.items() for name, one in row])
    return f"{key}-{added}", held.joined(read_singles(added, files))


def _one_more(key: str, files: dict[str, list[tuple[str, bytes]]]) -> bool:
    """Ask for a class and images of it, which go into ``files``; return whether both were given."""
    row = st.columns([1, 2])
    label = (
        row[0].text_input("Class", key=f"more-name-{key}", placeholder="a new name, or one of yours").strip()
    )
    dropped = row[1].file_uploader(
        "Images to add", type=kinds(), accept_multiple_files=True, key=f"more-files-{key}"
    )
    if dropped and not label:
        st.caption("Which class are they? Give its name.")
    if not label or not dropped:
        return False
    files.setdefault(label, []).extend((file.name, file.getvalue()) for file in dropped)
    return True
