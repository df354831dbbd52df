"""One model on several devices: two logical CPUs, and two processes that talk by the network."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
from helpers import environment, history, one_line, state

from tf_gen import rundir, strategies, train
from tf_gen.models import NAMES, load

BOTH = {"worker": ["127.0.0.1:2345", "127.0.0.1:2346"]}

# ---- Usage ---------------------------------------------------------------------------------------


@pytest.mark.quick
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["vae", "--strategy", "all"], ["--strategy", "mirrored", "multi-worker"]),
        (["tiny_gan", "--strategy", "mirrored"], ["D sees the batch as a whole"]),
        (
            ["gaussian_gan", "--minibatch", "--strategy", "mirrored"],
            ["D sees the batch as a whole"],
        ),
        (["gaussian_gan", "--strategy", "multi-worker"], ["takes less time"]),
        (["ali", "--preset", "stable", "--strategy", "mirrored"], ["batch_norm", "as a whole"]),
    ],
)
def test_models_whose_batch_cannot_be_cut_refuse(refused, arguments, words):
    refused(train.main, arguments, ["--strategy", *words])


@pytest.mark.quick
@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, ["TF_CONFIG"]),
        ("{", ["TF_CONFIG"]),
        ("[]", ["TF_CONFIG"]),
        ('{"cluster": {"worker": 3}, "task": {"type": "worker", "index": 0}}', ["TF_CONFIG"]),
        ({"cluster": BOTH}, ["'task'"]),
        ({"cluster": BOTH, "task": {"type": "worker"}}, ["'index'"]),
        ({"cluster": BOTH, "task": {"type": "worker", "index": 2}}, ["worker 2"]),
        ({"cluster": BOTH, "task": {"type": "worker", "index": "0"}}, ["worker 0"]),
        ({"cluster": BOTH, "task": {"type": "chief", "index": 0}}, ["chief 0"]),
        ({"cluster": {**BOTH, "ps": ["a:1"]}, "task": {"type": "ps", "index": 0}}, ["workers"]),
        ({"cluster": {"worker": ["a"]}, "task": {"type": "worker", "index": 0}}, ["'a'"]),
        ({"cluster": {"worker": ["a:1"] * 2}, "task": {"type": "worker", "index": 0}}, ["'a:1'"]),
    ],
)
def test_tf_config_is_checked(refused, monkeypatch, text, words):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if text:
        monkeypatch.setenv("TF_CONFIG", text if isinstance(text, str) else json.dumps(text))
    refused(train.main, ["vae", "--strategy", "multi-worker"], ["--strategy", *words])


@pytest.mark.quick
def test_tf_config_of_a_chief_and_workers_is_read(monkeypatch):
    config = {"cluster": {"chief": ["a:1"], **BOTH}, "task": {"type": "worker", "index": 1}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(config))
    assert strategies.read() == (config["cluster"], "worker", 1)


@pytest.mark.quick
@pytest.mark.parametrize("name", NAMES)
def test_recipes_say_whether_they_need_their_whole_batch(name):
    recipe = load(name)
    needs = {preset: bool(config.whole_batch) for preset, config in recipe.PRESETS.items()}
    wanted = {"vae": [], "ali": ["bigan", "stable"]}.get(name, recipe.PRESETS)
    assert needs == {preset: preset in wanted for preset in recipe.PRESETS}


# ---- Ten updates ---------------------------------------------------------------------------------

# Makes ten updates of narrow models on one device, and as many on all devices of a strategy, and
# says how far the weights are apart. Its argument is the strategy.
TEN_UPDATES = """
import dataclasses, sys
import numpy as np
import tensorflow as tf
if sys.argv[1] == "mirrored":
    two = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], two)
from tf_gen import base, strategies
strategy = strategies.start(sys.argv[1])
from tf_gen import distributed, loop
from tf_gen.models import load
base.use_xla = False  # whose compiler would take longest
for name in sys.argv[2:]:
    recipe = load(name)
    config = dataclasses.replace(recipe.Config(), hidden_dim=8)
    shape, draws = [10, config.batch_size], np.random.default_rng(0)
    images = draws.integers(0, 256, [*shape, 28, 28], np.uint8)
    noise = np.float32(draws.uniform(-1, 1, [*shape, config.latent_dim]))
    stack = {"images": tf.constant(images), "epsilon": tf.constant(noise), "z": tf.constant(noise)}
    one = recipe.build(dataclasses.replace(config, seed=1))  # other weights than `replicas` has
    replicas = distributed.Replicas(strategy, lambda: recipe.build(config), {})
    if replicas.chief:
        replicas.model.set_weights(one.get_weights())
    with replicas:
        step = replicas.begin(7 if replicas.chief else 0)
        programs = loop.program(one, None), replicas.program()
        results = [program(stack, 1, tf.constant(10))[0] for program in programs]
    if replicas.chief:
        losses = [[float(loss[0]) for loss in result.values()] for result in results]
        pairs = zip(one.get_weights(), replicas.model.get_weights(), strict=True)
        apart = max(np.abs(a - b).max() for a, b in pairs)
    print(name, replicas.count, step, *([apart, *map(max, losses)] if replicas.chief else []))
