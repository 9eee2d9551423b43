/* courier_thread.c -- a thread for the courier.
 *
 *     owner: open, set, drain, close --letters--> [ loop: courier, an end of each queue ] <--letters-- the driver's
 * thread
 *
 * The courier talks to queues and to a broker, and to no worker.  With a loop of its own it goes on while workers
 * come and go with reloads, and a worker that is busy keeps no message waiting.  Replacing a broker waits for a
 * library that may be in the middle of something: here that holds up the courier and nobody else.
 *
 * Everything is made on the owner's thread before this one begins, so that what is wrong is an error of the load. */
#include "jobs/courier_thread.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "include/perilune.h"
#include "sys/mailbox.h"

struct courier_thread {
    struct loop    loop;
    struct mailbox box;
    struct jobs   *home, *guests;
    struct courier   *courier;
    struct log    *log;
    pthread_t      thread;
    struct letter  drain, stop;
    struct timer   deadline;
    uint64_t       within_ms;
    bool           stopping, is_late, drains;
    atomic_bool    idle;
};

/* Settings with texts of their own. */
struct change {
    struct letter            letter;
    const struct broker_ops *ops;
    struct courier_settings     s;
    struct arena             arena;
};

static bool copy_texts(struct change *c) {
    struct broker_settings *b = &c->s.broker;
    const char **const all[] = { &b->kind, &b->library, &b->host, &b->servers, &b->vhost, &b->ca, &b->user,
                                 &b->password, &b->mechanism, &b->work, &b->results, &b->dead, &b->group };
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
        if (*all[i] == NULL) continue;
        *all[i] = arena_dup(&c->arena, slice_str(*all[i]));
        if (*all[i] == NULL) return false;
    }
    return true;
}

static void change_free(struct change *c) {
    arena_deinit(&c->arena);
    mem_free(c);
}

static void open_change(struct letter *l, void *owner) {
    struct change *c = container_of(l, struct change, letter);
    struct courier_thread *t = owner;
    char why[BROKER_WHY_SIZE] = "";
    if (!t->stopping && courier_set(t->courier, c->ops, &c->s, why, sizeof(why)) != 0)
        log_line(t->log, PERILUNE_LOG_ERROR, "jobs.broker: %s%s", why,
                 courier_has_broker(t->courier) ? "" : "; jobs wait until the configuration is loaded again");
    change_free(c);
}

void courier_thread_set(struct courier_thread *t, const struct broker_ops *ops, const struct courier_settings *s) {
    struct change *c = mem_zalloc(sizeof(*c));
    if (c == NULL) {
        log_line(t->log, PERILUNE_LOG_ERROR, "jobs.broker: out of memory, the broker of before goes on");
        return;
    }
    c->ops = ops;
    c->s = *s;
    arena_init(&c->arena);
    if (!copy_texts(c) || !mailbox_send(&t->box, &c->letter, open_change)) {
        log_line(t->log, PERILUNE_LOG_ERROR, "jobs.broker: out of memory, the broker of before goes on");
        change_free(c);
    }
}

static void open_drain(struct letter *l, void *owner) {
    struct courier_thread *t = owner;
    (void)l;
    courier_drain(t->courier);
}

void courier_thread_drain(struct courier_thread *t) {
    if (t->drains) return;
    t->drains = true;
    atomic_store(&t->idle, false); /* until it was looked at */
    mailbox_send(&t->box, &t->drain, open_drain);
}

bool courier_thread_is_idle(const struct courier_thread *t) { return atomic_load((atomic_bool *)(uintptr_t)&t->idle); }
const struct courier_stats *courier_thread_stats(const struct courier_thread *t) {
    return courier_stats_of(t->courier);
}
bool courier_thread_has_broker(const struct courier_thread *t) { return courier_has_broker(t->courier); }
void courier_thread_state(const struct courier_thread *t, struct broker_state *out) { courier_state(t->courier, out); }

/* -- The thread ------------------------------------------ */

static void too_late(struct timer *timer) { container_of(timer, struct courier_thread, deadline)->is_late = true; }

static void open_stop(struct letter *l, void *owner) {
    struct courier_thread *t = owner;
    (void)l;
    t->stopping = true;
    courier_drain(t->courier);
    if (t->within_ms == 0 || timer_start(&t->loop, &t->deadline, t->within_ms, too_late) != 0) t->is_late = true;
}

static void tear_down(struct courier_thread *t) {
    timer_stop(&t->loop, &t->deadline);
    courier_free(t->courier);
    jobs_close(t->home);
    jobs_close(t->guests);
    mailbox_close(&t->box);
    loop_deinit(&t->loop);
    mailbox_deinit(&t->box);
}

static void *courier_main(void *arg) {
    struct courier_thread *t = arg;
    while (!t->stopping || !(t->is_late || courier_is_idle(t->courier))) {
        uv_run(&t->loop.uv, UV_RUN_ONCE);
        atomic_store(&t->idle, courier_is_idle(t->courier));
    }
    tear_down(t);
    return NULL;
}

/* -- Life ------------------------------------------ */

int courier_thread_open(struct courier_thread **out, const struct courier_thread_options *opt,
                        const struct broker_ops *ops, const struct courier_settings *s, char *why, size_t size) {
    *out = NULL;
    snprintf(why, size, "out of memory");
    struct courier_thread *t = mem_zalloc(sizeof(*t));
    if (t == NULL) return PERILUNE_ERR_NOMEM;
    int rc = loop_init(&t->loop);
    if (rc == 0 && (rc = mailbox_open(&t->box, &t->loop, t)) != 0) loop_deinit(&t->loop);
    if (rc != 0) {
        mem_free(t);
        return rc;
    }
    t->log = opt->log;
    atomic_init(&t->idle, true);
    t->home = jobs_open(opt->home, &t->loop);
    t->guests = jobs_open(opt->guests, &t->loop);
    rc = PERILUNE_ERR_NOMEM;
    if (t->home != NULL && t->guests != NULL)
        t->courier = courier_new(&(struct courier_options){ .loop = &t->loop, .log = opt->log, .home = t->home,
                                                   .guests = t->guests, .stays = opt->stays }, ops, s, why, size);
    if (t->courier != NULL) rc = thread_start(&t->thread, "jobs.broker", courier_main, t);
    if (rc == 0) {
        *out = t;
        return 0;
    }
    if (t->courier != NULL) snprintf(why, size, "a thread cannot be started");
    tear_down(t);
    mem_free(t);
    return rc;
}

void courier_thread_close(struct courier_thread *t, uint64_t within_ms) {
    if (t == NULL) return;
    t->within_ms = within_ms;
    mailbox_send(&t->box, &t->stop, open_stop);
    pthread_join(t->thread, NULL);
    mem_free(t);
}
