"""StyleGAN3: seconds an image beside the same network with inserted zeros and dense filters, and peak memory.

    python benchmarks/stylegan3.py [--config r t] [--sizes 128x128 128x64] [--threads 2] [--repeats 2] [--small]
    python benchmarks/stylegan3.py --memory [--config r] [--batch 2]

The full-width network draws one image at a time, ours and the references' in turn, and the best of the
repetitions counts: CPU seconds over threads, and by the clock. The reference is the definition of the filtered leaky
ReLU (zeros inserted, dense two-dimensional depthwise filters, samples dropped, one operation after the other) in the
same network with torch's convolutions; "strided" is a better one, which never computes the samples that are dropped.
"Reference with grouped convolutions" is the whole network as it is usually computed: the reference's filters, and the
samples of a batch as groups of one convolution in NCHW, each with its own weights, padded by k - 1.
"Convolutions alone" are those of all layers with their modulation. With --small a quarter of the channels. --memory
takes one step of the generator (forward and backward) in a fresh process, with ours and with the strided reference,
and reports by how much the process grew above the network itself.

Whole training steps, on a GPU above all, are timed by `training.py`.
"""

import argparse
import resource
import subprocess
import sys
import time
from collections import defaultdict
from contextlib import contextmanager

import torch
from torch.nn import functional

from reidgen.config import StyleGANConfig
from reidgen.generators.weights import build_generator
from reidgen.models import stylegan3
from reidgen.models.stylegan import modulated_conv, winograd

NAMES = {"t": "stylegan3-t", "r": "stylegan3-r"}


def reference(x, up_filter, down_filter, *, down, **arguments):
    """The definition, step by step: all samples are filtered, then `down` - 1 of `down` are dropped."""
    return strided(x, up_filter, down_filter, down=1, **arguments)[:, :, ::down, ::down]


def strided(x, up_filter, down_filter, *, bias, up, down, padding, gain, slope, clamp):
    """The definition, but for samples on the way down that would be dropped."""
    y = x + bias.to(x.dtype)[:, None, None]
    count, channels, height, width = y.shape
    zeros = y.new_zeros(count, channels, height, up, width, up)
    zeros[:, :, :, 0, :, 0] = y
    y = dense_filter(functional.pad(zeros.view(count, channels, height * up, width * up), padding), up_filter, up**2)
    y = functional.leaky_relu(y, slope) * gain
    if clamp is not None:
        y = y.clamp(-clamp, clamp)
    return dense_filter(y, down_filter, 1.0, stride=down)


def dense_filter(x, taps, gain, stride=1):
    if taps is None:
        return x * gain
    kernel = (torch.outer(taps, taps) if taps.ndim == 1 else taps).flip(0, 1) * gain
    kernel = kernel.to(x.dtype).expand(x.shape[1], 1, *kernel.shape)
    return functional.conv2d(x, kernel, stride=stride, groups=x.shape[1])


def grouped(x, weight, style, demodulation, *, crop=(0, 0, 0, 0)):
    """The modulated convolution with a set of weights a sample."""
    count, channels, height, width = x.shape
    own = (weight * style[:, None, :, None, None] * demodulation[:, :, None, None, None]).flatten(0, 1)
    y = x.reshape(1, count * channels, height, width)
    y = functional.conv2d(y.contiguous(), own, padding=weight.shape[-1] - 1, groups=count)[0].unflatten(0, (count, -1))
    left, right, top, bottom = crop
    return y[:, :, top : y.shape[2] - bottom, left : y.shape[3] - right]


def plain(x, weight, style, demodulation, *, crop=(0, 0, 0, 0)):
    """Our modulated convolution with torch's own convolutions alone."""
    with computed_by(winograd, pays=lambda x, weight: False):
        return modulated_conv.modulated_conv(x, weight, style, demodulation, crop=crop)


WAYS = {
    "ours": {},
    "ours with plain convolutions": {"modulated_conv": plain},
    "strided": {"filtered_lrelu": strided, "modulated_conv": plain},
    "reference": {"filtered_lrelu": reference, "modulated_conv": plain},
    "reference with grouped convolutions": {"filtered_lrelu": reference, "modulated_conv": grouped},
}


