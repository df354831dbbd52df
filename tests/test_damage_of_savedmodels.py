"""Hundreds of damages of a SavedModel: each is refused in one line, or changes nothing."""

import dataclasses
import hashlib
import random
import shutil

import numpy as np
import pytest
import tensorflow as tf
from helpers import ROOT, one_line

from tf_gen import sample, savedmodel
from tf_gen.errors import UserError
from tf_gen.models import NAMES, gaussian_gan, vae

LATENT_MAP = {"labels": {"3": [0.5, -1.0], "7": [1.0, 2.5]}, "axis": [-1.0, 0.0, 1.5]}
VAE = [
    ["--z", "3,3", "--out", "a.npy"],
    ["--digit", "7", "--out", "a.png"],
    ["--grid", "--out", "a.npy"],
    ["--count", "3", "--out", "a.png"],
]
GAN = [
    ["--count", "30", "--out", "a.png"],
    ["--count", "30", "--out", "a.npy"],
    ["--z", "-3", "--out", "a.png"],
]


@pytest.fixture(scope="module")
def exports(tmp_path_factory):
    """Of two small models the directory of an export, and command lines without it."""
    directory = tmp_path_factory.mktemp("exports")
    settings = {"model": "vae", "config": {"hidden_dim": 3}}
    savedmodel.write(vae.build(vae.Config(hidden_dim=3)), directory / "vae", settings, LATENT_MAP)
    config = gaussian_gan.Config(hidden_size=2)
    settings = {"model": "gaussian_gan", "config": dataclasses.asdict(config)}
    savedmodel.write(gaussian_gan.build(config), directory / "gan", settings)
    return [(directory / "vae", VAE), (directory / "gan", GAN)]


def sums(directory):
    """What SHA256SUMS in `directory` says: a dict of a file's name to its hexadecimal digest."""
    lines = (directory / savedmodel.SUMS).read_text().splitlines()
    return {name: digest for digest, name in (line.split("  ") for line in lines)}


def test_sums_are_of_all_files(exports):
    for directory, _ in exports:
        found = sums(directory)
        paths = [path for path in directory.rglob("*") if path.is_file()]
        assert {directory / name for name in found} == {*paths} - {directory / savedmodel.SUMS}
        for name, digest in found.items():
            assert hashlib.sha256((directory / name).read_bytes()).hexdigest() == digest


@pytest.mark.parametrize("name", NAMES)
def test_trained_models_that_come_along_are_as_their_sums_say(name):
    directory = ROOT / "saved_models" / name
    assert {"saved_model.pb", "config.json", "variables/variables.index"} <= sums(directory).keys()
    savedmodel.verify(directory)
    for file, digest in sums(directory).items():
        assert hashlib.sha256((directory / file).read_bytes()).hexdigest() == digest


