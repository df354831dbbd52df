"""Training many seeds on many machines with Dask. A task trains and scores one seed on a worker.

Settings, the judge and scores travel over the network. Images do not: each worker loads them
itself, and must find the same images. A worker compiles once, for its first seed. Workers need the
same versions and number of threads as the process that distributes the seeds, since both change
the bits of the results.

This module imports `distributed` only where it is used, and no TensorFlow at first: a scheduler
imports this module to read tasks, but does not need TensorFlow.
"""

import asyncio
import contextlib
import functools
import importlib.util
import io
import logging
import os
import signal
import sys
import tempfile
import threading
import warnings
from pathlib import Path
from typing import NamedTuple

from tf_gen import cli
from tf_gen.errors import UserError

PATIENCE = 2  # seconds within which a scheduler must answer
VARIABLES = ("XLA_FLAGS", "TF_ENABLE_ONEDNN_OPTS")  # environment variables that change bits


class Job(NamedTuple):
    """What all seeds of one evaluation have in common. It is hashable."""

    model: str
    settings: tuple  # pairs of the name and the value of a setting
    data: str | None  # the `spec` of `mnist.load`
    resize: bool
    invert: bool
    sha256: str | None  # of the images
    judge: bytes | None  # its .keras file
    jit: bool
    identity: tuple  # `identity_here` of the process that distributes the seeds


@contextlib.contextmanager
def connected(scheduler, workers):
    """Yield a `distributed.Client` of an existing scheduler, or of new workers on this machine.

    Args:
        scheduler: its address, "tcp://HOST:PORT", or None.
        workers: how many processes to start if `scheduler` is None.

    Raises:
        UserError: Dask is not installed, or no scheduler answers.
    """
    try:
        import distributed
    except ImportError as error:
        raise UserError(
            "--workers and --scheduler need Dask: pip install 'tf_gen[cluster]'"
        ) from error
    for name in ("distributed", "distributed.client"):  # we report their errors in one line
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with contextlib.ExitStack() as stack:
        if scheduler:
            check_scheduler(scheduler)
        else:
            # Without a limit, or Dask would stop workers when TensorFlow's memory grows.
            scheduler = distributed.LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                memory_limit=None,
                dashboard_address="127.0.0.1:0",  # any port
                silence_logs=logging.CRITICAL,
                preload=__name__,  # for `dask_setup`
            )
            stack.enter_context(scheduler)
        with warnings.catch_warnings():
            # About Dask's own versions. Each worker compares the versions that change bits.
            warnings.simplefilter("ignore", distributed.versions.VersionMismatchWarning)
            client = distributed.Client(scheduler, set_as_default=False)
        stack.enter_context(client)
        check_installed(client)
        yield client


def check_scheduler(address):
    """Raise UserError if no Dask scheduler answers at `address` within seconds.

    If something else listens there, a `Client` would wait forever.
    """
    import distributed

    async def ask():
        security = distributed.Security().get_connection_args("client")  # as Dask is configured
        async with distributed.rpc(address, connection_args=security) as scheduler:
            return await asyncio.wait_for(scheduler.identity(), PATIENCE)

    try:
        found = asyncio.run(ask())["type"]
    except Exception as error:  # something else can answer in any way
        raise UserError(
            f"--scheduler {address}: no Dask scheduler answers there; `dask scheduler` starts one "
            "and prints its address"
        ) from error
    if found != "Scheduler":
        raise UserError(
            f"--scheduler {address}: is a {found.lower()}; name the scheduler's address"
        )


def check_installed(client):
    """Raise UserError if the scheduler of a `distributed.Client` or a worker lacks this module.

    Without it they cannot read a task, and end when one arrives.
    """
    find = importlib.util.find_spec
    found = {f"worker {w}": s for w, s in client.run(find, __name__, on_error="return").items()}
    try:
        found["the scheduler"] = client.run_on_scheduler(find, __name__)
    except ModuleNotFoundError as error:
        found["the scheduler"] = error
    for place, spec in found.items():
        if spec is None or isinstance(spec, Exception):
            raise UserError(
                f"{place} has no tf_gen, or an earlier one; install there what is installed here"
            )


def identity_here(threads):
    """What must be the same in two processes so that both compute the same bits: a tuple of pairs.

    `threads` is the number of threads that TensorFlow uses for an operation, here or on a worker.
    """
    from tf_gen import rundir

    versions = rundir.manifest(None, None, None)["versions"]
    variables = {name: os.environ.get(name) for name in VARIABLES}
    return tuple({**versions, **variables, "threads": threads}.items())


