/* form.c -- multipart/form-data: the text of one field.
 *
 *     --BOUNDARY CRLF
 *     Content-Disposition: form-data; name="model" CRLF
 *     CRLF
 *     whisper-1 CRLF
 *     --BOUNDARY ...
 *
 * Uploads (audio, images, files) name their model in such a field.  Nothing is decoded or
 * copied: the field is a slice of the body, which goes on as it came.  A file in front of the
 * field is skipped by looking for the boundary, at the speed of memmem(). */
#include "request/form.h"

#include <string.h>
#include <strings.h>

static struct slice behind(struct slice s, const char *at) { return slice_of(at, (size_t)(s.ptr + s.len - at)); }

/* Where needle begins in s, or NULL. */
static const char *find(struct slice s, struct slice needle) {
    return needle.len > 0 && s.len >= needle.len ? memmem(s.ptr, s.len, needle.ptr, needle.len) : NULL;
}

/* The value of key= in a header's value, with or without quotes. */
static struct slice parameter(struct slice header, const char *key) {
    size_t n = strlen(key);
    for (size_t i = 0; i + n < header.len; i++) {
        char before = i > 0 ? header.ptr[i - 1] : ';';
        if (before != ';' && before != ' ' && before != '\t') continue;
        if (strncasecmp(header.ptr + i, key, n) != 0 || header.ptr[i + n] != '=') continue;
        struct slice v = behind(header, header.ptr + i + n + 1);
        bool quoted = v.len > 0 && v.ptr[0] == '"';
        if (quoted) v = behind(v, v.ptr + 1);
        size_t end = 0;
        while (end < v.len && (quoted ? v.ptr[end] != '"' : v.ptr[end] != ';' && v.ptr[end] != ' ')) end++;
        return slice_of(v.ptr, end);
    }
    return slice_of(NULL, 0);
}

/* What a part's head says of it: its name, or that of its file. */
static struct slice word_of(struct slice head, const char *key) {
    static const char field[] = "content-disposition:";
    size_t n = sizeof(field) - 1;
    while (head.len > n) {
        const char *end = memchr(head.ptr, '\n', head.len);
        struct slice line = end ? slice_of(head.ptr, (size_t)(end - head.ptr)) : head;
        if (line.len > n && strncasecmp(line.ptr, field, n) == 0) {
            struct slice value = slice_of(line.ptr + n, line.len - n);
            if (value.ptr[value.len - 1] == '\r') value.len--;
            return parameter(value, key);
        }
        if (end == NULL) break;
        head = behind(head, end + 1);
    }
    return slice_of(NULL, 0);
}

/* s stands behind a boundary.  The end of that line; NULL: it goes on, and so it was none. */
static const char *line_end(struct slice s) {
    while (s.len > 0 && (s.ptr[0] == ' ' || s.ptr[0] == '\t')) s = behind(s, s.ptr + 1);
    return slice_starts(s, SLICE("\r\n")) ? s.ptr : NULL;
}

/* The end of the next boundary line in s, whose mark is \r\n--BOUNDARY; NULL: there is none, or it is the last.  *part,
 * when asked for, is what stands before it.  A mark with other text behind it is no boundary. */
static const char *next_part(struct slice s, struct slice mark, struct slice *part) {
    struct slice rest = s;
    const char *at;
    while ((at = find(rest, mark)) != NULL) {
        rest = behind(rest, at + mark.len);
        if (slice_starts(rest, SLICE("--"))) break;
        const char *end = line_end(rest);
        if (end == NULL) continue;
        if (part != NULL) *part = slice_of(s.ptr, (size_t)(at - s.ptr));
        return end;
    }
    if (part != NULL && at != NULL) *part = slice_of(s.ptr, (size_t)(at - s.ptr));
    return NULL;
}

/* The body begins with a boundary, or with a text that nobody reads (RFC 2046 5.1.1). */
static const char *first_part(struct slice body, struct slice mark) {
    struct slice line = behind(mark, mark.ptr + 2);
    if (!slice_starts(body, line)) return next_part(body, mark, NULL);
    const char *end = line_end(behind(body, body.ptr + line.len));
    return end ? end : next_part(body, mark, NULL);
}

/* The boundary of the type; ptr NULL: it is no form, or has two of them, and who knows which one counts. */
static struct slice boundary_of(struct slice type) {
    static const char multipart[] = "multipart/form-data";
    struct slice none = slice_of(NULL, 0);
    if (type.len < sizeof(multipart) || strncasecmp(type.ptr, multipart, sizeof(multipart) - 1) != 0) return none;
    struct slice b = parameter(type, "boundary");
    if (b.len == 0 || b.len > 70 || parameter(behind(type, b.ptr + b.len), "boundary").ptr != NULL) return none;
    return b;
}

static void look_at(struct slice head, struct slice content, struct form_part *wanted, unsigned count) {
    struct slice name = word_of(head, "name");
    for (unsigned i = 0; i < count; i++) {
        struct form_part *p = &wanted[i];
        if (!slice_eq(name, p->name) || p->times++ > 0) continue;
        p->filename = word_of(head, "filename");
        p->content = content;
    }
}

/* first: one of them is enough. */
static void walk(struct slice type, struct slice body, struct form_part *wanted, unsigned count, bool first) {
    char mark[80] = "\r\n--"; /* a boundary has at most 70 characters */
    struct slice b = boundary_of(type), next = slice_of(mark, 4 + b.len);
    if (b.ptr == NULL) return;
    memcpy(mark + 4, b.ptr, b.len);
    for (const char *at = first_part(body, next); at != NULL && !(first && wanted->times > 0);) {
        struct slice part = slice_of(NULL, 0), rest = behind(body, at);
        at = next_part(rest, next, &part);
        if (part.ptr == NULL) break; /* it is cut */
        const char *blank = find(part, SLICE("\r\n\r\n"));
        struct slice head = slice_of(part.ptr, blank != NULL ? (size_t)(blank - part.ptr) : 0);
        if (blank != NULL) look_at(head, behind(part, blank + 4), wanted, count);
    }
}

void form_parts(struct slice type, struct slice body, struct form_part *wanted, unsigned count) {
    walk(type, body, wanted, count, false);
}

struct slice form_field(struct slice content_type, struct slice body, struct slice name) {
    struct form_part wanted = { .name = name };
    walk(content_type, body, &wanted, 1, true);
    return wanted.content;
}
