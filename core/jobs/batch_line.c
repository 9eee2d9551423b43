/* batch_line.c -- a line of a batch: what OpenAI's format asks for.
 *
 *     {"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{"model":"m","messages":[...]}}
 *          |               |                 |                           |
 *          text, not       POST              a path, which routes        the request, byte for byte as it stands;
 *          empty           only              read as any other           it may not stream
 *
 * It is looked at before anything is paid for, so that a file of 50,000 lines does not fail at the last; and the same
 * eyes look at the lines of `perilune batch` and of POST /v1/batches.  Whether the body is a good question is for the
 * upstream to say: here it is a JSON object.  Members that the format does not have are nobody's business.
 *
 * What is wrong is said with the code that OpenAI's batches have for it, the member, the column and what to do. */
#include "jobs/batch_line.h"

#include <stdio.h>

#include "include/perilune.h"

void batch_reader_init(struct batch_reader *r) {
    r->doc = (struct json_doc){ .nodes = NULL };
    buf_init(&r->id, 0);
    buf_init(&r->url, 0);
}

void batch_reader_deinit(struct batch_reader *r) {
    json_deinit(&r->doc);
    buf_deinit(&r->id);
    buf_deinit(&r->url);
}

/* -- What is wrong --------------------------------------------------------------------------- */

static int wrong(struct batch_fault *f, const char *code, const char *param, size_t column, const char *message) {
    *f = (struct batch_fault){ .code = code, .param = param, .column = column };
    snprintf(f->message, sizeof(f->message), "%s", message);
    return PERILUNE_ERR_INVAL;
}

void batch_line_too_long(struct batch_fault *fault) {
    wrong(fault, "line_too_long", "", BATCH_LINE_MAX, "");
    snprintf(fault->message, sizeof(fault->message),
             "the line is longer than %u MiB; refer to large files by URL instead of having them in the line",
             BATCH_LINE_MAX >> 20);
}

static int wrong_json(struct batch_fault *f, const struct json_error *e) {
    wrong(f, "invalid_json_line", "", e->offset + 1, "");
    snprintf(f->message, sizeof(f->message),
             "no valid JSON: %s; each request stands on one line of its own, as one object", e->message);
    return PERILUNE_ERR_INVAL;
}

/* A member that has to be there and of this type.  JSON_NONE: f says which one and why. */
static uint32_t need(const struct json_doc *doc, const char *name, enum json_type type, const char *what,
                     struct batch_fault *f) {
    uint32_t at = json_get(doc, 0, slice_str(name));
    if (json_is(doc, at, type)) return at;
    bool missing = at == JSON_NONE;
    wrong(f, missing ? "missing_required_parameter" : "invalid_type", name, missing ? 1 : doc->nodes[at].start + 1, "");
    snprintf(f->message, sizeof(f->message), missing ? "\"%s\" is missing: %s" : "\"%s\" must be %s", name, what);
    return JSON_NONE;
}

/* -- The members -------------------------------------------------------------------------------- */

static int read_id(struct batch_reader *r, struct batch_line *out, struct batch_fault *f) {
    uint32_t at = need(&r->doc, "custom_id", JSON_STRING, "a text that no other line of the file has", f);
    if (at == JSON_NONE) return PERILUNE_ERR_INVAL;
    buf_clear(&r->id);
    json_decode_string(&r->doc, at, &r->id);
    size_t column = r->doc.nodes[at].start + 1;
    if (buf_failed(&r->id)) return PERILUNE_ERR_NOMEM;
    out->custom_id = buf_get(&r->id);
    if (out->custom_id.len == 0) return wrong(f, "invalid_custom_id", "custom_id", column, "\"custom_id\" is empty");
    if (out->custom_id.len > BATCH_ID_MAX)
        return wrong(f, "invalid_custom_id", "custom_id", column, "\"custom_id\" is longer than 512 bytes");
    return 0;
}

