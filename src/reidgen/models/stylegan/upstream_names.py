"""Parameter names of the reference StyleGAN weights -> the names used here; reads no file and runs no foreign code."""

import re

from torch import Tensor

_GENERATOR = (
    (r"mapping\.fc(\d+)\.(weight|bias)", r"mapping.layers.\1.\2"),
    (r"mapping\.w_avg", r"mapping.w_avg"),
    (r"synthesis\.b4\.const", r"synthesis.const"),
    (r"synthesis\.b(\d+)\.conv0\.(weight|affine\.weight|affine\.bias)", r"synthesis.blocks.\1.up.conv.\2"),
    (r"synthesis\.b(\d+)\.conv0\.(bias|noise_strength|noise_const)", r"synthesis.blocks.\1.up.\2"),
    (r"synthesis\.b(\d+)\.conv1\.(weight|affine\.weight|affine\.bias)", r"synthesis.blocks.\1.plain.conv.\2"),
    (r"synthesis\.b(\d+)\.conv1\.(bias|noise_strength|noise_const)", r"synthesis.blocks.\1.plain.\2"),
    (r"synthesis\.b(\d+)\.torgb\.(weight|affine\.weight|affine\.bias)", r"synthesis.blocks.\1.to_rgb.conv.\2"),
    (r"synthesis\.b(\d+)\.torgb\.bias", r"synthesis.blocks.\1.to_rgb.bias"),
)
_DISCRIMINATOR = (
    (r"b\d+\.fromrgb\.(weight|bias)", r"from_rgb.\1"),
    (r"b4\.conv\.(weight|bias)", r"conv.\1"),
    (r"b4\.fc\.(weight|bias)", r"hidden.\1"),
    (r"b4\.out\.(weight|bias)", r"logit.\1"),
    (r"b(\d+)\.(conv0|conv1|skip)\.(weight|bias)", r"blocks.\1.\2.\3"),
)
# a layer's name is L, its index, its size and its channels; here the index says which layer it is
_STYLEGAN3 = (
    (r"mapping\.fc(\d+)\.(weight|bias)", r"mapping.layers.\1.\2"),
    (r"mapping\.w_avg", r"mapping.w_avg"),
    (r"synthesis\.input\.freqs", r"synthesis.input.frequencies"),
    (r"synthesis\.input\.(phases|transform|weight|affine\.weight|affine\.bias)", r"synthesis.input.\1"),
    (
        r"synthesis\.L(\d+)_\d+_\d+\.(weight|bias|affine\.weight|affine\.bias|magnitude_ema)",
        r"synthesis.layers.\1.\2",
    ),
)
# filters that the network computes, no weights
_CONSTANT = re.compile(r"(.*\.)?(resample_filter|up_filter|down_filter)")


def stylegan2_generator(weights: dict[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """Rename the reference generator's tensors.

    Returns:
        The tensors under the names of `reidgen.models.stylegan2.Generator`, and the names that belong to no part of it.
    """
    return _rename(weights, _GENERATOR)


def stylegan2_discriminator(weights: dict[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """Rename the reference discriminator's tensors, as `stylegan2_generator` does."""
    return _rename(weights, _DISCRIMINATOR)


def stylegan3_generator(weights: dict[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """Rename the tensors of the reference's StyleGAN3 generator, of either configuration.

    Returns:
        The tensors under the names of `reidgen.models.stylegan3.Generator`, in which a layer is named by its index
        alone, so that a layer keeps its name at every resolution; and the names that belong to no part of it.
    """
    return _rename(weights, _STYLEGAN3)


def _rename(weights: dict[str, Tensor], rules: tuple[tuple[str, str], ...]) -> tuple[dict[str, Tensor], list[str]]:
    renamed: dict[str, Tensor] = {}
    unknown: list[str] = []
    for name, value in weights.items():
        if _CONSTANT.fullmatch(name):
            continue
        matches = (re.sub(pattern, target, name) for pattern, target in rules if re.fullmatch(pattern, name))
        new = next(matches, None)
        if new is None:
            unknown.append(name)
        else:
            renamed[new] = value
    return renamed, unknown
