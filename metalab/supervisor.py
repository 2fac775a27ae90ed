"""The process that looks after one trainer: ``python -m metalab.supervisor RUN_DIR``.

It holds the run's lock for all its life, waits for a slot, starts the trainer, ends it when it does not stop
as asked, and writes the final state when the trainer could not. It imports no torch and does no work itself,
so that what kills a trainer rarely hits it; and when it dies, the trainer dies with it.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from metalab.errors import JobError, MetalabError
from metalab.runs import Run
from metalab.storage import home, make_folder, try_lock

POLL = 0.2
BEAT = 2.0
GRACE = 20.0
"""Seconds that a trainer gets to end by itself after it was asked to stop."""
TERM_GRACE = 5.0
"""Seconds between SIGTERM and SIGKILL."""
TRAINER = (sys.executable, "-m", "metalab.worker")

_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
_PR_SET_PDEATHSIG = 1
_HINTS: dict[int, str] = {
    signal.SIGKILL: "usually the system ran out of memory or somebody ended it",
    signal.SIGTERM: "somebody ended it, or the machine was shut down",
    signal.SIGSEGV: "it crashed in native code",
    signal.SIGBUS: "often the disk or the shared memory is full",
}


class _Gone(Exception):
    """The run's folder was deleted."""


def die_with_parent() -> None:
    """End this process, and its process group if it leads one, as soon as its parent ends.

    The trainer calls this first; processes that it starts itself should as well. On Linux the kernel binds
    the trainer anyway (:func:`_die_with`), but to the parent's thread, so that is not for every caller.
    """
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        if os.getpgrp() == os.getpid():
            os.killpg(0, signal.SIGKILL)
        os._exit(1)

    threading.Thread(target=watch, name="die-with-parent", daemon=True).start()


