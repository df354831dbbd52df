"""A run that is stopped anywhere, by anything, ends with the same bits as one that is not."""

import errno
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import environment, history, one_line, state

from tf_gen import base, evaluate, export, mnist, rundir, train
from tf_gen.errors import UserError
from tf_gen.models import gaussian_gan, vae

RUN = ["vae", "--data", "bundled", "--steps", "1500", "--log-every", "150"]
RUN += ["--checkpoint-every", "50", "--hidden-dim", "64"]

OTHERS = {
    name: [name, *flags, "--log-every", "100", "--checkpoint-every", "100"]
    for name, flags in {
        "gaussian_gan": ["--minibatch", "--steps", "2000"],
        "ali": ["--data", "bundled", "--preset", "stable", "--hidden-dim", "8", "--steps", "1000"],
    }.items()
}

# Dies while it saves: the checkpoint number N is half written, nothing is renamed yet.
DIE_IN_SAVE = """
import os, pathlib, signal, sys
from tf_gen import cli, train

saves, replace = 0, pathlib.Path.replace

def dying_replace(self, target):
    global saves
    if "step-" in self.name:
        saves += 1
        if saves == 4:
            data = next(self.glob("*.data*"))
            data.write_bytes(data.read_bytes()[:1000])
            os.kill(os.getpid(), signal.SIGKILL)
    return replace(self, target)

pathlib.Path.replace = dying_replace
cli.run(lambda: train.main(sys.argv[1:]))
"""


def fingerprint(run_dir, step=1500):
    """SHA-256 over the names and bytes of all weights and optimiser state of the last step."""
    last = rundir.list_checkpoints(run_dir)[-1]
    assert last.name == f"step-{step:08d}"
    reader = tf.train.load_checkpoint(str(last / "state"))
    digest = hashlib.sha256()
    names = sorted(n for n in reader.get_variable_to_shape_map() if "OBJECT_GRAPH" not in n)
    _, recipe, config = rundir.identify(run_dir)
    variables = recipe.build(config).state
    assert len([name for name in names if name.startswith("state/")]) == len(variables)
    for name in names:
        digest.update(name.encode() + reader.get_tensor(name).tobytes())
    return digest.hexdigest()


def start(run_dir, *code, arguments=RUN):
    command = [sys.executable, *(code or ("-m", "tf_gen.train")), *arguments]
    command += ["--run-dir", str(run_dir)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=environment(), stdout=pipe, stderr=pipe, text=True)


def wait_for(run_dir, step, ended):
    """Wait until history.csv tells of `step`, or `ended()`."""
    deadline = time.monotonic() + 120
    path = run_dir / "history.csv"
    while not ended() and time.monotonic() < deadline:
        if path.exists() and f"\n{step}," in path.read_text():
            break
        time.sleep(0.005)


def stop_at(process, run_dir, step, signum):
    """Send a signal as soon as history.csv tells of `step`; return exit status, stdout, stderr."""
    wait_for(run_dir, step, process.poll)
    process.send_signal(signum)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def close_terminal_at(run_dir, step):
    """The same in a terminal of its own, which is closed; return the exit status."""
    pid, terminal = os.forkpty()
    if pid == 0:
        command = [sys.executable, "-m", "tf_gen.train", *RUN, "--run-dir", str(run_dir)]
        os.execve(sys.executable, command, environment())
    wait_for(run_dir, step, lambda: False)
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def read_only(process, lines):
    """What `| head -LINES` does; return exit status and stderr."""
    with process.stdout as out:
        for _ in range(lines):
            out.readline()
    with process.stderr as err:
        return process.wait(timeout=120), err.read()


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("whole") / "run"
    train.main([*RUN, "--run-dir", str(run_dir)])
    return run_dir


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory, uninterrupted):
    """The same run, stopped in many ways: what each of its processes said."""
    run_dir = tmp_path_factory.mktemp("pieces") / "run"
    said = {}

    died = start(run_dir, "-c", DIE_IN_SAVE)
    said["died in save"] = (died.wait(timeout=120), *died.communicate())
    said["left by save"] = [path.name for path in (run_dir / "checkpoints").iterdir()]

    said["SIGINT"] = stop_at(start(run_dir), run_dir, 300, signal.SIGINT)
    said["SIGKILL"] = stop_at(start(run_dir), run_dir, 600, signal.SIGKILL)

    said["SIGHUP"] = close_terminal_at(run_dir, 750)
    said["head"] = read_only(start(run_dir), lines=3)

    newest = rundir.list_checkpoints(run_dir)[-1]
    (newest / "state.data-00000-of-00001").write_bytes(b"torn")
    shutil.copytree(newest, newest.with_name("step-99999999"))
    said["SIGTERM"] = stop_at(start(run_dir), run_dir, 1050, signal.SIGTERM)

    last = start(run_dir)
    said["to the end"] = (last.wait(timeout=120), *last.communicate())
    return run_dir, said


