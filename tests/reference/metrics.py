"""The formulas of `metrics` and `evidence` as plain loops over Python numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence


def accuracy(predictions: Sequence[int], labels: Sequence[int]) -> float:
    right = 0
    for prediction, label in zip(predictions, labels, strict=True):
        if prediction == label:
            right += 1
    return right / len(labels)


def confusion_matrix(
    predictions: Sequence[int], labels: Sequence[int], c: int
) -> list[list[int]]:
    matrix = [[0] * c for _ in range(c)]
    for prediction, label in zip(predictions, labels, strict=True):
        matrix[label][prediction] += 1
    return matrix


def class_scores(
    predictions: Sequence[int], labels: Sequence[int], k: int
) -> tuple[float, float, float]:
    """Precision, recall and F1 of class k."""
    tp = fp = fn = 0
    for prediction, label in zip(predictions, labels, strict=True):
        if prediction == k and label == k:
            tp += 1
        elif prediction == k:
            fp += 1
        elif label == k:
            fn += 1
    precision = tp / (tp + fp) if tp + fp else 0.0
    recall = tp / (tp + fn) if tp + fn else 0.0
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return precision, recall, f1


def macro(predictions: Sequence[int], labels: Sequence[int]) -> list[float]:
    occurring = sorted({*predictions, *labels})
    rows = [class_scores(predictions, labels, k) for k in occurring]
    return [sum(column) / len(rows) for column in zip(*rows, strict=True)]


def roc_curve(
    scores: Sequence[float], labels: Sequence[int]
) -> tuple[list[float], list[float], list[float]]:
    thresholds = [math.inf, *sorted(set(scores), reverse=True)]
    positives, negatives = sum(labels), len(labels) - sum(labels)
    false, true = [], []
    for threshold in thresholds:
        fp = tp = 0
        for score, label in zip(scores, labels, strict=True):
            if score >= threshold:
                tp += label
                fp += 1 - label
        false.append(fp / negatives if negatives else math.nan)
        true.append(tp / positives if positives else math.nan)
    return false, true, thresholds


def roc_auc(scores: Sequence[float], labels: Sequence[int]) -> float:
    """Count the pairs, as the definition says."""
    wins, pairs = 0.0, 0
    for score, label in zip(scores, labels, strict=True):
        for other_score, other_label in zip(scores, labels, strict=True):
            if label == 1 and other_label == 0:
                pairs += 1
                if score > other_score:
                    wins += 1
                elif score == other_score:
                    wins += 0.5
    return wins / pairs if pairs else math.nan


def average_precision(scores: Sequence[float], labels: Sequence[int]) -> float:
    if sum(labels) == 0:
        return 0.0
    total = recall = 0.0
    for threshold in sorted(set(scores), reverse=True):
        chosen = [y for s, y in zip(scores, labels, strict=True) if s >= threshold]
        new_recall = sum(chosen) / sum(labels)
        total += (new_recall - recall) * sum(chosen) / len(chosen)
        recall = new_recall
    return total


def brier_score(probs: Sequence[Sequence[float]], labels: Sequence[int]) -> float:
    total = 0.0
    for row, label in zip(probs, labels, strict=True):
        for k, p in enumerate(row):
            total += (p - (1.0 if k == label else 0.0)) ** 2
    return total / len(labels)


def calibration_error(
    confidences: Sequence[float], happened: Sequence[int], bins: int
) -> float:
    total = 0.0
    for b in range(1, bins + 1):
        inside = [
            (confidence, event)
            for confidence, event in zip(confidences, happened, strict=True)
            if (b - 1) / bins < confidence <= b / bins or (b == 1 and confidence == 0)
        ]
        if inside:
            conf = sum(confidence for confidence, _ in inside) / len(inside)
            freq = sum(event for _, event in inside) / len(inside)
            total += len(inside) / len(happened) * abs(freq - conf)
    return total


def bootstrap_draws(
    statistic: Callable[[list[float]], float],
    values: Sequence[float],
    chosen: Sequence[Sequence[int]],
) -> list[float]:
    """The statistic of each resample, sorted."""
    draws = []
    for row in chosen:
        draws.append(statistic([values[i] for i in row]))
    return sorted(draws)


def mcnemar(first_right: Sequence[int], second_right: Sequence[int]) -> float:
    """Sum the binomial probabilities of all splits no likelier than this one."""
    b = c = 0
    for first, second in zip(first_right, second_right, strict=True):
        if first and not second:
            b += 1
        elif second and not first:
            c += 1
    n = b + c
    p = 0.0
    for k in range(n + 1):
        if math.comb(n, k) <= math.comb(n, b):
            p += math.comb(n, k) / 2**n
    return p


def labels_needed(
    labels: Sequence[float], curve: Sequence[float], accuracy: float
) -> float:
    """Walk along the curve to where it first reaches the accuracy."""
    if curve[0] >= accuracy:
        return labels[0]
    for i in range(1, len(curve)):
        if curve[i] >= accuracy:
            share = (accuracy - curve[i - 1]) / (curve[i] - curve[i - 1])
            return labels[i - 1] * (labels[i] / labels[i - 1]) ** share
    return math.inf
