/* conn.h -- one client's connection; shared by conn.c, reply.c and server.c. */
#ifndef PERILUNE_HTTP_CONN_H
#define PERILUNE_HTTP_CONN_H

#include "http/server.h"
#include "http/tls.h"

enum conn_state {
    CONN_IDLE,   /* between requests */
    CONN_HEAD,   /* some bytes of a head are here */
    CONN_BODY,
    CONN_BUSY,   /* the handler has the request */
    CONN_OTHER,  /* another protocol has the connection: http_upgrade() */
    CONN_LINGER, /* reply sent, client still talking: drop until it stops */
    CONN_CLOSED  /* handle is closing */
};

struct http_conn {
    uv_tcp_t             tcp;
    struct list          link;
    struct http_server  *server;
    struct tls          *tls;
    struct http_request *request; /* from its head until its reply ended */
    const struct http_other *other; /* CONN_OTHER: who has the connection, */
    void                *other_ud;
    struct packing      *packing; /* of its reply, when that is compressed; see reply.c */
    enum conn_state      state;
    struct buf           in;      /* came, not yet parsed */
    struct buf           out;     /* to be sent when this turn ends */
    struct buf           cipher;  /* TLS: the same, encrypted */
    struct conn_write   *writing; /* handed to the kernel, not all taken yet */
    size_t               writing_len;
    uint64_t             handed;  /* bytes written since the beginning */
    uint64_t             taken;   /* of these by the client, when we looked last */
    struct deferred           flush;
    struct deferred           advance; /* parse what is left in `in` */
    struct timer         deadline;
    uint64_t             expires_ms; /* when the deadline really is */
    uint64_t             idle_since_ms, linger_until_ms;
    size_t               seen;    /* bytes of a partial head already looked at */
    struct http_chunked  chunks;
    uint64_t             body_left;
    uint64_t             first_byte_us;
    char                 peer[46];  /* INET6_ADDRSTRLEN */
    unsigned             keep_alive : 1, chunked_in : 1, chunked_out : 1, minor : 1,
                         head_only : 1,   /* the request's method is HEAD */
                         no_body : 1,     /* of the reply that began */
                         open_end : 1,    /* its body ends with the connection, and is not all sent */
                         whole : 1,       /* nothing is added to it any more */
                         close_after : 1, /* once everything is sent */
                         linger : 1,      /* with lingering, then */
                         was_full : 1, feeding : 1, reading : 1;
};

struct http_conn *conn_new(struct http_server *s);
void conn_start(struct http_conn *c, struct tls_context *tls); /* accepted: begin reading */
/* The client is gone, or has to go, now.  A busy request hears `gone`. */
void conn_close(struct http_conn *c);
/* What is queued in c->out leaves when the turn ends. */
void conn_touch(struct http_conn *c);
/* -- CONN_OTHER -- */
/* The request of c is answered, with 101: its bytes are the other protocol's from now on. */
void conn_hand_over(struct http_conn *c, const struct http_other *other, void *ud);
/* Nothing is under way: it may be closed when others want its place; or not any more. */
void conn_rest(struct http_conn *c, bool rests);
/* The other protocol has said its last, which is in c->out: it hears nothing more of c. */
void conn_hand_back(struct http_conn *c);
/* -- The server's -- */
void conn_make_room(struct http_conn *c); /* an idle one closes for the sake of another */
void conn_drain(struct http_conn *c, uint64_t head_ms);

/* Unsent bytes. */
size_t conn_backlog(const struct http_conn *c);
void reply_packing_free(struct packing *p);
/* A whole reply, after which the connection closes, to what may not have become a request. */
void reply_refusal(struct http_conn *c, int status, struct slice json);
/* The reply is complete. */
void conn_reply_done(struct http_conn *c, bool clean);

#endif
