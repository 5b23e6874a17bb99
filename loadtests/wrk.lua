-- Sends the requests of a file in turn, over and over.
--   args    1 the file: a line for each request, "method TAB path TAB bearer token or nothing TAB body or nothing"
--   scores  each "@@@@@@@@@" in a body stands for a score: nine digits, a bit higher every time
--   prints  after the run one line of JSON
local PLACEHOLDER = '@@@@@@@@@'

local requests, turn = {}, 0

local function split(text)
  local pieces, from = {}, 1
  while true do
    local at = string.find(text, PLACEHOLDER, from, true)
    if not at then break end
    pieces[#pieces + 1] = string.sub(text, from, at - 1)
    from = at + #PLACEHOLDER
  end
  pieces[#pieces + 1] = string.sub(text, from)
  return pieces
end

function init(args)
  math.randomseed(42)
  for line in io.lines(args[1]) do
    local method, path, token, body = string.match(line, '^(%S+)\t(%S+)\t(%S*)\t(.*)$')
    local headers = {}
    if token ~= '' then headers['Authorization'] = 'Bearer ' .. token end
    if body ~= '' then headers['Content-Type'] = 'application/json' end
    local pieces, scores = split(wrk.format(method, path, headers, body ~= '' and body or nil)), {}
    for i = 1, #pieces - 1 do scores[i] = math.random(100000000, 500000000) end
    requests[#requests + 1] = {pieces = pieces, scores = scores}
  end
end

function request()
  turn = turn % #requests + 1
  local pieces, scores = requests[turn].pieces, requests[turn].scores
  if #scores == 0 then return pieces[1] end
  local parts = {}
  for i = 1, #scores do
    scores[i] = math.min(scores[i] + math.random(0, 100000), 999999999)
    parts[2 * i - 1] = pieces[i]
    parts[2 * i] = string.format('%d', scores[i])
  end
  parts[#parts + 1] = pieces[#pieces]
  return table.concat(parts)
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests": %d, "duration_us": %d, "p50_us": %d, "p99_us": %d, "lost": %d, "refused": %d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.timeout, errors.status
  ))
end
