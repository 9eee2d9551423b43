/* local_ask.c -- from a body in OpenAI's dialect to what a local model is asked.
 *
 *     temperature, top_p, n, stop ...        --> struct turn_ask, each within its bounds     this file
 *     input                                  --> texts                                       this file
 *     messages, tools --template of the model--> one text, in pieces                         local_prompt.c
 *     response_format, tools, tool_choice    --> a grammar, and how the answer is read       local_form.c
 *
 * A service that is asked for something it cannot do says so; so does this: a tool, an image or a schema that would be
 * left out quietly gives an answer that only looks like one.  Every refusal names the field.  Members that change
 * nothing about an answer (user, metadata, store) are passed over. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/sha256.h"
#include "request/local_ask.h"

/* -- Refusals ------------------------------------------------------------------------------- */

int local_refuse(struct asking *in, const char *field, const char *fmt, ...) {
    char must[400];
    va_list ap;
    if (failure_is_set(in->f)) return PERILUNE_ERR_INVAL;
    va_start(ap, fmt);
    vsnprintf(must, sizeof(must), fmt, ap);
    va_end(ap);
    must[utf8_valid_prefix(slice_str(must))] = '\0';
    failure_set(in->f, FAILURE_INVALID_REQUEST, "'%s' %s", field, must);
    snprintf(in->f->param, sizeof(in->f->param), "%s", field);
    return PERILUNE_ERR_INVAL;
}

int local_no_memory(struct asking *in) {
    failure_set(in->f, FAILURE_NO_MEMORY, "out of memory");
    return PERILUNE_ERR_NOMEM;
}

/* -- Members ---------------------------------------------------------------------------------- */

uint32_t local_member(const struct asking *in, const char *name) {
    uint32_t n = json_get(in->doc, 0, slice_str(name));
    return json_is(in->doc, n, JSON_NULL) ? JSON_NONE : n;
}

bool local_is_word(const struct json_doc *doc, uint32_t n, const char *word) {
    return json_is(doc, n, JSON_STRING) && json_str_eq(doc, n, slice_str(word));
}

static int number(struct asking *in, const char *name, double least, double most, float *out) {
    uint32_t n = local_member(in, name);
    char must[96];
    if (n == JSON_NONE) return 0;
    double v = json_is(in->doc, n, JSON_NUMBER) ? json_number(in->doc, n) : NAN;
    if (v >= least && v <= most) {
        *out = (float)v;
        return 0;
    }
    snprintf(must, sizeof(must), "must be a number from %g to %g", least, most);
    return local_refuse(in, name, "%s", must);
}

static int integer(struct asking *in, const char *name, uint64_t least, uint64_t most, uint64_t *out) {
    uint32_t n = local_member(in, name);
    char must[96];
    uint64_t v = 0;
    if (n == JSON_NONE) return 0;
    if (json_is(in->doc, n, JSON_NUMBER) && json_u64(in->doc, n, &v) == 0 && v >= least && v <= most) {
        *out = v;
        return 0;
    }
    snprintf(must, sizeof(must), "must be an integer from %llu to %llu", (unsigned long long)least,
             (unsigned long long)most);
    return local_refuse(in, name, "%s", must);
}

/* -- Sampling ------------------------------------------------------------------------------------ */

/* Any integer, also one below zero: it only tells answers apart. */
static int read_seed(struct asking *in, struct sampling *s) {
    uint32_t n = local_member(in, "seed");
    if (n == JSON_NONE) return 0;
    int64_t v = 0;
    if (json_i64(in->doc, n, &v) != 0) return local_refuse(in, "seed", "must be an integer of 64 bits");
    s->seed = (uint64_t)v;
    s->seeded = true;
    return 0;
}

static int read_biases(struct asking *in, struct sampling *s) {
    uint32_t map = local_member(in, "logit_bias");
    if (map == JSON_NONE) return 0;
    if (!json_is(in->doc, map, JSON_OBJECT))
        return local_refuse(in, "logit_bias", "must be an object of tokens and numbers");
    if (in->doc->nodes[map].count > SAMPLER_BIASES)
        return local_refuse(in, "logit_bias", "must have 1024 tokens at most");
    for (uint32_t k = json_first(in->doc, map), v; k != JSON_NONE; k = json_next(in->doc, map, v)) {
        v = json_next(in->doc, map, k);
        char key[16], *end = key;
        struct slice raw = json_plain(in->doc, k);
        slice_copy(key, sizeof(key), raw);
        bool digits = raw.len > 0 && raw.len < sizeof(key) && key[0] >= '0' && key[0] <= '9';
        unsigned long token = digits ? strtoul(key, &end, 10) : 0;
        if (end == key || *end != '\0' || token >= resident_facts(in->r)->vocab)
            return local_refuse(in, "logit_bias", "names a token that the model does not have");
        double by = json_is(in->doc, v, JSON_NUMBER) ? json_number(in->doc, v) : NAN;
        if (!(by >= -100 && by <= 100)) return local_refuse(in, "logit_bias", "must have numbers from -100 to 100");
        /* -100 forbids, as OpenAI says; a logit may be above it. */
        in->q->biases[s->bias_count++] = (struct sampler_bias){ (int32_t)token, by <= -100 ? -INFINITY : (float)by };
    }
    s->biases = in->q->biases;
    return 0;
}

