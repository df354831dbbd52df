"""The command that trains: what it answers to mistakes, when it ends, and its animations."""

import gzip
import os
import shutil
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
import tensorflow as tf
from helpers import Ffmpeg, environment, history, one_line, read_animation, rows, state

from tf_gen import plots, rundir, sample, train
from tf_gen.models import gaussian_gan, vae

RUN = ["gaussian_gan", "--steps", "25", "--log-every", "10"]
VAE = ["vae", "--data", "bundled", "--hidden-dim", "8", "--anim-every", "1"]
VAE += ["--learning-rate", "0.1"]  # or the first frames would be alike


# ---- Bad flags, bad data and bad directories -----------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["MODEL"]),
        (["no-such-model"], ["no-such-model", "vae"]),
        (["vae", "--no-such-flag", "3"], ["--no-such-flag"]),
        (["vae", "--step", "3"], ["--step"]),  # flags cannot be abbreviated
        (["vae", "--checkpoint-every", "0"], ["--checkpoint-every"]),
        (["gaussian_gan", "--anim-every", "0"], ["--anim-every", "at least 1"]),
        (["gaussian_gan", "--data", "bundled"], ["--data"]),
        (["gaussian_gan", "--anim-every", "5"], ["--anim-every", "--anim-path"]),
    ],
)
def test_usage_errors_are_one_line_and_status_2(refused, arguments, words):
    refused(train.main, arguments, words)


