/* rules.c -- perilune_eval(): functions of Lua that the program calls.
 *
 *     threads = 0:  the worker on the owner's loop, whose Lua state serves requests, too
 *     threads > 0:  g->home, the owner's worker that neither listens nor does jobs (library.c), which requests of the
 *                   program have, too; the first of both makes it, and from then on each load builds a generation
 *                   for it, all or nothing with the others
 *
 * A rule that waits for something has the loop turned here, as perilune_poll() would.  libuv's loop cannot be turned
 * from below one of its own callbacks, so there a rule that waits is an error. */
#include "bridge/eval.h"
#include "gateway/gateway.h"
#include "gateway/library.h"

#include <stdio.h>


#define EVALS_MOST 16 /* calls of the library, one inside of a callback of the other */

/* -- Waiting ------------------------------------------------------------------------------------ */

struct waiting {
    struct eval      e;
    struct perilune *g;
    struct timer     limit;
    bool             late;
};

static void on_ended(struct eval *e) { gateway_end_turn(container_of(e, struct waiting, e)->g); }

static void limit_due(struct timer *t) {
    struct waiting *w = container_of(t, struct waiting, limit);
    w->late = true;
    gateway_end_turn(w->g);
}

static bool is_done(void *ud) {
    const struct waiting *w = ud;
    return w->e.over || w->late;
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
    gateway_turn_until(g, is_done, w);
    timer_stop(&g->loop, &w->limit);
    snprintf(why, sizeof(why), "the rule took longer than it may (limits.request_timeout); it waits for %s",
             eval_waits_for(&w->e));
    if (w->late) eval_cancel(&w->e, PERILUNE_ERR_TIMEOUT, why);
    else eval_cancel(&w->e, PERILUNE_ERR_CANCELED, "the gateway closes");
}

/* -- perilune_eval ---------------------------------------------------------------------------------- */

static int eval(struct perilune *g, struct waiting *w) {
    int rc;
    struct worker *own = library_worker(g, &rc);
    if (own == NULL) return rc;
    struct state *s = state_ref(own->gen->state);
    uint64_t most_ms = own->gen->config->request_ms;
    eval_begin(s, &w->e); /* writes nothing: what it asks for goes out when the loop turns */
    if (!w->e.over) wait_for(w, most_ms);
    state_put(s); /* of an older generation by now, it may be the last share */
    return w->e.rc;
}

PERILUNE_API int perilune_eval(perilune *g, const char *code, const char *function, const char *args, size_t len,
                               perilune_str *result) {
    if (result != NULL) *result = (perilune_str){ "", 0 };
    int refused = gateway_refuses(g);
    if (refused != 0) return refused;
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
