/* test_recorder.c -- answers that are kept, and given again. */
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "flow/records.h"
#include "include/perilune.h"
#include "llm/chunk.h"
#include "request/cache_control.h"
#include "request/cached.h"
#include "request/synthetic.h"

/* -- The world ------------------------------------------------------------------------- */

struct world {
    struct loop   loop;
    struct cache *cache;
};

struct client {
    struct sink    sink;
    struct source *source;
    struct buf     got;
    bool           ended, failed;
    struct usage   usage;
};

static enum flow on_event(struct sink *k, const struct event *ev) {
    struct client *c = container_of(k, struct client, sink);
    if (ev->usage != NULL) c->usage = *ev->usage;
    if (ev->type == EVENT_FRAME || ev->type == EVENT_BYTES) buf_slice(&c->got, ev->raw);
    c->ended |= ev->type == EVENT_END;
    c->failed |= ev->type == EVENT_ERROR;
    if (ev->type >= EVENT_END) c->source = NULL;
    return FLOW_MORE;
}

static bool world_open(struct world *w) {
    if (loop_init(&w->loop) != 0) return false;
    w->cache = cache_new(1 << 20);
    if (w->cache == NULL) loop_deinit(&w->loop);
    return w->cache != NULL;
}

static void world_close(struct world *w) {
    cache_free(w->cache);
    loop_deinit(&w->loop);
}

static void client_init(struct client *c) {
    *c = (struct client){ .sink = { on_event } };
    buf_init(&c->got, 0);
}

static void client_deinit(struct client *c) {
    if (c->source != NULL) source_cancel(c->source);
    c->source = NULL;
    buf_deinit(&c->got);
}

static struct response *answered(struct world *w, const struct synthetic_options *opt) {
    struct response *r = response_new(&(struct response_options){ .loop = &w->loop, .upstream = "up",
                                                                  .dialect = &openai_chat, .limit = 1 << 20,
                                                                  .high_water = 1 << 20, .model = SLICE("m") });
    if (r != NULL) response_start(r, synthetic_new(&w->loop, opt));
    return r;
}

static struct recorder_options options(struct world *w, struct hash128 key) {
    return (struct recorder_options){ .cache = w->cache, .loop = &w->loop, .key = key, .name = SLICE("n"),
                                      .tenant = SLICE("t"), .fresh_ms = 1000, .limit = 10000 };
}

/* Sends the answer through a recorder to c. */
static void record(struct world *w, const struct synthetic_options *opt, struct hash128 key, struct client *c) {
    struct response *r = answered(w, opt);
    client_init(c);
    if (r == NULL) return;
    struct recorder_options ro = options(w, key);
    struct source *s = recorder_suits(r) ? recorder_new(r, &ro) : NULL;
    c->source = s;
    if (s != NULL) source_start(s, &c->sink);
    loop_flush(&w->loop);
    response_put(r);
    loop_flush(&w->loop);
}

/* Gives the entry to c; false: there is none. */
static bool give(struct world *w, struct hash128 key, bool stream, bool usage, struct client *c) {
    struct cache_entry *e = cache_get(w->cache, key, loop_now(&w->loop));
    struct cached facts;
    client_init(c);
    if (e == NULL) return false;
    CHECK(cached_read(e, &facts));
    CHECK_SLICE(facts.cache, SLICE("n"));
    CHECK_SLICE(facts.tenant, SLICE("t"));
    CHECK_SLICE(facts.upstream, SLICE("up"));
    CHECK_SLICE(facts.model, SLICE("m"));
    struct source *s = hit_new(e, &facts, &(struct hit_options){ .loop = &w->loop, .stream = stream,
                                                                 .wants_usage = usage });
    c->source = s;
    if (s != NULL) source_start(s, &c->sink);
    return true;
}

static bool says(const struct client *c, const char *text) {
    struct slice got = buf_get(&c->got);
    return memmem(got.ptr, got.len, text, strlen(text)) != NULL;
}

static const struct slice pieces[] = { SLICE("one "), SLICE("two") };
static const struct hash128 key = { 1, 2 };

