/* library.c -- what a gateway keeps for the program that it is part of: its requests, a worker for them, and what its
 * threads want done.
 *
 *     any thread:  perilune_post ----------> mailbox of the gateway --> fn(g, ud)
 *                  perilune_request_cancel -> mailbox of the library --> request_api.c
 *     owner:       perilune_request_start --> library_worker --> an exchange on the owner's loop
 *
 * With options.threads there are workers with loops of their own, and none on the owner's.  The first request opens
 * one there: it has no listener and does no jobs, so a program that turns its loop seldom keeps nobody else waiting.
 * Programs that only serve do without it and its Lua state.
 *
 * A program, and all the more one with a collector, frees its requests when it likes, the gateway may be closed by
 * then.  So the library is counted: the gateway has a share, and each request.  Its mailbox refuses letters once the
 * gateway is closed, which makes a late cancel harmless.
 *
 * Bounds: POSTS_MAX functions wait.  Thread: the owner's, but for perilune_post(). */
#include "gateway/library.h"

#include "gateway/gateway.h"

#define POSTS_MAX 65536

/* -- Posts ------------------------------------------------------------------------------ */

struct post_letter {
    struct letter   letter;
    perilune_posted fn;
    void           *ud;
};

static void post_opened(struct letter *m, void *owner) {
    struct post_letter *p = container_of(m, struct post_letter, letter);
    perilune *g = owner;
    perilune_posted fn = p->fn;
    void *ud = p->ud;
    mem_free(p);
    atomic_fetch_sub_explicit(&g->posts, 1, memory_order_relaxed);
    fn(g, ud);
}

PERILUNE_API int perilune_post(perilune *g, perilune_posted fn, void *ud) {
    int refused = fn != NULL ? gateway_looks(g) : PERILUNE_ERR_INVAL;
    if (refused != 0) return refused;
    struct post_letter *p = mem_alloc(sizeof(*p));
    if (p == NULL) return PERILUNE_ERR_NOMEM;
    *p = (struct post_letter){ .fn = fn, .ud = ud };
    list_init(&p->letter.link);
    int rc = 0;
    if (atomic_fetch_add_explicit(&g->posts, 1, memory_order_relaxed) >= POSTS_MAX) rc = PERILUNE_ERR_LIMITED;
    else if (!mailbox_send(&g->mail, &p->letter, post_opened)) rc = PERILUNE_ERR_STATE;
    if (rc == 0) return 0; /* g may be gone: the last post of a closing one */
    atomic_fetch_sub_explicit(&g->posts, 1, memory_order_relaxed);
    mem_free(p);
    return rc;
}

/* -- A worker of the owner's loop ----------------------------------------------------------- */

/* What its neighbours got when the configuration was loaded. */
static int furnish(perilune *g, struct worker *w) {
    struct generation *gen = NULL;
    unsigned char files[32] = { 0 };
    if (!bundle_digest(g->bundle, files)) return gateway_fail(g, PERILUNE_ERR_NOMEM, "out of memory");
    int rc = gateway_prepare_one(g, &gen, w, g->bundle, g->config, files);
    if (rc == 0) worker_install(w, gen);
    else generation_free(gen);
    return rc;
}

struct worker *library_worker(perilune *g, int *rc) {
    struct worker *w = g->home != NULL ? g->home : &g->workers[0];
    *rc = 0;
    if (g->config == NULL)
        *rc = gateway_fail(g, PERILUNE_ERR_STATE, "no configuration is loaded; perilune_load() loads one, which "
                                                  "may be as short as 'return {}'");
    if (*rc == 0 && w->threaded) {
        *rc = gateway_open_home(g);
        w = g->home;
    }
    if (*rc == 0 && w->gen == NULL) *rc = furnish(g, w);
    return *rc == 0 ? w : NULL;
}

/* -- Life --------------------------------------------------------------------------------------- */

int library_open(struct library **out, perilune *g) {
    struct library *l = mem_zalloc(sizeof(*l));
    *out = NULL;
    if (l == NULL) return PERILUNE_ERR_NOMEM;
    int rc = mailbox_open(&l->mail, &g->loop, l);
    if (rc != 0) {
        mem_free(l);
        return rc;
    }
    list_init(&l->requests);
    list_init(&l->husks);
    list_init(&l->spares);
    l->refs = 1;
    l->pid = g->pid;
    l->g = g;
    *out = l;
    return 0;
}

void library_close(struct library *l) {
    l->ending = true;
    mailbox_close(&l->mail); /* first: whoever is canceled hears that, and not of the end of the gateway */
    requests_end_all(l);
    requests_bury(l, 0, 0);
    l->g = NULL;
}

void library_put(struct library *l) {
    if (l == NULL || --l->refs > 0) return;
    mailbox_deinit(&l->mail);
    mem_free(l);
}
