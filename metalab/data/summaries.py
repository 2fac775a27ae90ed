"""Documents with summaries that people wrote: docstrings of installed packages (PEP 257).

The first sentence of a docstring summarises it; what follows, under a heading with the name's words, is the
document. A group is a part of a package, the smallest module or sub-package with :data:`LEAST` pairs: it has
one subject and mostly one style. Splits share no package.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import re
from collections.abc import Sequence

from metalab.data.docstrings import (
    STANDARD_LIBRARY,
    Docstring,
    docstrings,
    installed,
    installed_version,
)
from metalab.data.pairs import Pair
from metalab.data.plain import plain
from metalab.errors import StorageError
from metalab.storage import atomic_write, home, to_json
from metalab.tasks import SPLITS, Split

PACKAGES: dict[Split, tuple[str, ...]] = {
    "train": (
        *("scipy", "sklearn", "pandas", "matplotlib", "torch", "sympy", STANDARD_LIBRARY, "plotly"),
        *("narwhals", "huggingface_hub", "hypothesis", "numba", "pydantic", "fontTools", "altair", "PIL"),
        *("mpmath", "joblib", "tifffile", "imageio", "google", "pyarrow", "absl", "onnx", "onnxruntime"),
        *("anyio", "pynndescent", "umap", "pyparsing", "packaging", "contourpy", "dateutil", "requests"),
    ),
    "validation": ("numpy", "streamlit", "fsspec", "jinja2", "click", "urllib3"),
    "test": ("skimage", "networkx", "nltk", "django", "babel"),
}
"""Packages that requirements.txt installs, directly or on the way. One that is missing is left out."""
CACHE_VERSION = 1
LEAST = 30
"""Pairs of a group, at least."""
FEWEST_WORDS, MOST_WORDS = 5, 25
"""Words of a summary."""
BODY_WORDS = 30
"""Words of a body, at least."""
GENERATED = ("plotly.graph_objs", "plotly.validators", "onnxruntime.transformers", "torch._numpy")
"""Written by programs, or copied from another package here."""
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z`*\"'(])")
_ABBREVIATION = re.compile(r"\b(e\.g|i\.e|etc|cf|vs|Eq|Fig|al|resp|approx|no)\.$")
_SPLIT_NAME = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")
_FIELD = re.compile(r"(^|\s)[:@]\w+[^:`]{0,40}:(?!`)")
_UNCLEAR = re.compile(r"^\W|>>>|\w\(.*\)\s*(->.*)?$|^\w+\(|::|https?:|@|\bdeprecated\b|[{}|\\<>=]{2}", re.I)


@functools.cache
def summaries(split: Split) -> dict[str, list[Pair]]:
    """Return the pairs of each group of ``split``; made once for the installed versions, then cached.

    No text and no summary is in two splits, nor twice in one.
    """
    versions = [
        (package, installed_version(package))
        for other in SPLITS[SPLITS.index(split) :]
        for package in PACKAGES[other]
        if installed(package)
    ]
    key = hashlib.sha256(f"{CACHE_VERSION} {versions}".encode()).hexdigest()[:16]
    path = home() / "cache" / f"summaries-{split}-{key}.json"
    with contextlib.suppress(OSError, ValueError, TypeError, AttributeError):  # a broken cache is made anew
        held = json.loads(path.read_bytes())
        return {group: [Pair(*pair) for pair in pairs] for group, pairs in held.items()}
    groups = _made(split)
    rows = {group: [[pair.source, pair.target] for pair in pairs] for group, pairs in groups.items()}
    with contextlib.suppress(StorageError):  # a cache that cannot be written is no error
        atomic_write(path, to_json(rows))
    return groups


def _made(split: Split) -> dict[str, list[Pair]]:
    seen = _seen_before(split)
    held: list[tuple[str, Pair]] = []
    for package in PACKAGES[split]:
        if installed(package):
            for one in docstrings(package):
                if (made := pair_of(one)) is not None and not seen & (own := keys(made)):
                    seen |= own
                    held.append((one.where, made))
    return _grouped(held)


def pair_of(one: Docstring) -> Pair | None:
    """Return the document and its summary; None where it is no honest example."""
    if one.where.startswith(GENERATED):
        return None
    text = one.text.strip()
    first = text.partition("\n\n")[0]
    told = sentences(" ".join(first.split()))[0].split()
    end = re.match(r"\s+".join(re.escape(word) for word in told), text).end()
    summary, rest = plain(" ".join(told)), text[end:]
    words = summary.split()
    if not FEWEST_WORDS <= len(words) <= MOST_WORDS or _UNCLEAR.search(summary) or _FIELD.search(first[:end]):
        return None
    if summary.endswith((":", ",")) or sum(word.strip(".,;'()").isalpha() for word in words) < 0.6 * len(
        words
    ):
        return None
    body = plain(rest)
    if len(body.split()) < BODY_WORDS:
        return None
    return Pair(f"{heading(one.where)}\n{body}", summary)


def heading(where: str) -> str:
    """Return the words of the name of a docstring's owner, its class before it."""
    parts = where.split(".")
    shown = parts[-2:] if parts[-2][:1].isupper() or parts[-2].lstrip("_")[:1].isupper() else parts[-1:]
    return ": ".join(" ".join(_SPLIT_NAME.findall(part)).lower() or part for part in shown)


def sentences(text: str) -> list[str]:
    """Return the sentences of ``text``; lines end sentences too."""
    found: list[str] = []
    for line in text.split("\n"):
        open_ = False
        for part in _SENTENCE.split(line.strip()):
            if open_:
                found[-1] += f" {part}"
            elif part:
                found.append(part)
            open_ = bool(_ABBREVIATION.search(part))
    return found or [""]


def keys(pair: Pair) -> set[str]:
    """Return what no other pair may share: the body and the summary, bare."""
    return {bare(pair.source.partition("\n")[2]), bare(pair.target)}


def bare(text: str) -> str:
    """Return the words of ``text`` without case and marks."""
    return re.sub(r"\W+", " ", text.lower()).strip()


def _seen_before(split: Split) -> set[str]:
    """Return the keys of the splits that keep what ``split`` has as well: test, then validation."""
    first = SPLITS[SPLITS.index(split) + 1 :]
    return {
        key for other in first for pairs in summaries(other).values() for pair in pairs for key in keys(pair)
    }


def _grouped(held: Sequence[tuple[str, Pair]]) -> dict[str, list[Pair]]:
    """Return pairs by the deepest part of their package that has :data:`LEAST` of them left."""
    waiting: dict[str, list[tuple[str, Pair]]] = {}
    for where, pair in held:
        waiting.setdefault(where.rpartition(".")[0], []).append((where, pair))
    groups: dict[str, list[Pair]] = {}
    while waiting:
        name = max(waiting, key=lambda key: (key.count("."), key))
        pairs = waiting.pop(name)
        if len(pairs) >= LEAST:
            groups[name] = [pair for _, pair in pairs]
        elif "." in name:
            waiting.setdefault(name.rpartition(".")[0], []).extend(pairs)
    return dict(sorted(groups.items()))
