/* perilune.h -- embed the gateway in a C program.
 *
 * This header is the whole public interface: what is not here may change
 * without notice, and this text is its reference manual.
 *
 * THE MODEL.  A `perilune` is a gateway: one configuration with its policies,
 * the upstreams it names, and one event loop.  perilune_listen() serves HTTP on
 * that loop, or, with options.threads > 0, on that many worker threads that
 * share the address by SO_REUSEPORT.  A `perilune_request` is one question that
 * the program asks itself: no socket is opened for it, and nothing else is
 * different (routes, policies, caches, limits, upstreams, log, metrics).
 *
 * OWNERSHIP.  perilune_open() and perilune_request_new() give you an object; perilune_close()
 * and perilune_request_free() take it back, in any order.  Strings you pass in are copied
 * before the call returns.  Strings you get are borrowed: they live until the next call on
 * the same object, or until the callback returns.  Closing or freeing NULL is a no-op.
 *
 * THREADS.  The thread that called perilune_open() owns the gateway.  Functions marked [any] may be called
 * from any thread at any time, all others only from the owner: on another thread, yours or the library's, they
 * give PERILUNE_ERR_STATE, or, where they return nothing, do nothing and say so in the log; perilune_post() a
 * function that calls them.  Callbacks run on the owner's thread, inside of perilune_poll(), _run(), _listen(),
 * _load(), _eval(), _close(), perilune_request_next() or _text().  Three run elsewhere: options.log and
 * options.log_idle on a thread that is not yours, the log thread; with options.threads > 0 functions that you add
 * and perilune_hooks are called from the worker that needs them, several at once.
 *
 * CALLBACKS may call the library: what is [any]; and, on the owner's thread, all but what turns the loop:
 * perilune_poll(), _run(), perilune_request_next() and _text() give PERILUNE_ERR_STATE there.  perilune_close() in
 * one takes effect when the call returns that the callback came from (perilune_poll() then returns 1, perilune_run()
 * 0, any other PERILUNE_ERR_CANCELED), and g is gone behind it; inside of a load it does nothing, and says so in the
 * log.  On a thread of the library's (a worker's, the log's) only what is [any] works, as on all that are not
 * the owner's.  A callback must not leave by longjmp() or an exception.
 *
 * ERRORS.  A function that says nothing else returns 0 or a negative
 * PERILUNE_ERR_... code, and has changed nothing when it fails.  perilune_errmsg()
 * has the sentence an operator wants to read, with file and line where there is
 * one.
 *
 * HOST.  Nothing of the process is taken: no signal handler is set, no environment, locale, umask or
 * folder is changed, nothing ends the process.  Several gateways in one process know nothing of each
 * other.  After fork() a gateway is the parent's, its requests and deferred calls are, too: in the child
 * functions return PERILUNE_ERR_STATE or do nothing, those that close and free included, and its
 * descriptors close with exec() or the child's end.  To serve in children, call perilune_open() there.
 * (A listening socket lives on in a child: let children of fork() that do not exec() end before you
 * count on an address to be free.)
 *
 * MISUSE.  NULL where a gateway, a place or a text is needed, a size that cannot be, an unknown number:
 * PERILUNE_ERR_INVAL and a sentence; perilune_errmsg(NULL) has one, too.
 *
 * GROWTH.  perilune_options and perilune_hooks start with their own size, so that fields can be
 * appended; enums gain values -- ignore those you do not know.
 */
#ifndef PERILUNE_H
#define PERILUNE_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define PERILUNE_API __attribute__((visibility("default")))
#else
#define PERILUNE_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define PERILUNE_VERSION 0x000100 /* major << 16 | minor << 8 | patch */
#define PERILUNE_VERSION_STRING "0.1.0"

