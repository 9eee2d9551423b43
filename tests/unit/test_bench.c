/* test_bench.c -- the load tester against the simulated upstream: does it count
 * what happened, and name what went wrong? */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "perilune.h"
#include "sim/sim.h"
#include "unit.h"

struct run {
    struct sim     *sim;
    struct json_doc doc;
    char            text[8192];
    char            url[64];
};

static void setup(struct run *r) {
    *r = (struct run){ 0 };
    CHECK_INT(sim_start(&r->sim, "127.0.0.1:0", NULL), 0);
    snprintf(r->url, sizeof(r->url), "http://127.0.0.1:%d/v1", sim_port(r->sim));
}

static void teardown(struct run *r) {
    json_deinit(&r->doc);
    sim_stop(r->sim);
}

/* Runs `bench URL --json` and the options in line (cut at spaces, '_' in a word
 * for a space); its standard output lands in r->text.  Returns the exit status. */
static int bench(struct run *r, const char *line) {
    static char options[512];
    char       *argv[40] = { "bench", r->url, "--json" };
    int         argc = 3;
    snprintf(options, sizeof(options), "%s", line);
    for (char *p = strtok(options, " "); p != NULL; p = strtok(NULL, " ")) argv[argc++] = p;

    fflush(stdout);
    FILE *file = tmpfile();
    int   saved = dup(STDOUT_FILENO);
    CHECK(file != NULL && saved >= 0);
    dup2(fileno(file), STDOUT_FILENO);
    int status = perilune_tool_bench(argc, argv);
    fflush(stdout);
    dup2(saved, STDOUT_FILENO);
    close(saved);
    rewind(file);
    r->text[fread(r->text, 1, sizeof(r->text) - 1, file)] = '\0';
    fclose(file);

    struct json_error err;
    NOTE("bench %s: %s", line, r->text);
    CHECK_INT(json_parse(&r->doc, slice_str(r->text), &err), 0);
    return status;
}

static double field(const struct run *r, const char *object, const char *key) {
    uint32_t at = 0;
    if (object != NULL) at = json_get(&r->doc, 0, slice_str(object));
    CHECK(at != JSON_NONE);
    uint32_t n = json_get(&r->doc, at, slice_str(key));
    return n == JSON_NONE ? -1 : json_number(&r->doc, n);
}

TEST_NOFAULT(counts_what_happened) {
    struct run r;
    setup(&r);
    CHECK_INT(bench(&r, "-n 200 -c 7"), 0);
    CHECK_DOUBLE(field(&r, NULL, "ok"), 200);
    CHECK_DOUBLE(field(&r, NULL, "failed"), 0);
    CHECK_DOUBLE(field(&r, NULL, "connections"), 7);
    CHECK_DOUBLE(field(&r, NULL, "tokens"), 200 * 16);
    CHECK_DOUBLE(field(&r, "total_us", "count"), 200);
    CHECK_INT(bench(&r, "-n 100 --stream --warmup 50 -H x-sim:tokens=5"), 0);
    CHECK_DOUBLE(field(&r, NULL, "ok"), 100);
    CHECK_DOUBLE(field(&r, NULL, "tokens"), 500);
    CHECK_DOUBLE(field(&r, "ttft_us", "count"), 100);
    CHECK_DOUBLE(field(&r, "itl_us", "count"), 400);
    teardown(&r);
}

TEST_NOFAULT(names_what_went_wrong) {
    static const char *const cases[][3] = {
        { "status=500", "", "status 500" },      { "status=429", "-s", "status 429" },
        { "cut=2", "", "cut" },                  { "cut=2", "-s", "cut" },
        { "cut_head", "-s", "reset" },           { "cut_head,reset", "", "reset" },
        { "malformed=1", "", "malformed" },      { "malformed=1", "-s", "malformed" },
        { "bad_json", "", "malformed" },         { "bad_json", "-s", "malformed" },
        { "error_event=2", "-s", "error_event" },{ "no_done", "-s", "no_done" },
        { "stall=1", "-s", "timeout" },          { "delay_ms=60000", "", "timeout" },
    };
    struct run r;
    char       line[256];
    setup(&r);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        bool late = strcmp(cases[i][2], "timeout") == 0;
        snprintf(line, sizeof(line), "-n 6 -c 3 -t %s -H x-sim:%s %s", late ? "0.1" : "60", cases[i][0], cases[i][1]);
        CHECK_INT(bench(&r, line), 1);
        CHECK_DOUBLE(field(&r, NULL, "failed"), 6);
        CHECK_DOUBLE(field(&r, "errors", cases[i][2]), 6);
    }
    static const char *const fine[] = {
        "not_chunked", "crlf,comments", "split=50", "echo", "ttft_ms=3,itl_ms=1,jitter=0.5",
    };
    for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++) {
        for (int stream = 0; stream < 2; stream++) {
            snprintf(line, sizeof(line), "-n 6 -c 3 -H x-sim:%s %s", fine[i], stream ? "-s" : "");
            CHECK_INT(bench(&r, line), 0);
            CHECK_DOUBLE(field(&r, NULL, "ok"), 6);
        }
    }
    teardown(&r);
}

TEST_NOFAULT(nobody_listens) {
    struct run r;
    setup(&r);
    sim_stop(r.sim);
    r.sim = NULL;
    CHECK_INT(bench(&r, "-n 4 -c 2"), 1);
    CHECK_DOUBLE(field(&r, "errors", "connect"), 4);
    CHECK_INT(bench(&r, "-n 4 -r 100"), 1);
    CHECK_DOUBLE(field(&r, "errors", "connect"), 4);
    teardown(&r);
}

