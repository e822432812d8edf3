"""Pushing to registries of the tests, without waiting for long."""

import io
import tempfile

from builders.blobs.diagnosis import Diagnosis
from builders.blobs.layer_compression import LayerCompression
from builders.blobs.open_images import open_planned
from builders.console.transfers import Transfers
from builders.registry.client import Client
from builders.registry.destinations import Repository
from builders.registry.digest_cache import DigestCache
from builders.registry.push import Push, Settings
from builders.registry.transport import Transport

SOON = (0.01, 0.01, 0.01, 0.01)
GZ = LayerCompression("gz")


def client_of(quirks, *, credentials=None, insecure=False, pauses=SOON, patience=20, verify=True):
    transport = Transport(verify=verify and not insecure, patience=patience)
    return Client(quirks.address, transport, lambda: credentials, insecure=insecure, pauses=pauses)


def opened(plan, compression=GZ, *, annotations=None, known=None):
    return open_planned(plan, compression, annotations=annotations or {}, known=known)


def push(
    quirks,
    source,
    repository="app",
    tags=("1",),
    *,
    cache=None,
    client=None,
    credentials=None,
    insecure=False,
    patience=20,
    shown=None,
    **settings,
):
    """Push `source` and return the report."""
    client = client or client_of(
        quirks, credentials=credentials, insecure=insecure, patience=patience
    )
    with tempfile.TemporaryDirectory() as directory:
        return Push(
            client,
            Repository(client.host, repository),
            tags,
            source,
            Settings(
                **{
                    "jobs": 4,
                    "threads": 2,
                    "directory": directory,
                    "diagnosis": Diagnosis("build it again"),
                    **settings,
                }
            ),
            cache=cache or DigestCache(None),
            shown=shown or Transfers(moving=False, stream=io.StringIO()),
        ).run()
