/* test_cache_command.c -- perilune cache calibrate and table: files, messages, an upstream of embeddings. */
#include "unit.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/vectors.h"
#include "include/perilune.h"
#include "semantic/pair.h"
#include "semantic/static_table.h"
#include "sim/sim.h"

struct run {
    int  status;
    char out[8192], err[8192];
};

static void read_all(const char *path, char *to, size_t size) {
    FILE *f = fopen(path, "r");
    size_t n = f != NULL ? fread(to, 1, size - 1, f) : 0;
    to[n] = '\0';
    if (f != NULL) fclose(f);
    unlink(path);
}

/* The command with these words, what it said, and its status. */
static void run(struct run *r, const char *const *words) {
    char *argv[16] = { "cache" }, out[] = "/tmp/perilune-out-XXXXXX", err[] = "/tmp/perilune-err-XXXXXX";
    int argc = 1;
    for (; words[argc - 1] != NULL; argc++) argv[argc] = mem_strdup(words[argc - 1]);
    fflush(stdout), fflush(stderr);
    int to = mkstemp(out), bad = mkstemp(err), old_out = dup(1), old_err = dup(2);
    dup2(to, 1), dup2(bad, 2);
    close(to), close(bad);
    r->status = perilune_tool_cache(argc, argv);
    fflush(stdout), fflush(stderr);
    dup2(old_out, 1), dup2(old_err, 2);
    close(old_out), close(old_err);
    for (int i = 1; i < argc; i++) mem_free(argv[i]);
    read_all(out, r->out, sizeof(r->out));
    read_all(err, r->err, sizeof(r->err));
}

#define RUN(r, ...) run(r, (const char *const[]){ __VA_ARGS__, NULL })

static void write_temp(char path[40], const char *text) {
    snprintf(path, 40, "/tmp/perilune-pairs-XXXXXX");
    int fd = mkstemp(path);
    CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
}

static void has(const char *text, const char *part) {
    if (strstr(text, part) == NULL) FAIL("no '%s' in '%s'", part, text);
}

static void says(const char *lines, const char *part) {
    char path[40];
    struct run r;
    write_temp(path, lines);
    RUN(&r, "calibrate", path);
    unlink(path);
    CHECK_INT(r.status, 1);
    has(r.err, part);
}

TEST_NOFAULT(what_is_wrong_is_told_with_its_line) {
    static const char good[] = "{\"a\":\"x\",\"b\":\"y\",\"same\":true}\n";
    char text[400];
    says("", ": is empty; a line needs {\"a\"");
    says("{\"a\":\"x\",\"b\":\"y\"}\n", ":1: \"same\" must be true, false");
    says("\n{\"a\":\"x\",\"b\":\"y\",\"same\":2}\n", ":2: \"same\" must be true, false");
    snprintf(text, sizeof(text), "%s{\"a\":\"x\",\"b\":7,\"same\":true}", good);
    says(text, ":2: needs {\"a\"");
    snprintf(text, sizeof(text), "%s%s{\"a\":", good, good);
    says(text, ":3: is no JSON: ");
    snprintf(text, sizeof(text), "%s[]\n", good);
    says(text, ":2: needs {\"a\"");
    snprintf(text, sizeof(text), "%s{\"question\":\"x\"}\n", good);
    says(text, ":2: has a pair where others have a question");
    says("{\"a\":\"\",\"b\":\"y\",\"same\":true}\n", ":1: a question is empty");
    says("{\"question\":1}\n", ":1: \"question\" must be a string");
    says("{\"question\":\"once\"}\n{\"question\":\"once\"}\n", "has no two different questions");
    says(good, "1 pairs are the same and 0 are different; at least 20 of each are needed");
}

TEST_NOFAULT(wrong_usage) {
    struct run r;
    RUN(&r, "calibrate");
    CHECK_INT(r.status, 2);
    has(r.err, "give it a FILE.jsonl");
    RUN(&r, "calibrate", "x", "--embedder", "http://127.0.0.1:1/v1");
    CHECK_INT(r.status, 2);
    has(r.err, "say which --model");
    RUN(&r, "calibrate", "x", "--model", "m");
    CHECK_INT(r.status, 2);
    RUN(&r, "calibrate", "x", "--max-false", "0");
    CHECK_INT(r.status, 2);
    RUN(&r, "calibrate", "/nowhere/at/all");
    CHECK_INT(r.status, 1);
    has(r.err, "/nowhere/at/all: No such file");
    RUN(&r, "recalibrate");
    CHECK_INT(r.status, 2);
    has(r.err, "no command 'recalibrate'");
    RUN(&r, "--help");
    CHECK_INT(r.status, 0);
    has(r.out, "calibrate");
    RUN(&r, "calibrate", "--help");
    CHECK_INT(r.status, 0);
    has(r.out, "--max-false");
}

