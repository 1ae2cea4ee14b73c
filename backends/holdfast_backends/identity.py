"""What a write brings along beside its effect: whose message it is, and by which lock's leave."""

from dataclasses import dataclass, field

from .checks import check_lock_name, check_token


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose message a write is.

    Args:
        sender: who sent it, 1–128 characters.
        message_id: the logical id, 1–128 characters.
        digest: of the action and the canonical payload; tells a duplicate from a reuse.
        deadline: microseconds since 1970; from then on the message is not executed any more.
        cancelled: the sender does not want it any more: unless it was executed already, it never
            will be, and that is its outcome.
    """

    sender: str
    message_id: str
    digest: bytes
    deadline: int | None = field(default=None, compare=False)
    cancelled: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Fence:
    """A write is refused unless this lease holds at its commit.

    Args:
        lock: the lock's name.
        token: the fencing token that the writer got with the lock.
    """

    lock: str
    token: int

    def __post_init__(self) -> None:
        check_lock_name(self.lock, ("fence", "lock"))
        check_token(self.token, ("fence", "token"))