def test_exit_statuses_and_messages(interrupted):
    _, said = interrupted
    assert said["died in save"][0] == -signal.SIGKILL
    (left,) = (name for name in said["left by save"] if name.startswith(".tmp-"))
    assert left.endswith("step-00000225")

    status, out, err = said["SIGINT"]
    assert (status, err) == (130, "")
    assert "continuing at step 150\n" in out
    assert "to continue: python -m tf_gen.train vae" in out.splitlines()[-1]

    assert said["SIGKILL"][0] == -signal.SIGKILL

    assert said["SIGHUP"] == 128 + signal.SIGHUP
    assert said["head"] == (128 + signal.SIGPIPE, "")

    status, out, err = said["SIGTERM"]
    assert status == 143
    assert err.count("is damaged, renamed to damaged-step-") == 2
    assert len(err.splitlines()) == 2
    assert "continuing at step" in out
    assert "to continue" in out

    status, out, err = said["to the end"]
    assert (status, err) == (0, "")
    assert "next: python -m tf_gen.sample" in out.splitlines()[-1]


def test_the_pieces_are_the_whole_to_the_bit(interrupted, uninterrupted):
    run_dir, _ = interrupted
    assert fingerprint(run_dir) == fingerprint(uninterrupted)
    assert history(run_dir) == history(uninterrupted)
    for picture in (uninterrupted / "pictures").iterdir():
        other = run_dir / "pictures" / picture.name
        if "samples" in picture.name or "reconstructions" in picture.name:
            assert other.read_bytes() == picture.read_bytes()
        assert other.exists()
    assert not list(run_dir.rglob(".tmp-*"))


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name == "ali")) for name in OTHERS]
)
def test_pieces_of_a_gan_are_the_whole_to_the_bit(command, tmp_path, name):
    whole, pieces = tmp_path / "whole", tmp_path / "pieces"
    steps = int(OTHERS[name][OTHERS[name].index("--steps") + 1])
    assert command(train.main, *OTHERS[name], "--run-dir", whole)[0] == 0
    process = start(pieces, arguments=OTHERS[name])
    assert stop_at(process, pieces, 400, signal.SIGKILL)[0] == -signal.SIGKILL
    assert not (pieces / "saved_model").exists()
    status, out, _ = command(train.main, *OTHERS[name], "--run-dir", pieces)
    assert status == 0
    assert 300 <= int(out.partition("continuing at step ")[2].split()[0]) < steps
    assert fingerprint(pieces, steps) == fingerprint(whole, steps)
    assert history(pieces) == history(whole)
    for picture in (whole / "pictures").iterdir():
        other = pieces / "pictures" / picture.name
        assert other.exists()
        if "samples" in picture.name:
            assert other.read_bytes() == picture.read_bytes()
    assert not list(pieces.rglob(".tmp-*"))


def test_fingerprint_sees_one_changed_bit(uninterrupted, tmp_path):
    run_dir = tmp_path / "run"
    shutil.copytree(uninterrupted, run_dir)
    before = fingerprint(run_dir)
    model = vae.build(vae.Config(hidden_dim=64))
    step, _, _ = rundir.restore(model, run_dir)

    def save_again():
        shutil.rmtree(rundir.list_checkpoints(run_dir)[-1])
        with rundir.RunDirectory(run_dir, rundir.read_manifest(run_dir)) as directory:
            directory.save(model, step)

    save_again()
    assert fingerprint(run_dir) == before
    model.optimizer.variables[-1].assign(model.optimizer.variables[-1] * (1 + 1e-7))
    save_again()
    assert fingerprint(run_dir) != before


def test_finished_run_says_so_and_changes_nothing(uninterrupted, capsys):
    before = state(uninterrupted)
    assert train.main([*RUN, "--run-dir", str(uninterrupted)]) == 0
    assert "finished already" in capsys.readouterr().out
    assert state(uninterrupted) == before


