"""Types of settings: which values they take, and the words about those that they refuse."""

import dataclasses
import json
import math
import re
from typing import Literal

import numpy as np
import pytest

from tf_gen import settings
from tf_gen.models import gaussian_gan, tiny_gan, vae
from tf_gen.settings import (
    Count,
    Location,
    Natural,
    Rate,
    Ratio,
    Scale,
    Seed,
    Settings,
    Share,
    TwoOrMore,
    Weight,
)

pytestmark = pytest.mark.quick

NAN, INF = math.nan, math.inf
TINY = math.ulp(0.0)  # the smallest positive number


def below(x):
    return math.nextafter(x, -INF)


def above(x):
    return math.nextafter(x, INF)


# Of each type its plain type, its words, values at the border that it takes and that it refuses.
TYPES = {
    "Count": (Count, int, "at least 1", [1, 2**70], [0, -1]),
    "TwoOrMore": (TwoOrMore, int, "at least 2", [2, 2**70], [1, 0, -2]),
    "Natural": (Natural, int, "at least 0", [0, 2**70], [-1]),
    "Seed": (Seed, int, "from 0 to 2**31 - 1", [0, 2**31 - 1], [-1, 2**31]),
    "Rate": (Rate, float, "positive", [TINY, 1, 1e300], [0.0, -TINY, INF]),
    "Weight": (Weight, float, "at least 0", [0.0, 1e300], [-TINY, INF]),
    "Share": (Share, float, "at least 0 and below 1", [0.0, below(1.0)], [-TINY, 1.0, INF]),
    "Ratio": (Ratio, float, "above 0 and at most 1", [TINY, 1.0], [0.0, above(1.0), INF]),
    "Location": (Location, float, "from -1e6 to 1e6", [-1e6, 0.0, 1e6], [below(-1e6), above(1e6)]),
    "Scale": (Scale, float, "positive and at most 1e6", [TINY, 1e6], [0.0, -1.0, above(1e6), INF]),
}


def config_of(kind, default):
    """A `Config` with one field of a type, called `field`."""

    class Config(Settings):
        field: kind = default

    return Config


def refused(message):
    """In `with`, a ValueError with this message and not a word more."""
    return pytest.raises(ValueError, match=f"^{re.escape(message)}$")


@pytest.mark.parametrize("name", TYPES)
def test_values_at_the_border(name):
    kind, plain, words, good, bad = TYPES[name]
    assert settings.plain_type(kind) is plain
    config = config_of(kind, good[0])
    for value in good:
        assert config(value).field == value
        assert settings.complaint(kind, value) == ""
    for value in [*bad, NAN, -INF] if plain is float else bad:
        assert settings.complaint(kind, value) == f"must be {words}, not {value}"
        with refused(f"field must be {words}, not {value}"):
            config(value)


@pytest.mark.parametrize(
    ("config", "changes", "message"),
    [
        (vae, {"decay": 1}, "decay must be at least 0 and below 1, not 1"),
        (vae, {"seed": -1}, "seed must be from 0 to 2**31 - 1, not -1"),
        (vae, {"learning_rate": NAN}, "learning_rate must be positive, not nan"),
        (vae, {"steps": 0, "hidden_dim": 0}, "hidden_dim must be at least 1, not 0"),  # the first
        (gaussian_gan, {"activation": "gelu"}, "activation must be one of tanh, relu, softplus"),
        (gaussian_gan, {"optimizer": "SGD"}, "optimizer must be one of sgd, adam"),
        (gaussian_gan, {"data_std": 0.0}, "data_std must be positive and at most 1e6, not 0.0"),
        (gaussian_gan, {"data_mean": 2e6}, "data_mean must be from -1e6 to 1e6, not 2000000.0"),
        (gaussian_gan, {"pretrain_steps": -1}, "pretrain_steps must be at least 0, not -1"),
        (
            gaussian_gan,
            {"minibatch": True, "batch_size": 1},
            "batch_size must be at least 2 with minibatch discrimination, not 1",
        ),
        (tiny_gan, {"batch_size": 1}, "batch_size must be at least 2, not 1"),
    ],
)
def test_what_is_said_of_settings_out_of_bounds(config, changes, message):
    with refused(message):
        config.Config(**changes)
    with refused(message):
        dataclasses.replace(config.Config(), **changes)


