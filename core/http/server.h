/* server.h -- HTTP/1.1 for one thread: listeners, connections, requests in,
 * replies out.  It has never heard of models.  See server.c, conn.c, reply.c.
 *
 * The handler gets a request when its body is complete, and answers with the
 * reply_... functions, at once or later, until reply_end() or reply_abort().
 * Between the two it may hear `gone` (the client left: stop, do not reply; the
 * request is freed when gone returns) and `drained` (after FLOW_FULL). */
#ifndef PERILUNE_HTTP_SERVER_H
#define PERILUNE_HTTP_SERVER_H

#include <stdatomic.h>

#include "base/log.h"
#include "base/mem.h"
#include "flow/flow.h"
#include "http/coding.h"
#include "http/parse.h"
#include "http/tls.h"
#include "sys/loop.h"

struct http_conn;

struct http_request {
    struct http_conn   *conn;
    struct arena        arena;
    struct slice        method, path, query; /* path: target before '?', without a host */
    struct http_header *headers;             /* in the arena */
    unsigned            header_count;
    struct buf          body;                /* complete; the handler may buf_take() it */
    const char         *peer;                /* address without port, or "unix:UID"; the connection's */
    struct slice        lines;               /* headers of every reply to it, set by `head`; in the arena */
    uint64_t            start_us;            /* loop_hrtime_us() when the first byte came */
    void               *user;                /* the handler's */
};

struct http_handler {
    void *ud;
    /* The head of a request is here, its body is not.  May set r->lines.  NULL: nobody asks. */
    void (*head)(void *ud, struct http_request *r);
    void (*request)(void *ud, struct http_request *r);
    void (*gone)(void *ud, struct http_request *r);
    void (*drained)(void *ud, struct http_request *r);
    /* A request that never became one: malformed, too large, too slow.  Writes
     * the JSON body for it into out. */
    void (*refused)(void *ud, int status, const char *why, struct buf *out);
};

/* Another protocol on a connection that began with HTTP (RFC 9110 7.8). */
struct http_other {
    void (*bytes)(void *ud, struct slice s); /* they came; borrowed.  May end the connection */
    void (*drained)(void *ud);               /* after FLOW_FULL */
    void (*drain)(void *ud);                 /* the server drains: come to an end */
    void (*evicted)(void *ud);               /* it rests, and others want its place: last words, `gone` follows */
    void (*gone)(void *ud);                  /* the connection is closed: the last call */
};

struct http_limits {
    size_t   body;            /* bytes of one request body */
    uint64_t header_ms;       /* from the first byte of a request to its blank line */
    uint64_t body_ms;         /* from there to the last byte of the body */
    uint64_t idle_ms;         /* between requests */
    uint64_t send_ms;         /* a client that takes nothing of what we send; any byte begins it anew */
    size_t   compress_min;    /* bytes of the shortest reply that is compressed; 0: none is */
    bool     compress_streams; /* those of unknown length, too */
    size_t   high_water, low_water; /* bytes of unsent reply */
    unsigned connections;     /* at once; above it the kernel queues */
    unsigned process;         /* of all servers that share `total`; 0: no limit */
};

struct http_stats { /* written by the server's thread only */
    atomic_uint_least64_t accepted, refused, open, bytes_in, bytes_out;
    atomic_uint_least64_t compressed, compress_saved; /* replies, bytes */
};

struct http_server {
    struct loop        *loop;
    struct log         *log;
    struct http_handler handler;
    struct http_limits  limits;
    struct list         conns;     /* struct http_conn, those that are not in: */
    struct list         idle;      /* between requests, who has been there longest first */
    struct list         listeners; /* struct http_listener */
    unsigned            open;      /* connections */
    atomic_uint        *total;     /* the same, of all servers of the process; or NULL */
    bool                draining;
    bool                paused;    /* listeners are not polled */
    struct timer        recover;   /* after descriptors ran out */
    struct encoder     *encoders[CODING_UNKNOWN]; /* made when needed; whole replies only */
    struct http_head   *head;      /* parse scratch: 3 KB, one per thread */
    struct http_stats   stats;
    struct log_limit    fd_log;
};

int  http_server_init(struct http_server *s, struct loop *loop, struct log *log,
                      const struct http_handler *handler, const struct http_limits *limits);

/* Listens on "host:port" ("[::1]:80", "*:80"; port 0 picks one).  alone: an address
 * where somebody else listens is an error; else it is shared with those that share it too.
 * tls may be NULL; a share is taken.  *port is the bound port.  On failure err gets a sentence. */
int  http_server_listen(struct http_server *s, const char *address, bool alone, struct tls_context *tls,
                        int *port, char *err, size_t errlen);
/* The same on a duplicate of a socket that listens (shared_socket.h), for an address that stays as it is written. */
int  http_server_share(struct http_server *s, const char *address, int shared, struct tls_context *tls, int *port,
                       char *err, size_t errlen);
/* Does it listen for this address? One with port 0 is known by the port it got. */
bool http_server_has(const struct http_server *s, const char *address);
/* Closes the listeners whose address is not among the count given; connections
 * live on. */
void http_server_keep(struct http_server *s, const char *const *addresses, unsigned count);
/* The port on which it listens for this address; 0: it does not, or that has none. */
int  http_server_port(const struct http_server *s, const char *address);
/* New connections on all listeners use tls from now on. */
void http_server_set_tls(struct http_server *s, struct tls_context *tls);

/* No new connections; idle ones close, and those whose head does not come within a second; busy ones close after their
 * reply. */
void http_server_drain(struct http_server *s);
/* Closes everything now: busy requests hear `gone`.  The loop must run once more
 * before its memory may go. */
void http_server_close(struct http_server *s);
void http_server_deinit(struct http_server *s);

/* -- Request ------------------------------------------------------------------ */

/* First header of that name (any case), or an empty slice with ptr NULL. */
struct slice http_request_header(const struct http_request *r, struct slice name);

/* -- Reply (reply.c) ----------------------------------------------------------- */

#define REPLY_CHUNKED SIZE_MAX /* length not known: chunked, or until close for HTTP/1.0 */

/* Replies are compressed when limits and the client want it.
 * headers: complete lines "name: value\r\n", none with a name of http_field_is_framing().
 * Connection, length, and Date when it is missing are added here.  What cannot have a body
 * gets none: the handler need not know. */
void      reply_head(struct http_request *r, int status, struct slice headers, size_t length);
/* FLOW_FULL: above the high-water mark, wait for `drained`. */
enum flow reply_body(struct http_request *r, struct slice piece);
/* The reply is complete: r is freed, the connection goes on. */
void      reply_end(struct http_request *r);
/* Part of the reply found no memory: nothing more is sent, the connection closes.  Between
 * reply_head() or before, and reply_end(), which is still to be called. */
void      reply_lost(struct http_request *r);
/* What was sent goes out, then the connection closes without a clean end: the
 * client sees that something is missing.  r is freed. */
void      reply_abort(struct http_request *r);
/* A whole reply in one call. */
void      reply_send(struct http_request *r, int status, struct slice headers, struct slice body);

/* 101: r is freed, the connection is the other protocol's until it hears `gone` or gives it back (conn.h). name: of the
 * protocol, for the header Upgrade. */
void      reply_upgrade(struct http_request *r, struct slice name, struct slice headers, const struct http_other *other,
                        void *ud);

const char *http_reason(int status);

#endif