def test_pictures_and_export_are_made_up_for(uninterrupted, tmp_path, capsys):
    """Of a run that was killed after its last checkpoint and before its export."""
    run_dir = tmp_path / "run"
    shutil.copytree(uninterrupted, run_dir)
    shutil.rmtree(run_dir / "saved_model")
    shutil.rmtree(run_dir / "pictures")
    assert train.main([*RUN, "--run-dir", str(run_dir)]) == 0
    assert (run_dir / "saved_model" / "saved_model.pb").exists()
    assert (run_dir / "pictures" / "manifold.png").exists()
    assert history(run_dir) == history(uninterrupted)


def test_other_settings_are_refused_by_name(uninterrupted, command):
    before = state(uninterrupted)
    arguments = [*RUN, "--seed", "3", "--steps", "1600", "--run-dir", uninterrupted]
    status, _, err = command(train.main, *arguments)
    assert status == 1
    assert one_line(err, "config.seed: 0 -> 3", "config.steps: 1500 -> 1600")
    assert "batch_size" not in err
    assert state(uninterrupted) == before


def test_other_versions_are_only_mentioned(uninterrupted, tmp_path, command):
    run_dir = tmp_path / "run"
    shutil.copytree(uninterrupted, run_dir)
    shutil.rmtree(run_dir / "saved_model")
    config = json.loads((run_dir / "config.json").read_text())
    config["versions"]["keras"] = "3.0.0"
    (run_dir / "config.json").write_text(json.dumps(config))
    status, _, err = command(train.main, *RUN, "--run-dir", run_dir)
    assert status == 0
    assert "warning" in err
    assert "keras: 3.0.0 ->" in err


@pytest.mark.parametrize(("begun", "resumed"), [(True, False), (False, True)])
def test_a_run_with_xla_and_without_is_mentioned(tmp_path, monkeypatch, begun, resumed):
    for use_xla, expected in ((begun, 0), (begun, 0), (resumed, 1)):
        monkeypatch.setattr(base, "use_xla", use_xla)
        manifest = rundir.manifest("gaussian_gan", {}, None)
        with rundir.RunDirectory(tmp_path, manifest) as directory:
            assert len(directory.warnings) == expected
    assert "jit: " in directory.warnings[0]


def test_second_process_is_refused(uninterrupted, tmp_path, command):
    run_dir = tmp_path / "run"
    shutil.copytree(uninterrupted, run_dir)
    with rundir.RunDirectory(run_dir, rundir.read_manifest(run_dir)):
        before = state(run_dir)
        status, _, err = command(train.main, *RUN, "--run-dir", run_dir)
        assert status == 1
        assert "another process" in err
        assert state(run_dir) == before
    assert command(train.main, *RUN, "--run-dir", run_dir)[0] == 0


def test_run_without_a_usable_checkpoint_is_no_fresh_start(uninterrupted, tmp_path, command):
    for damage in (shutil.rmtree, lambda path: (path / "state.index").write_bytes(b"")):
        run_dir = tmp_path / damage.__name__
        shutil.copytree(uninterrupted, run_dir)
        shutil.rmtree(run_dir / "saved_model")
        for path in rundir.list_checkpoints(run_dir):
            damage(path)
        status, _, err = command(train.main, *RUN, "--run-dir", run_dir)
        assert status == 1
        assert "no usable checkpoint" in err
        assert len(rundir.list_checkpoints(run_dir)) in (0, 3)  # nothing is deleted
        assert history(run_dir) == history(uninterrupted)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"model": 1}'])
def test_damaged_config_is_refused(tmp_path, command, content):
    (tmp_path / "config.json").write_text(content)
    status, _, err = command(train.main, *RUN, "--run-dir", tmp_path)
    assert status == 1
    assert one_line(err, str(tmp_path))
    assert (tmp_path / "config.json").read_text() == content


