"""Margins of claims beside a plain loop over all crops."""

import numpy as np
import torch

from reidgen.filters.features.claims import Claims


def test_margins_are_those_of_a_slow_loop():
    """Crops sorted by people, as tables are: those of the last ones stand in the last columns."""
    draws = torch.Generator().manual_seed(0)
    crops = torch.nn.functional.normalize(torch.randn(300, 16, generator=draws), dim=1)
    pids, cams = torch.arange(50).repeat_interleave(6), torch.arange(6).repeat(50) % 3
    margins = Claims(crops, pids, cams, torch.arange(300), crops, pids, cams).margins(slice(0, 300))
    cosines = (crops.double() @ crops.double().T).numpy()
    for i in range(300):
        own, others = (pids == pids[i]) & (cams != cams[i]), pids != pids[i]
        wanted = cosines[i, own].max() - cosines[i, others].max()
        # two float32 sums of 16 products, each off by at most 16 roundings of 2**-24, and their difference
        np.testing.assert_allclose(margins[i], wanted, rtol=0, atol=(2 * 16 + 2) * 2**-24)


def test_a_crop_with_nobody_to_compare_with_has_no_margin():
    crops = torch.eye(4)
    pids, cams = torch.tensor([1, 1, 2, 2]), torch.tensor([1, 2, 1, 1])
    margins = Claims(crops, pids, cams, torch.arange(4), crops, pids, cams).margins(slice(0, 4))
    assert np.isneginf(margins).tolist() == [False, False, True, True]
