"""The OpenIGTLink node and an independent peer: geometry, times, and messages that cannot be used."""

import contextlib
import re
import signal
import socket
import struct
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

from mmreg_rt import Registrar

pytest.importorskip("pyigtl", reason="pyigtl is not installed")
from fixtures.cine import Cine
from fixtures.igtl import GUARD_S, HEADER, Peer, image, with_body, with_header

TOLERANCE_MM = 0.25  # at the corners; half a voxel of the wrong grid is 0.7
FLIP = np.diag([-1.0, -1.0, 1.0, 1.0])  # between LPS and RAS
OK, UNKNOWN, LATE, OVERFLOW, CHECKSUM, MALFORMED, VERSION = 1, 2, 7, 8, 9, 10, 17
CINE = Cine(side=64, amplitude_px=3.0)
PIXELS = np.diag([1.5, 1.5, 1.0, 1.0])  # i, j, k


@pytest.fixture(scope="session")
def program(example):
    probe = subprocess.run(
        ["c++", "-E", "-x", "c++", "-"],
        input=b"#include <openigtlink/igtlMessageBase.h>",
        capture_output=True,
    )
    if probe.returncode:
        pytest.skip("libopenigtlink-dev is not installed")
    return example("igtl_node")


class Node:
    def __init__(self, program, *words):
        self.complaints = tempfile.TemporaryFile("w+")  # noqa: SIM115 (a pipe would be full some time)
        self.process = subprocess.Popen(
            [program, "--port", "0", "--threads", "1", *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=self.complaints,
            text=True,
        )
        self.port = int(re.fullmatch(r"listening on .*:(\d+)\n", self.process.stdout.readline())[1])

    def end(self):
        """Stop it, and return what it printed, and its complaints."""
        self.process.send_signal(signal.SIGTERM)
        printed, _ = self.process.communicate(timeout=GUARD_S)
        assert self.process.returncode == 0
        self.complaints.seek(0)
        return printed, self.complaints.read()

    def peak_kb(self):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1])


@pytest.fixture
def node(program):
    started = []

    def start(*words):
        started.append(Node(program, *words))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.communicate()
        one.complaints.close()


@pytest.fixture(scope="module")
def shared(program):
    """Return a node that all tests of messages talk to: none of them may end it."""
    one = Node(program, "--stall-s", GUARD_S, "--largest-mb", 64)
    yield one
    assert "stopped by a signal" in one.end()[0]


def frame(phase, dtype=np.float32):
    scaled = 200 * CINE.frame(phase)[0].clip(0, 1.2)
    return scaled.astype(dtype)


def rotation(degrees, axis):
    turn = np.radians(degrees)
    k = np.cross(np.eye(3), np.asarray(axis) / np.linalg.norm(axis))
    return np.eye(3) + np.sin(turn) * k + (1 - np.cos(turn)) * k @ k


def rigid(degrees, axis, shift_mm):
    out = np.eye(4)
    out[:3, :3], out[:3, 3] = rotation(degrees, axis), shift_mm
    return out


# ---- geometry


class Blobs:
    """A smooth image that is known everywhere: bright balls around the middle of the fixed grid below."""

    def __init__(self, count=60):
        rng = np.random.default_rng(5)
        self.centres_mm = MIDDLE_MM + rng.uniform(-22, 22, (count, 3))
        self.bright, self.radii_mm = rng.uniform(200, 1000, count), rng.uniform(3, 7, count)

    def at(self, grid, shape):
        """Return the voxels (k, j, i) of a grid from (i, j, k) to mm."""
        kji = np.indices(shape).reshape(3, -1)
        points = (grid @ np.r_[kji[::-1], np.ones((1, kji.shape[1]))])[:3].T
        ball = (np.linalg.norm(points[:, None] - self.centres_mm, axis=2) / self.radii_mm) ** 2
        return (np.exp(-0.5 * ball) @ self.bright).reshape(shape).astype(np.int16)


