/* test_synthetic.c -- answers made here, with every option, left at every event. */
#include "request/synthetic.h"

#include <stdio.h>

#include "base/mem.h"
#include "unit.h"

struct taker {
    struct loop    loop;
    struct sink    sink;
    struct source *source;
    int            events, leaves_at; /* -1: never */
    bool           over;
    int            status;
    char           text[4096], code[64]; /* all data, a line each */
    struct usage   usage;
};

static enum flow on_event(struct sink *k, const struct event *ev) {
    struct taker *t = container_of(k, struct taker, sink);
    CHECK(!t->over);
    if (ev->usage != NULL) t->usage = *ev->usage;
    if (ev->type == EVENT_HEAD) t->status = ev->status;
    if (ev->type == EVENT_ERROR) slice_copy(t->code, sizeof(t->code), slice_str(ev->failure->code));
    struct slice data = ev->type == EVENT_FRAME ? ev->data : ev->raw;
    size_t n = strlen(t->text);
    CHECK(n + data.len + 2 < sizeof(t->text));
    snprintf(t->text + n, sizeof(t->text) - n, "%.*s\n", SLICE_ARG(data));
    t->over = ev->type == EVENT_END || ev->type == EVENT_ERROR;
    if (t->events++ == t->leaves_at && !t->over) {
        t->over = true;
        source_cancel(t->source);
    }
    return FLOW_FULL; /* which is of no interest: all of it is here */
}

/* Plays the answer to its end, or to event number `leaves_at`.  False: no memory for it. */
static bool play(struct taker *t, const struct synthetic_options *opt, int leaves_at) {
    *t = (struct taker){ .sink.event = on_event, .leaves_at = leaves_at };
    int rc = loop_init(&t->loop);
    if (FAULTED(rc)) return false;
    CHECK_INT(rc, 0);
    t->loop.is_virtual = true;
    t->source = synthetic_new(&t->loop, opt);
    if (t->source != NULL) {
        source_start(t->source, &t->sink);
        loop_run_virtual(&t->loop, &t->over);
    } else {
        CHECK(unit_fault_fired());
    }
    bool made = t->source != NULL;
    loop_flush(&t->loop);
    loop_deinit(&t->loop);
    return made;
}

static bool says(const struct taker *t, const char *text) { return strstr(t->text, text) != NULL; }

static const struct slice PIECES[] = { SLICE("one "), SLICE(""), SLICE("t\xc3\xa9wo\n\n\"") };

/* Number i of all sets of options. */
static struct synthetic_options options(int i) {
    static const struct usage usage = { .known = true, .prompt = 2, .completion = 3 };
    struct synthetic_options o = { .status = 200, .model = SLICE("m"), .usage = usage };
    o.stream = i & 1;
    o.keep_usage = i & 2;
    if (i & 4) o.ttft_ms = 50;
    if (i & 8) o.itl_ms = 10;
    if (i & 16) {
        o.pieces = PIECES;
        o.count = 3;
    } else {
        o.text = SLICE("hello");
    }
    return o;
}

TEST_NOFAULT(every_option) {
    for (int i = 0; i < 32; i++) {
        struct taker t;
        struct synthetic_options o = options(i);
        NOTE("options %d", i);
        play(&t, &o, -1);
        CHECK(t.over && t.code[0] == '\0');
        CHECK_INT(t.status, 200);
        CHECK(says(&t, i & 16 ? "t\xc3\xa9wo\\n\\n\\\"" : "hello"));
        CHECK(says(&t, "[DONE]") == (i & 1));
        CHECK(says(&t, "\"usage\"") == (!(i & 1) || (i & 2)));
        CHECK_UINT(t.usage.completion, 3);
    }
}

TEST_NOFAULT(left_at_every_event) {
    for (int i = 0; i < 32; i++) {
        struct taker t;
        struct synthetic_options o = options(i);
        play(&t, &o, -1);
        for (int at = 0, events = t.events; at + 1 < events; at++) {
            NOTE("options %d, event %d", i, at);
            play(&t, &o, at);
            CHECK_INT(t.events, at + 1); /* silence from there on */
        }
    }
}

TEST_NOFAULT(never_started_or_left_between_events) {
    struct taker t = { .sink.event = on_event, .leaves_at = -1 };
    struct synthetic_options o = options(4 + 8 + 1);
    CHECK_INT(loop_init(&t.loop), 0);
    source_cancel(synthetic_new(&t.loop, &o));
    struct source *s = synthetic_new(&t.loop, &o);
    source_start(s, &t.sink);
    CHECK_INT(t.events, 0); /* it waits for its time */
    source_resume(s);
    source_cancel(s);
    loop_deinit(&t.loop);
    CHECK_INT(t.events, 0);
}

TEST_NOFAULT(a_failure_behind_the_pieces) {
    for (int i = 0; i < 32; i++) {
        struct taker t;
        struct failure f;
        struct synthetic_options o = options(i);
        failure_init(&f);
        failure_set(&f, FAILURE_TRUNCATED, "broke off");
        o.failure = &f;
        play(&t, &o, -1);
        CHECK_STR(t.code, "upstream_truncated");
        CHECK(!says(&t, "[DONE]"));
        CHECK(!failure_is_set(&f)); /* taken */
    }
}

/* What came is whole, or ends with a failure. */
TEST_FAULT(without_memory) {
    for (int i = 0; i < 32; i += 5) {
        struct taker t;
        struct synthetic_options o = options(i);
        if (!play(&t, &o, -1)) continue;
        CHECK(t.over);
        if (t.code[0] == '\0') CHECK(says(&t, i & 1 ? "[DONE]" : "\"choices\""));
        else CHECK(unit_fault_fired());
    }
}
