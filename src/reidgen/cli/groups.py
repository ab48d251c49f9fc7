"""How `--help` is laid out: the options of a verb that are used most come first, the others in groups by topic."""

import dataclasses
import inspect
import re
import typing
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Annotated, Any

from tyro.conf import arg

GROUP = "config"  # parameters of the parser that hold a group of a config's fields
UNTOLD = {  # of fields that say it in no docstring
    "seed": "Where all random draws begin.",
    "device": '"auto" takes CUDA where there is one.',
}
# Title of each group, behind which tyro writes "options", and the names of its options (* stands for anything). A name
# means one thing in all verbs.
GROUPS: dict[str, str] = {
    "crop": "size split variant train_share split_names camera_map skip_unmatched mirror enlarge augment ada_* "
    "quality save_dtype targets_per_crop people cameras donors crops_per_person pictures origin seeds "
    "camera backgrounds",
    "network": "backbone base_width weights last_stride stride_in attention neck bottleneck pooling dropout compare "
    "network *_dim mapping_layers layers channel_* width passes depth blocks patch_layers norm style_mixing code "
    "scales parts sees",
    "loss": "losses loss margin label_smoothing gamma r1_interval path_weight path_interval l2_weight "
    "perceptual_* moco_* reid_weight *_weight held_to judged_by gap mask_blur history critic_steps "
    "temperature momentum smoothing beta agreement_from camera_temperature camera_negatives",
    "length and learning rate": "steps optimizer lr backbone_lr lr_generator lr_discriminator identity_lr beta1 decay "
    "weight_decay schedule decay_at warmup warmup_from frozen freeze_d ema_kimg blur_kimg moments logit_scale",
    "batch": "batch sampler crops_per_cluster norm_batch accumulate feature_batch detector_batch",
    "record and test": "snapshot_* log_steps test_* validation keep kept multi_query checked",
    "cluster": "k1 k2 eps min_samples agreement_k",
    "generated crop": "generated_*",
    "turned person": "views view_* mesh mesh_*",
    "inversion": "way search_* noise_weight tune_* tuned keeps mix weight psi",
    "ranking": "flip *_expansion expansion_* rerank* protocol embeddings",
    "picture": "person scale keyframes segment_frames compression height maps",
    "detector": "detector_*",
    "likeness of variants": "ssim_* copies_threshold diversity_threshold",
    "identity": "reid features identity_*",
    "realism": "realism_*",
    "mask and key point": "pose_model *_confidence visible_score yaw_from",
    "body": "body_points meshes mesh_size",
    "protocol": "resize file_format neighbours kid_*",
    "parts of the sweep": "extend unsupervised evaluate",
    "machine": "device devices nodes precision checkpoint_sec workers threads retries ray_address",
}
FURTHER = "further"
Groups = list[tuple[str, list[str]]]


def grouped(config: Any, first: tuple[str, ...]) -> Groups:
    """The fields of a config by the titles of their groups; those of `first`, and `seed`, have no title.

    The order of fields stays the config's within a group, the order of groups that of `GROUPS`. A verb without `first`
    has few options, and one group.
    """
    names = [field.name for field in dataclasses.fields(config)]
    if not first:
        return [("", names)]
    top = [*(name for name in first if name in names), "seed"]
    found: dict[str, list[str]] = {"": top, **{title: [] for title in (*GROUPS, FURTHER)}}
    for name in names:
        if name not in top:
            found[title_of(name)].append(name)
    return [(title, inner) for title, inner in found.items() if inner]


def title_of(name: str) -> str:
    """The group of an option: the one that names it, before one whose pattern fits it; `FURTHER` if none does."""
    lists = {title: text.split() for title, text in GROUPS.items()}
    named = [title for title, patterns in lists.items() if name in patterns]
    fitting = [title for title, patterns in lists.items() if any(fnmatchcase(name, one) for one in patterns)]
    return (named or fitting or [FURTHER])[0]


def parameters(config: Any, first: tuple[str, ...]) -> Iterator[inspect.Parameter]:
    """The parser's parameters for a config: one dataclass a group, whose fields keep their own flat names."""
    hints, words = typing.get_type_hints(type(config), include_extras=True), described(type(config))
    for number, (title, names) in enumerate(grouped(config, first)):
        kind: Any = dataclasses.make_dataclass(
            f"Group{number}",
            [
                (
                    name,
                    Annotated[hints[name], arg(prefix_name=False, help=words.get(name, UNTOLD.get(name)))],
                    _default(config, name),
                )
                for name in names
            ],
            frozen=True,
        )
        told = Annotated[kind, arg(name=title, help="")]
        yield inspect.Parameter(f"{GROUP}{number}", inspect.Parameter.KEYWORD_ONLY, annotation=told, default=kind())


def _default(config: Any, name: str) -> Any:
    value = getattr(config, name)
    return dataclasses.field(default_factory=lambda: value)


def together(kind: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """What the parser found, with the config made of its groups.

    Raises:
        ConfigError: Its values do not fit.
    """
    values: dict[str, Any] = {}
    inputs = {}
    for name, value in given.items():
        if name.startswith(GROUP):
            values |= {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        else:
            inputs[name] = value
    return {**inputs, "config": kind(**values)}


def described(config: type) -> dict[str, str]:
    """What the docstrings of a config and of its parts say of each field."""
    found: dict[str, str] = {}
    for one in config.__mro__:
        _, _, listed = (inspect.cleandoc(one.__doc__ or "")).partition("Attributes:\n")
        for entry in re.split(r"\n(?=    \S)", listed):
            name, colon, words = entry.strip().partition(":")
            if colon and name.isidentifier():
                found.setdefault(name, " ".join(words.split()))
    return found
