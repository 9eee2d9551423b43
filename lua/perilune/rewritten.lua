--- rewritten: prompts that were rewritten once, in files.
--
--     perilune-prompt 1
--     of: 9f86d0...            SHA-256 of the prompt that it stands for, without white space around it
--     tokens: 912 -> 371 (gpt-4o)
--     accepted: 2c2624...      SHA-256 of the text below: somebody has looked at it
--     ---
--     You answer questions about ...
--
-- A file without `accepted` is a proposal, which is never used.  One whose text is another than was accepted is damaged,
-- or was changed behind the back of who accepted it: an error, with its line.

local core = require "perilune.core"

local M = {}

M.SUFFIX = ".prompt"

local HEAD = "perilune-prompt 1"
local fields = { of = "^%x+$", accepted = "^%x+$", tokens = "^%d+ %-> %d+ %(.*%)$" }

---@class perilune.Rewritten
---@field of string         SHA-256 (hex) of the original
---@field accepted? string  of the text; nil: a proposal
---@field tokens? string    "912 -> 371 (gpt-4o)"
---@field text string

--- By which a prompt is found: white space around it does not count, since files end in a line break.
---@param text string
---@return string hex
function M.hash(text) return core.sha256(text:match("^%s*(.*%S)") or "") end

--- The text of a file.
---@param version perilune.Rewritten
---@return string
function M.format(version)
  return table.concat{
    HEAD, "\nof: ", version.of, "\n", version.tokens and "tokens: " .. version.tokens .. "\n" or "",
    version.accepted and "accepted: " .. version.accepted .. "\n" or "", "---\n", version.text, "\n",
  }
end

-- One line of the head; or what is wrong with it.
local function read_field(out, line)
  local key, value = line:match("^(%a+): (.*)$")
  local form = key and fields[key]
  if not form then return ("must be one of accepted, of, tokens, or ---, got %q"):format(line:sub(1, 60)) end
  local is_hash = key ~= "tokens"
  if not value:find(form) or (is_hash and #value ~= 64) then
    return ("%s must be %s"):format(key, is_hash and "a SHA-256 in hex" or "as in 912 -> 371 (gpt-4o)")
  end
  if out[key] then return key .. " stands there twice" end
  out[key] = is_hash and value:lower() or value
end

--- Reads a file.  nil, and what is wrong with it, with its line.
---@param bytes string
---@param path string for messages
---@return perilune.Rewritten?
---@return string? message
function M.read(bytes, path)
  local out, number, at = {}, 0, 1
  local function wrong(message) return nil, ("%s:%d: %s"):format(path, number, message) end
  while true do
    local stop = bytes:find("\n", at, true)
    number = number + 1
    if not stop then return wrong "ends within its head: there is no line ---" end
    local line = bytes:sub(at, stop - 1):gsub("\r$", "")
    at = stop + 1
    if number == 1 and line ~= HEAD then return wrong(("must be %q: perilune distill writes such files"):format(HEAD)) end
    if line == "---" then break end
    local message = number > 1 and read_field(out, line)
    if message then return wrong(message) end
  end
  out.text = bytes:sub(at):gsub("\r?\n$", "")
  if not out.of then return wrong "there is no line of: above this one" end
  if not out.text:find("%S") then return wrong "there is no text below it" end
  if out.accepted and out.accepted ~= core.sha256(out.text) then
    return wrong "the text below is not the one that was accepted; look at it, then run perilune distill PROMPT --accept FILE"
  end
  return out
end

--- All accepted versions in a folder, by the hash of what they stand for.  Throws for a file that is damaged, and for
--- two that stand for the same; proposals are left out, with a warning.
---@param folder string  seen from the configuration
---@return table<string, string>
function M.load(folder)
  local names, why = core.bundle_list(folder, M.SUFFIX)
  if not names then error(why, 0) end
  local out, from = {}, {}
  for name in names:gmatch("[^\n]+") do
    local path = folder .. "/" .. name
    local bytes, message = core.bundle_file(path)
    local version
    if bytes then version, message = M.read(bytes, path) end
    if not version then error(message, 0) end
    if not version.accepted then
      core.policy_doubt(("%s is a proposal that nobody has accepted; it is not used"):format(path), true)
    elseif from[version.of] then
      error(("%s: stands for the same prompt as %s; remove one"):format(path, from[version.of]), 0)
    else
      out[version.of], from[version.of] = version.text, path
    end
  end
  return out
end

return M
