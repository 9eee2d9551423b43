/* main.c -- the command line: a client of perilune.h, but for what it says first (hello.c).
 *
 * serve waits in perilune_poll(); a thread waits for signals, notes them and
 * wakes it.  SIGHUP reloads, SIGTERM and SIGINT drain, a second one stops. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "cli/ending.h"
#include "cli/hello.h"
#include "perilune.h"
#include "base/mem.h"
#include "local/llama.h"
#include "local/process_child.h"
#include "local/process_wire.h"

static const char help[] =
    "Perilune: a runtime for applications of large language models.\n\n"
    "usage: perilune COMMAND ...\n\n"
    "  serve FILE.lua     serve (SIGHUP: reload, SIGTERM: drain and end)\n"
    "  check FILE.lua     load everything, say what is wrong\n"
    "  test FILE...       run policy specs in virtual time\n"
    "  reload FILE.lua    ask the running instance to reload\n"
    "  script FILE.lua    run a program in Lua that asks models\n"
    "  sim                a simulated OpenAI-compatible upstream\n"
    "  bench URL          a load tester for chat endpoints\n"
    "  tokens [FILE]      how many tokens a text or a chat request is\n"
    "  compress FILE      what policies make of a text or a chat request\n"
    "  replay LOG         what policies would have made of the traffic of an access log\n"
    "  batch FILE.jsonl   a file of requests, in OpenAI's batch format, answered into a file\n"
    "  distill FILE       a static prompt, rewritten shorter by a model\n"
    "  distill-data FILE  training sets out of what the policy 'capture' kept\n"
    "  model show FILE    what a GGUF file of a model holds; other care of models\n"
    "  cache calibrate F  fit the semantic cache to one's own questions\n"
    "  cache table M T    use a static embedding model of one's own in it\n"
    "  train FILE -o M    a classifier for route_smart out of outcomes\n"
    "  eval FILE [M]      what a classifier is worth on outcomes\n"
    "  vocab import FILE  a tokenizer.json for counting tokens\n\n"
    "perilune COMMAND --help says more.  perilune --version\n";

/* -- Logging -------------------------------------------------------------------- */

/* Lines gather here and leave in one write when the log thread has no further one.
 * Whoever holds the other end of stderr may not read it.  The log thread may wait for that
 * while we serve, but not for ever when we end: it waits in poll(), where main wakes it up,
 * and writes no more at a time than what poll() says there is room for. */
#define LOG_BUFFER  (64 * 1024)
#define LOG_WRITE   4096 /* PIPE_BUF of Linux */
#define LOG_LAST_MS 2000 /* for a reader that has stopped reading, when we end */

struct logger {
    int             fd;
    bool            is_tty, is_lost; /* is_lost: we end, and nobody reads */
    int             wake[2];         /* a pipe; readable: ends_at is set */
    atomic_llong    ends_at_ms;      /* 0: not yet */
    size_t          len;
    char            text[LOG_BUFFER];
};

static long long now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (long long)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Waits until stderr takes something; false: it will not in time. */
static bool await_room(struct logger *l) {
    for (;;) {
        long long ends = atomic_load(&l->ends_at_ms), left = ends ? ends - now_ms() : -1;
        if (ends != 0 && left < 0) left = 0;
        struct pollfd p[2] = { { .fd = l->fd, .events = POLLOUT }, { .fd = ends ? -1 : l->wake[0], .events = POLLIN } };
        int n = poll(p, 2, (int)left);
        if (p[0].revents != 0) return true;
        if (n < 0 && errno != EINTR) return true; /* write() will tell */
        if (n == 0) return false;
    }
}

static void flush(struct logger *l) {
    const char *p = l->text;
    while (l->len > 0 && !l->is_lost) {
        if (!await_room(l)) {
            l->is_lost = true;
            break;
        }
        ssize_t k = write(l->fd, p, l->len < LOG_WRITE ? l->len : LOG_WRITE);
        if (k < 0 && (errno == EINTR || errno == EAGAIN)) continue;
        if (k <= 0) break; /* a full disk, a reader that left: the next lines may fare better */
        p += k;
        l->len -= (size_t)k;
    }
    l->len = 0;
}

