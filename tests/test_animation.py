"""Animations: every frame that was asked for, once, also of a run that was stopped."""

import json
import os
import signal
import sys

import numpy as np
import pytest
from PIL import Image, ImageSequence

from tf_gen import plots, train
from tf_gen.models import gaussian_gan

RUN = ["gaussian_gan", "--steps", "25", "--log-every", "10"]
VAE = ["vae", "--data", "bundled", "--hidden-dim", "8", "--anim-every", "1"]
VAE += ["--learning-rate", "0.1"]  # or the first frames would be alike
rng = np.random.default_rng(0)


def read(path):
    """The frames of an animation, uint8 [height, width, 3] each, and its milliseconds in all."""
    frames, milliseconds = [], 0
    with Image.open(path) as image:
        for frame in ImageSequence.Iterator(image):
            frames.append(np.asarray(frame.convert("RGB")))
            milliseconds += frame.info["duration"]
    return frames, milliseconds


def ffmpeg(directory, monkeypatch, script):
    """Let a Python script be the only program on PATH, called ffmpeg."""
    directory.mkdir(exist_ok=True)
    program = directory / "ffmpeg"
    program.write_text(f"#!{sys.executable} -S\nimport json, pathlib, sys\n{script}")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(directory))


RECORD = """
size = len(sys.stdin.buffer.read())
pathlib.Path(__file__).with_name("record").write_text(json.dumps([sys.argv, size]))
pathlib.Path(sys.argv[-1]).write_bytes(b"video")
"""
FAIL = 'sys.exit("first line\\nUnknown encoder")'


# ---- Files ---------------------------------------------------------------------------------------


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
    assert (status, err) == (0, "")
    assert f"{path} ({count} frames)" in out
    frames, milliseconds = read(path)
    assert len(frames) == count
    assert milliseconds == count * {".gif": 30, ".webp": 33}[suffix]
    assert {frame.shape for frame in frames} == {(size[1], size[0], 3)}
    assert sorted(p.name for p in tmp_path.iterdir()) == [path.name, "run"]


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".mp4"])
def test_a_failure_leaves_the_old_file(tmp_path, monkeypatch, suffix):
    ffmpeg(tmp_path / "bin", monkeypatch, RECORD)
    path = tmp_path / f"a{suffix}"
    path.write_text("old")

    def frames():
        yield np.zeros([40, 60, 3], np.uint8)
        yield np.full([40, 60, 3], 9, np.uint8)
        raise ValueError("half way")

    with pytest.raises(ValueError, match="half way"):
        plots.animation(frames(), path)
    assert path.read_text() == "old"
    assert {p.name for p in tmp_path.iterdir()} == {"bin", path.name}
    plots.animation(iter([np.zeros([40, 60, 3], np.uint8)]), path)
    assert path.read_bytes()[:3] != b"old"


