"""What is on disk is whole: the old file or the new one, and damage is named."""

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


def test_json_survives(tmp_path):
    content = {"a": [1, 2.5, None], "b": {"c": "ü"}}
    files.write_json(tmp_path / "a.json", content)
    assert files.read_json(tmp_path / "a.json") == content
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"3", b"\xff\xfe"])
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
