"""Many seeds on many machines, by Dask: a worker trains and scores a seed a task.

What travels is settings, the judge and scores. Images do not: each worker loads them itself, and
must find the same ones. A worker compiles once, for its first seed. The workers need the same
versions and number of threads as the process that gives out the seeds, since both change bits.

Imports nothing heavy: `distributed` only where it is used, and a scheduler, which reads tasks, has
no use for TensorFlow.
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

PATIENCE = 2  # seconds in which a scheduler must answer
VARIABLES = ("XLA_FLAGS", "TF_ENABLE_ONEDNN_OPTS")  # which change bits


class Job(NamedTuple):
    """What all seeds of one evaluation have in common. It can be hashed."""

    model: str
    settings: tuple  # pairs of the name and the value of a setting
    data: str | None  # what `mnist.load` takes
    resize: bool
    invert: bool
    sha256: str | None  # of the images
    judge: bytes | None  # its .keras file
    jit: bool
    identity: tuple  # `identity_here` of the process that gives out the seeds


@contextlib.contextmanager
def connected(scheduler, workers):
    """Yield a `distributed.Client` of an existing scheduler, or of new workers on this machine.

    Args:
        scheduler: its address, "tcp://HOST:PORT", or None.
        workers: how many processes to start where there is no `scheduler`.

    Raises:
        UserError: Dask is not installed, or no scheduler answers.
    """
    try:
        import distributed
    except ImportError as error:
        raise UserError(
            "--workers and --scheduler need Dask: pip install 'tf_gen[cluster]'"
        ) from error
    for name in ("distributed", "distributed.client"):  # they tell at length what we say in a line
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with contextlib.ExitStack() as stack:
        if scheduler:
            check_scheduler(scheduler)
        else:
            # It must not stop workers whose memory grows, as TensorFlow's does.
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
            # Of Dask's own versions; those that change bits are compared on each worker.
            warnings.simplefilter("ignore", distributed.versions.VersionMismatchWarning)
            client = distributed.Client(scheduler, set_as_default=False)
        stack.enter_context(client)
        check_installed(client)
        yield client


def check_scheduler(address):
    """Raise UserError if no Dask scheduler answers at `address` within seconds.

    A `Client` would wait without end for something else that listens there.
    """
    import distributed

    async def ask():
        security = distributed.Security().get_connection_args("client")  # as Dask is configured
        async with distributed.rpc(address, connection_args=security) as scheduler:
            return await asyncio.wait_for(scheduler.identity(), PATIENCE)

    try:
        found = asyncio.run(ask())["type"]
    except Exception as error:  # the answer of something else can look like anything
        raise UserError(
            f"--scheduler {address}: no Dask scheduler answers there; `dask scheduler` starts one "
            "and tells its address"
        ) from error
    if found != "Scheduler":
        raise UserError(
            f"--scheduler {address}: is a {found.lower()}; name the scheduler's address"
        )


def check_installed(client):
    """Raise UserError if the scheduler of a `distributed.Client` or a worker lacks this module.

    A task would end them, since they could not read it.
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
    """What must be the same in two processes for the same bits: a tuple of pairs.

    `threads` is how many TensorFlow has for an operation, or shall have on a worker.
    """
    from tf_gen import rundir

    versions = rundir.manifest(None, None, None)["versions"]
    variables = {name: os.environ.get(name) for name in VARIABLES}
    return tuple({**versions, **variables, "threads": threads}.items())


def scores(client, job, seeds):
    """Yield each of `seeds`, Python ints, with its score, in the order in which they arrive.

    A seed whose worker dies is trained by another one. No other seed is begun after the caller has
    closed this generator, or an error.

    Args:
        client: a `distributed.Client`.
        job: a `Job`.

    Raises:
        UserError: a worker differs from this process, its workers died again and again, or an error
            stopped a seed.
    """
    import distributed

    if not client.scheduler_info()["workers"]:
        cli.warn(f"{client.scheduler.address} has no workers yet; waiting for some")
    # As a task, so that a worker has it from another one, and again if that one dies.
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
            future.release()  # so that no worker keeps it
    finally:
        client.unsubscribe_topic("all")
        client.cancel([*futures, shared])


def result(future, seed):
    """The score in a `distributed.Future` that is done; UserError if there is none."""
    import distributed

    if future.status == "finished":
        return future.result()
    if future.status != "error":
        raise UserError("the scheduler is gone, or has cancelled the seeds that are left")
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
    """Leave Ctrl-C to the command that started this worker; Dask calls it by this name."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def same(job):
    """`job` itself."""
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
        # What a command would print here, nobody reads.
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            ((_, score),) = trainer(job).scores([seed])
    except UserError as error:
        raise UserError(f"worker {worker.address}: {error}") from error
    return score


@functools.lru_cache(maxsize=1)
def trainer(job):
    """The `seeds.Trainer` of `job` in this process, made for its first seed.

    UserError: this process would train otherwise than the one that gives out the seeds.
    """
    identity = dict(job.identity)
    if "tensorflow" not in sys.modules:  # which reads this when it starts
        os.environ["TF_NUM_INTRAOP_THREADS"] = str(identity["threads"])
        # A worker that takes a dead one's place has this from the process that started both, and
        # TensorFlow would write its lines among that one's.
        os.environ.pop("TF_CPP_MIN_LOG_LEVEL", None)
    cli.import_tensorflow(lean=True)
    from tqdm import tqdm

    from tf_gen import base, device, models, rundir, seeds, tasks

    tqdm.set_lock(threading.RLock())  # its own is a semaphore, which outlives a killed worker
    base.use_xla = job.jit
    if changed := rundir.differences(identity, dict(identity_here(device.threads()))):
        raise UserError(
            f"differs from the process that gives out the seeds ({'; '.join(changed)}), so its "
            "bits may, too; start it anew with the same"
        )
    recipe = models.load(job.model)
    source = tasks.source_for(recipe, job.data, job.resize, job.invert)
    if source and source.sha256 != job.sha256:
        raise UserError(
            f"--data {job.data} is other images there ({source.name}, {len(source.images):,} to "
            f"train, SHA-256 {source.sha256[:8]} instead of {job.sha256[:8]}); put the same there"
        )
    report = tasks.report(
        recipe, recipe.Config(**dict(job.settings)), source, judge_of(job, source)
    )
    return seeds.Trainer(recipe, report)


def judge_of(job, source):
    """The `judge.Judge` that came with `job`; None where it needs none."""
    if job.judge is None:
        return None
    from tf_gen.tasks.judge import Judge

    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "judge.keras")
        path.write_bytes(job.judge)
        return Judge(source, path)
