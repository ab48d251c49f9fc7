"""YOLOv4-tiny (Wang et al. 2021, *Scaled-YOLOv4*, section 4; Jiang et al. 2020), written down as a Darknet cfg.

The published weights belong to this description with 80 classes (COCO) at 416x416.
"""

ANCHORS = "10,14, 23,27, 37,58, 81,82, 135,169, 344,319"


def yolov4_tiny_cfg(*, classes: int = 80, size: tuple[int, int] = (416, 416)) -> str:
    """The text of a cfg file that `models.darknet.Darknet` and other readers of the format understand.

    Two convolutions that halve the map, three blocks whose second half of the channels takes a way of its own (cross
    stage partial) and which end with a 2x2 maximum, then a head at stride 32, and one at stride 16 that joins the last
    block's 1x1 convolution to the upsampled map. The smallest anchor is in neither head's mask, as published.

    Args:
        classes: Number of classes.
        size: (height, width) of the input, multiples of 32.
    """
    channels = 3 * (5 + classes)
    parts = [_section("net", height=size[0], width=size[1], channels=3), _conv(32, 3, stride=2), _conv(64, 3, stride=2)]
    parts += [part for width in (64, 128, 256) for part in _block(width)]
    parts += [_conv(512, 3), _conv(256, 1), _conv(512, 3), _last(channels), _yolo("3,4,5", classes)]
    parts += [_section("route", layers=-4), _conv(128, 1), _section("upsample", stride=2)]
    parts += [_section("route", layers="-1,23"), _conv(256, 3), _last(channels), _yolo("1,2,3", classes)]
    return "\n".join(parts)


def _block(width: int) -> list[str]:
    return [
        _conv(width, 3),
        _section("route", layers=-1, groups=2, group_id=1),
        _conv(width // 2, 3),
        _conv(width // 2, 3),
        _section("route", layers="-1,-2"),
        _conv(width, 1),
        _section("route", layers="-6,-1"),
        _section("maxpool", size=2, stride=2),
    ]


def _conv(filters: int, size: int, *, stride: int = 1) -> str:
    shape = {"filters": filters, "size": size, "stride": stride, "pad": 1}
    return _section("convolutional", batch_normalize=1, **shape, activation="leaky")


def _last(filters: int) -> str:
    return _section("convolutional", filters=filters, size=1, stride=1, pad=1, activation="linear")


def _yolo(mask: str, classes: int) -> str:
    return _section("yolo", mask=mask, anchors=ANCHORS, classes=classes, num=6, scale_x_y=1.05)


def _section(kind: str, **options: object) -> str:
    return "\n".join([f"[{kind}]", *(f"{name}={value}" for name, value in options.items()), ""])
