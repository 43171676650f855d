"""The picture of a launch: what is recorded of it, and how it is drawn, in text and as a page."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from warpbench.course import draw, page


def step(gap=4, first=0, width=4, space="global", lanes=range(32), passes=(), start=0, **_):
    offsets = [first + gap * lane for lane in lanes]
    unit = [o // 4 % 32 if space == "shared" else (o + start) // 32 for o in offsets]
    return {"number": 1, "block": 0, "warp": 0, "lanes": list(lanes), "offsets": offsets, "unit": unit,
            "passes": list(passes), "start": start}  # fmt: skip


def access(one, space="global", width=4, per_request=4.0, ideal=4.0, shape=(64, 64), kind="load"):
    tensor = "x" if space == "global" else ""
    return {"line": 7, "text": "out[i] = x[i]", "opcode": "", "kind": kind, "space": space, "width": width, "times": 1,
            "tensor": tensor, "shape": list(shape), "itemsize": 4, "per_request": per_request, "ideal": ideal,
            "steps": [one]}  # fmt: skip


def picture(*accesses):
    launch = {"kernel": "_k", "grid": [2, 1, 1], "block": [64, 1, 1], "lost": 0, "accesses": list(accesses)}
    return {"exercise": "mine", "arch": "sm_86", "case": "n=64", "launches": [launch], "findings": []}


STRIDED = access(step(gap=256), per_request=32.0)
CONFLICT = access(step(gap=128, space="shared", passes=range(32)), space="shared", per_request=32.0, ideal=1.0)
HALF = access(step(lanes=range(16)))


def test_lanes_side_by_side_share_sectors():
    text = "\n".join(draw.text(picture(access(step())), colour=False))
    assert "sector aaaaaaaa bbbbbbbb cccccccc dddddddd" in text
    assert "x[0, 0] .. x[0, 31]; side by side; 4 sectors, 100% of their bytes used" in text
    assert "would do" not in text


def test_lanes_far_apart_and_lanes_that_are_off():
    text = "\n".join(draw.text(picture(STRIDED, HALF), colour=False))
    assert "32 sectors a request, where 4 would do" in text
    assert "sector abcdefgh ijklmnop qrstuvwx yzABCDEF" in text
    assert "x[0, 0] .. x[31, 0]; 256 bytes apart; 32 sectors, 12% of their bytes used" in text
    assert "sector aaaaaaaa bbbbbbbb ........ ........" in text


def test_banks_and_wavefronts():
    text = "\n".join(draw.text(picture(CONFLICT), colour=False))
    assert "32 wavefronts a request, where 1 would do" in text
    assert "pass   abcdefgh ijklmnop qrstuvwx yzABCDEF" in text
    assert "bank   00000000 00000000 00000000 00000000" in text


def test_it_fits_sixty_columns_and_colour_changes_no_letter():
    one = picture(STRIDED, CONFLICT, HALF)
    plain, coloured = draw.text(one, colour=False), draw.text(one, colour=True)
    assert max(len(line) for line in plain if "mine:" not in line and "_k:" not in line and ";" not in line) <= 60
    assert [re.sub(r"\x1b\[[\d;]*m", "", line) for line in coloured] == plain
    assert coloured != plain


def test_the_page_stands_alone_and_is_well_formed():
    text = page.page(picture(STRIDED, CONFLICT, HALF))
    assert not re.search(r"(src|href)=|https?://|<script|@import|url\(", text)
    opened = []

    class Check(HTMLParser):
        def handle_starttag(self, tag, attrs):
            if tag != "meta":
                opened.append(tag)

        def handle_endtag(self, tag):
            assert opened.pop() == tag

    Check().feed(text)
    assert opened == []
    assert 'title="lane 3: x[3, 0]"' in text
    assert text.count("wavefront ") >= 32
    assert "lane 16 is switched off" in text


def test_text_of_the_learner_is_no_markup():
    one = {**HALF, "text": "if a < b & c: # <script>"}
    assert "if a &lt; b &amp; c: # &lt;script&gt;" in page.page(picture(one))


@pytest.mark.parametrize(
    ("gap", "width", "kind", "lanes", "passes"),
    [
        (4, 4, "load", 32, 1), (128, 4, "load", 32, 32), (0, 4, "load", 32, 1), (0, 4, "atomic", 32, 32),
        (8, 4, "load", 32, 2), (16, 16, "load", 32, 4), (8, 8, "load", 32, 2), (132, 4, "store", 32, 1),
    ],
)  # fmt: skip
def test_wavefronts_of_lanes_are_those_that_ptxvm_counts(gap, width, kind, lanes, passes):
    from types import SimpleNamespace

    import numpy as np

    from ptxvm.counters import _wavefronts
    from warpbench.course.picture import _passes

    offsets = tuple(gap * lane for lane in range(lanes))
    touch = SimpleNamespace(lanes=tuple(range(lanes)), offsets=offsets, width=width, kind=kind)
    assert len(set(_passes(touch))) == passes
    assert _wavefronts(np.array([offsets]), width, kind)[0] == passes


def test_neighbours_are_named_with_their_distance():
    words = draw.neighbours(STRIDED, STRIDED["steps"][0])
    assert words == "lanes 0, 1, 2, 3 of a warp read x[0, 0], x[1, 0], x[2, 0], x[3, 0]: 256 bytes apart"
    words = draw.neighbours(CONFLICT, CONFLICT["steps"][0])
    assert words == "lanes 0, 1, 2, 3 of a warp read shared memory in banks 0, 0, 0, 0: 128 bytes apart"


def test_a_request_that_costs_too_much_names_its_lanes(course, wrong):
    exercise = course.pick("grid_stride")
    path = wrong / exercise.id / "a_chunk_a_thread.py"
    found = course.check_texts(exercise, {exercise.files[0]: path.read_text(encoding="utf-8")})
    first = found["findings"][0]
    assert first["code"] == "M1"
    assert any(
        re.match(r"lanes 0, 1, 2, 3 of a warp (read|write) \w+\[0\], .*bytes apart", line) for line in first["evidence"]
    )


# -- of a real kernel ----------------------------------------------------------------------------------------------
def test_the_picture_of_the_learners_own_kernel(course):
    exercise = course.pick("grid_stride")
    exercise.path().write_text(exercise.cut().solution, encoding="utf-8")
    taken = course.picture(exercise)
    assert taken["findings"] == []
    [launch] = taken["launches"]
    assert [(one["kind"], one["tensor"]) for one in launch["accesses"]] == [
        ("load", "x"),
        ("load", "y"),
        ("store", "out"),
    ]
    load = launch["accesses"][0]
    assert (load["per_request"], load["times"], load["shape"]) == (4.0, 8, [8192])
    assert load["text"] == "out[i] = a * x[i] + y[i]"
    seconds = [s for s in load["steps"] if (s["block"], s["warp"], s["number"]) == (0, 1, 2)]
    assert seconds[0]["offsets"] == [4 * (1024 + 32 + lane) for lane in range(32)]
    assert {(s["block"], s["warp"]) for s in load["steps"]} == {(0, 0), (0, 1), (7, 0), (7, 1)}


@pytest.mark.slow
def test_a_kernel_that_is_stopped_is_drawn_to_there(learn, root):
    path = root / "01_threads" / "guard_the_tail.py"
    path.write_text(path.read_text().replace("out[i] = x[i] + y[i]", "out[i] = x[i] + y[i + 1]"))
    done = learn("show", "guard_the_tail")
    assert done.returncode == 0
    assert "load of x, 4 bytes a lane" in done.stdout
    assert "M4  out of bounds" in done.stdout
    path.write_text("def broken(:\n")
    done = learn("show", "guard_the_tail", "--html", str(root / "page.html"))
    assert (done.returncode, (root / "page.html").exists()) == (1, False)
    assert "does not parse" in done.stdout
