"""Each test runs real processes, with a trainer of a few lines; everything waited for has a deadline."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from metalab.config import Config
from metalab.errors import JobError, RunError, StorageError
from metalab.jobs import LocalBackend, Watch
from metalab.runs import Run, RunStore, Status

PRELUDE = """
import os, signal, subprocess, sys, time
from pathlib import Path
from metalab.runs import Run
run = Run(Path(sys.argv[1]))
run.append({"kind": "pid", "pid": os.getpid()})
"""
DONE = 'run.update_status(state="done", message="Finished.")'
SLEEP = "time.sleep(100)"
STOPPABLE = """
while not run.stop_requested():
    time.sleep(0.02)
run.checkpoint("last").write_bytes(b"weights")
run.update_status(state="stopped", message="Stopped at step 7.")
"""


@pytest.fixture
def store(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("METALAB_HOME", str(tmp_path))
    monkeypatch.delenv("METALAB_SLOTS", raising=False)
    yield RunStore()
    for process in processes(tmp_path):
        process.kill()


def processes(folder: Path) -> list[psutil.Process]:
    """Return the living processes that work on a run below ``folder``."""
    living = [
        p for p in psutil.process_iter(["cmdline", "status"]) if p.info["status"] != psutil.STATUS_ZOMBIE
    ]
    return [p for p in living if any(str(folder) in part for part in p.info["cmdline"] or [])]


def wait(condition: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain"
        time.sleep(0.02)


def backend(store: RunStore, script: str = DONE, grace: float = 20.0) -> LocalBackend:
    return LocalBackend(store, command=[sys.executable, "-c", PRELUDE + script], grace=grace)


def new(store: RunStore) -> Run:
    return store.create(Config.model_construct())


def trainers(run: Run) -> list[int]:
    return [event["pid"] for event in run.history("pid")]


def started(run: Run) -> int:
    wait(lambda: trainers(run))
    return trainers(run)[-1]


def ended(jobs: LocalBackend, run: Run) -> Status:
    wait(lambda: jobs.status(run).ended)
    return jobs.status(run)


# Ends


def test_normal_end(store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # as from notebooks/: metalab is not below the working folder
    run, jobs = new(store), backend(store, "print('hello')\n" + DONE)
    assert jobs.submit(run).state == "queued"
    status = ended(jobs, run)
    assert (status.state, status.message, status.error) == ("done", "Finished.", None)
    assert "hello" in run.tail_log()
    assert status.created <= status.started <= status.finished
    wait(lambda: not processes(run.path))
    with pytest.raises(JobError, match="is done"):
        jobs.submit(run)
    with pytest.raises(JobError, match="not active, it is done"):
        jobs.cancel(run)
    assert jobs.list() == []


@pytest.mark.parametrize(
    ("script", "error"),
    [
        (
            "raise ValueError('broken input')",
            r"exit code 1: ValueError: broken input\. There is no checkpoint",
        ),
        ("sys.exit(3)", r"exit code 3: it printed nothing\."),
        ("", r"ended without reporting a result\."),
        (
            "run.checkpoint('last').touch(); os.kill(os.getpid(), 9)",
            r"^The trainer was killed by signal 9 \(SIGKILL\); usually the system ran out of memory or "
            r"somebody ended it\. Resume continues from the last checkpoint\.$",
        ),
        ("os.kill(os.getpid(), signal.SIGRTMIN + 1)", r"killed by signal \d+\."),
    ],
)
def test_a_trainer_that_ends_badly(store, script, error):
    run, jobs = new(store), backend(store, script)
    jobs.submit(run)
    status = ended(jobs, run)
    assert status.state == "failed"
    with pytest.raises(RuntimeError, match=error):
        raise RuntimeError(status.error)


def test_a_trainer_that_is_no_program(store):
    run, jobs = new(store), LocalBackend(store, command=["/no/such/program"])
    jobs.submit(run)
    assert "could not be started: [Errno 2]" in ended(jobs, run).error


def test_a_trainer_that_hangs_after_its_end(store):
    run, jobs = new(store), backend(store, DONE + "\n" + SLEEP, grace=0.3)
    jobs.submit(run)
    wait(lambda: run.status().state == "done")
    wait(lambda: not processes(run.path))
    assert run.status().state == "done"


def test_what_a_trainer_leaves_behind_is_ended(store):
    script = f"""
