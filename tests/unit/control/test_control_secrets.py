import pytest

from headwater.control.secrets import SecretBox, derived_key
from headwater.errors import ConfigError


def test_a_secret_comes_back_only_for_its_row_and_field():
    box = SecretBox(b"key" * 11)
    sealed = box.seal("row", "api_key", "s3cret")
    assert box.open("row", "api_key", sealed) == "s3cret"
    assert "s3cret" not in sealed
    for row, field in (("other", "api_key"), ("row", "token")):
        with pytest.raises(ConfigError, match="altered"):
            box.open(row, field, sealed)


def test_the_same_secret_looks_different_each_time():
    box = SecretBox(b"key" * 11)
    assert box.seal("row", "f", "same") != box.seal("row", "f", "same")


@pytest.mark.parametrize("broken", ["", "plain text", "v1:", "v2:x:y", "v1:ffffffff:AAAA"])
def test_what_was_sealed_with_another_key_is_refused_with_the_next_step(broken):
    with pytest.raises(ConfigError, match=r"secret\.key"):
        SecretBox(b"key" * 11).open("row", "f", broken)


def test_a_changed_byte_is_noticed():
    box = SecretBox(b"key" * 11)
    sealed = box.seal("row", "f", "s3cret")
    with pytest.raises(ConfigError, match="altered"):
        box.open("row", "f", sealed[:-6] + ("A" if sealed[-6] != "A" else "B") + sealed[-5:])


def test_keys_of_different_purposes_differ():
    assert derived_key(b"k", "one") != derived_key(b"k", "two")
