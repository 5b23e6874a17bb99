"""Every key in the store. This page is the data layout.

``lb`` stands for the namespace, ``{0}`` for the hash tag of a partition: Redis places a key by what stands between the
braces, so everything one submission touches lives in one slot. What is not a player's lives at partition 0.

Permanent, about boards
    ``lb:{0}:boards``             hash: board → definition (JSON, as the API shows it, with its revision)
    ``lb:{0}:boards:index``       zset, all scores 0: the boards in order of id, for paging
    ``lb:{0}:gate:<board>``       hash: revision, state, season (number), season_at (ms), epoch (the revision it was
                                  created with), anchors (JSON, leaderboard/anchors.py): what every call checks first.
                                  After deletion revision and state stay
    ``lb:{0}:seasons:<board>``    hash: season number → ms at which it started; it ended when the next one started
    ``lb:{0}:kept:<board>``       zset: period id → when its keys expire (ms, inf for never), from the first entry on;
                                  what deletion and redefinition have to look at
    ``lb:{0}:attempted:<board>``  hash: player → ``since_ms;how many`` attempts it has opened in the period that
                                  began then (store/lua/attempt.lua); only where the board limits that
    ``lb:{0}:maintenance``        hash: reason, at. While it exists no submission is taken

Permanent, about the installation
    ``lb:{0}:store``              hash: schema, partitions, generation (random, new after every loss or rebuild);
                                  archived and token: how far the archive has the journal. A store without it was
                                  emptied
    ``lb:{0}:journal``            stream: everything that changed and is not archived yet (leaderboard/journal.py);
                                  there from the first moment on, also when it is empty
    ``lb:{0}:keys``               hash: key id → {name, role, hash, ends_with, created_ms} (JSON), and where there are
                                  any: scopes (else all), expires_ms, revoked_ms, former: [{hash, until_ms}]
    ``lb:{0}:signing``            string: the secret that signing keys of sessions are derived from
                                  (leaderboard/signatures.py); made with the first session

    ``lb:{0}:rebuild``            hash: while the store is being rebuilt, how far that is (leaderboard/rebuild.py)

Standings, each with a period id that says its kind (``s3``, ``all``, ``2026-11-22``, ``2026-W47``, ``2026-11``).
Calendar periods expire ``keep_days`` after their end, set with the first write; seasons when they are reset, where the
board says ``keep_days``; the running season, ``all`` and seasons without ``keep_days`` are permanent.
    ``lb:{0}:order:<board>:<period id>``     zset: the entries, best first. Score: the scaled score, negated on ``desc``
                                             boards. Member: tiebreaks, achieved_at, player id (store/lua/order.lua)
    ``lb:{0}:entries:<board>:<period id>``   hash: player → entry, packed (store/lua/entry.lua). One that is not in the
                                             order is hidden: its player is banned, or was when they were settled
    ``lb:{0}:distinct:<board>:<period id>``  zset: the distinct (score, tiebreaks), only where ties are ``dense``

Permanent, about players
    ``lb:{0}:player:<player>``    hash: created_at, display_name, avatar_url, country, platform, attributes (JSON),
                                  device (digests, spaces between), identities (JSON: provider → subject), submissions,
                                  state (store/lua/gone.lua), ban (store/lua/ban.lua), merged (players that were merged
                                  into it, spaces between), absorbs (one whose merge is not finished),
                                  ``s:<digest>`` → expires_ms for each session, ``c:<provider>`` → ``nonce;subject`` of
                                  an identity whose key is still to be taken or dropped (store/lua/identities.lua).
                                  An erased player leaves only state, for 30 days; one that was merged into another
                                  created_at, display_name, avatar_url, country and state
    ``lb:{0}:bans``               zset, all scores 0: the players that are banned, in order of id, for paging
    ``lb:{0}:bans:ends``          zset: banned player → when its ban ends (ms; 0 while it is being lifted), of those
                                  that end
    ``lb:{0}:names``              hash: player → its public profile (JSON), once more, so that a page is one call
    ``lb:{0}:friends:<player>``   hash: other → ``state;at_ms;who`` (store/lua/friends.lua)
    ``lb:{0}:blockers:<player>``  set: who blocks it, so that an erasure finds them
    ``lb:{0}:held:<player>``      hash: review id → held submission, or entry under review, packed
                                 (store/lua/review.lua, outliers.lua)
    ``lb:device:<digest>``        string: the player that signs in with this device id; in a slot of its own
    ``lb:identity:<digest>``      string: ``player;nonce``, who has this account elsewhere, if that player's hash says
                                  so too; in a slot of its own

Short-lived, about the installation
    ``lb:{0}:boards:deleted``         zset: board that was deleted → when (ms). What players have left of it expires by
                                      itself, and an erasure finds it so; eight days
    ``lb:{0}:worker``                 string: what the worker last said of itself (leaderboard/worker/report.py); 20 s

    ``lb:{0}:import:<digest>``        hash: how far an import is (leaderboard/moving/remembering.py); 30 days

    ``lb:{0}:calls:<limit>:<minute>:<address>``  string: how often an address has called in a minute since 1970, as far
                                      as processes have said so (leaderboard/call_counts.py); two minutes

    ``lb:{0}:fence``                  string: written after changes that are to be durable, so that there is something
                                      to wait for (leaderboard/store/client.py); a minute

Short-lived, about players
    ``lb:{0}:rate:<board>:<player>``  string: the rate limit's arrival time; expires when it has run off
    ``lb:{0}:rate:<player>``          string: the same of the limit on all boards together
    ``lb:{0}:pace:<board>:<player>``  string: when the hour's gain has run off, and when it last submitted (ms);
                                      only where a rule asks (store/lua/rules.lua), and as long as it does
    ``lb:{0}:reopened:<player>``      string: something random that changes whenever one of its submissions is held
                                      again, so that no decision is taken back by what was read before; a day
    ``lb:{0}:attempts:<board>:<player>``  hash: attempt that is open → when it was opened and expires, seed, epoch
                                      (store/lua/attempt.lua); as long as the longest of them
    ``lb:{0}:replay:<player>``        string: the newest 32 idempotency keys, packed (store/lua/replay.lua); 48 hours
    ``lb:{0}:answer:<digest>``        string: the whole answer to a call with an Idempotency-Key; 48 hours
"""

