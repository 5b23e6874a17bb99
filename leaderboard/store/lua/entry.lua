-- Entries: the value kept for a player in the entries hash of a standings.
--
--   score (7) · prefix: tiebreaks (7 each), achieved_at (7) · submissions (4) · [newest_at (7)] · metadata (JSON)
--
-- `newest_at` is the achieved_at of the newest submission, kept only where it is not achieved_at itself; the
-- highest bit of the number of submissions says that it follows. leaderboard/entries.py reads the same layout.

local NEWEST_FOLLOWS = 2147483648

local function decode_entry(bytes, tiebreaks)
  local prefix_end = WIDTH * (tiebreaks + 2)
  local entry = {
    score = unpack_number(bytes, 1),
    prefix = string.sub(bytes, WIDTH + 1, prefix_end),
    achieved = unpack_number(bytes, prefix_end - WIDTH + 1),
    submissions = struct.unpack('>I4', bytes, prefix_end + 1),
  }
  entry.newest = entry.achieved
  local metadata_start = prefix_end + 5
  if entry.submissions >= NEWEST_FOLLOWS then
    entry.submissions = entry.submissions - NEWEST_FOLLOWS
    entry.newest = unpack_number(bytes, metadata_start)
    metadata_start = metadata_start + WIDTH
  end
  entry.metadata = string.sub(bytes, metadata_start)
  return entry
end

-- All of an entry but its metadata.
local function encode_head(entry)
  local submissions, newest = math.min(entry.submissions, NEWEST_FOLLOWS - 1), ''
  if entry.newest ~= entry.achieved then
    submissions, newest = submissions + NEWEST_FOLLOWS, pack_number(entry.newest)
  end
  return pack_number(entry.score) .. entry.prefix .. struct.pack('>I4', submissions) .. newest
end

local function make_prefix(tiebreaks, achieved)
  local parts = {}
  for i, tiebreak in ipairs(tiebreaks) do parts[i] = pack_number(tiebreak) end
  parts[#parts + 1] = pack_number(achieved)
  return table.concat(parts)
end

-- Does (score, prefix) a come before b? For two submissions of one player, so the id decides nothing.
local function comes_before(a, b)
  if a.score ~= b.score then return a.score < b.score end
  return bytes_less(a.prefix, b.prefix)
end

local function same_place(a, b)
  return a.score == b.score and a.prefix == b.prefix
end

local function same_result(a, b, tiebreaks)
  return a.score == b.score and string.sub(a.prefix, 1, WIDTH * tiebreaks) == string.sub(b.prefix, 1, WIDTH * tiebreaks)
end

-- Forget the (score, tiebreaks) that `entry` had, unless another entry has it too. The entry has left already.
local function drop_distinct(standings, tiebreaks, entry)
  local result = string.sub(entry.prefix, 1, WIDTH * tiebreaks)
  local index = count_before(standings.order, entry.score, result)
  local found = redis.call('ZRANGE', standings.order, index, index, 'WITHSCORES')
  local shared = found[1] and tonumber(found[2]) == entry.score
    and string.sub(found[1], 1, WIDTH * tiebreaks) == result
  if not shared then
    redis.call('ZREM', standings.distinct, distinct_member(entry.score, entry.prefix, tiebreaks))
  end
end

-- Take an entry out of the order; it stays in the entries hash. Returns whether it stood there.
local function hide_entry(standings, ties, tiebreaks, player, entry)
  if redis.call('ZREM', standings.order, entry.prefix .. player) == 0 then return false end
  if ties == 'dense' then drop_distinct(standings, tiebreaks, entry) end
  return true
end

-- An order that had emptied is a new one, without an expiry: let it go with the entries.
local function expire_with_entries(standings, ties)
  if redis.call('ZCARD', standings.order) > 1 then return end
  local expires_at = redis.call('PEXPIRETIME', standings.entries)
  if expires_at < 0 then return end
  redis.call('PEXPIREAT', standings.order, number_text(expires_at))
  if ties == 'dense' then redis.call('PEXPIREAT', standings.distinct, number_text(expires_at)) end
end

-- Put an entry that was hidden back to its place. Returns whether it was.
local function show_entry(standings, ties, tiebreaks, player, entry)
  local score = number_text(entry.score)
  if redis.call('ZADD', standings.order, score, entry.prefix .. player) == 0 then return false end
  if ties == 'dense' then
    redis.call('ZADD', standings.distinct, score, distinct_member(entry.score, entry.prefix, tiebreaks))
  end
  expire_with_entries(standings, ties)
  return true
end

-- Put `entry` into the standings in place of `before` (nil for none).
--   head        encode_head of the entry
--   hidden      it is in the entries hash only: its player is banned
-- Returns true when it is the first entry there: begin_standings then.
local function write_entry(standings, ties, tiebreaks, player, before, entry, head, hidden)
  local first = redis.call('HSET', standings.entries, player, head .. entry.metadata) == 1
    and redis.call('HLEN', standings.entries) == 1
  if hidden then
    -- The walk that hides what was there may not have come here yet.
    if before then hide_entry(standings, ties, tiebreaks, player, before) end
    return first
  end
  -- Was the player in the zset already? Then the keys have been there since, with their expiry.
  local stood = before ~= nil
  if not (before and same_place(before, entry)) then
    local added = redis.call('ZADD', standings.order, number_text(entry.score), entry.prefix .. player)
    -- With the same prefix it is the same member, and ZADD has moved it. Adding first keeps the zset from emptying.
    if before and before.prefix ~= entry.prefix then
      stood = redis.call('ZREM', standings.order, before.prefix .. player) == 1
    elseif before then
      stood = added == 0
    end
  end
  if ties == 'dense' and not (before and same_result(before, entry, tiebreaks)) then
    redis.call('ZADD', standings.distinct, number_text(entry.score),
      distinct_member(entry.score, entry.prefix, tiebreaks))
  end
  if not stood and not first then expire_with_entries(standings, ties) end
  return first
end