def test_auto_means_the_data_that_the_run_began_with(uninterrupted, tmp_path, command, monkeypatch):
    asked, load = [], mnist.load
    monkeypatch.setattr(mnist, "load", lambda spec, *flags: asked.append(spec) or load("bundled"))
    auto = ["vae", *RUN[RUN.index("--steps") :]]
    status, out, _ = command(train.main, *auto, "--run-dir", uninterrupted)
    assert (status, asked) == (0, ["bundled"])
    assert "finished already" in out


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"source": "bundled"}, "bundled"),
        ({"source": "tfds"}, "tfds"),
        ({"source": "fashion_mnist"}, "fashion_mnist"),
        ({"source": "mnist"}, "auto"),  # a directory, whose name nobody kept
        ({"source": "list"}, "auto"),
        ({}, "auto"),
        (None, "auto"),  # of a model that draws its data
    ],
)
def test_data_of_a_run_is_what_it_began_with_unless_another_is_named(tmp_path, data, expected):
    (tmp_path / "config.json").write_text(json.dumps({"model": "vae", "data": data}))
    assert rundir.data_of(tmp_path, "auto") == expected
    for spec in ("tfds", "bundled", "a/directory", None):
        assert rundir.data_of(tmp_path, spec) == spec


def test_data_of_what_is_no_run_is_what_was_said(tmp_path):
    assert rundir.data_of(tmp_path / "new", "auto") == "auto"
    assert rundir.data_of(tmp_path, "auto") == "auto"
    (tmp_path / "config.json").write_text('{"data": {"source": "bundled"}}')
    assert rundir.data_of(tmp_path, "auto") == "bundled"
    (tmp_path / "saved_model.pb").touch()  # the config.json is one of an export
    assert rundir.data_of(tmp_path, "auto") == "auto"
    (tmp_path / "saved_model.pb").unlink()
    (tmp_path / "config.json").write_text('{"version": 3}')  # of another program
    assert rundir.data_of(tmp_path, "auto") == "auto"


# ---- history.csv ---------------------------------------------------------------------------------


def flip(content):
    return content[:400] + bytes([content[400] ^ 1]) + content[401:]


DAMAGES = {
    "another table": lambda content: b"a,b\n1,2\n",
    "another digit": flip,
    "a header": lambda content: content.replace(b"step", b"stfp", 1),
    "a column": lambda content: content.replace(b"kl", b"km", 1),
    "a field too many": lambda content: content.replace(b"\r\n600,", b"\r\n600,1,", 1),
    "a quote": lambda content: content.replace(b"\r\n600,", b'\r\n"600,', 1),
    "a NUL": lambda content: content.replace(b"\r\n600,", b"\r\n6\x000,", 1),
    "no text": lambda content: b"\xff\xfe" + content,
    "cut off": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
    "deleted": None,
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("copies", [True, False])  # without, as in runs of earlier versions
def test_damaged_history_is_restored_or_said(uninterrupted, tmp_path, damage, copies):
    run_dir = tmp_path / "run"
    shutil.copytree(uninterrupted, run_dir)
    path = run_dir / "history.csv"
    whole = path.read_bytes()
    path.unlink()
    if DAMAGES[damage]:
        path.write_bytes(DAMAGES[damage](whole))
        assert path.read_bytes() != whole
    if not copies:
        for copy in run_dir.glob("checkpoints/*/history-*"):
            copy.unlink()
    config, manifest = vae.Config(hidden_dim=64), rundir.read_manifest(run_dir)
    with rundir.RunDirectory(run_dir, manifest) as directory:
        _, _, warnings = directory.resume(vae.build(config))
        steps = [int(row["step"]) for row in directory.read_history()]
    if copies:
        assert path.read_bytes() == whole
        assert one_line("\n".join(warnings), "history.csv", "restored")
    elif damage not in ("another digit", "a column"):  # which nothing tells
        assert one_line("\n".join(warnings), "history.csv", "lines are lost")
        assert steps == sorted(steps)


def test_a_copy_that_is_damaged_is_none(uninterrupted, tmp_path):
    run_dir = tmp_path / "run"
    shutil.copytree(uninterrupted, run_dir)
    (copy,) = rundir.list_checkpoints(run_dir)[-1].glob("history-*.csv")
    copy.write_bytes(flip(copy.read_bytes()))
    whole = (run_dir / "history.csv").read_bytes()
    with rundir.RunDirectory(run_dir, rundir.read_manifest(run_dir)) as directory:
        assert directory.resume(vae.build(vae.Config(hidden_dim=64)))[2] == []
    assert (run_dir / "history.csv").read_bytes() == whole


# ---- More steps ----------------------------------------------------------------------------------

SMALL = {
    "vae": ["--data", "bundled", "--hidden-dim", "8"],
    "gaussian_gan": ["--minibatch"],
    "tiny_gan": [],
    "ali": ["--data", "bundled", "--hidden-dim", "8"],
}


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("gaussian_gan", 5),  # between two lines of the log
        pytest.param("gaussian_gan", 40, marks=pytest.mark.slow),
        pytest.param("gaussian_gan", 45, marks=pytest.mark.slow),
        pytest.param("vae", 45, marks=pytest.mark.slow),
        pytest.param("tiny_gan", 40, marks=pytest.mark.slow),
        pytest.param("vae", 40, marks=pytest.mark.slow),
        pytest.param("ali", 33, marks=pytest.mark.slow),
    ],
)
def test_an_extended_run_is_the_long_one_to_the_bit(command, tmp_path, name, first):
    arguments = [name, *SMALL[name], "--log-every", "20", "--checkpoint-every", "20"]
    whole, pieces = tmp_path / "whole", tmp_path / "pieces"
    assert command(train.main, *arguments, "--steps", 90, "--run-dir", whole)[0] == 0
    assert command(train.main, *arguments, "--steps", first, "--run-dir", pieces)[0] == 0
    status, out, err = command(train.main, *arguments, "--steps", 90, "--run-dir", pieces)
    assert (status, err) == (0, "")
    assert f"extending a run of {first} steps" in out
    assert f"continuing at step {first - first % 20}\n" in out  # at the line of the log before
    assert fingerprint(pieces, step=90) == fingerprint(whole, step=90)
    assert history(pieces) == history(whole)
    pictures = [
        sorted(path.name for path in (run / "pictures").iterdir()) for run in (pieces, whole)
    ]
    assert pictures[0] == pictures[1]
    for file in ("config.json", "saved_model/config.json"):
        assert json.loads((pieces / file).read_text())["config"]["steps"] == 90
    assert not list(pieces.rglob(".tmp-*"))
    assert (
        "finished already" in command(train.main, *arguments, "--steps", 90, "--run-dir", pieces)[1]
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--steps", "30"], ["holds a run of 40 steps, which is more"]),
        (["--steps", "50", "--seed", "1"], ["other settings", "config.seed", "config.steps"]),
        (["--steps", "50", "--decay", "linear"], ["other settings", "config.decay"]),
    ],
)
def test_only_more_steps_extend_a_run(command, tmp_path, arguments, words):
    run = ["gaussian_gan", "--log-every", "20", "--run-dir", tmp_path / "run"]
    assert command(train.main, *run, "--steps", "40")[0] == 0
    before = state(tmp_path / "run")
    status, _, err = command(train.main, *run, *arguments)
    assert status == 1
    assert one_line(err, *words)
    assert state(tmp_path / "run") == before


