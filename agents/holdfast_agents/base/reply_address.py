"""Where an agent may answer to: a sender must not make it write into somebody else's queue."""

_PREFIXES = ("amq.gen-", "amq.rabbitmq.reply-to")


def is_allowed_reply_address(address: str, namespace: str) -> bool:
    """Whether `reply_to` is a reply queue: `<namespace>.reply.*`, `amq.gen-*` or direct.

    Source: the wire contract, section 1.
    """
    return address.startswith((f"{namespace}.reply.", *_PREFIXES))
