"""Training outside the page's process: submit a run, look at it, stop it.

A backend only starts and ends processes. What a run is doing stands in its folder, written by the job itself;
the backend adds what the job cannot write any more: that it has vanished.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from metalab.background import start_module
from metalab.errors import JobError, RunError, StorageError
from metalab.runs import SETTLE, Run, RunStore, Status
from metalab.storage import storage_error
from metalab.supervisor import GRACE, TRAINER


class Backend(Protocol):
    """Where jobs run: here (:class:`LocalBackend`), or on a cluster."""

    def submit(self, run: Run) -> Status:
        """Queue ``run``, or resume it; raises :class:`JobError` when it is done or active."""

    def status(self, run: Run) -> Status:
        """Return the run's status, corrected if its process has vanished."""

    def cancel(self, run: Run) -> None:
        """Ask ``run`` to stop; raises :class:`JobError` when it is not active."""

    def list(self) -> list[Run]:
        """Return the runs that are queued or running, newest first."""


class LocalBackend:
    """Jobs on this machine, each below a detached supervisor; ``METALAB_SLOTS`` (1) of them train at a time.

    ``command`` starts the trainer (the run's folder is appended); ``grace`` is the time in seconds that a
    trainer has to stop by itself.
    """

    def __init__(
        self, store: RunStore | None = None, *, command: Sequence[str] = TRAINER, grace: float = GRACE
    ) -> None:
        self.store = store or RunStore()
        self.command, self.grace = list(command), grace

    def submit(self, run: Run) -> Status:
        """Queue ``run``; a failed or stopped one resumes from its last checkpoint. Does not wait.

        Raises :class:`JobError` (done, active, cannot be started), :class:`RunError` (damaged) and
        :class:`StorageError`.
        """
        lock = self._claim(run)
        try:
            run.clear_stop()
            run.beat()
            status = run.update_status(
                state="queued",
                message="Starting.",
                error=None,
                pid=None,
                host=None,
                started=None,
                finished=None,
            )
            try:
                self._start_supervisor(run, lock)
            except OSError as error:
                failure = f"The supervisor could not be started: {error}."
                run.update_status(state="failed", message="", error=failure)
                raise JobError(failure, where=run.path, fix="Free memory or processes, then resume") from None
        except OSError as error:
            raise error if isinstance(error, StorageError) else storage_error(error, run.path) from None
        finally:
            os.close(lock)  # the supervisor has its own handle on the same lock by now
        return status

    def status(self, run: Run) -> Status:
        """Return the run's status; queued or running without a living supervisor is recorded as failed."""
        status = run.status()
        try:
            if not status.active or run.supervised():
                return status
            lock = run.lock()
        except StorageError:  # somebody else's run that we may not touch, or deleted just now
            return run.status()
        where = f" on {status.host}" if status.host else ""
        last = next((line for line in reversed(run.tail_log(20).split("\n")) if line.strip()), "")
        reason = (
            f"The supervisor process disappeared{where}: it was killed, or the machine was restarted. "
            + (f"Last line of the log: {last.strip()!r}. " if last else "")
        )
        failed = replace(status, state="failed", message="", error=reason + run.resume_hint())
        if lock is None:  # a lock that outlives its machine on the file server: say it, do not record it
            return failed
        try:
            if not run.status().active:  # it ended properly between our two looks
                return run.status()
            # It ended when it last wrote, not now that somebody looks.
            return run.update_status(
                state="failed", message="", error=failed.error, finished=status.updated or time.time()
            )
        except (RunError, StorageError):  # a full disk must not hide the truth
            return failed
        finally:
            os.close(lock)

    def cancel(self, run: Run) -> None:
        """Ask ``run`` to stop and return at once; its supervisor forces it after the grace period.

        Raises :class:`JobError` when the run is not active and :class:`StorageError`.
        """
        status = self.status(run)
        if not status.active:
            raise JobError(
                f"The run is not active, it is {status.state}", where=run.id, fix="Nothing to stop"
            )
        run.request_stop()

    def list(self) -> list[Run]:
        """Return the store's queued and running runs, newest first. Raises :class:`StorageError`."""
        return [run for run in self.store.list() if self.status(run).active]

    def _claim(self, run: Run) -> int:
        """Take the lock of a run that may be submitted."""
        deadline = time.monotonic() + SETTLE
        while True:
            status = self.status(run)
            if status.state == "damaged":
                raise RunError(status.error or "damaged", fix="Start a new run")
            if status.state == "done":
                raise JobError("The run is done", where=run.id, fix="Start a new run from its configuration")
            if status.active:
                raise JobError(
                    f"The run is already {status.state}", where=run.id, fix="Stop it, then resume it"
                )
            lock = run.lock()
            if lock is not None:
                if run.status().state in ("failed", "stopped"):
                    return lock
                os.close(lock)  # the run was submitted between our two looks
            if time.monotonic() > deadline:
                raise JobError("The run is still ending", where=run.id, fix="Try again in some seconds")
            time.sleep(0.05)

    def _start_supervisor(self, run: Run, lock: int) -> None:
        arguments = ["--lock", str(lock), "--grace", str(self.grace), "--command", json.dumps(self.command)]
        with open(run.log_path, "ab") as log:
            start_module(
                "metalab.supervisor",
                [*arguments, str(run.path.absolute())],
                lock,
                unbuffered=True,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )


class Watch:
    """Tells which runs ended since the last look: cheap enough to ask every few seconds."""

    def __init__(self, backend: LocalBackend) -> None:
        self.backend = backend
        self._active: set[str] | None = None

    def ended(self) -> list[tuple[Run, Status]]:
        """Return the runs that were active at the last call and are no more, with how they ended.

        A run that was deleted meanwhile is left out. Raises :class:`StorageError`.
        """
        runs = self.backend.list()
        active, before = {run.id for run in runs}, self._active or set()
        self._active = active
        ended = [Run(self.backend.store.root / id) for id in sorted(before - active)]
        looked = [(run, self.backend.status(run)) for run in ended]
        return [(run, status) for run, status in looked if status.ended]