def network(kind, size, options):
    config = StyleGANConfig(
        network=NAMES[kind], size=size, channel_base=32768 // options.share, channel_max=512 // options.share
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_generator(config).eval()


@contextmanager
def computed_by(module, **functions):
    """A module with other functions in place of its own."""
    ours = {name: getattr(module, name) for name in functions}
    vars(module).update(functions)
    try:
        yield
    finally:
        vars(module).update(ours)


def timed(work, *arguments):
    """CPU seconds over threads, and seconds by the clock."""
    clock, cpu = time.perf_counter(), time.process_time()
    work(*arguments)
    return (time.process_time() - cpu) / torch.get_num_threads(), time.perf_counter() - clock


def convolutions(generator, ws):
    """The layers' convolutions alone, on maps of the right size."""
    maps = [
        (
            layer,
            torch.randn(1, layer.weight.shape[1], *layer.plan.before.size).contiguous(
                memory_format=torch.channels_last
            ),
        )
        for layer in generator.synthesis.layers
    ]

    def work():
        for layer, x in maps:
            plain(x, *layer._factors(ws[:, 0]), crop=layer.plan.crop)

    return work


def profile(generator, ws):
    """Share of the time by kind of work, from a run that is timed part by part."""
    spent = defaultdict(float)

    def timing(kind, function):
        def wrapped(*arguments, **keywords):
            began = time.process_time()
            out = function(*arguments, **keywords)
            spent[kind] += time.process_time() - began
            return out

        return wrapped

    layer = stylegan3.SynthesisLayer
    factors = layer._factors
    parts = {"modulated_conv": "convolutions", "filtered_lrelu": "filters and leaky ReLU"}
    layer._factors = timing("modulation", factors)
    try:
        with computed_by(stylegan3, **{name: timing(kind, getattr(stylegan3, name)) for name, kind in parts.items()}):
            began = time.process_time()
            generator.synthesis(ws)
            whole = time.process_time() - began
    finally:
        layer._factors = factors
    spent["other"] = whole - sum(spent.values())
    return ", ".join(f"{kind} {100 * sec / whole:.0f} %" for kind, sec in spent.items())


@torch.no_grad()
def synthesis(options):
    ours_at = {}
    for kind in options.config:
        for size in options.sizes:
            generator = network(kind, size, options)
            ws = generator.spread(torch.randn(1, generator.w_dim))
            alone = convolutions(generator, ws)
            generator.synthesis(ws)  # so that ours, first in turn, is not the one to warm up
            best = defaultdict(lambda: (float("inf"), float("inf")))
            for _ in range(options.repeats):
                best["convolutions alone"] = min(best["convolutions alone"], timed(alone))
                for way, functions in WAYS.items():
                    with computed_by(stylegan3, **functions):
                        best[way] = min(best[way], timed(generator.synthesis, ws))
            ours_at[kind, size] = best["ours"][0]
            print(f"{NAMES[kind]} {size[0]}x{size[1]}, seconds an image (by the clock):")
            for way, (sec, clock) in best.items():
                print(f"    {way} {sec:.2f} ({clock:.2f}): {sec / best['ours'][0]:.2f} of ours")
            print("    " + profile(generator, ws))
        square, half = ours_at.get((kind, (128, 128))), ours_at.get((kind, (128, 64)))
        if square and half:
            print(f"{NAMES[kind]}: 128x64 is {square / half:.2f} times faster than 128x128")


def memory(options):
    """Each way in a process of its own."""
    for kind in options.config:
        for size in options.sizes:
            figures = []
            for way in ("ours", "strided"):
                command = [sys.executable, __file__, "--step-of", way, "--config", kind, "--batch", str(options.batch)]
                command += ["--threads", str(options.threads), "--sizes", "x".join(map(str, size))]
                command += ["--small"] if options.share > 1 else []
                lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
                figures.append([float(word) for word in lines])
            (ours, ours_whole), (theirs, their_whole) = figures
            print(
                f"{NAMES[kind]} {size[0]}x{size[1]}, batch {options.batch}: the step takes {ours:.0f} MB beside the"
                f" network, strided {theirs:.0f} MB: {ours / theirs:.2f} of it;"
                f" whole process {ours_whole:.0f} and {their_whole:.0f} MB: {ours_whole / their_whole:.2f}"
            )


def step_of(options):
    """Print the growth and the peak of this process in MB over one forward and backward pass."""
    generator = network(options.config[0], options.sizes[0], options).train()
    z = torch.randn(options.batch, generator.z_dim)
    for parameter in generator.parameters():
        parameter.grad = torch.zeros_like(parameter)
    before = peak_mb()
    with computed_by(stylegan3, **WAYS[options.step_of]):
        functional.softplus(-generator(z)).mean().backward()
    print(peak_mb() - before, peak_mb())


def peak_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", choices=NAMES, nargs="+", default=["r", "t"])
    parser.add_argument("--sizes", nargs="+", default=["128x128", "128x64"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--small", action="store_const", const=4, default=1, dest="share")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--step-of", choices=("ours", "strided"))
    options = parser.parse_args()
    options.sizes = [tuple(int(side) for side in size.split("x")) for size in options.sizes]
    return options


def main():
    options = parse()
    torch.set_num_threads(options.threads)
    if options.step_of:
        step_of(options)
    elif options.memory:
        memory(options)
    else:
        synthesis(options)


if __name__ == "__main__":
    main()
