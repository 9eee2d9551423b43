/* webhook.c -- what is told to whom when a job has ended, and when it is told again: Standard Webhooks 1.0.
 *
 *     webhook-id: msg_5f..._17              the same for each try: whoever gets it twice knows
 *     webhook-timestamp: 1790000000         of this try: an old message that somebody kept is refused
 *     webhook-signature: v1,K5oZ... v1,...  HMAC-SHA-256 of "id.timestamp.body" by each secret
 *
 *     {"type":"job.completed","timestamp":"2026-11-29T12:00:00.000Z","data":{"id":"job_...","status":...}}
 *                               when the job ended: the same for each try
 *
 * **Secrets.**  A secret that two tenants share lets each write messages to the other in our name.  So what
 * signs a tenant's messages is made of the operator's secret and the tenant's name (HMAC, which tells nothing of the
 * secret); the operator hands it out.  With several secrets each signs, so that receivers can change from one to the
 * next whenever they like; then the old one is taken away.
 *
 * **Tries.**  At once, then after pauses: by default (config.lua) the standard's as far as they fit into a day, each up
 * to a fifth longer or shorter by chance, so that what went down together does not come back together.  A receiver may
 * ask for a longer pause (Retry-After).
 *
 * No I/O and no clock here: gateway/webhooks.c sends. */
#include "jobs/webhook.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/base64.h"
#include "base/json.h"
#include "base/sha256.h"
#include "jobs/job_text.h"

#define DAY_MS (24u * 3600 * 1000)

/* -- Secrets ---------------------------------------------------------------------------- */

static const struct slice prefix = SLICE("whsec_");

bool webhook_secret_read(struct slice text, struct webhook_secret *out) {
    if (!slice_starts(text, prefix)) return false;
    struct slice rest = slice_of(text.ptr + prefix.len, text.len - prefix.len);
    return base64_read(rest, out->bytes, sizeof(out->bytes), &out->len) && out->len >= WEBHOOK_SECRET_MIN;
}

void webhook_secret_write(const struct webhook_secret *s, struct buf *out) {
    buf_slice(out, prefix);
    base64_write(out, slice_of((const char *)s->bytes, s->len));
}

bool webhook_secret_derive(const struct webhook_secret *of, struct slice tenant, struct webhook_secret *out) {
    const struct slice pieces[] = { SLICE("perilune webhook tenant "), tenant };
    if (tenant.len == 0) {
        *out = *of;
        return true;
    }
    out->len = SHA256_BYTES;
    return sha256_hmac(slice_of((const char *)of->bytes, of->len), pieces, 2, out->bytes);
}

/* -- URLs ----------------------------------------------------------------------------------- */

/* Behind the host: nothing, or ":" and a port that there is. */
static bool is_port(struct slice s) {
    unsigned long port = 0;
    if (s.len < 2) return s.len == 0; /* ":" alone is no port that anybody means */
    for (size_t i = 1; i < s.len && port <= 65535; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9') return false;
        port = port * 10 + (unsigned long)(s.ptr[i] - '0');
    }
    return s.ptr[0] == ':' && port > 0 && port <= 65535;
}

/* What a call takes as a host: a name, an IPv4 address; in brackets an IPv6 address, without a zone, since that is a
 * net of this machine. */
static bool is_host(struct slice s, bool bracket) {
    char text[INET6_ADDRSTRLEN];
    struct in6_addr ignored;
    if (bracket) {
        if (s.len >= sizeof(text)) return false;
        slice_copy(text, sizeof(text), s);
        return inet_pton(AF_INET6, text, &ignored) == 1;
    }
    for (size_t i = 0; i < s.len; i++)
        if (!isalnum((unsigned char)s.ptr[i]) && strchr("-._", s.ptr[i]) == NULL) return false;
    return s.len < 256;
}

const char *webhook_refused(const struct webhook_settings *s, struct slice url) {
    if (s == NULL) return "no webhooks are sent here; jobs.webhooks in the configuration turns them on";
    bool secure = url.len > 8 && strncasecmp(url.ptr, "https://", 8) == 0;
    bool plain = url.len > 7 && strncasecmp(url.ptr, "http://", 7) == 0;
    if (url.len > JOB_URL_MAX) return "the URL of a webhook has at most 2047 bytes";
    if (plain && !s->http) return "the URL of a webhook must begin with https:// (jobs.webhooks.http allows others)";
    if (!secure && !plain) return "the URL of a webhook must begin with https://";
    size_t begin = secure ? 8 : 7;
    for (size_t i = begin; i < url.len; i++) {
        unsigned char c = (unsigned char)url.ptr[i];
        if (c <= ' ' || c >= 0x7f) return "the URL of a webhook must be written in ASCII without blanks";
        if (c == '#') return "the URL of a webhook must have no fragment (#)";
    }
    size_t end = begin;
    while (end < url.len && url.ptr[end] != '/' && url.ptr[end] != '?') end++;
    if (end == begin) return "the URL of a webhook names no host";
    if (memchr(url.ptr + begin, '@', end - begin) != NULL)
        return "the URL of a webhook must not have a user or a password in it";
    bool bracket = url.ptr[begin] == '[';
    struct slice host = slice_of(url.ptr + begin + bracket, 0);
    while (host.ptr + host.len < url.ptr + end && host.ptr[host.len] != (bracket ? ']' : ':')) host.len++;
    size_t behind = begin + bracket + host.len;
    if (host.len == 0 || (bracket && behind++ == end)) return "the URL of a webhook names no host";
    if (!is_port(slice_of(url.ptr + behind, end - behind))) return "the URL of a webhook has a port that there is not";
    if (!is_host(host, bracket)) return "the URL of a webhook names no host that there can be";
    return reach_allows_host(&s->reach, host) ? NULL
         : "the URL of a webhook leads to an address that is not public; jobs.webhooks.allow in the configuration "
           "names the nets that may be called all the same";
}

