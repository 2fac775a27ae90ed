"""Starting a module of metalab in a process of its own, which keeps its caller's lock while it lives."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def start_module(
    module: str, arguments: Sequence[str], lock: int, unbuffered: bool = False, **settings: Any
) -> subprocess.Popen[bytes]:
    """Run ``python -m module arguments`` with this very copy of metalab, whatever the folder.

    The process inherits the handle ``lock``; the caller closes its own. ``settings`` are those of
    :class:`subprocess.Popen`. Raises :class:`OSError`.
    """
    package = str(Path(__file__).resolve().parents[1])
    path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdin=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": path, **({"PYTHONUNBUFFERED": "1"} if unbuffered else {})},
        pass_fds=[lock],
        **settings,
    )
    threading.Thread(target=process.wait, daemon=True).start()  # no zombie while this process lives on
    return process
