/* token.h -- which bytes may stand where in HTTP (RFC 9110 5.6, RFC 3986 3.2.2).
 * For parse.c, chunked.c and field.c. */
#ifndef PERILUNE_HTTP_TOKEN_H
#define PERILUNE_HTTP_TOKEN_H

#include <stdbool.h>

enum {
    HTTP_TOKEN = 1, /* methods, header names: letters, digits, !#$%&'*+-.^_`|~ */
    HTTP_HOST = 2,  /* name or address, port: letters, digits, !$%&'()*+,-.:;=[]_~ */
};

/* The classes of c.  A table, since every byte of every name asks it. */
static inline bool http_is(char c, unsigned classes) {
    static const unsigned char table[256] = {
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, /* 00 */
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, /* 10 */
        0, 3, 0, 1, 3, 3, 3, 3, 2, 2, 3, 3, 2, 3, 3, 0, /* 20 */
        3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 2, 2, 0, 2, 0, 0, /* 30 */
        0, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, /* 40 */
        3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 2, 0, 2, 1, 3, /* 50 */
        1, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, /* 60 */
        3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 0, 1, 0, 3, 0, /* 70 */
    };
    return table[(unsigned char)c] & classes;
}

static inline bool http_is_token(char c) { return http_is(c, HTTP_TOKEN); }
static inline bool http_is_host(char c) { return http_is(c, HTTP_HOST); }
static inline bool http_is_digit(char c) { return (unsigned char)(c - '0') < 10; }
static inline bool http_is_visible(char c) { return c > 0x20 && c < 0x7f; }

/* What no line may hold: everything below space but HTAB, and DEL. */
static inline bool http_is_control(char byte) {
    unsigned char c = (unsigned char)byte;
    return (c < 0x20 && c != '\t') || c == 0x7f;
}

#endif
