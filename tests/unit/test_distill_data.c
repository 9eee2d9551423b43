/* test_distill_data.c -- perilune distill-data, from files of capture to sets, with and without a judge. */
#include "unit.h"
#include "command.h"

#include <sys/stat.h>

#include "base/json.h"
#include "include/perilune.h"
#include "sim/sim.h"

static struct command r;
static char file[64], folder[80];

#define LINE(question, answer, finish)                                                              \
    "{\"id\":\"1\",\"tenant\":\"secret\",\"messages\":[{\"role\":\"user\",\"content\":\"" question "\"}]," \
    "\"choices\":[{\"message\":{\"role\":\"assistant\",\"content\":\"" answer "\"},\"finish_reason\":\"" finish "\"}]}\n"

static void records(const char *text) {
    snprintf(file, sizeof(file), "/tmp/perilune-pairs-XXXXXX");
    int fd = mkstemp(file);
    CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
    snprintf(folder, sizeof(folder), "%s.sets", file);
}

static void clean(void) {
    static const char *const names[] = { "train.jsonl", "valid.jsonl", "test.jsonl", "report.json" };
    char path[120];
    for (size_t i = 0; i < 4; i++) {
        snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
    unlink(file);
}

static void set(const char *name, char *to, size_t size) {
    char path[120];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    command_read(path, to, size);
}

TEST_NOFAULT(sets_are_written) {
    char text[4096];
    struct stat st;
    records(LINE("What is a cat?", "An animal that sleeps.", "stop") LINE("What is a cat?", "A pet.", "stop")
            LINE("Tell me everything", "It begins", "length") "{\"torn\n" "\n"
            LINE("你好吗？", "我很好，谢谢你。", "stop"));
    COMMAND(&r, perilune_tool_distill_data, "distill-data", "--valid", "0", "--test", "0", "-o", folder, file);
    CHECK_STR(r.err, "");
    CHECK_INT(r.status, 0);
    command_has(r.out, "6 records, 2 examples: 2 train, 0 valid, 0 test");
    command_has(r.out, "1 truncated ");
    command_has(r.out, "1 duplicate ");
    command_has(r.out, "2 unreadable ");
    CHECK(stat(folder, &st) == 0 && (st.st_mode & 0777) == 0700);
    set("train.jsonl", text, sizeof(text));
    command_has(text, "An animal that sleeps.");
    command_has(text, "我很好，谢谢你。");
    CHECK(strstr(text, "secret") == NULL && strstr(text, "A pet.") == NULL);
    struct json_doc doc = { .nodes = NULL };
    struct json_error e;
    *strchr(text, '\n') = '\0';
    CHECK_INT(json_parse(&doc, slice_str(text), &e), 0);
    CHECK(json_type(&doc, json_get(&doc, 0, SLICE("messages"))) == JSON_ARRAY);
    json_deinit(&doc);
    set("report.json", text, sizeof(text));
    command_has(text, "\"kept\":2");
    clean();
}

TEST_NOFAULT(nothing_left_is_a_failure) {
    records(LINE("q", "I'm sorry, but I can't help with that.", "stop"));
    COMMAND(&r, perilune_tool_distill_data, "distill-data", "-o", folder, file, "--json");
    CHECK_INT(r.status, 1);
    command_has(r.err, "no example is left: nothing was written");
    command_has(r.out, "\"refusal\":1");
    COMMAND(&r, perilune_tool_distill_data, "distill-data", "-o", folder, file, "--keep-refusals");
    CHECK_INT(r.status, 0);
    clean();
    COMMAND(&r, perilune_tool_distill_data, "distill-data", "-o", folder, file);
    CHECK_INT(r.status, 1);
    command_has(r.err, "No such file or directory");
    clean();
}

/* A line without an end is whole or torn; one of many megabytes is none, and the next one is read. */
TEST_NOFAULT(odd_lines) {
    char *text = mem_zalloc(9u << 20);
    size_t n = (size_t)snprintf(text, 1u << 20, "%s", LINE("first", "one", "stop"));
    memset(text + n, 'x', 8u << 20);
    text[n + (8u << 20)] = '\n';
    n += (8u << 20) + 1;
    snprintf(text + n, 4096, "%s", LINE("last", "two", "stop"));
    text[strlen(text) - 1] = '\0';
    records(text);
    mem_free(text);
    COMMAND(&r, perilune_tool_distill_data, "distill-data", "-o", folder, file);
    CHECK_INT(r.status, 0);
    command_has(r.out, "3 records, 2 examples");
    command_has(r.out, "1 unreadable ");
    clean();
}

static void judge(const char *says, int status, const char *const *more) {
    struct sim_options o;
    struct sim *s;
    char url[64];
    sim_options_init(&o);
    o.text = slice_str(says);
    if (status != 0) o.status = status;
    records(LINE("What is a cat?", "An animal.", "stop") LINE("And a tree?", "A plant of wood.", "stop"));
    CHECK_INT(sim_start(&s, "127.0.0.1:0", &o), 0);
    snprintf(url, sizeof(url), "http://127.0.0.1:%d/v1", sim_port(s));
    COMMAND(&r, perilune_tool_distill_data, "distill-data", "-o", folder, file, "--judge", url, "--judge-model", "j",
            more[0], more[0] != NULL ? more[1] : NULL);
    sim_stop(s);
}

TEST_NOFAULT(a_judge_decides) {
    static const char *const none[] = { NULL, NULL }, *const lower[] = { "--min-score", "5" };
    judge("8", 0, none);
    CHECK_STR(r.err, "");
    CHECK_INT(r.status, 0);
    command_has(r.out, "2 records, 2 examples");
    clean();
    judge("5", 0, none);
    CHECK_INT(r.status, 1);
    command_has(r.out, "2 judged");
    clean();
    judge("5", 0, lower);
    CHECK_INT(r.status, 0);
    clean();
    judge("A good answer!", 0, none);
    CHECK_INT(r.status, 1);
    clean();
    judge("8", 401, none);
    CHECK_INT(r.status, 1);
    command_has(r.err, "status 401");
    char path[120];
    snprintf(path, sizeof(path), "%s/train.jsonl", folder);
    CHECK(access(path, F_OK) != 0);
    clean();
}

TEST_NOFAULT(what_was_not_understood) {
    COMMAND(&r, perilune_tool_distill_data, "distill-data", "-o", "x");
    CHECK_INT(r.status, 2);
    COMMAND(&r, perilune_tool_distill_data, "distill-data", "f");
    CHECK_INT(r.status, 2);
    command_has(r.err, "--output FOLDER");
    COMMAND(&r, perilune_tool_distill_data, "distill-data", "-o", "x", "f", "--valid", "0.6", "--test", "0.4");
    CHECK_INT(r.status, 2);
    COMMAND(&r, perilune_tool_distill_data, "distill-data", "-o", "x", "f", "--judge", "http://127.0.0.1:1/v1");
    CHECK_INT(r.status, 2);
    command_has(r.err, "say which --judge-model");
    COMMAND(&r, perilune_tool_distill_data, "distill-data", "-o", "/dev/null", "f");
    CHECK_INT(r.status, 1);
    command_has(r.err, "/dev/null: is not a folder");
}
