"""Figures and animations: what they show stands where it should."""

import numpy as np
import pytest
import tensorflow as tf
from helpers import Ffmpeg, read_animation
from scipy import stats

from tf_gen import plots
from tf_gen.models import gaussian_gan
from tf_gen.tasks import gaussian

rng = np.random.default_rng(0)


def test_pairs_alternate():
    a, b = np.zeros([20, 2, 2]), np.ones([20, 2, 2])
    pixels = plots.pairs(a, b, columns=10)
    assert pixels[:, 0].tolist() == ([0] * 6 + [255] * 6) * 2


@pytest.mark.parametrize(("n", "shape"), [(1, (12, 6)), (9, (12, 54)), (25, (24, 60))])
def test_pairs_of_any_number(n, shape):
    assert plots.pairs(np.zeros([n, 2, 2]), np.ones([n, 2, 2])).shape == shape


def test_rows_have_their_names():
    images = np.linspace(0, 1, 6)[:, None, None] * np.ones([6, 4, 4])
    axes = plots.rows([("first", images[:3]), ("second", images[3:])]).axes
    assert [row.get_ylabel() for row in axes] == ["first", "second"]
    for row, expected in zip(axes, ([0, 51, 102], [153, 204, 255]), strict=True):
        assert row.images[0].get_array()[0, ::4].tolist() == expected


def test_manifold_shows_the_image_of_each_z_at_its_place():
    axis = [-1.5, -0.25, 0.25, 2.0]
    z = plots.plane(axis)
    assert (z.shape, z.dtype) == ((16, 2), np.float32)
    images = stats.norm.cdf(z)[:, :1, None] * np.ones([1, 2, 2])  # brightness: first coordinate
    figure = plots.manifold(images, axis)
    (axes,) = figure.axes
    pixels = axes.images[0].get_array()
    assert np.all(np.diff(pixels[0, ::2].astype(int)) > 0)  # brighter to the right
    assert np.all(pixels[0] == pixels[-1])
    assert z[0, 1] > z[-1, 1]  # the first row of pixels is at the top
    labels = [tick.get_text() for tick in axes.get_yticklabels()]
    assert labels == ["-1.50", "-0.25", "0.25", "2.00"]
    assert axes.images[0].origin == "upper"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e30])
def test_histogram_is_the_one_that_matplotlib_makes_of_all_points(dtype, scale):
    x = (scale * rng.normal(4, 1, 5000)).astype(dtype)
    (axes,) = plots.histogram(x, 4.0, 0.5).axes
    bars = axes.containers[0].patches
    edges = [bar.get_x() for bar in bars] + [bars[-1].get_x() + bars[-1].get_width()]
    counts, expected = np.histogram(np.float64(x), 100, (edges[0], edges[-1]), density=True)
    np.testing.assert_allclose([bar.get_height() for bar in bars], counts, rtol=1e-6)
    np.testing.assert_allclose(edges, expected, rtol=1e-6)
    assert edges[0] < x.min() <= x.max() < edges[-1]
    assert "5,000 generated points" in axes.get_legend_handles_labels()[1]


def test_latent_map_of_few_points(tmp_path):
    z, labels = rng.normal(size=[5, 2]), np.array([0, 0, 7, 7, 200])
    figure = plots.latent_map(
        lambda z: np.zeros([len(z), 28, 28]), z, labels, {0: z[0], 7: z[2], 200: z[4]}
    )
    path = tmp_path / "map.png"
    plots.save(figure, path)
    assert tf.io.decode_png(path.read_bytes()).shape[0] > 100


