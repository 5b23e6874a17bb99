-- Outliers: how the scores of a standings lie, and reviews of entries that lie far outside (leaderboard/outliers.py).
--
-- Such a review is kept with what is held of its player. What is held has, behind the members that review.lua packs,
--
--   {entry as it stood, taken, entries, median, spread, power, limit}
--
-- `taken` is 1 where the entry is out of its standings and only here, 0 where it stands there still; the rest is what it was
-- held against.

-- So many reviews of a player are open that nothing more of it is raised; far beyond what a player can have held by itself.
local FOUND_MOST = 1024

-- How large a share of n entries the deepest look takes: one in a hundred, but ten of them.
local function deepest_share(n)
  return math.min(0.25, math.max(0.01, 10 / n))
end

-- Are there as many as there are to be, and are those of the given places numbers?
local function are_right(keys, args, key_count, arg_count, numbers)
  if #keys ~= key_count or #args ~= arg_count then return false end
  for _, i in ipairs(numbers) do
    if not tonumber(args[i]) then return false end
  end
  return true
end

-- outlier_scores: where the scores of a standings lie, and its best entries.
--   keys   1 gate · 2 order
--   args   1 revision · 2 season · 3 from how many entries on they say anything · 4 how many of the best
--   reply  {entries n, score in the middle of them, at a quarter, a tenth and deepest_share of them, {member, score, …}}, in order
--          space; {0} for too few · {"stale"}
--   cost   O(K + log N) for the best K of N entries
-- Where the one at a quarter has the very score of the one in the middle there is no spread, and of 0 there are no ratios:
-- those that are better than that are then looked at by themselves.
local function outlier_scores(keys, args)
  if is_stale(read_gate(keys[1]), args[1], args[2]) then return {'stale'} end
  local least, n = tonumber(args[3]), redis.call('ZCARD', keys[2])
  local function at(share)
    local index = math.floor(share * (n - 1) + 0.5)
    return redis.call('ZRANGE', keys[2], index, index, 'WITHSCORES')[2]
  end
  while n >= least and n > 0 do
    local middle, quarter = at(0.5), at(0.25)
    if middle ~= quarter and tonumber(middle) ~= 0 then
      return {n, middle, quarter, at(0.1), at(deepest_share(n)),
        redis.call('ZRANGE', keys[2], 0, tonumber(args[4]) - 1, 'WITHSCORES')}
    end
    n = redis.call('ZCOUNT', keys[2], '-inf', '(' .. middle)
  end
  return {0}
end
register('outlier_scores', outlier_scores, {'no-writes'})

-- Take an entry out of its standings, whether or not it is hidden there.
local function take_entry(standings, now, board, period_id, tiebreaks, player, entry)
  leave_place(standings, player, entry, '', now, board, period_id)
  redis.call('ZREM', standings.order, entry.prefix .. player)
  redis.call('HDEL', standings.entries, player)
  if redis.call('EXISTS', standings.distinct) == 1 then drop_distinct(standings, tiebreaks, entry) end
  record('remove', now, board, period_id, player)
end

-- Is an entry of this standings under review that stands there still?
local function is_under_review(held_key, board, epoch, period_id)
  for _, packed in ipairs(redis.call('HVALS', held_key)) do
    local held = cmsgpack.unpack(packed)
    if held[12] and held[12][2] == 0 and held[1] == board and held[2] == epoch and held[11][1] == period_id then
      return true
    end
  end
  return false
end

