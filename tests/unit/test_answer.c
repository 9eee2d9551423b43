/* test_answer.c -- an upstream's answer, cut at every byte, as its reader hears it.
 *
 * What came out is written down as text, one event per line:
 *     200 text/event-stream | F data: {...}\n\n | B {...} | END | ERROR code: message */
#include "llm/answer.h"

#include <stdio.h>

#include "base/mem.h"
#include "unit.h"

struct reader {
    struct sink    sink;
    struct source  from;    /* what the answer reads */
    struct sink   *down;    /* the answer's sink; NULL: it has ended, or was cancelled */
    struct source *answer;  /* NULL: it has ended */
    struct buf     heard;
    struct usage   usage;
    unsigned       marks, events;
    enum flow      says;
    bool           released; /* by the answer */
};

static enum flow on_event(struct sink *k, const struct event *ev) {
    struct reader *r = container_of(k, struct reader, sink);
    struct buf *out = &r->heard;
    r->events++;
    if (ev->usage != NULL) r->usage = *ev->usage;
    if (ev->type == EVENT_END || ev->type == EVENT_ERROR) r->answer = NULL;
    if (buf_len(out) > 0) buf_puts(out, " | ");
    switch (ev->type) {
    case EVENT_HEAD:
        buf_printf(out, "%d %.*s", ev->status, SLICE_ARG(ev->content_type));
        break;
    case EVENT_FRAME:
        buf_puts(out, "F ");
        buf_slice(out, ev->raw);
        /* data is what stands behind "data: ", or the lines of it joined. */
        if (!buf_failed(out)) CHECK(memmem(ev->raw.ptr, ev->raw.len, ev->data.ptr, ev->data.len) || memchr(ev->data.ptr, '\n', ev->data.len));
        break;
    case EVENT_BYTES:
        buf_puts(out, "B ");
        buf_slice(out, ev->raw);
        break;
    case EVENT_END: buf_puts(out, "END"); break;
    case EVENT_ERROR:
        buf_printf(out, "ERROR %s: %s", ev->failure->code, ev->failure->message);
        break;
    }
    return r->says;
}

static void from_start(struct source *s, struct sink *to) { container_of(s, struct reader, from)->down = to; }
static void from_resume(struct source *s) { (void)s; }
static void from_cancel(struct source *s) { container_of(s, struct reader, from)->down = NULL; }
static void from_release(struct source *s) {
    struct reader *r = container_of(s, struct reader, from);
    r->down = NULL;
    r->released = true;
}
static void from_mark(struct source *s) { container_of(s, struct reader, from)->marks++; }
static const struct source_ops from_ops = { from_start, from_resume, from_cancel, from_mark, NULL, from_release, NULL };

/* As a source would: nothing after the end, nothing after cancel(). */
static enum flow send(struct reader *r, const struct event *ev) {
    struct sink *down = r->down;
    if (down == NULL) return FLOW_MORE;
    if (ev->type == EVENT_END || ev->type == EVENT_ERROR) r->down = NULL;
    return down->event(down, ev);
}

static const struct answer_options STREAM = { .stream = true, .limit = 4096, .max_event = 4096 };
static const struct answer_options USAGE = { .stream = true, .keep_usage = true, .limit = 4096, .max_event = 4096 };
static const struct answer_options WHOLE = { .limit = 64, .max_event = 4096 };
static const struct answer_options TWO = { .stream = true, .choices = 2, .limit = 4096, .max_event = 4096 };
static const struct answer_options UNASKED = { .limit = 4096, .max_event = 4096 };

static void begin(struct reader *r, const struct answer_options *opt, const char *type) {
    memset(r, 0, sizeof(*r));
    r->sink.event = on_event;
    r->from.ops = &from_ops;
    buf_init(&r->heard, 0);
    r->answer = answer_new(&r->from, opt);
    if (FAULTED(r->answer)) return;
    CHECK(r->answer != NULL);
    source_start(r->answer, &r->sink);
    send(r, &(struct event){ .type = EVENT_HEAD, .status = 200, .content_type = slice_str(type) });
}

static enum flow bytes(struct reader *r, struct slice s) {
    char *copy = mem_alloc(s.len + 1); /* exactly these bytes: nobody may look behind them */
    if (copy == NULL) return FLOW_MORE;
    memcpy(copy, s.ptr, s.len);
    enum flow flow = send(r, &(struct event){ .type = EVENT_BYTES, .raw = slice_of(copy, s.len) });
    mem_free(copy);
    return flow;
}

static void end(struct reader *r) {
    send(r, &(struct event){ .type = EVENT_END });
}

static void deinit(struct reader *r) {
    if (r->answer != NULL) source_cancel(r->answer);
    CHECK(r->down == NULL);
    buf_deinit(&r->heard);
}

static struct usage last; /* of the run before */

