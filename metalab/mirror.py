"""An optional copy of a run in MLflow. The run store stays the truth: a failure here never fails the run."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

from metalab.evaluation import Evaluation
from metalab.progress import Progress
from metalab.runs import Run

EVERY = 20
"""Training steps between two logged points."""


class Mirror:
    """Copies parameters, metrics and the evaluation of ``run``, if ``MLFLOW_TRACKING_URI`` is set.

    Needs the package mlflow, which is imported in the job alone, and only then.
    """

    def __init__(self, run: Run) -> None:
        self._client: Any = None
        self._id = ""
        if os.environ.get("MLFLOW_TRACKING_URI"):
            self._attempt(lambda: self._start(run))

    def _start(self, run: Run) -> None:
        from mlflow import MlflowClient

        client = MlflowClient()
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "metalab")
        known = client.get_experiment_by_name(name)
        experiment = known.experiment_id if known else client.create_experiment(name)
        self._id = client.create_run(experiment, run_name=run.name, tags={"metalab.run": run.id}).info.run_id
        self._client = client
        for key, value in run.config.model_dump(mode="json").items():
            client.log_param(self._id, key, value)

    def progress(self, progress: Progress) -> None:
        """Copy one event of pre-training, training or meta-validation."""
        if progress.kind == "validation" or (
            progress.kind in ("pretrain", "train") and progress.step % EVERY == 0
        ):
            for key in ("loss", "accuracy"):
                if (value := getattr(progress, key)) is not None:
                    self._log(f"{progress.kind}_{key}", value, progress.step)

    def evaluation(self, evaluation: Evaluation) -> None:
        """Copy the rows of the evaluation table."""
        for row in evaluation.rows:
            self._log(f"test_accuracy_{row.method}", row.accuracy, 0)

    def end(self, status: str) -> None:
        """Mark the copy as FINISHED, FAILED or KILLED."""
        if self._client:
            self._attempt(lambda: self._client.set_terminated(self._id, status))

    def _log(self, key: str, value: float, step: int) -> None:
        if self._client:
            self._attempt(lambda: self._client.log_metric(self._id, key, value, step=step))

    def _attempt(self, action: Callable[[], Any]) -> None:
        try:
            action()
        except Exception as error:  # a server that is away must not cost the training
            print(f"MLflow mirror switched off: {type(error).__name__}: {error}", file=sys.stderr)
            self._client = None
