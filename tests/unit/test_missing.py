"""Whether a test skips or fails where something is missing."""

import pytest

from tests.missing import missing

SKIPPED, FAILED = pytest.skip.Exception, pytest.fail.Exception


@pytest.mark.parametrize(
    ("ci", "required", "permission", "outcome"),
    [
        ("", "", False, SKIPPED),
        ("", "0", False, SKIPPED),
        ("", "1", False, FAILED),
        ("true", "", False, FAILED),
        ("", "1", True, SKIPPED),
        ("true", "", True, FAILED),
    ],
)
def test_what_is_missing_skips_or_fails_where_it_is_required(
    monkeypatch: pytest.MonkeyPatch,
    ci: str,
    required: str,
    permission: bool,
    outcome: type[BaseException],
) -> None:
    monkeypatch.setenv("CI", ci)
    monkeypatch.setenv("HOLDFAST_TEST_REQUIRE_SERVICES", required)
    with pytest.raises(outcome, match="what to do"):
        missing("what to do", permission=permission)