@pytest.mark.parametrize(
    "arguments",
    [
        ["gaussian_gan", "--decay", "linear"],
        pytest.param(
            ["ali", "--preset", "stable", "--hidden-dim", "8", "--data", "bundled"],
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_schedule_that_depends_on_the_steps_cannot_be_extended(command, tmp_path, arguments):
    run = [*arguments, "--log-every", "20", "--run-dir", tmp_path / "run"]
    assert command(train.main, *run, "--steps", "20")[0] == 0
    before = state(tmp_path / "run")
    status, _, err = command(train.main, *run, "--steps", "40")
    assert status == 1
    assert one_line(err, "20 steps", "learning rate depends", "another directory")
    assert state(tmp_path / "run") == before


def test_an_extension_that_is_killed_goes_on(command, tmp_path, monkeypatch):
    run = ["gaussian_gan", "--log-every", "20", "--run-dir", tmp_path / "run"]
    assert command(train.main, *run, "--steps", "40")[0] == 0

    def killed(*arguments):
        raise OSError("as if killed")

    for function in ("train", "export"):
        with monkeypatch.context() as patch:
            patch.setattr(train, function, killed)
            assert command(train.main, *run, "--steps", "60")[0] == 1
        assert (tmp_path / "run" / "saved_model").exists()  # that of 40 steps
    # Killed between two renames, and then what tells of 40 steps is damaged.
    saved_model = tmp_path / "run" / "saved_model"
    saved_model.rename(saved_model.with_name(".tmp-old-saved_model"))
    command(train.main, *run, "--steps", "40")
    (saved_model / "config.json").write_text("{")
    status, out, err = command(train.main, *run, "--steps", "60")
    assert (status, "finished already" in out) == (0, False)
    assert one_line(err, "warning", "config.json is damaged", "exporting again")
    exported = json.loads((tmp_path / "run" / "saved_model" / "config.json").read_text())
    assert exported["config"]["steps"] == 60


def test_a_run_without_a_usable_checkpoint_is_not_extended_and_stays_finished(command, tmp_path):
    run = ["gaussian_gan", "--log-every", "20", "--run-dir", tmp_path / "run"]
    assert command(train.main, *run, "--steps", "40")[0] == 0
    for path in rundir.list_checkpoints(tmp_path / "run"):
        shutil.rmtree(path)
    status, _, err = command(train.main, *run, "--steps", "60")
    assert status == 1
    assert one_line(err, "no usable checkpoint")
    assert "finished already" in command(train.main, *run, "--steps", "40")[1]


@pytest.mark.slow
def test_an_extended_animation_has_the_frames_of_the_long_one(command, tmp_path, monkeypatch):
    """Also if it was killed before its first checkpoint."""

    def run(name, steps):
        directory = tmp_path / name
        flags = ["--log-every", "20", "--anim-every", "15", "--checkpoint-every", "20"]
        flags += ["--anim-path", directory.with_suffix(".gif"), "--run-dir", directory]
        return command(train.main, "gaussian_gan", "--steps", steps, *flags)[0]

    def killed(*arguments):
        raise OSError("as if killed")

    assert run("pieces", 40) == 0
    with monkeypatch.context() as patch:
        patch.setattr(train, "train", killed)
        assert run("pieces", 70) == 1
    assert run("pieces", 70) == 0
    assert run("whole", 70) == 0
    assert (tmp_path / "pieces.gif").read_bytes() == (tmp_path / "whole.gif").read_bytes()


# ---- config.json ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"versions": None},
        {"versions": "x"},
        {"data": "x"},
        {"data": {}},
        {"data": {"source": ...}},
        {"data": {"sha256": 5}},
        {"data": ...},
        {"model": "__init__"},
        {"model": "os"},
        {"model": 5},
        {"model": None},
        {"model": ...},
        {"config": []},
        {"config": {}},
        {"config": ...},
        {"config": {"learning_rate": ...}},
        {"config": {"steps": "x"}},
        {"config": {"hidden_dim": 1.5}},
        {"config": {"hidden_dim": float("nan")}},
        {"config": {"no_such_field": 1}},
    ],
)
def test_a_config_of_wrong_types_is_one_line(uninterrupted, tmp_path, command, changes):
    run_dir = tmp_path / "run"
    shutil.copytree(uninterrupted, run_dir)
    manifest = json.loads((run_dir / "config.json").read_text())
    for name, value in changes.items():
        if isinstance(value, dict) and value:
            manifest[name] = {**manifest[name], **value}
        else:
            manifest[name] = value
    for part in (manifest["config"], manifest["data"], manifest):
        for name in [name for name in part if part[name] is ...] if isinstance(part, dict) else []:
            del part[name]
    (run_dir / "config.json").write_text(json.dumps(manifest))
    for main, arguments in (
        (export.main, [run_dir, tmp_path / "out"]),
        (evaluate.main, ["vae", "--run", run_dir, "--out", tmp_path / "out"]),
        (train.main, [*RUN, "--run-dir", run_dir]),
    ):
        status, _, err = command(main, *arguments)
        assert status == 1
        assert one_line(err, "error: ", str(run_dir))


# ---- Locks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_used_with_a_warning(tmp_path, monkeypatch, number):
    def unable(file):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(rundir, "_lock_exclusively", unable)
    manifest = {"model": "vae", "config": {}, "data": None, "versions": {}}
    with rundir.RunDirectory(tmp_path / "run", manifest) as directory:
        assert one_line("\n".join(directory.warnings), "no locks", "one process")


def test_another_error_of_a_lock_is_one(tmp_path, monkeypatch):
    def broken(file):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(rundir, "_lock_exclusively", broken)
    with pytest.raises(OSError, match="Input/output"):
        rundir.RunDirectory(tmp_path / "run", {"model": "vae", "config": {}, "data": None})


# ---- Checkpoints ---------------------------------------------------------------------------------


def test_checkpoints_are_in_the_order_of_their_steps(tmp_path):
    for step in (5, 99_999_999, 100_000_000):
        (tmp_path / "checkpoints" / f"step-{step:08d}").mkdir(parents=True)
    names = [path.name for path in rundir.list_checkpoints(tmp_path)]
    assert names == ["step-00000005", "step-99999999", "step-100000000"]


def test_checkpoint_of_another_model_is_no_damage(uninterrupted):
    class OtherVAE(vae.VAE):
        @property
        def state(self):
            return [*super().state, extra]

    extra = keras.Variable(1.0)
    other = vae.build(vae.Config(hidden_dim=64))
    other.__class__ = OtherVAE
    with pytest.raises(UserError, match="another version"):
        rundir.restore(other, uninterrupted)


def test_stop_while_pictures_are_drawn(uninterrupted, tmp_path, command, monkeypatch):
    run_dir = tmp_path / "run"
    shutil.copytree(uninterrupted, run_dir)
    shutil.rmtree(run_dir / "saved_model")

    def pictures(*arguments):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)

    with monkeypatch.context() as patch:
        patch.setattr(vae.Report, "pictures", pictures)
        status, out, _ = command(train.main, *RUN, "--run-dir", run_dir)
    assert status == 143
    assert "to continue" in out
    assert command(train.main, *RUN, "--run-dir", run_dir)[0] == 0
    assert (run_dir / "saved_model").exists()


