-- teach.lua -- what a model of sentences says of pairs, as lines for `perilune cache calibrate`.
--
--   luajit core/semantic/table/teach.lua PAIRS.tsv > pairs.jsonl       lines {"a":,"b":,"same": 0 to 1}
--
-- PAIRS.tsv: question, tab, question, tab, cosine of multilingual-e5-small, tab, zh or en.  Its cosines crowd near
-- 1, in Chinese more than in English: where they mean "the same" is softened into a chance.  Pairs
-- whose numbers or identifiers (`max_tokens`, maxTokens, io.open) differ are different, which the model of
-- sentences does not see.

local MIDDLE = { zh = 0.987, en = 0.957 } -- cosines at which it is as likely as not
local WIDTH = { zh = 0.0035, en = 0.009 }

local function quote(s)
  return '"' .. s:gsub('[\\"%c]', function(c) return ("\\u%04x"):format(c:byte()) end) .. '"'
end

local function numbers(s)
  local out = {}
  for n in s:gmatch("%d+") do out[#out + 1] = n end
  table.sort(out)
  return table.concat(out, " ")
end

local function identifiers(s)
  local seen, out = {}, {}
  for word in s:gmatch("[%a_][%w_%.]*[%w_]") do
    local is_one = word:find("_", 1, true) or word:find("%l%u") or word:find("%a%.%a")
    if is_one and not seen[word:lower()] then
      seen[word:lower()] = true
      out[#out + 1] = word:lower()
    end
  end
  table.sort(out)
  return table.concat(out, " ")
end

for line in io.lines(arg[1]) do
  local a, b, cosine, lang = line:match("^([^\t]+)\t([^\t]+)\t([^\t]+)\t?(%a*)")
  cosine = tonumber(cosine)
  if cosine and a ~= b and #a <= 2000 and #b <= 2000 then
    if not MIDDLE[lang] then lang = a:find("[\228-\233]") and "zh" or "en" end
    local same = 1 / (1 + math.exp(-(cosine - MIDDLE[lang]) / WIDTH[lang]))
    if numbers(a) ~= numbers(b) or identifiers(a) ~= identifiers(b) then same = math.min(same, 0.02) end
    io.write(("{\"a\":%s,\"b\":%s,\"same\":%.3f}\n"):format(quote(a), quote(b), same))
  end
end
