import numpy as np
import pytest
import torch

from reidgen.errors import DataError
from reidgen.metrics.distance import cosine_distance, distance_to, euclid_distance


def test_worked_values():
    query, gallery = torch.tensor([[1.0, 0.0]]), torch.tensor([[2.0, 0.0], [0.0, 3.0], [-1.0, 0.0], [1.0, 1.0]])
    np.testing.assert_allclose(cosine_distance(query, gallery)[0], [0, 1, 2, 1 - 2**-0.5], atol=1e-6)
    np.testing.assert_allclose(euclid_distance(query, gallery)[0], [1, 10**0.5, 2, 1], atol=1e-6)


def test_euclid_agrees_with_the_definition():
    generator = torch.Generator().manual_seed(0)
    query, gallery = (torch.randn(n, 16, dtype=torch.float64, generator=generator) for n in (5, 9))
    np.testing.assert_allclose(euclid_distance(query, gallery), (query[:, None] - gallery).norm(dim=2), atol=1e-12)


def test_a_zero_vector_is_at_cosine_distance_one():
    assert cosine_distance(torch.zeros(1, 3), torch.ones(1, 3)).item() == 1


@pytest.mark.parametrize("metric", ["cosine", "euclid"])
def test_half_precision_is_computed_in_float32(metric):
    features = torch.randn(4, 300, generator=torch.Generator().manual_seed(0)).bfloat16()
    result = distance_to(features, metric)(features)
    assert result.dtype == torch.float32
    np.testing.assert_array_equal(result, distance_to(features.float(), metric)(features.float()))


def test_bad_input_is_told():
    with pytest.raises(DataError, match="embeddings do not fit"):
        cosine_distance(torch.ones(2, 3), torch.ones(2, 4))
    with pytest.raises(DataError, match=r"metric is unknown\.\n  got: l1\n  allowed: cosine, euclid"):
        distance_to(torch.ones(2, 3), "l1")