subprocess.Popen([sys.executable, "-c", "import time; {SLEEP}", str(run.path)])
(run.path / "checkpoints" / ".last.half").touch()
{DONE}"""
    run, jobs = new(store), backend(store, script)
    jobs.submit(run)
    assert ended(jobs, run).state == "done"
    wait(lambda: not processes(run.path))
    assert os.listdir(run.path / "checkpoints") == []


# Vanished processes


def test_kill_9_of_the_supervisor(store):
    run, jobs = new(store), backend(store, "print('step 41')\n" + SLEEP)
    jobs.submit(run)
    trainer = started(run)
    assert os.getsid(run.status().pid) == run.status().pid  # no terminal or server can take it along
    assert {p.pid for p in processes(run.path)} == {trainer, run.status().pid}
    os.kill(run.status().pid, signal.SIGKILL)
    wait(lambda: not processes(run.path))
    assert run.status().state == "running"  # nobody has looked yet
    status = jobs.status(run)
    assert status.state == "failed"
    assert "supervisor process disappeared" in status.error
    assert "'step 41'" in status.error
    assert run.status() == status  # recorded, for readers that know no backend
    again = backend(store)
    again.submit(run)
    assert ended(again, run).state == "done"
    assert run.status().error is None


def test_die_with_parent_without_help_of_the_kernel(store):
    script = "from metalab.supervisor import die_with_parent; die_with_parent(); print('ready', flush=True);"
    child = f"import time; {script} {SLEEP}"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}, {str(store.root)!r}])"
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"ready\n"
        assert len(processes(store.root)) == 2
        process.kill()
        wait(lambda: not processes(store.root))


def test_a_used_again_pid_is_not_the_supervisor(store):
    run, jobs = new(store), backend(store)
    run.update_status(state="running", pid=os.getpid())
    assert jobs.status(run).state == "failed"


def test_another_machine_is_judged_by_its_heartbeat(store):
    run, jobs = new(store), backend(store)
    run.update_status(state="running", host="elsewhere", pid=1)
    run.beat()
    assert jobs.status(run).state == "running"
    with pytest.raises(JobError, match="already running"):
        jobs.submit(run)
    with pytest.raises(RunError, match="is active"):
        store.delete(run.id)
    assert jobs.list() == [run]
    os.utime(run.path / "heartbeat", (time.time() - 60, time.time() - 60))
    handle = run.lock()
    assert "disappeared on elsewhere" in jobs.status(run).error
    assert run.status().state == "running"  # the lock is not ours, so neither is the record
    os.close(handle)
    assert jobs.status(run).state == run.status().state == "failed"


def test_the_heartbeat_is_kept_fresh(store):
    run, jobs = new(store), backend(store, STOPPABLE)
    jobs.submit(run)
    started(run)
    os.utime(run.path / "heartbeat", (0, 0))
    wait(lambda: run.heartbeat_age() < 30)
    jobs.cancel(run)


def test_a_full_disk_does_not_hide_the_truth(store, monkeypatch):
    run, jobs = new(store), backend(store)
    run.update_status(state="running")

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert jobs.status(run).state == "failed"
    assert run.status().state == "running"


def test_a_deleted_folder_ends_everything(store):
    run, jobs = new(store), backend(store, SLEEP)
    jobs.submit(run)
    started(run)
    run.path.rename(store.root.parent / "gone")
    wait(lambda: not processes(run.path))
    assert not run.path.exists()
    assert jobs.status(run).state == "damaged"
    with pytest.raises(RunError, match="missing"):
        jobs.submit(run)


# Stop and resume


def test_cooperative_stop_and_resume(store):
    run, jobs = new(store), backend(store, STOPPABLE)
    jobs.submit(run)
    started(run)
    jobs.cancel(run)
    status = ended(jobs, run)
    assert (status.state, status.message, status.error) == ("stopped", "Stopped at step 7.", None)
    again = backend(store, "assert run.checkpoint('last').exists() and not run.stop_requested()\n" + DONE)
    again.submit(run)  # at once: the first supervisor may still be ending
    assert ended(again, run).state == "done"
    assert run.status().started > status.started
    assert len(run.history("attempt")) == 1
    assert len(run.history("pid")) == 2


@pytest.mark.parametrize("stubborn", ["", "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"])
def test_a_trainer_that_does_not_stop(store, stubborn):
    run, jobs = (
        new(store),
        backend(store, f"{stubborn}run.append({{'kind': 'pid', 'pid': os.getpid()}})\n{SLEEP}", 0.3),
    )
    jobs.submit(run)
    wait(lambda: len(trainers(run)) == 2)
    jobs.cancel(run)
    status = ended(jobs, run)
    assert (status.state, status.error) == ("stopped", None)
    assert "by force" in status.message
    wait(lambda: not processes(run.path))


def test_a_crash_while_stopping_is_a_failure(store):
    script = "while not run.stop_requested(): time.sleep(0.02)\nraise OSError('no space for the checkpoint')"
    run, jobs = new(store), backend(store, script)
    jobs.submit(run)
    started(run)
    jobs.cancel(run)
    assert "no space for the checkpoint" in ended(jobs, run).error


def test_sigterm_to_the_supervisor_is_a_stop(store):
    run, jobs = new(store), backend(store, STOPPABLE)
    jobs.submit(run)
    started(run)
    os.kill(run.status().pid, signal.SIGTERM)
    assert ended(jobs, run).message == "Stopped at step 7."


# Queue


def test_one_at_a_time_in_the_order_of_submission(store):
    runs, jobs = [new(store) for _ in range(3)], backend(store, STOPPABLE)
    for run in runs:
        jobs.submit(run)
        wait(lambda run=run: run.status().pid)  # it stands in the queue
    for number, run in enumerate(runs):
        started(run)
        later = runs[number + 1 :]
        assert [jobs.status(other).state for other in later] == ["queued"] * len(later)
        wait(lambda run=run, later=later: jobs.list() == [*reversed(later), run])
        for distance, other in enumerate(later, 1):
            wait(lambda other=other, n=distance: f"runs ahead: {n}." in other.status().message)
        jobs.cancel(run)
    assert [ended(jobs, run).state for run in runs] == ["stopped"] * 3
    starts = [run.history("pid")[0]["time"] for run in runs]
    ends = [run.status().finished for run in runs]
    assert all(end <= start for end, start in zip(ends, starts[1:], strict=False))


def test_more_slots_and_a_killed_supervisor_keeps_none(store, monkeypatch):
    monkeypatch.setenv("METALAB_SLOTS", "2")
    runs, jobs = [new(store) for _ in range(3)], backend(store, STOPPABLE)
    for run in runs[:2]:
        jobs.submit(run)
    for run in runs[:2]:
        started(run)  # both at once
    jobs.submit(runs[2])
    wait(lambda: "runs ahead: 2" in runs[2].status().message)
    os.kill(runs[0].status().pid, signal.SIGKILL)
    started(runs[2])
    for run in runs[1:]:
        jobs.cancel(run)
        ended(jobs, run)


def test_a_queued_run_can_be_cancelled(store):
    first, second, jobs = new(store), new(store), backend(store, STOPPABLE)
    jobs.submit(first)
    started(first)
    jobs.submit(second)
    jobs.cancel(second)
    assert "queue" in ended(jobs, second).message
    assert second.status().state == "stopped"
    assert trainers(second) == []
    jobs.cancel(first)
    assert ended(jobs, first).state == "stopped"


def test_a_bad_number_of_slots_is_reported(store, monkeypatch):
    monkeypatch.setenv("METALAB_SLOTS", "many")
    run, jobs = new(store), backend(store)
    jobs.submit(run)
    assert "METALAB_SLOTS: 'many' is not a number" in ended(jobs, run).error


# Submission


def test_several_submits_at_once(store):
    run, jobs = new(store), backend(store, STOPPABLE)
    barrier, outcomes = threading.Barrier(4), []

    def submit() -> None:
        barrier.wait()
        try:
            outcomes.append(jobs.submit(run).state)
        except JobError as error:
            outcomes.append(error.what)

    threads = [threading.Thread(target=submit) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count("queued") == 1
    assert all("already" in outcome for outcome in outcomes if outcome != "queued")
    started(run)
    jobs.cancel(run)
    ended(jobs, run)
    assert len(trainers(run)) == 1


def test_another_process_submits_and_ends(store):
    """As when the server restarts: the job goes on, and whoever comes next can watch and stop it."""
    run = new(store)
    command = [sys.executable, "-c", PRELUDE + STOPPABLE]
    script = (
        "import sys; from metalab.jobs import *; from metalab.runs import *;"
        f"LocalBackend(command={command!r}).submit(RunStore().get({run.id!r})); os.kill(os.getpid(), 9)"
    )
    folder = Path(__file__).parents[1]
    result = subprocess.run(
        [sys.executable, "-c", f"import os; {script}"], cwd=folder, start_new_session=True
    )
    assert result.returncode == -signal.SIGKILL
    started(run)
    jobs = LocalBackend(store)
    assert jobs.list() == [run]
    assert jobs.status(run).state == "running"
    with pytest.raises(JobError, match="already running"):
        jobs.submit(run)
    jobs.cancel(run)
    assert ended(jobs, run).message == "Stopped at step 7."


def test_a_supervisor_that_cannot_start(store, monkeypatch):
    run, jobs = new(store), backend(store)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", "/no/such/python")
        with pytest.raises(JobError, match=r"could not be started.*Free memory"):
            jobs.submit(run)
    assert "could not be started" in jobs.status(run).error
    jobs.submit(run)
    assert ended(jobs, run).state == "done"


def test_a_supervisor_that_breaks_before_it_reports(store, tmp_path, monkeypatch):
    run, jobs = new(store), backend(store)
    (tmp_path / "json.py").write_text("raise ImportError('a broken installation')")
    monkeypatch.chdir(Path(__file__).parents[1])
    monkeypatch.setattr("metalab.background.__file__", str(tmp_path / "metalab" / "background.py"))
    jobs.submit(run)
    assert "a broken installation" in ended(jobs, run).error


def test_a_folder_that_cannot_be_written(store, monkeypatch):
    run, jobs = new(store), backend(store)

    def refuse(*_: object) -> None:
        raise OSError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(StorageError, match="no permission"):
        jobs.submit(run)
    monkeypatch.undo()
    assert run.status().state == "stopped"
    assert not run.supervised()  # the lock was given back


def test_the_supervisor_stays_small():
    script = "import sys, metalab.supervisor, json; print(json.dumps(sorted(sys.modules)))"
    folder = Path(__file__).parents[1]
    output = subprocess.run(
        [sys.executable, "-c", script], cwd=folder, capture_output=True, check=True
    ).stdout
    assert not {"torch", "numpy", "streamlit"} & set(json.loads(output))


def test_each_end_is_told_once(store):
    done, failed, gone = (new(store) for _ in range(3))
    watch = Watch(backend(store))
    assert watch.ended() == []
    locks = []
    for run in (done, failed, gone):
        run.update_status(state="running")
        locks.append(run.lock())
    assert watch.ended() == [], "still at it"
    done.update_status(state="done")
    for lock in locks:
        os.close(lock)
    gone.update_status(state="stopped")
    store.delete(gone.id)
    told = watch.ended()
    assert [(run.id, status.state) for run, status in told] == [(done.id, "done"), (failed.id, "failed")]
    assert "disappeared" in told[1][1].error
    assert watch.ended() == []