/* One way of cutting: pieces of `step` bytes, the first of `first`. */
static void cut(const struct answer_options *opt, const char *type, struct slice body, size_t first, size_t step,
                const char *expected) {
    struct reader r;
    begin(&r, opt, type);
    for (size_t at = 0, n = first; at < body.len; at += n, n = step) {
        if (n > body.len - at) n = body.len - at;
        bytes(&r, slice_of(body.ptr + at, n));
    }
    end(&r);
    end(&r); /* nothing comes behind the end */
    bytes(&r, SLICE("data: late\n\n"));
    NOTE("the first %zu bytes, then %zu at a time", first, step);
    last = r.usage;
    if (expected != NULL) CHECK_SLICE(buf_get(&r.heard), slice_str(expected));
    deinit(&r);
}

static void hears_as(const struct answer_options *opt, const char *type, const char *body, const char *expected) {
    struct slice s = slice_str(body);
    cut(opt, type, s, s.len + 1, 1, expected);
    cut(opt, type, s, 1, 1, expected);
    for (size_t i = 1; i < s.len; i++) cut(opt, type, s, i, s.len, expected);
}

static void hears(const struct answer_options *opt, const char *body, const char *expected) {
    hears_as(opt, "text/event-stream", body, expected);
}

#define HEAD "200 text/event-stream | "
#define TEXT "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"},\"finish_reason\":null}]}\n\n"
#define STOP "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
#define DONE "data: [DONE]\n\n"

/* -- Streams ------------------------------------------------------------------------ */

TEST(frames_go_on_as_they_came) {
    hears(&STREAM, TEXT STOP DONE, HEAD "F " TEXT " | F " STOP " | F " DONE " | END");
    hears(&STREAM, "data:{\"x\" : 1e999}\r\n\r\n: note\n\nevent: y\nid: 7\ndata: [1,\ndata: 2]\n\n" DONE,
          HEAD "F data:{\"x\" : 1e999}\r\n\r\n | F event: y\nid: 7\ndata: [1,\ndata: 2]\n\n | F " DONE " | END");
}

TEST(nothing_counts_behind_done) {
    hears(&STREAM, TEXT DONE TEXT "data: {\"error\":{\"message\":\"late\"}}\n\n" DONE, HEAD "F " TEXT " | F " DONE " | END");
}

/* The upstream may leave its connection open, or send more: the answer has ended. */
static void ends_with_its_mark(const struct answer_options *opt, const char *body, const char *expected) {
    struct reader r;
    begin(&r, opt, "text/event-stream");
    bytes(&r, slice_str(body));
    CHECK_SLICE(buf_get(&r.heard), slice_str(expected));
    CHECK(r.answer == NULL && r.released && r.down == NULL);
    deinit(&r);
}

TEST(the_mark_is_the_end) {
    ends_with_its_mark(&STREAM, TEXT STOP DONE, HEAD "F " TEXT " | F " STOP " | F " DONE " | END");
    ends_with_its_mark(&STREAM, STOP "data: [DONE] \n\n" TEXT, HEAD "F " STOP " | F " DONE " | END");
    ends_with_its_mark(&UNASKED, TEXT STOP DONE "data: ",
                       "200 application/json | B {\"object\":\"chat.completion\",\"choices\":[{\"index\":0,\"message\":"
                       "{\"content\":\"hi\",\"role\":\"assistant\"},\"finish_reason\":\"stop\"}]} | END");
    ends_with_its_mark(&UNASKED, DONE, "ERROR upstream_malformed: the upstream answered with a stream that has no choices");
}

TEST(an_empty_stream_of_done_only) { hears(&STREAM, DONE, HEAD "F " DONE " | END"); }

TEST(a_missing_done_is_added_behind_a_finish) {
    hears(&STREAM, STOP, HEAD "F " STOP " | F " DONE " | END");
    hears(&STREAM, "data: {\"choices\":[{\"finish_reason\" :\t\"length\"}]}\n\n",
          HEAD "F data: {\"choices\":[{\"finish_reason\" :\t\"length\"}]}\n\n | F " DONE " | END");
    hears(&STREAM, "data: {\"choices\":[{\"finish_reason\":\"length\"},{\"finish_reason\":\"stop\"}]}\n\n",
          HEAD "F data: {\"choices\":[{\"finish_reason\":\"length\"},{\"finish_reason\":\"stop\"}]}\n\n | F " DONE " | END");
    /* The last blank line is missing, too. */
    hears(&STREAM, TEXT "data: [DONE]", HEAD "F " TEXT " | F " DONE " | END");
}

TEST(a_stream_that_breaks_off_is_an_error) {
    hears(&STREAM, TEXT, HEAD "F " TEXT " | ERROR upstream_truncated: the upstream ended its stream too early");
    hears(&STREAM, "", "ERROR upstream_truncated: the upstream ended its stream too early");
    hears(&STREAM, ": ping\n\n", "ERROR upstream_truncated: the upstream ended its stream too early");
    /* Words about a finish are none. */
    const char *quoted = "data: {\"content\":\"\\\"finish_reason\\\":\\\"stop\\\"\"}\n\n";
    struct buf all;
    buf_init(&all, 0);
    buf_printf(&all, HEAD "F %s | ERROR upstream_truncated: the upstream ended its stream too early", quoted);
    if (!buf_failed(&all) && buf_cstr(&all)) hears(&STREAM, quoted, buf_cstr(&all));
    buf_deinit(&all);
}

