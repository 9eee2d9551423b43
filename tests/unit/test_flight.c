/* test_flight.c -- one answer for all who ask for it at the same time. */
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "include/perilune.h"
#include "store/flight.h"

/* -- A source that does what the test says ---------------------------------------------- */

struct script {
    struct source source;
    struct sink  *to;
    unsigned      resumed;
    bool          cancelled, full, over;
};

static void script_start(struct source *s, struct sink *to) { container_of(s, struct script, source)->to = to; }
static void script_resume(struct source *s) { container_of(s, struct script, source)->resumed++; }
static void script_cancel(struct source *s) { container_of(s, struct script, source)->cancelled = true; }
static const char *script_describe(const struct source *s, char *buf, size_t size) {
    (void)s;
    (void)buf;
    (void)size;
    return "script";
}
static const struct source_ops script_ops = { script_start, script_resume, script_cancel, NULL, script_describe, NULL, NULL };

/* As each source it is silent before it is started, behind its end and when it was cancelled, which a flight without
 * memory does on its own. */
static void say(struct script *s, const struct event *ev) {
    if (s->to == NULL || s->over || s->cancelled) return;
    s->over = ev->type == EVENT_END || ev->type == EVENT_ERROR;
    s->full = s->to->event(s->to, ev) == FLOW_FULL;
}
static void say_head(struct script *s) {
    say(s, &(struct event){ .type = EVENT_HEAD, .status = 200, .content_type = SLICE("text/event-stream"),
                            .headers = SLICE("x-a: 1\r\n") });
}
static void say_text(struct script *s, const char *text) {
    say(s, &(struct event){ .type = EVENT_FRAME, .raw = slice_str(text), .data = slice_str(text) });
}
static void say_end(struct script *s) { say(s, &(struct event){ .type = EVENT_END }); }
static void say_failure(struct script *s, int status, bool retryable) {
    struct failure f = { .kind = FAILURE_UPSTREAM_STATUS, .status = status, .retryable = retryable };
    snprintf(f.code, sizeof(f.code), "bad");
    say(s, &(struct event){ .type = EVENT_ERROR, .failure = &f });
}

/* -- The world ------------------------------------------------------------------------------ */

struct world {
    struct loop     loop;
    struct flights *flights;
    struct script   scripts[8];
    unsigned        made, dropped;
    bool            no_source;
};

struct guest {
    struct sink    sink;
    struct source *source;
    struct buf     got; /* "H" for a head, texts, "." for an end, "!STATUS" for an error */
    struct world  *world;
    bool           slow, joined, pays;
    uint64_t       tokens; /* that it pays for, as it was told when it left or ended */
};

static struct source *make(void *ud) {
    struct world *w = ((struct guest *)ud)->world;
    if (w->no_source) return NULL;
    struct script *s = &w->scripts[w->made++];
    s->source.ops = &script_ops;
    return &s->source;
}

static void drop(void *ud) { ((struct guest *)ud)->world->dropped++; }

static void pays(void *ud, bool yes, const struct usage *known) {
    struct guest *g = ud;
    g->pays = yes;
    g->tokens = yes && known != NULL && known->known ? known->completion : 0;
}

static enum flow on_event(struct sink *k, const struct event *ev) {
    struct guest *g = container_of(k, struct guest, sink);
    switch (ev->type) {
    case EVENT_HEAD:
        buf_putc(&g->got, ev->status == 200 && slice_eq(ev->headers, SLICE("x-a: 1\r\n")) ? 'H' : '?');
        break;
    case EVENT_FRAME:
    case EVENT_BYTES: buf_slice(&g->got, ev->data); break;
    case EVENT_END: buf_putc(&g->got, '.'); break;
    case EVENT_ERROR: buf_printf(&g->got, "!%d", ev->failure->status); break;
    }
    if (ev->type >= EVENT_END) g->source = NULL;
    return g->slow ? FLOW_FULL : FLOW_MORE;
}

