"""Message logs (wire contract, section 8)."""

from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest

from holdfast_protocol import AgentMessage, AgentResponse, ValidationError
from holdfast_protocol.logs import LoggedExchange, LogWriter, read_log, write_exchange

LINE = (
    b'{"v":1,"at":"2026-01-02T03:04:05.000000Z","agent":"storage",'
    b'"message":{"action":"storage_get","payload":{"task_id":7},"id":"m-1"},'
    b'"response":{"id":"r-1","in_reply_to":"m-1","status":"success","result":{"id":7}}}'
)


def exchange(message_id: str = "m-1") -> LoggedExchange:
    return LoggedExchange(
        agent="storage",
        message=AgentMessage(action="storage_get", payload={"task_id": 7}, id=message_id),
        response=AgentResponse(
            status="success", result={"id": 7, "n": 1.0}, in_reply_to=message_id, sender="storage"
        ),
        at=datetime(2026, 1, 2, tzinfo=UTC),
    )


def changed(**fields: object) -> bytes:
    return orjson.dumps({**orjson.loads(LINE), **fields})


def test_a_line_is_one_exchange() -> None:
    (read,) = read_log([LINE])
    assert read.agent == "storage"
    assert read.at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert (read.message.action, read.message.id) == ("storage_get", "m-1")
    assert (read.response.id, read.response.result) == ("r-1", {"id": 7})


def test_lines_may_be_texts_and_empty_ones_are_skipped() -> None:
    assert len(list(read_log([LINE.decode() + "\n", "\n", "  "]))) == 1


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "messages.jsonl"
    written = [exchange("m-1"), exchange("m-2")]
    with LogWriter(path) as log:
        for item in written:
            log.write(item)
        log.flush()
        assert list(read_log(path)) == written
    assert list(read_log(str(path))) == written


def test_a_writer_appends(tmp_path: Path) -> None:
    path = tmp_path / "messages.jsonl"
    for message_id in ("m-1", "m-2"):
        with LogWriter(path) as log:
            log.write(exchange(message_id))
    assert [item.message.id for item in read_log(path)] == ["m-1", "m-2"]


def test_the_form_of_a_line() -> None:
    line = write_exchange(exchange())
    assert line.startswith(b'{"v":1,"at":"2026-01-02T00:00:00.000000Z","agent":"storage",')
    assert line.endswith(b"}\n")
    assert line.count(b"\n") == 1


def test_an_error_response_is_read_back() -> None:
    response = AgentResponse(
        status="error", error="No", error_type="conflict", details={"current_version": 2}
    )
    item = LoggedExchange("storage", AgentMessage(action="a"), response)
    assert list(read_log([write_exchange(item)])) == [item]


def test_unknown_keys_are_kept() -> None:
    (read,) = read_log([changed(node="n-1", tags=[1.0])])
    assert read.extra == {"node": "n-1", "tags": [1.0]}
    assert list(read_log([write_exchange(read)])) == [read]


def test_unknown_keys_never_replace_known_ones() -> None:
    item = exchange()
    odd = LoggedExchange(item.agent, item.message, item.response, item.at, {"v": 9, "x": 1})
    (read,) = read_log([write_exchange(odd)])
    assert read.extra == {"x": 1}


def test_a_later_version_is_refused_clearly() -> None:
    with pytest.raises(ValidationError, match=r"Line 2: .*later version .*\(2\)") as caught:
        list(read_log([LINE, changed(v=2)]))
    assert caught.value.details["line"] == 2


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"5",
        b"[]",
        changed(v=None),
        changed(v="1"),
        changed(v=True),
        changed(v=0),
        changed(at="now"),
        changed(at=None),
        changed(agent=5),
        changed(message=None),
        changed(message=[]),
        changed(message={"action": 5}),
        changed(message=[{"action": "a"}, {"action": "b"}]),
        changed(response=None),
        changed(response=[]),
        changed(response={"status": "done"}),
        LINE.replace(b'"task_id":7', b'"task_id":7,"task_id":8'),
        LINE.replace(b'"task_id":7', b'"task_id":1e400'),
    ],
)
def test_a_broken_line_is_named_by_its_number(line: bytes) -> None:
    lines = read_log([LINE, b"", line])
    next(lines)
    with pytest.raises(ValidationError, match=r"^Line 3: ") as caught:
        next(lines)
    assert caught.value.details["line"] == 3


def test_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(read_log(tmp_path / "absent.jsonl"))