/* -- Usage ---------------------------------------------------------------------------- */

#define SPENT "\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4,\"prompt_tokens_details\":{\"cached_tokens\":2}}"

TEST(the_frame_with_only_usage_vanishes) {
    hears(&STREAM, TEXT STOP "data: {\"choices\":[]," SPENT "}\n\n" DONE,
          HEAD "F " TEXT " | F " STOP " | F " DONE " | END");
    CHECK(last.known);
    CHECK_UINT(last.prompt, 3);
    CHECK_UINT(last.completion, 4);
    CHECK_UINT(last.cached, 2);
    hears(&STREAM, STOP "data: {" SPENT "}\n\n" DONE, HEAD "F " STOP " | F " DONE " | END");
    CHECK(last.known);
}

TEST(usage_stays_for_who_asked) {
    hears(&USAGE, STOP "data: {\"choices\":[]," SPENT "}\n\n" DONE,
          HEAD "F " STOP " | F data: {\"choices\":[]," SPENT "}\n\n | F " DONE " | END");
    CHECK_UINT(last.prompt, 3);
}

/* What comes in, what goes out: the JSON of a frame with text and usage. */
static void cut_to(const char *in, const char *out) {
    struct buf body, expected;
    buf_init(&body, 0);
    buf_init(&expected, 0);
    buf_printf(&body, "data: %s\n\n" DONE, in);
    buf_printf(&expected, HEAD "F data: %s\n\n | F " DONE " | END", out);
    CHECK(buf_cstr(&body) != NULL && buf_cstr(&expected) != NULL);
    hears(&STREAM, buf_cstr(&body), buf_cstr(&expected));
    buf_deinit(&body);
    buf_deinit(&expected);
}

TEST(usage_is_cut_out_of_a_frame_with_text) {
    cut_to("{" SPENT ",\"choices\":[1]}", "{\"choices\":[1]}");
    cut_to("{\"choices\":[1]," SPENT "}", "{\"choices\":[1]}");
    cut_to("{\"choices\":[1]," SPENT ",\"x\":\"a,{\"}", "{\"choices\":[1],\"x\":\"a,{\"}");
    cut_to(" { \"id\" : 1 , " SPENT " , \"choices\" : [ 1 ] } ", " { \"id\" : 1 , \"choices\" : [ 1 ] } ");
    cut_to("{ " SPENT " , \"choices\":[1] }", "{\"choices\":[1] }");
    cut_to("{\"choices\":[1] , " SPENT " }", "{\"choices\":[1] }");
    cut_to("{\"choices\":[1],\"\\u0075sage\":{},\"usage\":{\"prompt_tokens\":1}}", "{\"choices\":[1]}");
    /* Twice in a row, and at both ends. */
    cut_to("{\"choices\":[1]," SPENT "," SPENT "}", "{\"choices\":[1]}");
    cut_to("{" SPENT "," SPENT ",\"choices\":[1]," SPENT "}", "{\"choices\":[1]}");
    /* null comes with every chunk of who asks for usage. */
    cut_to("{\"choices\":[1],\"usage\":null}", "{\"choices\":[1]}");
    cut_to("{\"usage\":null,\"choices\":[1]}", "{\"choices\":[1]}");
    cut_to("{\"choices\":[],\"usage\":null,\"obfuscation\":\"x\"}", "{\"choices\":[],\"obfuscation\":\"x\"}");
    cut_to("{\"choices\":[{\"message\":{\"usage\":null}}]}", "{\"choices\":[{\"message\":{\"usage\":null}}]}");
    cut_to("{\"choices\":[],\"usage\":7}", "{\"choices\":[],\"usage\":7}");
}

TEST(usage_may_come_with_every_frame) {
    hears(&STREAM, "data: {\"choices\":[1]," SPENT "}\n\ndata: {\"choices\":[2]," SPENT "}\n\n" DONE,
          HEAD "F data: {\"choices\":[1]}\n\n | F data: {\"choices\":[2]}\n\n | F " DONE " | END");
}

TEST(usage_is_cut_out_of_a_frame_of_several_lines) {
    hears(&STREAM, "data: {\"choices\":\ndata: [1],\ndata: " SPENT "}\n\n" DONE,
          HEAD "F data: {\"choices\": [1]}\n\n | F " DONE " | END");
}

/* Streamed and whole: the event of usage, or the answer's member. */
static void says_usage(const char *usage, bool known, bool senseless) {
    char text[300];
    NOTE("%s", usage);
    snprintf(text, sizeof(text), STOP "data: {\"choices\":[],\"usage\":%s}\n\n" DONE, usage);
    last = (struct usage){ .known = false };
    hears(&USAGE, text, NULL);
    CHECK_UINT(last.known, known);
    CHECK_UINT(last.senseless, senseless);
    snprintf(text, sizeof(text), "{\"choices\":[{\"message\":{\"content\":\"hello, you\"}}],\"usage\":%s}", usage);
    hears_as(&UNASKED, "application/json", text, NULL);
    CHECK_UINT(last.known, known);
    CHECK_UINT(last.senseless, senseless);
    CHECK_UINT(last.said, 3);
}