def _die_with(parent: int) -> None:
    """Let the kernel (Linux) kill this process together with ``parent``, of which it is a child."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL))
    if os.getppid() != parent:  # it ended before we could ask
        os._exit(1)


def supervise(run: Run, command: Sequence[str] = TRAINER, *, grace: float = GRACE) -> None:
    """Wait for a slot, train, and leave a final state. The caller holds the run's lock.

    Raises :class:`MetalabError` when the folder cannot be written.
    """
    run.update_status(pid=os.getpid(), host=socket.gethostname())
    slots, seen = slots_here(), -1
    with _ticket(make_folder(home() / "slots" / socket.gethostname())) as ahead:
        while True:
            if run.stop_requested():
                run.update_status(state="stopped", message="Stopped while it waited in the queue.")
                return
            waiting = ahead() if slots else -1
            if waiting < slots:
                break
            if waiting != seen:
                run.update_status(message=f"Waiting for a free slot; runs ahead: {waiting}.")
                seen = waiting
            _pause(run)
        _train(run, command, grace)


def _train(run: Run, command: Sequence[str], grace: float) -> None:
    _sweep(run)
    print(f"[metalab] {time.strftime('%F %T')} starting {command[0]}", flush=True)
    log_start = run.log_path.stat().st_size if run.log_path.exists() else 0
    if run.has("metrics.jsonl"):
        run.append({"kind": "attempt"})  # what follows may do again what stands there
    run.update_status(state="running", message="Starting the trainer.")
    try:
        # preexec_fn is safe here: this process has one thread.
        trainer = subprocess.Popen(
            [*command, str(run.path)],
            stdin=subprocess.DEVNULL,
            process_group=0,
            preexec_fn=partial(_die_with, os.getpid()),
        )
    except OSError as error:
        run.update_status(state="failed", error=f"The trainer could not be started: {error}.")
        return
    try:
        forced = _watch(run, trainer, grace)
    finally:
        _kill(trainer, signal.SIGKILL)  # also what the trainer left behind in its process group
        trainer.wait()
        _sweep(run)
    if run.status().ended:
        return
    if forced or (run.stop_requested() and trainer.returncode == 0):
        how = "it was ended by force, as it did not stop when asked" if forced else "as asked"
        run.update_status(state="stopped", message=f"Stopped ({how}). {run.resume_hint()}")
    else:
        reason = _reason(trainer.returncode, _last_line(run, log_start))
        run.update_status(state="failed", message="", error=f"{reason} {run.resume_hint()}")


def _watch(run: Run, trainer: subprocess.Popen[bytes], grace: float) -> bool:
    """Wait until the trainer has ended; return whether it had to be forced."""
    asked: float | None = None
    terminated = False
    while trainer.poll() is None:
        _pause(run)
        # A trainer that has reported its end but hangs would keep its slot for ever.
        if asked is None and (run.stop_requested() or run.status().ended):
            asked = time.monotonic()
        waited = 0.0 if asked is None else time.monotonic() - asked
        if waited > grace + min(TERM_GRACE, grace):
            _kill(trainer, signal.SIGKILL)
        elif waited > grace and not terminated:
            _kill(trainer, signal.SIGTERM)
            terminated = True
    return terminated


def _pause(run: Run) -> None:
    """Sleep for a moment and keep the heartbeat fresh. Raises :class:`_Gone`."""
    time.sleep(POLL)
    try:
        if not 0 <= run.heartbeat_age() < BEAT:
            run.beat()
    except FileNotFoundError:
        raise _Gone from None
    except OSError:
        pass  # a hiccup of the file system is no reason to end a training


def _kill(trainer: subprocess.Popen[bytes], sig: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(trainer.pid, sig)


def _sweep(run: Run) -> None:
    """Remove half-written checkpoints of a killed trainer: only trainers write there, and there is none."""
    for path in run.checkpoint("last").parent.glob(".*"):
        path.unlink(missing_ok=True)


def _reason(code: int, last_line: str) -> str:
    if code < 0:
        name = next((f" ({item.name})" for item in signal.Signals if item == -code), "")
        hint = f"; {_HINTS[-code]}" if -code in _HINTS else ""
        return f"The trainer was killed by signal {-code}{name}{hint}."
    if code == 0:
        return "The trainer ended without reporting a result."
    return f"The trainer ended with exit code {code}: {last_line or 'it printed nothing'}."


def _last_line(run: Run, start: int) -> str:
    if not run.log_path.exists() or run.log_path.stat().st_size <= start:
        return ""
    return next((line for line in reversed(run.tail_log(50).split("\n")) if line.strip()), "").strip()


def slots_here() -> int:
    """Return how many runs may train at a time (``METALAB_SLOTS``; 0: no limit). Raises :class:`JobError`."""
    text = os.environ.get("METALAB_SLOTS", "1")
    if not text.isdecimal():
        raise JobError(
            f"{text!r} is not a number", where="METALAB_SLOTS", fix="Set it to 1, 2, ... or 0: no limit"
        )
    return int(text)


@contextlib.contextmanager
def _ticket(folder: Path) -> Iterator[Callable[[], int]]:
    """Queue up in ``folder``: yield a function that counts the earlier tickets still held.

    A ticket is a numbered file, locked while its run waits or trains, so runs start in the order of their
    submission and the tickets of killed supervisors do not count.
    """
    with _mutex(folder):
        last = max((int(path.name) for path in folder.glob("[0-9]*")), default=0)
        mine = folder / f"{last + 1:09d}"
        handle = try_lock(mine)

    def ahead() -> int:
        count = 0
        with _mutex(folder):
            for path in folder.glob("[0-9]*"):
                if path.name < mine.name:
                    other = try_lock(path)
                    if other is None:
                        count += 1
                    else:
                        path.unlink(missing_ok=True)
                        os.close(other)
        return count

    try:
        yield ahead
    finally:
        mine.unlink(missing_ok=True)
        if handle is not None:
            os.close(handle)


@contextlib.contextmanager
def _mutex(folder: Path) -> Iterator[None]:
    while (handle := try_lock(folder / "mutex")) is None:
        time.sleep(0.01)
    try:
        yield
    finally:
        os.close(handle)


def main(argv: Sequence[str] | None = None) -> int:
    """Supervise the run of the command line; return 0 when its final state could be written."""
    parser = argparse.ArgumentParser(prog="python -m metalab.supervisor", description=__doc__)
    parser.add_argument("folder", type=Path, help="the run's folder")
    parser.add_argument("--command", type=json.loads, default=TRAINER, help="the trainer, a JSON list")
    parser.add_argument("--grace", type=float, default=GRACE, help="seconds to stop before it is forced")
    parser.add_argument("--lock", type=int, help="handle of the run's lock, when the caller has taken it")
    arguments = parser.parse_args(argv)
    run = Run(arguments.folder.absolute())
    # The lock is never released by hand: it ends with this process, after the final state was written.
    if arguments.lock is None and run.lock() is None:
        raise JobError("another supervisor looks after this run", where=run.path, fix="Stop that one first")

    def stop(*_: object) -> None:
        with contextlib.suppress(MetalabError):
            run.request_stop()

    signal.signal(signal.SIGTERM, stop)
    try:
        supervise(run, arguments.command, grace=arguments.grace)
    except _Gone:
        print("[metalab] the run's folder was deleted", flush=True)
        return 1
    except Exception as error:
        with contextlib.suppress(MetalabError):
            if run.status().active:
                run.update_status(state="failed", error=f"The supervisor failed: {error} {run.resume_hint()}")
        raise
    return 0


if __name__ == "__main__":
    sys.exit(main())
