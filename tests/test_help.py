"""`--help` can be read: what is used most comes first, the rest in groups by topic, examples that run stand last."""

import dataclasses
import json
import re
import shlex
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

import reidgen.cli
from reidgen.cli import GENERATE, VERBS, main
from reidgen.cli.examples import FIRST
from reidgen.cli.groups import FURTHER, GROUPS, UNTOLD, described, grouped, title_of
from reidgen.cli.verb import Named
from reidgen.config import ReidConfig

MANY, TOP = 10, 16  # options above which a verb has groups; those of the first group: inputs, flags and ten
STRAY = 3  # options of a verb that need no group yet
ALL = {verb.name: verb for verb in (*VERBS.values(), *GENERATE.values())}
EXAMPLES = re.findall(r"^reidgen .*", Path(reidgen.cli.__file__).with_name("examples.txt").read_text(), re.MULTILINE)


def configs(verb):
    """A verb's config, or those of its names."""
    config = verb.config
    return [config.config(name) for name in config.names] if isinstance(config, Named) else [config]


def helped(verb, capsys, *more):
    with pytest.raises(SystemExit) as end:
        main([*verb.split(), *more, "--help"])
    assert end.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("name", ALL)
def test_help_has_groups_and_three_examples_where_options_are_many(name, capsys):
    text = helped(name, capsys)
    boxes = re.split(r"^[ ╭─]+(?:[a-z. -]+ )?options[ ─╮]*$", text, flags=re.MULTILINE)[1:]
    counts = [len(re.findall(r"^(?:│ |  )--", box, re.MULTILINE)) for box in boxes]
    examples = [line for line in text.splitlines() if line.startswith("  reidgen ")]
    if sum(counts) <= MANY:
        assert not examples
        return
    assert len(examples) == 3 and all(line.startswith(f"  reidgen {name} --") for line in examples)
    assert len(boxes) > 1 or name == "report"
    assert MANY - 5 <= counts[0] <= TOP
    stray = counts[-1] if f"{FURTHER} options" in text else 0
    assert stray <= STRAY, "options that no group of cli/groups.py has"
    assert text.index("--out") < text.index("--seed")


@pytest.mark.parametrize("name", ALL)
def test_every_option_is_in_one_group_of_the_parser(name):
    for config in configs(ALL[name]):
        found = [one for _, names in grouped(config, FIRST.get(name, ())) for one in names]
        assert sorted(found) == sorted(field.name for field in dataclasses.fields(config))


@pytest.mark.parametrize("line", EXAMPLES)
def test_examples_are_understood(line, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    words = shlex.split(line)[1:]
    main(words if "--dry-run" in words else [*words, "--dry-run"])
    assert json.loads(capsys.readouterr().out)["stage"] in ALL
    assert list(tmp_path.iterdir()) == []


def test_groups_name_what_there_is():
    fields = {field.name for verb in ALL.values() for one in configs(verb) for field in dataclasses.fields(one)}
    patterns = [pattern for text in GROUPS.values() for pattern in text.split()]
    assert len(patterns) == len(set(patterns))
    assert not [one for one in patterns if not any(fnmatchcase(name, one) for name in fields)]
    firsts = {name: set(first) for name, first in FIRST.items()}
    assert not [name for name, first in firsts.items() if not any(first <= has(one) for one in configs(ALL[name]))]


def has(config):
    return {field.name for field in dataclasses.fields(config)}


def test_a_name_goes_before_a_pattern():
    assert title_of("weight_decay") == "length and learning rate"
    assert title_of("gan_weight") == "loss"
    assert title_of("nobody_knows_it") == FURTHER


def test_words_of_options_are_those_of_the_docstrings():
    words = described(ReidConfig)
    assert words["warmup_from"] == "Where it grows from, as a share of lr."
    assert not has(ReidConfig()) - set(words) - set(UNTOLD)


def test_an_error_in_a_nested_option_is_told_with_its_whole_name(capsys, tmp_path):
    for words, told in (
        (["train-reid", "--data", "x", "--augment.flip", "2"], "--augment.flip is a probability."),
        (["sweep", "--real", "x", "--reid.dropout", "2"], "--reid.dropout "),
        (["sweep", "--real", "x", "--reid.augment.flip", "2"], "--reid.augment.flip is a probability."),
    ):
        with pytest.raises(SystemExit) as end:
            main([*words, "--out", str(tmp_path / "run")])
        assert end.value.code == 2
        assert capsys.readouterr().err.startswith(f"error: {told}")