TEST(usage_that_cannot_be_is_none) {
    static const char *const senseless[] = {
        "{}", "{\"prompt_tokens\":-1,\"completion_tokens\":\"9\"}", "{\"prompt_tokens\":\"12\",\"completion_tokens\":3}",
        "{\"prompt_tokens\":12,\"completion_tokens\":-3}", "{\"prompt_tokens\":12.5,\"completion_tokens\":3}",
        "{\"prompt_tokens\":1,\"completion_tokens\":1e30}", "{\"prompt_tokens\":100000001,\"completion_tokens\":1}",
        "{\"prompt_tokens\":null,\"completion_tokens\":null}", "{\"prompt_tokens\":0,\"completion_tokens\":0}",
        "{\"prompt_tokens\":[1],\"completion_tokens\":1}", "{\"prompt_tokens\":{},\"completion_tokens\":1}",
        "{\"prompt_tokens\":true,\"completion_tokens\":1}", "[]", "\"many\"", "12", "false", "{\"total_tokens\":9}",
    };
    for (size_t i = 0; i < sizeof(senseless) / sizeof(*senseless); i++) says_usage(senseless[i], false, true);
    says_usage("null", false, false);
    says_usage("{\"prompt_tokens\":100000000,\"completion_tokens\":0}", true, false);
    says_usage("{\"prompt_tokens\":12.0,\"completion_tokens\":3e0}", true, false);
    says_usage("{\"prompt_tokens\":null,\"completion_tokens\":3}", true, false);
    says_usage("{\"prompt_tokens\":9}", true, false);
}

TEST(a_discount_that_cannot_be_is_none) {
    says_usage("{\"prompt_tokens\":9,\"completion_tokens\":3,\"prompt_tokens_details\":{\"cached_tokens\":\"9\"}}", true,
               false);
    CHECK_UINT(last.cached, 0);
    says_usage("{\"prompt_tokens\":9,\"completion_tokens\":3,\"prompt_tokens_details\":{\"cached_tokens\":-9},"
               "\"prompt_cache_hit_tokens\":4}", true, false);
    CHECK_UINT(last.cached, 4);
}

/* What is said last counts: earlier ones were on the way to it. */
TEST(usage_in_several_events) {
    static const char bad[] = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":-1}}\n\n",
                      good[] = "data: {\"choices\":[]," SPENT "}\n\n", null[] = "data: {\"choices\":[],\"usage\":null}\n\n";
    char text[400];
    snprintf(text, sizeof(text), STOP "%s%s%s" DONE, bad, good, null);
    hears(&STREAM, text, NULL);
    CHECK(last.known && !last.senseless);
    CHECK_UINT(last.prompt, 3);
    snprintf(text, sizeof(text), STOP "%s%s" DONE, good, bad);
    hears(&STREAM, text, HEAD "F " STOP " | F " DONE " | END");
    CHECK(!last.known && last.senseless);
    CHECK_UINT(last.prompt, 0);
}

/* A stream that is given as a whole, and a whole that is given as a stream. */
TEST(what_an_answer_says_is_estimated) {
    hears(&UNASKED, "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"one two\"}}]}\n\n"
                    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\" three\"},\"finish_reason\":\"stop\"}]}\n\n"
                    DONE, NULL);
    CHECK(!last.known);
    CHECK_UINT(last.said, 4);
    hears_as(&STREAM, "application/json", "{\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":"
             "\"eight bytes and eight\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":\"3\"}}", NULL);
    CHECK(!last.known && last.senseless);
    CHECK_UINT(last.said, 6);
}

/* -- Errors inside ---------------------------------------------------------------------- */

TEST(an_error_before_anything_else_has_no_head) {
    hears(&STREAM, "data: {\"error\":{\"message\":\"no\",\"type\":\"t\",\"code\":\"c\"}}\n\n" TEXT DONE, "ERROR c: no");
    hears(&STREAM, "data: {\"error\":{\"code\":7}}\n\n",
          "ERROR upstream_stream_error: the upstream sent an error in its answer");
    hears(&STREAM, "data: {\"error\":\"overloaded\"}\n\n", "ERROR upstream_stream_error: overloaded");
}

TEST(an_error_behind_text_ends_the_stream) {
    hears(&STREAM, TEXT "event: error\ndata: {\"error\":{\"message\":\"no\"}}\n\n" TEXT DONE,
          HEAD "F " TEXT " | ERROR upstream_stream_error: no");
}

TEST(words_about_errors_are_none) {
    hears(&STREAM, "data: {\"content\":\"error\",\"error\":null}\n\n" DONE,
          HEAD "F data: {\"content\":\"error\",\"error\":null}\n\n | F " DONE " | END");
    hears(&STREAM, "data: {\"x\":{\"error\":{\"message\":\"no\"}}}\n\n" DONE,
          HEAD "F data: {\"x\":{\"error\":{\"message\":\"no\"}}}\n\n | F " DONE " | END");
    hears(&STREAM, "data: [\"error\",\"usage\"]\n\n" DONE, HEAD "F data: [\"error\",\"usage\"]\n\n | F " DONE " | END");
    hears(&STREAM, "data: {\"error\": broken\n\n" DONE, HEAD "F data: {\"error\": broken\n\n | F " DONE " | END");
}

