"""ask.py -- Perilune from Python, by ctypes: nothing is compiled or installed.

    python3 ask.py hosts.lua             PERILUNE_LIBRARY: libperilune.so.0, where the loader does not find it

The thread that opens a gateway owns it.  While it is in the library, Python's other threads run.
"""
import ctypes as c
import os
import sys

lib = c.CDLL(os.environ.get("PERILUNE_LIBRARY", "libperilune.so.0"))


class Str(c.Structure):
    _fields_ = [("ptr", c.c_void_p), ("len", c.c_size_t)]

    def __str__(self):
        return c.string_at(self.ptr, self.len).decode()


class Options(c.Structure):  # the library knows by `size` which fields there are
    _fields_ = [("size", c.c_size_t), ("config", c.c_char_p), ("numbers", c.c_int * 2), ("rest", c.c_void_p * 5)]


class Event(c.Structure):  # its beginning; the rest is not looked at
    _fields_ = [("type", c.c_int), ("error", c.c_int), ("status", c.c_int), ("choice", c.c_uint), ("text", Str)]


class Value(c.Structure):
    _fields_ = [("type", c.c_int), ("number", c.c_double), ("text", Str)]


TEXT, END, STRING = 2, 6, 3
FUNCTION = c.CFUNCTYPE(None, c.c_void_p, c.POINTER(Value), c.c_size_t, c.c_void_p)
P = c.c_void_p
for name, result, arguments in [
    ("open", c.c_int, [c.POINTER(P), c.POINTER(Options), c.c_char_p, c.c_size_t]), ("close", None, [P]),
    ("errmsg", c.c_char_p, [P]), ("errname", c.c_char_p, [c.c_int]), ("request_free", None, [P]),
    ("function_add", c.c_int, [P, c.c_char_p, FUNCTION, P]), ("call_return", c.c_int, [P, c.POINTER(Value)]),
    ("call_fail", c.c_int, [P, c.c_char_p, c.c_char_p]), ("request_set", c.c_int, [P, c.c_char_p, c.c_char_p]),
    ("eval", c.c_int, [P, c.c_char_p, c.c_char_p, c.c_char_p, c.c_size_t, c.POINTER(Str)]),
    ("request_new", c.c_int, [P, c.c_char_p, c.c_char_p, c.c_size_t, c.POINTER(P)]), ("request_start", c.c_int, [P, P, P]),
    ("request_next", c.c_int, [P, c.POINTER(c.POINTER(Event)), c.c_int]), ("request_errmsg", c.c_char_p, [P]),
]:
    getattr(lib, "perilune_" + name).restype = result
    getattr(lib, "perilune_" + name).argtypes = arguments


class Error(Exception):
    def __init__(self, code, text):
        super().__init__(f"{lib.perilune_errname(code).decode()}: {text.decode()}")


class Gateway:
    def __init__(self, config):
        self.g, self.kept, why = P(), [], c.create_string_buffer(500)
        options = Options(size=c.sizeof(Options), config=config.encode())
        rc = lib.perilune_open(c.byref(self.g), c.byref(options), why, len(why))
        if rc != 0:
            raise Error(rc, why.value)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        lib.perilune_close(self.g)

    def check(self, rc):
        if rc != 0:
            raise Error(rc, lib.perilune_errmsg(self.g))

    def function(self, name, fn):
        """host.NAME(text) in policies.  An exception must not cross C: it is the policy's error."""
        def call(call, args, count, _):
            try:
                out = fn(str(args[0].text) if count else "").encode()
                lib.perilune_call_return(call, Value(type=STRING, text=Str(c.cast(c.c_char_p(out), P), len(out))))
            except Exception as e:
                lib.perilune_call_fail(call, None, str(e).encode())
        self.kept.append(FUNCTION(call))  # as long as the library may call it
        self.check(lib.perilune_function_add(self.g, name.encode(), self.kept[-1], None))

    def ask(self, json, tenant):
        """Gives the pieces of the answer as they come."""
        r, ev, rc = P(), c.POINTER(Event)(), 0
        body = json.encode()
        self.check(lib.perilune_request_new(self.g, b"/v1/chat/completions", body, len(body), c.byref(r)))
        try:
            rc = lib.perilune_request_set(r, b"tenant", tenant.encode()) or lib.perilune_request_start(r, None, None)
            while rc == 0:
                rc = lib.perilune_request_next(r, c.byref(ev), -1)
                if ev and ev.contents.type == TEXT:
                    yield str(ev.contents.text)
                elif ev and ev.contents.type == END:
                    return
            raise Error(rc, lib.perilune_request_errmsg(r))
        finally:
            lib.perilune_request_free(r)

    def eval(self, code, args):
        result, args = Str(), args.encode()
        self.check(lib.perilune_eval(self.g, code.encode(), None, args, len(args), c.byref(result)))
        return str(result)


def lookup_user(user):
    if user == "u1":
        return "Ada"
    raise LookupError("nobody has this id")


with Gateway(sys.argv[1]) as gateway:
    gateway.function("lookup_user", lookup_user)
    question = '{"stream":true,"messages":[{"role":"user","content":"Hello from Python!"}]}'
    print("answer: " + "".join(gateway.ask(question, "u1")))
    try:
        list(gateway.ask(question, "u9"))
    except Error as e:
        print("stranger:", e)
    print("rule:", gateway.eval("local n = ... return n * 2", "[21]"))