#define PERILUNE_ERROR_MAP(XX)                              \
    XX(NOMEM,    -1, "out of memory")                       \
    XX(INVAL,    -2, "invalid argument")                    \
    XX(STATE,    -3, "not allowed in this state")           \
    XX(CONFIG,   -4, "configuration error")                 \
    XX(POLICY,   -5, "a policy failed")                     \
    XX(REJECTED, -6, "rejected by policy")                  \
    XX(LIMITED,  -7, "over a rate or concurrency limit")    \
    XX(TIMEOUT,  -8, "timed out")                           \
    XX(CANCELED, -9, "canceled")                            \
    XX(UPSTREAM, -10, "upstream failed")                    \
    XX(ENGINE,   -11, "local engine failed")                \
    XX(IO,       -12, "input/output error")                 \
    XX(AGAIN,    -13, "nothing yet, try again")

enum perilune_error {
    PERILUNE_OK = 0,
#define XX(name, value, text) PERILUNE_ERR_##name = value,
    PERILUNE_ERROR_MAP(XX)
#undef XX
};

/* Numbers never change.  The functions below return NOMEM, INVAL (an argument), STATE (too
 * early, or too late), CONFIG (a file says something wrong, or a policy threw while it was
 * loaded), LIMITED (a queue is full) and IO (the system refuses: an address that is taken, a
 * thread); requests fail with the others, too.  Take any other negative number for a failure. */
typedef struct perilune perilune;

typedef struct perilune_str {
    const char *ptr; /* not NUL-terminated; never NULL */
    size_t      len;
} perilune_str;

/* Severity of a log line, as in syslog: smaller is worse. */
enum perilune_log_level {
    PERILUNE_LOG_ERROR = 3,
    PERILUNE_LOG_WARN  = 4,
    PERILUNE_LOG_INFO  = 6,
    PERILUNE_LOG_DEBUG = 7
};

/* -- Configuration from memory ---------------------------------------------- */

/* Gives a text by name.  Returns 1 with the text in *text, borrowed until the next call or until the
 * function that is loading returns; 0: there is nothing of that name; a negative PERILUNE_ERR_... code:
 * it cannot be had now, and loading fails.  What is loaded is a name that you choose (options.config,
 * perilune_load(): "acme", "tenants/acme.lua"); all else is named from there like files from a folder:
 *
 *     acme.lua             the configuration
 *     policies/quota.lua   a policy 'quota' of its routes, or a module that policies `require`; asked
 *                          first, so that it may replace one that is installed
 *     prices/eu.lua        a module 'prices.eu', when there is no policies/prices/eu.lua
 *     prompts/rules.txt    whatever else policies read while they load: at most 256 MiB (Lua: 4 MiB)
 *     prompts/             with a slash at the end: the names that there are in such a folder, a line each
 *
 * With a folder in the configuration's name ("tenants/acme.lua") it stands in front of all
 * ("tenants/policies/quota.lua").  Messages name what you named, with lines.  Called on the owner's
 * thread inside perilune_open(), perilune_load(), perilune_reload() and perilune_check(); it must not
 * call functions of the gateway that is loading (they return PERILUNE_ERR_STATE).  All or nothing, as
 * ever.  `watch` sees no change in there: call perilune_reload().  Certificates, files of keys, models,
 * vocabularies, snapshots and data that is written stay files. */
typedef int (*perilune_read)(void *ud, const char *name, perilune_str *text);

typedef struct perilune_options {
    size_t      size;    /* sizeof(perilune_options) */
    const char *config;  /* path of perilune.lua; NULL: load one later */
    int         threads; /* worker threads for perilune_listen(); 0: none, the
                            owner's loop serves; -1: what the configuration
                            says (`workers`, default one per core) */
    int         watch;   /* non-zero: reload when a loaded file changes */
    /* Gets one line of JSON per event, without a newline.  NULL: log lines are dropped.
     * Called from one thread that does nothing else, a line at a time, so it may block:
     * requests go on, and once 512 KiB are waiting further lines are dropped and counted
     * (perilune_log_dropped_total, and a line that says how many).  It may call the
     * functions that are marked [any].  perilune_close() hands over what is waiting, for at
     * most two seconds, and waits for a call that is running, which may call them, too. */
    void (*log)(void *ud, int level, perilune_str line);
    void       *log_ud;
    /* Called from the same thread when no further line is waiting: the time to write out
     * lines that log() has gathered.  May be NULL. */
    void (*log_idle)(void *ud);
    /* Configuration and policies out of the host's memory (a database, say) instead of files; see
     * perilune_read above.  NULL: they are files. */
    perilune_read read;
    void         *read_ud;
} perilune_options;

