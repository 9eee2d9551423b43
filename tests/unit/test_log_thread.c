/* test_log_thread.c -- log lines and a reader that may be slow. */
#include "sys/log_thread.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

/* A reader that stops in front of each line until it may go on. */
struct reader {
    pthread_mutex_t lock;
    pthread_cond_t  changed;
    bool            shut;     /* nothing is taken */
    unsigned        entered;  /* calls that began */
    unsigned        lines, idles, gaps;
    unsigned long   missing;  /* as the lines about gaps say */
    unsigned        last[4];  /* by thread */
    bool            disorder;
    pthread_t       caller;
    bool            several_callers;
};

static void on_line(void *ud, int level, perilune_str line) {
    struct reader *r = ud;
    pthread_mutex_lock(&r->lock);
    if (r->entered++ == 0) r->caller = pthread_self();
    else r->several_callers |= !pthread_equal(r->caller, pthread_self());
    pthread_cond_broadcast(&r->changed);
    while (r->shut) pthread_cond_wait(&r->changed, &r->lock);
    unsigned thread, number;
    const char *gap = memmem(line.ptr, line.len, " log lines were dropped", 23);
    const char *text = memmem(line.ptr, line.len, "\"msg\":\"", 7);
    if (gap != NULL) {
        CHECK_INT(level, PERILUNE_LOG_WARN);
        r->gaps++;
        r->missing += strtoul(text + 7, NULL, 10);
    } else if (text != NULL && sscanf(text, "\"msg\":\"%u %u", &thread, &number) == 2) {
        r->lines++;
        r->disorder |= number < r->last[thread];
        r->last[thread] = number;
    }
    pthread_mutex_unlock(&r->lock);
}

static void on_idle(void *ud) {
    struct reader *r = ud;
    pthread_mutex_lock(&r->lock);
    r->idles++;
    pthread_mutex_unlock(&r->lock);
}

static void shut(struct reader *r, bool yes) {
    pthread_mutex_lock(&r->lock);
    r->shut = yes;
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->lock);
}

static void await_entered(struct reader *r, unsigned n) {
    pthread_mutex_lock(&r->lock);
    while (r->entered < n) pthread_cond_wait(&r->changed, &r->lock);
    pthread_mutex_unlock(&r->lock);
}

static int open_log(struct log_thread **t, struct log *log, struct reader *r) {
    *log = (struct log){ .write = NULL };
    atomic_init(&log->level, PERILUNE_LOG_INFO);
    memset(r, 0, sizeof(*r));
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->changed, NULL);
    return log_thread_open(t, log, &(struct log_reader){ .write = on_line, .idle = on_idle, .ud = r });
}

struct writer {
    struct log *log;
    unsigned    number;
};

#define EACH 3000

static void *write_many(void *arg) {
    struct writer *w = arg;
    for (unsigned i = 1; i <= EACH; i++)
        log_line(w->log, i % 500 ? PERILUNE_LOG_INFO : PERILUNE_LOG_WARN, "%u %u", w->number, i);
    return NULL;
}

TEST_NOFAULT(each_line_arrives_once_and_in_order) {
    struct log_thread *t;
    struct log log;
    struct reader r;
    CHECK_INT(open_log(&t, &log, &r), 0);
    pthread_t threads[3];
    struct writer w[3];
    for (unsigned i = 0; i < 3; i++) {
        w[i] = (struct writer){ &log, i };
        CHECK_INT(pthread_create(&threads[i], NULL, write_many, &w[i]), 0);
    }
    for (unsigned i = 0; i < 3; i++) pthread_join(threads[i], NULL);
    uint64_t dropped = log_thread_dropped(t);
    log_thread_close(t, 60000);
    CHECK_UINT(r.lines + dropped, 3 * EACH);
    CHECK_UINT(r.missing, dropped);
    CHECK(!r.disorder);
    CHECK(!r.several_callers && !pthread_equal(r.caller, pthread_self()));
    CHECK(r.idles > 0 && r.idles < r.lines);
}

TEST_NOFAULT(a_reader_that_sleeps_stops_nobody_and_hears_of_the_gap) {
    struct log_thread *t;
    struct log log;
    struct reader r;
    CHECK_INT(open_log(&t, &log, &r), 0);
    shut(&r, true);
    unsigned sent = 0;
    while (log_thread_dropped(t) < 1000) log_line(&log, PERILUNE_LOG_INFO, "0 %u", ++sent);
    CHECK(sent > 5000); /* that many were kept */
    CHECK_UINT(r.lines, 0);
    shut(&r, false);
    log_line(&log, PERILUNE_LOG_INFO, "0 %u", ++sent); /* may still find no room */
    unsigned seen = 0;
    while (seen == 0) { /* the reader is told without anybody logging again */
        pthread_mutex_lock(&r.lock);
        seen = r.gaps;
        pthread_mutex_unlock(&r.lock);
        sched_yield();
    }
    uint64_t dropped = log_thread_dropped(t);
    log_line(&log, PERILUNE_LOG_INFO, "0 %u", ++sent);
    log_thread_close(t, 60000);
    CHECK_UINT(r.lines + dropped, sent);
    CHECK_UINT(r.missing, dropped);
    CHECK(!r.disorder);
    CHECK_UINT(r.last[0], sent);
}

TEST_NOFAULT(a_line_that_is_too_long_is_a_gap) {
    struct log_thread *t;
    struct log log;
    struct reader r;
    CHECK_INT(open_log(&t, &log, &r), 0);
    struct buf line;
    buf_init(&line, 0);
    log_begin(&line, PERILUNE_LOG_INFO, "long");
    char *text = buf_reserve(&line, 1 << 20);
    CHECK(text != NULL);
    memset(text, 'x', 1 << 20);
    buf_advance(&line, 1 << 20);
    log_end(&log, PERILUNE_LOG_INFO, &line);
    buf_deinit(&line);
    CHECK_UINT(log_thread_dropped(t), 1);
    log_thread_close(t, 60000);
    CHECK_UINT(r.missing, 1);
}

static void *close_now(void *t) {
    log_thread_close(t, 0);
    return NULL;
}

TEST_NOFAULT(closing_waits_for_the_line_that_is_being_written_only) {
    struct log_thread *t;
    struct log log;
    struct reader r;
    pthread_t closer;
    CHECK_INT(open_log(&t, &log, &r), 0);
    shut(&r, true);
    log_line(&log, PERILUNE_LOG_WARN, "0 1");
    await_entered(&r, 1);
    for (unsigned i = 2; i < 100; i++) log_line(&log, PERILUNE_LOG_WARN, "0 %u", i);
    CHECK_INT(pthread_create(&closer, NULL, close_now, t), 0);
    while (!log_thread_is_closing(t)) sched_yield();
    shut(&r, false);
    pthread_join(closer, NULL);
    CHECK_UINT(r.lines, 1);
}

TEST(opening_fails_whole) {
    struct log_thread *t;
    struct log log;
    struct reader r;
    int rc = open_log(&t, &log, &r);
    if (rc == 0) {
        CHECK(log.write != NULL);
    } else {
        CHECK_INT(rc, PERILUNE_ERR_NOMEM);
        CHECK(t == NULL && log.write == NULL);
    }
    log_thread_close(t, 0);
}
