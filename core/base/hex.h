/* hex.h -- hexadecimal digits. */
#ifndef PERILUNE_BASE_HEX_H
#define PERILUNE_BASE_HEX_H

#include <stddef.h>

/* What the digit stands for, in either case; -1: it is none. */
static inline int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* 2 * n digits, lower case, and no NUL. */
static inline void hex_write(const unsigned char *bytes, size_t n, char *out) {
    for (size_t i = 0; i < n; i++) {
        *out++ = "0123456789abcdef"[bytes[i] >> 4];
        *out++ = "0123456789abcdef"[bytes[i] & 15];
    }
}

#endif
