"""The values that each preset of a translator gives to its options, with their sources."""

from typing import Any, Literal

TranslatorPreset = Literal[
    "pix2pix", "pix2pix-mask", "pix2pix-pose", "background", "background-pose", "camstyle", "spgan", "stargan", "paste"
]
Family = Literal["paired", "cycle", "domains", "paste"]

JITTER = 286 / 256  # Isola et al. 2017, appendix 6.2

# Isola et al. 2017, section 3.3 and appendix 6.2, and Kolbeinsson 2019, section 4.2: Adam 2e-4, .5; batch 1; L1 100.
PIX2PIX: dict[str, Any] = {
    "batch": 1,
    "lr": 2e-4,
    "decay": 0.0,
    "norm": "instance",  # what batch normalisation does with a batch of one
    "enlarge": JITTER,
    "sees": "image",
    "held_to": "l1",
    "judged_by": "everything",
    "l1_weight": 100.0,
}
# Kolbeinsson 2019, section 4.7: weights 70 and 30, ten target crops a source crop, batch 32.
BACKGROUND: dict[str, Any] = {
    **PIX2PIX,
    "batch": 32,
    "norm": "batch",
    "held_to": "static",
    "judged_by": "place",
    "l1_weight": 0.0,
    "foreground_weight": 70.0,
    "background_weight": 30.0,
    "targets_per_crop": 10,
    "gap": "free",
    "mask_blur": 0.0,
}
# Zhu et al. 2017, section 4 and appendix 7.1: cycle 10, identity .5 of it, 50 kept images, batch 1; the last two fifths
# of the steps with a falling rate, and crops of 286 cut to 256, as Zhong et al. 2018 (CamStyle): 30 epochs, then 20.
CAMSTYLE: dict[str, Any] = {
    "batch": 1,
    "lr": 2e-4,
    "decay": 0.4,
    "norm": "instance",
    "enlarge": JITTER,
    "cycle_weight": 10.0,
    "identity_weight": 5.0,
    "history": 50,
}
TRANSLATOR_PRESETS: dict[TranslatorPreset, dict[str, Any]] = {
    "pix2pix": PIX2PIX,
    "pix2pix-mask": {**PIX2PIX, "sees": "image-mask"},
    "pix2pix-pose": {**PIX2PIX, "sees": "image-masks"},
    "background": BACKGROUND,
    # equations 10 to 13, which the thesis proposes and leaves to others: pairs of one person, both masks seen
    "background-pose": {
        **BACKGROUND,
        "sees": "image-masks",
        "held_to": "variable",
        "judged_by": "everything",
        "targets_per_crop": 0,
        "gap": "free",
    },
    "camstyle": CAMSTYLE,
    "spgan": {**CAMSTYLE, "decay": 0.0, "similarity_weight": 2.0},  # Deng et al. 2018, section 4.2
    # Choi et al. 2018, section 6: Adam 1e-4, batch 16, five steps of the critic, the second half with a falling rate
    "stargan": {
        "batch": 16,
        "lr": 1e-4,
        "decay": 0.5,
        "norm": "instance",
        "enlarge": 1.0,
        "cycle_weight": 10.0,
        "class_weight": 1.0,
        "penalty_weight": 10.0,
        "critic_steps": 5,
    },
    "paste": {"batch": 1, "lr": 0.0, "decay": 0.0, "norm": "instance", "backgrounds": "inpainted", "kept": 256},
}
FAMILIES: dict[TranslatorPreset, Family] = {
    "camstyle": "cycle",
    "spgan": "cycle",
    "stargan": "domains",
    "paste": "paste",
}  # fmt: skip; the others are paired
OFF: dict[str, Any] = {  # values of options that a preset does not have
    "sees": "image",
    "held_to": "l1",
    "judged_by": "everything",
    "backgrounds": "inpainted",
    "gap": "free",
    "enlarge": 1.0,
    "l1_weight": 0.0,
    "foreground_weight": 0.0,
    "background_weight": 0.0,
    "mask_blur": 0.0,
    "cycle_weight": 0.0,
    "identity_weight": 0.0,
    "similarity_weight": 0.0,
    "class_weight": 0.0,
    "penalty_weight": 0.0,
    "targets_per_crop": 0,
    "history": 0,
    "critic_steps": 1,
    "kept": 0,
}