/* Fields are appended: one of a newer header that is not set does no harm to an older library, one that
 * is set is PERILUNE_ERR_INVAL there. */
#define PERILUNE_OPTIONS_INIT { sizeof(perilune_options), NULL, 0, 0, NULL, NULL, NULL, NULL, NULL }

/* Replaces malloc for all that the library itself allocates (LuaJIT's memory included;
 * libuv, libcurl and OpenSSL keep their own).  ptr NULL allocates, old_size is 0 then; size
 * 0 frees and returns NULL; else the block moves as with realloc(), and old_size is what it
 * was asked with.  NULL says that there is no memory.  Called from every thread. */
typedef struct perilune_allocator {
    void *(*realloc)(void *ud, void *ptr, size_t old_size, size_t size);
    void *ud;
} perilune_allocator;

/* The time that decisions are made of: limits, timeouts, breakers, expiries, dates.  Nanoseconds; the first
 * never goes back, the second counts from 1970 (UTC).  Called from every thread, often. */
typedef struct perilune_clock {
    uint64_t (*monotonic_ns)(void *ud);
    uint64_t (*wall_ns)(void *ud);
    void *ud;
} perilune_clock;

/* -- Library --------------------------------------------------------------- */

PERILUNE_API uint32_t    perilune_version(void);       /* [any] */
PERILUNE_API const char *perilune_strerror(int error); /* [any] */
PERILUNE_API const char *perilune_errname(int error);  /* [any] "NOMEM" ... */

/* The struct is copied; NULL: malloc again.  Before the first perilune_open(),
 * PERILUNE_ERR_STATE after it. */
PERILUNE_API int perilune_set_allocator(const perilune_allocator *a);

/* As perilune_set_allocator().  Timers fire in the turn in which they are due: move the clock, then
 * perilune_wake() or perilune_poll(g, 0).  perilune_poll() counts its timeout by it, too, so with a clock
 * that stands poll with 0; waits inside of threads (for a lock, at the end for the log) go by the kernel's. */
PERILUNE_API int perilune_set_clock(const perilune_clock *c);

/* As perilune_set_allocator().  Where ids, jitter and choices begin: fill() puts len bytes and returns 0.
 * NULL: the kernel's.  (OpenSSL has its own for what is secret in TLS.)  Called from every thread. */
PERILUNE_API int perilune_set_random(int (*fill)(void *ud, void *bytes, size_t len), void *ud);

/* -- Checking ---------------------------------------------------------------- */

/* What is wrong with a configuration, or may be.  Fields may be appended. */
typedef struct perilune_message {
    int          level;  /* PERILUNE_LOG_ERROR, or PERILUNE_LOG_WARN: it may be meant as it is */
    int          line;   /* from 1; 0: not known */
    int          column; /* from 1, in bytes; 0: not known */
    perilune_str file;   /* as it was named; a policy's, when the mistake is in there */
    perilune_str key;    /* "upstreams.big.url", "routes[1].policies[2]"; or empty */
    perilune_str text;   /* the sentence */
    perilune_str whole;  /* the same with place and key in front, as perilune_errmsg() says it */
} perilune_message;

/* Loads what options->config names (by options->read, when there is one) with everything that belongs
 * to it, as perilune_open() would, serves nothing, and hands over what it finds, in order; the strings
 * are borrowed until `found` returns.  0: nothing is wrong; else an error, and at least one message at
 * PERILUNE_LOG_ERROR, unless memory ended.  `found` may be NULL.  Other options are not looked at. */
PERILUNE_API int perilune_check(const perilune_options *options,
                                void (*found)(void *ud, const perilune_message *message), void *ud);

/* -- Gateway --------------------------------------------------------------- */

/* While a function that may write runs (load, reload, listen, run, poll, close), SIGPIPE is
 * blocked in the calling thread: a client that leaves does not end the host.  Handlers, masks
 * and what was pending are afterwards as they were. */

