/* coding.h -- content codings: gzip, deflate, zstd.  See coding.c. */
#ifndef PERILUNE_HTTP_CODING_H
#define PERILUNE_HTTP_CODING_H

#include "base/buf.h"
#include "http/parse.h"

enum coding {
    CODING_NONE, /* identity, or no header at all */
    CODING_GZIP,
    CODING_DEFLATE,
    CODING_ZSTD,
    CODING_UNKNOWN /* br, several at once, ... */
};

#define CODINGS_KNOWN "gzip, deflate, zstd" /* what can be decoded, as Accept-Encoding says it */

/* Of a Content-Encoding, which is a list.  UNKNOWN: one that we do not know, or a body that is packed twice. */
enum coding coding_of(struct slice value);
/* Of a body that has both: of two lines of that header. */
enum coding coding_over(enum coding inner, enum coding outer);
const char *coding_name(enum coding c);
/* The best coding for a reply to who sent this Accept-Encoding; CODING_NONE: plain.  Never deflate,
 * of which there are two. */
enum coding coding_choose(struct slice accept_encoding);

/* -- Decoding, in pieces ------------------------------------------------------ */

struct decoder;

/* At most limit bytes come out of it, however few go in.  NULL: no memory. */
struct decoder *decoder_new(enum coding c, size_t limit);
void decoder_free(struct decoder *d);
/* Appends to out what this piece decodes to.  Returns 0, PERILUNE_ERR_INVAL when it is not what it
 * says, PERILUNE_ERR_LIMITED or PERILUNE_ERR_NOMEM; after an error only decoder_free() follows. */
int  decoder_feed(struct decoder *d, struct slice in, struct buf *out);
/* All has come: 0, or PERILUNE_ERR_INVAL when something is missing. */
int  decoder_end(const struct decoder *d);

/* A whole body at once. */
int  coding_decode(enum coding c, struct slice in, size_t limit, struct buf *out);

/* What the headers of a request say of its body. */
enum coding coding_of_body(const struct http_header *headers, unsigned count);
/* Takes it off the body.  Returns 0, or the status of a reply that says *why not: 400, 413, 415 or 503; then nothing
 * has changed.  An empty body has none. */
int  coding_take_off(enum coding c, struct buf *body, size_t limit, const char **why);
/* And its header away. */
void coding_forget(struct http_header *headers, unsigned *count);

/* -- Encoding ------------------------------------------------------------------ */

struct encoder;

/* small: for a stream that many clients have open at once; packs less well.  NULL: no memory. */
struct encoder *encoder_new(enum coding c, bool small);
void encoder_free(struct encoder *e);

enum encoder_mode {
    ENCODER_FLUSH, /* the receiver can decode all that went in */
    ENCODER_END    /* and there is nothing behind it; the encoder begins anew */
};
int  encoder_feed(struct encoder *e, struct slice in, enum encoder_mode mode, struct buf *out);

#endif
