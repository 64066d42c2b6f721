"""Cells on the workers of a Dask cluster, with or without a file system that all of them see."""

from __future__ import annotations

import logging
import shutil
import uuid
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from otbench.errors import DataError, UsageError, describe
from otbench.extras import missing_from
from otbench.files import whole
from otbench.interface.parameters import parameter
from otbench.results.cell import write_json
from otbench.results.job import Job
from otbench.run.executors import dask_worker
from otbench.run.executors.base import ExecutorOptions
from otbench.run.executors.remote import Batch, End, RemoteExecutor

if TYPE_CHECKING:
    from distributed import Client, Future

CONNECT_SECONDS = 10.0
FETCH_SECONDS = 60.0


@dataclass
class DaskExecutor(RemoteExecutor):
    """Cells on a Dask cluster; without a scheduler's address, on one that it starts here.

    A worker that dies is no cell's fault: Dask gives its cell to another one, and gives up a cell
    that took several workers with it. Where workers do not see the results folder, records, logs
    and pictures come back through the scheduler.
    """

    scheduler: str | None = parameter(
        None, "address of a running scheduler, such as tcp://node1:8786; none: a cluster is started"
    )
    models: bool = parameter(
        False, "fetch trained models too, where workers do not see the results folder"
    )
    retries: int = parameter(
        2, "how often a cell is tried again whose worker or scheduler failed", low=0
    )
    patience: float = parameter(
        300.0, "seconds to wait for a scheduler that does not answer any more", above=0
    )

    @property
    def here(self) -> bool:
        """Whether cells run on this machine."""
        return self.scheduler is None

    @property
    def attempts(self) -> int:
        """How often a cell is tried whose batch ended for a reason that is not its own."""
        return 1 + self.retries

    def check(self) -> None:
        """Look whether Dask is installed and the scheduler answers.

        Raises
        ------
        DataError
            If Dask is not installed.
        UsageError
            If no scheduler answers at the address.
        """
        if hint := missing_from("dask"):
            raise DataError(hint)
        if self.scheduler is not None:
            with _quiet(), _client(self.scheduler, CONNECT_SECONDS):
                pass

    @contextmanager
    def engine(self, jobs: list[Job], options: ExecutorOptions) -> Iterator[_Engine]:
        """Connect to the scheduler, or start a cluster with as many workers as cells at once."""
        if self.scheduler is None:
            with _quiet(), _cluster(options.jobs) as address, _client(address, 30.0) as client:
                yield from _Engine.serving(self, client, options)
        else:
            with _quiet(), _client(self.scheduler, self.patience) as client:
                yield from _Engine.serving(self, client, options)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Dask's own log off the terminal: what matters stands in records."""
    logger = logging.getLogger("distributed")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


@contextmanager
def _cluster(workers: int) -> Iterator[Any]:
    from distributed import LocalCluster

    # Its workers only wait for the processes of cells: threads of this process will do. Pages about
    # it are for this machine alone.
    page = "127.0.0.1:0"
    with LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        processes=False,
        dashboard_address=page,
        worker_dashboard_address=page,
    ) as cluster:
        yield cluster


@contextmanager
def _client(address: Any, timeout: float) -> Iterator[Client]:
    from distributed import Client

    try:
        client = Client(address, timeout=timeout, set_as_default=False)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"no Dask scheduler answers at {address} ({describe(error)}); start one with "
            "'dask scheduler', and 'dask worker ADDRESS' on each machine"
        ) from error
    try:
        yield client
    finally:
        with suppress(OSError, TimeoutError):
            client.close(timeout=5)


