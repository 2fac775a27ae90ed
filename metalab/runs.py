"""The run store: one folder of plain files per run is the live truth about it.

Readers (pages, the CLI, notebooks) and writers (the trainer, its supervisor) share nothing but this folder,
so a reload, a restarted server or another machine on the same file system sees the same run. Files are
replaced whole, or appended line by line; nothing is pickled.

    run.json        identity: format, id, name, time of creation
    config.json     the resolved configuration
    status.json     state, progress and error, replaced at each change
    metrics.jsonl   history, one JSON object a line
    log.txt         what the trainer printed
    checkpoints/    last.safetensors (to resume), best.safetensors
    lock            held (flock) by the supervisor for as long as it lives
    heartbeat       touched by the supervisor, for readers on other machines
    stop            present: somebody asked the run to stop
"""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import secrets
import shutil
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from metalab.config import FORMAT, Config
from metalab.errors import ConfigError, RunError, StorageError
from metalab.history import History, parse_events
from metalab.storage import atomic_write, home, make_folder, storage_error, to_json, try_lock

if TYPE_CHECKING:  # the supervisor imports this module and should stay small
    import numpy as np

State = Literal["queued", "running", "done", "failed", "stopped", "damaged"]
SETTLE = 5.0
"""Seconds that an ended supervisor may take to release its run."""
STALE = 30.0
"""Seconds without a heartbeat after which a run on another machine counts as dead."""


@dataclass(frozen=True, slots=True)
class Status:
    """What a run is doing. Times are seconds since the epoch; ``started`` is that of the latest attempt.

    ``eta``: seconds left in the stage; ``rate``: images (pre-training) or tasks a second; ``spent``: seconds
    of the attempts that have ended.
    """

    state: State
    stage: str = ""
    step: int = 0
    steps: int = 0
    message: str = ""
    eta: float | None = None
    rate: float | None = None
    error: str | None = None
    pid: int | None = None
    host: str | None = None
    created: float | None = None
    started: float | None = None
    updated: float | None = None
    finished: float | None = None
    spent: float = 0.0

    def elapsed(self) -> float:
        """Return the seconds of all attempts together, the current one included."""
        return self.spent + (time.time() - self.started if self.state == "running" and self.started else 0.0)

    @property
    def active(self) -> bool:
        """Whether the run is queued or running."""
        return self.state in ("queued", "running")

    @property
    def ended(self) -> bool:
        """Whether the run is done, failed or stopped."""
        return self.state in ("done", "failed", "stopped")


_NUMBERS = ("step", "steps", "pid", "eta", "rate", "created", "started", "updated", "finished", "spent")
"""What is a number in a status, or None where nothing is known; the rest is text."""
_ROW = {"method", "label", "kind", "accuracy", "interval", "tasks", "transductive"}
_DIFFERENCE = {"method", "baseline", "difference", "interval"}


