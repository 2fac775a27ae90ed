"""Documentation that is already on the machine: the docstrings of installed packages, read without importing.

All of it is under permissive licences (BSD, or matplotlib's); nothing of it is copied into metalab.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import hashlib
import importlib.metadata
import importlib.util
import json
import platform
import sysconfig
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from metalab.errors import DataError
from metalab.storage import atomic_write, home, to_json
from metalab.tasks import Split

PACKAGES: dict[Split, tuple[str, ...]] = {
    "train": ("scipy", "sklearn", "pandas", "matplotlib"),
    "validation": ("numpy",),
    "test": ("skimage", "networkx"),
}
"""Packages are what splits share nothing of. metalab depends on all but two, which torch (networkx) and
Streamlit (pandas) bring along."""
SKIPPED = {"tests", "testing", "_vendor", "externals", "conftest.py", "setup.py"}
STANDARD_LIBRARY = "python"
"""Stands for Python's standard library among packages."""
_NOT_LIBRARY = {"site-packages", "dist-packages", "test", "idlelib", "lib2to3", "turtledemo", "ensurepip"}
CACHE_VERSION = 2


@dataclass(frozen=True)
class Docstring:
    """One docstring: where it stands (``package.module.name``, of a method ``package.module.Class.name``) and
    its cleaned text."""

    where: str
    text: str


def docstrings(package: str) -> list[Docstring]:
    """Return the docstrings of the functions and classes of ``package``, in the order of its files.

    Equal texts count once. Read once for each installed version (seconds), then from the cache. Raises
    :class:`DataError` when the package is not installed.
    """
    root = _root(package)
    path = home() / "cache" / f"docstrings-{CACHE_VERSION}-{package}-{_version(package, root)}.json"
    held = _read_cache(path)
    if held is None:
        held = [[one.where, one.text] for one in _parse(package, root)]
        with contextlib.suppress(OSError):  # a cache that cannot be written is no error
            atomic_write(path, to_json(held))
    return [Docstring(*pair) for pair in held]


def installed(package: str) -> bool:
    """Return whether :func:`docstrings` can read ``package``."""
    try:
        _root(package)
    except DataError:
        return False
    return True


def installed_version(package: str) -> str:
    """Return the version of ``package`` as caches are keyed by it. Raises :class:`DataError`."""
    return _version(package, _root(package))


def _root(package: str) -> Path:
    if package == STANDARD_LIBRARY:
        return Path(sysconfig.get_path("stdlib"))
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise DataError(f"the package {package} is not installed", where="docstrings", fix="pip install it")
    return Path(spec.submodule_search_locations[0])


def _parse(package: str, root: Path) -> list[Docstring]:
    skipped = SKIPPED | _NOT_LIBRARY if package == STANDARD_LIBRARY else SKIPPED
    found: dict[str, Docstring] = {}
    for file in sorted(root.rglob("*.py")):
        place = file.relative_to(root)
        if skipped.intersection(place.parts):
            continue
        try:
            tree = ast.parse(file.read_bytes())
        except (SyntaxError, ValueError, OSError, RecursionError):
            continue  # templates and files of other Python versions
        waiting = deque([(tree, ".".join([package, *place.with_suffix("").parts]))])
        while waiting:  # breadth first
            node, where = waiting.popleft()
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                where = f"{where}.{node.name}"
                text = ast.get_docstring(node)
                if text and len(text.split()) >= 12:
                    digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
                    found.setdefault(digest, Docstring(where, text))
            waiting.extend((child, where) for child in ast.iter_child_nodes(node))
    return list(found.values())


def _version(package: str, root: Path) -> str:
    if package == STANDARD_LIBRARY:
        return platform.python_version()
    names = _distributions().get(package, [package])
    try:
        return importlib.metadata.version(names[0])
    except importlib.metadata.PackageNotFoundError:
        return hashlib.sha256(str(root).encode()).hexdigest()[:12]


@functools.cache
def _distributions() -> Mapping[str, list[str]]:
    return importlib.metadata.packages_distributions()


def _read_cache(path: Path) -> list[list[str]] | None:
    try:
        held = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    fits = isinstance(held, list) and all(
        isinstance(pair, list) and len(pair) == 2 and all(isinstance(part, str) for part in pair)
        for pair in held
    )
    return held if fits else None
