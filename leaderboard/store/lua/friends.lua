-- Friends and blocks.

-- A side of a friendship is "state;at_ms;who": what the hash's player sees of the other, since when, by whose act.
--   invited     the player invited the other        invitation  the other invited the player
--   friends     both agreed, or a server linked them     blocked     the player blocks the other
local function side_of(friends_key, other)
  local side = redis.call('HGET', friends_key, other)
  return side and string.match(side, '^(%a+);') or 'none'
end

-- Sets what `player`, whose hash it is, sees of `other`.
local function set_side(friends_key, player, other, state, now, who)
  local side = state == 'none' and '' or state .. ';' .. now .. ';' .. who
  if side ~= '' then
    redis.call('HSET', friends_key, other, side)
  elseif redis.call('HDEL', friends_key, other) == 0 then
    return
  end
  record('friend', tonumber(now), player, other, side)
end

-- befriend: one act of a player, or of a server, between two players.
--   keys   1 friends of the player · 2 friends of the other · 3 player hash · 4 the other's player hash
--          5 blockers of the other
--   args   1 player · 2 other · 3 now_ms · 4 act: invite, link, part, block, unblock
--          5 the most sides a player may make itself · 6 the most sides with which it still gets invitations; less, so
--          that a flood of them does not keep it from acting
--   reply  {state of the player's side, or "none"} · {"refused"}: one blocks the other · {"full"} · {"journal_full"}
--          {"missing" or "erased", "", which of the two} · {"merged", into, which of the two}
--   cost   O(1)
local function befriend(keys, args)
  local player, other, now, act = args[1], args[2], args[3], args[4]
  local mine, theirs = side_of(keys[1], other), side_of(keys[2], player)
  if act == 'part' or act == 'unblock' then
    for i = 3, 4 do
      local into = merged_into(redis.call('HGET', keys[i], 'state') or '')
      if into then return {'merged', into, i == 3 and player or other} end
    end
    -- Taking back needs nobody to exist any more. A block is not lifted by parting, nor a friendship by unblocking.
    if (act == 'unblock') ~= (mine == 'blocked') then return {mine} end
    set_side(keys[1], player, other, 'none', now)
    if act == 'unblock' then redis.call('SREM', keys[5], player) end
    if theirs ~= 'blocked' then set_side(keys[2], other, player, 'none', now) end
    return {'none'}
  end
  for i = 3, 4 do
    local known = redis.call('HMGET', keys[i], 'state', 'created_at')
    if known[1] then
      local reply = gone(known[1])
      return {reply[1], reply[2] or '', i == 3 and player or other}
    end
    if not known[2] then return {'missing', '', i == 3 and player or other} end
  end
  if journal_is_full() then return {'journal_full'} end
  local most = tonumber(args[5])
  if mine == 'none' and redis.call('HLEN', keys[1]) >= most then return {'full'} end
  if act == 'block' then
    set_side(keys[1], player, other, 'blocked', now, player)
    redis.call('SADD', keys[5], player)
    if theirs ~= 'blocked' then set_side(keys[2], other, player, 'none', now) end
    return {'blocked'}
  end
  if mine == 'blocked' then return {'refused'} end
  if theirs == 'blocked' then
    if act == 'link' then return {'refused'} end
    -- The other is not told, nor is the player told of the block: it looks like an invitation without an answer.
    if mine == 'none' then set_side(keys[1], player, other, 'invited', now, player) end
    return {'invited'}
  end
  if mine == 'friends' then return {'friends'} end
  if act == 'link' or theirs == 'invited' then
    if theirs == 'none' and redis.call('HLEN', keys[2]) >= most then return {'full'} end
    local who = act == 'link' and 'server' or player
    set_side(keys[1], player, other, 'friends', now, who)
    set_side(keys[2], other, player, 'friends', now, who)
    return {'friends'}
  end
  if theirs == 'none' then
    if redis.call('HLEN', keys[2]) >= tonumber(args[6]) then return {'full'} end
    set_side(keys[2], other, player, 'invitation', now, player)
  end
  set_side(keys[1], player, other, 'invited', now, player)
  return {'invited'}
end
register_change('befriend', befriend, {})

-- forget_friend: drop what a player keeps about one that is being erased.
--   keys   1 friends of the player · 2 blockers of the player
--   args   1 player · 2 the one being erased · 3 now_ms
--   reply  {"forgotten"}
local function forget_friend(keys, args)
  set_side(keys[1], args[1], args[2], 'none', args[3])
  redis.call('SREM', keys[2], args[2])
  return {'forgotten'}
end
register_change('forget_friend', forget_friend, {'allow-oom'})