/* -- The message -------------------------------------------------------------------------------- */

static void write_time(struct buf *out, uint64_t ms) {
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm;
    char text[48];
    gmtime_r(&seconds, &tm);
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
    buf_printf(out, "\"%s.%03uZ\"", text, (unsigned)(ms % 1000));
}

void webhook_write(const struct job *j, size_t result_max, struct buf *out) {
    buf_printf(out, "{\"type\":\"job.%s\",\"timestamp\":", job_status_name(j->status));
    write_time(out, j->ended_ms); /* of what happened, and not of this try */
    buf_puts(out, ",\"data\":");
    job_write(out, j, j->result.len <= result_max ? JOB_WHOLE : JOB_SHORT);
    buf_putc(out, '}');
}

/* -- Who it is from ---------------------------------------------------------------------------------- */

void webhook_write_id(const struct job_hook *h, struct buf *out) {
    const char *id = h->job->id;
    buf_printf(out, "msg_%s_%llu", strncmp(id, "job_", 4) == 0 ? id + 4 : id, (unsigned long long)h->number);
}

bool webhook_sign(const struct webhook_secrets *s, struct slice tenant, struct slice id, uint64_t seconds,
                  struct slice body, struct buf *out) {
    char between[32];
    snprintf(between, sizeof(between), ".%llu.", (unsigned long long)seconds);
    const struct slice pieces[] = { id, slice_str(between), body };
    for (unsigned i = 0; i < s->count; i++) {
        struct webhook_secret own;
        unsigned char digest[SHA256_BYTES];
        if (!webhook_secret_derive(&s->items[i], tenant, &own)) return false;
        if (!sha256_hmac(slice_of((const char *)own.bytes, own.len), pieces, 3, digest)) return false;
        buf_puts(out, i > 0 ? " v1," : "v1,");
        base64_write(out, slice_of((const char *)digest, sizeof(digest)));
    }
    return true;
}

/* -- What people want to know ------------------------------------------------------------------------- */

/* {"at":MS,...: the times of a job are seconds everywhere, and those of its log are kept as queues count. */
static void write_attempt(struct slice line, struct buf *out) {
    static const struct slice at = SLICE("{\"at\":");
    uint64_t ms = 0;
    size_t i = at.len;
    if (slice_starts(line, at))
        for (; i < line.len && i < at.len + 15 && line.ptr[i] >= '0' && line.ptr[i] <= '9'; i++)
            ms = ms * 10 + (uint64_t)(line.ptr[i] - '0');
    if (!slice_starts(line, at) || i == at.len) {
        buf_slice(out, line);
        return;
    }
    buf_printf(out, "{\"at\":%llu.%03u", (unsigned long long)(ms / 1000), (unsigned)(ms % 1000));
    buf_put(out, line.ptr + i, line.len - i);
}

/* The lines of the log, each an object, as a list. */
static void write_attempts(struct slice log, struct buf *out) {
    buf_puts(out, ",\"attempts\":[");
    for (bool first = true; log.len > 0; first = false) {
        const char *end = memchr(log.ptr, '\n', log.len);
        size_t len = end != NULL ? (size_t)(end - log.ptr) : log.len;
        if (!first) buf_putc(out, ',');
        write_attempt(slice_of(log.ptr, len), out);
        len += end != NULL;
        log = slice_of(log.ptr + len, log.len - len);
    }
    buf_putc(out, ']');
}

void webhook_write_log(const struct job_hook *hooks, unsigned count, struct buf *out) {
    static const char *const names[] = { "waiting", "sending", "delivered", "dead" }; /* ORDER enum job_hook_state */
    buf_puts(out, "{\"object\":\"list\",\"data\":[");
    for (unsigned i = 0; i < count; i++) {
        const struct job_hook *h = &hooks[i];
        buf_puts(out, i > 0 ? ",{\"url\":" : "{\"url\":");
        json_write_string(out, h->url);
        buf_printf(out, ",\"status\":\"%s\",\"tries\":%u,\"created_at\":%llu.%03u", names[h->state], h->tries,
                   (unsigned long long)(h->created_ms / 1000), (unsigned)(h->created_ms % 1000));
        write_attempts(h->log, out);
        buf_putc(out, '}');
    }
    buf_puts(out, "]}");
}

bool webhook_write_secrets(const struct webhook_secrets *s, struct slice tenant, struct buf *out) {
    buf_puts(out, "{\"object\":\"webhook_secrets\",\"secrets\":[");
    for (unsigned i = 0; i < s->count; i++) {
        struct webhook_secret own;
        if (!webhook_secret_derive(&s->items[i], tenant, &own)) return false;
        buf_puts(out, i > 0 ? ",\"" : "\"");
        webhook_secret_write(&own, out);
        buf_putc(out, '"');
    }
    buf_puts(out, "]}");
    return true;
}

/* -- When it is told again ------------------------------------------------------------------------------ */

uint64_t webhook_delay_ms(const struct webhook_settings *s, unsigned tries, uint64_t retry_after_ms, double random) {
    if (tries == 0 || tries > s->pause_count) return 0;
    uint64_t pause = (uint64_t)((double)s->pauses_ms[tries - 1] * (0.8 + 0.4 * random)) + 1;
    if (retry_after_ms > DAY_MS) retry_after_ms = DAY_MS;
    return pause > retry_after_ms ? pause : retry_after_ms;
}
