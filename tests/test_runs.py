from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest

from metalab.config import FORMAT, Config
from metalab.errors import RunError, StorageError
from metalab.history import History
from metalab.runs import Run, RunStore
from metalab.storage import atomic_write

CONFIG = Config.model_construct()  # the defaults; what they mean is tested elsewhere


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return RunStore(tmp_path / "runs")


@pytest.fixture
def run(store: RunStore) -> Run:
    return store.create(CONFIG, "first")


@pytest.fixture
def unprivileged(tmp_path: Path):
    """Be somebody who may read but not write below ``tmp_path`` (root may always write)."""
    if os.geteuid() == 0:
        for folder in (tmp_path, *tmp_path.parents[:3]):
            if folder.stat().st_uid == 0 and "pytest" in str(folder):
                folder.chmod(0o755)
        os.seteuid(65534)
        yield
        os.seteuid(0)
    else:
        folders = [tmp_path, *(folder for folder in tmp_path.rglob("*") if folder.is_dir())]
        for folder in folders:
            folder.chmod(0o555)
        yield
        for folder in folders:
            folder.chmod(0o755)


def fail_with(code: int):
    def fail(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    return fail


# The store


def test_default_root_is_below_metalab_home(tmp_path, monkeypatch):
    monkeypatch.setenv("METALAB_HOME", str(tmp_path / "home"))
    assert RunStore().list() == []
    assert not (tmp_path / "home").exists()
    run = RunStore().create(CONFIG)
    assert run.path.parent == tmp_path / "home" / "runs"
    assert "protonet" in run.name


def test_newest_first_and_another_process_sees_the_same(store):
    runs = [store.create(CONFIG, f"run {i}") for i in range(5)]
    assert store.list() == runs[::-1]
    assert [r.name for r in RunStore(store.root).list()] == [f"run {i}" for i in (4, 3, 2, 1, 0)]
    status = runs[0].status()
    assert (status.state, status.started) == ("stopped", None)


def test_config_comes_back(run):
    assert run.config == Config.create()


def test_a_failed_create_leaves_nothing(store, monkeypatch):
    store.create(CONFIG)
    before = sorted(os.listdir(store.root))
    monkeypatch.setattr(os, "fsync", fail_with(errno.ENOSPC))
    with pytest.raises(StorageError, match=r"disk is full.*Free some space"):
        store.create(CONFIG)
    assert sorted(os.listdir(store.root)) == before


def test_rename(store, run):
    assert store.rename(run.id, "  better\nname ").name == "better name"
    assert store.get(run.id).name == "better name"
    with pytest.raises(RunError, match="needs a name"):
        store.rename(run.id, " \n")


def test_delete(store, run):
    store.delete(run.id)
    assert os.listdir(store.root) == []
    with pytest.raises(RunError, match="there is no run"):
        store.get(run.id)


def test_delete_refuses_an_active_run(store, run):
    run.update_status(state="running")
    handle = run.lock()
    assert handle is not None
    with pytest.raises(RunError, match=r"is active.*Stop it"):
        store.delete(run.id)
    assert run.status().state == "running"
    os.close(handle)
    store.delete(run.id)  # nobody looks after it: it only claims to run
    assert store.list() == []


@pytest.mark.parametrize("id", ["", ".", "..", "../other", "a/b", "/etc", "a\\b", ".new-x", "a\n", "a\0b"])
def test_ids_cannot_leave_the_store(store, run, id):
    (store.root.parent / "other").mkdir()
    for action in (store.get, store.delete):
        with pytest.raises(RunError, match="not a valid name"):
            action(id)
    with pytest.raises(RunError, match="not a valid name"):
        run.write_json(id, {})
    with pytest.raises(RunError, match="not a valid name"):
        run.checkpoint(id)


# Damage


def _identity(run: Run, **changes: object) -> None:
    record = json.loads((run.path / "run.json").read_text())
    (run.path / "run.json").write_text(json.dumps({**record, **changes}))


def _status(run: Run, **changes: object) -> None:
    record = json.loads((run.path / "status.json").read_text())
    (run.path / "status.json").write_text(json.dumps({**record, **changes}))


DAMAGE = {
    "no status": (lambda run: (run.path / "status.json").unlink(), "status.json: missing"),
    "no identity": (lambda run: (run.path / "run.json").unlink(), "run.json: missing"),
    "no config": (lambda run: (run.path / "config.json").unlink(), "config.json: missing"),
    "half a status": (lambda run: (run.path / "status.json").write_text('{"state": "do'), "not JSON"),
    "binary": (lambda run: (run.path / "run.json").write_bytes(b"\xff\xfe\x00"), "not JSON"),
    "a list": (lambda run: (run.path / "status.json").write_text("[]"), "not a JSON object"),
    "a folder": (lambda run: (os.unlink(run.path / "run.json"), (run.path / "run.json").mkdir()), "run.json"),
    "a state of tomorrow": (lambda run: (run.path / "status.json").write_text('{"state": "x"}'), "state 'x'"),
    "words for numbers": (lambda run: _status(run, step="many"), "step is 'many'"),
    "numbers for words": (lambda run: _status(run, error=7), "error is 7"),
    "another format": (lambda run: _identity(run, format=FORMAT + 1), f"run format {FORMAT + 1}.*update"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damaged_runs_are_listed_with_the_reason(store, run, kind):
    damage, reason = DAMAGE[kind]
    healthy = store.create(CONFIG, "healthy")
    damage(run)
    assert store.list() == [healthy, run]
    status = run.status()
    assert status.state == "damaged"
    with pytest.raises(RunError, match=reason):
        run.update_status(step=1)
    assert run.name in ("first", run.id)
    assert healthy.status().state == "stopped"
    store.delete(run.id)
    assert store.list() == [healthy]


def test_foreign_files_do_no_harm(store, run):
    (store.root / "notes.txt").write_text("mine")
    (store.root / "empty folder").mkdir()
    assert [r.status().state for r in store.list()] == ["damaged", "stopped"]
    record = json.loads((run.path / "status.json").read_text())
    (run.path / "status.json").write_text(json.dumps({**record, "a later field": 1}))
    assert run.status().state == "stopped"


# Status


def test_status_times_follow_the_state(run):
    first = run.update_status(state="running", stage="meta-training", step=1, steps=9, error=None)
    assert first.started is not None
    assert first.finished is None
    assert run.update_status(step=2, state="running").started == first.started
    last = run.update_status(state="failed", error="boom")
    assert last.finished is not None
    assert Run(run.path).status() == last
    again = run.update_status(state="running")
    assert (again.error, again.finished, again.step) == (None, None, 2)
    assert again.started > first.started


def test_time_counts_all_attempts(run):
    run.update_status(state="running", started=1000.0)
    assert run.update_status(state="stopped", finished=1060.0).elapsed() == 60
    assert run.update_status(state="queued", started=None, finished=None).elapsed() == 60
    now = run.update_status(state="running").started
    assert 60 <= run.status().elapsed() < 120
    assert run.update_status(state="done", finished=now + 5).elapsed() == 65


def test_unknown_status_fields_are_refused(run):
    with pytest.raises(TypeError):
        run.update_status(progress=1)


def test_a_full_disk_keeps_the_old_status(run, monkeypatch):
    run.update_status(state="running", step=3)
    before = sorted(os.listdir(run.path))
    monkeypatch.setattr(os, "fsync", fail_with(errno.ENOSPC))
    with pytest.raises(StorageError, match=r"status\.json: the disk is full\. Free some space"):
        run.update_status(step=4)
    monkeypatch.undo()
    assert run.status().step == 3
    assert sorted(os.listdir(run.path)) == before


def test_a_deleted_run_is_not_born_again(store, run):
    store.delete(run.id)
    for write in (lambda: run.update_status(step=1), lambda: run.append({}), lambda: run.write_json("x", 1)):
        with pytest.raises(StorageError, match="folder"):
            write()
    assert store.list() == []


def test_no_permission(store, run, unprivileged):
    for write in (
        lambda: store.create(CONFIG),
        lambda: store.delete(run.id),
        lambda: run.update_status(step=1),
        lambda: run.append({"kind": "train"}),
        lambda: run.request_stop(),
        lambda: RunStore(store.root.parent / "elsewhere").create(CONFIG),
    ):
        with pytest.raises(StorageError, match="no permission to write"):
            write()
    assert run.status().state == "stopped"  # reading is allowed, and nothing was half-done
    assert store.list() == [run]


def test_atomic_write_files_are_as_public_as_others(tmp_path):
    (tmp_path / "plain").write_text("x")
    atomic_write(tmp_path / "new" / "atomic", b"x")
    assert (tmp_path / "new" / "atomic").stat().st_mode == (tmp_path / "plain").stat().st_mode
    with pytest.raises(StorageError, match="part of the path is a file"):
        atomic_write(tmp_path / "plain" / "deeper", b"x")


# History


def test_history_by_kind_and_by_offset(run):
    assert run.history() == []
    assert run.history_since(0) == ([], 0)
    run.append({"kind": "train", "step": 1, "loss": np.float32(0.5), "bad": float("nan"), "inf": [np.inf]})
    events, offset = run.history_since(0)
    assert events == run.history("train")
    assert events[0]["time"] > 1e9
    assert (events[0]["loss"], events[0]["bad"], events[0]["inf"]) == (0.5, None, [None])
    assert run.history_since(offset) == ([], offset)
    run.append({"kind": "validation", "step": 1})
    assert [e["kind"] for e in run.history_since(offset)[0]] == ["validation"]
    assert [e["kind"] for e in run.history("validation")] == ["validation"]


def test_a_torn_line_costs_only_itself(run):
    run.append({"step": 1})
    with open(run.path / "metrics.jsonl", "ab") as file:
        file.write(b'{"step": 2, "lo')
    events, offset = run.history_since(0)
    assert [e["step"] for e in events] == [1]
    run.append({"step": 3})
    assert [e["step"] for e in run.history_since(offset)[0]] == [3]
    assert [e["step"] for e in run.history()] == [1, 3]


def test_a_line_on_its_way_is_read_once_it_is_whole(run):
    path = run.path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1}\n{"step"')
    events, offset = run.history_since(0)
    assert ([e["step"] for e in events], offset) == ([1], 12)
    with path.open("ab") as file:
        file.write(b": 2}\n")
    assert run.history_since(offset)[0] == [{"step": 2}]


def test_a_disk_that_fills_up_in_mid_line(run, monkeypatch):
    run.append({"step": 1})
    write, calls = os.write, []

    def half(handle: int, content: bytes) -> int:
        calls.append(handle)
        if len(calls) > 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(handle, content[: len(content) // 2])

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(StorageError, match=r"metrics\.jsonl: the disk is full"):
        run.append({"step": 2})
    monkeypatch.undo()
    run.append({"step": 3})
    assert [e["step"] for e in run.history()] == [1, 3]


def test_steps_that_are_done_again_supersede_the_earlier_ones(run):
    for step in (900, 1800):
        run.append({"kind": "pretrain", "step": step, "try": 1})
    for step in (1, 2, 3, 5):
        run.append({"kind": "train", "step": step, "try": 1})
    run.append({"kind": "validation", "step": 5, "try": 1})
    run.append({"kind": "note"})
    run.append({"kind": "resumed", "step": 2})
    run.append({"kind": "note"})
    for step in (4, 6):
        run.append({"kind": "train", "step": step, "try": 2})
    assert [(e["step"], e["try"]) for e in run.history("train")] == [(1, 1), (2, 1), (4, 2), (6, 2)]
    assert [e["step"] for e in run.history("pretrain")] == [900, 1800]  # it counts for itself
    assert [e["try"] for e in run.history("validation")] == [1]  # nothing has replaced it yet
    run.append({"kind": "validation", "step": 6, "try": 2})
    assert [e["try"] for e in run.history("validation")] == [2]
    assert len(run.history("note")) == 2
    collected, offset = [], 0
    while offset < (run.path / "metrics.jsonl").stat().st_size:
        events, offset = run.history_since(offset)
        collected += events
    assert History(collected).events == run.history()


def test_an_attempt_without_a_checkpoint_supersedes_from_its_first_step():
    def event(kind: str, step: int | None = None, attempt: int = 1, **more: str) -> dict[str, object]:
        return {"kind": kind, "step": step, "try": attempt, **more} if step is not None else {"kind": kind}

    def shown(*events: dict[str, object]) -> list[tuple[object, object]]:
        return [(e["step"], e["try"]) for e in History(events).events if "try" in e]

    first = [event("train", step) for step in (1, 2, 3)]
    attempt = event("attempt")
    assert shown(*first, attempt) == [(1, 1), (2, 1), (3, 1)]
    assert shown(*first, attempt, event("train", 1, 2)) == [(1, 2)]
    assert shown(*first, attempt, event("resumed"), event("train", 3, 2)) == [(1, 1), (2, 1), (3, 2)]
    again = [attempt, event("train", 2, 2), event("train", 3, 2), attempt, attempt, event("train", 3, 3)]
    assert shown(*first, *again) == [(1, 1), (2, 2), (3, 3)]
    assert shown(*first, attempt, event("train", 1, 2, stage="other")) == [(1, 1), (2, 1), (3, 1), (1, 2)]
    assert shown(*first, event("train", 1, 2)) == [(1, 1), (2, 1), (3, 1), (1, 2)]  # no mark, no guess


# Log and results


def test_tail_of_the_log(run):
    assert run.tail_log(5) == ""
    run.log_path.write_bytes(b"".join(b"line %d\n" % i for i in range(50_000)) + b"10%\r50%\r\xff100%\r\n")
    assert run.tail_log(2) == "line 49999\n�100%"
    assert run.tail_log(20_000).split("\n")[0] == "line 30001"
    run.log_path.write_text("a\nunfinished")
    assert run.tail_log() == "a\nunfinished"


def test_json_results(run):
    run.write_json(
        "evaluation.json", {"rows": [{"mean": np.float64("inf"), "n": np.int64(600)}], 5: Path("a")}
    )
    assert run.read_json("evaluation") == {"rows": [{"mean": None, "n": 600}], "5": "a"}
    assert run.has("evaluation.json")
    with pytest.raises(RunError, match=r"other\.json: missing"):
        run.read_json("other")
    with pytest.raises(TypeError, match="cannot be written as JSON"):
        run.write_json("evaluation", {"rows": object()})
    assert run.read_json("evaluation")["rows"][0]["n"] == 600


def test_array_results(run):
    grid = np.arange(6, dtype=np.float32).reshape(2, 3)
    run.write_arrays("embeddings", {"before": grid.T, "label": np.array([1, 2]), "scalar": np.array(3.0)})
    arrays = run.read_arrays("embeddings")
    assert arrays["before"].shape == (3, 2)
    np.testing.assert_array_equal(arrays["before"], grid.T)
    assert arrays["scalar"].shape == ()
    with pytest.raises(RunError, match="array 'names' has type <U1"):
        run.write_arrays("embeddings", {"names": np.array(["a"])})
    (run.path / "embeddings.safetensors").write_bytes(b"\x10garbage")
    with pytest.raises(RunError, match=r"embeddings\.safetensors"):
        run.read_arrays("embeddings")


def test_size_and_checkpoints(run):
    before = run.size()
    run.checkpoint("last").write_bytes(b"x" * 1000)
    assert run.size() == before + 1000
    assert "last checkpoint" in run.resume_hint()
    assert run.checkpoint("best") == run.path / "checkpoints" / "best.safetensors"
