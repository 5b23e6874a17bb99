-- Boards: definitions, seasons and the gate change together.

-- define_board: write a definition, if it still replaces the one the caller saw.
--   keys   1 definitions · 2 index of boards · 3 gate · 4 seasons · 5 kept standings · then the entries keys that
--          must be empty · then keys to drop
--   args   1 board · 2 revision the caller saw, "0" for none · 3 new revision · 4 definition (JSON) · 5 state
--          6 now_ms · 7 the most boards there may be · 8 how many of the keys must be empty
--          9 how many kept standings the caller saw · 10 what is remembered of its periods (JSON, leaderboard/anchors.py)
--   reply  {"defined"} · {"stale"} · {"has_entries"} · {"too_many"} · {"journal_full"}
--   cost   O(log B), and O(1) for each key checked
local function define_board(keys, args)
  local gate = redis.call('HMGET', keys[3], 'revision', 'state')
  if (gate[1] or '0') ~= args[2] then return {'stale'} end
  -- The caller could only name the standings it saw; one that was begun meanwhile is not among them.
  if redis.call('ZCARD', keys[5]) ~= tonumber(args[9]) then return {'stale'} end
  local must_be_empty = tonumber(args[8])
  for i = 6, 5 + must_be_empty do
    if redis.call('EXISTS', keys[i]) == 1 then return {'has_entries'} end
  end
  if journal_is_full() then return {'journal_full'} end
  local is_new = not gate[2] or gate[2] == 'deleted'
  if is_new and redis.call('ZCARD', keys[2]) >= tonumber(args[7]) then return {'too_many'} end
  for i = 6 + must_be_empty, #keys do redis.call('UNLINK', keys[i]) end
  local before = redis.call('HGET', keys[1], args[1]) or ''
  redis.call('HSET', keys[1], args[1], args[4])
  redis.call('ZADD', keys[2], 0, args[1])
  redis.call('HSET', keys[3], 'revision', args[3], 'state', args[5], 'anchors', args[10])
  if is_new then
    redis.call('HSET', keys[3], 'season', 1, 'season_at', args[6], 'epoch', args[3])
    redis.call('HSET', keys[4], 1, args[6])
  end
  local now, known = tonumber(args[6]), redis.call('HMGET', keys[3], 'season', 'season_at', 'epoch')
  record('board', now, args[1], args[4], tonumber(args[3]), args[5], tonumber(known[1]), tonumber(known[2]),
    tonumber(known[3]), args[10], before)
  return {'defined'}
end
register_change('define_board', define_board, {})

-- Longer than the longest attempt.
local DELETED_KNOWN_MS = 8 * 86400000

-- delete_board: forget a board and everything kept for it. Its gate stays and says so, with the revision, so that no
-- writer who still believes in the old board can bring it back, nor take a new one of the same id for it.
--   keys   1 definitions · 2 index of boards · 3 gate · 4 seasons · 5 kept standings · 6 attempted
--          7 boards that were deleted · then every key of the standings
--   args   1 board · 2 revision the caller saw · 3 next revision · 4 how many kept standings the caller saw · 5 now_ms
--   reply  {"deleted"} · {"stale"}
--   cost   O(K) for K keys; their memory is freed in the background
local function delete_board(keys, args)
  if redis.call('HGET', keys[3], 'revision') ~= args[2] or redis.call('ZCARD', keys[5]) ~= tonumber(args[4]) then
    return {'stale'}
  end
  local before = redis.call('HGET', keys[1], args[1]) or ''
  redis.call('HDEL', keys[1], args[1])
  redis.call('ZREM', keys[2], args[1])
  redis.call('DEL', keys[3], keys[4], keys[5], keys[6])
  redis.call('HSET', keys[3], 'revision', args[3], 'state', 'deleted')
  for i = 8, #keys do redis.call('UNLINK', keys[i]) end
  local now = tonumber(args[5])
  redis.call('ZADD', keys[7], now, args[1])
  redis.call('ZREMRANGEBYSCORE', keys[7], '-inf', now - DELETED_KNOWN_MS)
  redis.call('PEXPIRE', keys[7], DELETED_KNOWN_MS)
  record('delete_board', now, args[1], tonumber(args[3]), before)
  return {'deleted'}
end
register_change('delete_board', delete_board, {'allow-oom'})

-- reset: close the current season and open the next, in one step for everybody.
--   keys   1 gate · 2 seasons · 3 kept answer · 4 kept standings · then the keys of the old standings
--   args   1 the season to close · 2 the next · 3 now_ms · 4 expires_at_ms of the old standings, '' for never
--          5 the answer to keep for this Idempotency-Key, '' without one · 6 how long to keep it, ms
--          7 revision · 8 "look" only for a kept answer · 9 board
--   reply  {"nothing"} · {"stale"} · {"reset"} · {"repeat", answer} · {"not_current", season} · {"deleted"}
--          {"journal_full"}
--   cost   O(1)
local function reset(keys, args)
  local gate = read_gate(keys[1])
  if args[5] ~= '' then
    local answer = redis.call('GET', keys[3])
    -- What was answered about a board of this id that was deleted since is no answer about this one.
    local epoch = (gate[4] or '') .. ';'
    if answer and string.sub(answer, 1, #epoch) == epoch then return {'repeat', string.sub(answer, #epoch + 1)} end
  end
  if args[8] == 'look' then return {'nothing'} end
  if not gate[2] or gate[3] == 'deleted' then return {'deleted'} end
  if gate[2] ~= args[1] then return {'not_current', gate[2]} end
  if gate[1] ~= args[7] then return {'stale'} end
  if journal_is_full() then return {'journal_full'} end
  redis.call('HSET', keys[1], 'season', args[2], 'season_at', args[3])
  redis.call('HSET', keys[2], args[2], args[3])
  if args[4] ~= '' then
    redis.call('ZADD', keys[4], 'XX', args[4], 's' .. args[1])
    for i = 5, #keys do redis.call('PEXPIREAT', keys[i], args[4]) end
  end
  if args[5] ~= '' then redis.call('SET', keys[3], gate[4] .. ';' .. args[5], 'PX', args[6]) end
  record('reset', tonumber(args[3]), args[9], tonumber(args[1]), tonumber(args[2]), tonumber(args[4]) or false)
  return {'reset'}
end
register_change('reset', reset, {})