def test_bad_data_is_one_line_and_writes_nothing(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    directory = tmp_path / "mnist"
    directory.mkdir()
    content = gzip.compress(b"\0\0\x08\x03" + bytes(2000))
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (directory / f"{name}-ubyte.gz").write_bytes(content[:-9])
    (tmp_path / "list.txt").write_text("missing.png 3\n")
    before = sorted(tmp_path.rglob("*"))
    for spec, words in {
        directory: ["train-images-idx3-ubyte.gz", "damaged"],
        tmp_path / "list.txt": ["list.txt", "line 1", "missing.png"],
        tmp_path / "nothing": ["nothing"],
    }.items():
        status, out, err = command(train.main, "vae", "--data", spec)
        assert (status, out) == (1, "")
        assert one_line(err, *words)
        assert sorted(tmp_path.rglob("*")) == before


def test_unwritable_run_directory(command, tmp_path):
    file = tmp_path / "file"
    file.write_text("precious")
    for run_dir in (file, file / "below"):
        status, _, err = command(train.main, "vae", "--data", "bundled", "--run-dir", run_dir)
        assert status == 1
        assert one_line(err, str(file))
    assert file.read_text() == "precious"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_run_directory_without_permission(command, tmp_path):
    tmp_path.chmod(0o500)
    status, _, err = command(train.main, "vae", "--data", "bundled", "--run-dir", tmp_path / "run")
    assert status == 1
    assert one_line(err, "Permission denied")


def test_foreign_directory_is_left_alone(command, tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    status, _, err = command(train.main, "vae", "--data", "bundled", "--run-dir", tmp_path)
    assert status == 1
    assert one_line(err, "holds other files")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("name", ["config.json", "saved_model.pb"])
def test_directory_that_only_resembles_a_run_is_left_alone(command, tmp_path, name):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / name).write_text("{}")
    before = sorted(tmp_path.iterdir())
    status, _, err = command(train.main, "vae", "--data", "bundled", "--run-dir", tmp_path)
    assert status == 1
    assert one_line(err, "holds other files")
    assert sorted(tmp_path.iterdir()) == before


def test_run_of_another_model_is_refused(command, tmp_path):
    arguments = ["--steps", "2", "--run-dir", tmp_path]
    assert command(train.main, "gaussian_gan", *arguments)[0] == 0
    for other in ("tiny_gan", "vae"):  # the one draws its data, the other looks for it
        status, _, err = command(train.main, other, *arguments)
        assert status == 1
        assert one_line(err, "other settings", f"model: gaussian_gan -> {other}")


@pytest.mark.slow  # half a minute
def test_model_that_does_not_fit_into_memory(process, tmp_path):
    arguments = ["vae", "--data", "bundled", "--hidden-dim", "1000000000000"]
    result = process("-m", "tf_gen.train", *arguments)
    assert result.returncode == 1
    assert one_line(result.stderr, "TensorFlow")
    assert not list(tmp_path.iterdir())


# ---- To the end ----------------------------------------------------------------------------------


def test_few_images_in_three_dimensions_to_the_end(command, tmp_path, monkeypatch):
    """And the command that it prints last works."""
    monkeypatch.chdir(tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, [30, 28, 28, 1], np.uint8)
    for i, image in enumerate(pixels):
        (tmp_path / f"{i}.png").write_bytes(tf.io.encode_png(image).numpy())
    (tmp_path / "list.txt").write_text("".join(f"{i}.png {i % 10}\n" for i in range(30)))
    arguments = ["--latent-dim", "3", "--hidden-dim", "8", "--steps", "3", "--log-every", "2"]
    status, out, err = command(train.main, "vae", "--data", "list.txt", *arguments)
    assert (status, err) == (0, "")
    assert "20 images to train, 10 held out" in out
    _, _, next_command = out.splitlines()[-1].partition("tf_gen.sample ")
    assert command(sample.main, *next_command.split())[0] == 0
    assert (tmp_path / "digit.png").exists()


def test_odd_intervals_make_every_step_once(command, tmp_path):
    status, out, _ = command(
        train.main, "vae", "--data", "bundled", "--run-dir", tmp_path / "run", "--hidden-dim", "8",
        "--steps", "23", "--log-every", "7", "--checkpoint-every", "5",
    )  # fmt: skip
    assert status == 0
    assert [line.partition(" ,")[0] for line in out.splitlines() if line.startswith("step ")] == [
        "step 7",
        "step 14",
        "step 21",
        "step 23",
    ]
    checkpoints = [path.name for path in rundir.list_checkpoints(tmp_path / "run")]
    assert checkpoints == ["step-00000014", "step-00000021", "step-00000023"]
    model = vae.build(vae.Config(hidden_dim=8))
    assert rundir.restore(model, tmp_path / "run") == (23, [], [])
    assert model.optimizer.iterations == 23


@pytest.mark.slow  # a dozen programs to compile
def test_odd_intervals_say_nothing_on_stderr(process):
    arguments = ["--steps", "28", "--log-every", "10", "--anim-every", "7", "--anim-path", "a.gif"]
    result = process("-m", "tf_gen.train", "gaussian_gan", *arguments)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize("steps", [1, 20])  # 1: the loss comes before the update that spoils all
def test_a_model_that_diverges_stops_the_run(command, tmp_path, steps):
    run_dir = tmp_path / "run"
    status, _, err = command(
        train.main, "vae", "--data", "bundled", "--run-dir", run_dir,
        "--learning-rate", "1e38", "--steps", steps, "--log-every", "20", "--hidden-dim", "8",
    )  # fmt: skip
    assert status == 1
    assert one_line(err, "loss is", f"step {steps};", "a lower learning rate", "--run-dir")
    assert not (run_dir / "saved_model").exists()
    assert [path.name for path in (run_dir / "checkpoints").iterdir()] == ["step-00000000"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["gaussian_gan", "--activation", "relu", "--g-learning-rate", "1e38"],
        ["tiny_gan", "--learning-rate", "1e38", "--optimizer", "sgd"],
    ],
)
def test_a_gan_that_diverges_stops_the_run(command, tmp_path, arguments):
    run_dir = tmp_path / "run"
    flags = ["--steps", "12", "--log-every", "4", "--run-dir", run_dir]
    status, _, err = command(train.main, *arguments, *flags)
    assert status == 1
    assert one_line(err, " is ", " at step ", "a lower learning rate", "--run-dir")
    assert not (run_dir / "saved_model").exists()


