from collections.abc import Callable, Iterator

import keras
import pytest


@pytest.fixture(autouse=True)
def _forget_networks() -> Iterator[None]:
    yield
    keras.backend.clear_session(free_memory=False)  # collecting garbage after each test would take a minute


@pytest.fixture(scope="session")
def build_without_weights() -> Callable[..., keras.Model]:
    """Builds a network whose weights have shapes but no memory, so that even the largest takes no time."""

    def build(build_network: Callable[..., keras.Model], *names: str, **arguments: object) -> keras.Model:
        with keras.StatelessScope(initialize_variables=False):
            model = build_network(*names, **arguments)
        keras.backend.clear_session(free_memory=False)  # or Keras would fill these weights after all, later on
        return model

    return build
