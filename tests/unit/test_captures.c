/* test_captures.c -- lines that policies keep in files, and what they count. */
#include "store/captures.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/tally.h"
#include "unit.h"

static char folder[] = "/tmp/perilune-captures-XXXXXX", path[128];

static void begin(void) {
    CHECK(mkdtemp(folder) != NULL);
    snprintf(path, sizeof(path), "%s/lines", folder);
}

static void end(void) {
    char old[160];
    for (int i = 1; i <= 3; i++) {
        snprintf(old, sizeof(old), "%s.%d", path, i);
        unlink(old);
    }
    unlink(path);
    rmdir(folder);
}

static void write_text(const char *text) {
    FILE *f = fopen(path, "wb");
    CHECK(f != NULL);
    fputs(text, f);
    fclose(f);
}

static const char *read_text(const char *from) {
    static char text[4096];
    FILE *f = fopen(from, "rb");
    size_t n = f != NULL ? fread(text, 1, sizeof(text) - 1, f) : 0;
    if (f != NULL) fclose(f);
    text[n] = '\0';
    return text;
}

static enum captures_result put(struct captures *c, const char *line, uint64_t max, unsigned keep) {
    return captures_put(c, &(struct captures_file){ path, max, keep }, slice_str(line));
}

TEST_NOFAULT(lines_go_to_the_end_of_the_file) {
    begin();
    write_text("{\"a\":1}\n");
    struct captures *c = captures_new();
    CHECK_INT(put(c, "{\"b\":2}", 1000, 0), CAPTURES_TAKEN);
    CHECK_INT(put(c, "{\"c\":3}", 1000, 0), CAPTURES_TAKEN);
    captures_free(c);
    CHECK_STR(read_text(path), "{\"a\":1}\n{\"b\":2}\n{\"c\":3}\n");
    end();
}

TEST_NOFAULT(half_a_line_of_a_crash_goes) {
    begin();
    write_text("{\"a\":1}\n{\"half\":");
    struct captures *c = captures_new();
    put(c, "{\"b\":2}", 1000, 0);
    captures_free(c);
    CHECK_STR(read_text(path), "{\"a\":1}\n{\"b\":2}\n");
    write_text("nothing but half");
    c = captures_new();
    put(c, "whole", 1000, 0);
    captures_free(c);
    CHECK_STR(read_text(path), "whole\n");
    end();
}

TEST_NOFAULT(a_full_file_takes_no_more) {
    begin();
    struct captures *c = captures_new();
    CHECK_INT(put(c, "12345", 12, 0), CAPTURES_TAKEN);
    CHECK_INT(put(c, "12345", 12, 0), CAPTURES_TAKEN);
    CHECK_INT(put(c, "", 12, 0), CAPTURES_FULL);
    captures_free(c);
    CHECK_STR(read_text(path), "12345\n12345\n");
    c = captures_new(); /* what is there counts */
    CHECK_INT(put(c, "1", 12, 0), CAPTURES_FULL);
    CHECK_INT(put(c, "x", 0, 0), CAPTURES_FULL);
    captures_free(c);
    end();
}

TEST_NOFAULT(or_it_is_rotated) {
    char old[160];
    begin();
    struct captures *c = captures_new();
    for (int i = 0; i < 5; i++) {
        char line[8];
        snprintf(line, sizeof(line), "line%d", i);
        CHECK_INT(put(c, line, 12, 2), CAPTURES_TAKEN);
    }
    captures_free(c);
    CHECK_STR(read_text(path), "line4\n");
    snprintf(old, sizeof(old), "%s.1", path);
    CHECK_STR(read_text(old), "line2\nline3\n");
    snprintf(old, sizeof(old), "%s.2", path);
    CHECK_STR(read_text(old), "line0\nline1\n");
    end();
}

