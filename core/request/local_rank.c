/* local_rank.c -- /v1/rerank of a local model: how well texts answer a question.
 *
 *     { model, query, documents, top_n, return_documents } --> a turn with a pair for each document
 *     { id, object, model, usage, results: [{ index, relevance_score, document }] } <-- their numbers, the best first
 *
 * It is the shape of Jina and Cohere, which other engines speak, too.  Documents are strings, or objects with a text.
 * They come back only where that is asked for: the client has them.
 *
 * Nothing is known of such requests elsewhere: sent to a server, they are other JSON, which goes as it came. */
#include "request/local_rank.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"

#define DOCUMENTS_MAX 2048

/* -- Reading ---------------------------------------------------------------------------- */

bool local_rank_is(struct slice path, const struct body *body) {
    struct slice end = SLICE("/rerank");
    while (path.len > 1 && path.ptr[path.len - 1] == '/') path.len--;
    return body != NULL && body->dialect == NULL && path.len >= end.len &&
           memcmp(path.ptr + path.len - end.len, end.ptr, end.len) == 0;
}

static int refuse(struct failure *f, const char *field, const char *must) {
    failure_set(f, FAILURE_INVALID_REQUEST, "'%s' %s", field, must);
    snprintf(f->param, sizeof(f->param), "%s", field);
    return PERILUNE_ERR_INVAL;
}

static uint32_t member(const struct json_doc *doc, const char *name) {
    uint32_t n = json_is(doc, 0, JSON_OBJECT) ? json_get(doc, 0, slice_str(name)) : JSON_NONE;
    return json_is(doc, n, JSON_NULL) ? JSON_NONE : n;
}

static int read_options(struct local_rank *rank, const struct json_doc *doc, struct failure *f) {
    uint32_t top = member(doc, "top_n"), with = member(doc, "return_documents");
    uint64_t n = 0;
    rank->top = rank->count;
    if (top != JSON_NONE && (!json_is(doc, top, JSON_NUMBER) || json_u64(doc, top, &n) != 0 || n == 0))
        return refuse(f, "top_n", "must be an integer from 1 on");
    if (top != JSON_NONE && n < rank->top) rank->top = (unsigned)n;
    if (with != JSON_NONE && !json_is(doc, with, JSON_TRUE) && !json_is(doc, with, JSON_FALSE))
        return refuse(f, "return_documents", "must be true or false");
    rank->with_texts = json_is(doc, with, JSON_TRUE);
    return 0;
}

/* The end of each text goes to its slice: the buffer moves while it grows. */
static int read_documents(struct local_rank *rank, const struct json_doc *doc, uint32_t list, struct failure *f) {
    unsigned i = 0;
    for (uint32_t d = json_first(doc, list); d != JSON_NONE; d = json_next(doc, list, d), i++) {
        uint32_t text = json_is(doc, d, JSON_OBJECT) ? json_get(doc, d, SLICE("text")) : d;
        if (!json_is(doc, text, JSON_STRING))
            return refuse(f, "documents", "must be an array of texts, or of objects with a text");
        json_decode_string(doc, text, &rank->text);
        rank->texts[i].len = buf_len(&rank->text);
    }
    return 0;
}

static int read_all(struct local_rank *rank, const struct json_doc *doc, struct turn_ask *ask, struct failure *f) {
    uint32_t query = member(doc, "query"), list = member(doc, "documents");
    if (!json_is(doc, query, JSON_STRING)) return refuse(f, "query", "must be a text");
    if (!json_is(doc, list, JSON_ARRAY)) return refuse(f, "documents", "must be an array of texts");
    rank->count = doc->nodes[list].count;
    if (rank->count == 0 || rank->count > DOCUMENTS_MAX) return refuse(f, "documents", "must have 1 to 2048 texts");
    if (read_options(rank, doc, f) != 0) return PERILUNE_ERR_INVAL;
    json_decode_string(doc, query, &rank->text);
    size_t question = buf_len(&rank->text);
    if (buf_failed(&rank->text)) return PERILUNE_ERR_NOMEM;
    if (question == 0) return refuse(f, "query", "must not be empty");
    rank->texts = mem_alloc(rank->count * sizeof(*rank->texts));
    rank->scores = mem_zalloc(rank->count * sizeof(*rank->scores));
    int rc = rank->texts && rank->scores ? read_documents(rank, doc, list, f) : PERILUNE_ERR_NOMEM;
    if (rc == 0 && buf_failed(&rank->text)) rc = PERILUNE_ERR_NOMEM;
    const char *all = buf_get(&rank->text).ptr;
    for (size_t i = 0, from = question; rc == 0 && i < rank->count; i++) {
        size_t end = rank->texts[i].len;
        rank->texts[i] = slice_of(all + from, end - from);
        from = end;
    }
    ask->kind = TURN_RANK;
    ask->question = slice_of(all, question);
    ask->texts = rank->texts;
    ask->text_count = rank->count;
    return rc;
}

int local_rank_read(struct local_rank *rank, const struct json_doc *doc, struct turn_ask *ask, struct failure *f) {
    buf_init(&rank->text, 0);
    int rc = read_all(rank, doc, ask, f);
    if (rc == PERILUNE_ERR_NOMEM) failure_set(f, FAILURE_NO_MEMORY, "out of memory");
    return rc;
}

void local_rank_deinit(struct local_rank *rank) {
    buf_deinit(&rank->text);
    mem_free(rank->texts);
    mem_free(rank->scores);
    *rank = (struct local_rank){ .count = 0 };
}

/* -- Writing --------------------------------------------------------------------------------- */

void local_rank_note(struct local_rank *rank, unsigned text, struct slice vector) {
    if (text < rank->count && vector.len >= sizeof(float)) memcpy(&rank->scores[text], vector.ptr, sizeof(float));
}

struct place {
    float    score;
    unsigned text;
};

/* Equal ones in the order in which they were asked. */
static int better(const void *a, const void *b) {
    const struct place *x = a, *y = b;
    if (x->score != y->score) return x->score > y->score ? -1 : 1;
    return x->text < y->text ? -1 : 1;
}

bool local_rank_write(const struct local_rank *rank, struct buf *out, struct slice id, struct slice model,
                      uint64_t tokens) {
    struct place *order = mem_alloc(rank->count * sizeof(*order));
    if (order == NULL) return false;
    for (unsigned i = 0; i < rank->count; i++) order[i] = (struct place){ rank->scores[i], i };
    qsort(order, rank->count, sizeof(*order), better);
    buf_puts(out, "{\"id\":");
    json_write_string(out, id);
    buf_puts(out, ",\"object\":\"list\",\"model\":");
    json_write_string(out, model);
    unsigned long long n = tokens;
    buf_printf(out, ",\"usage\":{\"prompt_tokens\":%llu,\"total_tokens\":%llu},\"results\":[", n, n);
    for (unsigned i = 0; i < rank->top; i++) {
        buf_printf(out, "%s{\"index\":%u,\"relevance_score\":%.9g", i > 0 ? "," : "", order[i].text,
                   (double)order[i].score);
        if (rank->with_texts) {
            buf_puts(out, ",\"document\":{\"text\":");
            json_write_string(out, rank->texts[order[i].text]);
            buf_putc(out, '}');
        }
        buf_putc(out, '}');
    }
    buf_puts(out, "]}");
    mem_free(order);
    return !buf_failed(out);
}