static void put(struct logger *l, const char *p, size_t n) {
    while (n > 0) {
        if (l->len == LOG_BUFFER) flush(l);
        size_t k = LOG_BUFFER - l->len < n ? LOG_BUFFER - l->len : n;
        memcpy(l->text + l->len, p, k);
        l->len += k;
        p += k;
        n -= k;
    }
}

/* A log line is JSON; for a person: its time, level and message, then the rest. */
static void put_short(struct logger *l, perilune_str line) {
    const char *msg = memmem(line.ptr, line.len, "\"msg\":\"", 7);
    const char *end = line.ptr + line.len;
    if (msg == NULL) return;
    msg += 7;
    const char *stop = msg;
    while (stop < end && (*stop != '"' || stop[-1] == '\\')) stop++;
    put(l, line.ptr + 20, 8); /* {"time":"YYYY-MM-DDT */
    put(l, " ", 1);
    put(l, msg, (size_t)(stop - msg));
    for (const char *p = stop + 1; p < end; p++)
        if (*p != '"' && *p != '}') put(l, *p == ',' ? " " : p, 1);
    put(l, "\n", 1);
}

static void on_log(void *ud, int level, perilune_str line) {
    struct logger *l = ud;
    (void)level;
    if (l->is_tty) {
        put_short(l, line);
        return;
    }
    put(l, line.ptr, line.len);
    put(l, "\n", 1);
}

static void on_log_idle(void *ud) { flush(ud); }

/* A pipe that others write to as well may fill up between poll() and write(): then write()
 * must not wait.  A description of our own can be told so without telling the others. */
static int open_again(int fd) {
    char path[40];
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISFIFO(st.st_mode)) return fd;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int own = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    return own >= 0 ? own : fd;
}

static int logger_open(struct logger *l) {
    l->fd = open_again(STDERR_FILENO);
    l->is_tty = isatty(STDERR_FILENO);
    return pipe2(l->wake, O_CLOEXEC);
}

/* From now on the log thread waits for nobody longer than LOG_LAST_MS. */
static void logger_end(struct logger *l) {
    atomic_store(&l->ends_at_ms, now_ms() + LOG_LAST_MS);
    close(l->wake[1]);
}

/* -- Crashing ---------------------------------------------------------------------- */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static void catch_crashes(void) {} /* they have handlers of their own */
#else
/* What a worker logged before it crashed is still in the queue.  The log thread runs on while
 * this one sleeps here; then the signal has its usual effect. */
static void on_crash(int sig) {
    struct timespec t = { .tv_nsec = 100 * 1000 * 1000 };
    nanosleep(&t, NULL);
    raise(sig); /* its handler is gone (SA_RESETHAND); delivered when we return */
}

static void catch_crashes(void) {
    static const int signals[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT };
    struct sigaction a = { .sa_handler = on_crash, .sa_flags = (int)SA_RESETHAND };
    for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++) sigaction(signals[i], &a, NULL);
}
#endif

/* -- The service manager ------------------------------------------------------------ */

/* What sd_notify(3) does: a datagram to the socket that NOTIFY_SOCKET names ('@' in front: in the
 * abstract namespace).  Nobody who runs us needs to listen, so failures are no failures. */
static void notify(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void notify(const char *fmt, ...) {
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    const char *path = getenv("NOTIFY_SOCKET");
    size_t len = path ? strlen(path) : 0;
    if (len < 2 || len >= sizeof(to.sun_path) || (path[0] != '/' && path[0] != '@')) return;
    memcpy(to.sun_path, path, len);
    if (path[0] == '@') to.sun_path[0] = '\0';
    char text[256];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || n < 0 || n >= (int)sizeof(text)) return;
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    sendto(fd, text, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&to, size);
    close(fd);
}

/* -- serve ------------------------------------------------------------------------ */

struct signals {
    perilune   *g;
    sigset_t    set;
    atomic_int  hup, term;
    atomic_bool over;
    bool        draining; /* main thread only */
};

