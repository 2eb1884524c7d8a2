from __future__ import annotations

import gzip
import io
import socket
import struct
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
from PIL import Image

from artifact.images.decode import decode_image
from export.data.classic.cifar import read_cifar_archive
from export.data.classic.idx import read_idx
from export.data.datasets import load_dataset
from export.data.labels import imagenet_labels, imagenet_synsets
from export.errors import DataError, UsageError
from tests.makers.original_sets import write_cifar, write_idx, write_idx_set


def test_digits_come_with_scikit_learn() -> None:
    digits = load_dataset("digits", None)
    assert (len(digits.train or ()), len(digits.test)) == (1437, 360)
    assert digits.labels == tuple("0123456789")
    assert set(digits.test.labels) == set(range(10))


def test_pixels_are_those_of_the_encoded_image_under_the_serving_decoder() -> None:
    digits = load_dataset("digits", None)
    pixels = digits.test.pixels(np.arange(20), digits.policy)
    decoded = [decode_image(digits.test.encoded(index)[0], digits.policy) for index in range(20)]
    np.testing.assert_array_equal(pixels, decoded)


def test_drawn_digits_are_dark_on_white_at_any_size() -> None:
    drawn = load_dataset("drawn-digits", None)
    assert len(drawn.test) == 200
    assert drawn.train is None
    pages = [Image.open(io.BytesIO(drawn.test.encoded(index)[0])) for index in range(200)]
    assert len({page.size for page in pages}) > 150
    assert all(np.asarray(page).mean() > 127 for page in pages)


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_original_idx_files_are_read(tmp_path: Path, name: str) -> None:
    write_idx_set(tmp_path / name)
    dataset = load_dataset(name, tmp_path)
    assert (len(dataset.train or ()), len(dataset.test)) == (6, 4)
    assert dataset.test.labels.tolist() == [0, 1, 2, 3]
    assert dataset.policy.fit == ("content" if name == "mnist" else "stretch")


def test_images_without_their_labels_are_refused(tmp_path: Path) -> None:
    write_idx_set(tmp_path / "mnist")
    write_idx(tmp_path / "mnist/train-labels-idx1-ubyte.gz", np.zeros(3, np.uint8))
    with pytest.raises(DataError, match="6 images but 3 labels"):
        load_dataset("mnist", tmp_path)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"not gzip", "can't be read"),
        (gzip.compress(b"\0\0\x0d\1\0\0\0\1" + bytes(4)), "not an idx file"),
        (gzip.compress(b"\0\0\x08\1" + struct.pack(">i", 9) + bytes(4)), "holds 4 values, its header says 9"),
        (gzip.compress(bytes(1000))[:20], "can't be read"),
        (gzip.compress(b"")[:10] + b"\xff" * 50, "can't be read"),
        (gzip.compress(b"\0\0\x08\3" + struct.pack(">i", 9)), "ends within its header"),
        (gzip.compress(b"\0\0\x08\2" + struct.pack(">ii", -2, -2) + bytes(4)), "holds 4 values"),
    ],
)
def test_a_damaged_idx_file_is_named(tmp_path: Path, content: bytes, complaint: str) -> None:
    path = tmp_path / "images.gz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=complaint):
        read_idx(path)


def test_photos_are_listed_by_the_rules_of_a_manifest(tmp_path: Path) -> None:
    table = tmp_path / "photos/labels.csv"
    table.parent.mkdir()
    table.write_bytes(b"\xef\xbb\xbffilename,class_index\r\na.jpg,207\r\n")
    assert load_dataset("photos", tmp_path).test.labels.tolist() == [207]
    table.write_bytes("filename,class_index\nKäse.jpg,7\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"labels\.csv isn't UTF-8"):
        load_dataset("photos", tmp_path)
    table.write_text("name,class_index\na.jpg,7\n", encoding="utf-8")
    with pytest.raises(DataError, match="names the columns, filename and, where they are known, class_index"):
        load_dataset("photos", tmp_path)
    for wrong in ("", "dog", "1000"):
        table.write_text(f"filename,class_index\na.jpg,{wrong}\n", encoding="utf-8")
        with pytest.raises(DataError, match=rf"line 2: the class_index '{wrong}' is no whole number from 0 to 999"):
            load_dataset("photos", tmp_path)


def test_an_unknown_set_names_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"did you mean mnist\?"):
        load_dataset("mnits", None)


