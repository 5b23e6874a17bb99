-- The generic cell rate algorithm (ITU-T I.371): one number per key, the theoretical arrival time.

-- May one more happen now?
--   interval_ms  between two at the steady rate, may be fractional; burst  how many may come at once
-- Returns allowed, the new arrival time, and a table {left, reset_ms, retry_ms}. Writes nothing: see spend_rate.
local function check_rate(rate_key, now, interval_ms, burst)
  local latest = now + burst * interval_ms
  -- A rule that was loosened meanwhile counts at once.
  local arrival = math.min(math.max(tonumber(redis.call('GET', rate_key) or now), now), latest)
  local after = arrival + interval_ms
  -- A little grace: sums of fractions of a millisecond are not exact.
  local room = latest - after + math.min(0.5, interval_ms / 2)
  if room < 0 then
    return false, arrival, {left = 0, reset_ms = math.ceil(arrival - now), retry_ms = math.ceil(-room)}
  end
  return true, after, {left = math.min(burst - 1, math.floor(room / interval_ms)), reset_ms = math.ceil(after - now), retry_ms = 0}
end

local function spend_rate(rate_key, now, after)
  redis.call('SET', rate_key, string.format('%.3f', after), 'PX', math.max(1, math.ceil(after - now)))
end
