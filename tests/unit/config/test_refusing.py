"""What Hydra refuses, as it is told: Hydra's own words, the file, the nearest names."""

import re
import shlex
import textwrap

import pytest

from cairn.config.composing import compose
from cairn.config.places import place_of
from cairn.config.refusing import nearest_keys
from cairn.errors import ConfigurationError

SMALL = {"model/small.yaml": "layers: 2\n", "model/large.yaml": "layers: 20\n"}
TRAIN = {"config.yaml": "train:\n  lr: 1\n  epochs: 2\n"}


def refused(directory, files, overrides=(), name="config"):
    for file, text in files.items():
        path = directory / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    with pytest.raises(ConfigurationError) as caught:
        compose(directory, name, overrides)
    assert caught.value.exit_status == 2
    assert caught.value.place.startswith(str(directory))
    return caught.value, caught.value.place[len(str(directory)) :].lstrip("/")


def in_file(name, files, place, message, remedy=""):
    return pytest.param(files, place, message, remedy, id=name)


@pytest.mark.parametrize(
    ("files", "place", "message", "remedy"),
    [
        in_file(
            "missing-option", {"config.yaml": "a: 1\ndefaults:\n  - model: smal\n", **SMALL}, "config.yaml:3",
            "In 'config': Could not find 'model/smal'", "did you mean small? there is small, large",
        ),
        in_file(
            "missing-option-of-a-nested-list",
            {"config.yaml": "defaults:\n  - model: top\n", "model/top.yaml": "defaults:\n  - /model: nope\n", **SMALL},
            "model/top.yaml:2", "In 'model/top': Could not find 'model/nope'", "there is top, large, small",
        ),
        in_file(
            "missing-group", {"config.yaml": "defaults:\n  - modle: small\n", **SMALL}, "config.yaml:2",
            "In 'config': Could not find 'modle/small'", "did you mean model? the groups are model",
        ),
        in_file(
            "missing-in-a-list-of-options", {"config.yaml": "defaults:\n  - model: [small, hug]\n", **SMALL},
            "config.yaml:2", "Could not load 'model/hug'", "there is large, small",
        ),
        in_file(
            "schema-that-no-import-registers", {"config.yaml": "defaults: [base, _self_]\n"}, "config.yaml:1",
            "In 'config': Could not load 'base'", "Python that registers more is given with --config-import",
        ),
        in_file(
            "group-alone", {"config.yaml": "defaults:\n  - model\n", **SMALL}, "config.yaml:2",
            "In 'config': Could not load 'model'", "model is a group, of large, small: write `- model: large`",
        ),
        in_file(
            "file-of-the-older-ending", {"config.yml": "a: 1\n"}, "", "Cannot find primary config 'config'",
            "Hydra reads .yaml files: rename ",
        ),
        in_file(
            "search-path-that-is-none",
            {"config.yaml": "defaults:\n  - model: x\nhydra: {searchpath: ['file:///nowhere']}\n"}, "config.yaml:2",
            "In 'config': Could not find 'model/x'", "hydra.searchpath: there is no folder /nowhere",
        ),
        in_file(
            "resolver-that-is-none", {"config.yaml": "a: ${up:x}\n"}, "config.yaml:1",
            "Unsupported interpolation type up", "--config-import FILE",
        ),
        in_file(
            "variable-that-is-none", {"config.yaml": "b: 1\na: ${oc.env:CAIRN_NO_SUCH}\n"}, "config.yaml:2",
            "Environment variable 'CAIRN_NO_SUCH' not found", "${oc.env:CAIRN_NO_SUCH,DEFAULT}",
        ),
        in_file(
            "group-without-an-option", {"config.yaml": "defaults:\n  - model: ???\n", **SMALL}, "config.yaml",
            "You must specify 'model', e.g, model=<OPTION>\nAvailable options:\n\tlarge\n\tsmall",
        ),
        in_file(
            "group-twice", {"config.yaml": "defaults:\n  - model: small\n  - model: large\n", **SMALL}, "config.yaml",
            "Multiple values for model. To override a value use 'override model: large'",
        ),
        in_file(
            "defaults-that-are-no-list", {"config.yaml": "defaults:\n  a: b\n"}, "config.yaml",
            "defaults must be a list (got mapping)",
        ),
        in_file(
            "cycle", {"config.yaml": "a: ${b}\nb: ${c.d}\nc:\n  d: ${a}\n"}, "config.yaml:1",
            "Recursive interpolation detected: a → b → c.d → a",
        ),
        in_file(
            "cycle-over-two-files",
            {"config.yaml": "defaults: [model: x, _self_]\nb: ${model.y}\n", "model/x.yaml": "z: 1\ny: ${b}\n"},
            "model/x.yaml:2", "Recursive interpolation detected: model.y → b → model.y",
        ),
        in_file("cycle-of-one", {"config.yaml": "x: 1\na: ${a}\n"}, "config.yaml:2", "detected: a → a"),
        in_file(
            "relative-cycle", {"config.yaml": "n:\n  a: ${.b}\n  b: ${..n.a}\n"}, "config.yaml:2",
            "Recursive interpolation detected: n.a → n.b → n.a",
        ),
        in_file(
            "own-parent", {"config.yaml": "a:\n  b: ${a}\n"}, "config.yaml:2", "Interpolation to parent node detected"
        ),
        in_file(
            "missing-key", {"config.yaml": "a:\n  b: ${nope.x}\n"}, "config.yaml:2", "key 'nope.x' not found"
        ),
        in_file(
            "missing-value", {"config.yaml": "a: ${x}/y\nx: ???\n"}, "config.yaml:1", "Missing mandatory value: x",
            "give x=…",
        ),
        in_file("unknown-resolver", {"config.yaml": "a: ${nope:x}\n"}, "config.yaml:1", "interpolation type nope"),
        in_file(
            "no-such-variable", {"config.yaml": "a: ${oc.env:CAIRN_NOWHERE}\n"}, "config.yaml:1",
            "Environment variable 'CAIRN_NOWHERE' not found",
        ),
        in_file("grammar", {"config.yaml": "x: 1\na: ${oc.env:X\n"}, "config.yaml:2", "missing BRACE_CLOSE"),
        in_file(
            "no-yaml", {"config.yaml": "defaults: [model: small]\n", "model/small.yaml": "a: [1\nb: 2\n"},
            "model/small.yaml:2", "expected ',' or ']', but got ':'",
        ),
        in_file("unknown-tag", {"config.yaml": "b: 2\na: !foo 1\n"}, "config.yaml:2", "constructor for the tag '!foo'"),
        in_file("key-twice", {"config.yaml": "a: 1\na: 2\n"}, "config.yaml:2", "found duplicate key a"),
        in_file("no-mapping", {"config.yaml": "- 1\n"}, "config.yaml", "must be a DictConfig, got ListConfig"),
        in_file(
            "merge",
            {"config.yaml": "defaults: [model: small, _self_]\nmodel: [1]\n", **SMALL}, "config.yaml",
            "In 'config': ConfigTypeError raised while composing config:\nCannot merge DictConfig with ListConfig",
        ),
        in_file("cairn-is-a-list", {"config.yaml": "a: 1\ncairn: [1]\n"}, "config.yaml:2", "so it is a mapping"),
    ],
)  # fmt: skip
def test_of_a_file(tmp_path, files, place, message, remedy):
    error, found = refused(tmp_path, files)
    assert message in error.message
    assert found == place
    assert remedy in error.remedy


