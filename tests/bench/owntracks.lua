-- One OwnTracks location a request, each of another second. Environment: TOKEN, FIRST (epoch).
local headers = {
  ["Content-Type"] = "application/json; charset=utf-8",
  ["Authorization"] = "Bearer " .. os.getenv("TOKEN"),
}
local body = '{"_type":"location","BSSID":"b4:fb:e4:11:22:33","SSID":"home","acc":12,"alt":154,'
  .. '"batt":81,"bs":1,"conn":"w","created_at":%d,"inregions":["Home"],"inrids":["7b9e4c"],'
  .. '"lat":52.5%05d,"lon":13.4%05d,"m":1,"p":100.51,"t":"u","tid":"ph",'
  .. '"topic":"owntracks/owner/phone","tst":%d,"vac":3,"vel":4,"cog":271}'
local n = tonumber(os.getenv("FIRST"))

function request()
  n = n + 1
  return wrk.format("POST", "/pub", headers,
    string.format(body, n + 1, n % 100000, (n * 7) % 100000, n))
end

function done(summary, latency, _)
  local errors = summary.errors
  io.write(string.format("RESULT %d %d %.2f %.2f %d\n", summary.requests, summary.duration,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000,
    errors.connect + errors.read + errors.write + errors.timeout + errors.status))
end
