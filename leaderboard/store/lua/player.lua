-- Players: profiles, sessions, erasure.

local PUBLIC_FIELDS = {'display_name', 'avatar_url', 'country'}

-- The public fields stand once more in the names hash, so that a page with names is one call.
local function publish_name(player_key, names_key, player)
  local values, public, any = redis.call('HMGET', player_key, unpack(PUBLIC_FIELDS)), {}, false
  for i, field in ipairs(PUBLIC_FIELDS) do
    if values[i] then public[field], any = values[i], true end
  end
  if any then
    redis.call('HSET', names_key, player, cjson.encode(public))
  else
    redis.call('HDEL', names_key, player)
  end
end

-- write_profile: create a player, or change some fields of one.
--   keys   1 player hash · 2 names
--   args   1 player · 2 now_ms · 3 "create" or "existing" · then field, value, …; '' removes the field
--   reply  {"created"} · {"changed"} · {"erased"} · {"merged", into} · {"missing"} · {"journal_full"}
--   cost   O(F)
local function write_profile(keys, args)
  local known = redis.call('HMGET', keys[1], 'state', 'created_at')
  if known[1] then return gone(known[1]) end
  if not known[2] and args[3] ~= 'create' then return {'missing'} end
  if journal_is_full() then return {'journal_full'} end
  local changes = {}
  if not known[2] then redis.call('HSET', keys[1], 'created_at', args[2]) end
  for i = 4, #args, 2 do
    changes[args[i]] = args[i + 1]
    if args[i + 1] == '' then
      redis.call('HDEL', keys[1], args[i])
    else
      redis.call('HSET', keys[1], args[i], args[i + 1])
    end
  end
  publish_name(keys[1], keys[2], args[1])
  record('player', tonumber(args[2]), args[1], tonumber(known[2] or args[2]), changes)
  return {known[2] and 'changed' or 'created'}
end
register_change('write_profile', write_profile, {})

-- Words with spaces between, and one more; nil where it is among them.
local function add_word(words, word)
  if not words then return word end
  if string.find(' ' .. words .. ' ', ' ' .. word .. ' ', 1, true) then return nil end
  return words .. ' ' .. word
end

-- open_session: sign a player in, and make its profile if this is the first time.
--   keys   1 player hash · 2 names
--   args   1 player · 2 now_ms · 3 session field · 4 expires_ms · 5 the most sessions a player may have
--          6 device digest, '' for none · 7 display name for a new player, '' for none
--   reply  {"created"} · {"known"} · {"erased"} · {"merged", into} · {"banned", ends_ms}
--          {"ended"}: its ban is over and to be lifted first · {"journal_full"}
--   cost   O(F) for F fields of the player
local function open_session(keys, args)
  local fields = redis.call('HGETALL', keys[1])
  local player, sessions, now = {}, {}, tonumber(args[2])
  for i = 1, #fields, 2 do
    if string.sub(fields[i], 1, 2) == 's:' then
      sessions[#sessions + 1] = {field = fields[i], expires = tonumber(fields[i + 1])}
    else
      player[fields[i]] = fields[i + 1]
    end
  end
  if player.state then return gone(player.state) end
  local refusal = player.ban and ban_refuses(player.ban, now, false)
  if refusal then return refusal end
  if journal_is_full() then return {'journal_full'} end
  -- The one closest to its end makes room for the new one; those past it go anyway.
  table.sort(sessions, function(a, b) return a.expires < b.expires end)
  for i, session in ipairs(sessions) do
    if session.expires <= now or #sessions - i + 1 >= tonumber(args[5]) then
      redis.call('HDEL', keys[1], session.field)
      record('end_session', now, args[1], session.field)
    end
  end
  local changes = {}
  if args[6] ~= '' then changes.device = add_word(player.device, args[6]) end
  if args[7] ~= '' and not player.created_at then changes.display_name = args[7] end
  for field, value in pairs(changes) do redis.call('HSET', keys[1], field, value) end
  if not player.created_at then
    redis.call('HSET', keys[1], 'created_at', args[2])
    publish_name(keys[1], keys[2], args[1])
  end
  if next(changes) or not player.created_at then
    record('player', now, args[1], tonumber(player.created_at or args[2]), changes)
  end
  redis.call('HSET', keys[1], args[3], args[4])
  record('session', now, args[1], args[3], tonumber(args[4]))
  return {player.created_at and 'known' or 'created'}
end
register_change('open_session', open_session, {})

-- renew_session: move the end of a session that is still there; one that was signed out stays so.
--   keys   1 player hash
--   args   1 player · 2 now_ms · 3 session field · 4 expires_ms
--   reply  {"renewed"} · {"ended"} · {"journal_full"}
local function renew_session(keys, args)
  if redis.call('HEXISTS', keys[1], args[3]) == 0 then return {'ended'} end
  if journal_is_full() then return {'journal_full'} end
  redis.call('HSET', keys[1], args[3], args[4])
  record('session', tonumber(args[2]), args[1], args[3], tonumber(args[4]))
  return {'renewed'}
end
register_change('renew_session', renew_session, {})

-- end_session: sign a player out.
--   keys   1 player hash
--   args   1 player · 2 now_ms · 3 session field
--   reply  {"ended"}
local function end_session(keys, args)
  if redis.call('HDEL', keys[1], args[3]) == 1 then record('end_session', tonumber(args[2]), args[1], args[3]) end
  return {'ended'}
end
register_change('end_session', end_session, {'allow-oom'})

-- begin_erasure: refuse everything for this player from now on, and say what else is kept about it.
--   keys   1 player hash · 2 names
--   args   1 player · 2 now_ms
--   reply  {"erasing", devices (digests), the players that were merged into it, one that is being merged into it; each
--          with spaces between, '' for none} · {"erased"} · {"merged", into} · {"missing"}
local function begin_erasure(keys, args)
  local known = redis.call('HMGET', keys[1], 'state', 'created_at', 'device', 'merged', 'absorbs')
  if known[1] and known[1] ~= 'erasing' then return gone(known[1]) end
  if not known[1] and not known[2] then return {'missing'} end
  redis.call('HSET', keys[1], 'state', 'erasing')
  redis.call('HDEL', keys[2], args[1])
  if not known[1] then record('erasing', tonumber(args[2]), args[1]) end
  return {'erasing', known[3] or '', known[4] or '', known[5] or ''}
end
register_change('begin_erasure', begin_erasure, {'allow-oom'})

-- drop_device: forget whose a device is, if it is still this player's: after an erasure that was cut off, it may have
-- signed in again and be another's by now.
--   keys   1 device
--   args   1 player
--   reply  1 when it was dropped, else 0
local function drop_device(keys, args)
  if redis.call('GET', keys[1]) ~= args[1] then return 0 end
  return redis.call('DEL', keys[1])
end
register('drop_device', drop_device, {'allow-oom'})

-- finish_erasure: leave only a mark that refuses the id for a while.
--   keys   1 player hash · 2 index of bans · 3 ends of bans · 4 names · then keys to drop
--   args   1 player · 2 now_ms · 3 expires_at_ms of the mark
--   reply  {"erased"}
local function finish_erasure(keys, args)
  redis.call('DEL', keys[1], unpack(keys, 5))
  for i = 2, 3 do redis.call('ZREM', keys[i], args[1]) end
  redis.call('HDEL', keys[4], args[1])
  redis.call('HSET', keys[1], 'state', 'erased')
  redis.call('PEXPIREAT', keys[1], args[3])
  record('erased', tonumber(args[2]), args[1], tonumber(args[3]))
  return {'erased'}
end
register_change('finish_erasure', finish_erasure, {'allow-oom'})
