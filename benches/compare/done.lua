-- Prints what wrk counted as numbers: requests, bytes, microseconds, failures.
function done(summary, latency, requests)
    local errors = summary.errors
    local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
    local form = "\ncounts %d %d %d %d\n"
    io.write(form:format(summary.requests, summary.bytes, summary.duration, failed))
end
