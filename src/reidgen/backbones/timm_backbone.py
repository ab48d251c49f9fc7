"""Backbones of the package timm, named `timm:NAME` (extra: timm)."""

import difflib
from typing import Any, Literal

import torch
from torch import nn

from reidgen.config.reid.backbone import TIMM
from reidgen.errors import ConfigError, WeightsError, importing, option
from reidgen.models.reid.renormalise import Renormalise


class TimmBackbone(nn.Module):
    """A network of timm without its classifier, as a map that the embedder pools.

    Convolutional networks and those whose features stay a map give that map; the vision transformers of tokens give
    what their own head would classify (class token or mean of the tokens, after its normalisation) as a map of one
    position, which average pooling leaves as it is and "gem" would not, as tokens take both signs. Crops come in
    normalised by ImageNet's mean and deviation, and are brought to those that the network's weights were trained with.

    State-dict names are timm's, in timm's order, behind `net.`.

    Args:
        name: A name of `timm.list_models()`, with a tag such as ".in1k" or without.
        size: (height, width) of the crops; networks with a fixed grid of positions are built for it.

    Attributes:
        channels: Channels of the output.
        gives: "map", or "vector" for networks of tokens.

    Raises:
        MissingExtraError: timm is not installed.
        ConfigError: timm cannot be imported, there is no such network, or it cannot be built for this size.
    """

    def __init__(self, name: str, *, size: tuple[int, int]) -> None:
        super().__init__()
        self.name, self.size = name, size
        timm = _timm()
        if not timm.is_model(name):
            near = difflib.get_close_matches(name, timm.list_models(), n=3, cutoff=0.4)
            raise ConfigError(
                "timm has no such network.",
                got=TIMM + name,
                allowed="a name of timm.list_models()",
                fix=", or ".join(option(backbone=TIMM + one) for one in near) or option(backbone="resnet50"),
            )
        self.net = self._made(pretrained=False)
        self.channels = int(self.net.num_features)
        known = self.net.pretrained_cfg
        self.renormalise = Renormalise(known["mean"], known["std"])
        self.gives: Literal["map", "vector"] = self._probe()

    def _made(self, *, pretrained: bool) -> Any:
        timm = _timm()
        fixed = timm.get_pretrained_cfg(self.name)
        grid = {"img_size": self.size} if fixed is not None and fixed.fixed_input_size else {}
        try:
            return timm.create_model(self.name, pretrained=pretrained, num_classes=0, **grid)
        except (TypeError, AssertionError, ValueError, RuntimeError) as error:
            raise self._unfit(error) from error

    @torch.no_grad()
    def _probe(self) -> Literal["map", "vector"]:
        """What the network makes of one black crop, so that a size that it cannot take is found before training."""
        self.eval()
        try:
            features = self.net.forward_features(torch.zeros(1, 3, *self.size))
            out = self(torch.zeros(1, 3, *self.size))
        except (AssertionError, ValueError, RuntimeError) as error:
            raise self._unfit(error) from error
        self.train()
        self.channels = out.shape[1]
        return "map" if features.dim() == 4 else "vector"

    def _unfit(self, error: Exception) -> ConfigError:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        return ConfigError(
            f"timm's {self.name} cannot be built for these crops.",
            got=f"{option(size=(self.size[0], self.size[1]))}; {reason}",
            allowed="a size that its grid divides",
            fix=option(size=(256, 128)),
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Normalised images (N, 3, H, W) to a map (N, channels, h, w), or (N, channels, 1, 1)."""
        features = self.net.forward_features(self.renormalise(images))
        if features.dim() == 4 and features.shape[1] == self.channels:
            return features
        if features.dim() == 4 and features.shape[3] == self.channels:
            return features.permute(0, 3, 1, 2)
        return self.net.forward_head(features, pre_logits=True).flatten(1)[:, :, None, None]

    def initialise(self, generator: torch.Generator) -> None:
        """Random weights as timm draws them, which it does from torch's own state: that is seeded here and put back."""
        seed = int(torch.randint(2**62, (), generator=generator))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.net.load_state_dict(self._made(pretrained=False).state_dict())

    def load_pretrained(self) -> str:
        """Fill in the weights that timm has under this name, from its cache or its download; says which.

        Raises:
            WeightsError: They cannot be had, or timm has none for this network.
        """
        if self.net.pretrained_cfg.get("hf_hub_id") is None and self.net.pretrained_cfg.get("url", "") == "":
            raise WeightsError(
                f"timm has no weights for {self.name}.", allowed="a network with weights", fix=option(weights="random")
            )
        try:
            self.net.load_state_dict(self._made(pretrained=True).state_dict())
        except (OSError, RuntimeError) as error:  # no network, no such file, a broken download
            raise WeightsError(
                f"timm's weights of {self.name} cannot be had.",
                got=(str(error).splitlines() or [repr(error)])[0],
                fix=f"{option(weights='FILE.safetensors')} with timm's names, or {option(weights='random')}",
            ) from error
        return f"timm's {self.name}, {self.net.pretrained_cfg.get('tag') or 'no tag'}"


def _timm() -> Any:
    with importing("timm", extra="timm", purpose="A backbone of timm"):
        import timm
    return timm
