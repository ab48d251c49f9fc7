"""A backbone from its part of a config: built, or built and filled with the weights that it names."""

from typing import cast

from reidgen.backbones.timm_backbone import TimmBackbone
from reidgen.backbones.weights import Backbone, load_backbone
from reidgen.config.reid.backbone import TIMM, BackboneConfig
from reidgen.models.reid.clip import ClipResNet, ClipViT
from reidgen.models.resnet import Backbone as ResNetName
from reidgen.models.resnet import ResNet


def build_backbone(config: BackboneConfig) -> Backbone:
    """The backbone of a config, with whatever weights its modules start with.

    Raises:
        ConfigError: timm has no such network, or it does not go with the config's size.
        MissingExtraError: It is one of timm, which is not installed.
    """
    if config.of_timm:
        return TimmBackbone(config.backbone.removeprefix(TIMM), size=config.size)
    if config.backbone == "clip-resnet50":
        return ClipResNet(config.size, last_stride=config.last_stride)
    if config.backbone == "clip-vit-b16":
        return ClipViT(config.size)
    name = cast(ResNetName, config.backbone)  # the config has checked it
    return ResNet(
        name,
        stride_in=config.stride_in,
        last_stride=config.last_stride,
        attention=config.attention,
        base_width=config.base_width,
    )


def open_backbone(config: BackboneConfig) -> Backbone:
    """The backbone of a config with the weights that it names.

    Raises:
        ConfigError: timm has no such network, or it does not go with the config's size.
        MissingExtraError: It is one of timm, which is not installed.
        WeightsError: The file cannot be had or read, is of another network, or of the other stride layout.
    """
    network = build_backbone(config)
    load_backbone(network, config)
    return network


def open_resnet(config: BackboneConfig) -> ResNet:
    """The same where it has to be one of the ResNets, which alone show their stages."""
    network = open_backbone(config)
    assert isinstance(network, ResNet), f"{config.backbone} is asked for by configs that know ResNets alone"
    return network
