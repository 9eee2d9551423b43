/* log_thread.c -- a bounded queue of log lines, and the thread that empties it.
 *
 *      workers, owner --push--> [ filling ]     one lock, one memcpy, never a wait
 *                                   | swap, when somebody is to see it
 *      log thread               [ taken   ] --> write(line), write(line), ..., idle()
 *
 * Whoever reads the log may be slow, or may not read at all: a pipe whose reader sleeps, a
 * full disk, a host that holds its own lock.  That must never stop a worker, so only this
 * thread waits for it.  Meanwhile `filling` fills up, and a line that finds no room is dropped
 * and counted; when the reader has taken what was in front of the gap, it gets one line that
 * says how many are missing.
 *
 * A write for each request would cost as much as parsing it, so lines gather for GATHER_MS
 * before the thread takes them; warnings and errors, and a queue that is half full, are
 * taken at once.
 *
 * Both halves are allocated with the thread: a line never fails for want of memory here. */
#include "sys/log_thread.h"

#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "sys/mailbox.h"

#define QUEUE_BYTES (512 * 1024) /* each half: 2,000 lines of the access log */
#define GATHER_MS   20

struct entry { /* in front of each line; packed behind each other without alignment */
    uint32_t len;
    int32_t  level;
};

struct log_thread {
    struct log_reader reader;
    struct log       *log;
    pthread_t         thread;
    pthread_mutex_t   lock;
    pthread_cond_t    woken;
    char             *filling;   /* LOCK */
    size_t            len;       /* LOCK: of filling */
    bool              urgent;    /* LOCK: do not gather any longer */
    uint64_t          give_up_ms; /* set before `over`: no line is begun after this */
    atomic_bool       over;
    char             *taken;     /* the thread's */
    uint64_t          reported;  /* the thread's: drops that were told */
    atomic_uint_least64_t dropped;
};

static uint64_t now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* -- Pushing: any thread ---------------------------------------------------------------- */

static void push(void *ud, int level, perilune_str line) {
    struct log_thread *t = ud;
    struct entry e = { .len = (uint32_t)line.len, .level = level };
    pthread_mutex_lock(&t->lock);
    bool was_asleep = t->len == 0 && !t->urgent;
    bool fits = line.len <= QUEUE_BYTES - sizeof(e) && t->len <= QUEUE_BYTES - sizeof(e) - line.len;
    if (fits) {
        memcpy(t->filling + t->len, &e, sizeof(e));
        memcpy(t->filling + t->len + sizeof(e), line.ptr, line.len);
        t->len += sizeof(e) + line.len;
    } else {
        atomic_fetch_add(&t->dropped, 1);
    }
    bool hurry = !t->urgent && (!fits || level <= PERILUNE_LOG_WARN || t->len > QUEUE_BYTES / 2);
    if (hurry) t->urgent = true;
    if (hurry || was_asleep) pthread_cond_signal(&t->woken);
    pthread_mutex_unlock(&t->lock);
}

/* -- Writing: the log thread -------------------------------------------------------------- */

static bool gave_up(const struct log_thread *t) { return atomic_load(&t->over) && now_ms() >= t->give_up_ms; }

static void hand_out(struct log_thread *t, size_t len) {
    struct entry e;
    for (size_t at = 0; at < len; at += sizeof(e) + e.len) {
        if (gave_up(t)) return;
        memcpy(&e, t->taken + at, sizeof(e));
        t->reader.write(t->reader.ud, e.level, (perilune_str){ t->taken + at + sizeof(e), e.len });
    }
}

static void report_dropped(struct log_thread *t, uint64_t dropped) {
    if (dropped == t->reported || gave_up(t)) return;
    struct log direct = { .write = t->reader.write, .ud = t->reader.ud, .level = PERILUNE_LOG_WARN };
    log_line(&direct, PERILUNE_LOG_WARN, "%llu log lines were dropped here: they came faster than they were read",
             (unsigned long long)(dropped - t->reported));
    t->reported = dropped;
}

/* Until lines are there and have had their time to gather.  Under the lock. */
static void await_lines(struct log_thread *t) {
    while (t->len == 0 && !t->urgent && !atomic_load(&t->over)) pthread_cond_wait(&t->woken, &t->lock);
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += GATHER_MS * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    while (!t->urgent && !atomic_load(&t->over) && pthread_cond_timedwait(&t->woken, &t->lock, &until) == 0) {}
}

static void *log_main(void *arg) {
    struct log_thread *t = arg;
    bool over = false;
    while (!over) {
        pthread_mutex_lock(&t->lock);
        await_lines(t);
        size_t len = t->len;
        char *full = t->filling;
        t->filling = t->taken;
        t->taken = full;
        t->len = 0;
        t->urgent = false;
        over = atomic_load(&t->over); /* nobody pushes any more: this was the last */
        uint64_t dropped = atomic_load(&t->dropped);
        pthread_mutex_unlock(&t->lock);
        hand_out(t, len);
        report_dropped(t, dropped);
        if (t->reader.idle) t->reader.idle(t->reader.ud);
    }
    return NULL;
}

/* -- Life ------------------------------------------------------------------------------------ */

static int init_locks(struct log_thread *t) {
    pthread_condattr_t attr;
    if (pthread_mutex_init(&t->lock, NULL) != 0) return PERILUNE_ERR_NOMEM;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    int rc = pthread_cond_init(&t->woken, &attr);
    pthread_condattr_destroy(&attr);
    if (rc == 0) return 0;
    pthread_mutex_destroy(&t->lock);
    return PERILUNE_ERR_NOMEM;
}

static void free_all(struct log_thread *t) {
    mem_free(t->filling);
    mem_free(t->taken);
    mem_free(t);
}

int log_thread_open(struct log_thread **out, struct log *log, const struct log_reader *reader) {
    *out = NULL;
    struct log_thread *t = mem_zalloc(sizeof(*t));
    if (t == NULL) return PERILUNE_ERR_NOMEM;
    t->log = log;
    t->reader = *reader;
    t->filling = mem_alloc(QUEUE_BYTES);
    t->taken = mem_alloc(QUEUE_BYTES);
    int rc = t->filling && t->taken ? init_locks(t) : PERILUNE_ERR_NOMEM;
    if (rc != 0) {
        free_all(t);
        return rc;
    }
    rc = thread_start(&t->thread, "log", log_main, t);
    if (rc != 0) {
        pthread_cond_destroy(&t->woken);
        pthread_mutex_destroy(&t->lock);
        free_all(t);
        return rc;
    }
    log->write = push;
    log->ud = t;
    *out = t;
    return 0;
}

void log_thread_close(struct log_thread *t, uint64_t close_ms) {
    if (t == NULL) return;
    pthread_mutex_lock(&t->lock);
    t->give_up_ms = now_ms() + close_ms;
    atomic_store(&t->over, true);
    pthread_cond_signal(&t->woken);
    pthread_mutex_unlock(&t->lock);
    pthread_join(t->thread, NULL);
    t->log->write = NULL; /* a line that comes later has nobody who reads it */
    pthread_cond_destroy(&t->woken);
    pthread_mutex_destroy(&t->lock);
    free_all(t);
}

bool log_thread_is_closing(const struct log_thread *t) { return atomic_load(&t->over); }

uint64_t log_thread_dropped(const struct log_thread *t) {
    return t ? atomic_load(&t->dropped) : 0;
}