@dataclass(frozen=True)
class Run:
    """One run: a handle on its folder that keeps nothing in memory, so it is never out of date."""

    path: Path

    @property
    def id(self) -> str:
        """The folder's name."""
        return self.path.name

    @property
    def name(self) -> str:
        """The readable name; the id when the run is damaged."""
        try:
            return str(self._identity().get("name") or self.id)
        except RunError:
            return self.id

    @property
    def started(self) -> str:
        """When it was created, in this machine's time, to the second; the id if that is not known."""
        created = self.status().created
        return time.strftime("%d %b %Y %H:%M:%S", time.localtime(created)) if created else self.id

    @property
    def config(self) -> Config:
        """The resolved configuration. Raises :class:`RunError`."""
        self._identity()
        try:
            return Config.load(self.path / "config.json")
        except ConfigError as error:
            raise _damaged(self.path / "config.json", str(error)) from None

    @property
    def log_path(self) -> Path:
        """The file that receives everything the trainer prints."""
        return self.path / "log.txt"

    # Status

    def status(self) -> Status:
        """Return the recorded status; a folder that cannot be understood is ``damaged``, with the reason.

        Whether the process behind an active run still lives is asked of :meth:`jobs.Backend.status`.
        """
        try:
            identity = self._identity()
            record = self._load("status.json")
            if record.get("state") not in get_args(State):
                raise _damaged(self.path / "status.json", f"unknown state {record.get('state')!r}")
            if not (self.path / "config.json").is_file():
                raise _damaged(self.path / "config.json", "missing")
            known = {
                field.name: record[field.name] for field in dataclasses.fields(Status) if field.name in record
            }
            for name, value in known.items():
                if not isinstance(value, (int | float if name in _NUMBERS else str) | None):
                    raise _damaged(self.path / "status.json", f"{name} is {value!r}")
        except RunError as error:
            return Status("damaged", error=str(error))
        return Status(**{"created": identity.get("created"), **known})

    def update_status(self, **changes: Any) -> Status:
        """Replace ``status.json`` with ``changes`` applied and return the new status.

        The times follow from the state. One process writes at a time: the trainer while there is one, else
        the holder of the run's lock. Raises :class:`RunError` (damaged run) and :class:`StorageError`.
        """
        current = self.status()
        if current.state == "damaged":
            self._require_folder()
            raise RunError(current.error or "The run is damaged", fix="Delete the run, or restore its files")
        now = time.time()
        if changes.get("state") == "running" and current.state != "running":
            changes = {"started": now, "finished": None, "error": None, **changes}
        if changes.get("state") in ("done", "failed", "stopped"):
            changes = {"finished": now, **changes}
            if current.state == "running" and current.started:
                spent = current.spent + max(0.0, changes["finished"] - current.started)
                changes = {"spent": spent, **changes}
        status = dataclasses.replace(current, **{"updated": now, **changes})
        self._write("status.json", to_json(dataclasses.asdict(status)))
        return status

    # History

    def append(self, event: Mapping[str, Any]) -> None:
        """Add ``event`` (with the time, unless it has one) to the history. Raises :class:`StorageError`."""
        path = self.path / "metrics.jsonl"
        line = to_json({"time": round(time.time(), 3), **event}) + b"\n"
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
            try:
                size = os.fstat(handle).st_size
                if size and os.pread(handle, 1, size - 1) != b"\n":
                    line = b"\n" + line  # a killed trainer left half a line: keep it apart
                while line:
                    line = line[os.write(handle, line) :]
            finally:
                os.close(handle)
        except OSError as error:
            raise storage_error(error, path) from None

    def history(self, kind: str | None = None) -> list[dict[str, Any]]:
        """Return the events that count (see :class:`History`), all or those of one kind."""
        history = History().refresh(self)
        return history.events if kind is None else history.of(kind)

    def history_since(self, offset: int) -> tuple[list[dict[str, Any]], int]:
        """Return the raw events after byte ``offset`` and the offset to ask for next (0 at first).

        A :class:`History` tells which of them count: a resumed run takes back some that were sent before.
        """
        try:
            with open(self.path / "metrics.jsonl", "rb") as file:
                file.seek(offset)
                content = file.read()
        except FileNotFoundError:
            return [], offset
        except OSError as error:
            raise storage_error(error, self.path / "metrics.jsonl") from None
        content = content[: content.rfind(b"\n") + 1]  # the last line may still be on its way
        return parse_events(content), offset + len(content)

    def tail_log(self, n: int = 200) -> str:
        """Return the last ``n`` lines of the log; of a progress bar only its last state."""
        try:
            with open(self.log_path, "rb") as file:
                position, content = file.seek(0, os.SEEK_END), b""
                while position and content.count(b"\n") <= n:
                    block = min(position, 1 << 16)
                    position -= block
                    file.seek(position)
                    content = file.read(block) + content
        except OSError:
            return ""
        lines = content.decode(errors="replace").removesuffix("\n").split("\n")
        return "\n".join(line.rstrip("\r").rsplit("\r", 1)[-1] for line in lines[-n:])

    # Results

    def checkpoint(self, name: str) -> Path:
        """Return the path of checkpoint ``name`` ("last", "best"), whether it exists or not."""
        return self.path / "checkpoints" / self._file(name, ".safetensors").name

    def has(self, name: str) -> bool:
        """Whether the file ``name`` was written, for example ``evaluation.json``."""
        return (self.path / name).is_file()

    def resume_hint(self) -> str:
        """Say what submitting the run again will do."""
        if any(self.checkpoint("last").parent.glob("*.safetensors")):
            return "Resume continues from the last checkpoint."
        return "There is no checkpoint yet, resume starts from the beginning."

    def write_json(self, name: str, value: Any) -> None:
        """Write ``value`` as JSON; NaN and infinity become null. Raises :class:`StorageError`."""
        self._write(self._file(name, ".json").name, to_json(value, indent=1))

    def read_json(self, name: str) -> Any:
        """Return what :meth:`write_json` wrote. Raises :class:`RunError` when missing or damaged."""
        return self._load(self._file(name, ".json").name, kind=object)

    def write_arrays(self, name: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Write named numeric arrays as safetensors. Raises :class:`RunError`, :class:`StorageError`."""
        import numpy as np
        from safetensors.numpy import save

        path = self._file(name, ".safetensors")
        packed = {key: np.asarray(array, order="C") for key, array in arrays.items()}
        for key, array in packed.items():
            if array.dtype.kind not in "biuf":
                raise RunError(
                    f"array {key!r} has type {array.dtype}", where=path, fix="Keep text in write_json"
                )
        self._write(path.name, save(packed))

    def read_arrays(self, name: str) -> dict[str, np.ndarray]:
        """Return what :meth:`write_arrays` wrote. Raises :class:`RunError` when missing or damaged."""
        from safetensors import SafetensorError
        from safetensors.numpy import load

        path = self._file(name, ".safetensors")
        try:
            return load(_read(path))
        except SafetensorError as error:
            raise _damaged(path, str(error)) from None

    def evaluation(self) -> dict[str, Any] | None:
        """Return the evaluation table (:class:`Evaluation` as data), None before there is one.

        Raises :class:`RunError` when it is damaged.
        """
        if not self.has("evaluation.json"):
            return None
        table = self._load("evaluation.json")
        parts = (("rows", _ROW), ("differences", _DIFFERENCE))
        sound = (
            {"verdict", "way", "shot"} <= table.keys()
            and all(isinstance(table.get(part), list) for part, _ in parts)
            and all(
                isinstance(row, dict) and keys <= row.keys() for part, keys in parts for row in table[part]
            )
            and table["rows"]
        )
        if not sound:
            raise _damaged(self.path / "evaluation.json", "not an evaluation table")
        return table

    def device(self) -> str:
        """Return what trains or trained the run, for example "cpu"; empty if nobody wrote it down."""
        try:
            return str(self._load("environment.json").get("device", ""))
        except RunError:
            return ""

    def size(self) -> int:
        """Return the bytes that the folder takes on disk."""
        total = 0
        for folder, _, files in os.walk(self.path):
            for file in files:
                try:
                    total += os.lstat(os.path.join(folder, file)).st_size
                except OSError:
                    continue  # a temporary file that is gone by now
        return total

    # Signs between processes

    def request_stop(self) -> None:
        """Ask the trainer to save a checkpoint and end. Raises :class:`StorageError`."""
        try:
            (self.path / "stop").touch()
        except OSError as error:
            raise storage_error(error, self.path / "stop") from None

    def stop_requested(self) -> bool:
        """Whether somebody asked the run to stop (cheap: ask at each step)."""
        return os.path.exists(self.path / "stop")

    def clear_stop(self) -> None:
        """Withdraw the stop request. Raises :class:`StorageError`."""
        try:
            (self.path / "stop").unlink(missing_ok=True)
        except OSError as error:
            raise storage_error(error, self.path / "stop") from None

    def lock(self) -> int | None:
        """Take the run's lock (see :func:`try_lock`): its holder is the run's supervisor."""
        return try_lock(self.path / "lock")

    def beat(self) -> None:
        """Renew the heartbeat. Raises :class:`FileNotFoundError` when the run was deleted."""
        os.utime(self.path / "heartbeat")

    def heartbeat_age(self) -> float:
        """Return the seconds since the last heartbeat. Raises :class:`FileNotFoundError`."""
        with open(
            self.path / "heartbeat", "rb"
        ) as file:  # opening refreshes what a network file system caches
            return time.time() - os.fstat(file.fileno()).st_mtime

    def supervised(self) -> bool:
        """Whether a supervisor lives: by the lock on its own machine, by the heartbeat on another.

        Process ids are not asked: the system uses them again. Raises :class:`StorageError`.
        """
        status = self.status()
        if status.active and status.host not in (None, socket.gethostname()):
            try:
                return self.heartbeat_age() < STALE
            except OSError as error:
                raise storage_error(error, self.path / "heartbeat") from None
        handle = self.lock()
        if handle is None:
            return True
        os.close(handle)
        return False

    # Files

    def _identity(self) -> dict[str, Any]:
        identity = self._load("run.json")
        if identity.get("format") != FORMAT:
            raise RunError(
                f"written in run format {identity.get('format')!r}, this metalab reads format {FORMAT}",
                where=self.path,
                fix="Open it with the version of metalab that wrote it, or update metalab",
            )
        return identity

    def _load(self, name: str, kind: type = dict) -> Any:
        try:
            value = json.loads(_read(self.path / name))
        except ValueError as error:
            raise _damaged(self.path / name, f"not JSON ({error})") from None
        if not isinstance(value, kind):
            raise _damaged(self.path / name, "not a JSON object")
        return value

    def _write(self, name: str, content: bytes) -> None:
        self._require_folder()  # atomic_write would create a deleted run's folder again
        atomic_write(self.path / name, content)

    def _require_folder(self) -> None:
        if not self.path.is_dir():
            raise StorageError(
                "the run's folder is gone", where=self.path, fix="It was deleted: start a new run"
            )

    def _file(self, name: str, suffix: str) -> Path:
        return self.path / (_component(name).removesuffix(suffix) + suffix)


class RunStore:
    """All runs below one folder, by default ``$METALAB_HOME/runs``."""

    def __init__(self, root: Path | str | None = None) -> None:
        self.root = Path(root).absolute() if root is not None else home().absolute() / "runs"

    def create(self, config: Config, name: str | None = None) -> Run:
        """Create a run that waits to be submitted; it appears whole or not at all.

        Until then its state is ``stopped`` and ``started`` is None. Raises :class:`StorageError`.
        """
        created = datetime.now(UTC)
        identity = created.strftime("%Y%m%d-%H%M%S-%f-") + secrets.token_hex(2)
        if name is None:
            from metalab.applications import application  # brings torch, which the supervisor does without

            shape = application(config.application).shape(config.way, config.shot)
            name = f"{config.metalearner} {shape}, {config.source}"
        record = {"format": FORMAT, "id": identity, "name": _clean(name), "created": created.timestamp()}
        status = Status("stopped", message="Not started yet.", created=created.timestamp())
        building = self.root / f".new-{identity}"
        try:
            make_folder(building / "checkpoints")
            config.save(building / "config.json")
            atomic_write(building / "status.json", to_json(dataclasses.asdict(status)))
            atomic_write(building / "run.json", to_json(record, indent=1))
            (building / "lock").touch()
            (building / "heartbeat").touch()
            building.rename(self.root / identity)
        except BaseException as error:
            shutil.rmtree(building, ignore_errors=True)
            if isinstance(error, OSError) and not isinstance(error, StorageError):
                raise storage_error(error, building) from None
            raise
        return Run(self.root / identity)

    def list(self) -> list[Run]:
        """Return all runs, newest first, damaged ones included. Raises :class:`StorageError`."""
        try:
            folders = [entry.name for entry in os.scandir(self.root) if entry.is_dir()]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise storage_error(error, self.root) from None
        return [Run(self.root / name) for name in sorted(folders, reverse=True) if not name.startswith(".")]

    def get(self, id: str) -> Run:
        """Return the run ``id``. Raises :class:`RunError` when there is none."""
        run = Run(self.root / _component(id))
        if not run.path.is_dir():
            raise RunError(
                f"there is no run {id!r}", where=self.root, fix="It may have been deleted; list the runs"
            )
        return run

    def delete(self, id: str) -> None:
        """Delete the run with all its files. Raises :class:`RunError` (active) and :class:`StorageError`."""
        run, deadline = self.get(id), time.monotonic() + SETTLE
        handle = None if run.status().active and run.supervised() else run.lock()
        while handle is None and not run.status().active and time.monotonic() < deadline:
            time.sleep(0.05)  # its supervisor is about to end
            handle = run.lock()
        if handle is None:
            raise RunError(f"run {id!r} is active", where=run.path, fix="Stop it, then delete it")
        trash = self.root / f".deleted-{id}-{secrets.token_hex(2)}"
        try:
            run.path.rename(trash)  # at once: nobody sees half a run
            shutil.rmtree(trash)
        except OSError as error:
            raise storage_error(error, run.path) from None
        finally:
            os.close(handle)

    def rename(self, id: str, name: str) -> Run:
        """Give the run another readable name. Raises :class:`RunError` and :class:`StorageError`."""
        run = self.get(id)
        run._write("run.json", to_json({**run._identity(), "name": _clean(name)}, indent=1))
        return run


def _read(path: Path) -> bytes:
    for attempt in range(3):
        try:
            return path.read_bytes()
        except OSError as error:
            # On a network file system a file may be replaced between opening and reading.
            if error.errno != errno.ESTALE or attempt == 2:
                raise _damaged(
                    path, "missing" if error.errno == errno.ENOENT else str(error.strerror)
                ) from None
    raise AssertionError("unreachable")


def _damaged(path: Path, reason: str) -> RunError:
    return RunError(reason, where=path, fix="Restore the file, or delete the run")


def _component(name: str) -> str:
    """Return ``name`` if it is one plain part of a path: nothing may lead out of the run store."""
    if not name or name.startswith(".") or any(c in "/\\" or not c.isprintable() for c in name):
        raise RunError(f"{name!r} is not a valid name", fix="Use letters, digits, '-' and '_'")
    return name


def _clean(name: str) -> str:
    name = " ".join(name.split())[:200]
    if not name:
        raise RunError("a run needs a name", where="name", fix="Give at least one visible character")
    return name
