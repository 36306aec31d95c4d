"""Where a program's configuration lies, read of its source."""

import pytest

from cairn.errors import ConfigurationError


@pytest.mark.parametrize(
    ("before", "path"),
    [
        ("CONF = '../conf'", "CONF"),
        ("from pathlib import Path\nROOT = Path(__file__).resolve().parents[1]", "str(ROOT / 'conf')"),
        ("from pathlib import Path", "str(Path(__file__).parent.parent / 'conf')"),
        ("import os\nHERE: str = os.path.dirname(os.path.abspath(__file__))", "os.path.join(HERE, '..', 'conf')"),
        ("import os\nHERE = os.path.dirname(__file__)", "f'{HERE}/../conf'"),
    ],
)
def test_where_a_program_s_configuration_lies_is_worked_out_of_its_source(project, before, path):
    main = project.main(f'version_base=None, config_path={path}, config_name="config"', imports=before)
    (project.root / "src").mkdir()
    main.rename(project.root / "src/main.py")
    project.write("conf/config.yaml", "lr: 0.5\n")
    described = project.describe("src/main.py", project=".", inputs=["lr"])
    assert project.run(described, {"lr": 2.5}) == {"lr": 2.5}


@pytest.mark.parametrize(
    ("arguments", "told", "remedy"),
    [
        ("config_path=find(), config_name='config'", "config_path=find() of its @hydra.main", "config_dir="),
        ("config_path='pkg://acme.conf', config_name='config'", "config_path='pkg://acme.conf'", "config_dir="),
        ("config_path=TWICE, config_name='config'", "config_path=TWICE", "config_dir="),
        ("config_path='conf', config_name=sys.argv[1]", "config_name=sys.argv[1]", "config_name="),
        ("config_path=1 / 0, config_name='config'", "config_path=1 / 0", "config_dir="),
    ],
)  # fmt: skip
def test_what_only_a_run_can_tell_is_asked_for(project, arguments, told, remedy):
    project.main(arguments, imports="TWICE = 'a'\nTWICE = 'b'")
    project.write("conf/config.yaml", "lr: 0.5\n")
    with pytest.raises(ConfigurationError) as caught:
        project.describe(inputs=["lr"])
    assert told in caught.value.message
    assert caught.value.remedy == f"give {remedy}"
    described = project.describe(inputs=["lr"], config_dir="conf", config_name="config")
    assert [one.name for one in described.inputs] == ["lr"]
