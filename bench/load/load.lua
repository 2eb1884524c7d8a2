-- One image posted again and again; every answer is read: status 200, and the bytes that only the right top-1 gives.
-- wrk ... -s bench/load/load.lua URL -- BODY_FILE CONTENT_TYPE EXPECTED SETTLE_S [HEADER VALUE]...
-- done() writes one line, "wrk-result " and JSON: see bench/load/wrk.py.

local ffi = require("ffi")
ffi.cdef [[
  typedef struct { long seconds; long nanoseconds; } bench_time;
  int clock_gettime(int clock, bench_time *time);
]]
local MONOTONIC = 1
local time = ffi.new("bench_time")
local threads = {}

local function now()
  ffi.C.clock_gettime(MONOTONIC, time)
  return tonumber(time.seconds) + tonumber(time.nanoseconds) * 1e-9
end

function setup(thread)
  table.insert(threads, thread)
end

function init(arguments)
  local file = assert(io.open(arguments[1], "rb"))
  wrk.method = "POST"
  wrk.body = file:read("*a")
  wrk.headers["Content-Type"] = arguments[2]
  file:close()
  expected = arguments[3]
  settle = tonumber(arguments[4])
  for place = 5, #arguments, 2 do
    wrk.headers[arguments[place]] = arguments[place + 1]
  end
  settled = now() + settle
  posted = wrk.format()
  -- Answers before `settled` fill the pipeline. The rate is the slope of the line through all right ones behind it, by
  -- least squares: of a server that answers in bursts, from the first to the last, however many the run has room for.
  -- Wrong answers, refusals among them, don't count.
  answers, wrong, counted, first, last, sample = 0, 0, 0, 0, 0, ""
  sum_t, sum_tt, sum_tn = 0, 0, 0
end

function request()
  return posted
end

function response(status, headers, body)
  answers = answers + 1
  if status ~= 200 or not string.find(body, expected, 1, true) then
    wrong = wrong + 1
    sample = status .. " " .. string.sub(body, 1, 200)
    return
  end
  local t = now() - settled
  if t >= 0 then
    if counted == 0 then
      first = t
    end
    counted, last = counted + 1, t
    sum_t, sum_tt, sum_tn = sum_t + t, sum_tt + t * t, sum_tn + t * counted
  end
end

local function quote(text)
  return '"' .. string.gsub(text, '[%c"\\\128-\255]', function(c) return string.format("\\u%04x", string.byte(c)) end) .. '"'
end

function done(summary, latency, requests)
  local answers, wrong, rate, sample, duration = 0, 0, 0, "", summary.duration / 1e6
  for _, thread in ipairs(threads) do
    answers = answers + thread:get("answers")
    wrong = wrong + thread:get("wrong")
    local n, sum_t = thread:get("counted"), thread:get("sum_t")
    -- Where all that counts came in one burst, there is no line.
    if thread:get("last") - thread:get("first") > 0.5 * (duration - thread:get("settle")) then
      local sum_n = n * (n + 1) / 2
      rate = rate + (n * thread:get("sum_tn") - sum_t * sum_n) / (n * thread:get("sum_tt") - sum_t * sum_t)
    else
      rate = rate + (thread:get("answers") - thread:get("wrong")) / duration
    end
    if thread:get("sample") ~= "" then sample = thread:get("sample") end
  end
  local lost = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout
  io.write(string.format(
    'wrk-result {"answers": %d, "seconds": %.4f, "rate": %.3f, "p50_ms": %.4f, "p95_ms": %.4f, "p99_ms": %.4f, ' ..
    '"wrong": %d, "lost": %d, "sample": %s}\n',
    answers, duration, rate, latency:percentile(50) / 1e3, latency:percentile(95) / 1e3, latency:percentile(99) / 1e3,
    wrong, lost, quote(sample)
  ))
end
