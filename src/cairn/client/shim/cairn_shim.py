"""Sends what Google's clients ask of Google to the Cairn server that CAIRN_URL names, and nothing to Google.

When `requests`, `httpx`, `aiohttp`, `urllib3`, `urllib.request`, `httplib2` or `grpc` is imported (cairn_finder), the
one place of it through which every request goes is wrapped. What is not meant for a Google host goes its way untouched.

    CAIRN_URL         http://127.0.0.1:41234; without it nothing is done
    CAIRN_LOGIN       1: the server asks who calls; what says nothing of itself says GOOGLE_APPLICATION_CREDENTIALS
    CAIRN_SHIM        off: nothing is done
    CAIRN_SHIM_ALLOW  hosts (or host/path patterns) that may be reached all the same, separated by spaces or commas:
                      `bigquery.googleapis.com storage.googleapis.com/tensorflow/*`

Standard library only, Python 3.8 or newer; imports nothing of ours.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # typing itself would cost more than all of this
if TYPE_CHECKING:
    from typing import Any

_ANY = ("/",)
_STORAGE = (
    "/storage/v1",
    "/upload/storage/v1",
    "/download/storage/v1",
    "/resumable/upload/storage/v1",
    "/batch/storage/v1",
)
_OUR_TOKEN = "/accounts/token"

# Host pattern → the paths of it that the server answers. `*` stands for any text.
SERVED = (
    ("aiplatform.googleapis.com", _ANY),
    ("*-aiplatform.googleapis.com", _ANY),
    ("aiplatform.*.rep.googleapis.com", _ANY),
    ("aiplatform.mtls.googleapis.com", _ANY),
    ("*-aiplatform.mtls.googleapis.com", _ANY),
    ("cloudresourcemanager.googleapis.com", _ANY),
    ("cloudresourcemanager.mtls.googleapis.com", _ANY),
    ("storage.googleapis.com", _STORAGE),
    ("storage.mtls.googleapis.com", _STORAGE),
    ("www.googleapis.com", _STORAGE),
    ("oauth2.googleapis.com", ("/token",)),
    ("accounts.google.com", ("/o/oauth2/token",)),
)
# Its path there → its path here.
RENAMED = {"/token": _OUR_TOKEN, "/o/oauth2/token": _OUR_TOKEN}

# What is Google's. Nothing goes there, unless CAIRN_SHIM_ALLOW says so.
GOOGLE = ("googleapis.com", "*.googleapis.com", "accounts.google.com", "gcr.io", "*.gcr.io", "*.pkg.dev")
# Programs look for these to learn whether they run in Google's cloud, and take "no such host" for a no.
METADATA = ("metadata", "*.google.internal", "169.254.169.254", "fd20:ce::254")


class GoogleHostRefused(PermissionError):
    """A request to a Google host that the server does not stand in for. Not retried by Google's clients."""


def _matches(text: str, patterns: Any) -> bool:
    """`*` stands for any text; patterns without one are compared as they are."""
    for pattern in patterns:
        head, star, tail = pattern.partition("*")
        if not star:
            if text == head:
                return True
        elif "*" in tail:
            from fnmatch import fnmatchcase

            if fnmatchcase(text, pattern):
                return True
        elif len(text) >= len(head) + len(tail) and text.startswith(head) and text.endswith(tail):
            return True
    return False


def _allowed(host: str, path: Any = None) -> bool:
    """`path` None: whether anything of the host is allowed."""
    for entry in os.environ.get("CAIRN_SHIM_ALLOW", "").replace(",", " ").split():
        host_part, slash, path_part = entry.lower().partition("/")
        if not _matches(host, (host_part,)):
            continue
        if path is None or not slash or _matches(path.lower(), ("/" + path_part,)):
            return True
    return False


def _base() -> str:
    return os.environ.get("CAIRN_URL", "").rstrip("/")


