-- The generic cell rate algorithm (ITU-T I.371): one number per key, the theoretical arrival time.

-- May one more happen now?
--   interval_ms  between two at the steady rate, may be fractional; burst  how many may come at once
-- Returns allowed, the new arrival time, and a table {left, reset_ms, retry_ms}. Writes nothing: see spend_rate.
local function check_rate(rate_key, now, interval_ms, burst)
  local arrival = math.max(tonumber(redis.call('GET', rate_key) or now), now)
  local after = arrival + interval_ms
  local room = now + burst * interval_ms - after
  if room < 0 then
    return false, arrival, {left = 0, reset_ms = math.ceil(arrival - now), retry_ms = math.ceil(-room)}
  end
  return true, after, {left = math.floor(room / interval_ms), reset_ms = math.ceil(after - now), retry_ms = 0}
end

local function spend_rate(rate_key, now, after)
  redis.call('SET', rate_key, string.format('%.3f', after), 'PX', math.max(1, math.ceil(after - now)))
end
