import hashlib
import stat
import time

import pytest

from cairn.api.accounts.limits import RateLimit
from cairn.api.accounts.sealing import ACCESS, STEP, Seal, home_key
from cairn.api.accounts.tokens import is_token, new_token, verifier_of
from cairn.errors import HomeError, TooManyRequests, Unauthenticated


def test_a_token_is_recognised_and_a_mistyped_one_is_not():
    token = new_token()
    assert is_token(token)
    assert len({new_token() for _ in range(100)}) == 100
    other = "a" if token[20] != "a" else "b"
    for wrong in (token[:-1], token + "0", token[:20] + other + token[21:], token.swapcase(), "cairn_", token + "\n"):
        assert not is_token(wrong)


def test_only_a_digest_is_kept():
    token = new_token()
    assert verifier_of(token) == hashlib.sha256(token.encode()).hexdigest()


def test_what_is_sealed_opens_for_its_purpose_and_key_only():
    seal = Seal(b"k" * 32, ACCESS)
    token = seal.issue({"sub": "x", "exp": time.time() + 60})
    assert seal.open(token)["sub"] == "x"
    head, _, mac = token.rpartition(".")
    forged = Seal(b"k" * 32, STEP)
    for wrong in (head, f"{head}.", f"{head}.{mac[:-2]}AA", f"{head}x.{mac}", token + "=", "a.b.c", "", "..", "é.é.é"):
        with pytest.raises(Unauthenticated):
            seal.open(wrong)
    with pytest.raises(Unauthenticated):
        Seal(b"K" * 32, ACCESS).open(token)
    relabelled = forged.issue({"sub": "x", "exp": time.time() + 60})
    with pytest.raises(Unauthenticated):
        seal.open(seal._head + relabelled.partition(".")[2])
    with pytest.raises(Unauthenticated, match="expired"):
        seal.open(seal.issue({"sub": "x", "exp": time.time() - 1}))


def test_the_homes_key_is_made_once_for_its_owner_alone(tmp_path):
    directory = tmp_path / "server"
    key = home_key(directory)
    assert len(key) == 32 and home_key(directory) == key
    assert stat.S_IMODE((directory / "key").stat().st_mode) == 0o600
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert [one.name for one in directory.iterdir()] == ["key"]
    (directory / "key").write_bytes(b"short")
    with pytest.raises(HomeError):
        home_key(directory)


def test_a_rate_is_granted_and_comes_back(monkeypatch):
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    limit = RateLimit(2.0, 3)
    for _ in range(3):
        limit.take("a")
    with pytest.raises(TooManyRequests) as refused:
        limit.take("a")
    assert refused.value.retry_after_seconds == pytest.approx(0.5)
    limit.take("b")
    now += 0.5
    limit.check("a")
    limit.take("a")
    with pytest.raises(TooManyRequests):
        limit.take("a")


def test_the_table_of_names_does_not_grow_without_bound():
    limit = RateLimit(1.0, 1)
    for number in range(12_000):
        limit.take(str(number))
    assert len(limit._buckets) == 10_000
    with pytest.raises(TooManyRequests):
        limit.take("11999")
