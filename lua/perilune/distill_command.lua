--- distill_command: perilune distill, the half of it that is in Lua.
--
-- Called again with each answer of the model, and decides anew: an answer that holds everything and is shorter is shown
-- and written; else the model is told what its last one lacks.  C asks (core/cli/distill.c).  What must be kept is found
-- by rephrase_facts; what that does not see (tone, words without a mark of their own) is why a person looks at it.

local core = require "perilune.core"
local facts = require "perilune.rephrase_facts"
local perilune = require "perilune"
local rewritten = require "perilune.rewritten"
local text_of = require "perilune.text"

local M = {}

local FILE_MAX = 1024 * 1024
local ASK = 100 -- ORDER: ASK in core/cli/distill.c
local SHOWN = 12 -- of what is missing

local function fail(status, format, ...)
  error({ status = status, message = format:format(...) }, 0)
end

-- -- files ---------------------------------------------------------------------

local function read(path)
  local f, err = _G.io.open(path, "rb")
  if not f then fail(1, "%s", err) end
  local bytes, why = f:read(FILE_MAX + 1)
  f:close()
  if not bytes then fail(1, "%s: %s", path, why or "is empty") end
  if #bytes > FILE_MAX then fail(1, "%s: is over 1 MiB", path) end
  return bytes
end

-- All of it in place of what was there, or nothing.
local function write(path, bytes)
  local part = path .. ".part"
  local f, err = _G.io.open(part, "wb")
  local ok = f and f:write(bytes)
  if f and not f:close() then ok = nil end
  if ok then ok, err = _G.os.rename(part, path) end
  if not ok then
    _G.os.remove(part)
    fail(1, "%s: %s", path, tostring(err))
  end
end

local function prompt_in(path)
  local bytes = read(path)
  local ok, err = text_of.sentences(bytes)
  if not ok then fail(1, "%s: %s", path, err) end
  if not bytes:find("%S") then fail(1, "%s: holds no text", path) end
  return bytes
end

-- -- the question --------------------------------------------------------------

local INSTRUCTIONS = [[
You rewrite system prompts so that a model follows them just as well, with far fewer tokens. Rewrite the prompt between
<prompt> and </prompt>.
- Keep every rule, condition, exception, number, unit, name, example, format and placeholder, each as it is written.
- Keep each negation with what it forbids.
- Keep code, quotations, JSON and everything in braces or brackets byte for byte.
- Drop courtesy, repetition, explanations of the obvious; merge rules that say the same; prefer short imperative lines.
- Add nothing. Keep the language of the prompt.
Answer with the rewritten prompt and nothing else.]]

