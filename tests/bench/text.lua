-- text.lua -- CPU time of the text primitives, 10,000 tokens of English (40 KB) and Chinese (35 KB).
--
--   luajit tests/bench/text.lua
--
-- The bar is that of compress_context: a millisecond for all of it.

package.path = "tests/?.lua;" .. package.path
local bench = require "bench.lib"
local files = require "support.files"

local BAR = 1000
local names = {
  { "extract_en", "extraction, question, English", BAR }, { "extract_zh", "extraction, question, Chinese", BAR },
  { "central_en", "extraction, no question, English", BAR }, { "central_zh", "extraction, no question, Chinese", BAR },
  { "spans_en", "spans, English" }, { "spans_zh", "spans, Chinese" },
  { "sentences_en", "spans and sentences, English" }, { "sentences_zh", "spans and sentences, Chinese" },
  { "dedupe_en", "duplicates" }, { "alike_en", "duplicates, alike" },
  { "strip_en", "escape sequences" }, { "base64_en", "base64" },
}

bench.run(function()
  local got = {}
  bench.build("build/release/bench_text")
  for line in files.lines("build/release/bench_text") do
    local name, us = line:match("^(%S+) (%S+)$")
    if name then got[name] = tonumber(us) end
  end
  for _, row in ipairs(names) do bench.figure(row[2] .. ", 10k tokens", got[row[1]], "us CPU", nil, row[3]) end
end)
