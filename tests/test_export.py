"""The export of a run that is there already, finished or not, and what a mistake is answered."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import tensorflow as tf
from helpers import one_line, state

from tf_gen import export, rundir, sample, train
from tf_gen.models import vae

RUN = ["vae", "--data", "bundled", "--steps", "40", "--log-every", "20", "--hidden-dim", "32"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run directory with an export."""
    run_dir = tmp_path_factory.mktemp("export") / "run"
    train.main([*RUN, "--run-dir", str(run_dir)])
    return run_dir


def test_export_again_from_the_run(trained, tmp_path, command):
    before = state(trained)
    out = tmp_path / "a" / "b"
    status, printed, err = command(export.main, trained, out)
    assert (status, err) == (0, "")
    assert "step 40" in printed
    assert state(trained) == before
    first, again = (tf.saved_model.load(str(path)) for path in (trained / "saved_model", out))
    z = tf.random.stateless_normal([5, 2], [0, 0])
    np.testing.assert_array_equal(first.decode(z)["images"], again.decode(z)["images"])
    assert [path.name for path in out.parent.iterdir()] == ["b"]
    (made,) = trained.glob("saved_model/latent_map.json")
    assert (out / "latent_map.json").read_text() == made.read_text()
    _, _, arguments = printed.splitlines()[-1].partition("python -m tf_gen.sample ")
    z = [*arguments.split()[:-1], tmp_path / "digit.png"]
    assert command(sample.main, *z)[0] == 0
    assert (tmp_path / "digit.png").exists()


def test_export_of_a_run_with_a_damaged_map(trained, tmp_path, command):
    run_dir = shutil.copytree(trained, tmp_path / "run")
    (run_dir / "saved_model" / "latent_map.json").write_text("{")
    status, _, err = command(export.main, run_dir, tmp_path / "out")
    assert status == 1
    assert one_line(err, "latent_map.json: damaged")
    assert not (tmp_path / "out").exists()


def test_export_of_a_run_with_a_changed_map(trained, tmp_path, command):
    run_dir = shutil.copytree(trained, tmp_path / "run")
    path = run_dir / "saved_model" / "latent_map.json"
    content = json.loads(path.read_text())
    content["axis"][0] -= 0.5
    path.write_text(json.dumps(content))
    status, _, err = command(export.main, run_dir, tmp_path / "out")
    assert status == 1
    assert one_line(err, "latent_map.json: damaged", "SHA256SUMS")
    assert not (tmp_path / "out").exists()


def test_export_to_where_no_directory_can_be(trained, tmp_path, command):
    (tmp_path / "file").touch()
    status, _, err = command(export.main, trained, tmp_path / "file" / "out")
    assert status == 1
    assert one_line(err, f"Not a directory: {tmp_path / 'file'}")


def test_export_that_fails_names_the_directory(trained, tmp_path, command, monkeypatch):
    def no_space(model, path, **options):
        raise tf.errors.ResourceExhaustedError(None, None, f"{path}/variables; No space left")

    monkeypatch.setattr(tf.saved_model, "save", no_space)
    status, _, err = command(export.main, trained, tmp_path / "out")
    assert status == 1
    assert err == f"error: {tmp_path / 'out'}: cannot be written (No space left)\n"
    assert not list(tmp_path.iterdir())


def test_export_of_an_unfinished_run_whose_newest_checkpoint_is_damaged(trained, tmp_path, command):
    run_dir = shutil.copytree(trained, tmp_path / "run")
    shutil.rmtree(run_dir / "saved_model")
    first, last = rundir.list_checkpoints(run_dir)
    (last / "state.index").write_bytes(b"")
    before = state(run_dir)
    status, printed, err = command(export.main, run_dir, tmp_path / "out")
    assert status == 0
    assert one_line(err, "warning", last.name, "damaged")
    assert "step 0" in printed
    assert state(run_dir) == before
    untrained = vae.build(vae.Config(hidden_dim=32))
    z = np.float32([[3, 3], [0, 1]])
    exported = tf.saved_model.load(str(tmp_path / "out"))
    images = exported.signatures["decode"](z=tf.constant(z))["images"]
    np.testing.assert_allclose(images, untrained.decode(z), atol=1e-6)
    assert first.name == "step-00000000"
    assert not (tmp_path / "out" / "latent_map.json").exists()


def test_export_refuses_what_is_there(command, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text(json.dumps({"model": "vae"}))
    out = tmp_path / "out"
    out.mkdir()
    status, _, err = command(export.main, tmp_path / "run", out)
    assert status == 1
    assert one_line(err, "exists already")
    status, _, err = command(export.main, out, tmp_path / "new")
    assert status == 1
    assert one_line(err, "no run directory")
    assert not list(out.iterdir())


SETTINGS = dataclasses.asdict(vae.Config())
DATA = {"source": "bundled", "sha256": ""}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "config.json"),
        ({"model": "no-such-model", "config": {}}, "config.json"),
        ({"model": "vae", "config": {"no_such_field": 1}}, "config.json"),
        ({"model": "vae", "config": {"hidden_dim": 0}}, "config.json"),
        ({"model": "vae", "config": {"hidden_dim": 8}, "data": None}, "config.json"),
        ({"model": "vae", "config": SETTINGS, "data": {"sha256": ""}}, "has no 'source'"),
        ({"model": "vae", "config": SETTINGS, "data": DATA}, "no usable checkpoint"),
        ({"model": "vae", "config": {**SETTINGS, "decay": None}, "data": DATA}, "decay"),
    ],
)
def test_export_of_what_is_no_run(command, tmp_path, settings, words):
    (tmp_path / "config.json").write_text(json.dumps(settings))
    status, _, err = command(export.main, tmp_path, tmp_path / "out")
    assert status == 1
    assert one_line(err, words)
    assert not (tmp_path / "out").exists()
