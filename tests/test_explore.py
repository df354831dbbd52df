"""`python -m tf_gen.explore`, and its page in a real browser, opened from a file.

The browser is the Chromium of the system, which Playwright drives; without one these tests are
skipped. What the page computes is compared with the SavedModel's signatures.
"""

import dataclasses
import json
import re
import shutil

import numpy as np
import pytest
import tensorflow as tf
from axe_playwright_python.sync_playwright import Axe
from helpers import one_line
from playwright.sync_api import sync_playwright

from tf_gen import explore, models, savedmodel, train
from tf_gen.models import tiny_gan, vae

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
SHIPPED = savedmodel.SHIPPED[1]
in_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt install chromium")


# ---- The command ---------------------------------------------------------------------------------


def test_a_trained_model_becomes_one_file(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, err = command(explore.main, "tiny_gan")
    assert (status, err) == (0, "")
    page = tmp_path / "explorer.html"
    assert re.fullmatch(rf"open: {page.as_uri()} \(0\.\d MB\)", out.splitlines()[-1])
    assert list(tmp_path.iterdir()) == [page]


@pytest.mark.parametrize(("name", "limit"), [("vae", 1.5), ("ali", 5)])
def test_pages_of_images_are_small_enough_to_send(name, limit, pages):
    assert pages[name].stat().st_size <= limit * 1e6


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["vae", "--out", "a.png"], ["argument --out", "must end in .html"]),
        ([], ["arguments are required: model"]),
        (["vae", "--open", "x"], ["unrecognized arguments: x"]),
    ],
)
def test_bad_arguments_are_refused(refused, arguments, words):
    refused(explore.main, arguments, words)


def test_what_is_no_saved_model_gets_a_line(command, tmp_path):
    out = tmp_path / "page.html"
    foreign = tmp_path / "foreign"
    module = tf.Module()
    module.f = tf.function(lambda x: x, input_signature=[tf.TensorSpec([], tf.float32)])
    tf.saved_model.save(module, str(foreign), signatures={"f": module.f})
    damaged = shutil.copytree(SHIPPED / "tiny_gan", tmp_path / "damaged")
    weights = damaged / "variables" / "variables.data-00000-of-00001"
    weights.write_bytes(weights.read_bytes()[:-1])
    for path, words in (
        (tmp_path / "none", "no such directory"),
        (foreign, "not a SavedModel of this package"),
        (damaged, "damaged"),
    ):
        status, printed, err = command(explore.main, path, "--out", out)
        assert (status, printed) == (1, "")
        assert one_line(err, "error", str(path), words)
        assert not out.exists()


def test_a_network_that_the_page_does_not_know_is_named(command, tmp_path):
    model = tiny_gan.build(tiny_gan.Config())
    model.generate = lambda z: tf.sin(z)
    model.decode = lambda z: tf.sin(z)
    savedmodel.write(model, tmp_path / "sine", {"model": "tiny_gan"})
    status, _, err = command(explore.main, tmp_path / "sine", "--out", tmp_path / "page.html")
    assert status == 1
    assert one_line(err, "signature 'decode'", "does not know the operation Sin")


@pytest.mark.parametrize("data", [[1], "x", {"source": 3}, {"source": "mnist", "sha256": []}])
def test_a_damaged_description_of_the_data_gets_a_line(command, tmp_path, data):
    directory = tmp_path / "vae"
    savedmodel.write(vae.build(vae.Config(hidden_dim=8)), directory, {"data": data})
    status, printed, err = command(explore.main, directory, "--out", tmp_path / "page.html")
    assert (status, printed) == (1, "")
    assert one_line(err, str(directory / "config.json"), "damaged")


def test_training_goes_on_without_a_page_it_cannot_make(command, tmp_path, monkeypatch):
    monkeypatch.setattr("tf_gen.explorer.networks.UNARY", {})
    arguments = ["tiny_gan", "--steps", "20", "--log-every", "10", "--run-dir"]
    status, out, err = command(train.main, *arguments, tmp_path / "run")
    assert status == 0
    assert one_line(err, "warning: no page to explore", "does not know the operation Sigmoid")
    assert "next: " in out
    assert not (tmp_path / "run" / "explorer.html").exists()


def test_images_of_its_own_have_to_be_named(command, tmp_path):
    directory = tmp_path / "vae"
    manifest = {"model": "vae", "config": {}, "data": {"source": "folders", "sha256": "0"}}
    savedmodel.write(vae.build(vae.Config(hidden_dim=8)), directory, manifest)
    status, out, _ = command(explore.main, directory, "--out", tmp_path / "page.html")
    assert status == 0
    assert "folders" in out
    assert "--data" in out


