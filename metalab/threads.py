"""Small work on a CPU whose cores may be busy: pieces of one torch thread each, spread over Python threads.

Torch's threads share every single operation and wait for one another after it: for small operations on busy
cores that costs a factor of ten.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch
from threadpoolctl import threadpool_limits

Piece = TypeVar("Piece")
Result = TypeVar("Result")


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread in what follows, in this Python thread alone."""
    torch.get_num_threads()  # makes torch set this thread's number now, and not over the limit later
    with threadpool_limits(1, user_api="openmp"):
        yield


def spread(function: Callable[[Piece], Result], pieces: Iterable[Piece]) -> list[Result]:
    """Return ``function`` of each piece, in order; a core works at a piece on its own."""

    def alone(piece: Piece) -> Result:
        with one_thread():
            return function(piece)

    with ThreadPoolExecutor(cores()) as pool:
        return list(pool.map(alone, pieces))
