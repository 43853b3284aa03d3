"""Each of the fifty traps that ActiveCampaign sets has a test that carries its number."""

import re
from pathlib import Path

TESTS = Path(__file__).parents[3]
NAMED = re.compile(r"^(?:async )?def test_pitfall_(\d\d)_[a-z0-9_]+\(", re.MULTILINE)
COUNT = 50


def test_every_pitfall_has_a_test_that_names_it():
    named = {int(number) for path in TESTS.rglob("test_*.py") for number in NAMED.findall(path.read_text())}
    missing = sorted(set(range(1, COUNT + 1)) - named)
    assert not missing, f"no test names pitfall {', '.join(f'{number:02}' for number in missing)}"
    assert named <= set(range(1, COUNT + 1)), "a number that no pitfall has"