"""


def check_ten_updates(out, name):
    """Check what `TEN_UPDATES` printed of a model."""
    (words,) = (line.split() for line in out.splitlines() if line.startswith(name))
    count, step, apart, loss, also = map(float, words[1:])
    assert (count, step) == (2, 7)
    assert apart < 1e-5
    assert also == pytest.approx(loss, rel=1e-5)


def test_ten_updates_on_two_devices_are_those_on_one(process):
    done = process("-c", TEN_UPDATES, "mirrored", "vae", "ali")
    assert done.returncode == 0, done.stderr
    for name in ("vae", "ali"):
        check_ten_updates(done.stdout, name)


@pytest.fixture
def workers(tmp_path):
    """Start two processes of a cluster on the loopback address; a list, the chief first."""
    running = []

    def start(*arguments):
        with (
            socket.create_server(("127.0.0.1", 0)) as a,
            socket.create_server(("127.0.0.1", 0)) as b,
        ):
            addresses = [f"127.0.0.1:{s.getsockname()[1]}" for s in (a, b)]
        started = []
        for number in range(2):
            task = {"type": "worker", "index": number}
            config = json.dumps({"cluster": {"worker": addresses}, "task": task})
            directory = tmp_path / f"worker-{number}"
            directory.mkdir(exist_ok=True)
            started.append(
                subprocess.Popen(
                    [sys.executable, *map(str, arguments)],
                    cwd=directory,
                    env=environment(TF_CONFIG=config),
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
        running.extend(started)
        return started

    yield start
    for one in running:
        one.kill()
        one.communicate()


def test_ten_updates_of_two_processes_are_those_of_one(workers):
    chief, other = workers("-c", TEN_UPDATES, "multi-worker", "vae")
    out, err = chief.communicate(timeout=120)
    assert chief.returncode == 0, err
    check_ten_updates(out, "vae")
    assert other.communicate(timeout=60)[0].splitlines()[-1] == "vae 2 7"
    assert other.returncode == 0


# Begins a program to which this machine's CPU is two devices.
TWO_CPUS = """
import os
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
from tf_gen import cli, errors, train
with cli.stderr_discarded():
    import tensorflow as tf
two = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], two)
"""

FIT = f"""{TWO_CPUS}
from tf_gen import mnist
from tf_gen.models import vae
config = vae.Config(hidden_dim=8)
with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
    model = vae.build(config)
try:
    model.fit(vae.batches(config, mnist.load("bundled")).batch(2), steps_per_epoch=1, verbose=0)
except errors.UserError as error:
    print(error)
"""


@pytest.mark.slow  # half a minute
def test_fit_under_a_strategy_says_what_to_do_instead(process):
    assert "tf_gen.distributed" in process("-c", FIT).stdout


# ---- Whole runs ----------------------------------------------------------------------------------

SMALL = ["-m", "tf_gen.train", "vae", "--data", "bundled", "--hidden-dim", "8", "--log-every", "50"]
SMALL += ["--checkpoint-every", "100", "--run-dir", "run"]
TOGETHER = [*SMALL, "--strategy", "multi-worker", "--steps"]

MIRRORED = ["-c", f"{TWO_CPUS}\ncli.run(train.main)", *SMALL[2:], "--strategy", "mirrored"]


def weights(run_dir):
    """The step of a run's newest checkpoint, and the weights there."""
    _, recipe, config = rundir.identify(run_dir)
    model = recipe.build(config)
    step, _, _ = rundir.restore(model, run_dir)
    return step, model.get_weights()


def finish(processes):
    """Wait for the end of processes: the status, stdout and stderr of each."""
    ended = [process.communicate(timeout=300) for process in processes]
    return [(p.returncode, *texts) for p, texts in zip(processes, ended, strict=True)]


def wait_for_checkpoint(run_dir, chief):
    """Wait until a run has made some updates and saved them."""
    while not [
        path for path in rundir.list_checkpoints(run_dir) if not path.name.endswith("-00000000")
    ]:
        assert chief.poll() is None, chief.communicate()
        time.sleep(0.1)


@pytest.mark.slow  # a minute
def test_run_on_mirrored_devices_goes_on_and_is_extended(process, tmp_path):
    arguments = [*MIRRORED, "--steps"]
    for steps in ("100", "200", "200"):
        done = process(*arguments, steps)
        assert (done.returncode, done.stderr) == (0, "")
    assert "finished already" in done.stdout
    whole = process(*arguments, "200", "--run-dir", "whole")
    assert (whole.returncode, whole.stderr) == (0, "")
    assert "mirrored, 2 parts" in whole.stdout
    (step, a), (also, b) = weights(tmp_path / "run"), weights(tmp_path / "whole")
    assert step == also == 200
    assert all(map(np.array_equal, a, b))
    assert history(tmp_path / "run") == history(tmp_path / "whole")


