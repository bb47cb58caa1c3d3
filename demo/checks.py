"""What must hold after a run: pure comparisons, each of which says its numbers."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast

from recoup.audit.v1 import service_pb2 as audit_pb2

from demo.placement_json import Json
from demo.report import Check, Report, major

NAMED_MAX: Final = 3
"""So many accounts are named in the detail of a check that fails."""
BUCKETS: Final = ("principal", "interest", "fees", "costs", "other")


@dataclass(frozen=True, slots=True)
class Totals:
    """Accounts that were placed, counted in one place; the sums are None where only counts are known."""

    where: str
    placed: int
    quarantined: int
    placed_minor: int | None = None
    quarantined_minor: int | None = None

    def __str__(self) -> str:
        """As a check says it."""
        placed, quarantined = (
            f"{count:,} {what}{'' if minor is None else f' with {major(minor)}'}"
            for count, what, minor in (
                (self.placed, "placed", self.placed_minor),
                (self.quarantined, "quarantined", self.quarantined_minor),
            )
        )
        return f"{self.where}: {placed}, {quarantined}"


def totals_of_accounts(where: str, accounts: Iterable[Mapping[str, Json]]) -> Totals:
    """The totals of accounts as the API shows them, by what they were placed with."""
    count, minor = Counter[bool](), Counter[bool]()
    for account in accounts:
        quarantined = account["phase"] == "quarantined"
        terms = cast("Mapping[str, Mapping[str, Mapping[str, int]]]", account["terms"])
        count[quarantined] += 1
        minor[quarantined] += terms["balance"]["total"]["amount"]
    return Totals(where, count[False], count[True], minor[False], minor[True])


def every_line_has_a_fate(report: Report) -> Check:
    """No line is lost, and none is counted twice."""
    fates = {
        "placed": report.placed,
        "quarantined": report.quarantined,
        "passed over": report.passed_over,
        "refused": report.refused,
        "duplicates": report.duplicates,
    }
    said = " + ".join(f"{count:,} {fate}" for fate, count in fates.items())
    return Check("every line has one fate", sum(fates.values()) == report.lines > 0, f"{report.lines:,} lines = {said}")


def control_totals_agree(totals: Sequence[Totals]) -> Check:
    """The same counts, and the same sums, wherever they are counted."""
    counts = {(each.placed, each.quarantined) for each in totals}
    sums = {(each.placed_minor, each.quarantined_minor) for each in totals if each.placed_minor is not None}
    ok = len(totals) > 1 and len(counts) == 1 and len(sums) == 1
    return Check("control totals agree", ok, "; ".join(map(str, totals)))


def balances_equal_ledgers(accounts: Iterable[Mapping[str, Json]]) -> Check:
    """Every bucket of every balance is the sum of its ledger entries, added up here."""
    wrong, count, entries, total = [], 0, 0, 0
    for account in accounts:
        ledger = cast("Sequence[Mapping[str, Mapping[str, Mapping[str, int]]]]", account["ledger"])
        balance = cast("Mapping[str, Mapping[str, int]]", account["balance"])
        sums = {bucket: sum(entry["difference"][bucket]["amount"] for entry in ledger) for bucket in BUCKETS}
        stated = {bucket: balance[bucket]["amount"] for bucket in BUCKETS}
        whole = cast("Mapping[str, int]", account["balance_total"])["amount"]
        if sums != stated or sum(sums.values()) != whole:
            wrong.append(f"{account['account_id']}: balance {stated}, ledger {sums}")
        count, entries, total = count + 1, entries + len(ledger), total + whole
    said = (
        f"{count - len(wrong):,} of {count:,} balances are the sum of {entries:,} ledger entries, {major(total)} owed"
    )
    return Check("every balance equals its ledger", not wrong and count > 0, _with(said, wrong))


def audit_equals_accounts(cases: Sequence[audit_pb2.CompareCaseResponse], expected: int) -> Check:
    """Audit's rebuilt state is the owner's, byte for byte, for every account that there is."""
    wrong = [_difference(case) for case in cases if not case.equal or case.findings]
    said = f"{len(cases) - len(wrong):,} of {expected:,} accounts are the same in audit and accounts"
    return Check("audit's rebuilt state equals accounts'", not wrong and len(cases) == expected > 0, _with(said, wrong))


def rebuilds_agree(states: int, grown: bytes, rebuilt: Sequence[bytes]) -> Check:
    """Read tables and states are the same bytes after every rebuild, and the same as they had grown."""
    digests = [hashlib.sha256(each).hexdigest()[:16] for each in (grown, *rebuilt)]
    said = ", ".join(f"rebuild {number} {digest}" for number, digest in enumerate(digests[1:], start=1))
    detail = f"read tables and {states:,} states, {len(grown):,} bytes: as grown {digests[0]}, {said} (SHA-256)"
    ok = len(rebuilt) > 1 and len(set(digests)) == 1 and states > 0
    return Check("two rebuilds agree byte for byte", ok, detail)


def chains_verify(verified: audit_pb2.VerifyLogResponse, expected_records: int) -> Check:
    """Every hash and chain fits, and there are as many records as were counted."""
    wrong = [f"{b.source} partition {b.partition} number {b.number}: {b.text}" for b in verified.breaches]
    said = (
        f"{verified.records:,} records of {verified.streams:,} streams in {verified.partitions} partitions,"
        f" {len(wrong):,} breaches, {expected_records:,} records expected"
    )
    ok = not wrong and verified.records == expected_records > 0
    return Check("all chains verify", ok, _with(said, wrong))


@dataclass(frozen=True, slots=True)
class Later:
    """What was read then, and what is said of it as of then; both by account, equal bytes for equal states."""

    where: str
    then: Mapping[str, bytes]
    later: Mapping[str, bytes]


def middle_is_as_it_was(instant: str, answers: Sequence[Later]) -> Check:
    """Everyone who is asked as of an instant says what was read then, of the same accounts, and of no others."""
    wrong, said = [], []
    for answer in answers:
        differ = [
            f"{account_id} in {answer.where}"
            for account_id in sorted(answer.then.keys() | answer.later.keys())
            if answer.then.get(account_id) != answer.later.get(account_id)
        ]
        said.append(f"{len(answer.then) - len(differ):,} of {len(answer.then):,} accounts in {answer.where}")
        wrong += differ
    ok = not wrong and len(answers) > 0 and all(answer.then for answer in answers)
    name = "as of an instant in the middle equals what was true then"
    return Check(name, ok, _with(f"as of {instant}: {', '.join(said)}", wrong))


def _difference(case: audit_pb2.CompareCaseResponse) -> str:
    said = [
        f"{d.pointer}: {d.owner or 'nothing'} in accounts, {d.audit or 'nothing'} in audit" for d in case.differences
    ]
    return f"{case.account_id}: {'; '.join([*said[:NAMED_MAX], *case.findings[:NAMED_MAX]])}"


def _with(said: str, wrong: Sequence[str]) -> str:
    if not wrong:
        return said
    more = f" and {len(wrong) - NAMED_MAX:,} more" if len(wrong) > NAMED_MAX else ""
    return f"{said}. Wrong: {' | '.join(wrong[:NAMED_MAX])}{more}"