def scores(client, job, seeds):
    """Yield each of `seeds`, Python ints, with its score, in the order in which they arrive.

    If a worker dies, another one trains its seed. After an error, or after the caller has closed
    this generator, no further seed is started.

    Args:
        client: a `distributed.Client`.
        job: a `Job`.

    Raises:
        UserError: a worker differs from this process, workers died repeatedly, or a seed failed
            with an error.
    """
    import distributed

    if not client.scheduler_info()["workers"]:
        cli.warn(f"{client.scheduler.address} has no workers yet; waiting for some")
    # The job is a task, so a worker can get it from another worker, and again if that one dies.
    shared = client.submit(same, job, pure=False)
    futures = client.map(train, seeds, job=shared, pure=False)
    seed_of = {future.key: seed for future, seed in zip(futures, seeds, strict=True)}
    ours = {shared.key, *seed_of}

    def tell(event):
        _, message = event
        if message["action"] == "remove-worker" and ours & message["processing-tasks"]:
            cli.warn(f"worker {message['worker']} is gone; its seed goes to another one")

    client.subscribe_topic("all", tell)
    try:
        for future in distributed.as_completed(futures, loop=client.loop):
            seed = seed_of.pop(future.key)
            yield seed, result(future, seed)
            future.release()  # the worker can then delete the result
    finally:
        client.unsubscribe_topic("all")
        client.cancel([*futures, shared])


def result(future, seed):
    """The score in a finished `distributed.Future`. Raises UserError if there is none."""
    import distributed

    if future.status == "finished":
        return future.result()
    if future.status != "error":
        raise UserError("the scheduler is gone, or has cancelled the remaining seeds")
    error = future.exception()
    if isinstance(error, UserError):
        raise error
    if isinstance(error, distributed.KilledWorker):
        raise UserError(
            f"seed {seed}: {error.allowed_failures + 1} workers died while they had it, the last "
            f"{error.last_worker.address}; was their memory too small?"
        ) from error
    lines = str(error).strip().splitlines() or [""]
    raise UserError(f"seed {seed}: {type(error).__name__}: {lines[0]}") from error


# ---- On a worker ---------------------------------------------------------------------------------


def dask_setup(worker):
    """Leave Ctrl-C to the command that started this worker. Dask calls this function by name."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def same(job):
    """Return `job`."""
    return job


def train(seed, job):
    """Train a seed of `job` and return its score, a dict of floats, bools and arrays."""
    import distributed

    worker = distributed.get_worker()
    try:
        if worker.state.nthreads > 1:
            raise UserError(
                f"trains {worker.state.nthreads} seeds at once; start it with --nthreads 1"
            )
        # Nobody reads what would be printed here.
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            ((_, score),) = trainer(job).scores([seed])
    except UserError as error:
        raise UserError(f"worker {worker.address}: {error}") from error
    return score


@functools.lru_cache(maxsize=1)
def trainer(job):
    """The `seeds.Trainer` of `job` in this process, made for its first seed.

    Raises UserError if this process would not compute the same as the one that distributes the
    seeds.
    """
    identity = dict(job.identity)
    if "tensorflow" not in sys.modules:  # TensorFlow reads this when it starts
        os.environ["TF_NUM_INTRAOP_THREADS"] = str(identity["threads"])
        # A worker that replaces a dead one inherits this from the process that started both. Then
        # TensorFlow's messages would appear among those of that process.
        os.environ.pop("TF_CPP_MIN_LOG_LEVEL", None)
    cli.import_tensorflow(lean=True)
    from tqdm import tqdm

    from tf_gen import base, device, models, rundir, seeds, tasks

    tqdm.set_lock(threading.RLock())  # tqdm's own lock is a semaphore that outlives a killed worker
    base.use_xla = job.jit
    if changed := rundir.differences(identity, dict(identity_here(device.threads()))):
        raise UserError(
            f"differs from the process that gives out the seeds ({'; '.join(changed)}), so its "
            "results may differ; restart it with the same values"
        )
    recipe = models.load(job.model)
    source = tasks.source_for(recipe, job.data, job.resize, job.invert)
    if source and source.sha256 != job.sha256:
        raise UserError(
            f"--data {job.data} is other images there ({source.name}, {len(source.images):,} to "
            f"train, SHA-256 {source.sha256[:8]} instead of {job.sha256[:8]}); copy the same "
            "images there"
        )
    report = tasks.report(
        recipe, recipe.Config(**dict(job.settings)), source, judge_of(job, source)
    )
    return seeds.Trainer(recipe, report)


def judge_of(job, source):
    """The `judge.Judge` that came with `job`, or None if it has none."""
    if job.judge is None:
        return None
    from tf_gen.tasks.judge import Judge

    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "judge.keras")
        path.write_bytes(job.judge)
        return Judge(source, path)