/* Creates a gateway and loads options->config when there is one.  On failure
 * *out is NULL, nothing needs freeing, and, when errbuf is not NULL, it holds
 * the sentence (cut to errlen bytes, NUL-terminated). */
PERILUNE_API int  perilune_open(perilune **out, const perilune_options *options,
                                char *errbuf, size_t errlen);

/* Runs what was posted, stops listening, cancels what is running (requests get their last event),
 * joins the threads and frees the gateway.  Another thread may be inside of an [any] function
 * meanwhile, and perilune_post() refuses it; none may use g once this has returned.
 * Inside of a load, in options.read() or in a function that a policy calls there, it does nothing. */
PERILUNE_API void perilune_close(perilune *g);

/* The last failure on g, as a sentence.  After a reload that worked: "", or what of it
 * needs a restart.  Borrowed until the next call on g.  Never NULL. */
PERILUNE_API const char *perilune_errmsg(const perilune *g);

/* Loads configuration and policies from path.  All or nothing: after an error the old
 * ones still serve.  Requests in flight finish on the generation they began with.  Where
 * the gateway listens already, addresses change with it.  PERILUNE_ERR_STATE once it drains. */
PERILUNE_API int  perilune_load(perilune *g, const char *path);
/* The same, from where they came; PERILUNE_ERR_STATE when nothing was loaded yet. */
PERILUNE_API int  perilune_reload(perilune *g);

/* Serves HTTP on "host:port" ("127.0.0.1:0" picks a port, see perilune_port), on a path
 * ("unix:/run/p.sock", "unix:/run/p.sock?mode=660"; the file is removed at the end), on a
 * descriptor of yours that listens ("fd:3"; it stays yours, is made non-blocking, and must
 * stay open until this returns), or on a socket of systemd's ("systemd:NAME"), in place of
 * the configuration's `listen`; NULL: on that.  `admin` is opened in both cases.  Again
 * with another address: moves there.  PERILUNE_ERR_INVAL: that is no address;
 * PERILUNE_ERR_STATE: it drains, and nothing is opened any more. */
PERILUNE_API int  perilune_listen(perilune *g, const char *address);

/* The TCP port of the first address, and of the operator's; 0: none is open, or it has none.  While the
 * gateway drains, only the operator's is. */
PERILUNE_API int  perilune_port(const perilune *g);
PERILUNE_API int  perilune_admin_port(const perilune *g);

/* Runs the owner's loop until perilune_stop(), or until perilune_drain() has
 * finished.  With worker threads, too: reloading, the admin listener and watching
 * files are the owner's.  Returns 0, or 1 when a callback has closed g. */
PERILUNE_API int  perilune_run(perilune *g);

/* One turn of the loop: handles what is ready, waits up to timeout_ms
 * milliseconds for something (0: do not wait, -1: no limit).  Returns 0, or 1
 * when perilune_run() would return: stopped, drained, or closed by a callback. */
PERILUNE_API int  perilune_poll(perilune *g, int timeout_ms);

/* A descriptor for your own loop: readable means, call perilune_poll(g, 0).
 * Timers make no descriptor readable: wait no longer than perilune_timeout(). */
PERILUNE_API int  perilune_fd(const perilune *g);
PERILUNE_API int  perilune_timeout(const perilune *g); /* milliseconds; -1: none */

PERILUNE_API void perilune_stop(perilune *g);  /* [any] perilune_run returns, from now on at once */
PERILUNE_API void perilune_wake(perilune *g);  /* [any] perilune_poll returns */

/* [any] Stops accepting and starting, lets requests in flight finish for at most timeout_ms
 * milliseconds (below 0: the configuration's drain_timeout), then perilune_run()
 * returns.  A request of the program's that waits because nobody takes its events (paused, or not pulled) is not
 * waited for.  Again: the new time counts, from then on. */
PERILUNE_API void perilune_drain(perilune *g, int timeout_ms);

/* [any] Prometheus text of all counters.  Like snprintf: writes at most size bytes with
 * the NUL (size 0: none, buf may be NULL), returns the length of the whole text, or
 * PERILUNE_ERR_NOMEM. */
