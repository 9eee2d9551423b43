-- fake_milvus.lua -- as much of Milvus' REST interface (v2) as the shared index needs, in front of a fake Redis that
-- has the entries.
--
-- What it answers is what its documentation and its own tests of that interface show: {"code":0,"data":...}, and errors
-- with status 200 and another code.  No real Milvus is asked anywhere: none that speaks REST installs as a package.

local fake_redis = require "fake_redis"
local http = require "support.http"
local json = require "support.json"
local loop = require "support.loop"
local net = require "support.net"

local M = {}
local Fake = setmetatable({}, { __index = fake_redis.class })
Fake.__index = Fake

local function cosine(a, b)
  local ab, aa, bb = 0, 0, 0
  for i = 1, #a do ab, aa, bb = ab + a[i] * b[i], aa + a[i] * a[i], bb + b[i] * b[i] end
  return ab / math.sqrt(aa * bb)
end

local function no_collection(name)
  return { code = 100, message = ("can't find collection[database=default][collection=%s]"):format(name) }
end

local verbs = {}

verbs["collections/create"] = function(self, ask)
  if self.collections[ask.collectionName] then
    return { code = 65535, message = "create duplicate collection with different parameters, collection: "
                                     .. ask.collectionName }
  end
  local field = assert(ask.schema.fields[4])
  assert(field.fieldName == "vector" and ask.indexParams[1].metricType == "COSINE")
  self.collections[ask.collectionName] = { rows = {}, dims = tonumber(field.elementTypeParams.dim) }
  return '{"code":0,"data":{}}'
end

verbs["entities/upsert"] = function(_, ask, c)
  for _, row in ipairs(ask.data) do
    assert(#row.vector == c.dims and #row.id == 64 and #row.part == 64 and row.expires > 1e12)
    c.rows[row.id] = row
  end
  return { code = 0, cost = 0, data = { upsertCount = #ask.data, upsertIds = json.array{ ask.data[1].id } } }
end

verbs["entities/search"] = function(_, ask, c)
  local part, now = ask.filter:match('^part == "(%x+)" and expires > (%d+)$')
  assert(part and ask.annsField == "vector")
  local out = {}
  for id, row in pairs(c.rows) do
    if row.part == part and row.expires > tonumber(now) then
      out[#out + 1] = { id = id, distance = cosine(row.vector, ask.data[1]) }
    end
  end
  table.sort(out, function(a, b) return a.distance > b.distance end)
  for i = #out, ask.limit + 1, -1 do out[i] = nil end
  return { code = 0, cost = 0, data = json.array(out), topks = json.array{ #out } }
end

verbs["entities/delete"] = function(_, ask, c)
  local id, before = ask.filter:match('^id == "(%x+)"$'), ask.filter:match("^expires < (%d+)$")
  assert(id or before)
  if id then c.rows[id] = nil end
  for key, row in pairs(c.rows) do if before and row.expires < tonumber(before) then c.rows[key] = nil end end
  return { code = 0, cost = 0, data = {} }
end

local function answer(self, request)
  local verb = request.target:match("^/v2/vectordb/(.+)$")
  local name = verb and verb:match("%w+$") or "?"
  while self.hangs[name] and self.http do loop.pause(0.01) end
  if self.says[name] then return self.says[name] end
  if request.headers.authorization ~= "Bearer root:Milvus" then
    return '{"code":1800,"message":"user hasn\'t authenticated"}', 401
  end
  local ask = json.decode(request.body)
  local c = self.collections[ask.collectionName]
  if not c and verb ~= "collections/create" then return no_collection(ask.collectionName) end
  return verbs[verb](self, ask, c)
end

function Fake:start()
  fake_redis.class.start(self)
  self.http = net.listen(self.http_port)
  self.http_port = self.http.port
  self.http_task = loop.go(function()
    while true do
      local conn = self.http:accept(3600)
      if not conn then return end
      loop.go(function()
        self.conns[conn] = true
        while conn.fd do
          local request = http.read_request(conn, 3600)
          if not request then break end
          local body, status = answer(self, request)
          if body == "" then break end
          if type(body) == "table" then body = json.encode(body) end
          if not conn:send(("HTTP/1.1 %d X\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s")
                           :format(status or 200, #body, body), 10) then break end
        end
        self.conns[conn] = nil
        conn:close()
      end)
    end
  end)
end

function Fake:stop()
  if self.http_task then loop.cancel(self.http_task) end
  if self.http then self.http:close() end
  self.http_task, self.http = nil, nil
  fake_redis.class.stop(self)
end

function Fake:vectors()
  local n = 0
  for _, c in pairs(self.collections) do for _ in pairs(c.rows) do n = n + 1 end end
  return n
end

function M.new()
  local self = setmetatable(fake_redis.bare("old"), Fake)
  self.collections = {}
  self:start()
  return self
end

return M
