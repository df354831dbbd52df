"""Types of settings, which carry their bounds, and `Settings`, which checks them.

A model's `Config` derives from `Settings`, which makes it a frozen dataclass. The type of a field
is a type of this file, `bool`, or a `Literal` of the strings to choose from:

    class Config(Settings):
        batch_size: Count = 64  # images per update

This module uses only the standard library, since `tf_gen.flags` must not import anything heavy.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Annotated, Literal, get_args, get_origin, get_type_hints


@dataclasses.dataclass(frozen=True)
class Bounds:
    """A condition on a number."""

    words: str  # the end of the sentence "NAME must be ..."
    hold: Callable[[float], bool] = dataclasses.field(repr=False)  # false for nan


Count = Annotated[int, Bounds("at least 1", lambda n: n >= 1)]
TwoOrMore = Annotated[int, Bounds("at least 2", lambda n: n >= 2)]
Natural = Annotated[int, Bounds("at least 0", lambda n: 0 <= n < math.inf)]
Seed = Annotated[int, Bounds("from 0 to 2**31 - 1", lambda n: 0 <= n < 2**31)]
Rate = Annotated[float, Bounds("positive", lambda x: 0 < x < math.inf)]
Weight = Annotated[float, Bounds("at least 0", lambda x: 0 <= x < math.inf)]
Share = Annotated[float, Bounds("at least 0 and below 1", lambda x: 0 <= x < 1)]
Ratio = Annotated[float, Bounds("above 0 and at most 1", lambda x: 0 < x <= 1)]
Location = Annotated[float, Bounds("from -1e6 to 1e6", lambda x: abs(x) <= 1e6)]
Scale = Annotated[float, Bounds("positive and at most 1e6", lambda x: 0 < x <= 1e6)]


# For each plain type its name in messages, and the types of its values. A bool is no int here.
WANTED = {int: ("an int", [int]), float: ("a float", [float, int]), bool: ("a bool", [bool])}


class Settings:
    """The base class of every `Config`. It makes it a frozen dataclass and checks its values.

    A NumPy scalar becomes a plain number, which JSON can write. A float field accepts an int and
    keeps it. To check fields against each other, a `Config` defines its own `__post_init__`, which
    first calls this one.

    Raises:
        ValueError: a value has another type or is out of bounds. The message begins with the name
            of the field.
    """

    @property
    def whole_batch(self):
        """Why an update needs its whole batch in one place: a clause.

        It is "" if an update is a mean over the `batch_size` examples along the first axis of
        everything that it consumes. Then several devices can each compute a part of a batch.
        """
        return "its recipe does not say that an update is a mean over examples"

    def __init_subclass__(cls):
        dataclasses.dataclass(frozen=True)(cls)

    def __post_init__(self):
        for name, kind in get_type_hints(type(self), include_extras=True).items():
            value = getattr(self, name)
            if getattr(value, "shape", None) == () and hasattr(value, "item"):
                value = value.item()
                object.__setattr__(self, name, value)  # the dataclass is frozen
            if wrong := complaint(kind, value):
                raise ValueError(f"{name} {wrong}")


def complaint(kind, value):
    """What is wrong with a value for a type of this file, as "must be at least 1, not 0", or ""."""
    if get_origin(kind) is Literal and value not in get_args(kind):
        return f"must be one of {', '.join(get_args(kind))}"
    words, types = WANTED.get(plain_type(kind), ("", [type(value)]))
    if type(value) not in types:
        return f"must be {words}, not {value!r}"
    for bounds in getattr(kind, "__metadata__", ()):
        if not bounds.hold(value):
            return f"must be {bounds.words}, not {value}"
    return ""


def plain_type(kind):
    """The plain type of the values of a field of type `kind`: int, float, str or bool."""
    return str if get_origin(kind) is Literal else getattr(kind, "__origin__", kind)
