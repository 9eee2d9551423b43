/* test_response.c -- a response between its source and its consumer, without Lua and without HTTP.
 *
 * The source is played by the test.  What the consumer gets is written down as text:
 * "200|abc|END", "ERROR code". */
#include "flow/response.h"

#include <stdio.h>

#include "base/mem.h"
#include "flow/headers.h"
#include "unit.h"

/* -- A source, a consumer, filters ------------------------------------------------------- */

struct play {
    struct loop      loop;
    struct list      among;
    struct response *r;
    struct source    source;
    struct sink     *to;        /* where events go */
    unsigned         cancelled, resumed;
    struct sink      client;
    char             seen[512]; /* by the client */
    char             code[64];
    bool             full;      /* the client says so */
    bool             lets_go;   /* in the event number `when`: */
    bool             request_ends; /* in the same */
    int              when, events;
    unsigned         woken, settled;
    uint64_t         completion; /* tokens, as its end said */
    char             said[40];   /* the upstream's own words for it */
    struct filter    filters[2];
    char             marks[2];  /* what a filter writes behind each frame */
    int              breaks_at[2]; /* in its event number; -1: never */
    int              filtered[2];
    unsigned         freed;
};

static void say(struct play *p, const char *text, size_t len) {
    size_t n = strlen(p->seen);
    CHECK(n + len < sizeof(p->seen));
    memcpy(p->seen + n, text, len);
    p->seen[n + len] = '\0';
}

static void source_starts(struct source *s, struct sink *to) { container_of(s, struct play, source)->to = to; }
static void source_resumes(struct source *s) { container_of(s, struct play, source)->resumed++; }
static void source_cancels(struct source *s) { container_of(s, struct play, source)->cancelled++; }
static const char *source_says(const struct source *s, char *buf, size_t size) {
    (void)s; (void)buf; (void)size;
    return "a test";
}
static const struct source_ops source_ops = { source_starts, source_resumes, source_cancels, NULL, source_says, NULL, NULL };

/* What a consumer does that is done: it has nothing to do with r from here on. */
static void let_go(struct play *p) {
    struct response *r = p->r;
    p->r = NULL;
    response_finish(r, &(struct outcome){ .ok = false });
    response_put(r);
    if (p->request_ends) response_abandon_all(&p->among);
}

static enum flow on_client(struct sink *k, const struct event *ev) {
    struct play *p = container_of(k, struct play, client);
    char head[32];
    CHECK(p->r != NULL);
    switch (ev->type) {
    case EVENT_HEAD: say(p, head, (size_t)snprintf(head, sizeof(head), "%d|", ev->status)); break;
    case EVENT_END:
        say(p, "|END", 4);
        p->completion = ev->usage != NULL ? ev->usage->completion : 0;
        slice_copy(p->said, sizeof(p->said), ev->usage_said);
        break;
    case EVENT_ERROR:
        p->completion = ev->usage != NULL ? ev->usage->completion : 0;
        say(p, "|ERROR ", 7);
        say(p, ev->failure->code, strlen(ev->failure->code));
        break;
    default: say(p, ev->data.len ? ev->data.ptr : ev->raw.ptr, ev->data.len ? ev->data.len : ev->raw.len);
    }
    if (p->lets_go && p->events++ == p->when) let_go(p);
    return p->full ? FLOW_FULL : FLOW_MORE;
}

static enum flow on_filter(struct play *p, int i, const struct event *ev) {
    struct filter *f = &p->filters[i];
    if (ev->type != EVENT_FRAME) return f->to->event(f->to, ev);
    if (p->filtered[i]++ == p->breaks_at[i]) {
        struct failure why;
        failure_init(&why);
        failure_set(&why, FAILURE_POLICY, "no more");
        response_break(p->r, f, &why);
        failure_deinit(&why);
        return FLOW_MORE;
    }
    char text[64];
    size_t n = (size_t)snprintf(text, sizeof(text), "%.*s%c", SLICE_ARG(ev->data), p->marks[i]);
    struct event out = { .type = EVENT_FRAME, .raw = slice_of(text, n), .data = slice_of(text, n) };
    return f->to->event(f->to, &out);
}

