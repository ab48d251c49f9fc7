"""What a measurement found, with all that is needed to compare it with another."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reidgen.engine.runs.records import check_fields, read_values, write_checked
from reidgen.errors import RunError, command, option
from reidgen.fidelity.figures import kernel_key_of, key_of

RESULT = "fidelity.json"
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Fidelity:
    """How near generated crops are to real ones.

    Attributes:
        measure: "FID", or "Re-ID-FID" with the features of a re-ID network.
        points: One a set of generated crops, in the order of the training: `name`, `kimg` (None for files), `weights`
            (SHA-256, None for files), and figures: `fid`, `kid` with mean, sd and full, `precision`, `recall`,
            `density`, `coverage`, the numbers of crops `real` and `fake`, and `same_number`, the distance at the
            floor's number. With a re-ID network the first two are called `re_id_fid` and `re_id_kid`.
        floor: The same figures between two halves of the real crops.
        protocol: Everything that two figures must share to be comparable, in words.
        seen: Whether the generator learned from these real crops, in words.
        facts: dataset, split, size, hashes of the real crops (`real`) and of the feature network (`features`).
        config: The options.
    """

    measure: str
    points: list[dict[str, Any]]
    floor: dict[str, Any]
    protocol: str
    seen: str
    facts: dict[str, Any]
    config: dict[str, Any]

    @property
    def distance(self) -> float:
        """The Fréchet distance of the last set."""
        return self.points[-1][self.key]

    @property
    def key(self) -> str:
        """Name of the Fréchet distance among the figures."""
        return key_of(self.measure)

    @property
    def kid_key(self) -> str:
        """Name of the kernel distance among the figures."""
        return kernel_key_of(self.measure)

    def __str__(self) -> str:
        lines = [self._line(point["name"], point) for point in self.points]
        lines.append(self._line("floor", self.floor))
        return "\n".join([*lines, self.protocol, self.seen])

    def _line(self, name: str, figures: dict[str, Any]) -> str:
        kid = figures[self.kid_key]
        return (
            f"{name}: {self.measure} {figures[self.key]:.2f}  {self.measure.replace('FID', 'KID')} x1000 "
            f"{1000 * kid['mean']:.2f} (subsets' sd {1000 * kid['sd']:.2f})  precision {figures['precision']:.1%}  "
            f"recall {figures['recall']:.1%}  {figures['real']:,} real, {figures['fake']:,} "
            f"{'real' if name == 'floor' else 'generated'}"
        )

    def write(self, folder: Path | str) -> None:
        """Write fidelity.json."""
        write_checked(Path(folder) / RESULT, {"schema_version": SCHEMA_VERSION, **dataclasses.asdict(self)})

    @classmethod
    def read(cls, folder: Path | str) -> "Fidelity":
        """Read what `write` wrote.

        Raises:
            RunError: The folder holds no result, or a damaged one.
        """
        path = Path(folder) / RESULT
        if not path.is_file():
            raise RunError(
                f"{folder} holds no fidelity result.",
                got=f"no {RESULT}",
                allowed=f"the {option('out')} of reidgen fidelity, finished",
                fix=f"reidgen fidelity --real DIR --fake DIR {command('--out', folder)}",
            )
        found = cls(**read_values(path, cls))
        for number, figures in enumerate([*found.points, found.floor]):
            check_fields(path, figures, dict.fromkeys((found.key, found.kid_key), object), f"figures.{number}.")
        return found
