"""What can go wrong, as callers see it: a permanent code, an HTTP status and plain words.

The domain raises these and `leaderboard.api.problems` writes them as RFC 9457 problem documents. A code never
changes its meaning; `CATALOGUE` lists them all and is what `/docs/errors` shows.
"""

from __future__ import annotations

from dataclasses import dataclass


class LeaderboardError(Exception):
    """Anything this package raises on purpose."""


class SettingError(LeaderboardError):
    """A setting, or the store it points at, cannot be used; the message says what to change."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """One field at fault: a JSON pointer into the body, or ``?name`` for a query parameter."""

    pointer: str
    code: str
    detail: str


class Problem(LeaderboardError):
    """A request that cannot be answered as asked."""

    def __init__(
        self,
        code: str,
        detail: str | None = None,
        *,
        errors: tuple[FieldError, ...] = (),
        retry_after_s: int | None = None,
        headers: dict[str, str] | None = None,
        extra: dict[str, object] | None = None,
    ) -> None:
        self.code = code
        self.status, self.title = CATALOGUE[code]
        self.detail = detail or self.title
        self.errors = errors
        self.headers = dict(headers or {})
        #: Further members of the problem document, such as the current revision.
        self.extra = dict(extra or {})
        if retry_after_s is not None:
            self.headers["Retry-After"] = str(retry_after_s)
        super().__init__(f"{code}: {self.detail}")


def unauthenticated() -> Problem:
    return Problem("unauthenticated", headers={"WWW-Authenticate": "Bearer"})


def rate_headers(policy: str, *, quota: int, window_s: int, left: int, reset_s: int) -> dict[str, str]:
    """RateLimit and RateLimit-Policy, as draft-ietf-httpapi-ratelimit-headers-10 writes them."""
    return {
        "RateLimit-Policy": f'"{policy}";q={quota};w={window_s}',
        "RateLimit": f'"{policy}";r={left};t={reset_s}',
    }


def pointer_to(*names: str) -> str:
    """A JSON pointer (RFC 6901) to a member, of names that a caller may have made up."""
    return "".join("/" + name[:64].replace("~", "~0").replace("/", "~1") for name in names)


def invalid(pointer: str, code: str, detail: str) -> Problem:
    """A 422 for one field."""
    return Problem("invalid", detail, errors=(FieldError(pointer, code, detail),))


#: code → (HTTP status, title)
CATALOGUE: dict[str, tuple[int, str]] = {
    # 308: the same under another path
    "player_moved": (308, "The player was merged into another; Location is the same for that one."),
    # 400: the request could not be read
    "malformed_request": (400, "The request could not be read."),
    "malformed_json": (400, "The body is not valid JSON."),
    "duplicate_member": (400, "A JSON object names the same member twice."),
    "malformed_cursor": (400, "The cursor is not one that this list gave out."),
    # 401, 403
    "unauthenticated": (401, "This call needs a valid credential in Authorization: Bearer."),
    "signature_required": (
        401,
        "This board takes signed submissions only: send a Leaderboard-Signature and an Idempotency-Key.",
    ),
    "signature_invalid": (
        401,
        "The Leaderboard-Signature is not that of this request by this session; nothing was changed. "
        "Compare string_to_sign with what was signed, and use the signing key of the same sign-in as the token.",
    ),
    "signature_expired": (
        401,
        "The Leaderboard-Signature was made more than 5 minutes before or after the server's time; nothing was "
        "changed. Correct the clock by server_time (seconds since 1970), sign anew and send with the same "
        "Idempotency-Key.",
    ),
    "forbidden": (403, "This credential may not do this."),
    "blocked": (403, "One of the two players blocks the other."),
    "player_banned": (403, "The player is banned; `ends_at` says until when, null for ever."),
    "quota_exceeded": (403, "A limit on how many of these may exist is reached."),
    # 404, 405
    "not_found": (404, "There is nothing at this path."),
    "board_not_found": (404, "There is no such board."),
    "player_not_found": (404, "There is no such player."),
    "entry_not_found": (404, "The player has no entry in these standings."),
    "period_not_found": (404, "The board has no such period."),
    "identity_not_found": (404, "No player has this identity."),
    "ban_not_found": (404, "The player is not banned."),
    "key_not_found": (404, "There is no such key."),
    "review_not_found": (404, "There is no such review."),
    "method_not_allowed": (405, "This path does not take this method."),
    # 409: right in form, but not as things stand
    "board_frozen": (409, "The board is frozen: it takes no submissions now."),
    "board_archived": (409, "The board is archived: it takes no submissions any more."),
    "no_attempts": (409, "The board has no attempts to open."),
    "attempts_used_up": (409, "The player has opened as many attempts as the board allows in this period."),
    "attempt_invalid": (409, "The player has no such attempt open on this board."),
    "board_not_archived": (409, "Only an archived board can be deleted."),
    "board_has_entries": (409, "This cannot change while the board has entries."),
    "period_over": (409, "The period the caller expected is not the current one."),
    "period_settled": (409, "The standings of this period are final."),
    "review_decided": (409, "The review was decided already; its verdict says how."),
    "entry_changed": (409, "An entry is not what it was when it was reviewed: correct or remove it by hand."),
    "board_redefined": (409, "The board writes scores differently now than when this was held."),
    "season_not_current": (409, "This season is not the current one."),
    "no_season": (409, "The board has no season to reset."),
    "key_ended": (409, "The key was revoked, or has expired."),
    "last_admin_key": (
        409,
        "Without this key nobody could give its scopes to others any more: make another like it first.",
    ),
    "identity_taken": (409, "Another player has this identity; take it from that one first."),
    "player_merged": (409, "The player was merged into another, who is to be named instead; `into` says whom."),
    "merge_running": (409, "A merge of this player was begun and is not finished; the same call again finishes it."),
    "merge_banned": (409, "A banned player is not merged: lift the ban first."),
    "reviews_open": (409, "Submissions of the player are held for review: decide on them first."),
    "friends_limit": (409, "A player has reached the limit of friends, invitations and blocks."),
    # 410
    "player_erased": (410, "The player was erased; the id may be used again 30 days after that."),
    "period_gone": (410, "The standings of this period are no longer kept."),
    # 412, 413, 415
    "revision_mismatch": (412, "The board has another revision than If-Match names."),
    "body_too_large": (413, "The body is larger than this call takes."),
    "unsupported_media_type": (415, "The body must be application/json, not compressed."),
    # 422: well-formed but wrong
    "invalid": (422, "A field or parameter is not right."),
    "not_supported": (422, "This feature is not part of this version."),
    "attempt_required": (422, "The board takes only scores that name the attempt they were played in."),
    "rule_broken": (422, "One of the board's rules refuses this score."),
    "too_many_held": (422, "So many of the player's submissions are held for review that no more can be."),
    "score_out_of_range": (422, "The score, or the sum it would make, is beyond the limit of 10^15 - 1."),
    "idempotency_key_reused": (422, "The Idempotency-Key was used before with another body."),
    # 429, 5xx
    "rate_limited": (429, "Too many calls; try again later."),
    "internal_error": (500, "Something failed on our side; the request id finds it in the log."),
    "store_unavailable": (503, "The store is away or refuses to write; nothing was changed. Try again."),
    "outcome_unknown": (
        503,
        "The store's reply was lost, so it is unknown whether this happened. Try again with the same Idempotency-Key.",
    ),
    "archive_unavailable": (503, "The archive is away or refuses this now. Try again."),
    "journal_full": (503, "The journal is full: the archive has not kept up; nothing was changed. Try again later."),
    "not_durable": (503, "This was done, but is not yet as safe from a loss as was asked. Try again."),
    "maintenance": (503, "The service is in maintenance: it takes no submissions now, and opens no attempts."),
}
