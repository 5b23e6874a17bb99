-- Players: profiles, sessions and friends.

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
--   reply  {"created"} · {"changed"} · {"erased"} · {"missing"}
--   cost   O(F)
local function write_profile(keys, args)
  local known = redis.call('HMGET', keys[1], 'state', 'created_at')
  if known[1] then return {'erased'} end
  if not known[2] and args[3] ~= 'create' then return {'missing'} end
  if not known[2] then redis.call('HSET', keys[1], 'created_at', args[2]) end
  for i = 4, #args, 2 do
    if args[i + 1] == '' then
      redis.call('HDEL', keys[1], args[i])
    else
      redis.call('HSET', keys[1], args[i], args[i + 1])
    end
  end
  publish_name(keys[1], keys[2], args[1])
  return {known[2] and 'changed' or 'created'}
end
register('write_profile', write_profile, {})

-- open_session: sign a player in, and make its profile if this is the first time.
--   keys   1 player hash · 2 names
--   args   1 player · 2 now_ms · 3 session field · 4 expires_ms · 5 the most sessions a player may have
--          6 device digest, '' for none · 7 display name for a new player, '' for none
--   reply  {"created"} · {"known"} · {"erased"}
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
  if player.state then return {'erased'} end
  -- The one closest to its end makes room for the new one; those past it go anyway.
  table.sort(sessions, function(a, b) return a.expires < b.expires end)
  for i, session in ipairs(sessions) do
    if session.expires <= now or #sessions - i + 1 >= tonumber(args[5]) then
      redis.call('HDEL', keys[1], session.field)
    end
  end
  redis.call('HSET', keys[1], args[3], args[4])
  if args[6] ~= '' then redis.call('HSET', keys[1], 'device', args[6]) end
  if player.created_at then return {'known'} end
  redis.call('HSET', keys[1], 'created_at', args[2])
  if args[7] ~= '' then redis.call('HSET', keys[1], 'display_name', args[7]) end
  publish_name(keys[1], keys[2], args[1])
  return {'created'}
end
register('open_session', open_session, {})

-- renew_session: move the end of a session that is still there; one that was signed out stays so.
--   keys   1 player hash
--   args   1 session field · 2 expires_ms
--   reply  1 when it was renewed, else 0
local function renew_session(keys, args)
  if redis.call('HEXISTS', keys[1], args[1]) == 0 then return 0 end
  redis.call('HSET', keys[1], args[1], args[2])
  return 1
end
register('renew_session', renew_session, {})

-- begin_erasure: refuse everything for this player from now on, and say what else is kept about it.
--   keys   1 player hash · 2 names
--   args   1 player
--   reply  {"erasing", device digest or ''} · {"erased"} · {"missing"}
local function begin_erasure(keys, args)
  local known = redis.call('HMGET', keys[1], 'state', 'created_at', 'device')
  if known[1] == 'erased' then return {'erased'} end
  if not known[1] and not known[2] then return {'missing'} end
  redis.call('HSET', keys[1], 'state', 'erasing')
  redis.call('HDEL', keys[2], args[1])
  return {'erasing', known[3] or ''}
end
register('begin_erasure', begin_erasure, {'allow-oom'})

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
--   keys   1 player hash · then keys to drop
--   args   1 expires_at_ms of the mark
--   reply  {"erased"}
local function finish_erasure(keys, args)
  redis.call('DEL', unpack(keys))
  redis.call('HSET', keys[1], 'state', 'erased')
  redis.call('PEXPIREAT', keys[1], args[1])
  return {'erased'}
end
register('finish_erasure', finish_erasure, {'allow-oom'})

-- A side of a friendship is "state;at_ms;who": what the hash's player sees of the other, since when, by whose act.
--   invited     the player invited the other        invitation  the other invited the player
--   friends     both agreed, or a server linked them     blocked     the player blocks the other
local function side_of(friends_key, other)
  local side = redis.call('HGET', friends_key, other)
  return side and string.match(side, '^(%a+);') or 'none'
end

local function set_side(friends_key, other, state, now, who)
  if state == 'none' then
    redis.call('HDEL', friends_key, other)
  else
    redis.call('HSET', friends_key, other, state .. ';' .. now .. ';' .. who)
  end
end

-- befriend: one act of a player, or of a server, between two players.
--   keys   1 friends of the player · 2 friends of the other · 3 player hash · 4 the other's player hash
--   args   1 player · 2 other · 3 now_ms · 4 act: invite, link, part, block, unblock
--          5 the most sides a player may make itself · 6 the most sides with which it still gets invitations; less, so
--          that a flood of them does not keep it from acting
--   reply  {state of the player's side, or "none"} · {"missing"} · {"erased"} · {"refused"}: one blocks the other · {"full"}
--   cost   O(1)
local function befriend(keys, args)
  local player, other, now, act = args[1], args[2], args[3], args[4]
  local mine, theirs = side_of(keys[1], other), side_of(keys[2], player)
  if act == 'part' or act == 'unblock' then
    -- Taking back needs nobody to exist any more. A block is not lifted by parting, nor a friendship by unblocking.
    if (act == 'unblock') ~= (mine == 'blocked') then return {mine} end
    set_side(keys[1], other, 'none')
    if theirs ~= 'blocked' then set_side(keys[2], player, 'none') end
    return {'none'}
  end
  for i = 3, 4 do
    local known = redis.call('HMGET', keys[i], 'state', 'created_at')
    if known[1] then return {'erased'} end
    if not known[2] then return {'missing'} end
  end
  local most = tonumber(args[5])
  if mine == 'none' and redis.call('HLEN', keys[1]) >= most then return {'full'} end
  if act == 'block' then
    set_side(keys[1], other, 'blocked', now, player)
    if theirs ~= 'blocked' then set_side(keys[2], player, 'none') end
    return {'blocked'}
  end
  if mine == 'blocked' then return {'refused'} end
  if theirs == 'blocked' then
    if act == 'link' then return {'refused'} end
    -- The other is not told, nor is the player told of the block: it looks like an invitation without an answer.
    if mine == 'none' then set_side(keys[1], other, 'invited', now, player) end
    return {'invited'}
  end
  if mine == 'friends' then return {'friends'} end
  if act == 'link' or theirs == 'invited' then
    if theirs == 'none' and redis.call('HLEN', keys[2]) >= most then return {'full'} end
    local who = act == 'link' and 'server' or player
    set_side(keys[1], other, 'friends', now, who)
    set_side(keys[2], player, 'friends', now, who)
    return {'friends'}
  end
  if theirs == 'none' then
    if redis.call('HLEN', keys[2]) >= tonumber(args[6]) then return {'full'} end
    set_side(keys[2], player, 'invitation', now, player)
  end
  set_side(keys[1], other, 'invited', now, player)
  return {'invited'}
end
register('befriend', befriend, {})

-- forget_friend: drop a player's side towards one that is being erased.
--   keys   1 friends of the player
--   args   1 other
--   reply  1 when there was one, else 0
local function forget_friend(keys, args)
  return redis.call('HDEL', keys[1], args[1])
end
register('forget_friend', forget_friend, {'allow-oom'})
