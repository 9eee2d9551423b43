/* local_ask.c -- from a body in OpenAI's dialect to what a local model is asked.
 *
 *     messages --template of the model--> one text
 *     temperature, top_p, n, stop ...  --> struct turn_ask, each within its bounds
 *     input                            --> texts
 *
 * A service that is asked for something it cannot do says so; so does this: a tool, an image or a schema that would be
 * left out quietly gives an answer that only looks like one.  Every refusal names the field.  Members that change
 * nothing about an answer (user, metadata, store) are passed over. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/sha256.h"
#include "local/resident.h"
#include "request/local.h"

struct reading {
    struct local_question *q;
    const struct resident   *r;
    const struct json_doc *doc;
    struct failure        *f;
};

/* -- Refusals ------------------------------------------------------------------------------- */

static int refuse(struct reading *in, const char *field, const char *must) {
    if (failure_is_set(in->f)) return PERILUNE_ERR_INVAL;
    failure_set(in->f, FAILURE_INVALID_REQUEST, "'%s' %s", field, must);
    snprintf(in->f->param, sizeof(in->f->param), "%s", field);
    return PERILUNE_ERR_INVAL;
}

static int no_memory(struct reading *in) {
    failure_set(in->f, FAILURE_NO_MEMORY, "out of memory");
    return PERILUNE_ERR_NOMEM;
}

/* An engine in a process of its own that is not there just now: for breakers and pools a server that nobody reaches. */
static int is_down(struct reading *in) {
    failure_set(in->f, FAILURE_CONNECT, "the local engine failed, and is not there again yet");
    in->f->status = 503;
    in->f->retry_after_ms = 1000;
    return PERILUNE_ERR_IO;
}

/* -- Members ---------------------------------------------------------------------------------- */

/* JSON_NONE: absent, or null. */
static uint32_t member(const struct reading *in, const char *name) {
    uint32_t n = json_get(in->doc, 0, slice_str(name));
    return json_is(in->doc, n, JSON_NULL) ? JSON_NONE : n;
}

static int number(struct reading *in, const char *name, double least, double most, float *out) {
    uint32_t n = member(in, name);
    char must[96];
    if (n == JSON_NONE) return 0;
    double v = json_is(in->doc, n, JSON_NUMBER) ? json_number(in->doc, n) : NAN;
    if (v >= least && v <= most) {
        *out = (float)v;
        return 0;
    }
    snprintf(must, sizeof(must), "must be a number from %g to %g", least, most);
    return refuse(in, name, must);
}

static int integer(struct reading *in, const char *name, uint64_t least, uint64_t most, uint64_t *out) {
    uint32_t n = member(in, name);
    char must[96];
    uint64_t v = 0;
    if (n == JSON_NONE) return 0;
    if (json_is(in->doc, n, JSON_NUMBER) && json_u64(in->doc, n, &v) == 0 && v >= least && v <= most) {
        *out = v;
        return 0;
    }
    snprintf(must, sizeof(must), "must be an integer from %llu to %llu", (unsigned long long)least,
             (unsigned long long)most);
    return refuse(in, name, must);
}

/* -- Sampling ------------------------------------------------------------------------------------ */

/* Any integer, also one below zero: it only tells answers apart. */
static int read_seed(struct reading *in, struct sampling *s) {
    uint32_t n = member(in, "seed");
    if (n == JSON_NONE) return 0;
    double v = json_is(in->doc, n, JSON_NUMBER) ? json_number(in->doc, n) : NAN;
    if (!(fabs(v) <= 9223372036854774784.0) || v != floor(v))
        return refuse(in, "seed", "must be an integer of 64 bits");
    s->seed = (uint64_t)(int64_t)v;
    s->seeded = true;
    return 0;
}