TEST(an_event_over_the_limit) {
    struct answer_options small = STREAM;
    small.max_event = 40;
    hears(&small, DONE, HEAD "F " DONE " | END");
    hears(&small, "data: 0123456789012345678901234567890123456789\n\n" DONE,
          "ERROR upstream_malformed: the upstream sent an event over its limit of 40 bytes (max_event)");
}

/* -- Whole answers ------------------------------------------------------------------------ */

TEST(a_whole_answer_goes_in_one_piece) {
    hears_as(&WHOLE, "application/json; charset=utf-8", " {\"choices\":[1], \"x\":1e999}\n",
             "200 application/json; charset=utf-8 | B  {\"choices\":[1], \"x\":1e999}\n | END");
    hears_as(&WHOLE, "", "{\"usage\":{\"prompt_tokens\":5}}", "200 application/json | B {\"usage\":{\"prompt_tokens\":5}} | END");
    CHECK(last.known);
    CHECK_UINT(last.prompt, 5);
    hears_as(&WHOLE, "application/json", "[]", "200 application/json | B [] | END");
    hears_as(&WHOLE, "application/json", "\xEF\xBB\xBF[]", "200 application/json | B [] | END");
    hears_as(&WHOLE, "application/json", "\xEF\xBB\xBF {\"error\":{\"message\":\"no\",\"code\":\"c\"}}", "ERROR c: no");
    hears_as(&STREAM, "text/plain", "\xEF\xBB\xBF" DONE, HEAD "F " DONE " | END");
    /* A stream was asked for and did not come. */
    hears_as(&STREAM, "application/json", "{\"a\":1}", "200 application/json | B {\"a\":1} | END");
    hears_as(&STREAM, "text/event-streamer", "{}", "200 text/event-streamer | B {} | END");
    hears_as(&STREAM, "Text/Event-Stream;charset=utf-8", DONE, HEAD "F " DONE " | END");
}

TEST(a_whole_answer_that_is_wrong) {
    hears_as(&WHOLE, "text/html", "<html>", "ERROR upstream_malformed: the upstream answered 200 with a body that is not JSON");
    hears_as(&WHOLE, "application/json", "", "ERROR upstream_malformed: the upstream answered 200 with a body that is not JSON");
    hears_as(&WHOLE, "application/json", "{\"a\":1}{", "ERROR upstream_malformed: the upstream answered 200 with a body that is not JSON");
    hears_as(&WHOLE, "application/json", "{\"error\":{\"message\":\"no\",\"code\":\"c\"}}", "ERROR c: no");
    hears_as(&WHOLE, "application/json", "[{\"error\":{\"message\":\"no\",\"code\":400}}]", "ERROR upstream_stream_error: no");
    hears_as(&STREAM, "application/json", "[{\"error\":{\"message\":\"no\",\"code\":400}}]", "ERROR upstream_stream_error: no");
    hears_as(&STREAM, "application/json", "[{\"choices\":[]}]",
             "ERROR upstream_malformed: the upstream answered 200 with JSON that is neither a stream nor a completion");
    hears_as(&WHOLE, "text/event-stream", DONE, "ERROR upstream_malformed: the upstream answered with a stream that has no choices");
    hears_as(&WHOLE, "application/json", "[0123456789012345678901234567890123456789012345678901234567890123]",
             "ERROR upstream_too_large: the upstream failed: its answer is over max_body");
}

TEST(exactly_the_limit_fits) {
    struct answer_options small = WHOLE;
    small.limit = 6;
    hears_as(&small, "application/json", "[1234]", "200 application/json | B [1234] | END");
    hears_as(&small, "application/json", "[12345]", "ERROR upstream_too_large: the upstream failed: its answer is over max_body");
}

/* -- What it is ---------------------------------------------------------------------------- */

TEST(a_stream_by_another_name) {
    hears_as(&STREAM, "application/json", TEXT STOP DONE, HEAD "F " TEXT " | F " STOP " | F " DONE " | END");
    hears_as(&STREAM, "", "event: x\n" TEXT DONE, HEAD "F event: x\n" TEXT " | F " DONE " | END");
    hears_as(&STREAM, "text/plain", "\xEF\xBB\xBF" TEXT DONE, HEAD "F " TEXT " | F " DONE " | END");
    hears_as(&STREAM, "text/plain", "\n: ping\n\nretry: 3\n" TEXT DONE, HEAD "F retry: 3\n" TEXT " | F " DONE " | END");
    hears_as(&STREAM, "text/plain", "datum", "ERROR upstream_malformed: the upstream answered 200 with a body that is not JSON");
    hears_as(&STREAM, "text/event-stream", " {\"error\":\"busy\"}", "ERROR upstream_stream_error: busy");
}

