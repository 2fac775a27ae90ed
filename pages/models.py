"""Trained models, task sources and adapted tasks, kept by the server for all sessions."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import streamlit as st

from metalab.config import Config

if TYPE_CHECKING:
    from metalab.inspection import TaskView
    from metalab.shipped import Trained
    from metalab.tasks import TaskSource


@st.cache_resource(show_spinner="Loading the model …", max_entries=8)
def trained(which: str, version: float = 0.0) -> Trained:
    """Return a ready meta-learner or that of a run; ``version`` is the time its file was written."""
    from metalab.choice import ready_trained

    return ready_trained(which)


@st.cache_resource(show_spinner="Preparing the data …", max_entries=4)
def source_of(config_json: str, source: str | None = None) -> TaskSource:
    """Return the task source of a configuration, or held-out tasks of another source."""
    from metalab.data import create_source, create_test_source

    config = Config.from_json(config_json)
    return create_test_source(config, source) if source else create_source(config)


def data_settings(config: Config) -> str:
    """Return the part of ``config`` that decides about the data, as the key of :func:`source_of`."""
    names = ("application", "source", "data", "episodes", "rotations", "image_size", "channels")
    return Config.create(**{name: getattr(config, name) for name in names}).to_json()


@st.cache_resource(show_spinner=False, max_entries=64)
def sampled_view(
    which: str,
    version: float,
    config_json: str,
    source: str | None,
    way: int,
    shot: int,
    query: int,
    number: int,
) -> TaskView:
    """Adapt model ``which`` to held-out task ``number`` and look at every moment; once, for all reruns."""
    from metalab.inspection import inspect_task
    from metalab.tasks import TaskShape, task_at

    model, tasks = trained(which, version), source_of(config_json, source)
    task = task_at(tasks, number, "test", TaskShape(way, shot, query), seed=1)
    names = tasks.class_names("test")
    return inspect_task(model.metalearner, model.pretrained, task, [names[int(i)] for i in task.classes])


@st.cache_resource(show_spinner=False, max_entries=16)
def own_view(which: str, version: float, content: bytes, shot: int) -> TaskView:
    """Adapt model ``which`` to an uploaded zip of class folders and look at every moment."""
    from metalab.data.folder import own_task, read_classes
    from metalab.inspection import inspect_task
    from metalab.records import recorded

    model = trained(which, version)
    backbone = model.metalearner.backbone
    classes = read_classes(io.BytesIO(content), backbone.size, backbone.channels)
    task = recorded(own_task(classes, shot), backbone)
    return inspect_task(model.metalearner, model.pretrained, task, list(classes))
