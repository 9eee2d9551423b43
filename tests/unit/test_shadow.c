/* test_shadow.c -- answers to near questions, compared with those of their own. */
#include "unit.h"

#include <stdio.h>

#include "base/mem.h"
#include "flow/records.h"
#include "request/cached.h"
#include "request/shadow.h"

static const struct hash128 given_key = { 1, 2 }, own_key = { 3, 4 };

/* Who asks again: this test. */
struct world {
    struct loop         loop;
    struct stores      *stores;
    struct services     services;
    struct shadow_stats stats;
    struct cache_entry *given;
    void              (*over[SHADOW_MOST + 1])(void *ud);
    void               *ud[SHADOW_MOST + 1];
    unsigned            asked;
    bool                looped, refuses;
};

static bool ask_again(struct services *v, struct request *r, void (*over)(void *ud), void *ud) {
    struct world *w = v->ask_again_ud;
    (void)r;
    if (w->refuses) return false;
    w->over[w->asked] = over;
    w->ud[w->asked++] = ud;
    return true;
}

struct tallied {
    const char *result;
    unsigned    count;
};

static void see(void *ud, const char (*labels)[TALLY_LABEL], double value) {
    struct tallied *t = ud;
    if (strcmp(labels[0], "n") == 0 && strcmp(labels[1], t->result) == 0) t->count += (unsigned)value;
}

/* How many of the cache "n" came to this result. */
static unsigned counted(const struct world *w, const char *result) {
    struct tallied t = { result, 0 };
    tally_each(w->stores->tally, TALLY_SHADOW, see, &t);
    return t.count;
}

static void keep(struct world *w, struct hash128 key, const char *text) {
    struct buf data, json;
    buf_init(&data, 0);
    buf_init(&json, 0);
    buf_puts(&json, "{\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":");
    json_write_string(&json, slice_str(text));
    buf_puts(&json, "}}]}");
    records_put(&data, &(struct event){ .type = EVENT_BYTES, .raw = buf_get(&json) });
    struct recorder_options opt = { .cache = w->stores->cache, .loop = &w->loop, .key = key, .name = SLICE("n"),
                                    .tenant = SLICE(""), .fresh_ms = 60000 };
    cached_store(&opt, &(struct cached){ .kind = CACHED_WHOLE, .dialect = &openai_chat, .usage_at = CACHED_NO_USAGE },
                 buf_get(&data));
    buf_deinit(&json);
    buf_deinit(&data);
}

/* False: no memory. */
static bool world_open(struct world *w, const char *text) {
    *w = (struct world){ .asked = 0 };
    if (loop_init(&w->loop) != 0) return false;
    w->looped = true;
    w->loop.is_virtual = true;
    w->stores = stores_new();
    w->services = (struct services){ .loop = &w->loop, .stores = w->stores, .ask_again = ask_again, .ask_again_ud = w };
    if (w->stores != NULL) keep(w, given_key, text);
    if (w->stores != NULL) w->given = cache_peek(w->stores->cache, given_key, loop_now(&w->loop));
    return w->given != NULL;
}

static void world_close(struct world *w) {
    cache_entry_put(w->given);
    services_deinit(&w->services);
    stores_free(w->stores);
    if (w->looped) loop_deinit(&w->loop);
}

static bool begin(struct world *w) {
    return shadow_begin(&(struct shadow_ask){ .services = &w->services, .stats = &w->stats, .given = w->given,
                                              .score = 0.9f, .key = own_key });
}

/* The verdicts that the given entry has, one for each that was told. */
static size_t told(struct world *w) {
    char key[64] = "near ";
    struct buf out;
    buf_init(&out, 0);
    hash128_hex(given_key, key + 5);
    size_t n = memo_get(w->stores->memo, slice_str(key), loop_now(&w->loop), &out) == 0 ? buf_len(&out) : 0;
    buf_deinit(&out);
    return n;
}

TEST_FAULT(an_answer_that_says_the_same_agrees) {
    struct world w;
    bool ready = world_open(&w, "Press the button in the settings.");
    bool begun = ready && begin(&w);
    if (begun) {
        keep(&w, own_key, "In the settings, press the button.");
        w.over[0](w.ud[0]);
        CHECK_UINT(w.stats.under_way, 0);
        CHECK(counted(&w, "agreed") == 1 || (unit_fault_fired() && counted(&w, "unknown") == 1));
        CHECK(told(&w) > 0 || unit_fault_fired());
    } else {
        CHECK(unit_fault_fired());
    }
    world_close(&w);
}

TEST_NOFAULT(another_answer_differs) {
    struct world w;
    CHECK(world_open(&w, "It takes 14 days."));
    CHECK(begin(&w));
    keep(&w, own_key, "It takes 30 days.");
    w.over[0](w.ud[0]);
    CHECK_UINT(counted(&w, "differed"), 1);
    CHECK(told(&w) > 0);
    world_close(&w);
}

TEST_NOFAULT(nothing_new_tells_nothing) {
    struct world w;
    CHECK(world_open(&w, "It takes 14 days."));
    CHECK(begin(&w));
    w.over[0](w.ud[0]); /* the upstream failed, a policy refused, the answer was none to keep */
    CHECK_UINT(counted(&w, "unknown"), 1);
    keep(&w, own_key, "It takes 30 days."); /* of somebody else, before: */
    w.loop.virtual_ms += 10;
    CHECK(begin(&w));
    w.over[1](w.ud[1]);
    CHECK_UINT(counted(&w, "unknown"), 2);
    CHECK_UINT(told(&w), 0);
    world_close(&w);
}

TEST_NOFAULT(few_are_under_way) {
    struct world w;
    CHECK(world_open(&w, "It takes 14 days."));
    for (unsigned i = 0; i < SHADOW_MOST; i++) CHECK(begin(&w));
    CHECK(!begin(&w));
    for (unsigned i = 0; i < SHADOW_MOST; i++) w.over[i](w.ud[i]);
    w.asked = 0;
    w.refuses = true;
    CHECK(!begin(&w));
    CHECK_UINT(w.stats.under_way, 0);
    w.refuses = false;
    w.services.ask_again = NULL;
    CHECK(!begin(&w));
    world_close(&w);
}
