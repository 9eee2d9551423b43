/* test_batch_rest.c -- the lines of a batch that were never answered. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "include/perilune.h"
#include "jobs/batch_rest.h"
#include "jobs/batch_survey.h"

#define LINE(id) "{\"custom_id\":\"" id "\",\"method\":\"POST\",\"url\":\"/v1/x\",\"body\":{}}\n"

static void ignore(void *ud, uint32_t line, const struct batch_fault *f) {
    (void)ud;
    (void)line;
    (void)f;
}

static void write_file(const char *path, const char *text) {
    FILE *f = fopen(path, "w");
    CHECK(f != NULL);
    if (f == NULL) return;
    fputs(text, f);
    fclose(f);
}

static void read_file(const char *path, char *to, size_t size) {
    FILE *f = fopen(path, "r");
    size_t n = f != NULL ? fread(to, 1, size - 1, f) : 0;
    to[n] = '\0';
    if (f != NULL) fclose(f);
}

static unsigned count(const char *text, const char *part) {
    unsigned n = 0;
    for (; (text = strstr(text, part)) != NULL; text++) n++;
    return n;
}

/* Each line has its error once, whether it is written in one go or in several, or memory ends in between. */
TEST(each_line_that_is_not_done_gets_an_error_once) {
    char in_path[] = "/tmp/perilune-rest-XXXXXX", err_path[64], err[300], text[4000];
    struct batch_input in = { .fd = -1 };
    struct batch_output out = { .fd = -1 };
    struct batch_ids ids;
    struct rng rng;
    close(mkstemp(in_path));
    snprintf(err_path, sizeof(err_path), "%s.err", in_path);
    write_file(in_path, LINE("a") LINE("b") "\n" LINE("c") "nonsense\n" LINE("b") LINE("\xe4\xbd\xa0"));
    batch_ids_init(&ids);
    rng_seed(&rng, 1);
    if (batch_input_open(&in, in_path, err, sizeof(err)) == 0 && batch_output_open(&out, err_path, 0, 0) == 0) {
        struct batch_survey s = { .in = &in, .ids = &ids, .tell = ignore };
        batch_survey_init(&s);
        int rc = batch_survey_step(&s, 100);
        batch_survey_deinit(&s);
        struct batch_id *a = rc == 1 ? batch_ids_find(&ids, SLICE("a")) : NULL;
        if (a != NULL) a->done = true;
        struct batch_rest r = { .in = &in, .ids = &ids, .errors = &out, .rng = &rng, .code = "batch_expired",
                                .message = "late" };
        batch_rest_init(&r);
        for (int i = 0; rc == 1 && i < 20; i++) {
            int now = batch_rest_step(&r, 2);
            if (now == 1) break;
            if (now < 0) rc = now;
        }
        read_file(err_path, text, sizeof(text));
        if (rc == 1) {
            CHECK_UINT(r.written, 3);
            CHECK_UINT(count(text, "\n"), 3);
            CHECK(strstr(text, "\"custom_id\":\"a\"") == NULL);
            CHECK_UINT(count(text, "\"custom_id\":\"b\",\"response\":null,\"error\":{\"code\":\"batch_expired\""), 1);
            CHECK_UINT(count(text, "\xe4\xbd\xa0"), 1);
        } else CHECK(rc == PERILUNE_ERR_NOMEM);
        batch_rest_deinit(&r);
    }
    if (in.fd >= 0) batch_input_close(&in);
    batch_output_close(&out);
    batch_ids_deinit(&ids);
    unlink(in_path);
    unlink(err_path);
}