@pytest.mark.parametrize(
    ("override", "message", "remedy"),
    [
        ("train.lrr=2", "Could not override 'train.lrr'.", "did you mean train.lr or train? +train.lrr=2 adds it"),
        ("lr=2", "Could not override 'lr'.", "did you mean train.lr? +lr=2 adds it"),
        ("trian.epochs=2", "Could not override 'trian.epochs'", "did you mean train.epochs"),
        ("zzz=1", "Could not override 'zzz'", "+zzz=1 adds it; its keys are train"),
        ("~train.epoch", "Could not delete from config. 'train.epoch' does not exist.", "did you mean train.epochs"),
        ("+train.lr=3", "An item is already at 'train.lr'", ""),
        ("train.lr=[1,2", "no viable alternative at input '[1,2'", ""),
        ("train.lr", "missing EQUAL at '<EOF>'", ""),
        ("train.lr=1,2", "Ambiguous value for argument 'train.lr=1,2'", ""),
        ("train.lr=range(3)", "Sweep parameters 'train.lr=range(3)' requires --multirun", ""),
        ("model=small", "No match in the defaults list", "+model=small adds it to the defaults list: it has none"),
        ("model@x=small", "Could not override 'model@x'", "+model@x=small adds it"),
        ("+model=smal", "Could not find 'model/smal'", "did you mean small? there is small, large"),
        ("hydra.nope=1", "Key 'nope' not in 'HydraConf'", ""),
        ("hydra.mode=XX", "Invalid value 'XX', expected one of [RUN, MULTIRUN]", ""),
        ("train=[1]", "Error merging override train=[1]", ""),
        ("train.lr=${nope}", "Interpolation key 'nope' not found", ""),
    ],
)
def test_of_an_override(tmp_path, override, message, remedy):
    error, place = refused(tmp_path, {**TRAIN, **SMALL}, ["train.epochs=5", override])
    assert message in error.message
    assert place == f"config.yaml: {override}"
    assert remedy in error.remedy


def test_of_the_name_and_the_directory(tmp_path):
    error, place = refused(tmp_path, {"config.yaml": "", "config_two.yaml": ""}, name="confg")
    assert place == ""
    assert error.remedy.startswith("did you mean config? there is config, config_two")
    assert "Cannot find primary config 'confg'" in error.message
    error, place = refused(tmp_path / "empty", {"readme.txt": ""})
    assert error.remedy == "it holds no .yaml file"
    with pytest.raises(ConfigurationError, match="Primary config directory not found") as caught:
        compose(tmp_path / "nowhere")
    assert caught.value.place == str(tmp_path / "nowhere")


