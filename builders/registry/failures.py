"""Why a registry did not give an image, told from what skopeo says.

skopeo has one exit code for all failures; its words come from containers/image
and from Go's net, which keep them over versions.
"""

import json
import re
from enum import Enum, auto
from typing import Final

from builders.image.names import RemoteImage

_SAID_MAX: Final = 1000
"""Characters of a message of skopeo, which repeats what a registry says."""


class Problem(Enum):
    """Kinds of failures, by what is to be done about them."""

    NO_MANIFEST = auto()
    NO_PLATFORM = auto()
    ACCESS = auto()
    AUTH_FILE = auto()
    CERTIFICATE = auto()
    PLAIN_HTTP = auto()
    NO_HOST = auto()
    DISK = auto()
    TRANSIENT = auto()
    OTHER = auto()


_SIGNS: Final = (
    (Problem.NO_PLATFORM, r"no image found in (manifest list|image index)"),
    (Problem.AUTH_FILE, r"getting username and password|(reading|unmarshaling) JSON"),
    (Problem.CERTIFICATE, r"x509: "),
    (Problem.PLAIN_HTTP, r"server gave HTTP response to HTTPS client"),
    (Problem.NO_HOST, r"no such host"),
    (Problem.DISK, r"no space left on device"),
    (
        Problem.TRANSIENT,
        r"(HTTP status|StatusCode|status code|HTTP code):? \(?(408|429|5\d\d)\b|toomanyrequests"
        r"|connection (reset|refused|timed out)|broken pipe|\bEOF\b|(?i:time-?out)"
        r"|deadline exceeded|server misbehaving|[Tt]emporary failure"
        r"|(network|host) is unreachable|no route to host|stream error|GOAWAY",
    ),
    (
        Problem.ACCESS,
        r"unauthorized|authentication required|access to the resource is denied|\bdenied\b"
        r"|forbidden|(StatusCode|status code|HTTP status):? \(?40[13]\b",
    ),
    (
        Problem.NO_MANIFEST,
        r"manifest unknown|name unknown|not found|(StatusCode|status):? \(?404\b",
    ),
)


class RegistryError(Exception):
    """A failure of skopeo: its kind, and what it said."""

    def __init__(self, problem: Problem, said: str) -> None:
        super().__init__(problem, said)
        self.problem = problem
        self.said = said


def read_failure(log: str, image: RemoteImage) -> RegistryError:
    """Return the failure that the `log` of skopeo ends with, which was to fetch `image`."""
    said = _last_message(log)
    # An image may be called "timeout".
    without_names = re.sub(r"(docker|https?)://\S+", "", said).replace(image.name, "")
    for problem, signs in _SIGNS:
        if re.search(signs, without_names):
            return RegistryError(problem, said)
    return RegistryError(Problem.OTHER, said)


def _last_message(log: str) -> str:
    """Return the text of the last fatal message in a log of Go's logrus, or the last line."""
    fatal = re.findall(r'^time=\S+ level=fatal msg=("(?:[^"\\]|\\.)*"|\S+)', log, re.MULTILINE)
    if fatal:
        text = fatal[-1]
        if text.startswith('"'):
            try:
                text = json.loads(text)
            except ValueError:
                # Go escapes more than JSON does.
                text = text[1:-1]
    else:
        text = (log.strip().splitlines() or ["it said nothing"])[-1]
    return " ".join(text[:_SAID_MAX].split())


def describe(error: RegistryError, image: RemoteImage) -> str:
    """Return what is wrong with fetching `image`, in one line without the remedy."""
    registry, said = image.registry, _without_prefix(error.said, image)
    version = f"with the {'digest' if image.has_digest else 'tag'} {image.version}"
    match error.problem:
        case Problem.NO_MANIFEST:
            return f"the registry {registry} has no image {image.repository} {version} ({said})"
        case Problem.ACCESS:
            return f"the registry {registry} refuses access to {image} ({said})"
        case Problem.AUTH_FILE:
            return f"skopeo can't read the credentials for {image} ({said})"
        case Problem.CERTIFICATE:
            return f"the registry {registry} of {image} has no certificate to be trusted ({said})"
        case Problem.PLAIN_HTTP:
            return f"the registry {registry} of {image} speaks plain HTTP where HTTPS is asked for"
        case Problem.NO_HOST:
            return f"there is no host for the registry {registry} of {image} ({said})"
        case Problem.TRANSIENT:
            return f"the registry {registry} did not give {image} ({said})"
        case _:
            return f"skopeo could not fetch {image} from the registry {registry} ({said})"


def _without_prefix(said: str, image: RemoteImage) -> str:
    """Leave out what a message of skopeo says of the image, which `describe` says before."""
    said = re.sub(r"^.*?docker://\S+: ", "", said)
    return re.sub(rf"^reading manifest \S+ in \S*{re.escape(image.repository)}: ", "", said)
