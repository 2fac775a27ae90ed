"""Pieces of work on single torch threads."""

from __future__ import annotations

import threading

import torch

from metalab.threads import cores, one_thread, spread


def test_pieces_keep_their_order_and_use_one_torch_thread_each() -> None:
    before = torch.get_num_threads()
    seen = spread(lambda number: (number, torch.get_num_threads()), range(20))
    assert seen == [(number, 1) for number in range(20)]
    assert torch.get_num_threads() == before
    with one_thread():
        assert torch.get_num_threads() == 1
        others: list[int] = []
        thread = threading.Thread(target=lambda: others.append(torch.get_num_threads()))
        thread.start()
        thread.join()
    assert others == [before], "other threads are not limited"
    assert torch.get_num_threads() == before
    assert cores() >= 1
