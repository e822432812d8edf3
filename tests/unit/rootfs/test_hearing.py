"""What programs say on stderr is heard, and goes on to where it would have gone."""

import os
import subprocess
import time

from builders.rootfs.hearing import overhear


def test_wanted_lines_are_kept_and_all_lines_go_on(capfd):
    with overhear(lambda line: "b" in line) as heard:
        subprocess.run(["sh", "-c", "echo abc >&2; echo xyz >&2; printf open >&2"], check=True)
        os.write(2, b" by itself: b\n")
    assert heard == ["abc", "open by itself: b"]
    assert capfd.readouterr().err == "abc\nxyz\nopen by itself: b\n"


def test_a_daemon_that_keeps_stderr_open_is_not_waited_for():
    start = time.monotonic()
    with overhear(lambda _: True) as heard:
        daemon = subprocess.Popen(["sleep", "20"])
        subprocess.run(["sh", "-c", "echo said >&2"], check=True)
    daemon.kill()
    daemon.wait()
    assert heard == ["said"]
    assert time.monotonic() - start < 10
