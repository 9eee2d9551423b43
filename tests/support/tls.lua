-- tls.lua -- TLS for connections of net.lua, by OpenSSL's shared library.
--
-- wrap_client() and wrap_server() do the handshake and replace send and recv of the
-- connection.  Nothing is verified here: what the gateway verifies is its business.
-- The certificate in tls/ is for tests only: self-signed, localhost and 127.0.0.1.

local ffi = require "ffi"
local loop = require "support.loop"

ffi.cdef [[
typedef struct ssl_ctx_st SSL_CTX;
typedef struct ssl_st SSL;
typedef struct ssl_method_st SSL_METHOD;
const SSL_METHOD *TLS_client_method(void);
const SSL_METHOD *TLS_server_method(void);
SSL_CTX *SSL_CTX_new(const SSL_METHOD *);
int SSL_CTX_use_certificate_chain_file(SSL_CTX *, const char *);
int SSL_CTX_use_PrivateKey_file(SSL_CTX *, const char *, int);
SSL *SSL_new(SSL_CTX *);
void SSL_free(SSL *);
int SSL_set_fd(SSL *, int);
int SSL_connect(SSL *);
int SSL_accept(SSL *);
int SSL_read(SSL *, void *, int);
int SSL_write(SSL *, const void *, int);
int SSL_shutdown(SSL *);
int SSL_get_error(const SSL *, int);
void ERR_clear_error(void);
]]

local M = {}

local WANT = { [2] = "r", [3] = "w" } -- SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE
local ok, ssl = pcall(ffi.load, "libssl.so.3")
local _, crypto = pcall(ffi.load, "libcrypto.so.3")

M.available = ok

local contexts = {}

local function client_context()
  contexts.client = contexts.client or ssl.SSL_CTX_new(ssl.TLS_client_method())
  return contexts.client
end

local function server_context()
  if contexts.server then return contexts.server end
  local c = ssl.SSL_CTX_new(ssl.TLS_server_method())
  if ssl.SSL_CTX_use_certificate_chain_file(c, "tests/support/tls/cert.pem") ~= 1
     or ssl.SSL_CTX_use_PrivateKey_file(c, "tests/support/tls/key.pem", 1) ~= 1 then
    error("the test certificate cannot be loaded", 0)
  end
  contexts.server = c
  return c
end

-- Repeats fn until it is done.  Returns its result, or nil and why.
local function drive(conn, s, deadline, fn)
  while conn.fd do
    crypto.ERR_clear_error()
    local n = fn()
    if n > 0 then return n end
    local code = ssl.SSL_get_error(s, n)
    if not WANT[code] then return nil, code == 6 and "eof" or "reset" end
    if not loop.wait(conn.fd, WANT[code], deadline) then return nil, "timeout" end
  end
  return nil, "closed"
end

local function wrap(conn, context, handshake, seconds)
  local s = ssl.SSL_new(context)
  ssl.SSL_set_fd(s, conn.fd)
  local done, why = drive(conn, s, loop.now() + (seconds or 30), function() return handshake(s) end)
  if not done then
    ssl.SSL_free(s)
    return nil, "TLS handshake: " .. why
  end
  local space, plain_close = ffi.new("char[16384]"), conn.close

  function conn.recv(self, limit)
    local n, reason = drive(self, s, loop.now() + (limit or 30), function() return ssl.SSL_read(s, space, 16384) end)
    if not n then return nil, reason end
    return ffi.string(space, n)
  end
  function conn.send(self, bytes, limit)
    if bytes == "" then return true end
    local n, reason = drive(self, s, loop.now() + (limit or 30), function() return ssl.SSL_write(s, bytes, #bytes) end)
    return n and true, reason
  end
  function conn.close(self)
    if self.fd then
      ssl.SSL_shutdown(s)
      ssl.SSL_free(s)
    end
    plain_close(self)
  end
  return conn
end

function M.wrap_client(conn, seconds) return wrap(conn, client_context(), ssl.SSL_connect, seconds) end
function M.wrap_server(conn, seconds) return wrap(conn, server_context(), ssl.SSL_accept, seconds) end

return M
