"""Which picture file an annotation means: its path may count from elsewhere, or come from another machine."""

from __future__ import annotations

import posixpath
from pathlib import PurePosixPath

from metalab.data.archives import Tree, is_image

MASK_FOLDERS = {"masks", "mask", "segmentationclass", "segmentationobject"}
PICTURE_FOLDERS = {"images", "image", "imgs", "img", "jpegimages"}
COMPARED = 100  # files of one name


class Files:
    """The picture files of a tree by name; only listed files are ever found, wherever a path leads."""

    def __init__(self, tree: Tree) -> None:
        self.images = [name for name in tree.files if is_image(name)]
        self.all = set(tree.files)
        self.folders = {posixpath.basename(name) for name in tree.folders}
        self.by_name: dict[str, list[str]] = {}
        self.by_stem: dict[str, list[str]] = {}
        for name in self.images:
            path = PurePosixPath(name)
            self.by_name.setdefault(path.name, []).append(name)
            if not MASK_FOLDERS & {part.lower() for part in path.parts[:-1]}:
                self.by_stem.setdefault(path.stem, []).append(name)

    def named(self, path: str, beside: str) -> str | None:
        """Return the picture that ``path`` means in the annotation file ``beside``.

        None when there is none, or when several are as likely: nothing is guessed.
        """
        path = posixpath.normpath(path.replace("\\", "/"))
        exact = posixpath.normpath(posixpath.join(posixpath.dirname(beside), path))
        held = self.by_name.get(posixpath.basename(path), [])
        if exact in self.all and is_image(exact):
            return exact
        # "val/1.jpg" is not the "1.jpg" of another folder where there is a folder "val".
        folder = posixpath.basename(posixpath.dirname(path))
        if folder in self.folders:
            held = [name for name in held if posixpath.basename(posixpath.dirname(name)) == folder]
        return _nearest(held, path, beside)

    def of_stem(self, stem: str, beside: str) -> str | None:
        """Return the picture that is called ``stem`` and lies nearest to ``beside``, else None."""
        return _nearest(self.by_stem.get(stem, []), stem, beside)


def _nearest(names: list[str], path: str, beside: str) -> str | None:
    """Return the one of ``names`` that ends most like ``path``, or else lies closest to ``beside``."""
    if len(names) < 2 or len(names) > COMPARED:
        return names[0] if len(names) == 1 else None
    wanted, folder = PurePosixPath(path).parts, PurePosixPath(beside).parts[:-1]
    stem = PurePosixPath(beside).stem

    def rank(name: str) -> tuple[int, int, bool]:
        parts = PurePosixPath(name).parts
        # "instances_val2017.json" belongs to the folder "val2017".
        belongs = any(len(part) > 2 and stem.endswith(part) for part in parts[:-1])
        return _common(parts[::-1], wanted[::-1]), _common(parts[:-1], folder), belongs

    ranked = sorted(names, key=rank)
    return None if rank(ranked[-1]) == rank(ranked[-2]) else ranked[-1]


def _common(one: tuple[str, ...], other: tuple[str, ...]) -> int:
    count = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        count += 1
    return count
