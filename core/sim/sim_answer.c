/* sim_answer.c -- decides what a request gets.
 *
 *      options of the server
 *        + faults whose dice fell  (--fault)      a later one wins
 *        + x-sim header of the request
 *        = a->opt -> status? -> by path:
 *
 *      POST .../chat/completions   STREAM or WHOLE
 *      POST .../embeddings         FIXED  (sim_embed.c)
 *      GET  .../models             FIXED
 *      ANY  /v1/...                FIXED  what was seen, as JSON
 *      GET  /sim/stats, /sim/last  FIXED  not counted, not remembered, no faults
 *
 * Everything that refers to the request (slices of its head and body, sim->doc)
 * is used up before sim_answer_start(): an answer owns what it will say.  What is
 * wrong with a request is said in OpenAI's error shape. */
#include <stdio.h>
#include <time.h>

#include "base/mem.h"
#include "perilune.h"
#include "sim/sim_int.h"

/* -- Bodies that are ready-made ---------------------------------------------------- */

static struct sim_answer *answer_new(const struct sim_options *o, enum sim_kind kind) {
    struct sim_answer *a = mem_zalloc(sizeof(*a));
    if (a == NULL) return NULL;
    a->opt = *o;
    a->opt.text = slice_of(NULL, 0);
    a->kind = kind;
    a->status = 200;
    buf_init(&a->prefix, 0);
    buf_init(&a->text, 0);
    buf_init(&a->tool, 0);
    buf_init(&a->hashes, 0);
    return a;
}

/* The body is in a->prefix. */
static void start_fixed(struct sim_conn *c, struct sim_answer *a) {
    if (buf_failed(&a->prefix)) {
        sim_answer_free(a);
        sim_conn_close(c);
        return;
    }
    if (a->opt.not_chunked) {
        a->framing = SIM_BY_CLOSE;
        c->close_after = true;
    } else if (a->opt.malformed >= 0) {
        a->framing = SIM_BY_CHUNKS;
    }
    a->head_only = slice_eq(c->sim->head.method, SLICE("HEAD"));
    sim_answer_start(c, a);
}

struct error {
    int         status;
    const char *type, *param, *code; /* param, code: NULL means null */
};

static void put_nullable(struct buf *out, const char *s) {
    if (s != NULL) json_write_string(out, slice_str(s));
    else buf_puts(out, "null");
}

static void answer_error(struct sim_conn *c, const struct sim_options *o, struct error e,
                         struct slice message) {
    struct sim_answer *a = answer_new(o, SIM_FIXED);
    if (a == NULL) {
        sim_conn_close(c);
        return;
    }
    a->status = e.status;
    buf_puts(&a->prefix, "{\"error\":{\"message\":");
    json_write_string(&a->prefix, message);
    buf_puts(&a->prefix, ",\"type\":");
    put_nullable(&a->prefix, e.type);
    buf_puts(&a->prefix, ",\"param\":");
    put_nullable(&a->prefix, e.param);
    buf_puts(&a->prefix, ",\"code\":");
    put_nullable(&a->prefix, e.code);
    buf_puts(&a->prefix, "}}");
    start_fixed(c, a);
}

static struct error error_of_status(int status) {
    switch (status) {
    case 401: return (struct error){ 401, "invalid_request_error", NULL, "invalid_api_key" };
    case 404: return (struct error){ 404, "invalid_request_error", NULL, "model_not_found" };
    case 429: return (struct error){ 429, "requests", NULL, "rate_limit_exceeded" };
    default: break;
    }
    return (struct error){ status, status < 500 ? "invalid_request_error" : "server_error", NULL,
                           NULL };
}

static void answer_invalid(struct sim_conn *c, const struct sim_options *o, const char *param,
                           const char *message) {
    answer_error(c, o, (struct error){ 400, "invalid_request_error", param, NULL },
                 slice_str(message));
}

void sim_answer_bad(struct sim_conn *c, int status, const char *why) {
    struct sim_options plain;
    sim_options_init(&plain);
    c->state = SIM_ANSWER;
    /* Nothing of the head can be trusted: not its method either. */
    c->sim->head.method = slice_of(NULL, 0);
    answer_error(c, &plain, error_of_status(status), slice_str(why));
}

