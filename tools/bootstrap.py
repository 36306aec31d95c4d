"""Bring .venv up to date with uv.lock: python tools/bootstrap.py [--no-dev]

Needs nothing but a Python: no pip, no venv. A uv that is missing is fetched from the package index as a wheel of a
pinned version and digest, and unpacked into .tools/. The file keeps to syntax that an old Python reads, so that it can
look for a newer one.

Settings, all optional:
  UV_DEFAULT_INDEX, UV_INDEX_URL, PIP_INDEX_URL                      the package index; the first that is set
  UV_FIND_LINKS, PIP_FIND_LINKS                                      folders that may hold uv's wheel
  SSL_CERT_FILE, PIP_CERT, REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE        certificates; the first that is set
  HTTPS_PROXY, NO_PROXY
"""

import glob
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import time

UV_VERSION = "0.13.8"
UV_MINIMUM = (0, 13, 0)
# Wheels as the public index publishes them, by (system, machine, libc).
UV_WHEELS = {
    ("Linux", "x86_64", "glibc"): (
        "manylinux_2_17_x86_64.manylinux2014_x86_64",
        "e18a57b8b352eb7c8feb317b9f6f533c8f0ad9673fd6cf34bbe3cf1a9f6a8984",
    ),
    ("Linux", "x86_64", "musl"): (
        "musllinux_1_1_x86_64",
        "29451c60f5e8b07403e0a175d5229efc36b0289b34143ff4aaa499a5dd52553a",
    ),
    ("Linux", "aarch64", "glibc"): (
        "manylinux_2_17_aarch64.manylinux2014_aarch64.musllinux_1_1_aarch64",
        "0b3e8b1a4f5e405e31e2ff33de8af4744831e9f7338539671efbd8c3c94e791d",
    ),
    ("Linux", "aarch64", "musl"): (
        "manylinux_2_17_aarch64.manylinux2014_aarch64.musllinux_1_1_aarch64",
        "0b3e8b1a4f5e405e31e2ff33de8af4744831e9f7338539671efbd8c3c94e791d",
    ),
    ("Darwin", "arm64", ""): (
        "macosx_11_0_arm64",
        "62b6943c7fd64fac6854f780bea6e0359e5a5bc3241f83ee357bb38276afac49",
    ),
    ("Darwin", "x86_64", ""): (
        "macosx_10_12_x86_64",
        "b7124ca1956ec2e476a1003ea5715a15f0266afaec37f4dc9c6972ba8183e6d1",
    ),
}
PYTHON_MINIMUM, PYTHON_BELOW = (3, 11), (3, 14)
PYTHON_NAMES = ("python3.13", "python3.12", "python3.11", "python3", "python")
PUBLIC_INDEX = "https://pypi.org/simple"
CA_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Alpine, Arch
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, RHEL
    "/etc/ssl/ca-bundle.pem",  # SUSE
    "/etc/ssl/cert.pem",  # macOS, BSD
)
NETWORK_REMEDIES = """\
  behind a proxy, set HTTPS_PROXY;
  behind a private certificate authority, set SSL_CERT_FILE to its bundle;
  with a mirror of the package index, set UV_DEFAULT_INDEX."""

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TOOLS = os.path.join(ROOT, ".tools")
VENV = os.path.join(ROOT, ".venv")
STAMP = os.path.join(VENV, ".bootstrapped")


class Stop(Exception):
    """Ends the bootstrap; the text is what the user reads: what happened, then what helps."""


def main(arguments):
    if arguments not in ([], ["--no-dev"]):
        raise Stop("usage: python tools/bootstrap.py [--no-dev]")
    scope = "run" if arguments else "dev"
    wanted = fingerprint()
    if is_ready(wanted, scope):
        return
    os.makedirs(TOOLS, exist_ok=True)
    with open(os.path.join(TOOLS, "lock"), "w") as lock:
        wait_for(lock)
        if is_ready(wanted, scope):
            return
        python = find_python()
        sync(find_uv() or fetch_uv(), python, scope)
        with open(STAMP, "w") as stamp:
            stamp.write(wanted + " " + scope)


def fingerprint():
    """What .venv depends on: the lock, the project, this file, and where the checkout lies."""
    digest = hashlib.sha256(ROOT.encode())
    for name in ("uv.lock", "pyproject.toml", "tools/bootstrap.py"):
        with open(os.path.join(ROOT, name), "rb") as file:
            digest.update(file.read())
    return digest.hexdigest()


def is_ready(wanted, scope):
    if not os.path.exists(os.path.join(VENV, "bin", "python")):  # also when the interpreter behind the link is gone
        return False
    try:
        with open(STAMP) as stamp:
            found = stamp.read().split()
    except OSError:
        return False
    return found in ([wanted, "dev"], [wanted, scope])


def wait_for(lock):
    try:
        import fcntl
    except ImportError:
        raise Stop("Cairn runs on Linux and macOS; on Windows, use it inside WSL2.") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        say("waiting for another bootstrap of this checkout")
        fcntl.flock(lock, fcntl.LOCK_EX)