TEST(a_whole_for_who_asked_for_a_stream) {
    hears_as(&STREAM, "application/json",
             "{\"id\":\"x\",\"choices\":[{\"index\":0,\"message\":{\"content\":\"hi\"},\"finish_reason\":\"stop\"}],\n" SPENT "}",
             HEAD "F data: {\"object\":\"chat.completion.chunk\",\"id\":\"x\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"},"
             "\"finish_reason\":\"stop\"}]}\n\n | F " DONE " | END");
    CHECK(last.known);
    CHECK_UINT(last.prompt, 3);
    hears_as(&USAGE, "text/event-stream", "{\"choices\":[{\"message\":{},\"finish_reason\":null}]," SPENT "}",
             HEAD "F data: {\"object\":\"chat.completion.chunk\",\"choices\":[{\"delta\":{},\"finish_reason\":null}]}\n\n"
             " | F data: {\"object\":\"chat.completion.chunk\",\"choices\":[]," SPENT "}\n\n | F " DONE " | END");
}

TEST(a_stream_for_who_asked_for_a_whole) {
    hears_as(&UNASKED, "text/event-stream",
             "data: {\"id\":\"x\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n"
             ": ping\n\n"
             "data: {\"choices\":[{\"index\":1,\"delta\":{\"role\":\"assistant\",\"reasoning_content\":\"hm\"}}]}\n\n"
             "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"a\\n\"}}]}\n\n"
             "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"b\"},\"finish_reason\":\"stop\"}]}\n\n"
             "data: {\"choices\":[{\"index\":1,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"c\",\"function\":{\"name\":\"f\",\"arguments\":\"{\"}}]}}]}\n\n"
             "data: {\"choices\":[{\"index\":1,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"}\"}}]},\"finish_reason\":\"tool_calls\"}]}\n\n"
             "data: {\"choices\":[]," SPENT "}\n\n",
             "200 application/json | B {\"id\":\"x\",\"object\":\"chat.completion\",\"choices\":["
             "{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"a\\nb\"},\"finish_reason\":\"stop\"},"
             "{\"index\":1,\"message\":{\"role\":\"assistant\",\"reasoning_content\":\"hm\",\"content\":null,"
             "\"tool_calls\":[{\"id\":\"c\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},"
             "\"finish_reason\":\"tool_calls\"}]," SPENT "} | END");
    CHECK_UINT(last.prompt, 3);
    hears_as(&UNASKED, "text/event-stream", TEXT "data: {broken\n\n" STOP, "ERROR upstream_malformed: the upstream sent an event that is not JSON");
    hears_as(&UNASKED, "text/event-stream", TEXT, "ERROR upstream_truncated: the upstream ended its stream too early");
    hears_as(&UNASKED, "text/event-stream", TEXT "event: error\ndata: {\"message\":\"no\"}\n\n", "ERROR upstream_stream_error: no");
    hears_as(&WHOLE, "text/event-stream", TEXT STOP DONE, "ERROR upstream_too_large: the upstream failed: its answer is over max_body");
}

/* -- Where it ends --------------------------------------------------------------------------- */

#define TRUNCATED "ERROR upstream_truncated: the upstream ended its stream too early"
#define PART(index, reason) "data: {\"choices\":[{\"index\":" index ",\"delta\":{},\"finish_reason\":" reason "}]}\n\n"

TEST(no_reason_is_no_end) {
    hears(&STREAM, PART("0", "\"\""), HEAD "F " PART("0", "\"\"") " | " TRUNCATED);
    hears(&STREAM, PART("0", "\"null\""), HEAD "F " PART("0", "\"null\"") " | " TRUNCATED);
    hears(&STREAM, PART("0", "\"null\"") PART("0", " \"eos\""),
          HEAD "F " PART("0", "\"null\"") " | F " PART("0", " \"eos\"") " | F " DONE " | END");
    hears(&STREAM, "data: {\"finish_reason\":\"stop\"}\n\n", HEAD "F data: {\"finish_reason\":\"stop\"}\n\n | " TRUNCATED);
}

TEST(a_stream_ends_when_all_its_choices_have) {
    hears(&TWO, PART("0", "\"stop\""), HEAD "F " PART("0", "\"stop\"") " | " TRUNCATED);
    hears(&TWO, PART("0", "\"stop\"") PART("0", "\"stop\""),
          HEAD "F " PART("0", "\"stop\"") " | F " PART("0", "\"stop\"") " | " TRUNCATED);
    hears(&TWO, PART("1", "\"stop\"") PART("0", "\"length\""),
          HEAD "F " PART("1", "\"stop\"") " | F " PART("0", "\"length\"") " | F " DONE " | END");
    /* More than were asked for. */
    hears(&STREAM, PART("1", "null") PART("0", "\"stop\""),
          HEAD "F " PART("1", "null") " | F " PART("0", "\"stop\"") " | " TRUNCATED);
    hears(&STREAM, PART("99999999", "\"stop\""), HEAD "F " PART("99999999", "\"stop\"") " | F " DONE " | END");
    /* The index of a tool's call is no choice's. */
    hears(&STREAM, "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":1}]}}]}\n\n" STOP,
          HEAD "F data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":1}]}}]}\n\n | F " STOP " | F " DONE " | END");
}

