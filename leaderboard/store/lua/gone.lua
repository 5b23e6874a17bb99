-- Players that are not there any more, or not under that id: what `state` in a player's hash says.
--   erasing · erased · merging;into · merged;into

-- Who a player is now; nil for one that was not merged into another.
local function merged_into(state)
  return string.match(state, '^merg%a+;(.+)$')
end

-- Why nothing is done for a player that is in a state: {"erased"} or {"merged", into}.
local function gone(state)
  local into = merged_into(state)
  return into and {'merged', into} or {'erased'}
end
