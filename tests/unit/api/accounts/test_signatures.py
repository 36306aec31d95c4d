"""Signed tokens: what google-auth makes is taken, and every known way of forging one is not."""

import base64
import hashlib
import hmac
import json
import time

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

from cairn.api.accounts.authentication import Authentication
from cairn.api.accounts.registry import create_key, create_token
from cairn.errors import Unauthenticated

EMAIL = "svc@p.iam.gserviceaccount.com"
GOOGLE = "https://us-central1-aiplatform.googleapis.com/"
ENDPOINT = "https://oauth2.googleapis.com/token"

rsa_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
other_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
ec_key = ec.generate_private_key(ec.SECP256R1())


def pem(key):
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def part(value):
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def sign(signed, key):
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(signed, padding.PKCS1v15(), hashes.SHA256())
    if isinstance(key, ec.EllipticCurvePrivateKey):
        r, s = utils.decode_dss_signature(key.sign(signed, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32) + s.to_bytes(32)
    return hmac.digest(key, signed, hashlib.sha256) if key else b""


def token(kid, key=rsa_key, alg="RS256", **claims):
    now = int(time.time())
    payload = {"iss": EMAIL, "sub": EMAIL, "aud": GOOGLE, "iat": now, "exp": now + 3600, **claims}
    payload = {name: value for name, value in payload.items() if value is not None}
    signed = f"{part({'typ': 'JWT', 'alg': alg, 'kid': kid})}.{part(payload)}"
    return f"{signed}.{part(sign(signed.encode(), key))}"


@pytest.fixture
def authentication(records, tmp_path):
    opened = Authentication(tmp_path / "server", records, lambda host: host.startswith("localhost"))
    yield opened
    opened.close()


@pytest.fixture
def kid(records):
    return create_key(records, EMAIL, pem(rsa_key).decode(), {"p": "editor"}).id


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"aud": "https://aiplatform.googleapis.com/google.cloud.aiplatform.v1.PipelineService"},
        {"aud": "http://localhost:8080/"},
        {"aud": [GOOGLE]},
        {"aud": None, "scope": "https://www.googleapis.com/auth/cloud-platform"},
        {"sub": None},
    ],
)
def test_what_google_auth_signs_is_taken(authentication, kid, claims):
    identity = authentication.identity(token(kid, **claims))
    assert identity.name == EMAIL
    assert identity.projects == {"p"}


def test_an_elliptic_key_is_taken_too(authentication, records):
    kid = create_key(records, EMAIL, pem(ec_key).decode(), {"p": "viewer"}).id
    assert authentication.identity(token(kid, ec_key, "ES256")).name == EMAIL
    with pytest.raises(Unauthenticated):
        authentication.identity(token(kid, rsa_key, "RS256"))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"alg": "none", "key": b""}, "signature"),
        ({"alg": "None", "key": b""}, "signature"),
        ({"alg": "HS256", "key": pem(rsa_key)}, "signature"),
        ({"alg": "RS256", "key": pem(rsa_key)}, "signature"),
        ({"alg": "ES256", "key": ec_key}, "signature"),
        ({"alg": "RS512"}, "signature"),
        ({"alg": None}, "signature"),
        ({"key": other_key}, "signature"),
        ({"key": b""}, "signature"),
        ({"exp": 1}, "expired"),
        ({"exp": int(time.time()) - 1}, "expired"),
        ({"exp": int(time.time()) + 86400}, "longer"),
        ({"iat": int(time.time()) + 3000, "exp": int(time.time()) + 6000}, "longer"),
        ({"exp": None}, "from when"),
        ({"exp": "9999999999"}, "from when"),
        ({"exp": True}, "from when"),
        ({"iat": None}, "from when"),
        ({"aud": "https://evil.example.com/"}, "another service"),
        ({"aud": "https://googleapis.com.evil.example.com/"}, "another service"),
        ({"aud": "https://evilgoogleapis.com/"}, "another service"),
        ({"aud": "http://aiplatform.googleapis.com/"}, "another service"),
        ({"aud": ENDPOINT}, "another service"),
        ({"aud": "http://localhost:8080/accounts/token"}, "another service"),
        ({"aud": None}, "another service"),
        ({"aud": 7, "scope": 7}, "another service"),
        ({"aud": GOOGLE, "target_audience": "x"}, "another service"),
        ({"iss": "admin@p.iam.gserviceaccount.com"}, "somebody else"),
        ({"sub": "admin@p.iam.gserviceaccount.com"}, "somebody else"),
    ],
)
def test_a_forged_token_is_refused(authentication, kid, changes, reason):
    with pytest.raises(Unauthenticated, match=reason):
        authentication.identity(token(kid, **changes))


