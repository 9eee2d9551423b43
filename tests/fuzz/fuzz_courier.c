/* fuzz_courier.c -- messages of strangers are read without harm, and what was read can be written and read again. */
#include "fuzz.h"

#include "include/perilune.h"
#include "jobs/courier_text.h"

const char *const fuzz_tokens[] = {
    "\"type\":", "\"job\"", "\"running\"", "\"event\"", "\"result\"", "\"cancel\"", "\"id\":", "\"path\":\"/v1/x\"",
    "\"function\":\"f\"", "\"headers\":{", "\"x-a\":\"1\"", "\"body\":", "\"body_text\":\"", "\"body_base64\":\"QUJD\"",
    "\"status\":\"failed\"", "\"status\":\"completed\"", "\"result_text\":\"x\"", "\"error\":{", "\"tries\":",
    "\"max_tries\":", "\"priority\":-1", "\"expires_at\":1e9", "\"reply_to\":\"r\"", "\"tenant\":\"t\"", "\"data\":",
    "\"job_00000000000000010000000000000002\"", "\\u0000", "\\ud800", "{", "}", "[", "]", ",", "null", NULL
};

static void there_and_back(struct arena *a, const struct courier_message *m, bool is_result) {
    struct courier_message again;
    struct buf b;
    char why[300];
    buf_init(&b, 0);
    courier_write(&b, m);
    ORACLE(!buf_failed(&b));
    ORACLE(courier_read(a, buf_get(&b), is_result, &again, why, sizeof(why)) == 0);
    ORACLE(again.type == m->type && strcmp(again.job.id, m->job.id) == 0);
    ORACLE(slice_eq(again.job.path, m->job.path) && slice_eq(again.job.headers, m->job.headers));
    ORACLE(slice_eq(again.reply_to, m->reply_to) && again.job.status == m->job.status);
    ORACLE(slice_eq(again.job.body, m->job.body) && slice_eq(again.job.result, m->job.result));
    buf_deinit(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    for (int is_result = 0; is_result < 2; is_result++) {
        struct arena a;
        struct courier_message m;
        char why[300] = "";
        char *own = malloc(size > 0 ? size : 1); /* a sanitizer sees who reads beyond it */
        memcpy(own, data, size);
        arena_init(&a);
        int rc = courier_read(&a, slice_of(own, size), is_result, &m, why, sizeof(why));
        ORACLE(rc == 0 || (rc == PERILUNE_ERR_INVAL && why[0] != '\0'));
        if (rc == 0) there_and_back(&a, &m, is_result);
        arena_deinit(&a);
        free(own);
    }
    return 0;
}