# ---- The page in a browser -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory, bundled):
    """The page of each trained model that comes along: dict of paths."""
    from tf_gen import explorer

    directory = tmp_path_factory.mktemp("pages")
    found = {}
    for name in models.NAMES:
        found[name] = directory / f"{name}.html"
        explorer.write(SHIPPED / name, found[name], name, bundled)
    return found


@pytest.fixture(scope="module")
def run_page(tmp_path_factory):
    """The page that a run of `tf_gen.train` writes, of a VAE and of a GAN with an animation."""
    directory = tmp_path_factory.mktemp("runs")
    vae = "vae --hidden-dim 16 --steps 20 --data bundled"
    gan = "gaussian_gan --preset listing --minibatch --steps 300 --log-every 100"
    train.main([*vae.split(), "--run-dir", str(directory / "vae")])
    animation = ["--anim-path", str(directory / "a.gif")]
    train.main([*gan.split(), *animation, "--run-dir", str(directory / "gaussian_gan")])
    return directory


class Visit:
    """A page in the browser, with what it said on the console and asked of hosts."""

    def __init__(self, browser, path, address="", **options):
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.complaints, self.requests = [], []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri() + address)
        self.page.wait_for_function("window.explorer !== undefined")

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.page.wait_for_timeout(100)
        self.context.close()
        if kind is None:
            assert not self.complaints
            assert [url for url in self.requests if not url.startswith("file:")] == []

    def run(self, network, **inputs):
        """What the page's network makes of arrays: dict of float arrays, flat."""
        script = """([name, inputs]) => {
            const arrays = Object.entries(inputs).map(([k, v]) => [k, Float32Array.from(v)]);
            const found = explorer.networks[name].run(Object.fromEntries(arrays));
            return Object.fromEntries(Object.entries(found).map(([k, v]) => [k, Array.from(v)]));
        }"""
        flat = {name: np.ravel(value).tolist() for name, value in inputs.items()}
        found = self.page.evaluate(script, [network, flat])
        return {name: np.array(value) for name, value in found.items()}

    def point(self):
        return self.page.evaluate("() => Array.from(explorer.point())")


class Loaded:
    """The signatures of a SavedModel, by their names; they do not hold the weights, this does."""

    def __init__(self, directory):
        self.model = tf.saved_model.load(str(directory))

    def __contains__(self, name):
        return name in self.model.signatures

    def __call__(self, name, **inputs):
        tensors = {name: tf.constant(value) for name, value in inputs.items()}
        outputs = self.model.signatures[name](**tensors)
        return {name: value.numpy() for name, value in outputs.items()}


def compare(visit, directory):
    """Compare the page's networks with those of the SavedModel in `directory` at 50 draws."""
    model = Loaded(directory)
    drawn = model("sample", count=1000, seed=[3, 4])
    z = drawn["z"]
    if "images" in drawn:
        for k in range(50):
            pixels = visit.run("decode", z=z[k])["images"].reshape(28, 28)
            assert np.abs(pixels - drawn["images"][k]).max() <= 1.5 / 255
        for k in range(5):
            expected = model("encode", images=drawn["images"][k : k + 1])
            for name, value in visit.run("encode", images=drawn["images"][k]).items():
                assert np.abs(value - expected[name][0]).max() <= 0.02
    else:
        x = drawn["x"]
        np.testing.assert_allclose(visit.run("decode", z=z)["x"], x[:, 0], atol=1e-4)
        batch = visit.page.evaluate("() => explorer.networks.discriminate.inputs.x[0]")
        expected = model("discriminate", x=x[:batch])["probability"]
        found = visit.run("discriminate", x=x[:batch])["probability"]
        np.testing.assert_allclose(found, np.ravel(expected), atol=0.01)


@in_browser
@pytest.mark.parametrize("name", models.NAMES)
def test_the_page_computes_what_the_trained_model_does(browser, pages, name):
    with Visit(browser, pages[name]) as visit:
        compare(visit, SHIPPED / name)


@in_browser
@pytest.mark.parametrize("name", ["vae", "gaussian_gan"])
def test_the_page_of_a_run_computes_what_its_model_does(browser, run_page, name):
    with Visit(browser, run_page / name / "explorer.html") as visit:
        compare(visit, run_page / name / "saved_model")
        if name == "gaussian_gan":
            model = Loaded(run_page / name / "saved_model")
            drawn = [model("sample", count=8, seed=[k, 0])["x"] for k in range(30)]
            answers = [model("discriminate", x=x)["probability"].mean() for x in drawn]
            shown = number(visit.page.inner_text("#answer-generated")) / 100
            assert shown == pytest.approx(np.mean(answers), abs=0.05)
            slider = visit.page.locator("#training")
            assert slider.get_attribute("max") == "2"  # frames at 100, 200 and 300


