"""How images come into the page *Your data*: a zip, class by class, the camera, or a path on the server."""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING

import streamlit as st

if TYPE_CHECKING:
    from metalab.data.reading import ImageSet

ZIP, ONE_BY_ONE, PATH, SAMPLE = "A zip", "Class by class", "A path on the server", "Sample photos"


def kinds() -> list[str]:
    """Return the endings of image files. Asked late: a page is drawn before the engine is read."""
    from metalab.data.archives import ENDINGS

    return sorted(ending.removeprefix(".") for ending in ENDINGS)


@st.cache_resource(show_spinner="Reading the images …", max_entries=4)
def read_archive(key: str, _content: bytes, name: str) -> ImageSet:
    """Read an uploaded zip or .npz; once, for all reruns."""
    from metalab.data.reading import read_images

    file = io.BytesIO(_content)
    file.name = name
    return read_images(file)


@st.cache_resource(show_spinner="Reading the images …", max_entries=4)
def read_singles(key: str, _files: dict[str, list[tuple[str, bytes]]]) -> ImageSet:
    """Read single images by class; once, for all reruns."""
    from metalab.data.reading import single_images

    return single_images(_files)


@st.cache_resource(show_spinner="Reading the images …", max_entries=4)
def read_path(key: str, path: str) -> ImageSet:
    """Read a path on the server; once, until :func:`metalab.data.reading.stamp` gives another ``key``."""
    from metalab.data.reading import read_images

    return read_images(path)


@st.cache_resource(show_spinner=False)
def samples() -> ImageSet:
    """Cut the sample photos; once, for all reruns."""
    from metalab.own import sample_photos

    return sample_photos()


def collect() -> tuple[str, ImageSet] | None:
    """Let the user bring images; return them with a name for their content, None until there are enough."""
    from metalab.data.reading import require_classes, stamp

    how = st.segmented_control(
        "Images from", [ZIP, ONE_BY_ONE, PATH, SAMPLE], default=ZIP, required=True, key="own-how"
    )
    if how == SAMPLE:
        st.caption("Crops of six photos that come with scikit-image and scikit-learn: to see how it works.")
        return "sample", samples()
    if how == ONE_BY_ONE:
        return class_by_class()
    if how == PATH:
        path = st.text_input(
            "Folder, zip, CSV or .npz",
            key="own-path",
            placeholder="/data/defects",
            help="A folder with one sub-folder per class, a zip of such a folder, a CSV of (path, label), or "
            "a NumPy file with the arrays `images` and `labels`.",
        )
        if not path:
            return None
        key = stamp(path)
        return key, require_classes(read_path(key, path))
    upload = st.file_uploader(
        "A zip with one folder per class, or a NumPy file",
        type=["zip", "npz"],
        key="own-zip",
        help="A zip: for example `cat/1.png, cat/2.png, dog/1.png …`, also with a CSV of (path, label). "
        "A `.npz`: the arrays `images` (n, height, width), with channels for colour, and `labels` (n,), as "
        "`np.savez_compressed` writes them.",
    )
    if upload is None:
        return None
    content = upload.getvalue()
    key = content_name([(upload.name, content)])
    return key, require_classes(read_archive(key, content, upload.name))


def class_by_class() -> tuple[str, ImageSet] | None:
    """Let the user name classes and drop images of each, or take them with the camera."""
    from metalab.data.reading import require_classes

    number = st.number_input("Classes", 2, 30, 2, key="own-number")
    files: dict[str, list[tuple[str, bytes]]] = {}
    for row in range(0, number, 3):
        for column, place in zip(st.columns(3), range(row, min(row + 3, number)), strict=False):
            with column.container(border=True):
                name = st.text_input("Class", f"class {place + 1}", key=f"own-name-{place}").strip()
                dropped = st.file_uploader(
                    "Images", type=kinds(), accept_multiple_files=True, key=f"own-files-{place}"
                )
                found = [(file.name, file.getvalue()) for file in dropped]
                if st.toggle("Camera", key=f"own-camera-{place}"):
                    shot = st.camera_input("Take a picture", key=f"own-shot-{place}")
                    kept = st.session_state.setdefault(f"own-shots-{place}", {})
                    if shot is not None:
                        kept[shot.file_id] = (f"camera {len(kept) + 1}", shot.getvalue())
                    found += [*kept.values()]
                    st.caption(f"{len(kept)} taken")
                if name and found:
                    files.setdefault(name, []).extend(found)
    if len(files) < 2:
        st.caption("Drop images into two classes or more.")
        return None
    key = content_name(
        [(f"{name}/{file}", content) for name, held in files.items() for file, content in held]
    )
    return key, require_classes(read_singles(key, files))


def content_name(files: list[tuple[str, bytes]]) -> str:
    """Return a short name that other names or bytes of ``files`` would change."""
    digest = hashlib.sha256()
    for name, content in files:
        digest.update(name.encode())
        digest.update(content)
    return digest.hexdigest()[:16]
