"""The conformance suite: what a backend must do, as tests that anybody can run.

It is written from the wire contract alone and knows nothing of how a backend works. All of
Holdfast's own backends run it without a skip; a backend of yours is one when it does too.

It needs pytest, pytest-asyncio (in either mode) and hypothesis. Make one test module:

    from holdfast_backends.testing.suite import *  # every case, and the fixtures they use

    @pytest.fixture
    def open_backend(tmp_path: Path) -> OpenBackend:
        return lambda clock: MyBackend(tmp_path / "store", clock=clock)

`open_backend` is the only thing the suite asks for: a callable that takes a clock (a callable
that gives microseconds since 1970, see `ManualClock`) and returns an async context manager of a
backend. Within one test every call opens the same store, which is empty at the first call; two
tests never see each other's records, identities or indexes. Parametrise the fixture to run the
suite on several backends at once. All cases run in the event loop of the session, so a store may
keep its connections from one test to the next.

A store that outlives its process also takes `holdfast_backends.testing.durable`, which opens it
again, and twice at once.

    suite      every case that holds on every backend
    durable    cases for stores that outlive their process, and are shared by several
    harness    the clock, the types and the short words that the cases are written in
    cases/     the cases, a file for each theme
"""

import pytest

# Before anything imports them: failed assertions of the cases then tell both sides.
pytest.register_assert_rewrite(
    "holdfast_backends.testing.cases", "holdfast_backends.testing.harness"
)
