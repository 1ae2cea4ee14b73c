"""How much a runner takes at once."""

from dataclasses import dataclass

from holdfast_protocol.limits import MAX_RESPONSE_BYTES


@dataclass(frozen=True, slots=True)
class RunnerLimits:
    """How much a runner takes at once.

    Args:
        prefetch: deliveries that may be unsettled in this process.
        batch_messages: messages of one batch; a delivery is split only for `answer_bytes`.
        batch_bytes: bodies of one batch, likewise.
        taken_bytes: bodies that were taken from the bus and are not settled; beyond, the rest
            stays there.
        held_bytes: bodies that are decoded and not yet settled; the rest waits undecoded.
        answer_bytes: results of one batch, as large as they are likely to be (see `sizing`: at
            worst they are four times of it); and as many may wait for the broker's confirm and
            the journal while the next batch is executed. Slow reads have their own bound: a few
            at a time in each of the `side_batches`.
        side_batches: slow reads (lists, queries) that run beside the batches.
        side_waiting: deliveries of slow reads that wait for their turn; more are refused
            (`overloaded`), so that writes always find their way in.
        unsettled_batches: batches whose replies may still wait for the broker's confirm.
        retry_seconds: how long a batch waits for a store that cannot be reached.
        response_bytes: of one AMQP message that answers an array.
    """

    prefetch: int = 500
    batch_messages: int = 1_000
    batch_bytes: int = 16 * 1024 * 1024
    taken_bytes: int = 64 * 1024 * 1024
    held_bytes: int = 32 * 1024 * 1024
    answer_bytes: int = 64 * 1024 * 1024
    side_batches: int = 4
    side_waiting: int = 256
    unsettled_batches: int = 4
    retry_seconds: float = 30.0
    response_bytes: int = MAX_RESPONSE_BYTES
