/* test_composed.c -- answers made of pieces and of other answers: what goes out, and when. */
#include <stdio.h>

#include "base/mem.h"
#include "llm/openai.h"
#include "request/composed.h"
#include "unit.h"

/* -- A part's event, told again ------------------------------------------------------------ */

struct numbers {
    struct retelling_calls calls;
    unsigned               next;
};

static unsigned number(struct retelling_calls *c, unsigned choice, unsigned index) {
    (void)choice;
    return ((struct numbers *)c)->next + index;
}

static const char *retell(const char *event, struct composing_choice *choices, unsigned count, int only) {
    static char text[1024];
    struct json_doc doc = { .nodes = NULL };
    struct json_error err;
    struct buf out;
    struct numbers n = { { number }, 7 };
    buf_init(&out, 0);
    CHECK_INT(json_parse(&doc, slice_str(event), &err), 0);
    struct retold how = { .common = SLICE("\"id\":\"A\","), .choices = choices, .count = count, .only = only,
                          .calls = &n.calls };
    bool said = openai_compose_retell(&out, &doc, &how);
    snprintf(text, sizeof(text), "%.*s", SLICE_ARG(buf_get(&out)));
    CHECK(said == (text[0] != '\0') || buf_failed(&out));
    json_deinit(&doc);
    buf_deinit(&out);
    return text;
}

TEST(an_event_says_the_same_under_another_name) {
    struct composing_choice c[2] = { { .begun = false } };
    CHECK_STR(retell("{\"id\":\"X\",\"model\":\"m\",\"usage\":null,\"choices\":[{\"index\":0,\"delta\":"
                     "{\"role\":\"assistant\",\"content\":\"h\\n\"},\"finish_reason\":null}]}", c, 1, -1),
              "{\"id\":\"A\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"h\\n\"},"
              "\"finish_reason\":null}]}");
    CHECK_STR(retell("{\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}", c, 1, -1), "");
    CHECK_STR(retell("{\"choices\":[{\"delta\":{\"content\":\"x\",\n\"thinking\":\"t\"},\"logprobs\":{},"
                     "\"finish_reason\":\"length\"}],\n\"citations\":[1]}", c, 1, -1),
              "{\"id\":\"A\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\",\"thinking\":\"t\"},"
              "\"finish_reason\":null,\"logprobs\":{}}],\"citations\":[1]}");
    CHECK_STR(c[0].reason, "length");
    CHECK_STR(retell("{\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}", c, 1, -1), "");
    CHECK_STR(c[0].reason, "length"); /* the worse one stays */
    CHECK_STR(retell("{\"choices\":[],\"usage\":{\"prompt_tokens\":1}}", c, 1, -1), "");
    CHECK_STR(retell("[]", c, 1, -1), "");
    CHECK_STR(retell("{\"choices\":[5,{\"delta\":7},{\"index\":9,\"delta\":{\"content\":\"y\"}}]}", c, 2, -1), "");
}

TEST(choices_and_calls) {
    struct composing_choice c[2] = { { .begun = true } };
    CHECK_STR(retell("{\"choices\":[{\"index\":1,\"delta\":{\"content\":\"b\"}},{\"index\":0,\"delta\":{\"content\":"
                     "\"a\"}}]}", c, 2, 1),
              "{\"id\":\"A\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"b\"},\"finish_reason\":null}]}");
    CHECK_STR(retell("{\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":1,\"id\":\"q\",\"function\":{}},"
                     "{\"id\":\"r\"}]}}]}", c, 1, -1),
              "{\"id\":\"A\",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":8,\"id\":\"q\","
              "\"function\":{}},{\"index\":8,\"id\":\"r\"}]},\"finish_reason\":null}]}");
}

TEST(the_worse_reason) {
    CHECK(slice_eq(openai_compose_worse(SLICE(""), SLICE("stop")), SLICE("stop")));
    CHECK(slice_eq(openai_compose_worse(SLICE("length"), SLICE("")), SLICE("length")));
    CHECK(slice_eq(openai_compose_worse(SLICE("tool_calls"), SLICE("length")), SLICE("length")));
    CHECK(slice_eq(openai_compose_worse(SLICE("length"), SLICE("content_filter")), SLICE("content_filter")));
    CHECK(slice_eq(openai_compose_worse(SLICE("stop"), SLICE("odd")), SLICE("odd")));
    CHECK(slice_eq(openai_compose_worse(SLICE("odd"), SLICE("stop")), SLICE("odd")));
}

