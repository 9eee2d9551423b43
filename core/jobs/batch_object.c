/* batch_object.c -- batches and files as OpenAI's API shows them.
 *
 *     job (a queue's): id, status, times, body, progress  -->  {"id":"batch_..","object":"batch","status":..,..}
 *
 * A batch is a job: POST /v1/batches is its path, what was posted its body, and how far it is its progress.  So queues
 * keep it, give it to one worker at a time and to another when that one dies, and cancel it; here is how that looks:
 *
 *     queued: validating     running: validating, in_progress, finalizing; to be stopped: cancelling
 *     completed: completed, or expired when its time ran out     failed: failed
 *     canceled: cancelling as long as its files are written, then cancelled */
#include "jobs/batch_object.h"

#include <stdio.h>

#include "base/hex.h"
#include "include/perilune.h"

static const char *const phases[] = { "validating", "in_progress", "finalizing", "expired" };

/* -- What is asked for --------------------------------------------------------------------------- */

static int wrong(const char **param, const char *which, char *why, size_t size, const char *sentence) {
    *param = which;
    snprintf(why, size, "%s", sentence);
    return PERILUNE_ERR_INVAL;
}

/* Of a string as it is written, with its quotes: OpenAI counts characters, however they are written. */
static unsigned characters(struct slice raw) {
    unsigned n = 0;
    for (size_t i = 1; i + 1 < raw.len; n++) {
        bool escape = raw.ptr[i] == '\\', code = escape && raw.ptr[i + 1] == 'u';
        bool high = code && (raw.ptr[i + 2] | 32) == 'd' && strchr("89abAB", raw.ptr[i + 3]) != NULL;
        i += code ? 6 : escape ? 2 : 1;
        if (high) i += 6; /* its other half, which JSON must have */
        while (!escape && i + 1 < raw.len && ((unsigned char)raw.ptr[i] & 0xc0) == 0x80) i++;
    }
    return n;
}

static bool is_metadata(const struct json_doc *doc, uint32_t at) {
    if (json_type(doc, at) == JSON_NULL) return true;
    if (json_type(doc, at) != JSON_OBJECT || doc->nodes[at].count > 16) return false;
    bool key = true;
    for (uint32_t n = json_first(doc, at); n != JSON_NONE; n = json_next(doc, at, n), key = !key)
        if (json_type(doc, n) != JSON_STRING || characters(json_raw(doc, n)) > (key ? 64u : 512u)) return false;
    return true;
}

static bool is_digits(struct slice s, uint64_t *out) {
    *out = 0;
    for (size_t i = 0; i < s.len && i < 10; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9') return false;
        *out = *out * 10 + (uint64_t)(s.ptr[i] - '0');
    }
    return s.len > 0 && s.len < 10;
}

bool file_lifetime_read(struct slice anchor, struct slice seconds, uint64_t keep_ms, uint64_t *out, char *why,
                        size_t size) {
    uint64_t most = keep_ms > 0 && keep_ms / 1000 < LIFETIME_MOST ? keep_ms / 1000 : LIFETIME_MOST;
    if (slice_eq(anchor, SLICE("created_at")) && is_digits(seconds, out) && *out >= LIFETIME_LEAST && *out <= most)
        return true;
    snprintf(why, size, "\"anchor\" must be \"created_at\", and \"seconds\" a number from %d to %llu", LIFETIME_LEAST,
             (unsigned long long)most);
    return false;
}

/* {"anchor":"created_at","seconds":3600}; null and nothing: it does not say. */
static bool read_lifetime(struct batch_wish *w, const struct json_doc *doc, uint64_t keep_ms, char *why, size_t size) {
    uint32_t at = json_get(doc, 0, SLICE("output_expires_after"));
    if (at == JSON_NONE || json_type(doc, at) == JSON_NULL) return true;
    char anchor[16] = "";
    uint32_t seconds = json_is(doc, at, JSON_OBJECT) ? json_get(doc, at, SLICE("seconds")) : JSON_NONE;
    if (json_is(doc, at, JSON_OBJECT)) json_copy_string(doc, at, SLICE("anchor"), anchor, sizeof(anchor));
    struct slice number = json_is(doc, seconds, JSON_NUMBER) ? json_raw(doc, seconds) : SLICE("");
    return file_lifetime_read(slice_str(anchor), number, keep_ms, &w->output_keep_s, why, size);
}

