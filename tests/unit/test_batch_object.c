/* test_batch_object.c -- batches and files as OpenAI's API shows them. */
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "include/perilune.h"
#include "jobs/batch_object.h"

#define FILE_ID "file-0123456789abcdef0123456789abcdef"
#define BODY    "{\"input_file_id\":\"" FILE_ID "\",\"endpoint\":\"/v1/x\",\"completion_window\":\"24h\"}"

static int read_wish(const char *text, struct batch_wish *w, const char **param) {
    struct json_doc doc = { .nodes = NULL };
    char why[240];
    *param = NULL;
    int rc = json_parse(&doc, slice_str(text), &(struct json_error){ 0 });
    if (rc == 0) rc = batch_wish_read(w, &doc, 0, param, why, sizeof(why));
    json_deinit(&doc);
    return rc;
}

/* What is counted in metadata are characters, and not the bytes that they are written with. */
TEST_NOFAULT(metadata_of_any_script) {
    static const char *const written[] = { "a", "\xe4\xbd\xa0", "\\u4f60", "\\ud83d\\ude00", "\\\"", "\xf0\x9f\x98\x80" };
    static char text[16384];
    for (size_t i = 0; i < sizeof(written) / sizeof(*written); i++) {
        for (unsigned more = 0; more < 3; more++) {
            struct batch_wish w;
            const char *param;
            size_t at = (size_t)snprintf(text, sizeof(text), "%.*s,\"metadata\":{\"", (int)sizeof(BODY) - 2, BODY);
            for (unsigned n = 0; n < 64 + (more == 1); n++) at += (size_t)snprintf(text + at, sizeof(text) - at, "%s", written[i]);
            at += (size_t)snprintf(text + at, sizeof(text) - at, "\":\"");
            for (unsigned n = 0; n < 512 + (more == 2); n++) at += (size_t)snprintf(text + at, sizeof(text) - at, "%s", written[i]);
            snprintf(text + at, sizeof(text) - at, "\"}}");
            NOTE("%s, %u", written[i], more);
            CHECK_INT(read_wish(text, &w, &param), more > 0 ? PERILUNE_ERR_INVAL : 0);
            if (more > 0) CHECK_STR(param, "metadata");
        }
    }
}

TEST(a_wish_and_what_is_wrong_with_others) {
    struct batch_wish w;
    const char *param;
    CHECK_INT(read_wish(BODY, &w, &param), 0);
    CHECK_STR(w.input, FILE_ID);
    CHECK_STR(w.endpoint, "/v1/x");
    CHECK_SLICE(w.metadata, SLICE("null"));
    static const struct { const char *body, *param; } bad[] = {
        { "[]", "" },
        { "{}", "input_file_id" },
        { "{\"input_file_id\":7}", "input_file_id" },
        { "{\"input_file_id\":\"" FILE_ID "0\"}", "input_file_id" },
        { "{\"input_file_id\":\"" FILE_ID "\"}", "endpoint" },
        { "{\"input_file_id\":\"" FILE_ID "\",\"endpoint\":\"v1/x\"}", "endpoint" },
        { "{\"input_file_id\":\"" FILE_ID "\",\"endpoint\":\"/v1/x?y\"}", "endpoint" },
        { "{\"input_file_id\":\"" FILE_ID "\",\"endpoint\":\"/v1/x\",\"completion_window\":\"1h\"}", "completion_window" },
        { "{\"input_file_id\":\"" FILE_ID "\",\"endpoint\":\"/v1/x\",\"completion_window\":\"24h\",\"metadata\":{\"a\":1}}",
          "metadata" },
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        CHECK_INT(read_wish(bad[i].body, &w, &param), PERILUNE_ERR_INVAL);
        CHECK_STR(param, bad[i].param);
    }
}

TEST(ids_of_batches_jobs_and_files) {
    char job[JOB_ID_SIZE], batch[JOB_ID_SIZE + 2], out[FILE_ID_SIZE], errors[FILE_ID_SIZE];
    batch_id_of("job_0123456789abcdef0123456789abcdef", batch);
    CHECK_STR(batch, "batch_0123456789abcdef0123456789abcdef");
    CHECK(batch_id_read(slice_str(batch), job));
    CHECK_STR(job, "job_0123456789abcdef0123456789abcdef");
    CHECK(!batch_id_read(SLICE("batch_0123"), job));
    CHECK(!batch_id_read(SLICE("batch_0123456789ABCDEF0123456789abcdef"), job));
    batch_output_id(job, false, out);
    batch_output_id(job, true, errors);
    CHECK(file_id_is(slice_str(out)) && file_id_is(slice_str(errors)) && strcmp(out, errors) != 0);
}

static struct job job_with(enum job_status status, const char *progress) {
    struct job j = { .status = status, .path = SLICE(BATCH_PATH), .body = SLICE(BODY), .progress = slice_str(progress),
                     .created_ms = 5000, .ended_ms = job_is_over(status) ? 9000 : 0 };
    snprintf(j.id, sizeof(j.id), "job_0123456789abcdef0123456789abcdef");
    return j;
}

static struct batch_look look = { .has_output = true, .window_ms = 86400000 };