TEST(one_end_mark) {
    hears(&STREAM, STOP "data:  [DONE] \t\n\n" DONE, HEAD "F " STOP " | F " DONE " | END");
    hears(&STREAM, STOP "data:[DONE]\r\n\r\n", HEAD "F " STOP " | F data:[DONE]\r\n\r\n | END");
    hears(&STREAM, STOP "data: [DONE] ", HEAD "F " STOP " | F " DONE " | END");
}

TEST(half_an_event_is_dropped) {
    hears(&STREAM, TEXT "data: {\"choices\":[{\"del", HEAD "F " TEXT " | " TRUNCATED);
    hears(&STREAM, STOP "data: {\"choices\":[],\"usa", HEAD "F " STOP " | F " DONE " | END");
    hears(&STREAM, TEXT "data: [DO", HEAD "F " TEXT " | " TRUNCATED);
    hears(&STREAM, TEXT "data: 12", HEAD "F " TEXT " | " TRUNCATED);
    hears(&STREAM, TEXT "data: {\"choices\":[{\"finish_reason\":\"stop\"}]}",
          HEAD "F " TEXT " | F data: {\"choices\":[{\"finish_reason\":\"stop\"}]}\n\n | F " DONE " | END");
}

TEST(usage_without_choices_of_any_kind) {
    hears(&STREAM, STOP "data: {\"choices\":null," SPENT "}\n\n" DONE, HEAD "F " STOP " | F " DONE " | END");
    CHECK_UINT(last.prompt, 3);
    hears(&STREAM, "event: x\r\ndata: {\"choices\":[1],\"usage\":null}\r\n\r\n" DONE,
          HEAD "F event: x\r\ndata: {\"choices\":[1]}\r\n\r\n | F " DONE " | END");
    hears(&STREAM, "id: 1\ndata: {\"choices\":[1]," SPENT "}\nevent: y\n\n" DONE,
          HEAD "F id: 1\ndata: {\"choices\":[1]}\nevent: y\n\n | F " DONE " | END");
    hears(&USAGE, "data: {\"choices\":[1],\"usage\":null}\n\n" DONE,
          HEAD "F data: {\"choices\":[1],\"usage\":null}\n\n | F " DONE " | END");
}

TEST(errors_by_name) {
    hears(&STREAM, "event: error\ndata: {\"message\":\"no\"}\n\n", "ERROR upstream_stream_error: no");
    hears(&STREAM, TEXT "event: error\ndata: no more\n\n" DONE, HEAD "F " TEXT " | ERROR upstream_stream_error: no more");
    hears(&STREAM, "data: {\"object\":\"error\",\"message\":\"no\",\"code\":429}\n\n", "ERROR rate_limit_exceeded: no");
}

/* An upstream that goes at any byte of a short stream, and says so or breaks off: what comes is
 * the beginning of the right answer, and ends well only when everything was said. */
static void breaks(const struct answer_options *opt, const char *body, size_t complete, bool reset) {
    struct slice s = slice_str(body);
    for (size_t at = 0; at <= s.len; at++) {
        struct reader r;
        struct failure f;
        failure_init(&f);
        failure_set(&f, FAILURE_RESET, "gone");
        begin(&r, opt, "text/event-stream");
        bytes(&r, slice_of(s.ptr, at));
        if (reset) send(&r, &(struct event){ .type = EVENT_ERROR, .failure = &f });
        else end(&r);
        struct slice got = buf_get(&r.heard);
        NOTE("%zu bytes came: %.*s", at, SLICE_ARG(got));
        bool well = at >= complete;
        CHECK((memmem(got.ptr, got.len, "END", 3) != NULL) == well);
        CHECK((memmem(got.ptr, got.len, "ERROR", 5) != NULL) == !well);
        const char *done = memmem(got.ptr, got.len, "[DONE]", 6);
        CHECK((done != NULL) == well);
        if (done != NULL) CHECK(memmem(done + 6, (size_t)(got.ptr + got.len - done - 6), "[DONE]", 6) == NULL);
        CHECK(memmem(got.ptr, got.len, "\"usage\"", 7) == NULL);
        deinit(&r);
    }
}

TEST(an_upstream_that_breaks_at_every_byte) {
    static const char one[] = TEXT STOP "data: {\"choices\":[]," SPENT "}\n\n" DONE;
    size_t said = sizeof(TEXT STOP) - 1;
    breaks(&STREAM, one, said - 2, false); /* its blank line may be missing */
    breaks(&STREAM, one, said, true);
    static const char two[] = PART("0", "null") PART("1", "\"stop\"") PART("0", "\"stop\"") DONE;
    said = sizeof(two) - sizeof(DONE);
    breaks(&TWO, two, said - 2, false);
    breaks(&TWO, two, said, true);
}

/* -- Around it ------------------------------------------------------------------------------ */