int batch_wish_read(struct batch_wish *w, const struct json_doc *doc, uint64_t keep_ms, const char **param, char *why,
                    size_t size) {
    *w = (struct batch_wish){ .metadata = SLICE("null") };
    if (!json_is(doc, 0, JSON_OBJECT)) return wrong(param, "", why, size, "the body must be an object");
    uint32_t input = json_get(doc, 0, SLICE("input_file_id")), endpoint = json_get(doc, 0, SLICE("endpoint")),
             window = json_get(doc, 0, SLICE("completion_window")), metadata = json_get(doc, 0, SLICE("metadata"));
    if (json_is(doc, input, JSON_STRING)) json_copy_string(doc, 0, SLICE("input_file_id"), w->input, sizeof(w->input));
    if (!file_id_is(slice_str(w->input)) || json_raw(doc, input).len != strlen(w->input) + 2)
        return wrong(param, "input_file_id", why, size, "\"input_file_id\" must be the id of a file of POST /v1/files");
    if (json_is(doc, endpoint, JSON_STRING) && json_raw(doc, endpoint).len < sizeof(w->endpoint))
        json_copy_string(doc, 0, SLICE("endpoint"), w->endpoint, sizeof(w->endpoint));
    bool whole = json_is(doc, endpoint, JSON_STRING) && json_str_eq(doc, endpoint, slice_str(w->endpoint)); /* no NUL */
    if (!whole || w->endpoint[0] != '/' || strpbrk(w->endpoint, " ?#\r\n\t") != NULL)
        return wrong(param, "endpoint", why, size, "\"endpoint\" must be a path such as \"/v1/chat/completions\"");
    if (!json_is(doc, window, JSON_STRING) || !json_str_eq(doc, window, SLICE("24h")))
        return wrong(param, "completion_window", why, size, "\"completion_window\" must be \"24h\"");
    if (!read_lifetime(w, doc, keep_ms, why, size)) {
        *param = "output_expires_after";
        return PERILUNE_ERR_INVAL;
    }
    if (metadata == JSON_NONE) return 0;
    if (!is_metadata(doc, metadata))
        return wrong(param, "metadata", why, size, "\"metadata\" must be an object of at most 16 texts, names of at "
                                                   "most 64 and texts of at most 512 bytes");
    w->metadata = json_raw(doc, metadata);
    return 0;
}

/* -- Ids ------------------------------------------------------------------------------------------------ */

void batch_id_of(const char *job_id, char out[JOB_ID_SIZE + 2]) {
    snprintf(out, JOB_ID_SIZE + 2, "batch_%.32s", job_id + 4);
}

bool batch_id_read(struct slice id, char job_id[JOB_ID_SIZE]) {
    if (id.len != 38 || !slice_starts(id, SLICE("batch_"))) return false;
    for (size_t i = 6; i < id.len; i++)
        if (hex_value(id.ptr[i]) < 0 || (id.ptr[i] >= 'A' && id.ptr[i] <= 'F')) return false;
    snprintf(job_id, JOB_ID_SIZE, "job_%.32s", id.ptr + 6);
    return true;
}

void batch_output_id(const char *job_id, bool errors, char out[FILE_ID_SIZE]) {
    snprintf(out, FILE_ID_SIZE, "file-%.32s", job_id + 4);
    char *last = out + 5 + 31;
    *last = "0123456789abcdef"[(hex_value(*last) + (errors ? 2 : 1)) & 15];
}

/* -- How far it is ------------------------------------------------------------------------------------------ */

