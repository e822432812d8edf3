"""Why a request got no answer."""

from enum import Enum, auto


class Obstacle(Enum):
    """Kinds of failures on the way to a registry, by what is to be done about them."""

    NO_HOST = auto()
    REFUSED = auto()
    NO_WAY = auto()
    PROXY = auto()
    CERTIFICATE = auto()
    NO_TLS = auto()
    PLAIN_HTTP = auto()
    SILENCE = auto()
    BREAK = auto()


class NoAnswerError(Exception):
    """A request without an answer: what stood in the way, and what the connection said.

    `server` is who was asked, with its port where that is not the usual one.
    """

    def __init__(self, obstacle: Obstacle, said: str, server: str = "") -> None:
        super().__init__(obstacle, said, server)
        self.obstacle = obstacle
        self.said = said
        self.server = server
