"""The optimizers' formulas as plain loops over Python floats (float64), slow and naive.

Each function returns the whole path, ``path[t][j]`` being element j after t steps.
``gradient(theta, t)`` gives the gradient of step t = 1, 2, ... at ``theta``.
"""

from collections.abc import Callable
from math import sqrt

Gradient = Callable[[list[float], int], list[float]]


def sgd(
    theta: list[float],
    gradient: Gradient,
    steps: int,
    lr: float,
    momentum: float = 0.0,
    dampening: float = 0.0,
    nesterov: bool = False,
    weight_decay: float = 0.0,
) -> list[list[float]]:
    path = [list(theta)]
    b = [0.0] * len(theta)
    for t in range(1, steps + 1):
        old = path[-1]
        grads = gradient(old, t)
        new = []
        for j in range(len(theta)):
            g = grads[j] + weight_decay * old[j]
            b[j] = g if t == 1 else momentum * b[j] + (1 - dampening) * g
            move = g
            if momentum > 0:
                move = g + momentum * b[j] if nesterov else b[j]
            new.append(old[j] - lr * move)
        path.append(new)
    return path


def adam(
    theta: list[float],
    gradient: Gradient,
    steps: int,
    lr: float,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    amsgrad: bool = False,
    decoupled: bool = False,
) -> list[list[float]]:
    beta1, beta2 = betas
    path = [list(theta)]
    m = [0.0] * len(theta)
    v = [0.0] * len(theta)
    largest = [0.0] * len(theta)
    for t in range(1, steps + 1):
        old = path[-1]
        grads = gradient(old, t)
        new = []
        for j in range(len(theta)):
            g = grads[j] if decoupled else grads[j] + weight_decay * old[j]
            m[j] = beta1 * m[j] + (1 - beta1) * g
            v[j] = beta2 * v[j] + (1 - beta2) * g * g
            largest[j] = max(largest[j], v[j])
            m_hat = m[j] / (1 - beta1**t)
            v_hat = (largest[j] if amsgrad else v[j]) / (1 - beta2**t)
            kept = 1 - lr * weight_decay if decoupled else 1.0
            new.append(kept * old[j] - lr * m_hat / (sqrt(v_hat) + eps))
        path.append(new)
    return path