PERILUNE_API int  perilune_stats(perilune *g, char *buf, size_t size);

/* [any] Runs fn(g, ud) on the owner's thread, inside of its loop, in the order of a thread's calls.
 * Each call that returned 0 runs exactly once: those that still wait when the gateway is closed run inside of
 * perilune_close().  PERILUNE_ERR_LIMITED: 65536 wait already (does the owner turn its loop?);
 * PERILUNE_ERR_STATE: it is being closed; then fn will not run. */
typedef void (*perilune_posted)(perilune *g, void *ud);
PERILUNE_API int  perilune_post(perilune *g, perilune_posted fn, void *ud);

/* -- Requests -------------------------------------------------------------- */

/* One question and the events of its answer.
 *
 *     new --set--> --start--> BEGIN --> TEXT, REASONING, REFUSAL, TOOL, FINISH, DATA ... --> USAGE --> END
 *                    |                                                                       ERROR
 *                    +--> ERROR: refused, failed, canceled: at any point, and then it is the last event
 *
 * Events go to a callback, or are taken with _next() or _text().  Both run on the owner's thread while the
 * loop turns; with options.threads, too, requests of the program run on the owner's loop.  Of another thread:
 * perilune_post() a function that starts it.
 *
 * Who does not take events (paused, or not asking for the next) stops the upstream, once as many bytes are
 * waiting as limits.high_water says.  limits.request_timeout counts meanwhile. */
typedef struct perilune_request perilune_request;

/* Numbers never change, and there will be more: ignore those you do not know. */
typedef enum perilune_event_type {
    PERILUNE_EV_BEGIN = 1,     /* status, headers; text: the content type */
    PERILUNE_EV_TEXT = 2,      /* choice; text: a piece of what the model says, UTF-8 */
    PERILUNE_EV_REASONING = 3, /* choice; text: a piece of what it thinks, where that is told */
    PERILUNE_EV_TOOL = 4,      /* choice; id, name, text: its arguments (JSON).  A whole call, never a piece of one */
    PERILUNE_EV_USAGE = 5,     /* tokens_in, tokens_out, tokens_cached, usd.  Once, before the end, where the upstream
                                  said it */
    PERILUNE_EV_END = 6,       /* text: why choice 0 ended, "" where that is not said.  Nothing follows */
    PERILUNE_EV_ERROR = 7,     /* error, status, headers, retry_after_ms; name: the code that a client by HTTP would
                                  get, "rate_limit_exceeded"; text: a sentence; raw: the body by HTTP.  Nothing
                                  follows */
    PERILUNE_EV_REFUSAL = 8,   /* choice; text: a piece of why the model does not answer */
    PERILUNE_EV_FINISH = 9,    /* choice; text: why it ended: "stop", "length", "tool_calls" */
    PERILUNE_EV_DATA = 10      /* raw only: what says nothing of the above (a role, an end mark), and all bodies but
                                  those of chats: vectors, /v1/responses, audio */
} perilune_event_type;

/* Members that an event has no word for are 0 and "". */
typedef struct perilune_event {
    perilune_event_type type;
    int          error;   /* a PERILUNE_ERR_ code */
    int          status;  /* as of HTTP */
    unsigned     choice;  /* which of several answers (`n` in the body), from 0; they come in any order */
    perilune_str text;
    perilune_str name;
    perilune_str id;
    perilune_str raw;     /* the bytes that this was read from.  Those of all events but ERROR, put together, are what a
                             client by HTTP gets; of several events in one piece, the first has it */
    perilune_str headers; /* lines "name: value\r\n" */
    uint64_t     tokens_in, tokens_out, tokens_cached;
    double       usd;     /* what is paid for it, by the prices in the configuration; 0: nothing, or not known */
    uint32_t     retry_after_ms; /* 0: not said */
} perilune_event;

/* ev is borrowed until it returns.  Any request may be started, canceled or freed here, this one included. */
typedef void (*perilune_event_cb)(perilune_request *r, const perilune_event *ev, void *ud);

