"""Probe and K-means scores of codes whose answers are known."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from otbench.interface.artefacts import LatentCodes, Predictions
from otbench.interface.scoring import ScoreContext
from otbench.metrics.classification import CodeDimension, ProbeAccuracy
from otbench.metrics.clustering import KMeansAccuracy, KMeansARI, KMeansNMI, assign, match, whiten


def clouds(n: int, d: int = 6, classes: int = 4, noise: float = 0.1) -> LatentCodes:
    generator = torch.Generator().manual_seed(1)
    labels = torch.arange(2 * n) % classes
    centres = 3 * torch.eye(classes, d)
    codes = centres[labels] + noise * torch.randn(2 * n, d, generator=generator)
    return LatentCodes(codes[:n], codes[n:], labels[n:], classes)


def test_probe_accuracy_and_dimension(scoring: ScoreContext) -> None:
    labels = torch.arange(10)
    predicted = labels.clone()
    predicted[:3] = 9
    artefact = Predictions(predicted, labels, dimension=17, train_size=321)
    accuracy = ProbeAccuracy().compute(artefact, scoring)
    assert accuracy.value == pytest.approx(0.7)
    assert accuracy.stderr == pytest.approx((0.21 / 9) ** 0.5)
    dimension = CodeDimension().compute(artefact, scoring)
    assert (dimension.value, dimension.n, dimension.stderr) == (17, 321, None)
    assert (ProbeAccuracy().id, CodeDimension().id) == ("probe_acc[logistic]", "code_dim")


@pytest.mark.parametrize("preprocessing", ["whiten", "raw"])
def test_separate_clouds_are_found(preprocessing: str, scoring: ScoreContext) -> None:
    codes = clouds(200, d=3 if preprocessing == "whiten" else 6)
    for metric in (KMeansAccuracy, KMeansNMI, KMeansARI):
        value = metric(preprocessing).compute(codes, scoring)
        assert value.value == pytest.approx(1)
        assert value.n == 200


def test_scores_are_those_of_the_assignment(scoring: ScoreContext) -> None:
    codes = clouds(150, noise=2.0)
    starts = assign(codes.train, codes.test, 4, "raw", 3, scoring.seed)
    clusters, labels = starts.clusters[starts.best], codes.labels.numpy()
    best = max(
        np.mean(np.array(names)[clusters] == labels) for names in itertools.permutations(range(4))
    )
    values = [m("raw", 3).compute(codes, scoring).value for m in (KMeansAccuracy, KMeansNMI)]
    assert values == pytest.approx([best, normalized_mutual_info_score(labels, clusters)])
    index = KMeansARI("raw", 3).compute(codes, scoring).value
    assert index == pytest.approx(adjusted_rand_score(labels, clusters))
    assert 0.3 < best < 0.95, "an easy or a hopeless case would not test the matching"


@pytest.mark.parametrize("preprocessing", ["whiten", "raw"])
def test_the_best_start_is_the_one_that_scikit_learn_keeps(
    preprocessing: str, scoring: ScoreContext
) -> None:
    codes = clouds(150, noise=2.0)
    points = whiten(codes.train, codes.test) if preprocessing == "whiten" else None
    train, test = (codes.train, codes.test) if points is None else (x * 150**0.5 for x in points)
    kept = KMeans(4, n_init=5, random_state=7).fit(train.float().numpy())
    starts = assign(codes.train, codes.test, 4, preprocessing, 5, 7)
    assert starts.clusters.shape == (5, 150)
    assert np.array_equal(starts.clusters[starts.best], kept.predict(test.float().numpy()))
    assert len({row.tobytes() for row in starts.clusters}) > 1, "the starts must differ"


def test_mean_and_spread_are_those_of_all_starts(scoring: ScoreContext) -> None:
    codes = clouds(150, noise=2.0)
    labels = codes.labels.numpy()
    starts = assign(codes.train, codes.test, 4, "raw", 6, scoring.seed).clusters
    scores = [normalized_mutual_info_score(labels, clusters) for clusters in starts]
    mean = KMeansNMI("raw", 6, "mean").compute(codes, scoring)
    assert (mean.value, mean.n) == (pytest.approx(np.mean(scores)), 6)
    assert mean.stderr == pytest.approx(np.std(scores, ddof=1) / 6**0.5)
    assert mean.stderr > 0
    spread = KMeansNMI("raw", 6, "std")
    assert spread.compute(codes, scoring).value == pytest.approx(np.std(scores, ddof=1))
    assert spread.direction == "neutral"


def test_permuted_labels_match_perfectly() -> None:
    labels = np.random.default_rng(0).integers(0, 10, 500)
    permuted = np.random.default_rng(1).permutation(10)[labels]
    assert np.array_equal(match(permuted, labels, 10), labels)


def test_whitening_gives_equal_singular_values() -> None:
    generator = torch.Generator().manual_seed(2)
    codes = torch.randn(300, 5, generator=generator) @ torch.randn(5, 5, generator=generator) + 4
    white, other = whiten(codes, codes[:10])
    assert torch.allclose(white.T @ white, torch.eye(5).double(), atol=1e-4)
    assert torch.allclose(other, white[:10])


def test_a_collapsed_encoder_is_scored(scoring: ScoreContext) -> None:
    labels = torch.arange(100) % 4
    codes = LatentCodes(torch.ones(100, 6), torch.ones(100, 6), labels, 4)
    for preprocessing in ("whiten", "raw"):
        value = KMeansAccuracy(preprocessing).compute(codes, scoring)
        assert value.value == pytest.approx(0.25)


def test_names_carry_preprocessing_and_starts() -> None:
    assert KMeansAccuracy().id == "kmeans_acc[whiten,n_init=10]"
    assert KMeansNMI("raw", n_init=50).id == "kmeans_nmi[raw,n_init=50]"
    assert KMeansARI("raw").id == "kmeans_ari[raw,n_init=10]"
    assert KMeansAccuracy(of="mean").id == "kmeans_acc[whiten,n_init=10,mean]"
    with pytest.raises(ValueError, match="whiten, raw"):
        KMeansAccuracy("pca")
    with pytest.raises(ValueError, match="at least 1"):
        KMeansAccuracy(n_init=0)
    with pytest.raises(ValueError, match="at least 2"):
        KMeansAccuracy(n_init=1, of="std")
