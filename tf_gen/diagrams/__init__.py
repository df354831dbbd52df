"""The diagrams of the articles and of the models' graphs, as SVG text in English and in Chinese.

`figures` has a function for each diagram that is laid out by hand; `running_graph` draws
TensorFlow's graph of an update; `words` has all labels and descriptions; `drawing` has the boxes
and arrows.
"""

from tf_gen import models
from tf_gen.diagrams import words
from tf_gen.diagrams.figures import FIGURES

RUNNING = "running_graph_"  # followed by the name of a model
NAMES = (*FIGURES, *(RUNNING + name for name in models.NAMES))


def svg(name, language="en"):
    """The diagram called `name` in one of `words.LANGUAGES`: an SVG document, a str.

    A running graph imports TensorFlow and traces the model's update, which takes seconds.

    Raises:
        ValueError: there is no such diagram or language.
    """
    if name not in NAMES:
        raise ValueError(f"no diagram is called {name!r}; there are {', '.join(NAMES)}")
    word, place = words.words(language), words.index(language)
    if name in FIGURES:
        key, (draw, facts) = name, FIGURES[name]
        drawing = draw(word)
    else:
        from tf_gen.diagrams import running_graph

        key = RUNNING.removesuffix("_")
        drawing, facts = running_graph.figure(word, name.removeprefix(RUNNING))
    title, description = (
        texts[key][place].format(**facts) for texts in (words.TITLES, words.DESCRIPTIONS)
    )
    return drawing.document(title, description, language)