static void *wait_signals(void *arg) {
    struct signals *s = arg;
    int sig;
    while (sigwait(&s->set, &sig) == 0 && !atomic_load(&s->over)) {
        if (sig == SIGHUP) atomic_fetch_add(&s->hup, 1);
        else atomic_fetch_add(&s->term, 1);
        perilune_wake(s->g);
    }
    return NULL;
}

static void reload(perilune *g) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    notify("RELOADING=1\nMONOTONIC_USEC=%lld\n", (long long)t.tv_sec * 1000000 + t.tv_nsec / 1000);
    int rc = perilune_reload(g); /* logs what happens */
    notify("READY=1\nSTATUS=%s\n", rc == 0 ? "Serving" : "Serving the old configuration, the last reload was refused");
}

static void act_on(struct signals *s) {
    static const int from_configuration = -1;
    if (atomic_exchange(&s->hup, 0) > 0) {
        if (s->draining) perilune_reload(s->g); /* is refused, and says so; the service manager knows that we end */
        else reload(s->g);
    }
    int term = atomic_load(&s->term);
    if (term >= 2) perilune_stop(s->g);
    else if (term == 1 && !s->draining) {
        s->draining = true;
        notify("STOPPING=1\nSTATUS=Draining\n");
        perilune_drain(s->g, from_configuration);
    }
}

/* Nobody need read it.  stdout may be the pipe of the log, which workers may have filled by now, and this thread must
 * not wait for its reader. */
static void say_hello(perilune *g) {
    struct buf text;
    buf_init(&text, 0);
    hello_say(g, &text);
    int fd = open_again(STDOUT_FILENO);
    struct slice s = buf_get(&text);
    bool takes = poll(&(struct pollfd){ .fd = fd, .events = POLLOUT }, 1, 0) == 1;
    if (takes && !buf_failed(&text) && write(fd, s.ptr, s.len) < 0) errno = 0; /* it is lost */
    if (fd != STDOUT_FILENO) close(fd);
    buf_deinit(&text);
}

/* Until stopped or drained. */
static int serve_until_done(struct signals *s) {
    pthread_t thread;
    /* This thread loads and answers the operator; clients, whom the workers serve,
     * come first.  On Linux niceness belongs to a thread. */
    setpriority(PRIO_PROCESS, 0, 10);
    if (perilune_listen(s->g, NULL) != 0) {
        fprintf(stderr, "%s\n", perilune_errmsg(s->g));
        return 1;
    }
    say_hello(s->g);
    if (pthread_create(&thread, NULL, wait_signals, s) != 0) return 1;
    notify("READY=1\nSTATUS=Serving\nMAINPID=%lld\n", (long long)getpid());
    while (perilune_poll(s->g, -1) == 0) act_on(s);
    atomic_store(&s->over, true);
    pthread_kill(thread, SIGTERM);
    pthread_join(thread, NULL);
    return 0;
}

/* As many descriptors as we may have: a stream needs two. */
static void raise_descriptor_limit(void) {
    struct rlimit lim;
    if (getrlimit(RLIMIT_NOFILE, &lim) != 0 || lim.rlim_cur >= lim.rlim_max) return;
    lim.rlim_cur = lim.rlim_max;
    setrlimit(RLIMIT_NOFILE, &lim);
}

static int serve(const char *file, int watch) {
    static struct logger log;
    struct signals s = { .g = NULL };
    char err[2048];
    perilune_options o = PERILUNE_OPTIONS_INIT;
    o.config = file;
    o.threads = -1;
    o.watch = watch;
    o.log = on_log;
    o.log_idle = on_log_idle;
    o.log_ud = &log;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a limit of files' sizes is an error of a write, and not the end of all requests */
    mem_tune();
    raise_descriptor_limit();
    sigemptyset(&s.set);
    sigaddset(&s.set, SIGHUP);
    sigaddset(&s.set, SIGTERM);
    sigaddset(&s.set, SIGINT);
    pthread_sigmask(SIG_BLOCK, &s.set, NULL); /* all threads inherit it; only the waiter takes them */
    if (logger_open(&log) != 0) {
        fprintf(stderr, "perilune serve: a pipe for the log: %s\n", strerror(errno));
        return 1;
    }
    catch_crashes();
    int status = 1;
    if (perilune_open(&s.g, &o, err, sizeof(err)) == 0) status = serve_until_done(&s);
    else fprintf(stderr, "%s\n", err);
    logger_end(&log);
    struct ending ending;
    ending_begin(&ending, &s.set, atomic_load(&s.term) >= 2, status);
    perilune_close(s.g);
    ending_done(&ending);
    return status;
}

