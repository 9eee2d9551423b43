/* parse.c -- HTTP/1.1 heads, strictly.
 *
 *     POST /v1/chat/completions HTTP/1.1\r\n    method SP target SP version
 *     Host: localhost\r\n                       name ":" value
 *     Content-Length: 12\r\n
 *     \r\n                                      the end; its offset is the result
 *
 * Request smuggling is two programs reading the same bytes differently.  This
 * one reads each byte in one way only, and where the RFC lets a server be
 * lenient (bare LF, folded lines, space before the colon, equal Content-Lengths)
 * it refuses.
 *
 * Two passes over each line, both short.  line_end() finds the end and refuses
 * control bytes, sixteen bytes at a time; then the line, now known to be free of
 * them, is taken apart.  Lines are judged only when they are complete.  So the
 * verdict depends on the bytes and never on how they were cut into packets: it
 * is that of the shortest prefix that has one.  (The one exception, a request
 * line that outgrows HTTP_MAX_TARGET before it ends, is judged by the same rule
 * in every split.)
 *
 * Bytes that come one at a time: a call that saw only plain bytes since the last
 * one knows without parsing that nothing ended; see worth_parsing().
 *
 * A target is taken apart into host, path and query, so that nobody behind us does it in
 * another way; a header of which two lines would be two opinions may come once.
 *
 * Not done here: the body (chunked.c and the caller), what paths, header
 * values or methods mean, and limits in time.
 *
 * Thread: any.  Keeps nothing, allocates nothing; all slices point into the
 * caller's bytes. */
#include <assert.h>

#include "flow/headers.h"
#include "http/parse.h"
#include "http/token.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define METHOD_MAX 32 /* the longest registered one has 17 letters */

#define FIRST_LINE_MAX (METHOD_MAX + 1 + HTTP_MAX_TARGET + sizeof(" HTTP/1.1\r\n") - 1)

struct parser {
    struct http_head *head;
    const char       *at, *end;
    const char      **why;
    bool              is_request;
    bool              has_host;
    unsigned          once;      /* bits of the names in once_only that have come */
    struct slice      authority; /* of an absolute target */
};

static int bad(struct parser *p, const char *why) {
    *p->why = why;
    return HTTP_BAD;
}

static int refuse(struct parser *p, int code, const char *why) {
    *p->why = why;
    return code;
}

/* -- Lines ------------------------------------------------------------------ */

/* The first control byte of [p, end), HTAB excepted, or end. */
static const char *find_control(const char *p, const char *end) {
#ifdef __SSE2__
    const __m128i low = _mm_set1_epi8(0x1f);
    const __m128i tab = _mm_set1_epi8('\t');
    const __m128i del = _mm_set1_epi8(0x7f);

    for (; end - p >= 16; p += 16) {
        __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
        __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(x, low), x);
        control = _mm_andnot_si128(_mm_cmpeq_epi8(x, tab), control);
        int mask = _mm_movemask_epi8(_mm_or_si128(control, _mm_cmpeq_epi8(x, del)));
        if (mask != 0) return p + __builtin_ctz((unsigned)mask);
    }
#endif
    while (p < end && !http_is_control(*p)) p++;
    return p;
}

/* Takes the next line.  Returns 1 with *line (without CRLF), HTTP_AGAIN when its
 * end has not come, or HTTP_BAD. */
static int next_line(struct parser *p, struct slice *line) {
    const char *stop = find_control(p->at, p->end);

    if (stop == p->end) return HTTP_AGAIN;
    if (*stop == '\n') return bad(p, "line ends with LF alone");
    if (*stop != '\r') return bad(p, "control byte in the head");
    if (stop + 1 == p->end) return HTTP_AGAIN;
    if (stop[1] != '\n') return bad(p, "CR without LF");
    *line = slice_of(p->at, (size_t)(stop - p->at));
    p->at = stop + 2;
    return 1;
}

static bool is_token(struct slice s) {
    for (size_t i = 0; i < s.len; i++)
        if (!http_is_token(s.ptr[i])) return false;
    return s.len > 0;
}

