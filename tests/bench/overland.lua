-- Overland batches of 200 fixes, one a second. Environment: TOKEN, FIRST (epoch).
local headers = {
  ["Content-Type"] = "application/json",
  ["Authorization"] = "Bearer " .. os.getenv("TOKEN"),
}
local feature = '{"type":"Feature","geometry":{"type":"Point","coordinates":[13.4%05d,52.5%05d]},'
  .. '"properties":{"timestamp":"%s","altitude":34,"speed":1,"course":271,'
  .. '"horizontal_accuracy":5,"vertical_accuracy":3,"speed_accuracy":1,"course_accuracy":2,'
  .. '"motion":["walking"],"battery_state":"unplugged","battery_level":0.81,"wifi":"home",'
  .. '"device_id":"phone"}}'
local n = tonumber(os.getenv("FIRST"))

function request()
  local features = {}
  for i = 1, 200 do
    n = n + 1
    features[i] = string.format(feature, n % 100000, (n * 7) % 100000,
      os.date("!%Y-%m-%dT%H:%M:%SZ", n))
  end
  return wrk.format("POST", "/api/v1/overland/batches", headers,
    '{"locations":[' .. table.concat(features, ",") .. "]}")
end

function done(summary, latency, _)
  local errors = summary.errors
  io.write(string.format("RESULT %d %d %.2f %.2f %d\n", summary.requests, summary.duration,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000,
    errors.connect + errors.read + errors.write + errors.timeout + errors.status))
end
