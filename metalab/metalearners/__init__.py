"""Step 3, meta-learning: one algorithm per file, all with the two verbs ``adapt`` and ``predict``.

To add one: write ``metalab/metalearners/<name>.py`` with a :class:`MetaLearner` subclass. Every module of
this package is found by itself, so it then appears in the CLI, the pages and the benchmarks.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import Any

from pydantic import ValidationError

from metalab.errors import ConfigError
from metalab.metalearners.base import FAMILIES, MetaLearner, State


@cache
def every_metalearner() -> dict[str, type[MetaLearner]]:
    """Return every meta-learner class by its name, whatever its application."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    named = (cls for cls in _subclasses(MetaLearner) if "name" in vars(cls))
    images = MetaLearner.application  # those of images first
    order = sorted(named, key=lambda cls: (cls.application != images, cls.application, cls.order))
    return {cls.name: cls for cls in order}


def metalearners(application: str = "image-classification") -> dict[str, type[MetaLearner]]:
    """Return the meta-learner classes of ``application`` by name."""
    return {name: cls for name, cls in every_metalearner().items() if cls.application == application}


def _subclasses(cls: type[MetaLearner]) -> list[type[MetaLearner]]:
    found = [sub for child in cls.__subclasses__() for sub in (child, *_subclasses(child))]
    return [sub for sub in found if sub.__module__.startswith(__name__)]


def get_metalearner(name: str) -> type[MetaLearner]:
    """Return the class called ``name``; raises :class:`ConfigError` listing the known ones."""
    known = every_metalearner()
    if name not in known:
        raise ConfigError(
            f"no meta-learner is called {name!r}", where="metalearner", fix=f"Known are {', '.join(known)}"
        )
    return known[name]


def family(cls: type[MetaLearner]) -> str:
    """Return the family of a meta-learner, in words."""
    return FAMILIES[cls.order // 10]


def check_options(name: str, options: dict[str, Any]) -> Any:
    """Return the validated options of meta-learner ``name``; raises :class:`ConfigError`."""
    cls = get_metalearner(name)
    try:
        return cls.Options(**options)
    except ValidationError as error:
        item = error.errors()[0]
        known = ", ".join(cls.Options.model_fields) or "none"
        raise ConfigError(
            f"{item['msg']} (given: {item['input']!r})",
            where=f"options.{'.'.join(map(str, item['loc']))}",
            fix=f"Options of {name}: {known}",
        ) from None


__all__ = [
    "MetaLearner",
    "State",
    "check_options",
    "every_metalearner",
    "family",
    "get_metalearner",
    "metalearners",
]