/* -- Headers that frame the message ----------------------------------------- */

static int take_length(struct parser *p, struct slice value) {
    if (p->head->has_length) return bad(p, "more than one Content-Length");
    if (p->head->chunked) return bad(p, "Content-Length with Transfer-Encoding");
    /* 18 digits are below 2^63, so that no sum with it overflows. */
    if (value.len == 0 || value.len > 18) return bad(p, "malformed Content-Length");

    uint64_t length = 0;
    for (size_t i = 0; i < value.len; i++) {
        unsigned digit = (unsigned char)value.ptr[i] - (unsigned)'0';
        if (digit > 9) return bad(p, "malformed Content-Length");
        length = length * 10 + digit;
    }
    p->head->length = length;
    p->head->has_length = true;
    return 0;
}

static int take_transfer_encoding(struct parser *p, struct slice value) {
    struct slice coding;

    if (p->head->minor == 0) return bad(p, "Transfer-Encoding in HTTP/1.0");
    if (p->head->has_length) return bad(p, "Content-Length with Transfer-Encoding");
    while (headers_value_next(&value, &coding)) {
        if (!is_token(coding)) return bad(p, "malformed Transfer-Encoding");
        if (p->head->chunked) return bad(p, "transfer coding after chunked");
        if (!slice_eq_nocase(coding, SLICE("chunked")))
            return refuse(p, HTTP_NOT_IMPLEMENTED, "transfer coding other than chunked");
        p->head->chunked = true;
    }
    return 0;
}

static int take_host(struct parser *p, struct slice value) {
    if (p->has_host) return bad(p, "more than one Host");
    for (size_t i = 0; i < value.len; i++)
        if (!http_is_host(value.ptr[i])) return bad(p, "malformed Host");
    p->has_host = true;
    return 0;
}

/* Headers with one value, of which two readers would believe different ones: which key is
 * checked here, and which one is passed on?  (Host and those that frame are above.) */
static int take_once(struct parser *p, struct slice name) {
    static const struct { struct slice name; const char *why; } once_only[] = {
        { SLICE("authorization"), "more than one Authorization" },
        { SLICE("proxy-authorization"), "more than one Proxy-Authorization" },
        { SLICE("content-type"), "more than one Content-Type" },
        { SLICE("x-api-key"), "more than one X-Api-Key" },
        { SLICE("origin"), "more than one Origin" },
        { SLICE("idempotency-key"), "more than one Idempotency-Key" },
    };
    for (unsigned i = 0; i < sizeof(once_only) / sizeof(*once_only); i++) {
        if (!slice_eq_nocase(name, once_only[i].name)) continue;
        if (p->once & 1u << i) return bad(p, once_only[i].why);
        p->once |= 1u << i;
    }
    return 0;
}

/* "close" is final; "keep-alive" speaks only where close is the default. */
static int take_connection(struct slice value, bool *close, bool *keep_alive) {
    struct slice option;

    while (headers_value_next(&value, &option)) {
        if (slice_eq_nocase(option, SLICE("close"))) *close = true;
        if (slice_eq_nocase(option, SLICE("keep-alive"))) *keep_alive = true;
    }
    return 0;
}

/* -- Header lines ----------------------------------------------------------- */

struct connection {
    bool close, keep_alive;
};

/* Understands the few headers that concern the parser.  The length of the name
 * turns most of the others away. */
static int understand(struct parser *p, struct connection *connection,
                      const struct http_header *h) {
    switch (h->name.len) {
    case 4:
        if (p->is_request && slice_eq_nocase(h->name, SLICE("host")))
            return take_host(p, h->value);
        break;
    case 6:
        if (slice_eq_nocase(h->name, SLICE("expect")) && p->head->minor > 0 &&
            slice_eq_nocase(h->value, SLICE("100-continue")))
            p->head->expect_continue = true;
        if (p->is_request) return take_once(p, h->name);
        break;
    case 10:
        if (slice_eq_nocase(h->name, SLICE("connection")))
            return take_connection(h->value, &connection->close, &connection->keep_alive);
        break;
    case 14:
        if (slice_eq_nocase(h->name, SLICE("content-length"))) return take_length(p, h->value);
        break;
    case 9: case 12: case 13: case 15: case 19:
        if (p->is_request) return take_once(p, h->name);
        break;
    case 17:
        if (slice_eq_nocase(h->name, SLICE("transfer-encoding")))
            return take_transfer_encoding(p, h->value);
        break;
    default: break;
    }
    return 0;
}