static void put_headers(struct buf *out, const struct http_head *head) {
    buf_putc(out, '{');
    for (unsigned i = 0; i < head->header_count; i++) {
        /* A name that came twice: the values joined, where it first stood. */
        struct slice name = head->headers[i].name;
        if (http_find(head, name) != &head->headers[i]) continue;
        char   lower[256];
        size_t len = name.len < sizeof(lower) ? name.len : sizeof(lower);
        for (size_t k = 0; k < len; k++) {
            char ch = name.ptr[k];
            lower[k] = ch >= 'A' && ch <= 'Z' ? (char)(ch | 32) : ch;
        }
        if (i > 0) buf_putc(out, ',');
        json_write_string(out, slice_of(lower, len));
        buf_putc(out, ':');
        struct buf all;
        buf_init(&all, 0);
        buf_slice(&all, head->headers[i].value);
        for (unsigned k = i + 1; k < head->header_count; k++) {
            if (!slice_eq_nocase(head->headers[k].name, name)) continue;
            buf_puts(&all, ", ");
            buf_slice(&all, head->headers[k].value);
        }
        json_write_string(out, buf_get(&all));
        buf_deinit(&all);
    }
    buf_putc(out, '}');
}

static void put_request(struct buf *out, const struct http_head *head) {
    buf_puts(out, "{\"method\":");
    json_write_string(out, head->method);
    buf_puts(out, ",\"path\":");
    json_write_string(out, head->target);
    buf_puts(out, ",\"headers\":");
    put_headers(out, head);
}

static void put_last(struct sim *s, struct buf *out) {
    const char *why;
    if (buf_len(&s->last_head) == 0 ||
        http_parse_request(&s->head, buf_get(&s->last_head), 0, &why) <= 0) {
        buf_puts(out, "null");
        return;
    }
    put_request(out, &s->head);
    buf_puts(out, ",\"head\":");
    json_write_string(out, buf_get(&s->last_head));
    buf_puts(out, ",\"body\":");
    json_write_string(out, buf_get(&s->last_body));
    buf_putc(out, '}');
}

static const char models[] =
    "{\"object\":\"list\",\"data\":[{\"id\":\"sim\",\"object\":\"model\","
    "\"created\":1700000000,\"owned_by\":\"perilune\"}]}";

/* -- Chat ------------------------------------------------------------------------- */

static bool is_true(const struct json_doc *doc, uint32_t object, struct slice key) {
    uint32_t n = json_get(doc, object, key);
    return n != JSON_NONE && json_type(doc, n) == JSON_TRUE;
}

/* The member of that type, or JSON_NONE. */
static uint32_t get_typed(const struct json_doc *doc, uint32_t object, struct slice key,
                          enum json_type type) {
    if (object == JSON_NONE) return JSON_NONE;
    uint32_t n = json_get(doc, object, key);
    return n != JSON_NONE && json_type(doc, n) == type ? n : JSON_NONE;
}

/* Appends the text of a message's content: a string, or its text parts. */
static void put_content(const struct json_doc *doc, uint32_t message, struct buf *out) {
    uint32_t n = json_get(doc, message, SLICE("content"));
    if (n == JSON_NONE) return;
    if (json_type(doc, n) == JSON_STRING) {
        json_decode_string(doc, n, out);
        return;
    }
    if (json_type(doc, n) != JSON_ARRAY) return;
    for (uint32_t part = json_first(doc, n); part != JSON_NONE; part = json_next(doc, n, part)) {
        if (json_type(doc, part) != JSON_OBJECT) continue;
        uint32_t text = get_typed(doc, part, SLICE("text"), JSON_STRING);
        if (text != JSON_NONE) json_decode_string(doc, text, out);
    }
}

static void put_last_user(const struct json_doc *doc, struct buf *out) {
    uint32_t list = json_get(doc, 0, SLICE("messages")), last = JSON_NONE;
    for (uint32_t m = json_first(doc, list); m != JSON_NONE; m = json_next(doc, list, m)) {
        if (json_type(doc, m) != JSON_OBJECT) continue;
        uint32_t role = get_typed(doc, m, SLICE("role"), JSON_STRING);
        if (role != JSON_NONE && json_str_eq(doc, role, SLICE("user"))) last = m;
    }
    if (last != JSON_NONE) put_content(doc, last, out);
}

/* The text option as it was quoted: \n, \t and \x for any other x. */
static void put_unescaped(struct buf *out, struct slice s) {
    for (size_t i = 0; i < s.len; i++) {
        char ch = s.ptr[i];
        if (ch == '\\' && i + 1 < s.len) {
            ch = s.ptr[++i];
            if (ch == 'n') ch = '\n';
            else if (ch == 't') ch = '\t';
        }
        buf_putc(out, ch);
    }
}

