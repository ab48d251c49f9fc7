"""The knobs of a sweep: what is varied, how often, how long each training is, and where the runs go."""

from dataclasses import dataclass, field
from typing import Literal

from tyro.conf import UseAppendAction

from reidgen.config.base import check_counts, check_not_negative, check_seed, require
from reidgen.config.extend import ExtendConfig
from reidgen.config.reid import ReidConfig, UnsupervisedConfig
from reidgen.config.reid.ranking import EvaluateConfig
from reidgen.config.reid.ways import WAYS
from reidgen.config.sweep.arms import BASELINE, Arm, read_arm
from reidgen.config.sweep.axes import Axis, read_axis
from reidgen.errors import option

SweepPreset = Literal["none", "people", "crops", "share", "worth", "ways"]
# Alvarez-Gonzalez, thesis, section 5.2: people by tens, table 5.10; crops of each real person by fives, table 5.11.
PRESET_AXES: dict[SweepPreset, tuple[str, ...]] = {
    "none": (),
    "people": ("people=0,10,...,320",),
    "crops": ("crops=0,5,...,135", "label=same"),
    "share": ("real=all,1/2,1/4,1/8", "generated=without,with"),
    "worth": ("real=all,1/2,1/4,1/8,1/16,0",),
    "ways": (f"way={','.join(WAYS)}",),
}


@dataclass(frozen=True, kw_only=True)
class SweepConfig:
    """Many re-ID trainings from one description. The axes make a grid, and each point has several seeds.

    Attributes:
        preset: Sweeps of Alvarez-Gonzalez, thesis. "people": 0, 10, ... 320 generated people as new identities.
            "crops": 0, 5, ... 135 generated crops for each real person. "share": half, a quarter and an eighth of the
            real people, with and without generated crops. "worth": all of them down to a sixteenth and none, for
            `arm`. "ways": the ways of using turned people without labels (axis `way`), for `trains` "unsupervised".
            "none" leaves it to `axis`.
        axis: NAME=V1,V2,... varies one thing: people, crops (per person), real (share of the real train people:
            all,1/2,1/4; 0 leaves generated crops, or the network that a training starts from), generated
            (without,with), or any option of extend and of the training. A,B,...,Z goes on in steps of B - A. Several
            axes give the grid. One that the preset has too takes its place.
        arm: "NAME: OPTION=VALUE ..." is compared with the baseline, which has none of it: generated=DIR adds a table
            of generated crops, weights=RUN is another start, and any option of extend and of the training may stand
            there. Several arms are compared with one baseline.
        seeds: Trainings of each point, with the seeds seed, seed + 1 and so on.
        length: "steps" gives every training the steps that the epochs are on the whole real table, so that more crops
            are not more training. "epochs" gives each the epochs of its own table, as Alvarez-Gonzalez did, and a
            way with sequences or mask images twice as many as the others, as its source did: part of a gain is then the
            longer training.
        trains: "reid" trains with labels, as train-reid. "unsupervised" trains without, as train-unsupervised; its
            length is epochs times steps an epoch.
        extend: Options of extend that no axis varies.
        reid: Options of train-reid that no axis varies. Steps given here, or as an axis, are the length.
        unsupervised: Options of train-unsupervised that no axis varies.
        evaluate: Protocol of all evaluations.
        launcher: "local" runs worker processes on this machine, "ray" on a Ray cluster whose machines share the disk
            (extra: ray).
        workers: Trainings at once. None: one for each GPU, or for each four CPU cores; on Ray as many as fit.
        threads: CPU threads of each. None: the cores, shared among the workers; 4 on Ray. Another number may change
            the last digits of a result.
        retries: How often a run is taken up again after its worker died.
        ray_address: Address of the cluster; "local" starts one on this machine, "auto" finds the running one.
    """

    preset: SweepPreset = "none"
    axis: UseAppendAction[tuple[str, ...]] = ()
    arm: UseAppendAction[tuple[str, ...]] = ()
    seeds: int = 3
    length: Literal["steps", "epochs"] = "steps"
    trains: Literal["reid", "unsupervised"] = "reid"
    extend: ExtendConfig = field(default_factory=ExtendConfig)
    reid: ReidConfig = field(default_factory=ReidConfig)
    unsupervised: UnsupervisedConfig = field(default_factory=UnsupervisedConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
    launcher: Literal["local", "ray"] = "local"
    workers: int | None = None
    threads: int | None = None
    retries: int = 2
    ray_address: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        check_counts(self, "seeds", "workers", "threads")
        check_not_negative(self, "retries")
        check_seed(self.seed)
        fix = f"{option('seed')} for the first seed, {option('seeds')} for how many"
        for name in ("extend", "reid", "unsupervised", "evaluate"):
            own = getattr(self, name).seed
            require(own == 0, f"{option(f'{name}.seed')} is set by the sweep.", got=own, allowed="0", fix=fix)
        self._check_trains()
        self._check_arms()
        names = [read_axis(text, type(self.training)).name for text in self.axis]
        require(len(set(names)) == len(names), "An axis is given twice.", got=", ".join(names), allowed="each once")
        both = {"steps", "epochs"} <= {axis.name for axis in self.axes}
        require(not both, "Steps and epochs cannot both be axes.", got="both", allowed="one of them")

    def _check_trains(self) -> None:
        other = "unsupervised" if self.trains == "reid" else "reid"
        plain: dict[str, object] = {"reid": ReidConfig(), "unsupervised": UnsupervisedConfig()}
        require(
            getattr(self, other) == plain[other],
            f"Options of {option(other)} are for {option(trains=other)}.",
            got=option(trains=self.trains),
            allowed=option(trains=other),
            fix=option(trains=other),
        )

    def _check_arms(self) -> None:
        names = [arm.name for arm in self.arms]
        blind, own_length = self.trains != "reid", self.length != "steps"
        require(len(set(names)) == len(names), "Two arms have one name.", got=", ".join(names), allowed="each once")
        for wrong, fix in ((blind, option(trains="reid")), (own_length, option(length="steps"))):
            what = f"Arms are trainings with labels, of equal {option('reid.steps')}."
            require(not (names and wrong), what, got=", ".join(names), allowed=fix, fix=fix)
        none = any(axis.name == "real" and 0 in axis.values for axis in self.axes)
        require(not (blind and none), "No real people are no crops to cluster.", got="0", allowed="shares above 0")

    @property
    def arms(self) -> tuple[Arm, ...]:
        """What is compared with the baseline."""
        return tuple(map(read_arm, self.arm))

    @property
    def training(self) -> ReidConfig | UnsupervisedConfig:
        """The options of all trainings that no axis varies."""
        return self.reid if self.trains == "reid" else self.unsupervised

    @property
    def axes(self) -> tuple[Axis, ...]:
        """What is varied: the preset's axes, then others, then the arms; one given by hand replaces the preset's."""
        read = [read_axis(text, type(self.training)) for text in (*PRESET_AXES[self.preset], *self.axis)]
        if self.arm:
            read.append(Axis("arm", "sweep", (BASELINE, *(arm.name for arm in self.arms))))
        return tuple({axis.name: axis for axis in read}.values())

    @property
    def all_seeds(self) -> range:
        """The seeds of each point."""
        return range(self.seed, self.seed + self.seeds)
