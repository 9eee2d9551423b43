/* test_batch_command.c -- perilune batch with an upstream: what it writes, killed, interrupted, and in bad company. */
#include "unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "include/perilune.h"
#include "jobs/batch_line.h"
#include "sim/sim.h"

#define LINE(id) "{\"custom_id\":\"" id "\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\",\"body\":" \
                 "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"\xE4\xBD\xA0\xE5\xA5\xBD " id "\"}]}}\n"

struct world {
    char        folder[64], in[96], out[96], url[64], said[8192];
    struct sim *sim;
};

static void put_file(const char *path, const char *text, size_t len) {
    FILE *f = fopen(path, "wb");
    CHECK(f != NULL && fwrite(text, 1, len, f) == len && fclose(f) == 0);
}

static void begin(struct world *w, const struct sim_options *o, const char *lines) {
    memset(w, 0, sizeof(*w));
    snprintf(w->folder, sizeof(w->folder), "/tmp/perilune-batch-XXXXXX");
    CHECK(mkdtemp(w->folder) != NULL);
    snprintf(w->in, sizeof(w->in), "%s/in.jsonl", w->folder);
    snprintf(w->out, sizeof(w->out), "%s/in.out.jsonl", w->folder);
    put_file(w->in, lines, strlen(lines));
    CHECK_INT(sim_start(&w->sim, "127.0.0.1:0", o), 0);
    snprintf(w->url, sizeof(w->url), "http://127.0.0.1:%d/v1", sim_port(w->sim));
}

static void end(struct world *w) {
    char path[128];
    static const char *const names[] = { "in.jsonl", "in.out.jsonl", "errors.jsonl", "in.out.jsonl.new", "said", "c.lua" };
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        snprintf(path, sizeof(path), "%s/%s", w->folder, names[i]);
        unlink(path);
    }
    CHECK_INT(rmdir(w->folder), 0);
    sim_stop(w->sim);
}

/* The command in a process of its own, because it is killed. What it says goes to a file. */
static pid_t start(struct world *w, const char *const *words) {
    char said[96];
    snprintf(said, sizeof(said), "%s/said", w->folder);
    fflush(stdout), fflush(stderr);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid != 0) return pid;
    char *argv[24] = { "batch", w->in, "--url", w->url };
    int argc = 4, fd = open(said, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (words[0] != NULL && strcmp(words[0], "--config") == 0) argc = 2;
    for (; words[0] != NULL; words++) argv[argc++] = mem_strdup(words[0]);
    dup2(fd, 1), dup2(fd, 2);
    signal(SIGXFSZ, SIG_IGN);
    int status = perilune_tool_batch(argc, argv);
    fflush(stdout);
    _exit(status);
}

static int finish(struct world *w, pid_t pid) {
    int status;
    char said[96];
    while (waitpid(pid, &status, 0) < 0) CHECK_INT(errno, EINTR);
    snprintf(said, sizeof(said), "%s/said", w->folder);
    FILE *f = fopen(said, "r");
    size_t n = f != NULL ? fread(w->said, 1, sizeof(w->said) - 1, f) : 0;
    w->said[n] = '\0';
    if (f != NULL) fclose(f);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

#define RUN(w, ...) finish(w, start(w, (const char *const[]){ __VA_ARGS__ __VA_OPT__(,) NULL }))

static void has(const char *text, const char *part) {
    if (strstr(text, part) == NULL) FAIL("no '%s' in '%s'", part, text);
}

/* The whole file, for the caller to mem_free(). */
static char *read_file(const char *path, size_t *len) {
    struct stat st;
    int fd = open(path, O_RDONLY);
    *len = 0;
    if (fd < 0) return mem_strdup("");
    CHECK_INT(fstat(fd, &st), 0);
    char *text = mem_alloc((size_t)st.st_size + 1);
    CHECK(text != NULL && read(fd, text, (size_t)st.st_size) == st.st_size);
    text[st.st_size] = '\0';
    *len = (size_t)st.st_size;
    close(fd);
    return text;
}

/* How often the id has a line in the file; every line of it is whole. */
static unsigned count_id(const char *path, const char *id) {
    size_t len;
    unsigned found = 0;
    char *text = read_file(path, &len), name[64];
    snprintf(name, sizeof(name), "\"custom_id\":\"%s\"", id);
    for (char *line = text, *end_of; *line != '\0'; line = end_of + 1) {
        struct json_doc doc = { .nodes = NULL };
        struct json_error e;
        end_of = strchr(line, '\n');
        if (end_of == NULL) FAIL("no line end behind '%s'", line);
        CHECK_INT(json_parse(&doc, slice_of(line, (size_t)(end_of - line)), &e), 0);
        json_deinit(&doc);
        *end_of = '\0';
        found += strstr(line, name) != NULL;
    }
    mem_free(text);
    return found;
}

static void pause_ms(long ms) {
    struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };
    nanosleep(&t, NULL);
}

