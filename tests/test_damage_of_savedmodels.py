"""Hundreds of damages of a SavedModel: each is refused in one line, or changes nothing."""

import dataclasses
import random
import shutil

import pytest
from helpers import one_line

from tf_gen import sample, savedmodel
from tf_gen.models import gaussian_gan, vae

pytestmark = pytest.mark.slow  # minutes

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


@pytest.mark.parametrize(("sums", "count"), [(True, 300), (False, 150)])
def test_damage_is_refused_in_a_line_or_changes_nothing(
    exports, command, tmp_path, monkeypatch, sums, count
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
        if not sums:  # as an older version wrote it
            (copy / savedmodel.SUMS).unlink()
        done, arguments = damage(copy, rng), rng.choice(lines)
        status, err, content = outcome(copy, arguments)
        if status == 0 and err == "":
            if sums:
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
