"""Every network of the series by name, in the order of its history.

Definitions are pure Keras 3 (layers and keras.ops), so that they build and train on any backend. Nothing here
knows about data, training, export or serving.
"""

from models import (
    alexnet,
    googlenet,
    inception_v2,
    inception_v3,
    inception_v4,
    lenet,
    resnet,
    resnet1001,
    resnet_series,
    resnext,
    senet,
    vgg,
    zfnet,
)
from models.network import Network

NETWORKS: dict[str, Network] = {
    **lenet.NETWORKS,
    **alexnet.NETWORKS,
    **zfnet.NETWORKS,
    **vgg.NETWORKS,
    **googlenet.NETWORKS,
    **inception_v2.NETWORKS,
    **inception_v3.NETWORKS,
    **inception_v4.NETWORKS,
    **resnet.NETWORKS,
    **resnet_series.NETWORKS,
    **resnet1001.NETWORKS,
    **resnext.NETWORKS,
    **senet.NETWORKS,
}
