"""The diagrams: well-formed, in both languages, legible, and true to the models."""

import base64
import functools
import re
from html import unescape
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
import tensorflow as tf
from PIL import ImageFont

from tf_gen import diagrams, models, notebook
from tf_gen.diagrams import __main__ as command_module
from tf_gen.diagrams import drawing, running_graph, words
from tf_gen.models import ali, gaussian_gan, tiny_gan, vae

SVG = "{http://www.w3.org/2000/svg}"
ALL = [(name, language) for name in diagrams.NAMES for language in words.LANGUAGES]
each = pytest.mark.parametrize(("name", "language"), ALL)


@pytest.fixture(scope="module")
def made():
    """All diagrams, and the keys of the words that they use; each graph is traced once."""
    used = set()

    def spying(language, words_of=words.words):
        word = words_of(language)
        return lambda key: used.add(key) or word(key)

    with pytest.MonkeyPatch.context() as patch:
        traced = functools.cache(running_graph.graph_of_update)
        patch.setattr(running_graph, "graph_of_update", traced)
        patch.setattr(words, "words", spying)
        drawings = {pair: diagrams.svg(*pair) for pair in ALL}
    return SimpleNamespace(
        texts=drawings,
        roots={pair: ElementTree.fromstring(text) for pair, text in drawings.items()},
        used=used,
        traced={name: traced(name) for name in models.NAMES},
    )


def labels(root):
    """What is written in a drawing, from its beginning to its end."""
    return [element.text for element in root.iter(f"{SVG}text")]


# ---- Documents and words -------------------------------------------------------------------------


@each
def test_is_a_document_of_its_own_with_alternative_text(made, name, language):
    root = made.roots[name, language]
    assert root.tag == f"{SVG}svg"
    assert (root.get("role"), root.get("lang")) == ("img", language)
    title, description = root[0], root[1]
    assert (title.tag, description.tag) == (f"{SVG}title", f"{SVG}desc")
    assert len(description.text) > len(title.text) > 8
    for text in (title.text, description.text, *labels(root)):
        assert not re.search(r"[{}]", text), text
        if language == "en":
            assert not re.search(r"[\u3000-\u9fff\uff00-\uffef]", text), text
    if language != "en":
        for text in (title.text, description.text, "".join(labels(root))):
            assert len(re.findall(r"[\u4e00-\u9fff]", text)) > 5, text
            assert not re.search(r"[\u4e00-\u9fff] ?[,;:?!]", text), text
    # nothing that viewers strip, that clashes within a page, or that needs a network
    assert not re.search(r"<style|<script|\bid=|href|url\(", made.texts[name, language])


def test_no_word_is_left_over(made):
    assert made.used == words.WORDS.keys()


def test_languages_say_the_same(made):
    """Formulas, sizes and names of the code are alike; so are all shapes."""
    for name in diagrams.NAMES:
        english, chinese = (made.roots[name, language] for language in words.LANGUAGES)
        numbers = [re.findall(r"\d+", " ".join(labels(root))) for root in (english, chinese)]
        assert sorted(numbers[0]) == sorted(numbers[1])
        assert [e.tag for e in english] == [e.tag for e in chinese]


@pytest.mark.parametrize("pair", [("no_such", "en"), ("gan_game", "fr")])
def test_unknown_names_and_languages_are_refused(pair):
    with pytest.raises(ValueError, match=r"no_such|fr"):
        diagrams.svg(*pair)


# ---- Legible -------------------------------------------------------------------------------------


def luminance(colour):
    channels = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def contrast(one, other):
    """The contrast of two colours by WCAG 2."""
    low, high = sorted(luminance(colour) + 0.05 for colour in (one, other))
    return high / low


def test_colours_have_contrast():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    for kind, (fill, line) in drawing.COLOURS.items():
        assert contrast(drawing.INK, fill) > 7
        if kind != "part":  # a frame around others has words in ink only
            assert contrast(line, fill) > 4.5
            assert contrast(line, drawing.PANEL) > 4.5


FONTS = {
    bold: ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts", "ttf", name), 100)
    for bold, name in ((False, "DejaVuSans.ttf"), (True, "DejaVuSans-Bold.ttf"))
}


