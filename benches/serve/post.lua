wrk.method = "POST"
local row = {}
math.randomseed(1)
for i = 1, 64 do row[i] = tostring(math.random(0, 16)) .. ".0" end
wrk.body = '{"rows": [[' .. table.concat(row, ", ") .. ']]}'
wrk.headers["Content-Type"] = "application/json"
