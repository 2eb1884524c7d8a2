"""Well-known data sets (MNIST, CIFAR, ImageNet), read from their original files."""
