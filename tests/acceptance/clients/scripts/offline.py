"""What must not leave the machine: every kind of client, asked for served hosts and for others."""

import asyncio
import importlib.util
import json
import os
import subprocess
import sys
import urllib.request

OURS = "https://us-central1-aiplatform.googleapis.com/v1/projects/default/locations/us-central1/pipelineJobs"
OTHERS = "https://bigquery.googleapis.com/bigquery/v2/projects"


def passed(name):
    print("passed:", name, flush=True)


def refused(call, host="bigquery.googleapis.com"):
    try:
        call()
    except OSError as error:
        assert host in str(error) and "CAIRN_SHIM_ALLOW" in str(error), error  # noqa: PT017
    else:
        raise AssertionError("a request to another host of Google's went out")


def has(name):
    return importlib.util.find_spec(name) is not None


assert isinstance(json.load(urllib.request.urlopen(OURS + "?pageSize=1")), dict)
refused(lambda: urllib.request.urlopen(OTHERS))
passed("urllib")

if has("requests"):
    import requests

    answer = requests.get(OURS, params={"pageSize": 1})
    assert answer.status_code == 200 and answer.url.startswith(os.environ["CAIRN_URL"]), answer
    refused(lambda: requests.get(OTHERS))
    passed("requests")

if has("urllib3"):
    import urllib3

    assert urllib3.PoolManager().request("GET", OURS).status == 200
    refused(lambda: urllib3.PoolManager().request("GET", OTHERS))
    passed("urllib3")

if has("httpx"):
    import httpx

    async def by_httpx(url):
        async with httpx.AsyncClient() as client:
            return await client.get(url)

    assert httpx.get(OURS).status_code == 200
    assert asyncio.run(by_httpx(OURS)).status_code == 200
    refused(lambda: httpx.get(OTHERS))
    refused(lambda: asyncio.run(by_httpx(OTHERS)))
    passed("httpx")

if has("aiohttp"):
    import aiohttp

    async def by_aiohttp(url):
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            return answer.status

    assert asyncio.run(by_aiohttp(OURS)) == 200
    refused(lambda: asyncio.run(by_aiohttp(OTHERS)))
    passed("aiohttp")

if has("grpc") and has("google.cloud.aiplatform_v1"):
    import grpc
    from google.cloud import aiplatform_v1

    parent = "projects/default/locations/us-central1"
    endpoint = {"api_endpoint": "us-central1-aiplatform.googleapis.com"}
    client = aiplatform_v1.PipelineServiceClient(client_options=endpoint, transport="grpc")
    list(client.list_pipeline_jobs(parent=parent))

    async def by_grpc():
        client = aiplatform_v1.PipelineServiceAsyncClient(client_options=endpoint)
        return [job async for job in await client.list_pipeline_jobs(parent=parent)]

    asyncio.run(by_grpc())
    ssl = grpc.ssl_channel_credentials()
    refused(lambda: grpc.secure_channel("bigquery.googleapis.com:443", ssl))
    refused(lambda: grpc.aio.secure_channel("dns:///bigquery.googleapis.com:443", ssl))
    passed("grpc")

if has("google.auth"):
    # What google-auth asks of Google in the background of each program: in which regions its account may be used.
    import google.auth
    import google.auth.transport.requests

    credentials, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
    request = google.auth.transport.requests.Request()
    credentials.refresh(request)
    if hasattr(credentials, "_lookup_regional_access_boundary"):
        refused(lambda: credentials._lookup_regional_access_boundary(request), "iamcredentials.googleapis.com")
    passed("google-auth")

child = subprocess.run(
    [sys.executable, "-c", f"import urllib.request; urllib.request.urlopen('{OTHERS}')"],
    capture_output=True, text=True,
)  # fmt: skip
assert "GoogleHostRefused" in child.stderr, child.stderr
passed("children")
