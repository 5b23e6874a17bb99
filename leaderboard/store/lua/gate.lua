-- The gate: what every write to a board checks first, so that callers may cache definitions.

-- Returns nil when the caller's beliefs hold and the board takes submissions, else the reply to give:
--   {"stale"}  the definition or the season is another; reload and try again
--   {"closed", state}  frozen or archived
local function gate_refuses(gate_key, revision, season)
  local gate = redis.call('HMGET', gate_key, 'revision', 'season', 'state')
  if gate[1] ~= revision or gate[2] ~= season then return {'stale'} end
  if gate[3] ~= 'open' then return {'closed', gate[3]} end
  return nil
end
