"""Sampling: which z the command line means, what is written, and what a mistake is answered."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import tensorflow as tf
from helpers import one_line

from tf_gen import sample, savedmodel
from tf_gen.models import gaussian_gan, vae

LATENT_MAP = {"labels": {"3": [0.5, -1.0], "7": [1.0, 2.5]}, "axis": [-1.0, 0.0, 1.5]}
CODES = {
    "3": [[0.5, -1.0], [0.4, -1.0], [0.3, -1.0]],
    "7": [[1.0, 2.5], [1.1, 2.5], [1.2, 2.5], [1.3, 2.5]],
}


@pytest.fixture(scope="module")
def saved_model(tmp_path_factory):
    """The export of an untrained VAE, with a map."""
    directory = tmp_path_factory.mktemp("export") / "vae"
    model = vae.build(vae.Config(hidden_dim=8))
    savedmodel.write(model, directory, {"model": "vae"}, LATENT_MAP)
    return directory


@pytest.fixture(scope="module")
def saved_gan(tmp_path_factory):
    """The export of an untrained GAN on a line."""
    directory = tmp_path_factory.mktemp("export") / "gan"
    config = gaussian_gan.Config()
    settings = {"model": "gaussian_gan", "config": dataclasses.asdict(config)}
    savedmodel.write(gaussian_gan.build(config), directory, settings)
    return directory


def test_sample_npy_holds_the_decoders_images(command, saved_model, tmp_path):
    out = tmp_path / "a.npy"
    status, printed, err = command(
        sample.main, saved_model, "--z", "3,3", "--z", "-1.5,0", "--out", out
    )
    assert (status, err) == (0, "")
    assert str(out) in printed
    images = np.load(out)
    assert (images.shape, images.dtype) == ((2, 28, 28), np.float32)
    model = vae.build(vae.Config(hidden_dim=8))
    np.testing.assert_allclose(images, model.decode(np.float32([[3, 3], [-1.5, 0]])), atol=1e-6)


def test_sample_png_is_a_grid(command, saved_model, tmp_path):
    status, _, _ = command(sample.main, saved_model, "--count", "5", "--out", tmp_path / "a.png")
    assert status == 0
    pixels = tf.io.decode_png((tmp_path / "a.png").read_bytes())
    assert pixels.shape == (2 * 28 * 4, 3 * 28 * 4, 1)
    assert not np.any(pixels[28 * 4 :, 2 * 28 * 4 :])  # the sixth place is empty
    model = vae.build(vae.Config(hidden_dim=8))
    first = model.decode(model.prior(5, [0, 0]))[0] * 255
    np.testing.assert_allclose(pixels[: 28 * 4 : 4, : 28 * 4 : 4, 0], first, atol=0.51)


def test_sample_seed_makes_the_difference(command, saved_model, tmp_path):
    images = []
    for seed in (1, 1, 2):
        command(sample.main, saved_model, "--seed", seed, "--out", tmp_path / "a.npy")
        images.append(np.load(tmp_path / "a.npy"))
    np.testing.assert_array_equal(images[0], images[1])
    assert not np.array_equal(images[0], images[2])


@pytest.mark.parametrize(
    ("arguments", "z"),
    [
        (["--digit", "7"], [[1, 2.5]]),
        (["--digit", "7", "--digit", "3"], [[1, 2.5], [0.5, -1]]),
        (["--interpolate", "-1,2", "1,-2", "--count", "3"], [[-1, 2], [0, 0], [1, -2]]),
        (["--interpolate", "3", "7", "--count", "2"], [[0.5, -1], [1, 2.5]]),
        (["--grid"], [[-1, 1.5], [0, 1.5], [1.5, 1.5], [-1, 0], [0, 0], [1.5, 0], [-1, -1],
                      [0, -1], [1.5, -1]]),
    ],
)  # fmt: skip
def test_sample_finds_its_way(command, saved_model, tmp_path, arguments, z):
    out = tmp_path / "a.npy"
    status, printed, err = command(sample.main, saved_model, *arguments, "--out", out)
    assert (status, err) == (0, "")
    model = vae.build(vae.Config(hidden_dim=8))
    np.testing.assert_allclose(np.load(out), model.decode(np.float32(z)), atol=1e-6)
    if "--digit" in arguments:
        assert "digit 7: --z 1,2.5" in printed
    assert command(sample.main, saved_model, *arguments, "--out", tmp_path / "a.png")[0] == 0
    height, width = tf.io.decode_png((tmp_path / "a.png").read_bytes()).shape[:2]
    if "--interpolate" in arguments:
        assert (height, width) == (28 * 4, len(z) * 28 * 4)
    if "--grid" in arguments:
        assert height == width == 960  # a figure, with axes


def test_sample_draws_many_of_a_digit(command, saved_model, tmp_path):
    directory, model = tmp_path / "vae", vae.build(vae.Config(hidden_dim=8))
    savedmodel.write(model, directory, {"model": "vae"}, {**LATENT_MAP, "codes": CODES})
    out = tmp_path / "a.npy"

    def drawn(*arguments):
        status, printed, err = command(sample.main, directory, *arguments, "--out", out)
        assert (status, err) == (0, "")
        assert "--z" not in printed
        return np.load(out)

    of = {label: model.decode(np.float32(z)).numpy() for label, z in CODES.items()}

    def which(label, images):
        """The places of `images` among those of the label's codes."""
        distance = np.abs(of[label][:, None] - images).max(axis=(2, 3))
        assert np.all(distance.min(axis=0) < 1e-6)
        return distance.argmin(axis=0).tolist()

    assert sorted(which("7", drawn("--digit", "7", "--count", "4"))) == [0, 1, 2, 3]
    choices = [
        tuple(which("7", drawn("--digit", "7", "--count", "2", "--seed", seed)))
        for seed in (1, 1, 2, 3, 4, 5)
    ]
    assert choices[0] == choices[1]
    assert all(a != b for a, b in choices)
    assert len(set(choices)) > 2
    both = drawn("--digit", "3", "--digit", "7", "--count", "3")
    assert sorted(which("3", both[:3])) == [0, 1, 2]
    assert len(set(which("7", both[3:]))) == 3
    arguments = ["--digit", "3", "--digit", "7", "--count", "3", "--out", tmp_path / "a.png"]
    assert command(sample.main, directory, *arguments)[0] == 0
    size = tf.io.decode_png((tmp_path / "a.png").read_bytes()).shape[:2]
    assert size == (2 * 28 * 4, 3 * 28 * 4)  # a row of each
    status, _, err = command(sample.main, directory, "--digit", "7", "--count", "5", "--out", out)
    assert status == 1
    assert one_line(err, "--count", "has 4 codes of 7")
    status, _, err = command(sample.main, directory, "--digit", "5", "--count", "2", "--out", out)
    assert status == 1
    assert one_line(err, "--digit", "no 5", "3, 7")


