-- claim_store: mark an empty store as ours, in one step, so that two processes that start together agree.
--   keys   1 store
--   args   1 schema · 2 partitions
--   reply  {schema, partitions} as they stand now
local function claim_store(keys, args)
  if redis.call('EXISTS', keys[1]) == 0 then
    redis.call('HSET', keys[1], 'schema', args[1], 'partitions', args[2])
  end
  return redis.call('HMGET', keys[1], 'schema', 'partitions')
end
register('claim_store', claim_store, {})
