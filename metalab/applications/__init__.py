"""The applications: one file each, found by itself. What they share is the engine."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from metalab.applications.base import Application
from metalab.config import APPLICATIONS
from metalab.errors import ConfigError


@cache
def applications() -> dict[str, Application]:
    """Return every application by name."""
    modules = (importlib.import_module(f"{__name__}.{item.name}") for item in pkgutil.iter_modules(__path__))
    found = [module.APPLICATION for module in modules if hasattr(module, "APPLICATION")]
    return {one.name: one for one in sorted(found, key=lambda one: APPLICATIONS.index(one.name))}


def offered() -> dict[str, Application]:
    """Return those that have baselines to be judged by: no other is shown to users."""
    return {name: one for name, one in applications().items() if one.baselines}


def application(name: str) -> Application:
    """Return the application called ``name``; raises :class:`ConfigError` listing the known ones."""
    known = applications()
    if name not in known:
        raise ConfigError(
            f"no application is called {name!r}", where="application", fix=f"Known are {', '.join(known)}"
        )
    return known[name]


__all__ = ["Application", "application", "applications", "offered"]