/* A request of this path ("/v1/chat/completions", maybe with a query) with this body: JSON, len bytes.
 * len 0: none, and it is a GET, else a POST.  What is wrong with the body comes as ERROR.
 * PERILUNE_ERR_LIMITED: it is larger than limits.body. */
PERILUNE_API int  perilune_request_new(perilune *g, const char *path, const char *json, size_t len,
                                       perilune_request **out);

/* Before it is started.  "tenant": who asks, in place of what the configuration's `tenants` would find out (at
 * most 127 bytes).  Any other name: a header, in place of one that was set; `authorization` is one, too, where a policy
 * asks for keys.  value NULL takes it back. */
PERILUNE_API int  perilune_request_set(perilune_request *r, const char *name, const char *value);

/* From here on events come: to cb, or, NULL, to perilune_request_next() and _text().  Nothing happens before the loop
 * turns.  PERILUNE_ERR_STATE: it was started before, no configuration is loaded, or the gateway drains or is closed. */
PERILUNE_API int  perilune_request_start(perilune_request *r, perilune_event_cb cb, void *ud);

/* Takes the next event, turning the loop for at most timeout_ms milliseconds (-1: no limit) until it is there; *ev is
 * borrowed until the next call on r.  Returns 0; with ERROR its code; PERILUNE_ERR_AGAIN: nothing came, *ev is NULL;
 * PERILUNE_ERR_STATE: nothing will come (it is over, was not started, has a callback, the gateway was stopped). */
PERILUNE_API int  perilune_request_next(perilune_request *r, const perilune_event **ev, int timeout_ms);

/* Turns the loop until the answer is over and lends its whole text (of choice 0; of what is no chat, its body), as far
 * as it was not taken with _next(), until r is used again.  Returns 0, or, with what came before that, as _next();
 * PERILUNE_ERR_LIMITED, then and from then on: it is larger than upstreams.*.max_body. */
PERILUNE_API int  perilune_request_text(perilune_request *r, perilune_str *text);

/* paused: no event comes to the callback until this is called with 0. */
PERILUNE_API void perilune_request_pause(perilune_request *r, int paused);

/* [any] (but not while it is being freed)  What waits is dropped and the last event is ERROR with
 * PERILUNE_ERR_CANCELED, from the loop; of an answer that is complete already, nothing changes.  NULL is fine. */
PERILUNE_API void perilune_request_cancel(perilune_request *r);

/* It stops, and no event comes any more.  After perilune_close(), too.  A build with -DPERILUNE_DEBUG says in the log
 * that a request is used after it was freed, as long as its gateway is open. */
PERILUNE_API void perilune_request_free(perilune_request *r);

/* Why the last call on r failed, as a sentence; also after perilune_close().  Never NULL. */
PERILUNE_API const char *perilune_request_errmsg(const perilune_request *r);

/* [any] The value of a line in ev->headers, whatever case the name has; 0, or PERILUNE_ERR_INVAL: there is none. */
PERILUNE_API int  perilune_event_header(const perilune_event *ev, const char *name, perilune_str *value);
/* -- Functions, values, rules ----------------------------------------------- */

/* Three ways between a program and its policies: functions of the program that policies call,
 * values of the program that they read, and rules, functions of Lua that the program calls.
 * All three work before and after perilune_load(), and beside running requests.
 *
 *     policy:   local user, err = host.lookup_user(req.tenant)    -- perilune.host is the same
 *               if perilune.values.closed then ...
 *     program:  perilune_eval(g, "pricing", "quote", "{\"items\":3}", 11, &quote);
 */

enum perilune_type {
    PERILUNE_NIL,
    PERILUNE_BOOLEAN, /* number: 0 or 1 */
    PERILUNE_NUMBER,
    PERILUNE_STRING,  /* text: any bytes */
    PERILUNE_JSON     /* text: the JSON of a table */
};

/* Never grows. */
typedef struct perilune_value {
    int          type;
    double       number;
    perilune_str text;
} perilune_value;

typedef struct perilune_call perilune_call; /* one call of a function of yours */

/* Answers at once, by perilune_call_return(), _done() or _fail(); or says by perilune_call_defer()
 * that it will.  With neither the policy gets nil.  It runs on the thread of the request, its time is
 * the policy's (limits.cpu_ms), and everybody else waits: it must not block.  args, their texts and
 * `call` live until it returns. */