static void await_size(const char *path, off_t least) {
    struct stat st;
    for (int i = 0; i < 5000 && (stat(path, &st) != 0 || st.st_size < least); i++) pause_ms(2);
    CHECK(stat(path, &st) == 0 && st.st_size >= least);
}

/* How many requests the upstream has got. */
static unsigned requests(const struct world *w) {
    static const char ask[] = "GET /sim/stats HTTP/1.0\r\n\r\n";
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((uint16_t)sim_port(w->sim)),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    char text[4096];
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK_INT(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    CHECK_INT(send(fd, ask, sizeof(ask) - 1, MSG_NOSIGNAL), (ssize_t)sizeof(ask) - 1);
    ssize_t n = recv(fd, text, sizeof(text) - 1, MSG_WAITALL);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    const char *count = strstr(text, "\"requests\":");
    CHECK(count != NULL);
    return (unsigned)strtoul(count + 11, NULL, 10);
}

static struct sim_options echoing(double delay_ms) {
    struct sim_options o;
    sim_options_init(&o);
    o.echo = true;
    o.delay_ms = delay_ms;
    return o;
}

/* -- The plain way ---------------------------------------------------------------------------- */

TEST_NOFAULT(every_line_is_answered_once) {
    struct world w;
    struct sim_options o = echoing(0);
    begin(&w, &o, "\xEF\xBB\xBF" LINE("a") "\r\n\n" LINE("b") "   \n" LINE("c"));
    CHECK_INT(RUN(&w), 0);
    has(w.said, "3 lines: 3 answered, 0 failed, 0 left");
    CHECK_UINT(count_id(w.out, "a"), 1);
    CHECK_UINT(count_id(w.out, "b"), 1);
    CHECK_UINT(count_id(w.out, "c"), 1);
    size_t len;
    char *text = read_file(w.out, &len);
    has(text, "\"content\":\"\xE4\xBD\xA0\xE5\xA5\xBD b\"");
    mem_free(text);
    CHECK_INT(RUN(&w, "--json"), 0);
    has(w.said, "\"lines\":3,\"bad\":0,\"before\":3,\"answered\":3,");
    CHECK_UINT(count_id(w.out, "a"), 1);
    end(&w);
}

TEST_NOFAULT(a_file_without_an_end_of_its_last_line_and_one_without_lines) {
    struct world w;
    struct sim_options o = echoing(0);
    begin(&w, &o, LINE("a"));
    CHECK_INT(truncate(w.in, (off_t)strlen(LINE("a")) - 1), 0);
    CHECK_INT(RUN(&w), 0);
    put_file(w.in, "\n \n", 3);
    CHECK_INT(RUN(&w), 1);
    has(w.said, "has no request");
    end(&w);
}

TEST_NOFAULT(bad_lines_are_named_and_left_out) {
    struct world w;
    struct sim_options o = echoing(0);
    begin(&w, &o, LINE("a") LINE("a") "nonsense\n" LINE("b"));
    CHECK_INT(RUN(&w, "--check"), 1);
    has(w.said, "2 lines can be asked, 2 cannot");
    CHECK_INT(access(w.out, F_OK), -1);
    CHECK_INT(RUN(&w, "--strict"), 1);
    has(w.said, "in.jsonl:2:1: the custom_id \"a\" is that of line 1, too");
    has(w.said, "in.jsonl:3:1: no valid JSON");
    has(w.said, "nothing was asked");
    CHECK_INT(access(w.out, F_OK), -1);
    CHECK_INT(RUN(&w), 1);
    has(w.said, "2 lines: 2 answered, 0 failed, 0 left; 2 bad");
    CHECK_UINT(count_id(w.out, "a"), 1);
    CHECK_UINT(count_id(w.out, "b"), 1);
    end(&w);
}

TEST_NOFAULT(a_line_that_is_too_long_is_named_and_the_next_is_asked) {
    struct world w;
    struct sim_options o = echoing(0);
    begin(&w, &o, LINE("a"));
    FILE *f = fopen(w.in, "ab");
    char *x = mem_alloc(1 << 20);
    CHECK(f != NULL && x != NULL);
    memset(x, 'x', 1 << 20);
    for (int i = 0; i < (int)(BATCH_LINE_MAX >> 20) + 1; i++) CHECK_UINT(fwrite(x, 1, 1 << 20, f), 1 << 20);
    fputs("\n" LINE("b"), f);
    CHECK_INT(fclose(f), 0);
    mem_free(x);
    CHECK_INT(RUN(&w), 1);
    has(w.said, "in.jsonl:2:");
    has(w.said, "the line is longer than 32 MiB");
    has(w.said, "2 lines: 2 answered, 0 failed, 0 left; 1 bad");
    end(&w);
}

/* -- Order, and what is slow ---------------------------------------------------------------------- */

static void many_lines(struct world *w, unsigned n) {
    FILE *f = fopen(w->in, "wb");
    CHECK(f != NULL);
    for (unsigned i = 0; i < n; i++)
        fprintf(f, "{\"custom_id\":\"r%04u\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\",\"body\":{\"model\":\"m\","
                   "\"messages\":[{\"role\":\"user\",\"content\":\"%u\"}]}}\n", i, i);
    CHECK_INT(fclose(f), 0);
}

static void check_all_once(const char *path, unsigned n) {
    size_t len;
    char *text = read_file(path, &len), name[64];
    unsigned lines = 0;
    for (size_t i = 0; i < len; i++) lines += text[i] == '\n';
    CHECK_UINT(lines, n);
    for (unsigned i = 0; i < n; i++) {
        snprintf(name, sizeof(name), "\"custom_id\":\"r%04u\"", i);
        char *at = strstr(text, name);
        if (at == NULL || strstr(at + 1, name) != NULL) FAIL("%s is there %s", name, at == NULL ? "not at all" : "twice");
    }
    mem_free(text);
}

TEST_NOFAULT(answers_stand_in_the_order_of_the_lines_when_asked_for) {
    struct world w;
    struct sim_options o = echoing(10);
    o.jitter = 1;
    begin(&w, &o, "");
    many_lines(&w, 300);
    CHECK_INT(RUN(&w, "--ordered", "-c", "20"), 0);
    size_t len;
    unsigned i = 0;
    char *text = read_file(w.out, &len), name[64], *at = text;
    for (; i < 300; i++) {
        snprintf(name, sizeof(name), "\"custom_id\":\"r%04u\"", i);
        at = strstr(at, name);
        if (at == NULL) FAIL("%s is not where it should be", name);
    }
    mem_free(text);
    check_all_once(w.out, 300);
    end(&w);
}

/* -- Killed ------------------------------------------------------------------------------------------- */

/* At ever later moments; what a write that was cut leaves is made by hand, in every other run. */
TEST_NOFAULT(killed_at_any_moment_no_line_is_lost_or_doubled) {
    struct world w;
    struct sim_options o = echoing(4);
    struct stat st;
    unsigned kills = 0;
    o.jitter = 1;
    begin(&w, &o, "");
    many_lines(&w, 400);
    for (unsigned i = 0; i < 100; i++) {
        pid_t pid = start(&w, (const char *const[]){ "-c", "8", i % 3 == 0 ? "--ordered" : NULL, NULL });
        pause_ms(5 + (long)i * 3);
        kill(pid, SIGKILL);
        int status = finish(&w, pid);
        if (status == 0) break;
        CHECK_INT(status, -SIGKILL);
        kills++;
        if (i % 2 == 0 && stat(w.out, &st) == 0 && st.st_size > 300)
            CHECK_INT(truncate(w.out, st.st_size - 1 - (off_t)(i * 7 % 250)), 0);
    }
    CHECK_INT(RUN(&w), 0);
    CHECK(kills >= 5);
    check_all_once(w.out, 400);
    end(&w);
}

TEST_NOFAULT(zeros_that_a_power_cut_left_are_taken_away) {
    struct world w;
    struct sim_options o = echoing(0);
    begin(&w, &o, LINE("a") LINE("b"));
    CHECK_INT(RUN(&w), 0);
    FILE *f = fopen(w.out, "ab");
    CHECK(f != NULL && fwrite("\0\0\0\0\0\0\0", 1, 7, f) == 7 && fclose(f) == 0);
    CHECK_INT(RUN(&w), 0);
    CHECK_UINT(count_id(w.out, "a"), 1);
    CHECK_UINT(count_id(w.out, "b"), 1);
    end(&w);
}

/* -- Interrupted ---------------------------------------------------------------------------------------- */

TEST_NOFAULT(an_interrupt_ends_what_is_under_way_and_says_so) {
    struct world w;
    struct sim_options o = echoing(100);
    begin(&w, &o, "");
    many_lines(&w, 200);
    pid_t pid = start(&w, (const char *const[]){ "-c", "10", NULL });
    await_size(w.out, 2000);
    kill(pid, SIGINT);
    CHECK_INT(finish(&w, pid), 130);
    has(w.said, "requests under way are waited for");
    has(w.said, "0 failed");
    size_t len, lines = 0;
    char *text = read_file(w.out, &len);
    for (size_t i = 0; i < len; i++) lines += text[i] == '\n';
    mem_free(text);
    CHECK_UINT(lines, requests(&w)); /* nothing that was asked is lost */
    CHECK(lines < 200);
    CHECK_INT(RUN(&w, "-c", "64"), 0);
    check_all_once(w.out, 200);
    end(&w);
}

TEST_NOFAULT(a_second_interrupt_ends_at_once) {
    struct world w;
    struct sim_options o = echoing(60000);
    begin(&w, &o, LINE("a") LINE("b"));
    pid_t pid = start(&w, (const char *const[]){ NULL });
    await_size(w.out, 0);
    while (requests(&w) < 2) pause_ms(5);
    kill(pid, SIGTERM);
    pause_ms(300);
    kill(pid, SIGTERM);
    CHECK_INT(finish(&w, pid), 130);
    has(w.said, "2 lines: 0 answered, 0 failed, 2 left");
    end(&w);
}

/* -- Failures ----------------------------------------------------------------------------------------------- */

TEST_NOFAULT(what_fails_for_good_has_a_line_and_is_asked_again_when_wanted) {
    struct world w;
    struct sim_options o = echoing(0);
    o.status = 400;
    begin(&w, &o, LINE("a") LINE("b"));
    CHECK_INT(RUN(&w), 1);
    has(w.said, "in.jsonl:1: failed: ");
    size_t len;
    char *text = read_file(w.out, &len);
    has(text, "\"custom_id\":\"a\",\"response\":{\"status_code\":400,");
    has(text, "\"error\":null}");
    mem_free(text);
    CHECK_INT(RUN(&w), 1); /* not asked, and still not good */
    has(w.said, "2 lines: 0 answered, 2 failed, 0 left; 2 of them before");
    sim_stop(w.sim);
    o.status = 200;
    CHECK_INT(sim_start(&w.sim, "127.0.0.1:0", &o), 0);
    snprintf(w.url, sizeof(w.url), "http://127.0.0.1:%d/v1", sim_port(w.sim));
    CHECK_INT(RUN(&w, "--retry-failed"), 0);
    CHECK_UINT(count_id(w.out, "a"), 1);
    CHECK_UINT(count_id(w.out, "b"), 1);
    text = read_file(w.out, &len);
    CHECK_PTR(strstr(text, ":400"), NULL);
    mem_free(text);
    end(&w);
}

TEST_NOFAULT(errors_go_to_a_file_of_their_own) {
    struct world w;
    char errors[128];
    struct sim_options o = echoing(0);
    o.status = 422;
    begin(&w, &o, LINE("a"));
    snprintf(errors, sizeof(errors), "%s/errors.jsonl", w.folder);
    CHECK_INT(RUN(&w, "--errors", errors), 1);
    CHECK_UINT(count_id(errors, "a"), 1);
    CHECK_UINT(count_id(w.out, "a"), 0);
    CHECK_INT(RUN(&w, "--errors", errors), 1);
    has(w.said, "1 of them before");
    end(&w);
}

TEST_NOFAULT(a_refused_key_ends_it_and_marks_no_line) {
    struct world w;
    struct sim_options o = echoing(0);
    struct stat st;
    o.status = 401;
    begin(&w, &o, LINE("a") LINE("b"));
    CHECK_INT(RUN(&w), 1);
    has(w.said, "status 401");
    has(w.said, "2 left");
    CHECK(stat(w.out, &st) == 0 && st.st_size == 0);
    end(&w);
}

TEST_NOFAULT(many_failures_in_a_row_end_it) {
    struct world w;
    struct sim_options o = echoing(0);
    o.status = 404;
    begin(&w, &o, "");
    many_lines(&w, 400);
    CHECK_INT(RUN(&w, "-c", "4"), 1);
    has(w.said, "the last 100 lines failed");
    CHECK_INT(RUN(&w, "-c", "4", "--retry-failed", "--keep-going"), 1);
    has(w.said, "400 lines: 0 answered, 400 failed, 0 left");
    check_all_once(w.out, 400);
    end(&w);
}

TEST_NOFAULT(what_may_be_better_later_is_tried_again) {
    struct world w;
    struct sim_options o = echoing(0);
    o.status = 500;
    begin(&w, &o, LINE("a"));
    CHECK_INT(RUN(&w, "--tries", "2"), 1);
    has(w.said, "1 retries");
    CHECK_UINT(requests(&w), 2);
    end(&w);
}

TEST_NOFAULT(nobody_at_the_address) {
    struct world w;
    struct sim_options o = echoing(0);
    begin(&w, &o, LINE("a"));
    snprintf(w.url, sizeof(w.url), "http://127.0.0.1:1/v1");
    CHECK_INT(RUN(&w, "--tries", "1"), 1);
    size_t len;
    char *text = read_file(w.out, &len);
    has(text, "\"response\":null,\"error\":{\"code\":\"upstream_unreachable\"");
    mem_free(text);
    end(&w);
}

/* -- Files of others ------------------------------------------------------------------------------------------- */

TEST_NOFAULT(a_file_that_is_no_record_is_left_as_it_is) {
    struct world w;
    struct sim_options o = echoing(0);
    begin(&w, &o, LINE("a"));
    static const char *const texts[] = { "my thesis", "my thesis\n", LINE("a"), "{\"id\":\"batch_req_1\",\"custom_id\":\"z\",\"response\":null,"
                                         "\"error\":{}}\n{\"id\":\"batch_re" };
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        put_file(w.out, texts[i], strlen(texts[i]));
        CHECK_INT(RUN(&w), 1);
        has(w.said, i == 3 ? "none of a line of this batch" : "no record of a batch");
        size_t len;
        char *text = read_file(w.out, &len);
        CHECK_STR(text, texts[i]);
        mem_free(text);
    }
    CHECK_INT(RUN(&w, "-o", w.in), 1);
    has(w.said, "is the batch itself");
    CHECK_INT(RUN(&w, "-o", "/dev/null"), 1);
    has(w.said, "not a regular file");
    end(&w);
}