# ---- Snapshots of the animation ------------------------------------------------------------------

ANIMATED = ["gaussian_gan", "--steps", "30", "--log-every", "10", "--checkpoint-every", "10"]


@pytest.fixture(scope="module")
def animated(tmp_path_factory):
    """A run with an animation that was killed after its last checkpoint."""
    run_dir = tmp_path_factory.mktemp("animated") / "run"
    path = run_dir.with_suffix(".gif")
    train.main([*ANIMATED, "--run-dir", str(run_dir), "--anim-path", str(path)])
    shutil.rmtree(run_dir / "saved_model")
    return run_dir


def newest_snapshots(run_dir):
    return rundir.list_checkpoints(run_dir)[-1] / "snapshots.npz"


def unknown_compression(content):
    content = bytearray(content)
    content[content.index(b"PK\1\2") + 10] = 99
    return bytes(content)


def swapped_bit(content):
    return content[:300] + bytes([content[300] ^ 1]) + content[301:]


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: b"garbage",
        lambda content: content[:1000],
        lambda content: content[:-1],
        swapped_bit,
        unknown_compression,
    ],
    ids=["empty", "garbage", "short", "last byte", "bit", "compression"],
)
def test_damaged_snapshots_are_a_damaged_checkpoint(animated, tmp_path, damage):
    run_dir = shutil.copytree(animated, tmp_path / "run")
    path = newest_snapshots(run_dir)
    path.write_bytes(damage(path.read_bytes()))
    model = gaussian_gan.build(gaussian_gan.Config(steps=30))
    step, snapshots, damaged = rundir.restore(model, run_dir)
    assert (step, damaged) == (20, [path.parent])
    assert [int(snapshot["step"]) for snapshot in snapshots] == [10, 20]