def test_sample_draws_many_around_the_point_of_an_old_map(
    command, saved_model, tmp_path, monkeypatch
):
    z = []
    decode = savedmodel.Generator.decode
    monkeypatch.setattr(
        savedmodel.Generator, "decode", lambda self, part: z.append(part) or decode(self, part)
    )
    arguments = ["--digit", "7", "--count", "500", "--out", tmp_path / "a.npy"]
    status, printed, err = command(sample.main, saved_model, *arguments)
    assert (status, err) == (0, "")
    assert "500 image(s)" in printed
    offsets = z[-1] - np.float32([1, 2.5])
    distance = np.hypot(0.5, 3.5)  # of the points of 3 and 7
    radius = np.sqrt(np.mean(np.sum(offsets**2, axis=1)))
    assert radius == pytest.approx(distance / 3, rel=0.1)
    assert np.linalg.norm(offsets.mean(axis=0)) < 0.2
    assert np.mean(np.linalg.norm(offsets, axis=1) < distance / 2) > 0.8
    assert len(np.unique(offsets, axis=0)) == 500


def test_sample_finds_labels_that_are_words(command, tmp_path):
    labels = {"Ankle boot": [0.5, -1.0], "1,5": [0.0, 1.0], "": [1.0, 0.0]}
    model = vae.build(vae.Config(hidden_dim=8))
    savedmodel.write(model, tmp_path / "vae", {"model": "vae"}, {"labels": labels})
    out = tmp_path / "a.npy"
    for arguments, z in [
        (["--label", "Ankle boot", "--digit", "1,5"], [[0.5, -1], [0, 1]]),
        (["--interpolate", "Ankle boot", "0,0", "--count", "3"], [[0.5, -1], [0.25, -0.5], [0, 0]]),
    ]:
        status, _, err = command(sample.main, tmp_path / "vae", *arguments, "--out", out)
        assert (status, err) == (0, "")
        np.testing.assert_allclose(np.load(out), model.decode(np.float32(z)), atol=1e-6)
    assert (
        "digit Ankle boot: --z 0.5,-1"
        in command(sample.main, tmp_path / "vae", "--label", "Ankle boot", "--out", out)[1]
    )


