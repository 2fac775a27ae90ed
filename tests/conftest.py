"""Every test session has a metalab home of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def metalab_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    home = tmp_path_factory.mktemp("home")
    before = os.environ.get("METALAB_HOME")
    os.environ["METALAB_HOME"] = str(home)
    yield home
    if before is None:
        del os.environ["METALAB_HOME"]
    else:
        os.environ["METALAB_HOME"] = before