-- find_outlier: raise a review of an entry, and take the entry out of its standings if it is to be held.
--   keys   1 player hash · 2 gate · 3 held · 4 order · 5 entries · 6 distinct
--   args   1 player · 2 now_ms · 3 revision · 4 season · 5 board · 6 period id · 7 number of tiebreaks
--          8 the place of the entry: its score and prefix, packed · 9 id of the review · 10 "1" to hold it · 11 layout
--          12 threshold and 13 what was seen, in hundredths · 14 entries · 15 median · 16 spread · 17 power, in thousandths
--          18 limit
--   reply  {"held"} · {"raised"} · {"known"}: it is, or was another entry of the player there that still stands
--          {"changed"}: the entry is another, hidden or gone · {"too_many_held"} · {"erased"} · {"stale"} · {"journal_full"}
--   cost   O(log N), and what the player has under review
local function find_outlier(keys, args)
  if not are_right(keys, args, 6, 18, {2, 7, 12, 13, 14, 15, 16, 17, 18}) then
    return redis.error_reply('LB_ARGUMENTS find_outlier takes what its header says')
  end
  local player, now, board, period_id, tiebreaks = args[1], tonumber(args[2]), args[5], args[6], tonumber(args[7])
  local hold, numbers = args[10] == '1', {}
  for i = 12, 18 do numbers[i - 11] = tonumber(args[i]) end
  local gate = read_gate(keys[2])
  if is_stale(gate, args[3], args[4]) then return {'stale'} end
  local state = redis.call('HGET', keys[1], 'state')
  if state then return gone(state) end
  local standings, epoch = standings_at(keys, 4, 1), tonumber(gate[4] or 0)
  local bytes = redis.call('HGET', standings.entries, player)
  if not bytes or string.sub(bytes, 1, WIDTH * (tiebreaks + 2)) ~= args[8] then return {'changed'} end
  local entry, values = decode_entry(bytes, tiebreaks), {}
  if not redis.call('ZSCORE', standings.order, entry.prefix .. player) then return {'changed'} end
  if redis.call('HEXISTS', keys[3], args[9]) == 1 then return {'known'} end
  if not hold and is_under_review(keys[3], board, epoch, period_id) then return {'known'} end
  if redis.call('HLEN', keys[3]) >= FOUND_MOST then return {'too_many_held'} end
  if journal_is_full() then return {'journal_full'} end

  for i = 1, tiebreaks do values[i] = unpack_number(entry.prefix, (i - 1) * WIDTH + 1) end
  local packed = cmsgpack.pack({board, epoch, now, tonumber(args[4]), entry.score, values, entry.metadata, entry.achieved,
    args[11], {{'outliers', numbers[1], numbers[2]}}, {period_id},
    {bytes, hold and 1 or 0, numbers[3], numbers[4], numbers[5], numbers[6], numbers[7]}})
  redis.call('HSET', keys[3], args[9], packed)
  record('find', now, player, args[9], packed)
  if hold then
    take_entry(standings, now, board, period_id, tiebreaks, player, entry)
    audit_entry(bytes)
  end
  return {hold and 'held' or 'raised'}
end
register_change('find_outlier', find_outlier, {})

