-- Leaving standings: what is taken out of them, and what stays there nameless.
--
-- A nameless entry has a stand-in for the id of its player, which was erased. It must sort where that id did, so that no
-- rank moves, also among entries that differ by their ids alone. So it is made of the id that stands before it there
-- ('' for none), the byte 1, which no id holds, a number, by which those behind the same id keep their order, and
-- something random. When the one it is named after leaves, it is named after the one before that: nothing is left of an
-- id whose player is gone. leaderboard/entries.py makes and reads the same.

-- Is `member` of the same place, but for its id? Then the id, else nil.
local function id_at(score, prefix, member, member_score)
  if tonumber(member_score) == score and string.sub(member, 1, #prefix) == prefix then
    return string.sub(member, #prefix + 1)
  end
end

-- What a nameless entry at this index would be named after, and the number it gets behind that.
local function named_after(standings, index, entry)
  local found = index > 0 and redis.call('ZRANGE', standings.order, index - 1, index - 1, 'WITHSCORES') or {}
  local before = found[1] and id_at(entry.score, entry.prefix, found[1], found[2])
  if not before then return '', 0 end
  local anchor, number = string.match(before, '^([^\1]*)\1(%x%x%x%x%x%x%x%x)')
  if not anchor then return before, 0 end
  return anchor, tonumber(number, 16) + 1
end

-- A stand-in that no entry has, with this number or a later one, and the number behind it: the random characters may be
-- those of another place, too.
local function free_name(standings, anchor, number, random)
  while true do
    local name = string.format('%s\1%08x%s', anchor, number, random)
    number = number + 1
    if redis.call('HEXISTS', standings.entries, name) == 0 then return name, number end
  end
end

-- The stand-in with these random characters at a place; nil where there is none.
local function known_stand_in(standings, entry, random)
  local index = count_before(standings.order, entry.score, entry.prefix)
  while true do
    local found = redis.call('ZRANGE', standings.order, index, index + 99, 'WITHSCORES')
    for i = 1, #found, 2 do
      local id = id_at(entry.score, entry.prefix, found[i], found[i + 1])
      if not id then return nil end
      if string.sub(id, -12) == random and string.find(id, '\1', 1, true) then return id end
    end
    if #found < 200 then return nil end
    index = index + 100
  end
end

-- The stand-in that a nameless entry from elsewhere gets here. One that is here already keeps its own. One named after
-- somebody who does not stand right there, hidden or not, would keep an id that may be erased already: it is named after
-- what stands before that.
local function admit_stand_in(standings, entry, stand_in)
  local random = string.sub(stand_in, -12)
  local known = known_stand_in(standings, entry, random)
  if known then return known end
  local anchor, number = string.match(stand_in, '^([^\1]*)\1(%x%x%x%x%x%x%x%x)')
  local place = pack_number(entry.score) .. entry.prefix
  local bytes = anchor ~= '' and redis.call('HGET', standings.entries, anchor)
  number = tonumber(number, 16)
  if anchor ~= '' and not (bytes and string.sub(bytes, 1, #place) == place) then
    anchor, number = named_after(standings, count_before(standings.order, entry.score, entry.prefix .. anchor), entry)
  end
  return (free_name(standings, anchor, number, random))
end

-- The nameless entries from this index on that are named after `player`, in order.
local function names_after(standings, index, entry, player)
  local found, start = {}, player .. '\1'
  while true do
    local at = redis.call('ZRANGE', standings.order, index, index, 'WITHSCORES')
    local id = at[1] and id_at(entry.score, entry.prefix, at[1], at[2])
    if not id or string.sub(id, 1, #start) ~= start then return found end
    found[#found + 1] = id
    index = index + 1
  end
end

-- Give an entry another id, in its place. Added before the other goes, so that no key empties and loses its expiry.
local function rename_entry(standings, entry, bytes, from, to, now, board, period_id)
  redis.call('HSET', standings.entries, to, bytes)
  redis.call('ZADD', standings.order, number_text(entry.score), entry.prefix .. to)
  redis.call('ZREM', standings.order, entry.prefix .. from)
  redis.call('HDEL', standings.entries, from)
  record('anonymise', now, board, period_id, from, to)
end

-- What goes before an entry of a player leaves its place in standings that are over, hidden or not: nothing is named
-- after the player there any more.
--   random   12 characters for the nameless entry that stays in its place, '' where none does
-- Returns whether one stays. Costs O(log N) for each entry that is renamed.
local function leave_place(standings, player, entry, random, now, board, period_id)
  local member = entry.prefix .. player
  local index = redis.call('ZRANK', standings.order, member)
  local stays = index and random ~= ''
  local place = index or count_before(standings.order, entry.score, member)
  local behind = names_after(standings, index and index + 1 or place, entry, player)
  if not stays and #behind == 0 then return false end
  local anchor, number = named_after(standings, place, entry)
  if stays then
    entry.metadata = ''
    local to
    to, number = free_name(standings, anchor, number, random)
    rename_entry(standings, entry, encode_head(entry), player, to, now, board, period_id)
  end
  for _, from in ipairs(behind) do
    local to
    to, number = free_name(standings, anchor, number, string.sub(from, -12))
    rename_entry(standings, entry, redis.call('HGET', standings.entries, from), from, to, now, board, period_id)
  end
  return stays
end

-- remove_entries: take a player out of the given standings, or make it nameless there.
--   keys   1 gate · then per standings: order, entries, distinct
--   args   1 player · 2 number of tiebreaks · 3 revision · 4 season · 5 now_ms · 6 board
--          7 random characters for a nameless entry, '' to remove · then per standings: period id
--   reply  {"removed", how many} · {"stale"}: entries can only be read by the definition they were written by,
--          and what the caller takes for the running season may be a closed one
--   cost   O(S log N)
local function remove_entries(keys, args)
  local player, tiebreaks, now, board, random, removed = args[1], tonumber(args[2]), tonumber(args[5]), args[6], args[7], 0
  if is_stale(read_gate(keys[1]), args[3], args[4]) then return {'stale'} end
  for i = 1, (#keys - 1) / 3 do
    local standings, period_id = standings_at(keys, 2, i), args[7 + i]
    local bytes = redis.call('HGET', standings.entries, player)
    if bytes then
      local entry = decode_entry(bytes, tiebreaks)
      -- One that is hidden has no place in which something nameless could stay.
      if not leave_place(standings, player, entry, random, now, board, period_id) then
        redis.call('ZREM', standings.order, entry.prefix .. player)
        redis.call('HDEL', standings.entries, player)
        if redis.call('EXISTS', standings.distinct) == 1 then drop_distinct(standings, tiebreaks, entry) end
        record('remove', now, board, period_id, player)
        audit_entry(bytes)
      end
      removed = removed + 1
    end
  end
  return {'removed', removed}
end
register_change('remove_entries', remove_entries, {'allow-oom'})
