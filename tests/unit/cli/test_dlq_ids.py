"""Ids that cannot be typed: `holdfast dlq` shows them escaped, and takes what it shows."""

import asyncio

import pytest

from holdfast_agents.cli.dlq_show import as_meant, printable
from holdfast_protocol.bus.contract import Delivery
from holdfast_protocol.bus.opening import open_bus
from tests.services import unique_name
from tests.unit.cli.processes import holdfast


def test_every_text_is_among_those_that_are_meant_by_what_is_shown_of_it() -> None:
    for number in range(0, 0x110000, 0x80):
        text = "".join(map(chr, range(number, number + 0x80)))
        assert text in as_meant(printable(text))


@pytest.mark.parametrize("text", ["plain", "\\", "\\x4", "\\x41", "\\u0041", "\\Uffffffff", "\\n"])
def test_what_is_no_escape_of_ours_stands_for_itself(text: str) -> None:
    assert as_meant(text) == [text]


@pytest.mark.amqp
def test_an_id_that_is_shown_can_be_given_back(amqp_url: str) -> None:
    names = ["a\x1b[2J", "b\u202e\U000e0001", "c\\x1b"]
    place = ("--bus", amqp_url, "--namespace", unique_name())

    async def bury() -> None:
        async with open_bus(amqp_url, namespace=place[-1]) as bus:
            for name in names:
                letter = Delivery(b"{}", "storage.any", 1, message_id=name)
                await bus.dead_letter(letter, reason="expired", error="", agent="storage")

    asyncio.run(bury())
    rows = holdfast("dlq", "list", *place).stdout.splitlines()[1:-1]
    shown = [row.split()[0] for row in rows]
    assert shown == ["a\\x1b[2J", "b\\u202e\\U000e0001", "c\\x1b"]
    for name in shown:
        assert holdfast("dlq", "show", name, *place).returncode == 0
    for name in shown:
        done = holdfast("dlq", "purge", name, "--yes", *place)
        assert done.stdout == "removed 1 dead letter\n"
    missing = holdfast("dlq", "show", "a\x1b", *place)
    assert missing.stderr == "holdfast: Dead letter a\\x1b not found\n"