def test_a_literal_takes_its_values_and_no_other():
    kind = Literal["tanh", "relu", "softplus"]
    assert settings.plain_type(kind) is str
    assert [settings.complaint(kind, value) for value in ("tanh", "relu", "softplus")] == [""] * 3
    for value in ("Tanh", "", "tanh,relu", None):
        assert settings.complaint(kind, value) == "must be one of tanh, relu, softplus"


@pytest.mark.parametrize(
    ("config", "changes", "message"),
    [
        (vae, {"steps": 1.5}, "steps must be an int, not 1.5"),
        (vae, {"steps": 100.0}, "steps must be an int, not 100.0"),
        (vae, {"steps": NAN}, "steps must be an int, not nan"),
        (vae, {"steps": True}, "steps must be an int, not True"),
        (vae, {"steps": "x\ny"}, r"steps must be an int, not 'x\ny'"),
        (vae, {"steps": None}, "steps must be an int, not None"),
        (vae, {"seed": [0, 1]}, "seed must be an int, not [0, 1]"),
        (vae, {"steps": np.float64(5)}, "steps must be an int, not 5.0"),
        (vae, {"steps": np.ones(1, int)}, "steps must be an int, not array([1])"),
        (vae, {"learning_rate": "0.1"}, "learning_rate must be a float, not '0.1'"),
        (vae, {"learning_rate": True}, "learning_rate must be a float, not True"),
        (vae, {"learning_rate": np.float32(-1)}, "learning_rate must be positive, not -1.0"),
        (gaussian_gan, {"minibatch": "no"}, "minibatch must be a bool, not 'no'"),
        (gaussian_gan, {"minibatch": 1}, "minibatch must be a bool, not 1"),
        (gaussian_gan, {"optimizer": ["sgd"]}, "optimizer must be one of sgd, adam"),
    ],
)
def test_what_is_said_of_settings_of_another_type(config, changes, message):
    with refused(message):
        config.Config(**changes)


def test_numbers_of_numpy_become_plain_ones():
    config = gaussian_gan.Config(
        steps=np.int64(7), seed=np.uint8(3), minibatch=np.bool_(True), data_mean=np.float32(0.5)
    )
    expected = gaussian_gan.Config(steps=7, seed=3, minibatch=True, data_mean=0.5)
    assert config == expected
    types = {name: type(value) for name, value in dataclasses.asdict(config).items()}
    assert types == {name: type(value) for name, value in dataclasses.asdict(expected).items()}
    assert json.loads(json.dumps(dataclasses.asdict(config))) == dataclasses.asdict(expected)


def test_an_int_in_the_place_of_a_float_stays_one():
    """So that config.json says what was given."""
    assert repr(vae.Config(learning_rate=1).learning_rate) == "1"


def test_a_switch_has_no_bounds():
    assert settings.plain_type(bool) is bool
    assert settings.complaint(bool, True) == settings.complaint(bool, False) == ""


class Config(Settings):
    steps: Count = 10
    shown: int = 5

    def __post_init__(self):
        super().__post_init__()
        if self.shown > self.steps:
            raise ValueError(f"shown must be at most steps, not {self.shown}")


def test_settings_are_a_frozen_dataclass():
    config = Config(steps=20)
    assert dataclasses.asdict(config) == {"steps": 20, "shown": 5}
    assert config == Config(20) != Config()
    assert len({config, Config(20), Config()}) == 2
    assert repr(config) == "Config(steps=20, shown=5)"
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.steps = 30


def test_a_config_checks_its_fields_against_each_other_last():
    with refused("shown must be at most steps, not 11"):
        Config(shown=11)
    with refused("steps must be at least 1, not 0"):
        Config(steps=0)


def test_no_setting_that_there_is_not():
    with pytest.raises(TypeError, match="learning_rate"):
        Config(learning_rate=1.0)


def test_bounds_hold_where_annotations_are_strings():
    """As with `from __future__ import annotations`."""
    namespace = {"__name__": settings.__name__, "Settings": Settings, "Count": Count}
    text = "from __future__ import annotations\nclass Config(Settings):\n    steps: Count = 3\n"
    exec(text, namespace)
    with pytest.raises(ValueError, match="steps must be at least 1, not 0"):
        namespace["Config"](steps=0)
