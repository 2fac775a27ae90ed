"""Tasks, Train and Runs, by Streamlit's own test client: what is filled in stays, what is wrong is said."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest
from test_pages import ROOT, home

from metalab.applications import application
from metalab.config import Config
from metalab.data.stories import STORY_KINDS
from metalab.estimate import Estimate
from metalab.metalearners import get_metalearner, metalearners
from metalab.overview import still_to_come
from metalab.runs import Run, RunStore

__all__ = ["home"]


def page(name: str, **query: str) -> AppTest:
    """Open a page by its address, without a look at Home."""
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120)
    app.switch_page(f"pages/{name}.py")
    for key, value in query.items():
        app.query_params[key] = value
    return app.run()


def words(app: AppTest, kind: str) -> str:
    return "\n".join(item.value for item in getattr(app, kind))


def button(app: AppTest, label: str):
    return next(item for item in app.button if item.label == label)


def drawings(folder: Path, classes: int) -> Path:
    """Return a zip of ``classes`` folders with four images each."""
    path, generator = folder / "own.zip", np.random.default_rng(0)
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(classes):
            for image in range(4):
                content = io.BytesIO()
                Image.fromarray(generator.integers(0, 255, (20, 20), dtype=np.uint8)).save(content, "PNG")
                archive.writestr(f"class {number:02d}/{image}.png", content.getvalue())
    return path


# Tasks


def test_tasks_are_shown_and_nothing_leaks(home: Path) -> None:
    app = page("tasks", task="7")
    assert not app.exception
    assert not app.error
    assert app.number_input(key="task-number").value == 7
    assert "0 classes shared, 0 identical examples" in words(app, "success")
    first = next(item.body for item in app.get("html") if "ml-task" in item.body)
    assert first.count("<tr>") == 6, "a head and five classes"
    button(app, "Another task").click().run()
    assert app.query_params["task"] == "8"
    assert next(item.body for item in app.get("html") if "ml-task" in item.body) != first


@pytest.mark.parametrize("number", ["-1", "x", "9" * 30])
def test_a_task_number_that_is_none_is_no_error(home: Path, number: str) -> None:
    app = page("tasks", task=number)
    assert not app.exception
    assert app.number_input(key="task-number").value == 0
    assert "There is no task" in words(app, "warning")


def test_a_way_that_is_too_large_is_said_in_place(home: Path) -> None:
    app = page("tasks")
    app.button_group(key="split").set_value("validation").run()
    app.number_input(key="set-way").set_value(150).run()
    assert not app.exception
    assert "150-way tasks need 150 classes" in words(app, "error")


def test_own_images_are_checked_for_leaks(home: Path, tmp_path: Path) -> None:
    path = drawings(tmp_path, 15)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("class 14/copy.png", archive.read("class 00/0.png"))
    app = page("tasks")
    app.selectbox(key="set-source").set_value("image-folder").run()
    assert "needs the path" in words(app, "error")
    app.text_input(key="set-data-image-folder").set_value(str(path)).run()
    app.number_input(key="set-way").set_value(3).run()
    app.number_input(key="set-query").set_value(2).run()
    assert not app.exception
    assert "1 identical example in two splits" in words(app, "error")


def test_the_choice_goes_on_to_train(home: Path) -> None:
    app = page("tasks")
    app.number_input(key="set-way").set_value(7).run()
    app.selectbox(key="set-episodes").set_value("mixed").run()
    app = app.switch_page("pages/train.py").run()
    assert not app.exception
    assert app.number_input(key="set-way").value == 7
    assert app.selectbox(key="set-episodes").value == "mixed"
    app.number_input(key="set-steps").set_value(44).run()
    app.switch_page("pages/runs.py").run()
    app.switch_page("pages/train.py").run()
    assert app.number_input(key="set-steps").value == 44, "the form is kept while another page is open"


# Train


def test_nothing_starts_that_contradicts_itself(home: Path) -> None:
    app = page("train")
    assert not app.exception
    assert not app.error
    app.number_input(key="set-way").set_value(150).run()
    assert "150-way tasks need 150 classes" in words(app, "error")
    assert button(app, "Start training").disabled
    assert RunStore().list() == [], "nothing half-made"
    app.number_input(key="set-way").set_value(5).run()
    assert not app.error
    app.selectbox(key="set-source").set_value("omniglot").run()
    assert "needs the path" in words(app, "error")
    app.text_input(key="set-data-omniglot").set_value(str(home / "nowhere")).run()
    assert "no such file or folder" in words(app, "error")
    assert not app.exception


def test_every_method_has_its_settings(home: Path) -> None:
    app = page("train")
    for name in metalearners():
        app.selectbox(key="set-metalearner").set_value(name).run()
        assert not app.exception
        shown = {widget.key for kind in (app.number_input, app.toggle, app.selectbox) for widget in kind}
        options = get_metalearner(name).Options.model_fields
        assert {f"set-{name}-{option}" for option in options} <= shown


def test_the_form_has_every_setting(home: Path) -> None:
    app = page("train")
    kinds = (app.number_input, app.toggle, app.selectbox, app.text_input)
    shown = {widget.key for kind in kinds for widget in kind}
    # data and leave_out belong to other sources, options to the method.
    missing = {name for name in Config.model_fields if f"set-{name}" not in shown}
    assert missing == {"data", "leave_out", "options"}


@pytest.mark.parametrize("name", ["segmentation", "detection"])
def test_another_application_begins_a_form_of_its_own(home: Path, name: str) -> None:
    app = page("train")
    app.number_input(key="set-way").set_value(7).run()
    app.selectbox(key="set-application").set_value(name).run()
    assert not app.exception
    assert not app.error
    assert app.number_input(key="set-way").value == 1
    assert app.selectbox(key="set-metalearner").value == application(name).defaults["metalearner"]
    assert app.selectbox(key="set-backbone").options == ["pyramid", "photo-pyramid"]
    app.selectbox(key="set-source").set_value("annotated").run()
    assert "needs the path" in words(app, "error")
    assert app.toggle(key="set-leave_out").value is False
    app.selectbox(key="set-application").set_value("image-classification").run()
    assert not app.error
    assert app.number_input(key="set-way").value == 5


@pytest.mark.parametrize("name", ["segmentation", "detection"])
def test_tasks_of_pictures_are_shown(home: Path, name: str) -> None:
    app = page("tasks")
    app.selectbox(key="set-application").set_value(name).run()
    assert not app.exception
    assert not app.error
    assert "0 classes shared" in words(app, "success")


def test_tasks_of_stories_are_shown(home: Path) -> None:
    app = page("tasks")
    app.selectbox(key="set-application").set_value("question-answering").run()
    app.selectbox(key="set-source").set_value("stories").run()
    assert not app.exception
    assert not app.error
    assert not app.text_input, "no path is asked for"
    assert "0 classes shared" in words(app, "success")
    kinds = next(item.value for item in app.dataframe if "In plain words" in item.value)
    known = {kind.name: kind.wording.format("…") for kind in STORY_KINDS}
    assert [known[name] for name in kinds["Kind"]] == kinds["In plain words"].tolist()


@pytest.mark.parametrize("idle", [True, False])
def test_the_estimate_comes_unasked_unless_something_trains(
    home: Path, monkeypatch: pytest.MonkeyPatch, idle: bool
) -> None:
    asked = []

    def estimate(config: Config) -> Estimate:
        asked.append(config)
        return Estimate({"meta-training": 130.0, "evaluation": 20.0}, 700_000_000)

    monkeypatch.setattr("metalab.estimate.estimate", estimate)
    monkeypatch.setattr("metalab.jobs.LocalBackend.list", lambda self: [] if idle else ["a run"])
    app = page("train")
    assert asked == [], "only a form that stands still is measured"
    steps = 123 if idle else 124  # estimates are kept
    app.number_input(key="set-steps").set_value(steps).run()
    if idle:
        monkeypatch.setattr("pages.cost.STILL", 0.0)
    else:
        button(app, "Estimate time and memory").click()
    for _ in range(100):
        if app.run().info and "0.7 GB" in words(app, "info"):
            break
    assert "2 min 30 s" in words(app, "info")
    assert [config.steps for config in asked] == [steps]
    button(app, "Estimate again")


def test_train_without_runs_says_so(home: Path) -> None:
    app = page("train", run="of yesterday")
    assert not app.exception
    assert "no run yet" in words(app, "info")


def made(name: str = "one of mine", **changes: object) -> Run:
    run = RunStore().create(Config.create(**changes), name)
    run.append({"kind": "train", "step": 1, "loss": 1.5, "accuracy": 0.4})
    run.append({"kind": "validation", "step": 1, "accuracy": 0.5, "interval": 0.1})
    return run


def test_what_follows_is_said() -> None:
    config = Config.create(steps=20, test_tasks=100)
    assert still_to_come("pre-training", config).startswith("then 20 steps of meta-training and evaluation")
    assert still_to_come("meta-training", config) == "then evaluation on 100 held-out tasks"
    assert still_to_come("drawing", config) == ""


@pytest.mark.parametrize("state", ["stopped", "failed", "damaged", "configless"])
def test_train_shows_runs_in_every_state(home: Path, state: str) -> None:
    run = made()
    if state == "failed":
        run.update_status(state="failed", error="The disk is full.")
    if state == "damaged":
        (run.path / "status.json").write_text("{")
    if state == "configless":
        (run.path / "config.json").write_text('{"way"')
    app = page("train", run=run.id)
    assert not app.exception
    if state == "failed":
        assert "The disk is full" in words(app, "error")
    if state == "damaged":
        assert "not JSON" in words(app, "error")
    elif state == "configless":
        assert "Restore the file, or delete the run" in words(app, "error")
    else:
        assert [metric.value for metric in app.metric if metric.label == "State"] == [state]
        assert any(item.label == "Resume" for item in app.button)


def test_several_runs_are_drawn_together(home: Path) -> None:
    first, second = made("first"), made("second")
    app = page("train", run=second.id)
    app.multiselect(key="beside").set_value([first.id]).run()
    assert not app.exception
    charts = [item.proto.json_args for item in app.get("component_instance")]
    assert len(charts) == 2
    for chart in charts:
        assert "first" in chart
        assert "second" in chart


def test_a_killed_worker_is_told(home: Path) -> None:
    run = made()
    run.update_status(state="running", pid=1)
    app = page("train", run=run.id)
    assert not app.exception
    assert "supervisor process disappeared" in words(app, "error")
    assert any(item.label == "Resume" for item in app.button)


# Runs


def test_runs_without_runs_points_to_train(home: Path) -> None:
    app = page("runs")
    assert not app.exception
    assert "no run yet" in words(app, "info")


ROW = {"interval": 0.01, "tasks": 600, "transductive": False}
TABLE = {
    "rows": [
        {"method": "maml", "label": "MAML", "kind": "metalearner", "accuracy": 0.91, **ROW},
        {"method": "frozen", "label": "Frozen", "kind": "baseline", "accuracy": 0.85, **ROW},
    ],
    "differences": [{"method": "maml", "baseline": "frozen", "difference": 0.06, "interval": 0.008}],
    "verdict": "MAML helps.",
    "way": 5,
    "shot": 1,
}


def test_the_table_tells_what_was_gained_and_filters(home: Path) -> None:
    run = made("with results", metalearner="maml")
    run.write_json("evaluation", TABLE)
    run.update_status(state="done")
    made("another")
    app = page("runs", run=run.id)
    assert not app.exception
    table = app.dataframe[0].value.set_index("Run")
    assert list(table.index) == ["another", "with results"]
    assert table.loc["with results", "Held-out accuracy"] == 91.0
    assert table.loc["with results", "Gain, points"] == "+6.0 ± 0.8"
    assert "MAML helps." in words(app, "markdown")
    app.text_input(key="runs-filter").set_value("MAML").run()
    assert list(app.dataframe[0].value["Run"]) == ["with results"]
    app.text_input(key="runs-filter").set_value("").run()
    app.multiselect(key="runs-states").set_value(["stopped"]).run()
    assert list(app.dataframe[0].value["Run"]) == ["another"]
    app.multiselect(key="runs-states").set_value(["queued"]).run()
    assert "No run fits" in words(app, "caption")


def test_rename_and_delete(home: Path) -> None:
    run, other = made(), made("other")
    app = page("runs", run=run.id)
    app.text_input(key=f"name-{run.id}").set_value("better name")
    [rename] = [item for item in app.button if item.label == "Rename"]
    rename.click().run()
    assert run.name == "better name"
    assert not app.exception
    button(app, "Delete for good").click().run()
    assert not app.exception
    assert RunStore().list() == [other]


def test_an_empty_name_is_refused_in_place(home: Path) -> None:
    run = made()
    app = page("runs", run=run.id)
    app.text_input(key=f"name-{run.id}").set_value("  ")
    button(app, "Rename").click().run()
    assert "needs a name" in words(app, "error")
    assert run.name == "one of mine"


def test_a_clone_fills_in_the_form(home: Path) -> None:
    changes = {
        "metalearner": "maml",
        "options": {"inner_steps": 3},
        "way": 4,
        "train_way": 9,
        "lr": 0.002,
        "rotations": False,
        "backbone": "resnet12",
    }
    run = made("first", **changes)
    app = page("runs", run=run.id)
    button(app, "Clone with changes").click().run()
    app.switch_page("pages/train.py").run()  # the test client does not follow a switch by itself
    assert not app.exception
    assert app.text_input(key="set-name").value == "first, changed"
    assert app.number_input(key="set-maml-inner_steps").value == 3
    for name in ("way", "train_way", "lr"):
        assert app.number_input(key=f"set-{name}").value == changes[name]
    assert app.toggle(key="set-rotations").value is False
    assert app.selectbox(key="set-backbone").value == "resnet12"


DAMAGE = {
    "status": ("status.json", "{"),
    "status of wrong types": ("status.json", '{"state": "running", "step": "many"}'),
    "config": ("config.json", '{"way": 1}'),
    "evaluation": ("evaluation.json", '{"rows": 3}'),
    "environment": ("environment.json", "[]"),
    "history": ("metrics.jsonl", '{"kind": "train"}\n{"kind": "train", "step": "x"}\n7\n'),
    "identity": ("run.json", "{}"),
}


@pytest.mark.parametrize("kind", DAMAGE)
@pytest.mark.parametrize("name", ["runs", "train"])
def test_damage_by_hand_is_told_and_can_be_deleted(home: Path, name: str, kind: str) -> None:
    run = made()
    file, content = DAMAGE[kind]
    (run.path / file).write_text(content)
    app = page(name, run=run.id)
    assert not app.exception
    if name == "runs":
        if kind not in ("history", "environment"):
            assert list(app.dataframe[0].value["State"]) == ["damaged"]
            assert ("run format" if kind == "identity" else file) in words(app, "error")
        button(app, "Delete for good").click().run()
        assert not app.exception
        assert RunStore().list() == []


def test_a_stale_deep_link_is_told(home: Path) -> None:
    run, other = made("mine"), made("my other")
    app = page("runs", run="20200101-deleted")
    assert not app.exception
    assert "'20200101-deleted' is not here any more" in words(app, "warning")
    app.text_input(key="runs-filter").set_value("m").run()
    assert "'20200101-deleted' is not here any more" in words(app, "warning")
    assert app.selectbox(key="run").value == other.id
    app.selectbox(key="run").set_value(run.id).run()
    assert not app.warning


def test_a_run_deleted_elsewhere_is_told_but_not_one_that_is_filtered_or_deleted_here(home: Path) -> None:
    first, second, third = made("first"), made("second"), made("third")
    app = page("runs", run=first.id)
    app.text_input(key="runs-filter").set_value("second").run()
    assert app.selectbox(key="run").value == second.id
    assert not app.warning
    app.text_input(key="runs-filter").set_value("").run()
    button(app, "Delete for good").click().run()
    assert not app.exception
    assert not app.warning
    left = app.selectbox(key="run").value
    other = ({first.id, third.id} - {left}).pop()
    RunStore().delete(left)
    button(app, "Delete for good").click().run()
    assert f"{left!r} is not here any more" in words(app, "warning")
    assert [run.id for run in RunStore().list()] == [other], "the click was not meant for this run"


def test_each_end_is_announced_once(home: Path) -> None:
    run = made()
    run.update_status(state="running")
    lock = run.lock()
    app = AppTest.from_string("from pages.notices import announce; announce()", default_timeout=60).run()
    assert not app.toast
    os.close(lock)
    app.run()
    assert [toast.value.startswith("**one of mine** failed.") for toast in app.toast] == [True]
    assert not app.exception
    app.run()
    assert not app.toast