TEST_NOFAULT(a_file_that_another_process_writes) {
    struct world w;
    struct sim_options o = echoing(0);
    begin(&w, &o, LINE("a"));
    int fd = open(w.out, O_RDWR | O_CREAT, 0600);
    CHECK(fd >= 0 && flock(fd, LOCK_EX) == 0);
    CHECK_INT(RUN(&w), 1);
    has(w.said, "another process is writing it");
    close(fd);
    end(&w);
}

TEST_NOFAULT(a_full_disk_leaves_whole_lines_and_goes_on_when_there_is_room) {
    struct world w;
    struct sim_options o = echoing(0);
    struct rlimit all, some;
    begin(&w, &o, "");
    many_lines(&w, 100);
    CHECK_INT(getrlimit(RLIMIT_FSIZE, &all), 0);
    some = all;
    some.rlim_cur = 10000;
    CHECK_INT(setrlimit(RLIMIT_FSIZE, &some), 0);
    int status = RUN(&w, "-c", "4");
    CHECK_INT(setrlimit(RLIMIT_FSIZE, &all), 0);
    CHECK_INT(status, 1);
    has(w.said, "what is there is whole");
    CHECK_UINT(count_id(w.out, "r0000"), 1);
    CHECK_INT(RUN(&w), 0);
    check_all_once(w.out, 100);
    end(&w);
}