/* Pairs about one of many things, in a file. */
static void write_pairs(char path[40]) {
    static const char *const things[] = { "phone", "fridge", "laptop", "printer", "guitar", "camera", "router" };
    struct buf b;
    buf_init(&b, 0);
    for (unsigned i = 0; i < 150; i++) {
        const char *x = things[i % 7], *y = things[(i + 1 + i / 7 % 6) % 7];
        buf_printf(&b, "{\"a\":\"how do i fix my %s %u\",", x, i);
        if (i % 3 == 0) buf_printf(&b, "\"b\":\"how can i repair the %s %u?\",\"same\":true}\n", x, i);
        else if (i % 3 == 1) buf_printf(&b, "\"b\":\"how do i fix my %s %u\",\"same\":false}\r\n", y, i);
        else buf_printf(&b, "\"b\":\"how much does a %s cost %u\",\"same\":0.1}\n", x, i);
    }
    write_temp(path, buf_cstr(&b));
    buf_deinit(&b);
}

static struct pair_model *open_model(const char *path) {
    char *bytes = malloc(1 << 20);
    FILE *f = fopen(path, "rb");
    CHECK(f != NULL);
    size_t n = fread(bytes, 1, 1 << 20, f);
    fclose(f);
    struct pair_model *m;
    struct failure why;
    failure_init(&why);
    CHECK_INT(pair_model_open(&m, slice_of(bytes, n), &why), 0);
    free(bytes);
    return m;
}

TEST_NOFAULT(pairs_become_a_model) {
    char path[40], to[60];
    struct run r;
    write_pairs(path);
    snprintf(to, sizeof(to), "%s.pair", path);
    RUN(&r, "calibrate", path, "--max-false", "0.02");
    CHECK_INT(r.status, 0);
    has(r.out, "150 pairs of ");
    has(r.out, ": 50 the same, 100 different");
    has(r.out, "<- --max-false");
    has(r.err, "too few to be sure");
    struct pair_model *m = open_model(to);
    CHECK_STR(pair_model_embedder(m), "");
    CHECK_UINT(pair_model_curve(m)->different, 100);
    pair_model_close(m);
    RUN(&r, "calibrate", path, "-o", "/nowhere/at/all");
    CHECK_INT(r.status, 1);
    has(r.err, "/nowhere/at/all: No such file");
    unlink(path);
    unlink(to);
}

TEST_NOFAULT(questions_fit_thresholds) {
    char path[40], to[] = "/tmp/perilune-model-XXXXXX";
    struct buf b;
    struct run r;
    buf_init(&b, 0);
    for (unsigned i = 0; i < 300; i++) buf_printf(&b, "{\"question\":\"what is %u plus %u\"}\n", i % 100, i / 2 % 50);
    write_temp(path, buf_cstr(&b));
    buf_deinit(&b);
    close(mkstemp(to));
    RUN(&r, "calibrate", path, "--output", to);
    CHECK_INT(r.status, 0);
    has(r.out, "300 questions, ");
    has(r.out, "nearest other one is taken for");
    has(r.out, "{ \"cache_semantic\", calibration = \"/tmp/perilune-model-");
    has(r.out, "\", threshold = \"auto\", max_false = 0.01 }\n");
    struct pair_model *m = open_model(to);
    CHECK_UINT(pair_model_curve(m)->same, 0);
    CHECK(pair_model_curve(m)->different > 50);
    pair_model_close(m);
    RUN(&r, "calibrate", path, "-e", "http://127.0.0.1:1/v1", "-m", "x");
    CHECK_INT(r.status, 1);
    has(r.err, "needs pairs");
    unlink(path);
    unlink(to);
}

TEST_NOFAULT(an_upstream_embeds) {
    char path[40], to[60], url[64];
    struct run r;
    struct sim *s;
    CHECK_INT(sim_start(&s, "127.0.0.1:0", NULL), 0);
    snprintf(url, sizeof(url), "http://127.0.0.1:%d/v1/embeddings", sim_port(s));
    write_pairs(path);
    snprintf(to, sizeof(to), "%s.pair", path);
    RUN(&r, "calibrate", path, "--embedder", url, "--model", "made-up", "--prefix", "query: ");
    sim_stop(s);
    has(r.err, "embedding the questions: ");
    CHECK_INT(r.status, 0);
    struct pair_model *m = open_model(to);
    CHECK_STR(pair_model_embedder(m), "made-up");
    CHECK_UINT(pair_model_dims(m), 384);
    pair_model_close(m);
    setenv("PERILUNE_TEST_KEY", "", 1);
    RUN(&r, "calibrate", path, "--embedder", url, "--model", "x", "--key-env", "PERILUNE_TEST_KEY");
    CHECK_INT(r.status, 1);
    has(r.err, "PERILUNE_TEST_KEY is not set");
    unlink(path);
    unlink(to);
}

