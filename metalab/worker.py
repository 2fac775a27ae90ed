"""What a training process does: the four steps for one run, told to the run store as they happen."""

from __future__ import annotations

import argparse
import platform
import sys
import time
import traceback
from pathlib import Path

import torch

from metalab.adaptation import describe
from metalab.api import create_metalearner
from metalab.backbones import Backbone, create_backbone
from metalab.candidates import as_pairs
from metalab.checkpoints import save_checkpoint
from metalab.config import CLASSIFIERS, FORMAT, RECOMMENDERS, WRITERS, Config
from metalab.data import create_source
from metalab.data.questions import windows_at
from metalab.embeddings import embed
from metalab.errors import MetalabError, StorageError
from metalab.evaluation import TEST_SEED, Evaluation, evaluate
from metalab.execution import choose_device
from metalab.inspection import inspect_task
from metalab.inspection_answers import inspect_answers
from metalab.inspection_events import inspect_events
from metalab.inspection_pictures import inspect_pictures
from metalab.inspection_writing import inspect_writing
from metalab.metalearners import MetaLearner
from metalab.mirror import Mirror
from metalab.pretraining import load_backbone, pretrain, ready_backbone, save_backbone
from metalab.progress import Progress
from metalab.runs import Run
from metalab.supervisor import die_with_parent
from metalab.tasks import TaskShape, TaskSource, task_at
from metalab.training import Trainer, preflight, task_shape

SAVE_EVERY = 30.0
"""Seconds between checkpoints, besides those after each look at meta-validation."""
MAX_DRAWN = 400
"""Query examples in the stored picture of a task, at most."""


class Stopped(Exception):
    """Somebody asked the run to stop."""


def work(run: Run, mirror: Mirror) -> None:
    """Pre-train, meta-train and evaluate ``run``, resuming from its last checkpoint if there is one."""
    config = run.config
    device = choose_device(config.device)
    run.write_json("environment", environment(device))
    source = create_source(config, device)
    reporter = _Reporter(run, mirror)

    pretrained_file = run.checkpoint("pretrained")
    if pretrained_file.exists():
        backbone = load_backbone(pretrained_file).to(device)
    else:
        preflight(config, source)
        backbone = ready_backbone(config)
        if backbone is None:
            backbone = create_backbone(config).to(device)
            for progress in pretrain(backbone, source, config):
                reporter(progress, "pre-training")
        backbone = backbone.to(device)
        save_backbone(pretrained_file, backbone)

    learner = create_metalearner(config.metalearner, backbone, seed=config.seed, **config.options)
    trainer, last = Trainer(learner, source, config), run.checkpoint("last")
    if last.exists():
        trainer.load(last)
        run.append({"kind": "resumed", "step": trainer.step})
    saved = time.monotonic()
    try:
        for progress in trainer.run():
            if progress.kind == "validation" and trainer.looks_since_best == 0:
                meta = {"config": config.model_dump(mode="json"), **describe(learner)}
                save_checkpoint(run.checkpoint("best"), "metalearner", trainer.best_state, meta)
            if progress.kind == "validation" or time.monotonic() - saved > SAVE_EVERY:
                trainer.save(last)
                saved = time.monotonic()
            reporter(progress, "meta-training")
    except Stopped:
        trainer.save(last)
        raise

    shape = task_shape(config, "test", source)
    frozen = backbone.frozen_copy()
    for item in evaluate(learner, frozen, source, shape, config.test_tasks):
        if isinstance(item, Evaluation):
            run.write_arrays("accuracies", item.accuracies)
            run.write_json("evaluation", item.as_dict())
            mirror.evaluation(item)
        else:
            reporter(item, "evaluating")
    reporter(Progress("embed", 0, 1, message="Features before and after, UMAP"), "drawing")
    store_view(run, learner, frozen, source, config)


def store_view(
    run: Run, learner: MetaLearner, pretrained: Backbone, source: TaskSource, config: Config
) -> None:
    """Look at the first held-out task before and after adaptation, and keep the view and its UMAP."""
    device = pretrained.input_mean.device
    shape = TaskShape(config.way, config.shot, max(1, min(config.query, MAX_DRAWN // config.way)))
    task = task_at(source, 0, "test", shape, TEST_SEED, device)
    if config.application == "question-answering":
        windows = windows_at(source, 0, "test", shape, TEST_SEED, device)
        view = inspect_answers(learner, pretrained, task, [one.words() for one in windows])
    elif config.application in WRITERS:
        pairs = [as_pairs(part, source.vocabulary) for part in (task.support, task.query)]
        view = inspect_writing(learner, *pairs)
    elif config.application in RECOMMENDERS:
        view = inspect_events(learner, pretrained, source, task_shape(config, "test", source))
    else:
        names = source.class_names("test")
        classes = None if task.classes is None else [names[int(i)] for i in task.classes]
        inspect = inspect_task if config.application in CLASSIFIERS else inspect_pictures
        view = inspect(learner, pretrained, task, classes)
    for name, kept in (("view", view), ("embedding", embed(view.features, "umap"))):
        arrays, metadata = kept.to_arrays()
        run.write_arrays(name, arrays)
        run.write_json(name, metadata)


class _Reporter:
    """Writes events to the history and, at most twice a second, the status; raises :class:`Stopped`."""

    def __init__(self, run: Run, mirror: Mirror) -> None:
        self.run, self.mirror, self.written, self.stage = run, mirror, 0.0, ""

    def __call__(self, progress: Progress, stage: str) -> None:
        if progress.kind not in ("evaluate", "embed"):
            self.run.append(progress.as_dict())
            self.mirror.progress(progress)
        now = time.monotonic()
        if stage != self.stage or now - self.written > 0.5 or progress.step == progress.steps:
            self.run.update_status(
                stage=stage,
                step=progress.step,
                steps=progress.steps,
                message=progress.message or "",
                eta=progress.eta,
                rate=progress.rate,
            )
            self.stage, self.written = stage, now
        if self.run.stop_requested():
            raise Stopped


def environment(device: torch.device) -> dict[str, str]:
    """Return what a result may depend on besides configuration and code."""
    cuda = device.type == "cuda"
    return {
        "device": f"{device} ({torch.cuda.get_device_name(device)})" if cuda else str(device),
        "format": str(FORMAT),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
    }


def main(argv: list[str] | None = None) -> int:
    """Train the run whose folder is named; the exit status is 0 if it is done or stopped."""
    parser = argparse.ArgumentParser(prog="python -m metalab.worker", description=__doc__)
    parser.add_argument("run", type=Path, help="the run's folder")
    die_with_parent()
    run = Run(parser.parse_args(argv).run)
    mirror, outcome = Mirror(run), "FAILED"
    try:
        run.update_status(state="running")
        work(run, mirror)
        run.update_status(state="done", stage="done", message="", eta=None)
        outcome = "FINISHED"
    except Stopped:
        run.update_status(state="stopped", eta=None)
        outcome = "KILLED"
    except MetalabError as error:
        print(error, file=sys.stderr)
        return _failed(run, str(error))
    except Exception as error:
        traceback.print_exc()
        return _failed(run, f"{type(error).__name__}: {error}")
    finally:
        mirror.end(outcome)
    return 0


def _failed(run: Run, reason: str) -> int:
    try:
        run.update_status(state="failed", error=reason)
    except StorageError as error:  # the supervisor reports it from the log
        print(error, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
