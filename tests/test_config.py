import ast
import dataclasses
import json
from pathlib import Path

import pytest

import reidgen.config
from reidgen.config import BackboneConfig, EncoderConfig, ReidConfig, ScheduleConfig, as_dict, from_dict
from reidgen.config.base import Part
from reidgen.engine import RunFolder
from reidgen.errors import ConfigError

SOURCE = Path(reidgen.config.__file__).parents[1]
RUNS = json.loads((Path(__file__).parent / "golden" / "runs.json").read_text())
CONFIGS = {
    name: value
    for name, value in vars(reidgen.config).items()
    if isinstance(value, type) and dataclasses.is_dataclass(value)
}
OF_STAGE = {
    "train-reid": "ReidConfig",
    "train-generator": "StyleGANConfig",
    "train-generator dcgan": "DCGANConfig",
    "train-encoder": "EncoderConfig",
    "train-translator": "TranslatorConfig",
    "generate people": "GenerateConfig",
    "generate variants": "VariantsConfig",
    "invert": "InversionConfig",
    "sweep": "SweepConfig",
    "filter": "FilterConfig",
    "render": "RenderConfig",
}


@pytest.mark.parametrize("name", CONFIGS)
def test_a_config_and_all_its_defaults_are_frozen(name):
    config = CONFIGS[name]()
    hash(config)  # of all its values, so that a list or a dictionary among them would raise
    for field in dataclasses.fields(config):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(config, field.name, getattr(config, field.name))


def test_what_functions_have_as_defaults_is_frozen():
    """A default is made once for all calls, so only what cannot be changed may be one."""
    fine = {"Path", "option", *CONFIGS}
    found = set()
    for file in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
                defaults = [one for one in (*node.args.defaults, *node.args.kw_defaults) if one is not None]
                calls = [one for default in defaults for one in ast.walk(default) if isinstance(one, ast.Call)]
                found |= {ast.unparse(call.func) for call in calls}
    assert "ReidConfig" in found
    assert found <= fine


@pytest.mark.parametrize("stage", RUNS)
def test_a_run_of_the_version_before_parts_is_the_same_run(stage, tmp_path):
    kind, run = CONFIGS[OF_STAGE[stage]], RUNS[stage]
    config = from_dict(kind, run["config"])
    assert as_dict(config) == run["config"]
    adjustable = ("accumulate",) if stage == "train-generator" else ()
    with RunFolder.begin(
        tmp_path / "run", stage=stage, config=config, inputs={"crops": "0" * 64}, adjustable=adjustable
    ) as begun:
        assert begun.identity == run["identity"]


def test_parts_check_their_own_fields_and_stand_alone():
    assert ScheduleConfig(lr=0.1).lr == 0.1
    with pytest.raises(ConfigError, match="lr must be positive"):
        ScheduleConfig(lr=0)
    with pytest.raises(ConfigError, match="backbone is unknown"):
        BackboneConfig(backbone="resnet19")
    for backbone, attention in (("timm:vit_tiny_patch16_224", "non-local"), ("timm:", "none")):
        with pytest.raises(ConfigError):
            BackboneConfig(backbone=backbone, attention=attention)


@pytest.mark.parametrize("name", [name for name, kind in CONFIGS.items() if issubclass(kind, Part)])
def test_every_part_of_a_config_is_checked(name, monkeypatch):
    """A part that does not call the next one would leave all that follow it unchecked."""
    checked = []
    monkeypatch.setattr(Part, "__post_init__", lambda self: checked.append(type(self)))
    CONFIGS[name]()
    assert checked.count(CONFIGS[name]) == 1


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        (ReidConfig, "checkpoint_sec", -1),
        (ReidConfig, "devices", 0),
        (ReidConfig, "decay_at", (0.5, 2.0)),
        (ReidConfig, "size", (2, 2)),
        (EncoderConfig, "nodes", 0),
        (EncoderConfig, "l2_weight", -1),
    ],
)
def test_a_wrong_value_is_found_in_whatever_part_it_is(kind, field, value):
    with pytest.raises(ConfigError, match=field):
        kind(**{field: value})