def test_snapshots_are_read_without_a_model(animated, tmp_path):
    run_dir = shutil.copytree(animated, tmp_path / "run")
    assert [int(snapshot["step"]) for snapshot in rundir.snapshots(run_dir)] == [10, 20, 30]
    newest_snapshots(run_dir).write_bytes(b"")
    assert [int(snapshot["step"]) for snapshot in rundir.snapshots(run_dir)] == [10, 20]
    shutil.rmtree(run_dir / "checkpoints")
    assert rundir.snapshots(run_dir) == []


def test_run_with_damaged_snapshots_makes_up_for_them(animated, tmp_path, command):
    run_dir = shutil.copytree(animated, tmp_path / "run")
    newest_snapshots(run_dir).write_bytes(b"")
    path = tmp_path / "a.gif"
    status, out, err = command(train.main, *ANIMATED, "--run-dir", run_dir, "--anim-path", path)
    assert status == 0
    assert "step-00000030 is damaged, renamed to damaged-step-00000030" in err
    assert "continuing at step 20" in out
    assert path.read_bytes() == animated.with_suffix(".gif").read_bytes()
    with np.load(newest_snapshots(run_dir)) as file, np.load(newest_snapshots(animated)) as other:
        assert file["step"].tolist() == [10, 20, 30]
        for name in other:
            np.testing.assert_array_equal(file[name], other[name])
