-- perilune.jobs, perilune.job and the policy async, in virtual time.

local perilune = require "perilune"
local t = require "perilune.test"

local function wait_for(id, most)
  local queue = perilune.jobs()
  for _ = 1, most or 200 do
    local job = queue:get(id)
    if job.status ~= "queued" and job.status ~= "running" then return job end
    t.advance(0.5)
  end
  error("the job does not end")
end

local function throws(fn, text)
  local ok, why = pcall(fn)
  t.equal(ok, false)
  if not tostring(why):find(text, 1, true) then error(("expected an error with %q, got %q"):format(text, tostring(why)), 2) end
end

t.test("a function gets its arguments, and what it returns is the result", function()
  local seen
  perilune.job("add", function(job)
    seen = { id = job.id, tries = job.tries, tenant = job.tenant, queue = job.queue }
    return { sum = job.args.a + job.args.b }
  end)
  t.queues{ "fast" }
  local made = perilune.jobs("fast"):submit({ job = "add", args = { a = 2, b = 3 } }, { tenant = "acme", priority = 4 })
  t.equal(made.status, "queued")
  local job = wait_for(made.id)
  t.equal(job.status, "completed")
  t.equal(job.result.sum, 5)
  t.equal(job["function"], "add")
  t.equal(job.priority, 4)
  t.equal(seen.id, made.id)
  t.equal(seen.tries, 1)
  t.equal(seen.tenant, "acme")
  t.equal(seen.queue, "fast")
end)

t.test("nothing returned is a result, too", function()
  perilune.job("nothing", function() end)
  local job = wait_for(perilune.jobs():submit{ job = "nothing" }.id)
  t.equal(job.status, "completed")
  t.equal(job.result, nil)
  t.equal(job.error, nil)
end)

t.test("progress is seen while it runs", function()
  perilune.job("slow", function(job)
    job:progress{ done = 1, of = "十" }
    perilune.sleep(10)
    job:progress{ done = 2 }
    perilune.sleep(10)
    return true
  end)
  local queue = perilune.jobs()
  local made = queue:submit{ job = "slow" }
  t.advance(5)
  local job = queue:get(made.id)
  t.equal(job.status, "running")
  t.equal(job.progress.done, 1)
  t.equal(job.progress.of, "十")
  t.advance(10)
  t.equal(queue:get(made.id).progress.done, 2)
  t.equal(wait_for(made.id).result, true)
end)

