"""The law or the contract behind a fact, where the fact does not name it itself."""

from __future__ import annotations

from typing import Final

from recoup.accounts.v1.words_pb2 import CloseCode, DisputeOutcome, HoldReason

DISPUTE_IN_WRITING: Final = "12 CFR 1006.38(d)(2)(i); 15 USC 1692g(b)"
DISPUTE_ORAL: Final = "15 USC 1692e(8)"
DISPUTE_DUPLICATIVE: Final = "12 CFR 1006.38(a)(1), (d)(2)(ii)"
ITEMIZATION: Final = "12 CFR 1006.34(c)(2)"
AMOUNTS: Final = "12 CFR 1006.22(b); 15 USC 1692f(1)"
RECORDS: Final = "12 CFR 1006.100(a)"
EXTINGUISHED: Final = "12 CFR 1006.30(b)(1)"
STAY: Final = "11 USC 362(a)"
IDENTITY_THEFT: Final = "15 USC 1681m(f)"
CONTRACT: Final = "the client's contract"

_HOLDS: Final = {
    HoldReason.HOLD_REASON_SCRA: "50 USC 3901 and following",
    HoldReason.HOLD_REASON_BANKRUPTCY_VERIFICATION: STAY,
    HoldReason.HOLD_REASON_BANKRUPTCY: STAY,
    HoldReason.HOLD_REASON_IDENTITY_THEFT: IDENTITY_THEFT,
    HoldReason.HOLD_REASON_DISPUTE: DISPUTE_IN_WRITING,
    HoldReason.HOLD_REASON_VALIDATION_DOCUMENTS_SENT: "12 CFR 1006.38(d)(2)",
    HoldReason.HOLD_REASON_CEASE_COMMUNICATION: "12 CFR 1006.6(c)(1); 15 USC 1692c(c)",
    HoldReason.HOLD_REASON_DISCHARGED: "11 USC 524(a)(2)",
    HoldReason.HOLD_REASON_REPRESENTED: "12 CFR 1006.6(b)(2); 15 USC 1692c(a)(2)",
    HoldReason.HOLD_REASON_RECALL_PENDING: CONTRACT,
}
_CLOSINGS: Final = {
    CloseCode.CLOSE_CODE_PAID_IN_FULL: EXTINGUISHED,
    CloseCode.CLOSE_CODE_SETTLED_IN_FULL: EXTINGUISHED,
    CloseCode.CLOSE_CODE_PAID_TO_CLIENT: EXTINGUISHED,
    CloseCode.CLOSE_CODE_RECALLED_BY_CLIENT: CONTRACT,
    CloseCode.CLOSE_CODE_BANKRUPTCY_CH7: STAY,
    CloseCode.CLOSE_CODE_BANKRUPTCY_CH11: STAY,
    CloseCode.CLOSE_CODE_BANKRUPTCY_CH12: STAY,
    CloseCode.CLOSE_CODE_BANKRUPTCY_CH13: STAY,
    CloseCode.CLOSE_CODE_OUT_OF_STATUTE: "12 CFR 1006.26(b)",
    CloseCode.CLOSE_CODE_IDENTITY_THEFT: IDENTITY_THEFT,
    CloseCode.CLOSE_CODE_DISPUTE_UNRESOLVED: DISPUTE_IN_WRITING,
    CloseCode.CLOSE_CODE_CEASE_COMMUNICATION: "12 CFR 1006.6(c)(2)(i)",
}
_DISPUTE_ENDS: Final = {DisputeOutcome.DISPUTE_OUTCOME_DUPLICATIVE: DISPUTE_DUPLICATIVE}


def of_hold(reason: HoldReason) -> str:
    """What demands a hold for this reason; empty when it is the agency's own care."""
    return _HOLDS.get(reason, "")


def of_closing(code: CloseCode) -> str:
    """What stands behind this close code; empty when it is the agency's own judgement."""
    return _CLOSINGS.get(code, "")


def of_dispute_end(outcome: DisputeOutcome) -> str:
    """What a dispute that ended so was answered under."""
    return _DISPUTE_ENDS.get(outcome, DISPUTE_IN_WRITING)