def test_sample_finds_models_in_the_box(command, saved_model, tmp_path, monkeypatch):
    monkeypatch.setattr(savedmodel, "SHIPPED", [tmp_path / "none", saved_model.parent])
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert command(sample.main, "vae", "--out", "a.png")[0] == 0
    status, _, err = command(sample.main, "vea", "--out", "a.png")
    assert status == 1
    assert one_line(err, "vea", "one of vae")
    (tmp_path / "here" / "vae").mkdir()  # what is here comes first
    for name in ("vae", "vae/"):
        status, _, err = command(sample.main, name, "--out", "a.png")
        assert status == 1
        assert one_line(err, "no SavedModel", "tf_gen.export")
        assert (str(saved_model) in err) == (name == "vae")  # how to get the one in the box


def test_sample_says_which_of_two_models_of_a_name_it_uses(
    command, saved_model, saved_gan, tmp_path, monkeypatch
):
    monkeypatch.setattr(savedmodel, "SHIPPED", [saved_model.parent])
    monkeypatch.chdir(tmp_path)
    shutil.copytree(saved_gan, "vae")
    status, printed, err = command(sample.main, "vae", "--out", "a.png")
    assert (status, err) == (0, "")
    assert (
        f"using ./vae; the trained model that comes with this package is {saved_model}" in printed
    )
    assert "16 point(s)" in printed
    for name in ("./vae", "vae/", tmp_path / "vae"):  # this says which
        status, printed, err = command(sample.main, name, "--out", "a.png")
        assert (status, err) == (0, "")
        assert printed.splitlines()[0].startswith("16 point(s)")
        assert len(printed.splitlines()) == 2


def test_a_directory_that_is_not_there_is_no_name(command, saved_model, tmp_path, monkeypatch):
    monkeypatch.setattr(savedmodel, "SHIPPED", [saved_model.parent])
    monkeypatch.chdir(tmp_path)
    for name in ("./vae", "vae/"):
        status, _, err = command(sample.main, name)
        assert status == 1
        assert one_line(err, str(tmp_path / "vae"), "no such directory")


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        '{"labels": ["7"]}',
        '{"labels": {"7": "ab"}}',
        '{"labels": {"7": [1.0]}}',
        '{"labels": {"7": 5}}',
        '{"axis": 5}',
        '{"axis": [1]}',
        '{"labels": {"7": [NaN, 1]}}',
    ],
)
@pytest.mark.parametrize("sums", [True, False])
def test_sample_of_a_damaged_map(command, saved_model, tmp_path, content, sums):
    directory = tmp_path / "copy"
    shutil.copytree(saved_model, directory)
    if not sums:
        (directory / savedmodel.SUMS).unlink()
    (directory / "latent_map.json").write_text(content)
    status, _, err = command(sample.main, directory, "--digit", "7", "--out", tmp_path / "a.png")
    assert status == 1
    assert one_line(err, "latent_map.json", "damaged")