static int read_sampling(struct asking *in, struct sampling *s) {
    uint64_t top_k = 0;
    uint32_t k = local_member(in, "top_k");
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

static int add_stop(struct asking *in, uint32_t n, size_t ends[TURN_STOPS]) {
    struct turn_ask *a = &in->q->ask;
    size_t before = buf_len(&in->q->words);
    if (!json_is(in->doc, n, JSON_STRING)) return local_refuse(in, "stop", "must be a string, or an array of strings");
    if (a->stop_count == TURN_STOPS) return local_refuse(in, "stop", "must have 16 strings at most");
    json_decode_string(in->doc, n, &in->q->words);
    if (buf_len(&in->q->words) - before > TURN_STOP_SIZE)
        return local_refuse(in, "stop", "must have strings of 512 bytes at most");
    if (buf_len(&in->q->words) > before) ends[a->stop_count++] = buf_len(&in->q->words);
    return 0;
}

static int read_stops(struct asking *in) {
    struct local_question *q = in->q;
    size_t ends[TURN_STOPS];
    uint32_t n = local_member(in, "stop");
    int rc = 0;
    if (n == JSON_NONE) return 0;
    if (!json_is(in->doc, n, JSON_ARRAY)) rc = add_stop(in, n, ends);
    else
        for (uint32_t e = json_first(in->doc, n); rc == 0 && e != JSON_NONE; e = json_next(in->doc, n, e))
            rc = add_stop(in, e, ends);
    if (rc == 0 && buf_failed(&q->words)) return local_no_memory(in);
    for (unsigned i = 0; i < q->ask.stop_count; i++) {
        size_t from = i > 0 ? ends[i - 1] : 0;
        q->stops[i] = slice_of(buf_get(&q->words).ptr + from, ends[i] - from);
    }
    q->ask.stops = q->stops;
    return rc;
}

/* -- How much is to come out ---------------------------------------------------------------------------------- */

static int read_counts(struct asking *in) {
    struct turn_ask *a = &in->q->ask;
    uint64_t most = 0, n = 1, tops = 0;
    uint32_t logprobs = local_member(in, "logprobs");
    if (integer(in, "max_tokens", 1, UINT32_MAX, &most) != 0 ||
        integer(in, "max_completion_tokens", 1, UINT32_MAX, &most) != 0 || integer(in, "n", 1, TURN_CHOICES, &n) != 0 ||
        integer(in, "top_logprobs", 0, SAMPLER_TOPS, &tops) != 0) return PERILUNE_ERR_INVAL;
    if (logprobs != JSON_NONE && !json_is(in->doc, logprobs, JSON_TRUE) && !json_is(in->doc, logprobs, JSON_FALSE))
        return local_refuse(in, "logprobs", "must be true or false");
    a->logprobs = json_is(in->doc, logprobs, JSON_TRUE);
    if (tops > 0 && !a->logprobs) return local_refuse(in, "top_logprobs", "needs logprobs = true");
    a->most = (uint32_t)most;
    a->choices = (unsigned)n;
    a->tops = (unsigned)tops;
    return 0;
}

/* -- What others read and we do not ------------------------------------------------------------------------- */

/* Is nothing asked for with it?  null, false, 0, and what is empty. */
static bool is_nothing(const struct json_doc *doc, uint32_t n) {
    switch (json_type(doc, n)) {
    case JSON_NULL:
    case JSON_FALSE: return true;
    case JSON_NUMBER: return json_number(doc, n) == 0;
    case JSON_STRING: return json_plain(doc, n).len == 0;
    case JSON_ARRAY:
    case JSON_OBJECT: return doc->nodes[n].count == 0;
    default: return false;
    }
}

/* Members that are meant to change an answer: passed over in silence, it would be another one than was asked for. */
static int check_members(struct asking *in) {
    static const struct { const char *name, *instead; } not_read[] = {
        { "grammar", "is not read: say response_format of type json_schema; a pattern in it is a regular expression" },
        { "json_schema", "is read in response_format = {type: \"json_schema\", json_schema: {schema}}, not here" },
        { "guided_json", "is not read: say response_format = {type: \"json_schema\", json_schema: {schema}}" },
        { "guided_regex", "is not read: say response_format of type json_schema, a string with a pattern" },
        { "guided_choice", "is not read: say response_format of type json_schema, with an enum" },
        { "guided_grammar", "is not read: say response_format of type json_schema" },
        { "structured_outputs", "is not read: say response_format of type json_schema" },
        { "min_tokens", "is not read: say minLength in a response_format of type json_schema, or ask for it in words" },
        { "ignore_eos", "is not read: an answer ends where the model ends it" },
        { "stop_token_ids", "is not read: name texts in stop" },
        { "bad_words", "is not read: forbid tokens with logit_bias" },
        { "function_call", "is not read any more: say tool_choice" },
        { "audio", "is not read: this local model answers with text" },
    };
    uint32_t modes = local_member(in, "modalities");
    for (unsigned i = 0; i < sizeof(not_read) / sizeof(not_read[0]); i++) {
        uint32_t n = local_member(in, not_read[i].name);
        if (n != JSON_NONE && !is_nothing(in->doc, n)) return local_refuse(in, not_read[i].name, "%s",
                                                                           not_read[i].instead);
    }
    if (modes == JSON_NONE) return 0;
    bool text = json_is(in->doc, modes, JSON_ARRAY);
    for (uint32_t e = text ? json_first(in->doc, modes) : JSON_NONE; e != JSON_NONE; e = json_next(in->doc, modes, e))
        text = text && local_is_word(in->doc, e, "text");
    return text ? 0 : local_refuse(in, "modalities", "must be [\"text\"]: this local model answers with nothing else");
}

/* -- Embeddings --------------------------------------------------------------------------------------------- */

#define INPUTS_MAX 2048 /* OpenAI's */

static int read_inputs(struct asking *in) {
    struct local_question *q = in->q;
    uint32_t input = json_get(in->doc, 0, SLICE("input"));
    bool list = json_is(in->doc, input, JSON_ARRAY);
    unsigned count = list ? in->doc->nodes[input].count : 1, i = 0;
    if (count == 0 || count > INPUTS_MAX) return local_refuse(in, "input", "must have 1 to 2048 texts");
    size_t *ends = mem_alloc(count * sizeof(*ends));
    q->texts = mem_alloc(count * sizeof(*q->texts));
    int rc = ends != NULL && q->texts != NULL ? 0 : local_no_memory(in);
    for (uint32_t e = list ? json_first(in->doc, input) : input; rc == 0 && i < count; i++) {
        if (!json_is(in->doc, e, JSON_STRING)) rc = local_refuse(in, "input", "must be a text, or an array of texts");
        else json_decode_string(in->doc, e, &q->text);
        ends[i] = buf_len(&q->text);
        if (list) e = json_next(in->doc, input, e);
    }
    if (rc == 0 && buf_failed(&q->text)) rc = local_no_memory(in);
    for (i = 0; rc == 0 && i < count; i++) {
        size_t from = i > 0 ? ends[i - 1] : 0;
        q->texts[i] = slice_of(buf_get(&q->text).ptr + from, ends[i] - from);
    }
    q->ask.texts = q->texts;
    q->ask.text_count = count;
    mem_free(ends);
    return rc;
}

static int read_embedding(struct asking *in) {
    uint64_t width = resident_facts(in->r)->width, asked = width;
    uint32_t format = local_member(in, "encoding_format");
    in->q->base64 = json_is(in->doc, format, JSON_STRING) && json_str_eq(in->doc, format, SLICE("base64"));
    if (format != JSON_NONE && !in->q->base64 &&
        !(json_is(in->doc, format, JSON_STRING) && json_str_eq(in->doc, format, SLICE("float"))))
        return local_refuse(in, "encoding_format", "must be float or base64");
    if (integer(in, "dimensions", 1, UINT32_MAX, &asked) != 0) return PERILUNE_ERR_INVAL;
    if (asked != width) return local_refuse(in, "dimensions", "cannot be chosen: this model's vectors have one length");
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

static int read_chat(struct asking *in, const struct chat *chat) {
    struct turn_ask *a = &in->q->ask;
    a->kind = TURN_CHAT;
    a->flags = PERILUNE_ENGINE_SPECIAL;
    if (resident_style(in->r) == NULL) return local_refuse(in, "model", "makes vectors, and answers no chats");
    in->traits = chat_style_traits(resident_style(in->r));
    int rc = check_members(in);
    if (rc == 0) rc = read_sampling(in, &a->sampling);
    if (rc == 0) rc = read_counts(in);
    if (rc == 0) rc = read_stops(in);
    if (rc == 0) rc = local_read_form(in);
    if (rc == 0) rc = local_read_prompt(in, chat);
    return rc == 0 ? local_write_grammar(in) : rc;
}

int local_read(struct local_question *q, const struct target *t, const struct request *req, const struct body *body,
               struct failure *f) {
    struct asking in = { .q = q, .r = t->engine, .target = t, .doc = body ? &body->doc : NULL, .f = f };
    memset(&q->ask, 0, sizeof(q->ask));
    q->texts = NULL;
    q->base64 = false;
    buf_init(&q->text, 0);
    buf_init(&q->words, 0);
    buf_init(&q->grammar, 0);
    buf_init(&q->strings, 0);
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
    buf_deinit(&q->grammar);
    buf_deinit(&q->strings);
    mem_free(q->texts);
}