def test_run_that_is_close_enough_ends_and_stays_ended(command, tmp_path):
    arguments = ["gaussian_gan", "--steps", "50", "--log-every", "10", "--stop-at-w1", "1e9"]
    run_dir = tmp_path / "run"
    arguments += ["--run-dir", run_dir]
    animation = ["--anim-every", "8", "--anim-path", run_dir.with_suffix(".gif")]
    status, out, err = command(train.main, *arguments, *animation)
    assert (status, err) == (0, "")
    assert "stopping at step 10 of 50: w1 is " in out
    assert "(2 frames)" in out  # of steps 8 and 10
    assert [line.partition(",")[0] for line in history(run_dir)] == ["step", "10"]
    assert rundir.list_checkpoints(run_dir)[-1].name == "step-00000010"

    before = state(run_dir)
    status, out, _ = command(train.main, *arguments)
    assert status == 0
    assert "finished already" in out
    assert state(run_dir) == before

    shutil.rmtree(run_dir / "saved_model")
    status, out, _ = command(train.main, *arguments)
    assert status == 0
    assert "continuing at step 10\n" in out
    assert "20: " not in out
    assert (run_dir / "saved_model" / "saved_model.pb").exists()
    after = state(run_dir / "checkpoints")
    assert {path: before[path] for path in after} == after
    assert [line.partition(",")[0] for line in history(run_dir)] == ["step", "10"]


def test_run_stops_at_the_first_line_that_is_close_enough(command, tmp_path):
    arguments = ["gaussian_gan", "--steps", "60", "--log-every", "10"]

    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert command(train.main, *arguments, "--run-dir", whole)[0] == 0
    w1 = [float(row["w1"]) for row in rows(whole / "history.csv")]
    assert len(w1) == 6
    limit = min(w1[:4])
    count = w1.index(limit) + 1
    flags = ["--stop-at-w1", limit, "--run-dir", stopped]
    assert command(train.main, *arguments, *flags)[0] == 0
    assert history(stopped) == history(whole)[: 1 + count]


# ---- Animations ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "suffix", "size", "count"),
    [
        (RUN, ".gif", (600, 400), 3),
        ([*RUN, "--anim-every", "5"], ".webp", (600, 400), 5),
        (["tiny_gan", "--steps", "4", "--anim-every", "3"], ".gif", (600, 400), 2),
        ([*VAE, "--steps", "3"], ".webp", (560, 560), 3),
        ([*VAE, "--steps", "2"], ".gif", (560, 560), 2),
    ],
)
def test_a_frame_for_each_interval_and_the_last_step(
    command, tmp_path, arguments, suffix, size, count
):
    path = tmp_path / f"a{suffix}"
    flags = ["--anim-path", path, "--run-dir", tmp_path / "run"]
    status, out, err = command(train.main, *arguments, *flags)
    assert err == ""  # by itself, so that pytest shows all of it
    assert status == 0
    assert f"{path} ({count} frames)" in out
    frames, milliseconds = read_animation(path)
    assert len(frames) == count
    assert milliseconds == count * {".gif": 30, ".webp": 33}[suffix]
    assert {frame.shape for frame in frames} == {(size[1], size[0], 3)}
    assert sorted(p.name for p in tmp_path.iterdir()) == [path.name, "run"]


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["--anim-path", "out.avi"], 2, ["--anim-path", ".gif, .webp, .mp4", "out.avi"]),
        (["--anim-path", "out"], 2, ["--anim-path", ".gif"]),
        (["--anim-path", ".gif"], 2, ["--anim-path"]),
        (["--anim-path", "directory.gif"], 1, ["directory.gif", "not a file"]),
        (["--anim-path", "missing/out.gif"], 1, ["missing/out.gif", "existing directory"]),
        (["--anim-path", "out.mp4"], 1, ["out.mp4", "ffmpeg", ".gif"]),
        (["--anim-path", "out.gif", "--anim-every", "0"], 2, ["--anim-every", "at least 1"]),
    ],
)
def test_bad_path_is_one_line_before_the_training(
    command, tmp_path, monkeypatch, arguments, status, words
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))  # without ffmpeg
    (tmp_path / "directory.gif").mkdir()
    result = command(train.main, *RUN, *arguments)
    assert result[:2] == (status, "")
    assert one_line(result[2], *words)
    assert [path.name for path in tmp_path.iterdir()] == ["directory.gif"]


