/* courier_text.c -- what nodes say to each other through a message broker, as JSON.
 *
 *     work:     {"type":"job","id":"job_..","tenant":"acme","queue":"default","path":"/v1/chat/completions",
 *                "headers":{"x-trace":"1"},"body":{..},"priority":0,"max_tries":3,"expires_at":1790000000,
 *                "reply_to":"perilune.results.a"}
 *     results:  {"type":"running","id":..,"tries":1,"reply_to":"perilune.results.b"}    who works on it, and where to
 *               {"type":"event","id":..,"from":"6e2b..","number":4,"name":"progress",   tell him something
 *                "data":..}
 *               {"type":"result","id":..,"status":"completed","tries":1,"result_status":200,
 *                "result_type":"application/json","result":{..},"keep":60.000}          or "failed", "error":{..}
 *               {"type":"cancel","id":..}                                               to who works on it
 *
 * Anybody may write a job: path or function, and a body, are all that must be there.  So it is read as what a stranger
 * wrote: each member has a type and a range, and what is wrong is said in a sentence that names the member.  Members
 * that are not known are left alone; {"perilune":2} would be a later form and is refused.
 *
 * Bytes (body, result, data) stand there as they are when they are JSON, else as a text under NAME_text, and when they
 * are no text either, in base64 under NAME_base64.  JSON that is nested as deeply as we read it would be too deep one
 * level down: what was written is read once, and written again with texts when it could not be.
 *
 * Ids: a job's own id goes to the other node and is its id there, too, so that both logs say the same.  A stranger's id
 * is any text; the one that we use is made of it and its tenant, always the same, so that a message which comes twice
 * is one job.  A job without an id gets one that follows from its whole text. */
#include "jobs/courier_text.h"

#include <stdio.h>

#include "base/base64.h"
#include "base/json.h"
#include "base/sha256.h"
#include "flow/headers.h"
#include "include/perilune.h"
#include "jobs/job_id.h"

#define VERSION 1

static const char *const types[] = { "job", "running", "event", "result", "cancel" };

/* -- Writing ------------------------------------------ */

static void put_string(struct buf *out, const char *name, struct slice s) {
    buf_printf(out, ",\"%s\":", name);
    json_write_string(out, s);
}

static bool is_json(struct slice s) {
    struct json_doc d = { .nodes = NULL };
    bool ok = s.len > 0 && json_parse(&d, s, &(struct json_error){ 0 }) == 0;
    json_deinit(&d);
    return ok;
}

/* White space around it would be lost. */
static bool is_bare(struct slice s) { return s.len > 0 && s.ptr[0] > ' ' && s.ptr[s.len - 1] > ' '; }

static void put_bytes(struct buf *out, const char *name, struct slice s, bool raw) {
    if (raw && is_bare(s) && is_json(s)) {
        buf_printf(out, ",\"%s\":", name);
        buf_slice(out, s);
    } else if (utf8_valid_prefix(s) == s.len) {
        buf_printf(out, ",\"%s_text\":", name);
        json_write_string(out, s);
    } else {
        buf_printf(out, ",\"%s_base64\":\"", name);
        base64_write(out, s);
        buf_putc(out, '"');
    }
}

static void put_seconds(struct buf *out, const char *name, uint64_t ms) {
    if (ms == 0) return;
    buf_printf(out, ",\"%s\":%llu.%03u", name, (unsigned long long)(ms / 1000), (unsigned)(ms % 1000));
}

static void put_headers(struct buf *out, struct slice block) {
    struct slice name, value;
    bool first = true;
    buf_puts(out, ",\"headers\":{");
    for (; headers_next(&block, &name, &value); first = false) {
        if (!first) buf_putc(out, ',');
        json_write_string(out, name);
        buf_putc(out, ':');
        json_write_string(out, value);
    }
    buf_putc(out, '}');
}

static void put_job(struct buf *out, const struct job *j, bool raw) {
    if (j->tenant.len > 0) put_string(out, "tenant", j->tenant);
    put_string(out, "queue", j->queue.len > 0 ? j->queue : SLICE("default"));
    if (j->function.len > 0) put_string(out, "function", j->function);
    if (j->path.len > 0) put_string(out, "path", j->path);
    if (j->headers.len > 0) put_headers(out, j->headers);
    put_bytes(out, "body", j->body, raw);
    buf_printf(out, ",\"priority\":%d,\"max_tries\":%u", j->priority, j->max_tries > 0 ? j->max_tries : 1);
    put_seconds(out, "created_at", j->created_ms);
    put_seconds(out, "expires_at", j->expires_ms);
}

