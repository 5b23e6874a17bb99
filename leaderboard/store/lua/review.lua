-- What is held: submissions that a rule took out of the way until an admin decides. They are in no standings.

-- The bit of a kept outcome that says so; the others are those of the kinds of periods.
local HELD_BIT = 128

-- So many of one player; nobody reviews more, and they would fill the store.
local HELD_MOST = 32

-- A held submission as it is kept. leaderboard/reviews.py reads it.
local function pack_held(board, epoch, now, season, submission, rules, broken, steps)
  local period_ids = {}
  for i, step in ipairs(steps) do period_ids[i] = step.period_id end
  return cmsgpack.pack({board, epoch, now, season, submission.score, submission.tiebreaks, submission.metadata,
    submission.achieved, rules[2], broken, period_ids})
end

-- reject_review: drop what is held.
--   keys   1 held
--   args   1 player · 2 now_ms · 3 id of the review · 4 who decides and why (JSON)
--   reply  {"rejected"} · {"decided"}: it is not held any more · {"journal_full"}
local function reject_review(keys, args)
  if journal_is_full() then return {'journal_full'} end
  local held = redis.call('HGET', keys[1], args[3])
  if not held then return {'decided'} end
  redis.call('HDEL', keys[1], args[3])
  record('decide', tonumber(args[2]), args[1], args[3], held, 'rejected', args[4], '')
  return {'rejected'}
end
register_change('reject_review', reject_review, {})

-- How long it is known that something of a player was held again. No call takes as long.
local REOPENED_MS = 86400000

-- Puts what an approval did to one standings back. Returns what to record.
local function take_back(standings, ties, tiebreaks, player, before, after)
  local entry, former = decode_entry(after, tiebreaks), before ~= '' and decode_entry(before, tiebreaks)
  -- Its player may have been banned since, or not be any more: it stays as it is.
  local shown = redis.call('ZSCORE', standings.order, entry.prefix .. player)
  if former then
    local head = encode_head(former)
    write_entry(standings, ties, tiebreaks, player, entry, former, head, not shown)
    if ties == 'dense' and shown and not same_result(entry, former, tiebreaks) then
      drop_distinct(standings, tiebreaks, entry)
    end
    return head, former.metadata, shown and 0 or 1
  end
  hide_entry(standings, ties, tiebreaks, player, entry)
  redis.call('HDEL', standings.entries, player)
end

-- reopen_review: hold once more what was rejected, or what was approved: then it counts no more.
--   keys   1 player hash · 2 held · 3 reopened · 4 gate · then per standings that an approval changed: order, entries, distinct
--   args   1 player · 2 now_ms · 3 id of the review · 4 the held submission, as it was · 5 who and why (JSON)
--          6 what `reopened` was before the review was looked up, '' for nothing: a decision is only taken back while it
--            is the last one · 7 what it is to be from now on · 8 "approved" where an approval is taken back, else "rejected"
--          9 revision · 10 season · 11 board · 12 ties · 13 number of tiebreaks
--          then per standings: period id, entry before the approval ('' for none), entry after it
--   reply  {"open"} · {"moved"}: look it up once more · {"erased"} · {"merged", into} · {"too_many_held"} · {"journal_full"} · {"stale"}
--          {"entry_changed", period id}: what the approval left there is not what stands there now
--   cost   O(S log N)
local function reopen_review(keys, args)
  local player, now, review, approved = args[1], tonumber(args[2]), args[3], args[8] == 'approved'
  local changed, fits = (#keys - 4) / 3, approved and tonumber(args[13]) or args[8] == 'rejected'
  if not fits or #args ~= 13 + 3 * changed or changed % 1 ~= 0 or approved ~= (changed > 0) then
    return redis.error_reply('LB_ARGUMENTS reopen_review takes what its header says')
  end
  local state = redis.call('HGET', keys[1], 'state')
  if state then return gone(state) end
  if (redis.call('GET', keys[3]) or '') ~= args[6] then return {'moved'} end
  if approved and is_stale(read_gate(keys[4]), args[9], args[10]) then return {'stale'} end
  if journal_is_full() then return {'journal_full'} end
  if redis.call('HLEN', keys[2]) >= HELD_MOST then return {'too_many_held'} end
  local board, ties, tiebreaks, steps = args[11], args[12], tonumber(args[13]), {}
  for i = 1, changed do
    local step = {standings = standings_at(keys, 5, i), period_id = args[11 + 3 * i], before = args[12 + 3 * i],
      after = args[13 + 3 * i]}
    if redis.call('HGET', step.standings.entries, player) ~= step.after then return {'entry_changed', step.period_id} end
    steps[i] = step
  end

  for _, step in ipairs(steps) do
    local entry = decode_entry(step.after, tiebreaks)
    if step.before == '' or not same_place(decode_entry(step.before, tiebreaks), entry) then
      leave_place(step.standings, player, entry, '', now, board, step.period_id)
    end
    local head, metadata, hidden = take_back(step.standings, ties, tiebreaks, player, step.before, step.after)
    if head then
      record('entry', now, board, step.period_id, player, head, metadata, hidden)
    else
      record('remove', now, board, step.period_id, player)
    end
  end
  -- An outlier was counted when it was submitted.
  local count = approved and not cmsgpack.unpack(args[4])[12] and redis.call('HINCRBY', keys[1], 'submissions', -1)
  if count == 0 then redis.call('HDEL', keys[1], 'submissions') end
  redis.call('HSET', keys[2], review, args[4])
  redis.call('SET', keys[3], args[7], 'PX', REOPENED_MS)
  record('reopen', now, player, review, args[4], count, args[5])
  return {'open'}
end
register_change('reopen_review', reopen_review, {})