typedef void (*perilune_function)(perilune_call *call, const perilune_value *args, size_t count, void *ud);

/* From now on policies can call host.NAME(...).  name: letters, digits and _, no digit first, at most
 * 63; at most 1024 functions.  They stay until perilune_close().  PERILUNE_ERR_INVAL: a bad name, or
 * one that is taken. */
PERILUNE_API int perilune_function_add(perilune *g, const char *name, perilune_function fn, void *ud);

/* [any] Answers.  The first answer counts: PERILUNE_ERR_STATE for any later one, PERILUNE_ERR_CANCELED
 * when nobody waits any more.  At most 16 MiB, else PERILUNE_ERR_LIMITED, and the call is still open.
 * value NULL: nil.  json: any value; text that is no JSON is an error for the policy. */
PERILUNE_API int perilune_call_return(perilune_call *call, const perilune_value *value);
PERILUNE_API int perilune_call_done(perilune_call *call, const char *json, size_t len);
/* [any] The policy gets nil and an error with this code ("not_found"; NULL: "host_error"; codes that
 * meta.lua knows have their status, any other 500) and message.  A client sees both when the policy
 * returns them. */
PERILUNE_API int perilune_call_fail(perilune_call *call, const char *code, const char *message);

/* From within the function: the answer comes later, from any thread.  The policy waits, others run.
 * What it returns is yours until perilune_call_free().  NULL: nothing can wait there (in tap, map and
 * finally, while loading, on a second call of this), too many wait (65536 of a thread), or there is
 * no memory; then answer at once, or the policy gets an error.
 *
 * cancel (may be NULL) is called once, on the policy's thread, when the policy stopped waiting before
 * there was an answer: its client left, its time was up (at most 60 seconds where nothing else bounds
 * it), the gateway closes.  Either an answer returns 0, or cancel is called, never both.  It may free
 * the call, if no other thread of yours can still answer it. */
PERILUNE_API perilune_call *perilune_call_defer(perilune_call *call, void (*cancel)(perilune_call *call, void *ud),
                                                void *ud);
/* [any] Gives back what perilune_call_defer() gave, also after perilune_close().  Without an answer
 * the policy gets an error.  NULL is fine. */
PERILUNE_API void perilune_call_free(perilune_call *call);

/* [any] perilune.values.NAME has this value from now on, for all workers, without a reload, which
 * leaves it alone.  Reading it costs about as much as a field of a table: a text is parsed once per
 * worker and change.  Of a table each request and evaluation gets a copy when it reads it first, so that
 * none sees what another writes into it; that costs it time and memory, by the number of values in it.
 * json NULL: it is nil again.  PERILUNE_ERR_INVAL: a bad name (as above), or no JSON;
 * PERILUNE_ERR_LIMITED: more than 1024 names, or 16 MiB in all. */
PERILUNE_API int perilune_value_set(perilune *g, const char *name, const char *json, size_t len);

/* Calls a function of Lua, in the sandbox and with the limits of policies (limits.cpu_ms, block_ms,
 * memory), and lends what it returned as JSON.
 *
 * code: a module that the configuration names in `rules`, which is read and reloaded with it, all or
 * nothing; or the text of a chunk (256 KiB), which is compiled once and kept while it is used, until
 * the next load.  (No text that does anything looks like a name.)  function: a field of the table
 * that the module or chunk returns, or a global of the chunk; NULL: the chunk itself, with the
 * arguments in `...`, or a module that is a function.  What a chunk leaves in its globals is there at
 * its next evaluation.  As policies do, both ask for the library: local perilune = require "perilune".
 *
 * args: JSON.  The elements of an array are the arguments, any other value is the only one; NULL: none.
 * *result (result may be NULL): the first value that it returned, borrowed until the next call on g.
 *
 * When it waits (sleep, fetch, ask, a deferred call of yours), the owner's loop is turned as by
 * perilune_poll(), for at most limits.request_timeout; within a callback that is PERILUNE_ERR_STATE.
 * With options.threads > 0 it runs in a Lua state of the owner's, which the first call makes.
 *
 * PERILUNE_ERR_POLICY: it does not compile, threw, or used up what it may have; PERILUNE_ERR_REJECTED:
 * it returned nil and an error, or threw a perilune.error{}; _INVAL: args are no JSON; _TIMEOUT;
 * _STATE: nothing is loaded yet.  perilune_errmsg() has the sentence, with file and line. */
