-- What becomes of two entries that turn out to be one player's: as near as can be told, what the submissions behind both
-- would have made. All in order space.
--   policy  the board's
-- Returns the entry, or nil and the 0-based place of the number (0 the score) that would leave the range.
local function unite_entries(policy, tiebreaks, one, other)
  local submissions = one.submissions + other.submissions
  local function keep(entry, achieved, prefix, newest, metadata)
    return {score = entry.score, prefix = prefix, achieved = achieved, newest = newest, metadata = metadata,
      submissions = submissions}
  end

  if policy == 'best' then
    local best = comes_before(other, one) and other or one
    return keep(best, best.achieved, best.prefix, best.achieved, best.metadata)
  end

  local newer, older = one, other
  if other.newest > one.newest or (other.newest == one.newest and comes_before(other, one)) then
    newer, older = other, one
  end
  if policy == 'latest' then
    -- It has had this result since the earlier of the two.
    local since = newer
    if same_result(one, other, tiebreaks) then
      if older.achieved < newer.achieved then since = older end
    elseif older.newest > newer.achieved then
      -- In between it had the other one. It has come back after that: when it did at the latest is known.
      local prefix = string.sub(newer.prefix, 1, WIDTH * tiebreaks) .. pack_number(newer.newest)
      since = {achieved = newer.newest, prefix = prefix}
    end
    return keep(newer, since.achieved, since.prefix, newer.newest, newer.metadata)
  end

  -- sum
  local sums, total = {}, one.score + other.score
  if math.abs(total) > LIMIT then return nil, 0 end
  for i = 1, tiebreaks do
    local at = (i - 1) * WIDTH + 1
    sums[i] = unpack_number(one.prefix, at) + unpack_number(other.prefix, at)
    if math.abs(sums[i]) > LIMIT then return nil, i end
  end
  local achieved = math.max(one.achieved, other.achieved)
  return keep({score = total}, achieved, make_prefix(sums, achieved), newer.newest, newer.metadata)
end
