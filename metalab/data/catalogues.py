"""Interface phrases and names in many languages: Django's catalogues (BSD), Babel's CLDR (Unicode licence).

Both are read from the installed packages. Short texts, no prose: buttons, messages, names of languages,
territories, currencies and scripts.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.util
import json
import unicodedata
from pathlib import Path

from metalab.data.docstrings import installed_version
from metalab.data.languages import LEAST, LEFT_OUT
from metalab.data.pairs import Pair
from metalab.data.placeholders import unbalanced
from metalab.data.po import po_rows
from metalab.errors import DataError, StorageError
from metalab.storage import atomic_write, home, to_json

PACKAGES = ("django", "babel")
CACHE_VERSION = 1
LONGEST = 120
"""Characters of a text."""
NAMES = 260
"""Names of a language, at most: else they would outnumber phrases ten to one."""
SECTIONS = ("languages", "territories", "currencies", "scripts")
SCRIPTS = {"sr_Latn", "zh_Hans", "zh_Hant"}
"""Languages that are written in two scripts count as two."""


@functools.cache
def catalogues() -> dict[str, list[Pair]]:
    """Return the pairs of every language with enough of them, by its code; read once, then cached.

    Of a language no source occurs twice, no target is its source, and placeholders are balanced. Raises
    :class:`DataError` when the packages are missing.
    """
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise DataError(
            f"needs the packages {' and '.join(missing)}",
            where="source: catalogues",
            fix=f"pip install {' '.join(missing)}",
        )
    key = f"{CACHE_VERSION}-" + "-".join(installed_version(name) for name in PACKAGES)
    path = home() / "cache" / f"catalogues-{key}.json"
    with contextlib.suppress(OSError, ValueError, TypeError, AttributeError):  # a broken cache is made anew
        held = json.loads(path.read_bytes())
        return {code: [Pair(*pair) for pair in pairs] for code, pairs in held.items()}
    held = _read()
    rows = {code: [[pair.source, pair.target] for pair in pairs] for code, pairs in held.items()}
    with contextlib.suppress(StorageError):  # a cache that cannot be written is no error
        atomic_write(path, to_json(rows))
    return held


def language_name(code: str) -> str:
    """Return the English name of a language."""
    from babel import Locale

    with contextlib.suppress(ValueError, LookupError):
        return Locale.parse(code).get_display_name("en") or code
    return code


def _read() -> dict[str, list[Pair]]:
    found: dict[str, dict[str, str]] = {}
    for path in sorted(Path(importlib.util.find_spec("django").origin).parent.glob("**/LC_MESSAGES/*.po")):
        code = path.parent.parent.name
        if "_" not in code or code in SCRIPTS:
            own = found.setdefault(code, {})
            for _, row in po_rows(path.read_bytes(), path.name, []):
                own.setdefault(row["source"], row["target"])
    for code, names in _names().items():
        own = found.setdefault(code, {})
        for source, target in names.items():
            own.setdefault(source, target)
    held = {}
    for code in sorted(found.keys() - set(LEFT_OUT)):
        pairs = [Pair(_clean(source), _clean(target)) for source, target in found[code].items()]
        pairs = [pair for pair in pairs if _honest(pair)]
        if len(pairs) >= LEAST:
            held[code] = pairs
    return held


def _names() -> dict[str, dict[str, str]]:
    """Return the English and own names of :data:`SECTIONS` in each language: those with least hashes."""
    from babel import Locale, localedata

    english = Locale("en")
    held = {}
    for code in sorted(localedata.locale_identifiers()):
        if "_" in code and code not in SCRIPTS:
            continue
        locale, own = Locale.parse(code), {}
        for section in SECTIONS:
            ours, theirs = getattr(english, section), getattr(locale, section)
            own |= {ours[key]: theirs[key] for key in ours if theirs.get(key, key) not in (key, ours[key])}
        kept = sorted(own, key=lambda text: hashlib.sha256(text.encode()).digest())[:NAMES]
        held[code] = {source: own[source] for source in kept}
    return held


def _clean(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).split())


def _honest(pair: Pair) -> bool:
    return bool(
        pair.source
        and pair.target
        and pair.source.lower() != pair.target.lower()
        and max(len(pair.source), len(pair.target)) <= LONGEST
        and not unbalanced(pair.source, pair.target)
    )