def place_of(host: str, path: str) -> str | None:
    """The path at our server, None when the host is none of our business. Raises GoogleHostRefused."""
    host = host.lower().rstrip(".")
    if not _matches(host, GOOGLE) or _allowed(host, path) or not _base():
        return None
    for pattern, prefixes in SERVED:
        if _matches(host, (pattern,)) and path.startswith(prefixes):
            return RENAMED.get(path, path)
    raise GoogleHostRefused(
        "Cairn sends nothing to Google, and does not stand in for https://{0}{1}. To let this program reach it, set "
        "CAIRN_SHIM_ALLOW={0} (see docs/clients.md); CAIRN_SHIM=off turns the redirection off.".format(host, path)
    )


def rerouted(url: str) -> str | None:
    """The URL at our server, None when the request goes its way. Raises GoogleHostRefused."""
    from urllib.parse import urlsplit, urlunsplit

    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return None
    path = place_of(parts.hostname, parts.path or "/")
    if path is None:
        return None
    ours = urlsplit(_base())
    return urlunsplit((ours.scheme, ours.netloc, ours.path + path, parts.query, parts.fragment))


def _netloc(url: str) -> str:
    from urllib.parse import urlsplit

    return urlsplit(url).netloc


# --- one function for each module: it wraps the place that every request goes through -----------------------------


def _requests(module: Any) -> None:
    original = module.HTTPAdapter.send

    def send(
        self: Any,
        request: Any,
        stream: Any = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Any = None,
    ) -> Any:
        url = rerouted(request.url)
        if url is not None:
            request = request.copy()
            request.url = url
            request.headers.pop("Host", None)
            proxies, cert = {}, None
        if _base() and request.url.startswith(_base() + "/storage/v1/b/"):
            request.headers["X-Cairn-Shim"] = "1"  # it is we who answer for a project's number (api/storage/buckets.py)
        return original(self, request, stream, timeout, verify, cert, proxies)

    module.HTTPAdapter.send = _named(send, original)


def _urllib3(module: Any) -> None:
    original = module.PoolManager.urlopen
    pools: list[Any] = []  # one, once it is needed

    def urlopen(self: Any, method: Any, url: str, redirect: Any = True, **options: Any) -> Any:
        moved = rerouted(url)
        if moved is None and not (_login() and url.startswith(_base() + "/")):
            return original(self, method, url, redirect, **options)
        if _login():  # kfp's client has no credentials of its own, and trusts certifi's authorities alone
            options["headers"] = _with_token(options.get("headers") or self.headers)
            return original(ours(), method, moved or url, redirect, **options)
        direct = self if type(self) is module.PoolManager else module.PoolManager()
        return original(direct, method, moved, redirect, **options)

    def ours() -> Any:
        if not pools:
            pools.append(module.PoolManager(ca_certs=os.environ.get("SSL_CERT_FILE") or None))
        return pools[0]

    module.PoolManager.urlopen = _named(urlopen, original)


def _urllib_request(module: Any) -> None:
    original = module.OpenerDirector.open

    def open(self: Any, fullurl: Any, *arguments: Any, **options: Any) -> Any:  # noqa: A001 - its name there
        url = fullurl if isinstance(fullurl, str) else fullurl.full_url
        moved = rerouted(url)
        if moved is not None:
            if isinstance(fullurl, str):
                fullurl = moved
            else:
                import copy

                fullurl = copy.copy(fullurl)
                fullurl.full_url = moved
                fullurl.remove_header("Host")
        return original(self, fullurl, *arguments, **options)

    module.OpenerDirector.open = _named(open, original)


def _httplib2(module: Any) -> None:
    original = module.Http.request

    def request(self: Any, uri: Any, *arguments: Any, **options: Any) -> Any:
        return original(self, rerouted(uri) or uri, *arguments, **options)

    module.Http.request = _named(request, original)


