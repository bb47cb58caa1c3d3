"""Where each field of a Metro 2 record stands.

Positions are 1-based and inclusive, as the Credit Reporting Resource Guide prints them. A character-format record is
one line: the header or a base segment of 426 bytes, with further segments of fixed lengths behind it. Only the fields
that a placement needs, or that must be readable, are named.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

RECORD_LENGTH: Final = 426
AMOUNT_DIGITS: Final = 9


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a segment: its name and its 1-based first and last position."""

    name: str
    start: int
    end: int

    def of(self, segment: str) -> str:
        """The field's characters in a segment."""
        return segment[self.start - 1 : self.end]


HEADER_MARK: Final = Field("record_identifier_header", 5, 10)
TRAILER_MARK: Final = Field("record_identifier_trailer", 5, 11)
ACTIVITY_DATE: Final = Field("activity_date", 48, 55)
REPORTER_NAME: Final = Field("reporter_name", 80, 119)

TRAILER_TOTALS: Final = {
    "base": Field("total_base_records", 12, 20),
    "J1": Field("total_j1_segments", 39, 47),
    "J2": Field("total_j2_segments", 48, 56),
}

RECORD_LENGTH_WORD: Final = Field("rdw", 1, 4)
IDENTIFICATION_NUMBER: Final = Field("id_num", 21, 40)
ACCOUNT_NUMBER: Final = Field("cons_acct_num", 43, 72)
ACCOUNT_TYPE: Final = Field("acct_type", 74, 75)
DATE_OPENED: Final = Field("date_open", 76, 83)
CREDIT_LIMIT: Final = Field("credit_limit", 84, 92)
HIGHEST_CREDIT: Final = Field("hcola", 93, 101)
SCHEDULED_PAYMENT: Final = Field("smpa", 106, 114)
ACTUAL_PAYMENT: Final = Field("actual_pmt_amt", 115, 123)
ACCOUNT_STATUS: Final = Field("acct_stat", 124, 125)
COMPLIANCE_CODE: Final = Field("compl_cond_cd", 153, 154)
CURRENT_BALANCE: Final = Field("current_bal", 155, 163)
AMOUNT_PAST_DUE: Final = Field("amt_past_due", 164, 172)
CHARGE_OFF_AMOUNT: Final = Field("orig_chg_off_amt", 173, 181)
DATE_OF_ACCOUNT_INFORMATION: Final = Field("doai", 182, 189)
FIRST_DELINQUENCY: Final = Field("dofd", 190, 197)
DATE_CLOSED: Final = Field("date_closed", 198, 205)
LAST_PAYMENT: Final = Field("dolp", 206, 213)
DATE_OF_BIRTH: Final = Field("dob", 307, 314)
ECOA_CODE: Final = Field("ecoa", 325, 325)
CONSUMER_INDICATOR: Final = Field("cons_info_ind", 326, 327)
CITY: Final = Field("city", 394, 413)
STATE: Final = Field("state", 414, 415)

BASE_AMOUNTS: Final = (
    CREDIT_LIMIT,
    HIGHEST_CREDIT,
    SCHEDULED_PAYMENT,
    ACTUAL_PAYMENT,
    CURRENT_BALANCE,
    AMOUNT_PAST_DUE,
    CHARGE_OFF_AMOUNT,
)
BASE_DATES: Final = (
    DATE_OPENED,
    DATE_OF_ACCOUNT_INFORMATION,
    FIRST_DELINQUENCY,
    DATE_CLOSED,
    LAST_PAYMENT,
    DATE_OF_BIRTH,
)

J1_DATE_OF_BIRTH: Final = Field("dob_j1", 79, 86)
J1_ECOA_CODE: Final = Field("ecoa_j1", 97, 97)
J1_CONSUMER_INDICATOR: Final = Field("cons_info_ind_j1", 98, 99)

J2_DATE_OF_BIRTH: Final = Field("dob_j2", 79, 86)
J2_ECOA_CODE: Final = Field("ecoa_j2", 97, 97)
J2_CONSUMER_INDICATOR: Final = Field("cons_info_ind_j2", 98, 99)
J2_CITY: Final = Field("city_j2", 166, 185)
J2_STATE: Final = Field("state_j2", 186, 187)

K1_ORIGINAL_CREDITOR: Final = Field("k1_orig_creditor_name", 3, 32)

SEGMENT_LENGTHS: Final = {"J1": 100, "J2": 200, "K1": 34, "K2": 34, "K3": 40, "K4": 30, "L1": 54, "N1": 146}

STATUSES: Final = frozenset(
    [
        "05",
        "11",
        "13",
        "61",
        "62",
        "63",
        "64",
        "65",
        "71",
        "78",
        "80",
        "82",
        "83",
        "84",
        "88",
        "89",
        "93",
        "94",
        "95",
        "96",
        "97",
        "DA",
        "DF",
    ],
)
COLLECTIBLE_STATUSES: Final = frozenset(["71", "78", "80", "82", "83", "84", "93", "95", "96", "97"])
CHARGED_OFF: Final = "97"
CYCLES_BY_STATUS: Final = {"71": 1, "78": 2, "80": 3, "82": 4, "83": 5, "84": 6}
