"""Adaptive augmentation: milliseconds of each pipe, beside the discriminator's part of a training step.

    python benchmarks/augmentation.py [--threads 1]

The discriminator's part is what it does with one batch of reals and one of fakes: two forward passes, the backward pass
to the fakes, the backward pass to its weights. A pipe changes both batches and goes back through the fakes' changes
once. Both take turns in one process; CPU time, the best of several turns.
"""

import argparse
import time

import torch

from reidgen.generators.augmentation import ada
from reidgen.losses.gan.adversarial import discriminator_loss, generator_loss
from reidgen.models.stylegan.discriminator import Discriminator

CASES = (  # batch, size, channel_base, channel_max, turns
    (16, (64, 32), 1024, 128, 20),
    (32, (128, 64), 4096, 256, 4),
)
PIPES = (("person", 1.0), ("bgc", 0.2), ("bgc", 0.5), ("bgc", 1.0))


def milliseconds(works, turns):
    """The best of some turns of each of several works."""
    best = [float("inf")] * len(works)
    for turn in range(turns + 1):
        for i, work in enumerate(works):
            began = time.process_time()
            work()
            if turn:  # the first one warms up
                best[i] = min(best[i], 1000 * (time.process_time() - began))
    return best


def judging(network, reals, fakes):
    def work():
        own = fakes.clone().requires_grad_()
        real_logits, fake_logits = network(reals), network(own)
        torch.autograd.grad(generator_loss(fake_logits), own, retain_graph=True)
        torch.autograd.grad(discriminator_loss(real_logits, fake_logits), list(network.parameters()))

    return work


def forward(images, pipe, p):
    return lambda: ada.augment(images, p, torch.Generator().manual_seed(1), pipe=pipe)


def forward_and_backward(images, pipe, p):
    def work():
        own = images.clone().requires_grad_()
        changed = ada.augment(own, p, torch.Generator().manual_seed(2), pipe=pipe)
        torch.autograd.grad(changed, own, images)

    return work


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    torch.set_num_threads(parser.parse_args().threads)
    for batch, size, base, widest, turns in CASES:
        torch.manual_seed(0)
        reals, fakes = (2 * torch.rand(batch, 3, *size) - 1 for _ in range(2))
        network = Discriminator(size, channel_base=base, channel_max=widest)
        works = [judging(network, reals, fakes)]
        for pipe, p in PIPES:
            works += [forward(reals, pipe, p), forward_and_backward(fakes, pipe, p)]
        whole, *parts = milliseconds(works, turns)
        print(f"{batch} images of {size[0]}x{size[1]}, discriminator of {base} / {widest} channels: {whole:.1f} ms")
        for (pipe, p), once, twice in zip(PIPES, parts[::2], parts[1::2], strict=True):
            share = (once + twice) / whole
            print(f"  {pipe:6s} p = {p:3.1f}: forward {once:.1f} ms, and backward {twice:.1f} ms; a step {share:.0%}")


if __name__ == "__main__":
    main()