def test_cifar100_is_read_with_its_fine_labels(tmp_path: Path) -> None:
    planes = np.zeros((3, 3072), np.uint8)
    planes[:, 1024:2048] = 7  # green
    batch = {"data": planes, "fine_labels": [5, 99, 0], "coarse_labels": [1, 1, 1]}
    names = {"fine_label_names": [f"class {i}" for i in range(100)]}
    folder = "cifar-100-python"
    write_cifar(
        tmp_path / "cifar100/cifar-100-python.tar.gz",
        {f"{folder}/train": batch, f"{folder}/test": batch, f"{folder}/meta": names},
    )
    dataset = load_dataset("cifar100", tmp_path)
    assert len(dataset.labels) == 100
    assert dataset.test.labels.tolist() == [5, 99, 0]
    assert dataset.test.pixels(np.array([1]), dataset.policy)[0, 0, 0].tolist() == [0, 7, 0]


def test_a_pickle_that_runs_code_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return print, ("hello",)

    write_cifar(tmp_path / "a.tar.gz", {"train": Evil()})
    with pytest.raises(DataError, match="which no CIFAR file needs"):
        read_cifar_archive(tmp_path / "a.tar.gz", ["train"])


def test_an_incomplete_archive_is_named(tmp_path: Path) -> None:
    write_cifar(tmp_path / "a.tar.gz", {"train": {"data": 1}})
    with pytest.raises(DataError, match=r"a\.tar\.gz lacks test"):
        read_cifar_archive(tmp_path / "a.tar.gz", ["train", "test"])


@pytest.mark.parametrize(
    ("name", "file"), [("cifar100", "cifar-100-python.tar.gz"), ("mnist", "train-images-idx3, train-labels-idx1")]
)
def test_an_absent_set_names_the_cause_and_the_file_to_lay_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], name: str, file: str
) -> None:
    import keras

    def fail(*arguments: object, **options: object) -> None:
        print("Downloading data from https://...")
        try:
            raise URLError(socket.gaierror(-3, "Temporary failure in name resolution"))
        except URLError as error:
            raise Exception(f"URL fetch failure: {error.errno} -- {error.reason}")  # noqa: B904  as Keras does

    monkeypatch.setattr(keras.utils, "get_file", fail)
    monkeypatch.setattr(keras.datasets.mnist, "load_data", fail)
    with pytest.raises(DataError, match=r"downloaded \(.*Temporary failure in name resolution\)") as caught:
        load_dataset(name, tmp_path)
    assert file in str(caught.value)
    assert f"into {tmp_path / name}/" in str(caught.value)
    assert "Downloading data" not in "".join(capfd.readouterr())


@pytest.mark.data
def test_real_mnist_is_whole(data_dir: Path) -> None:
    mnist = load_dataset("mnist", data_dir)
    assert (len(mnist.train or ()), len(mnist.test)) == (60_000, 10_000)


@pytest.mark.data
def test_real_cifar10_has_its_published_mean(data_dir: Path) -> None:
    cifar = load_dataset("cifar10", data_dir)
    assert cifar.labels[0] == "airplane"
    mean = cifar.train.images.mean(axis=(0, 1, 2))  # type: ignore[union-attr]
    np.testing.assert_allclose(mean, (125.307, 122.950, 113.865), atol=0.01)


# Labels


def test_the_bundled_imagenet_labels_are_in_their_usual_order() -> None:
    labels = imagenet_labels()
    assert len(labels) == len(set(imagenet_synsets())) == 1000
    assert labels[0] == "tench"
    assert labels[207] == "golden retriever"
    assert imagenet_synsets()[207] == "n02099601"