@pytest.mark.parametrize("suffix", [".gif", ".png"])
def test_grey_frames_keep_their_pixels(tmp_path, suffix):
    frames = list(rng.integers(0, 256, [3, 20, 30], np.uint8))
    plots.animation(frames, tmp_path / f"a{suffix}", fps=10)
    read_back, milliseconds = read(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal([frame[..., 0] for frame in read_back], frames)
    assert milliseconds == 300


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
    assert len(result[2].splitlines()) == 1
    for word in words:
        assert word in result[2]
    assert [path.name for path in tmp_path.iterdir()] == ["directory.gif"]


# ---- ffmpeg --------------------------------------------------------------------------------------


def test_ffmpeg_fails_then_gets_every_pixel_of_every_frame(command, tmp_path, monkeypatch):
    path = tmp_path / "a.mp4"
    arguments = [*RUN, "--run-dir", tmp_path / "run", "--anim-path", path]
    ffmpeg(tmp_path / "bin", monkeypatch, FAIL)
    status, out, err = command(train.main, *arguments)
    assert status == 1
    assert err == "error: ffmpeg: Unknown encoder\n"
    assert not path.exists()
    assert not (tmp_path / "run" / "saved_model").exists()

    ffmpeg(tmp_path / "bin", monkeypatch, RECORD)  # installed by now: nothing is trained again
    status, out, err = command(train.main, *arguments)
    assert (status, err) == (0, "")
    assert "continuing at step 25" in out
    assert path.read_bytes() == b"video"
    argv, size = json.loads((tmp_path / "bin" / "record").read_text())
    assert size == 3 * 600 * 400 * 3
    assert argv[argv.index("-s") + 1] == "600x400"
    assert argv[argv.index("-pix_fmt") + 1] == "rgb24"
    assert argv[-1].endswith("a.mp4")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mp4", "bin", "run"]


def test_ffmpeg_gets_grey_frames(tmp_path, monkeypatch):
    ffmpeg(tmp_path / "bin", monkeypatch, RECORD)
    plots.animation(rng.integers(0, 256, [4, 21, 33], np.uint8), tmp_path / "a.mp4", fps=12)
    argv, size = json.loads((tmp_path / "bin" / "record").read_text())
    assert size == 4 * 21 * 33
    assert argv[argv.index("-s") + 1] == "33x21"
    assert argv[argv.index("-pix_fmt") + 1] == "gray"
    assert argv[argv.index("-r") + 1] == "12"


@pytest.mark.parametrize("size", [10, 50, 200, 700])  # below and above the size of buffers
def test_ffmpeg_that_fails_says_why(tmp_path, monkeypatch, size):
    ffmpeg(tmp_path / "bin", monkeypatch, FAIL)
    with pytest.raises(OSError, match="ffmpeg: Unknown encoder"):
        plots.animation(np.zeros([100, size, size], np.uint8), tmp_path / "a.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["bin"]


# ---- Frames --------------------------------------------------------------------------------------

EDGES = gaussian_gan.gaussian.edges(gaussian_gan.Config())
REAL = gaussian_gan.gaussian.density(
    gaussian_gan.gaussian.real_points(gaussian_gan.Config()), gaussian_gan.Config()
)
GREEN, BLUE = (44, 160, 44), (31, 119, 180)
COUNTER = np.s_[:100, 300:]


def spike(at, step=1, **more):
    generated = np.zeros(99)
    generated[at] = 1.0
    return {"generated": generated, "step": step, **more}


def frames_of(*snapshots):
    frames = list(plots.density_frames(snapshots, EDGES, REAL))
    assert all((frame.shape, frame.dtype) == ((400, 600, 3), np.uint8) for frame in frames)
    return frames


def changed(a, b):
    """Where two frames differ, apart from the counter."""
    differs = np.any(a != b, axis=-1)
    differs[COUNTER] = False
    return differs


def test_only_what_moves_changes():
    first, second = frames_of(spike(20), spike(60))
    differs = changed(first, second)
    columns = np.flatnonzero(differs.any(axis=0))
    green = [np.all(frame == GREEN, axis=-1) & differs for frame in (first, second)]
    left, right = (np.median(np.nonzero(mask)[1]) for mask in green)
    width = np.diff(np.flatnonzero(np.any(first != 255, axis=(0, 2)))[[0, -1]])[0]
    assert 0.3 * width < right - left < 0.5 * width  # 40 of the 99 parts of the axis
    near = (np.abs(columns - left) < 15) | (np.abs(columns - right) < 15)
    assert np.all(near)


def test_counter_names_frame_and_step():
    first, second = frames_of(spike(20, step=7), spike(20, step=7))
    assert not changed(first, second).any()
    assert np.any(first[COUNTER] != second[COUNTER])  # 1/2, 2/2
    (third, _) = frames_of(spike(20, step=8), spike(20))
    assert not changed(first, third).any()
    assert np.any(first[COUNTER] != third[COUNTER])


def test_decision_boundary_moves():
    x = np.linspace(-8, 8, 50)
    low, high = (spike(20, x=x, probability=np.full(50, p)) for p in (0.3, 0.6))
    first, second = frames_of(low, high)
    rows = [np.median(np.nonzero(np.all(f == BLUE, axis=-1) & changed(first, second))[0])
            for f in (first, second)]  # fmt: skip
    assert rows[0] - rows[1] > 50
    (without,) = frames_of(spike(20))
    assert not np.any(np.all(without == BLUE, axis=-1))


@pytest.mark.parametrize("suffix", [".gif", ".png"])
def test_lines_keep_their_colours(tmp_path, suffix):
    frames = frames_of(spike(20), spike(60), spike(90))
    plots.animation(iter(frames), tmp_path / f"a{suffix}")
    for frame, read_back in zip(frames, read(tmp_path / f"a{suffix}")[0], strict=True):
        assert np.mean(np.abs(np.int16(frame) - read_back) > 40) < 1e-3


# ---- Runs that stop ------------------------------------------------------------------------------


def test_interrupted_run_has_the_same_frames(command, tmp_path, monkeypatch):
    whole, pieces = tmp_path / "whole.gif", tmp_path / "pieces.gif"
    snapshot, calls = gaussian_gan.snapshot, []

    def train_to(path):
        arguments = ["--anim-every", "5", "--checkpoint-every", "10", "--anim-path", path]
        return command(train.main, *RUN, *arguments, "--run-dir", path.with_suffix(""))

    def interrupting(model, config):
        calls.append(snapshot(model, config))
        if len(calls) == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        if len(calls) == 4:
            raise OSError("as if killed: one frame is in no checkpoint")
        return calls[-1]

    assert train_to(whole)[0] == 0
    with monkeypatch.context() as patch:
        patch.setattr(gaussian_gan, "snapshot", interrupting)
        assert train_to(pieces)[0] == 143
        status, out, _ = train_to(pieces)
        assert status == 1
        assert "continuing at step 5\n" in out
    assert not pieces.exists()
    status, out, _ = train_to(pieces)
    assert status == 0
    assert "continuing at step 10\n" in out
    frames = read(whole)[0]
    assert len(frames) == 5
    np.testing.assert_array_equal(read(pieces)[0], frames)


def test_animation_asked_for_after_the_last_step(command, tmp_path, monkeypatch):
    """Of a run that was trained without one, and killed before its export."""
    arguments = [*RUN, "--run-dir", tmp_path / "run"]

    def killed(*arguments):
        raise OSError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(train, "finish", killed)
        assert command(train.main, *arguments)[0] == 1
    status, _, err = command(train.main, *arguments, "--anim-path", tmp_path / "a.gif")
    assert len(err.splitlines()) <= 1
    assert (status == 0) == (tmp_path / "a.gif").exists()
    assert "Traceback" not in err


@pytest.mark.slow  # a dozen programs to compile
def test_odd_intervals_say_nothing_on_stderr(process):
    arguments = ["--steps", "28", "--log-every", "10", "--anim-every", "7", "--anim-path", "a.gif"]
    result = process("-m", "tf_gen.train", "gaussian_gan", *arguments)
    assert (result.returncode, result.stderr) == (0, "")