t.test("a failure that may pass is tried again, later each time, then it is final", function()
  local at = {}
  perilune.job("flaky", function()
    at[#at + 1] = t.clock()
    return nil, perilune.error{ code = "upstream_error", message = "not now" }
  end)
  local job = wait_for(perilune.jobs():submit({ job = "flaky" }, { max_tries = 3 }).id)
  t.equal(job.status, "failed")
  t.equal(job.tries, 3)
  t.equal(job.error.code, "upstream_error")
  t.equal(#at, 3)
  t.equal(at[2] - at[1] >= 0.5 and at[2] - at[1] <= 1.1, true)
  t.equal(at[3] - at[2] >= 1 and at[3] - at[2] <= 2.1, true)
end)

t.test("who asks to wait is waited for, and that was no try", function()
  local at = {}
  perilune.job("told", function(job)
    at[#at + 1] = t.clock()
    if #at <= 5 then return nil, perilune.error{ code = "rate_limit_exceeded", status = 429, retry_after = 30 } end
    return "well"
  end)
  local job = wait_for(perilune.jobs():submit{ job = "told" }.id, 1000)
  t.equal(job.status, "completed")
  t.equal(job.tries, 1)
  t.equal(#at, 6)
  for i = 2, 6 do t.equal(at[i] - at[i - 1] >= 30, true) end
end)

t.test("a failure that would repeat is final at once", function()
  perilune.job("wrong", function() return nil, perilune.error{ code = "invalid_request", status = 400 } end)
  local job = wait_for(perilune.jobs():submit{ job = "wrong" }.id)
  t.equal(job.status, "failed")
  t.equal(job.tries, 1)
  t.equal(job.error.code, "invalid_request")
end)

t.test("a function that throws fails its job and nothing else", function()
  perilune.job("bad", function() error("boom") end)
  perilune.job("good", function() return 1 end)
  local bad, good = perilune.jobs():submit{ job = "bad" }, perilune.jobs():submit{ job = "good" }
  local job = wait_for(bad.id)
  t.equal(job.status, "failed")
  t.equal(job.error.code, "policy_error")
  t.equal(job.error.message:find("boom", 1, true), nil)
  t.equal(wait_for(good.id).result, 1)
end)

t.test("perilune.error{} thrown is the failure", function()
  perilune.job("thrown", function() error(perilune.error{ code = "no_such_thing", status = 404, message = "gone" }) end)
  local job = wait_for(perilune.jobs():submit{ job = "thrown" }.id)
  t.equal(job.error.code, "no_such_thing")
  t.equal(job.error.message, "gone")
end)

t.test("one that hangs, and one that allocates without end, are stopped", function()
  perilune.job("hangs", function() while true do end end)
  perilune.job("eats", function()
    local list = {}
    while true do list[#list + 1] = ("x"):rep(10000) .. #list end
  end)
  t.limits{ memory = "16MiB" }
  local job = wait_for(perilune.jobs():submit{ job = "hangs" }.id)
  t.equal(job.status, "failed")
  t.equal(job.error.code, "policy_budget_exceeded")
  job = wait_for(perilune.jobs():submit{ job = "eats" }.id)
  t.equal(job.status, "failed")
end)

t.test("a job that takes too long ends at its deadline", function()
  perilune.job("sleeps", function() perilune.sleep(1e6) end)
  local job = wait_for(perilune.jobs():submit{ job = "sleeps" }.id, 3000)
  t.equal(job.status, "failed")
  t.equal(job.error.code, "deadline_exceeded")
end)

t.test("canceled while it waits, and while it runs", function()
  local ran, over = 0, false
  perilune.job("long", function()
    ran = ran + 1
    perilune.sleep(100)
    over = true
  end)
  local queue = perilune.jobs()
  local later = queue:submit({ job = "long" }, { delay = 50 })
  t.equal(queue:cancel(later.id).status, "canceled")
  local made = queue:submit{ job = "long" }
  t.advance(5)
  t.equal(queue:get(made.id).status, "running")
  queue:cancel(made.id)
  t.advance(2)
  t.equal(queue:get(made.id).status, "canceled")
  t.advance(200)
  t.equal(ran, 1)
  t.equal(over, false)
  t.equal(queue:cancel(made.id).status, "canceled")
end)

t.test("not before its time, and not after it has expired", function()
  local at = {}
  perilune.job("timed", function(job) at[job.id] = t.clock() end)
  local queue = perilune.jobs()
  local later = queue:submit({ job = "timed" }, { delay = 60 })
  t.advance(59)
  t.equal(at[later.id], nil)
  wait_for(later.id)
  t.equal(at[later.id] >= 60, true)
  local never = queue:submit({ job = "timed" }, { delay = 100, expires = perilune.now() + 50 })
  t.equal(never == nil or wait_for(never.id, 400).status, "failed")
end)

t.test("one key, one job; the same key for something else is refused", function()
  local ran = 0
  perilune.job("once", function() ran = ran + 1 end)
  local queue = perilune.jobs()
  local first, existed = queue:submit({ job = "once", args = { 1 } }, { key = "k" })
  t.equal(existed, false)
  local again, same = queue:submit({ job = "once", args = { 1 } }, { key = "k" })
  t.equal(again.id, first.id)
  t.equal(same, true)
  local other, err = queue:submit({ job = "once", args = { 2 } }, { key = "k" })
  t.equal(other, nil)
  t.equal(err.code, "idempotency_key_reused")
  t.equal(err.status, 422)
  wait_for(first.id)
  t.equal(ran, 1)
end)

t.test("a function that nobody defined is tried again, because a reload may bring it", function()
  local queue = perilune.jobs()
  local made = queue:submit{ job = "later" }
  t.advance(0.1)
  perilune.job("later", function() return "here" end)
  t.equal(wait_for(made.id).result, "here")
end)

t.test("a job asks upstreams, for its tenant", function()
  t.upstream("small", { text = "42", usage = { prompt_tokens = 3, completion_tokens = 1 } })
  perilune.job("asks", function(job)
    return (perilune.upstream("small"):ask{ messages = { { role = "user", content = job.args } } })
  end)
  t.equal(wait_for(perilune.jobs():submit{ job = "asks", args = "six times seven" }.id).result, "42")
  t.equal(t.calls("small")[1].body.messages[1].content, "six times seven")
end)

t.test("a request is done by the policies of its route, as a whole answer", function()
  t.upstream("up", { chunks = { "你", "好" }, usage = { prompt_tokens = 1, completion_tokens = 2 } })
  t.jobs{ function(req, next)
    t.equal(req.job ~= nil, true)
    t.equal(req.tenant, "acme")
    return next(req)
  end }
  local made
  t.send(function(req, next)
    made = perilune.jobs():submit(req)
    return perilune.jobs():accepted(made)
  end, nil, t.request{ stream = true, tenant = "acme", messages = { { role = "user", content = "hi" } } })
  local job = wait_for(made.id)
  t.equal(job.status, "completed")
  t.equal(job.path, "/v1/chat/completions")
  t.equal(job.result.choices[1].message.content, "你好")
end)

t.test("a policy sees the jobs of its tenant and no others", function()
  perilune.job("mine", function() return 1 end)
  local made = perilune.jobs():submit({ job = "mine" }, { tenant = "acme" })
  local function look(tenant)
    local job, err
    t.send(function(req)
      job, err = perilune.jobs():get(made.id)
      return perilune.respond{ text = "ok" }
    end, nil, t.request{ tenant = tenant })
    return job, err
  end
  t.equal(look("acme").id, made.id)
  local none, err = look("other")
  t.equal(none, nil)
  t.equal(err.code, "job_not_found")
end)

t.test("what is wrong is said at once", function()
  local queue = perilune.jobs()
  perilune.job("here", function() end)
  throws(function() perilune.jobs("no spaces") end, "a name is a string of 1 to 63")
  throws(function() perilune.jobs("nightly") end, "unknown queue 'nightly'; known: default (jobs.queues of the configuration names them")
  t.queues{ "nightly" }
  throws(function() perilune.jobs("nigthly") end, "unknown queue 'nigthly'; did you mean 'nightly'?")
  throws(function() t.policy("async", { above_tokens = 5, queue = "nigthly" }) end, "did you mean 'nightly'?")
  throws(function() t.queues("nightly") end, "must be a list")
  perilune.jobs("nightly")
  throws(function() perilune.job("x") end, "fn is a function")
  throws(function() perilune.job("here", function() return 2 end) end, "is defined already")
  throws(function() queue:submit(7) end, "a request, { path =, body =, headers = }")
  throws(function() queue:submit{ job = "here", path = "/x" } end, "path")
  throws(function() queue:submit{ path = "no/slash" } end, "the path begins with /")
  throws(function() queue:submit({ job = "here" }, { prio = 1 }) end, "prio")
  throws(function() queue:submit({ job = "here" }, { priority = 101 }) end, "priority")
  throws(function() queue:submit({ job = "here" }, { delay = 1, not_before = 2 }) end, "keep one of them")
  throws(function() queue:submit({ job = "here" }, { webhook = "ftp://host/x" }) end, "https://")
  throws(function() queue:submit({ job = "here" }, { webhook = "nonsense" }) end, "a URL that begins with https://")
  throws(function() queue:submit{ path = "/x", headers = { ["a b"] = "c" } } end, "headers['a b']")
  throws(function() queue.get(nil, "x") end, "with a colon")
  local none, err = queue:get("job_ffffffffffffffffffffffffffffffff")
  t.equal(none, nil)
  t.equal(err.status, 404)
  none, err = queue:get(("x"):rep(1000))
  t.equal(none, nil)
  t.equal(err.status, 404)
end)

t.test("a handle of a job that is over says so", function()
  local kept
  perilune.job("keeps", function(job) kept = job end)
  wait_for(perilune.jobs():submit{ job = "keeps" }.id)
  throws(function() kept:progress(1) end, "the job is over")
end)

-- -- async ----------------------------------------------------------------------

local function ask_async(options, request)
  t.upstream("up", { text = "now" })
  return t.send("async", options, request)
end

t.test("async: a long request becomes a job, a short one is answered", function()
  local reply = ask_async({ above_tokens = 50 }, t.request(("word "):rep(100)))
  t.equal(reply.status, 202)
  t.equal(reply.body.status, "queued")
  t.equal(reply.headers.location, "/v1/async/" .. reply.body.id)
  t.equal(wait_for(reply.body.id).result.choices[1].message.content, "now")
  t.equal(ask_async({ above_tokens = 50 }, t.request("short")).text, "now")
end)

t.test("async: a stream that becomes a job is no stream", function()
  local reply = ask_async({ when = function() return true end },
    t.request{ stream = true, messages = { { role = "user", content = "hi" } } })
  t.equal(reply.status, 202)
  t.equal(reply.body.status, "queued")
end)

t.test("async: a job passes it", function()
  t.jobs{ { "async", when = function() return true end } }
  local reply = ask_async({ when = function() return true end }, t.request("hi"))
  t.equal(wait_for(reply.body.id).result.choices[1].message.content, "now")
end)

t.test("async: clients may ask for it", function()
  local function with(prefer)
    return ask_async({ prefer = true }, t.request{ headers = { prefer = prefer } }).status
  end
  t.equal(with("respond-async"), 202)
  t.equal(with("wait=5, Respond-Async"), 202)
  t.equal(with("respond-asynchronously"), 200)
  t.equal(with("return=minimal"), 200)
end)

t.test("async: a when that throws is a failure of that request", function()
  local reply = ask_async({ when = function() error("boom") end }, t.request("hi"))
  t.equal(reply.status, 500)
end)

t.test("async: which requests?", function()
  throws(function() t.policy("async", {}) end, "give above_tokens, when or prefer")
  throws(function() t.policy("async", { above = 5 }) end, "above")
end)

t.test("async: an Idempotency-Key that cannot be one is the client's fault", function()
  for _, key in ipairs{ "", ("k"):rep(256) } do
    local reply = ask_async({ above_tokens = 0 }, t.request{ headers = { ["idempotency-key"] = key },
                                                             messages = { { role = "user", content = "hi" } } })
    t.equal(reply.status, 400)
  end
end)