def places(root):
    """Where the words of a drawing are: the text, x, y, width and height of each.

    In DejaVu Sans, which is wider than the fonts that are named first; Chinese is one em each.
    """
    for element in root.iter(f"{SVG}text"):
        x, y, size = (float(element.get(k)) for k in ("x", "y", "font-size"))
        chinese = re.findall(r"[\u3000-\u9fff\uff00-\uffef]", element.text)
        others = re.sub(r"[\u3000-\u9fff\uff00-\uffef]", "", element.text)
        font = FONTS[element.get("font-weight") == "700"]
        wide = size * (len(chinese) + font.getlength(others) / 100)
        left = {"start": x, "middle": x - wide / 2, "end": x - wide}[element.get("text-anchor")]
        yield element.text, (left, y - 0.75 * size, wide, size)


@each
def test_words_lie_within_their_boxes_and_upon_no_others(made, name, language):
    root = made.roots[name, language]
    _, _, right, bottom = map(float, root.get("viewBox").split())
    found = list(places(root))
    for text, (x, y, w, h) in found:
        assert 8 < x < x + w < right - 8, text
        assert 4 < y < y + h < bottom - 4, text
    for (text, (x, y, w, h)), (other, (x2, y2, w2, h2)) in combinations(found, 2):
        apart = x + w <= x2 or x2 + w2 <= x or y + h <= y2 or y2 + h2 <= y
        assert apart, (text, other)
    # words whose middle lies in a box do not reach over its sides
    for rect in root.iter(f"{SVG}rect"):
        left, top, wide, high = (float(rect.get(k)) for k in ("x", "y", "width", "height"))
        if rect.get("rx") is None or wide < 40:  # no box: a cell, a lock, the ground of a number
            continue
        for text, (x, y, w, h) in found:
            if left < x + w / 2 < left + wide and top < y + h / 2 < top + high:
                assert left + 1 < x < x + w < left + wide - 1, text
                assert top < y < y + h < top + high, text


# ---- True to the models --------------------------------------------------------------------------


def shapes(layer):
    return [tuple(weight.shape) for weight in layer.weights]


def parameters(layer):
    return f"{layer.count_params():,}"


def test_sizes_of_the_vae(made):
    model = vae.build(vae.Config())
    encoder, decoder = model.encoder, model.decoder
    hidden, latent = vae.Config().hidden_dim, vae.Config().latent_dim
    assert shapes(encoder) == [(784, hidden), (hidden,), *2 * [(hidden, latent), (latent,)]]
    assert shapes(decoder) == [(latent, hidden), (hidden,), (hidden, 784), (784,)]
    written = labels(made.roots["vae_network", "en"])
    sizes = [text for text in written if text.isdigit()]
    assert sizes == [str(n) for n in (784, hidden, latent, latent, latent, hidden, 784)]
    activations = [encoder.hidden, decoder.hidden]
    assert [layer.activation.__name__ for layer in activations] == ["tanh", "tanh"]
    assert encoder.z_mean.activation.__name__ == "linear"
    assert parameters(encoder.z_mean) == parameters(encoder.z_log_var)
    terms = map(parameters, (encoder.hidden, encoder.z_mean, decoder.hidden, decoder.logits))
    total = "{} + 2 × {} + {} + {} = {} parameters".format(*terms, parameters(model))
    assert written[-1] == total
    graphs = labels(made.roots["vae_graphs", "en"])
    assert graphs.count("x [784]") == graphs.count("x̂ [784]") == 2
    assert graphs.count(f"[{latent}] + [{latent}]") == graphs.count(f"z [{latent}]") == 2
    assert graphs.count(f"{hidden} tanh → {latent} + {latent}") == 2
    for text in (encoder.hidden.units, total.split()[-2]):
        assert str(text) in made.roots["vae_network", "en"][1].text