TEST_NOFAULT(what_cannot_be_written_is_said) {
    char why[200];
    begin();
    struct captures *c = captures_new();
    struct captures_file nowhere = { "/nowhere/at/all", 1000, 0 };
    captures_put(c, &nowhere, SLICE("x"));
    for (int i = 0; i < 5000; i++) { /* its thread finds it out */
        captures_problem(c, nowhere.path, why, sizeof(why));
        if (why[0] != '\0') break;
        usleep(1000);
    }
    CHECK(strstr(why, "cannot be opened") != NULL);
    CHECK_INT(captures_put(c, &nowhere, SLICE("x")), CAPTURES_FAILED);
    captures_free(c);
    end();
}

TEST_NOFAULT(too_long_lines_and_too_many_files) {
    static char line[CAPTURES_LINE + 1];
    char name[160];
    begin();
    memset(line, 'x', sizeof(line));
    struct captures *c = captures_new();
    struct captures_file f = { path, 1u << 30, 0 };
    CHECK_INT(captures_put(c, &f, slice_of(line, CAPTURES_LINE)), CAPTURES_LONG);
    for (int i = 0; i < CAPTURES_FILES; i++) {
        snprintf(name, sizeof(name), "%s/nowhere/%d", folder, i);
        f.path = name;
        CHECK(captures_put(c, &f, SLICE("x")) == CAPTURES_TAKEN);
    }
    f.path = path;
    CHECK_INT(captures_put(c, &f, SLICE("x")), CAPTURES_FAILED);
    captures_free(c);
    end();
}

TEST_NOFAULT(faster_than_the_disk_lines_are_lost_and_told) {
    static char line[100 * 1024];
    enum captures_result r = CAPTURES_TAKEN;
    begin();
    memset(line, 'x', sizeof(line));
    struct captures *c = captures_new();
    struct captures_file f = { path, 1u << 30, 0 };
    for (int i = 0; i < 1000 && r == CAPTURES_TAKEN; i++) r = captures_put(c, &f, slice_of(line, sizeof(line)));
    CHECK(r == CAPTURES_LATE || r == CAPTURES_TAKEN); /* a fast disk may keep up */
    captures_free(c);
    struct stat st;
    CHECK(stat(path, &st) == 0 && st.st_size % (off_t)(sizeof(line) + 1) == 0);
    end();
}

/* -- Counting ------------------------------------------------------------------------------------ */

struct sum {
    double   value;
    unsigned rows;
    char     last[TALLY_LABEL];
};

static void add(void *ud, const char (*labels)[TALLY_LABEL], double value) {
    struct sum *s = ud;
    s->value += value;
    s->rows++;
    snprintf(s->last, sizeof(s->last), "%s", labels[1]);
}

TEST(counts_by_labels) {
    struct tally *t = tally_new();
    if (FAULTED(t)) return;
    struct sum s = { 0 };
    const char *a[TALLY_LABELS] = { "p", "small", "x" }, *b[TALLY_LABELS] = { "p", "big", NULL };
    tally_add(t, TALLY_ROUTED, a, 1);
    tally_add(t, TALLY_ROUTED, a, 2);
    tally_add(t, TALLY_ROUTED, b, 4);
    tally_add(t, TALLY_TRIALS, b, 8);
    tally_each(t, TALLY_ROUTED, add, &s);
    CHECK(s.value == 7 && s.rows == 2);
    tally_free(t);
}

TEST(what_finds_no_room_counts_as_other) {
    struct tally *t = tally_new();
    if (FAULTED(t)) return;
    for (int i = 0; i < TALLY_ROWS + 100; i++) {
        char name[32];
        snprintf(name, sizeof(name), "upstream %d", i);
        const char *labels[TALLY_LABELS] = { "p", name, NULL };
        tally_add(t, TALLY_TRIALS, labels, 1);
    }
    struct sum s = { 0 };
    tally_each(t, TALLY_TRIALS, add, &s);
    CHECK(s.value == TALLY_ROWS + 100 && s.rows == TALLY_ROWS + 1);
    tally_free(t);
}