static int cmd_serve(int argc, char **argv) {
    static const char text[] = "usage: perilune serve [--watch] FILE.lua\n\n"
                               "Serves what the configuration says.  SIGHUP, POST /admin/reload and, with --watch,\n"
                               "a change of a loaded file reload it; SIGTERM lets requests finish and ends.\n"
                               "Exit status 0: ended, 1: could not start, 2: wrong usage.\n";
    const char *file = NULL;
    int watch = 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            fputs(text, stdout);
            return 0;
        }
        if (strcmp(argv[i], "--watch") == 0) watch = 1;
        else if (file == NULL && argv[i][0] != '-') file = argv[i];
        else {
            fprintf(stderr, "perilune serve: unexpected '%s'\n\n%s", argv[i], text);
            return 2;
        }
    }
    if (file == NULL) {
        fputs(text, stderr);
        return 2;
    }
    return serve(file, watch);
}

/* -- main ---------------------------------------------------------------------------- */

static const struct {
    const char *name;
    int       (*run)(int argc, char **argv);
} commands[] = { { "serve", cmd_serve },           { "check", perilune_tool_check },
                 { "test", perilune_tool_test },   { "reload", perilune_tool_reload },
                 { "sim", perilune_tool_sim },     { "bench", perilune_tool_bench },
                 { "tokens", perilune_tool_tokens },   { "compress", perilune_tool_compress },
                 { "replay", perilune_tool_replay },
                 { "batch", perilune_tool_batch },
                 { "distill", perilune_tool_distill },
                 { "distill-data", perilune_tool_distill_data },
                 { "model", perilune_tool_model },
                 { "train", perilune_tool_train },
                 { "eval", perilune_tool_eval },
                 { "script", perilune_tool_script },
                 { "cache", perilune_tool_cache },   { "vocab", perilune_tool_vocab } };

/* Who starts us without a standard stream (`>&-`) must not have the next socket take its
 * number.  What stands in refuses what the stream was for, so that nobody reads or writes
 * nothing and is told that it went well. */
static void fill_standard_streams(void) {
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) < 0) return;
}

/* Output that a full disk or a closed stream swallowed is a failure, whatever the command thought. */
static int checked(int status) {
    bool lost = fflush(stdout) != 0;
    if (!lost && !ferror(stdout)) return status;
    fprintf(stderr, "perilune: standard output: %s\n", lost ? strerror(errno) : "not all was written");
    return status == 0 ? 1 : status;
}

static int run(int argc, char **argv) {
    if (argc < 2) {
        fputs(help, stderr);
        return 2;
    }
    if (strcmp(argv[1], PROCESS_COMMAND) == 0) return process_child_main(&llama_engine);
    for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
        if (strcmp(argv[1], commands[i].name) == 0) return commands[i].run(argc - 1, argv + 1);
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        fputs(help, stdout);
        return 0;
    }
    if (strcmp(argv[1], "--version") == 0) {
        puts("perilune " PERILUNE_VERSION_STRING);
        return 0;
    }
    fprintf(stderr, "perilune: no command '%s'\n\n%s", argv[1], help);
    return 2;
}

int main(int argc, char **argv) {
    fill_standard_streams();
    /* An assertion of a model's library ends the process; without this it starts a debugger first. */
    setenv("GGML_NO_BACKTRACE", "1", 0);
    return checked(run(argc, argv));
}