static int parse_header(struct parser *p, struct http_header *h, struct slice line) {
    size_t n = 0;

    while (n < line.len && http_is_token(line.ptr[n])) n++;
    if (n == line.len) return bad(p, "header line without a colon");
    if (line.ptr[n] != ':') {
        bool space = line.ptr[n] == ' ' || line.ptr[n] == '\t';
        if (!space) return bad(p, "invalid byte in a header name");
        return bad(p, n == 0 ? "folded header line" : "space in or after a header name");
    }
    if (n == 0) return bad(p, "header line without a name");
    h->name = slice_of(line.ptr, n);
    h->value = slice_trim(slice_of(line.ptr + n + 1, line.len - n - 1));
    return 0;
}

/* All header lines up to the blank one.  Returns 1, HTTP_AGAIN or an error. */
static int parse_headers(struct parser *p) {
    struct http_head *head = p->head;
    struct connection connection = { false, false };
    struct slice line;

    for (;;) {
        int rc = next_line(p, &line);
        if (rc <= 0) return rc;
        if (line.len == 0) break;
        if (head->header_count == HTTP_MAX_HEADERS)
            return refuse(p, HTTP_HEAD_TOO_LARGE, "more than 100 header lines");

        struct http_header *h = &head->headers[head->header_count];
        rc = parse_header(p, h, line);
        if (rc == 0) rc = understand(p, &connection, h);
        if (rc < 0) return rc;
        head->header_count++;
    }
    head->keep_alive = !connection.close && (head->minor > 0 || connection.keep_alive);
    return 1;
}

/* -- First lines ------------------------------------------------------------ */

static int parse_version(struct parser *p, struct slice s) {
    if (s.len != 8 || memcmp(s.ptr, "HTTP/", 5) != 0 || s.ptr[6] != '.' ||
        !http_is_digit(s.ptr[5]) || !http_is_digit(s.ptr[7]))
        return bad(p, "malformed HTTP version");
    if (s.ptr[5] != '1' || s.ptr[7] > '1')
        return refuse(p, HTTP_VERSION, "HTTP version other than 1.0 and 1.1");
    p->head->minor = s.ptr[7] - '0';
    return 0;
}

static int check_target(struct parser *p, struct slice target) {
    if (target.len == 0) return bad(p, "request line without a target");
    for (size_t i = 0; i < target.len; i++)
        if (!http_is_visible(target.ptr[i]) || target.ptr[i] == '#') return bad(p, "invalid byte in the target");
    return 0;
}

/* "http://host:port" in front of a path: takes it off *target. */
static int take_authority(struct parser *p, struct slice *target) {
    size_t begin = slice_starts_nocase(*target, SLICE("http://")) ? 7
                   : slice_starts_nocase(*target, SLICE("https://")) ? 8 : 0;
    if (begin == 0) return bad(p, "the target is no path and no http URL");
    size_t n = begin;
    while (n < target->len && http_is_host(target->ptr[n])) n++;
    p->authority = slice_of(target->ptr + begin, n - begin);
    *target = slice_of(target->ptr + n, target->len - n);
    bool ends = target->len == 0 || target->ptr[0] == '/' || target->ptr[0] == '?';
    return p->authority.len > 0 && ends ? 0 : bad(p, "malformed host in the target");
}

/* TRACE asks for its own request back, and further on that has a key in it; IIS calls it TRACK.  Some servers take
 * methods without regard to case, so what is only spelled otherwise is not passed on either. */
static const char *refused_method(struct slice method) {
    if (slice_eq_nocase(method, SLICE("CONNECT"))) return "CONNECT: this is no proxy";
    bool echo = slice_eq_nocase(method, SLICE("TRACE")) || slice_eq_nocase(method, SLICE("TRACK"));
    return echo ? "TRACE: requests are not sent back" : NULL;
}