/* -- A configuration -------------------------------------------------------------------------------------------- */

static void configure(struct world *w, char *path, size_t size, const char *policies) {
    char text[1024];
    snprintf(path, size, "%s/c.lua", w->folder);
    int n = snprintf(text, sizeof(text), "local perilune = require \"perilune\" return { listen = \"127.0.0.1:1\", upstreams = { up = { url = \"%s\", price = { "
                     "input = 10, output = 20 } } }, routes = { { path = \"/v1/chat/completions\", policies = { %s } } } }\n",
                     w->url, policies);
    put_file(path, text, (size_t)n);
}

TEST_NOFAULT(lines_pass_through_policies_of_a_configuration) {
    struct world w;
    char config[128];
    struct sim_options o = echoing(0);
    begin(&w, &o, LINE("a") LINE("b"));
    configure(&w, config, sizeof(config),
              "function(req, next) if req.headers[\"x-team\"] ~= \"moon\" then return perilune.reject(403, \"no\", { "
              "message = \"who are you\" }) end return next(req) end");
    CHECK_INT(RUN(&w, "--config", config, "-H", "x-team: moon"), 0);
    has(w.said, "$0.0");
    unlink(w.out);
    CHECK_INT(RUN(&w, "--config", config), 1);
    size_t len;
    char *text = read_file(w.out, &len);
    has(text, "\"status_code\":403");
    has(text, "who are you");
    mem_free(text);
    end(&w);
}