def test_sizes_of_minibatch_discrimination(made):
    d = gaussian_gan.build(gaussian_gan.Config(minibatch=True)).discriminator
    width, kernels, length = d.hidden_2.units, d.hidden_3.num_kernels, d.hidden_3.kernel_dim
    assert shapes(d.hidden_3) == [(width, kernels * length), (kernels * length,)]
    wider, one = shapes(d.logits)[0]
    assert (wider, one) == (width + kernels, 1)
    root = made.roots["minibatch_discrimination", "en"]
    expected = {
        f"h [n, {width}]",
        f"W [{width}, {kernels * length}]",
        f"M [n, {kernels}, {length}]",
        f"{kernels} vectors of length {length} for each sample",
        f"k = {kernels}",
        f"sum over the {length}",
        f"d [n, n, {kernels}]",
        f"o: {kernels} features",
        f"[h, o] [n, {wider}]",
        f"{wider} → 1, sigmoid",
    }
    assert expected <= set(labels(root))
    assert f"k = {kernels + 1}" not in labels(root)
    cells = sum(rect.get("rx") is None for rect in root.iter(f"{SVG}rect"))
    assert cells == 4 * (width + kernels * length + wider)
    # what it says of the features: 1 for a sample that stands alone, n if all are equal
    layer = gaussian_gan.MinibatchDiscrimination(kernel_initializer="ones")
    for inputs, feature in ((100.0 * tf.range(7.0), 1), (tf.zeros([7]), 7)):
        found = layer(tf.tile(inputs[:, None], [1, width]))
        assert found.shape == [7, wider]
        np.testing.assert_allclose(found[:, width:], feature, rtol=1e-6)


def test_what_d_sees(made):
    config, later = tiny_gan.PRESETS["article"], tiny_gan.PRESETS["moments"]
    root = made.roots["d_inputs", "en"]
    written = labels(root)
    batch = tf.random.normal([1, config.batch_size])
    names = [text for text in written if text in tiny_gan.INPUTS]
    assert names == list(tiny_gan.INPUTS)
    seen = {name: see(batch).shape[1] for name, see in tiny_gan.INPUTS.items()}
    assert [int(text) for text in written if text.isdigit()] == list(seen.values())
    assert f"a batch of {config.batch_size} points, x" in written
    # where no gradient flows through the mean
    blocked = [
        name
        for name, see in tiny_gan.INPUTS.items()
        if any(op.type == "StopGradient" for op in tf.function(see).get_concrete_function(
            tf.TensorSpec([1, 100])).graph.get_operations())
    ]  # fmt: skip
    assert blocked == ["squares", "differences"]
    assert written.count("no gradient through m") == len(blocked)
    places = [written.index(name) for name in [*names, names[-1]]]
    for name, begin, end in zip(names, places[:-1], places[1:], strict=True):
        assert ("no gradient through m" in written[begin:end]) == (name in blocked)
    d = tiny_gan.build(config).discriminator
    units = [d.hidden_1.units, d.hidden_2.units, d.logits.units]
    assert {f"{n} {config.d_activation.upper()}" for n in units[:2]} <= set(written)
    d = tiny_gan.build(later).discriminator
    sizes = [shapes(layer)[0][0] for layer in (d.hidden_1, d.hidden_2, d.logits)]
    said = f"{later.batch_size} points, and D is {' → '.join(map(str, sizes))} → 1, all "
    assert any(said + later.d_activation in text for text in written)


def test_sizes_of_ali(made):
    model = ali.build(ali.Config())
    q, p, d = model.encoder, model.decoder, model.discriminator
    (x, hidden), (_, z) = shapes(q)[0], shapes(q)[2]
    assert shapes(p) == [(z, hidden), (hidden,), (hidden, x), (x,)]
    assert shapes(d) == [(x + z, hidden), (hidden,), (hidden, 1), (1,)]
    expected = {
        f"x [{x}]",
        f"Q(x) [{z}]",
        f"z [{z}] ~ U(−1, 1)",
        f"P(z) [{x}]",
        f"{x} → {hidden} relu",
        f"→ {z}",
        f"{z} → {hidden} relu",
        f"→ {x} sigmoid",
        f"{x + z}",
        f"→ {hidden} relu",
    }
    assert expected <= set(labels(made.roots["ali_joints", "en"]))


@pytest.mark.parametrize(("name", "learns", "frozen"), [("gan_game", 2, 2), ("ali_joints", 3, 3)])
def test_who_learns_is_told_by_words_and_dashes_too(made, name, learns, frozen):
    root = made.roots[name, "en"]
    assert [labels(root).count(word) for word in ("learns", "frozen")] == [learns, frozen]
    dashed = [rect for rect in root.iter(f"{SVG}rect") if rect.get("stroke-dasharray")]
    assert {rect.get("fill") for rect in dashed} == {drawing.COLOURS["frozen"][0]}
    assert len(dashed) == frozen


