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
  if redis.call('HDEL', keys[1], args[3]) == 0 then return {'decided'} end
  record('decide', tonumber(args[2]), args[1], args[3], 'rejected', args[4])
  return {'rejected'}
end
register_change('reject_review', reject_review, {})

-- reopen_review: hold once more what was rejected.
--   keys   1 player hash · 2 held
--   args   1 player · 2 now_ms · 3 id of the review · 4 the held submission, as it was · 5 who and why (JSON)
--   reply  {"open"}: also where it was held already · {"erased"} · {"merged", into} · {"too_many_held"} · {"journal_full"}
local function reopen_review(keys, args)
  local state = redis.call('HGET', keys[1], 'state')
  if state then return gone(state) end
  if journal_is_full() then return {'journal_full'} end
  if redis.call('HLEN', keys[2]) >= HELD_MOST then return {'too_many_held'} end
  if redis.call('HSETNX', keys[2], args[3], args[4]) == 1 then
    record('decide', tonumber(args[2]), args[1], args[3], 'open', args[5])
  end
  return {'open'}
end
register_change('reopen_review', reopen_review, {})
