import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from tf_gen import files, images, plots

rng = np.random.default_rng(0)


@pytest.mark.parametrize(("n", "columns", "scale"), [(6, 3, 1), (7, 3, 2), (1, 1, 4), (2, 5, 1)])
def test_mosaic_puts_each_pixel_in_its_place(n, columns, scale):
    tiles = rng.uniform(size=[n, 4, 5])
    pixels = images.mosaic(tiles, columns, scale)
    rows = -(-n // columns)
    assert pixels.shape == (rows * 4 * scale, columns * 5 * scale)
    for i in range(rows * columns):
        for y in range(4):
            for x in range(5):
                top, left = ((i // columns) * 4 + y) * scale, ((i % columns) * 5 + x) * scale
                block = pixels[top : top + scale, left : left + scale]
                assert np.all(block == (round(255 * tiles[i, y, x]) if i < n else 0))


def test_pairs_alternate():
    a, b = np.zeros([20, 2, 2]), np.ones([20, 2, 2])
    pixels = plots.pairs(a, b, columns=10)
    assert pixels[:, 0].tolist() == ([0] * 6 + [255] * 6) * 2


@pytest.mark.parametrize(("n", "shape"), [(1, (12, 6)), (9, (12, 54)), (25, (24, 60))])
def test_pairs_of_any_number(n, shape):
    assert plots.pairs(np.zeros([n, 2, 2]), np.ones([n, 2, 2])).shape == shape


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


def test_latent_map_of_few_points(tmp_path):
    z, labels = rng.normal(size=[5, 2]), np.array([0, 0, 7, 7, 200])
    figure = plots.latent_map(
        lambda z: np.zeros([len(z), 28, 28]), z, labels, {0: z[0], 7: z[2], 200: z[4]}
    )
    path = tmp_path / "map.png"
    plots.save(figure, path)
    assert tf.io.decode_png(path.read_bytes()).shape[0] > 100


def test_save_writes_the_pixels(tmp_path):
    pixels = rng.integers(0, 256, [6, 9], np.uint8)
    plots.save(pixels, tmp_path / "a.png")
    np.testing.assert_array_equal(
        tf.io.decode_png((tmp_path / "a.png").read_bytes())[..., 0], pixels
    )
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


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