def _httpx(module: Any) -> None:
    def moved(request: Any) -> Any:
        url = rerouted(str(request.url))
        if url is None:
            return None
        headers = module.Headers(request.headers)
        headers["host"] = _netloc(url)
        return module.Request(
            request.method, url, headers=headers, stream=request.stream, extensions=request.extensions
        )

    def direct(transport: Any, kind: Any) -> Any:
        """The transport itself, or one beside it where it would go through a proxy."""
        if "Proxy" not in type(getattr(transport, "_pool", None)).__name__:
            return transport
        if not hasattr(transport, "_cairn_direct"):
            transport._cairn_direct = kind(trust_env=False)
        return transport._cairn_direct

    original = module.HTTPTransport.handle_request
    original_async = module.AsyncHTTPTransport.handle_async_request

    def handle_request(self: Any, request: Any) -> Any:
        ours = moved(request)
        if ours is None:
            return original(self, request)
        return original(direct(self, module.HTTPTransport), ours)

    async def handle_async_request(self: Any, request: Any) -> Any:
        ours = moved(request)
        if ours is None:
            return await original_async(self, request)
        return await original_async(direct(self, module.AsyncHTTPTransport), ours)

    module.HTTPTransport.handle_request = _named(handle_request, original)
    module.AsyncHTTPTransport.handle_async_request = _named(handle_async_request, original_async)


def _aiohttp(module: Any) -> None:
    original = module.ClientSession._request

    async def _request(self: Any, method: Any, str_or_url: Any, **options: Any) -> Any:
        moved = rerouted(str(str_or_url))
        if moved is not None:
            str_or_url = moved
            options.pop("proxy", None)
        return await original(self, method, str_or_url, **options)

    module.ClientSession._request = _named(_request, original)


def _grpc(module: Any) -> None:
    """`grpc` and `grpc.aio`: channels to a served host are opened to our port instead."""
    secure, insecure = module.secure_channel, module.insecure_channel

    def secure_channel(target: Any, credentials: Any, *arguments: Any, **options: Any) -> Any:
        address = _grpc_address(target)
        if address is None:
            return secure(target, credentials, *arguments, **options)
        return opened(address, arguments, options)

    def insecure_channel(target: Any, *arguments: Any, **options: Any) -> Any:
        address = _grpc_address(target)
        if address is None:
            return insecure(target, *arguments, **options)
        return opened(address, arguments, options)

    def opened(address: Any, arguments: Any, options: Any) -> Any:
        if _base().startswith("https:"):
            return secure(address, _grpc_credentials(), *arguments, **options)
        if not _step_token() and not _login():
            return insecure(address, *arguments, **options)
        said = _says_token(module)
        if module.__name__ == "grpc.aio":
            options["interceptors"] = [*(options.get("interceptors") or ()), *said]
            return insecure(address, *arguments, **options)
        return module.intercept_channel(insecure(address, *arguments, **options), *said)

    module.secure_channel = _named(secure_channel, secure)
    module.insecure_channel = _named(insecure_channel, insecure)


def _step_token() -> str:
    """A step's own token, which stands in its CAIRN_URL: http://127.0.0.1:8080/steps/TOKEN."""
    _, found, token = _base().partition("/steps/")
    return token if found else ""


def _login() -> bool:
    return os.environ.get("CAIRN_LOGIN") == "1"


_ACCOUNT: list[Any] = []  # the program's credentials, once they are asked for


def _account_token() -> str:
    """Of GOOGLE_APPLICATION_CREDENTIALS, renewed when it has expired."""
    import google.auth  # type: ignore[import-untyped,unused-ignore]
    import google.auth.transport.requests  # type: ignore[import-untyped,unused-ignore]

    if not _ACCOUNT:
        found, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
        _ACCOUNT.append(found)
    if not _ACCOUNT[0].valid:
        _ACCOUNT[0].refresh(google.auth.transport.requests.Request())
    return str(_ACCOUNT[0].token)


def _with_token(headers: Any) -> dict[str, str]:
    given = dict(headers or {})
    if not any(name.lower() == "authorization" for name in given):
        given["authorization"] = "Bearer " + _account_token()
    return given