def grid_around(middle_mm, turn, spacing_mm, shape):
    """Return the map from (i, j, k) to mm of a grid (k, j, i) whose centre is there."""
    out = turn @ np.diag([*spacing_mm, 1.0])
    out[:3, 3] = middle_mm - out[:3, :3] @ (np.array(shape[::-1]) - 1) / 2
    return out


MIDDLE_MM = np.array([40.0, -25.0, 110.0])
BLOBS = Blobs()


@pytest.mark.parametrize("version", (1, 2))
@pytest.mark.parametrize("system", ("lps", "ras"))
def test_images_on_oblique_anisotropic_grids_are_where_their_headers_say(node, system, version):
    """Of two images of one object whose headers differ by a known turn, the transform is that turn.

    Sizes, spacings, directions and places of the grids differ, so none of them can be mistaken in both alike.
    """
    fixed_shape, moving_shape = (20, 34, 30), (30, 24, 36)
    fixed_grid = grid_around(MIDDLE_MM, rigid(35, (1, 2, 3), (0, 0, 0)), (1.6, 1.4, 2.6), fixed_shape)
    turn = rigid(4, (2, -1, 1), (1.5, -2.5, 6.0))
    there = grid_around(
        MIDDLE_MM + (1, 2, -1), rigid(-20, (3, 1, 0), (0, 0, 0)), (1.4, 2.2, 1.7), moving_shape
    )
    with Peer(node("--linear").port) as peer:
        peer.send(image(BLOBS.at(fixed_grid, fixed_shape), fixed_grid, system=system, version=version))
        assert peer.refusal()[0] == OK
        peer.send(image(BLOBS.at(there, moving_shape), turn @ there, system=system, version=version))
        matrix, warped, _ = peer.answer()
    flip = FLIP if system == "lps" else np.eye(4)
    corners = np.array(list(np.ndindex(2, 2, 2))) * (29, 33, 19)
    points = flip @ fixed_grid @ np.c_[corners, np.ones(8)].T
    assert np.abs(matrix @ points - flip @ turn @ flip @ points).max() < TOLERANCE_MM
    np.testing.assert_allclose(warped.ijk_to_world_matrix, fixed_grid, atol=1e-4)  # float32 at 100 mm
    assert warped.world_coordinate_system == system
    inside = np.s_[5:-5, 8:-8, 8:-8]
    right = BLOBS.at(fixed_grid, fixed_shape)[inside]
    assert np.corrcoef(warped.image[inside].ravel(), right.ravel())[0, 1] > 0.99


def in_python(frames):
    """Return the answers of a session in Python to slices at the place where PIXELS in LPS puts them."""
    dhw = (FLIP @ PIXELS)[:, [2, 1, 0, 3]]
    session = Registrar(threads=1).session((frames[0], dhw))
    return [session.register((frame, dhw)) for frame in frames[1:]]


@pytest.mark.parametrize("dtype", ("u1", "<i2", ">i2", "<u2", "<i4", "<f4", ">f4", "<f8", ">f8"))
def test_answers_are_those_of_a_session_in_python(shared, dtype):
    frames = [frame(phase, dtype) for phase in (0.0, 0.1, 0.2)]
    with Peer(shared.port) as peer:
        peer.send(*(image(one, PIXELS) for one in frames))
        assert peer.refusal()[0] == OK
        answers = [peer.answer() for _ in frames[1:]]
    native = [one.astype(one.dtype.newbyteorder("=")) for one in frames]
    for (matrix, warped, _), expected in zip(answers, in_python(native)):
        np.testing.assert_array_equal(matrix, expected.affine.matrix.astype(np.float32))
        np.testing.assert_array_equal(warped.image, expected.warped.data)


# ---- the protocol