from __future__ import annotations

from hashlib import sha256
from typing import NamedTuple

#: The hash tag of each partition. There is one partition so far.
TAGS = ("0",)


class StandingsKeys(NamedTuple):
    """The three keys of one standings, in the order in which functions take them."""

    order: str
    entries: str
    distinct: str


class Keys:
    """Builds the keys of one installation."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self._home = f"{namespace}:{{{TAGS[0]}}}:"
        self.boards = self._home + "boards"
        self.board_index = self._home + "boards:index"
        self.deleted_boards = self._home + "boards:deleted"
        self.maintenance = self._home + "maintenance"
        self.store = self._home + "store"
        self.journal = self._home + "journal"
        self.worker = self._home + "worker"
        self.fence = self._home + "fence"
        self.rebuild = self._home + "rebuild"
        self.keys = self._home + "keys"
        self.signing = self._home + "signing"
        self.names = self._home + "names"
        self.bans = self._home + "bans"
        self.ban_ends = self._home + "bans:ends"

    def gate(self, board: str) -> str:
        return f"{self._home}gate:{board}"

    def seasons(self, board: str) -> str:
        return f"{self._home}seasons:{board}"

    def kept(self, board: str) -> str:
        return f"{self._home}kept:{board}"

    def standings(self, board: str, period_id: str) -> StandingsKeys:
        place = f"{board}:{period_id}"
        return StandingsKeys(
            f"{self._home}order:{place}", f"{self._home}entries:{place}", f"{self._home}distinct:{place}"
        )

    def player(self, player: str) -> str:
        return f"{self._home}player:{player}"

    def friends(self, player: str) -> str:
        return f"{self._home}friends:{player}"

    def blockers(self, player: str) -> str:
        return f"{self._home}blockers:{player}"

    def calls(self, limit: str, minute: int, address: str) -> str:
        return f"{self._home}calls:{limit}:{minute}:{address}"

    def device(self, digest: str) -> str:
        return f"{self.namespace}:device:{digest}"

    def identity(self, provider: str, subject: str) -> str:
        return f"{self.namespace}:identity:{sha256(f'{provider}:{subject}'.encode()).hexdigest()}"

    def import_progress(self, digest: str) -> str:
        return f"{self._home}import:{digest}"

    def rate(self, board: str, player: str) -> str:
        return f"{self._home}rate:{board}:{player}"

    def player_rate(self, player: str) -> str:
        return f"{self._home}rate:{player}"

    def pace(self, board: str, player: str) -> str:
        return f"{self._home}pace:{board}:{player}"

    def held(self, player: str) -> str:
        return f"{self._home}held:{player}"

    def reopened(self, player: str) -> str:
        return f"{self._home}reopened:{player}"

    def attempts(self, board: str, player: str) -> str:
        return f"{self._home}attempts:{board}:{player}"

    def attempted(self, board: str) -> str:
        return f"{self._home}attempted:{board}"

    def replay(self, player: str) -> str:
        return f"{self._home}replay:{player}"

    def answer(self, digest: str) -> str:
        return f"{self._home}answer:{digest}"
