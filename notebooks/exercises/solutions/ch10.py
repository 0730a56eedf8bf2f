"""Solutions of chapter 10."""

import numpy as np


def places(side, size):
    return 2 * (side - size + 1) ** 2


def central_square(height, width):
    side = min(height, width)
    return (height - side) // 2, (width - side) // 2, side


def mirror(images):
    return images[:, :, ::-1]


def colour_noise(covariance, normal):
    eigenvalues, eigenvectors = np.linalg.eigh(covariance)
    return eigenvectors @ (0.1 * np.sqrt(eigenvalues) * normal)


def ten_views_of(image, size):
    down, right = image.shape[0] - size, image.shape[1] - size
    corners = [(0, 0), (0, right), (down, 0), (down, right), (down // 2, right // 2)]
    five = np.stack([image[top : top + size, left : left + size] for top, left in corners])
    return np.concatenate([five, five[:, :, ::-1]])


def average(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (powers / powers.sum(axis=1, keepdims=True)).mean(axis=0)