static enum flow on_first(struct sink *k, const struct event *ev) {
    return on_filter(container_of(container_of(k, struct filter, sink), struct play, filters[0]), 0, ev);
}
static enum flow on_second(struct sink *k, const struct event *ev) {
    return on_filter(container_of(container_of(k, struct filter, sink), struct play, filters[1]), 1, ev);
}
static struct play *played; /* of who is freed: filters know nothing else by then */
static void filter_freed(struct filter *f) {
    (void)f;
    played->freed++;
}

static void settle(const struct response *r, void *ud) {
    CHECK_UINT(r->usage.completion, 7);
    ((struct play *)ud)->settled++;
}

/* False: no memory. */
static bool open_with(struct play *p, struct response_options opt) {
    *p = (struct play){ .marks = "12", .breaks_at = { -1, -1 } };
    played = p;
    int rc = loop_init(&p->loop);
    if (FAULTED(rc)) return false;
    CHECK_INT(rc, 0);
    list_init(&p->among);
    p->client.event = on_client;
    p->source.ops = &source_ops;
    p->filters[0] = (struct filter){ .sink = { on_first }, .free = filter_freed };
    p->filters[1] = (struct filter){ .sink = { on_second }, .free = filter_freed };
    opt.loop = &p->loop;
    opt.upstream = "up";
    opt.among = &p->among;
    opt.settled = settle;
    opt.settled_ud = p;
    p->r = response_new(&opt);
    if (FAULTED(p->r)) {
        loop_deinit(&p->loop);
        return false;
    }
    CHECK(p->r != NULL);
    response_start(p->r, &p->source);
    return true;
}

static bool open_play(struct play *p) { return open_with(p, (struct response_options){ .limit = 100, .high_water = 40 }); }

static void close_play(struct play *p) {
    if (p->r != NULL) let_go(p);
    response_abandon_all(&p->among);
    loop_flush(&p->loop);
    loop_deinit(&p->loop);
}

/* -- What the source says ------------------------------------------------------------------ */

static enum flow frame(struct play *p, const char *data) {
    char raw[128];
    int n = snprintf(raw, sizeof(raw), "data: %s\n\n", data);
    return p->to->event(p->to, &(struct event){ .type = EVENT_FRAME, .raw = slice_of(raw, (size_t)n),
                                                .data = slice_of(raw + 6, (size_t)n - 8) });
}

static void head(struct play *p) {
    p->to->event(p->to, &(struct event){ .type = EVENT_HEAD, .status = 200, .content_type = SLICE("text/event-stream"),
                                         .headers = SLICE("x-a: up\r\nx-b: up\r\nx-c: up\r\n") });
}

static void end(struct play *p) {
    static const struct usage u = { .known = true, .prompt = 3, .completion = 7 };
    p->to->event(p->to, &(struct event){ .type = EVENT_END, .usage = &u });
}

static void fail(struct play *p) {
    struct failure f;
    failure_init(&f);
    failure_set(&f, FAILURE_TRUNCATED, "broke off");
    p->to->event(p->to, &(struct event){ .type = EVENT_ERROR, .failure = &f });
    failure_deinit(&f);
}

/* -- Holding ----------------------------------------------------------------------------------- */

TEST(what_was_held_comes_first) {
    struct play p;
    if (!open_play(&p)) return;
    head(&p);
    frame(&p, "a");
    CHECK_INT(p.r->state, RESPONSE_HOLDING);
    response_deliver(p.r, &p.client);
    CHECK_INT(p.r->state, RESPONSE_DELIVERING);
    CHECK_UINT(p.resumed, 1);
    frame(&p, "b");
    end(&p);
    CHECK_STR(p.seen, "200|ab|END");
    CHECK_UINT(p.settled, 1);
    close_play(&p);
    CHECK_UINT(p.cancelled, 0); /* it had ended */
}

