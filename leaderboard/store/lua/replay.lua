-- Idempotency keys of a player's submissions, packed into one string, oldest first.
--
--   key digest (10) · body digest (6) · changed (1) · at, ms (6) · season (3) · epoch of the board (2)
--
-- `changed` has a bit for each kind of period. The epoch is that of a board of this id that was deleted and defined
-- again, modulo 65536: what was applied to another board was not applied to this one.

local REPLAY_WIDTH = 28
local REPLAY_KEPT = 32
local REPLAY_MS = 48 * 3600 * 1000

-- Look for `digest` (key and body digest, 16 bytes). Returns nil when it is new, else the reply to give:
--   {"reused"}  the key came before with another body
--   {"repeat", changed, at_ms, season}  this very submission was applied before
local function replay_refuses(replay_key, digest, now, epoch)
  local records = redis.call('GET', replay_key)
  if not records then return nil end
  local key = string.sub(digest, 1, 10)
  for at = #records - REPLAY_WIDTH + 1, 1, -REPLAY_WIDTH do
    if string.sub(records, at, at + 9) == key then
      local changed, high, low, season, board = struct.unpack('>I1I2I4I3I2', records, at + 16)
      local happened = high * 4294967296 + low
      if now - happened > REPLAY_MS then return nil end
      if string.sub(records, at + 10, at + 15) ~= string.sub(digest, 11, 16) then return {'reused'} end
      if board ~= epoch % 65536 then return nil end
      return {'repeat', changed, happened, season}
    end
  end
  return nil
end

-- Whether something that has no record may have had one: when 32 others came since the first moment it can have come.
-- Returns nil, or in how many ms what can come from now on will be beyond doubt.
local function replay_is_doubtful(replay_key, first_ms)
  local records = redis.call('GET', replay_key)
  if not records or #records < REPLAY_KEPT * REPLAY_WIDTH then return nil end
  local high, low = struct.unpack('>I2I4', records, 18)
  local doubtful_ms = high * 4294967296 + low - first_ms + 1
  return doubtful_ms > 0 and doubtful_ms or nil
end

-- Keeps the first 16 bytes of `digest`. Returns the record that was kept.
local function remember_replay(replay_key, digest, changed, now, season, epoch)
  local high = math.floor(now / 4294967296)
  local kept = string.sub(digest, 1, 16) .. struct.pack('>I1I2I4I3I2', changed, high, now - high * 4294967296, season, epoch % 65536)
  local records = (redis.call('GET', replay_key) or '') .. kept
  redis.call('SET', replay_key, string.sub(records, -REPLAY_KEPT * REPLAY_WIDTH), 'PX', REPLAY_MS)
  return kept
end