/* The four forms of RFC 9112 3.2. */
static int take_target(struct parser *p) {
    struct http_head *head = p->head;
    struct slice rest = head->target;
    int rc = 0;
    const char *why = refused_method(head->method);
    if (why != NULL) return refuse(p, HTTP_NOT_IMPLEMENTED, why);
    if (slice_eq(rest, SLICE("*"))) {
        head->path = rest;
        return slice_eq(head->method, SLICE("OPTIONS")) ? 0 : bad(p, "the target * is for OPTIONS");
    }
    if (rest.ptr[0] != '/') rc = take_authority(p, &rest);
    if (rc < 0) return rc;
    const char *mark = rest.len ? memchr(rest.ptr, '?', rest.len) : NULL;
    head->path = mark ? slice_of(rest.ptr, (size_t)(mark - rest.ptr)) : rest;
    if (mark != NULL) head->query = slice_of(mark + 1, (size_t)(rest.ptr + rest.len - mark - 1));
    if (head->path.len == 0) head->path = SLICE("/");
    return 0;
}

/* Judges what is there of a request line; `whole` when that is all of it.
 * Returns 1, an error, or, when not whole, HTTP_AGAIN. */
static int parse_request_line(struct parser *p, struct slice line, bool whole) {
    struct http_head *head = p->head;
    const char *end = line.ptr + line.len;

    const char *space = line.len ? memchr(line.ptr, ' ', line.len) : NULL;
    size_t method_len = space ? (size_t)(space - line.ptr) : line.len;
    head->method = slice_of(line.ptr, method_len);
    if (method_len > METHOD_MAX || !is_token(head->method)) return bad(p, "malformed method");
    if (space == NULL) return whole ? bad(p, "request line without a target") : HTTP_AGAIN;

    const char *target = space + 1;
    space = memchr(target, ' ', (size_t)(end - target));
    head->target = slice_of(target, (size_t)((space ? space : end) - target));
    if (head->target.len > HTTP_MAX_TARGET)
        return refuse(p, HTTP_URI_TOO_LONG, "target over 8 KiB");
    if (!whole) return HTTP_AGAIN;
    if (space == NULL) return bad(p, "request line without a version");

    int rc = check_target(p, head->target);
    if (rc == 0) rc = parse_version(p, slice_of(space + 1, (size_t)(end - space - 1)));
    if (rc == 0) rc = take_target(p);
    return rc < 0 ? rc : 1;
}

static int parse_first_line_of_request(struct parser *p) {
    struct slice line;

    int rc = next_line(p, &line);
    if (rc == 1 && line.len == 0) rc = next_line(p, &line); /* RFC 9112 2.2 */
    if (rc < 0) return rc;
    if (rc > 0) return parse_request_line(p, line, true);

    struct slice part = slice_of(p->at, (size_t)(p->end - p->at));
    return part.len > HTTP_MAX_TARGET ? parse_request_line(p, part, false) : HTTP_AGAIN;
}

/* "HTTP/1.1 200 OK"; the reason may be empty, and its space missing. */
static int parse_status_line(struct parser *p) {
    struct slice line;

    int rc = next_line(p, &line);
    if (rc <= 0) return rc;
    if (line.len < 12 || line.ptr[8] != ' ') return bad(p, "malformed status line");
    rc = parse_version(p, slice_of(line.ptr, 8));
    if (rc < 0) return rc;

    const char *digits = line.ptr + 9;
    if (digits[0] < '1' || digits[0] > '9' || !http_is_digit(digits[1]) ||
        !http_is_digit(digits[2]) || (line.len > 12 && line.ptr[12] != ' '))
        return bad(p, "malformed status line");
    p->head->status = (digits[0] - '0') * 100 + (digits[1] - '0') * 10 + (digits[2] - '0');
    if (line.len > 13) p->head->reason = slice_of(line.ptr + 13, line.len - 13);
    return 1;
}

/* -- Heads ------------------------------------------------------------------ */

