"""Local response normalization (Krizhevsky et al. 2012, section 3.3), used before batch normalization."""

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable(package="convserve")
class LocalResponseNormalization(layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Divide each activation by a power of the energy of the `size` channels centered on it at the same position.

    y = x / (k + alpha * sum of squares) ** beta, as the paper prints it: Caffe and ONNX divide alpha by
    `size`. Input and output: float [n, height, width, channels].
    """

    def __init__(
        self, size: int = 5, k: float = 2.0, alpha: float = 1e-4, beta: float = 0.75, **kwargs: object
    ) -> None:
        super().__init__(**kwargs)
        if size % 2 == 0:
            raise ValueError(f"size={size}: give an odd number, so that the window is centered on its channel")
        self.size, self.k, self.alpha, self.beta = size, k, alpha, beta

    def call(self, x: keras.KerasTensor) -> keras.KerasTensor:
        channels, reach = x.shape[-1], self.size // 2
        squares = ops.pad(ops.square(x), [(0, 0), (0, 0), (0, 0), (reach, reach)])
        energy = sum(squares[..., i : i + channels] for i in range(self.size))
        return x * ops.power(self.k + self.alpha * energy, -self.beta)

    def get_config(self) -> dict[str, object]:
        settings = {"size": self.size, "k": self.k, "alpha": self.alpha, "beta": self.beta}
        return {**super().get_config(), **settings}
