"""What a source is: its hash, its split, and what is checked before anything is trained on it."""

import numpy as np
import pytest

from tf_gen import mnist
from tf_gen.errors import UserError
from tf_gen.mnist import source
from tf_gen.mnist.source import Part

pytestmark = pytest.mark.quick
rng = np.random.default_rng(0)


def test_bundled_is_balanced_and_fixed(bundled):
    assert bundled.images.shape == (4500, 28, 28)
    assert bundled.images.dtype == np.uint8
    assert np.bincount(bundled.labels).tolist() == [450] * 10
    assert np.bincount(bundled.held_out_labels).tolist() == [50] * 10
    assert bundled.images.max() == 255
    everything = np.concatenate([bundled.images, bundled.held_out_images]).reshape(5000, -1)
    assert len(np.unique(everything, axis=0)) > 4990
    assert mnist.load("bundled").sha256 == bundled.sha256


def test_hash_depends_on_every_part(bundled):
    parts = [bundled.images, bundled.labels, bundled.held_out_images, bundled.held_out_labels]
    hashes = {bundled.sha256}
    for i in range(4):
        changed = [part.copy() for part in parts]
        changed[i].flat[0] ^= 1
        hashes.add(mnist.Source("", *changed).sha256)
    assert len(hashes) == 5


def test_evenly_takes_from_everywhere():
    rows = np.arange(100)
    assert mnist.evenly(rows, 4).tolist() == [0, 33, 66, 99]
    assert mnist.evenly(rows, 1).tolist() == [0]
    for count in (100, 1000):
        assert mnist.evenly(rows, count).tolist() == rows.tolist()


# ---- The split ----------------------------------------------------------------------------------


def part(labels):
    """Images that differ, with these labels."""
    images = rng.integers(0, 100, [len(labels), 28, 28], np.uint8)
    return Part(images, np.array(labels))


def test_every_class_is_on_both_sides_if_it_has_two_images():
    counts = {0: 100, 1: 10, 2: 9, 3: 2, 4: 1, 5: 19, 6: 20}
    labels = np.repeat(list(counts), list(counts.values()))
    found = part(rng.permutation(labels))
    train, held_out, single = source.split(found)
    assert np.bincount(held_out.labels, minlength=7).tolist() == [10, 1, 1, 1, 0, 1, 2]
    assert np.bincount(train.labels, minlength=7).tolist() == [90, 9, 8, 1, 1, 18, 18]
    assert single == ["4"]
    # By rank within the class, so that what is held out does not depend on the other classes.
    for label, count in counts.items():
        rows = np.flatnonzero(found.labels == label)
        expected = [rank for rank in range(count) if rank % 10 == 9]
        if 2 <= count < 10:
            expected = [count - 1]
        wanted = found.images[rows[expected]]
        np.testing.assert_array_equal(held_out.images[held_out.labels == label], wanted)


def test_a_class_of_one_image_is_trained_on_and_said():
    made = source.checked("there", "list", part([0, 0, 1, 2]), None, [])
    assert made.labels.tolist() == [0, 1, 2]
    assert made.hint == "only one image of 1, 2, none held out"
    many = source.checked("there", "list", part([*range(9), 8]), None, [])
    assert many.hint == "only one image of 0, 1, 2, 3, 4 and 3 more, none held out"


def test_images_of_which_none_can_be_held_out_are_refused():
    with pytest.raises(UserError, match="no class has two images"):
        source.checked("there", "list", part([0, 1, 2]), None, [])


# ---- Labels -------------------------------------------------------------------------------------


def test_labels_that_are_words_get_numbers_in_their_order():
    made = source.checked("there", "list", part(["b", "a", "b"]), part(["c", "b", "a"]), [])
    assert made.labels.tolist() == [1, 0, 1]
    assert made.held_out_labels.tolist() == [2, 1, 0]
    assert made.classes == ("a", "b", "c")
    assert [made.class_name(label) for label in (0, 2)] == ["a", "c"]
    assert made.hint == "of c all images are held out"


@pytest.mark.parametrize("labels", [["01", "2"], ["1", "256"], ["1", "-1"], ["1", "½"]])
def test_words_that_are_almost_numbers_are_words(labels):
    made = source.checked("there", "folders", part(labels * 2), None, [])
    assert list(made.classes) == sorted(labels)


def test_labels_that_are_numbers_stay_what_they_are():
    made = source.checked("there", "folders", part(["7", "10", "7", "10"]), None, [])
    assert (made.labels.tolist(), made.classes) == ([7, 10], ())
    assert made.class_name(10) == "10"
    assert made.labels.dtype == np.uint8


def test_names_of_classes_are_part_of_the_hash():
    found = part(["a", "b"] * 2)
    one = source.checked("there", "list", found, None, [])
    other = source.checked(
        "there", "list", found._replace(labels=np.array(["a", "c"] * 2)), None, []
    )
    np.testing.assert_array_equal(one.labels, other.labels)
    assert one.sha256 != other.sha256


# ---- What would be trained on in vain -----------------------------------------------------------


@pytest.mark.parametrize("which", ["train", "held out"])
@pytest.mark.parametrize(("value", "words"), [(0, "blank"), (255, "blank"), (None, "same image")])
def test_images_that_are_all_alike_are_refused(which, value, words):
    bad, good = part([0, 1, 2]), part([0, 1, 2])
    bad.images[:] = bad.images[0] if value is None else value
    train, held_out = (bad, good) if which == "train" else (good, bad)
    with pytest.raises(UserError, match=rf"there: all .*{which.split()[0]}.* {words}"):
        source.checked("there", "list", train, held_out, [])


def test_some_blank_images_are_counted():
    train, held_out = part([0, 1, 2]), part([0, 1])
    train.images[1], held_out.images[0] = 7, 0
    made = source.checked("there", "list", train, held_out, ["first"])
    assert made.hint == "first; 1 of 3 images to train are blank; 1 of 2 held-out images are blank"


def test_bright_borders_are_said_and_the_flag_inverts(bundled):
    train = Part(255 - bundled.images, bundled.labels.astype(int))
    held_out = Part(255 - bundled.held_out_images, bundled.held_out_labels.astype(int))
    bright = source.checked("there", "list", train, held_out, [])
    assert "--invert" in bright.hint
    dark = source.checked("there", "list", train, held_out, [], invert=True)
    assert (dark.hint, dark.sha256) == ("", bundled.sha256)
    wrong = mnist.load("bundled", invert=True)
    assert "without --invert" in wrong.hint
    np.testing.assert_array_equal(wrong.images, 255 - bundled.images)


def test_spec_that_is_nothing_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"--data .*nothing: neither one of auto, bundled, tfds"):
        mnist.load(str(tmp_path / "nothing"))
