"""Documentation that is already on the machine: the docstrings of installed packages, read without importing.

All of it is under permissive licences (BSD, or matplotlib's); nothing of it is copied into metalab.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import importlib.metadata
import importlib.util
import json
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
CACHE_VERSION = 1


@dataclass(frozen=True)
class Docstring:
    """One docstring: where it stands (``package.module.name``) and its cleaned text."""

    where: str
    text: str


def docstrings(package: str) -> list[Docstring]:
    """Return the docstrings of the functions and classes of ``package``, in the order of its files.

    Equal texts count once. Read once for each installed version (seconds), then from the cache. Raises
    :class:`DataError` when the package is not installed.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise DataError(f"the package {package} is not installed", where="docstrings", fix="pip install it")
    root = Path(spec.submodule_search_locations[0])
    path = home() / "cache" / f"docstrings-{CACHE_VERSION}-{package}-{_version(package, root)}.json"
    held = _read_cache(path)
    if held is None:
        held = [[one.where, one.text] for one in _parse(package, root)]
        with contextlib.suppress(OSError):  # a cache that cannot be written is no error
            atomic_write(path, to_json(held))
    return [Docstring(*pair) for pair in held]


def _parse(package: str, root: Path) -> list[Docstring]:
    found: dict[str, Docstring] = {}
    for file in sorted(root.rglob("*.py")):
        place = file.relative_to(root)
        if SKIPPED.intersection(place.parts):
            continue
        try:
            tree = ast.parse(file.read_bytes())
        except (SyntaxError, ValueError, OSError, RecursionError):
            continue  # templates and files of other Python versions
        module = ".".join([package, *place.with_suffix("").parts])
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                text = ast.get_docstring(node)
                if text and len(text.split()) >= 12:
                    digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
                    found.setdefault(digest, Docstring(f"{module}.{node.name}", text))
    return list(found.values())


def _version(package: str, root: Path) -> str:
    names = importlib.metadata.packages_distributions().get(package, [package])
    try:
        return importlib.metadata.version(names[0])
    except importlib.metadata.PackageNotFoundError:
        return hashlib.sha256(str(root).encode()).hexdigest()[:12]


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