PERILUNE_API int perilune_eval(perilune *g, const char *code, const char *function, const char *args, size_t len,
                               perilune_str *result);

/* A request that is over; borrowed for the call. */
typedef struct perilune_finished {
    size_t       size;     /* of what the library fills */
    perilune_str id, method, path, tenant, route;
    perilune_str upstream; /* that answered, or failed last; empty: none was asked */
    perilune_str model;
    perilune_str error;    /* the code of its failure; empty: it went well.  "canceled": its client left */
    perilune_str cache;    /* "hit", "miss" ...; empty: none was asked */
    perilune_str notes;    /* {"NAME":value,...}: what policies said by req:note() */
    int          status;   /* HTTP; 499: canceled */
    int          usage_known;
    uint64_t     tokens_in, tokens_out, tokens_cached;
    double       usd;      /* by the prices of the configuration */
    uint64_t     duration_us, first_token_us; /* 0: there was none */
} perilune_finished;

typedef struct perilune_hooks {
    size_t  size; /* sizeof(perilune_hooks) */
    /* For each request that is over, jobs and those that policies make included; before its client has
     * the end.  On the thread that served it; everybody else waits. */
    void  (*finished)(void *ud, const perilune_finished *request);
    /* The text of perilune_stats(), every metrics_ms (at least 100) milliseconds, on the owner's thread. */
    void  (*metrics)(void *ud, perilune_str text);
    int     metrics_ms;
    void   *ud;
} perilune_hooks;

#define PERILUNE_HOOKS_INIT { sizeof(perilune_hooks), NULL, NULL, 0, NULL }

/* In place of those that were there; NULL: none.  When it returns, the old ones are called no more, but
 * for one that has called it.  With options.threads > 0 `finished` is called on worker threads, where this is
 * refused as all that is the owner's: perilune_post() a function that sets other hooks.  (Log lines have a
 * hook of their own, options.log.)  PERILUNE_ERR_INVAL: a size that cannot be, or metrics_ms. */
PERILUNE_API int perilune_hook(perilune *g, const perilune_hooks *hooks);

/* -- Tools: the command line's other commands ------------------------------ */

/* Each behaves like a program, and belongs into a process of its own: takes its own arguments (argv[0]
 * is the name of the command), writes to stdout and stderr, may raise the limit of open files and set
 * the umask while it runs, returns the exit status. */
PERILUNE_API int perilune_tool_check(int argc, char **argv);
PERILUNE_API int perilune_tool_test(int argc, char **argv);
PERILUNE_API int perilune_tool_reload(int argc, char **argv);
PERILUNE_API int perilune_tool_sim(int argc, char **argv);
PERILUNE_API int perilune_tool_tokens(int argc, char **argv);
PERILUNE_API int perilune_tool_compress(int argc, char **argv);
PERILUNE_API int perilune_tool_replay(int argc, char **argv);
PERILUNE_API int perilune_tool_batch(int argc, char **argv);
PERILUNE_API int perilune_tool_distill(int argc, char **argv);
PERILUNE_API int perilune_tool_bench(int argc, char **argv);
PERILUNE_API int perilune_tool_cache(int argc, char **argv);
PERILUNE_API int perilune_tool_train(int argc, char **argv);
PERILUNE_API int perilune_tool_eval(int argc, char **argv);
PERILUNE_API int perilune_tool_script(int argc, char **argv);
PERILUNE_API int perilune_tool_vocab(int argc, char **argv);
PERILUNE_API int perilune_tool_model(int argc, char **argv);
PERILUNE_API int perilune_tool_distill_data(int argc, char **argv);

#ifdef __cplusplus
}
#endif

#endif /* PERILUNE_H */