@pytest.mark.slow  # a minute
def test_one_device_is_enough_for_mirrored_but_gains_nothing(process):
    done = process(*SMALL, "--strategy", "mirrored", "--steps", "10")
    assert done.returncode == 0
    assert one_line(done.stderr, "warning", "--strategy mirrored", "one device")


@pytest.mark.slow  # two minutes
@pytest.mark.parametrize("victim", [0, 1])
@pytest.mark.parametrize("name", ["SIGKILL", "SIGSTOP"])  # the second cuts no connection
def test_a_worker_that_dies_or_hangs_ends_the_other(workers, tmp_path, victim, name):
    together = workers(*TOGETHER, "100000")
    run_dir = tmp_path / "worker-0" / "run"
    wait_for_checkpoint(run_dir, together[0])
    together[victim].send_signal(getattr(signal, name))
    _, err = together[1 - victim].communicate(timeout=60)
    assert together[1 - victim].returncode == 1
    assert one_line(err, "has ended or cannot be reached", "same command")
    if name == "SIGKILL":
        assert f"error: worker {victim} has ended" in err
    step, _ = weights(run_dir)
    assert step > 0


@pytest.mark.slow  # two minutes
def test_a_run_of_two_workers_that_dies_ends_with_the_same_bits(workers, tmp_path):
    run_dir = tmp_path / "worker-0" / "run"
    together = workers(*TOGETHER, "1000")
    wait_for_checkpoint(run_dir, together[0])
    together[1].kill()
    assert finish(together)[0][0] == 1
    chief, other = finish(workers(*TOGETHER, "1000"))
    assert (chief[0], chief[2], other[0], other[2]) == (0, "", 0, "")
    assert "continuing at step" in chief[1]
    run_dir.rename(tmp_path / "stopped")
    assert [status for status, _, _ in finish(workers(*TOGETHER, "1000"))] == [0, 0]
    (step, a), (also, b) = weights(tmp_path / "stopped"), weights(run_dir)
    assert step == also == 1000
    assert all(map(np.array_equal, a, b))
    assert history(tmp_path / "stopped") == history(run_dir)
    assert not list((tmp_path / "worker-1").iterdir())  # only the chief writes


@pytest.mark.slow  # a minute
@pytest.mark.parametrize("asked", [0, 1])
def test_ctrl_c_in_one_worker_stops_all_when_the_state_is_saved(workers, tmp_path, asked):
    together = workers(*TOGETHER, "100000")
    run_dir = tmp_path / "worker-0" / "run"
    wait_for_checkpoint(run_dir, together[0])
    together[asked].send_signal(signal.SIGINT)
    (status, out, err), (also, _, other_err) = finish(together)
    assert (status, err, also, other_err) == (130, "", 130, "")
    assert "to continue: python -m tf_gen.train vae" in out
    step, _ = weights(run_dir)
    assert f"step {step} ," in out.splitlines()[-2]
    assert state(run_dir)


@pytest.mark.slow  # half a minute
def test_ctrl_c_ends_a_worker_that_waits_for_the_others(tmp_path):
    config = json.dumps({"cluster": BOTH, "task": {"type": "worker", "index": 0}})
    command = [sys.executable, *TOGETHER, "10"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment(TF_CONFIG=config), stdout=subprocess.PIPE, text=True
    ) as alone:
        assert "waits" in alone.stdout.readline()
        time.sleep(2)
        alone.send_signal(signal.SIGINT)
        assert alone.wait(20) == (-signal.SIGINT if os.name != "nt" else 1)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow  # half a minute
def test_workers_with_other_settings_are_refused(workers, tmp_path):
    script = "import os, sys; i = '\"index\": 1' in os.environ['TF_CONFIG']\n"
    script += f"sys.argv = {TOGETHER[1:]!r} + ['10', '--hidden-dim', '9' if i else '8']\n"
    script += "from tf_gen import cli, train; cli.run(train.main)"
    (status, _, err), (also, _, other_err) = finish(workers("-c", script))
    assert (status, also) == (1, 1)
    assert one_line(err, "worker 1 has ended")
    assert one_line(other_err, "the chief has other settings")


@pytest.mark.slow  # half a minute
def test_a_batch_that_cannot_be_cut_is_a_usage_error(process, tmp_path):
    done = process(*MIRRORED, "--batch-size", "5", "--steps", "10")
    assert (done.returncode, done.stdout) == (2, "")
    assert one_line(done.stderr, "--batch-size", "multiple of 2")
    assert not list(tmp_path.iterdir())
