"""The description that is committed is the one that the newest client package gives."""

import subprocess
from pathlib import Path

import pytest

import cairn.api.vertex
from cairn.api.vertex.description import method_descriptor, methods, packages

GENERATOR = Path(__file__).parents[4] / "tools" / "generate_vertex.py"
COMMITTED = Path(cairn.api.vertex.__file__).parent


@pytest.mark.network
@pytest.mark.slow
@pytest.mark.timeout(1000)
def test_generating_it_again_gives_the_same_bytes(client_python, tmp_path):
    python = client_python(*(f"{name}=={version}" for name, version in packages().items()))
    subprocess.run([str(python), str(GENERATOR), str(tmp_path)], check=True, timeout=120)
    for name in ("methods.json", "description.binpb"):
        assert (tmp_path / name).read_bytes() == (COMMITTED / name).read_bytes(), f"run {GENERATOR.name} anew"


def test_every_method_is_described():
    for method in methods().values():
        found = method_descriptor(method)
        assert (found.input_type.full_name, found.output_type.full_name) == (method.request, method.response)
        assert found.client_streaming == ("request" in method.streams)
        assert found.server_streaming == ("response" in method.streams)
        assert (method.response == "google.longrunning.Operation") == (
            method.operation is not None or method.name in ("Operations.GetOperation", "Operations.WaitOperation")
        )
