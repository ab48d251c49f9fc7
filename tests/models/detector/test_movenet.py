import numpy as np
import torch

from reidgen.models.detector.movenet import POINTS, MoveNet, Same, decode

SIDE = 6


def slow_decode(centre, regress, heat, offset):
    """The arg-max decode by loops, for one square."""

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    cells = [(y, x) for y in range(SIDE) for x in range(SIDE)]
    near = {(y, x): sigmoid(centre[0, y, x]) / (np.hypot(y - SIDE // 2, x - SIDE // 2) + 1.8) for y, x in cells}
    my, mx = max(cells, key=near.get)
    points = []
    for point in range(POINTS):
        ey, ex = my + regress[2 * point, my, mx], mx + regress[2 * point + 1, my, mx]
        likely = {(y, x): sigmoid(heat[point, y, x]) / (np.hypot(y - ey, x - ex) + 1.8) for y, x in cells}
        y, x = max(cells, key=likely.get)
        where = 4 * (x + offset[2 * point + 1, y, x]), 4 * (y + offset[2 * point, y, x])
        points.append((*where, sigmoid(heat[point, y, x])))
    return np.array(points)


def test_decode_is_that_of_loops():
    maps = [
        3 * torch.randn(3, count, SIDE, SIDE, generator=torch.Generator().manual_seed(count)) for count in (1, 34, 17)
    ]
    maps.append(torch.randn(3, 34, SIDE, SIDE, generator=torch.Generator().manual_seed(5)))
    found = decode(*maps)
    for i in range(3):
        np.testing.assert_allclose(found[i], slow_decode(*[one[i].numpy().astype(float) for one in maps]), atol=1e-4)


def test_halving_convolution_pads_below_and_right():
    layer = Same(1, 1, 3, stride=2, top=0)
    maps = torch.arange(16.0).view(1, 1, 4, 4)
    weight, bias = layer.convolution.weight[0, 0].detach(), layer.convolution.bias[0].detach()
    filled = torch.zeros(5, 5)
    filled[:4, :4] = maps[0, 0]
    slow = [[(filled[y : y + 3, x : x + 3] * weight).sum() + bias for x in (0, 2)] for y in (0, 2)]
    torch.testing.assert_close(layer(maps)[0, 0].detach(), torch.tensor(slow), atol=1e-4, rtol=1e-4)


def test_size_is_that_of_the_published_network():
    with torch.device("meta"):
        network = MoveNet()
    assert sum(parameter.numel() for parameter in network.parameters()) == 2_317_974
