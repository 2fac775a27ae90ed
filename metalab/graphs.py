"""The meta-gradient of a batch of tasks as one CUDA graph: the GPU runs all kernels of a step at one call.

Small tasks leave a GPU waiting for the CPU to launch kernels; a graph (``torch.cuda.CUDAGraph``) launches
them all at once. It runs the kernels of the ordinary batched call, in their order.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from metalab.metalearners import MetaLearner
from metalab.tasks import TaskBatch
from metalab.tracing import Forward, Result, tensors_of, with_tensors

WARM = 3
"""Ordinary runs before one is captured: libraries choose and load their kernels in them."""


class Graph:
    """A captured ``gradient`` for batches shaped as ``batch``; the meta-learner's tensors are read where they
    are, so a step that changes them in place is seen.

    Results are copies. Raises what torch raises where the meta-learner cannot be captured, since it asks for
    a value on the CPU.
    """

    def __init__(
        self,
        gradient: Callable[[Forward, TaskBatch, list[Tensor]], Result],
        metalearner: MetaLearner,
        batch: TaskBatch,
        parameters: list[Tensor],
    ) -> None:
        own = [tensor.clone() for tensor in tensors_of(batch)]
        self._batch = TaskBatch(*with_tensors(batch, own), batch.way)
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(WARM):
                gradient(metalearner, self._batch, parameters)
        torch.cuda.current_stream().wait_stream(aside)
        torch.cuda.empty_cache()  # of the side stream, which nothing else could use
        self._graph = torch.cuda.CUDAGraph()
        # A thread may draw the next tasks meanwhile: only this one's calls are captured, and watched.
        with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
            self._result = gradient(metalearner, self._batch, parameters)

    def __call__(self, batch: TaskBatch) -> Result:
        """Return the meta-gradient of ``batch`` under the meta-learner's present tensors."""
        for own, given in zip(tensors_of(self._batch), tensors_of(batch), strict=True):
            own.copy_(given)
        self._graph.replay()
        loss, right, gradients = self._result
        return loss.clone(), right.clone(), [gradient.clone() for gradient in gradients]