@pytest.mark.parametrize("arguments", [["--digit", "7"], ["--grid"], ["--interpolate", "1", "2"]])
def test_sample_without_a_map(command, saved_model, saved_gan, tmp_path, arguments):
    directory = tmp_path / "copy"
    shutil.copytree(saved_model, directory)
    (directory / "latent_map.json").unlink()
    status, _, err = command(sample.main, directory, *arguments, "--out", tmp_path / "a.png")
    assert status == 1
    assert one_line(err, arguments[0], "latent_map.json")
    status, _, err = command(sample.main, saved_gan, "--grid", "--out", tmp_path / "a.png")
    assert status == 1
    assert one_line(err, "--grid", "this model's z has 1")


def test_sample_interpolates_between_points_of_a_line(command, saved_gan, tmp_path):
    out = tmp_path / "a.npy"
    arguments = ["--interpolate", "-8", "8", "--count", "5", "--out", out]
    assert command(sample.main, saved_gan, *arguments)[0] == 0
    model = gaussian_gan.build(gaussian_gan.Config())
    z = np.float32([[-8], [-4], [0], [4], [8]])
    np.testing.assert_allclose(np.load(out), model.decode(z), atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["--digit", "4"], 1, ["--digit", "4", "3, 7"]),
        (["--digit", "-1"], 1, ["--digit", "-1"]),
        (["--digit", "x"], 1, ["--digit", "no x", "3, 7"]),
        (["--interpolate", "3", "a boot"], 1, ["--interpolate", "no a boot", "3, 7"]),
        (["--digit", "7", "--z", "3,3"], 2, ["--z", "--digit"]),
        (["--digit", "7", "--count", "0"], 2, ["--count"]),
        (["--interpolate", "3,3"], 2, ["--interpolate"]),
        (["--interpolate", "3,3", "9"], 1, ["--interpolate", "9"]),
        (["--interpolate", "3,3", "1.5"], 1, ["--interpolate", "1 number", "2"]),
        (["--interpolate", "3,3", "7", "--count", "1"], 2, ["--count", "2"]),
        (["--z", "3"], 1, ["--z", "2"]),
        (["--z", "3,3,3"], 1, ["--z", "3 numbers"]),
        (["--z", "3,x"], 2, ["--z", "3,x"]),
        (["--z", "nan,0"], 2, ["--z"]),
        (["--z", "1e39,0"], 2, ["--z"]),
        (["--z"], 2, ["--z"]),
        (["--count", "3000000000"], 2, ["--count"]),
        (["--count", "0"], 2, ["--count"]),
        (["--seed", "-1"], 2, ["--seed"]),
        (["--out", "a.jpg"], 2, ["--out", ".png", ".npy"]),
        (["--out", "no/such/directory/a.png"], 1, ["no/such/directory"]),
        (["--out", ""], 2, ["--out", "empty"]),
        (["--out", "x" * 300 + ".png"], 1, ["too long"]),
        (["--out", "/a.npy/.png"], 2, ["--out", ".png"]),
        (["--count", "114000"], 1, ["114,000 images", ".npy"]),
    ],
)
def test_sample_errors(command, saved_model, tmp_path, monkeypatch, arguments, status, words):
    monkeypatch.chdir(tmp_path)
    result = command(sample.main, saved_model, *arguments)
    assert result[:2] == (status, "")
    assert one_line(result[2], *words)
    assert not list(tmp_path.iterdir())


def test_sample_npy_holds_points(command, saved_gan, tmp_path):
    out = tmp_path / "a.npy"
    status, printed, err = command(sample.main, saved_gan, "--count", "9", "--out", out)
    assert (status, err) == (0, "")
    assert f"9 point(s): {out}" in printed
    x = np.load(out)
    assert (x.shape, x.dtype) == ((9, 1), np.float32)
    model = gaussian_gan.build(gaussian_gan.Config())
    np.testing.assert_allclose(x, model.decode(model.prior(9, [0, 0])), atol=1e-5)


