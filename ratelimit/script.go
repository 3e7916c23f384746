package ratelimit

const (
	// tradeScript carries one order out; Line.settle and Order.decide say what that is. A script that fails is not undone. So
	// it reads all before it writes, and begins its writes with what changes nothing that counts: a key of another
	// type, and a user without the right, end it there. What cannot have been written by it counts as not being there.
	//
	// Of slots, a replica's word is "count, by when it must be renewed, number of the order". One that holds for longer than
	// any is given was said before the clock was set back. A late order gets no slots, as nobody waits for it any more.
	//
	// KEYS: the lines'. All are of the same tenant.
	// ARGV: the replica, and whole numbers: maxSpan; those of the order: number, how long slots hold in microseconds, for
	// how many milliseconds full buckets are remembered, how many postings are kept; of each line: 0, capacity, least, most,
	// owed, posting, or 1, capacity, least, most, held; how many claims there are; of each: how many parts, and of
	// each part: its line, its cost, and 1 where it is in shadow.
	//
	// The answer is whole numbers, too: of each line: what is missing and what is left; of each claim: what was lacking.
	tradeScript = `
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local replica, numbers, at = ARGV[1], {}, 0
for text in string.gmatch(ARGV[2], '%-?%d+') do numbers[#numbers + 1] = tonumber(text) end
local function number()
  at = at + 1
  return numbers[at]
end
local span, order, hold, grace, kept = number(), number(), number(), number(), number()

local function whole(text, most)
  if text and #text <= 16 and string.find(text, '^%d+$') then
    local n = tonumber(text)
    if n <= most then return n end
  end
end

local function postings(key)
  local all, names, since = redis.call('HGETALL', key), {}, {}
  for i = 1, #all, 2 do
    local name = all[i]
    if string.sub(name, 1, 2) == 'p:' then
      names[#names + 1] = name
      since[name] = whole(string.match(all[i + 1], ' (%d+)$'), 9007199254740991) or 0
    end
  end
  table.sort(names, function(x, y)
    if since[x] ~= since[y] then return since[x] < since[y] end
    return x < y
  end)
  return names
end

local function bucket(line)
  local key, own = line.key, 'p:' .. replica
  local stored = redis.call('HMGET', key, 'm', 'c', 'a', own)
  local missing, capacity = whole(stored[1], span) or 0, whole(stored[2], span) or 0
  local elapsed = math.min(now - (whole(stored[3], 9007199254740991) or 0), span / 1000)
  if elapsed > 0 then missing = math.max(0, missing - elapsed * 1000) end
  if capacity ~= 0 then missing = math.max(0, missing + line.capacity - capacity) end
  local owed, posting = number(), number()
  if owed ~= 0 then
    local last = whole(stored[4] and string.match(stored[4], '^(%d+) %d+$'), 9007199254740991)
    if last and posting <= last then
      owed = 0
    else
      line.posting = string.format('%.0f %.0f', posting, now)
      if not stored[4] and redis.call('HLEN', key) >= kept + 3 then
        local names = postings(key)
        if #names >= kept then
          for i = 1, #names - kept / 2 do line.gone[i] = names[i] end
        end
      end
    end
  end
  line.missing = math.min(math.max(0, missing + owed), span)
end

local function slots(line)
  local held, stored = number(), redis.call('HGETALL', line.key)
  local others, mine, late = 0, 0, false
  for i = 1, #stored, 2 do
    local name = stored[i]
    local count, expires, said = string.match(stored[i + 1], '^(%d+) (%d+) (%d+)$')
    count, expires, said = whole(count, span), whole(expires, 9007199254740991), whole(said, 9007199254740991)
    if not count or not expires or not said or expires <= now then
      line.gone[#line.gone + 1] = name
    elseif name == replica then
      mine, late = count, said > order
    else
      others = math.min(others + count, span)
      if expires > now + hold then line.early[#line.early + 1] = {name, string.format('%.0f %.0f %.0f', count, now + hold, said)} end
    end
  end
  line.held, line.late = held, late
  if not late then mine = held end
  line.missing = math.min(others + mine, span)
  if late then line.capacity = math.min(line.capacity, line.missing) end
end

local lines = {}
for i, key in ipairs(KEYS) do
  if lines[key] then return redis.error_reply('ERR a line comes twice') end
  local of = number()
  local line = {key = key, capacity = number(), least = number(), most = number(), drawn = 0, left = 0, gone = {}, early = {}}
  lines[i], lines[key] = line, line
  if of == 1 then slots(line) else bucket(line) end
end

local function room(line) return line.capacity - line.missing - line.drawn end

local answer, n = {}, 2 * #KEYS
for claim = 1, number() do
  local count, lacking, refused, has, costs = number(), 0, false, {}, {}
  for i = 1, count do
    local line, cost, shadow = lines[number() + 1], number(), number()
    if line.left >= cost or room(line) >= math.max(cost - line.left, line.least) then
      has[i], costs[i] = line, cost
    else
      lacking = lacking + 2 ^ (i - 1)
      refused = refused or shadow == 0
    end
  end
  for i = 1, count do
    local line, cost = has[i], costs[i]
    if line and not refused then
      if line.left < cost then
        local draw = math.min(room(line), math.max(cost - line.left, line.most))
        line.drawn = line.drawn + draw
        line.left = line.left + draw
      end
      line.left = line.left - cost
    end
  end
  answer[n + claim] = string.format('%.0f', lacking)
end

for i, line in ipairs(lines) do
  local missing = line.missing + line.drawn
  answer[2 * i - 1], answer[2 * i] = string.format('%.0f', missing), string.format('%.0f', line.left)
  line.ttl = string.format('%.0f', line.held and hold / 1000 or math.ceil(missing / 1000000) + grace)
end

for _, line in ipairs(lines) do
  if not line.late then
    for _, name in ipairs(line.gone) do redis.call('HDEL', line.key, name) end
    line.fresh = redis.call('PEXPIRE', line.key, line.ttl) == 0
  end
end
for i, line in ipairs(lines) do
  local key = line.key
  if not line.held then
    redis.call('HSET', key, 'm', answer[2 * i - 1], 'c', string.format('%.0f', line.capacity), 'a', string.format('%.0f', now))
    if line.posting then redis.call('HSET', key, 'p:' .. replica, line.posting) end
  elseif not line.late then
    redis.call('HSET', key, replica, string.format('%.0f %.0f %.0f', line.held + line.drawn, now + hold, order))
    for _, early in ipairs(line.early) do redis.call('HSET', key, early[1], early[2]) end
  end
  if line.fresh then redis.call('PEXPIRE', key, line.ttl) end
end
return table.concat(answer, ' ')`

	// beatScript counts the replicas that have been heard of in time, after it has heard of one more. Whoever holds for longer
	// than anybody is given was heard of before the clock was set back.
	//
	// KEYS: the replicas. ARGV: the replica, and for how many milliseconds it lives.
	beatScript = `
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local latest = string.format('%.0f', now + ARGV[2])
local early = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. latest, '+inf')
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
redis.call('ZADD', KEYS[1], latest, ARGV[1])
for _, member in ipairs(early) do redis.call('ZADD', KEYS[1], latest, member) end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return redis.call('ZCARD', KEYS[1])`
)
