-- texts.lua -- what tokens.lua counts.
--
-- Two sorts.  `small`: this project's own files, and texts made from a few hundred words;
-- the same everywhere, and kind to caches.  `mixed`: up to 10 MB each, and hard on them:
--
--   english  what lies in /usr/share/doc, licences and web pages left out
--   code     what lies in /usr/include
--   chinese  characters in the order that those of tests/eval suggest, and rare ones: few
--            pieces come twice
--   json     conversations and agents: cuts of the three above and of this project, escaped
--            (one in ten also outside ASCII), call ids, UUIDs, times, scores, nested JSON
--
-- What is installed differs from machine to machine, so figures of the mixed sort are to be
-- compared on one machine only.

local files = require "support.files"

local M = {}

local seed = 1
local function below(n)
  seed = (seed * 16807) % 2147483647
  return seed % n
end

-- -- Small ---------------------------------------------------------------------------------

local WORDS = "我们 的 是 在 人工智能 模型 可以 使用 数据 系统 用户 请求 时间 问题 方法 处理 一个 这个 没有 因为 所以 但是 如果 需要 "
  .. "进行 通过 服务器 程序 语言 中国 世界 发展 技术 公司 工作 生活 学习 研究 结果 内容 信息 网络 平台 开发 测试 运行 性能 提高 降低 "
  .. "成本 质量 安全 管理 设计 实现 功能 接口 缓存 响应 延迟 并发 配置 文档 代码 项目 团队 经验 建议 非常 已经 还是 或者 以及 关于 "
  .. "今天 昨天 明年 第一 第二 最后 首先 然后 例如 比如 其中 之间 之后 以前 现在 将来 北京 上海 电脑 手机 软件 硬件 互联网 算法"