@in_browser
def test_a_digit_that_is_drawn_is_encoded(browser, pages, bundled):
    image = bundled.held_out_images[123]
    model = Loaded(SHIPPED / "vae")
    x = np.float32(image[None]) / 255
    expected = model("encode", images=x)
    mean, log_var = expected["z_mean"], expected["z_log_var"]
    y = np.clip(np.float64(model("decode", z=mean)["images"]), 1e-7, 1 - 1e-7)
    loss = -np.sum(x * np.log(y) + (1 - x) * np.log(1 - y))
    kl = 0.5 * np.sum(mean**2 + np.exp(log_var) - 1 - log_var)
    with Visit(browser, pages["vae"]) as visit:
        visit.page.evaluate("x => explorer.putDrawing(Uint8Array.from(x))", image.ravel().tolist())
        found = visit.page.evaluate(
            "x => Array.from(explorer.encode(Float32Array.from(x)).z_mean)", x.ravel().tolist()
        )
        assert np.abs(found - mean[0]).max() <= 0.02
        shown = [number(visit.page.locator(f"#{name}").inner_text()) for name in ("loss", "kl")]
        np.testing.assert_allclose(shown, [loss, kl], rtol=0.02, atol=0.1)


def number(text):
    return float(re.search(r"-?\d+(\.\d+)?", text)[0])


@in_browser
def test_a_stroke_may_be_cleared_while_it_is_drawn(browser, pages):
    with Visit(browser, pages["vae"], viewport={"width": 1440, "height": 900}) as visit:
        box = visit.page.locator("#draw").bounding_box()
        visit.page.mouse.move(box["x"] + 50, box["y"] + 50)
        visit.page.mouse.down()
        visit.page.mouse.move(box["x"] + 100, box["y"] + 100)
        visit.page.locator("#clear").focus()
        visit.page.keyboard.press("Enter")
        visit.page.mouse.move(box["x"] + 200, box["y"] + 150, steps=3)
        visit.page.mouse.up()


@in_browser
def test_the_pointer_decodes_where_it_is(browser, pages):
    with Visit(browser, pages["vae"], viewport={"width": 1440, "height": 900}) as visit:
        box = visit.page.locator("#plane").bounding_box()
        places = []
        for part in (0.3, 0.5, 0.7):
            x, y = box["x"] + part * box["width"], box["y"] + (1 - part) * box["height"]
            visit.page.mouse.move(x, y)
            visit.page.wait_for_timeout(60)
            places.append(visit.point())
        assert places[0][0] < places[1][0] < places[2][0]
        assert places[0][1] < places[1][1] < places[2][1]  # upwards
        pixels = visit.page.evaluate(
            """() => {
                const canvas = document.querySelector("#picture");
                const { data } = canvas.getContext("2d").getImageData(0, 0, 28, 28);
                return Array.from(data).filter((_, i) => i % 4 === 0);
            }"""
        )
        expected = Loaded(SHIPPED / "vae")("decode", z=np.float32(places[-1:]))["images"]
        assert np.abs(np.array(pixels) - 255 * np.ravel(expected)).max() <= 1.5
        assert visit.page.evaluate("() => explorer.frameMs.length") > 0


@in_browser
@pytest.mark.parametrize("name", ["gaussian_gan", "tiny_gan"])
def test_the_pointer_reads_the_curve(browser, pages, name):
    with Visit(browser, pages[name], reduced_motion="reduce") as visit:
        box = visit.page.locator("#curve").bounding_box()
        visit.page.mouse.move(box["x"] + 0.7 * box["width"], box["y"] + 0.5 * box["height"])
        visit.page.wait_for_timeout(100)
        (z,) = visit.point()
        (x,) = Loaded(SHIPPED / name)("decode", z=np.float32([[z]]))["x"][0]
        assert number(visit.page.inner_text("#x")) == pytest.approx(x, abs=1e-3)
        times = visit.page.evaluate("() => [...explorer.paintMs, ...explorer.frameMs]")
        assert len(times) >= 2
        assert all(time >= 0 for time in times)


@in_browser
def test_the_keys_move_the_point(browser, pages):
    with Visit(browser, pages["vae"], "#z=0.5,-1") as visit:
        assert visit.point() == [0.5, -1]
        visit.page.locator("#plane").focus()
        visit.page.keyboard.press("ArrowRight")
        visit.page.keyboard.press("ArrowUp")
        np.testing.assert_allclose(visit.point(), [0.55, -0.95], atol=1e-6)
        visit.page.keyboard.press("Shift+ArrowLeft")
        np.testing.assert_allclose(visit.point(), [0.05, -0.95], atol=1e-6)
        visit.page.wait_for_timeout(600)  # at rest the address follows
        z = re.search(r"#.*z=([^&]*)", visit.page.evaluate("() => location.href"))[1]
        np.testing.assert_allclose([float(v) for v in z.split(",")], [0.05, -0.95], atol=1e-3)


