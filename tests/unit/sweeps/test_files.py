from cairn.sweeps.files import changed_files, file_digests


def test_changed_new_and_missing_files_are_named(tmp_path):
    (tmp_path / "model").mkdir()
    for name in ("config.yaml", "model/small.yaml", "model/big.yml", "notes.txt", "schema.py"):
        (tmp_path / name).write_text("a: 1\n")
    schema = str(tmp_path / "schema.py")
    before = file_digests(str(tmp_path), [schema])
    assert sorted(before) == sorted(["config.yaml", "model/small.yaml", "model/big.yml", schema])
    assert changed_files(before, file_digests(str(tmp_path), [schema])) == []
    (tmp_path / "model" / "small.yaml").write_text("a: 2\n")
    (tmp_path / "model" / "huge.yaml").write_text("a: 3\n")
    (tmp_path / "config.yaml").unlink()
    (tmp_path / "notes.txt").write_text("other")
    (tmp_path / "schema.py").write_text("b = 1\n")
    (tmp_path / "multirun").mkdir()
    (tmp_path / "multirun" / "multirun.yaml").write_text("written by Hydra")
    changed = changed_files(before, file_digests(str(tmp_path), [schema]))
    assert changed == sorted(["config.yaml", "model/huge.yaml", "model/small.yaml", schema])
