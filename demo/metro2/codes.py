"""What the codes of Metro 2 mean to an agency.

The code tables are those of the Credit Reporting Resource Guide: account types (exhibit 1), ECOA codes (10), consumer
information indicators (11), compliance condition codes (8).
"""

from __future__ import annotations

from typing import Final

from recoup.accounts.v1 import words_pb2 as words

PRODUCT_BY_ACCOUNT_TYPE: Final = {
    **dict.fromkeys(("00", "3A"), words.PRODUCT_TYPE_AUTO),
    **dict.fromkeys(("07", "0G", "18", "2A", "37", "43", "8A"), words.PRODUCT_TYPE_CARD),
    "89": words.PRODUCT_TYPE_HELOC,
    **dict.fromkeys(("5A", "5B", "6D"), words.PRODUCT_TYPE_HOME_EQUITY),
    "90": words.PRODUCT_TYPE_MEDICAL,
    **dict.fromkeys(("01", "0C", "15", "20", "91"), words.PRODUCT_TYPE_PERSONAL_LOAN),
    "12": words.PRODUCT_TYPE_STUDENT_LOAN,
    "92": words.PRODUCT_TYPE_UTILITY,
    "4D": words.PRODUCT_TYPE_TELECOM,
    "29": words.PRODUCT_TYPE_RENT,
    **dict.fromkeys(("08", "0F", "19", "25", "26", "2C"), words.PRODUCT_TYPE_MORTGAGE),
}
"""Every other account type is a product of its own kind: other."""

SECURED_ACCOUNT_TYPES: Final = frozenset(
    [
        "00",
        "02",
        "03",
        "08",
        "0A",
        "0F",
        "11",
        "17",
        "19",
        "25",
        "26",
        "2A",
        "2C",
        "3A",
        "47",
        "5A",
        "5B",
        "6B",
        "6D",
        "89",
        "9A",
    ]
)
PUBLIC_ACCOUNT_TYPES: Final = frozenset(["65", "66", "67", "68", "69", "70", "71", "72", "73", "74", "75"])
BUSINESS_ACCOUNT_TYPES: Final = frozenset(["10", "6A", "6B", "7A", "7B", "8A", "9B"])
LEASE_ACCOUNT_TYPES: Final = frozenset({"13", "3A"})

CONTRACT_KIND_BY_PRODUCT: Final = {
    words.PRODUCT_TYPE_AUTO: words.CONTRACT_KIND_WRITTEN,
    words.PRODUCT_TYPE_CARD: words.CONTRACT_KIND_OPEN_ACCOUNT,
    words.PRODUCT_TYPE_HELOC: words.CONTRACT_KIND_OPEN_ACCOUNT,
    words.PRODUCT_TYPE_HOME_EQUITY: words.CONTRACT_KIND_PROMISSORY_NOTE,
    words.PRODUCT_TYPE_MEDICAL: words.CONTRACT_KIND_WRITTEN,
    words.PRODUCT_TYPE_PERSONAL_LOAN: words.CONTRACT_KIND_WRITTEN,
    words.PRODUCT_TYPE_STUDENT_LOAN: words.CONTRACT_KIND_PROMISSORY_NOTE,
    words.PRODUCT_TYPE_UTILITY: words.CONTRACT_KIND_OPEN_ACCOUNT,
    words.PRODUCT_TYPE_TELECOM: words.CONTRACT_KIND_OPEN_ACCOUNT,
    words.PRODUCT_TYPE_RENT: words.CONTRACT_KIND_LEASE,
    words.PRODUCT_TYPE_MORTGAGE: words.CONTRACT_KIND_PROMISSORY_NOTE,
    words.PRODUCT_TYPE_OTHER: words.CONTRACT_KIND_WRITTEN,
}

CLASSIFICATION_BY_PRODUCT: Final = {
    words.PRODUCT_TYPE_AUTO: "14",
    words.PRODUCT_TYPE_CARD: "08",
    words.PRODUCT_TYPE_MEDICAL: "02",
    words.PRODUCT_TYPE_STUDENT_LOAN: "07",
    words.PRODUCT_TYPE_UTILITY: "10",
    words.PRODUCT_TYPE_TELECOM: "11",
    words.PRODUCT_TYPE_RENT: "09",
}
OTHER_CLASSIFICATION: Final = "12"
"""Financial: the class of every furnisher whose product says nothing better."""

CHAPTER_BY_PETITION: Final = {"A": 7, "B": 11, "C": 12, "D": 13, "Z": 0}
"""A petition was filed; Z does not say under which chapter."""
CHAPTER_BY_DISCHARGE: Final = {"E": 7, "F": 11, "G": 12, "H": 13}
NO_BANKRUPTCY: Final = frozenset(" IJKLMNOPQR") - {" "}
"""Dismissed (I to L), withdrawn (M to P), removed (Q), reaffirmed (R)."""

OPEN_DISPUTE_CODES: Final = frozenset({"XB", "XD", "XF", "XJ"})
CLOSED_DISPUTE_CODES: Final = frozenset({"XC", "XE", "XG", "XH"})
NO_DISPUTE_CODES: Final = frozenset({"XA", "XR"})

ROLE_BY_ECOA: Final = {
    "1": words.DEBTOR_ROLE_CO_DEBTOR,
    "2": words.DEBTOR_ROLE_CO_DEBTOR,
    "3": words.DEBTOR_ROLE_AUTHORISED_USER,
    "5": words.DEBTOR_ROLE_GUARANTOR,
    "7": words.DEBTOR_ROLE_CO_DEBTOR,
    "W": words.DEBTOR_ROLE_CO_DEBTOR,
    "X": words.DEBTOR_ROLE_CO_DEBTOR,
}
"""How another consumer stands to the tradeline: individual, joint, authorised, guarantor, maker, business, dead."""
DECEASED_ECOA: Final = "X"
BUSINESS_ECOA: Final = "W"
LEFT_OUT_ECOA: Final = frozenset({"T", "Z"})
"""The association ended (T), or the consumer is to be deleted (Z)."""