@pytest.mark.parametrize("wrong", [None, "", "nobody", 7, ["a"], "../../etc/passwd", "' OR 1=1 --"])
def test_a_key_that_is_not_known_is_refused(authentication, kid, wrong):
    with pytest.raises(Unauthenticated, match="not known"):
        authentication.identity(token(wrong))


def test_an_api_tokens_id_is_no_key(authentication, records):
    credential, _ = create_token(records, "x", {"*": "admin"})
    with pytest.raises(Unauthenticated, match="not known"):
        authentication.identity(token(credential.id, credential.verifier.encode(), "HS256"))
    with pytest.raises(Unauthenticated):
        authentication.identity(credential.verifier)


@pytest.mark.parametrize(
    "text", ["", "x", "a.b", "a.b.c.d", "..", "e30.e30.e30", "é.é.é", "[" * 9000, "a.b." + "c" * 20000]
)
def test_what_is_no_token_is_refused(authentication, text):
    with pytest.raises(Unauthenticated):
        authentication.identity(text)


def test_a_changed_payload_does_not_keep_its_signature(authentication, kid):
    head, payload, signature = token(kid).split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    with pytest.raises(Unauthenticated, match="signature"):
        authentication.identity(f"{head}.{part({**claims, 'exp': claims['exp'] + 1})}.{signature}")


def test_an_assertion_is_exchanged_for_a_token_that_logs_in(authentication, kid, records):
    answer = authentication.exchange(token(kid, aud=ENDPOINT, sub=None, scope=""))
    assert answer["token_type"] == "Bearer" and answer["expires_in"] == 3600
    assert authentication.identity(answer["access_token"]).name == EMAIL
    for aud in (GOOGLE, "https://evil.example.com/accounts/token", None):
        with pytest.raises(Unauthenticated, match="another token endpoint"):
            authentication.exchange(token(kid, aud=aud))
    records.delete_credential(kid)
    authentication._known.clear()
    with pytest.raises(Unauthenticated):
        authentication.identity(answer["access_token"])
    with pytest.raises(Unauthenticated):
        authentication.exchange(token(kid, aud=ENDPOINT))


def test_an_identity_token_is_good_where_it_says(authentication, kid):
    ours = authentication.exchange(token(kid, aud=ENDPOINT, target_audience="http://localhost:8080"))["id_token"]
    theirs = authentication.exchange(token(kid, aud=ENDPOINT, target_audience="https://other.example.com"))["id_token"]
    assert authentication.identity(ours).name == EMAIL
    with pytest.raises(Unauthenticated, match="another service"):
        authentication.identity(theirs)


def test_a_revoked_token_ends_within_five_seconds(authentication, records, monkeypatch):
    credential, text = create_token(records, "x", {"p": "viewer"})
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    assert authentication.identity(text).name == "x"
    records.delete_credential(credential.id)
    assert authentication.known(text) is not None  # remembered …
    now += 4.5
    assert authentication.known(text) is None  # … and not for long
    with pytest.raises(Unauthenticated):
        authentication.identity(text)


def test_a_credential_ends_when_it_says_also_while_it_is_remembered(authentication, records):
    _, text = create_token(records, "x", {"p": "viewer"}, lifetime=1)
    assert authentication.identity(text).name == "x"
    time.sleep(1.1)
    with pytest.raises(Unauthenticated):
        authentication.identity(text)


def test_what_is_remembered_holds_no_token_and_is_bounded(authentication, records):
    _, text = create_token(records, "x", {"p": "viewer"})
    authentication.identity(text)
    assert text not in repr(authentication._known)
    for number in range(5000):
        authentication._remember(str(number), authentication.identity(text), 4.0)
    assert len(authentication._known) == 4096


def test_a_use_is_noted_once_an_hour(authentication, records, monkeypatch):
    credential, text = create_token(records, "x", {"p": "viewer"})
    authentication.identity(text)
    authentication.close()
    used = records.credential(credential.id).use_time
    assert used > credential.create_time
    monkeypatch.setattr(authentication._noting, "submit", lambda *_: pytest.fail("noted again"))
    authentication._known.clear()
    authentication.identity(text)