-- approve_outlier: let an entry stand; one that was taken comes back, united with what its player has there by now.
--   keys   1 player hash · 2 gate · 3 held · 4 kept standings of the board · 5 order · 6 entries · 7 distinct
--   args   1 player · 2 now_ms · 3 revision · 4 season · 5 ties · 6 policy · 7 id of the review · 8 who and why (JSON)
--   reply  {"approved"} · {"decided"} · {"out_of_range", i}: the i-th number (0 the score, else a tiebreak) of a sum
--          of one that was taken also {"erased"} · {"gone"}: the board or the standings are no more · {"ended"} · {"stale"}
--          {"journal_full"}
--   cost   O(log N)
local function approve_outlier(keys, args)
  if not are_right(keys, args, 7, 8, {2}) then
    return redis.error_reply('LB_ARGUMENTS approve_outlier takes what its header says')
  end
  local player, now, review = args[1], tonumber(args[2]), args[7]
  local packed = redis.call('HGET', keys[3], review)
  local held = packed and cmsgpack.unpack(packed)
  if not held or not held[12] then return {'decided'} end
  local changed = ''
  if held[12][2] == 1 then
    local known, gate = redis.call('HMGET', keys[1], 'state', 'ban'), read_gate(keys[2])
    if known[1] then return gone(known[1]) end
    if is_stale(gate, args[3], args[4]) then return {'stale'} end
    local standings, tiebreaks, period_id = standings_at(keys, 5, 1), #held[6], held[11][1]
    local expires_at = redis.call('ZSCORE', keys[4], period_id)
    if tonumber(gate[4] or 0) ~= held[2] or not expires_at then return {'gone'} end
    expires_at = expires_at == 'inf' and '' or number_text(tonumber(expires_at))
    if expires_at ~= '' and tonumber(expires_at) <= now then return {'gone'} end
    local refusal = known[2] and ban_refuses(known[2], now, true)
    if refusal then return refusal end

    local bytes = redis.call('HGET', standings.entries, player)
    local before, after, place = bytes and decode_entry(bytes, tiebreaks) or nil, decode_entry(held[12][1], tiebreaks), nil
    if before then after, place = unite_entries(args[6], tiebreaks, before, after) end
    if not after then return {'out_of_range', place} end
    if journal_is_full() then return {'journal_full'} end
    local head = encode_head(after)
    if before and not same_place(before, after) then leave_place(standings, player, before, '', now, held[1], period_id) end
    if write_entry(standings, args[5], tiebreaks, player, before, after, head, known[2]) then
      begin_standings(keys[4], standings, now, held[1], period_id, expires_at)
    end
    if before and args[5] == 'dense' and not same_result(before, after, tiebreaks) then
      drop_distinct(standings, tiebreaks, before)
    end
    record('entry', now, held[1], period_id, player, head, after.metadata, known[2] and 1 or 0)
    changed = cmsgpack.pack({{period_id, bytes or '', head .. after.metadata}})
  elseif journal_is_full() then
    return {'journal_full'}
  end
  redis.call('HDEL', keys[3], review)
  record('decide', now, player, review, packed, 'approved', args[8], changed)
  return {'approved'}
end
register_change('approve_outlier', approve_outlier, {})

-- reject_outlier: take an entry under review out of its standings. It is kept with the review, which can be opened again.
--   keys   1 gate · 2 held · 3 order · 4 entries · 5 distinct
--   args   1 player · 2 now_ms · 3 revision · 4 season · 5 id of the review · 6 who and why (JSON)
--   reply  {"rejected"} · {"decided"} · {"taken"}: it is in no standings · {"changed"}: it is another by now, or gone
--          {"gone"}: the board is no more · {"stale"} · {"journal_full"}
--   cost   O(log N)
local function reject_outlier(keys, args)
  if not are_right(keys, args, 5, 6, {2}) then
    return redis.error_reply('LB_ARGUMENTS reject_outlier takes what its header says')
  end
  local player, now, review = args[1], tonumber(args[2]), args[5]
  local packed = redis.call('HGET', keys[2], review)
  local held = packed and cmsgpack.unpack(packed)
  if not held or not held[12] then return {'decided'} end
  local found, gate = held[12], read_gate(keys[1])
  if found[2] == 1 then return {'taken'} end
  if is_stale(gate, args[3], args[4]) then return {'stale'} end
  if tonumber(gate[4] or 0) ~= held[2] then return {'gone'} end
  local standings, tiebreaks, period_id = standings_at(keys, 3, 1), #held[6], held[11][1]
  local bytes = redis.call('HGET', standings.entries, player)
  local entry = bytes and decode_entry(bytes, tiebreaks)
  if not entry or not same_place(entry, decode_entry(found[1], tiebreaks)) then return {'changed'} end
  if journal_is_full() then return {'journal_full'} end
  held[7], found[1], found[2] = entry.metadata, bytes, 1
  redis.call('HDEL', keys[2], review)
  take_entry(standings, now, held[1], period_id, tiebreaks, player, entry)
  record('decide', now, player, review, cmsgpack.pack(held), 'rejected', args[6], '')
  return {'rejected'}
end
register_change('reject_outlier', reject_outlier, {})
