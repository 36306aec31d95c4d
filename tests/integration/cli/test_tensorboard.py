"""`cairn tensorboard`: what it takes in, lists and refuses."""

from event_logs import FILES


def test_a_directory_is_taken_in_once_and_listed(bare):
    cli = bare()
    done = cli("tensorboard", "upload", FILES, "--name", "mine", "--json")
    assert done.status == 0, done.err
    assert (done.json["values"], done.json["files"]) == (31, 3)
    again = cli("tensorboard", "upload", FILES, "--name", "mine")
    assert again.status == 0 and "31 values of 3 files" in again.out and "cairn tensorboard open mine" in again.err
    [board] = cli("tensorboard", "list", "--json").json
    assert board["default"] and [(one["id"], one["runs"]) for one in board["experiments"]] == [("mine", 3)]
    assert board["id"] in cli("tensorboard", "list").out
    into = cli("tensorboard", "upload", FILES, "--name", "mine", "--tensorboard", "123")
    assert into.status == 2 and "123" in into.err


def test_what_is_not_there_is_refused(bare, tmp_path):
    cli = bare()
    empty = tmp_path / "empty"
    empty.mkdir()
    assert cli("tensorboard", "list").status == 0
    for target, words in (("nothing", "no such directory"), (empty, "no event files")):
        refused = cli("tensorboard", "upload", target, "--name", "x")
        assert refused.status == 2 and words in refused.err
    for command in ("open", "serve"):
        refused = cli("tensorboard", command, "nothing")
        assert refused.status == 2 and "no run, no job, no experiment and no directory" in refused.err