static bool sit(struct world *w, struct guest *g, const char *key) {
    *g = (struct guest){ .sink = { on_event }, .world = w };
    buf_init(&g->got, 0);
    struct hash128 k = { (unsigned char)key[0], (uint64_t)(unsigned char)key[0] << 56 };
    struct hash128 rest = { (unsigned char)(key[0] != 0 ? key[1] : 0), 1 };
    struct flight_options opt = { .flights = w->flights, .loop = &w->loop, .key = k, .rest = rest, .limit = 40000,
                                  .high_water = 1000,
                                  .make = make, .drop = drop, .pays = pays, .ud = g };
    g->source = flight_join(&opt, &g->joined);
    bool sits = g->source != NULL;
    if (sits) source_start(g->source, &g->sink); /* may end, and then there is no source any more */
    return sits;
}

static bool world_open(struct world *w) {
    memset(w, 0, sizeof(*w));
    if (loop_init(&w->loop) != 0) return false;
    w->flights = flights_new();
    if (w->flights == NULL) loop_deinit(&w->loop);
    return w->flights != NULL;
}

static void world_close(struct world *w) {
    flights_free(w->flights);
    loop_deinit(&w->loop);
}

static void turn(struct world *w) { loop_flush(&w->loop); }

static void leave(struct guest *g) {
    if (g->source != NULL) source_cancel(g->source);
    g->source = NULL;
}

static void guest_deinit(struct guest *g) {
    leave(g);
    buf_deinit(&g->got);
}

#define GOT(g, text) CHECK_SLICE(buf_get(&(g).got), slice_str(text))

/* -- Tests ------------------------------------------------------------------------------------- */

TEST(late_ones_get_what_was_said_then_follow) {
    struct world w;
    struct guest a, b, c;
    CHECK(world_open(&w));
    CHECK(sit(&w, &a, "k"));
    CHECK(!a.joined);
    say_head(&w.scripts[0]);
    say_text(&w.scripts[0], "one ");
    turn(&w);
    GOT(a, "Hone ");
    CHECK(sit(&w, &b, "k"));
    CHECK(b.joined);
    GOT(b, "Hone ");
    say_text(&w.scripts[0], "two ");
    say_end(&w.scripts[0]);
    CHECK(sit(&w, &c, "k")); /* it has ended, though nobody has read its end */
    CHECK(!c.joined);
    turn(&w);
    GOT(a, "Hone two .");
    GOT(b, "Hone two .");
    GOT(c, "");
    CHECK_INT(w.made, 2);
    CHECK_INT(w.dropped, 2);
    CHECK_INT(flights_joined(w.flights), 1);
    guest_deinit(&a);
    guest_deinit(&b);
    guest_deinit(&c);
    CHECK(w.scripts[1].cancelled);
    world_close(&w);
}

TEST(another_question_is_another_flight) {
    struct world w;
    struct guest a, b;
    CHECK(world_open(&w));
    CHECK(sit(&w, &a, "k") && sit(&w, &b, "l"));
    CHECK_INT(w.made, 2);
    say_head(&w.scripts[1]);
    turn(&w);
    GOT(a, "");
    GOT(b, "H");
    guest_deinit(&a);
    guest_deinit(&b);
    CHECK(w.scripts[0].cancelled && w.scripts[1].cancelled);
    world_close(&w);
}

TEST(the_last_who_leaves_ends_the_source) {
    struct world w;
    struct guest a, b;
    CHECK(world_open(&w));
    CHECK(sit(&w, &a, "k") && sit(&w, &b, "k"));
    leave(&a); /* who made it */
    CHECK(!w.scripts[0].cancelled);
    say_head(&w.scripts[0]);
    turn(&w);
    GOT(b, "H");
    leave(&b);
    CHECK(w.scripts[0].cancelled);
    guest_deinit(&a);
    guest_deinit(&b);
    world_close(&w);
}