# --- Python ---------------------------------------------------------------------------------------------------------


def find_python():
    """The interpreter that runs this file if it will do, else the newest that is found."""
    rejected = []
    for path in [sys.executable, *python_candidates()]:
        version, problem = probe(path)
        if version and PYTHON_MINIMUM <= version < PYTHON_BELOW and not problem:
            return path
        if version:
            rejected.append("  {} is Python {}.{}{}".format(path, version[0], version[1], problem))
    raise Stop(
        "Cairn needs Python 3.11, 3.12 or 3.13 with its ssl and sqlite3 modules, and none was found:\n"
        + "\n".join(rejected)
        + "\nInstall one (Debian and Ubuntu: apt-get install python3; macOS: brew install python@3.13), or name one:\n"
        "  make PYTHON=/path/to/python3.12 ..."
    )


def python_candidates():
    home = os.path.expanduser("~")
    folders = os.environ.get("PATH", "").split(os.pathsep)
    folders += ["/usr/local/bin", "/opt/homebrew/bin", "/usr/bin", os.path.join(home, ".local", "bin")]
    folders += glob.glob(os.path.join(home, ".pyenv", "versions", "*", "bin"))
    folders += glob.glob(os.path.join(home, ".local", "share", "uv", "python", "*", "bin"))
    seen = set()
    for name in PYTHON_NAMES:
        for folder in folders:
            path = os.path.join(folder, name)
            if path not in seen and os.access(path, os.X_OK):
                seen.add(path)
                yield path


def probe(path):
    """(major, minor) and what is wrong with it; None for what does not start, as a shim without its version."""
    code = (
        "import sys; print('%d %d' % sys.version_info[:2])\n"
        "try:\n import ssl, sqlite3, ctypes\n"
        "except ImportError as error: print(' but lacks a module: %s' % error)"
    )
    try:
        lines = capture([path, "-I", "-c", code]).splitlines()
        major, minor = lines[0].split()
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None, ""
    return (int(major), int(minor)), "".join(lines[1:])


def capture(command):
    result = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=30, check=True
    )
    return result.stdout.decode("utf-8", "replace")


# --- uv -------------------------------------------------------------------------------------------------------------


def private_uv():
    return os.path.join(TOOLS, "uv-" + UV_VERSION, "uv")


def find_uv():
    for path in (private_uv(), shutil.which("uv"), os.path.join(VENV, "bin", "uv")):
        version = uv_version(path)
        if version and version >= UV_MINIMUM:
            return path
    return None


def uv_version(path):
    if not path or not os.access(path, os.X_OK):
        return None
    try:
        found = re.match(r"uv (\d+)\.(\d+)\.(\d+)", capture([path, "--version"]))
    except (OSError, subprocess.SubprocessError):
        return None
    return tuple(int(part) for part in found.groups()) if found else None


def fetch_uv():
    system, machine = platform.system(), platform.machine()
    libc = ("glibc" if platform.libc_ver()[0] == "glibc" else "musl") if system == "Linux" else ""
    if (system, machine, libc) not in UV_WHEELS:
        raise Stop(
            "No uv {} is pinned for {} on {} {}. Install uv {} or newer (https://docs.astral.sh/uv/) and "
            "put it on PATH.".format(UV_VERSION, system, machine, libc, ".".join(str(part) for part in UV_MINIMUM))
        )
    tags, digest = UV_WHEELS[(system, machine, libc)]
    wheel = "uv-{}-py3-none-{}.whl".format(UV_VERSION, tags)
    content = local_wheel(wheel) or download_wheel(wheel)
    found = hashlib.sha256(content).hexdigest()
    if found != digest:
        raise Stop(
            "{} is not the file that this checkout pins, and was not used:\n"
            "  expected sha256 {}\n  found    sha256 {}\n"
            "A proxy or a mirror changes what it serves; install uv {} by other means and put it on PATH.".format(
                wheel, digest, found, UV_VERSION
            )
        )
    unpack(content)
    if not uv_version(private_uv()):
        raise Stop(
            "{} does not start here; is the checkout on a file system mounted noexec? "
            "Install uv {} by other means and put it on PATH.".format(private_uv(), UV_VERSION)
        )
    return private_uv()


def local_wheel(wheel):
    for name in ("UV_FIND_LINKS", "PIP_FIND_LINKS"):
        for folder in re.split(r"[\s,]+", os.environ.get(name, "")):
            path = os.path.join(re.sub("^file://", "", folder), wheel)
            if folder and os.path.isfile(path):
                say("taking uv " + UV_VERSION + " from " + path)
                with open(path, "rb") as file:
                    return file.read()
    return None


def unpack(content):
    import io
    import zipfile

    target = private_uv()
    os.makedirs(os.path.dirname(target), exist_ok=True)
    partial = "{}.{}".format(target, os.getpid())
    with zipfile.ZipFile(io.BytesIO(content)) as archive, open(partial, "wb") as file:
        file.write(archive.read("uv-{}.data/scripts/uv".format(UV_VERSION)))
        os.chmod(partial, 0o755)  # noqa: S103 (a program)
    os.rename(partial, target)


