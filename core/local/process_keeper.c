/* process_keeper.c -- the process of an engine, from start to end.
 *
 *     DOWN --keeper_start--> STARTING --hello, loaded--> UP --it dies, hangs, is killed--> DOWN
 *                                |                                                           ^
 *                                +--- it cannot be started, does not load, says nothing -----+
 *
 * A thread of its own starts the process, reads what it complains of, and sees it end: nobody else waits for it, so
 * none is left as a zombie, and a full pipe stops nobody.  It is also the thread that the kernel watches for the
 * process (PR_SET_PDEATHSIG), and lives as long as the model.
 *
 * The process is Perilune's own program, started again: a fork of a process with threads may do next to nothing, and
 * whatever the library did to its memory would be here, too.  /proc/self/exe is the same file even when another one has
 * been installed since.  In a program that embeds Perilune it is not Perilune; there its program is looked for beside
 * the library and beside the program, or engine.program says where it is.
 *
 * What it writes to its standard streams becomes lines of the log: so many in a time, of so many bytes.
 *
 * What it does not do: decide when to start again.  Who runs the model does (resident_recover.c). */
#include "local/process_keeper.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "include/perilune.h"
#include "sys/mailbox.h"

#define HELLO_MS   30000            /* until a program that was started says who it is */
#define LOAD_MS    (60 * 60 * 1000) /* until a model is loaded: files may come over a network */
#define LINE_BYTES 300              /* of a line that it writes */
#define LINES      20               /* of them, in LINES_MS; others are counted */
#define LINES_MS   10000

extern char **environ;

/* The process that there is, the keeper's thread only. */
struct life {
    struct keeper *k;
    pid_t    pid;
    int      work, side, errors;
    bool     greeted, loaded;
    uint64_t until_ms;         /* what is awaited must have come; 0: nothing is */
    char     line[LINE_BYTES];
    size_t   line_len;
    char     last[LINE_BYTES + 1]; /* line that was whole; "": there was none */
    unsigned lines, dropped;
    uint64_t lines_since_ms;
    char     ends[PROCESS_WHY]; /* why we end it; "": we do not */
};

/* -- Which program ----------------------------------------------------------------------- */

static bool is_program(const char *path) { return access(path, X_OK) == 0; }

/* "perilune", also when its file has been replaced. */
static bool is_perilune(const char *path) {
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    return strcmp(name, "perilune") == 0 || strcmp(name, "perilune (deleted)") == 0;
}

static bool beside(const char *file, const char *below, char *out, size_t size) {
    const char *slash = file ? strrchr(file, '/') : NULL;
    int n = slash ? snprintf(out, size, "%.*s%sperilune", (int)(slash - file), file, below) : 0;
    return n > 0 && (size_t)n < size && is_program(out);
}

static bool find_program(const char *wanted, char *out, size_t size, char *why, size_t why_size) {
    char self[PATH_MAX] = "";
    Dl_info info = { .dli_fname = NULL };
    if (wanted != NULL) {
        snprintf(out, size, "%s", wanted);
        if (is_program(wanted)) return true;
        snprintf(why, why_size, "engine.program: %s cannot be started: %s", wanted, strerror(errno));
        return false;
    }
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (n > 0 && is_perilune(self)) {
        snprintf(out, size, "/proc/self/exe");
        return true;
    }
    static const char here = 0; /* an address in the library */
    (void)dladdr(&here, &info);
    if (beside(info.dli_fname, "/", out, size) || beside(info.dli_fname, "/../bin/", out, size) ||
        beside(self, "/", out, size)) return true;
    snprintf(why, why_size, "engine.process: the program perilune is neither this one nor beside it or libperilune.so: "
             "say where it is with engine.program");
    return false;
}

/* -- Starting ---------------------------------------------------------------------------------- */

/* Out of the way of the numbers that it gets in the process. */
static int lift(int fd) {
    int up = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, PROCESS_FIRST_FREE + 8) : -1;
    if (fd >= 0) close(fd);
    return up;
}

static void close_all(int *fds, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (fds[i] >= 0) close(fds[i]);
}