def test_an_encoder_is_tried_before_the_training(command, tmp_path, monkeypatch):
    arguments = [*RUN, "--run-dir", tmp_path / "run", "--anim-path", tmp_path / "a.mp4"]
    Ffmpeg(tmp_path / "bin", monkeypatch, codecs=["libvpx"])
    status, out, err = command(train.main, *arguments)
    assert (status, out) == (1, "")
    assert one_line(err, "ffmpeg: Unknown encoder 'mpeg4'", "libx264", ".gif")
    assert [path.name for path in tmp_path.iterdir()] == ["bin"]


def test_ffmpeg_gets_every_pixel_of_every_frame(command, tmp_path, monkeypatch):
    path = tmp_path / "a.mp4"
    arguments = [*RUN, "--run-dir", tmp_path / "run", "--anim-path", path]
    ffmpeg = Ffmpeg(tmp_path / "bin", monkeypatch, codecs=["mpeg4"])
    status, _, err = command(train.main, *arguments)
    assert (status, err) == (0, "")
    assert path.read_bytes() == b"video"
    argv, size = ffmpeg.record()
    assert size == 3 * 600 * 400 * 3
    assert argv[argv.index("-s") + 1] == "600x400"
    assert argv[argv.index("-pix_fmt") + 1] == "rgb24"
    assert argv[argv.index("-c:v") + 1] == "mpeg4"
    assert argv[-1].endswith("a.mp4")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mp4", "bin", "run"]