static void put_end(struct buf *out, const struct job_end *e, bool raw) {
    buf_printf(out, ",\"status\":\"%s\",\"tries\":%u", job_status_name(e->status), e->tries);
    if (e->result_status > 0) buf_printf(out, ",\"result_status\":%d", e->result_status);
    if (e->result_type.len > 0) put_string(out, "result_type", e->result_type);
    if (e->result.len > 0) put_bytes(out, "result", e->result, raw);
    if (e->error.len > 0) put_bytes(out, "error", e->error, raw);
    if (e->keep_ms > 0)
        buf_printf(out, ",\"keep\":%llu.%03u", (unsigned long long)(e->keep_ms / 1000), (unsigned)(e->keep_ms % 1000));
}

static void put_event(struct buf *out, const struct courier_message *m, bool raw) {
    if (m->from.len > 0) {
        put_string(out, "from", m->from);
        buf_printf(out, ",\"number\":%llu", (unsigned long long)m->event.number);
    }
    if (m->event.name.len > 0) put_string(out, "name", m->event.name);
    put_bytes(out, "data", m->event.data, raw && m->event.name.len > 0); /* frames are no JSON */
}

static void write_message(struct buf *out, const struct courier_message *m, bool raw) {
    buf_printf(out, "{\"perilune\":%d,\"type\":\"%s\"", VERSION, types[m->type]);
    put_string(out, "id", m->id.len > 0 ? m->id : slice_str(m->job.id));
    switch (m->type) {
    case COURIER_JOB: put_job(out, &m->job, raw); break;
    case COURIER_RUNNING: buf_printf(out, ",\"tries\":%u", m->end.tries); break;
    case COURIER_EVENT: put_event(out, m, raw); break;
    case COURIER_RESULT: put_end(out, &m->end, raw); break;
    case COURIER_CANCEL: break;
    }
    if (m->reply_to.len > 0) put_string(out, "reply_to", m->reply_to);
    buf_putc(out, '}');
}

void courier_write(struct buf *out, const struct courier_message *m) {
    size_t before = buf_len(out);
    write_message(out, m, true);
    if (buf_failed(out)) return;
    struct slice s = buf_get(out);
    if (is_json(slice_of(s.ptr + before, s.len - before))) return;
    struct buf again;
    buf_init(&again, 0);
    buf_put(&again, s.ptr, before);
    write_message(&again, m, false);
    buf_deinit(out);
    *out = again;
}

/* -- Reading: members ------------------------------------------ */

struct reader {
    struct arena   *arena;
    struct json_doc doc;
    char           *why;
    size_t          size;
    int             rc;     /* the first thing that was wrong */
};

static void wrong(struct reader *r, const char *name, const char *what) {
    if (r->rc != 0) return;
    r->rc = PERILUNE_ERR_INVAL;
    snprintf(r->why, r->size, "\"%s\" %s", name, what);
}

static uint32_t member(struct reader *r, const char *name) {
    uint32_t at = json_get(&r->doc, 0, slice_str(name));
    return json_is(&r->doc, at, JSON_NULL) ? JSON_NONE : at;
}

/* A string's text, in the arena or the message. */
static struct slice decoded(struct reader *r, uint32_t at) {
    if (!r->doc.nodes[at].escaped) return json_plain(&r->doc, at);
    struct buf b;
    buf_init(&b, 0);
    json_decode_string(&r->doc, at, &b);
    size_t len = buf_len(&b);
    char *own = buf_failed(&b) ? NULL : arena_dup(r->arena, buf_get(&b));
    buf_deinit(&b);
    if (own == NULL) r->rc = PERILUNE_ERR_NOMEM;
    return slice_of(own, own != NULL ? len : 0);
}

static bool is_clean(struct slice s) {
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.ptr[i] < 0x20 || s.ptr[i] == 0x7f) return false;
    return true;
}