/* -- A part that plays ------------------------------------------------------------------------- */

struct part {
    struct source source;
    struct sink  *to;
    unsigned      resumed;
    bool          canceled;
};

static void part_start(struct source *s, struct sink *to) {
    struct part *p = container_of(s, struct part, source);
    p->to = to;
    to->event(to, &(struct event){ .type = EVENT_HEAD, .status = 200, .content_type = SLICE("text/event-stream") });
}
static void part_resume(struct source *s) { container_of(s, struct part, source)->resumed++; }
static void part_cancel(struct source *s) { container_of(s, struct part, source)->canceled = true; }
static const char *part_describe(const struct source *s, char *b, size_t n) {
    (void)s;
    (void)b;
    (void)n;
    return "a part";
}
static const struct source_ops part_ops = { part_start, part_resume, part_cancel, NULL, part_describe, NULL, NULL };

static enum flow play(struct part *p, const char *data) {
    char raw[600];
    snprintf(raw, sizeof(raw), "data: %s\n\n", data);
    return p->to->event(p->to, &(struct event){ .type = EVENT_FRAME, .raw = slice_str(raw), .data = slice_str(data) });
}

static enum flow say(struct part *p, const char *text) {
    char data[500];
    snprintf(data, sizeof(data), "{\"id\":\"p\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"%s\"}}]}", text);
    return play(p, data);
}

static void end(struct part *p, const struct usage *u) {
    p->to->event(p->to, &(struct event){ .type = EVENT_END, .usage = u });
}

/* -- The world ------------------------------------------------------------------------------------ */

struct scene {
    struct loop      loop;
    struct composed *c;
    struct response *r;
    struct sink      client;
    enum flow        answer;
    char             text[4096];
    unsigned         begun, drained, gone, over, ends;
    char             failed[48], reason[48];
    struct usage     usage;
};

static void begin(void *ud) { ((struct scene *)ud)->begun++; }
static void drained(void *ud) { ((struct scene *)ud)->drained++; }
static void gone(void *ud) { ((struct scene *)ud)->gone++; }
static const struct composed_ops ops = { begin, drained, gone };

/* All that a client reads: texts, and marks for what is none. */
static enum flow on_client(struct sink *k, const struct event *ev) {
    struct scene *s = container_of(k, struct scene, client);
    size_t n = strlen(s->text);
    if (ev->usage != NULL) s->usage = *ev->usage;
    if (ev->type == EVENT_FRAME || ev->type == EVENT_BYTES) {
        const char *at = memmem(ev->raw.ptr, ev->raw.len, "\"content\":\"", 11);
        if (at != NULL) {
            at += 11;
            const char *stop = memchr(at, '"', ev->raw.len - (size_t)(at - ev->raw.ptr));
            snprintf(s->text + n, sizeof(s->text) - n, "%.*s", (int)(stop - at), at);
        } else {
            bool last = slice_eq(ev->data, SLICE("[DONE]"));
            snprintf(s->text + n, sizeof(s->text) - n, last ? "[DONE]" : "|");
        }
    }
    if (ev->type == EVENT_END) s->ends++;
    if (ev->type == EVENT_ERROR) snprintf(s->failed, sizeof(s->failed), "%s", ev->failure->code);
    return s->answer;
}

static bool open_scene(struct scene *s, bool stream, size_t limit) {
    *s = (struct scene){ .client = { on_client } };
    if (loop_init(&s->loop) != 0) return false;
    s->loop.is_virtual = true;
    s->c = composed_new(&(struct composed_options){ .loop = &s->loop, .dialect = &openai_chat, .model = SLICE("m"),
                                                    .choices = 1, .stream = stream, .limit = limit, .high_water = 500,
                                                    .ops = &ops, .ud = s });
    s->r = s->c ? response_new(&(struct response_options){ .loop = &s->loop, .upstream = "", .dialect = &openai_chat,
                                                           .limit = 1 << 20, .high_water = 500 }) : NULL;
    if (s->r == NULL) return false;
    response_start(s->r, composed_source(s->c));
    return true;
}

static void close_scene(struct scene *s) {
    composed_put(s->c);
    response_put(s->r);
    loop_flush(&s->loop);
    loop_deinit(&s->loop);
}

static struct response *part_of(struct scene *s, struct part *p) {
    *p = (struct part){ .source = { &part_ops } };
    struct response *r = response_new(&(struct response_options){ .loop = &s->loop, .upstream = "up", .limit = 4096,
                                                                  .dialect = &openai_chat, .high_water = 500 });
    if (r != NULL) response_start(r, &p->source);
    return r;
}

