/* vectors.c -- vectors of texts, from whoever speaks OpenAI's embeddings.
 *
 *     texts, VECTORS_BATCH at a time --> asking.c --> list of numbers, each scaled to length 1 */
#include "cli/vectors.h"

#include <math.h>
#include <stdio.h>

#include "base/json.h"
#include "base/mem.h"
#include "cli/asking.h"

#define MAX_REPLY  (64u << 20)
#define MAX_DIMS   4096

/* -- One request -------------------------------------------------------------------------------- */


static void write_body(const struct vectors_ask *ask, const struct slice *texts, size_t count, struct buf *out) {
    struct buf one;
    buf_init(&one, 0);
    buf_clear(out);
    buf_puts(out, "{\"model\":");
    json_write_string(out, slice_str(ask->model));
    buf_puts(out, ",\"input\":[");
    for (size_t i = 0; i < count; i++) {
        buf_clear(&one);
        buf_puts(&one, ask->prefix);
        buf_slice(&one, texts[i]);
        if (i > 0) buf_putc(out, ',');
        json_write_string(out, buf_get(&one));
        if (buf_failed(&one)) out->error = one.error;
    }
    buf_puts(out, "]}");
    buf_deinit(&one);
}

/* -- What came ------------------------------------------------------------------------------------- */

struct vectors {
    float   *numbers;
    unsigned dims;
    size_t   count; /* of texts */
};

static const char *read_vector(const struct json_doc *doc, uint32_t list, struct vectors *v, size_t at) {
    if (!json_is(doc, list, JSON_ARRAY)) return "an embedding is no list of numbers";
    unsigned dims = doc->nodes[list].count;
    if (dims == 0 || dims > MAX_DIMS) return "an embedding has no number, or more than 4096";
    if (v->dims == 0) {
        v->numbers = mem_zalloc(v->count * dims * sizeof(float));
        if (v->numbers == NULL) return "out of memory";
        v->dims = dims;
    }
    if (dims != v->dims) return "not all embeddings have as many numbers";
    float *out = v->numbers + at * dims, sum = 0;
    for (uint32_t i = json_first(doc, list); i != JSON_NONE; i = json_next(doc, list, i)) {
        if (!json_is(doc, i, JSON_NUMBER)) return "an embedding is no list of numbers";
        *out = (float)json_number(doc, i);
        sum += *out * *out;
        out++;
    }
    if (!isfinite(sum)) return "an embedding has a number that is too large";
    for (unsigned i = 0; i < dims && sum > 0; i++) v->numbers[at * dims + i] /= sqrtf(sum);
    return NULL;
}

/* NULL, or what is wrong with it. */
static const char *read_reply(struct slice body, struct vectors *v, size_t first, size_t count) {
    struct json_doc doc = { .text = body };
    struct json_error bad;
    if (json_parse(&doc, body, &bad) != 0) return "the answer is no JSON";
    const char *why = "the answer has not one embedding for each text";
    uint32_t data = json_is(&doc, 0, JSON_OBJECT) ? json_get(&doc, 0, SLICE("data")) : JSON_NONE;
    if (json_is(&doc, data, JSON_ARRAY) && doc.nodes[data].count == count) {
        size_t at = 0;
        why = NULL;
        for (uint32_t i = json_first(&doc, data); why == NULL && i != JSON_NONE; i = json_next(&doc, data, i), at++) {
            uint64_t place = at;
            uint32_t index = json_is(&doc, i, JSON_OBJECT) ? json_get(&doc, i, SLICE("index")) : JSON_NONE;
            if (index != JSON_NONE && (json_u64(&doc, index, &place) != 0 || place >= count)) why = "an index is none";
            uint32_t list = json_is(&doc, i, JSON_OBJECT) ? json_get(&doc, i, SLICE("embedding")) : JSON_NONE;
            if (why == NULL) why = read_vector(&doc, list, v, first + (size_t)place);
        }
    }
    json_deinit(&doc);
    return why;
}

/* -- All of them --------------------------------------------------------------------------------------- */


static int fetch_batch(const struct vectors_ask *ask, struct asking *to, const struct slice *texts, size_t first,
                       size_t count, struct vectors *v, struct buf *body, struct buf *reply, char *err, size_t errlen) {
    write_body(ask, texts + first, count, body);
    if (buf_failed(body)) {
        snprintf(err, errlen, "out of memory");
        return PERILUNE_ERR_NOMEM;
    }
    int status = asking_post(to, "embeddings", buf_get(body), reply);
    struct slice s = buf_get(reply);
    if (status != 200) {
        char text[300];
        slice_copy(text, sizeof(text), s);
        slice_mute(text);
        if (status == 0) snprintf(err, errlen, "%s: no answer", ask->url);
        else snprintf(err, errlen, "%s: status %d: %s", ask->url, status, text);
        return PERILUNE_ERR_UPSTREAM;
    }
    const char *why = read_reply(s, v, first, count);
    if (why != NULL) snprintf(err, errlen, "%s: %s", ask->url, why);
    return why != NULL ? PERILUNE_ERR_UPSTREAM : 0;
}

int vectors_fetch(const struct vectors_ask *ask, const struct slice *texts, size_t count, float **out, unsigned *dims,
                  char *err, size_t errlen) {
    struct vectors v = { .count = count };
    struct buf body, reply;
    struct asking to;
    *out = NULL;
    *dims = 0;
    int rc = asking_open(&to, ask->url, ask->key_env, err, errlen);
    if (rc != 0) return rc;
    buf_init(&body, 0);
    buf_init(&reply, MAX_REPLY);
    for (size_t at = 0; rc == 0 && at < count; at += VECTORS_BATCH) {
        size_t n = count - at < VECTORS_BATCH ? count - at : VECTORS_BATCH;
        rc = fetch_batch(ask, &to, texts, at, n, &v, &body, &reply, err, errlen);
        if (rc == 0 && ask->progress != NULL) ask->progress(ask->ud, at + n, count);
    }
    buf_deinit(&body);
    buf_deinit(&reply);
    asking_close(&to);
    if (rc == 0) {
        *out = v.numbers;
        *dims = v.dims;
    } else {
        mem_free(v.numbers);
    }
    return rc;
}