static int read_biases(struct reading *in, struct sampling *s) {
    uint32_t map = member(in, "logit_bias");
    if (map == JSON_NONE) return 0;
    if (!json_is(in->doc, map, JSON_OBJECT)) return refuse(in, "logit_bias", "must be an object of tokens and numbers");
    if (in->doc->nodes[map].count > SAMPLER_BIASES) return refuse(in, "logit_bias", "must have 1024 tokens at most");
    for (uint32_t k = json_first(in->doc, map), v; k != JSON_NONE; k = json_next(in->doc, map, v)) {
        v = json_next(in->doc, map, k);
        char key[16], *end = key;
        struct slice raw = json_plain(in->doc, k);
        slice_copy(key, sizeof(key), raw);
        bool digits = raw.len > 0 && raw.len < sizeof(key) && key[0] >= '0' && key[0] <= '9';
        unsigned long token = digits ? strtoul(key, &end, 10) : 0;
        if (end == key || *end != '\0' || token >= resident_facts(in->r)->vocab)
            return refuse(in, "logit_bias", "names a token that the model does not have");
        double by = json_is(in->doc, v, JSON_NUMBER) ? json_number(in->doc, v) : NAN;
        if (!(by >= -100 && by <= 100)) return refuse(in, "logit_bias", "must have numbers from -100 to 100");
        /* -100 forbids, as OpenAI says; a logit may be above it. */
        in->q->biases[s->bias_count++] = (struct sampler_bias){ (int32_t)token, by <= -100 ? -INFINITY : (float)by };
    }
    s->biases = in->q->biases;
    return 0;
}

static int read_sampling(struct reading *in, struct sampling *s) {
    uint64_t top_k = 0;
    uint32_t k = member(in, "top_k");
    *s = (struct sampling)SAMPLING_DEFAULTS;
    bool off = json_is(in->doc, k, JSON_NUMBER) && json_number(in->doc, k) == -1; /* as other engines write it */
    if (number(in, "temperature", 0, 2, &s->temperature) != 0 || number(in, "top_p", 0, 1, &s->top_p) != 0 ||
        number(in, "min_p", 0, 1, &s->min_p) != 0 || number(in, "presence_penalty", -2, 2, &s->presence) != 0 ||
        number(in, "frequency_penalty", -2, 2, &s->frequency) != 0 ||
        number(in, "repetition_penalty", 0.01, 10, &s->repeat) != 0 ||
        (!off && integer(in, "top_k", 0, UINT32_MAX, &top_k) != 0) || read_seed(in, s) != 0) return PERILUNE_ERR_INVAL;
    s->top_k = (uint32_t)top_k;
    return read_biases(in, s);
}

/* -- Stops ------------------------------------------------------------------------------------------ */

static int add_stop(struct reading *in, uint32_t n, size_t ends[HELD_STOPS]) {
    struct turn_ask *a = &in->q->ask;
    size_t before = buf_len(&in->q->words);
    if (!json_is(in->doc, n, JSON_STRING)) return refuse(in, "stop", "must be a string, or an array of strings");
    if (a->stop_count == HELD_STOPS) return refuse(in, "stop", "must have 16 strings at most");
    json_decode_string(in->doc, n, &in->q->words);
    if (buf_len(&in->q->words) - before > HELD_STOP_SIZE)
        return refuse(in, "stop", "must have strings of 512 bytes at most");
    if (buf_len(&in->q->words) > before) ends[a->stop_count++] = buf_len(&in->q->words);
    return 0;
}

static int read_stops(struct reading *in) {
    struct local_question *q = in->q;
    size_t ends[HELD_STOPS];
    uint32_t n = member(in, "stop");
    int rc = 0;
    if (n == JSON_NONE) return 0;
    if (!json_is(in->doc, n, JSON_ARRAY)) rc = add_stop(in, n, ends);
    else
        for (uint32_t e = json_first(in->doc, n); rc == 0 && e != JSON_NONE; e = json_next(in->doc, n, e))
            rc = add_stop(in, e, ends);
    if (rc == 0 && buf_failed(&q->words)) return no_memory(in);
    for (unsigned i = 0; i < q->ask.stop_count; i++) {
        size_t from = i > 0 ? ends[i - 1] : 0;
        q->stops[i] = slice_of(buf_get(&q->words).ptr + from, ends[i] - from);
    }
    q->ask.stops = q->stops;
    return rc;
}