/* Two connections and 20 ms per answer carry 100 requests per second; asked for
 * 400, the last of 80 waits about 0.6 s, and that is what must be reported. */
TEST_NOFAULT(open_loop_counts_waiting) {
    struct run r;
    setup(&r);
    CHECK_INT(bench(&r, "-n 80 -r 400 --max-connections 2 -H x-sim:ttft_ms=20 --slo-total-ms 100"), 0);
    CHECK_DOUBLE(field(&r, NULL, "ok"), 80);
    CHECK_DOUBLE(field(&r, NULL, "connections"), 2);
    CHECK(field(&r, "total_us", "max") >= 500000);
    CHECK(field(&r, "total_us", "p50") >= 200000);
    CHECK(field(&r, "total_us", "min") < field(&r, "total_us", "p50"));
    CHECK(field(&r, NULL, "good") < 40);
    /* Those that waited too long for a connection are late, too. */
    CHECK_INT(bench(&r, "-n 80 -r 400 --max-connections 2 -H x-sim:ttft_ms=20 -t 0.2"), 1);
    double late = field(&r, "errors", "timeout");
    CHECK(late > 20);
    CHECK_DOUBLE(field(&r, NULL, "ok") + late, 80);
    CHECK_INT(bench(&r, "-n 100 -r 2000 --poisson -s --seed 7"), 0);
    CHECK_DOUBLE(field(&r, NULL, "ok"), 100);
    teardown(&r);
}

TEST_NOFAULT(holds_streams) {
    struct run r;
    char       line[128];
    setup(&r);
    snprintf(line, sizeof(line), "--hold -c 50 -d 0.1 --pid %d -H x-sim:stall=1", (int)getpid());
    CHECK_INT(bench(&r, line), 0);
    CHECK_DOUBLE(field(&r, NULL, "held"), 50);
    CHECK(field(&r, NULL, "rss_peak_bytes") > 0);
    CHECK_INT(bench(&r, "--hold -c 5 -d 0.5"), 1); /* these end by themselves */
    CHECK_DOUBLE(field(&r, NULL, "held"), 0);
    teardown(&r);
}

/* -- What a person reads ----------------------------------------------------------- */

static int report(struct run *r, char **argv, int argc) {
    fflush(stdout);
    FILE *file = tmpfile();
    int   out = dup(STDOUT_FILENO), err = dup(STDERR_FILENO);
    CHECK(file != NULL && out >= 0 && err >= 0);
    dup2(fileno(file), STDOUT_FILENO);
    dup2(fileno(file), STDERR_FILENO);
    int status = perilune_tool_bench(argc, argv);
    fflush(stdout);
    dup2(out, STDOUT_FILENO);
    dup2(err, STDERR_FILENO);
    close(out);
    close(err);
    rewind(file);
    r->text[fread(r->text, 1, sizeof(r->text) - 1, file)] = '\0';
    fclose(file);
    NOTE("%.200s", r->text);
    return status;
}

static void says(const struct run *r, const char *words) {
    if (strstr(r->text, words) == NULL) FAIL("no '%s' in\n%s", words, r->text);
}

TEST_NOFAULT(a_report_in_words) {
    struct run r;
    setup(&r);
    char pid[16];
    snprintf(pid, sizeof(pid), "%d", (int)getpid());
    char *argv[] = { "bench", r.url, "-n", "20", "-c", "2", "-s", "--slo-ttft-ms", "5000", "--slo-total-ms", "0.001",
                     "--pid", pid, "--warmup", "2", "-H", "x-sim: tokens=3,itl_ms=1", "--progress", NULL };
    CHECK_INT(report(&r, argv, 18), 0);
    says(&r, "p99");
    says(&r, "first token");
    says(&r, "inter-token");
    says(&r, "goodput      0.0 requests/s (0.00 % within ttft 5000 ms total 0.001 ms)");
    says(&r, "us CPU per request");
    teardown(&r);
}

TEST_NOFAULT(goodput_counts_who_was_in_time) {
    struct run r;
    setup(&r);
    CHECK_INT(bench(&r, "-n 10 -c 1 --slo-total-ms 60000"), 0);
    CHECK_DOUBLE(field(&r, NULL, "good"), 10);
    says(&r, "goodput");
    teardown(&r);
}

TEST_NOFAULT(what_bench_does_not_understand) {
    struct run r;
    setup(&r);
    static char *wrong[][5] = { { "bench", NULL },
                                { "bench", "http://127.0.0.1:1", "--rate", "fast", NULL },
                                { "bench", "http://127.0.0.1:1", "--conncurrency", "2", NULL },
                                { "bench", "ftp://x", NULL },
                                { "bench", "http://127.0.0.1:1", "--body", "/nowhere/body.json", NULL },
                                { "bench", "http://127.0.0.1:1", "-H", "no colon", NULL },
                                { "bench", "http://127.0.0.1:1", "--pid", "x", NULL },
                                { "bench", "http://127.0.0.1:1", "-c", "0", NULL } };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        int argc = 0;
        while (wrong[i][argc] != NULL) argc++;
        int status = report(&r, wrong[i], argc);
        NOTE("%zu: %s", i, r.text);
        CHECK(status == 1 || status == 2);
        CHECK(strlen(r.text) > 20);
    }
    teardown(&r);
}
