--- amqp.lua: a client of RabbitMQ that is a stranger to the program: publishes to queues, and takes from them.
--
--   local c = amqp.connect(port)      nil where there is no librabbitmq, or nobody listens
--   c:declare("name")                 a durable queue
--   c:publish("name", text)
--   c:get("name")                     text, reason (x-perilune-reason); nil: it is empty
--   c:close()

local ffi = require "ffi"

ffi.cdef[[
typedef struct { size_t len; void *bytes; } p_amqp_bytes;
typedef struct { int count; struct p_amqp_entry *entries; } p_amqp_table;
typedef struct { uint8_t kind; union { int64_t i64; p_amqp_bytes bytes; p_amqp_table table;
                 struct { int count; void *entries; } array; } value; } p_amqp_value;
struct p_amqp_entry { p_amqp_bytes key; p_amqp_value value; };
typedef struct { uint32_t flags; p_amqp_bytes content_type, content_encoding; p_amqp_table headers;
                 uint8_t delivery_mode, priority; p_amqp_bytes correlation_id, reply_to, expiration, message_id;
                 uint64_t timestamp; p_amqp_bytes type, user_id, app_id, cluster_id; } p_amqp_properties;
typedef struct { int type; struct { uint32_t id; void *decoded; } method; int library_error; } p_amqp_reply;
typedef struct { p_amqp_properties properties; p_amqp_bytes body; char pool[128]; } p_amqp_message;
void *amqp_new_connection(void);
int amqp_destroy_connection(void *c);
void *amqp_tcp_socket_new(void *c);
int amqp_socket_open(void *s, const char *host, int port);
p_amqp_reply amqp_login(void *c, const char *vhost, int channels, int frame, int heartbeat, int sasl, ...);
void *amqp_channel_open(void *c, uint16_t channel);
p_amqp_reply amqp_get_rpc_reply(void *c);
void *amqp_queue_declare(void *c, uint16_t channel, p_amqp_bytes queue, int passive, int durable, int exclusive,
                         int auto_delete, p_amqp_table arguments);
int amqp_basic_publish(void *c, uint16_t channel, p_amqp_bytes exchange, p_amqp_bytes key, int mandatory, int immediate,
                       const p_amqp_properties *props, p_amqp_bytes body);
p_amqp_reply amqp_basic_get(void *c, uint16_t channel, p_amqp_bytes queue, int no_ack);
p_amqp_reply amqp_read_message(void *c, uint16_t channel, p_amqp_message *m, int flags);
void amqp_destroy_message(p_amqp_message *m);
void amqp_maybe_release_buffers(void *c);
]]

local M = {}
local Client = {}
Client.__index = Client

local NORMAL, GOT = 1, 0x003C0047

-- Of strings that the caller holds for as long.
local function bytes(s) return ffi.new("p_amqp_bytes", #s, ffi.cast("void *", ffi.cast("const char *", s))) end
local function text(b) return ffi.string(b.bytes, b.len) end

function M.connect(port)
  local found, lib = pcall(ffi.load, "librabbitmq.so.4")
  if not found then return nil end
  local c = lib.amqp_new_connection()
  local self = setmetatable({ lib = lib, c = c }, Client)
  if lib.amqp_socket_open(lib.amqp_tcp_socket_new(c), "127.0.0.1", port) ~= 0
    or lib.amqp_login(c, "/", 0, 131072, 0, 0, "guest", "guest").type ~= NORMAL then
    self:close()
    return nil
  end
  lib.amqp_channel_open(c, 1)
  assert(lib.amqp_get_rpc_reply(c).type == NORMAL)
  return self
end

function Client:declare(queue)
  self.lib.amqp_queue_declare(self.c, 1, bytes(queue), 0, 1, 0, 0, ffi.new("p_amqp_table"))
  assert(self.lib.amqp_get_rpc_reply(self.c).type == NORMAL, queue)
end

function Client:publish(queue, body)
  assert(self.lib.amqp_basic_publish(self.c, 1, bytes(""), bytes(queue), 0, 0, nil, bytes(body)) == 0)
end

function Client:get(queue)
  local r = self.lib.amqp_basic_get(self.c, 1, bytes(queue), 1)
  assert(r.type == NORMAL, queue)
  if r.method.id ~= GOT then return nil end
  local m = ffi.new("p_amqp_message")
  assert(self.lib.amqp_read_message(self.c, 1, m, 0).type == NORMAL)
  local body, reason, headers = text(m.body), nil, m.properties.headers
  for i = 0, headers.count - 1 do
    local e = ffi.cast("struct p_amqp_entry *", headers.entries)[i]
    if text(e.key) == "x-perilune-reason" then reason = text(e.value.value.bytes) end
  end
  self.lib.amqp_destroy_message(m)
  self.lib.amqp_maybe_release_buffers(self.c)
  return body, reason
end

function Client:close() self.lib.amqp_destroy_connection(self.c) end

return M