@dataclass
class _Engine:
    executor: DaskExecutor
    client: Client
    options: ExecutorOptions
    run: str
    marker: Path
    at_once: int = 64
    poll_seconds: float = 0.2
    futures: dict[str, Future] = field(default_factory=dict)
    jobs: dict[str, Job] = field(default_factory=dict)
    away: set[str] = field(default_factory=set)
    progress: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def serving(
        cls, executor: DaskExecutor, client: Client, options: ExecutorOptions
    ) -> Iterator[_Engine]:
        """Yield an engine, with a file in the results folder by which workers recognise it."""
        run = f"otbench-{uuid.uuid4().hex}"
        marker = options.out.resolve() / f".{run}"
        marker.touch()
        engine = cls(executor, client, options, run, marker)
        try:
            yield engine
        finally:
            engine.close()
            marker.unlink(missing_ok=True)

    def submit(self, batches: Sequence[list[Job]]) -> list[Batch]:
        """Hand over cells, each by itself."""
        seen = list(self._everywhere(dask_worker.sees, str(self.marker)).values())
        self.at_once = max(self.at_once, 2 * sum(self.client.nthreads().values()))
        shared = bool(seen) and all(seen)
        if not seen:
            self.options.say("Dask: the scheduler has no workers yet; cells wait for the first one")
        elif not shared:
            self.options.say(
                f"Dask: {seen.count(False)} of {len(seen)} workers do not see {self.options.out}; "
                f"records{' and models' if self.executor.models else ''} travel back"
            )
        if not shared:
            self.client.subscribe_topic(self.run, self._take_progress)
        return [self._submit(job, shared) for (job,) in batches]

    def _submit(self, job: Job, shared: bool) -> Batch:
        files, key = None, f"{job.cell.method}-s{job.cell.seed}-{uuid.uuid4().hex}"
        if not shared:
            scored = job.record() is not None and not job.fresh
            names = (job.request.name, *dask_worker.SENT)
            files = dask_worker.pack(job.folder, names, with_model=scored)
        with warnings.catch_warnings():
            # A model that is to be scored may be large.
            warnings.filterwarnings("ignore", "Sending large graph")
            future = self.client.submit(
                dask_worker.run_cell,
                self.run,
                str(self.marker),
                str(job.request.resolve()),
                files,
                job.cell.threads,
                self.options.timeout,
                self.executor.models,
                key=key,
                pure=False,
                retries=self.executor.retries,
            )
        self.futures[key], self.jobs[key] = future, job
        if not shared:
            self.away.add(key)
        return Batch(key, [job])

    def ended(self, batches: Sequence[Batch]) -> dict[str, End]:
        """Return the cells whose task is over."""
        self._write_progress()
        if self.client.status == "closed":
            where = f"the Dask scheduler at {self.executor.scheduler}"
            end = End("interrupted", f"{where} does not answer any more", final=True)
            return {batch.id: end for batch in batches}
        found = {}
        for batch in batches:
            future = self.futures[batch.id]
            if future.status == "finished":
                if batch.id in self.away and not self._fetch(batch.id):
                    continue
                reason = "the Dask worker gave the cell back without a record"
                found[batch.id] = End("failed", reason)
            elif future.status == "error":
                found[batch.id] = End("failed", _explain(future), blames=True)
            elif future.status in ("cancelled", "lost") and self.client.status == "running":
                found[batch.id] = End("interrupted", "the Dask scheduler was lost, and the cell")
        return found

    def _fetch(self, name: str) -> bool:
        """Write the files that come back; the request goes last, which ends the cell.

        Returns False where they cannot be had: their worker died, and Dask runs the cell again.
        """
        from distributed import CancelledError

        try:
            files, job = self.futures[name].result(timeout=FETCH_SECONDS), self.jobs[name]
        except (OSError, TimeoutError, CancelledError):
            return False
        self.away.discard(name)
        if files is None:
            return True
        if not dask_worker.known_names(files):
            raise ValueError(f"a Dask worker sent files that no cell has: {sorted(files)}")
        model = {name: files.pop(name) for name in sorted(files) if name not in
                 dask_worker.RETURNED}  # fmt: skip
        if model:
            temporary = job.folder / "model.tmp"
            shutil.rmtree(temporary, ignore_errors=True)
            dask_worker.unpack(model, temporary)
            shutil.rmtree(job.folder / dask_worker.MODEL, ignore_errors=True)
            (temporary / dask_worker.MODEL).rename(job.folder / dask_worker.MODEL)
            temporary.rmdir()
        for known in dask_worker.RETURNED:
            if known in files:
                with whole(job.folder / known) as path:
                    path.write_bytes(files[known])
        job.request.unlink(missing_ok=True)
        return True

    def _take_progress(self, event: tuple[float, dict[str, Any]]) -> None:
        # Called by another thread.
        self.progress[event[1]["request"]] = event[1]["progress"]

    def _write_progress(self) -> None:
        while self.progress:
            request, progress = self.progress.popitem()
            if Path(request).exists():
                write_json(Path(request).parent / "progress.json", progress)

    def cancel(self, batches: Sequence[Batch]) -> None:
        """Cancel all tasks and end the processes of those that run."""
        with suppress(OSError, TimeoutError):
            self.client.cancel([self.futures[batch.id] for batch in batches])
            self._everywhere(dask_worker.close_run, self.run)

    def close(self) -> None:
        """End the processes that workers keep for this run."""
        if self.client.status == "running":
            with suppress(OSError, TimeoutError):
                self._everywhere(dask_worker.close_run, self.run)

    def _everywhere(self, function: Callable[[str], Any], argument: str) -> dict[str, Any]:
        """Call a function on each worker that answers, also on those that are busy."""
        answers: dict[str, Any] = self.client.run(function, argument, on_error="ignore")
        return answers


def _explain(future: Future) -> str:
    from distributed import KilledWorker

    error = future.exception()
    if isinstance(error, KilledWorker):
        return "the Dask workers that ran it died, one after another"
    return f"its Dask task failed: {describe(error)}"
