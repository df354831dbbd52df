"""Image files of every kind become the grey pixels that one sees: checked against Pillow."""

import io

import numpy as np
import pytest
from helpers import one_line
from PIL import Image

from tf_gen.errors import UserError
from tf_gen.mnist import pictures

pytestmark = pytest.mark.quick
rng = np.random.default_rng(0)


def read(*paths, resize=False):
    """Grey pixels and notes of image files."""
    return pictures.read([str(path) for path in paths], lambda row: f"row {row}: ", resize)


def noise(*shape):
    return rng.integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize("suffix", ["png", "tiff"])  # read by TensorFlow, and by Pillow
@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "LA", "RGBA", "I;16"])
def test_all_kinds_of_pixels(tmp_path, mode, suffix):
    if mode == "I;16":
        image = Image.fromarray(np.uint16(noise(28, 28)) * 257)
    else:
        image = Image.fromarray(noise(28, 28, 4 if "A" in mode else 3)).convert(mode)
    path = tmp_path / f"a.{suffix}"
    image.save(path)
    if mode == "I;16":
        light, opacity = np.asarray(image) / 257, np.full([28, 28], 255)
    else:
        rgba = np.float64(image.convert("RGBA"))
        light, opacity = rgba[..., :3] @ [0.299, 0.587, 0.114], rgba[..., 3]
    black = light * opacity / 255
    white = black + 255 - opacity
    pixels, notes = read(path)
    expected = white if np.std(white) > np.std(black) else black
    assert np.abs(pixels[0] - expected).max() <= 0.501
    words = " ".join(notes)
    assert ("luminance" in words) == (mode in ("P", "RGB", "RGBA"))
    assert ("transparent" in words) == (mode in ("LA", "RGBA"))


def test_a_palette_may_have_a_transparent_colour(tmp_path):
    image = Image.fromarray(np.eye(28, dtype=np.uint8), "P")
    image.putpalette([255, 255, 255, 0, 0, 0])
    image.save(tmp_path / "a.png", transparency=0)
    pixels, notes = read(tmp_path / "a.png")
    np.testing.assert_array_equal(pixels[0], 255 - 255 * np.eye(28))
    assert notes == ["transparent images were laid on white"]


