/* perilune.h -- embed the gateway in a C program.
 *
 * This header is the whole public interface: what is not here may change
 * without notice, and this text is its reference manual.
 *
 * THE MODEL.  A `perilune` is a gateway: one configuration with its policies,
 * the upstreams it names, and one event loop.  perilune_listen() serves HTTP on
 * that loop, or, with options.threads > 0, on that many worker threads that
 * share the address by SO_REUSEPORT.
 *
 * OWNERSHIP.  perilune_open() gives you an object; perilune_close() takes it
 * back.  Strings you pass in are copied before the call returns.  Strings you
 * get are borrowed: they live until the next call on the same object, or until
 * the callback returns.  Closing NULL is a no-op.
 *
 * THREADS.  The thread that called perilune_open() owns the gateway.  Functions
 * marked [any] may be called from any thread at any time, all others only from
 * the owner.  Only options.log and options.log_idle are called from a thread that is
 * not yours: the log thread.
 *
 * ERRORS.  A function that says nothing else returns 0 or a negative
 * PERILUNE_ERR_... code, and has changed nothing when it fails.  perilune_errmsg()
 * has the sentence an operator wants to read, with file and line where there is
 * one.
 *
 * GROWTH.  perilune_options starts with its own size, so that fields can be
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
 * loaded) and IO (the system refuses: an address that is taken, a thread); take any other
 * negative number for a failure, too. */
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
} perilune_options;

#define PERILUNE_OPTIONS_INIT { sizeof(perilune_options), NULL, 0, 0, NULL, NULL, NULL }

/* Replaces malloc for all that the library itself allocates (LuaJIT's memory included;
 * libuv, libcurl and OpenSSL keep their own).  ptr NULL allocates, old_size is 0 then; size
 * 0 frees and returns NULL; else the block moves as with realloc(), and old_size is what it
 * was asked with.  NULL says that there is no memory.  Called from every thread. */
typedef struct perilune_allocator {
    void *(*realloc)(void *ud, void *ptr, size_t old_size, size_t size);
    void *ud;
} perilune_allocator;

/* -- Library --------------------------------------------------------------- */

PERILUNE_API uint32_t    perilune_version(void);       /* [any] */
PERILUNE_API const char *perilune_strerror(int error); /* [any] */
PERILUNE_API const char *perilune_errname(int error);  /* [any] "NOMEM" ... */

/* The struct is copied; NULL: malloc again.  Before the first perilune_open(),
 * PERILUNE_ERR_STATE after it. */
PERILUNE_API int perilune_set_allocator(const perilune_allocator *a);

/* -- Gateway --------------------------------------------------------------- */

/* While a function that may write runs (load, reload, listen, run, poll, close), SIGPIPE is
 * blocked in the calling thread: a client that leaves does not end the host.  Handlers, masks
 * and what was pending are afterwards as they were. */

/* Creates a gateway and loads options->config when there is one.  On failure
 * *out is NULL, nothing needs freeing, and, when errbuf is not NULL, it holds
 * the sentence (cut to errlen bytes, NUL-terminated). */
PERILUNE_API int  perilune_open(perilune **out, const perilune_options *options,
                                char *errbuf, size_t errlen);

/* Stops listening, cancels what is running, joins the threads and frees the
 * gateway.  No other thread may use g any more. */
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

/* Serves HTTP on "host:port" ("127.0.0.1:0" picks a port, see perilune_port) in place of
 * the configuration's `listen`; NULL: on that.  `admin` is opened in both cases.  Again
 * with another address: moves there.  PERILUNE_ERR_INVAL: that is no address;
 * PERILUNE_ERR_STATE: it drains, and nothing is opened any more. */
PERILUNE_API int  perilune_listen(perilune *g, const char *address);

/* The TCP port of the first address, and of the operator's; 0: none is open.  While the
 * gateway drains, only the operator's is. */
PERILUNE_API int  perilune_port(const perilune *g);
PERILUNE_API int  perilune_admin_port(const perilune *g);

/* Runs the owner's loop until perilune_stop(), or until perilune_drain() has
 * finished.  With worker threads, too: reloading, the admin listener and watching
 * files are the owner's.  Returns 0. */
PERILUNE_API int  perilune_run(perilune *g);

/* One turn of the loop: handles what is ready, waits up to timeout_ms
 * milliseconds for something (0: do not wait, -1: no limit).  Returns 0, or 1
 * when perilune_run() would return: stopped, or drained. */
PERILUNE_API int  perilune_poll(perilune *g, int timeout_ms);

/* A descriptor for your own loop: readable means, call perilune_poll(g, 0).
 * Timers make no descriptor readable: wait no longer than perilune_timeout(). */
PERILUNE_API int  perilune_fd(const perilune *g);
PERILUNE_API int  perilune_timeout(const perilune *g); /* milliseconds; -1: none */

PERILUNE_API void perilune_stop(perilune *g);  /* [any] perilune_run returns, from now on at once */
PERILUNE_API void perilune_wake(perilune *g);  /* [any] perilune_poll returns */

/* [any] Stops accepting, lets requests in flight finish for at most timeout_ms
 * milliseconds (below 0: the configuration's drain_timeout), then perilune_run()
 * returns.  Again: the new time counts, from then on. */
PERILUNE_API void perilune_drain(perilune *g, int timeout_ms);

/* [any] Prometheus text of all counters.  Like snprintf: writes at most size bytes with
 * the NUL (size 0: none, buf may be NULL), returns the length of the whole text, or
 * PERILUNE_ERR_NOMEM. */
PERILUNE_API int  perilune_stats(perilune *g, char *buf, size_t size);

/* -- Tools: the command line's other commands ------------------------------ */

/* Each behaves like a program: takes its own arguments (argv[0] is the name of
 * the command), writes to stdout and stderr, returns the exit status. */
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