static struct synthetic_options stream_of_two(void) {
    return (struct synthetic_options){ .pieces = pieces, .count = 2, .status = 200, .model = SLICE("m"), .stream = true,
                                       .usage = { .known = true, .prompt = 5, .completion = 2 }, .keep_usage = true };
}

/* -- Tests -------------------------------------------------------------------------------- */

TEST_FAULT(a_stream_is_kept_and_given_in_each_form) {
    struct world w;
    struct client c;
    bool open = world_open(&w);
    if (FAULTED(open ? 0 : PERILUNE_ERR_NOMEM)) return;
    CHECK(open);
    struct synthetic_options o = stream_of_two();
    record(&w, &o, key, &c);
    bool kept = c.ended && !buf_failed(&c.got);
    client_deinit(&c);
    for (int form = 0; form < 4 && kept; form++) {
        bool stream = form & 1, usage = form & 2;
        if (!give(&w, key, stream, usage, &c)) {
            kept = false;
            if (!FAULTED(PERILUNE_ERR_NOMEM)) CHECK(kept);
        } else if (!FAULTED(c.ended && !buf_failed(&c.got) ? 0 : PERILUNE_ERR_NOMEM)) {
            CHECK(c.ended);
            CHECK(says(&c, stream ? "data: [DONE]" : "one two"));
            CHECK_INT(says(&c, "\"prompt_tokens\":5"), stream ? usage : true);
            CHECK_INT(c.usage.prompt, 5);
        }
        client_deinit(&c);
    }
    world_close(&w);
}

TEST(a_whole_is_given_as_a_stream) {
    struct world w;
    struct client c;
    CHECK(world_open(&w));
    struct synthetic_options o = stream_of_two();
    o.stream = false;
    record(&w, &o, key, &c);
    client_deinit(&c);
    CHECK(give(&w, key, true, false, &c));
    CHECK(says(&c, "one two") && says(&c, "data: [DONE]") && !says(&c, "prompt_tokens"));
    client_deinit(&c);
    CHECK(give(&w, key, true, true, &c));
    CHECK(says(&c, "\"prompt_tokens\":5"));
    client_deinit(&c);
    world_close(&w);
}

TEST(what_failed_is_not_kept) {
    struct world w;
    struct client c;
    CHECK(world_open(&w));
    struct failure f;
    failure_init(&f);
    failure_set(&f, FAILURE_RESET, "broken");
    struct synthetic_options o = stream_of_two();
    o.failure = &f;
    o.itl_ms = 5;
    w.loop.is_virtual = true;
    record(&w, &o, key, &c);
    loop_run_virtual(&w.loop, &c.failed);
    loop_flush(&w.loop);
    CHECK(c.failed && says(&c, "two"));
    client_deinit(&c);
    CHECK(!give(&w, key, true, false, &c));
    w.loop.is_virtual = false;
    o.failure = NULL;
    o.itl_ms = 0;
    o.status = 201;
    record(&w, &o, key, &c);
    client_deinit(&c);
    CHECK(!give(&w, key, true, false, &c));
    world_close(&w);
}

TEST(who_leaves_early_leaves_nothing) {
    struct world w;
    struct client c;
    CHECK(world_open(&w));
    struct synthetic_options o = stream_of_two();
    o.itl_ms = 60000;
    record(&w, &o, key, &c);
    CHECK(c.source != NULL);
    client_deinit(&c); /* cancels */
    CHECK(!give(&w, key, true, false, &c));
    world_close(&w);
}

TEST(a_long_answer_is_passed_on_and_not_kept) {
    struct world w;
    struct client c;
    char *text = mem_alloc(20000);
    CHECK(world_open(&w) && text != NULL);
    memset(text, 'x', 20000);
    struct synthetic_options o = { .text = slice_of(text, 20000), .status = 200, .model = SLICE("m"), .stream = true };
    record(&w, &o, key, &c);
    CHECK(c.ended && buf_len(&c.got) > 20000);
    client_deinit(&c);
    CHECK(!give(&w, key, true, false, &c));
    mem_free(text);
    world_close(&w);
}

