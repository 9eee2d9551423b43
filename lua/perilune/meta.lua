---@meta perilune
--
-- meta: the reference manual of what a policy can call.
--
-- Nothing here runs.  An editor that knows LuaCATS (lua-language-server) reads it
-- for completion and types; people read it from top to bottom.  `make lint`
-- compares its names with the functions that C and lua/perilune/ offer.
--
-- Rules that hold everywhere:
--
--   * Times are seconds, also fractions; sizes are bytes; fields whose name ends
--     in _ms are milliseconds.
--   * A function marked @async may wait.  It looks like any other call; meanwhile
--     the worker serves other requests.  It cannot be called where Lua cannot be
--     suspended: in functions given to tap, map, finally, table.sort, string.gsub,
--     and while the configuration is loaded.
--   * Expected failures are values: `nil, err`, with err a perilune.Error.  Misuse
--     (a wrong type, an unknown level) throws, at the line of the caller; the log
--     names the lines of the function when the call was its last, `return f(...)`.
--   * A response or `nil, err` is what a policy returns.  An error of
--     perilune.error{} may be thrown as well; a policy that throws anything
--     else gives its request a 500 and the log a traceback.
--   * When a request is canceled, because its client left or a sibling of
--     perilune.race won, its coroutine ends at the call it waits in: nothing
--     behind that line runs.  What must happen anyway belongs into req:finally().
--
-- Globals of a policy: host assert error getmetatable ipairs next pairs pcall print
-- rawequal rawget rawset require select setmetatable tonumber tostring type unpack
-- xpcall _G _VERSION, and the libraries bit, math (without randomseed), string
-- (without dump), table; host is perilune.host.  print() writes to the log.  require() finds the modules
-- documented here (perilune, and perilune. with chat, check, config, cost, errors, extract,
-- fields, prompt_cache, retry, text, trim, turns) and files beside the configuration:
-- "words" is policies/words.lua, "lib.util" is policies/lib/util.lua or lib/util.lua.  It also finds perilune.compress, .history, .payload, .schema, .smart, .trials and .trim_rules, of which
-- shipped policies are made: these may change.  A `trusted` policy has all of LuaJIT
-- besides.

-- -- a policy -----------------------------------------------------------------

--- What a policy file returns.  It runs once per load and worker, checks its
--- options (perilune.config, options()) and returns the policy.
---@alias perilune.Factory fun(options: table): perilune.Policy

