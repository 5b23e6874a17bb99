-- Mark the store and begin its journal, empty and with its numbers from 1 on.
local function open_store(store_key, journal, args)
  redis.call('HSET', store_key, 'schema', args[1], 'partitions', args[2], 'generation', args[3],
    'archived', 0, 'token', args[3])
  redis.call('XADD', journal, '1-0', 'r', '')
  redis.call('XTRIM', journal, 'MAXLEN', 0)
end

-- claim_store: mark an empty store as ours, in one step, so that two processes that start together agree. The journal
-- is there from then on, also when it is empty: a store without it was emptied.
--   keys   1 store · 2 definitions of boards · 3 journal
--   args   1 schema · 2 partitions · 3 generation
--   reply  {schema, partitions, generation} as they stand now; {} when there is data without a mark
local function claim_store(keys, args)
  if redis.call('EXISTS', keys[1]) == 0 then
    if redis.call('EXISTS', keys[2], keys[3]) > 0 then return {} end
    open_store(keys[1], keys[3], args)
  end
  return redis.call('HMGET', keys[1], 'schema', 'partitions', 'generation')
end
register('claim_store', claim_store, {})

-- trim_journal: drop what the archive has.
--   keys   1 store · 2 journal
--   args   1 the last number that is archived · 2 the token of the archive's last step · 3 generation
--   reply  {"trimmed"} · {"older"}: a reader that lost its lease comes late · {"stale"}: another generation
--   cost   O(R) for R records dropped
local function trim_journal(keys, args)
  local known = redis.call('HMGET', keys[1], 'generation', 'archived')
  if known[1] ~= args[3] then return {'stale'} end
  if tonumber(known[2]) > tonumber(args[1]) then return {'older'} end
  redis.call('HSET', keys[1], 'archived', args[1], 'token', args[2])
  redis.call('XTRIM', keys[2], 'MINID', '1-' .. string.format('%.0f', tonumber(args[1]) + 1))
  return {'trimmed'}
end
-- A full store must be able to get rid of what is archived.
register('trim_journal', trim_journal, {'allow-oom'})

-- The scopes of a key by its record, each → true; "all" alone for one that has every scope. Nil for one that does not
-- work, or cannot make others.
local function scopes_it_gives(packed, now)
  local key, scopes = cjson.decode(packed), {}
  if key.role ~= 'admin' or key.revoked_ms or (key.expires_ms and key.expires_ms <= now) then return nil end
  for _, scope in ipairs(key.scopes or {'all'}) do scopes[scope] = true end
  return (scopes.all or scopes.keys) and scopes or nil
end

-- Can other keys give what this one can? Nobody gives a scope that its own key lacks.
local function is_replaceable(keys_key, key_id, now)
  local own = scopes_it_gives(redis.call('HGET', keys_key, key_id), now)
  if not own then return true end
  local all = redis.call('HGETALL', keys_key)
  for i = 1, #all, 2 do
    local others, covers = all[i] ~= key_id and scopes_it_gives(all[i + 1], now), true
    for scope in pairs(own) do covers = covers and others and (others.all or others[scope]) end
    if covers then return true end
  end
  return false
end

-- write_key: keep the record of an admin's, server's or reader's key.
--   keys   1 keys
--   args   1 now_ms · 2 key id · 3 record (JSON) · 4 the record it replaces, '' for none
--          5 "1" to refuse it when no other key that is left can give the scopes of this one to others
--   reply  {"written"} · {"stale"}: the record is another · {"last"}
--          {"journal_full"}: of a new one only, as one that got into wrong hands cannot wait
--   cost   O(K) for K keys
local function write_key(keys, args)
  if (redis.call('HGET', keys[1], args[2]) or '') ~= args[4] then return {'stale'} end
  if args[5] == '1' and not is_replaceable(keys[1], args[2], tonumber(args[1])) then return {'last'} end
  if args[4] == '' and journal_is_full() then return {'journal_full'} end
  redis.call('HSET', keys[1], args[2], args[3])
  record('key', tonumber(args[1]), args[2], args[3])
  return {'written'}
end
register_change('write_key', write_key, {'allow-oom'})

-- keep_signing_secret: keep what the signing keys of sessions are derived from, unless there is one: all processes use
-- the same, and one that was replaced would make every signing key that was handed out worthless.
--   keys   1 signing secret
--   args   1 now_ms · 2 a random secret (64 hexadecimal digits)
--   reply  {secret}: the one that stands now · {"journal_full"}
local function keep_signing_secret(keys, args)
  local now = tonumber(args[1])
  if not now or #args[2] ~= 64 or string.find(args[2], '[^0-9a-f]') then
    return redis.error_reply('LB_ARGUMENTS keep_signing_secret takes now_ms and 64 hexadecimal digits')
  end
  local known = redis.call('GET', keys[1])
  if known then return {known} end
  if journal_is_full() then return {'journal_full'} end
  redis.call('SET', keys[1], args[2])
  record('signing', now, args[2])
  return {args[2]}
end
register_change('keep_signing_secret', keep_signing_secret, {})

-- set_maintenance: begin maintenance, or end it.
--   keys   1 maintenance
--   args   1 now_ms · 2 "begin" or "end" · 3 reason
--   reply  {"begun"} · {"ended"}
local function set_maintenance(keys, args)
  if args[2] == 'begin' then
    redis.call('HSET', keys[1], 'reason', args[3], 'at', args[1])
  else
    redis.call('DEL', keys[1])
  end
  record('maintenance', tonumber(args[1]), args[2], args[3])
  return {args[2] == 'begin' and 'begun' or 'ended'}
end
register_change('set_maintenance', set_maintenance, {'allow-oom'})

-- begin_rebuild: close the store; from now on nothing changes, and nothing more is answered.
--   keys   1 store · 2 journal · 3 rebuild
--   args   1 "archived" when nothing may be lost that the archive has not got · then fields of the rebuild and their values
--   reply  {"begun"} · {"waiting"}: there are records in the journal
local function begin_rebuild(keys, args)
  if args[1] == 'archived' and redis.call('XLEN', keys[2]) > 0 then return {'waiting'} end
  redis.call('DEL', keys[1], keys[2], keys[3])
  redis.call('HSET', keys[3], unpack(args, 2))
  return {'begun'}
end
register('begin_rebuild', begin_rebuild, {})

-- finish_rebuild: open the store under a new generation.
--   keys   1 store · 2 journal · 3 rebuild
--   args   1 schema · 2 partitions · 3 generation
--   reply  {"opened"}, also when it was opened before
local function finish_rebuild(keys, args)
  if redis.call('DEL', keys[3]) == 1 then
    open_store(keys[1], keys[2], args)
    redis.call('HSET', keys[1], 'rebuilt', 1)
  end
  return {'opened'}
end
register('finish_rebuild', finish_rebuild, {})