/* Whenever it was told: with a frame or the end, before or behind its consumer came, through filters or not. */
TEST_FAULT(the_end_says_what_was_used) {
    static const struct usage u = { .known = true, .prompt = 3, .completion = 7 };
    for (int how = 0; how < 16; how++) {
        bool early = how & 1, held = how & 2, filtered = how & 4, fails = how & 8;
        struct play p;
        struct failure f;
        if (!open_play(&p)) return;
        if (filtered) response_add_filter(p.r, &p.filters[0]);
        head(&p);
        if (!held) response_deliver(p.r, &p.client);
        p.to->event(p.to, &(struct event){ .type = EVENT_FRAME, .raw = SLICE("data: a\n\n"), .data = SLICE("a"),
                                           .usage = early ? &u : NULL });
        failure_init(&f);
        failure_set(&f, FAILURE_TRUNCATED, "broke off");
        p.to->event(p.to, &(struct event){ .type = fails ? EVENT_ERROR : EVENT_END, .failure = fails ? &f : NULL,
                                           .usage = early ? NULL : &u,
                                           .usage_said = fails ? SLICE("") : SLICE("{\"x\":1}") });
        failure_deinit(&f);
        if (held) response_deliver(p.r, &p.client);
        NOTE("%d", how);
        if (!unit_fault_fired()) {
            CHECK_UINT(p.completion, 7);
            CHECK_STR(p.said, fails ? "" : "{\"x\":1}");
        }
        close_play(&p);
    }
}

TEST(nobody_there_the_source_pauses) {
    struct play p;
    if (!open_play(&p)) return;
    head(&p);
    CHECK_INT(frame(&p, "a"), FLOW_MORE);
    CHECK_INT(frame(&p, "bbbbbbbbbbbbbbbbbbbbbbbb"), FLOW_FULL);
    CHECK_INT(frame(&p, "c"), FLOW_FULL); /* advice: it is taken */
    p.full = true;
    response_deliver(p.r, &p.client);
    CHECK_STR(p.seen, "200|abbbbbbbbbbbbbbbbbbbbbbbbc");
    CHECK_INT(frame(&p, "d"), FLOW_FULL); /* the client's word */
    p.full = false;
    CHECK_INT(frame(&p, "e"), FLOW_MORE);
    close_play(&p);
    CHECK_UINT(p.cancelled, 1);
}

TEST(a_failure_before_anything) {
    struct play p;
    if (!open_play(&p)) return;
    CHECK(response_failure(p.r) == NULL);
    fail(&p);
    CHECK(response_failure(p.r) != NULL);
    CHECK_STR(response_failure(p.r)->code, "upstream_truncated");
    response_deliver(p.r, &p.client);
    CHECK_STR(p.seen, "|ERROR upstream_truncated");
    close_play(&p);
}

TEST(a_failure_behind_what_was_held) {
    struct play p;
    if (!open_play(&p)) return;
    head(&p);
    frame(&p, "a");
    fail(&p);
    CHECK(response_failure(p.r) == NULL); /* there is something to show */
    response_deliver(p.r, &p.client);
    CHECK_STR(p.seen, "200|a|ERROR upstream_truncated");
    close_play(&p);
}

TEST(no_source_is_a_failure) {
    struct play p;
    struct response *other;
    if (!open_play(&p)) return;
    other = response_new(&(struct response_options){ .loop = &p.loop, .upstream = "none" });
    CHECK(other != NULL);
    response_start(other, NULL);
    CHECK(response_failure(other) != NULL);
    CHECK_STR(response_failure(other)->code, "out_of_memory");
    response_put(other);
    close_play(&p);
}

/* -- Readers ------------------------------------------------------------------------------------ */

static void on_ready(void *ud) { ((struct play *)ud)->woken++; }

TEST(readers_are_told_once_and_later) {
    struct play p;
    if (!open_play(&p)) return;
    head(&p);
    response_on_ready(p.r, on_ready, &p);
    loop_flush(&p.loop);
    CHECK_UINT(p.woken, 0);
    frame(&p, "a");
    frame(&p, "b");
    CHECK_UINT(p.woken, 0); /* never inside of an event */
    loop_flush(&p.loop);
    CHECK_UINT(p.woken, 1);
    response_on_ready(p.r, on_ready, &p); /* there is something already */
    loop_flush(&p.loop);
    CHECK_UINT(p.woken, 2);
    response_on_news(p.r, on_ready, &p);
    loop_flush(&p.loop);
    CHECK_UINT(p.woken, 2);
    end(&p);
    loop_flush(&p.loop);
    CHECK_UINT(p.woken, 3);
    close_play(&p);
}