def test_one_bit_of_any_file_is_noticed(exports, tmp_path):
    for directory, _ in exports:
        for name in sums(directory):
            copy = shutil.copytree(directory, tmp_path / "copy")
            content = bytearray((copy / name).read_bytes())
            content[len(content) // 2] ^= 1
            (copy / name).write_bytes(content)
            with pytest.raises(UserError, match=f"{name}: damaged .*; export the model again"):
                savedmodel.Generator(copy)
            shutil.rmtree(copy)


@pytest.mark.parametrize("content", [b"", b"\xff\xff", b"abc", b"0  saved_model.pb\n", b"\0\n  \n"])
def test_damaged_sums_are_noticed(exports, tmp_path, content):
    copy = shutil.copytree(exports[0][0], tmp_path / "copy")
    (copy / savedmodel.SUMS).write_bytes(content)
    with pytest.raises(UserError, match="damaged"):
        savedmodel.Generator(copy)


def test_models_without_sums_are_loaded(exports, tmp_path):
    copy = shutil.copytree(exports[0][0], tmp_path / "copy")
    (copy / savedmodel.SUMS).unlink()
    z = np.float32([[3, 3]])
    images = [savedmodel.Generator(directory).decode(z) for directory in (copy, exports[0][0])]
    np.testing.assert_array_equal(*images)


class Other(tf.Module):
    """A SavedModel with the right names of signatures, but otherwise wrong as `what` says."""

    def __init__(self, what):
        super().__init__()
        self.what = what

    def write(self, directory):
        z = tf.TensorSpec([None] if self.what == "rank" else [None, 2], name="z")
        codes = [z, z] if self.what == "inputs" else [z]
        numbers = [tf.TensorSpec([], tf.int32, name="count"), tf.TensorSpec([2], tf.int32, "seed")]
        decode = tf.function(self.decode).get_concrete_function(*codes)
        sample = tf.function(self.sample).get_concrete_function(*numbers)
        tf.saved_model.save(self, str(directory), {"decode": decode, "sample": sample})

    def decode(self, z, *more):
        if self.what == "runtime":
            tf.debugging.assert_equal(tf.shape(z)[0], 77)
        return {"y" if self.what == "name" else "x": tf.reshape(z, [-1])}

    def sample(self, count, seed):
        z = tf.zeros([count, 3 if self.what == "length" else 2])
        return {"x": z} if self.what == "no z" else {"z": z, "x": z}


@pytest.mark.parametrize("what", ["", "rank", "inputs", "runtime", "name", "length", "no z"])
def test_generator_refuses_signatures_of_another_kind(tmp_path, what):
    Other(what).write(tmp_path / "other")
    with pytest.raises(UserError, match="other: the SavedModel cannot be read") as error:
        savedmodel.Generator(tmp_path / "other")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "error",
    [KeyError("a"), RecursionError(), MemoryError(), UnicodeDecodeError("a", b"", 0, 1, "")],
)
def test_whatever_loading_raises_is_a_line(exports, monkeypatch, error):
    def load(path):
        raise error

    monkeypatch.setattr(tf.saved_model, "load", load)
    with pytest.raises(UserError, match="cannot be read"):
        savedmodel.Generator(exports[0][0])


def damage(directory, rng):
    """Damage one file below `directory`, each as likely as the others; return what was done."""
    path = rng.choice(sorted(path for path in directory.rglob("*") if path.is_file()))
    content = bytearray(path.read_bytes())
    place, kind = rng.randrange(len(content)), rng.choice(["flip", "flip", "truncate", "delete"])
    if kind == "delete":
        path.unlink()
        return f"{path.name} deleted"
    if kind == "truncate":
        path.write_bytes(content[:place])
        return f"{path.name} truncated to {place}"
    bit = rng.randrange(8)
    content[place] ^= 1 << bit
    path.write_bytes(content)
    return f"{path.name}: bit {bit} of byte {place} flipped"


@pytest.mark.slow  # half a minute
@pytest.mark.parametrize(("with_sums", "count"), [(True, 300), (False, 300)])
def test_damage_is_refused_in_a_line_or_changes_nothing(
    exports, command, tmp_path, monkeypatch, with_sums, count
):
    monkeypatch.chdir(tmp_path)

    def outcome(directory, arguments):
        status, _, err = command(sample.main, directory, *arguments)
        (written,) = tmp_path.glob("a.*") if status == 0 else [None]
        content = written and written.read_bytes()
        for path in tmp_path.glob("a.*"):
            path.unlink()
        return status, err, content

    whole = {}
    for directory, lines in exports:
        for arguments in lines:
            status, err, whole[directory, str(arguments)] = outcome(directory, arguments)
            assert (status, err) == (0, "")
    rng = random.Random(0)
    refused = 0
    for _ in range(count):
        directory, lines = rng.choice(exports)
        copy = shutil.copytree(directory, tmp_path / "copy")
        if not with_sums:  # as an older version wrote it
            (copy / savedmodel.SUMS).unlink()
        done, arguments = damage(copy, rng), rng.choice(lines)
        status, err, content = outcome(copy, arguments)
        if status == 0 and err == "":
            if with_sums:
                assert content == whole[directory, str(arguments)], done
        elif status == 0:
            assert one_line(err, "warning: ", "config.json", "without the density"), done
        else:
            assert status == 1, (done, err)
            assert one_line(err, "error: "), done
            assert str(copy) in err or "this model has no latent_map.json" in err, done
            refused += 1
        assert [path.name for path in tmp_path.iterdir()] == ["copy"]
        shutil.rmtree(copy)
    assert refused > count / 2
