"""A Keras 2 file as a Keras 3 network: the one way for such files, wherever Keras 3 could open them by itself, too."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import h5py
import keras

from export.errors import ConversionError, reason
from export.progress import say
from export.sources.keras2.network import build_network
from export.sources.keras2.record import FileRecord
from export.sources.keras2.weights import load_named_weights, load_numbered_weights

WAY = (
    "open it where tf_keras is installed (pip install tf_keras) and save a SavedModel folder, "
    "tf_keras.models.load_model('{file}').save('{folder}', save_format='tf'), and convert that folder"
)


def load_keras2_file(file: Path, record: FileRecord) -> keras.Model:
    """The network of a Keras 2 file, in Keras 3. Raises ConversionError saying what Keras 3 doesn't take, and the way
    that works.
    """
    assert record.config is not None
    try:
        network = build_network(record.config, _find_custom)
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                weights = h5py.File(io.BytesIO(archive.read("model.weights.h5")))
            load_numbered_weights(network, weights)
        else:
            with h5py.File(file) as content:
                load_named_weights(network, content["model_weights"])
    except Exception as error:  # Keras raises errors of many kinds for configurations that it doesn't know
        way = WAY.format(file=file.name, folder=file.stem)
        raise ConversionError(
            f"{file} was written by Keras {record.version or '2'} and can't be converted to Keras 3: "
            f"{reason(error)}; {way}"
        ) from error
    say(f"{file.name} was written by Keras {record.version or 2}: its configuration is converted to Keras 3")
    assert isinstance(network.layer, keras.Model)
    return network.layer


def _find_custom(name: str) -> type | None:
    """A class from --code, or one that is registered; never a layer of Keras itself."""
    found = keras.saving.get_registered_object(name) or keras.saving.get_custom_objects().get(name)
    return found if isinstance(found, type) else None
