import pytest

from reidgen.config import as_dict, from_dict
from reidgen.config.generators.translation import TranslatorConfig
from reidgen.config.generators.translators import OFF, TRANSLATOR_PRESETS
from reidgen.errors import ConfigError


def config(preset="background", **changes):
    cameras = {} if preset == "stargan" else {"source": 5, "target": 6}
    return TranslatorConfig(**{"preset": preset, **cameras, **changes})


@pytest.mark.parametrize("preset", TRANSLATOR_PRESETS)
def test_a_preset_and_its_json(preset):
    one = config(preset)
    assert all(getattr(one, name) == value for name, value in TRANSLATOR_PRESETS[preset].items())
    assert all(getattr(one, name) == off for name, off in OFF.items() if name not in TRANSLATOR_PRESETS[preset])
    assert from_dict(TranslatorConfig, as_dict(one)) == one


def test_the_thesis():
    """Kolbeinsson 2019, sections 4.2 and 4.7."""
    one, four = config("pix2pix"), config("background")
    assert (one.batch, one.lr, one.beta1, one.l1_weight) == (1, 2e-4, 0.5, 100)
    assert (four.batch, four.foreground_weight, four.background_weight, four.targets_per_crop) == (32, 70, 30, 10)
    assert (four.held_to, four.judged_by, four.sees) == ("static", "place", "image")
    assert one.enlarge == four.enlarge == config("camstyle").enlarge == 286 / 256
    assert config("stargan").enlarge == 1
    variable = config("background-pose")
    assert (variable.held_to, variable.judged_by, variable.targets_per_crop) == ("variable", "everything", 0)
    assert variable.needs_pose
    without = {preset for preset in TRANSLATOR_PRESETS if not config(preset).needs_masks}
    assert without == {"pix2pix", "camstyle", "spgan", "stargan"}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"source": None}, "belong together"),
        ({"target": 5}, "two cameras"),
        ({"preset": "stargan", "source": 1}, "all cameras"),
        ({"size": (128, 50)}, "halved 1 times"),
        ({"size": (8, 8)}, "halved"),
        ({"depth": 7}, "3 to 6"),
        ({"patch_layers": 5}, "1 to 4"),
        ({"preset": "pix2pix", "cycle_weight": 1.0}, "camstyle, spgan, stargan"),
        ({"preset": "pix2pix", "targets_per_crop": 10}, "targets_per_crop"),
        ({"preset": "camstyle", "l1_weight": 1.0}, "pix2pix"),
        ({"held_to": "variable"}, "targets_per_crop"),
        ({"held_to": "variable", "targets_per_crop": 0, "gap": "inpainted"}, "static loss"),
        ({"preset": "pix2pix", "gap": "inpainted"}, "gap"),
        ({"preset": "camstyle", "target": None}, "belong together"),
        ({"decay": 1.5}, "0 to 1"),
        ({"enlarge": 0.9}, "enlarge is out of range"),
        ({"preset": "paste", "enlarge": 1.1}, "enlarge is an option of other presets"),
        ({"devices": 3, "norm_batch": 8}, "shared out evenly, two crops"),
        ({"devices": 2}, "over how many crops batch normalisation works"),
        ({"devices": 2, "norm_batch": 12}, "a divisor of 16"),
        ({"batch": 1, "norm_batch": 2}, "two crops"),
        ({"preset": "pix2pix", "devices": 2}, r"shared out evenly\.\n  got: batch=1 devices=2 nodes=1"),
        ({"preset": "pix2pix", "norm_batch": 2}, "norm_batch is for norm=.batch."),
        ({"preset": "paste", "devices": 2}, "nothing to learn that devices could share"),
        ({"lr": 0.0}, "> 0"),
        ({"preset": "none"}, "camstyle"),
    ],
)
def test_what_does_not_go(changes, told):
    with pytest.raises(ConfigError, match=told):
        config(**changes)
