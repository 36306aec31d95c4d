import os

from cairn.launcher import snapshot


def test_a_copy_has_the_modes_times_and_links_and_shares_no_file(tmp_path):
    template, target = tmp_path / "template", tmp_path / "target"
    (template / "deep").mkdir(parents=True)
    (template / "deep" / "file").write_bytes(b"x" * 3_000_000)
    (template / "tool").write_text("#!/bin/sh\n")
    (template / "tool").chmod(0o555)
    (template / "empty").touch()
    (template / "dangling").symlink_to("nowhere")
    os.utime(template / "empty", ns=(1_000_000_000, 2_000_000_000))
    template.chmod(0o555)
    snapshot.copy(str(template), str(target))
    assert (target / "deep" / "file").read_bytes() == b"x" * 3_000_000
    assert (target / "deep" / "file").stat().st_ino != (template / "deep" / "file").stat().st_ino
    assert (target / "tool").stat().st_mode & 0o777 == 0o755
    assert (target / "empty").stat().st_mtime_ns == 2_000_000_000
    assert os.readlink(target / "dangling") == "nowhere"
    assert target.stat().st_mode & 0o700 == 0o700
    template.chmod(0o755)
