"""A run directory, damaged 300 times: said in a line, or the same run to the bit."""

import shutil

import numpy as np
import pytest
from helpers import one_line

from tf_gen import evaluate, export, rundir, train
from tf_gen.errors import UserError
from tf_gen.models import gaussian_gan

pytestmark = pytest.mark.slow
COUNT, COMMANDS = 300, 40
RUN = ["gaussian_gan", "--steps", "60", "--log-every", "10", "--checkpoint-every", "20"]


def damaged(directory, rng):
    """Flip a bit of a file below `directory`, cut it off, or delete it; return what was done."""
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    path = files[rng.integers(len(files))]
    kind = rng.choice(["flip", "truncate", "delete"])
    content = bytearray(path.read_bytes())
    if kind == "delete" or not content:
        path.unlink()
    elif kind == "truncate":
        path.write_bytes(content[: rng.integers(len(content))])
    else:
        position = rng.integers(8 * len(content))
        content[position // 8] ^= 1 << position % 8
        path.write_bytes(content)
    return f"{kind} {path.relative_to(directory)}"


def values(model):
    return [np.asarray(variable) for variable in model.state]


@pytest.fixture
def run(command, tmp_path):
    """A finished run, which kept frames."""
    flags = ["--run-dir", tmp_path / "run", "--anim-path", tmp_path / "a.gif"]
    assert command(train.main, *RUN, *flags)[0] == 0
    return tmp_path / "run"


def resumed(run, manifest, model):
    """What a run goes on with: its step, weights, frames and rows; and its warnings."""
    with rundir.RunDirectory(run, manifest) as directory:
        step, frames, warnings = directory.resume(model)
        rows = directory.read_history()
        return (step, values(model), frames, rows), [*directory.warnings, *warnings]


def same(a, b):
    """Whether two results of `resumed` are the same to the bit."""
    frames = [[list(map(str, frame.values())) for frame in frames] for frames in (a[2], b[2])]
    arrays = zip(a[1], b[1], strict=True)
    return (
        (a[0], a[3], frames[0]) == (b[0], b[3], frames[1])
        and all(np.array_equal(x, y) for x, y in arrays)
    )  # fmt: skip


def test_a_damaged_run_says_so_or_is_the_same(run, tmp_path):
    model = gaussian_gan.build(gaussian_gan.Config(steps=60, log_every=10))
    manifest, rng = rundir.read_manifest(run), np.random.default_rng(0)
    expected, copy = {}, tmp_path / "copy"
    for left in (4, 3, 2, 1):  # checkpoints
        shutil.copytree(run, copy)
        for directory in rundir.list_checkpoints(copy)[left:]:
            shutil.rmtree(directory)
        result, warnings = resumed(copy, manifest, model)
        assert not warnings
        expected[result[0]] = result
        shutil.rmtree(copy)
    answers = {"refused": 0, "warned": 0, "the same": 0}
    for _ in range(COUNT):
        shutil.copytree(run, copy)
        what = damaged(copy, rng)
        try:
            result, warnings = resumed(copy, manifest, model)
        except (UserError, OSError) as error:
            answers["refused"] += 1
            assert one_line(str(error)), what
        else:
            answers["warned" if warnings else "the same"] += 1
            assert all(one_line(warning) for warning in warnings), what
            assert same(result, expected[result[0]]), what
            assert warnings or result[0] == 60 or "delete" in what, what
        shutil.rmtree(copy)
    print(answers)
    assert min(answers.values()) > 0


def test_commands_answer_in_a_line(run, tmp_path, command):
    rng = np.random.default_rng(1)
    for number in range(COMMANDS):
        copy = tmp_path / "copy"
        shutil.copytree(run, copy)
        what = damaged(copy, rng)
        if number % 2:  # unfinished
            shutil.rmtree(copy / "saved_model", ignore_errors=True)
        main, arguments = [
            (train.main, [*RUN, "--run-dir", copy]),
            (export.main, [copy, tmp_path / "out"]),
            (evaluate.main, ["gaussian_gan", "--run", copy, "--out", tmp_path / "out"]),
        ][number % 3]
        status, _, err = command(main, *arguments)
        assert status in (0, 1), what
        assert status == 0 or one_line(err.splitlines()[-1], "error: "), what
        assert "Traceback" not in err, what
        shutil.rmtree(copy)
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
