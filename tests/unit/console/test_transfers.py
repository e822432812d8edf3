"""What is seen of blobs on their way."""

import io
import re

from builders.console.transfers import Transfers


def told(*, moving):
    stream = io.StringIO()
    shown = Transfers(moving=moving, stream=stream)
    shown.expect("c", 5000)
    shown.end("a", "there already", "layer 1", 7)
    shown.begin("b", "layer 2\x1b[2J", 4000)
    shown._shown = 0
    shown.move("b", 1000)
    shown.end("b", "sent", "layer 2\x1b[2J", 4000)
    shown.end("c", "mounted", "layer 3", 5000)
    shown.log("a line")
    shown.finish()
    return stream.getvalue()


def test_elsewhere_than_on_a_terminal_there_is_a_line_for_each_blob_that_moved():
    lines = told(moving=False).splitlines()
    assert lines[:3] == ["layer 2\\x1b[2J: sent, 4.0 kB", "layer 3: mounted, 5.0 kB", "a line"]
    assert re.fullmatch(
        r"1 sent, 1 there already, 1 mounted: 4\.0 kB in \d+\.\d s, [\d.]+ [kMGT]?B/s", lines[3]
    )
    assert len(lines) == 4


def test_a_terminal_gets_a_bar_for_each_blob_and_one_line_for_all():
    text = told(moving=True)
    assert "layer 2\\x1b[2J" in text
    assert "██████··················  25% of 4.0 kB" in text
    assert re.search(r"total: 1 there already, 1\.0 kB of 9\.0 kB, .*/s, \d+ s left", text)
    assert "a line" not in text
    # All of it is gone in the end, but for the sum.
    assert text.splitlines()[-1].rpartition("\x1b[J")[2].startswith("1 sent, 1 there already")


def test_before_an_error_the_bars_are_taken_away():
    stream = io.StringIO()
    shown = Transfers(moving=True, stream=stream)
    shown.begin("b", "layer 2", 4000)
    shown.abandon()
    assert stream.getvalue().endswith("\r\x1b[1A\x1b[J")
    shown.abandon()
    assert stream.getvalue().count("\x1b[1A\x1b[J") == 1


def test_what_has_to_go_again_is_counted_back():
    stream = io.StringIO()
    shown = Transfers(moving=True, stream=stream)
    shown.begin("b", "layer 2", 4000)
    shown.move("b", 2000)
    shown.move("b", -2000)
    shown._shown = 0
    shown.move("b", 0)
    assert stream.getvalue().rpartition("total: ")[2].startswith("0 B of 4.0 kB")