local function shown_list(list)
  local out = {}
  for i, fact in ipairs(list) do
    if i > SHOWN then
      out[#out + 1] = ("- and %d more"):format(#list - SHOWN)
      break
    end
    out[#out + 1] = ("- %s: %s"):format(fact.what, fact.text)
  end
  return table.concat(out, "\n")
end

-- What the model is told of its answer.
local function complaint(verdict)
  local out = {}
  if verdict.longer then out[#out + 1] = "Your version is not shorter." end
  if verdict.lost[1] then out[#out + 1] = "Your version lacks:\n" .. shown_list(verdict.lost) end
  if verdict.added[1] then out[#out + 1] = "Your version says what the prompt does not:\n" .. shown_list(verdict.added) end
  out[#out + 1] = "Write the whole rewritten prompt again, with that repaired, and nothing else."
  return table.concat(out, "\n\n")
end

local function question(given, prompt, said, verdict)
  local messages = {
    { role = "system", content = INSTRUCTIONS },
    { role = "user", content = "<prompt>\n" .. prompt .. "\n</prompt>" },
  }
  if said then
    messages[3] = { role = "assistant", content = said }
    messages[4] = { role = "user", content = complaint(verdict) }
  end
  return core.json_encode{ model = given.model or "default", temperature = 0, messages = core.json_array(messages) }
end

-- The text of a whole answer, without what models like to put around it.
local function text_in(answer)
  local body = core.json_decode(answer)
  local choice = type(body) == "table" and type(body.choices) == "table" and body.choices[1]
  local message = type(choice) == "table" and choice.message
  local text = type(message) == "table" and message.content
  if type(text) ~= "string" then fail(1, "the answer of the model holds no text") end
  if choice.finish_reason == "length" then fail(1, "the model's answer was cut off: its limit of tokens is too low") end
  text = text:gsub("^%s+", ""):gsub("%s+$", "")
  text = text:match("^<prompt>%s*(.-)%s*</prompt>$") or text
  return text:match("^```%a*\n(.-)\n```$") or text
end

-- -- judging -------------------------------------------------------------------

local function judge(prompt, version, model)
  local lost, added = facts.compare(prompt, version)
  if not lost then fail(1, "the prompt cannot be checked: %s", added) end
  local before, exact = perilune.tokens(prompt, model)
  local after = perilune.tokens(version, model)
  if not before or not after then fail(1, "the model's answer is not UTF-8") end
  local longer = after >= before or not version:find("%S")
  return { lost = lost, added = added, before = before, after = after, exact = exact, longer = longer,
           good = not longer and not lost[1] and not added[1] }
end

-- -- the difference ------------------------------------------------------------

-- Control characters of a file must not reach a terminal.
local function safe(text)
  return (text:gsub("[%z\1-\8\11-\31\127]", function(c) return ("\\x%02x"):format(c:byte()) end))
end

local function lines_of(text)
  local out = {}
  for line in (text .. "\n"):gmatch("(.-)\n") do out[#out + 1] = line end
  return out
end

-- Lines that both have, in order, stay; of prompts of thousands of lines that is more than anybody reads.
local function difference(before, after)
  local a, b = lines_of(before), lines_of(after)
  local out, n, m = {}, #a, #b
  if n * m > 4e6 then
    for _, line in ipairs(a) do out[#out + 1] = { "-", line } end
    for _, line in ipairs(b) do out[#out + 1] = { "+", line } end
    return out
  end
  local best = {}
  for i = n + 1, 1, -1 do
    best[i] = {}
    for k = m + 1, 1, -1 do
      if i > n or k > m then best[i][k] = 0
      elseif a[i] == b[k] then best[i][k] = best[i + 1][k + 1] + 1
      else best[i][k] = math.max(best[i + 1][k], best[i][k + 1]) end
    end
  end
  local i, k = 1, 1
  while i <= n or k <= m do
    if i <= n and k <= m and a[i] == b[k] then
      out[#out + 1] = { " ", a[i] }
      i, k = i + 1, k + 1
    elseif i <= n and (k > m or best[i + 1][k] >= best[i][k + 1]) then
      out[#out + 1] = { "-", a[i] }
      i = i + 1
    else
      out[#out + 1] = { "+", b[k] }
      k = k + 1
    end
  end
  return out
end

local paints = { ["-"] = "31", ["+"] = "32" }

local function show(prompt, version, verdict, model, color)
  local out = { ("%d -> %d tokens, %.1f %% less (%s%s)"):format(verdict.before, verdict.after,
    (verdict.before - verdict.after) / verdict.before * 100, safe(model), verdict.exact and "" or ", approximate"), "" }
  for _, line in ipairs(difference(prompt, version)) do
    local text = line[1] .. " " .. safe(line[2])
    out[#out + 1] = color and paints[line[1]] and ("\27[%sm%s\27[0m"):format(paints[line[1]], text) or text
  end
  return table.concat(out, "\n") .. "\n"
end

-- -- running -------------------------------------------------------------------

local function tell(given, prompt, version, verdict, path, accepted)
  local model, io = given.model or "gpt-4o", _G.io
  if given.json then
    io.stdout:write(core.json_encode{ file = given.file, output = path, of = rewritten.hash(prompt), accepted = accepted,
      before = verdict.before, after = verdict.after, exact = verdict.exact, model = model, text = version }, "\n")
    return
  end
  io.stdout:write(show(prompt, version, verdict, model, given.color), "\n")
  if accepted then io.stdout:write(("%s: accepted\n"):format(path))
  else io.stdout:write(("%s: a proposal; look at it, then run perilune distill %s --accept %s\n"):format(path, given.file, path)) end
end

local function store(given, prompt, version, verdict, path, accepted)
  write(path, rewritten.format{
    of = rewritten.hash(prompt), text = version, accepted = accepted and core.sha256(version) or nil,
    tokens = ("%d -> %d (%s)"):format(verdict.before, verdict.after, (given.model or "gpt-4o"):gsub("[%c]", "?")),
  })
  tell(given, prompt, version, verdict, path, accepted)
  return 0
end

local function without_proof(verdict)
  local out = { "no version that holds everything" }
  if verdict.longer then out[#out + 1] = "the last one is not shorter" end
  if verdict.lost[1] then out[#out + 1] = "the last one lacks:\n" .. shown_list(verdict.lost) end
  if verdict.added[1] then out[#out + 1] = "the last one adds:\n" .. shown_list(verdict.added) end
  fail(1, "%s", table.concat(out, "; "))
end

local function ask_or_store(given)
  local prompt = prompt_in(given.file)
  local answer, said, verdict = given.answers[#given.answers], nil, nil
  if answer then
    said = text_in(answer)
    verdict = judge(prompt, said, given.model)
    if verdict.good then return store(given, prompt, said, verdict, given.output or given.file .. rewritten.SUFFIX, given.yes == true) end
    if given.tries_left <= 1 then without_proof(verdict) end
  end
  write(given.question, question(given, prompt, said, verdict))
  return ASK
end

-- The text of a proposal may have been repaired by hand since: what is accepted is what is there now.
local function accept(given)
  local prompt = prompt_in(given.file)
  local bytes = read(given.accept):gsub("\naccepted: %x+\r?\n", "\n", 1)
  local version, why = rewritten.read(bytes, given.accept)
  if not version then fail(1, "%s", why) end
  if version.of ~= rewritten.hash(prompt) then fail(1, "%s: stands for another prompt than %s", given.accept, given.file) end
  local verdict = judge(prompt, version.text, given.model)
  if not verdict.good then without_proof(verdict) end
  return store(given, prompt, version.text, verdict, given.accept, true)
end

--- Runs the command; returns its exit status, or 100: the question is in the file.
---@param argument string  JSON: file, model, output, accept, question, answers, tries_left, yes, json, color
---@return integer status
function M.run(argument)
  local given = core.json_decode(argument)
  local ok, status = pcall(given.accept and accept or ask_or_store, given)
  if ok then return status end
  local err = type(status) == "table" and status.status and status or { status = 1, message = tostring(status) }
  _G.io.stderr:write("perilune distill: ", err.message, "\n")
  return err.status
end

return M
