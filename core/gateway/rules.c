/* rules.c -- perilune_eval(): functions of Lua that the program calls.
 *
 *     threads = 0:  the worker on the owner's loop, whose Lua state serves requests, too
 *     threads > 0:  g->own, a worker of the owner's that neither listens nor does jobs; the first evaluation makes it,
 *                   and from then on each load builds a generation for it, all or nothing with the others
 *
 * A rule that waits for something has the loop turned here, as perilune_poll() would.  libuv's loop cannot be turned
 * from below one of its own callbacks, so there a rule that waits is an error. */
#include "bridge/eval.h"
#include "gateway/gateway.h"

#include <stdio.h>

#include "sys/sigpipe.h"

#define EVALS_MOST 16 /* calls of the library, one inside of a callback of the other */

/* -- Where ------------------------------------------------------------------------------------ */

/* From the bundle that is loaded. */
static int make_ready(struct perilune *g, struct worker *w) {
    struct generation *gen = NULL;
    unsigned char files[32] = { 0 };
    if (!bundle_digest(g->bundle, files)) return gateway_fail(g, PERILUNE_ERR_NOMEM, "out of memory");
    w->no_jobs = true;
    w->finished = g->hooks.finished;
    w->finished_ud = g->hooks.ud;
    int rc = gateway_prepare_one(g, &gen, w, g->bundle, g->config, files);
    if (rc == 0) worker_install(w, gen);
    else generation_free(gen);
    return rc;
}

static int open_own(struct perilune *g) {
    struct worker *w = mem_zalloc(sizeof(*w));
    if (w == NULL) return gateway_fail(g, PERILUNE_ERR_NOMEM, "out of memory");
    int rc = gateway_open_worker(g, w, g->worker_count, &g->loop);
    if (rc == 0 && (rc = make_ready(g, w)) != 0) worker_close(w);
    if (rc == 0) g->own = w;
    else mem_free(w);
    return rc;
}

/* The worker whose thread is the owner's. NULL: *rc says why. */
static struct worker *own_worker(struct perilune *g, int *rc) {
    *rc = 0;
    if (g->config == NULL)
        *rc = gateway_fail(g, PERILUNE_ERR_STATE, "nothing is loaded yet; a configuration may be as short as "
                                                  "'return {}'");
    else if (!g->workers[0].threaded) return &g->workers[0];
    else if (g->own == NULL) *rc = open_own(g);
    return *rc == 0 ? g->own : NULL;
}

/* -- Waiting ------------------------------------------------------------------------------------ */

struct waiting {
    struct eval      e;
    struct perilune *g;
    struct timer     limit;
    bool             late;
};

/* libuv before 1.45 would block behind a timer or deferred work that ended what was waited for. */
static void end_turn(struct perilune *g) { uv_stop(&g->loop.uv); }

static void on_ended(struct eval *e) { end_turn(container_of(e, struct waiting, e)->g); }

static void limit_due(struct timer *t) {
    struct waiting *w = container_of(t, struct waiting, limit);
    w->late = true;
    end_turn(w->g);
}

static void wait_for(struct waiting *w, uint64_t most_ms) {
    struct perilune *g = w->g;
    char why[200];
    snprintf(why, sizeof(why), "the rule waits (for %s), and inside of a callback the loop cannot be turned",
             eval_waits_for(&w->e));
    if (g->depth > 1) {
        eval_cancel(&w->e, PERILUNE_ERR_STATE, why);
        return;
    }
    if (timer_start(&g->loop, &w->limit, most_ms, limit_due) != 0)
        eval_cancel(&w->e, PERILUNE_ERR_NOMEM, "out of memory");
    w->e.ended = on_ended;
    while (!w->e.over && !w->late && !g->close_asked) gateway_turn(g, -1);
    timer_stop(&g->loop, &w->limit);
    snprintf(why, sizeof(why), "the rule took longer than it may (limits.request_timeout); it waits for %s",
             eval_waits_for(&w->e));
    if (w->late) eval_cancel(&w->e, PERILUNE_ERR_TIMEOUT, why);
    else eval_cancel(&w->e, PERILUNE_ERR_CANCELED, "the gateway closes");
}

/* -- perilune_eval ---------------------------------------------------------------------------------- */

static int eval(struct perilune *g, struct waiting *w) {
    int rc;
    struct worker *own = own_worker(g, &rc);
    if (own == NULL) return rc;
    struct state *s = state_ref(own->gen->state);
    uint64_t most_ms = own->gen->config->request_ms;
    struct sigpipe held;
    sigpipe_hold(&held);
    eval_begin(s, &w->e);
    if (!w->e.over) wait_for(w, most_ms);
    state_put(s); /* of an older generation by now, it may be the last share */
    sigpipe_release(&held);
    return w->e.rc;
}

PERILUNE_API int perilune_eval(perilune *g, const char *code, const char *function, const char *args, size_t len,
                               perilune_str *result) {
    if (result != NULL) *result = (perilune_str){ "", 0 };
    if (g == NULL) return PERILUNE_ERR_INVAL;
    if (code == NULL) return gateway_fail(g, PERILUNE_ERR_INVAL, "perilune_eval() needs a module's name or a chunk");
    if (g->depth >= EVALS_MOST) return gateway_fail(g, PERILUNE_ERR_STATE, "rules call the program, which calls rules, "
                                                                            "%d deep", EVALS_MOST);
    if (gateway_enter(g, "an evaluation") != 0) return PERILUNE_ERR_STATE;
    g->errmsg[0] = '\0';
    struct waiting w = { .g = g, .e = { .code = slice_str(code), .function = function, .args = { args, len },
                                        .result = &g->eval_result, .err = g->errmsg, .errlen = sizeof(g->errmsg) } };
    int rc = eval(g, &w);
    if (gateway_leave(g)) return PERILUNE_ERR_CANCELED;
    if (rc == 0 && result != NULL) *result = (perilune_str){ buf_get(&g->eval_result).ptr, buf_len(&g->eval_result) };
    return rc;
}
