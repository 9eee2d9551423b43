/* test_known.c -- which entries of the second tier this process has. */
#include "store/known.h"

#include <stdio.h>

#include "unit.h"

static struct far_key key_of(unsigned i) {
    struct far_key k;
    snprintf(k.hex, sizeof(k.hex), "%016x%016x%032x", i * 7919, i, 0);
    return k;
}

TEST(what_was_set_is_known) {
    struct known *k = known_new();
    struct hash128 near;
    if (k == NULL) return;
    struct far_key a = key_of(1), b = key_of(2), none = { "" };
    CHECK(!known_get(k, &a, &near));
    known_set(k, &a, (struct hash128){ 5, 6 });
    known_set(k, &none, (struct hash128){ 7, 8 });
    CHECK(!known_get(k, &b, &near) && !known_get(k, &none, &near));
    if (known_get(k, &a, &near)) CHECK(near.low == 5 && near.high == 6);
    known_set(k, &a, (struct hash128){ 9, 9 });
    if (known_get(k, &a, &near)) CHECK(near.low == 9);
    known_free(k);
    known_free(NULL);
}

/* Some are forgotten, none is mistaken for another. */
TEST_NOFAULT(many) {
    struct known *k = known_new();
    struct hash128 near;
    unsigned found = 0;
    for (unsigned i = 0; i < 40000; i++) {
        struct far_key key = key_of(i);
        known_set(k, &key, (struct hash128){ i, i });
    }
    for (unsigned i = 0; i < 40000; i++) {
        struct far_key key = key_of(i);
        if (!known_get(k, &key, &near)) continue;
        CHECK_UINT(near.low, i);
        found++;
    }
    CHECK(found > 8000 && found < 40000);
    known_free(k);
}

