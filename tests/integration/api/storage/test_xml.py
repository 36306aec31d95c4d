"""The XML API: uploads in parts, and what object_store's clients ask. Real clients of it are in test_clients.py and
test_real_buckets.py."""

import hashlib
import http.client
from urllib.parse import urlsplit
from xml.etree import ElementTree

import pytest

NAMESPACE = "{http://s3.amazonaws.com/doc/2006-03-01/}"
BEGIN = "/bkt/deep/object?uploads"


@pytest.fixture
def bucket(server):
    assert server.post("/storage/v1/b", {"name": "bkt"}, project="demo").status == 200
    return server.home / "buckets" / "gs" / "bkt"


def begun(server, path=BEGIN, **headers):
    answer = server.request("POST", path, b"", headers=headers)
    assert answer.status == 200, answer
    return ElementTree.fromstring(answer.content).find(f"{NAMESPACE}UploadId").text


def part(server, upload, number, content, **headers):
    path = f"/bkt/deep/object?partNumber={number}&uploadId={upload}"
    return server.request("PUT", path, content, headers=headers)


def finish(server, upload, *parts):
    listed = "".join(f"<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>" for number, tag in parts)
    body = f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()
    return server.request("POST", f"/bkt/deep/object?uploadId={upload}", body)


def code(answer):
    return ElementTree.fromstring(answer.content).find("Code").text


def waiting(server):
    return sorted(one.name for one in (server.home / "buckets" / ".cairn" / "parts").iterdir())


def test_parts_come_in_any_order_and_are_seen_when_they_are_whole(server, bucket):
    upload = begun(server, **{"Content-Type": "text/x", "X-Goog-Meta-Team": "ml"})
    second = part(server, upload, 2, b"world")
    assert (second.status, second.headers["etag"].strip('"')) == (200, hashlib.md5(b"world").hexdigest())
    part(server, upload, 1, b"wrong")
    first = part(server, upload, 1, b"hello ")  # sent again: this one counts
    assert list(bucket.iterdir()) == []
    assert len(waiting(server)) == 3
    done = finish(server, upload, (1, first.headers["etag"]), (2, second.headers["etag"]))
    assert done.status == 200, done
    assert (bucket / "deep" / "object").read_bytes() == b"hello world"
    assert waiting(server) == []
    info = server.get("/storage/v1/b/bkt/o/deep%2Fobject").json
    assert (info["contentType"], info["metadata"]) == ("text/x", {"team": "ml"})
    assert info["generation"] == done.headers["x-goog-generation"] and "md5Hash" not in info
    assert part(server, upload, 3, b"late").status == 404


def test_what_does_not_fit_together_makes_no_object(server, bucket):
    upload = begun(server)
    tag = part(server, upload, 1, b"one").headers["etag"]
    for parts in ([], [(1, "0" * 32)], [(2, tag)], [(1, tag), (1, tag)], [(1, "../../x")], [(1, tag), (2, tag)]):
        refused = finish(server, upload, *parts)
        assert (refused.status, code(refused)) == (400, "InvalidArgument"), parts
    assert part(server, upload, 0, b"x").status == part(server, upload, 10_001, b"x").status == 400
    wrong = part(server, upload, 2, b"x", **{"X-Goog-Hash": "md5=XUFAKrxLKna5cZ2REBfFkg=="})
    assert wrong.status == 400
    assert server.request("PUT", f"/bkt/other?partNumber=1&uploadId={upload}", b"x").status == 400
    assert server.request("POST", f"/bkt/deep/object?uploadId={upload}", b"<not xml").status == 400
    assert list(bucket.iterdir()) == []
    assert server.request("DELETE", f"/bkt/deep/object?uploadId={upload}").status == 204
    assert waiting(server) == [] and finish(server, upload, (1, tag)).status == 404


def test_a_part_that_breaks_off_is_none(server, bucket):
    upload = begun(server)
    address = urlsplit(server.url)
    half = http.client.HTTPConnection(address.hostname, address.port)
    half.putrequest("PUT", f"/bkt/deep/object?partNumber=1&uploadId={upload}")
    half.putheader("Content-Length", "5000000")
    half.endheaders()
    half.send(b"x" * 2_000_000)
    half.close()
    assert part(server, upload, 2, b"x").status == 200
    assert not [name for name in waiting(server) if ".00001." in name]


def test_conditions_are_those_of_the_begin(server, bucket):
    upload = begun(server, **{"X-Goog-If-Generation-Match": "0"})
    tag = part(server, upload, 1, b"mine").headers["etag"]
    (bucket / "deep").mkdir()
    (bucket / "deep" / "object").write_bytes(b"theirs")
    late = finish(server, upload, (1, tag))
    assert (late.status, code(late)) == (412, "PreconditionFailed")
    refused = server.request("POST", BEGIN, b"", headers={"X-Goog-If-Generation-Match": "0"})
    assert refused.status == 412 and (bucket / "deep" / "object").read_bytes() == b"theirs"


def test_errors_are_in_xml_and_nothing_else_is_hidden(server, bucket):
    for method, path, status, told in (
        ("POST", "/none/x?uploads", 404, "NoSuchKey"),
        ("POST", "/bkt/a//b?uploads", 400, "InvalidArgument"),
        ("GET", "/storage/xml/bkt/none", 404, "NoSuchKey"),
        ("POST", "/storage/xml/bkt/x", 501, "NotImplemented"),
        ("POST", "/storage/xml/bkt/x?uploadId=zz", 404, "NoSuchKey"),
    ):
        answer = server.request(method, path)
        assert (answer.status, code(answer)) == (status, told), path
        assert answer.headers["content-type"] == "application/xml"
    (bucket / "x").write_text("x")
    for method, path in (("GET", "/bkt/x"), ("PUT", "/bkt/x"), ("POST", "/bkt?uploads"), ("GET", "/v1/none?x=uploads")):
        assert server.request(method, path).status in (404, 405), path
    assert (bucket / "x").read_text() == "x"


def test_lists_in_pages(server, bucket):
    (bucket / "a&b").mkdir()
    for name in ("a&b/1", "a&b/2", "c<d"):
        (bucket / name).write_text("x")

    def asked(**query):
        root = ElementTree.fromstring(server.get("/storage/xml/bkt", **{"list-type": 2, **query}).content)
        found = [one.text for one in root.iterfind(f"{NAMESPACE}Contents/{NAMESPACE}Key")]
        prefixes = [one.text for one in root.iterfind(f"{NAMESPACE}CommonPrefixes/{NAMESPACE}Prefix")]
        return found, prefixes, root.findtext(f"{NAMESPACE}NextContinuationToken")

    assert asked() == (["a&b/1", "a&b/2", "c<d"], [], None)
    assert asked(delimiter="/") == (["c<d"], ["a&b/"], None)
    assert asked(**{"start-after": "a&b/1"})[0] == ["a&b/2", "c<d"]
    first, _, token = asked(**{"max-keys": 2})
    assert first == ["a&b/1", "a&b/2"] and asked(**{"continuation-token": token})[0] == ["c<d"]
