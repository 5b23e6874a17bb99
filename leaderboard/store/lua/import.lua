-- What is put in its place as it is: by an import, or by an admin who puts something back. What counts by a board's
-- policy is a submission, wherever it comes from.

-- put_entry: put an entry into one standings, in place of the player's own if there is one.
--   keys   1 player hash · 2 gate · 3 kept standings of the board · 4 order · 5 entries · 6 distinct
--   args   1 player, or a stand-in · 2 now_ms · 3 revision · 4 season · 5 board · 6 period id
--          7 expires_at_ms of the standings where it has no entry yet, '' for never · 8 ties
--          9 submissions · 10 newest_ms · 11 metadata · 12 achieved_ms · 13 number of tiebreaks T · 14 score · T tiebreaks
--   reply  {"put"} · {"same"}: it stood there already · {"erased"} · {"merged", into} · {"stale"}
--         {"journal_full"}
--   cost   O(log N), and for a nameless one O(E) for E entries of its place
-- It is not counted as a submission, and a board that takes none takes it. Of standings that have expired only the archive
-- keeps entries: it goes by the same rules there (leaderboard/archive/past.py).
local function put_entry(keys, args)
  local player, now, board, period_id = args[1], tonumber(args[2]), args[5], args[6]
  -- Nobody is behind a stand-in any more (see remove.lua).
  local nameless = string.find(player, '\1', 1, true)
  local known = nameless and {} or redis.call('HMGET', keys[1], 'state', 'created_at', 'ban')
  if known[1] then return gone(known[1]) end
  if is_stale(read_gate(keys[2]), args[3], args[4]) then return {'stale'} end

  local standings, tiebreaks, values = standings_at(keys, 4, 1), tonumber(args[13]), {}
  for i = 1, tiebreaks do values[i] = tonumber(args[14 + i]) end
  local after = {
    score = tonumber(args[14]), prefix = make_prefix(values, tonumber(args[12])), achieved = tonumber(args[12]),
    newest = tonumber(args[10]), metadata = nameless and '' or args[11], submissions = tonumber(args[9]),
  }
  local head = encode_head(after)
  local kept, expires_at = redis.call('ZSCORE', keys[3], period_id), args[7]
  -- Of standings that are empty the definition says the end, unless that has passed: it may have changed meanwhile.
  if kept and (tonumber(kept) <= now or redis.call('EXISTS', standings.entries) == 1) then
    expires_at = kept == 'inf' and '' or number_text(tonumber(kept))
  end
  local is_gone = expires_at ~= '' and tonumber(expires_at) <= now
  if nameless and not is_gone then player = admit_stand_in(standings, after, player) end
  local bytes = redis.call('HGET', standings.entries, player)
  if bytes == head .. after.metadata then return {'same'} end
  if journal_is_full() then return {'journal_full'} end

  local before = not is_gone and bytes and decode_entry(bytes, tiebreaks) or nil
  -- A banned player's is hidden; while its ban is being lifted (see begin_lift) it is not: the walk may have been here. But
  -- one that stands here is shown or hidden as it was: these standings are settled, or a walk comes there yet.
  local hidden = known[3] and not string.find(known[3], '^%a+;0;')
  if before then hidden = not redis.call('ZSCORE', standings.order, before.prefix .. player) end
  local first
  if not is_gone then
    if before and not same_place(before, after) then leave_place(standings, player, before, '', now, board, period_id) end
    first = write_entry(standings, args[8], tiebreaks, player, before, after, head, hidden)
    if before and args[8] == 'dense' and not same_result(before, after, tiebreaks) then
      drop_distinct(standings, tiebreaks, before)
    end
  end
  if first or not kept then begin_standings(keys[3], standings, now, board, period_id, expires_at) end
  if not nameless and not known[2] then
    redis.call('HSET', keys[1], 'created_at', args[2])
    record('player', now, player, now, {})
  end
  if is_gone then
    record('past_entry', now, board, period_id, player, head, after.metadata, hidden and 1 or 0)
  else
    record('entry', now, board, period_id, player, head, after.metadata, hidden and 1 or 0)
  end
  audit_entry(bytes, head .. after.metadata)
  return {'put'}
end
register_change('put_entry', put_entry, {})
