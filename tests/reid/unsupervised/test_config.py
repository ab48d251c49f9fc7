import pytest

from reidgen.config import UNSUPERVISED_RECIPES, UnsupervisedConfig, as_dict, from_dict
from reidgen.errors import ConfigError


def test_recipes_fill_what_was_not_given():
    pplr, contrast = (UnsupervisedConfig(recipe=recipe) for recipe in UNSUPERVISED_RECIPES)
    assert (pplr.parts, pplr.eps, pplr.batch, pplr.crops_per_cluster, pplr.norm_batch) == (3, 0.5, 64, 4, 16)
    assert (contrast.loss, contrast.parts, contrast.eps, contrast.pooling) == ("memory", 0, 0.6, "gem")
    assert UnsupervisedConfig(eps=0.4).eps == 0.4


def test_it_goes_to_json_and_back():
    config = UnsupervisedConfig(generated_use=("view 90:parent:5-",), cameras="proxies")
    assert from_dict(UnsupervisedConfig, as_dict(config)) == config


def test_scores_have_the_published_temperature_with_any_width():
    assert UnsupervisedConfig().scale(2048) == 1
    assert UnsupervisedConfig().scale(512) == 2
    assert UnsupervisedConfig(logit_scale=3.0).scale(512) == 3


def test_the_network_that_is_left_is_that_of_a_supervised_training():
    config = UnsupervisedConfig(backbone="resnet18", size=(64, 32), epochs=3, epoch_steps=5, batch=32, seed=4)
    reid = config.as_reid()
    assert (reid.neck, reid.backbone, reid.size, reid.steps, reid.batch, reid.seed) == (
        *("bnneck", "resnet18", (64, 32), 15, 32, 4),
    )


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"recipe": "spcl"}, "must be a name that there is"),
        ({"parts": 0}, "Only parts refine labels"),
        ({"recipe": "cluster-contrast", "parts": 3}, "neither parts nor triplets"),
        ({"eps": 1.0}, "is a Jaccard distance"),
        ({"eps": 0.0}, "must be positive"),
        ({"k1": 0}, "k1"),
        ({"beta": 1.5}, "beta"),
        ({"logit_scale": 0.0}, "logit_scale"),
        ({"precision": "fp16"}, "no scaler"),
        ({"batch": 24}, "norm_batch"),
        ({"batch": 8, "norm_batch": 8, "crops_per_cluster": 8}, "two people or more of crops_per_cluster crops"),
        ({"devices": 2, "norm_batch": None}, "norm_batch"),
        ({"epoch_steps": 0}, "epoch_steps"),
        ({"generated_use": ("view:parent",)}, "cannot be read"),
        ({"generated_use": ("view:parent:5-5",)}, "cannot be read"),
        ({"generated_use": ("view:child:0-",)}, "cannot be read"),
    ],
)
def test_what_does_not_go_together_is_an_error(changes, text):
    with pytest.raises(ConfigError, match=text):
        UnsupervisedConfig(**changes)


def test_plain_clustering_is_a_setting():
    config = UnsupervisedConfig(parts=0, beta=1.0, smoothing="none")
    assert config.loss == "classifier"