void batch_note_write(struct buf *out, const struct batch_progress_note *n) {
    buf_printf(out, "{\"phase\":\"%s\",\"total\":%llu,\"completed\":%llu,\"failed\":%llu,\"in_progress_at\":%llu,"
                    "\"finalizing_at\":%llu,", phases[n->phase],
               (unsigned long long)n->total, (unsigned long long)n->good, (unsigned long long)n->failed,
               (unsigned long long)n->in_progress_s, (unsigned long long)n->finalizing_s);
    const struct batch_usage *u = &n->used;
    buf_printf(out, "\"tokens_in\":%llu,\"tokens_out\":%llu,\"tokens_cached\":%llu,\"tokens_reasoning\":%llu,"
                    "\"faults\":[", (unsigned long long)u->in, (unsigned long long)u->out,
               (unsigned long long)u->cached, (unsigned long long)u->reasoning);
    buf_slice(out, n->faults);
    buf_puts(out, "]}");
}

static uint64_t number(const struct json_doc *d, const char *name) {
    uint64_t v = 0;
    uint32_t at = d->len > 0 ? json_get(d, 0, slice_str(name)) : JSON_NONE;
    if (json_is(d, at, JSON_NUMBER) && json_u64(d, at, &v) != 0) v = 0;
    return v;
}

static struct batch_usage used_of(const struct json_doc *note) {
    return (struct batch_usage){ .in = number(note, "tokens_in"), .out = number(note, "tokens_out"),
                                 .cached = number(note, "tokens_cached"),
                                 .reasoning = number(note, "tokens_reasoning") };
}

struct batch_usage batch_note_used(struct slice note) {
    struct json_doc d = { .nodes = NULL };
    bool good = note.len > 0 && json_parse(&d, note, &(struct json_error){ 0 }) == 0 && json_is(&d, 0, JSON_OBJECT);
    struct batch_usage used = good ? used_of(&d) : (struct batch_usage){ .in = 0 };
    json_deinit(&d);
    return used;
}

static const char *status_of(const struct job *j, const struct json_doc *note, bool unfinished) {
    char phase[16] = "validating";
    if (note->len > 0) json_copy_string(note, 0, SLICE("phase"), phase, sizeof(phase));
    switch (j->status) {
    case JOB_RUNNING:
        for (size_t i = 0; !j->stopping && i < sizeof(phases) / sizeof(*phases); i++)
            if (strcmp(phase, phases[i]) == 0) return phases[i];
        return j->stopping ? "cancelling" : "in_progress";
    case JOB_COMPLETED: return strcmp(phase, "expired") == 0 ? "expired" : "completed";
    case JOB_FAILED: return "failed";
    case JOB_CANCELED: return unfinished ? "cancelling" : "cancelled";
    default: return phases[0];
    }
}

static void put_time(struct buf *out, const char *name, uint64_t seconds) {
    if (seconds > 0) buf_printf(out, ",\"%s\":%llu", name, (unsigned long long)seconds);
    else buf_printf(out, ",\"%s\":null", name);
}

static void put_times(struct buf *out, const struct job *j, const struct json_doc *note, const char *status,
                      uint64_t window_ms) {
    uint64_t end = j->ended_ms / 1000;
    static const char *const ends[] = { "completed", "failed", "expired", "cancelled" };
    buf_printf(out, ",\"created_at\":%llu", (unsigned long long)(j->created_ms / 1000));
    put_time(out, "in_progress_at", number(note, "in_progress_at"));
    put_time(out, "expires_at", (j->created_ms + window_ms) / 1000);
    put_time(out, "finalizing_at", number(note, "finalizing_at"));
    for (size_t i = 0; i < 4; i++) {
        char name[32];
        snprintf(name, sizeof(name), "%s_at", ends[i]);
        put_time(out, name, strcmp(status, ends[i]) == 0 ? end : 0);
    }
    put_time(out, "cancelling_at", j->status == JOB_CANCELED ? end : 0);
}

static void put_errors(struct buf *out, const struct job *j, const struct json_doc *note) {
    uint32_t faults = note->len > 0 ? json_get(note, 0, SLICE("faults")) : JSON_NONE;
    bool some = json_is(note, faults, JSON_ARRAY) && note->nodes[faults].count > 0;
    buf_puts(out, ",\"errors\":");
    if (j->status != JOB_FAILED) {
        buf_puts(out, "null");
        return;
    }
    buf_puts(out, "{\"object\":\"list\",\"data\":");
    if (some) buf_slice(out, json_raw(note, faults));
    else if (j->error.len > 0) {
        buf_putc(out, '[');
        buf_slice(out, j->error);
        buf_putc(out, ']');
    } else buf_puts(out, "[]");
    buf_putc(out, '}');
}

