/* job_text.c -- a job as JSON: what GET /v1/async/ID says, and perilune.jobs(name):get(id).
 *
 *     {"id","object":"job","status","path" or "function","queue","priority","tries","max_tries","created_at",...,
 *      "progress","result_status","result","error"}
 *
 * Times are seconds since 1970.  A result that is JSON stands there as it came, byte for byte (who kept it has looked
 * that it is JSON); any other text is a string, and what is no text is base64, which "result_encoding" says.  What a
 * job does not have yet is null where clients look for it, and absent else. */
#include "jobs/job_text.h"

#include "base/base64.h"
#include "base/json.h"

static void put_string(struct buf *out, const char *key, struct slice value) {
    buf_printf(out, ",\"%s\":", key);
    json_write_string(out, value);
}

static void put_time(struct buf *out, const char *key, uint64_t ms) {
    if (ms == 0) return;
    buf_printf(out, ",\"%s\":%llu.%03u", key, (unsigned long long)(ms / 1000), (unsigned)(ms % 1000));
}

static void put_json(struct buf *out, const char *key, struct slice json) {
    buf_printf(out, ",\"%s\":", key);
    buf_slice(out, json.len > 0 ? json : SLICE("null"));
}

static bool is_json(struct slice type) {
    const char *end = memchr(type.ptr, ';', type.len);
    if (end != NULL) type.len = (size_t)(end - type.ptr);
    type = slice_trim(type);
    return slice_eq_nocase(type, SLICE("application/json")) ||
           (type.len > 5 && slice_eq_nocase(slice_of(type.ptr + type.len - 5, 5), SLICE("+json")));
}

static void put_result(struct buf *out, const struct job *j) {
    if (j->result_status > 0) buf_printf(out, ",\"result_status\":%d", j->result_status);
    if (j->status != JOB_COMPLETED && j->result.len == 0) {
        buf_puts(out, ",\"result\":null");
        return;
    }
    if (is_json(j->result_type) && j->result.len > 0) {
        put_json(out, "result", j->result);
        return;
    }
    if (j->result_type.len > 0) put_string(out, "result_type", j->result_type);
    if (utf8_valid_prefix(j->result) == j->result.len) {
        put_string(out, "result", j->result);
        return;
    }
    buf_puts(out, ",\"result_encoding\":\"base64\",\"result\":\"");
    base64_write(out, j->result);
    buf_putc(out, '"');
}

void job_write(struct buf *out, const struct job *j, enum job_detail detail) {
    buf_puts(out, "{\"id\":");
    json_write_string(out, slice_str(j->id));
    buf_printf(out, ",\"object\":\"job\",\"status\":\"%s\"", job_status_name(j->status));
    if (j->function.len > 0) put_string(out, "function", j->function);
    else put_string(out, "path", j->path);
    put_string(out, "queue", j->queue.len > 0 ? j->queue : SLICE("default"));
    buf_printf(out, ",\"priority\":%d,\"tries\":%u,\"max_tries\":%u", j->priority, j->tries, j->max_tries);
    put_time(out, "created_at", j->created_ms);
    put_time(out, "not_before", j->not_before_ms);
    put_time(out, "expires_at", j->expires_ms);
    put_time(out, "started_at", j->started_ms);
    put_time(out, "ended_at", j->ended_ms);
    if (j->stopping && !job_is_over(j->status)) buf_puts(out, ",\"stopping\":true");
    if (detail == JOB_WHOLE) {
        put_json(out, "progress", j->progress);
        put_result(out, j);
    }
    put_json(out, "error", j->error);
    buf_putc(out, '}');
}