def test_times_come_back_as_they_were_sent(shared):
    times = [0x0123456789ABCDEF, 1, 2**64 - 1]
    with Peer(shared.port) as peer:
        peer.send(*(image(frame(0.1 * k), PIXELS, time=sent) for k, sent in enumerate(times)))
        assert peer.receive()[1] == times[0]
        assert [peer.answer()[2] for _ in times[1:]] == times[1:]
        peer.send(with_header(image(frame(0.3), PIXELS, time=77), checksum=0))
        assert peer.receive()[1] == 77


def test_the_client_of_pyigtl_gets_its_answers(shared):
    import pyigtl

    client = pyigtl.OpenIGTLinkClient("127.0.0.1", shared.port)
    try:
        for phase in (0.0, 0.1):
            client.send_message(pyigtl.ImageMessage(frame(phase), PIXELS, timestamp=3.5, device_name="Scan"))
        transform = client.wait_for_message("FixedToMoving", timeout=GUARD_S)
        warped = client.wait_for_message("Warped", timeout=GUARD_S)
    finally:
        client.stop()
    assert transform.timestamp == warped.timestamp == 3.5
    assert warped.image.shape == (1, 64, 64)


def test_each_connection_begins_with_its_own_fixed_image(shared):
    for phase in (0.0, 0.2):
        with Peer(shared.port) as peer:
            peer.send(image(frame(phase), PIXELS))
            assert peer.refusal()[0] == OK


def test_an_image_can_be_fixed_by_its_name(node):
    def reference(phase):
        return image(frame(phase), PIXELS, name="Reference")

    with Peer(node("--fixed", "Reference").port) as peer:
        peer.send(image(frame(0.2), PIXELS))
        code, text = peer.refusal()
        assert code == UNKNOWN and "MMREG_E_NO_FIXED" in text
        for phase in (0.0, 0.2):
            peer.send(reference(phase), image(frame(0.2), PIXELS))
            assert peer.refusal()[0] == OK
            _, warped, _ = peer.answer()
        np.testing.assert_allclose(warped.image, frame(0.2), atol=1e-3)  # it is the fixed image itself


def test_an_answer_that_the_deadline_cut_short_is_announced(node):
    with Peer(node("--deadline-ms", 0.001).port) as peer:
        peer.send(GOOD, image(frame(0.1), PIXELS, time=5))
        assert peer.refusal()[0] == OK
        kind, sent, (code, text) = peer.receive()
        assert (kind, sent, code) == ("STATUS", 5, LATE) and "cut the next answer short" in text
        assert peer.answer()[2] == 5


def test_other_messages_are_passed_over(shared):
    unknown = with_header(image(frame(0.0)), type=b"POLYDATA", body=bytes(1000))
    empty = with_header(image(frame(0.0)), type=b"GET_STATUS", body=b"")
    with Peer(shared.port) as peer:
        peer.send(unknown, empty, image(frame(0.0), PIXELS), unknown, image(frame(0.1), PIXELS))
        assert peer.refusal()[0] == OK
        peer.answer()


# ---- messages that cannot be used

