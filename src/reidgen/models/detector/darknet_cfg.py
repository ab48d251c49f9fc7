"""Darknet's `.cfg` files: sections of options that describe a network layer by layer.

The names and defaults of the options are those of Darknet (Redmon; Bochkovskiy et al. 2020, *YOLOv4*). What this
reader does not know how to compute is refused by name; options that matter to training alone are left unread.
"""

from dataclasses import dataclass

from reidgen.errors import WeightsError

NETWORK = ("net", "network")
LAYERS = ("convolutional", "route", "shortcut", "maxpool", "upsample", "yolo")
MAX_NUMBER = 10**9
ACTIVATIONS = ("linear", "leaky", "mish", "relu", "logistic", "swish")
# Options that change what a layer computes, and the values that leave it as we compute it.
UNSUPPORTED: dict[str, dict[str, tuple[str, ...]]] = {
    "convolutional": {
        "binary": ("0",),
        "xnor": ("0",),
        "flipped": ("0",),
        "antialiasing": ("0",),
        "deform": ("0",),
        "share_index": ("0",),
        "assisted_excitation": ("0",),
        "stretch_sway": ("0",),
        "dilation": ("1",),
    },
    "maxpool": {"maxpool_depth": ("0",), "antialiasing": ("0",)},
    "shortcut": {"weights_type": ("none",)},
    "upsample": {"scale": ("1", "1.", "1.0")},
    "yolo": {"new_coords": ("0",)},
}


@dataclass(frozen=True)
class Section:
    """One `[kind]` of a cfg file.

    Attributes:
        kind: The word in brackets.
        line: Where it stands, counted from 1.
        options: What follows it, as text.
    """

    kind: str
    line: int
    options: dict[str, str]

    def integer(self, name: str, default: int | None = None) -> int:
        """An option that is a whole number; without a default it must be there."""
        text = self._text(name, None if default is None else str(default))
        try:
            number = int(text)
        except ValueError as error:
            raise self.wrong(name, text[:80], "a whole number") from error
        if abs(number) > MAX_NUMBER:
            raise self.wrong(name, text[:80], f"a whole number up to {MAX_NUMBER}")
        return number

    def number(self, name: str, default: float) -> float:
        """An option that is a number."""
        text = self._text(name, str(default))
        try:
            return float(text)
        except ValueError as error:
            raise self.wrong(name, text, "a number") from error

    def integers(self, name: str) -> list[int]:
        """An option that is a list of whole numbers."""
        values = self.numbers(name)
        if not all(value.is_integer() for value in values):
            raise self.wrong(name, values, "whole numbers separated by commas")
        return [int(value) for value in values]

    def numbers(self, name: str) -> list[float]:
        """An option that is a list of numbers, separated by commas."""
        text = self._text(name, None)
        try:
            return [float(value) for value in text.split(",") if value.strip()]
        except ValueError as error:
            raise self.wrong(name, text, "numbers separated by commas") from error

    def wrong(self, name: str, got: object, allowed: str) -> WeightsError:
        """The error that an option of this section has a value that it cannot have."""
        return WeightsError(
            f"The cfg's section [{self.kind}] in line {self.line} has no usable {name}.", got=got, allowed=allowed
        )

    def _text(self, name: str, default: str | None) -> str:
        text = self.options.get(name, default)
        if text is None:
            raise self.wrong(name, "no such option", f"{name}=...")
        return text


def parse_cfg(text: str) -> list[Section]:
    """The sections of a cfg file, the network's first.

    Args:
        text: The file's content; `#` and `;` begin comments.

    Raises:
        WeightsError: The text is not a cfg file, or asks for layers or options that are not supported: all of them are
            named with their lines.
    """
    sections: list[Section] = []
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.split("#")[0].split(";")[0].strip()
        if line.startswith("[") and line.endswith("]"):
            sections.append(Section(line[1:-1].strip(), number, {}))
        elif line:
            key, separator, value = line.partition("=")
            if not separator or not sections:
                raise WeightsError(
                    f"Line {number} of the cfg cannot be read.", got=raw.strip()[:80], allowed="[section] or name=value"
                )
            sections[-1].options[key.strip()] = value.strip()
    _check(sections)
    return sections


def _check(sections: list[Section]) -> None:
    if not sections or sections[0].kind not in NETWORK:
        raise WeightsError(
            "The cfg does not begin with its network.",
            got=f"[{sections[0].kind}]" if sections else "no section",
            allowed="[net] first",
        )
    told = [fault for section in sections[1:] for fault in _faults(section)]
    if told:
        raise WeightsError(
            "The cfg has layers that are not supported.",
            got="; ".join(told[:6]) + (f"; and {len(told) - 6} more" if len(told) > 6 else ""),
            allowed=f"the layers {', '.join(LAYERS)} with activations {', '.join(ACTIVATIONS)}",
            fix="another network, or an ONNX file of this one",
        )


def _faults(section: Section) -> list[str]:
    where = f"[{section.kind}] in line {section.line}"
    if section.kind not in LAYERS:
        return [where]
    activation = section.options.get("activation", "linear")
    faults = [] if activation in ACTIVATIONS else [f"{where} with activation={activation}"]
    for name, harmless in UNSUPPORTED.get(section.kind, {}).items():
        value = section.options.get(name, harmless[0])
        if value not in harmless:
            faults.append(f"{where} with {name}={value}")
    return faults