TEST(a_slow_one_does_not_hold_the_others) {
    struct world w;
    struct guest a, b;
    char text[400];
    CHECK(world_open(&w));
    CHECK(sit(&w, &a, "k") && sit(&w, &b, "k"));
    a.slow = true;
    say_head(&w.scripts[0]);
    memset(text, 'x', sizeof(text));
    text[399] = '\0';
    for (int i = 0; i < 20; i++) {
        say_text(&w.scripts[0], text);
        turn(&w);
        CHECK(!w.scripts[0].full);
    }
    GOT(a, "H");
    CHECK_INT(buf_len(&b.got), 1 + 20 * 399);
    b.slow = true;
    for (int i = 0; i < 5; i++) {
        say_text(&w.scripts[0], text);
        turn(&w);
    }
    CHECK(w.scripts[0].full); /* even the fastest is behind */
    CHECK_INT(w.scripts[0].resumed, 0);
    b.slow = false;
    source_resume(b.source);
    CHECK_INT(w.scripts[0].resumed, 1);
    a.slow = false;
    source_resume(a.source);
    CHECK_INT(buf_len(&a.got), buf_len(&b.got));
    guest_deinit(&a);
    guest_deinit(&b);
    world_close(&w);
}

TEST(who_is_far_behind_is_told_so_and_memory_is_bounded) {
    struct world w;
    struct guest a, b, c;
    char text[1000];
    CHECK(world_open(&w));
    CHECK(sit(&w, &a, "k") && sit(&w, &b, "k"));
    a.slow = true;
    memset(text, 'x', sizeof(text));
    text[999] = '\0';
    say_head(&w.scripts[0]);
    for (int i = 0; i < 100; i++) {
        say_text(&w.scripts[0], text);
        turn(&w);
    }
    GOT(a, "H!502");
    CHECK_INT(buf_len(&b.got), 1 + 100 * 999);
    CHECK(sit(&w, &c, "k")); /* too late: its beginning is let go */
    CHECK(!c.joined);
    guest_deinit(&a);
    guest_deinit(&b);
    guest_deinit(&c);
    world_close(&w);
}

TEST(a_failure_before_the_first_event_makes_another_lead) {
    struct world w;
    struct guest a, b, c;
    CHECK(world_open(&w));
    CHECK(sit(&w, &a, "k") && sit(&w, &b, "k") && sit(&w, &c, "k"));
    say_failure(&w.scripts[0], 502, true);
    turn(&w);
    GOT(a, "!502");
    GOT(b, "");
    CHECK_INT(w.made, 2);
    say_head(&w.scripts[1]);
    say_text(&w.scripts[1], "yes");
    say_end(&w.scripts[1]);
    turn(&w);
    GOT(b, "Hyes.");
    GOT(c, "Hyes.");
    guest_deinit(&a);
    guest_deinit(&b);
    guest_deinit(&c);
    world_close(&w);
}

TEST(a_failure_of_the_question_is_told_to_all) {
    struct world w;
    struct guest a, b;
    CHECK(world_open(&w));
    CHECK(sit(&w, &a, "k") && sit(&w, &b, "k"));
    say_failure(&w.scripts[0], 400, false);
    turn(&w);
    GOT(a, "!400");
    GOT(b, "!400");
    CHECK_INT(w.made, 1);
    guest_deinit(&a);
    CHECK(sit(&w, &a, "k"));
    CHECK(!a.joined);
    guest_deinit(&a);
    guest_deinit(&b);
    world_close(&w);
}

/* Of the key, the first letter is what is asked, the second what else is said. */
TEST(a_failure_of_another_rest_is_told_to_nobody_else) {
    struct world w;
    struct guest a, b, c, d, e;
    CHECK(world_open(&w));
    CHECK(sit(&w, &a, "kx") && sit(&w, &b, "k") && sit(&w, &c, "kx") && sit(&w, &d, "k") && sit(&w, &e, "ky"));
    CHECK_INT(w.made, 1);
    say_failure(&w.scripts[0], 400, false);
    turn(&w);
    GOT(a, "!400");
    GOT(c, "!400"); /* it was about c, too */
    GOT(b, "");
    CHECK_INT(w.made, 3); /* b for d, and e */
    say_failure(&w.scripts[2], 422, false);
    say_head(&w.scripts[1]);
    say_end(&w.scripts[1]);
    turn(&w);
    GOT(b, "H.");
    GOT(d, "H.");
    GOT(e, "!422");
    guest_deinit(&a);
    guest_deinit(&b);
    guest_deinit(&c);
    guest_deinit(&d);
    guest_deinit(&e);
    world_close(&w);
}