GOOD = image(frame(0.0), PIXELS)
EXTENDED = image(frame(0.0), PIXELS, version=2)
CONSTANT, NAN = np.zeros((1, 64, 64), np.float32), frame(0.0).copy()
NAN[0, 3, 4] = np.nan
REFUSED = {
    "checksum": (with_header(GOOD, checksum=1), CHECKSUM, "checksum"),
    "bytes flipped": (GOOD[:-1] + b"\x55", CHECKSUM, "checksum"),
    "no body": (with_header(GOOD, body=b""), MALFORMED, "header of the image is not whole"),
    "half a header": (with_header(GOOD, body=bytes(40)), MALFORMED, "header of the image is not whole"),
    "no voxels": (with_body(GOOD, 72, b"", end=10**9), MALFORMED, "do not agree"),
    "a voxel less": (with_body(GOOD, 72, b"", end=76), MALFORMED, "do not agree"),
    "a byte more": (with_body(GOOD, 72, b"x", end=72), MALFORMED, "do not agree"),
    "version of image": (with_body(GOOD, 0, b"\0\2"), MALFORMED, "version 1"),
    "three components": (with_body(GOOD, 2, b"\3"), MALFORMED, "one component"),
    "scalar type": (with_body(GOOD, 3, b"\7"), MALFORMED, "Voxels must be"),
    "byte order": (with_body(GOOD, 4, b"\3"), MALFORMED, "byte order"),
    "coordinate system": (with_body(GOOD, 5, b"\0"), MALFORMED, "RAS or LPS"),
    "size of zero": (with_body(with_body(GOOD, 6, b"\0\0"), 66, b"\0\0"), MALFORMED, "do not agree"),
    "size of 2^48": (with_body(with_body(GOOD, 6, b"\xff" * 6), 66, b"\xff" * 6), MALFORMED, "do not agree"),
    "subvolume": (with_body(GOOD, 60, b"\0\1"), MALFORMED, "whole"),
    "extended header": (with_body(EXTENDED, 0, b"\xff\xff"), MALFORMED, "more bytes than"),
    "short extended header": (with_body(EXTENDED, 0, b"\0\2"), MALFORMED, "more bytes than"),
    "no extended header": (with_header(EXTENDED, body=bytes(5)), MALFORMED, "not whole"),
    "metadata": (with_body(EXTENDED, 4, b"\xff" * 4), MALFORMED, "more bytes than"),
    "matrix of zeros": (with_body(GOOD, 12, bytes(36)), UNKNOWN, "MMREG_E_GRID"),
    "matrix of NaN": (with_body(GOOD, 12, b"\x7f\xc0\0\0" * 9), UNKNOWN, "MMREG_E_GRID"),
    "constant": (image(CONSTANT, PIXELS), UNKNOWN, "MMREG_E_INTENSITY_CONSTANT"),
    "not finite": (image(NAN, PIXELS), UNKNOWN, "MMREG_E_INTENSITY_NOT_FINITE"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_message_that_cannot_be_used_is_refused_and_the_next_one_answered(shared, name):
    packed, code, text = REFUSED[name]
    with Peer(shared.port) as peer:
        peer.send(packed, GOOD, packed, image(frame(0.1), PIXELS))
        first, ok, second = peer.refusal(), peer.refusal(), peer.refusal()
        peer.answer()
    assert first[0] == second[0] == code
    assert text in first[1]
    assert ok[0] == OK


LOST = {
    "version 0": (with_header(GOOD, version=0), VERSION),
    "version 77": (with_header(GOOD, version=77), VERSION),
    "65 MB": (with_header(GOOD, bytes=65 << 20), OVERFLOW),
    "2^63": (with_header(GOOD, bytes=2**63), OVERFLOW),
    "2^64 - 1": (with_header(GOOD, bytes=2**64 - 1), OVERFLOW),
    "another protocol": (
        b"GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: a browser of some length\r\n\r\n",
        VERSION,
    ),
}


@pytest.mark.parametrize("name", LOST)
def test_a_connection_whose_messages_cannot_be_told_apart_is_closed(shared, name):
    packed, code = LOST[name]
    with Peer(shared.port) as peer:
        peer.send(packed[: HEADER.size])
        assert peer.refusal()[0] == code
        assert peer.is_closed()
    assert serves(shared)


def serves(node):
    with Peer(node.port) as peer:
        peer.send(GOOD, image(frame(0.1), PIXELS))
        assert peer.refusal()[0] == OK
        peer.answer()
    return True


@pytest.mark.parametrize("count", (1, 57, 58, 100, len(GOOD) - 1))
def test_a_client_may_leave_at_any_byte(shared, count):
    with Peer(shared.port) as peer:
        peer.send(GOOD, GOOD[:count])
    assert serves(shared)


@pytest.mark.parametrize("count", (10, 1000))
def test_a_client_that_stops_within_a_message_is_left(node, count):
    one = node("--stall-s", 1)
    with Peer(one.port) as peer:
        peer.send(GOOD[:count])
        assert serves(one)
        assert peer.is_closed()


def fill(peer, packed):
    """Send messages until the node closes the connection."""
    until = time.monotonic() + GUARD_S
    with contextlib.suppress(OSError):
        while time.monotonic() < until:
            peer.send(packed)
    assert time.monotonic() < until


def test_a_client_that_does_not_read_its_answers_is_left(node):
    one = node("--stall-s", 4)  # longer than this process may wait for its turn in the midst of a message
    with Peer(one.port) as peer:
        fill(peer, with_header(GOOD, body=b"") * 100)
        assert serves(one)
    printed, complaints = one.end()
    assert re.search(r"\d+ refused; it does not read its answers", printed)
    assert len(complaints.splitlines()) == 10  # and not one for each


def test_memory_is_taken_for_bytes_that_come_and_not_for_those_that_are_announced(node):
    one = node()
    assert serves(one)
    before = one.peak_kb()
    for _ in range(5):
        with Peer(one.port) as peer:
            peer.send(with_header(GOOD, bytes=200 << 20)[:1000])
    assert serves(one)
    assert one.peak_kb() < before + 20_000


def test_mutated_messages_do_not_end_the_node(shared):
    rng = np.random.default_rng(11)
    for source in (GOOD, EXTENDED):
        for _ in range(100):
            body = bytearray(source[HEADER.size :])
            for at in rng.integers(0, 100, rng.integers(1, 4)):
                body[at] = rng.integers(256)
            packed = bytearray(with_header(source, body=bytes(body)))
            if rng.random() < 0.3:
                packed[rng.integers(0, HEADER.size)] = rng.integers(256)
            with contextlib.suppress(OSError), Peer(shared.port) as peer:  # closed by the node already
                peer.send(bytes(packed))
                peer.socket.shutdown(socket.SHUT_WR)
                while peer.socket.recv(4096):
                    pass
    assert serves(shared)


# ---- the program


def test_only_this_machine_is_served_by_default(node):
    port = node().port
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    (local,) = (row[1] for row in rows if row[1].endswith(f":{port:04X}") and row[3] == "0A")
    assert local.split(":")[0] == struct.pack("<I", 0x7F000001).hex().upper()


def test_a_wider_address_is_warned_of(node):
    one = node("--address", "0.0.0.0")
    assert serves(one)
    assert "no encryption" in one.end()[1]


@pytest.mark.parametrize("number", (signal.SIGINT, signal.SIGTERM))
@pytest.mark.parametrize("busy", (False, True), ids=("waiting", "registering"))
def test_a_signal_ends_it(node, number, busy):
    one, grid = node(), np.diag([0.5, 0.5, 0.5, 1.0])
    grid[:3, 3] = MIDDLE_MM - 12
    volume = image(BLOBS.at(grid, (48, 48, 48)), grid)
    with Peer(one.port) as peer:
        peer.send(volume)
        assert peer.refusal()[0] == OK
        if busy:
            peer.send(volume, volume, volume)
        one.process.send_signal(number)
        assert one.process.wait(timeout=GUARD_S) == 0
        assert peer.is_closed()


@pytest.mark.parametrize(
    ("words", "complaint", "code"),
    (
        (("--port", "70000"), "--port needs a number from 0 to 65535", 2),
        (("--port", "x"), "--port needs a number", 2),
        (("--address", "localhost"), "--address must be an IPv4 address", 2),
        (("--frobnicate", "1"), "--frobnicate is unknown", 2),
        (("--fixed",), "--fixed lacks its value", 2),
        (("--address", "192.0.2.1"), "192.0.2.1:18944", 1),  # of no machine
    ),
)
def test_wrong_arguments_are_named(program, words, complaint, code):
    done = subprocess.run([program, *words], capture_output=True, text=True, timeout=GUARD_S, check=False)
    assert done.returncode == code
    assert complaint in done.stderr
