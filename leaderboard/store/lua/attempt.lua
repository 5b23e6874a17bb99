-- Attempts: plays that are opened before they are scored. Those of a player on a board that are open are one hash:
--
--   attempt → opened_ms ; expires_ms ; seed ; epoch of the board
--
-- The epoch is that of a board of this id that was deleted and defined again: what was opened on another is none of this
-- one's. Beside it, one hash per board says how many a player has opened: player → since_ms ; how many since then. A period
-- is known by its beginning, so that two processes whose clocks differ by a moment do not start it over for each other.

-- The most that a player may have open on a board.
local OPEN_MOST = 16

-- Longer than any attempt lives; the caller's clock may be another than the store's.
local function keep_attempts(attempts_key, expires)
  local kept = redis.call('PEXPIRETIME', attempts_key)
  redis.call('PEXPIREAT', attempts_key, number_text(math.max(kept, expires)))
end

-- How long ago an open attempt was opened, in ms, at least 1; nil where there is none that a score could be of.
local function elapsed_of_attempt(attempts_key, attempt, now, epoch)
  local opened, expires, of = string.match(redis.call('HGET', attempts_key, attempt) or '', '^(%d+);(%d+);%d+;(%d+)$')
  if not opened or tonumber(expires) <= now or tonumber(of) ~= epoch then return nil end
  return math.max(1, now - tonumber(opened))
end

-- An attempt is over: it was scored, or gives way.
local function drop_attempt(attempts_key, now, board, player, attempt)
  redis.call('HDEL', attempts_key, attempt)
  record('close_attempt', now, player, board, attempt)
end

-- Those that expired go, and of the others the oldest where there are too many, to make room for one more.
local function make_room_for_attempt(attempts_key, now, board, player)
  local flat, open = redis.call('HGETALL', attempts_key), {}
  for i = 1, #flat, 2 do
    local opened, expires = string.match(flat[i + 1], '^(%d+);(%d+)')
    open[#open + 1] = {id = flat[i], opened = tonumber(opened), expires = tonumber(expires)}
  end
  table.sort(open, function(a, b)
    if a.opened ~= b.opened then return a.opened < b.opened end
    return bytes_less(a.id, b.id)
  end)
  local left = #open
  for _, one in ipairs(open) do
    if one.expires <= now then
      drop_attempt(attempts_key, now, board, player, one.id)
      left = left - 1
    end
  end
  for _, one in ipairs(open) do
    if left < OPEN_MOST then return end
    if one.expires > now then
      drop_attempt(attempts_key, now, board, player, one.id)
      left = left - 1
    end
  end
end

-- open_attempt: open one.
--   keys   1 player hash · 2 gate · 3 maintenance · 4 rate of the player on all boards · 5 open attempts of the player on the
--          board · 6 how many were opened on the board
--   args   1 player · 2 now_ms · 3 session field, '' for a server · 4 session_expires_ms, the renewed one · 5 revision
--          6 season · 7 rate interval_ms, '' for no limit · 8 rate burst · 9 attempt · 10 seed · 11 expires_ms
--          12 the most in a period, '' for any number · 13 when that period began, ms · 14 board
--   reply  {"opened", how many more may be, -1 for any number}
--          {"used_up"} · {"limited", retry_after_ms, reset_ms} · {"banned", ends_ms} · {"ended"}: its ban is over and to be
--          lifted first · {"unauthenticated"} · {"erased"} · {"merged", into} · {"maintenance"} · {"stale"}
--          {"closed", state} · {"journal_full"}
--   cost   O(A log A) for A open attempts
local function open_attempt(keys, args)
  if #keys ~= 6 or #args ~= 14 then return redis.error_reply('LB_ARGUMENTS open_attempt takes 6 keys and 14 arguments') end
  for _, i in ipairs({2, 10, 11, 13}) do
    if not string.match(args[i], '^%d+$') then
      return redis.error_reply('LB_ARGUMENTS open_attempt: argument ' .. i .. ' is not a whole number')
    end
  end
  if not string.match(args[9], '^[%w_-]+$') then
    return redis.error_reply('LB_ARGUMENTS open_attempt: argument 9 is not the id of an attempt')
  end
  local player, now, session, board = args[1], tonumber(args[2]), args[3], args[14]
  local known = redis.call('HMGET', keys[1], 'state', 'created_at', 'ban', session ~= '' and session or 'created_at')
  local session_expires = session ~= '' and tonumber(known[4] or 0)
  if session_expires and session_expires <= now then return {'unauthenticated'} end
  if known[1] then return gone(known[1]) end
  local banned = known[3] and ban_refuses(known[3], now, false)
  if banned then return banned end
  local gate = read_gate(keys[2])
  if is_stale(gate, args[5], args[6]) then return {'stale'} end
  if redis.call('EXISTS', keys[3]) == 1 then return {'maintenance'} end
  if gate[3] ~= 'open' then return {'closed', gate[3]} end
  if journal_is_full() then return {'journal_full'} end
  local rate_after
  if args[7] ~= '' then
    local allowed, rate
    allowed, rate_after, rate = check_rate(keys[4], now, tonumber(args[7]), tonumber(args[8]))
    if not allowed then return {'limited', rate.retry_ms, rate.reset_ms} end
  end
  local left, counted, since, opened = -1, '', tonumber(args[13]), 0
  if args[12] ~= '' then
    local before_since, before = string.match(redis.call('HGET', keys[6], player) or '', '^(%d+);(%d+)$')
    if before and tonumber(before_since) >= since then since, opened = tonumber(before_since), tonumber(before) end
    left = tonumber(args[12]) - opened - 1
    if left < 0 then return {'used_up'} end
    counted = number_text(since) .. ';' .. number_text(opened + 1)
  end

  make_room_for_attempt(keys[5], now, board, player)
  local packed = table.concat({args[2], args[11], args[10], gate[4] or '0'}, ';')
  redis.call('HSET', keys[5], args[9], packed)
  keep_attempts(keys[5], tonumber(args[11]))
  if counted ~= '' then redis.call('HSET', keys[6], player, counted) end
  if rate_after then spend_rate(keys[4], now, rate_after) end
  if not known[2] then redis.call('HSET', keys[1], 'created_at', args[2]) end
  -- Renewed at most once a day, as by submissions.
  if session_expires and tonumber(args[4]) - session_expires > 86400000 then
    redis.call('HSET', keys[1], session, args[4])
    record('session', now, player, session, tonumber(args[4]))
  end
  record('attempt', now, player, tonumber(known[2] or now), board, args[9], packed, counted)
  return {'opened', left}
end
register_change('open_attempt', open_attempt, {})
