/* err.c -- codes, sentences, and the JSON that clients of OpenAI expect.
 *
 * One X-macro per kind of error: PERILUNE_ERROR_MAP for the C interface,
 * FAILURE_MAP for what travels with a request.  Both live in headers so that
 * documentation, metrics and tests read the same table. */
#include "base/err.h"

#include <stdio.h>

#include "base/json.h"

PERILUNE_API const char *perilune_strerror(int error) {
    switch (error) {
    case PERILUNE_OK: return "ok";
#define XX(name, value, text) case value: return text;
    PERILUNE_ERROR_MAP(XX)
#undef XX
    }
    return "unknown error";
}

PERILUNE_API const char *perilune_errname(int error) {
    switch (error) {
    case PERILUNE_OK: return "OK";
#define XX(name, value, text) case value: return #name;
    PERILUNE_ERROR_MAP(XX)
#undef XX
    }
    return "UNKNOWN";
}

static const struct {
    const char *code;
    int         status;
    bool        retryable;
    const char *type;
} kinds[] = {
#define XX(name, code, status, retryable, type) { code, status, retryable, type },
    FAILURE_MAP(XX)
#undef XX
};

const char *failure_code(enum failure_kind kind) { return kinds[kind].code; }

/* Once per step of every request: the texts, most of its bytes, need no more than their ends. */
void failure_init(struct failure *f) {
    f->kind = FAILURE_NONE;
    f->status = 0;
    f->retryable = f->unsent = false;
    f->retry_after_ms = 0;
    f->code[0] = f->type[0] = f->param[0] = f->message[0] = f->upstream[0] = f->detail[0] = '\0';
    buf_init(&f->body, 0);
    buf_init(&f->headers, 0);
}

void failure_deinit(struct failure *f) {
    buf_deinit(&f->body);
    buf_deinit(&f->headers);
    failure_init(f);
}

static struct buf copy_of(const struct buf *b) {
    struct buf copy;
    buf_init(&copy, 0);
    buf_slice(&copy, buf_get(b));
    if (buf_failed(&copy)) buf_deinit(&copy);
    return copy;
}

void failure_copy(struct failure *to, const struct failure *from) {
    struct buf body = copy_of(&from->body), headers = copy_of(&from->headers);
    failure_deinit(to);
    *to = *from;
    to->body = body;
    to->headers = headers;
}

void failure_move(struct failure *to, struct failure *from) {
    failure_deinit(to);
    *to = *from;
    failure_init(from);
}

/* 500 is what model servers answer for a full queue and a dead worker alike.  What is not
 * implemented, and a version of HTTP that is not spoken, will not be so in a second either. */
bool failure_is_overload(const struct failure *f) {
    if (f->upstream[0] == '\0' || strcmp(f->code, "insufficient_quota") == 0) return false;
    return f->status == 429 || f->status == 503 || f->status == 529;
}

bool failure_status_is_retryable(int status) {
    if (status == 501 || status == 505) return false;
    return status == 408 || status == 409 || status == 425 || status == 429 || status >= 500;
}

void failure_set(struct failure *f, enum failure_kind kind, const char *fmt, ...) {
    failure_deinit(f);
    f->kind = kind;
    f->status = kinds[kind].status;
    f->retryable = kinds[kind].retryable;
    snprintf(f->code, sizeof(f->code), "%s", kinds[kind].code);
    snprintf(f->type, sizeof(f->type), "%s", kinds[kind].type);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(f->message, sizeof(f->message), fmt, ap);
    va_end(ap);
}

void failure_explain(struct failure *f, const char *detail) { snprintf(f->detail, sizeof(f->detail), "%s", detail); }

static void write_param_and_code(struct buf *out, const struct failure *f) {
    buf_puts(out, ",\"param\":");
    if (f->param[0]) json_write_string(out, slice_str(f->param));
    else buf_puts(out, "null");
    buf_puts(out, ",\"code\":");
    json_write_string(out, slice_str(f->code));
}

static void write_error_member(struct buf *out, const struct failure *f) {
    buf_puts(out, "\"error\":{\"message\":");
    json_write_string(out, slice_str(f->message));
    buf_puts(out, ",\"type\":");
    json_write_string(out, slice_str(f->type));
    write_param_and_code(out, f);
    buf_puts(out, "}}");
}

void failure_write_json(struct buf *out, const struct failure *f) {
    buf_puts(out, "{");
    write_error_member(out, f);
}

void failure_write_event_json(struct buf *out, const struct failure *f, uint64_t sequence) {
    buf_puts(out, "{\"type\":\"error\",\"sequence_number\":");
    buf_u64(out, sequence);
    buf_puts(out, ",\"message\":");
    json_write_string(out, slice_str(f->message));
    write_param_and_code(out, f);
    buf_puts(out, ",");
    write_error_member(out, f);
}

bool failure_is_final(const struct failure *f) {
    bool own = f->kind == FAILURE_POLICY || f->kind == FAILURE_POLICY_BUDGET || f->kind == FAILURE_INTERNAL ||
               f->kind == FAILURE_ANSWER_TOO_LARGE;
    return own && f->status >= 500 && !f->retryable && f->retry_after_ms == 0 && buf_len(&f->body) == 0;
}

/* The official SDKs wait for a minute at most.  Told to wait for longer they take pauses of their own, of a second or
 * two, and are refused each time: three requests for one, of every client of a limit that is used up for today.  What
 * an upstream says of this is its own affair. */
#define SDK_PATIENCE_MS 60000

bool failure_is_not_repeated(const struct failure *f) {
    bool ours = f->kind != FAILURE_UPSTREAM_STATUS && f->kind != FAILURE_STREAM;
    return failure_is_final(f) || (ours && f->retry_after_ms > SDK_PATIENCE_MS);
}

/* A 429 of an upstream means it also where it does not name the time; of ours one without a time is for ever. */
bool failure_says_later(const struct failure *f) {
    if (!f->retryable || failure_is_final(f)) return false;
    if (f->status == 429)
        return f->retry_after_ms > 0 || f->upstream[0] != '\0' || f->kind == FAILURE_UPSTREAM_STATUS;
    return (f->status == 503 || f->status == 529) && f->retry_after_ms > 0;
}

void failure_forbid_repeat(struct failure *f) {
    buf_puts(&f->headers, "x-should-retry: false\r\n");
    if (buf_failed(&f->headers)) buf_deinit(&f->headers);
}