/* What an upstream refuses for good is asked once, and its words are passed on. */
TEST_NOFAULT(an_upstream_that_refuses) {
    struct sim_options o;
    struct sim *s;
    char url[64], err[1024] = "";
    float *out;
    unsigned dims;
    sim_options_init(&o);
    o.status = 401;
    CHECK_INT(sim_start(&s, "127.0.0.1:0", &o), 0);
    snprintf(url, sizeof(url), "http://127.0.0.1:%d/v1", sim_port(s));
    struct vectors_ask ask = { .url = url, .model = "m", .prefix = "" };
    CHECK(vectors_fetch(&ask, &SLICE("text"), 1, &out, &dims, err, sizeof(err)) != 0);
    CHECK_PTR(out, NULL);
    has(err, "status 401");
    sim_stop(s);
    ask.url = "no url";
    CHECK(vectors_fetch(&ask, &SLICE("text"), 1, &out, &dims, err, sizeof(err)) != 0);
    has(err, "url");
}

/* -- table -------------------------------------------------------------------------------------- */

/* Three pieces, in halves: 1 and 0 and 0 ..., 0 and 1 ..., 0 and 0 and 1 ... */
static void write_static_model(char path[40]) {
    static const char header[] = "{\"embedding.weight\":{\"dtype\":\"F16\",\"shape\":[3,32],\"data_offsets\":[0,192]}}";
    unsigned char data[192] = { 0 };
    for (int i = 0; i < 3; i++) data[64 * i + 2 * i + 1] = 0x3C;
    snprintf(path, 40, "/tmp/perilune-model-XXXXXX");
    int fd = mkstemp(path);
    char size[8] = { (char)strlen(header) };
    CHECK(fd >= 0 && write(fd, size, 8) == 8 && write(fd, header, strlen(header)) == (ssize_t)strlen(header));
    CHECK(write(fd, data, sizeof(data)) == (ssize_t)sizeof(data));
    close(fd);
}

static const char tokenizer[] = "{\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},\"model\":{\"type\":\"WordPiece\","
                                "\"vocab\":{\"refund\":0,\"hello\":1,\"##s\":2}}}";

static void open_rows(const char *path, unsigned dims) {
    char *bytes = malloc(1 << 20);
    struct failure why;
    struct static_table *t;
    FILE *f = fopen(path, "rb");
    CHECK(f != NULL);
    size_t n = fread(bytes, 1, 1 << 20, f);
    fclose(f);
    failure_init(&why);
    CHECK_INT(static_table_open(&t, slice_of(bytes, n), &why), 0);
    CHECK_UINT(static_table_dims(t), dims);
    static_table_close(t);
    free(bytes);
}

TEST_NOFAULT(a_static_model_becomes_a_table) {
    char model[40], json[40], to[60], temp[70];
    struct run r;
    write_static_model(model);
    write_temp(json, tokenizer);
    snprintf(to, sizeof(to), "%s.rows", model);
    snprintf(temp, sizeof(temp), "%s.new", to);
    RUN(&r, "table", model, json, "-o", to);
    CHECK_INT(r.status, 0);
    has(r.out, " rows of 32 numbers, ");
    has(r.out, "unknown to the model");
    open_rows(to, 32);
    RUN(&r, "table", model, json, "-o", to, "--dims", "16");
    CHECK_INT(r.status, 0);
    open_rows(to, 16);
    CHECK_INT(access(temp, F_OK), -1);
    unlink(to);
    RUN(&r, "table", model, json, "-o", "/nowhere/at/all.rows");
    CHECK_INT(r.status, 1);
    has(r.err, "/nowhere/at/all.rows");
    RUN(&r, "table", model, json, "-o", to, "--dims", "48");
    CHECK_INT(r.status, 1);
    has(r.err, "its rows have 32 numbers, --dims asks for 48");
    RUN(&r, "table", json, model, "-o", to);
    CHECK_INT(r.status, 1);
    has(r.err, "not a safetensors file");
    RUN(&r, "table", model, model, "-o", to);
    CHECK_INT(r.status, 1);
    has(r.err, "is no JSON");
    CHECK_INT(access(to, F_OK), -1);
    unlink(model);
    unlink(json);
}

TEST_NOFAULT(wrong_usage_of_table) {
    struct run r;
    RUN(&r, "table", "x");
    CHECK_INT(r.status, 2);
    has(r.err, "give it a MODEL.safetensors");
    RUN(&r, "table", "x", "y");
    CHECK_INT(r.status, 2);
    has(r.err, "say where to write");
    RUN(&r, "table", "x", "y", "-o", "z", "--dims", "40");
    CHECK_INT(r.status, 2);
    has(r.err, "a multiple of 16");
    RUN(&r, "table", "x", "y", "-o", "z", "--dims", "2048");
    CHECK_INT(r.status, 2);
    RUN(&r, "table", "/nowhere/x", "y", "-o", "z");
    CHECK_INT(r.status, 1);
    has(r.err, "/nowhere/x: No such file");
    RUN(&r, "table", "/tmp", "y", "-o", "z");
    CHECK_INT(r.status, 1);
    has(r.err, "/tmp: is not a file");
    RUN(&r, "--help");
    has(r.out, "cache table");
    RUN(&r, "table", "--help");
    CHECK_INT(r.status, 0);
    has(r.out, "--dims");
}
