-- Identities: accounts elsewhere that a player is known by.
--
-- That a player has one stands in its hash, in `identities` (JSON: provider → subject); that nobody else has it, in a key
-- of its own, in another slot: "player;nonce". So linking takes three steps: announce it in the player's hash, as
-- `c:<provider>` = "nonce;subject"; take the key; link, if it is still announced. Whoever is refused the key looks at the
-- player it names. Has that one neither linked nor announced it (any more), the key is left over from a call that was cut
-- off, and may be taken from it. As every announcement has a nonce of its own, a call that was only slow finds that out.

local function read_identities(player_key)
  local packed = redis.call('HGET', player_key, 'identities')
  return packed and cjson.decode(packed) or {}
end

local function write_identities(player_key, player, now, identities)
  local packed = next(identities) and cjson.encode(identities) or ''
  if packed == '' then
    redis.call('HDEL', player_key, 'identities')
  else
    redis.call('HSET', player_key, 'identities', packed)
  end
  record('player', tonumber(now), player, tonumber(redis.call('HGET', player_key, 'created_at')), {identities = packed})
end

-- announce_identity: the first step of linking.
--   keys   1 player hash
--   args   1 player · 2 now_ms · 3 provider · 4 subject · 5 nonce · 6 the most identities a player may have
--          7 "mine" when the identity's key names this player already
--   reply  {"announced", nonce;subject of another one that may be left to free, or ''} · {"linked"}: it has been, with
--          nothing left to do · {"full"} · {"missing"} · {"erased"} · {"merged", into}
--          {"journal_full"}
local function announce_identity(keys, args)
  local known = redis.call('HMGET', keys[1], 'state', 'created_at')
  if known[1] then return gone(known[1]) end
  if not known[2] then return {'missing'} end
  local identities, count = read_identities(keys[1]), 0
  if identities[args[3]] == args[4] and args[7] == 'mine' then return {'linked'} end
  for _ in pairs(identities) do count = count + 1 end
  if not identities[args[3]] and count >= tonumber(args[6]) then return {'full'} end
  if journal_is_full() then return {'journal_full'} end
  local field = 'c:' .. args[3]
  local before = redis.call('HGET', keys[1], field) or ''
  redis.call('HSET', keys[1], field, args[5] .. ';' .. args[4])
  return {'announced', string.match(before, ';(.*)') ~= args[4] and before or ''}
end
register_change('announce_identity', announce_identity, {})

-- take_identity: the second step; make an identity's key name a player.
--   keys   1 identity
--   args   1 player;nonce · 2 what the key held when it was looked at, '' for nothing
--   reply  1 when it was taken, 0 when it holds something else by now
local function take_identity(keys, args)
  if (redis.call('GET', keys[1]) or '') ~= args[2] then return 0 end
  redis.call('SET', keys[1], args[1])
  return 1
end
register('take_identity', take_identity, {})

-- link_identity: the third step. Where the player had another subject, `c:<provider>` names that one until its key is
-- dropped.
--   keys   1 player hash
--   args   1 player · 2 now_ms · 3 provider · 4 subject · 5 nonce · 6 the most identities a player may have
--   reply  {"linked", what `c:<provider>` holds now, or ''} · {"stale"}: it is not announced any more · {"full"}
--          {"erased"} · {"merged", into}
local function link_identity(keys, args)
  local field = 'c:' .. args[3]
  local known = redis.call('HMGET', keys[1], 'state', field)
  if known[1] then return gone(known[1]) end
  if known[2] ~= args[5] .. ';' .. args[4] then return {'stale'} end
  local identities, count = read_identities(keys[1]), 0
  for _ in pairs(identities) do count = count + 1 end
  local before = identities[args[3]]
  if not before and count >= tonumber(args[6]) then return {'full'} end
  if before == args[4] then before = nil end
  identities[args[3]] = args[4]
  write_identities(keys[1], args[1], args[2], identities)
  if not before then
    redis.call('HDEL', keys[1], field)
    return {'linked', ''}
  end
  redis.call('HSET', keys[1], field, '-;' .. before)
  return {'linked', '-;' .. before}
end
register_change('link_identity', link_identity, {})

-- yield_identity: make sure that a player whom an identity's key names will not link it by that word.
--   keys   1 player hash
--   args   1 provider · 2 subject · 3 nonce in the identity's key
--   reply  {"linked"}: it has · {"free"} · {"merged", into}: what it had is that one's
local function yield_identity(keys, args)
  if read_identities(keys[1])[args[1]] == args[2] then return {'linked'} end
  local into = merged_into(redis.call('HGET', keys[1], 'state') or '')
  if into then return {'merged', into} end
  local field = 'c:' .. args[1]
  if redis.call('HGET', keys[1], field) == args[3] .. ';' .. args[2] then redis.call('HDEL', keys[1], field) end
  return {'free'}
end
register_change('yield_identity', yield_identity, {'allow-oom'})

-- unlink_identity: `c:<provider>` names the subject until its key is dropped.
--   keys   1 player hash
--   args   1 player · 2 now_ms · 3 provider
--   reply  {"unlinked", what `c:<provider>` holds now} · {"none"} · {"merged", into}
local function unlink_identity(keys, args)
  local identities = read_identities(keys[1])
  local subject = identities[args[3]]
  local into = merged_into(redis.call('HGET', keys[1], 'state') or '')
  if into then return {'merged', into} end
  -- An erasure takes them all itself.
  if not subject or redis.call('HEXISTS', keys[1], 'state') == 1 then return {'none'} end
  identities[args[3]] = nil
  redis.call('HSET', keys[1], 'c:' .. args[3], '-;' .. subject)
  write_identities(keys[1], args[1], args[2], identities)
  return {'unlinked', '-;' .. subject}
end
register_change('unlink_identity', unlink_identity, {'allow-oom'})

-- drop_identity: free an identity's key, if it still holds what it held when it was looked at.
--   keys   1 identity
--   args   1 player;nonce
--   reply  1 when it was dropped, else 0
local function drop_identity(keys, args)
  if redis.call('GET', keys[1]) ~= args[1] then return 0 end
  return redis.call('DEL', keys[1])
end
register('drop_identity', drop_identity, {'allow-oom'})

-- forget_identity: an identity's key is dropped, so its player need not remember it.
--   keys   1 player hash
--   args   1 provider · 2 nonce;subject, as `c:<provider>` held it
--   reply  1 when it was forgotten, else 0
local function forget_identity(keys, args)
  if redis.call('HGET', keys[1], 'c:' .. args[1]) ~= args[2] then return 0 end
  return redis.call('HDEL', keys[1], 'c:' .. args[1])
end
register_change('forget_identity', forget_identity, {'allow-oom'})
