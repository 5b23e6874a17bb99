-- The gate: what every call about a board checks first, so that callers may cache definitions.

-- What the gate says now: {revision, season, state, epoch}; `epoch` is the revision the board was created with.
local function read_gate(gate_key)
  return redis.call('HMGET', gate_key, 'revision', 'season', 'state', 'epoch')
end

-- Does the caller believe in another definition or season than there is? It then gets {"stale"}, reloads and tries again.
local function is_stale(gate, revision, season)
  return gate[1] ~= revision or gate[2] ~= season
end

-- A standings has its first entry, here or in the archive alone: from now on it is known that it may have some, and until
-- when ('' for ever). All of it goes then, whatever the definition says by that time. One that had some before, and lost
-- them all, does not go earlier than it would have.
local function begin_standings(kept_key, standings, now, board, period_id, expires_at)
  local kept = redis.call('ZSCORE', kept_key, period_id)
  if kept and expires_at ~= '' and tonumber(kept) > tonumber(expires_at) then
    expires_at = kept == 'inf' and '' or number_text(tonumber(kept))
  end
  redis.call('ZADD', kept_key, expires_at == '' and '+inf' or expires_at, period_id)
  if expires_at ~= '' then
    for _, key in pairs(standings) do redis.call('PEXPIREAT', key, expires_at) end
  end
  record('standings', now, board, period_id, tonumber(expires_at) or false)
end
