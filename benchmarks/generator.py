"""StyleGAN2: images a second of sampling and of a training step, beside the arithmetic limit of the machine.

    python benchmarks/generator.py [--threads 1] [--network quick|full] [--precision float32|bf16] [--batch 16]

The limit is the number of multiply-adds an image, counted from the layers' shapes (convolutions and fully connected
layers, no filters, no activations), over the rate that the machine reaches in the same run: the better of a square
matrix product and a large plain 3x3 convolution, since libraries differ in which they do better. A training step counts
3 passes of the generator and 7 of the discriminator (fakes: forward, backward to the image, backward to image
and weights; reals: forward and backward to the weights and the maps), and a sixteenth of R1's 6.

The reference for the ratio "against grouped" is the same network with one set of modulated weights a sample, in one
grouped convolution, which is the form of the usual implementations. Seconds are CPU time over the number of threads.
"""

import argparse
import time

import torch
from torch.nn import functional

from reidgen.config import StyleGANConfig
from reidgen.data.pixels.store import CropStore
from reidgen.engine.devices.device import setup
from reidgen.generators import sampling
from reidgen.generators.training.style import StyleGANTraining
from reidgen.models import layers
from reidgen.models.layers import EqualConv, EqualLinear, ModulatedConv

NETWORKS = {
    "quick": {"size": (64, 32), "z_dim": 128, "w_dim": 128, "channel_base": 1024, "channel_max": 128},
    "full": {"size": (128, 64), "channel_base": 16384, "channel_max": 512},
}


def seconds(work, repeats):
    """The best of some runs: CPU seconds over threads."""
    work()
    best = float("inf")
    for _ in range(repeats):
        began = time.process_time()
        work()
        best = min(best, time.process_time() - began)
    return best / torch.get_num_threads()


def machine_rates():
    a = torch.randn(2048, 2048)
    x = torch.randn(16, 128, 64, 32).contiguous(memory_format=torch.channels_last)
    w = torch.randn(128, 128, 3, 3)
    gemm = 2048**3 / seconds(lambda: a @ a, 5)
    conv = 16 * 128 * 128 * 9 * 64 * 32 / seconds(lambda: functional.conv2d(x, w, padding=1), 5)
    return gemm / 1e9, conv / 1e9


def multiply_adds(network, *inputs):
    """Multiply-adds of one image, from the shapes that pass through each layer."""
    total = 0

    def count(module, args, output):
        nonlocal total
        if isinstance(module, EqualLinear):
            total += module.weight.numel()
        elif isinstance(module, ModulatedConv) and module.up:
            total += module.weight.numel() * args[0].shape[2] * args[0].shape[3]
        else:
            total += module.weight.numel() * output.shape[2] * output.shape[3]

    kinds = (EqualLinear, EqualConv, ModulatedConv)
    hooks = [part.register_forward_hook(count) for part in network.modules() if isinstance(part, kinds)]
    with torch.no_grad():
        network(*inputs)
    for hook in hooks:
        hook.remove()
    colours = [part for part in network.modules() if type(part).__name__ == "ToRGB"]  # these go by another way
    sizes = [shape[0] * shape[1] for shape in network.synthesis.noise_shapes[::2]] if colours else []
    return total + sum(part.conv.weight.numel() * size for part, size in zip(colours, sizes, strict=True))


def grouped_forward(self, x, w, *, gain=1.0):
    """The usual form: weights a sample, one grouped convolution."""
    count, fan_in, height, width = x.shape
    weight = self.weight * self.affine(w)[:, None, :, None, None]
    weight = weight * (weight.square().sum(dim=(2, 3, 4), keepdim=True) + 1e-8).rsqrt() * gain
    x = x.reshape(1, count * fan_in, height, width)
    if self.up:
        weight = weight.transpose(1, 2).reshape(count * fan_in, -1, *weight.shape[3:])
        y = layers.blur(functional.conv_transpose2d(x, weight, stride=2, groups=count), padding=1, gain=4.0)
    else:
        y = functional.conv2d(x, weight.flatten(0, 1), padding=weight.shape[-1] // 2, groups=count)
    return y.reshape(count, -1, *y.shape[2:])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--network", choices=NETWORKS, default="quick")
    parser.add_argument("--precision", choices=("float32", "bf16"), default="float32")
    parser.add_argument("--batch", type=int, default=16)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    config = StyleGANConfig(**NETWORKS[options.network], batch=options.batch, precision=options.precision, device="cpu")
    height, width = config.size
    store = CropStore(torch.randint(0, 256, (256, height, width, 3), dtype=torch.uint8).numpy())
    training = StyleGANTraining(config, setup("cpu", options.precision), store, ramp=True)
    training.ada_p = 0.5
    repeats = 10 if options.network == "quick" else 1

    gemm, conv = machine_rates()
    rate = max(gemm, conv) * 1e9 * options.threads
    print(
        f"{options.threads} threads, GMAC/s of each in float32: matrix product {gemm:.0f}, 3x3 convolution {conv:.0f}"
    )
    g = multiply_adds(training.average, torch.randn(1, config.z_dim))
    d = multiply_adds(training.discriminator, torch.randn(1, 3, height, width))
    step = 3 * g + 7 * d + 6 / config.penalty_interval * d
    print(
        f"{height}x{width}, GMAC an image: generator {g / 1e9:.3f}, discriminator {d / 1e9:.3f}, step {step / 1e9:.3f}"
    )

    seeds = list(range(sampling.PASS))
    w = training.average.spread(sampling.map_seeds(training.average, seeds, psi=1.0, device=training.fabric.device))
    sample = lambda: sampling.synthesize(training.average, w, seeds, device=training.fabric.device)  # noqa: E731
    sampling_sec = seconds(sample, repeats) / len(seeds)
    report("sampling, with noise and conversion to pixels", sampling_sec, g / rate)

    def step_at(number):
        def work():
            training.step = number
            training.advance()

        return seconds(work, repeats)

    interval = config.penalty_interval
    step_sec = (step_at(0) + (interval - 1) * step_at(1)) / interval / config.batch
    report(f"training step, {options.precision}, batch {config.batch}, augmentation on", step_sec, step / rate)

    z, count = torch.randn(config.batch, config.z_dim), config.batch
    whole = lambda: training.generator(z).sum().backward()  # noqa: E731
    ours = seconds(whole, repeats)
    plain, ModulatedConv.forward = ModulatedConv.forward, grouped_forward
    theirs = seconds(whole, repeats)
    ModulatedConv.forward = plain
    print(
        f"generator, forward and backward: {count / ours:.1f} images/s, {theirs / ours:.2f} times a grouped convolution"
    )


def report(what, sec, limit_sec):
    print(f"{what}: {1 / sec:.1f} images/s; limit {1 / limit_sec:.1f}; {100 * limit_sec / sec:.0f} % of the limit")


if __name__ == "__main__":
    main()
