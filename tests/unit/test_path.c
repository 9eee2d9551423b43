/* test_path.c -- path.c: one form for each path, and no two readings. */
#include "http/path.h"

#include <stdio.h>

#include "include/perilune.h"
#include "unit.h"

/* What becomes of a path: its normal form, or what is wrong with it. */
static int normal(struct arena *arena, const char *path, const char **out) {
    struct slice s = slice_str(path);
    const char *why = NULL;
    int rc = http_path_normalize(&s, arena, &why);
    if (rc == PERILUNE_ERR_INVAL) *out = why;
    else *out = rc == 0 ? arena_dup(arena, s) : "no memory";
    return *out == NULL ? PERILUNE_ERR_NOMEM : rc;
}

TEST_FAULT(each_path_has_one_form) {
    static const char *const cases[][2] = {
        { "/", "/" },
        { "*", "*" },
        { "/v1/chat/completions", "/v1/chat/completions" },
        { "/v1/ch%61t/%63ompletions", "/v1/chat/completions" },
        { "/v1/files/", "/v1/files/" },
        { "/a..b/.c/.../d.", "/a..b/.c/.../d." },
        { "/a%2fb%2F", "/a%2Fb%2F" },
        { "/m/ft%3agpt%2B%40", "/m/ft:gpt+@" },
        { "/%c3%A9/\xc3\xa9/%20/%7e", "/%C3%A9/%C3%A9/%20/~" },
        { "/100%25", "/100%25" },
        { "/100%25/%41", "/100%25/A" },
        { "/{a}|\"", "/%7Ba%7D%7C%22" },
    };
    struct arena arena;
    arena_init(&arena);
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        const char *got;
        NOTE("%s", cases[i][0]);
        int rc = normal(&arena, cases[i][0], &got);
        if (FAULTED(rc)) break;
        CHECK_INT(rc, 0);
        CHECK_STR(got, cases[i][1]);
        rc = normal(&arena, cases[i][1], &got); /* which is a form of its own */
        if (FAULTED(rc)) break;
        CHECK_STR(got, cases[i][1]);
    }
    arena_deinit(&arena);
}

TEST_NOFAULT(two_readings_are_refused) {
    static const char *const cases[][2] = {
        { "//", "slashes" }, { "//v1", "slashes" }, { "/v1//x", "slashes" }, { "/v1/%2fx", "slashes" },
        { "/v1%2f%2Fx", "slashes" }, { "/a//", "slashes" },
        { "/.", "segment" }, { "/..", "segment" }, { "/a/./b", "segment" }, { "/a/../b", "segment" },
        { "/%2e/b", "segment" }, { "/.%2E", "segment" }, { "/a/..%2fb", "segment" }, { "/a/%2e.", "segment" },
        { "/a\\b", "\\" }, { "/a%5cb", "\\" }, { "/a;b", ";" }, { "/a%3Bb", ";" },
        { "/%2561", "twice" }, { "/%25%36%31", "twice" }, { "/%256%31", "twice" },
        { "/%", "hex" }, { "/%6", "hex" }, { "/%6x", "hex" }, { "/%%61", "hex" },
        { "/%00", "control" }, { "/%0d", "control" }, { "/%7F", "control" },
    };
    struct arena arena;
    arena_init(&arena);
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        const char *got;
        NOTE("%s", cases[i][0]);
        CHECK_INT(normal(&arena, cases[i][0], &got), PERILUNE_ERR_INVAL);
        CHECK(strstr(got, cases[i][1]) != NULL);
    }
    arena_deinit(&arena);
}

/* Cut off at any byte, from a buffer of exactly that size: a sanitizer sees who reads on. */
TEST_NOFAULT(no_byte_behind_the_end_is_read) {
    static const char path[] = "/a/..b%2Fc%252";
    struct arena arena;
    arena_init(&arena);
    for (size_t n = 0; n < sizeof(path); n++) {
        char *block = mem_alloc(n ? n : 1);
        memcpy(block, path, n);
        struct slice s = slice_of(block, n), other;
        const char *why;
        http_path_normalize(&s, &arena, &why);
        http_path_with_slashes(slice_of(block, n), &arena, &other);
        mem_free(block);
    }
    arena_deinit(&arena);
}

TEST(another_reading) {
    struct arena arena;
    struct slice other = SLICE("");
    arena_init(&arena);
    CHECK(!http_path_with_slashes(SLICE("/v1/chat"), &arena, &other));
    CHECK(!http_path_with_slashes(SLICE("/v1/%2"), &arena, &other));
    CHECK(http_path_with_slashes(SLICE("/v1%2Fchat%2Fx%2F"), &arena, &other));
    bool whole = other.len > 0;
    if (whole) CHECK_SLICE(other, SLICE("/v1/chat/x/"));
    arena_deinit(&arena);
}