@in_browser
def test_a_finger_moves_the_point(browser, pages):
    phone = {"viewport": {"width": 360, "height": 800}, "has_touch": True, "is_mobile": True}
    with Visit(browser, pages["vae"], "#z=0,0", **phone) as visit:
        plane = visit.page.locator("#plane")
        plane.scroll_into_view_if_needed()
        box = plane.bounding_box()
        visit.page.touchscreen.tap(box["x"] + 0.75 * box["width"], box["y"] + 0.3 * box["height"])
        visit.page.wait_for_timeout(100)
        a, b = visit.point()
        assert a > 0.5
        assert b > 0.5
        width = visit.page.evaluate("() => document.documentElement.scrollWidth")
        assert width <= 360  # nothing to scroll sideways


@in_browser
@pytest.mark.parametrize(
    "address", ["#z=", "#z=a,b", "#z=1", "#z=1e99,NaN", "#z=1e300,0", "#%", "#lang=xx&z=1,2,3"]
)
def test_a_strange_address_is_ignored(browser, pages, address):
    with Visit(browser, pages["vae"], address) as visit:
        assert np.all(np.isfinite(visit.point()))
        assert len(visit.point()) == 2


@in_browser
def test_the_address_chooses_language_and_theme(browser, pages):
    with Visit(browser, pages["vae"], "#lang=zh&theme=dark") as visit:
        assert visit.page.evaluate("() => document.documentElement.lang").startswith("zh")
        assert "隐空间" in visit.page.inner_text("body")
        dark = visit.page.evaluate("() => getComputedStyle(document.body).backgroundColor")
    with Visit(browser, pages["vae"], "#lang=en&theme=light") as visit:
        assert not re.search("[\u4e00-\u9fff]", visit.page.inner_text("main"))
        light = visit.page.evaluate("() => getComputedStyle(document.body).backgroundColor")
    assert np.mean(channels(dark)) < 80 < 200 < np.mean(channels(light))


def channels(color):
    return [float(value) for value in re.findall(r"[\d.]+", color)[:3]]


@in_browser
def test_the_language_is_the_browsers_at_first(browser, pages):
    with Visit(browser, pages["tiny_gan"], locale="zh-CN") as visit:
        assert visit.page.evaluate("() => document.documentElement.lang").startswith("zh")


@in_browser
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", models.NAMES)
def test_axe_finds_no_barrier(browser, pages, name, theme):
    for width in (360, 1440):
        options = {"viewport": {"width": width, "height": 900}, "bypass_csp": True}
        with Visit(browser, pages[name], f"#theme={theme}", **options) as visit:
            violations = Axe().run(visit.page).response["violations"]
            assert not [(v["id"], [n["html"] for n in v["nodes"]]) for v in violations]


@in_browser
def test_text_of_a_run_stays_text(browser, tmp_path, bundled):
    from tf_gen import explorer

    evil = '</script><img src=x onerror="window.hit=1"><script>window.hit=1</script>'
    directory = tmp_path / "vae"
    manifest = {"model": evil, "config": {evil: evil, "batch_size": 8}}
    latent_map = {"labels": {evil: [0.0, 1.0]}, "axis": [-1.0, 1.0]}
    savedmodel.write(vae.build(vae.Config(hidden_dim=8)), directory, manifest, latent_map)
    source = dataclasses.replace(bundled, classes=tuple(f"{evil}{k}" for k in range(10)))
    explorer.write(directory, tmp_path / "page.html", evil, source)
    with Visit(browser, tmp_path / "page.html") as visit:
        assert visit.page.evaluate("() => window.hit") is None
        assert not visit.page.locator("img").count()
        assert evil in visit.page.inner_text("body")


@in_browser
def test_twenty_sliders_and_what_d_says(browser, pages, bundled):
    with Visit(browser, pages["ali"]) as visit:
        assert visit.page.locator("#sliders input[type=range]").count() == 20
        z = np.linspace(-0.9, 0.9, 20)
        visit.page.evaluate("z => explorer.setPoint(z)", z.tolist())
        np.testing.assert_allclose(visit.point(), z, atol=1e-6)
        image = bundled.held_out_images[7]
        visit.page.evaluate("x => explorer.putDrawing(Uint8Array.from(x))", image.ravel().tolist())
        x, model = np.float32(image[None]) / 255, Loaded(SHIPPED / "ali")
        z = model("encode", images=x)["z"]
        expected = model("discriminate", images=x, z=z)["probability"]
        found = visit.run("discriminate", images=x, z=z)["probability"]
        np.testing.assert_allclose(found, expected, atol=0.02)


def test_a_page_is_json_to_whoever_wants_the_networks(pages):
    text = pages["vae"].read_text(encoding="utf-8")
    content = json.loads(re.findall(r'id="model">(.*?)</script>', text, re.S)[0])
    assert content["networks"].keys() == {"decode", "encode"}
