import pytest

from cairn.environments.images import matches, parse_target, target_of
from cairn.errors import UnsupportedFeature


@pytest.mark.parametrize(
    ("pattern", "image", "fits"),
    [
        ("*", "gcr.io/a/b:1", True),
        ("gcr.io/*", "gcr.io/a/b/c:1", True),
        ("*/b:1", "gcr.io/a/b:1", True),
        ("alpine", "alpine", True),
        ("alpine", "alpine:3", False),
        ("gcr.io/a.b", "gcr.io/axb", False),
        ("[a]", "a", False),
        ("a?", "ab", False),
    ],
)
def test_only_the_star_is_special_and_it_matches_slashes(pattern, image, fits):
    assert matches(pattern, image) is fits


def test_the_first_matching_pattern_wins(tmp_path):
    images = [("a/*", "host"), ("*", f"project:{tmp_path}")]
    assert target_of("a/b", images).kind == "host"
    assert target_of("c", images).directory == str(tmp_path)
    assert target_of("c", images[:1]) is None


@pytest.mark.parametrize("target", ["Docker", "docker:", "Host", "project:", "project:/nowhere/at/all", "", "podman:x"])
def test_other_targets_are_refused(target):
    with pytest.raises(UnsupportedFeature):
        parse_target(target, "*")