TEST(who_reads_leaves_everything_to_who_comes_later) {
    struct play p;
    struct event ev;
    if (!open_play(&p)) return;
    head(&p);
    frame(&p, "a");
    frame(&p, "b");
    response_read(p.r, false);
    CHECK_INT(p.r->state, RESPONSE_READING);
    CHECK(response_next(p.r, &ev));
    CHECK_SLICE(ev.data, SLICE("a"));
    CHECK(response_next(p.r, &ev));
    CHECK(!response_next(p.r, &ev));
    response_deliver(p.r, &p.client);
    end(&p);
    CHECK_STR(p.seen, "200|ab|END");
    close_play(&p);
}

TEST(unread_events_pause_the_source) {
    struct play p;
    struct event ev;
    if (!open_play(&p)) return;
    head(&p);
    response_read(p.r, false);
    for (int i = 0; i < 3; i++) CHECK_INT(frame(&p, "0123456789"), i < 1 ? FLOW_MORE : FLOW_FULL);
    while (response_next(p.r, &ev)) {}
    CHECK_INT(frame(&p, "x"), FLOW_MORE); /* what was read does not count */
    close_play(&p);
}

TEST(a_reader_of_events_may_go_beyond_the_limit) {
    struct play p;
    struct event ev;
    unsigned events = 0;
    if (!open_play(&p)) return;
    head(&p);
    response_read(p.r, false);
    for (int i = 0; i < 100; i++) {
        frame(&p, "0123456789");
        while (response_next(p.r, &ev)) events++;
        CHECK(buf_len(&p.r->held) < 200); /* limit, and a record */
    }
    CHECK_UINT(events, 100);
    CHECK(p.r->forgotten);
    response_deliver(p.r, &p.client);
    CHECK_STR(p.seen, "|ERROR upstream_too_large");
    CHECK_UINT(p.cancelled, 1);
    close_play(&p);
    CHECK_UINT(p.cancelled, 1);
}

TEST(a_whole_answer_has_a_limit) {
    struct play p;
    if (!open_play(&p)) return;
    head(&p);
    frame(&p, "0123456789");
    response_read(p.r, true);
    response_on_ready(p.r, on_ready, &p);
    for (int i = 0; i < 20 && p.cancelled == 0; i++) /* no pause: all is wanted */
        CHECK_INT(frame(&p, "0123456789"), FLOW_MORE);
    CHECK_UINT(p.cancelled, 1);
    CHECK(response_failure(p.r) != NULL);
    CHECK_STR(response_failure(p.r)->code, "upstream_too_large");
    loop_flush(&p.loop);
    CHECK_UINT(p.woken, 1);
    response_deliver(p.r, &p.client);
    CHECK_STR(p.seen, "|ERROR upstream_too_large");
    close_play(&p);
}

/* -- Filters ----------------------------------------------------------------------------------------- */

static bool open_filtered(struct play *p) {
    if (!open_play(p)) return false;
    response_add_filter(p->r, &p->filters[0]);
    response_add_filter(p->r, &p->filters[1]);
    return true;
}

TEST(filters_in_their_order_for_what_was_held_too) {
    struct play p;
    if (!open_filtered(&p)) return;
    head(&p);
    frame(&p, "a");
    CHECK_INT(p.filtered[0], 0); /* not before somebody wants it */
    response_deliver(p.r, &p.client);
    frame(&p, "b");
    end(&p);
    CHECK_STR(p.seen, "200|a12b12|END");
    close_play(&p);
    CHECK_UINT(p.freed, 2);
}

TEST(filters_run_once_for_reader_and_consumer) {
    struct play p;
    struct event ev;
    if (!open_filtered(&p)) return;
    head(&p);
    frame(&p, "a");
    end(&p);
    response_read(p.r, true);
    CHECK(response_next(p.r, &ev));
    CHECK_SLICE(ev.data, SLICE("a12"));
    response_deliver(p.r, &p.client);
    CHECK_STR(p.seen, "200|a12|END");
    CHECK_INT(p.filtered[0], 1);
    close_play(&p);
}

/* Filter i breaks the answer in its event number n, of three; the consumer comes before event `there`. */
static void break_at(int i, int n, int there, const char *seen) {
    struct play p;
    if (!open_filtered(&p)) return;
    NOTE("filter %d, event %d, consumer before %d", i, n, there);
    p.breaks_at[i] = n;
    head(&p);
    for (int k = 0; k < 3 && p.cancelled == 0; k++) {
        if (k == there) response_deliver(p.r, &p.client);
        if (p.cancelled == 0) frame(&p, "a");
    }
    if (there == 3) response_deliver(p.r, &p.client);
    CHECK_STR(p.seen, seen);
    CHECK_UINT(p.cancelled, 1);
    CHECK(p.r->failed);
    close_play(&p);
    CHECK_UINT(p.cancelled, 1);
    CHECK_UINT(p.freed, 2);
}

