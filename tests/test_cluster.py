"""Seeds on the workers of a cluster: the same scores, whatever happens to a worker."""

import os
import signal
import socket
import sys
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
from helpers import one_line

from tf_gen import cluster, device, evaluate, mnist
from tf_gen.errors import UserError
from tf_gen.models import gaussian_gan

SMALL = ["gaussian_gan", "--steps", "40"]


@pytest.fixture(scope="module")
def workers():
    """A `distributed.LocalCluster` of two processes, which stands for one that is there already."""
    import distributed

    with distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        memory_limit=None,
        dashboard_address="127.0.0.1:0",
        silence_logs=50,
    ) as found:
        yield found


@pytest.fixture
def client(workers):
    with cluster.connected(workers.scheduler_address, None) as client:
        yield client


def job(model="gaussian_gan", **changes):
    """A `cluster.Job` of this process: gaussian_gan, 40 updates, but for `changes`."""
    settings = vars(gaussian_gan.Config(steps=40)).copy()
    settings.pop("seed")
    found = cluster.Job(
        model=model,
        settings=tuple(settings.items()),
        data=None,
        resize=False,
        invert=False,
        sha256=None,
        judge=None,
        jit=True,
        identity=cluster.identity_here(device.threads()),
    )
    return found._replace(**changes)


def refusal(client, job):
    """What a UserError says of the seeds of `job`."""
    with pytest.raises(UserError) as error:
        list(cluster.scores(client, job, range(2)))
    return str(error.value)


# ---- The command line ----------------------------------------------------------------------------


@pytest.mark.quick
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--workers", "0"], ["--workers", "at least 1"]),
        (["--scheduler", "host"], ["--scheduler", "tcp://HOST:PORT"]),
        (["--workers", "2", "--scheduler", "tcp://host:1"], ["--workers", "--scheduler"]),
        (["--run", "runs/a", "--workers", "2"], ["--run", "--workers"]),
    ],
)
def test_usage_errors_are_one_line_and_status_2(refused, arguments, words):
    refused(evaluate.main, ["gaussian_gan", *arguments], words)


@pytest.mark.quick
def test_without_dask_it_is_said_what_to_install(command, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "distributed", None)
    out = tmp_path / "out"
    status, _, err = command(evaluate.main, *SMALL, "--workers", "2", "--out", out)
    assert status == 1
    assert one_line(err, "pip install", "tf_gen[cluster]")
    assert not out.exists()


@pytest.mark.parametrize("listening", [False, True])
def test_no_scheduler_there_is_one_line(command, tmp_path, listening):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        if listening:  # and it says nothing
            other.listen()
        address = f"tcp://127.0.0.1:{other.getsockname()[1]}"
        out = tmp_path / "out"
        status, printed, err = command(evaluate.main, *SMALL, "--scheduler", address, "--out", out)
    assert (status, printed) == (1, "")
    assert one_line(err, address, "no Dask scheduler", "dask scheduler")
    assert not out.exists()


def test_the_address_of_a_worker_is_none_of_a_scheduler(workers):
    address = workers.workers[0].worker_address
    with pytest.raises(UserError, match=r"is a worker"):
        cluster.check_scheduler(address)


# ---- Scores --------------------------------------------------------------------------------------


def evaluated(command, out, *arguments):
    """Run the command; what scores.csv holds and the command printed on stderr."""
    status, _, err = command(evaluate.main, *arguments, "--out", out)
    assert status == 0, err
    return (out / "scores.csv").read_bytes(), err


def test_the_table_is_that_of_one_process(workers, command, tmp_path):
    arguments = [*SMALL, "--seeds", "5"]
    expected, _ = evaluated(command, tmp_path / "one", *arguments)
    where = ["--scheduler", workers.scheduler_address]
    found, err = evaluated(command, tmp_path / "two", *arguments, *where)
    assert (found, err) == (expected, "")
    for path in (tmp_path / "one" / "seeds").iterdir():
        with np.load(path) as one, np.load(tmp_path / "two" / "seeds" / path.name) as two:
            assert one.keys() == two.keys()
            assert all(np.array_equal(one[name], two[name]) for name in one)


