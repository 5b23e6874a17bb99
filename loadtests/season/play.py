"""Play a season: every act in the order of its time, each a request of its own, and what the service answered to it."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from random import Random

import orjson

from loadtests.season.acts import EARNED, Act, How, Kind
from loadtests.season.habits import DAY_MS
from loadtests.season.holds import REVIEWED_AT_MS
from loadtests.season.reviewer import Reviewer
from loadtests.season.service import Answer, Captured, Device, Service


class Verdict(StrEnum):
    COUNTED = "counted"
    HELD = "held"
    REJECTED = "rejected"
    #: Known as a repeat: answered as the first time, and nothing changed.
    NO_EFFECT = "no effect"


@dataclass(slots=True)
class Played:
    """What came of a season."""

    #: (kind, verdict) → submissions
    verdicts: Counter[tuple[Kind, Verdict]] = field(default_factory=Counter)
    #: (kind, the rules or the code) → submissions rejected or held for it
    reasons: Counter[tuple[Kind, str]] = field(default_factory=Counter)
    #: Submissions by kind that were rejected with a Retry-After, and counted when their client had waited.
    counted_later: Counter[Kind] = field(default_factory=Counter)
    #: Accounts by kind, and those of them of which something was held or rejected.
    accounts: dict[Kind, set[str]] = field(default_factory=dict)
    stopped: dict[Kind, set[str]] = field(default_factory=dict)
    #: (player, score) that cheating got into the standings → the kind
    got_through: dict[tuple[str, int], Kind] = field(default_factory=dict)


class Season:
    """One season through one service."""

    def __init__(self, service: Service, dice: Random) -> None:
        self._service = service
        self._dice = dice
        self._devices: dict[str, Device] = {}
        self._waiting: list[tuple[int, int, Act, Captured | None]] = []
        self._numbered = 0
        self._reviewer = Reviewer(service)
        self.played = Played()

    def play(self, acts: Iterable[Act]) -> Played:
        """Do all of them; raises RuntimeError when the service is not well."""
        for act in sorted(acts, key=lambda act: act.at_ms):
            self._wait(act.at_ms, act, None)
        next_review_ms = REVIEWED_AT_MS
        while self._waiting:
            at_ms, _, act, request = heapq.heappop(self._waiting)
            while next_review_ms <= at_ms:
                self._service.set_time(next_review_ms)
                self._reviewer.review()
                next_review_ms += DAY_MS
            self._service.set_time(at_ms)
            self._do(act, request)
        self._reviewer.review()
        self.played.reasons += self._reviewer.reasons
        return self.played

    def _wait(self, at_ms: int, act: Act, request: Captured | None) -> None:
        self._numbered += 1
        heapq.heappush(self._waiting, (at_ms, self._numbered, act, request))

    def _do(self, act: Act, again: Captured | None) -> None:
        score = act.score if isinstance(act.score, int) else act.score(self._service)
        if score is None:
            return
        device = self._device(act.account)
        # The game's client does as Retry-After says, with all that comes behind, too.
        patient = again is None and act.kind in (Kind.HONEST, Kind.COVER)
        if patient and self._service.elapsed_ms < device.resumes_ms:
            self._wait(device.resumes_ms, act, None)
            return
        request = again or _request(act, device, score, self._dice)
        if request is None:
            return
        answer = self._service.submit(request, device.address)
        if act.again_ms is not None:
            self._wait(act.again_ms, replace(act, again_ms=None), request)
        verdict = read_verdict(answer)
        if not act.told_to_wait:
            self._count(act, device, request, answer, verdict)
        elif verdict is Verdict.COUNTED:
            self.played.counted_later[act.kind] += 1
        if verdict is Verdict.HELD:
            self._reviewer.note(device.player, orjson.loads(request.body)["score"], act.kind)
        if patient and answer.retry_after_s:
            device.resumes_ms = self._service.elapsed_ms + answer.retry_after_s * 1000
            self._wait(device.resumes_ms, replace(act, again_ms=None, told_to_wait=True), None)
        if verdict is Verdict.COUNTED and act.how is How.SEND and (device.best is None or score > device.best[0]):
            device.best = score, request

    def _count(self, act: Act, device: Device, request: Captured, answer: Answer, verdict: Verdict) -> None:
        played, kind = self.played, act.kind
        played.verdicts[kind, verdict] += 1
        played.accounts.setdefault(kind, set()).add(act.account)
        if verdict in (Verdict.HELD, Verdict.REJECTED):
            played.stopped.setdefault(kind, set()).add(act.account)
        if verdict is Verdict.REJECTED:
            played.reasons[kind, read_reason(answer)] += 1
        score = orjson.loads(request.body)["score"]
        if verdict is Verdict.COUNTED and kind not in EARNED:
            played.got_through[device.player, score] = kind

    def _device(self, account: str) -> Device:
        if account not in self._devices:
            secret = f"{self._dice.getrandbits(256):064x}"
            self._devices[account] = Device(self._service, len(self._devices) + 1, secret)
        return self._devices[account]


def _request(act: Act, device: Device, score: int, dice: Random) -> Captured | None:
    """The request of an act; None when there is nothing to replay yet."""
    if act.how in (How.REPLAY, How.REPLAY_OTHER_KEY):
        if device.best is None:
            return None
        request = device.best[1]
        if act.how is How.REPLAY:
            return request
        return Captured(request.body, request.headers | {"Idempotency-Key": f"{dice.getrandbits(64):x}"})
    request = device.request(score)
    if act.how is How.TAMPER:
        return Captured(orjson.dumps({"score": act.tampered}), request.headers)
    return request


def read_verdict(answer: Answer) -> Verdict:
    if answer.status >= 400:
        return Verdict.REJECTED
    if answer.replayed:
        return Verdict.NO_EFFECT
    return Verdict.HELD if answer.body["outcome"] == "held" else Verdict.COUNTED


def read_reason(answer: Answer) -> str:
    """The rule that was broken, or the code of another refusal."""
    if answer.body["code"] == "rule_broken":
        return str(answer.body["errors"][0]["code"])
    return str(answer.body["code"])