static struct parser parser_of(struct http_head *head, struct slice s, bool is_request,
                               const char **why) {
    const char *begin = s.len ? s.ptr : "";
    size_t len = s.len < HTTP_MAX_HEAD ? s.len : HTTP_MAX_HEAD;

    /* The array of headers is left as it is: 3 KiB that nobody reads. */
    head->method = head->target = head->path = head->query = head->reason = slice_of("", 0);
    head->status = head->minor = 0;
    head->header_count = 0;
    head->chunked = head->has_length = head->keep_alive = head->expect_continue = false;
    head->length = 0;
    return (struct parser){ .head = head, .at = begin, .end = begin + len, .why = why,
                            .is_request = is_request };
}

/* Can the bytes after the first `seen` change an earlier HTTP_AGAIN?  Only a
 * control byte can (CR needs the byte after it), or a limit.  That leaves one
 * parse for each line that ends, so a head of n bytes that come one at a time
 * costs n steps and at most HTTP_MAX_HEADERS parses. */
static bool worth_parsing(struct slice s, size_t seen) {
    const char *from = s.ptr + seen, *end = s.ptr + s.len;

    if (seen == 0 || s.len > HTTP_MAX_HEAD) return true;
    if (from[-1] == '\r') from--;
    const char *control = find_control(from, end);
    if (control < end && !(*control == '\r' && control + 1 == end)) return true;
    /* A first line this long is judged before it ends.  (An LF among the first
     * two bytes belongs to the empty line before it.) */
    if (s.len <= HTTP_MAX_TARGET) return false;
    size_t len = s.len - 2 < FIRST_LINE_MAX ? s.len - 2 : FIRST_LINE_MAX;
    return memchr(s.ptr + 2, '\n', len) == NULL;
}

/* What an absolute target says of the host stands above the header (RFC 9112 3.2.2). */
static void settle_host(struct parser *p) {
    struct http_head *head = p->head;
    if (p->authority.len == 0) return;
    for (unsigned i = 0; i < head->header_count; i++)
        if (slice_eq_nocase(head->headers[i].name, SLICE("host"))) head->headers[i].value = p->authority;
    if (!p->has_host && head->header_count < HTTP_MAX_HEADERS)
        head->headers[head->header_count++] = (struct http_header){ SLICE("host"), p->authority };
}

static int parse_head(struct parser *p, struct slice s) {
    int rc = p->is_request ? parse_first_line_of_request(p) : parse_status_line(p);
    if (rc > 0) rc = parse_headers(p);
    if (rc == HTTP_AGAIN && s.len > HTTP_MAX_HEAD)
        return refuse(p, HTTP_HEAD_TOO_LARGE, "head over 32 KiB");
    if (rc <= 0) return rc;
    if (p->is_request && p->head->minor > 0 && !p->has_host) return bad(p, "no Host");
    settle_host(p);
    return (int)(p->at - s.ptr);
}

int http_parse_request(struct http_head *head, struct slice s, size_t seen, const char **why) {
    assert(seen <= s.len);
    *why = NULL;
    if (!worth_parsing(s, seen)) return HTTP_AGAIN;
    struct parser p = parser_of(head, s, true, why);
    return parse_head(&p, s);
}

int http_parse_response(struct http_head *head, struct slice s, size_t seen, const char **why) {
    assert(seen <= s.len);
    *why = NULL;
    if (!worth_parsing(s, seen)) return HTTP_AGAIN;
    struct parser p = parser_of(head, s, false, why);
    return parse_head(&p, s);
}

const struct http_header *http_headers_find(const struct http_header *headers, unsigned count, struct slice name) {
    for (unsigned i = 0; i < count; i++)
        if (slice_eq_nocase(headers[i].name, name)) return &headers[i];
    return NULL;
}

const struct http_header *http_find(const struct http_head *head, struct slice name) {
    return http_headers_find(head->headers, head->header_count, name);
}

struct slice http_headers_value(const struct http_header *headers, unsigned count, struct slice name) {
    const struct http_header *h = http_headers_find(headers, count, name);
    return h ? h->value : slice_of(NULL, 0);
}