/* ours and theirs: work, side, errors. */
static bool make_pipes(int ours[3], int theirs[3]) {
    int pair[2];
    for (int i = 0; i < 3; i++) ours[i] = theirs[i] = -1;
    for (int i = 0; i < 3; i++) {
        int rc = i < 2 ? socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) : pipe2(pair, O_CLOEXEC);
        if (rc != 0) break;
        ours[i] = lift(pair[0]);
        theirs[i] = lift(pair[1]);
    }
    bool ok = true;
    for (int i = 0; i < 3; i++) ok &= ours[i] >= 0 && theirs[i] >= 0;
    if (ok && fcntl(ours[2], F_SETFL, O_NONBLOCK) == 0) return true;
    close_all(ours, 3);
    close_all(theirs, 3);
    return false;
}

static int spawn(struct life *l, const char *program, const int theirs[3]) {
    posix_spawn_file_actions_t files;
    posix_spawnattr_t how;
    sigset_t none, all;
    char *argv[] = { (char *)(uintptr_t)"perilune", (char *)(uintptr_t)PROCESS_COMMAND,
                     (char *)(uintptr_t)l->k->options.model, NULL };
    sigemptyset(&none);
    sigfillset(&all);
    if (posix_spawn_file_actions_init(&files) != 0) return ENOMEM;
    if (posix_spawnattr_init(&how) != 0) {
        posix_spawn_file_actions_destroy(&files);
        return ENOMEM;
    }
    int rc = posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (rc == 0) rc = posix_spawn_file_actions_adddup2(&files, theirs[2], STDOUT_FILENO);
    if (rc == 0) rc = posix_spawn_file_actions_adddup2(&files, theirs[2], STDERR_FILENO);
    if (rc == 0) rc = posix_spawn_file_actions_adddup2(&files, theirs[0], PROCESS_WORK);
    if (rc == 0) rc = posix_spawn_file_actions_adddup2(&files, theirs[1], PROCESS_SIDE);
    if (rc == 0) rc = posix_spawn_file_actions_adddup2(&files, l->k->memory, PROCESS_MEMORY);
    /* A group of its own: keys of a terminal are for us. */
    posix_spawnattr_setflags(&how, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    posix_spawnattr_setsigmask(&how, &none);
    posix_spawnattr_setsigdefault(&how, &all);
    posix_spawnattr_setpgroup(&how, 0);
    if (rc == 0) rc = posix_spawn(&l->pid, program, &files, &how, argv, environ);
    posix_spawnattr_destroy(&how);
    posix_spawn_file_actions_destroy(&files);
    return rc;
}

/* What it is to load goes ahead: it reads that when it has said hello. */
static bool send_wish(struct life *l) {
    const struct perilune_engine_options *o = &l->k->options;
    struct process_wish w = { .threads = o->threads, .context = o->context, .context_each = o->context_each,
                              .sequences = o->sequences, .batch = o->batch, .gpu_layers = o->gpu_layers,
                              .flash_attention = o->flash_attention, .has_library = o->library != NULL,
                              .has_device = o->device != NULL, .has_kv_type = o->kv_type != NULL };
    for (; w.split_count < o->split_count && w.split_count < PROCESS_SPLIT; w.split_count++)
        w.split[w.split_count] = o->split[w.split_count];
    struct buf body, out;
    buf_init(&body, 1 << 16);
    buf_init(&out, 0);
    buf_put(&body, &w, sizeof(w));
    buf_put(&body, o->model, strlen(o->model) + 1);
    const char *const texts[] = { o->library, o->device, o->kv_type };
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
        buf_put(&body, texts[i] ? texts[i] : "", texts[i] ? strlen(texts[i]) + 1 : 1);
    struct slice s = buf_get(&body);
    if (!buf_failed(&body)) process_put(&out, PROCESS_LOAD, 0, s.ptr, s.len);
    s = buf_get(&out);
    bool ok = s.len > 0 && !buf_failed(&out) && process_send(l->work, s.ptr, s.len, process_now_ms() + HELLO_MS) == 0;
    buf_deinit(&body);
    buf_deinit(&out);
    return ok;
}

static bool begin(struct life *l) {
    char program[PATH_MAX];
    int ours[3], theirs[3];
    if (!find_program(l->k->options.program, program, sizeof(program), l->ends, sizeof(l->ends))) return false;
    if (!make_pipes(ours, theirs)) {
        snprintf(l->ends, sizeof(l->ends), "no connection to a process of the engine: %s", strerror(errno));
        return false;
    }
    int rc = spawn(l, program, theirs);
    close_all(theirs, 3);
    if (rc != 0) {
        close_all(ours, 3);
        snprintf(l->ends, sizeof(l->ends), "%.300s cannot be started as the process of an engine: %s", program,
                 strerror(rc));
        return false;
    }
    l->work = ours[0];
    l->side = ours[1];
    l->errors = ours[2];
    struct keeper *k = l->k;
    pthread_mutex_lock(&k->lock);
    k->pid = l->pid;
    k->work = l->work;
    k->side_fd = l->side;
    k->reason[0] = '\0';
    k->starts++;
    pthread_mutex_unlock(&k->lock);
    l->until_ms = process_now_ms() + HELLO_MS;
    return true;
}

/* -- What it writes ------------------------------------------------------------------------------- */

static void tell(const struct keeper *k, const char *sentence) {
    if (k->options.say != NULL) k->options.say(k->options.ud, sentence);
}

static void end_line(struct life *l) {
    char text[LINE_BYTES + 80];
    uint64_t now = process_now_ms();
    if (l->line_len == 0) return;
    snprintf(l->last, sizeof(l->last), "%.*s", (int)l->line_len, l->line);
    if (now - l->lines_since_ms >= LINES_MS) {
        if (l->dropped > 0) {
            snprintf(text, sizeof(text), "the engine's process wrote %u lines more", l->dropped);
            tell(l->k, text);
        }
        l->lines = l->dropped = 0;
        l->lines_since_ms = now;
    }
    if (l->lines < LINES) {
        snprintf(text, sizeof(text), "the engine's process writes: %.*s", (int)l->line_len, l->line);
        tell(l->k, text);
        l->lines++;
    } else {
        l->dropped++;
    }
    l->line_len = 0;
}

/* A line that is too long is cut; bytes that are no text of one line are told as '?'. */
static void read_errors(struct life *l) {
    char bytes[4096];
    ssize_t n;
    while ((n = read(l->errors, bytes, sizeof(bytes))) > 0) {
        for (ssize_t i = 0; i < n; i++) {
            unsigned char c = (unsigned char)bytes[i];
            if (c == '\n') end_line(l);
            else if (l->line_len < sizeof(l->line)) l->line[l->line_len++] = c < 0x20 || c > 0x7e ? '?' : (char)c;
        }
        if (n < (ssize_t)sizeof(bytes)) break; /* others want to be looked at, too */
    }
    if (n == 0) {
        close(l->errors);
        l->errors = -1;
    }
}

/* -- What it says ------------------------------------------------------------------------------------ */

static void set_up(struct life *l) {
    struct keeper *k = l->k;
    l->loaded = true;
    l->until_ms = 0;
    pthread_mutex_lock(&k->side_lock);
    k->side = l->side;
    pthread_mutex_unlock(&k->side_lock);
    pthread_mutex_lock(&k->lock);
    k->state = KEEPER_UP;
    pthread_cond_broadcast(&k->changed);
    pthread_mutex_unlock(&k->lock);
}

/* False: l->ends says why it must end. */
static bool listen_to(struct life *l) {
    struct process_head h;
    struct buf *in = &l->k->loaded;
    int rc = process_receive(l->work, &h, in, PROCESS_MESSAGE, process_now_ms() + HELLO_MS);
    if (rc == PERILUNE_ERR_IO) return false; /* how it ended is known soon */
    if (rc == 0 && !l->greeted && h.op == PROCESS_HELLO && h.value == PROCESS_VERSION) {
        l->greeted = true;
        l->until_ms = process_now_ms() + LOAD_MS;
        return send_wish(l);
    }
    if (rc == 0 && l->greeted && h.op == PROCESS_LOADED && h.value == 0) {
        set_up(l);
        return true;
    }
    if (rc == 0 && l->greeted && h.op == PROCESS_LOADED)
        snprintf(l->ends, sizeof(l->ends), "%.*s", (int)buf_len(in), buf_get(in).ptr);
    else if (rc == PERILUNE_ERR_NOMEM) snprintf(l->ends, sizeof(l->ends), "out of memory");
    else
        snprintf(l->ends, sizeof(l->ends), "the program that was started for the engine is another version of perilune "
                 "(%s): start this one again, or say engine.program", PERILUNE_VERSION_STRING);
    return false;
}

/* Until it is over. */
static void watch(struct life *l) {
    for (;;) {
        uint64_t now = process_now_ms();
        if (l->until_ms != 0 && now >= l->until_ms) {
            const char *what = l->greeted ? "did not load its model in an hour"
                                          : "said nothing: engine.program must be perilune, of this version";
            snprintf(l->ends, sizeof(l->ends), "the engine's process %s", what);
            return;
        }
        short words = l->loaded ? 0 : POLLIN; /* later it is the model's thread that reads */
        struct pollfd p[3] = { { l->errors, POLLIN, 0 }, { l->work, words, 0 }, { l->k->wake, POLLIN, 0 } };
        if (poll(p, 3, l->until_ms ? (int)(l->until_ms - now) : -1) < 0 && errno != EINTR) return;
        if (p[0].revents != 0) read_errors(l);
        if (p[1].revents & POLLIN) {
            if (!listen_to(l)) return;
        } else if (p[1].revents != 0) {
            return;
        }
        if (p[2].revents != 0) return; /* it is not wanted any more */
    }
}

/* -- Its end ---------------------------------------------------------------------------------------------- */

static void describe_end(const struct life *l, const siginfo_t *how, const char *reason, char *out, size_t size) {
    if (l->ends[0] != '\0') snprintf(out, size, "%s", l->ends);
    else if (reason[0] != '\0') snprintf(out, size, "the engine's process %s, and was killed", reason);
    else if (how->si_pid == 0) snprintf(out, size, "the engine's process ended; somebody else waited for it");
    else if (how->si_code == CLD_EXITED)
        snprintf(out, size, "the engine's process ended by itself, with status %d", how->si_status);
    else snprintf(out, size, "the engine's process was ended by signal %d (%s)", how->si_status,
                  strsignal(how->si_status));
    /* While it loads there is nobody to look for its lines in a log, and it may be the first thing that there is. */
    size_t n = strlen(out);
    if (!l->loaded && l->ends[0] == '\0' && reason[0] == '\0' && l->last[0] != '\0')
        snprintf(out + n, size - n, ", after it had written: %s", l->last);
}

/* It is dead when its number is given back, so that nobody kills another one with that. */
static void bury(struct life *l) {
    struct keeper *k = l->k;
    siginfo_t how;
    memset(&how, 0, sizeof(how));
    shutdown(l->work, SHUT_RDWR); /* who waits for an answer waits no more */
    shutdown(l->side, SHUT_RDWR);
    kill(l->pid, SIGKILL);
    while (waitid(P_PID, (id_t)l->pid, &how, WEXITED | WNOWAIT) != 0 && errno == EINTR) continue;
    if (l->errors >= 0) read_errors(l);
    end_line(l);
    pthread_mutex_lock(&k->lock);
    k->pid = 0;
    while (waitpid(l->pid, NULL, 0) < 0 && errno == EINTR) continue;
    describe_end(l, &how, k->reason, k->why, sizeof(k->why));
    pthread_mutex_unlock(&k->lock);
    if (l->errors >= 0) close(l->errors);
}

static void set_down(struct keeper *k) {
    pthread_mutex_lock(&k->side_lock);
    k->side = -1;
    pthread_mutex_unlock(&k->side_lock);
    pthread_mutex_lock(&k->lock);
    k->state = KEEPER_DOWN;
    pthread_cond_broadcast(&k->changed);
    pthread_mutex_unlock(&k->lock);
}

/* One process, from start to end. */
static void live(struct keeper *k) {
    struct life l = { .k = k, .work = -1, .side = -1, .errors = -1, .lines_since_ms = process_now_ms() };
    bool began = begin(&l);
    if (began) {
        watch(&l);
        bury(&l);
    }
    pthread_mutex_lock(&k->lock);
    if (!began) snprintf(k->why, sizeof(k->why), "%s", l.ends);
    bool wanted = !k->stop;
    char why[PROCESS_WHY];
    snprintf(why, sizeof(why), "%s", k->why);
    pthread_mutex_unlock(&k->lock);
    set_down(k);
    if (!wanted || !l.loaded) return; /* who waits for it to load is told by keeper_look() */
    tell(k, why);
    if (k->options.lost != NULL) k->options.lost(k->options.ud);
}

static void *keeper_main(void *arg) {
    struct keeper *k = arg;
    pthread_mutex_lock(&k->lock);
    while (!k->stop) {
        if (k->start) {
            k->start = false;
            pthread_mutex_unlock(&k->lock);
            live(k);
            pthread_mutex_lock(&k->lock);
        } else {
            pthread_cond_wait(&k->changed, &k->lock);
        }
    }
    pthread_mutex_unlock(&k->lock);
    return NULL;
}

/* -- For others ------------------------------------------------------------------------------------------------ */

int keeper_init(struct keeper *k, const struct perilune_engine_options *o, int memory) {
    *k = (struct keeper){ .options = *o, .memory = memory, .work = -1, .side = -1, .side_fd = -1 };
    k->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    buf_init(&k->loaded, 0);
    if (k->wake < 0) return PERILUNE_ERR_IO;
    pthread_mutex_init(&k->lock, NULL);
    pthread_mutex_init(&k->side_lock, NULL);
    pthread_cond_init(&k->changed, NULL);
    if (thread_start(&k->thread, "engine", keeper_main, k) == 0) return 0;
    pthread_mutex_destroy(&k->lock);
    pthread_mutex_destroy(&k->side_lock);
    pthread_cond_destroy(&k->changed);
    close(k->wake);
    return PERILUNE_ERR_IO;
}

static void close_connections(struct keeper *k) {
    pthread_mutex_lock(&k->side_lock);
    if (k->work >= 0) close(k->work);
    if (k->side_fd >= 0) close(k->side_fd);
    k->work = k->side_fd = k->side = -1;
    pthread_mutex_unlock(&k->side_lock);
}

void keeper_deinit(struct keeper *k) {
    pthread_mutex_lock(&k->lock);
    k->stop = true;
    pthread_cond_broadcast(&k->changed);
    pthread_mutex_unlock(&k->lock);
    if (eventfd_write(k->wake, 1) != 0) errno = 0; /* it is full of wishes that nobody has read */
    pthread_join(k->thread, NULL);
    close_connections(k);
    close(k->wake);
    buf_deinit(&k->loaded);
    pthread_mutex_destroy(&k->lock);
    pthread_mutex_destroy(&k->side_lock);
    pthread_cond_destroy(&k->changed);
}

void keeper_start(struct keeper *k) {
    close_connections(k);
    pthread_mutex_lock(&k->lock);
    k->state = KEEPER_STARTING;
    k->start = true;
    pthread_cond_broadcast(&k->changed);
    pthread_mutex_unlock(&k->lock);
}

static enum keeper_state look(struct keeper *k, bool wait, char *why, size_t why_size) {
    pthread_mutex_lock(&k->lock);
    while (wait && k->state == KEEPER_STARTING) pthread_cond_wait(&k->changed, &k->lock);
    enum keeper_state s = k->state;
    if (s == KEEPER_DOWN) snprintf(why, why_size, "%s", k->why);
    pthread_mutex_unlock(&k->lock);
    return s;
}

enum keeper_state keeper_look(struct keeper *k, char *why, size_t why_size) { return look(k, false, why, why_size); }
enum keeper_state keeper_wait(struct keeper *k, char *why, size_t why_size) { return look(k, true, why, why_size); }

void keeper_kill(struct keeper *k, const char *reason) {
    pthread_mutex_lock(&k->lock);
    if (k->pid > 0) kill(k->pid, SIGKILL);
    if (reason != NULL && k->reason[0] == '\0') snprintf(k->reason, sizeof(k->reason), "%s", reason);
    pthread_mutex_unlock(&k->lock);
}