static void shows(const struct job *j, const char *part) {
    struct buf b;
    buf_init(&b, 0);
    bool good = batch_object_write(&b, j, &look);
    CHECK(good);
    if (strstr(buf_cstr(&b), part) == NULL) FAIL("no '%s' in '%s'", part, buf_cstr(&b));
    buf_deinit(&b);
}

TEST(every_status_of_a_batch) {
    struct job j = job_with(JOB_QUEUED, "");
    shows(&j, "\"status\":\"validating\",\"output_file_id\":null");
    j = job_with(JOB_RUNNING, "{\"phase\":\"validating\"}");
    shows(&j, "\"status\":\"validating\"");
    j = job_with(JOB_RUNNING, "{\"phase\":\"in_progress\",\"total\":4,\"completed\":2,\"failed\":1,\"in_progress_at\":6}");
    shows(&j, "\"status\":\"in_progress\"");
    shows(&j, "\"in_progress_at\":6,\"expires_at\":86405,\"finalizing_at\":null");
    shows(&j, "\"request_counts\":{\"total\":4,\"completed\":2,\"failed\":1}");
    j.stopping = true;
    shows(&j, "\"status\":\"cancelling\"");
    j = job_with(JOB_COMPLETED, "{\"phase\":\"finalizing\",\"finalizing_at\":8}");
    shows(&j, "\"status\":\"completed\",\"output_file_id\":\"file-0123456789abcdef0123456789abcde0\",\"error_file_id\":null");
    shows(&j, "\"finalizing_at\":8,\"completed_at\":9,\"failed_at\":null");
    j = job_with(JOB_COMPLETED, "{\"phase\":\"expired\"}");
    shows(&j, "\"status\":\"expired\"");
    shows(&j, "\"completed_at\":null,\"failed_at\":null,\"expired_at\":9");
    j = job_with(JOB_CANCELED, "nonsense");
    shows(&j, "\"status\":\"cancelled\"");
    shows(&j, "\"cancelled_at\":9,\"cancelling_at\":9");
    look.is_unfinished = true;
    shows(&j, "\"status\":\"cancelling\"");
    shows(&j, "\"cancelled_at\":null,\"cancelling_at\":9");
    look.is_unfinished = false;
    j = job_with(JOB_CANCELED, "{\"phase\":\"in_progress\",\"total\":300,\"completed\":17,\"failed\":0}");
    shows(&j, "\"total\":300,\"completed\":17,\"failed\":0}"); /* files of an older version say nothing */
    look.has_errors = true;
    look.good = 64;
    look.failed = 236;
    shows(&j, "\"total\":300,\"completed\":64,\"failed\":236}");
    look.has_errors = false;
    look.failed = 0; /* who fetched it deleted it */
    shows(&j, "\"total\":300,\"completed\":64,\"failed\":0}");
    look.has_errors = look.has_output = true;
    look.good = 0; /* of an older version */
    look.failed = 236;
    shows(&j, "\"total\":300,\"completed\":64,\"failed\":236}");
    look.good = look.failed = 0;
    look.has_errors = false;
    j = job_with(JOB_FAILED, "{\"faults\":[{\"code\":\"a\",\"line\":1}]}");
    shows(&j, "\"errors\":{\"object\":\"list\",\"data\":[{\"code\":\"a\",\"line\":1}]}");
    j = job_with(JOB_FAILED, "");
    j.error = SLICE("{\"code\":\"b\"}");
    shows(&j, "\"errors\":{\"object\":\"list\",\"data\":[{\"code\":\"b\"}]}");
}

TEST(a_job_of_somebody_who_posted_nonsense_is_no_batch) {
    struct job j = job_with(JOB_QUEUED, "");
    struct buf b;
    buf_init(&b, 0);
    j.body = SLICE("{}");
    CHECK(!batch_object_write(&b, &j, &(struct batch_look){ .window_ms = 1 }));
    buf_deinit(&b);
}

TEST(how_long_a_file_may_be_kept) {
    static const struct { const char *anchor, *seconds; uint64_t keep_ms, is; } all[] = {
        { "created_at", "3600", 0, 3600 },        { "created_at", "2592000", 0, 2592000 },
        { "created_at", "2592001", 0, 0 },        { "created_at", "3599", 0, 0 },
        { "created_at", "7200", 7200000, 7200 },  { "created_at", "7201", 7200000, 0 },
        { "last_active_at", "3600", 0, 0 },       { "created_at", "", 0, 0 },
        { "created_at", "1e4", 0, 0 },            { "created_at", "99999999999999999999", 0, 0 },
        { "created_at", "-3600", 0, 0 },          { "", "3600", 0, 0 },
    };
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
        char why[200] = "";
        uint64_t s = 0;
        bool good = file_lifetime_read(slice_str(all[i].anchor), slice_str(all[i].seconds), all[i].keep_ms, &s, why,
                                       sizeof(why));
        NOTE("%s %s", all[i].anchor, all[i].seconds);
        CHECK_INT(good, all[i].is > 0);
        if (good) CHECK_UINT(s, all[i].is);
        else CHECK(strstr(why, "\"seconds\"") != NULL);
    }
}
