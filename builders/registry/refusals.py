"""What a push ends with where a registry doesn't take it: what is wrong, and what to do."""

from typing import Final

from builders.console.errors import UserError
from builders.registry.addresses import read_address
from builders.registry.answers import Answer
from builders.registry.destinations import DOCKER_HUB, Repository
from builders.registry.no_answer import NoAnswerError, Obstacle

_TRY_LATER: Final = "push again later; nothing that was sent has to be sent again"


def unreachable(error: NoAnswerError, host: str) -> UserError:
    """Return the failure of a registry that gave no answer."""
    said = f"({error.said})"
    name = f"registry {host}"
    own = {str(read_address(f"{scheme}://{host}")) for scheme in ("http", "https")}
    if error.server and error.server not in own:
        name = f"server {error.server} that the {name} sends to"
    match error.obstacle:
        case Obstacle.NO_HOST:
            return UserError(
                f"there is no {name} {said}",
                hint="check its name, and this machine's name service",
            )
        case Obstacle.REFUSED:
            return UserError(
                f"nobody listens at the {name} {said}",
                hint="check its name and port, and whether it runs",
            )
        case Obstacle.NO_WAY:
            return UserError(
                f"no way leads to the {name} {said}",
                hint="check its name and port, this machine's network, and the firewalls between",
            )
        case Obstacle.NO_TLS:
            return UserError(
                f"this machine and the {name} agree on no TLS {said}",
                hint="see what it wants: a certificate of yours lies, with its key, in "
                "/etc/docker/certs.d/HOST as client.cert and client.key",
            )
        case Obstacle.CERTIFICATE:
            return UserError(
                f"the {name} has no certificate to be trusted {said}",
                hint="name a file with its authority's certificate in SSL_CERT_FILE, or add "
                "--insecure",
            )
        case Obstacle.PLAIN_HTTP:
            return UserError(
                f"the {name} speaks plain HTTP where HTTPS is asked for",
                hint="check its port, or add --insecure",
            )
        case Obstacle.PROXY:
            return UserError(
                f"the proxy that the environment names refuses the way to the {name} {said}",
                hint="check https_proxy and http_proxy, or name the registry in no_proxy",
            )
        case _:
            return UserError(f"the {name} broke off {said}", hint=_TRY_LATER)


def refused(answer: Answer, repository: Repository, doing: str, *, logged_in: bool) -> UserError:
    """Return the failure that `answer` is, to what was to be done; "send a layer", say."""
    where = f"the registry {repository.registry} refused to {doing}"
    said = f"({answer.said})"
    status, codes = answer.status, answer.codes
    if status == 401 and not logged_in:
        return UserError(
            f"{where} of {repository} to whoever has not logged in {said}",
            hint=_login(repository),
        )
    if status in (401, 403):
        return UserError(
            f"{where} of {repository}: the login has expired or has no access to it {said}",
            hint=f"check the name of the repository, or {_login(repository)}",
        )
    if status == 404 or codes & {"NAME_UNKNOWN", "NAME_INVALID"}:
        return UserError(
            f"{where}: it has no repository {repository.path} {said}",
            hint="check its name; some registries want a repository or a project to be made first",
        )
    if status == 405:
        return UserError(f"{where} {said}", hint="check its name; it may be one to read from only")
    if status == 407:
        return UserError(
            f"the proxy on the way to {repository.registry} wants a password {said}",
            hint="write it into https_proxy, as in http://USER:PASSWORD@HOST:PORT",
        )
    if status == 413:
        return UserError(
            f"{where} of that size {said}", hint="raise the limit of whatever stands before it"
        )
    if status in (408, 425, 429) or status >= 500:
        return UserError(f"{where} {said}", hint=_TRY_LATER)
    return UserError(f"{where} {said}", hint="see what it says, and ask whoever runs it")


def _login(repository: Repository) -> str:
    name = "" if repository.registry == DOCKER_HUB else f" {repository.registry}"
    return f"log in with 'docker login{name}', or podman, or skopeo"