/* a->text: s, escaped for JSON, without the quotes. */
static void set_text(struct sim_answer *a, struct slice s) {
    json_write_string(&a->text, s);
    if (buf_failed(&a->text)) return;
    buf_consume(&a->text, 1);
    a->text.len--;
}

/* Made-up arguments: every property of the tool, by its type. */
static void put_arguments(const struct json_doc *doc, uint32_t function, struct buf *out) {
    uint32_t params = get_typed(doc, function, SLICE("parameters"), JSON_OBJECT);
    uint32_t props = get_typed(doc, params, SLICE("properties"), JSON_OBJECT);
    buf_putc(out, '{');
    uint32_t key = props == JSON_NONE ? JSON_NONE : json_first(doc, props);
    for (bool first = true; key != JSON_NONE; first = false) {
        uint32_t value = json_next(doc, props, key), type = JSON_NONE;
        if (json_type(doc, value) == JSON_OBJECT) {
            type = get_typed(doc, value, SLICE("type"), JSON_STRING);
        }
        struct slice t = type == JSON_NONE ? SLICE("string") : json_plain(doc, type);
        if (!first) buf_putc(out, ',');
        buf_slice(out, json_raw(doc, key));
        buf_puts(out, slice_eq(t, SLICE("number")) || slice_eq(t, SLICE("integer")) ? ":1"
                      : slice_eq(t, SLICE("boolean"))                              ? ":true"
                      : slice_eq(t, SLICE("array"))                                ? ":[]"
                      : slice_eq(t, SLICE("object"))                               ? ":{}"
                                                                                   : ":\"moon\"");
        key = json_next(doc, props, value);
    }
    buf_putc(out, '}');
}

static void set_tool(struct sim *s, struct sim_answer *a) {
    const struct json_doc *doc = &s->doc;
    uint32_t tools = get_typed(doc, 0, SLICE("tools"), JSON_ARRAY);
    uint32_t tool = tools == JSON_NONE ? JSON_NONE : json_first(doc, tools);
    if (tool == JSON_NONE || json_type(doc, tool) != JSON_OBJECT) return;
    uint32_t function = get_typed(doc, tool, SLICE("function"), JSON_OBJECT);
    uint32_t name = get_typed(doc, function, SLICE("name"), JSON_STRING);
    if (name == JSON_NONE) return;

    buf_printf(&a->tool, "\"id\":\"call_%016llx\",\"type\":\"function\",\"function\":{\"name\":",
               (unsigned long long)rng_next(&s->rng));
    buf_slice(&a->tool, json_raw(doc, name));
    buf_puts(&a->tool, ",\"arguments\":\"");
    buf_clear(&s->tmp);
    put_arguments(doc, function, &s->tmp);
    set_text(a, buf_get(&s->tmp));
}

/* What stands before the text: of every event, or of the whole body. */
static void set_prefix(struct sim *s, struct sim_answer *a) {
    struct buf *p = &a->prefix;
    bool        stream = a->kind == SIM_STREAM;
    uint32_t    model = get_typed(&s->doc, 0, SLICE("model"), JSON_STRING);
    char        id[17];
    snprintf(id, sizeof(id), "%016llx", (unsigned long long)rng_next(&s->rng));
    buf_puts(p, stream ? "data: {\"id\":\"chatcmpl-" : "{\"id\":\"chatcmpl-");
    buf_put(p, id, 16);
    buf_puts(p, stream ? "\",\"object\":\"chat.completion.chunk\",\"created\":"
                       : "\",\"object\":\"chat.completion\",\"created\":");
    buf_u64(p, (uint64_t)time(NULL));
    buf_puts(p, ",\"model\":");
    if (model != JSON_NONE) buf_slice(p, json_raw(&s->doc, model));
    else buf_puts(p, "\"sim\"");
    if (stream) {
        buf_puts(p, ",\"choices\":[{\"index\":0,\"delta\":{");
        return;
    }
    buf_puts(p, ",\"choices\":[");
    sim_put_choice(a, 0, p);
}

/* How many answers are asked for. */
static uint64_t choices_of(const struct json_doc *doc) {
    uint64_t n = 1;
    uint32_t asked = get_typed(doc, 0, SLICE("n"), JSON_NUMBER);
    if (asked == JSON_NONE || json_u64(doc, asked, &n) != 0 || n == 0) return 1;
    return n < SIM_MAX_CHOICES ? n : SIM_MAX_CHOICES;
}

