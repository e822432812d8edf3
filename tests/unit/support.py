"""What several unit tests use."""

import contextlib
import pathlib
import signal

from builders.formats.image_reader import BaseImage, read_base_image
from builders.formats.named_images import Choice
from builders.tar.sinks import Sink

BUILDERS = pathlib.Path(__file__).parents[2] / "builders"


def read_base(path, *, name=None, tag=None, **options) -> BaseImage:
    """The base image in the archive at `path`, as the functions with a fromImage read it."""
    choice = Choice(name, tag, name_word="fromImageName", tag_word="fromImageTag")
    return read_base_image(str(path), what=f"fromImage {path}", choice=choice, **options)


class Collected(Sink):
    """A sink that keeps what is written, and defines no more than it has to."""

    def __init__(self):
        self.data = b""

    def write(self, data):
        self.data += data


@contextlib.contextmanager
def deadline(seconds):
    """Fail where what is in the context takes longer: it waits for what never comes."""

    def fail(*_):
        raise TimeoutError(f"not done after {seconds} s")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