/* -- What is to come out ------------------------------------------------------------------------------- */

/* Any JSON object, with as much white space as a model likes, but not more. */
static const char json_object[] =
    "root ::= object\n"
    "object ::= \"{\" ws ( pair ( \",\" ws pair )* )? \"}\" ws\n"
    "pair ::= string \":\" ws value\n"
    "array ::= \"[\" ws ( value ( \",\" ws value )* )? \"]\" ws\n"
    "value ::= object | array | string | number | ( \"true\" | \"false\" | \"null\" ) ws\n"
    "string ::= \"\\\"\" ( [^\"\\\\\\x7F\\x00-\\x1F] | "
    "\"\\\\\" ( [\"\\\\bfnrt/] | \"u\" [0-9a-fA-F]{4} ) )* \"\\\"\" ws\n"
    "number ::= \"-\"? ( \"0\" | [1-9] [0-9]{0,15} ) ( \".\" [0-9]{1,15} )? ( [eE] [-+]? [0-9]{1,3} )? ws\n"
    "ws ::= | \" \" | \"\\n\" [ \\t]{0,20}\n";

static int read_format(struct reading *in) {
    uint32_t n = member(in, "response_format");
    if (n == JSON_NONE) return 0;
    uint32_t type = json_is(in->doc, n, JSON_OBJECT) ? json_get(in->doc, n, SLICE("type")) : JSON_NONE;
    if (!json_is(in->doc, type, JSON_STRING)) return refuse(in, "response_format", "must be an object with a type");
    if (json_str_eq(in->doc, type, SLICE("text"))) return 0;
    if (!json_str_eq(in->doc, type, SLICE("json_object")))
        return refuse(in, "response_format", "must be of type text or json_object for a local model");
    in->q->ask.grammar = json_object;
    return 0;
}

static int read_tools(struct reading *in) {
    uint32_t tools = member(in, "tools"), choice = member(in, "tool_choice");
    bool any = json_is(in->doc, tools, JSON_ARRAY) && in->doc->nodes[tools].count > 0;
    bool none = json_is(in->doc, choice, JSON_STRING) && json_str_eq(in->doc, choice, SLICE("none"));
    if (any && !none) return refuse(in, "tools", "cannot be called by this local model; say tool_choice = \"none\"");
    return 0;
}

static int read_counts(struct reading *in) {
    struct turn_ask *a = &in->q->ask;
    uint64_t most = 0, n = 1, tops = 0;
    uint32_t logprobs = member(in, "logprobs");
    if (integer(in, "max_tokens", 1, UINT32_MAX, &most) != 0 ||
        integer(in, "max_completion_tokens", 1, UINT32_MAX, &most) != 0 || integer(in, "n", 1, TURN_CHOICES, &n) != 0 ||
        integer(in, "top_logprobs", 0, SAMPLER_TOPS, &tops) != 0) return PERILUNE_ERR_INVAL;
    if (logprobs != JSON_NONE && !json_is(in->doc, logprobs, JSON_TRUE) && !json_is(in->doc, logprobs, JSON_FALSE))
        return refuse(in, "logprobs", "must be true or false");
    a->logprobs = json_is(in->doc, logprobs, JSON_TRUE);
    if (tops > 0 && !a->logprobs) return refuse(in, "top_logprobs", "needs logprobs = true");
    a->most = (uint32_t)most;
    a->choices = (unsigned)n;
    a->tops = (unsigned)tops;
    return 0;
}

/* -- The prompt ------------------------------------------------------------------------------------------- */