def test_sample_decodes_points_and_prints_them(command, saved_gan, tmp_path):
    out = tmp_path / "a.npy"
    status, printed, err = command(
        sample.main, saved_gan, "--z", "-3", "--z", "0.5", "--z=-3e0", "--out", out
    )
    assert (status, err) == (0, "")
    x = np.load(out)
    model = gaussian_gan.build(gaussian_gan.Config())
    np.testing.assert_allclose(x, model.decode(np.float32([[-3], [0.5], [-3]])), atol=1e-5)
    assert printed.splitlines()[1:-1] == [
        f"z {z}: x {value:g}" for z, value in zip(("-3", "0.5", "-3"), x[:, 0], strict=True)
    ]
    assert printed.splitlines()[-1] == f"next: python -m tf_gen.explore {saved_gan} --open"


@pytest.mark.parametrize(
    "arguments", [["--count", "1000"], ["--count", "1"], ["--z", "-3"], ["--z", "1e30"]]
)
def test_sample_png_of_points_is_a_histogram(command, saved_gan, tmp_path, arguments):
    out = tmp_path / "a.png"
    status, printed, err = command(sample.main, saved_gan, *arguments, "--out", out)
    assert (status, err) == (0, "")
    assert str(out) in printed
    pixels = tf.io.decode_png(out.read_bytes(), channels=3).numpy()
    assert pixels.shape == (600, 960, 3)
    assert np.sum(np.all(pixels == (44, 160, 44), axis=-1)) > 200  # bars


def test_histogram_of_a_sample_shows_the_density_that_it_should_have(command, tmp_path):
    config = gaussian_gan.Config(data_mean=2.0)
    directory = tmp_path / "gan"
    savedmodel.write(gaussian_gan.build(config), directory, {"config": dataclasses.asdict(config)})
    orange = []
    for arguments in (["--count", "1000"], ["--z", "1", "--z", "2"]):
        command(sample.main, directory, *arguments, "--out", tmp_path / "a.png")
        pixels = tf.io.decode_png((tmp_path / "a.png").read_bytes(), channels=3).numpy()
        orange.append(np.sum(np.all(pixels == (255, 127, 14), axis=-1)))
    assert orange[0] > 200
    assert orange[1] == 0  # these points are no sample


def without(directory, *names):
    """The copy `directory` of a SavedModel as earlier versions wrote it, without some files."""
    for name in (savedmodel.SUMS, *names):
        (directory / name).unlink()
    return directory


@pytest.mark.parametrize(
    "content", [None, {}, {"config": {}}, {"config": {"data_mean": 4.0}}, {"config": {"seed": 1}}]
)
def test_histogram_without_the_density_says_so(command, saved_gan, tmp_path, content):
    directory = without(shutil.copytree(saved_gan, tmp_path / "gan"), "config.json")
    if content is not None:
        (directory / "config.json").write_text(json.dumps(content))
    status, _, err = command(sample.main, directory, "--out", tmp_path / "a.png")
    assert status == 0
    assert one_line(err, "warning", "config.json", "without the density")
    for more in (["--out", tmp_path / "a.npy"], ["--z", "1", "--out", tmp_path / "a.png"]):
        status, _, err = command(sample.main, directory, *more)
        assert (status, err) == (0, "")  # nothing is missing there


