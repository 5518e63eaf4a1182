-- For wrk: each connection waits up to PAUSE_MS before it asks again.
local most = tonumber(os.getenv("PAUSE_MS"))

function delay()
    return math.random(0, most)
end
