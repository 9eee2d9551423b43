/* sim.h -- a simulated OpenAI-compatible upstream.  See sim.c. */
#ifndef PERILUNE_SIM_SIM_H
#define PERILUNE_SIM_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

/* How to answer one request.  Fields that count tokens ("after") are -1 when
 * off.  Durations are in milliseconds, fractions allowed. */
struct sim_options {
    double ttft_ms, itl_ms;  /* to the first token, between tokens */
    double delay_ms;         /* before the response head */
    double jitter;           /* each wait varies by +- this fraction */
    double slow_ms;          /* pause between writes of `slow` bytes */
    long   tokens;           /* length of the answer */
    long   bytes;            /* content of this many bytes instead of tokens; 0: off */
    long   status;           /* HTTP status; not 200: an error body */
    long   retry_after;      /* seconds, sent with any other status than 200; -1: off */
    long   cut;              /* after: close the connection */
    long   stall;            /* after: send nothing more, keep it open */
    long   malformed;        /* after: a chunk size that is none, then close */
    long   error_event;      /* after: data: {"error": ...} and the end, without [DONE] */
    long   slow;             /* bytes per write; 0: off */
    long   split;            /* one write, one loop turn per this many bytes; 0: off */
    bool   cut_head;         /* close before the first byte */
    bool   reset;            /* cut and cut_head reset (RST) instead of closing (FIN) */
    bool   bad_json;         /* the JSON of the answer breaks off */
    bool   endless;          /* tokens never end */
    bool   crlf;             /* event lines end in CRLF */
    bool   comments;         /* ": ping" before every event */
    bool   no_done;          /* the stream ends without [DONE] */
    bool   not_chunked;      /* the end of the body is the end of the connection */
    bool   echo;             /* answer with the last user message */
    bool   prefix_cache;     /* beginnings of prompts are kept: sim_prefix.c */
    bool   tool_call;        /* call the request's first tool, if it has one */
    struct slice text;       /* answer with this; BORROWS from the parsed text, may
                                hold backslash escapes; ptr NULL: off */
};

/* One entry of --fault: with this probability, these options on top. */
struct sim_fault {
    double       probability;
    struct slice options; /* BORROWS: "status=500,retry_after=1" */
};

void sim_options_init(struct sim_options *o); /* the defaults: 16 tokens at once */

/* Reads "ttft_ms=20,itl_ms=5,text=\"a, b\"" on top of what o holds.  A boolean may
 * stand alone ("crlf") or be 0/1/true/false.  Returns 0, or PERILUNE_ERR_INVAL
 * with a sentence in err (naming the nearest key for an unknown one) and o
 * unchanged.  o->text borrows from text. */
int sim_options_parse(struct sim_options *o, struct slice text, char *err, size_t errlen);

/* "0.05:status=500" -> *f, which borrows from text.  Errors as above. */
int sim_fault_parse(struct sim_fault *f, struct slice text, char *err, size_t errlen);

/* -- A server on its own thread ---------------------------------------------- */

struct sim;

/* Starts a server at "127.0.0.1:8000" (port 0: the kernel picks one) with its own
 * loop on its own thread, and returns when it accepts connections.  opt NULL: the
 * defaults; it is copied.  Returns 0; PERILUNE_ERR_INVAL for an address that is
 * none, PERILUNE_ERR_IO when it cannot be had, PERILUNE_ERR_NOMEM: *out is NULL. */
int  sim_start(struct sim **out, const char *address, const struct sim_options *opt);
int  sim_port(const struct sim *s);
/* Closes all connections, joins the thread, frees s.  NULL: nothing. */
void sim_stop(struct sim *s);

#endif
