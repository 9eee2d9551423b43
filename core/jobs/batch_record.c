/* batch_record.c -- a line of a batch's output, as OpenAI writes it.
 *
 *     {"id":"batch_req_7f..","custom_id":"a","response":{"status_code":200,"request_id":"..","body":{..}},"error":null}
 *     {"id":"batch_req_02..","custom_id":"b","response":null,"error":{"code":"upstream_unreachable","message":".."}}
 *
 * Whoever answered, with whatever status, is a response; `error` is for lines that nobody answered.  The body is the
 * answer byte for byte, but for line ends, which JSON has as white space only and which would cut the record in two.
 * What is no JSON is there as a string when it is text; bytes that are not (audio) cannot stand in a line.
 *
 * The order of the members is a promise: the custom_id and the status stand in the first bytes, so that who goes on
 * with a file need not parse its answers. */
#include "jobs/batch_record.h"

#include <stdlib.h>

#include "base/json.h"

#define BODY_NODES (1u << 24) /* values of an answer: 2,048 vectors have some millions */

static const char opening[] = "{\"id\":\"batch_req_";

/* -- Writing --------------------------------------------------------------------------------------- */

/* One line of it: outside of its strings JSON has line ends as white space, inside it has none. */
static void put_json(struct buf *out, struct slice json) {
    char *to = buf_reserve(out, json.len);
    if (to == NULL) return;
    memcpy(to, json.ptr, json.len);
    for (char *p = to; (p = memchr(p, '\n', json.len - (size_t)(p - to))) != NULL;) *p = ' ';
    for (char *p = to; (p = memchr(p, '\r', json.len - (size_t)(p - to))) != NULL;) *p = ' ';
    buf_advance(out, json.len);
}

static bool is_json(struct slice body) {
    struct json_doc doc = { .max_nodes = BODY_NODES };
    struct json_error e;
    int rc = json_parse(&doc, body, &e);
    json_deinit(&doc);
    return rc == 0;
}

static void put_error(struct buf *out, const char *code, const char *message) {
    buf_puts(out, "{\"code\":");
    json_write_string(out, slice_str(code));
    buf_puts(out, ",\"message\":");
    json_write_string(out, slice_str(message));
    buf_putc(out, '}');
}

static void put_response(struct buf *out, const struct batch_record *r) {
    struct slice body = json_without_bom(r->body);
    bool json = is_json(body), text = json || utf8_valid_prefix(r->body) == r->body.len;
    buf_printf(out, "{\"status_code\":%d,\"request_id\":", r->status);
    json_write_string(out, r->request_id);
    buf_puts(out, ",\"body\":");
    if (json) put_json(out, body);
    else if (text) json_write_string(out, r->body);
    else buf_puts(out, "null");
    buf_puts(out, "},\"error\":");
    if (text) buf_puts(out, "null");
    else put_error(out, "not_text", "the answer is neither JSON nor text, and cannot stand in a line; ask for it "
                                    "without a batch");
}

void batch_record_write(struct buf *out, const struct batch_record *r, struct rng *rng) {
    char id[33];
    rng_hex128(rng, id);
    buf_puts(out, opening);
    buf_puts(out, id);
    buf_puts(out, "\",\"custom_id\":");
    json_write_string(out, r->custom_id);
    buf_puts(out, ",\"response\":");
    if (r->code == NULL) {
        put_response(out, r);
    } else {
        buf_puts(out, "null,\"error\":");
        put_error(out, r->code, r->message);
    }
    buf_puts(out, "}\n");
}

/* -- Reading ------------------------------------------------------------------------------------------ */

static bool skip(struct slice *s, const char *text) {
    if (!slice_starts(*s, slice_str(text))) return false;
    size_t n = strlen(text);
    *s = slice_of(s->ptr + n, s->len - n);
    return true;
}

/* The string at the beginning of s, quotes included. */
static bool take_string(struct slice *s, struct slice *string) {
    if (s->len == 0 || s->ptr[0] != '"') return false;
    for (size_t i = 1; i < s->len; i++) {
        if (s->ptr[i] == '\\') i++;
        else if (s->ptr[i] == '"') {
            *string = slice_of(s->ptr, i + 1);
            *s = slice_of(s->ptr + i + 1, s->len - i - 1);
            return true;
        }
    }
    return false;
}

static bool decode(struct slice string, struct buf *out) {
    struct json_doc doc = { .nodes = NULL };
    struct json_error e;
    bool good = json_parse(&doc, string, &e) == 0;
    if (good) json_decode_string(&doc, 0, out);
    json_deinit(&doc);
    return good && !buf_failed(out);
}

bool batch_record_read(struct slice head, struct buf *id, int *status) {
    struct slice string;
    *status = 0;
    if (!skip(&head, "{\"id\":") || !take_string(&head, &string) || !slice_starts(string, SLICE("\"batch_req_")))
        return false;
    if (!skip(&head, ",\"custom_id\":") || !take_string(&head, &string)) return false;
    if (!skip(&head, ",\"response\":")) return false;
    if (skip(&head, "{\"status_code\":")) {
        for (int i = 0; i < 3; i++) {
            if (head.len == 0 || head.ptr[0] < '0' || head.ptr[0] > '9') return false;
            *status = *status * 10 + (head.ptr[0] - '0');
            head = slice_of(head.ptr + 1, head.len - 1);
        }
    } else if (!skip(&head, "null")) {
        return false;
    }
    return decode(string, id);
}

bool batch_record_is_torn(struct slice rest) {
    size_t n = sizeof(opening) - 1;
    return memcmp(rest.ptr, opening, rest.len < n ? rest.len : n) == 0;
}