/* max_tokens and its younger name cut the answer short, as in life. */
static void set_limit(const struct json_doc *doc, struct sim_answer *a) {
    uint64_t max;
    uint32_t n = get_typed(doc, 0, SLICE("max_completion_tokens"), JSON_NUMBER);
    if (n == JSON_NONE) n = get_typed(doc, 0, SLICE("max_tokens"), JSON_NUMBER);
    if (n == JSON_NONE || json_u64(doc, n, &max) != 0 || max >= a->total) return;
    a->total = max;
    a->cut_short = true;
}

static void set_framing(struct sim_conn *c, struct sim_answer *a) {
    bool chunks = a->kind == SIM_STREAM || a->opt.endless || a->opt.malformed >= 0;
    a->framing = chunks ? SIM_BY_CHUNKS : SIM_BY_LENGTH;
    if (a->opt.not_chunked || (chunks && c->sim->head.minor == 0)) {
        a->framing = SIM_BY_CLOSE;
        c->close_after = true;
    }
}

static const char *check_chat(const struct json_doc *doc, const char **param) {
    *param = "messages";
    uint32_t n = json_get(doc, 0, SLICE("messages"));
    if (n == JSON_NONE) return "messages is missing";
    if (json_type(doc, n) != JSON_ARRAY) return "messages must be an array";
    *param = "model";
    n = json_get(doc, 0, SLICE("model"));
    if (n != JSON_NONE && json_type(doc, n) != JSON_STRING) return "model must be a string";
    return NULL;
}

/* Which beginning of the prompt was seen before?  Only that of `messages` counts. */
static void find_prefix(struct sim *s, struct sim_answer *a) {
    const struct json_doc *doc = &s->doc;
    uint32_t model = json_get(doc, 0, SLICE("model"));
    sim_prefix_hashes(model != JSON_NONE ? json_raw(doc, model) : SLICE(""),
                      json_raw(doc, json_get(doc, 0, SLICE("messages"))), &a->hashes);
    a->cached_tokens = sim_prefix_cached(&s->prefixes, &a->hashes);
}

static void answer_chat(struct sim_conn *c, const struct sim_options *o, struct slice body) {
    struct sim            *s = c->sim;
    const struct json_doc *doc = &s->doc;
    const char            *param, *why = check_chat(doc, &param);
    if (why != NULL) {
        answer_invalid(c, o, param, why);
        return;
    }
    bool               stream = is_true(doc, 0, SLICE("stream"));
    struct sim_answer *a = answer_new(o, stream ? SIM_STREAM : SIM_WHOLE);
    if (a == NULL) {
        sim_conn_close(c);
        return;
    }
    if (stream) s->count.streams++;
    uint32_t so = get_typed(doc, 0, SLICE("stream_options"), JSON_OBJECT);
    a->usage = so != JSON_NONE && is_true(doc, so, SLICE("include_usage"));
    a->prompt_tokens = body.len / 4; /* about what English takes */
    if (o->prefix_cache) find_prefix(s, a);
    a->total = (uint64_t)o->tokens;
    a->choices = choices_of(doc);

    buf_clear(&s->tmp);
    if (o->tool_call) set_tool(s, a);
    if (buf_len(&a->tool) == 0) {
        if (o->text.ptr != NULL) put_unescaped(&s->tmp, o->text);
        else if (o->echo) put_last_user(doc, &s->tmp);
        if (buf_len(&s->tmp) > 0) set_text(a, buf_get(&s->tmp));
        else if (o->text.ptr != NULL || o->echo) a->total = 0;
    }
    set_prefix(s, a);
    sim_answer_measure(a);
    set_limit(doc, a);
    set_framing(c, a);
    if (buf_failed(&a->prefix) || buf_failed(&a->text) || buf_failed(&a->tool)) {
        sim_answer_free(a);
        sim_conn_close(c);
        return;
    }
    sim_answer_start(c, a);
}

/* -- Which answer ------------------------------------------------------------------- */

static bool path_ends(struct slice path, struct slice end) {
    return path.len >= end.len &&
           slice_eq(slice_of(path.ptr + path.len - end.len, end.len), end);
}

/* Parses the body into sim->doc as an object; says 400 and returns false if not. */
static bool parse_body(struct sim_conn *c, const struct sim_options *o, struct slice body) {
    struct json_error err = { "", 0 };
    char              message[160];
    int               rc = json_parse(&c->sim->doc, body, &err);
    if (rc == PERILUNE_ERR_NOMEM) {
        sim_conn_close(c);
        return false;
    }
    if (rc == 0 && json_type(&c->sim->doc, 0) == JSON_OBJECT) return true;
    if (rc == 0) snprintf(message, sizeof(message), "the body must be a JSON object");
    else snprintf(message, sizeof(message), "the body is not JSON: %s at byte %zu", err.message,
                  err.offset);
    answer_invalid(c, o, NULL, message);
    return false;
}

