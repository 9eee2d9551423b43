/* json_stream.h -- JSON that is still being written, read value by value.
 * See json_stream.c. */
#ifndef PERILUNE_LLM_JSON_STREAM_H
#define PERILUNE_LLM_JSON_STREAM_H

#include "base/json.h"

#define JSON_STREAM_DEPTH 128 /* most that max_depth may be */

/* A scalar that is complete, or an empty array or object.  Borrowed during the call. */
struct json_scalar {
    struct slice   path; /* JSON pointer (RFC 6901): "/items/0/name"; "" is the root */
    enum json_type type;
    struct slice   text; /* as it came: "\"caf\\u00e9\"", "12.5", "null", "[]", "{}" */
};

/* Returns 0 to go on; anything else ends the feeding with that value. */
typedef int (*json_stream_fn)(void *ud, const struct json_scalar *s);

struct json_stream_limits { /* 0: the default */
    unsigned max_depth; /* open arrays and objects; 64 */
    size_t   max_size;  /* bytes fed in all; 16 MiB */
    size_t   max_value; /* bytes of one scalar or key; 1 MiB */
    bool     seek;      /* begin at the first { or [, ignore what is behind the value:
                           models like to say a word before, and to put fences around */
};

struct json_stream {
    struct json_stream_limits limits;
    struct buf       token; /* the unfinished key or scalar */
    struct buf       path;  /* of what is being read */
    struct json_doc  doc;   /* checks a finished token */
    size_t           offset; /* bytes fed before the current piece */
    size_t           start;  /* offset of token, for messages */
    struct level {
        uint32_t path_len; /* of the container itself */
        uint32_t count;    /* elements or members so far */
        bool     object;
    }                levels[JSON_STREAM_DEPTH];
    unsigned         depth;
    int              want;   /* enum want */
    bool             in_token, in_string, escaped, is_key;
    int              rc;     /* of the first failure, for good */
    struct json_error error;
};

void json_stream_init(struct json_stream *j, const struct json_stream_limits *limits);
void json_stream_deinit(struct json_stream *j);

/* Feeds bytes; calls fn for each scalar as soon as it is complete (a number is when
 * the byte behind it is here).  How the text is cut does not matter.  Returns 0;
 * what fn returned; PERILUNE_ERR_INVAL (not JSON) or PERILUNE_ERR_LIMITED with
 * error filled; PERILUNE_ERR_NOMEM.  A failure is for good: so fails every later
 * call. */
int json_stream_feed(struct json_stream *j, struct slice s, json_stream_fn fn, void *ud);

/* The text is over: completes a number that is the root.  PERILUNE_ERR_INVAL when
 * the value is not complete. */
int json_stream_finish(struct json_stream *j, json_stream_fn fn, void *ud);

/* Is the root value complete? */
bool json_stream_is_done(const struct json_stream *j);

#endif
