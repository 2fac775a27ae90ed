"""Pieces of work on single torch threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import torch

from metalab.threads import cores, one_thread, spread


def elsewhere() -> int:
    """Return how many threads torch uses in a new Python thread."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(torch.get_num_threads).result()


def test_pieces_keep_their_order_and_use_one_torch_thread_each() -> None:
    here, there = torch.get_num_threads(), elsewhere()
    seen = spread(lambda number: (number, torch.get_num_threads()), range(20))
    assert seen == [(number, 1) for number in range(20)]
    with one_thread():
        assert torch.get_num_threads() == 1
        assert elsewhere() == there, "other threads are not limited"
    assert (torch.get_num_threads(), elsewhere()) == (here, there)
    assert cores() >= 1
