"""The meta-gradient of a task or a batch, and its recording as a flat list of tensor operations.

A replay has no autograd and no functorch in it: it spends nothing on bookkeeping, runs in any thread, and
frees every intermediate after its last use. It runs the very operations that were recorded, in their order,
so its numbers are those of the ordinary run, bit for bit (``tests/test_execution.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._python_dispatch import TorchDispatchMode

from metalab.tasks import Examples, Task, TaskBatch


class Forward(Protocol):
    """A meta-learner, or a stand-in for it: (support, query, way) → meta-loss and outputs of one task."""

    score: Callable[[Tensor, Examples], Tensor]

    def __call__(self, support: Examples, query: Examples, way: int) -> tuple[Tensor, Tensor]:
        """Return meta-loss and outputs."""
        ...


Result = tuple[Tensor, Tensor, list[Tensor]]
"""Mean loss, mean score (:meth:`metalab.metalearners.MetaLearner.score`), gradients of the mean loss."""
LONGEST = 10_000
"""Operations in a recording at most: recording takes about a millisecond for each."""


def task_gradient(forward: Forward, task: Task, parameters: list[Tensor]) -> Result:
    """Return loss, score and gradients for ``parameters`` of one task."""
    loss, outputs = forward(task.support, task.query, task.way)
    return loss.detach(), forward.score(outputs.detach(), task.query), _gradients(loss, parameters)


def batch_gradient(forward: Forward, batch: TaskBatch, parameters: list[Tensor]) -> Result:
    """Return mean loss, mean score and gradients of the mean loss, all tasks in one batched call."""
    losses, scores = vmapped(forward, batch)
    loss = losses.mean()
    return loss.detach(), scores.detach().mean(), _gradients(loss, parameters)


def vmapped(forward: Forward, batch: TaskBatch) -> tuple[Tensor, Tensor]:
    """Return loss and score of every task (n_tasks,), all tasks in one batched call."""

    def one(*tensors: Tensor) -> tuple[Tensor, Tensor]:
        support, query = with_tensors(batch, tensors)
        loss, outputs = forward(support, query, batch.way)
        return loss, forward.score(outputs, query)

    return vmap(one)(*tensors_of(batch))


class Replay:
    """A recording of ``gradient`` for tasks shaped as ``task``; the meta-learner's tensors are read anew.

    Raises what torch raises where ``metalearner`` cannot be recorded, because it asks for a value, and
    :class:`OverflowError` where the recording would be too long.
    """

    def __init__(
        self,
        gradient: Callable[[Forward, Task | TaskBatch, list[Tensor]], Result],
        metalearner: nn.Module,
        task: Task | TaskBatch,
        parameters: list[Tensor],
    ) -> None:
        state = dict(metalearner.named_parameters()) | dict(metalearner.named_buffers())
        places = [next(i for i, own in enumerate(state.values()) if own is p) for p in parameters]
        self._metalearner = metalearner

        def flat(values: list[Tensor], tensors: list[Tensor]) -> Result:
            values = [value.detach() for value in values]
            leaves = [values[place].requires_grad_() for place in places]
            stand_in = dict(zip(state, values, strict=True))

            with _Limit():
                return gradient(
                    _StandIn(metalearner, stand_in),
                    type(task)(*with_tensors(task, tensors), task.way),
                    leaves,
                )

        self._graph = _simplified(make_fx(flat)(self._state(), tensors_of(task)))

    def _state(self) -> list[Tensor]:
        return [t.detach() for t in (*self._metalearner.parameters(), *self._metalearner.buffers())]

    def __call__(self, task: Task | TaskBatch) -> Result:
        """Return the meta-gradient of ``task`` under the meta-learner's present parameters and buffers."""
        with torch.no_grad():  # a thread has a mode of its own
            return self._graph(self._state(), tensors_of(task))


class _StandIn:
    """A meta-learner with other tensors in the place of its own."""

    def __init__(self, metalearner: nn.Module, tensors: dict[str, Tensor]) -> None:
        self._metalearner, self._tensors = metalearner, tensors
        self.score = metalearner.score

    def __call__(self, support: Examples, query: Examples, way: int) -> tuple[Tensor, Tensor]:
        return functional_call(self._metalearner, self._tensors, (support, query, way))


class _Limit(TorchDispatchMode):
    """Stops a recording at :data:`LONGEST` operations."""

    def __init__(self) -> None:
        super().__init__()
        self._left = LONGEST

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self._left -= 1
        if self._left < 0:
            raise OverflowError(f"more than {LONGEST} operations")
        return func(*args, **(kwargs or {}))


def shape_of(task: Task | TaskBatch) -> tuple[object, ...]:
    """Return what a recording depends on: the shapes and types of ``task``'s tensors, and its way."""
    parts = (task.support, task.query)
    return (task.way, *((part.mask is None, part.x.shape, part.y.shape, part.x.dtype) for part in parts))


def tensors_of(task: Task | TaskBatch) -> list[Tensor]:
    """Return the tensors of support and query that ``task`` has."""
    parts = (task.support.x, task.support.y, task.support.mask, task.query.x, task.query.y, task.query.mask)
    return [part for part in parts if part is not None]


def with_tensors(task: Task | TaskBatch, tensors: Iterable[Tensor]) -> tuple[Examples, Examples]:
    """Return support and query with ``tensors``, from :func:`tensors_of`, in place of ``task``'s own."""
    given = iter(tensors)
    return tuple(  # type: ignore[return-value]
        Examples(next(given), next(given), None if part.mask is None else next(given))
        for part in (task.support, task.query)
    )


def _gradients(loss: Tensor, parameters: list[Tensor]) -> list[Tensor]:
    gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
    return [torch.zeros_like(p) if g is None else g for g, p in zip(gradients, parameters, strict=True)]


def _simplified(recorded: GraphModule) -> GraphModule:
    """Drop unused operations, and the aliases that only autograd needs."""
    for node in recorded.graph.nodes:
        if node.target is torch.ops.aten.detach.default:
            node.replace_all_uses_with(node.args[0])
    recorded.graph.eliminate_dead_code()
    recorded.recompile()
    return recorded