TEST(traits) {
    static const struct { const char *data; unsigned traits; bool complete; } cases[] = {
        { "{\"choices\":[{\"delta\":{\"content\":\"x\"}}]}", 0, false },
        { "{\"choices\":[{\"finish_reason\":\"stop\"}],\"usage\":null}", TRAIT_USAGE, true },
        { "{\"choices\":[{\"finish_reason\":\"stop\"},{\"index\":1,\"finish_reason\":null}]}", 0, false },
        { "{\"choices\":[{\"delta\":{\"tool_calls\":null}}]}", 0, false },
        { "{\"choices\":[{\"message\":{\"tool\\u005fcalls\":[{\"id\":\"a\",\"function\":{\"name\":\"f\"}}]},"
          "\"finish_reason\":\"tool_calls\"}]}", TRAIT_TOOLS, true },
        { "{\"choices\":[{\"message\":{\"function_call\":{\"name\":\"f\",\"arguments\":\"\"}}}]}", TRAIT_TOOLS, false },
        { "{\"choices\":[{\"finish_reason\":\"content\\u005ffilter\"}]}", TRAIT_SPOILED, true },
        { "{\"choices\":[{\"finish_reason\" : \"error\",\"error\":{\"code\":502}}]}", TRAIT_SPOILED, true },
        { "{\"error\":null,\"choices\":[]}", 0, false },
        { "{\"error\":{\"message\":\"x\"}}", TRAIT_SPOILED, false },
        { "{\"choices\":[{\"error\":{}}]}", 0, false },
        { "{\"choices\":[{\"error\":\"x\"}]}", TRAIT_SPOILED, false },
        { "[]", TRAIT_SPOILED, false },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct json_doc doc = { .nodes = NULL };
        struct json_error err;
        struct chunk_choices c = { .asked = 1 };
        CHECK_INT(json_parse(&doc, slice_str(cases[i].data), &err), 0);
        CHECK_INT(openai_chat.traits(&doc, &c), cases[i].traits);
        CHECK_INT(chunk_is_complete(&c), cases[i].complete);
        json_deinit(&doc);
    }
}

/* Reads one answer; its traits. */
static unsigned look(const char *data, struct chunk_choices *c) {
    struct json_doc doc = { .nodes = NULL };
    struct json_error err;
    *c = (struct chunk_choices){ .asked = 1 };
    CHECK_INT(json_parse(&doc, slice_str(data), &err), 0);
    unsigned traits = openai_chat.traits(&doc, c);
    json_deinit(&doc);
    return traits;
}

TEST(only_an_end_that_is_known_is_a_good_one) {
    static const char *const good[] = { "stop", "length", "tool_calls", "function_call", "eos", "end_turn", "STOP",
                                        "stop_sequence", "max_tokens", "MAX_TOKENS", "model_length", "COMPLETE" };
    static const char *const bad[] = { "insufficient_system_resource", "network_error", "sensitive", "SAFETY",
                                       "RECITATION", "blocklist", "ERROR", "timeout", "time_limit", "unknown", "other",
                                       "malformed_function_call", "content_filter", "Content_Filter", "error", "abort",
                                       "aborted", "cancelled", "canceled", "stopped by who knows", "sto" };
    struct chunk_choices c;
    char text[200];
    for (size_t i = 0; i < sizeof(good) / sizeof(*good) + sizeof(bad) / sizeof(*bad); i++) {
        bool ok = i < sizeof(good) / sizeof(*good);
        const char *word = ok ? good[i] : bad[i - sizeof(good) / sizeof(*good)];
        NOTE("%s", word);
        snprintf(text, sizeof(text), "{\"choices\":[{\"message\":{\"content\":\"x\"},\"finish_reason\":\"%s\"}]}", word);
        CHECK_INT(look(text, &c), ok ? 0 : TRAIT_SPOILED);
        CHECK(chunk_is_complete(&c)); /* its client gets it all the same */
    }
}

