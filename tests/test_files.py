"""What is on disk is whole: the old file or the new one, and damage is named."""

import errno
import os
from pathlib import Path

import pytest

from tf_gen import files
from tf_gen.errors import UserError

pytestmark = pytest.mark.quick


def test_beside_leaves_the_old_file_when_writing_fails(tmp_path):
    path = tmp_path / "a"
    path.write_text("old")
    with pytest.raises(ValueError, match="half way"), files.beside(path) as temporary:
        temporary.write_text("ne")
        raise ValueError("half way")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    with files.beside(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new"


def test_beside_never_replaces_a_directory(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").touch()
    with pytest.raises(OSError), files.beside(tmp_path / "a") as temporary:
        temporary.mkdir()
    assert (tmp_path / "a" / "file").exists()
    assert len(list(tmp_path.iterdir())) == 1


def test_beside_replaces_a_directory_that_is_empty(tmp_path):
    (tmp_path / "a").mkdir()
    with files.beside(tmp_path / "a") as temporary:
        temporary.mkdir()
        (temporary / "file").touch()
    assert [path.name for path in tmp_path.rglob("*")] == ["a", "file"]


@pytest.mark.parametrize("what", ["no file", "no space", "no number", "directory"])
def test_errors_name_the_target_and_no_temporary_file(tmp_path, what):
    target = tmp_path / "target.npy"
    if what == "directory":
        target.mkdir()
    with pytest.raises(OSError) as error, files.beside(target) as temporary:
        if what == "no file":
            (temporary / "below").read_text()
        if what == "no space":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if what == "no number":
            raise OSError(f"encoder: {temporary}: broken")
        temporary.touch()
    told = f"{error.value} {error.value.filename}"
    assert str(target) in told
    assert files.PREFIX not in told
    assert not [path for path in tmp_path.iterdir() if path != target]


def test_a_name_as_long_as_names_can_be_is_written(tmp_path):
    path = tmp_path / ("x" * 251 + ".png")
    files.check_file(path)
    files.write_text(path, "a")
    assert path.read_text() == "a"


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("no/such/a", FileNotFoundError),
        ("file/a", NotADirectoryError),
        ("directory", IsADirectoryError),
        ("x" * 300, OSError),
        ("x" * 300 + "/a", OSError),
    ],
)
def test_check_file_finds_what_writing_would(tmp_path, name, error):
    (tmp_path / "file").touch()
    (tmp_path / "directory").mkdir()
    with pytest.raises(error) as found:
        files.check_file(tmp_path / name)
    assert found.value.filename == str(tmp_path / name)
    with pytest.raises(error):
        files.write_text(tmp_path / name, "")
    assert len(list(tmp_path.iterdir())) == 2


def test_check_file_leaves_all_as_it_was(tmp_path):
    (tmp_path / "a").write_text("old")
    for name in ("a", "b"):
        files.check_file(tmp_path / name)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a", "old")]


def test_check_file_knows_how_much_room_there_is(tmp_path):
    files.check_file(tmp_path / "a", size=1000)
    with pytest.raises(UserError, match=r"/a: needs 1,000,000,000,000,000,000 bytes, but .* left$"):
        files.check_file(tmp_path / "a", size=10**18)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "error"),
    [("file", NotADirectoryError), ("file/a/b", NotADirectoryError), ("x" * 300, OSError)],
)
def test_check_directory_finds_what_making_it_would(tmp_path, name, error):
    (tmp_path / "file").touch()
    with pytest.raises(error) as found:
        files.check_directory(tmp_path / name)
    assert found.value.filename in (str(tmp_path / "file"), str(tmp_path / name))
    for fine in ("", "a", "a/b"):
        files.check_directory(tmp_path / fine)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_json_survives(tmp_path):
    content = {"a": [1, 2.5, None], "b": {"c": "ü"}}
    files.write_json(tmp_path / "a.json", content)
    assert files.read_json(tmp_path / "a.json") == content
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"3", b"\xff\xfe", b"[" * 100_000])
def test_damaged_json_is_refused_by_name(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.json: damaged"):
        files.read_json(tmp_path / "a.json")


def test_json_that_is_not_there_is_no_damage(tmp_path):
    with pytest.raises(FileNotFoundError):
        files.read_json(tmp_path / "a.json")
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        files.read_json(tmp_path / "file" / "a.json")


def test_leftovers_of_killed_processes_are_removed_and_nothing_else(tmp_path):
    (tmp_path / ".tmp-1-a").touch()
    (tmp_path / ".tmp-22-b" / "c").mkdir(parents=True)
    (tmp_path / "kept" / ".tmp-1-d").mkdir(parents=True)
    (tmp_path / ".lock").touch()
    files.remove_leftovers(tmp_path)
    assert {path.name for path in tmp_path.rglob("*")} == {"kept", ".lock", ".tmp-1-d"}


def test_a_file_that_is_held_for_a_moment_is_renamed_in_the_end(tmp_path, monkeypatch):
    """As a virus scanner holds it, on Windows."""
    replace, calls = Path.replace, []

    def held(path, target):
        calls.append(target)
        if len(calls) < 3:
            raise PermissionError(13, "in use", str(path))
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", held)
    files.write_text(tmp_path / "a", "new")
    assert (tmp_path / "a").read_text() == "new"
    assert len(calls) == 3
    monkeypatch.setattr(files.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(Path, "replace", lambda path, target: held_for_ever(path))
    with pytest.raises(PermissionError):
        files.write_text(tmp_path / "a", "newer")
    assert (tmp_path / "a").read_text() == "new"


def held_for_ever(path):
    raise PermissionError(13, "in use", str(path))
