import os

import pytest

from cairn.launcher.logs import Pump, interleaved


class PipedPump(Pump):
    """A pump with the write ends of its pipes."""

    def __init__(self, directory):
        (stdout, self.write_stdout), (stderr, self.write_stderr) = os.pipe(), os.pipe()
        os.set_blocking(stdout, False)
        os.set_blocking(stderr, False)
        super().__init__(stdout, stderr, str(directory), 1000)

    def finish(self):
        os.close(self.write_stdout)
        os.close(self.write_stderr)
        super().finish()


@pytest.fixture
def pump(tmp_path):
    return PipedPump(tmp_path)


def _read(directory, stream="stdout"):
    return (directory / f"{stream}.log").read_bytes()


def test_what_fits_is_kept_as_it_is(tmp_path, pump):
    os.write(pump.write_stdout, b"\x00\xff\x1b[31m\n")
    pump.finish()
    assert _read(tmp_path) == b"\x00\xff\x1b[31m\n"
    assert _read(tmp_path, "stderr") == b""
    assert not (tmp_path / "order.log").exists()


@pytest.mark.parametrize("size", [999, 1000, 1001, 1250, 5000])
@pytest.mark.parametrize("piece", [1, 100, 5000])
def test_head_and_tail_are_kept_and_the_cut_is_counted(tmp_path, pump, size, piece):
    data = bytes(33 + n % 90 for n in range(size))
    for start in range(0, size, piece):
        os.write(pump.write_stdout, data[start : start + piece])
        pump.drain_stdout()
    pump.finish()
    kept = _read(tmp_path)
    if size <= 1000:
        assert kept == data
        return
    head, mark, tail = kept.split(b"\n")[0], kept.split(b"\n")[1], kept.split(b"\n", 2)[2]
    assert (head, tail) == (data[:750], data[-250:])
    assert f"[cairn: {size - 1000} bytes cut here" in mark.decode()


def test_order_is_kept_between_streams_also_after_a_cut(tmp_path, pump):
    for number in range(3):
        os.write(pump.write_stdout, b"out %d\n" % number)
        pump.drain_stdout()
        os.write(pump.write_stderr, b"err %d\n" % number)
        pump.drain_stderr()
    pump.finish()
    found = [(stream, data) for stream, data in interleaved(str(tmp_path))]
    assert found == [(s, b"%s %d\n" % (s[3:].encode(), n)) for n in range(3) for s in ("stdout", "stderr")]


def test_what_was_not_yet_noted_comes_last(tmp_path):
    (tmp_path / "stdout.log").write_bytes(b"first third")
    (tmp_path / "stderr.log").write_bytes(b"second")
    (tmp_path / "order.log").write_text("1 stdout 6\n2 stderr 6\n3 stdo")
    assert list(interleaved(str(tmp_path))) == [("stdout", b"first "), ("stderr", b"second"), ("stdout", b"third")]


def test_no_log_at_all_is_empty(tmp_path):
    assert list(interleaved(str(tmp_path))) == []


def test_a_file_that_cannot_be_written_does_not_stop_the_step(tmp_path):
    os.symlink("/dev/full", tmp_path / "stdout.log")
    pump = PipedPump(tmp_path)
    os.write(pump.write_stdout, b"x" * 500)
    pump.finish()