/* A text of one line; "" when it is not there. */
static struct slice text(struct reader *r, const char *name, size_t most) {
    uint32_t at = member(r, name);
    char what[80];
    if (r->rc != 0 || at == JSON_NONE) return SLICE("");
    if (!json_is(&r->doc, at, JSON_STRING)) {
        wrong(r, name, "must be a string");
        return SLICE("");
    }
    struct slice s = decoded(r, at);
    snprintf(what, sizeof(what), "may have %zu bytes, and no control characters", most);
    if (r->rc == 0 && (s.len > most || !is_clean(s))) wrong(r, name, what);
    return r->rc == 0 && s.len > 0 ? s : SLICE("");
}

static double number(struct reader *r, const char *name, double least, double most, double missing) {
    uint32_t at = member(r, name);
    char what[80];
    if (r->rc != 0 || at == JSON_NONE) return missing;
    double v = json_is(&r->doc, at, JSON_NUMBER) ? json_number(&r->doc, at) : least - 1;
    if (v >= least && v <= most) return v;
    snprintf(what, sizeof(what), "must be a number from %.0f to %.0f", least, most);
    wrong(r, name, what);
    return missing;
}

static uint64_t moment(struct reader *r, const char *name) {
    return (uint64_t)(number(r, name, 0, 1e11, 0) * 1000); /* seconds since 1970 */
}

static struct slice unbase64(struct reader *r, const char *name, uint32_t at) {
    struct slice s = decoded(r, at);
    size_t len = 0, most = s.len / 4 * 3 + 3;
    unsigned char *bytes = r->rc == 0 ? arena_alloc(r->arena, most) : NULL;
    if (bytes == NULL) r->rc = PERILUNE_ERR_NOMEM;
    else if (!base64_read(s, bytes, most, &len)) wrong(r, name, "is no base64");
    return r->rc == 0 ? slice_of((char *)bytes, len) : SLICE("");
}

/* NAME, NAME_text or NAME_base64; ptr NULL: none is there. */
static struct slice bytes(struct reader *r, const char *name) {
    char plain[24], coded[24];
    snprintf(plain, sizeof(plain), "%s_text", name);
    snprintf(coded, sizeof(coded), "%s_base64", name);
    uint32_t at = json_get(&r->doc, 0, slice_str(name)), as_text = member(r, plain), as_base64 = member(r, coded);
    if (r->rc != 0) return SLICE("");
    if (at != JSON_NONE) return json_raw(&r->doc, at);
    if (as_text != JSON_NONE && !json_is(&r->doc, as_text, JSON_STRING)) wrong(r, plain, "must be a string");
    else if (as_text != JSON_NONE) return decoded(r, as_text);
    else if (as_base64 != JSON_NONE && !json_is(&r->doc, as_base64, JSON_STRING)) wrong(r, coded, "must be a string");
    else if (as_base64 != JSON_NONE) return unbase64(r, coded, as_base64);
    return slice_of(NULL, 0);
}

/* -- Reading: a job ------------------------------------------ */

/* What may stand in the name of a header (RFC 9110 5.6.2), and in its value. */
static bool is_header(struct slice name, struct slice value) {
    if (name.len == 0 || name.len > 256) return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && (c == '\0' || strchr("!#$%&'*+-.^_`|~", c) == NULL)) return false;
    }
    for (size_t i = 0; i < value.len; i++)
        if ((unsigned char)value.ptr[i] < 0x20 && value.ptr[i] != '\t') return false;
    return true;
}

static const struct slice guard_mark = SLICE("x-perilune-guard"); /* ORDER: job_question.c */

/* Who let a job in stands in front of its headers, where a node of ours has made it (job_put_guard); a stranger who may
 * publish here is trusted, as a policy that describes a job is. */
