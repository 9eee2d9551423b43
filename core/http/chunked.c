/* chunked.c -- takes the framing off a chunked body.
 *
 *     4 ;ext=1\r\n    SIZE -> PADDING -> EXTENSION -> SIZE_LF
 *     data            DATA           handed out as it lies in the input
 *     \r\n            DATA_CR -> DATA_LF -> SIZE_FIRST
 *     0\r\n
 *     Name: x\r\n     LINE -> NAME -> VALUE -> VALUE_LF -> LINE
 *     \r\n            LINE -> END_LF -> END
 *
 * A state machine over bytes, because they come in any pieces; only the data is
 * taken whole.  As strict as parse.c and for the same reason: a size is hex
 * digits with nothing but spaces behind them, lines end in CRLF, and trailers have the form of
 * headers although nobody reads them.
 *
 * Invariants: `digits` counts those of the size being read; `line` counts the
 * bytes of one extension with the spaces before it, or of all trailers; `left` is what is missing of the
 * current chunk.  After HTTP_BAD the struct must not be fed again.
 *
 * Not done here: the limit on the body; that is the caller's sum of the pieces.
 *
 * Thread: any.  Allocates nothing; *data points into the caller's bytes. */
#include "base/hex.h"
#include "http/parse.h"
#include "http/token.h"

#define SIZE_DIGITS   16         /* 64 bits in hex: more could overflow */
#define EXTENSION_MAX (4 * 1024)
#define TRAILERS_MAX  (8 * 1024)

enum state {
    SIZE_FIRST, /* a digit must come */
    SIZE,
    PADDING,    /* spaces behind the size: BWS of RFC 9112 7.1.1, and some fill up to a fixed width */
    EXTENSION,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    LINE, /* start of a trailer line, or of the blank one */
    NAME,
    VALUE,
    VALUE_LF,
    END_LF,
    END,
};

static int bad(const char **why, const char *sentence) {
    *why = sentence;
    return HTTP_BAD;
}

static int eat_padding(struct http_chunked *c, char byte, const char **why) {
    if (byte == ';') c->state = EXTENSION;
    else if (byte == '\r') c->state = SIZE_LF;
    else if (byte == ' ' || byte == '\t') c->state = PADDING;
    else return bad(why, "invalid byte in a chunk size");
    if (c->state == PADDING && ++c->line > EXTENSION_MAX) return bad(why, "chunk extension over 4 KiB");
    return 0;
}

static int eat_size(struct http_chunked *c, char byte, const char **why) {
    int digit = hex_value(byte);

    if (digit >= 0) {
        if (c->digits == SIZE_DIGITS) return bad(why, "chunk size over 16 digits");
        c->left = c->left << 4 | (unsigned)digit;
        c->digits++;
        c->state = SIZE;
        return 0;
    }
    if (c->state == SIZE_FIRST) return bad(why, "chunk without a size");
    return eat_padding(c, byte, why);
}

static int eat_extension(struct http_chunked *c, char byte, const char **why) {
    if (byte == '\r') {
        c->state = SIZE_LF;
        return 0;
    }
    if (http_is_control(byte)) return bad(why, "control byte in a chunk extension");
    if (++c->line > EXTENSION_MAX) return bad(why, "chunk extension over 4 KiB");
    return 0;
}

/* The line with the size is over: data, or after the last chunk the trailers. */
static void begin_data(struct http_chunked *c) {
    c->line = 0;
    c->state = c->left > 0 ? DATA : LINE;
}

static void begin_size(struct http_chunked *c) {
    *c = (struct http_chunked){ .state = SIZE_FIRST };
}

static int eat_trailer(struct http_chunked *c, char byte, const char **why) {
    if (c->state == VALUE && byte == '\r') {
        c->state = VALUE_LF;
        return 0;
    }
    if (c->state == LINE && byte == '\r') {
        c->state = END_LF;
        return 0;
    }
    if (++c->line > TRAILERS_MAX) return bad(why, "trailers over 8 KiB");
    if (c->state == VALUE)
        return http_is_control(byte) ? bad(why, "control byte in a trailer") : 0;
    if (c->state == NAME && byte == ':') {
        c->state = VALUE;
        return 0;
    }
    if (!http_is_token(byte)) return bad(why, "malformed trailer");
    c->state = NAME;
    return 0;
}

static int eat_exactly(struct http_chunked *c, char byte, char expected, enum state next,
                       const char **why) {
    if (byte != expected) return bad(why, "CRLF expected in a chunked body");
    c->state = (uint8_t)next;
    return 0;
}

/* One byte of anything but data. */
static int eat_byte(struct http_chunked *c, char byte, const char **why) {
    int rc = 0;

    switch ((enum state)c->state) {
    case SIZE_FIRST: case SIZE: return eat_size(c, byte, why);
    case PADDING: return eat_padding(c, byte, why);
    case EXTENSION: return eat_extension(c, byte, why);
    case SIZE_LF:
        rc = eat_exactly(c, byte, '\n', DATA, why);
        if (rc == 0) begin_data(c);
        return rc;
    case DATA_CR: return eat_exactly(c, byte, '\r', DATA_LF, why);
    case DATA_LF:
        rc = eat_exactly(c, byte, '\n', SIZE_FIRST, why);
        if (rc == 0) begin_size(c);
        return rc;
    case LINE: case NAME: case VALUE: return eat_trailer(c, byte, why);
    case VALUE_LF: return eat_exactly(c, byte, '\n', LINE, why);
    case END_LF: return eat_exactly(c, byte, '\n', END, why);
    case DATA: case END: break; /* not bytes of framing */
    }
    return 0;
}

void http_chunked_init(struct http_chunked *c) { begin_size(c); }

long http_chunked_eat(struct http_chunked *c, struct slice s, struct slice *data, bool *done,
                      const char **why) {
    size_t i = 0;

    *data = slice_of("", 0);
    *done = false;
    *why = NULL;
    while (i < s.len && c->state != DATA && c->state != END) {
        int rc = eat_byte(c, s.ptr[i], why);
        if (rc < 0) return rc;
        i++;
    }
    if (c->state == DATA && i < s.len) {
        size_t n = s.len - i < c->left ? s.len - i : (size_t)c->left;
        *data = slice_of(s.ptr + i, n);
        c->left -= n;
        if (c->left == 0) c->state = DATA_CR;
        i += n;
    }
    *done = c->state == END;
    return (long)i;
}
