"""Every case that holds on every backend, and the fixtures they use; made for `import *`."""

from .cases.amounts import TestAppend, TestIncrement, TestTheOrderOfAnUpdate
from .cases.batches import TestCapabilities, TestExecute, TestTheSameRecordManyTimes
from .cases.concurrency import TestManyChangesAtOnce, TestManySavesAtOnce, TestOneWinner
from .cases.copies import TestArgumentsAreLeftAlone, TestWhatIsKeptIsNotShared
from .cases.counting import TestCollections, TestCount
from .cases.duplicates import (
    TestACallThatWasCancelled,
    TestDuplicatesAtOnce,
    TestReadsHaveNoIdentity,
    TestTransactionsWithAnIdentity,
)
from .cases.events import TestWhatAWriteTells, TestWhatExpiryTells, TestWhatTellsNothing
from .cases.expiry import TestAnExpiredRecord, TestSweep, TestTtl
from .cases.expiry_edges import (
    TestExpiryInTransactionsAndIndexes,
    TestTheMomentOfExpiry,
    TestWhatExpiryLeaves,
)
from .cases.fences import TestFencedWrites, TestFencesInACall
from .cases.filter_laws import TestLawsOfFilters
from .cases.filter_refusals import TestRefusedFilters, TestTheLimitsOfAFilter
from .cases.filtering import TestOperators, TestPaths, TestTheIdAsAPath
from .cases.hostile import TestHostileText, TestHostileTextInPages
from .cases.identity import TestAFailureTwice, TestAfterTheRecordMovedOn, TestTheSameMessageTwice
from .cases.identity_scope import TestAnotherPayload, TestHowLongAnIdentityIsKept
from .cases.ids import (
    TestFailedWritesMoveNoCounter,
    TestGivingOutIds,
    TestIdsAreNeverGivenOutAgain,
    TestTheLastInteger,
    TestWhatAnIdIs,
)
from .cases.indexed_writes import TestWritesToIndexedCollections
from .cases.indexes import TestAnIndexChangesNoAnswer, TestDeclaringIndexes
from .cases.lock_races import TestLocksAtOnce, TestTheSameMessageAboutALock
from .cases.locks import (
    TestAcquiring,
    TestChangingALockThatIsNotMine,
    TestReleasing,
    TestRenewing,
    TestTokens,
)
from .cases.merging import TestMergePatch, TestWhatAnUpdateRefuses
from .cases.ordering import (
    TestSeveralSortKeys,
    TestSortPaths,
    TestTheOrderOfIds,
    TestTheOrderOfValues,
)
from .cases.outboxes import TestPublishing, TestReadingEvents, TestTheOrderOfEvents
from .cases.paging import (
    TestPages,
    TestPagesOfSoManyBytes,
    TestPagingWhileOthersWrite,
    TestWhatACursorBelongsTo,
)
from .cases.projecting import TestFields
from .cases.pruning import TestPruning
from .cases.saving import TestDelete, TestInstants, TestNotFound, TestSave
from .cases.sequences import TestTheSequenceOfAnOutcome
from .cases.transaction_views import (
    TestReadsOfATransaction,
    TestTransactionsBesideOthers,
    TestTransactionsOfSoManyBytes,
)
from .cases.transactions import TestAtomicTransactions, TestTransactionsThatAreNotAtomic
from .cases.values import TestKeptValues, TestRefusedValues, TestTheSizeOfADocument
from .cases.versions import (
    TestDeleteIfVersion,
    TestSaveIfVersion,
    TestUpdateIfVersion,
    TestVersions,
    TestVersionsAfterADelete,
)
from .cases.volume import TestLargeRecords, TestManyRecords
from .cases.withdrawing import TestCancelledMessages, TestDeadlines, TestWithdrawnAmongOthers
from .fixtures import backend, clock
from .harness import OpenBackend

__all__ = [
    "OpenBackend",
    "TestACallThatWasCancelled",
    "TestAFailureTwice",
    "TestAcquiring",
    "TestAfterTheRecordMovedOn",
    "TestAnExpiredRecord",
    "TestAnIndexChangesNoAnswer",
    "TestAnotherPayload",
    "TestAppend",
    "TestArgumentsAreLeftAlone",
    "TestAtomicTransactions",
    "TestCancelledMessages",
    "TestCapabilities",
    "TestChangingALockThatIsNotMine",
    "TestCollections",
    "TestCount",
    "TestDeadlines",
    "TestDeclaringIndexes",
    "TestDelete",
    "TestDeleteIfVersion",
    "TestDuplicatesAtOnce",
    "TestExecute",
    "TestExpiryInTransactionsAndIndexes",
    "TestFailedWritesMoveNoCounter",
    "TestFencedWrites",
    "TestFencesInACall",
    "TestFields",
    "TestGivingOutIds",
    "TestHostileText",
    "TestHostileTextInPages",
    "TestHowLongAnIdentityIsKept",
    "TestIdsAreNeverGivenOutAgain",
    "TestIncrement",
    "TestInstants",
    "TestKeptValues",
    "TestLargeRecords",
    "TestLawsOfFilters",
    "TestLocksAtOnce",
    "TestManyChangesAtOnce",
    "TestManyRecords",
    "TestManySavesAtOnce",
    "TestMergePatch",
    "TestNotFound",
    "TestOneWinner",
    "TestOperators",
    "TestPages",
    "TestPagesOfSoManyBytes",
    "TestPagingWhileOthersWrite",
    "TestPaths",
    "TestPruning",
    "TestPublishing",
    "TestReadingEvents",
    "TestReadsHaveNoIdentity",
    "TestReadsOfATransaction",
    "TestRefusedFilters",
    "TestRefusedValues",
    "TestReleasing",
    "TestRenewing",
    "TestSave",
    "TestSaveIfVersion",
    "TestSeveralSortKeys",
    "TestSortPaths",
    "TestSweep",
    "TestTheIdAsAPath",
    "TestTheLastInteger",
    "TestTheLimitsOfAFilter",
    "TestTheMomentOfExpiry",
    "TestTheOrderOfAnUpdate",
    "TestTheOrderOfEvents",
    "TestTheOrderOfIds",
    "TestTheOrderOfValues",
    "TestTheSameMessageAboutALock",
    "TestTheSameMessageTwice",
    "TestTheSameRecordManyTimes",
    "TestTheSequenceOfAnOutcome",
    "TestTheSizeOfADocument",
    "TestTokens",
    "TestTransactionsBesideOthers",
    "TestTransactionsOfSoManyBytes",
    "TestTransactionsThatAreNotAtomic",
    "TestTransactionsWithAnIdentity",
    "TestTtl",
    "TestUpdateIfVersion",
    "TestVersions",
    "TestVersionsAfterADelete",
    "TestWhatACursorBelongsTo",
    "TestWhatAWriteTells",
    "TestWhatAnIdIs",
    "TestWhatAnUpdateRefuses",
    "TestWhatExpiryLeaves",
    "TestWhatExpiryTells",
    "TestWhatIsKeptIsNotShared",
    "TestWhatTellsNothing",
    "TestWithdrawnAmongOthers",
    "TestWritesToIndexedCollections",
    "backend",
    "clock",
]