# ---- Running graphs ------------------------------------------------------------------------------


@pytest.mark.parametrize("model", models.NAMES)
def test_running_graph_has_the_operations_of_tensorflow_s(made, model):
    graph = made.traced[model]
    nodes = [*graph.node, *(node for f in graph.library.function for node in f.node_def)]
    tensors = sum(not name.startswith("^") for node in nodes for name in node.input)
    root = made.roots[f"running_graph_{model}", "en"]
    written = labels(root)
    assert written[-2] == f"in all {len(nodes)} operations, which take {tensors} tensors"
    in_boxes = [int(m[1]) for text in written[:-2] if (m := re.search(r"(\d+) operation", text))]
    others = re.findall(r"\d+", written[-1])
    assert sum(in_boxes) + sum(map(int, others)) == len(nodes)
    variables = [n for n in nodes if n.op == "Placeholder" and n.attr["dtype"].type == tf.resource]
    assert int(others[0]) == len(variables)


@pytest.mark.parametrize("model", models.NAMES)
def test_running_graph_tells_who_learns(made, model):
    recipe = models.load(model)
    built = recipe.build(recipe.PRESETS["article"])
    counts = {
        network: len(getattr(built, network).trainable_variables)
        for network in running_graph.NETWORKS
        if hasattr(built, network)
    }
    d = counts.pop("discriminator", None)
    steps = [f"discriminator {d}"] if d else []
    steps.append(" + ".join(f"{name} {count}" for name, count in sorted(counts.items())))
    written = labels(made.roots[f"running_graph_{model}", "en"])
    told = [text for text in written if text.startswith("variables it assigns: ")]
    assert [re.sub(r".*: | \+ its own \d+", "", text) for text in told] == steps


def test_groups_follow_the_code(made):
    """In tiny_gan D's step generates outside of the tape; in gaussian_gan within it."""
    for model, expected in (("tiny_gan", 0), ("gaussian_gan", 1)):
        found = running_graph.operations(made.traced[model])
        groups = set(running_graph.grouped(found).values())
        gradients = [g for g in groups if (g.step, g.part) == (0, running_graph.GRADIENT)]
        assert sum(g.name.startswith("generator") for g in gradients) == expected
        assert sum(g.name.startswith("discriminator") for g in gradients) == 1
    found = running_graph.operations(made.traced["ali"])
    forward = {g for g in running_graph.grouped(found).values() if g.part == "forward"}
    calls = [g.step for g in forward if g.name.startswith("discriminator")]
    assert sorted(calls) == [0, 0, 1, 1]  # two kinds of pairs, in both steps
    assert [g.step for g in forward if g.name.startswith("encoder")] == [0]


# ---- Shown and written ---------------------------------------------------------------------------


def test_notebook_shows_an_image_with_alternative_text():
    bundle = notebook.diagram("gan_game", "zh-CN")._repr_mimebundle_()
    svg = diagrams.svg("gan_game", "zh-CN")
    root = ElementTree.fromstring(svg)
    text = f"{root[0].text}\n{root[1].text}"
    assert bundle["text/plain"] == text
    shown = bundle["text/html"]
    assert unescape(re.search(r' alt="([^"]*)"', shown)[1]) == text
    image = re.search(r' src="data:image/svg\+xml;base64,([^"]+)"', shown)[1]
    assert base64.b64decode(image).decode() == svg


def test_command_writes_all(command, tmp_path, monkeypatch):
    monkeypatch.setattr(diagrams, "NAMES", ("gan_game", "ali_joints"))
    status, out, err = command(command_module.main, tmp_path / "new")
    assert (status, err) == (0, "")
    paths = [tmp_path / "new" / f"{n}.{k}.svg" for n in diagrams.NAMES for k in words.LANGUAGES]
    assert out.splitlines() == [str(path) for path in paths]
    for path in paths:
        assert path.read_text(encoding="utf-8") == diagrams.svg(*path.stem.split(".", 1))