static void put_file(struct buf *out, const char *name, const struct job *j, bool errors, bool there) {
    char id[FILE_ID_SIZE];
    batch_output_id(j->id, errors, id);
    if (there) buf_printf(out, ",\"%s\":\"%s\"", name, id);
    else buf_printf(out, ",\"%s\":null", name);
}

/* A job that was canceled says no more how far it is, and the rest of its lines was written behind its end: its files
 * know how many there are.  Of one that is not there, from the one that is. */
static void put_counts(struct buf *out, const struct job *j, const struct json_doc *note,
                       const struct batch_look *look) {
    uint64_t total = number(note, "total"), good = number(note, "completed"), failed = number(note, "failed"),
             written = look->good + look->failed;
    if (j->status == JOB_CANCELED && !look->is_unfinished && written > 0) {
        if (total < written) total = written;
        good = look->good > 0 || !look->has_output ? look->good : total - look->failed;
        failed = look->failed > 0 || !look->has_errors ? look->failed : total - look->good;
    }
    buf_printf(out, ",\"request_counts\":{\"total\":%llu,\"completed\":%llu,\"failed\":%llu},\"metadata\":",
               (unsigned long long)total, (unsigned long long)good, (unsigned long long)failed);
}

static void put_usage(struct buf *out, const struct json_doc *note) {
    struct batch_usage u = used_of(note);
    buf_printf(out, ",\"usage\":{\"input_tokens\":%llu,\"input_tokens_details\":{\"cached_tokens\":%llu},"
                    "\"output_tokens\":%llu,\"output_tokens_details\":{\"reasoning_tokens\":%llu},"
                    "\"total_tokens\":%llu}",
               (unsigned long long)u.in, (unsigned long long)u.cached, (unsigned long long)u.out,
               (unsigned long long)u.reasoning, (unsigned long long)(u.in + u.out));
}

bool batch_object_write(struct buf *out, const struct job *j, const struct batch_look *look) {
    struct json_doc body = { .nodes = NULL }, note = { .nodes = NULL };
    struct batch_wish w;
    const char *param;
    char why[200], id[JOB_ID_SIZE + 2];
    bool good = json_parse(&body, j->body, &(struct json_error){ 0 }) == 0 &&
                batch_wish_read(&w, &body, 0, &param, why, sizeof(why)) == 0;
    if (good && j->progress.len > 0) json_parse(&note, j->progress, &(struct json_error){ 0 });
    if (good) {
        const char *status = status_of(j, &note, look->is_unfinished);
        bool over = job_is_over(j->status);
        batch_id_of(j->id, id);
        buf_printf(out, "{\"id\":\"%s\",\"object\":\"batch\",\"endpoint\":", id);
        json_write_string(out, slice_str(w.endpoint));
        put_errors(out, j, &note);
        buf_printf(out, ",\"input_file_id\":\"%s\",\"completion_window\":\"24h\",\"status\":\"%s\"", w.input, status);
        put_file(out, "output_file_id", j, false, over && look->has_output);
        put_file(out, "error_file_id", j, true, over && look->has_errors);
        put_times(out, j, &note, status, look->window_ms);
        put_counts(out, j, &note, look);
        buf_slice(out, w.metadata);
        put_usage(out, &note);
        buf_putc(out, '}');
    }
    json_deinit(&body);
    json_deinit(&note);
    return good && !buf_failed(out);
}

void file_object_write(struct buf *out, const struct file_facts *f) {
    buf_printf(out, "{\"id\":\"%s\",\"object\":\"file\",\"bytes\":%llu,\"created_at\":%llu", f->id,
               (unsigned long long)f->bytes, (unsigned long long)f->created_s);
    put_time(out, "expires_at", f->expires_s);
    buf_puts(out, ",\"filename\":");
    json_write_string(out, slice_str(f->name));
    buf_puts(out, ",\"purpose\":");
    json_write_string(out, slice_str(f->purpose));
    buf_puts(out, ",\"status\":\"processed\"}");
}