TEST(an_answer_without_a_word_is_empty) {
    static const struct { const char *message; bool empty; } cases[] = {
        { "{\"role\":\"assistant\",\"content\":\"\"}", true },
        { "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[],\"annotations\":[]}", true },
        { "{\"role\":\"assistant\"}", true },
        { "null", true },
        { "\"x\"", true },
        { "{\"content\":\"\",\"refusal\":\"no\"}", false },
        { "{\"content\":null,\"reasoning_content\":\"hm\"}", false },
        { "{\"content\":null,\"audio\":{\"id\":\"a\"}}", false },
        { "{\"content\":[{\"type\":\"text\"}]}", false },
        { "{\"tool_calls\":[{\"id\":\"a\"}]}", false },
        { "{\"content\":\" \"}", false },
    };
    struct chunk_choices c;
    char text[300];
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        NOTE("%s", cases[i].message);
        snprintf(text, sizeof(text), "{\"choices\":[{\"message\":%s,\"finish_reason\":\"stop\"}]}", cases[i].message);
        look(text, &c);
        CHECK_INT(chunk_is_empty(&c), cases[i].empty);
    }
    /* One of two says nothing. */
    look("{\"choices\":[{\"message\":{\"content\":\"x\"},\"finish_reason\":\"stop\"},"
         "{\"index\":1,\"message\":{\"content\":\"\"},\"finish_reason\":\"stop\"}]}", &c);
    CHECK(chunk_is_empty(&c));
}

static unsigned control(const char *name, const char *value, uint64_t *max_age) {
    struct http_header h = { .name = slice_str(name), .value = slice_str(value) };
    struct request r = { .headers = &h, .header_count = 1 };
    return cache_control_read(&r, max_age);
}

TEST(what_an_upstream_forbids) {
    CHECK(cache_control_forbids(SLICE("x: y\r\nCache-Control: max-age=0, No-Store\r\n")));
    CHECK(cache_control_forbids(SLICE("cache-control: no-cache\r\ncache-control: no-store\r\n")));
    CHECK(!cache_control_forbids(SLICE("cache-control: no-cache, private, max-age=0\r\nx: no-store\r\n")));
    CHECK(!cache_control_forbids(SLICE("")));
}

TEST(cache_control) {
    uint64_t age;
    CHECK_INT(control("Cache-Control", "no-cache", &age), CACHE_CONTROL_NO_CACHE);
    CHECK_INT(control("cache-control", " foo , No-Store,,max-age=7 ", &age),
              CACHE_CONTROL_NO_STORE | CACHE_CONTROL_MAX_AGE);
    CHECK_INT(age, 7000);
    CHECK_INT(control("cache-control", "max-age=\"5\", max-age=3", &age), CACHE_CONTROL_MAX_AGE);
    CHECK_INT(age, 3000);
    CHECK_INT(control("cache-control", "max-age=x", &age), CACHE_CONTROL_MAX_AGE);
    CHECK_INT(age, 0);
    CHECK_INT(control("cache-control", "max-age=99999999999999999999", &age), CACHE_CONTROL_MAX_AGE);
    CHECK_INT(age, (uint64_t)UINT32_MAX * 1000);
    CHECK_INT(control("cache-control", "max-age=\"", &age), CACHE_CONTROL_MAX_AGE);
    CHECK_INT(control("pragma", "no-cache", &age), CACHE_CONTROL_NO_CACHE);
    CHECK_INT(control("cache-control", "", &age), 0);
    CHECK_INT(control("x", "no-cache", &age), 0);
}

TEST(records_that_break_off_end) {
    struct buf b;
    struct event ev;
    buf_init(&b, 0);
    CHECK(records_put(&b, &(struct event){ .type = EVENT_FRAME, .raw = SLICE("data: x\n\n"), .data = SLICE("y") }));
    struct slice all = buf_get(&b);
    for (size_t n = 0; n < all.len; n++) {
        size_t at = 0;
        CHECK(!records_next(slice_of(all.ptr, n), &at, &ev));
    }
    size_t at = 0;
    CHECK(records_next(all, &at, &ev));
    CHECK_SLICE(ev.raw, SLICE("data: x\n\n"));
    CHECK_SLICE(ev.data, SLICE("y"));
    CHECK_INT(at, all.len);
    buf_deinit(&b);
}