TEST(a_filter_ends_the_answer) {
    for (int i = 0; i < 2; i++) {
        break_at(i, 0, 0, "200||ERROR policy_error");
        break_at(i, 1, 0, "200|a12|ERROR policy_error");
        break_at(i, 1, 3, "200|a12|ERROR policy_error");
        break_at(i, 0, 3, "|ERROR policy_error"); /* nothing was sent: it is an error as such */
    }
}

/* What was held had failed already: the filter's word counts, because it says why less comes. */
TEST(a_filter_ends_an_answer_that_failed) {
    struct play p;
    if (!open_filtered(&p)) return;
    p.breaks_at[1] = 1;
    head(&p);
    for (int i = 0; i < 3; i++) frame(&p, "a");
    fail(&p);
    response_deliver(p.r, &p.client);
    CHECK_STR(p.seen, "200|a12|ERROR policy_error");
    close_play(&p);
}

/* -- Ends inside of events ---------------------------------------------------------------------------- */

/* The consumer is done in its event number `when`, of HEAD, two held, two more and the last. */
static void leave_in(int when, bool good, bool filtered) {
    struct play p;
    NOTE("leaves in event %d", when);
    if (!(filtered ? open_filtered(&p) : open_play(&p))) return;
    p.lets_go = true;
    p.when = when;
    head(&p);
    frame(&p, "a");
    frame(&p, "b");
    response_deliver(p.r, &p.client);
    for (int i = 0; i < 2 && p.cancelled == 0; i++) frame(&p, "c");
    if (p.cancelled == 0 && good) end(&p);
    else if (p.cancelled == 0) fail(&p);
    CHECK(p.r == NULL);
    CHECK_UINT(p.cancelled, when < 5);
    CHECK_INT(p.events, when + 1); /* silence from there on */
    CHECK(list_is_empty(&p.among) == (when < 3)); /* else its source was still below on the stack */
    loop_flush(&p.loop);
    CHECK(list_is_empty(&p.among));
    close_play(&p);
    CHECK_UINT(p.freed, filtered ? 2 : 0);
}

TEST(a_consumer_leaves_inside_of_each_event) {
    for (int when = 0; when < 6; when++)
        for (int how = 0; how < 4; how++) leave_in(when, how & 1, how & 2);
}

TEST(over_is_over) {
    struct play p;
    struct response *r;
    if (!open_play(&p)) return;
    r = response_ref(p.r);
    head(&p);
    frame(&p, "a");
    let_go(&p);
    CHECK_INT(r->state, RESPONSE_OVER);
    CHECK_UINT(p.cancelled, 1);
    response_finish(r, &(struct outcome){ .ok = true }); /* once */
    loop_flush(&p.loop);
    CHECK_UINT(buf_len(&r->held), 0); /* a handle may keep r, not its bytes */
    response_put(r);
    close_play(&p);
}

static unsigned user_calls[4];
static void user_empty(struct response *r) { (void)r; user_calls[0]++; }
static void user_finish(struct response *r, const struct outcome *o) { (void)r; user_calls[1] += o->ok; }
static void user_outlive(struct response *r) { (void)r; user_calls[2]++; }
static void user_release(struct response *r) { (void)r; user_calls[3]++; }

TEST(its_user_hears_of_each_step_once) {
    static const struct response_user_ops ops = { user_empty, user_finish, user_outlive, user_release };
    struct play p;
    if (!open_play(&p)) return;
    p.r->user_ops = &ops;
    head(&p);
    frame(&p, "a");
    response_abandon_all(&p.among); /* the request is over; the consumer still has its share */
    CHECK_UINT(p.cancelled, 1);
    CHECK_UINT(user_calls[0], 1);
    response_finish(p.r, &(struct outcome){ .ok = true });
    CHECK_UINT(user_calls[1], 1);
    response_put(p.r);
    p.r = NULL;
    CHECK_UINT(user_calls[2], 0); /* not inside of an event: gone at once */
    CHECK_UINT(user_calls[3], 1);
    close_play(&p);
}

