"""Which process of a family has its connection in shared memory: the one that has it alone, never one of several."""

import flap
import pytest

# scenario of lent.c -> what its processes note: 1 who is served by rings
NOTES = {
    "parent_closes_first": ["child 1"] * 3 + ["server 0"],
    "parent_keeps": ["child 0", "server 1"],
    "parent_and_child_write": ["child 0", "server 0"],
    "child_writes_to_a_copy": ["child 0", "server 0"],
    "parent_closes_late": ["before 0", "after 1"],
    "forked_twice": ["grandchild 1"],
    "lent_twice": ["client, first 0", "second 1", "first 1"],
    "children_with_new_images": ["child 0", "server 1"],
    "child_is_killed": ["server 1"],
    "children_with_sets": ["set 1", "copied 0", "server 0"],
    "listeners_have_copies": ["server 1"],
}


@pytest.mark.parametrize("scenario", sorted(NOTES))
def test_who_is_upgraded(preload, oracle, tmp_path, scenario):
    notes = tmp_path / "notes"
    env = {"SCENARIO_NOTES": str(notes), "CATFLAP_WORTH": "32"}
    expected = oracle("lent.c", scenario, 20, False, {})
    result = flap.run([flap.compiled("lent.c"), scenario], "auto", env=env)
    assert (result.stdout, result.status) == (expected.stdout, 0), str(result)
    assert sorted(notes.read_text().splitlines()) == sorted(NOTES[scenario]), str(result)
