"""Writes metrics.txt: 1,100 random cases and what scikit-learn 1.9 says of them. tests/metrics.rs reads it.

    python tests/reference/metrics.py > tests/reference/metrics.txt

A line is a case: its kind, its numbers, "=", its values. Probabilities of the kind b are sixty-fourths, weights of the kind m
are divided by the sum of their row, numbers of the kind r are eighths, and so are logits, of the kind l. "x" is a value that does not exist, "-" one that
scikit-learn does not give.
"""

import warnings

import numpy as np
from scipy.special import expit, softmax
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve

warnings.simplefilter("ignore")
rng = np.random.default_rng(20)
BINS = 7


def text(value):
    if value == "-":
        return "-"
    if value is None or not np.isfinite(value):
        return "x"
    return f"{value:.13g}"


def words(array):
    return ",".join(str(int(x)) for x in np.ravel(array))


def calibration(right, p):
    """The mean distance over the bins of calibration_curve."""
    frequency, mean = calibration_curve(right, p, n_bins=BINS)
    counts = np.bincount(np.searchsorted(np.linspace(0, 1, BINS + 1)[1:-1], p), minlength=BINS)
    return np.sum(counts[counts > 0] / len(p) * np.abs(frequency - mean))


def line(*parts):
    print(" ".join(parts))


def binary():
    n = int(rng.choice([1, 2, 3, 8, 20, 40]))
    share = rng.choice([0.0, 0.1, 0.5, 0.9, 1.0], p=[0.05, 0.2, 0.5, 0.2, 0.05])
    y = (rng.random(n) < share).astype(int)
    k = np.clip(np.round(rng.normal(32 + 12 * (2 * y - 1), rng.choice([4, 16, 40]))), 0, 64).astype(int)
    if rng.random() < 0.2:
        k = k // 16 * 16
    p = k / 64
    predicted = (p > 0.5).astype(int)
    seen = (y | predicted).any()
    one = {"labels": [1], "average": "macro", "zero_division": 0.0}
    values = [
        sk.accuracy_score(y, predicted),
        sk.precision_score(y, predicted, **one) if seen else None,
        sk.recall_score(y, predicted, **one) if seen else None,
        sk.f1_score(y, predicted, **one) if seen else None,
        sk.roc_auc_score(y, p) if len(set(y)) == 2 else None,
        sk.average_precision_score(y, p) if y.any() else None,
        sk.log_loss(y, p, labels=[0, 1]),
        calibration(y, p),
    ]
    line("b", words(y), words(k), "=", *map(text, values))


def several():
    n, c = int(rng.choice([1, 3, 10, 25])), int(rng.integers(2, 7))
    classes = rng.permutation(c)[: int(rng.choice([1, c, c, c, c]))]
    y = rng.choice(classes, n)
    w = rng.integers(0, rng.choice([3, 10, 99]), (n, c))
    w[np.arange(n), y] += rng.integers(0, rng.choice([2, 5, 60]), n)
    w[w.sum(1) == 0, 0] = 1
    p = w / w.sum(1, keepdims=True)
    predicted = p.argmax(1)
    labels = np.arange(c)
    values = [sk.accuracy_score(y, predicted)]
    k = int(rng.integers(1, c + 1))
    values.append(sk.top_k_accuracy_score(y, p, k=k, labels=labels) if c > 2 else "-")
    for average in ["micro", "macro", "weighted"]:
        for score in [sk.precision_score, sk.recall_score, sk.f1_score]:
            values.append(score(y, predicted, average=average, zero_division=0.0))
    every = len(set(y)) == c
    ranked = {"multi_class": "ovr", "labels": labels} if c > 2 else {}
    scores = p if c > 2 else p[:, 1]
    values.append(sk.roc_auc_score(y, scores, **ranked) if every else None)
    values.append(sk.average_precision_score(y, scores) if (every if c > 2 else y.any()) else None)
    values.append(sk.log_loss(y, p, labels=labels))
    values.append(calibration(predicted == y, p.max(1)))
    values += list(sk.f1_score(y, predicted, labels=labels, average=None, zero_division=0.0))
    confusion = sk.confusion_matrix(y, predicted, labels=labels)
    line("m", str(c), str(k), words(y), words(w), words(confusion), "=", *map(text, values))


def regression():
    n, d = int(rng.choice([1, 2, 5, 20])), int(rng.integers(1, 4))
    shift = rng.choice([0, 0, 100_000])
    y = np.round(rng.normal(shift, rng.choice([1, 10, 100]), (n, d)) * 8)
    if rng.random() < 0.1:
        y[:, 0] = y[0, 0]
    p = np.round(y + rng.normal(0, rng.choice([0, 8, 100]), (n, d)))
    truth, guess = y / 8, p / 8
    r2 = sk.r2_score(truth, guess, force_finite=False) if n > 1 else None
    values = [sk.mean_absolute_error(truth, guess), sk.root_mean_squared_error(truth, guess), r2]
    line("r", str(d), words(p), words(y), "=", *map(text, values))


def logits():
    n, c = int(rng.choice([5, 10, 25])), int(rng.choice([1, 2, 3, 5]))
    y = rng.permutation(np.arange(n) % max(c, 2))
    z = rng.normal(0, rng.choice([0.5, 3]), (n, c))
    z[np.arange(n), y if c > 1 else 0] += 1.0 if c > 1 else y
    z = np.round(z * 8)
    p = expit(z[:, 0] / 8) if c == 1 else softmax(z / 8, axis=1)
    scores = p[:, 1] if c == 2 else p
    ranked = {"multi_class": "ovr"} if c > 2 else {}
    predicted = (p > 0.5).astype(int) if c == 1 else z.argmax(1)
    values = [
        sk.accuracy_score(y, predicted),
        sk.roc_auc_score(y, scores, **ranked),
        sk.average_precision_score(y, scores),
        sk.log_loss(y, p),
        calibration(y, p) if c == 1 else calibration(predicted == y, p.max(1)),
    ]
    line("l", str(c), words(y), words(z), "=", *map(text, values))


for _ in range(400):
    binary()
for _ in range(400):
    several()
for _ in range(200):
    regression()
for _ in range(100):
    logits()
