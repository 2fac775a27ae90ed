"""A million rows of ratings with bad lines among them: seconds and memory until tasks can be drawn."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

BAD = 1000
"""Rows that cannot be used, of several kinds."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's flags."""
    parser.add_argument("--rows", type=int, default=1_000_000, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0)


def run(arguments: argparse.Namespace) -> int:
    """Write the table, read it in a process of its own, and print what that took."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ratings.csv"
        write(path, arguments.rows, arguments.seed)
        code = f"from metalab.bench.events import read; read({str(path)!r})"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        size = path.stat().st_size
    held = json.loads(done.stdout)
    print(
        f"{held['rows']} rows ({size / 1e6:.0f} MB): {held['seconds']:.1f} s, {held['peak'] / 1e6:.0f} MB at "
        f"most; {held['kept']} rows of {held['users']} users kept, {held['faults']} named as faulty"
    )
    return 0


def write(path: Path, rows: int, seed: int) -> None:
    """Write ratings with a title, a genre and a country; every so often a row is broken."""
    rng = np.random.default_rng(seed)
    users, items = rng.integers(0, rows // 50, rows), (rng.pareto(1.2, rows) * 50).astype(int) % 20_000
    ratings, times = rng.integers(1, 6, rows), rng.integers(1_400_000_000, 1_700_000_000, rows)
    bad = set(rng.choice(rows, min(BAD, rows // 100), replace=False).tolist())
    with path.open("w", encoding="utf-8") as file:
        file.write("user,item,rating,timestamp,title,genre,country\n")
        for row, (user, item, rating, when) in enumerate(
            zip(users.tolist(), items.tolist(), ratings.tolist(), times.tolist(), strict=True)
        ):
            cells = [
                f"u{user}",
                f"i{item}",
                str(rating),
                str(when),
                f"Title {item}",
                f"g{item % 12}",
                f"c{user % 9}",
            ]
            if row in bad:
                kind = row % 4
                if kind == 0:
                    cells[2] = "many"
                elif kind == 1:
                    cells[2] = "77"
                elif kind == 2:
                    cells[0] = ""
                else:
                    cells.append("one too many")
            file.write(",".join(cells) + "\n")


def read(path: str) -> None:
    """Read the table, make a source of it, and print figures as JSON."""
    import torch

    from metalab.data.event_source import EventSource
    from metalab.data.events_in import read_events
    from metalab.tasks import TaskShape
    from metalab.training import peak_memory

    started = time.perf_counter()
    held = read_events(Path(path), "ratings", leave_out=True)
    source = EventSource("ratings", held.events, by_time=False)
    source.sample(8, "train", TaskShape(1, 10, 20), torch.Generator().manual_seed(0))
    seconds = time.perf_counter() - started
    figures = {
        "seconds": seconds,
        "peak": peak_memory(torch.device("cpu")),
        "rows": held.rows,
        "kept": len(held.events.outcome),
        "users": len(held.events),
        "faults": len(held.faults),
    }
    print(json.dumps(figures))
