-- Bans. A ban hides a player's entries: they stay in the entries hash and leave the order. The field `ban` of the player
-- hash says so, and every submission reads it; so the field comes first, then the walk through the standings that live.
--
--   kind ("ban" or "shadow") ; ends_ms ("" for never, 0 for one that is being lifted) ; created_ms ; author ; reason (JSON)
--
-- A ban whose end has passed goes on hiding until it is lifted: nothing is written for the player in between, so that
-- no standings shows it while another does not.

-- What a submission of a banned player is answered; nil for one that counts, hidden: a shadowed player's, and what an admin
-- corrects.
local function ban_refuses(packed, now, correction)
  local kind, ends = string.match(packed, '^(%a+);(%d*);')
  if ends ~= '' and tonumber(ends) <= now then return {'ended'} end
  if kind == 'ban' and not correction then return {'banned', ends} end
end

-- Keep a ban, and when it ends ('' for never) where it is found then.
local function keep_ban(keys, now, player, packed, ends)
  redis.call('HSET', keys[1], 'ban', packed)
  redis.call('ZADD', keys[2], 0, player)
  if ends == '' then
    redis.call('ZREM', keys[3], player)
  else
    redis.call('ZADD', keys[3], ends, player)
  end
  record('ban', now, player, packed)
end

-- set_ban: ban a player, or change its ban. What it has in standings is hidden by place_player afterwards.
--   keys   1 player hash · 2 index of bans · 3 ends of bans
--   args   1 player · 2 now_ms · 3 kind · 4 ends_ms, '' for never · 5 author · 6 reason (JSON)
--   reply  {"banned", the ban}, as it was where kind, end and reason are the same · {"erased"} · {"merged", into}
--         {"missing"}
local function set_ban(keys, args)
  local known = redis.call('HMGET', keys[1], 'state', 'created_at', 'ban')
  if known[1] then return gone(known[1]) end
  if not known[2] then return {'missing'} end
  if known[3] then
    local kind, ends, reason = string.match(known[3], '^(%a+);(%d*);%d+;[^;]*;(.*)$')
    if kind == args[3] and ends == args[4] and reason == args[6] then return {'banned', known[3]} end
  end
  local packed = table.concat({args[3], args[4], args[2], args[5], args[6]}, ';')
  keep_ban(keys, tonumber(args[2]), args[1], packed, args[4])
  return {'banned', packed}
end
register_change('set_ban', set_ban, {'allow-oom'})

-- begin_lift: from now on place_player shows again what the player has, and submissions wait until that is done.
--   keys   1 player hash · 2 index of bans · 3 ends of bans
--   args   1 player · 2 now_ms · 3 "over" only when its end has passed, "now" whenever that is
--   reply  {"lifting", the ban} · {"running"}: it is not over · {"none"} · {"journal_full"}
local function begin_lift(keys, args)
  local packed = redis.call('HGET', keys[1], 'ban')
  if not packed then return {'none'} end
  local kind, ends, rest = string.match(packed, '^(%a+);(%d*);(.*)$')
  if args[3] == 'over' and (ends == '' or tonumber(ends) > tonumber(args[2])) then return {'running'} end
  if ends == '0' then return {'lifting', packed} end
  if journal_is_full() then return {'journal_full'} end
  packed = kind .. ';0;' .. rest
  keep_ban(keys, tonumber(args[2]), args[1], packed, '0')
  return {'lifting', packed}
end
register_change('begin_lift', begin_lift, {})

-- finish_lift: forget a ban; all it had hidden is shown.
--   keys   1 player hash · 2 index of bans · 3 ends of bans
--   args   1 player · 2 now_ms · 3 the ban that begin_lift answered
--   reply  {"lifted"} · {"another"}: it was lifted already, or the player was banned anew
local function finish_lift(keys, args)
  if redis.call('HGET', keys[1], 'ban') ~= args[3] then return {'another'} end
  redis.call('HDEL', keys[1], 'ban')
  redis.call('ZREM', keys[2], args[1])
  redis.call('ZREM', keys[3], args[1])
  record('ban', tonumber(args[2]), args[1], '')
  return {'lifted'}
end
register_change('finish_lift', finish_lift, {'allow-oom'})

-- place_player: hide a player's entries in the given standings, or show them again, as its ban says now.
--   keys   1 player hash · 2 gate · then per standings: order, entries, distinct
--   args   1 player · 2 now_ms · 3 revision · 4 season · 5 board · 6 ties · 7 number of tiebreaks
--          then per standings: period id
--   reply  {"placed", how many were hidden or shown} · {"stale"}
--   cost   O(S log N) for S standings of N entries
-- Whoever calls it, and however often, comes to the same: two that walk at once do not undo each other.
local function place_player(keys, args)
  local player, now, board, ties, tiebreaks = args[1], tonumber(args[2]), args[5], args[6], tonumber(args[7])
  if is_stale(read_gate(keys[2]), args[3], args[4]) then return {'stale'} end
  local ban, placed = redis.call('HGET', keys[1], 'ban'), 0
  local hides = ban and not string.find(ban, '^%a+;0;')
  for i = 1, (#keys - 2) / 3 do
    local standings, period_id = standings_at(keys, 3, i), args[7 + i]
    local bytes = redis.call('HGET', standings.entries, player)
    local entry = bytes and decode_entry(bytes, tiebreaks)
    local done
    if entry and hides then
      done = hide_entry(standings, ties, tiebreaks, player, entry)
    elseif entry then
      done = show_entry(standings, ties, tiebreaks, player, entry)
    end
    if done then
      record('hide', now, board, period_id, player, hides and 1 or 0)
      placed = placed + 1
    end
  end
  return {'placed', placed}
end
register_change('place_player', place_player, {'allow-oom'})
