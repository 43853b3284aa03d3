from __future__ import annotations

from headwater.loading.scopes import Comeback, Scope, comebacks, left_out, wanted_again
from headwater.loading.selection import Excluded
from headwater.loading.target import Target


def target(*excluded: Excluded, **sources: str) -> Target:
    return Target("w", "embedded", {}, sources, excluded=frozenset(excluded))


def test_what_is_not_connected_or_excluded_is_left_out():
    found = left_out(target(Excluded("s1", "opened"), Excluded("s1", "tracks", "n"), s1="site", s2=""))
    assert found == {Scope("s2"), Scope("s1", "opened"), Scope("s1", "tracks", "n")}


def test_what_is_loaded_again_is_wanted_again():
    noted = {Scope("s1", "opened"): 5, Scope("s1", "clicked"): 7, Scope("s2"): 9}
    assert wanted_again(noted, target(Excluded("s1", "clicked"), s1="site", s2="")) == {Scope("s1", "opened"): 5}


def test_a_table_of_a_source_that_is_not_connected_waits_for_its_source():
    noted = {Scope("s1"): 8, Scope("s1", "opened"): 5}
    assert wanted_again(noted, target(s1="")) == {}
    assert wanted_again(noted, target(s1="site")) == noted


def test_a_source_that_nobody_knew_is_wanted_once_it_is_named():
    assert wanted_again({Scope("s3"): 4}, target(s1="site")) == {}
    assert wanted_again({Scope("s3"): 4}, target(s1="site", s3="later")) == {Scope("s3"): 4}


def test_tables_of_a_source_come_back_together_and_a_whole_source_alone():
    again = {Scope("s1", "opened"): 5, Scope("s1", "tracks", "n"): 3, Scope("s2"): 9}
    assert comebacks(again) == [Comeback("s2", frozenset(), 9), Comeback("s1", frozenset({"opened", "tracks"}), 3)]