TEST(a_mark_for_each_event_and_none_for_comments) {
    struct reader r;
    begin(&r, &STREAM, "text/event-stream");
    bytes(&r, SLICE(": ping\n\n"));
    CHECK_UINT(r.marks, 0);
    CHECK_UINT(r.events, 0);
    bytes(&r, SLICE(TEXT));
    CHECK_UINT(r.marks, 1);
    bytes(&r, SLICE("data: {" SPENT "}\n\n")); /* not shown, and a sign of life */
    CHECK_UINT(r.marks, 2);
    bytes(&r, SLICE(DONE));
    CHECK_UINT(r.marks, 3);
    deinit(&r);
}

TEST(a_full_reader_is_heard) {
    struct reader r;
    begin(&r, &STREAM, "text/event-stream");
    r.says = FLOW_FULL;
    CHECK_INT(bytes(&r, SLICE(TEXT)), FLOW_FULL);
    CHECK_INT(bytes(&r, SLICE(": ping\n\n")), FLOW_MORE); /* nothing went on */
    CHECK_INT(bytes(&r, SLICE("da")), FLOW_MORE);
    r.says = FLOW_MORE;
    CHECK_INT(bytes(&r, SLICE("ta: 1\n\n")), FLOW_MORE);
    deinit(&r);
}

TEST(the_call_s_own_failure_goes_on) {
    struct reader r;
    struct failure f;
    failure_init(&f);
    failure_set(&f, FAILURE_RESET, "gone");
    begin(&r, &STREAM, "text/event-stream");
    bytes(&r, SLICE(TEXT "data: {"));
    send(&r, &(struct event){ .type = EVENT_ERROR, .failure = &f });
    end(&r);
    CHECK_SLICE(buf_get(&r.heard), SLICE(HEAD "F " TEXT " | ERROR upstream_reset: gone"));
    deinit(&r);
}

/* With memory that ends anywhere: what comes is a beginning of the right answer, and
 * then its end, or an error that says why (or, the same error in poorer words).  Never a
 * clean end of half of it. */
static void starved(const struct answer_options *opt, const char *type, const char *body, const char *expected,
                    const char *poorer) {
    struct reader r;
    struct slice s = slice_str(body);
    begin(&r, opt, type);
    buf_reserve(&r.heard, 2048); /* what the test itself needs comes first */
    if (buf_failed(&r.heard) || r.answer == NULL) goto done;
    for (size_t at = 0; at < s.len; at += 7)
        send(&r, &(struct event){ .type = EVENT_BYTES, .raw = slice_of(s.ptr + at, s.len - at < 7 ? s.len - at : 7) });
    end(&r);
    CHECK(!buf_failed(&r.heard));
    if (!slice_eq(buf_get(&r.heard), slice_str(expected))) {
        static const char why[] = "ERROR out_of_memory: ";
        struct slice got = buf_get(&r.heard);
        const char *error = memmem(got.ptr, got.len, why, sizeof(why) - 1);
        CHECK(unit_fault_fired());
        if (error == NULL) CHECK_SLICE(got, slice_str(poorer ? poorer : expected));
        else CHECK(slice_starts(slice_str(expected), slice_of(got.ptr, (size_t)(error - got.ptr))));
    }
done:
    deinit(&r);
}

TEST_FAULT(memory_ends_in_a_stream) {
    starved(&UNASKED, "text/event-stream", TEXT STOP "data: {\"choices\":[],\"usage\":{}}\n\n" DONE,
            "200 application/json | B {\"object\":\"chat.completion\",\"choices\":[{\"index\":0,\"message\":{\"content\":\"hi\","
            "\"role\":\"assistant\"},\"finish_reason\":\"stop\"}],\"usage\":{}} | END", NULL);
    starved(&STREAM, "application/json", "{\"choices\":[{\"message\":{},\"finish_reason\":\"stop\"}],\"usage\":null}",
            HEAD "F data: {\"object\":\"chat.completion.chunk\",\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
            " | F " DONE " | END", NULL);
    starved(&STREAM, "text/event-stream",
            TEXT "data: {\"choices\":[1]," SPENT "}\n\ndata: a\ndata: b\n\n" STOP "data: {\"choices\":[]," SPENT "}\n\n" DONE,
            HEAD "F " TEXT " | F data: {\"choices\":[1]}\n\n | F data: a\ndata: b\n\n | F " STOP " | F " DONE " | END", NULL);
}

TEST_FAULT(memory_ends_before_an_error_is_seen) {
    starved(&STREAM, "text/event-stream", TEXT "data: {\"error\":{\"message\":\"no\"}}\n\n" DONE,
            HEAD "F " TEXT " | ERROR upstream_stream_error: no",
            HEAD "F " TEXT " | ERROR upstream_stream_error: the upstream sent an error in its answer");
}

TEST_FAULT(memory_ends_in_a_whole_answer) {
    starved(&WHOLE, "application/json", "{\"choices\":[1]," "\"usage\":{\"prompt_tokens\":3}}",
            "200 application/json | B {\"choices\":[1],\"usage\":{\"prompt_tokens\":3}} | END", NULL);
}