/* Else a share of what it holds is never given back. */
TEST(its_user_hears_once_that_it_leaves_inside_of_an_event) {
    static const struct response_user_ops ops = { user_empty, user_finish, user_outlive, user_release };
    struct play p;
    memset(user_calls, 0, sizeof(user_calls));
    if (!open_play(&p)) return;
    p.r->user_ops = &ops;
    p.lets_go = p.request_ends = true;
    p.when = 2;
    head(&p);
    response_deliver(p.r, &p.client);
    for (int i = 0; i < 3 && p.cancelled == 0; i++) frame(&p, "c");
    CHECK(p.r == NULL);
    CHECK_UINT(user_calls[2], 1);
    loop_flush(&p.loop);
    CHECK_UINT(user_calls[2], 1);
    CHECK_UINT(user_calls[3], 1);
    close_play(&p);
}

/* -- Headers ------------------------------------------------------------------------------------------ */

TEST(headers_that_pass_and_those_of_a_policy) {
    static const char *const names[] = { "x-a", "x-c" };
    static const struct headers_list pass = { names, 2 };
    struct play p;
    struct buf out;
    if (!open_with(&p, (struct response_options){ .pass = &pass, .high_water = 100 })) return;
    buf_init(&out, 0);
    head(&p);
    headers_put(&p.r->headers, SLICE("X-C"), SLICE("mine"));
    response_put_headers(p.r, &out);
    CHECK_SLICE(buf_get(&out), SLICE("x-a: up\r\nX-C: mine\r\n"));
    buf_deinit(&out);
    close_play(&p);
}

/* -- Memory that runs out ------------------------------------------------------------------------------- */

/* All of it, or a beginning and an error: never a hole. */
TEST_FAULT(what_is_missing_does_not_look_complete) {
    struct play p;
    if (!open_filtered(&p)) return;
    head(&p);
    for (int i = 0; i < 3 && p.cancelled == 0; i++) frame(&p, i == 0 ? "a" : i == 1 ? "b" : "c");
    response_deliver(p.r, &p.client);
    if (p.cancelled == 0) end(&p);
    if (p.cancelled == 0) CHECK_STR(p.seen, "200|a12b12c12|END");
    else {
        CHECK(unit_fault_fired());
        CHECK(strstr(p.seen, "|ERROR out_of_memory") != NULL);
        CHECK(strstr(p.seen, "END") == NULL);
    }
    close_play(&p);
}

/* Coded bytes without the line that says so would be garbage. */
TEST_FAULT(no_bytes_without_the_lines_of_their_head) {
    struct play p;
    if (!open_play(&p)) return;
    p.to->event(p.to, &(struct event){ .type = EVENT_HEAD, .status = 200, .headers = SLICE("content-encoding: gzip\r\n") });
    p.to->event(p.to, &(struct event){ .type = EVENT_BYTES, .raw = SLICE("abc") });
    if (!p.cancelled) p.to->event(p.to, &(struct event){ .type = EVENT_END });
    struct buf lines;
    buf_init(&lines, 0);
    response_put_headers(p.r, &lines);
    bool said = headers_find(buf_get(&lines), SLICE("content-encoding")).ptr != NULL;
    bool lost = buf_failed(&lines);
    buf_deinit(&lines);
    response_deliver(p.r, &p.client);
    if (strstr(p.seen, "abc") != NULL) CHECK(said || lost);
    else CHECK(strstr(p.seen, "|ERROR out_of_memory") != NULL);
    close_play(&p);
}

TEST_FAULT(a_reader_without_memory) {
    struct play p;
    if (!open_play(&p)) return;
    head(&p);
    response_read(p.r, true);
    for (int i = 0; i < 2 && p.cancelled == 0; i++) frame(&p, "0123456789");
    if (p.cancelled == 0) fail(&p);
    CHECK(p.r->failed);
    bool truncated = strcmp(response_why(p.r)->code, "upstream_truncated") == 0;
    if (!truncated) CHECK_STR(response_why(p.r)->code, "out_of_memory");
    CHECK(truncated ? p.cancelled == 0 : unit_fault_fired());
    close_play(&p);
}
