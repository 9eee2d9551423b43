/* test_log.c -- lines of JSON. */
#include "base/log.h"

#include <stdio.h>

#include "base/json.h"
#include "unit.h"

struct lines {
    unsigned count;
    int      level;
    char     last[2048];
};

static void on_line(void *ud, int level, perilune_str line) {
    struct lines *l = ud;
    l->count++;
    l->level = level;
    snprintf(l->last, sizeof(l->last), "%.*s", (int)line.len, line.ptr);
    struct json_doc doc = { .nodes = NULL };
    int rc = json_parse(&doc, slice_of(line.ptr, line.len), &(struct json_error){ 0 });
    if (!FAULTED(rc)) CHECK_INT(rc, 0);
    CHECK(memchr(line.ptr, '\n', line.len) == NULL);
    json_deinit(&doc);
}

static void init(struct log *log, struct lines *l, int level) {
    memset(l, 0, sizeof(*l));
    *log = (struct log){ .write = on_line, .ud = l };
    atomic_init(&log->level, level);
}

/* {"time":"2026-01-02T03:04:05.678Z", ... */
static void check_time(const char *line) {
    static const char shape[] = "{\"time\":\"0000-00-00T00:00:00.000Z\",";
    for (size_t i = 0; i < sizeof(shape) - 1; i++) {
        if (shape[i] == '0') CHECK(line[i] >= '0' && line[i] <= '9');
        else CHECK_INT(line[i], shape[i]);
    }
}

TEST_FAULT(a_line) {
    struct log log;
    struct lines l;
    init(&log, &l, PERILUNE_LOG_INFO);
    log_line(&log, PERILUNE_LOG_WARN, "say \"%s\"\n\x01\xff", "hi");
    if (l.count == 0) { /* a line that memory had no room for is dropped, not mangled */
        CHECK(unit_fault_fired());
        return;
    }
    CHECK_INT(l.level, PERILUNE_LOG_WARN);
    check_time(l.last);
    CHECK_STR(l.last + 35, "\"level\":\"warn\",\"msg\":\"say \\\"hi\\\"\\n\\u0001\xef\xbf\xbd\"}");
}

TEST_FAULT(fields) {
    struct log log;
    struct lines l;
    struct buf out;
    init(&log, &l, PERILUNE_LOG_INFO);
    buf_init(&out, 0);
    log_begin(&out, PERILUNE_LOG_INFO, "m");
    log_str(&out, "s", SLICE("a\"b"));
    log_u64(&out, "n", UINT64_MAX);
    log_ms(&out, "t", 1234567);
    log_ms(&out, "z", 7);
    log_end(&log, PERILUNE_LOG_INFO, &out);
    CHECK_UINT(buf_len(&out), 0);
    if (l.count > 0)
        CHECK_STR(l.last + 35, "\"level\":\"info\",\"msg\":\"m\",\"s\":\"a\\\"b\",\"n\":18446744073709551615,\"t\":1234.567,\"z\":0.007}");
    else CHECK(unit_fault_fired());
    buf_deinit(&out);
}

TEST(levels) {
    struct log log;
    struct lines l;
    init(&log, &l, PERILUNE_LOG_WARN);
    log_line(&log, PERILUNE_LOG_INFO, "dropped");
    log_line(NULL, PERILUNE_LOG_ERROR, "nobody");
    CHECK_UINT(l.count, 0);
    log_line(&log, PERILUNE_LOG_ERROR, "kept");
    CHECK_UINT(l.count, 1);
    log.write = NULL;
    log_line(&log, PERILUNE_LOG_ERROR, "nobody");
    CHECK_INT(log_level_parse("WARN"), PERILUNE_LOG_WARN);
    CHECK_INT(log_level_parse("debug"), PERILUNE_LOG_DEBUG);
    CHECK_INT(log_level_parse("loud"), -1);
    CHECK_STR(log_level_name(PERILUNE_LOG_ERROR), "error");
    CHECK_STR(log_level_name(99), "info");
}

TEST(a_long_message_is_cut_and_still_json) {
    struct log log;
    struct lines l;
    char big[3000];
    memset(big, '"', sizeof(big) - 1);
    big[2999] = '\0';
    init(&log, &l, PERILUNE_LOG_INFO);
    log_line(&log, PERILUNE_LOG_INFO, "%.1500s", big);
    CHECK_UINT(l.count, 1);
}

TEST_NOFAULT(a_site_that_fires_often_is_limited) {
    struct log_limit limit = { .dropped = 0 };
    CHECK(log_limit_pass(&limit, 5, 100));
    CHECK(!log_limit_pass(&limit, 6, 100));
    CHECK(!log_limit_pass(&limit, 104, 100));
    CHECK_UINT(atomic_load(&limit.dropped), 2);
    CHECK(log_limit_pass(&limit, 105, 100));
    CHECK(!log_limit_pass(&limit, 204, 100));
    CHECK(log_limit_pass(&limit, 1000, 100));
}