static struct slice read_headers(struct reader *r) {
    uint32_t at = member(r, "headers");
    struct buf lines;
    bool first = true;
    if (r->rc == 0 && at != JSON_NONE && (!json_is(&r->doc, at, JSON_OBJECT) || r->doc.nodes[at].count > 100))
        wrong(r, "headers", "must be an object of at most 100 strings");
    if (r->rc != 0) return SLICE("");
    buf_init(&lines, 64 * 1024);
    if (at == JSON_NONE || r->doc.nodes[at].count == 0) headers_put(&lines, guard_mark, SLICE("*"));
    uint32_t n = at == JSON_NONE ? JSON_NONE : json_first(&r->doc, at);
    for (; n != JSON_NONE && r->rc == 0; n = json_next(&r->doc, at, n), first = false) {
        struct slice name = decoded(r, n), value = SLICE("");
        n = json_next(&r->doc, at, n);
        if (slice_eq_nocase(name, SLICE("x-perilune-batch"))) wrong(r, "headers", "may not make a batch of it");
        if (first && !slice_eq(name, guard_mark)) headers_put(&lines, guard_mark, SLICE("*"));
        if (json_is(&r->doc, n, JSON_STRING)) value = decoded(r, n);
        else wrong(r, "headers", "must be an object of strings");
        if (r->rc == 0 && !is_header(name, value)) wrong(r, "headers", "has one that cannot be a header of HTTP");
        if (r->rc == 0) headers_put(&lines, name, slice_trim(value));
    }
    if (lines.error == PERILUNE_ERR_LIMITED) wrong(r, "headers", "may have 65536 bytes");
    size_t len = buf_len(&lines);
    char *own = r->rc == 0 && !buf_failed(&lines) ? arena_dup(r->arena, buf_get(&lines)) : NULL;
    buf_deinit(&lines);
    if (own == NULL && r->rc == 0) r->rc = PERILUNE_ERR_NOMEM;
    return own != NULL && len > 0 ? slice_of(own, len) : SLICE("");
}

static bool is_name(struct slice s) {
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
                    c == '.' || c == '-';
        if (!fine) return false;
    }
    return true;
}

/* Path or function, not both, and no path that is no path. */
static void check_target(struct reader *r, const struct job *j) {
    if (r->rc != 0) return;
    if (j->path.len == 0 && j->function.len == 0) wrong(r, "path", "is missing, such as \"/v1/chat/completions\"");
    else if (j->path.len > 0 && (j->path.ptr[0] != '/' || memchr(j->path.ptr, ' ', j->path.len) != NULL ||
                                 memchr(j->path.ptr, '#', j->path.len) != NULL))
        wrong(r, "path", "must be a path such as \"/v1/chat/completions\", with its query");
    else if (!is_name(j->queue)) wrong(r, "queue", "must have letters, digits, '.', '_' and '-'");
}

static void give_id(struct reader *r, struct courier_message *m) {
    uint64_t key, token;
    unsigned char digest[SHA256_BYTES];
    char tenant[JOB_TENANT_MAX + 1];
    slice_copy(tenant, sizeof(tenant), m->job.tenant);
    const struct slice pieces[] = { slice_of(tenant, strlen(tenant) + 1), m->id.len > 0 ? m->id : r->doc.text };
    if (job_id_read(m->id, &key, &token)) {
        slice_copy(m->job.id, sizeof(m->job.id), m->id);
        return;
    }
    if (!sha256_hmac(SLICE("perilune job"), pieces, 2, digest)) {
        if (r->rc == 0) r->rc = PERILUNE_ERR_NOMEM;
        return;
    }
    key = token = 0;
    for (int i = 0; i < 8; i++) {
        key = key << 8 | digest[i];
        token = token << 8 | digest[8 + i];
    }
    job_id_write(key >> 1, token, m->job.id); /* files keep the first half with a sign */
}

static void read_job(struct reader *r, struct courier_message *m) {
    struct job *j = &m->job;
    j->tenant = text(r, "tenant", JOB_TENANT_MAX);
    j->queue = text(r, "queue", JOB_NAME_MAX);
    j->function = text(r, "function", JOB_NAME_MAX);
    j->path = text(r, "path", COURIER_PATH_MAX);
    j->headers = read_headers(r);
    j->body = bytes(r, "body");
    if (j->body.ptr == NULL) j->body = SLICE("");
    j->priority = (int)number(r, "priority", -JOB_PRIORITY_MAX, JOB_PRIORITY_MAX, 0);
    j->max_tries = (unsigned)number(r, "max_tries", 1, 100, 0);
    j->created_ms = moment(r, "created_at");
    j->expires_ms = moment(r, "expires_at");
    j->key = j->webhook = j->progress = j->result_type = j->result = j->error = SLICE("");
    m->reply_to = text(r, "reply_to", 255);
    check_target(r, j);
    if (r->rc == 0) give_id(r, m);
}

