/* err.h -- what went wrong, in the words of the wire.
 *
 * `struct failure` is the C twin of the Lua table { code, message, status,
 * retryable }: it travels from an upstream through policies to the client.  Two of its members end
 * here: upstream and detail are for logs and policies. */
#ifndef PERILUNE_BASE_ERR_H
#define PERILUNE_BASE_ERR_H

#include <stdbool.h>

#include "base/buf.h"
#include "include/perilune.h"

/* ORDER failure: the table in err.c. Name, wire code, status, retryable, OpenAI type. */
#define FAILURE_MAP(XX)                                                                    \
    XX(NONE,            "ok",                    200, false, "")                           \
    XX(INVALID_REQUEST, "invalid_request",       400, false, "invalid_request_error")      \
    XX(INVALID_JSON,    "invalid_json",          400, false, "invalid_request_error")      \
    XX(NOT_FOUND,       "not_found",             404, false, "invalid_request_error")      \
    XX(METHOD,          "method_not_allowed",    405, false, "invalid_request_error")      \
    XX(MODEL_NOT_FOUND, "model_not_found",       404, false, "invalid_request_error")      \
    XX(TOO_LARGE,       "request_too_large",     413, false, "invalid_request_error")      \
    XX(CANCELED,        "canceled",              499, false, "canceled")                   \
    XX(POLICY,          "policy_error",          500, false, "server_error")               \
    XX(POLICY_BUDGET,   "policy_budget_exceeded",500, false, "server_error")               \
    XX(INTERNAL,        "internal_error",        500, false, "server_error")               \
    XX(NO_MEMORY,       "out_of_memory",         503, true,  "server_error")               \
    XX(DRAINING,        "draining",              503, true,  "server_error")               \
    XX(CONNECT,         "upstream_unreachable",  502, true,  "upstream_error")             \
    XX(DNS,             "upstream_dns",          502, true,  "upstream_error")             \
    XX(TLS,             "upstream_tls",          502, true,  "upstream_error")             \
    XX(RESET,           "upstream_reset",        502, true,  "upstream_error")             \
    XX(MALFORMED,       "upstream_malformed",    502, true,  "upstream_error")             \
    XX(UPSTREAM,        "upstream_error",        502, true,  "upstream_error")             \
    XX(STREAM,          "upstream_stream_error", 502, true,  "upstream_error")             \
    XX(TRUNCATED,       "upstream_truncated",    502, true,  "upstream_error")             \
    XX(ANSWER_TOO_LARGE,"upstream_too_large",    502, false, "upstream_error")             \
    XX(UNAVAILABLE,     "upstream_unavailable",  503, true,  "upstream_error")             \
    XX(TIMEOUT,         "timeout",               504, true,  "timeout_error")              \
    XX(DEADLINE,        "deadline_exceeded",     504, false, "timeout_error")              \
    XX(UPSTREAM_STATUS, "upstream_status",       502, false, "upstream_error")             \
    XX(REJECTED,        "rejected",              403, false, "invalid_request_error")      \
    XX(HOST,            "host_error",            500, false, "server_error")

enum failure_kind {
#define XX(name, code, status, retryable, type) FAILURE_##name,
    FAILURE_MAP(XX)
#undef XX
    FAILURE_KINDS
};

struct failure {
    enum failure_kind kind;
    int          status;      /* HTTP */
    bool         retryable;
    bool         unsent;      /* an upstream has seen nothing of the request: there was no connection to it */
    uint32_t     retry_after_ms; /* 0: not said */
    char         code[48];    /* the kind's, or what a policy or upstream said */
    char         type[40];
    char         param[64];   /* the field at fault, or empty */
    char         message[400]; /* for clients: names nothing that only operators may know */
    char         upstream[64]; /* who failed, or empty; no client reads it, nor the next */
    char         detail[240];  /* what the message must not say: hosts, addresses, words of a policy; or empty */
    struct buf   body;        /* upstream's own error body, verbatim; may be empty */
    struct buf   headers;     /* lines "name: value\r\n" of the upstream's, for the client; may be empty */
};

const char *failure_code(enum failure_kind kind);
/* Is it of a policy, or ours, and will it come again?  SDKs repeat every 5xx on their own: they are told not to. */
bool failure_is_final(const struct failure *f);
/* Are SDKs to be told not to repeat it by themselves?  It is final, or we refuse it for longer than they wait. */
bool failure_is_not_repeated(const struct failure *f);
/* An upstream may have done the work, or has: sent again the request may be paid twice.  SDKs are told so by a line
 * of f's headers; `retryable` stays, for policies. */
void failure_forbid_repeat(struct failure *f);
/* Can a request that an HTTP server answered with this status succeed later, or elsewhere? */
bool failure_status_is_retryable(int status);

/* Is it no failure, but a refusal that says when to come back: of a limit, of a gate, of an upstream that has too much
 * to do?  Who has time waits, and has used up no try. */
bool failure_says_later(const struct failure *f);

/* Did an upstream say that it has too much to do? */
bool failure_is_overload(const struct failure *f);

/* Fills f (which must be zeroed or initialized before) with the kind's defaults
 * and a message. */
void failure_set(struct failure *f, enum failure_kind kind, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* What operators read on top of it. */
void failure_explain(struct failure *f, const char *detail);
void failure_init(struct failure *f);
void failure_deinit(struct failure *f);
/* to, whatever it held, becomes the same as from.  Without memory it has no body. */
void failure_copy(struct failure *to, const struct failure *from);
/* Takes what from holds, from becomes empty. */
void failure_move(struct failure *to, struct failure *from);
static inline bool failure_is_set(const struct failure *f) { return f->kind != FAILURE_NONE; }

/* {"error":{"message":...,"type":...,"param":...,"code":...}} */
void failure_write_json(struct buf *out, const struct failure *f);

/* The same for a stream whose dialect nobody here knows: with the members that OpenAI's responses and Anthropic's
 * messages look for, too.  sequence: its number among the events. */
void failure_write_event_json(struct buf *out, const struct failure *f, uint64_t sequence);

#endif