TEST_NOFAULT(a_configuration_that_is_wrong_and_a_policy_that_throws) {
    struct world w;
    char config[128];
    struct sim_options o = echoing(0);
    begin(&w, &o, LINE("a"));
    put_file(w.out, "", 0);
    configure(&w, config, sizeof(config), "\"no_such_policy\"");
    CHECK_INT(RUN(&w, "--config", config), 1);
    has(w.said, "no_such_policy");
    configure(&w, config, sizeof(config), "function() error(\"moonquake\") end");
    CHECK_INT(RUN(&w, "--config", config), 1);
    has(w.said, "1 failed");
    size_t len;
    char *text = read_file(w.out, &len);
    has(text, "\"status_code\":500");
    mem_free(text);
    end(&w);
}

/* -- Words ------------------------------------------------------------------------------------------------------ */

TEST_NOFAULT(words_that_are_wrong) {
    struct world w;
    struct sim_options o = echoing(0);
    begin(&w, &o, LINE("a"));
    CHECK_INT(RUN(&w, "--config", "x.lua", "--url", w.url), 2);
    has(w.said, "exclude each other");
    CHECK_INT(RUN(&w, "--config", "x.lua", "-H", "no colon"), 2);
    has(w.said, "is not 'NAME: VALUE'");
    CHECK_INT(RUN(&w, "--config", "x.lua", "--price-in", "1"), 2);
    has(w.said, "are for --url");
    CHECK_INT(RUN(&w, "--config", "x.lua", "--key-env", "PERILUNE_NO_SUCH_KEY"), 2);
    has(w.said, "has no key there");
    CHECK_INT(RUN(&w, "-c", "0"), 2);
    CHECK_INT(RUN(&w, "--key-env", "PERILUNE_NO_SUCH_KEY"), 1);
    has(w.said, "PERILUNE_NO_SUCH_KEY");
    end(&w);
}