--- What a policy file may return behind its factory: `return function(options) ... end,
--- { needs = "chat" }`.  The policy reads or writes messages; a route for a path that has none
--- (/v1/responses, /v1/audio/...) is refused with its name, at load and by `perilune check`, and a request without any on
--- a route that gets both (/v1/*) with 400 before the policy runs.  others = "pass": on such a request it is left out.
---@class perilune.PolicyNeeds
---@field needs? "chat"    it works on chats only
---@field others? "pass"   and lets others pass
---@field last? true       it never calls `next`: a policy behind it in the list would never run, and is refused

--- A policy.  Before next() it sees the request, behind it the response; a second
--- next() is a retry, none is an answer of its own.
---@alias perilune.Policy async fun(req: perilune.Request, next: perilune.Next): perilune.Response?, perilune.Error?

--- Runs the policies behind this one, and at last the call.  `opts` are those of
--- upstream:chat(); only the next() of the last policy in the list looks at them.  The response
--- has begun: also one that a policy behind composes.
---@alias perilune.Next async fun(req: perilune.Request, opts?: perilune.CallOptions): perilune.Response?, perilune.Error?

-- -- errors ---------------------------------------------------------------------

--- What went wrong.  A plain table: fields may be changed and added before it is
--- returned; fields that only a metatable knows are not read.  Returned from the outermost policy it becomes the response
--- `{"error":{"message","type","param","code"}}` with its status.
---
--- Codes, with their status; R: retryable.
---
---     invalid_request  invalid_json             400    the request is at fault
---     invalid_api_key                           401    auth_keys
---     rejected                                  403
---     not_found  model_not_found                404
---     method_not_allowed                        405
---     request_too_large                         413
---     rate_limit_exceeded                       429 R  an upstream's 429
---     canceled                                  499
---     policy_error  policy_budget_exceeded      500    a policy threw, or used up its time or memory
---     internal_error                            500
---     host_error                                500    a function of the program failed (host.NAME)
---     upstream_error  upstream_unreachable
---       upstream_dns  upstream_tls  upstream_reset
---       upstream_malformed  upstream_truncated
---       upstream_stream_error                   502 R
---     upstream_too_large                        502
---     upstream_unavailable                      503 R  it rests, because it failed (policy `breaker`)
---     out_of_memory  draining                   503 R
---     timeout                                   504 R  a timeout of the upstream, or of the policy
---     deadline_exceeded                         504    limits.request_timeout
---     upstream_status                                  any other status of an upstream, see below
---
--- perilune.error{ code = ... } knows these too, and some more: errors.lua.
---
--- An upstream that answers with a status of 400 or more has failed with the code that
--- its body says ({"error":{"code"}}), else upstream_status (rate_limit_exceeded for
--- 429).  The body itself is in `body`; a status of 4xx, 503 and 504 is kept, 529 becomes
--- 503, any other 502; retryable are 408, 409, 425, 429 and all from 500 on but 501 and 505.  An error inside
--- of a stream has the code that it says, else upstream_stream_error.
--- tostring(err) is "code: message".
---@class perilune.Error
---@field code string          for programs
---@field message string       for people, clients too: no name of an upstream, a host or a file
---@field status integer       HTTP status for the client, 400 to 599
---@field retryable boolean    can the same request succeed later, or at another upstream?
---@field type string          OpenAI's error type; follows from the status when absent
---@field param? string        the field of the request that is at fault
---@field retry_after? number  seconds to wait before trying again, from retry-after-ms or
---                         Retry-After (seconds, or a date); sent as Retry-After, rounded up
---@field upstream? string     who failed; the client does not read it
---@field detail? string       what only operators should read: hosts, certificates; in the access log, not in the reply
---@field body? string         the upstream's own error body
---@field headers? table<string, string>  lines for the client: those of the upstream's that pass_headers names; and
---                         x-should-retry = "false" when the upstream may have done the work: SDKs do not repeat that

-- -- the request ------------------------------------------------------------------

--- A member of a JSON object in the request's body.
---@alias perilune.Json nil|boolean|number|string|table|perilune.Object|lightuserdata

--- A JSON object of the request's body, for example a message.  Fields are read
--- when they are asked for; an assigned field marks the object as changed, nil
--- removes a member.  Arrays are plain Lua tables, JSON's null is
--- perilune.json.null.  pairs() works; so does tostring(), which gives JSON.
--- What nobody changed is sent byte for byte as it came.
---@class perilune.Object
---@field [string] perilune.Json

---@class perilune.Message: perilune.Object
---@field role string
---@field content string|perilune.Object[]|nil  text, or a list of parts (text, images)

--- The request.  The names below are the gateway's; every other name is a field of
--- the JSON body: req.model, req.temperature, req.tools, readable and writable.
--- (A body field that has one of the names below can only be seen in req:body().)
---
--- Using a request that was answered throws "request is finished".
---@class perilune.Request
---@field id string          x-request-id: the client's own when it sent a good one
---@field method string      "POST"
---@field path string        "/v1/chat/completions", without the query
---@field headers table<string, string?>  by name in any case.  Of several with the same
---                          name the first.  `= nil` takes all of that name away, for
---                          later policies and upstreams; nothing else can be set
---@field peer string        the client's address without the port; "unix:UID" of one that came by a socket on a path
---@field tenant? string     who is calling; writable (at most 127 bytes), logged
---@field job? string        its id, when this is a job: nobody waits, and policies that admit have run before
---@field upstream? string   where the last next() goes; writable: the name of an upstream
---                          (an unknown one throws).  nil: by model
---@field ctx table          scratch: lives as long as the request, nobody else reads it
---@field messages perilune.Message[]  a Lua array; table.insert, table.remove and
---                          assigning new plain tables work
---@field model? string
---@field stream? boolean    is the upstream asked for a stream?  The client gets the form that it asked for, whatever
---                          this is set to: a stream is put together, a whole is told as one, and so policies see
---                          it.  Without a stream its stream_options go, too
---@field wants_stream boolean  does the client wait for a stream?
---@field [string] perilune.Json
local Request = {}

--- The body as it would go out now: as it came, with what policies changed.  Throws
--- when what they left is no valid request.
---@return string
function Request:body() end

--- fn runs once, when the request is over, whatever became of it: answered, failed, a policy threw
--- or used up its time, the client left while next() waited.  This is the place for what must happen
--- anyway: a counter that goes down again, a lock that is given back.  Runs behind the functions
--- of res:finally(), the last one given first.  It may still use the request; it cannot wait; when it throws, that
--- is logged and the others run.  All functions of a request share 5 ms of CPU time (1 ms when those of others took much lately), which
--- limits.cpu_ms does not count.  At most 32; one more throws.
---
---     local running = perilune.shared("running")
---     running:incr(req.tenant)
---     req:finally(function() running:incr(req.tenant, -1) end)
---     return next(req)
---@param fn fun(outcome: perilune.Outcome)  without `text`
---@return perilune.Request self
function Request:finally(fn) end

--- Names equal requests: SHA-256, in hex, of the path and body() as it is now.
---@return string
function Request:fingerprint() end

--- Writes a line to the log that carries the request's id.
---@param level "error"|"warn"|"info"|"debug"  another one throws
---@param text string
---@param fields? table<string, any>  more members of the line; values as for json.encode.
---        time, level, msg and request_id get a _ behind their names
---
--- A text or a field over 128 KiB and a name over 128 bytes are cut, and the line says so.
function Request:log(level, text, fields) end

---@class perilune.Saved  what a policy that rewrote the request reports
---@field policy string   its name: letters, digits, _ and -, at most 31
---@field before? number  tokens of the prompt before it
---@field after? number   and after it
---@field cost? number    USD saved, provider caches considered; negative: it cost more
---@field seconds? number time that it took

--- Names what the request begins with: a hash of everything in front of the messages
--- (tenant, path, model, tools, response_format), at [0], and for each message one of
--- everything up to it.  Requests that share a hash share that prefix, and whoever
--- caches by prefix has it.  White space, and marks that only steer caches
--- (cache_control, prompt_cache_breakpoint), do not count.
---@param alone? boolean  also hash each message by itself
---@return table<integer, string> hashes  32 hex digits each; empty when there are no messages
---@return string[]? messages  with alone: 16 hex digits for each message
function Request:prefixes(alone) end

--- Reports what rewriting saved: for the access log (`tokens_saved`, `saved`), the
--- header `x-perilune-saved-tokens`, and the metrics `perilune_saved_tokens_total`,
--- `perilune_saved_usd_total` and their kin.  Reports of one request add up; one that
--- comes after the first byte of the answer is too late for the header.  Without an
--- argument nothing is reported.  perilune.cost, report() fills in the money.
---@param what? perilune.Saved  an unknown field throws
---@return { tokens: number, cost: number } sums  of all reports so far
function Request:saved(what) end

--- What is to be said of the request when it is over: in its line of the access log ("notes"), and to the program's
--- hook (perilune_hooks.finished).  Clients do not see it.  The same name again: the new value counts.  32 names of at
--- most 64 bytes, 1024 bytes of JSON each; more throws.
---@param name string
---@param value any  what JSON can say
function Request:note(name, value) end

--- Seconds until the request's deadline (limits.request_timeout), never below 0;
--- 1e9 when it has none.
---@return number
function Request:time_left() end

--- Tokens of the prompt, as its model will count them: messages with what the model's
--- format puts around them, tools, images by their sizes; of a request for embeddings its
--- input.  The model is that of the upstream which the request would go to now, else
--- `req.model`; see perilune.tokens() for what is known of models.  When upstreams have
--- reported usage for that model, what they count besides is added.
---
--- Messages that were counted before, in this request or another, are looked up: asking
--- again costs microseconds.  The first time costs about 10 us for each 2 KB, and is time
--- that limits.cpu_ms counts: for a prompt of 10 MB that is over the default.  Who only wants
--- to know whether there are more than `limit` says so: counting stops there.
---@param limit? integer  the answer is limit + 1 when there are more
---@return integer count
---@return boolean exact  the vocabulary is the model's own, and every rule that was used is
---        published; false with tools, audio, files, or images that are not in the request
function Request:tokens(limit) end

-- -- the response -------------------------------------------------------------------

---@class perilune.Usage
---@field prompt_tokens integer
---@field completion_tokens integer
---@field total_tokens integer
---@field cached_tokens integer  of the prompt tokens
---@field reasoning_tokens? integer  this and those below where the upstream says them: of the completion tokens
---@field audio_tokens? integer
---@field accepted_prediction_tokens? integer
---@field rejected_prediction_tokens? integer
---@field prompt_audio_tokens? integer  of the prompt tokens
---@field estimated? boolean  of an outcome: the upstream said nothing.  A token for each event, and the prompt as it
---                          was counted, 0 when no policy asked for req:tokens()

--- One event of an answer.  An answer that does not stream is a single event.
---@class perilune.Event
---@field type "text"|"reasoning"|"refusal"|"tool"|"usage"|"done"|"other"|"error"  of what it says first: an
---                     event with text and calls of tools, as whole answers are, has the type "text"
---@field data? string  the JSON as it came ("[DONE]" for done)
---@field text? string  the piece of text that it carries, of the choice named by `choice`
---@field choice? integer  index of that choice, from 0; of what else it says, when there is no text
---@field pieces? perilune.Piece[]  all of them, when the event has more than one
---@field tools? perilune.ToolCall[]  calls of tools that it mentions, whatever its type
---@field error? perilune.Error  of "error": the stream broke off; always last

---@class perilune.Piece
---@field choice integer
---@field kind "text"|"reasoning"|"refusal"|"arguments"
---@field text string

--- What one event says of a call of a tool.  Of a stream the first event of a call has its id and name, those behind
--- it have the next piece of its arguments; a whole answer has all.
---@class perilune.ToolCall
---@field choice integer
---@field index integer  of the call in its choice, from 0
---@field id? string
---@field name? string
---@field arguments? string

---@class perilune.Outcome
---@field ok boolean             the client has got all of it
---@field code? string           of the failure; "canceled" when the client left
---@field usage? perilune.Usage  when the upstream said it; of a stream that the client left or that failed else an estimate
---@field cache? string          what a cache did: of "hit", "stale" and "coalesced" the usage was not paid for here.  Of
---                              a shared call exactly one pays: when who made it leaves, one who had x-cache: coalesced
---@field ttft_ms number         milliseconds from the request to the first event
---@field total_ms number        milliseconds from the request to the end
---@field text? string           the answer, after res:record(); nil when it was over max_body

--- An answer on its way.  It is there as soon as its first event is: what fails
--- before that is `nil, err`; what fails later ends the stream with an error event.
---
--- Returned by a policy it goes to the client without Lua.  Reading it (text, events)
--- takes nothing away: the client still gets all of it.  A whole answer that is
--- read must fit into upstreams.NAME.max_body.
---@class perilune.Response
---@field status integer        writable, 200 to 599, until the first byte was sent
---@field headers table<string, string?>  writable until the first byte was sent: sent to
---                             the client (16 KiB at most; nil removes what was set),
---                             in place of the gateway's own of that name.  Names that
---                             say how long a message is (content-length, connection,
---                             transfer-encoding ...) and control bytes throw.
---                             Reads also find what the upstream sent, while it still
---                             sends: content-type, retry-after, x-request-id,
---                             x-ratelimit-...
---@field upstream? string      who answers; nil for perilune.respond without a name
---@field usage? perilune.Usage after the end, when the upstream said it
local Response = {}

--- The whole text of the answer; waits for its end.  Behind map(), what map made.
--- For an answer that is no chat (a pass-through), its bytes.
---
--- A request with n > 1 has several choices, counted from 0; without an argument the text is that of the
--- first. An answer over upstreams.NAME.max_body fails with upstream_too_large as soon as it is over it.
---
--- Functions given to tap, map and finally cannot wait, also where nothing is left to wait for: there it throws.
---@async
---@param choice? integer  default 0
---@return string? text
---@return perilune.Error? err
function Response:text(choice) end

--- The answer's events, one by one, as they come.  When the answer breaks off, the
--- last event has the type "error".  Events that were read are kept for the client, up to
--- upstreams.NAME.max_body; a longer answer can be read to its end, but no longer be returned.
---
---     for ev in res:events() do
---       if ev.type == "text" then n = n + #ev.text end
---     end
---
--- What an event says besides is in its data, as the upstream sent it. How sure a model was, when req.logprobs was
--- true: perilune.json.decode(ev.data).choices[1].logprobs.content has a table with `token` and `logprob` for each token
--- of that event; logprobs is nil or json.null where nothing is said. examples/policies/sure.lua is a cascade by it.
---@async
---@return async fun(): perilune.Event?
function Response:events() end

--- fn sees every event on its way to the client, after map().  It cannot wait; when
--- it throws, the answer ends with policy_error, over its time or memory with
--- policy_budget_exceeded.  When it throws what perilune.error made, the answer ends with that
--- error: its code, message and, if nothing was sent yet, its status.  Throws when the response is already
--- being read or sent.
---@param fn fun(event: perilune.Event)
---@return perilune.Response self
function Response:tap(fn) end

--- fn changes what the answer says on its way to the client: it gets a piece and returns what
--- is sent instead; nil or "" drops the piece.  "event" gives the text of each event
--- as it came, "word", "sentence" and "line" give whole ones, without the white space or line end
--- that separates them (it is kept), and hold back the unfinished piece; an
--- answer that fails is left without it.  In scripts without spaces (Chinese, Japanese) each character is
--- a word, and a number or a name in Latin letters between them is one: who looks for terms of several characters maps
--- by "sentence", which ends with its mark (or with its line) and has it.
---
--- The text, the reasoning, the refusal and each call of each choice are mapped for themselves: fn sees the same words
--- in a stream as in a whole answer, whatever else is said between their halves.  So the last word of the reasoning may
--- come behind the first ones of the text; what a choice holds back comes before its finish_reason.  The arguments of
--- a call also end where their JSON value does.
---
--- A mapped answer has no logprobs (and no token_ids of vLLM): they are null, for they say, token by token, what the
--- text was.
---
--- Every choice is mapped, each for itself.  Only the text is, unless options.of lists more: an
--- answer may also say things in its reasoning, in a refusal, and in the arguments of tool
--- calls, and a function that takes secrets out has to ask for those, too:
---
---     res:map("word", mask, { of = { "text", "reasoning", "refusal", "arguments" }, json = true })
---
--- "text" is content, audio.transcript, and a choice's own text; "reasoning" is what is thought under any of
--- its names, in parts of the content, reasoning_details and thinking_blocks; "arguments" are those of functions and
--- the input of custom tools: an object is mapped as its JSON, and becomes a string when fn changes it.
--- Annotations, and members that nobody knows, are not mapped.
---
--- An event that is no JSON, or has something else where a text should be (content that is a number, two
--- `choices`), ends a mapped answer with upstream_malformed.  An answer that is passed through as bytes (embeddings,
--- other paths) cannot be mapped; map throws.  Parts of one content are one text, and a word may begin in one and end
--- in the next.  What an event has besides its data (event, id, retry) stays.  Several functions run one after the
--- other, each on what the one before it made, cut by its own unit.  at_end runs once for each choice, behind its last
--- piece of text, and may return text to add; not when the choice had no text, or broke off.  Otherwise as tap().
---@param by "event"|"word"|"sentence"|"line"
---@param fn fun(piece: string, info: perilune.PieceInfo): string?
---@param options? perilune.MapOptions|fun(info: perilune.PieceInfo): string?  a function is at_end
---@return perilune.Response self
function Response:map(by, fn, options) end

---@class perilune.PieceInfo
---@field choice integer  index of the choice, from 0
---@field kind "text"|"reasoning"|"refusal"|"arguments"
---@field key? boolean  with json = true: it is the name of a member, not a value

---@class perilune.MapOptions
---@field of? ("text"|"reasoning"|"refusal"|"arguments")[]  default { "text" }
---@field at_end? fun(info: perilune.PieceInfo): string?
---@field json? boolean  arguments of calls: fn gets the strings and numbers in them, decoded, and what it returns is
---                      written as JSON.  Without it fn gets the JSON as it stands, where "bob\\u0040example.com" hides
---                      an address, and a word that is replaced may break it.  Arguments go out when they are complete

--- fn runs once, when the answer has gone to the client, failed or was canceled.  It
--- cannot wait; when it throws, that is logged.  Not called for a response that the
--- policies did not return: see req:finally().
---@param fn fun(outcome: perilune.Outcome)
---@return perilune.Response self
function Response:finally(fn) end

--- Keeps the text, so that finally() gets it as outcome.text.
---@return perilune.Response self
function Response:record() end

--- Nobody wants it: its call ends at once, and not when Lua finds out that nobody holds it.  Nothing for one that is
--- on its way to a client.
function Response:discard() end

-- -- upstreams ------------------------------------------------------------------------

---@class perilune.CallOptions
---@field timeout? number  seconds to the first event of a stream, or for the whole of
---                        another answer; the upstream's own timeouts hold as well

---@class perilune.EmbedOptions: perilune.CallOptions
---@field model? string    default "embedding"; the upstream's `model`, when set, replaces it

---@class perilune.Health
---@field healthy boolean    at least one base URL did not refuse its last connection
---@field state string       of its breaker: "closed", "open", "half_open"; of a pool, the best of its members'
---@field wait? number       seconds until it may be asked again, when it is open
---@field first_token? { p50: number, p95: number, at: number }   seconds to the first event of streams, lately; `at`
---                          is the quantile that was asked for. nil: too little is known
---@field whole_answer? { p50: number, p95: number, at: number }  the same to the end of other answers
---@field in_flight integer  calls that run, in all workers
---@field calls integer      so far
---@field failures integer   so far

---@class perilune.Upstream
---@field name string
local Upstream = {}

--- Sends the request there, as it is now.  Returns when the first event is here.
---@async
---@param req perilune.Request
---@param opts? perilune.CallOptions  a timeout that is not above 0 throws
---@return perilune.Response?
---@return perilune.Error? err  internal_error when there is no upstream of that name
function Upstream:chat(req, opts) end

--- Embeddings of texts, in their order.
---@async
---@param list string|string[]
---@param opts? perilune.EmbedOptions
---@return number[][]? vectors
---@return perilune.Error? err
function Upstream:embed(list, opts) end

--- A question of the policy's own, not the client's: sends a body and returns the whole
--- text of the answer.  Deadline and cancellation are those of the request that is
--- being served.
---
---     local text, err = perilune.upstream("small"):ask({ messages = messages, max_tokens = 400 }, { timeout = 5 })
---@async
---@param body table  of a chat completion; model by default the upstream's
---@param opts? perilune.CallOptions
---@return string? text
---@return perilune.Usage|perilune.Error|nil usage  or, without a text, the error
function Upstream:ask(body, opts) end

---@class perilune.Ask  every other field is one of the body: model, temperature, max_tokens, tools, n ...
---@field messages string|perilune.Template|table  a text (a user message), or a list of messages, also `req.messages`; templates in it are filled with `vars`
---@field upstream? string   whom to ask; default: whom a gateway would choose by `model`
---@field route? string      instead: the name or path of a route, whose policies it goes through
---@field vars? table        for the holes of templates
---@field timeout? number    seconds, above 0, to the first event of a stream, or to all of another answer; default: the deadline of the request
---@field stream? boolean    default: as the request wants its own answer
---@field warm? boolean|string  of requests that begin the same one goes first, and the others wait for its first token, so that they find the provider's cache: true, what begins with the same 4,096 bytes of messages (or the same first message); a name, what has it; false, none. Default: those whose upstream has a `price.cached` below its `input`, with 4,096 bytes in common
---@field warm_wait? number   seconds that it waits at most, 0 or more; default 2, and no more than half of the timeout
---@field model? string      default: the upstream's, or that of the request

--- A request of the policy's own, on behalf of the one that it serves: with its deadline, tenant, headers, CPU time, memory
--- and limits (what it uses is settled with them), and gone when that is over.  It is a line of the access log (the
--- id of the request, a dot and a number) and counted like any other.  Routes that ask each other in a circle get the
--- error `ask_cycle`, more than 8 deep `ask_too_deep`.  What it gives may be read (`res:text()`), piped (`out:pipe`) or,
--- when its form is the request's, returned as the answer.  A model that refuses `max_tokens` or a field of sampling is
--- asked once more without it (`reasoning` of an upstream).
---
---     local res, err = perilune.ask{ upstream = "small", messages = { { role = "user", content = text } }, timeout = 5 }
---@async
---@param ask perilune.Ask
---@return perilune.Response?
---@return perilune.Error? err
function perilune.ask(ask) end

---@class perilune.Step  or only its function
---@field run async fun(req: perilune.Request, done: table<string, any>, ...): any, perilune.Error?  done: results by name; those of the steps before it are there.  What it throws fails the step, and the log has its place and traceback
---@field after? string[]|string  steps that come before it
---@field timeout? number   seconds, above 0; all tries together
---@field default? any      its result when it fails, or is late; then it may.  Each run gets a copy, so no more than
---                         10,000 values
---@field optional? boolean it may fail, and has no result then; default false: it ends the plan
---@field retry? integer    more tries while the error is retryable; default 0

---@class perilune.PlanOptions
---@field name? string      for explain()
---@field timeout? number   seconds for all of it; default: the deadline of the request
---@field reserve? number   seconds of the request's deadline that are left for what comes behind it
---@field limit? integer    steps at a time; default: all that can run

---@class perilune.Plan
local Plan = {}

--- A graph of steps, made once, when a policy is loaded.  Throws when a step waits for one that is not there, or steps wait
--- for each other (and says which), and for unknown options.
---@param steps table<string, perilune.Step|function>  256 at most
---@param opts? perilune.PlanOptions
---@return perilune.Plan
function perilune.plan(steps, opts) end

--- Runs it: each step starts when those before it are done.  A step that fails and must not cancels what is left.
---@async
---@param req? perilune.Request
---@param ... any  for each step, behind `done`
---@return table<string, any>? done  results by name
---@return perilune.Error? err       with `done`: time was over before all was, err.missing are the names of what is not; without: of the step that failed
---@return table<string, any>? partial  what was done until then
function Plan:run(req, ...) end

--- What starts when, for people.
---@return string
function Plan:explain() end

---@class perilune.ComposeOptions
---@field model? string  the name that the answer says; default: the one that the client asked for

--- An answer that a coroutine writes: texts, and other answers that flow through without Lua.  It has the form that the
--- client asked for, and the usage of all its parts.  fn begins when the running function waits or returns, and may
--- outlive the policy.  Returns it nothing, the answer is complete; `nil, err`, or an error that it throws, is the reply
--- when nothing was sent yet, else an event of the stream, which then has no end.  A text, a number or a response that it
--- returns, instead of writing it, is a mistake, and fails like an error that it throws.
---@param fn async fun(out: perilune.Out): any?, perilune.Error?
---@param opts? perilune.ComposeOptions
---@return perilune.Response
function perilune.compose(fn, opts) end

---@class perilune.WriteOptions
---@field choice? integer  from 0, below the `n` of the request; default 0

---@class perilune.PipeOptions
---@field by? "event"|"line"  as it comes (default), or whole lines
---@field label? string       text in front of each line, or of what it says behind another one
---@field choice? integer     of its choices only this one; default: all that the client asked for
---@field as? integer         which one it becomes; default 0

---@class perilune.Piped
---@field said boolean           anything went on
---@field refused boolean        there was a refusal in it
---@field called boolean         there was a call of a tool in it
---@field finish_reason? string  why it ended: "stop", "length", "tool_calls" ...
---@field usage? perilune.Usage

---@class perilune.Branch  or only the function
---@field run async fun(i: integer): perilune.Response|string|nil, perilune.Error?
---@field label? string

---@class perilune.MergeOptions
---@field on_fail? "all"|"note"|"skip"|fun(err: perilune.Error, i: integer): string?, perilune.Error?  a branch that fails: fails all (default), leaves a note, nothing, or the text that the function returns
---@field note? string     the note: "%d" is the branch, "%s" the code; default "\n[part %d is missing: %s]\n"
---@field limit? integer   branches at a time; default: all
---@field between? string  ordered: text between two parts
---@field by? "line"|"event"  interleave; default "line"

---@class perilune.Merged  [i]: perilune.Piped of branch i
---@field failed table<integer, perilune.Error>

--- What the function of perilune.compose writes to.  Behind the end of the answer every call throws.
---@class perilune.Out
local Out = {}

--- Text of the answer.  Waits while the client reads more slowly than is written.
---@async
---@param text string
---@param opts? perilune.WriteOptions
function Out:write(text, opts) end

--- What the model thinks.
---@async
---@param text string
---@param opts? perilune.WriteOptions
function Out:reasoning(text, opts) end

---@async
---@param text string
---@param opts? perilune.WriteOptions
function Out:refusal(text, opts) end

---@class perilune.ToolCall
---@field name string
---@field arguments? string|table  JSON, or what becomes it
---@field id? string               default: a new one

--- A call of a tool; the answer then ends with "tool_calls".
---@async
---@param call perilune.ToolCall
---@param opts? perilune.WriteOptions
function Out:tool(call, opts) end

--- Another answer, as it comes: its pieces, calls of tools (with numbers of their own) and usage; a text is written.
--- A part that fails is no failure of the answer: what came of it stays.  `out:pipe(nil, err)` returns that.
---@async
---@param res perilune.Response|string|nil  not sent, not piped before
---@param opts? perilune.PipeOptions
---@return perilune.Piped?
---@return perilune.Error? err
---@return perilune.Piped? so_far  of one that failed
function Out:pipe(res, opts) end

--- Why the answer ends, whatever its parts say; else the worst of their reasons does, or "stop".
---@param reason string
---@param opts? perilune.WriteOptions
function Out:finish(reason, opts) end

--- Adds to the usage of the answer what was read and not piped: a response that is over, or its usage.
---@param what perilune.Response|perilune.Usage
---@return boolean known
function Out:count(what) end

--- Something that belongs to the answer is missing, so no cache keeps it.  `on_fail` says it by itself, when a branch failed
--- and the others go on.
function Out:partial() end

--- All branches run at once; their answers go on in the order of the list.  What comes before its turn is held, and its
--- upstream paused when it is much.  Throws what a branch throws.
---@async
---@param branches (perilune.Branch|function)[]  256 at most
---@param opts? perilune.MergeOptions
---@return perilune.Merged?
---@return perilune.Error? err  of on_fail = "all"; the other branches have ended
function Out:ordered(branches, opts) end

--- The same, but each line or event goes on when it comes, behind the label of its branch.
---@async
---@param branches (perilune.Branch|function)[]
---@param opts? perilune.MergeOptions
---@return perilune.Merged?
---@return perilune.Error? err
function Out:interleave(branches, opts) end

---@class perilune.FirstOptions
---@field good? async fun(res: perilune.Response): boolean  may read the answer; default: it has begun

--- The first branch that begins to answer, and is good, is piped; the others end.
---@async
---@param branches (perilune.Branch|function)[]
---@param opts? perilune.FirstOptions
---@return perilune.Piped? piped  with `winner`, its number
---@return perilune.Error? err    of the last one, when none was good
function Out:first(branches, opts) end

--- How it fares, in all workers; nil when there is no upstream or pool of that name.
---@param q? number  from 0 to 1: the quantile that `at` is, default 0.95
---@return perilune.Health?
function Upstream:health(q) end

--- Does it get the client's own key (`key = "client"`)?  Then errors about an account are the client's.
---@return boolean
function Upstream:passes_client_key() end

-- -- shared values ----------------------------------------------------------------------

--- Small values that all workers see and reloads keep; restarts do not.  All tables
--- together hold 16 MiB; when that is full, set() and incr() throw.
---@class perilune.Shared
local Shared = {}

---@param key string
---@return string|number|boolean|nil
function Shared:get(key) end

---@param key string
---@param value string|number|boolean|nil  nil deletes; another type throws
---@param ttl? number  seconds, default: for ever
function Shared:set(key, value, ttl) end

--- Adds, atomically.  Throws when the value is not a number.
---@param key string
---@param by? number     default 1
---@param start? number  what an absent key counts as, default 0
---@param ttl? number    seconds from when the key is made (later calls do not prolong
---                      it), default: for ever
---@return number  the new value
function Shared:incr(key, by, start, ttl) end

---@param key string
function Shared:delete(key) end

-- -- caches -----------------------------------------------------------------------------

---@class perilune.CacheOptions
---@field ttl? number             seconds for which an entry is fresh, default 300
---@field stale? number           seconds behind that in which wrap() gives it at once, and asks again behind the
---                               client's back, default 0
---@field stale_if_error? number  seconds behind ttl in which wrap() gives it when `next` fails with a status of
---                               500 or more, or 429; default 0
---@field negative? number        seconds for which wrap() keeps an error about the question (400, 404, 413, 422),
---                               default 0: not at all
---@field shared? boolean         one memory for all tenants, default false
---@field version? string        of what makes the answers; without one they are told apart by all files of the
---                               configuration, so that a reload which changes any of them begins anew
---@field vary? string[]          headers of the client that an answer depends on, 16 at most
---@field tool_calls? boolean     keep answers that call tools, default false
---@field max_entry? integer|string  bytes; what is longer is not kept, default 1 MiB
---@field max_temperature? number requests that ask for a higher temperature go past the cache
---@field honor? string[]         of a client's Cache-Control: "no-cache", "no-store", "max-age"; "upstream": no-store of an answer's own; default all
---@field pace? number            seconds between two events of a stream that is given again, default 0
---@field answers? integer        wrap() keeps up to so many answers to one question, 16 at most, and gives each user
---                               one after the other; default 1
---@field probability? number     of a hit, 0 to 1; else the model is asked, default 1
---@field rephrase? boolean|string  wrap() words hits otherwise: true by rules, or the name of an upstream with a small
---                               model; default false
---@field semantic? perilune.SemanticOptions  wrap() also gives answers to questions that mean the same
---@field query? string           fetch() also gives what it got for a question that means the same (by `semantic`, or
---                               its defaults), of the same tenant: the name of the parameter of the URL, or of the member
---                               of a JSON body ("query", "search.text"), where the question stands

--- When two questions mean the same. See cache_semantic in policies/README.md. With `cache.index` answers of other
--- processes are found, too.
---@class perilune.SemanticOptions
---@field threshold? number|"auto"  0 to 1, of the similarity; "auto" (default): what max_false asks for
---@field max_false? number         share of different questions that may get an answer, default 0.01
---@field embedder? string          "builtin" (default), an upstream, or the path of a table
---@field calibration? string       path of a file of `perilune cache calibrate`
---@field prefix? string            what the upstream wants in front of a question
---@field timeout? number           seconds that the upstream may take, default 2
---@field shadow? number            share of answers to near questions for which the model is asked as well, behind the
---                                 client's back, to see whether it says the same; what comes of it is feedback; default 0

---@class perilune.CacheStats
---@field entries integer
---@field bytes integer        that they take
---@field limit integer        that they may take
---@field hits integer         look-ups that found something, since the process started
---@field misses integer
---@field stored integer
---@field refused integer      too large, or there was no memory
---@field evicted integer      made room for others
---@field expired integer
---@field invalidated integer

---@class perilune.WrapOptions
---@field salt? string   what the answer depends on besides
---@field tags? string[] for invalidate(), 14 at most
---@field keep? async fun(res: perilune.Response): boolean?  is the answer of `next` kept?  It is given in either case. What reads
---                      it here (res:text()) has a stream wait for its end

---@class perilune.SetOptions
---@field ttl? number    seconds
---@field tags? string[] for invalidate(), 14 at most

--- Answers (wrap) and values (get, set) that are kept.
---@class perilune.Cache
local Cache = {}

--- The answer that is kept for this request, or that of next(req), which is kept when it ends well.  The
--- response has the header x-cache, and age when it is an old one.
---@async
---@param req perilune.Request
---@param next perilune.Next
---@param opts? perilune.WrapOptions
---@return perilune.Response?
---@return perilune.Error? err
function Cache:wrap(req, next, opts) end

--- A value that set() has kept, and its age in seconds; nil when there is none.  With `cache.redis` it waits for
--- Redis when this process has none, where waiting is possible; in callbacks it does not.
---@async
---@param key string  4096 bytes at most
---@return any value
---@return number? age
function Cache:get(key) end

--- Keeps a value: a string as it is, anything else as JSON.  nil deletes.
---@param key string
---@param value any
---@param ttl? number|perilune.SetOptions  seconds, default: the cache's own
---@param opts? perilune.SetOptions
---@return boolean kept  false: it is larger than max_entry or than a shard (a sixteenth of cache.max_bytes)
function Cache:set(key, value, ttl, opts) end

--- perilune.fetch(url, opts), of which an answer with status 200 is kept; method, URL, headers and body are what
--- tells calls apart.  An answer that was kept has the headers x-cache and age, and one to another question (option
--- `query`) x-cache-similarity and x-cache-entry, which feedback() takes.
---@async
---@param url string
---@param opts? perilune.FetchOptions
---@return perilune.Fetched?
---@return perilune.Error? err
function Cache:fetch(url, opts) end

---@param key string
---@return boolean was_there
function Cache:delete(key) end

--- Nothing of this cache with this tag that was stored up to now is given any more; without a tag, nothing at all.
---@param tag? string
function Cache:invalidate(tag) end

--- Tells whether an answer was right for who asked; its entry gets a threshold of its own from what it was told, for
--- 30 days as long as there is room.
---@param entry string  what the reply to a near question said as x-cache-entry, "ID@SCORE"; that of an exact hit has no score
---@param ok boolean
---@return boolean? told
---@return string? err  entry is no such name or has no score, or this cache has no such entry (any more)
function Cache:feedback(entry, ok) end
--- The answer to this request that was kept, however old within `stale_if_error`, and counts as a stale answer; nil when
--- there is none.  The request must be as it was when the answer was kept: same upstream, same model.
---@param req perilune.Request
---@return perilune.Response?
function Cache:stale(req) end

--- Of all caches of the process together.
---@return perilune.CacheStats
function Cache:stats() end

-- -- the module ---------------------------------------------------------------------------

---@class perilune
---@field version string  "0.1.0"
---@field host table<string, async fun(...): any, perilune.Error?>  functions of the program that this runs in, see below
---@field values table<string, any>  what the program has set, see below
local perilune = {}

--- Functions of the program that embeds the gateway (perilune_function_add): host.lookup_user(id, { deep = true }).
--- `host` is a global, too.  They get strings, numbers, booleans, nil, and tables (as JSON; 16 arguments at most), and
--- give one value, or nil and an error, "host_error" where the program says no other code.  Some answer later, and then
--- the policy waits, as in any @async function; where nothing can wait, those fail.  A name that the program has not
--- added throws, and says which it has; with `host_functions = { "lookup_user" }` in the configuration it may be added
--- later, and calling it before that is an error, as in a `perilune check` without the program.
---
--- perilune.values.NAME: what the program has set by perilune_value_set(), nil when nothing.  It changes while policies
--- run; reading it is cheap.  A table is a copy: a request gets its own when it reads the value first, then the same
--- one, in branches and hooks, too, until the program sets a value anew.  What it writes there nobody else sees.  A copy
--- costs the request time and memory (about 0.1 us per value in it): keep thousands of entries under several
--- names, or behind a function of the program's.

--- An upstream of the configuration, by name.  chat, ask and embed throw for one that there is not.
---@param name string
---@return perilune.Upstream
function perilune.upstream(name) end

---@class perilune.Answer
---@field text? string      the whole answer, default ""
---@field chunks? string[]  instead: its pieces, as a stream delivers them; at most 16384
---@field status? integer   200 to 599, default 200
---@field model? string     default "perilune"
---@field usage? table      fields of perilune.Usage, default 0; another response's usage will do
---@field upstream? string  what x-perilune-upstream says
---@field stream? boolean   how it is made; the client gets it in the form that it asked for
---@field ttft? number      seconds before the first piece, default 0
---@field itl? number       seconds between pieces, default 0

--- An answer made here, as a chat completion or, when the request streams, as
--- events.  Throws for a status out of range.
---@param answer perilune.Answer
---@return perilune.Response
function perilune.respond(answer) end

--- An error value.  What is missing follows from code, or from status; other fields
--- are kept.  A string is the message of an internal_error.  Throws for a status
--- outside of 400 to 599.
---
---     return nil, perilune.error{ code = "overloaded", retry_after = 2 }
---@param fields table|string
---@return perilune.Error
function perilune.error(fields) end

--- A refusal: `return perilune.reject(429, "rate_limit_exceeded", { retry_after = 2 })`.
--- Not retryable unless fields say so: the policies in front must not argue with it.
---@param status integer  400 to 599
---@param code string
---@param fields? table   message, type, param, retryable, retry_after, upstream, detail, body
---@return nil
---@return perilune.Error err
function perilune.reject(status, code, fields) end

--- Several at once.  Each function runs in a coroutine of its own; together they
--- share the request's deadline, CPU time and memory.  At most 1024, of a request 4096 at
--- once, and 64 deep in each other; more throws.  A function
--- fails when it returns nil and an error; one that throws throws here.  What still
--- runs when the result is known is canceled.
---
--- all: the first result of each, in a table, at the function's place; the first
--- failure is the result of all.
---@async
---@param fns (async fun(): any, perilune.Error?)[]
---@return any[]? results
---@return perilune.Error? err
function perilune.all(fns) end

--- The results of the first function that succeeds; when all fail, those of the one
--- that failed last.  Without any function it fails, and so does race().
---@async
---@param fns (async fun(): any, perilune.Error?)[]
---@return any ...  what that function returned
function perilune.any(fns) end

--- The results of the function that ends first, whether it succeeds or fails.
---@async
---@param fns (async fun(): any, perilune.Error?)[]
---@return any ...  what that function returned
function perilune.race(fns) end

--- fn(value, index) for each value, like all(); at most opts.limit at a time (default:
--- all of them).
---@async
---@param list any[]
---@param fn async fun(value: any, index: integer): any, perilune.Error?
---@param opts? { limit?: integer }
---@return any[]? results
---@return perilune.Error? err
function perilune.map(list, fn, opts) end

--- Waits, to the millisecond.  Throws for a negative number.
---@async
---@param seconds number
function perilune.sleep(seconds) end

---@class perilune.FetchOptions
---@field method? string   default "GET", with a body "POST"
---@field headers? table<string, string>  at most 64; a bad name, one that frames the
---                       message (content-length, connection ...), host, or a control byte throws
---@field body? string
---@field timeout? number  seconds for all of it, default 30
---@field public_only? boolean  for URLs that are somebody else's word: an address that is not public (of private nets,
---                       of this machine, of a cloud's metadata) is not called, whatever its name is: upstream_unreachable
---@field stream? boolean  gives a perilune.FetchedStream as soon as the head is there; `timeout` is then for the head and
---                       for each pause, not for all of it, and nothing bounds the size

---@class perilune.Fetched
---@field status integer  as it came: 500 is 500, a redirect is a redirect
---@field headers table<string, string>  all that came, 8 KiB at most; asked in any case, pairs() gives
---                       names in lower case; the values of a name that came again are joined by ", "
---@field body string      4 MiB at most; more is upstream_too_large

--- An answer that is read as it comes, once and in one of these ways.  Its server waits while nobody reads
--- (limits.high_water); it ends with the request, or in the rock with the run.
---
---     local res = assert(perilune.fetch(url, { stream = true, body = body }))
---     for event in res:events() do handle(event.data) end
---
---@class perilune.FetchedStream
---@field status integer
---@field headers table<string, string>  as of perilune.Fetched
---@field error? perilune.Error  why it broke off
local FetchedStream = {}

--- The next bytes, as they came.  nil: it is over, or, with an error, it broke off.
---@async
---@return string? bytes
---@return perilune.Error? err
function FetchedStream:read() end

--- What read() gives, up to the end; `res.error` says whether that is all.
---@async
---@return async fun(): string?
function FetchedStream:pieces() end

--- Lines without "\n" or "\r\n", of 1 MiB at most; up to the end, as pieces().
---@async
---@return async fun(): string?
function FetchedStream:lines() end

--- Events of a text/event-stream, as perilune.sse() gives them.  One of type "error", with `error`, is the last when it
--- broke off.
---@async
---@return async fun(): perilune.SseEvent?
function FetchedStream:events() end

--- All that is left.
---@async
---@return string? text
---@return perilune.Error? err
function FetchedStream:text() end

--- Nobody wants the rest: the call ends now, and not with the request.
function FetchedStream:discard() end

--- One HTTP call.  An answer with any status is an answer; `nil, err` means that there
--- was none.  Follows no redirects.
---@async
---@param url string  http:// or https://; anything else throws
---@param opts? perilune.FetchOptions
---@return perilune.Fetched|perilune.FetchedStream|nil
---@return perilune.Error? err
function perilune.fetch(url, opts) end

--- A table of values that all workers share.
---@param name string
---@return perilune.Shared
function perilune.shared(name) end

--- Seconds since 1970, with fractions; virtual in tests.
---@return number
function perilune.now() end

--- Seconds of CPU time that the request may still use: what is left of limits.cpu_ms, and
--- in functions of tap, map and finally of limits.block_ms.
--- math.huge where nothing is limited.
---@return number
function perilune.cpu_left() end

--- Runs fn, which the request can do without, with the CPU time that is left but a reserve for
--- what follows. What takes longer throws inside of fn, and the request lives on: false and why.
--- Other errors are thrown as they are. fn may wait; branches that it starts are not bounded by
--- the attempt. Undo what was half done.
---@async
---@param fn async fun(...): ...
---@return boolean done
---@return any ...  what fn returned, or why it could not end
function perilune.attempt(fn, ...) end

--- A random number from 0 to 1 (1 excluded).
---@return number
function perilune.random() end

--- An environment variable of the gateway.
---@param name string
---@return string?
function perilune.env(name) end

--- SHA-256 in lower-case hex.
---@param text string
---@return string
function perilune.sha256(text) end

--- HMAC with SHA-256, which signs requests and webhooks.
---@param key string
---@param text string
---@param form? "raw"  32 bytes, as a key for the next HMAC; default: 64 lower-case hex digits
---@return string
function perilune.hmac_sha256(key, text, form) end

--- A text for a place in a URL: all but letters, digits and -._~ become %XX.  This and the next five take
--- at most 16 MiB; more throws.
---@param text string
---@param form? "form"  as in a form or query string: a space becomes +
---@return string
function perilune.url_encode(text, form) end

--- The reverse.  The result may hold any bytes.
---@param text string
---@param form? "form"  a + becomes a space
---@return string? text
---@return string? message  with the byte at fault
function perilune.url_decode(text, form) end

--- A time as text, in UTC.
---@param seconds? number  since 1970, up to the year 9999; default: now (virtual in tests)
---@param form? "http"|"iso"  "Sun, 06 Nov 1994 08:49:37 GMT" (default), "1994-11-06T08:49:37Z"
---@return string
function perilune.date(seconds, form) end

--- Tokens of a text by itself.  Which vocabulary a model has is told by its name: first by
--- `tokenizers` of the configuration, then by what is built in: OpenAI's models have their
--- own, for all others (qwen, deepseek, llama, claude ...) the nearest stands in, and the
--- count is not exact.
---@param text string  UTF-8; anything else is an error with the code "invalid_text"
---@param model? string  a model's name, or an upstream's whose model is meant
---@param limit? integer  counting stops behind it: then the count is limit + 1, and what is
---       behind that place was not looked at
---@return integer? count
---@return boolean|perilune.Error exact  is the vocabulary the model's own?
function perilune.tokens(text, model, limit) end

--- The beginning of a text: as much as `max_tokens` tokens hold, cut between two tokens and
--- never inside a character.
---@param text string  UTF-8, as for perilune.tokens()
---@param max_tokens integer
---@param model? string
---@return string? text
---@return boolean|perilune.Error exact
function perilune.truncate(text, max_tokens, model) end

--- Writes a line to the log; inside a request it carries the request's id.
---@param level "error"|"warn"|"info"|"debug"  another one throws
---@param text string
---@param fields? table<string, any>
function perilune.log(level, text, fields) end

--- Text with holes: {{name}} and {{a.b}} insert strings, numbers and booleans as they
--- are, {{name|json}} any value as JSON, {{"{{"}} two braces.  Throws, with the line,
--- when the text is malformed.
---@param text string
---@return perilune.Template
function perilune.template(text) end

--- A cache of all workers, which survives reloads (and restarts, with `cache.snapshot`), and which other
--- processes share with `cache.redis`.  Caches of the same name share their entries; options are those of who asks.
---@param name string  1 to 64 bytes
---@param opts? perilune.CacheOptions
---@return perilune.Cache
function perilune.cache(name, opts) end

---@class perilune.GateOptions
---@field concurrency integer|table  requests that may work at once, or { min =, max =, start = } to find it out; 0: none
---@field classes? string[]   at most 8, the first goes first; default { "default" }
---@field max_wait? number    seconds that a request waits at most, default 10
---@field max_queue? integer  requests that wait at most, default 1000; 0: none
---@field target_wait? number seconds of waiting at which a queue may stand, default a tenth of max_wait; 0: any

---@class perilune.GateEntry
---@field class? string   default: the last one
---@field tenant? string  whose turn it uses; default: the request's
---@field weight? number  turns that this tenant gets for one of another, default 1
---@field cost? number    turns that this request is worth, default 1

---@class perilune.GateStats
---@field limit integer    that may work at once
---@field busy integer
---@field waiting integer
---@field classes table<string, { waiting: integer, admitted: integer, full: integer, hopeless: integer, shed: integer, late: integer, left: integer }>

---@class perilune.Gate
local gate_ = {}
--- A slot for a request, which goes back when that is over.  Waits as long as the gate and the request's deadline
--- allow.  A request that has a slot of this gate gets no second one.  nil and an error `overloaded` (503,
--- retryable, with retry_after) when it may not work.
---@async
---@param req perilune.Request
---@param how? perilune.GateEntry
---@return true?
---@return perilune.Error?
function gate_:enter(req, how) end
--- At work and waiting, for each that may work: above 1 requests wait.
---@return number
function gate_:saturation() end
---@return perilune.GateStats
function gate_:stats() end

--- How many requests may work at once, who waits, and in which order; one for all workers, which survives reloads.
--- Gates of the same name are one: the settings of who came last count.  At most 256 names.
---@param name string  1 to 63 bytes
---@param opts perilune.GateOptions
---@return perilune.Gate
function perilune.gate(name, opts) end

--- The vector of a text by the embedder that is built in: 256 numbers, of length 1.  Two of them are as near as their
--- product says, -1 to 1.
---@param text string  4096 bytes at most
---@return number[]
function perilune.embed(text) end

--- From here on calls of this request share an answer with calls of others that ask the same at the same time.
--- One of them pays for it (outcome.cache).
---@param req perilune.Request
function perilune.coalesce(req) end

---@class perilune.BatchOptions
---@field run async fun(list: any[]): any[]?, perilune.Error|table<integer, perilune.Error>?  results, one for each item,
---                               and errors of those that have none; or nil and the error of all
---@field max_size? integer       items of a run, default 32
---@field max_tokens? integer     sum of `tokens` of submit, default 0: no limit
---@field max_wait? number        seconds that an item waits for the run under way, default 0.005
---@field max_queue? integer      items that wait, default 1024
---@field max_running? integer    runs at once, default 16
---@field timeout? number         seconds that a run may take, default 60
---@field across_tenants? boolean  may items of several tenants go together? default false

---@class perilune.Batch
local Batch = {}

--- Waits until the item was run.  Errors: what run said of it; overloaded (max_queue items wait), timeout, policy_error
--- (run threw, or returned another number of results), policy_budget_exceeded.  share: when an equal item is being run, its
--- result is this one's, too; of a table each gets a copy (10,000 values at most).
---@async
---@param item any  not nil
---@param opts? { tokens?: integer, size?: integer, priority?: integer, timeout?: number, key?: string, share?: boolean }
---@return any? result
---@return perilune.Error? err
function Batch:submit(item, opts) end

--- Items of several requests that are cheaper together.  One for each name, worker and generation; the first who
--- names it decides.  Throws for a name that exists with other options.
---@param name string  1 to 64 bytes, not made of a request
---@param opts perilune.BatchOptions
---@return perilune.Batch
function perilune.batch(name, opts) end

---@class perilune.JobOptions
---@field priority? integer    -100 to 100, default 0; the greater goes first
---@field delay? number        seconds until it may begin, or
---@field not_before? number   the time, in seconds since 1970
---@field expires? number      the same: not begun by then, it fails
---@field keep? number         seconds that it is kept after its end, default jobs.keep
---@field max_tries? integer   1 to 100, default jobs.max_tries
---@field key? string          of one tenant: the same key and the same question are the same job
---@field webhook? string      a URL that is told of the end; throws where jobs.webhooks does not allow it
---@field tenant? string       whose job it is, default that of the request at hand

---@class perilune.JobRecord  a job as it was a moment ago
---@field id string
---@field status "queued"|"running"|"completed"|"failed"|"canceled"
---@field path? string         of a request,
---@field function? string     or the name of a function
---@field queue string
---@field priority integer
---@field tries integer        that began
---@field max_tries integer
---@field created_at number    seconds since 1970, as started_at? and ended_at?, of the last try
---@field progress? any
---@field result? any          the whole answer, or what the function returned
---@field result_status? integer
---@field error? table         message, type, code

---@class perilune.Jobs
local Jobs = {}

--- Makes a job of a request as policies left it, of { path =, body =, headers = } (a body that is a table is JSON), or of
--- a function, { job = NAME, args = }.  It is kept safely when this returns.  Errors: jobs_quota_exceeded (429, of the
--- tenant), jobs_full, jobs_unavailable (503), request_too_large, idempotency_key_reused (422).  The job runs past policies
--- that say who may ask: a request has to have passed them (else it throws), a path of your own is your word.
---@async
---@param what perilune.Request|table
---@param opts? perilune.JobOptions
---@return perilune.JobRecord?
---@return boolean|perilune.Error existed  the key had this job already
function Jobs:submit(what, opts) end

--- Of the tenant of the request at hand; job_not_found (404) for any other.
---@async
---@param id string
---@return perilune.JobRecord?
---@return perilune.Error? err
function Jobs:get(id) end

--- Queued, it is canceled at once; running, it is stopped within a moment.  What has ended stays as it is.
---@async
---@param id string
---@return perilune.JobRecord?
---@return perilune.Error? err
function Jobs:cancel(id) end

--- What POST /v1/async/PATH answers, 202 with id, status and Location: for the client whose request became this job.
---@param job perilune.JobRecord
---@return perilune.Response
function Jobs:accepted(job) end

--- A queue of jobs.  Throws where the configuration has no `jobs` (when it is used), and for a queue that it does not name.
---@param name? string  default "default"
---@return perilune.Jobs
function perilune.jobs(name) end

---@class perilune.Job  what a function of perilune.job gets
---@field id string
---@field name string      of the function
---@field args any         as they were submitted
---@field tries integer    1: the first
---@field max_tries integer
---@field queue string
---@field tenant? string
local Job = {}

--- What GET /v1/async/ID says of it while it runs; the last counts.  At most 64 KiB of JSON.
---@param value any  not nil
function Job:progress(value) end

--- Names a function that jobs may run, while the configuration is loaded: in its file, or where a policy is made.  What
--- it returns is the result; nil and an error are a failure, which is tried again when err.retryable.  It has limits.cpu_ms
--- and the other limits of a request, and jobs.timeout.  With jobs.broker another machine may run it: each names the same.
---@param name string  1 to 63 letters, digits, '.', '_' and '-'
---@param fn async fun(job: perilune.Job): any, perilune.Error?
function perilune.job(name, fn) end

--- A limit of all workers, which survives reloads; with shared = true, of all machines that have the same `cache.redis`.
--- Limits of the same name count together.  Make it where the policy is made, and take from it in its requests.
---@param name string  1 to 96 bytes
---@param opts perilune.LimitOptions  at least one limit
---@return perilune.Limit
function perilune.limit(name, opts) end

--- Besides: requests_per_, tokens_per_ and usd_per_ each of _second, _minute, _hour (buckets that fill up steadily), _day
--- and _month (of the calendar, UTC).  0 refuses all.
---@class perilune.LimitOptions
---@field requests_per_minute? integer
---@field tokens_per_minute? integer
---@field usd_per_day? number
---@field concurrency? integer  reservations at once
---@field dry_run? boolean      refuse nothing; count, and log what would be refused
---@field shared? boolean       with all machines that have the same cache.redis, or an error when none is configured

---@class perilune.LimitAsk
---@field key? string       whose it is, default ""
---@field requests? number  default 1
---@field tokens? number    to be reserved, default 0; what is reserved is at least 1 and at most the whole limit
---@field usd? number       the same

---@class perilune.Limit
local Limit = {}

--- Takes from all windows, or from none.  What is neither settled nor released is settled when the request is over, by
--- what its answer used; without a request, it goes back when the reservation is collected.  Waits where the limit is
--- shared, for at most cache.redis.timeout.
---@async
---@param ask? perilune.LimitAsk
---@return perilune.Reservation?
---@return perilune.Error? err  rate_limit_exceeded, 429, with retry_after (nil: never), `limit` (its name) and `window`
---  ("second" to "month"; nil: requests at once)
function Limit:take(ask) end

---@class perilune.Reservation
local Reservation = {}

--- What was really used takes the place of what was reserved; what is not said is as reserved.  Once: later calls do
--- nothing.
---@param used? { tokens?: number, usd?: number }
function Reservation:settle(used) end

--- As if it had never been taken.
function Reservation:release() end

---@class perilune.Template
---@operator call(table): string
local Template = {}

--- Fills the holes; `template(vars)` is the same.  Throws when a value is missing, or
--- when a table stands in a hole without |json.
---@param vars table
---@return string
function Template:render(vars) end

---@class perilune.base64
perilune.base64 = {}

---@param bytes string
---@param variant? "url"  with - and _ in place of + and /, and without padding
---@return string
function perilune.base64.encode(bytes, variant) end

--- Strict: no white space, and no characters of the other variant; "url" takes padding and does without.
---@param text string
---@param variant? "url"
---@return string? bytes
---@return string? message  with the byte at fault
function perilune.base64.decode(text, variant) end

---@class perilune.json
---@field null lightuserdata  JSON's null: it keeps a key that nil would remove
perilune.json = {}

--- Throws for what JSON has no form for: functions, lists with holes or names, nesting deeper
--- than 256. NaN and infinities become null, bytes that are not UTF-8 become U+FFFD.
---@param value any
---@return string
function perilune.json.encode(value) end

--- null becomes json.null, so that a key with null keeps its place.
---@param text string
---@return any value
---@return string? message  with the byte at fault; value is nil then
function perilune.json.decode(text) end

--- Like decode, but objects stay as they are written: encoded again they are the same
--- bytes, except for the members that were assigned.  For texts whose order of keys
--- matters, such as the schema of a tool.
---@param text string
---@return any value    objects are perilune.Object
---@return string? message
function perilune.json.view(text) end

--- Marks a table as an array, so that it is encoded as [] also when it is empty.
---@param list? any[]  default: a new one
---@return any[] list
function perilune.json.array(list) end

---@class perilune.JsonStreamOptions
---@field max_depth? integer  open arrays and objects, default 64, at most 128
---@field max_size? integer   bytes in all, default 16 MiB
---@field max_value? integer  bytes of one string, number or key, default 1 MiB
---@field seek? boolean       begin at the first { or [ and ignore what stands behind the
---                           value: words around it, the fences of a code block

---@class perilune.JsonValue
---@field path string  JSON pointer (RFC 6901), "/items/0/name"; "" for a text that is one scalar
---@field value string|number|boolean|lightuserdata|table  json.null for null; a table only
---                    for an empty array or object

--- Reads a JSON text that is still being written, such as the answer of a model, and
--- gives out each string, number, boolean and null as soon as it is complete, never half
--- of one.
---
---     local stream = perilune.json_stream{ seek = true }
---     for ev in res:events() do
---       for _, field in ipairs(ev.type == "text" and stream:feed(ev.text) or {}) do
---         if field.path == "/title" then ... end
---       end
---     end
---@param options? perilune.JsonStreamOptions  an unknown one throws
---@return perilune.JsonStream
function perilune.json_stream(options) end

---@class perilune.JsonStream
local JsonStream = {}

--- The next piece of the text.  After a failure every call fails in the same way.
---@param text string
---@return perilune.JsonValue[]? values  those that are complete now, in order
---@return string? message  with the byte at fault
function JsonStream:feed(text) end

--- The text is over.
---@return perilune.JsonValue[]? values  a number that is the whole text
---@return string? message  when something is missing
function JsonStream:finish() end

--- Is the value complete?
---@return boolean
function JsonStream:done() end

---@class perilune.SseOptions
---@field max_size? integer  bytes of one event, default 16 MiB

---@class perilune.SseEvent
---@field type string  "message" where the stream names none
---@field data string  lines joined by line breaks
---@field id? string

--- Events of text/event-stream, in whatever pieces it comes.  Comments, and blocks without data, are no events.
---
---     local sse = perilune.sse()
---     for _, event in ipairs(sse:feed(bytes)) do print(event.type, event.data) end
---@param options? perilune.SseOptions  an unknown one throws
---@return perilune.Sse
function perilune.sse(options) end

---@class perilune.Sse
local Sse = {}

--- The next bytes.  After a failure every call fails in the same way.
---@param bytes string
---@return perilune.SseEvent[]? events  those that are complete now
---@return string? message  an event is too large
function Sse:feed(bytes) end

--- The stream is over.
---@return perilune.SseEvent[]? events  one whose blank line is missing, or none
---@return string? message
function Sse:finish() end

-- -- the rock: what programs have besides ------------------------------------------------------

-- A LuaJIT program that requires "perilune" (the rock, or `perilune script`) finds in it what policies find, and the
-- modules perilune.text, retry, chat, cost, errors, extract, fields, prompt_cache, turns, breaker and config as its
-- fields.  What is marked @async works inside of perilune.run() only; the rest anywhere.  Nobody limits its time and
-- memory, and nothing is sandboxed but policies that a configuration names.

--- Calls fn in a loop, with the arguments behind it, and returns what it returns, or throws what it throws.  Inside,
--- what waits looks like any other call, as in a policy: perilune.ask, fetch, sleep, all, any, race, map, streams.
---
---     local perilune = require "perilune"
---     perilune.run({ upstreams = { up = { url = "https://api.openai.com/v1", key = { env = "OPENAI_API_KEY" },
---                                         model = "gpt-4o-mini" } } }, function()
---       local res = assert(perilune.ask{ upstream = "up", stream = true, messages = "Why is the sky blue?" })
---       for event in res:events() do
---         if event.type == "text" then io.write(event.text) io.flush() end
---       end
---     end)
---
--- One run at a time in a lua_State, on the thread that calls it, which it keeps until fn is over.  Then all that it
--- began ends: answers that were not read to their end are finished, and raise when they are touched.  A coroutine of
--- one's own cannot wait in a run: branches are perilune.all{...} and its kin.  A bare coroutine.yield() lets others
--- go on.  Inside of OpenResty it throws: its loop must not be blocked.  A child of fork() that inherited a run
--- has to be started anew, and one that was forked inside of a run throws where it would wait.  What is asked has a
--- line in the access log only with log = { access = true }.
---@param config table|string  what a configuration file returns (upstreams, routes, pools, cache ...; `listen` and what
---       else is of a server is left alone, `jobs` is refused), or the name of such a file
---@param fn async fun(...): ...
---@param ... any
---@return any ...
function perilune.run(config, fn, ...) end

---@class perilune.TrimOptions
---@field languages? string[]  default: all that there are rules for
---@field rules? table<string, string[]>  more phrases, by place: see perilune.trim
---@field repeated? boolean    lines that stood there before go, too; default true
---@field cuts? boolean        also say what went

--- Politeness, filler and repeated lines out of a prompt.  (For policies it is a module, perilune.trim.)
---@param text string
---@param options? perilune.TrimOptions
---@return string? text
---@return perilune.Cut[]|string|nil cuts
function perilune.trim(text, options) end

--- The sentences of a text that a question needs: perilune.text.extract.
---@param text string
---@param question string
---@param options? table  of text.extract: ratio, floor, min_tokens ...
---@return string? text
---@return table|string info
function perilune.compress(text, question, options) end

-- -- perilune.config, perilune.check: options of a policy ------------------------------------

--- What a setting wants.  Types: string number integer boolean duration (seconds)
--- size (bytes, or "64KiB") list set (a list, normalized to set[element] = true) map table
--- function upstream any.
---@class perilune.Spec
---@field type? string|string[]  one of them, or a list of those allowed
---@field required? boolean
---@field default? any      in its normal form
---@field min? number       of a number; of the length of a string or list
---@field max? number
---@field one_of? string[]  of a string
---@field of? perilune.Spec of the elements of a list or set, of the values of a map
---@field check? fun(value: any): any, string?  the value in its normal form; or nil and
---                         "must be ..."

---@class perilune.config
local config = {}

--- Checks the options of a policy and fills in defaults.  Throws a sentence that names
--- the policy, the option and the nearest known name; loading reports it.
---@param spec table<string, perilune.Spec>
---@param options table?
---@param where string  the policy's name
---@return table options  a new table
function config.options(spec, options, where) end

---@class perilune.check
local check = {}

--- One value; or nil and what is wrong with it, as a part of a sentence.
---@param spec perilune.Spec
---@param value any
---@return any
---@return string? message
function check.value(spec, value) end

--- Bytes: 65536, "64KiB", "1.5 MB".
---@param value number|string
---@return integer?
---@return string? message
function check.size(value) end

--- Throws, at the line of whoever called the caller, for an option that is not among
--- those known; says which was probably meant.
---@param what string   the function, for the message
---@param given table?  nil: no options
---@param known table<string, any>
---@param level? integer  default 3
function check.known(what, given, known, level) end

--- The known name that was probably meant.
---@param name string
---@param known string[]
---@return string?
function check.nearest(name, known) end

-- -- perilune.errors, perilune.text, perilune.retry --------------------------------------------

---@class perilune.errors
local errors = {}

--- perilune.error().
---@param fields table|string
---@return perilune.Error
function errors.new(fields) end

--- perilune.reject().
---@param status integer
---@param code string
---@param fields? table
---@return nil
---@return perilune.Error err
function errors.reject(status, code, fields) end

--- OpenAI's error type for a status.
---@param status integer
---@return string
function errors.type_of(status) end

--- Can a request that failed with this status succeed when tried again?  408, 409, 425, 429 and all from 500 on
--- but 501 and 505.
---@param status integer
---@return boolean
function errors.is_retryable(status) end

--- Guesses about prompts, from at most 4096 bytes of them; and what shortens a text.
---
--- The functions from spans() on take UTF-8 of at most 1 MiB and run to their end: for
--- that 12 ms, 100 ms when it was made to be slow.  Offsets are those of string.sub,
--- sizes are tokens by an estimate: one for four bytes, or for a Chinese character.  What is no UTF-8, too long, or has more than 65536
--- spans or units gives nil and a sentence.
---@class perilune.text
local text = {}

--- The text of a message's content: a string, or the text parts of a list.
---@param content any
---@return string
function text.content(content) end

--- What the user said last; "" when nobody did.
---@param req perilune.Request
---@return string
function text.last_user(req) end

--- "en", "de", "fr", "es", "it", "pt", "ru", "zh", "ja", "ko", "ar", "he", "el", "th",
--- "hi"; nil for a text without letters.
---@param s string
---@return string?
function text.language(s) end

---@param s string
---@return boolean
function text.has_code(s) end

---@alias perilune.SpanType
---| "fence" | "indented" | "inline" | "json" | "table" | "diff" | "math" | "tag"  code, data, markup
---| "url" | "email" | "path" | "number" | "id" | "quote"  numbers with sign, currency and unit; UUID, ABC-123, v1.2
---| "negation" | "quantifier" | "modal"  not n't without 不 没 ...; only all unless 仅 所有 除非 ...; must 必须 ...

---@class perilune.Span
---@field type perilune.SpanType
---@field first integer  s:sub(span.first, span.last) is the span
---@field last integer

--- What must not be cut or reworded: by position, of two that begin together the longer
--- first.  Only quotes and tables have other spans inside.
---@param s string
---@param opts? { types?: perilune.SpanType[], merge?: boolean }  types: only these.  merge:
---                 spans that overlap become one, so that none do
---@return perilune.Span[]? spans
---@return string? err
function text.spans(s, opts) end

--- The units of a text; together they are the text.  White space behind a unit belongs
--- to it, and no unit ends inside a span.  Sentences of Latin and of Chinese script; items
--- of lists, headings, rows of tables, code are units.
---@param s string
---@return string[]? units
---@return string[]|string kinds  "sentence", "heading", "item", "table_head", "table_row", "code", "tag", "label"; or err
function text.sentences(s) end

--- How well each text answers the question (BM25; 0: nothing in common); without a question,
--- how much it has in common with the others (TextRank, 0 to 1).  Words count without case
--- and plural, Chinese as pairs of characters.
---@param list string[]
---@param question? string
---@return number[]? scores
---@return string? err
function text.rank(list, question) end

---@class perilune.ExtractOptions
---@field ratio? number       of the tokens, what should be left: 0.5
---@field floor? number       never less than this: 0.25
---@field min_tokens? number  a text that is not larger is left alone, and none gets smaller: 0
---@field keep_first? integer sentences at the begin that stay: 2
---@field keep_last? integer  at the end: 2
---@field lambda? number      1: relevance alone; less: nothing twice: 0.7
---@field depth? number       how much less the middle is worth than both ends, 0 to 1: 0.5
---@field min_leaf? integer   bytes of a JSON string below which it is left alone: 160
---@field as_text? boolean    JSON is text like other
---@field pieces? boolean     tell what became of each unit, in info.pieces

---@class perilune.ExtractInfo
---@field before number  tokens
---@field after number
---@field units integer
---@field kept integer
---@field json boolean   the text is one JSON object or array, and still is
---@field blind boolean  the question says nothing about the text: they have no term in common, or one is mostly
---                      Chinese and the other is not; what was kept is then no answer
---@field pieces? { first: integer, last: integer, kind: string, kept: boolean, reason: string, score: number }[]
---                      reason: "rank", "edge", "frame" (headings and the like), "match", "code",
---                      "before" (the next one refers to it), "all"; "dropped", "repeated".  Of JSON,
---                      offsets are those of its long strings, one after the other

--- The units that matter for the question, to about a ratio, byte for byte and in order;
--- without a question those that the others have most in common with.  Always stay, even
--- beyond the ratio: headings, table heads, tags; the first and the last sentences; what
--- holds a number, an ID or a quotation of the question; what a kept item hangs on; what a
--- kept sentence refers to.  Code stays whole; only with a question, and without a word of
--- it, may it go, and leaves "[... 12 lines omitted ...]".  JSON stays JSON with the same
--- members and scalars: only its long strings become shorter.
---@param s string
---@param question? string
---@param opts? perilune.ExtractOptions
---@return string? shorter
---@return perilune.ExtractInfo|string info  or err
function text.extract(s, question, opts) end

---@class perilune.Chunk
---@field text string     what is its own: those of all chunks, one after the other, are the text
---@field first integer   where that begins
---@field lead string     the last sentences of the chunk before it; "" for the first one, and for one that begins with a
---                       heading
---@field heading string  under which it begins; "" when it begins with one, or there is none

--- A long text in pieces that a model can read one by one, cut where the structure allows: in front of headings, between
--- paragraphs, between sentences.  Tables and code stay whole when they fit, else they are cut between rows or lines.
---@param s string
---@param opts? { size?: integer, overlap?: integer }  tokens of a chunk at most, its lead included: 6000, at least 16; of
---             the lead at most: a tenth of that
---@return perilune.Chunk[]? chunks
---@return string? err
function text.chunks(s, opts) end

---@class perilune.DedupeOptions
---@field min_bytes? integer   shorter lines and blocks stay: 40
---@field likeness? number     also what is alike: the part of their triples of words that two
---                            share, 0.8 for example; 0: only what is equal but for white space
---@field any_numbers? boolean with likeness: also when numbers or IDs differ, as in logs
---@field mark? boolean        the first one gets " [x3]"

--- Without the lines and the blocks (between empty lines; code) that were there before.  Of
--- code only blocks go that are the same byte for byte.  Two that are alike may differ in
--- words, never in negations, quotes, URLs, paths, or (but for any_numbers) numbers and IDs.
---@param s string
---@param opts? perilune.DedupeOptions
---@return string? shorter
---@return { lines: integer, bytes: integer }|string gone  or err
function text.dedupe(s, opts) end

--- JSON without white space; numbers, escapes, order and duplicate keys stay as they are.
---@param s string
---@return string? shorter
---@return string? err  s is not JSON: what, and at which byte
function text.minify_json(s) end

--- The output of a program as a terminal shows it in the end: no escape sequences, of a
--- progress bar its last state.  Any bytes.
---@param s string
---@return string? shorter
---@return string? err
function text.strip_ansi(s) end

--- "[base64 N bytes elided]" in the place of each run of base64 of at least `min` bytes.
--- Not for parts of a message that are images.  Any bytes.
---@param s string
---@param opts? { min?: integer }  256; at least 64
---@return string? shorter
---@return integer|string count  of runs; or err
function text.elide_base64(s, opts) end

---@class perilune.RetryOptions
---@field tries? integer  attempts in all, default 3
---@field base? number    seconds: bound of the first pause, default 0.1; doubles each time
---@field max? number     seconds: bound of every pause, default 10.  A longer Retry-After
---                       ends the tries
---@field codes? table<string, true>  error codes to retry; default: err.retryable decides
---@field budget? perilune.RetryBudget

---@class perilune.RetryBudget
---@field fraction number
---@field floor number
---@field saved number
---@field name string

---@class perilune.retry
local retry = {}

--- Calls fn until it succeeds, fails for good, or tries, budget or the request's time
--- run out.
---@async
---@param req perilune.Request
---@param options perilune.RetryOptions
---@param fn async fun(try: integer): any, perilune.Error?
---@return any? value
---@return perilune.Error? err  the last one
function retry.run(req, options, fn) end

--- A budget that all requests of this name share, over workers and reloads.
---@param name string
---@param fraction? number  of the requests that may be retries, default 0.1
---@param floor? number     retries a second that are always allowed, default 3
---@param saved? number     how many may be saved up, default floor * 10
---@return perilune.RetryBudget
function retry.budget(name, fraction, floor, saved) end

--- Counts one request: every request earns its share of a retry.  run() does it.
---@param budget perilune.RetryBudget
function retry.earn(budget) end

--- Takes one retry out of the budget.  run() does it.
---@param budget perilune.RetryBudget
---@return boolean  false: the budget is used up
function retry.spend(budget) end

--- The pause before the next attempt, in seconds.
---@param tries integer  attempts made so far
---@param options perilune.RetryOptions
---@param err perilune.Error
---@param random? number  from 0 to 1
---@return number
function retry.pause(tries, options, err, random) end

-- -- perilune.breaker: upstreams that rest ------------------------------------------------------

---@class perilune.BreakerSettings
---@field failures integer  in a row that open it
---@field share number      of the calls of the last 30 s that may fail; at this share it opens
---@field calls integer     below so many calls in these 30 s the share says nothing
---@field open number       seconds that it is open for the first time; doubles each time that a probe fails
---@field max_open number   seconds: the longest
---@field probes integer    calls that must be good before it closes

---@class perilune.breaker
---@field settings table<string, perilune.Spec>  the options of a policy that takes them, for config.options()
---@field replacing table<string, perilune.Spec>  the same without defaults: what is not given is as the upstream has it
local breaker = {}

--- From here on calls of this request to an upstream that rests fail with upstream_unavailable, by these settings.
---@param req perilune.Request
---@param settings perilune.BreakerSettings  what is not there is as the upstream has it; one that is out of range throws
function breaker.guard(req, settings) end

--- Does the upstream rest, or all members of the pool?  For who would call it: it is looked for meanwhile, with GET
--- /models every two seconds at most, so that it is back as soon as it can be.
---@param name string
---@return number? seconds  until it may be asked; nil: it may now
function breaker.rests(name) end

--- The names, in the order in which a request asks them: what a policy in front chose (req.upstream) goes first.
---@param req perilune.Request
---@param names string[]
---@return string[]
function breaker.asked_first(req, names) end

-- -- perilune.trim: politeness and filler out of a prompt ------------------------------------

---@class perilune.trim
---@field languages string[]  that there are rules for: "en", "zh"
---@field places string[]     where a phrase may go: "start", "lead", "tail", "whole", "content", "mention", "task", "below", "greeting", "order"
local trim = {}

---@class perilune.Trimmer
---@field patterns integer  how many it knows
local Trimmer = {}

---@class perilune.Cut
---@field first integer  text:sub(first, last) went
---@field last integer
---@field text string
---@field reason "phrase"|"sentence"|"repeated"|"empty section"

--- Compiles the shipped rules and more of them; once per load, it takes milliseconds.  A
--- pattern is text with (a|b) and [a|b], alternatives and alternatives or nothing; a space in
--- front of a comma is none; at its end !(a|b) says what must not follow; a tail with ~ in
--- front needs no space or comma.  lua/perilune/trim_rules.lua has the shipped ones.  Throws
--- when a pattern is none.
---@param options? { languages?: string[], rules?: table<string, string[]>, repeated?: boolean }
---       languages: default all; rules: by place; repeated: lines that stood there before go,
---       too, default true
---@return perilune.Trimmer
function trim.new(options) end

--- The text without what the rules take away, byte for byte the rest; of at most 1 MiB.
--- Nothing in a span of perilune.text.spans goes.  Trimming twice is trimming once.
---@param text string
---@param cuts? boolean  also what went
---@return string? text  nil: it is too long, or not UTF-8
---@return perilune.Cut[]|string|nil cuts  or why
function Trimmer:text(text, cuts) end

--- The same, remembered for an hour, in the share of a tenant.
---@param text string
---@param tenant? string
---@return string? text
function Trimmer:remembered(text, tenant) end

-- -- perilune.chat: which messages belong together ---------------------------------------------------

---@class perilune.Group
---@field kind "system"|"user"|"assistant"|"tools"|"orphan"
---@field first integer  of its messages
---@field last integer
---@field calls? table<string, perilune.Object>  of "tools": id of each call, and the call

--- Conversations as groups of messages that must stay together: calls of tools with all
--- their results.
---@class perilune.chat
local chat = {}

--- The messages of a request, or nil when it has none: on a path of the operator's own
--- they may be anything, and only a list of objects with a role is a conversation.
---@param req perilune.Request
---@return perilune.Message[]?
function chat.messages(req) end

--- May a value be indexed?  null may not, nor what stands where an object should.
---@param v any
---@return boolean
function chat.is_object(v) end

--- In order, without a gap.  "tools" is a message with calls and the results behind it;
--- "orphan" a result without its call.
---@param messages perilune.Message[]
---@return perilune.Group[]
---@return integer orphans  results without a call: repair() helps
function chat.groups(messages) end

--- Makes plain text of the results whose call is not there; providers refuse them.
---@param messages perilune.Message[]
---@return perilune.Message[] messages  a new list
---@return integer orphans
function chat.repair(messages) end

--- The calls that a message makes: id -> name of the tool, and how many.
---@param message perilune.Message
---@return table<string, string> calls
---@return integer count
function chat.calls(message) end

---@class perilune.Result  what a tool gave back
---@field name string      of the tool
---@field id? string       of the call
---@field bytes integer    of its text
---@field text fun(): string?  nil when it has several texts
---@field replace fun(text: string)  puts another text in its place; images stay

--- The same calls by their ids, as they stand in the message.
---@param message perilune.Message
---@return table<string, perilune.Object>
function chat.calls_by_id(message) end

--- What a call asks its tool: decoded, where it is JSON.
---@param call perilune.Object
---@return any
function chat.arguments(call) end

---@class perilune.Text  a text in a message
---@field text string
---@field replace fun(text: string)  puts another text in its place

--- The texts of a message: its content, or the parts of it that are text.  Results of
--- tools that stand in parts are not among them: results() has those.
---@param message perilune.Message
---@return perilune.Text[]
function chat.texts(message) end

--- The results in a message of a group of tools.
---@param message perilune.Message
---@param calls table<string, perilune.Object>  the group's
---@return perilune.Result[]
function chat.results(message, calls) end

--- The results of all calls but the newest, oldest first; each has `index`, the number of
--- its message.
---@param messages perilune.Message[]
---@return perilune.Result[]
---@return integer newest  the message with the newest calls; 0: there are none
function chat.old_results(messages) end

--- About how many bytes of a prompt a message is: quicker to know than its tokens.
---@param message perilune.Message
---@return integer
function chat.bytes(message) end

--- The name of the tool that a call is for.
---@param call perilune.Object?  one of tool_calls, a function_call, a tool_use
---@return string
function chat.tool_name(call) end

--- Is its role "tool" or "function"?
---@param message perilune.Message
---@return boolean
function chat.is_result(message) end

--- A message whose JSON is always the same bytes (those of a plain table may differ from
--- worker to worker).
---@param role string
---@param content string
---@return perilune.Message
function chat.message(role, content) end

--- The same for a part of text.
---@param text string
---@return perilune.Object
function chat.part(text) end

--- How many tokens a message is, with what the model's format puts around it: the sum over
--- the messages, and what stands around all of them, is req:tokens().
---@param message perilune.Message
---@param model? string
---@return integer
function chat.tokens(message, model) end

--- Tokens of the messages from number `first` to number `last`; 0 when there are none.
---@param messages perilune.Message[]
---@param first integer
---@param last integer
---@param model? string
---@return integer
function chat.tokens_between(messages, first, last, model) end

-- -- perilune.turns: what of a conversation may go -----------------------------------------------------

---@class perilune.Turn
---@field tools perilune.Group[]  calls of tools with their results
---@field said perilune.Group[]   the rest: what the user said, answers
---@field newest perilune.Group?

---@class perilune.Unit  groups that go together
---@field groups perilune.Group[]
---@field tokens integer
---@field turn? boolean  with it a whole turn is gone

---@class perilune.turns
local turns = {}

--- The turns of the user; messages in front of the first are in the field `greeting`.
---@param groups perilune.Group[]  of perilune.chat
---@return perilune.Turn[]
function turns.of(groups) end

--- What may go, oldest first: of each turn its groups of tool calls, one by one, then
--- what was said.  Never system messages, what the user said last, and the newest group;
--- of the first turn only tools when keep_first is set.
---@param list perilune.Turn[]
---@param messages perilune.Message[]
---@param keep_first boolean
---@param model? string
---@return perilune.Unit[]
function turns.units(list, messages, keep_first, model) end

--- What is needed, rounded up to steps, so that a cut stays where it is for a while.
---@param amount number
---@param step number  0: no steps
---@return number
function turns.in_steps(amount, step) end

--- How many units must go for so many tokens and turns to be gone; at most all.
---@param units perilune.Unit[]
---@param tokens number
---@param gone integer  turns
---@return integer n
---@return integer freed  tokens
function turns.cut(units, tokens, gone) end

--- The messages without the first n units.
---@param messages perilune.Message[]
---@param units perilune.Unit[]
---@param n integer
---@return perilune.Message[]
---@return integer gone
---@return integer? first  where the first of those that are gone stood
function turns.without(messages, units, n) end

-- -- perilune.fields: `name: value` lines as JSON ------------------------------------------------------

---@class perilune.Field
---@field name string
---@field type string       "string" one line, "text" several, "number", "integer", "boolean"
---@field about? string     what to write, for the model
---@field one_of? string[]

---@class perilune.fields
local fields = {}

--- A field from "name", "name:type" or a table.
---@param value any
---@return perilune.Field?
---@return string? message
function fields.field(value) end

--- The name of the first field that a parser could not tell from one in front of it.
---@param list perilune.Field[]
---@return string?
function fields.repeated(list) end

--- The fields of a response_format; nil when it is no json_schema of a flat object with
--- strings, numbers and booleans, or sets conditions (minimum, pattern, ...).
---@param format perilune.Json
---@return perilune.Field[]?
function fields.from_format(format) end

--- What to tell the model.
---@param list perilune.Field[]
---@return string
function fields.instruction(list) end

--- A parser for one answer.
---@param list perilune.Field[]
---@param on_field? fun(name: string, value: any)
---@return perilune.FieldParser
function fields.parser(list, on_field) end

---@class perilune.FieldParser
local FieldParser = {}

--- One line of the answer; what is known now, as JSON.  Appended to each other, and to
--- finish(), the pieces are an object.
---@param line string
---@return string? json
function FieldParser:line(line) end

--- The answer is over.
---@return string? json
function FieldParser:finish() end

--- Did none of the fields come?
---@return boolean
function FieldParser:is_empty() end

-- -- perilune.extract: long texts, and what a small model finds in them -----------------------------------

---@class perilune.LongText
---@field index integer  of its message
---@field part integer   of the message's content; 0: it is all of it
---@field text string
---@field tokens? integer  of the longest
---@field replace fun(text: string)

---@class perilune.extract
local extract = {}

--- The texts of users and tools with more than so many bytes, in order, and the longest.
---@param messages perilune.Message[]
---@param bytes integer
---@return perilune.LongText[]
---@return perilune.LongText? longest
function extract.long(messages, bytes) end

--- The longest text of users and tools, when it has more tokens than `above`; and all that
--- have more bytes than that.
---@param messages perilune.Message[]
---@param above integer
---@param model? string
---@return perilune.LongText?
---@return perilune.LongText[] all
function extract.longest(messages, above, model) end

--- Cuts a text at paragraphs or sentences: at most 1200 bytes each of head and tail.
--- The three together are the text.
---@param s string
---@return string head
---@return string middle
---@return string tail
function extract.split(s) end

--- Was an answer cut off at max_tokens, as its usage says, or else its length?
---@param answer string
---@param usage? perilune.Usage
---@param most integer  max_tokens
---@param told? integer  what the upstream was told instead (the third of upstream:ask), because it thinks first
---@return boolean
function extract.was_cut(answer, usage, most, told) end

--- Asks a small model for the passages that a question needs, word for word.
---@async
---@param upstream string
---@param question string
---@param s string
---@param options { max_tokens: integer, timeout: number, remember: number, tenant?: string }
---@return string? facts  nil: none
---@return perilune.Error|perilune.Usage|string|nil why  why there are none, or the usage; nil
---        when the passages were remembered
function extract.facts(upstream, question, s, options) end

-- -- perilune.prompt_cache: how providers find a prompt's beginning in their cache ----------------------------

---@class perilune.Break  what made a prompt new to its provider
---@field message integer  its number; 0: what stands in front of the messages
---@field what string      "changed", "removed", "inserted"
---@field role? string

---@class perilune.prompt_cache
local prompt_cache = {}

--- Puts tools, and the keys in them, in the order in which the tenant sent them first.
---@param req perilune.Request
---@return boolean changed
function prompt_cache.freeze_tools(req) end

--- The number of the last of the system messages at the front; 0 without.
---@param messages perilune.Message[]
---@return integer
function prompt_cache.last_system(messages) end

--- Which marks an upstream understands: "anthropic", "openai" or "none".
---@param profile perilune.PriceProfile
---@return string
function prompt_cache.marks_for(profile) end

--- Does it take prompt_cache_key?
---@param profile perilune.PriceProfile
---@return boolean
function prompt_cache.takes_key(profile) end

--- Puts marks into a request that has none; not into one that is too short to be cached.
---@param req perilune.Request
---@param kind string  "anthropic", "openai" or "none"
---@param options { every: integer, ttl: string }
---@return integer marks
function prompt_cache.mark(req, kind, options) end

--- Compares the request with the last one of its conversation, and remembers it.
---@param req perilune.Request
---@param ttl number  seconds
---@return perilune.Break? broken
---@return boolean known  there was one, and its prefix holds
function prompt_cache.watch(req, ttl) end

-- -- perilune.cost: what rewriting costs ------------------------------------------------------------

--- What an upstream takes for its tokens: from upstreams.NAME.price, and what is known
--- of the provider (by model and host).
---@class perilune.PriceProfile
---@field provider string    "anthropic", "openai", "deepseek", ..., "unknown"
---@field upstream string    its name, or ""
---@field model string       in lower case, without a vendor's prefix
---@field url? string        of the upstream, the first
---@field breakpoints boolean gpt-5.6 and later: marks decide what is cached
---@field read number        price of a cached token, as a fraction of the price of another
---@field write number       price of a token that is cached for the first time, as a multiple
---@field ttl number         seconds that a cached prefix is kept at least
---@field least number       tokens below which a prompt is not cached
---@field input number       USD per million tokens; 0: not known
---@field output number

---@class perilune.cost
local cost = {}

---@param req perilune.Request
---@param upstream? string  default: where the request would go now
---@return perilune.PriceProfile
function cost.profile(req, upstream) end

--- Is this a model that caches at breakpoints only (gpt-5.6 and later)?
---@param model string
---@return boolean
function cost.has_breakpoints(model) end

--- The fraction that must go from what stands behind the first change before a rewrite
--- pays: 1 - N r / (w + (N - 1) r).
---@param profile perilune.PriceProfile
---@param reuse number  N: calls that will still use the prompt
---@return number
function cost.break_even(profile, reuse) end

---@class perilune.Ledger
---@field known integer    messages at the front that were sent while the provider still has them
---@field state? string    what the policy remembered with them
---@field cached boolean   are any?
---@field tokens number    of the prompt when the ledger was opened
---@field profile perilune.PriceProfile
---@field hashes table<integer, string>  req:prefixes() then
local Ledger = {}

--- Opens the books of a policy for a request, before it changes anything.
---@param req perilune.Request
---@param policy string
---@param options? { upstream?: string, reuse?: number, guard?: boolean }  reuse: default 10;
---       guard = false: everything pays
---@return perilune.Ledger
function cost.open(req, policy, options) end

--- Does it pay to remove `removed` tokens when `behind` tokens, those included, stand
--- behind the first change and are in the provider's cache?
---@param removed number
---@param behind number
---@return boolean
function Ledger:pays(removed, behind) end

--- Remembers that these messages are sent, and what the policy decided.
---@param state? string|number
function Ledger:remember(state) end

--- What a rewrite saves in this call; negative when it costs.
---@param what { sent: number, new: number, kept_sent: number, kept_new: number, broke?: boolean }
---       tokens of what was sent before and of what is new, before and after the rewrite;
---       broke: does the provider no longer recognize what was sent?
---@return number usd
---@return number tokens  the same in tokens of full price
function Ledger:net(what) end

--- Reports with req:saved(): tokens, money, time since open().
---@param what { after?: number, sent_removed?: number, earlier?: number, behind?: number, spent?: number }
---       after: default req:tokens() now; sent_removed: tokens that are gone and had been
---       sent before; behind: tokens behind the first change that lose the cache in this
---       call, those that go now included; earlier: of sent_removed, what was missing from the
---       last request already; spent: USD that the rewriting itself cost; default of all: 0
function Ledger:report(what) end

--- What message `index` takes, when it was sent before: for rewrote(), before it changes.
---@param index integer
---@param message perilune.Message
---@return integer? tokens
function Ledger:sent(index, message) end

--- Notes that a message was rewritten, in place and always in the same way.
---@param message perilune.Message  as it is now
---@param before? integer           what sent() said
function Ledger:rewrote(message, before) end

--- Remembers, and reports what rewrote() noted: when every message was dealt with.
function Ledger:close() end

---@class perilune.Attempt
---@field undo fun(fn: fun())     fn takes back what comes next, if time runs out; the newest is called first
---@field late fun(why: string)   a part was left as it is, for lack of time

--- Runs work(req, attempt), which makes the prompt shorter, in a perilune.attempt, and then
--- next(req). A request whose CPU time does not suffice for it goes on as it came: an error would
--- come back for the same prompt, for ever. The log says so, and x-perilune-degraded names the
--- policy. An error that work returns is the policy's result.
---@async
---@param req perilune.Request
---@param next fun(req: perilune.Request): perilune.Response?, perilune.Error?
---@param policy string
---@param work async fun(req: perilune.Request, attempt: perilune.Attempt): perilune.Error?
---@return perilune.Response?
---@return perilune.Error?
function cost.shorten(req, next, policy, work) end

-- -- perilune.test: the kit of `perilune test FILE...` -------------------------------------------

--- What a scripted upstream does with one call.
---@class perilune.Script
---@field text? string         the answer
---@field chunks? string[]     the answer in pieces, as a stream delivers them
---@field ttft? number         seconds before the first piece
---@field itl? number          seconds between pieces
---@field delay? number        seconds before there is any answer
---@field status? integer      default 200; 400 and more is a failure
---@field code? string         of the failure
---@field retry_after? number  of the failure, in seconds
---@field error? table         a failure, as perilune.error{...} takes it
---@field usage? table
---@field model? string
---@field reasoning? string    before the text
---@field refusal? string
---@field tool_calls? { id?: string, name: string, arguments?: string|table }[]
---@field finish_reason? string  default "stop", or "tool_calls"
---@field logprobs? number[]   of its tokens, when the request asks for them: the n-th of `chunks` is the n-th token, and
---                            more of them than pieces come with the last one
---@field choices? table[]     for n > 1: each with text, chunks, reasoning, refusal, tool_calls, finish_reason, logprobs
---@field events? (string|table)[]  instead: the data of each event of the stream, as it is sent
---@field body? string|table   instead: the body of an answer that does not stream
---@field breaks? true|table   the answer breaks off behind its pieces: true, the upstream ends it; a table, as
---                            perilune.error{...} takes it: the connection fails so
---@field upstream? table      settings as in the configuration: price, model, models, urls, key = "client"

--- What a scripted upstream remembers of one call.
---@class perilune.Call
---@field upstream string
---@field at number        seconds since the test began
---@field opts table       of chat(req, opts)
---@field model? string
---@field text string      the body as it went out
---@field body table       the same, decoded
---@field outcome? string  "ok" or an error code; nil: canceled while it waited

--- Only in specs.  Time is virtual there: it passes when everything waits.
---@class perilune.test
local test = {}

--- One test.  Runs at once; when it fails the others still run.  Caches, perilune.shared and what policies remember
--- are empty when it begins.
---@async
---@param name string
---@param body async fun()
function test.test(name, body) end

--- Scripts an upstream.  A list of scripts: one per call, the last one repeats.
---@param name string
---@param script perilune.Script | perilune.Script[] | fun(req: perilune.Request, n: integer): perilune.Script?, perilune.Error?
function test.upstream(name, script) end

--- Scripts perilune.fetch(url): { status =, body =, headers =, delay =, error = }.
---@param url string  the whole URL
---@param script table|function
function test.fetch(url, script) end

--- A request as a client would send it: one user message, or fields of the body;
--- besides body (text or table), headers, tenant, method, path.
---@param what string|table
---@return perilune.Request
function test.request(what) end

--- Runs a policy on a request.
---@async
---@param policy string|function  the name of a policy file, or a factory; with options
---                               nil a function is the policy itself
---@param options? table
---@param req perilune.Request
---@param next? perilune.Next     default: the scripted upstream that the request, the
---                               policy or the model chose
---@return perilune.Response?
---@return perilune.Error?
function test.run(policy, options, req, next) end

---@class perilune.Reply  what the client got
---@field status integer      499: it left before
---@field headers table<string, string>  those that policies set, of an error also retry-after
---@field text string         of choice 0, as far as it came
---@field body? any           an answer that does not stream, or the error: decoded
---@field events string[]     of a stream: the data of each event
---@field done boolean        all of it came
---@field error? perilune.Error  why not, or what was answered instead
---@field upstream? string
---@field saved { tokens: number, cost: number }
---@field ttft? number        seconds to the first event
---@field total number        seconds to the end

--- Serves a request as a gateway does, to its end: policies, the answer, the functions of finally.  The reply
--- is what the client got.  A policy that throws answers 500 here, where run() throws; logs() has why.  Several at once, by
--- perilune.all, are several clients, whose calls coalesce where a policy says so.
---@async
---@param policy string|function|table  as for run(), or a route's list of policies
---@param options? table
---@param req perilune.Request    is finished afterwards
---@param opts? { next?: perilune.Next, leave?: number }  leave: the client leaves after so many seconds
---@return perilune.Reply
function test.send(policy, options, req, opts) end

--- What policies may use in this test, as under `limits` of a configuration; what is not given has the
--- default of a gateway. One that takes more fails with policy_budget_exceeded. The spec itself has no limits.
---@param limits { cpu_ms?: integer, block_ms?: integer, memory?: integer|string }
function test.limits(limits) end

--- Stands in for functions of the program: host.NAME(...) calls them.  Tables are copied on the way, as JSON.  They
--- may wait, and fail by `nil, err`: a text, or a table as perilune.error{} takes it.
---@param functions table<string, async fun(...): any, any>
function test.host(functions) end

--- What perilune.values.NAME is from now on, as the program sets it; perilune.json.null is JSON's null.
---@param values table<string, any>
function test.values(values) end

--- The policies that jobs which are requests go through in this test, as a route lists them; without it, none.
---@param policies table
function test.jobs(policies) end

--- The queues of jobs that this test has besides "default", as jobs.queues of a configuration names them; another name is
--- refused, as it is in a gateway.
---@param names string[]
function test.queues(names) end

--- The policies of a route, as a configuration lists them, each ready to be called.
---@param list table
---@return function[]
function test.policies(list) end

--- As t.upstream, for many calls: settings are price, model, models; t.calls() does not remember them.
---@param name string
---@param script fun(req: perilune.Request, n: integer): perilune.Script
---@param settings table
function test.upstream_of(name, script, settings) end

--- Runs body in a world of its own, as a test: no upstreams yet, empty stores, time at zero.
---@async
---@param body async fun()
---@param handler? function  of what it throws
---@return boolean ok
---@return any why
function test.world(body, handler) end

---@class perilune.Percentiles
---@field p50 number
---@field p95 number
---@field p99 number
---@field max number

---@class perilune.SimulatedClass
---@field sent integer
---@field ok integer
---@field good integer       of these, within `slo`
---@field goodput number     good ones a second
---@field failed table<string, integer>  by code
---@field refused integer    their sum
---@field left integer       clients that left
---@field degraded integer   with x-perilune-degraded
---@field tokens integer
---@field usd number
---@field ttft perilune.Percentiles   seconds, of those that are ok
---@field total perilune.Percentiles

---@class perilune.SimulationReport
---@field seconds number  virtual time that it took
---@field sent integer
---@field late integer    came behind their time, because more ran at once than can
---@field all perilune.SimulatedClass
---@field classes table<string, perilune.SimulatedClass>
---@field tenants table<string, { requests: integer, tokens: integer, most_tokens_a_minute: integer }>
---@field upstreams table<string, { calls: integer, most_a_second: integer, prompt_tokens: integer, cached_tokens: integer }>
local report = {}
--- As a table for people.
---@return string
function report:text() end

--- Hours of traffic through policies, in virtual time; the manual has the options.  Throws for options that are wrong.
---@async
---@param options { seconds: number, seed?: integer, policies?: table[], upstreams: table, pools?: table, traffic: table[] }
---@return perilune.SimulationReport
function test.simulate(options) end

--- The policy alone.  Called by a spec it has no limits.
---@param policy string|function
---@param options? table
---@return perilune.Policy
function test.policy(policy, options) end

--- A scripted next(), and the calls that it gets.
---@param script perilune.Script | perilune.Script[] | function
---@return perilune.Next
---@return perilune.Call[]
function test.next(script) end

--- The calls that a scripted upstream got, in order.
---@param name string
---@return perilune.Call[]
function test.calls(name) end

---@class perilune.LogLine
---@field level string  "error", "warn", "info", "debug"
---@field text string
---@field fields table
---@field request_id? string  of req:log()

--- What was logged since the last run() or send() began, whatever the level, in order; 1 MiB at most.
---@return perilune.LogLine[]
function test.logs() end

--- The records that the policy `capture` has written to a file so far; no file is touched in a spec.
---@param path string
---@return table[]
function test.captured(path) end

--- Seconds since the test began, in virtual time.
---@return number
function test.clock() end

--- Lets time pass.
---@async
---@param seconds number
function test.advance(seconds) end

--- Fails unless both are the same value, or tables with the same contents.
---@param actual any
---@param expected any
---@param what? string  put in front of the message, as in all of these
function test.equal(actual, expected, what) end

--- Fails for nil and false; returns the value.
---@generic T
---@param value T
---@param what? string
---@return T
function test.ok(value, what) end

---@param actual number
---@param expected number
---@param within? number  default 1e-6
---@param what? string
function test.near(actual, expected, within, what) end

--- Fails unless the pattern is found; returns its captures.
---@param s string
---@param pattern string
---@param what? string
---@return string ...
function test.match(s, pattern, what) end

--- Fails unless fn throws and the message has the pattern; returns the message.
---@param fn function
---@param pattern? string
---@param what? string
---@return any
function test.error(fn, pattern, what) end

--- What has run so far in this file.
---@return integer passed
---@return integer failed
---@return string[] failures
function test.summary() end

return perilune