@pytest.mark.parametrize("what", ["save", "animation"])
def test_a_picture_that_fails_costs_no_model(command, tmp_path, monkeypatch, what):
    path = tmp_path / "a.gif"
    arguments = [*RUN, "--run-dir", tmp_path / "run", "--anim-path", path]
    right = getattr(plots, what)

    def full(picture, path, *more):
        if "trial" in path.name:
            return right(picture, path, *more)
        raise OSError(28, "No space left on device", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(plots, what, full)
        status, out, err = command(train.main, *arguments)
    assert status == 1
    assert one_line(err, "trained and safe in", "saved_model", "No space left")
    assert "SavedModel:" in out
    assert (tmp_path / "run" / "saved_model" / "saved_model.pb").exists()
    assert not path.exists()

    before = state(tmp_path / "run" / "checkpoints")
    status, out, err = command(train.main, *arguments)  # draws, and trains nothing
    assert (status, err) == (0, "")
    assert "finished already" in out
    assert len(read_animation(path)[0]) == 3
    assert (tmp_path / "run" / "pictures" / "course.png").exists()
    assert state(tmp_path / "run" / "checkpoints") == before
    status, out, err = command(train.main, *arguments[:-2])
    assert (status, out.count("\n"), err) == (0, 1, "")


def test_a_finished_run_draws_an_animation_if_it_kept_frames(command, tmp_path):
    with_frames = [*RUN, "--run-dir", tmp_path / "run", "--anim-path", tmp_path / "a.gif"]
    assert command(train.main, *with_frames)[0] == 0
    status, out, _ = command(train.main, *with_frames[:-1], tmp_path / "b.gif")
    assert status == 0
    assert "finished already" in out
    assert (tmp_path / "b.gif").read_bytes() == (tmp_path / "a.gif").read_bytes()
    newest = rundir.list_checkpoints(tmp_path / "run")[-1]
    (newest / "state.index").unlink()
    status, _, err = command(train.main, *with_frames[:-1], tmp_path / "d.gif")
    assert status == 0
    assert one_line(err, "warning", newest.name, "left out")
    without = [*RUN, "--run-dir", tmp_path / "without"]
    assert command(train.main, *without)[0] == 0
    status, out, err = command(train.main, *without, "--anim-path", tmp_path / "c.gif")
    assert (status, err) == (0, "")
    assert "kept no frames" in out
    assert not (tmp_path / "c.gif").exists()


def test_training_from_a_thread(tmp_path):
    """Where there are no signal handlers, as in the kernel of a notebook that runs a thread."""
    statuses = []
    arguments = [*RUN, "--run-dir", str(tmp_path / "run")]
    thread = threading.Thread(target=lambda: statuses.append(train.main(arguments)))
    thread.start()
    thread.join()
    assert statuses == [0]
    assert (tmp_path / "run" / "saved_model").exists()


def test_a_run_whose_output_nobody_reads_is_saved(tmp_path):
    """As behind `| head -2`."""
    arguments = ["gaussian_gan", "--steps", "1000000", "--run-dir", str(tmp_path / "run")]
    command = [sys.executable, "-m", "tf_gen.train", *arguments]
    pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, env=environment(), text=True, **pipe) as ours:
        assert ours.stdout.readline().startswith("training")
        assert ours.stdout.readline().startswith("10: ")
        ours.stdout.close()
        assert (ours.stderr.read(), ours.wait(timeout=100)) == ("", 141)
    last = rundir.list_checkpoints(tmp_path / "run")[-1]
    lines = history(tmp_path / "run")
    assert last.name == f"step-{int(lines[-1].partition(',')[0]):08d}"
    assert len(lines) > 2


def test_interrupted_run_has_the_same_frames(command, tmp_path, monkeypatch):
    whole, pieces = tmp_path / "whole.gif", tmp_path / "pieces.gif"
    snapshot, calls = gaussian_gan.Report.snapshot, []

    def train_to(path):
        arguments = ["--anim-every", "5", "--checkpoint-every", "10", "--anim-path", path]
        return command(train.main, *RUN, *arguments, "--run-dir", path.with_suffix(""))

    def interrupting(report, model):
        calls.append(snapshot(report, model))
        if len(calls) == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        if len(calls) == 4:
            raise OSError("as if killed: one frame is in no checkpoint")
        return calls[-1]

    assert train_to(whole)[0] == 0
    with monkeypatch.context() as patch:
        patch.setattr(gaussian_gan.Report, "snapshot", interrupting)
        assert train_to(pieces)[0] == 143
        status, out, _ = train_to(pieces)
        assert status == 1
        assert "continuing at step 5\n" in out
    assert not pieces.exists()
    status, out, _ = train_to(pieces)
    assert status == 0
    assert "continuing at step 10\n" in out
    frames, _ = read_animation(whole)
    assert len(frames) == 5
    np.testing.assert_array_equal(read_animation(pieces)[0], frames)


def test_animation_asked_for_after_the_last_step(command, tmp_path, monkeypatch):
    """Of a run that was trained without one, and killed before its export."""
    arguments = [*RUN, "--run-dir", tmp_path / "run"]

    def killed(*arguments):
        raise OSError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(train, "export", killed)
        assert command(train.main, *arguments)[0] == 1
    status, out, err = command(train.main, *arguments, "--anim-path", tmp_path / "a.gif")
    assert status == 0
    assert one_line(err, "warning", "begins at step 25")
    assert "(1 frames)" in out
    assert len(read_animation(tmp_path / "a.gif")[0]) == 1
    assert (tmp_path / "run" / "saved_model").exists()