/* Text of a content, and a NUL. */
static int put_content(struct reading *in, uint32_t content, struct buf *out) {
    size_t before = buf_len(out);
    for (uint32_t p = json_is(in->doc, content, JSON_ARRAY) ? json_first(in->doc, content) : JSON_NONE; p != JSON_NONE;
         p = json_next(in->doc, content, p)) {
        uint32_t type = json_is(in->doc, p, JSON_OBJECT) ? json_get(in->doc, p, SLICE("type")) : JSON_NONE;
        if (!json_is(in->doc, type, JSON_STRING) || !json_str_eq(in->doc, type, SLICE("text")))
            return refuse(in, "messages", "have a part that is no text; this local model reads nothing else");
    }
    if (content != JSON_NONE && !json_is(in->doc, content, JSON_NULL)) chat_content_text(in->doc, content, out);
    struct slice text = slice_of(buf_get(out).ptr + before, buf_len(out) - before);
    if (memchr(text.ptr, '\0', text.len) != NULL) return refuse(in, "messages", "have a character of the number 0");
    buf_putc(out, '\0');
    return 0;
}

/* Roles and contents, each with a NUL behind it. */
static int put_messages(struct reading *in, uint32_t messages, struct buf *out) {
    for (uint32_t m = json_first(in->doc, messages); m != JSON_NONE; m = json_next(in->doc, messages, m)) {
        uint32_t role = json_get(in->doc, m, SLICE("role"));
        if (json_str_eq(in->doc, role, SLICE("developer"))) buf_puts(out, "system");
        else json_decode_string(in->doc, role, out);
        buf_putc(out, '\0');
        int rc = put_content(in, json_get(in->doc, m, SLICE("content")), out);
        if (rc != 0) return rc;
    }
    return buf_failed(out) ? no_memory(in) : 0;
}

static int render(struct reading *in, const struct perilune_engine_message *messages, size_t count) {
    const struct perilune_engine *e = resident_engine(in->r);
    struct buf *out = &in->q->text;
    size_t room = 4096;
    for (int tries = 0; tries < 2; tries++) {
        char *to = buf_reserve(out, room);
        if (to == NULL) return no_memory(in);
        int64_t n = e->prompt(resident_model(in->r), messages, count, to, room);
        if (n == PERILUNE_ERR_IO) return is_down(in);
        if (n < 0) return refuse(in, "messages", "cannot be written as this model's template wants them");
        if ((uint64_t)n <= room) {
            buf_advance(out, (size_t)n);
            in->q->prompt = buf_get(out);
            in->q->ask.texts = &in->q->prompt;
            in->q->ask.text_count = 1;
            return 0;
        }
        room = (size_t)n;
    }
    return no_memory(in);
}

static int read_messages(struct reading *in, const struct chat *chat) {
    struct buf flat;
    buf_init(&flat, 0);
    unsigned count = in->doc->nodes[chat->messages].count;
    int rc = put_messages(in, chat->messages, &flat);
    struct perilune_engine_message *m = rc == 0 ? mem_alloc(count * sizeof(*m)) : NULL;
    const char *at = flat.data;
    for (unsigned i = 0; m != NULL && i < count; i++) {
        m[i].role = at;
        at += strlen(at) + 1;
        m[i].content = at;
        at += strlen(at) + 1;
    }
    if (rc == 0) rc = m != NULL ? render(in, m, count) : no_memory(in);
    mem_free(m);
    buf_deinit(&flat);
    return rc;
}

/* -- Embeddings --------------------------------------------------------------------------------------------- */

#define INPUTS_MAX 2048 /* OpenAI's */

