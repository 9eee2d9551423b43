/* log.c -- lines of JSON.
 *
 * A line is built in a buffer and handed out whole, so that lines of several
 * threads never mix.  Bodies and keys are never logged: callers pass ids, names
 * and numbers.  Any thread. */
#include "base/log.h"

#include <stdio.h>
#include <strings.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/stamp.h"

static const struct {
    int         level;
    const char *name;
} levels[] = { { PERILUNE_LOG_ERROR, "error" },
               { PERILUNE_LOG_WARN, "warn" },
               { PERILUNE_LOG_INFO, "info" },
               { PERILUNE_LOG_DEBUG, "debug" } };

const char *log_level_name(int level) {
    for (size_t i = 0; i < sizeof(levels) / sizeof(*levels); i++)
        if (levels[i].level == level) return levels[i].name;
    return "info";
}

int log_level_parse(const char *name) {
    for (size_t i = 0; i < sizeof(levels) / sizeof(*levels); i++)
        if (strcasecmp(levels[i].name, name) == 0) return levels[i].level;
    return -1;
}

static void put_time(struct buf *out) {
    static _Thread_local struct stamp last;
    struct timespec now;
    clock_read(CLOCK_REALTIME, &now);
    long ms = now.tv_nsec / 1000000;
    char tail[] = { '.', (char)('0' + ms / 100), (char)('0' + ms / 10 % 10), (char)('0' + ms % 10), 'Z' };
    buf_puts(out, stamp_text(&last, now.tv_sec, "%Y-%m-%dT%H:%M:%S"));
    buf_put(out, tail, sizeof(tail));
}

void log_begin(struct buf *out, int level, const char *msg) {
    buf_puts(out, "{\"time\":\"");
    put_time(out);
    buf_puts(out, "\",\"level\":\"");
    buf_puts(out, log_level_name(level));
    buf_puts(out, "\",\"msg\":");
    json_write_string(out, slice_str(msg));
}

static void put_key(struct buf *out, const char *key) {
    buf_puts(out, ",\"");
    buf_puts(out, key);
    buf_puts(out, "\":");
}

void log_str(struct buf *out, const char *key, struct slice value) {
    put_key(out, key);
    json_write_string(out, value);
}

void log_u64(struct buf *out, const char *key, uint64_t value) {
    put_key(out, key);
    buf_u64(out, value);
}

void log_ms(struct buf *out, const char *key, uint64_t microseconds) {
    put_key(out, key);
    buf_u64(out, microseconds / 1000);
    unsigned rest = (unsigned)(microseconds % 1000);
    char tail[] = { '.', (char)('0' + rest / 100), (char)('0' + rest / 10 % 10), (char)('0' + rest % 10) };
    buf_put(out, tail, sizeof(tail));
}

void log_end(struct log *l, int level, struct buf *out) {
    buf_putc(out, '}');
    if (!buf_failed(out)) {
        struct slice line = buf_get(out);
        l->write(l->ud, level, (perilune_str){ line.ptr, line.len });
    }
    buf_clear(out);
}

static void line(struct log *l, int level, const char *id, const char *fmt, va_list ap) {
    char msg[1024];
    struct buf out;
    vsnprintf(msg, sizeof(msg), fmt, ap);
    buf_init(&out, 0);
    log_begin(&out, level, msg);
    if (id != NULL) log_str(&out, "request_id", slice_str(id));
    log_end(l, level, &out);
    buf_deinit(&out);
}

void log_line(struct log *l, int level, const char *fmt, ...) {
    if (l == NULL || !log_wants(l, level)) return;
    va_list ap;
    va_start(ap, fmt);
    line(l, level, NULL, fmt, ap);
    va_end(ap);
}

void log_lines(struct log *l, int level, const char *text, size_t len) {
    while (len > 0) {
        const char *end = memchr(text, '\n', len);
        size_t n = end ? (size_t)(end - text) : len;
        log_line(l, level, "%.*s", (int)n, text);
        n += end != NULL;
        text += n;
        len -= n;
    }
}

void log_of_request(struct log *l, int level, const char *id, const char *fmt, ...) {
    if (l == NULL || !log_wants(l, level)) return;
    va_list ap;
    va_start(ap, fmt);
    line(l, level, id, fmt, ap);
    va_end(ap);
}

bool log_limit_pass(struct log_limit *limit, uint64_t now_ms, uint64_t interval_ms) {
    uint64_t next = atomic_load(&limit->next_ms);
    if (now_ms >= next && atomic_compare_exchange_strong(&limit->next_ms, &next, now_ms + interval_ms))
        return true;
    atomic_fetch_add(&limit->dropped, 1);
    return false;
}
