"""The registry of tasks, and what all their reports have in common."""

import types

import pytest

from tf_gen import mnist, tasks
from tf_gen.models import NAMES, load
from tf_gen.tasks import digits, gaussian, task

pytestmark = pytest.mark.quick

TASKS = {"digits": digits, "gaussian": gaussian}


# ---- Which report --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TASKS)
def test_a_recipe_without_a_report_has_that_of_its_task(name):
    recipe = types.SimpleNamespace(TASK=name)
    assert type(tasks.report(recipe, "config")) is TASKS[name].Report


@pytest.mark.parametrize("name", TASKS)
def test_a_recipe_with_a_report_has_its_own(name):
    class Report(TASKS[name].Report):
        pass

    recipe = types.SimpleNamespace(TASK=name, Report=Report)
    assert type(tasks.report(recipe, "config")) is Report


def test_a_report_knows_what_it_is_made_of():
    recipe = types.SimpleNamespace(TASK="gaussian")
    report = tasks.report(recipe, "config", source="source", judge="judge")
    assert (report.config, report.source, report.judge) == ("config", "source", "judge")
    report = tasks.report(recipe, "config")
    assert (report.config, report.source, report.judge) == ("config", None, None)


@pytest.mark.parametrize("name", NAMES)
def test_each_task_of_a_recipe_is_there(name):
    assert load(name).TASK in TASKS


# ---- Images --------------------------------------------------------------------------------------


def test_models_of_images_have_a_source_which_is_printed(monkeypatch, capsys, bundled):
    loaded = []
    monkeypatch.setattr(mnist, "load", lambda *what: loaded.append(what) or bundled)
    recipe = types.SimpleNamespace(TASK="digits")
    assert tasks.source_for(recipe, "somewhere") is bundled
    assert loaded == [("somewhere", False, False)]
    assert capsys.readouterr().out == f"{bundled}\n"


def test_models_that_draw_their_data_have_none(monkeypatch, capsys):
    monkeypatch.setattr(mnist, "load", None)
    recipe = types.SimpleNamespace(TASK="gaussian")
    assert tasks.source_for(recipe, "auto") is None
    assert capsys.readouterr().out == ""


# ---- The base of reports -------------------------------------------------------------------------


@pytest.mark.parametrize("name", TASKS)
def test_reports_of_tasks_derive_from_the_base_and_have_all_that_it_promises(name):
    report = TASKS[name].Report
    assert issubclass(report, task.Report)
    for method in ("measure", "pictures", "snapshot", "frames", "score", "draw_scores"):
        assert callable(getattr(report, method))


def test_what_is_not_there_is_none():
    report = task.Report("config")
    for name in ("observe", "progress", "progress_animation", "latent_map"):
        assert getattr(report, name) is None
    assert report.limits == ()
    assert report.log_line.format(step=5, loss=0.25) == "step 5: loss 0.2500"


def test_a_run_ends_at_a_line_that_reaches_a_limit():
    report = task.Report("config")
    assert report.reached({"w1": 0.0}) == ""
    report.limits = [("w1", 0.05), ("loss", 1)]
    assert report.reached({"w1": 0.0501, "loss": 1.5}) == ""
    assert report.reached({"w1": 0.05, "loss": 1.5}) == "w1 is 0.05"
    assert report.reached({"w1": "0.0123456", "loss": "0.5"}) == "w1 is 0.01235, loss is 0.5"
    assert report.reached({"w1": float("nan"), "loss": 2}) == ""
