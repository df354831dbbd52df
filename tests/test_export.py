"""The SavedModel as others use it: without tf_gen, without Keras, from the shell."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tf_gen import export, run, train
from tf_gen.models import vae

RUN = ["vae", "--data", "bundled", "--steps", "40", "--log-every", "20", "--hidden-dim", "32"]

# Loads the SavedModel where neither this package nor Keras can be imported.
ALONE = """
import sys
for name in ("keras", "tf_gen", "tf_keras"):
    sys.modules[name] = None
import numpy as np
import tensorflow as tf

signatures = tf.saved_model.load(sys.argv[1]).signatures
assert set(signatures) == {"decode", "sample", "encode", "reconstruct", "serving_default"}
images = tf.constant(np.load(sys.argv[2]))
z = tf.constant([[3.0, 3.0], [0.0, 0.0], [0.0, 5.0]])
outputs = {
    **{f"encode/{k}": v for k, v in signatures["encode"](images=images).items()},
    **{f"decode/{k}": v for k, v in signatures["decode"](z=z).items()},
    **{f"serving_default/{k}": v for k, v in signatures["serving_default"](z=z).items()},
    **{f"reconstruct/{k}": v for k, v in signatures["reconstruct"](images=images).items()},
    **{
        f"sample/{k}": v
        for k, v in signatures["sample"](count=tf.constant(6), seed=tf.constant([1, 2])).items()
    },
}
np.savez(sys.argv[3], **{name.replace("/", "."): value.numpy() for name, value in outputs.items()})
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run directory with an export, and the model that was exported."""
    run_dir = tmp_path_factory.mktemp("export") / "run"
    train.main([*RUN, "--run-dir", str(run_dir)])
    model = vae.build(vae.Config(hidden_dim=32))
    run.restore(model, run_dir)
    return run_dir, model


@pytest.fixture(scope="module")
def alone(trained, bundled, tmp_path_factory):
    """Outputs of every signature, computed twice in processes of their own."""
    run_dir, _ = trained
    directory = tmp_path_factory.mktemp("alone")
    images = np.float32(bundled.held_out_images[:7] / 255)
    np.save(directory / "images.npy", images)
    results = []
    for name in ("a.npz", "b.npz"):
        arguments = [run_dir / "saved_model", directory / "images.npy", directory / name]
        command = [sys.executable, "-c", ALONE, *map(str, arguments)]
        subprocess.run(command, cwd=directory, check=True, timeout=300)
        with np.load(directory / name) as file:
            results.append(dict(file))
    return images, *results


def test_signatures_work_where_tf_gen_and_keras_cannot_be_imported(alone, trained):
    images, outputs, _ = alone
    _, model = trained
    z_mean, z_log_var = model.encode(images)
    z = model.prior(6, [1, 2])
    expected = {
        "encode.z_mean": z_mean,
        "encode.z_log_var": z_log_var,
        "decode.images": model.decode(np.float32([[3, 3], [0, 0], [0, 5]])),
        "serving_default.images": model.decode(np.float32([[3, 3], [0, 0], [0, 5]])),
        "reconstruct.images": model.decode(z_mean),
        "sample.z": z,
        "sample.images": model.decode(z),
    }
    assert outputs.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(outputs[name], value, atol=2e-6, err_msg=name)
        assert outputs[name].dtype == np.float32
        if name.endswith("images"):
            assert outputs[name].shape[1:] == (28, 28)
            assert 0 <= outputs[name].min() <= outputs[name].max() <= 1


def test_same_seed_gives_same_images_in_two_processes(alone):
    _, first, second = alone
    for name, value in first.items():
        np.testing.assert_array_equal(value, second[name])


@pytest.fixture(scope="module")
def signatures(trained):
    loaded = tf.saved_model.load(str(trained[0] / "saved_model"))
    yield loaded.signatures  # which do not keep the variables alive by themselves


@pytest.mark.parametrize("batch_size", [0, 1, 3, 1000])
def test_any_batch_size(signatures, batch_size):
    images, z = tf.zeros([batch_size, 28, 28]), tf.zeros([batch_size, 2])
    assert signatures["decode"](z=z)["images"].shape == (batch_size, 28, 28)
    assert signatures["encode"](images=images)["z_mean"].shape == (batch_size, 2)
    assert signatures["encode"](images=images)["z_log_var"].shape == (batch_size, 2)
    assert signatures["reconstruct"](images=images)["images"].shape == (batch_size, 28, 28)
    sampled = signatures["sample"](count=tf.constant(batch_size), seed=tf.constant([0, 0]))
    assert sampled["images"].shape == (batch_size, 28, 28)


def test_samples_are_decoded_prior_draws_and_depend_on_both_seeds(signatures):
    def draw(count, *seed):
        return signatures["sample"](count=tf.constant(count), seed=tf.constant(seed))

    drawn = draw(2000, 1, 2)
    z = drawn["z"].numpy()
    assert abs(z.mean()) < 0.1
    assert abs(z.std() - 1) < 0.1
    np.testing.assert_allclose(signatures["decode"](z=z)["images"], drawn["images"], atol=1e-6)
    for other in ((1, 3), (2, 2)):
        assert not np.array_equal(draw(2000, *other)["z"], z)


def test_decode_and_sample_hold_the_decoder_alone(signatures, trained):
    decoder = sum(int(np.prod(v.shape)) for v in trained[1].decoder.weights)
    whole = sum(int(np.prod(v.shape)) for v in trained[1].weights)

    def parameters(name):
        return sum(int(np.prod(v.shape)) for v in signatures[name].variables)

    assert parameters("decode") == parameters("sample") == decoder
    assert parameters("reconstruct") == whole
    assert parameters("encode") == whole - decoder


def test_variables_are_stored_once_and_without_optimiser(trained):
    run_dir, model = trained
    (data,) = (run_dir / "saved_model" / "variables").glob("*.data*")
    weights = 4 * model.count_params()
    assert weights <= data.stat().st_size < weights + 20_000


def test_settings_travel_with_the_export(trained):
    run_dir, _ = trained
    config = json.loads((run_dir / "saved_model" / "config.json").read_text())
    assert config == json.loads((run_dir / "config.json").read_text())
    assert config["config"]["hidden_dim"] == 32
    assert config["data"]["source"] == "bundled"
    assert config["data"]["train"] == 4500
    assert len(config["data"]["sha256"]) == 64
    assert config["versions"]["tensorflow"] == tf.__version__


def test_saved_model_cli(trained, tmp_path):
    run_dir, model = trained
    tool = Path(sys.executable).with_name("saved_model_cli")
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"}

    def saved_model_cli(*arguments):
        command = [str(tool), *map(str, arguments)]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True
        ).stdout

    directory = ["--dir", run_dir / "saved_model"]
    shown = saved_model_cli("show", *directory, "--all")
    for name in ("decode", "sample", "encode", "reconstruct", "serving_default"):
        assert f"signature_def['{name}']" in shown
    run_it = ["run", *directory, "--tag_set", "serve", "--signature_def"]
    saved_model_cli(*run_it, "decode", "--input_exprs", "z=[[3.0,3.0]]", "--outdir", "a")
    saved_model_cli(*run_it, "sample", "--input_exprs", "count=4;seed=[1,2]", "--outdir", "b")
    decoded, sampled = (np.load(tmp_path / name / "images.npy") for name in ("a", "b"))
    np.testing.assert_allclose(decoded, model.decode(np.float32([[3, 3]])), atol=1e-6)
    np.testing.assert_allclose(sampled, model.decode(model.prior(4, [1, 2])), atol=1e-6)


def test_export_again_from_the_run(trained, tmp_path, command):
    run_dir, _ = trained
    out = tmp_path / "a" / "b"
    status, printed, err = command(export.main, run_dir, out)
    assert (status, err) == (0, "")
    assert "step 40" in printed
    first, again = (tf.saved_model.load(str(path)) for path in (run_dir / "saved_model", out))
    z = tf.random.stateless_normal([5, 2], [0, 0])
    np.testing.assert_array_equal(first.decode(z)["images"], again.decode(z)["images"])
    assert [path.name for path in out.parent.iterdir()] == ["b"]


def test_failed_export_leaves_nothing(trained, tmp_path, monkeypatch):
    _, model = trained

    def no_space(path, text):
        assert (path.parent / "saved_model.pb").exists()  # the last of all that is written
        raise OSError("disk full")

    monkeypatch.setattr(Path, "write_text", no_space)
    with pytest.raises(OSError, match="disk full"):
        export.export(model, tmp_path / "out", {})
    assert not list(tmp_path.iterdir())
