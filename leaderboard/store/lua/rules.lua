-- Score rules: what a board asks of a submission beyond its form. leaderboard/rules.py packs them:
--
--   {sign, layout, {{name, holds (1 or 0), value, …}, …}}
--
-- `sign` turns a score of order space into the one that was submitted; `layout` says how scores are written here, for
-- whoever reads a held one later. Every rule is asked, so that a review shows all that are broken.

-- How much better a submission makes a player: than its entry, than nothing for a sum. nil where it has no entry.
local function gain_of(asked)
  if asked.policy == 'sum' then return -asked.submission.score end
  local best
  for _, step in ipairs(asked.steps) do
    if step.before and (not best or step.before.score < best) then best = step.before.score end
  end
  return best and best - asked.submission.score
end

-- When the hour's gain has run off, and when the last submission was; read for the first rule that looks at it.
local function pace_of(asked)
  if not asked.pace then
    local gain, last = string.match(redis.call('GET', asked.pace_key) or '', '^(%S+) (%S+)$')
    gain, last = tonumber(gain or 0), tonumber(last or 0)
    asked.pace = {gain = gain, last = last, gain_before = gain, last_before = last, keep_ms = 0}
  end
  return asked.pace
end

-- Each returns what it saw where it is broken, else nil.
local RULES = {
  min_score = function(value, asked, sign)
    local score = asked.submission.score * sign
    return score < value and score or nil
  end,
  max_score = function(value, asked, sign)
    local score = asked.submission.score * sign
    return score > value and score or nil
  end,
  max_gain = function(value, asked)
    return asked.gain and asked.gain > value and asked.gain or nil
  end,
  -- A bucket that holds `value` and runs empty within an hour: who gains less than that in every hour never fills it.
  max_gain_per_hour = function(value, asked)
    if not asked.gain or asked.gain <= 0 then return nil end
    local unit_ms, pace = 3600000 / value, pace_of(asked)
    pace.gain = math.max(pace.gain, asked.now) + asked.gain * unit_ms
    if pace.gain - asked.now <= 3600000.5 then return nil end
    return math.floor((pace.gain - asked.now) / unit_ms + 0.5)
  end,
  -- In thousandths here; only of a score that names its attempt.
  max_score_per_s = function(value, asked, sign)
    local score = asked.submission.score * sign
    if not asked.elapsed or score * 1000000 <= value * asked.elapsed then return nil end
    return math.floor(score * 1000000 / asked.elapsed + 0.5)
  end,
  -- In milliseconds here.
  min_interval_s = function(value, asked)
    local pace = pace_of(asked)
    local since = asked.now - pace.last
    pace.last, pace.keep_ms = asked.now, value
    return since < value and since or nil
  end,
  min_submissions_before_top = function(value, asked, _, top, from_entries)
    if asked.submissions >= value then return nil end
    for _, step in ipairs(asked.steps) do
      local order, before, after = step.standings.order, step.before, step.after
      if step.moved and redis.call('ZCARD', order) >= from_entries then
        local better = count_before(order, after.score, after.prefix .. asked.player)
        -- Its own entry leaves, where it goes down.
        if before and comes_before(before, after) and redis.call('ZSCORE', order, before.prefix .. asked.player) then
          better = better - 1
        end
        if better < top then return better + 1 end
      end
    end
  end,
}

-- Ask all rules. Writes nothing.
--   asked   {player, now, policy, submission, steps, submissions, pace_key, elapsed}; elapsed: ms since its attempt was opened
-- Returns those that are broken, {{name, value, what it saw}, …}; the name of one that rejects, or nil; and the pace after
-- it, for keep_pace, or nil where no rule looks at that.
local function check_rules(rules, asked)
  local sign, broken, refusing = rules[1], {}, nil
  asked.gain = gain_of(asked)
  for _, rule in ipairs(rules[3]) do
    local seen = RULES[rule[1]](rule[3], asked, sign, rule[4], rule[5])
    if seen then
      broken[#broken + 1] = {rule[1], rule[3], seen}
      if rule[2] == 0 and not refusing then refusing = rule[1] end
    end
  end
  local pace = asked.pace
  local changed = pace and (pace.gain ~= pace.gain_before or pace.last ~= pace.last_before)
  return broken, refusing, changed and pace or nil
end

-- What is held has gained nothing yet.
local function keep_pace(pace_key, now, pace, held)
  local gain = held and pace.gain_before or pace.gain
  redis.call('SET', pace_key, string.format('%.3f %.0f', gain, pace.last), 'PX',
    math.max(1, math.ceil(gain - now), pace.keep_ms))
end