def test_a_worker_with_other_images_is_named(client, tmp_path):
    path = tmp_path / "images.npz"
    images = np.random.default_rng(0).integers(0, 255, [20, 28, 28], np.uint8)
    labels = np.arange(20) % 2
    part = {"y_train": labels, "x_test": images, "y_test": labels}
    np.savez(path, x_train=images, **part)
    sha256 = mnist.load(str(path)).sha256
    np.savez(path, x_train=images[::-1], **part)
    said = refusal(client, job("vae", data=str(path), sha256=sha256))
    others = mnist.load(str(path)).sha256
    assert one_line(said, "worker tcp://", str(path), sha256[:8], others[:8])


def test_a_worker_with_other_versions_is_named(client):
    identity = dict(job().identity) | {"numpy": "1.0"}
    said = refusal(client, job(identity=tuple(identity.items())))
    assert one_line(said, "worker tcp://", f"numpy: 1.0 -> {np.__version__}")


def test_an_error_in_a_seed_ends_it_with_one_line(client):
    assert one_line(refusal(client, job(settings=(("steps", 0),))), "seed", "ValueError: steps")


def test_an_error_that_is_not_ours_is_one_line_too(client):
    assert one_line(refusal(client, job("no_such_model")), "seed", "no_such_model")


@pytest.mark.quick
@pytest.mark.parametrize(
    ("place", "answer", "words"),
    [
        ("scheduler", None, "the scheduler has no"),
        ("scheduler", ModuleNotFoundError(), "the scheduler has no"),
        ("worker", None, "worker tcp://b has no"),
        ("worker", ModuleNotFoundError(), "worker tcp://b has no"),
    ],
)
def test_who_has_no_tf_gen_is_named(place, answer, words):
    def run_on_scheduler(find, name):
        if place == "scheduler" and answer:
            raise answer
        return find(name) if place != "scheduler" else None

    def run(find, name, on_error):
        return {"tcp://a": find(name), "tcp://b": answer if place == "worker" else find(name)}

    with pytest.raises(UserError, match=words):
        cluster.check_installed(SimpleNamespace(run=run, run_on_scheduler=run_on_scheduler))


@pytest.mark.quick
def test_a_worker_of_several_threads_is_refused(monkeypatch):
    import distributed

    worker = SimpleNamespace(address="tcp://host:1", state=SimpleNamespace(nthreads=4))
    monkeypatch.setattr(distributed, "get_worker", lambda: worker)
    with pytest.raises(UserError, match=r"worker tcp://host:1: .* --nthreads 1"):
        cluster.train(0, job())


@pytest.mark.quick
def test_a_seed_that_kills_its_workers_ends_with_one_line():
    import distributed

    last = SimpleNamespace(address="tcp://host:1")
    error = distributed.KilledWorker("train-0", last, 3)
    future = SimpleNamespace(status="error", exception=lambda: error)
    with pytest.raises(UserError, match=r"seed 7: 4 workers died .* tcp://host:1"):
        cluster.result(future, 7)


def test_a_killed_worker_costs_nothing(workers, client, command, tmp_path):
    arguments = ["gaussian_gan", "--steps", "5000", "--seeds", "6"]
    killed = []

    def kill():
        """Kill the worker that begins to train a seed after the first score is kept."""
        while not list(tmp_path.glob("two/seeds/0*.npz")):
            time.sleep(0.01)
        while not killed:
            pids = client.run(os.getpid)
            for address, tasks in client.processing().items():
                if tasks and not killed:
                    os.kill(pids[address], signal.SIGKILL)
                    killed.append(address)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    where = ["--scheduler", workers.scheduler_address]
    found, err = evaluated(command, tmp_path / "two", *arguments, *where)
    killer.join()
    assert one_line(err, f"worker {killed[0]} is gone")
    assert found == evaluated(command, tmp_path / "one", *arguments)[0]