/* Whatever else is said, an answer is for all. */
TEST(an_answer_is_told_to_all) {
    struct world w;
    struct guest a, b;
    CHECK(world_open(&w));
    CHECK(sit(&w, &a, "kx") && sit(&w, &b, "ky"));
    say_head(&w.scripts[0]);
    say_end(&w.scripts[0]);
    turn(&w);
    GOT(a, "H.");
    GOT(b, "H.");
    CHECK_INT(w.made, 1);
    guest_deinit(&a);
    guest_deinit(&b);
    world_close(&w);
}

TEST(rounds_are_bounded) {
    struct world w;
    struct guest g[8];
    CHECK(world_open(&w));
    for (int i = 0; i < 8; i++) CHECK(sit(&w, &g[i], "k"));
    for (int i = 0; i < 4; i++) {
        CHECK_INT(w.made, i + 1);
        say_failure(&w.scripts[i], 503, true);
        turn(&w);
    }
    for (int i = 0; i < 8; i++) GOT(g[i], "!503");
    CHECK_INT(w.made, 4);
    for (int i = 0; i < 8; i++) guest_deinit(&g[i]);
    world_close(&w);
}

TEST(a_failure_in_the_middle_is_told_to_all) {
    struct world w;
    struct guest a, b;
    CHECK(world_open(&w));
    CHECK(sit(&w, &a, "k") && sit(&w, &b, "k"));
    say_head(&w.scripts[0]);
    say_text(&w.scripts[0], "half");
    say_failure(&w.scripts[0], 502, true);
    turn(&w);
    GOT(a, "Hhalf!502");
    GOT(b, "Hhalf!502");
    guest_deinit(&a);
    guest_deinit(&b);
    world_close(&w);
}

static void say_usage(struct script *s, uint64_t tokens) {
    struct usage u = { .known = true, .completion = tokens };
    say(s, &(struct event){ .type = EVENT_FRAME, .raw = SLICE("u"), .data = SLICE("u"), .usage = &u });
}

TEST(who_leads_pays) {
    struct world w;
    struct guest a, b, c;
    CHECK(world_open(&w));
    CHECK(sit(&w, &a, "k") && sit(&w, &b, "k") && sit(&w, &c, "k"));
    CHECK(a.pays && !b.pays && !c.pays);
    leave(&c); /* who does not pay may leave whenever it likes */
    say_head(&w.scripts[0]);
    say_usage(&w.scripts[0], 7);
    say_end(&w.scripts[0]);
    turn(&w);
    GOT(a, "Hu.");
    CHECK(a.pays && !b.pays && !c.pays);
    CHECK_INT(a.tokens, 7);
    guest_deinit(&a);
    guest_deinit(&b);
    guest_deinit(&c);
    world_close(&w);
}

/* The first `before` say goodbye before the head, the next ones in mid-answer, the next ones behind its end, which
 * they have not read; all in this order. */