@pytest.mark.parametrize(("ink", "background"), [(0, "white"), (255, "black")])
def test_the_background_is_the_one_on_which_the_ink_is_seen(tmp_path, ink, background):
    paths, strokes = [], noise(5, 28, 28)
    for number, stroke in enumerate(strokes):
        layers = np.stack([np.full_like(stroke, ink)] * 3 + [stroke], axis=-1)
        paths.append(tmp_path / f"{number}.png")
        Image.fromarray(layers).save(paths[-1])
    opaque = tmp_path / "opaque.png"
    Image.fromarray(strokes[0]).save(opaque)
    pixels, notes = read(*paths, opaque)
    np.testing.assert_array_equal(pixels[:5], strokes if ink else 255 - strokes)
    np.testing.assert_array_equal(pixels[5], strokes[0])
    assert notes == [f"transparent images were laid on {background}"]


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_orientation_is_applied(tmp_path, orientation, suffix):
    upright = np.zeros([28, 28], np.uint8)
    upright[:14, :14], upright[:14, 14:], upright[14:, :14] = 250, 150, 80
    turned = {  # how the pixels lie, by the EXIF standard: row 0 and column 0 are which sides
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: upright.T[::-1],
        7: upright.T[::-1, ::-1],
        8: upright.T[:, ::-1],
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(turned).save(path, exif=exif, quality=100)
    assert np.abs(np.float64(read(path)[0][0]) - upright).max() < 10


def test_jpegs_of_colours_and_of_print(tmp_path):
    image = Image.fromarray(np.uint8(noise(4, 4, 3)).repeat(7, 0).repeat(7, 1))
    image.save(tmp_path / "a.jpg", quality=100, subsampling=0)
    image.convert("CMYK").save(tmp_path / "b.jpg", quality=100)
    expected = np.asarray(image) @ [0.299, 0.587, 0.114]
    pixels, notes = read(tmp_path / "a.jpg", tmp_path / "b.jpg")
    assert np.abs(pixels[0] - expected).max() < 4
    assert np.abs(pixels[1] - expected).max() < 8
    assert notes == ["colours became their luminance"]


def test_grey_that_is_kept_as_colour_is_no_colour(tmp_path):
    Image.fromarray(noise(28, 28)).convert("RGB").save(tmp_path / "a.png")
    assert read(tmp_path / "a.png")[1] == []


def test_many_files_keep_their_order(tmp_path):
    images = noise(1100, 28, 28)
    paths = [
        tmp_path / f"{number}.{'bmp' if number % 300 == 7 else 'png'}" for number in range(1100)
    ]
    for image, path in zip(images, paths, strict=True):
        Image.fromarray(image).save(path)
    np.testing.assert_array_equal(read(*paths)[0], images)


# ---- Sizes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["png", "bmp"])
@pytest.mark.parametrize(("height", "width"), [(56, 56), (100, 40), (7, 14), (280, 281), (1, 50)])
def test_images_are_scaled_with_their_aspect_and_padded(tmp_path, height, width, suffix):
    coarse = Image.fromarray(noise(3, 3)).resize((width, height), Image.Resampling.BICUBIC)
    border = 200
    framed = np.asarray(coarse).copy()
    framed[0], framed[-1], framed[:, 0], framed[:, -1] = [border] * 4
    image = Image.fromarray(framed)
    image.save(tmp_path / f"a.{suffix}")
    with pytest.raises(UserError) as error:
        read(tmp_path / f"a.{suffix}")
    assert one_line(str(error.value), "row 0: ", f"{width}x{height} pixels", "--resize")

    longest = max(height, width)
    size = max(1, round(width * 28 / longest)), max(1, round(height * 28 / longest))
    expected = Image.new("L", (28, 28), border)
    scaled = image.resize(size, Image.Resampling.BILINEAR)  # Pillow's has antialias
    expected.paste(scaled, ((28 - size[0]) // 2, (28 - size[1]) // 2))
    pixels, _ = read(tmp_path / f"a.{suffix}", resize=True)
    assert np.abs(np.float64(pixels[0]) - np.asarray(expected)).max() <= 2
    arrays = pictures.fit_all(np.asarray(image)[None])
    assert np.abs(np.int32(arrays) - pixels).max() <= 1


def test_fine_lines_are_averaged_rather_than_lost(tmp_path):
    lines = np.zeros([280, 280], np.uint8)
    lines[::4] = 255
    Image.fromarray(lines).save(tmp_path / "a.png")
    pixels, _ = read(tmp_path / "a.png", resize=True)
    assert np.abs(pixels[0, 2:-2].astype(float) - 255 / 4).max() < 12


def test_an_image_that_fits_is_not_changed(tmp_path):
    image = noise(28, 28)
    Image.fromarray(image).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read(tmp_path / "a.png", resize=True)[0][0], image)


def test_transparent_images_are_scaled_with_what_is_behind_them(tmp_path):
    layers = np.zeros([56, 56, 4], np.uint8)
    layers[::2, :, 3] = 255  # black lines, on white a middle grey
    Image.fromarray(layers).save(tmp_path / "a.png")
    pixels, notes = read(tmp_path / "a.png", resize=True)
    assert np.abs(pixels[0, 2:-2].astype(float) - 127.5).max() < 12
    assert notes == ["transparent images were laid on white"]


# ---- Files that are none -------------------------------------------------------------------------


def picture_bytes(kind="PNG"):
    file = io.BytesIO()
    Image.fromarray(noise(28, 28)).save(file, kind)
    return file.getvalue()


PNG, JPEG = picture_bytes(), picture_bytes("JPEG")


@pytest.mark.parametrize("content", [b"", PNG[:8], b"<html>", PNG[:60], PNG[:-40], JPEG[:99]])
def test_what_cannot_be_read_is_named(tmp_path, content):
    good, bad = tmp_path / "good.png", tmp_path / "bad.png"
    good.write_bytes(picture_bytes())
    bad.write_bytes(content)
    with pytest.raises(UserError) as error:
        read(good, bad)
    assert one_line(str(error.value), "row 1: ", str(bad), "no readable image")


def test_a_bomb_is_refused(tmp_path):
    Image.new("1", (20_000, 20_000)).save(tmp_path / "a.tiff", compression="group4")
    with pytest.raises(UserError, match="no readable image"):
        read(tmp_path / "a.tiff", resize=True)


def test_the_bar_is_for_long_work_only(tmp_path, capfd):
    (tmp_path / "a.png").write_bytes(picture_bytes())
    read(tmp_path / "a.png")
    assert capfd.readouterr() == ("", "")


def test_a_flipped_bit_of_a_png_is_noticed_or_harmless(tmp_path):
    path = tmp_path / "a.png"
    whole = picture_bytes()
    path.write_bytes(whole)
    expected, refused = read(path)[0], 0
    for position in rng.integers(0, 8 * len(whole), 25):
        content = bytearray(whole)
        content[position // 8] ^= 1 << position % 8
        path.write_bytes(content)
        try:
            np.testing.assert_array_equal(read(path)[0], expected)
        except UserError as error:
            refused += 1
            assert one_line(str(error))
    assert refused > 20
