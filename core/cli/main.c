/* main.c -- the command line: a client of perilune.h alone.
 *
 * serve waits in perilune_poll(); a thread waits for signals, notes them and
 * wakes it.  SIGHUP reloads, SIGTERM and SIGINT drain, a second one stops. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "perilune.h"

static const char help[] =
    "Perilune: a runtime for applications of large language models.\n\n"
    "usage: perilune COMMAND ...\n\n"
    "  serve FILE.lua     serve (SIGHUP: reload, SIGTERM: drain and end)\n"
    "  check FILE.lua     load everything, say what is wrong\n"
    "  test FILE...       run policy specs in virtual time\n"
    "  reload FILE.lua    ask the running instance to reload\n"
    "  sim                a simulated OpenAI-compatible upstream\n"
    "  bench URL          a load tester for chat endpoints\n"
    "  tokens [FILE]      how many tokens a text or a chat request is\n"
    "  compress FILE      what policies make of a text or a chat request\n"
    "  vocab import FILE  a tokenizer.json for counting tokens\n\n"
    "perilune COMMAND --help says more.  perilune --version\n";

/* -- Logging -------------------------------------------------------------------- */

/* A log line is JSON; for a person: its level and message, then the rest. */
static void print_short(perilune_str line) {
    const char *msg = memmem(line.ptr, line.len, "\"msg\":\"", 7);
    const char *end = line.ptr + line.len;
    if (msg == NULL) return;
    msg += 7;
    const char *stop = msg;
    while (stop < end && (*stop != '"' || stop[-1] == '\\')) stop++;
    const char *time = line.ptr + 20; /* {"time":"YYYY-MM-DDT */
    char rest[512] = "";
    size_t n = 0;
    for (const char *p = stop + 1; p < end && n < sizeof(rest) - 1; p++)
        if (*p != '"' && *p != '}') rest[n++] = *p == ',' ? ' ' : *p;
    fprintf(stderr, "%.8s %.*s%s\n", time, (int)(stop - msg), msg, rest);
}

/* A write per request would cost as much as parsing it: lines gather here and
 * leave together, at the latest FLUSH_MS later, at once for warnings and worse. */
#define LOG_BUFFER (64 * 1024)
#define FLUSH_MS   20

struct logger {
    int             tty;
    bool            over;
    pthread_mutex_t lock;
    pthread_cond_t  filled;
    pthread_t       thread;
    size_t          len; /* LOCK */
    char            text[LOG_BUFFER];
};

static void write_all(const char *p, size_t n) {
    while (n > 0) {
        ssize_t k = write(STDERR_FILENO, p, n);
        if (k < 0 && errno == EINTR) continue;
        if (k <= 0) return; /* nobody reads the log any more */
        p += k;
        n -= (size_t)k;
    }
}

static void flush_locked(struct logger *l) {
    write_all(l->text, l->len);
    l->len = 0;
}

static void *flush_main(void *arg) {
    struct logger *l = arg;
    pthread_mutex_lock(&l->lock);
    while (!l->over) {
        while (l->len == 0 && !l->over) pthread_cond_wait(&l->filled, &l->lock);
        pthread_mutex_unlock(&l->lock);
        usleep(FLUSH_MS * 1000);
        pthread_mutex_lock(&l->lock);
        flush_locked(l);
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

static void on_log(void *ud, int level, perilune_str line) {
    struct logger *l = ud;
    if (l->tty) {
        print_short(line);
        return;
    }
    pthread_mutex_lock(&l->lock);
    if (l->len + line.len + 1 > LOG_BUFFER) flush_locked(l);
    if (line.len + 1 > LOG_BUFFER) {
        write_all(line.ptr, line.len);
        write_all("\n", 1);
    } else {
        memcpy(l->text + l->len, line.ptr, line.len);
        l->len += line.len;
        l->text[l->len++] = '\n';
    }
    if (level <= PERILUNE_LOG_WARN || l->len > LOG_BUFFER / 2) flush_locked(l);
    else if (l->len > 0 && l->len == line.len + 1) pthread_cond_signal(&l->filled);
    pthread_mutex_unlock(&l->lock);
}

static int logger_open(struct logger *l) {
    l->tty = isatty(STDERR_FILENO);
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->filled, NULL);
    return pthread_create(&l->thread, NULL, flush_main, l);
}

static void logger_close(struct logger *l) {
    pthread_mutex_lock(&l->lock);
    l->over = true;
    pthread_cond_signal(&l->filled);
    pthread_mutex_unlock(&l->lock);
    pthread_join(l->thread, NULL);
    flush_locked(l);
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

static void act_on(struct signals *s) {
    static const int from_configuration = -1;
    if (atomic_exchange(&s->hup, 0) > 0) perilune_reload(s->g); /* logs what happens */
    int term = atomic_load(&s->term);
    if (term >= 2) perilune_stop(s->g);
    else if (term == 1 && !s->draining) {
        s->draining = true;
        perilune_drain(s->g, from_configuration);
    }
}

static void say_hello(perilune *g) {
    int port = perilune_port(g), admin = perilune_admin_port(g);
    printf(
            "perilune %s is listening on port %d%s\n\n"
            "  curl -s http://127.0.0.1:%d/v1/chat/completions -H 'content-type: application/json' \\\n"
            "    -d '{\"messages\":[{\"role\":\"user\",\"content\":\"Hello, moon\"}]}'\n\n",
            PERILUNE_VERSION_STRING, port, admin ? "" : " (no admin listener)", port);
    if (admin) printf("  admin: http://127.0.0.1:%d/metrics\n\n", admin);
    fflush(stdout);
    __fpurge(stdout); /* nobody need read it */
    clearerr(stdout);
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
    o.log_ud = &log;
    signal(SIGPIPE, SIG_IGN);
    raise_descriptor_limit();
    sigemptyset(&s.set);
    sigaddset(&s.set, SIGHUP);
    sigaddset(&s.set, SIGTERM);
    sigaddset(&s.set, SIGINT);
    pthread_sigmask(SIG_BLOCK, &s.set, NULL); /* all threads inherit it; only the waiter takes them */
    if (logger_open(&log) != 0) {
        fprintf(stderr, "cannot start a thread\n");
        return 1;
    }
    int status = 1;
    if (perilune_open(&s.g, &o, err, sizeof(err)) == 0) status = serve_until_done(&s);
    else fprintf(stderr, "%s\n", err);
    perilune_close(s.g);
    logger_close(&log);
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
                 { "vocab", perilune_tool_vocab } };

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
    return checked(run(argc, argv));
}