static unsigned payers(const char *order, unsigned before, unsigned amid, unsigned behind) {
    struct world w;
    struct guest g[4];
    unsigned n = 0, gone = 0;
    CHECK(world_open(&w));
    for (int i = 0; i < 4; i++) CHECK(sit(&w, &g[i], "k"));
    for (; gone < before; gone++) leave(&g[order[gone] - '0']);
    if (w.scripts[0].cancelled) goto end;
    say_head(&w.scripts[0]);
    say_text(&w.scripts[0], "one ");
    turn(&w);
    for (; gone < before + amid; gone++) leave(&g[order[gone] - '0']);
    if (w.scripts[0].cancelled) goto end;
    say_usage(&w.scripts[0], 7);
    say_end(&w.scripts[0]);
    for (; gone < before + amid + behind; gone++) leave(&g[order[gone] - '0']);
    turn(&w);
    for (int i = 0; i < 4; i++)
        if (g[i].pays) CHECK_INT(g[i].tokens, 7); /* all of it */
end:
    for (int i = 0; i < 4; i++) n += g[i].pays;
    for (int i = 0; i < 4; i++) guest_deinit(&g[i]);
    world_close(&w);
    return n;
}

TEST(whoever_leaves_when_exactly_one_pays) {
    static const char *const orders[] = { "0123", "3210", "0321", "1032", "2013", "0213" };
    for (unsigned i = 0; i < 6; i++)
        for (unsigned before = 0; before <= 4; before++)
            for (unsigned amid = 0; before + amid <= 4; amid++)
                for (unsigned behind = 0; before + amid + behind <= 4; behind++)
                    CHECK_INT(payers(orders[i], before, amid, behind), 1);
}

TEST(who_is_too_slow_does_not_pay) {
    struct world w;
    struct guest a, b;
    char text[1000];
    CHECK(world_open(&w));
    CHECK(sit(&w, &a, "k") && sit(&w, &b, "k"));
    a.slow = true;
    memset(text, 'x', sizeof(text));
    text[999] = '\0';
    say_head(&w.scripts[0]);
    for (int i = 0; i < 100; i++) {
        say_text(&w.scripts[0], text);
        turn(&w);
    }
    say_end(&w.scripts[0]);
    turn(&w);
    GOT(a, "H!502");
    CHECK(!a.pays && b.pays);
    guest_deinit(&a);
    guest_deinit(&b);
    world_close(&w);
}

/* b has all of it, a hears only when it leaves what it cost. */
TEST(a_slow_one_that_pays_is_told_how_much) {
    struct world w;
    struct guest a, b;
    CHECK(world_open(&w));
    CHECK(sit(&w, &a, "k") && sit(&w, &b, "k"));
    a.slow = true;
    say_head(&w.scripts[0]);
    say_usage(&w.scripts[0], 9);
    say_end(&w.scripts[0]);
    turn(&w);
    GOT(a, "H");
    GOT(b, "Hu.");
    leave(&a);
    CHECK(a.pays && !b.pays);
    CHECK_INT(a.tokens, 9);
    guest_deinit(&a);
    guest_deinit(&b);
    world_close(&w);
}

TEST(who_leads_after_a_failure_pays) {
    struct world w;
    struct guest a, b, c;
    CHECK(world_open(&w));
    CHECK(sit(&w, &a, "k") && sit(&w, &b, "k") && sit(&w, &c, "k"));
    leave(&a);
    say_failure(&w.scripts[0], 502, true);
    turn(&w);
    CHECK_INT(w.made, 2);
    CHECK(b.pays && !c.pays);
    say_head(&w.scripts[1]);
    turn(&w);
    leave(&b);
    say_usage(&w.scripts[1], 5);
    say_end(&w.scripts[1]);
    turn(&w);
    GOT(c, "Hu.");
    CHECK(!b.pays && c.pays);
    guest_deinit(&a);
    guest_deinit(&b);
    guest_deinit(&c);
    world_close(&w);
}

/* Its share of a failure costs nothing, and then another leads. */
TEST(who_was_to_pay_and_follows_again_does_not) {
    struct world w;
    struct guest a, b, c;
    CHECK(world_open(&w));
    CHECK(sit(&w, &a, "k") && sit(&w, &b, "k"));
    leave(&a); /* b pays */
    say_failure(&w.scripts[0], 502, true);
    CHECK(sit(&w, &c, "k")); /* before b knows */
    turn(&w);
    say_head(&w.scripts[1]);
    say_end(&w.scripts[1]);
    turn(&w);
    GOT(b, "H.");
    CHECK(!b.pays && c.pays);
    guest_deinit(&a);
    guest_deinit(&b);
    guest_deinit(&c);
    world_close(&w);
}

