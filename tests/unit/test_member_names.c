/* test_member_names.c -- names are told apart, keep their numbers, and find an end. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "local/member_names.h"

TEST_NOFAULT(each_name_has_one_number) {
    struct member_names *n = calloc(1, sizeof(*n)); /* lint: a test's own */
    char name[24];
    member_names_init(n);
    CHECK_INT(member_names_find(n, SLICE("")), -1);
    CHECK_INT(member_names_add(n, SLICE("")), 0);
    CHECK_INT(member_names_add(n, SLICE("age")), 1);
    CHECK_INT(member_names_add(n, SLICE("ag")), 2);
    CHECK_INT(member_names_add(n, SLICE("age")), 1);
    CHECK_INT(member_names_find(n, SLICE("")), 0);
    CHECK_INT(member_names_find(n, SLICE("e")), -1);
    CHECK_SLICE(member_names_get(n, 1), SLICE("age"));
    for (unsigned i = 3; i < MEMBER_NAMES_MAX; i++) {
        snprintf(name, sizeof(name), "n%u", i);
        CHECK_INT(member_names_add(n, slice_str(name)), (int)i);
    }
    CHECK_INT(member_names_add(n, SLICE("one more")), -1);
    CHECK(!buf_failed(&n->text));
    CHECK_INT(member_names_add(n, SLICE("ag")), 2);
    CHECK_INT(member_names_find(n, slice_str(name)), MEMBER_NAMES_MAX - 1);
    CHECK_SLICE(member_names_get(n, MEMBER_NAMES_MAX - 1), slice_str(name));
    member_names_deinit(n);
    free(n);
}