static int read_method(struct batch_reader *r, struct batch_fault *f) {
    uint32_t at = need(&r->doc, "method", JSON_STRING, "\"POST\"", f);
    if (at == JSON_NONE) return PERILUNE_ERR_INVAL;
    if (json_str_eq(&r->doc, at, SLICE("POST"))) return 0;
    return wrong(f, "invalid_method", "method", r->doc.nodes[at].start + 1, "\"method\" must be \"POST\"");
}

static bool is_path(struct slice s) {
    if (s.len == 0 || s.len > BATCH_URL_MAX || s.ptr[0] != '/' || (s.len > 1 && s.ptr[1] == '/')) return false;
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.ptr[i] <= 0x20 || (unsigned char)s.ptr[i] >= 0x7F || s.ptr[i] == '#') return false;
    return true;
}

static int read_url(struct batch_reader *r, struct batch_line *out, struct batch_fault *f) {
    static const char what[] = "a path such as \"/v1/chat/completions\"";
    uint32_t at = need(&r->doc, "url", JSON_STRING, what, f);
    if (at == JSON_NONE) return PERILUNE_ERR_INVAL;
    buf_clear(&r->url);
    json_decode_string(&r->doc, at, &r->url);
    if (buf_failed(&r->url)) return PERILUNE_ERR_NOMEM;
    struct slice url = buf_get(&r->url);
    if (!is_path(url))
        return wrong(f, "invalid_url", "url", r->doc.nodes[at].start + 1,
                     "\"url\" must be a path such as \"/v1/chat/completions\", without a scheme, a host or spaces");
    const char *mark = memchr(url.ptr, '?', url.len);
    size_t n = mark != NULL ? (size_t)(mark - url.ptr) : url.len;
    out->path = slice_of(url.ptr, n);
    out->query = mark != NULL ? slice_of(mark + 1, url.len - n - 1) : SLICE("");
    return 0;
}

static int read_body(struct batch_reader *r, struct batch_line *out, struct batch_fault *f) {
    uint32_t at = need(&r->doc, "body", JSON_OBJECT, "an object, the request itself", f);
    if (at == JSON_NONE) return PERILUNE_ERR_INVAL;
    uint32_t stream = json_get(&r->doc, at, SLICE("stream"));
    if (json_is(&r->doc, stream, JSON_TRUE))
        return wrong(f, "invalid_request", "body.stream", r->doc.nodes[stream].start + 1,
                     "\"stream\" must not be true: nobody reads along; leave it out");
    out->body = json_raw(&r->doc, at);
    return 0;
}

/* -- A line ------------------------------------------------------------------------------------------ */

bool batch_line_is_blank(struct slice text) {
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] != ' ' && text.ptr[i] != '\t' && text.ptr[i] != '\r') return false;
    return true;
}

int batch_line_read(struct batch_reader *r, struct slice text, struct batch_line *out, struct batch_fault *fault) {
    struct json_error e;
    *out = (struct batch_line){ .custom_id = SLICE("") };
    if (text.len > BATCH_LINE_MAX) {
        batch_line_too_long(fault);
        return PERILUNE_ERR_INVAL;
    }
    int rc = json_parse(&r->doc, text, &e);
    if (rc == PERILUNE_ERR_INVAL) return wrong_json(fault, &e);
    if (rc != 0) return rc;
    if (!json_is(&r->doc, 0, JSON_OBJECT))
        return wrong(fault, "invalid_json_line", "", 1,
                     "no object: a line is {\"custom_id\":..., \"method\":\"POST\", \"url\":..., \"body\":{...}}");
    /* The id first: with it the other faults can be told of. */
    rc = read_id(r, out, fault);
    if (rc == 0) rc = read_method(r, fault);
    if (rc == 0) rc = read_url(r, out, fault);
    if (rc == 0) rc = read_body(r, out, fault);
    return rc;
}