static void answer_embeddings(struct sim_conn *c, const struct sim_options *o) {
    struct sim_answer *a = answer_new(o, SIM_FIXED);
    if (a == NULL) {
        sim_conn_close(c);
        return;
    }
    const char *param;
    const char *why = sim_write_embeddings(&a->prefix, &c->sim->tmp, &c->sim->doc, &param);
    if (why == NULL) {
        start_fixed(c, a);
        return;
    }
    sim_answer_free(a);
    answer_invalid(c, o, param, why);
}

enum ready { READY_MODELS, READY_SEEN, READY_STATS, READY_LAST };

static void answer_ready(struct sim_conn *c, const struct sim_options *o, enum ready what,
                         size_t body_len) {
    struct sim_answer *a = answer_new(o, SIM_FIXED);
    if (a == NULL) {
        sim_conn_close(c);
        return;
    }
    switch (what) {
    case READY_MODELS: buf_puts(&a->prefix, models); break;
    case READY_STATS: sim_write_stats(c->sim, &a->prefix); break;
    case READY_LAST: put_last(c->sim, &a->prefix); break;
    case READY_SEEN:
        put_request(&a->prefix, &c->sim->head);
        buf_puts(&a->prefix, ",\"body_bytes\":");
        buf_u64(&a->prefix, body_len);
        buf_putc(&a->prefix, '}');
        break;
    }
    start_fixed(c, a);
}

static void answer_path(struct sim_conn *c, const struct sim_options *o, struct slice path,
                        struct slice body) {
    bool post = slice_eq(c->sim->head.method, SLICE("POST"));
    if (post && path_ends(path, SLICE("/chat/completions"))) {
        if (parse_body(c, o, body)) answer_chat(c, o, body);
    } else if (post && path_ends(path, SLICE("/embeddings"))) {
        if (parse_body(c, o, body)) answer_embeddings(c, o);
    } else if (!post && path_ends(path, SLICE("/models"))) {
        answer_ready(c, o, READY_MODELS, 0);
    } else if (slice_starts(path, SLICE("/v1/"))) {
        answer_ready(c, o, READY_SEEN, body.len);
    } else {
        answer_error(c, o, (struct error){ 404, "invalid_request_error", NULL, "unknown_url" },
                     SLICE("no such path; try /v1/chat/completions"));
    }
}

/* Puts faults and the x-sim header over *o; says 400 and returns false if bad. */
static bool choose_options(struct sim_conn *c, struct sim_options *o) {
    struct sim *s = c->sim;
    char        err[160];
    for (size_t i = 0; i < s->fault_count; i++) {
        if (rng_double(&s->rng) >= s->faults[i].probability) continue;
        sim_options_parse(o, s->faults[i].options, err, sizeof(err));
    }
    const struct http_header *x = http_find(&s->head, SLICE("x-sim"));
    if (x == NULL || sim_options_parse(o, x->value, err, sizeof(err)) == 0) return true;
    struct sim_options plain;
    sim_options_init(&plain);
    char message[200];
    snprintf(message, sizeof(message), "x-sim: %s", err);
    answer_invalid(c, &plain, "x-sim", message);
    return false;
}

static void remember(struct sim *s, struct slice raw, struct slice body) {
    buf_clear(&s->last_head);
    buf_clear(&s->last_body);
    buf_slice(&s->last_head, raw);
    buf_slice(&s->last_body, body);
}

void sim_answer_request(struct sim_conn *c, struct slice raw, struct slice body) {
    struct sim        *s = c->sim;
    struct sim_options o;
    struct slice       path = s->head.target;
    const char        *query = path.len ? memchr(path.ptr, '?', path.len) : NULL;
    if (query != NULL) path.len = (size_t)(query - path.ptr);

    if (slice_starts(path, SLICE("/sim/"))) {
        sim_options_init(&o);
        bool stats = slice_eq(path, SLICE("/sim/stats"));
        if (stats || slice_eq(path, SLICE("/sim/last"))) {
            answer_ready(c, &o, stats ? READY_STATS : READY_LAST, 0);
            return;
        }
    }
    s->count.requests++;
    remember(s, raw, body);
    o = s->options;
    if (!choose_options(c, &o)) return;
    if (o.status != 200) {
        answer_error(c, &o, error_of_status((int)o.status), SLICE("A simulated failure."));
        return;
    }
    answer_path(c, &o, path, body);
}