@pytest.mark.parametrize(
    "content",
    [
        "null",
        "[]",
        '{"config": null}',
        '{"config": []}',
        '{"config": {"data_mean": "4", "data_std": 1}}',
        '{"config": {"data_mean": NaN, "data_std": 1}}',
        '{"config": {"data_mean": 4, "data_std": true}}',
        '{"config": {"data_mean": 4, "data_std": 0}}',
        '{"config": {"data_mean": 4, "data_std": Infinity}}',
        '{"config": {"data_mean": null, "data_std": 1}}',
        '{"config": {"data_mean": 1' + "0" * 400 + ', "data_std": 1}}',
        '{"config": {"data_mean": 1' + "0" * 5000 + ', "data_std": 1}}',
        "[" * 100_000,
    ],
)
def test_histogram_of_a_damaged_config_is_refused(command, saved_gan, tmp_path, content):
    directory = without(shutil.copytree(saved_gan, tmp_path / "gan"))
    (directory / "config.json").write_text(content)
    status, printed, err = command(sample.main, directory, "--out", tmp_path / "a.png")
    assert (status, printed) == (1, "")
    assert one_line(err, str(directory / "config.json"), "damaged")
    assert not (tmp_path / "a.png").exists()


@pytest.mark.parametrize("z", ["3,3", "1,2,3"])
def test_sample_of_points_refuses_z_of_another_length(command, saved_gan, tmp_path, z):
    status, _, err = command(sample.main, saved_gan, "--z", z, "--out", tmp_path / "a.png")
    assert status == 1
    assert one_line(err, f"{len(z.split(','))} numbers", "this model's z has 1")
    assert not list(tmp_path.iterdir())


def test_sample_of_what_is_no_saved_model(command, tmp_path):
    assert one_line(command(sample.main, tmp_path)[2], "no SavedModel")
    (tmp_path / "saved_model.pb").write_bytes(b"garbage")
    status, _, err = command(sample.main, tmp_path, "--out", tmp_path / "a.png")
    assert status == 1
    assert one_line(err, "cannot be read")


@pytest.mark.parametrize(
    ("kind", "z", "unneeded"), [("saved_model", "3,3", ["matplotlib"]), ("saved_gan", "3", [])]
)
def test_sample_needs_no_model_code(request, process, tmp_path, kind, z, unneeded):
    directory = request.getfixturevalue(kind)
    code = (
        "import sys\n"
        f"for name in ('keras', 'tf_gen.models', 'tf_gen.base', 'tf_gen.tasks', *{unneeded}):\n"
        "    sys.modules[name] = None\n"
        "from tf_gen import sample\n"
        f"sys.exit(sample.main([{str(directory)!r}, '--z', {z!r}, '--out', 'three.png']))\n"
    )
    result = process("-c", code)
    assert (result.returncode, result.stderr) == (0, ""), result.stderr
    assert (tmp_path / "three.png").exists()


# ---- Paths ---------------------------------------------------------------------------------------


def test_sample_finds_the_home_directory(command, saved_model, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    shutil.copytree(saved_model, tmp_path / "m")
    status, printed, err = command(sample.main, "~/m", "--out=~/a.npy")
    assert (status, err) == (0, "")
    assert str(tmp_path / "a.npy") in printed
    assert (tmp_path / "a.npy").exists()


@pytest.mark.parametrize("kind", ["saved_model", "saved_gan"])
def test_sample_takes_suffixes_in_capitals(request, command, tmp_path, kind):
    directory = request.getfixturevalue(kind)
    for name in ("A.PNG", "a.png", "A.NPY", "a.npy"):
        status, _, err = command(sample.main, directory, "--out", tmp_path / name)
        assert (status, err) == (0, "")
    assert {path.name for path in tmp_path.iterdir()} == {"A.PNG", "a.png", "A.NPY", "a.npy"}
    for pair in (("A.PNG", "a.png"), ("A.NPY", "a.npy")):
        first, second = ((tmp_path / name).read_bytes() for name in pair)
        assert first == second


def test_sample_with_names_that_are_no_text(command, saved_model, tmp_path):
    out = tmp_path / "a\udcff.npy"
    status, printed, err = command(sample.main, saved_model, "--out", out)
    assert (status, err) == (0, "")
    assert "a\\udcff.npy" in printed
    assert out.exists()
