"""The transport of a connection: the head of an answer waits for its body, and for nothing else."""

from kshot.web.protocol import _HeadWithBody

HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"


class Wire:
    """What a transport was told."""

    def __init__(self) -> None:
        self.said: list[bytes] = []
        self.mark = 7

    def write(self, data: bytes) -> None:
        self.said.append(data)

    def close(self) -> None:
        self.said.append(b"closed")


def test_head_and_body_are_one_write() -> None:
    wire = Wire()
    link = _HeadWithBody(wire)
    link.write(HEAD)
    assert wire.said == []
    link.write(b"{}")
    link.write(HEAD)
    link.write(b"")  # the answer to HEAD, or one without content
    link.write(b"more")
    assert wire.said == [HEAD + b"{}", HEAD, b"more"]


def test_what_is_no_head_of_an_answer_is_sent_at_once() -> None:
    wire = Wire()
    _HeadWithBody(wire).write(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert wire.said == [b"HTTP/1.1 100 Continue\r\n\r\n"]


def test_a_head_is_not_lost_when_the_connection_closes() -> None:
    wire = Wire()
    link = _HeadWithBody(wire)
    link.write(HEAD)
    link.close()
    assert wire.said == [HEAD, b"closed"]
    assert link.mark == 7  # everything else is the transport's own
