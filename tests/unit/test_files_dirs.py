"""The setting FILES_DIRS: whole paths, and never the whole disk."""

from pathlib import Path

import pytest

from headwater import config
from headwater.errors import ConfigError


def test_directories_are_whole_paths():
    surroundings = {"HEADWATER_FILES_DIRS": "/srv/events, /mnt/archive"}
    assert config.read(environment=surroundings).files_dirs == (Path("/srv/events"), Path("/mnt/archive"))
    assert config.read(environment={}).files_dirs == ()


@pytest.mark.parametrize("wrong", ["events", "/srv,./x", "/"])
def test_anything_else_is_refused_with_an_example(wrong):
    with pytest.raises(ConfigError, match="/srv/events"):
        config.read(environment={"HEADWATER_FILES_DIRS": wrong})
