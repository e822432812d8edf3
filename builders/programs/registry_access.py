"""How the programs speak to registries: whom they trust there, and who they say they are."""

from collections.abc import Mapping

from builders.registry.client import Client
from builders.registry.credentials import find_credentials
from builders.registry.destinations import Repository
from builders.registry.transport import Transport


def transport_of(variables: Mapping[str, str], *, insecure: bool, connections: int) -> Transport:
    """Return a transport that trusts whom the environment `variables` name beside the system's."""
    return Transport(
        verify=not insecure,
        connections=connections,
        authorities=[variables.get("NIX_SSL_CERT_FILE") or ""],
        certificates=variables.get("LONGSHORE_CERTIFICATES"),
    )


def client_of(
    repository: Repository,
    transport: Transport,
    variables: Mapping[str, str],
    *,
    insecure: bool,
) -> Client:
    """Return a client of the registry of `repository`, with the credentials of the user."""
    return Client(
        repository.host,
        transport,
        lambda: find_credentials(repository, variables),
        insecure=insecure,
    )
