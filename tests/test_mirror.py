"""The optional copy in MLflow: what it writes, and that a failing server costs nothing but the copy."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any, ClassVar

import pytest

from metalab.config import Config
from metalab.evaluation import Evaluation, Row
from metalab.mirror import EVERY, Mirror
from metalab.progress import Progress
from metalab.runs import RunStore


class Client:
    """Stands in for mlflow.MlflowClient, with the calls that are used and their arguments."""

    calls: ClassVar[list[tuple[Any, ...]]] = []
    broken: ClassVar[bool] = False

    def get_experiment_by_name(self, name: str) -> None:
        if self.broken:
            raise ConnectionError("the server is away")
        return None

    def create_experiment(self, name: str) -> str:
        return name

    def create_run(self, experiment: str, run_name: str, tags: dict[str, str]) -> Any:
        return types.SimpleNamespace(info=types.SimpleNamespace(run_id="id"))

    def log_param(self, run_id: str, key: str, value: Any) -> None:
        self.calls.append(("param", key, value))

    def log_metric(self, run_id: str, key: str, value: float, step: int) -> None:
        self.calls.append(("metric", key, value, step))

    def set_terminated(self, run_id: str, status: str) -> None:
        self.calls.append(("end", status))


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> type[Client]:
    module = types.ModuleType("mlflow")
    module.MlflowClient = Client  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mlflow", module)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///nowhere")
    monkeypatch.setattr(Client, "calls", [])
    return Client


def test_a_run_is_mirrored(client: type[Client], tmp_path: Path) -> None:
    mirror = Mirror(RunStore(tmp_path).create(Config.create(way=7)))
    for step in range(1, EVERY + 1):
        mirror.progress(Progress("train", step, 100, loss=1.0, accuracy=0.5))
    mirror.progress(Progress("validation", 3, 100, accuracy=0.6))
    mirror.evaluation(Evaluation([Row("own", "Own", "metalearner", 0.9, 0.1, 8)], [], "", 5, 1, "test", 0))
    mirror.end("FINISHED")
    assert ("param", "way", 7) in client.calls
    assert client.calls[-5:] == [
        ("metric", "train_loss", 1.0, EVERY),
        ("metric", "train_accuracy", 0.5, EVERY),
        ("metric", "validation_accuracy", 0.6, 3),
        ("metric", "test_accuracy_own", 0.9, 0),
        ("end", "FINISHED"),
    ]


def test_a_server_that_is_away_switches_the_copy_off(
    client: type[Client], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(client, "broken", True)
    mirror = Mirror(RunStore(tmp_path).create(Config.create()))
    mirror.progress(Progress("validation", 3, 100, accuracy=0.6))
    mirror.end("FAILED")
    assert client.calls == []
    assert "MLflow mirror switched off: ConnectionError" in capsys.readouterr().err


def test_without_the_variable_nothing_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setitem(sys.modules, "mlflow", None)
    Mirror(RunStore(tmp_path).create(Config.create())).end("FINISHED")