def test_what_is_no_text_is_refused_by_name(tmp_path):
    (tmp_path / "config.yaml").write_bytes(b"a: \xff\xfe\n")
    error, place = refused(tmp_path, {})
    assert place == "config.yaml"
    assert "UnicodeDecodeError" in error.message


def test_a_type_that_does_not_fit_is_placed_where_it_was_last_set(tmp_path):
    """The schema's own default is in no file."""
    (tmp_path / "schema_of_places.py").write_text(
        "from dataclasses import dataclass\nfrom hydra.core.config_store import ConfigStore\n"
        "@dataclass\nclass Config:\n    lr: float = 1.0\nConfigStore.instance().store('places_schema', Config)\n"
    )
    (tmp_path / "config.yaml").write_text("defaults:\n  - places_schema\n  - _self_\nlr: fast\n")
    with pytest.raises(ConfigurationError, match="could not be converted to Float") as caught:
        compose(tmp_path, imports=[str(tmp_path / "schema_of_places.py")])
    assert caught.value.place == f"{tmp_path}/config.yaml:4"


def test_places_are_of_the_last_file_that_sets_a_key(tmp_path):
    first, last = tmp_path / "first.yaml", tmp_path / "last.yaml"
    first.write_text("lr: 1\nlayers:\n  - size: 3\n")
    last.write_text("\ntrain:\n  lr: 2\n")
    files = ((str(first), "train"), (str(last), ""))
    assert place_of(files, "train.lr") == f"{last}:3"
    assert place_of(files, "train.layers[0].size") == f"{first}:3"
    assert place_of(files, "train.layers.0.size") == f"{first}:3"
    assert place_of(files, "train.layers[0].gone") == f"{first}:3", "the node above"
    assert place_of(files, "elsewhere") == ""
    assert place_of([(str(tmp_path / "gone.yaml"), "")], "a") == ""


@pytest.mark.parametrize(
    ("key", "near"),
    [
        ("train.lrr", "train.lr"),
        ("lr", "train.lr"),
        ("optimizer.lr", "optim.lr"),
        ("model.n_layer", "model.n_layers"),
        ("modle", "model"),
    ],
)
def test_the_nearest_key_stands_first(key, near):
    known = ["train", "train.lr", "train.epochs", "optim", "optim.lr", "model", "model.n_layers"]
    assert nearest_keys(key, known)[0] == near


def test_messages_have_no_trace_of_python(tmp_path):
    error, _ = refused(tmp_path, TRAIN, ["train.lrr=1"])
    assert not re.search(r"Traceback|object_type|<class", str(error))


@pytest.mark.parametrize("text", ["it's", 'a"b', "it's, now", "x=\\'", 'say \\"it\'s\\" \\\\', "tail'\\"])
def test_a_text_that_the_grammar_refuses_is_told_as_it_is_to_be_typed(tmp_path, text):
    error, _ = refused(tmp_path, {"config.yaml": "a: {b: 1}\n"}, [f"a.b={text}"])
    [typed] = shlex.split(error.remedy.partition("too: ")[2])
    assert compose(tmp_path, "config", [typed]).values == {"a": {"b": text}}


def test_what_is_no_plain_text_gets_no_such_advice(tmp_path):
    for override in ("a=range(1", "a={b:1", "a=[1", "a='it", "--a='3"):
        assert "quoted" not in refused(tmp_path, {"config.yaml": "a: 1\n"}, [override])[0].remedy
    assert refused(tmp_path, {"config.yaml": "a: 1\n"}, ["a"])[0].remedy == "write NAME=VALUE"


def test_an_option_that_is_none_of_an_optional_group_is_refused(tmp_path):
    files = {
        "config.yaml": "defaults:\n  - _self_\n  - optional experiment: none_yet\n  - optional more@x.y: null\n",
        "experiment/big.yaml": "# @package _global_\na: 1\n",
        "more/one.yaml": "c: 1\n",
    }
    error, place = refused(tmp_path, files, ["experiment=bgi"])
    assert (place, error.remedy) == ("config.yaml: experiment=bgi", "did you mean big? there is big")
    assert error.message.startswith("Could not find 'experiment/bgi', which Hydra passes over")
    assert refused(tmp_path, files, ["more@x.y=two"])[1] == "config.yaml: more@x.y=two"
    chosen = ["experiment=big", "more@x.y=one"]
    assert compose(tmp_path, "config", chosen).values == {"a": 1, "x": {"y": {"c": 1}}}
    assert compose(tmp_path, "config", ["experiment=big.yaml"]).values == {"a": 1}
    assert compose(tmp_path).values == {}, "what a file says of it is as Hydra has it"


def test_a_group_that_stands_in_other_packages_is_told_with_them(tmp_path):
    files = {"config.yaml": "defaults:\n  - db@src: one\n  - db@dst: one\n", "db/one.yaml": "a: 1\n"}
    error, place = refused(tmp_path, files, ["db=one"])
    assert (place, error.remedy) == ("config.yaml: db=one", "did you mean db@dst=one or db@src=one?")