@pytest.mark.parametrize("count", [10, 11, 21, 62])
def test_latent_map_shows_every_class_by_its_name(tmp_path, count):
    names = ["$x_", "$$", "\u96f6", "a" * 40, *(f"class {n}" for n in range(4, count))]
    z, labels = rng.normal(size=[3 * count, 2]), np.arange(3 * count) % count
    clearest = dict(enumerate(z[:count]))
    brightness = iter(np.linspace(0.1, 0.9, 2 * count))

    def decode(z):
        return np.stack([np.full([28, 28], next(brightness)) for _ in z])

    figure = plots.latent_map(decode, z, labels, clearest, lambda label: names[label])
    plots.save(figure, tmp_path / "map.png")
    plane, *tables = figure.axes
    assert [text.get_text() for text in plane.texts] == [*names[:3], "a" * 11 + "…", *names[4:]]
    texts = [text.get_text() for axes in tables for text in axes.texts]
    expected = [f"{z[n, 0]:.2f},{z[n, 1]:.2f}" for n in range(count)]
    assert {text.partition("\n")[2] for text in texts} >= set(expected)
    assert len(texts) == 2 * count
    assert next(brightness, None) is None  # each was decoded at both of its points
    for axes in tables:
        pixels = axes.images[0].get_array()
        for row in range(len(axes.texts)):  # a digit beside each text, and no digit behind the last
            assert 0.05 < pixels[32 * row + 16, 16] / 255 < 0.95, row
    colours = {tuple(text.get_bbox_patch().get_edgecolor()) for text in plane.texts}
    assert len(colours) == count


def test_save_writes_the_pixels(tmp_path):
    pixels = rng.integers(0, 256, [6, 9], np.uint8)
    plots.save(pixels, tmp_path / "a.png")
    np.testing.assert_array_equal(
        tf.io.decode_png((tmp_path / "a.png").read_bytes())[..., 0], pixels
    )
    np.testing.assert_array_equal(plots.read(tmp_path / "a.png"), pixels)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


# ---- Files of animations -------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".mp4"])
def test_a_failure_leaves_the_old_file(tmp_path, monkeypatch, suffix):
    Ffmpeg(tmp_path / "bin", monkeypatch)
    path = tmp_path / f"a{suffix}"
    path.write_text("old")

    def frames():
        yield np.zeros([40, 60, 3], np.uint8)
        yield np.full([40, 60, 3], 9, np.uint8)
        raise ValueError("half way")

    with pytest.raises(ValueError, match="half way"):
        plots.animation(frames(), path)
    assert path.read_text() == "old"
    assert {p.name for p in tmp_path.iterdir()} == {"bin", path.name}
    plots.animation(iter([np.zeros([40, 60, 3], np.uint8)]), path)
    assert path.read_bytes()[:3] != b"old"


