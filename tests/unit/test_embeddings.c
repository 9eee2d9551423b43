/* test_embeddings.c -- vectors by an upstream: who shares a call, and who leaves.  What comes of calls that
 * succeed is in tests/wire/embeddings.case. */
#include "lua_world.h"

#include "request/embeddings.h"

struct asker {
    struct embeddings_wait wait;
    unsigned               told;
    char                   code[48];
    struct asker          *cancels; /* in its turn */
};

static void done(struct embeddings_wait *w, const float *vector, unsigned count, const struct failure *f) {
    struct asker *a = container_of(w, struct asker, wait);
    a->told++;
    CHECK(vector == NULL && count == 0);
    snprintf(a->code, sizeof(a->code), "%s", f->code);
    if (a->cancels != NULL) embeddings_cancel(&a->cancels->wait);
}

static int ask(struct embeddings *e, struct asker *a, unsigned text) {
    char s[16];
    a->wait.done = done;
    snprintf(s, sizeof(s), "text %u", text);
    return embeddings_ask(e, &a->wait, slice_str(s), 1000);
}

static unsigned told(const struct asker *all, unsigned n) {
    unsigned sum = 0;
    for (unsigned i = 0; i < n; i++) sum += all[i].told;
    return sum;
}

static uint64_t calls(struct world *w) { return atomic_load(&w->health.calls); }

/* Until nothing is left to do: time is virtual, so calls end by their timeouts. */
static void run(struct world *w) {
    static const bool stop = false;
    loop_run_virtual(&w->loop, &stop);
}

TEST_NOFAULT(texts_go_together_and_each_once) {
    struct world w;
    static struct asker all[100];
    memset(all, 0, sizeof(all));
    world_open(&w, "return 1");
    struct embeddings *e = embeddings_new(&w.state->services, "up");
    for (unsigned i = 0; i < 100; i++) CHECK_INT(ask(e, &all[i], i % 70), 0);
    run(&w);
    CHECK_UINT(told(all, 100), 100);
    CHECK_UINT(calls(&w), 3); /* 32, 32, 6 */
    CHECK_STR(all[99].code, "timeout");
    embeddings_free(e);
    world_run(&w);
    world_close(&w);
}

TEST_NOFAULT(who_leaves_is_not_told_and_the_last_ends_the_call) {
    struct world w;
    static struct asker all[6];
    memset(all, 0, sizeof(all));
    world_open(&w, "return 1");
    struct embeddings *e = embeddings_new(&w.state->services, "up");
    for (unsigned i = 0; i < 6; i++) CHECK_INT(ask(e, &all[i], i % 2), 0);
    embeddings_cancel(&all[1].wait);
    embeddings_cancel(&all[3].wait);
    embeddings_cancel(&all[5].wait); /* nobody wants the second text any more */
    embeddings_cancel(&all[5].wait);
    all[0].cancels = &all[4];
    loop_flush(&w.loop); /* it is under way */
    run(&w);
    CHECK_UINT(all[0].told + all[2].told, 2);
    CHECK_UINT(told(all, 6), 2);
    CHECK_INT(ask(e, &all[0], 7), 0);
    loop_flush(&w.loop);
    CHECK_UINT(atomic_load(&w.health.in_flight), 1);
    embeddings_cancel(&all[0].wait);
    CHECK_UINT(atomic_load(&w.health.in_flight), 0);
    embeddings_free(e);
    world_run(&w);
    world_close(&w);
}

TEST_NOFAULT(as_many_wait_as_may) {
    struct world w;
    static struct asker all[EMBEDDINGS_QUEUE + 1];
    memset(all, 0, sizeof(all));
    world_open(&w, "return 1");
    struct embeddings *e = embeddings_new(&w.state->services, "up");
    for (unsigned i = 0; i < EMBEDDINGS_QUEUE; i++) CHECK_INT(ask(e, &all[i], i), 0);
    CHECK_INT(ask(e, &all[EMBEDDINGS_QUEUE], 9999), PERILUNE_ERR_LIMITED);
    CHECK_INT(ask(e, &all[EMBEDDINGS_QUEUE], 5), 0); /* one that is there */
    for (unsigned i = 0; i <= EMBEDDINGS_QUEUE; i++) embeddings_cancel(&all[i].wait);
    loop_flush(&w.loop);
    CHECK_UINT(calls(&w), 0);
    embeddings_free(e);
    world_run(&w);
    world_close(&w);
}

TEST_NOFAULT(an_upstream_that_is_not_there) {
    struct world w;
    struct asker a = { .told = 0 };
    world_open(&w, "return 1");
    struct embeddings *e = embeddings_new(&w.state->services, "none");
    CHECK_INT(ask(e, &a, 1), 0);
    run(&w);
    CHECK_STR(a.code, "internal_error");
    embeddings_free(e);
    world_run(&w);
    world_close(&w);
}

/* With the n-th allocation failing; was it reached? */
static bool starve(long n, bool forever) {
    struct world w;
    static struct asker all[3];
    long before = mem_live();
    memset(all, 0, sizeof(all));
    world_open(&w, "return 1");
    mem_fail_at(n, forever);
    struct embeddings *e = embeddings_new(&w.state->services, "up");
    unsigned asked = 0;
    for (unsigned i = 0; e != NULL && i < 3; i++) asked += ask(e, &all[i], i) == 0;
    run(&w);
    bool reached = mem_fail_count() >= n;
    mem_fail_at(0, false);
    CHECK_UINT(told(all, 3), asked);
    embeddings_free(e);
    world_run(&w);
    world_close(&w);
    CHECK_INT(mem_live(), before);
    return reached;
}

TEST_NOFAULT(without_memory_all_are_told) {
    for (long n = 1; starve(n, false); n++) NOTE("%ld", n);
    for (long n = 1; starve(n, true); n++) NOTE("%ld and all behind it", n);
}

TEST_NOFAULT(lua_gets_why_there_is_none) {
    struct world w;
    world_open(&w, "local core = ... local e = core.embeddings('up') "
                   "local v, err = core.result(core.embeddings_ask(e, 'a text', 2)) return v, err.code");
    CHECK(world_run(&w));
    CHECK_STR(world_text(&w), "nil 'timeout'");
    world_close(&w);
}

TEST_NOFAULT(the_deadline_is_that_of_the_request) {
    struct world w;
    world_open(&w, "local core = ... local e = core.embeddings('up') "
                   "local v, err = core.result(core.embeddings_ask(e, 'a text', 2)) return v, err.code");
    w.loop.virtual_ms = 500;
    w.request->deadline_ms = 600;
    CHECK(world_run(&w));
    CHECK_STR(world_text(&w), "nil 'timeout'");
    CHECK_UINT(w.loop.virtual_ms, 600);
    world_close(&w);
}