def _says_token(module: Any) -> list[Any]:
    """Interceptors that send a token with each call; plaintext channels take no credentials."""

    def said(details: Any) -> Any:
        metadata = [pair for pair in (details.metadata or ()) if pair[0] != "authorization"]
        metadata.append(("authorization", "Bearer " + (_step_token() or _account_token())))
        if module.__name__ == "grpc.aio":
            metadata = module.Metadata(*metadata)
        return details._replace(metadata=metadata)

    def kind(base: Any, method: str) -> Any:
        if module.__name__ == "grpc.aio":

            async def intercept(_self: Any, call: Any, details: Any, request: Any) -> Any:
                return await call(said(details), request)

        else:

            def intercept(_self: Any, call: Any, details: Any, request: Any) -> Any:  # type: ignore[misc]
                return call(said(details), request)

        return type("SaysToken", (base,), {method: intercept})()

    return [
        kind(getattr(module, name + "ClientInterceptor"), method)
        for name, method in (
            ("UnaryUnary", "intercept_unary_unary"),
            ("UnaryStream", "intercept_unary_stream"),
            ("StreamUnary", "intercept_stream_unary"),
            ("StreamStream", "intercept_stream_stream"),
        )
    ]


def _grpc_address(target: Any) -> str | None:
    """Our host:port, None when the target is none of our business. Raises GoogleHostRefused."""
    named = target[len("dns:") :].rpartition("/")[2] if target.startswith("dns:") else target
    host, colon, port = named.rpartition(":")
    if not colon or not port.isdigit():
        host = named
    if place_of(host, _STORAGE[0] if host.startswith("storage.") else "/") is None:
        return None
    ours = _netloc(_base())
    return ours if ours.rpartition(":")[2].isdigit() else ours + ":443"


def _grpc_credentials() -> Any:
    """For a server with TLS: its certificate is checked, and we say who we are as the program itself would."""
    import google.auth  # type: ignore[import-untyped,unused-ignore]
    import google.auth.transport.grpc  # type: ignore[import-untyped,unused-ignore]
    import google.auth.transport.requests  # type: ignore[import-untyped,unused-ignore]
    import grpc  # type: ignore[import-untyped,unused-ignore]

    found, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
    plugin = google.auth.transport.grpc.AuthMetadataPlugin(found, google.auth.transport.requests.Request())
    return grpc.composite_channel_credentials(grpc.ssl_channel_credentials(), grpc.metadata_call_credentials(plugin))


def _socket(module: Any) -> None:
    """The net below: a name of Google's is not even looked up."""
    refused_hosts = GOOGLE + METADATA

    def guard(original: Any) -> Any:
        def look_up(host: Any, *arguments: Any, **options: Any) -> Any:
            name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
            if isinstance(name, str):
                name = name.lower().rstrip(".")
                if _matches(name, refused_hosts) and not _allowed(name):
                    raise module.gaierror(module.EAI_NONAME, "Cairn sends nothing to Google: %s is not reached" % name)
            return original(host, *arguments, **options)

        return _named(look_up, original)

    for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex"):
        setattr(module, name, guard(getattr(module, name)))


PATCHES = {
    "socket": _socket,
    "requests.adapters": _requests,
    "urllib3.poolmanager": _urllib3,
    "urllib.request": _urllib_request,
    "httplib2": _httplib2,
    "httpx": _httpx,
    "aiohttp.client": _aiohttp,
    "grpc": _grpc,
    "grpc.aio": _grpc,
}


def _named(wrapper: Any, original: Any) -> Any:
    for name in ("__module__", "__name__", "__qualname__", "__doc__"):
        try:
            setattr(wrapper, name, getattr(original, name))
        except AttributeError:
            pass
    wrapper.__wrapped__ = original
    return wrapper


def patch(name: str, module: Any) -> None:
    """A library whose inside has changed is left as it is, with a word; the net below still holds."""
    try:
        PATCHES[name](module)
    except AttributeError as error:
        sys.stderr.write("cairn: requests of %s are not redirected: %s\n" % (name, error))
