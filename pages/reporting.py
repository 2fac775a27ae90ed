"""Reports of runs to download."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from metalab.errors import MetalabError

if TYPE_CHECKING:
    from metalab.runs import Run


def report(run: Run) -> str:
    """Return the report of ``run``, or a page that says why there is none: it may be gone by now."""
    from metalab.report import report_html  # only when asked for

    try:
        return report_html(run)
    except MetalabError as error:
        words = html.escape(str(error))
        return f"<!doctype html><meta charset='utf-8'><title>No report</title><p>{words}</p>"
