-- The total order: how numbers become bytes, and how many entries come before a given place.
--
-- Here everything is in order space: ascending, best first. Callers negate the scores of `desc` boards and the
-- tiebreaks of `desc` tiebreaks on the way in, so nothing below knows a direction.
--
-- A member of an order zset is   tiebreaks (7 bytes each) · achieved_at (7 bytes) · player id
-- and its first parts, without the player id, are called its prefix.

-- |score|, |tiebreak| and every sum of them stay within fifteen digits.
local LIMIT = 999999999999999
local WIDTH = 7

-- A signed integer below 2^53 in magnitude as 7 bytes that compare as the numbers do. It is split in two, because
-- adding 2^55 to make it positive would not be exact in a double.
local function pack_number(number)
  local high = math.floor(number / 4294967296)
  return struct.pack('>I3I4', high + 8388608, number - high * 4294967296)
end

local function unpack_number(bytes, position)
  local high, low = struct.unpack('>I3I4', bytes, position)
  return (high - 8388608) * 4294967296 + low
end

-- tostring rounds at 14 digits; adding 0 turns -0 into 0.
local function number_text(number)
  return string.format('%.0f', number + 0)
end

-- Lua's < on strings follows the server's locale; the zset compares bytes, and so must we.
local function bytes_less(a, b)
  local shorter = math.min(#a, #b)
  for i = 1, shorter do
    local x, y = string.byte(a, i), string.byte(b, i)
    if x ~= y then return x < y end
  end
  return #a < #b
end

-- The number of entries strictly before (score, bytes). With a whole member as bytes that is its ordinal rank
-- less one, with the tiebreaks only its competition rank less one, with '' the number of better scores.
--   cost  O(log N), and a binary search by index among the entries of equal score
local function count_before(order_key, score, bytes)
  local text = number_text(score)
  local low = redis.call('ZCOUNT', order_key, '-inf', '(' .. text)
  if bytes == '' then return low end
  local high = low + redis.call('ZCOUNT', order_key, text, text)
  while low < high do
    local middle = math.floor((low + high) / 2)
    local member = redis.call('ZRANGE', order_key, middle, middle)[1]
    if bytes_less(member, bytes) then low = middle + 1 else high = middle end
  end
  return low
end

-- The member of a distinct zset: one for each (score, tiebreaks) that any entry has.
local function distinct_member(score, prefix, tiebreaks)
  return pack_number(score) .. string.sub(prefix, 1, WIDTH * tiebreaks)
end

-- The rank, from 1, of the entry (score, prefix, player), which must be in the standings.
local function rank_of(standings, ties, tiebreaks, score, prefix, player)
  if ties == 'competition' then
    return count_before(standings.order, score, string.sub(prefix, 1, WIDTH * tiebreaks)) + 1
  end
  local rank
  if ties == 'dense' then
    rank = redis.call('ZRANK', standings.distinct, distinct_member(score, prefix, tiebreaks))
  else
    rank = redis.call('ZRANK', standings.order, prefix .. player)
  end
  return rank and rank + 1
end

-- Does the place (score, bytes) of `own` come before another one?
local function stands_before(own, own_bytes, score, bytes)
  return own.score < score or (own.score == score and bytes_less(own_bytes, bytes))
end

-- The rank, from 1, of an entry that is hidden, as if it stood there; of one that stands there it is what rank_of says.
--   own  one more hidden entry that counts (see hidden_entry), or nil
local function rank_at(standings, ties, tiebreaks, score, prefix, player, own)
  local key, bytes, own_bytes = standings.order, prefix .. player, own and own.member
  if ties == 'competition' then
    bytes = string.sub(prefix, 1, WIDTH * tiebreaks)
  elseif ties == 'dense' then
    key, bytes, own_bytes = standings.distinct, distinct_member(score, prefix, tiebreaks), own and own.distinct
  end
  local before = count_before(key, score, bytes)
  if own_bytes and stands_before(own, own_bytes, score, bytes) then before = before + 1 end
  return before + 1
end

-- The keys of the i-th standings of a call; each standings takes three: order, entries, distinct.
local function standings_at(keys, first, i)
  local at = first + (i - 1) * 3
  return {order = keys[at], entries = keys[at + 1], distinct = keys[at + 2]}
end