static void over(void *ud, const struct pipe_result *result) {
    struct scene *s = ud;
    s->over++;
    snprintf(s->reason, sizeof(s->reason), "%s", result->failure ? result->failure->code : result->reason);
}

static struct pipe *pipe_part(struct scene *s, struct response *r, enum pipe_by by, const char *label) {
    struct pipe *p = pipe_new(s->c, r, &(struct pipe_options){ .by = by, .label = slice_str(label),
                                                               .only = by == PIPE_LINES ? 0 : -1 }, over, s);
    CHECK(p != NULL);
    loop_flush(&s->loop);
    return p;
}

static void write_text(struct scene *s, const char *text) { composed_text(s->c, 0, PIECE_TEXT, slice_str(text)); }

/* -- Writing -------------------------------------------------------------------------------------------- */

TEST(nothing_goes_out_while_it_is_written) {
    struct scene s;
    CHECK(open_scene(&s, true, 1 << 20));
    CHECK_INT(s.begun, 1);
    response_deliver(s.r, &s.client);
    write_text(&s, "a");
    CHECK_STR(s.text, "");
    loop_flush(&s.loop);
    CHECK_STR(s.text, "a");
    composed_end(s.c);
    CHECK(composed_is_over(s.c));
    loop_flush(&s.loop);
    CHECK_STR(s.text, "a|[DONE]");
    CHECK_INT(s.ends, 1);
    CHECK_INT(s.gone, 0);
    close_scene(&s);
}

TEST(a_client_that_is_full_stops_it) {
    struct scene s;
    CHECK(open_scene(&s, true, 1 << 20));
    response_deliver(s.r, &s.client);
    s.answer = FLOW_FULL;
    write_text(&s, "a");
    write_text(&s, "b");
    CHECK(!composed_is_full(s.c));
    loop_flush(&s.loop);
    CHECK_STR(s.text, "a");
    CHECK(composed_is_full(s.c));
    s.answer = FLOW_MORE;
    response_resume(s.r);
    loop_flush(&s.loop);
    CHECK_STR(s.text, "ab");
    CHECK_INT(s.drained, 1);
    response_resume(s.r);
    loop_flush(&s.loop);
    CHECK_INT(s.drained, 1); /* once for each who was told to wait */
    for (int i = 0; i < 10; i++) write_text(&s, "0123456789");
    CHECK(composed_is_full(s.c)); /* what is pending is bounded, too */
    loop_flush(&s.loop);
    CHECK_INT(s.drained, 2);
    close_scene(&s);
    CHECK_INT(s.gone, 1);
}

TEST(who_leaves_ends_it) {
    struct scene s;
    CHECK(open_scene(&s, true, 1 << 20));
    response_deliver(s.r, &s.client);
    write_text(&s, "a");
    response_leave(s.r);
    CHECK_INT(s.gone, 1);
    CHECK(composed_is_over(s.c));
    write_text(&s, "b");
    composed_end(s.c);
    loop_flush(&s.loop);
    CHECK_STR(s.text, "");
    close_scene(&s);
}

TEST(a_whole_answer_and_its_limit) {
    struct scene s;
    CHECK(open_scene(&s, false, 1 << 20));
    response_deliver(s.r, &s.client);
    write_text(&s, "a");
    write_text(&s, "b");
    loop_flush(&s.loop);
    CHECK_STR(s.text, "");
    composed_end(s.c);
    loop_flush(&s.loop);
    CHECK_STR(s.text, "ab");
    CHECK_INT(s.ends, 1);
    close_scene(&s);
    CHECK(open_scene(&s, false, 300));
    response_deliver(s.r, &s.client);
    for (int i = 0; i < 40; i++) write_text(&s, "0123456789");
    loop_flush(&s.loop);
    CHECK_STR(s.failed, "upstream_too_large");
    CHECK_INT(s.gone, 1); /* the writer hears of it */
    close_scene(&s);
}

TEST(a_failure_comes_behind_what_was_written) {
    struct scene s;
    struct failure f;
    failure_init(&f);
    failure_set(&f, FAILURE_POLICY, "oops");
    CHECK(open_scene(&s, true, 1 << 20));
    response_deliver(s.r, &s.client);
    write_text(&s, "a");
    composed_fail(s.c, &f);
    loop_flush(&s.loop);
    CHECK_STR(s.text, "a");
    CHECK_STR(s.failed, "policy_error");
    CHECK_INT(s.ends + s.gone, 0);
    close_scene(&s);
}