/* It leaves while it is told something: whom it told to is still there then. */
static enum flow leave_in_event(struct sink *k, const struct event *ev) {
    struct guest *g = container_of(k, struct guest, sink);
    (void)ev;
    leave(g);
    CHECK(!g->pays);
    return FLOW_MORE;
}

TEST(who_leaves_in_an_event_knows_at_once) {
    struct world w;
    struct guest a, b;
    CHECK(world_open(&w));
    CHECK(sit(&w, &a, "k") && sit(&w, &b, "k"));
    a.sink.event = leave_in_event;
    say_head(&w.scripts[0]);
    turn(&w);
    CHECK(!a.pays);
    CHECK_INT(w.dropped, 1);
    CHECK(sit(&w, &a, "k")); /* it may come again */
    CHECK(a.joined);
    say_end(&w.scripts[0]);
    turn(&w);
    CHECK(b.pays && !a.pays);
    guest_deinit(&a);
    guest_deinit(&b);
    world_close(&w);
}

TEST_FAULT(no_memory_is_a_failure) {
    struct world w;
    struct guest a, b;
    bool open = world_open(&w);
    if (FAULTED(open ? 0 : PERILUNE_ERR_NOMEM)) return;
    CHECK(open);
    bool sits = sit(&w, &a, "k");
    if (!FAULTED(sits ? 0 : PERILUNE_ERR_NOMEM)) {
        bool both = sit(&w, &b, "k");
        say_head(&w.scripts[0]);
        say_text(&w.scripts[0], "text");
        say_end(&w.scripts[0]);
        turn(&w);
        if (!FAULTED(both ? 0 : PERILUNE_ERR_NOMEM)) CHECK(buf_len(&b.got) > 0 || buf_failed(&b.got) || w.made > 1);
        CHECK(buf_len(&a.got) > 0 || buf_failed(&a.got));
        CHECK(memchr(buf_get(&a.got).ptr, '?', buf_len(&a.got)) == NULL); /* no head without its lines */
        guest_deinit(&b);
    }
    guest_deinit(&a);
    world_close(&w);
}

TEST(a_long_event_before_anybody_has_looked) {
    struct world w;
    struct guest a, b;
    char text[50001];
    CHECK(world_open(&w));
    CHECK(sit(&w, &a, "k") && sit(&w, &b, "k"));
    memset(text, 'x', sizeof(text));
    text[50000] = '\0';
    say_head(&w.scripts[0]);
    say_text(&w.scripts[0], "begin ");
    text[30000] = '\0';
    say_text(&w.scripts[0], text);
    say_text(&w.scripts[0], text); /* over the limit: nobody can join */
    leave(&a);
    say_text(&w.scripts[0], "end");
    turn(&w);
    CHECK(buf_len(&b.got) > 0);
    CHECK(slice_starts(buf_get(&b.got), SLICE("H")));
    guest_deinit(&a);
    guest_deinit(&b);
    world_close(&w);
}

TEST(a_thread_that_ends_tells_who_followed) {
    struct world w;
    struct guest a, b;
    CHECK(world_open(&w));
    CHECK(sit(&w, &a, "k") && sit(&w, &b, "k"));
    say_head(&w.scripts[0]);
    turn(&w);
    flights_leave(w.flights, &w.loop);
    CHECK(w.scripts[0].cancelled);
    turn(&w);
    GOT(a, "H!503");
    GOT(b, "H!503");
    guest_deinit(&a);
    guest_deinit(&b);
    world_close(&w);
}

TEST(who_cannot_make_a_source_says_so) {
    struct world w;
    struct guest a;
    CHECK(world_open(&w));
    w.no_source = true;
    CHECK(sit(&w, &a, "k"));
    GOT(a, "!503");
    guest_deinit(&a);
    world_close(&w);
}