static int read_inputs(struct reading *in) {
    struct local_question *q = in->q;
    uint32_t input = json_get(in->doc, 0, SLICE("input"));
    bool list = json_is(in->doc, input, JSON_ARRAY);
    unsigned count = list ? in->doc->nodes[input].count : 1, i = 0;
    if (count == 0 || count > INPUTS_MAX) return refuse(in, "input", "must have 1 to 2048 texts");
    size_t *ends = mem_alloc(count * sizeof(*ends));
    q->texts = mem_alloc(count * sizeof(*q->texts));
    int rc = ends != NULL && q->texts != NULL ? 0 : no_memory(in);
    for (uint32_t e = list ? json_first(in->doc, input) : input; rc == 0 && i < count; i++) {
        if (!json_is(in->doc, e, JSON_STRING)) rc = refuse(in, "input", "must be a text, or an array of texts");
        else json_decode_string(in->doc, e, &q->text);
        ends[i] = buf_len(&q->text);
        if (list) e = json_next(in->doc, input, e);
    }
    if (rc == 0 && buf_failed(&q->text)) rc = no_memory(in);
    for (i = 0; rc == 0 && i < count; i++) {
        size_t from = i > 0 ? ends[i - 1] : 0;
        q->texts[i] = slice_of(buf_get(&q->text).ptr + from, ends[i] - from);
    }
    q->ask.texts = q->texts;
    q->ask.text_count = count;
    mem_free(ends);
    return rc;
}

static int read_embedding(struct reading *in) {
    uint64_t width = resident_facts(in->r)->width, asked = width;
    uint32_t format = member(in, "encoding_format");
    in->q->base64 = json_is(in->doc, format, JSON_STRING) && json_str_eq(in->doc, format, SLICE("base64"));
    if (format != JSON_NONE && !in->q->base64 &&
        !(json_is(in->doc, format, JSON_STRING) && json_str_eq(in->doc, format, SLICE("float"))))
        return refuse(in, "encoding_format", "must be float or base64");
    if (integer(in, "dimensions", 1, UINT32_MAX, &asked) != 0) return PERILUNE_ERR_INVAL;
    if (asked != width) return refuse(in, "dimensions", "cannot be chosen: this model's vectors have one length");
    in->q->ask.kind = TURN_EMBED;
    in->q->ask.flags = PERILUNE_ENGINE_BEGIN;
    return read_inputs(in);
}

/* -- All of it ---------------------------------------------------------------------------------------------- */

static struct hash128 tenant_of(const struct request *req) {
    unsigned char digest[SHA256_BYTES];
    struct hash128 h;
    sha256_of(slice_str(req->tenant), digest);
    memcpy(&h, digest, sizeof(h));
    return h;
}

static int read_chat(struct reading *in, const struct chat *chat) {
    struct turn_ask *a = &in->q->ask;
    a->kind = TURN_CHAT;
    a->flags = PERILUNE_ENGINE_SPECIAL | PERILUNE_ENGINE_BEGIN;
    int rc = read_sampling(in, &a->sampling);
    if (rc == 0) rc = read_counts(in);
    if (rc == 0) rc = read_stops(in);
    if (rc == 0) rc = read_format(in);
    if (rc == 0) rc = read_tools(in);
    return rc == 0 ? read_messages(in, chat) : rc;
}

int local_read(struct local_question *q, const struct resident *r, const struct request *req, const struct body *body,
               struct failure *f) {
    struct reading in = { q, r, body ? &body->doc : NULL, f };
    memset(&q->ask, 0, sizeof(q->ask));
    q->texts = NULL;
    buf_init(&q->text, 0);
    buf_init(&q->words, 0);
    q->ask.tenant = tenant_of(req);
    q->ask.deadline_ms = req->deadline_ms;
    if (body != NULL && body->dialect == &openai_chat) return read_chat(&in, &body->chat);
    if (body != NULL && body->dialect == &openai_embeddings) return read_embedding(&in);
    if (local_rank_is(req->path, body)) return local_rank_read(q->rank, &body->doc, &q->ask, f);
    failure_set(f, FAILURE_NOT_FOUND, "a local model answers /v1/chat/completions, /v1/embeddings and /v1/rerank, "
                "nothing else");
    return PERILUNE_ERR_INVAL;
}

void local_question_deinit(struct local_question *q) {
    buf_deinit(&q->text);
    buf_deinit(&q->words);
    mem_free(q->texts);
}