@pytest.mark.parametrize("suffix", [".gif", ".png"])
def test_grey_frames_keep_their_pixels(tmp_path, suffix):
    frames = list(rng.integers(0, 256, [3, 20, 30], np.uint8))
    plots.animation(frames, tmp_path / f"a{suffix}", fps=10)
    read_back, milliseconds = read_animation(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal([frame[..., 0] for frame in read_back], frames)
    assert milliseconds == 300


def test_ffmpeg_gets_grey_frames(tmp_path, monkeypatch):
    ffmpeg = Ffmpeg(tmp_path / "bin", monkeypatch)
    plots.animation(rng.integers(0, 256, [4, 21, 33], np.uint8), tmp_path / "a.mp4", fps=12)
    argv, size = ffmpeg.record()
    assert size == 4 * 21 * 33
    assert argv[argv.index("-s") + 1] == "33x21"
    assert argv[argv.index("-pix_fmt") + 1] == "gray"
    assert argv[argv.index("-r") + 1] == "12"


@pytest.mark.parametrize("size", [10, 50, 200, 700])  # below and above the size of buffers
def test_ffmpeg_that_fails_says_why(tmp_path, monkeypatch, size):
    Ffmpeg(tmp_path / "bin", monkeypatch, fails_at=f"{size}x{size}")
    with pytest.raises(OSError, match="ffmpeg: No space left"):
        plots.animation(np.zeros([100, size, size], np.uint8), tmp_path / "a.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["bin"]


@pytest.mark.parametrize(
    ("codecs", "best"),
    [(["mpeg4", "libx264"], "libx264"), (["mpeg4", "libopenh264"], "libopenh264")],
)
def test_the_best_encoder_that_works_is_taken(tmp_path, monkeypatch, codecs, best):
    ffmpeg = Ffmpeg(tmp_path / "bin", monkeypatch, codecs=codecs)
    plots.animation(np.zeros([2, 20, 20], np.uint8), tmp_path / "a.mp4")
    argv, _ = ffmpeg.record()
    assert argv[argv.index("-c:v") + 1] == best


@pytest.mark.parametrize("suffix", [".gif", ".WEBP", ".png", ".mp4"])
def test_trying_an_animation_leaves_nothing(tmp_path, monkeypatch, suffix):
    Ffmpeg(tmp_path / "bin", monkeypatch)
    plots.try_animation(tmp_path / f"a{suffix}")
    assert [path.name for path in tmp_path.iterdir()] == ["bin"]


# ---- Frames --------------------------------------------------------------------------------------

REPORT = gaussian.Report(gaussian_gan.Config())
EDGES, REAL = REPORT.edges, REPORT.density(REPORT.real)
GREEN, BLUE = (44, 160, 44), (31, 119, 180)
COUNTER = np.s_[:100, 300:]


def spike(at, step=1, **more):
    generated = np.zeros(99)
    generated[at] = 1.0
    return {"generated": generated, "step": step, **more}


def frames_of(*snapshots):
    frames = list(plots.density_frames(snapshots, EDGES, REAL))
    assert all((frame.shape, frame.dtype) == ((400, 600, 3), np.uint8) for frame in frames)
    return frames


def changed(a, b):
    """Where two frames differ, apart from the counter."""
    differs = np.any(a != b, axis=-1)
    differs[COUNTER] = False
    return differs


def test_only_what_moves_changes():
    first, second = frames_of(spike(20), spike(60))
    differs = changed(first, second)
    columns = np.flatnonzero(differs.any(axis=0))
    green = [np.all(frame == GREEN, axis=-1) & differs for frame in (first, second)]
    left, right = (np.median(np.nonzero(mask)[1]) for mask in green)
    width = np.diff(np.flatnonzero(np.any(first != 255, axis=(0, 2)))[[0, -1]])[0]
    assert 0.3 * width < right - left < 0.5 * width  # 40 of the 99 parts of the axis
    near = (np.abs(columns - left) < 15) | (np.abs(columns - right) < 15)
    assert np.all(near)


def test_counter_names_frame_and_step():
    first, second = frames_of(spike(20, step=7), spike(20, step=7))
    assert not changed(first, second).any()
    assert np.any(first[COUNTER] != second[COUNTER])  # 1/2, 2/2
    (third, _) = frames_of(spike(20, step=8), spike(20))
    assert not changed(first, third).any()
    assert np.any(first[COUNTER] != third[COUNTER])


def test_decision_boundary_moves():
    x = np.linspace(-8, 8, 50)
    low, high = (spike(20, x=x, probability=np.full(50, p)) for p in (0.3, 0.6))
    first, second = frames_of(low, high)
    rows = [np.median(np.nonzero(np.all(f == BLUE, axis=-1) & changed(first, second))[0])
            for f in (first, second)]  # fmt: skip
    assert rows[0] - rows[1] > 50
    (without,) = frames_of(spike(20))
    assert not np.any(np.all(without == BLUE, axis=-1))


@pytest.mark.parametrize("suffix", [".gif", ".png"])
def test_lines_keep_their_colours(tmp_path, suffix):
    frames = frames_of(spike(20), spike(60), spike(90))
    plots.animation(iter(frames), tmp_path / f"a{suffix}")
    for frame, read_back in zip(frames, read_animation(tmp_path / f"a{suffix}")[0], strict=True):
        assert np.mean(np.abs(np.int16(frame) - read_back) > 40) < 1e-3
