import pytest

from cairn.cli import options
from cairn.domain.runs import ImageMapping
from cairn.errors import InputRefused


def test_an_image_mapping_is_split_at_the_last_sign():
    assert options.parse_image("*=host") == ImageMapping("*", "host")
    assert options.parse_image("gcr.io/a@sha256=x=project:/a") == ImageMapping("gcr.io/a@sha256=x", "project:/a")


def test_a_projects_directory_is_the_one_that_is_meant_here_and_now(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert options.parse_image("*=project:train") == ImageMapping("*", f"project:{tmp_path}/train")
    assert options.parse_image("*=project:..") == ImageMapping("*", f"project:{tmp_path.parent}")


@pytest.mark.parametrize("text", ["", "host", "=host", "x="])
def test_what_is_no_mapping_is_refused(text):
    with pytest.raises(InputRefused):
        options.parse_image(text)


def test_a_label_may_hold_the_sign():
    assert options.parse_label("a=b=c") == ("a", "b=c")
    assert options.parse_label("a=") == ("a", "")
    with pytest.raises(InputRefused):
        options.parse_label("=b")