/* -- Reading: what comes back ------------------------------------------ */

static void read_end(struct reader *r, struct job_end *e) {
    struct slice status = text(r, "status", 20);
    if (r->rc == 0 && (!job_status_find(status, &e->status) || !job_is_over(e->status)))
        wrong(r, "status", "must be \"completed\", \"failed\" or \"canceled\"");
    e->result_status = (int)number(r, "result_status", 100, 599, 0);
    e->result_type = text(r, "result_type", 200);
    e->result = bytes(r, "result");
    e->error = bytes(r, "error");
    e->keep_ms = (uint64_t)(number(r, "keep", 0, 1e11, 0) * 1000 + 0.5);
    if (e->result.ptr == NULL) e->result = SLICE("");
    if (e->error.ptr == NULL) e->error = SLICE("");
    if (e->error.len > 0 && !is_json(e->error)) wrong(r, "error", "must be an object");
    if (e->result.len > 0 && e->result_type.len == 0) e->result_type = SLICE("application/json");
}

static void read_event(struct reader *r, struct courier_message *m) {
    m->from = text(r, "from", COURIER_FROM_MAX);
    m->event.number = (uint64_t)number(r, "number", 0, 1e15, 0);
    m->event.name = text(r, "name", JOB_NAME_MAX);
    m->event.data = bytes(r, "data");
    if (m->event.data.ptr == NULL) wrong(r, "data", "is missing");
}

static void read_answer(struct reader *r, struct courier_message *m) {
    uint64_t key, token;
    if (r->rc == 0 && !job_id_read(m->id, &key, &token)) wrong(r, "id", "must be that of the job");
    if (r->rc != 0) return;
    slice_copy(m->job.id, sizeof(m->job.id), m->id);
    m->end.tries = (unsigned)number(r, "tries", 0, 1000, 1);
    if (m->type == COURIER_RESULT) read_end(r, &m->end);
    if (m->type == COURIER_RUNNING) m->reply_to = text(r, "reply_to", 255);
    if (m->type == COURIER_EVENT) read_event(r, m);
}

/* -- Reading: the whole ------------------------------------------ */

static void find_type(struct reader *r, bool is_result, struct courier_message *m) {
    struct slice name = text(r, "type", 20);
    m->type = COURIER_JOB;
    if (r->rc != 0 || (name.len == 0 && !is_result)) return;
    unsigned i = 0;
    while (i <= COURIER_CANCEL && !slice_eq(name, slice_str(types[i]))) i++;
    if (i > COURIER_CANCEL || (i == COURIER_JOB) == is_result)
        wrong(r, "type", is_result ? "must be \"running\", \"event\", \"result\" or \"cancel\"" : "must be \"job\"");
    else m->type = (enum courier_type)i;
}

static void read_whole(struct reader *r, bool is_result, struct courier_message *out) {
    if (number(r, "perilune", 1, 1e6, VERSION) != VERSION)
        wrong(r, "perilune", "says a later form than this program knows");
    find_type(r, is_result, out);
    out->id = text(r, "id", COURIER_ID_MAX);
    if (r->rc == 0 && is_result) read_answer(r, out);
    else if (r->rc == 0) read_job(r, out);
}

int courier_read(struct arena *a, struct slice whole, bool is_result, struct courier_message *out, char *why,
                 size_t size) {
    struct reader r = { .arena = a, .doc = { .nodes = NULL }, .why = why, .size = size };
    struct json_error e = { 0 };
    *out = (struct courier_message){ .id = SLICE(""), .from = SLICE(""), .reply_to = SLICE("") };
    r.rc = json_parse(&r.doc, whole, &e);
    if (r.rc == PERILUNE_ERR_INVAL)
        snprintf(why, size, "it is no JSON: %s at byte %zu", e.message ? e.message : "wrong", e.offset);
    else if (r.rc == 0 && !json_is(&r.doc, 0, JSON_OBJECT)) {
        r.rc = PERILUNE_ERR_INVAL;
        snprintf(why, size, "it must be a JSON object");
    }
    if (r.rc == 0) read_whole(&r, is_result, out);
    json_deinit(&r.doc);
    return r.rc;
}
