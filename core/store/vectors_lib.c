/* vectors_lib.c -- what answers of all indexes have in common.
 *
 * Whatever a server sends is checked: a key has 64 hex digits, a similarity is a number in its range.  What is neither
 * is passed over, as if it had not been found. */
#include "store/vectors_lib.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDING 0.001

bool vectors_key(struct slice text, struct far_key *out) {
    if (text.len != sizeof(out->hex) - 1) return false;
    for (size_t i = 0; i < text.len; i++)
        if (!((text.ptr[i] >= '0' && text.ptr[i] <= '9') || (text.ptr[i] >= 'a' && text.ptr[i] <= 'f'))) return false;
    slice_copy(out->hex, sizeof(out->hex), text);
    return true;
}

bool vectors_number(struct slice text, double least, double most, double *out) {
    char copy[40], *end;
    if (text.len == 0 || text.len >= sizeof(copy)) return false;
    slice_copy(copy, sizeof(copy), text);
    *out = strtod(copy, &end);
    if (end != copy + text.len || !isfinite(*out) || *out < least - ROUNDING || *out > most + ROUNDING) return false;
    *out = *out < least ? least : *out > most ? most : *out;
    return true;
}

bool vectors_says(struct slice text, const char *words) {
    size_t len = strlen(words);
    for (size_t i = 0; i + len <= text.len; i++)
        if (memcmp(text.ptr + i, words, len) == 0) return true;
    return false;
}

/* "ERR unknown command 'VSIM'", "ERR Unknown Redis command called from script", "NOPERM User me has no permissions to
 * run", "ERR ACL failure in script: User me has no permissions to run". */
bool vectors_lacks_command(struct slice error) {
    return vectors_says(error, "unknown command") || vectors_says(error, "Unknown Redis command") ||
           vectors_says(error, "no permissions to run");
}