# --- the network ----------------------------------------------------------------------------------------------------


def configured_index():
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"):
        value = os.environ.get(name)
        if value:
            return re.sub(r"^[\w.-]+=", "", value).rstrip("/")  # uv allows NAME=URL
    return PUBLIC_INDEX


def download_wheel(wheel):
    from html import unescape
    from urllib.parse import urldefrag, urljoin

    page = configured_index() + "/uv/"
    say("fetching uv {} from {}".format(UV_VERSION, without_login(page)))
    links = re.findall(r"""href\s*=\s*["']([^"']+)""", download(page).decode("utf-8", "replace"))
    for link in links:
        url = urldefrag(urljoin(page, unescape(link)))[0]
        if url.rpartition("/")[2] == wheel:
            return download(url, page)
    raise Stop(
        "{} does not list {}. Install uv {} by other means and put it on PATH, or choose another package index with "
        "UV_DEFAULT_INDEX.".format(without_login(page), wheel, UV_VERSION)
    )


def download(url, page=None):
    """The body at `url`. A login in the index's own address is sent to its host only, and over no redirect."""
    import base64
    import urllib.error
    import urllib.request
    from urllib.parse import unquote, urlsplit

    parts = urlsplit(url)
    login = urlsplit(page or url)
    request = urllib.request.Request(without_login(url), headers={"User-Agent": "cairn-bootstrap", "Accept": "*/*"})
    if login.username and login.hostname == parts.hostname:
        pair = "{}:{}".format(unquote(login.username), unquote(login.password or ""))
        request.add_unredirected_header("Authorization", "Basic " + base64.b64encode(pair.encode()).decode())
    context = certificates()
    for attempt in (1, 2, 3):
        try:
            with urllib.request.urlopen(request, timeout=60, context=context) as response:
                return response.read()
        except (OSError, EOFError) as error:
            refused = isinstance(error, urllib.error.HTTPError) and error.code < 500 and error.code != 429
            if refused or attempt == 3:
                raise Stop(
                    "{} could not be read: {}\n{}\nOr install uv {} by other means and put it on PATH.".format(
                        without_login(url), error, NETWORK_REMEDIES, UV_VERSION
                    )
                ) from None
            time.sleep(attempt)
    raise AssertionError("the third attempt returns or raises")


def without_login(url):
    return re.sub(r"^(\w+://)[^/@]*@", r"\1", url)


def configured_bundle():
    for name in ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        path = os.environ.get(name)
        if path and os.path.isfile(path):
            return path
    return None


def certificates():
    import ssl

    context = ssl.create_default_context()
    bundle = configured_bundle()
    if not bundle and not context.cert_store_stats()["x509_ca"]:
        bundle = next((path for path in CA_BUNDLES if os.path.isfile(path)), None)
    if bundle:
        context.load_verify_locations(cafile=bundle)
    return context


# --- .venv ----------------------------------------------------------------------------------------------------------


def sync(uv, python, scope):
    say("bringing .venv up to date with uv.lock ({})".format(python))
    env = dict(os.environ, UV_PROJECT_ENVIRONMENT=VENV, UV_PYTHON_DOWNLOADS="never")
    env.pop("VIRTUAL_ENV", None)
    if configured_bundle():
        env.setdefault("SSL_CERT_FILE", configured_bundle())
    elif any(os.path.isfile(path) for path in CA_BUNDLES):
        env.setdefault("UV_SYSTEM_CERTS", "1")  # a machine's own authority is trusted, as its Python and curl do
    groups = [] if scope == "dev" else ["--no-dev"]
    if configured_index() == PUBLIC_INDEX:
        uv_run(uv, env, ["sync", "--frozen", "--python", python, *groups])
        return
    # The lock names the public index's files; a mirror has them, with the same digests, under addresses of its own.
    env.update(UV_DEFAULT_INDEX=configured_index())
    locked = os.path.join(TOOLS, "requirements.txt")
    uv_run(uv, env, ["export", "--quiet", "--frozen", "--no-emit-project", "--output-file", locked, *groups])
    uv_run(uv, env, ["venv", "--quiet", "--allow-existing", "--python", python, VENV])
    uv_run(uv, env, ["pip", "sync", "--python", VENV, "--require-hashes", locked])
    uv_run(uv, env, ["pip", "install", "--python", VENV, "--no-deps", "--editable", ROOT])


def uv_run(uv, env, arguments):
    status = subprocess.run(
        [uv, *arguments], check=False, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=sys.stderr
    ).returncode
    if status:
        raise Stop(
            "uv {} failed with status {}; its message is above.\nIf it could not reach the package index:\n{}".format(
                arguments[0], status, NETWORK_REMEDIES
            )
        )


def say(text):
    sys.stderr.write("bootstrap: " + text + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except Stop as stop:
        say(str(stop))
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