local words = {}
for w in WORDS:gmatch("%S+") do words[#words + 1] = w end
local MARKS = { "，", "，", "，", "。", "。\n", "；", "：", "、" }

local function words_in_clauses(size)
  local out, n = {}, 0
  while n < size do
    for _ = 1, 2 + below(6) do
      local w = words[1 + below(#words)]
      out[#out + 1] = w
      n = n + #w
    end
    out[#out + 1] = MARKS[1 + below(#MARKS)]
  end
  return table.concat(out)
end

local function requests(english, size)
  local out, n = {}, 0
  while n < size do
    local from = 1 + below(#english - 600)
    local text = english:sub(from, from + 100 + below(500)):gsub("[^\32-\126]", " "):gsub('[\\"]', "\\%0")
    local line = ('{"model":"gpt-4o","messages":[{"role":"system","content":"You are a helpful assistant."},'
      .. '{"role":"user","content":"%s"}],"temperature":0.%d,"stream":true}\n'):format(text, below(100))
    out[#out + 1], n = line, n + #line
  end
  return table.concat(out)
end

local OWN = "README.md core/README.md policies/README.md tests/wire/README.md LICENSE"

--- english, chinese, code, json
function M.small()
  seed = 1
  local english = files.output("cat " .. OWN)
  return english:rep(math.ceil(2e6 / #english)), words_in_clauses(2e6),
    files.output("cat core/*/*.c core/*/*.h lua/perilune/*.lua"), requests(english, 2e6)
end

-- -- Mixed ---------------------------------------------------------------------------------

-- Files below a folder in an order that has nothing to do with their names.
local function found(folder, names, size)
  local paths, out, n = {}, {}, 0
  for path in files.output(("find %s -type f \\( %s \\) -size +1k -size -200k 2>/dev/null | LC_ALL=C sort")
      :format(folder, names)):gmatch("[^\n]+") do paths[#paths + 1] = path end
  for i = #paths, 2, -1 do
    local k = 1 + below(i)
    paths[i], paths[k] = paths[k], paths[i]
  end
  for _, path in ipairs(paths) do
    local text = n < size and files.read(path) or ""
    if not text:find("[\128-\255]") then -- what is not ASCII may be Latin-1
      out[#out + 1], n = text, n + #text
    end
  end
  return table.concat(out, "\n"):sub(1, size)
end

local CHARACTER = "[\228-\233][\128-\191][\128-\191]"

local function ideograph(code)
  return string.char(224 + math.floor(code / 4096), 128 + math.floor(code / 64) % 64, 128 + code % 64)
end

local function characters(size)
  local follow, list, last = {}, {}, nil
  for c in (files.output("cat tests/eval/*.lua") .. table.concat(words)):gmatch(CHARACTER) do
    follow[c] = follow[c] or {}
    list[#list + 1] = c
    if last then table.insert(follow[last], c) end
    last = c
  end
  local out, c = {}, list[1]
  for i = 1, size / 3 do
    local next_ones = follow[c] or {}
    c = next_ones[1 + below(2 * #next_ones + 1)] or list[1 + below(#list)] -- as often as not another
    if below(40) == 0 then c = ideograph(0x4e00 + below(0x51a6)) end
    out[i] = below(12) > 0 and c or c .. MARKS[1 + below(#MARKS)]
  end
  return table.concat(out)
end

local function letters_of(alphabet, n)
  local out = {}
  for i = 1, n do
    local k = 1 + below(#alphabet)
    out[i] = alphabet:sub(k, k)
  end
  return table.concat(out)
end
local function hex(n) return letters_of("0123456789abcdef", n) end
local function id(n) return letters_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", n) end

-- A piece of a text, from character to character.
local function cut(text, least, most)
  local n = least + below(most - least + 1)
  local from = 1 + below(#text - n - 8)
  while text:byte(from) >= 128 and text:byte(from) < 192 do from = from + 1 end
  local to = from + n
  while text:byte(to) >= 128 and text:byte(to) < 192 do to = to + 1 end
  return text:sub(from, to - 1)
end

local SHORT = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }
local function quoted(text, all)
  text = text:gsub('[%c"\\]', function(c) return SHORT[c] or ("\\u%04x"):format(c:byte()) end)
  if all then
    text = text:gsub("[\224-\239][\128-\191][\128-\191]", function(c)
      local a, b, d = c:byte(1, 3)
      return ("\\u%04x"):format((a - 224) * 4096 + (b - 128) * 64 + d - 128)
    end)
  end
  return '"' .. text .. '"'
end

local function tool_call(english, code, all)
  local call = "call_" .. id(24)
  local arguments = ('{"path": "/srv/%s/%s.py", "limit": %d, "offset": 0.%d, "query": %s}'):format(id(5), hex(6),
    below(5000), below(2147483647), quoted(cut(english, 10, 60)))
  local rows = {}
  for i = 1, 1 + below(8) do
    rows[i] = ('{"id": "%s-%s-%s-%s-%s", "score": 0.%d, "ts": "2026-%02d-%02dT%02d:%02d:%02dZ", "text": %s}'):format(
      hex(8), hex(4), hex(4), hex(4), hex(12), below(2147483647), 1 + below(12), 1 + below(28), below(24), below(60),
      below(60), quoted(cut(below(2) == 0 and english or code, 30, 400)))
  end
  return ('{"role":"assistant","content":null,"tool_calls":[{"id":"%s","type":"function","function":{"name":"%s",'
    .. '"arguments":%s}}]},{"role":"tool","tool_call_id":"%s","content":%s}'):format(call,
    ({ "read_file", "search_web", "run_sql", "get_weather" })[1 + below(4)], quoted(arguments), call,
    quoted("[" .. table.concat(rows, ", ") .. "]", all))
end

local function conversations(english, chinese, code, size)
  local out, n = {}, 0
  while n < size do
    local all = below(10) == 0
    local m = { ('{"role":"system","content":%s}'):format(quoted(cut(english, 100, 1500), all)) }
    for _ = 1, 1 + below(8) do
      local kind = below(20)
      local from = kind < 3 and chinese or kind < 12 and english or code
      m[#m + 1] = ('{"role":"user","content":%s}'):format(quoted(cut(from, 20, 1500), all))
      if below(5) < 2 then m[#m + 1] = tool_call(english, code, all) end
      m[#m + 1] = ('{"role":"assistant","content":%s}'):format(quoted(cut(from, 50, 2500), all))
    end
    out[#out + 1] = ('{"model":"gpt-4o","messages":[%s],"temperature":0.%d,"stream":%s}\n'):format(
      table.concat(m, ","), below(100), below(2) == 0)
    n = n + #out[#out]
  end
  return table.concat(out)
end

--- english, chinese, code, json; an empty one where the machine has too little
function M.mixed(size)
  seed = 2
  local own = files.output("cat " .. OWN)
  local english = found("/usr/share/doc", "-name 'README*' -o -name '*.txt' -o -name '*.md' -o -name '*.rst'", size)
  local code = found("/usr/include", "-name '*.h' -o -name '*.hpp'", size)
  local chinese = characters(size)
  local json = conversations(#english > 1e6 and english or own, chinese, #code > 1e6 and code or own, size)
  return #english > 1e6 and english or "", chinese, #code > 1e6 and code or "", json
end

--- 64 KB of random letters
function M.letters()
  seed = 3
  return letters_of("abcdefghijklmnopqrstuvwxyz", 65536)
end

return M