/* -- Parts ------------------------------------------------------------------------------------------------- */

TEST(a_part_flows_and_pauses) {
    struct scene s;
    struct part a;
    struct usage u = { .known = true, .prompt = 5, .completion = 2, .cached = 3, .elsewhere = { 5, 2, 3 } };
    CHECK(open_scene(&s, true, 1 << 20));
    response_deliver(s.r, &s.client);
    struct response *r = part_of(&s, &a);
    CHECK(r != NULL);
    pipe_part(&s, r, PIPE_WHOLE, "");
    CHECK_INT(say(&a, "x"), FLOW_MORE);
    loop_flush(&s.loop);
    CHECK_STR(s.text, "x");
    s.answer = FLOW_FULL;
    say(&a, "y");
    loop_flush(&s.loop);
    CHECK_INT(say(&a, "z"), FLOW_FULL);
    unsigned before = a.resumed;
    s.answer = FLOW_MORE;
    response_resume(s.r);
    loop_flush(&s.loop);
    CHECK_INT(a.resumed, before + 1);
    CHECK_STR(s.text, "xyz");
    play(&a, "{\"choices\":[{\"delta\":{},\"finish_reason\":\"length\"}]}");
    end(&a, &u);
    loop_flush(&s.loop);
    CHECK_INT(s.over, 1);
    CHECK_STR(s.reason, "length");
    composed_end(s.c);
    loop_flush(&s.loop);
    CHECK_INT(s.usage.prompt, 5);
    CHECK_INT(usage_here(&s.usage).prompt, 0);
    response_put(r);
    close_scene(&s);
}

TEST(parts_that_go_wrong) {
    struct scene s;
    struct part a, b;
    CHECK(open_scene(&s, true, 1 << 20));
    response_deliver(s.r, &s.client);
    struct response *r = part_of(&s, &a), *q = part_of(&s, &b);
    CHECK(r != NULL && q != NULL);
    pipe_part(&s, r, PIPE_WHOLE, "");
    pipe_part(&s, r, PIPE_WHOLE, ""); /* once more: it has a consumer */
    CHECK_INT(s.over, 1);
    CHECK_STR(s.reason, "policy_error");
    play(&a, "{broken");
    loop_flush(&s.loop);
    CHECK_INT(s.over, 2);
    CHECK_STR(s.reason, "upstream_malformed");
    CHECK(a.canceled);
    struct pipe *p = pipe_part(&s, q, PIPE_WHOLE, "");
    say(&b, "x");
    pipe_cancel(p);
    CHECK(b.canceled);
    loop_flush(&s.loop);
    CHECK_STR(s.text, "x");
    CHECK_INT(s.over, 2);
    response_put(r);
    response_put(q);
    close_scene(&s);
}

TEST(lines_of_two_at_once) {
    struct scene s;
    struct part a, b;
    CHECK(open_scene(&s, true, 1 << 20));
    response_deliver(s.r, &s.client);
    struct response *r = part_of(&s, &a), *q = part_of(&s, &b);
    CHECK(r != NULL && q != NULL);
    pipe_part(&s, r, PIPE_LINES, "A ");
    pipe_part(&s, q, PIPE_LINES, "B ");
    say(&a, "on");
    say(&b, "eins\\nzw");
    say(&a, "e\\ntwo\\n");
    end(&a, NULL);
    end(&b, NULL);
    loop_flush(&s.loop);
    CHECK_STR(s.text, "B eins\\nA one\\nA two\\nB zw\\n");
    CHECK_INT(s.over, 2);
    response_put(r);
    response_put(q);
    close_scene(&s);
}

TEST(the_end_of_the_answer_stops_its_parts) {
    struct scene s;
    struct part a;
    CHECK(open_scene(&s, true, 1 << 20));
    response_deliver(s.r, &s.client);
    struct response *r = part_of(&s, &a);
    CHECK(r != NULL);
    struct pipe *p = pipe_part(&s, r, PIPE_WHOLE, "");
    say(&a, "x");
    response_leave(s.r);
    CHECK(a.canceled);
    CHECK_INT(s.gone, 1);
    loop_flush(&s.loop);
    CHECK_INT(s.over, 0);
    pipe_cancel(p); /* as its owner does, who is gone */
    response_put(r);
    close_scene(&s);
}
