/* json_alike.c -- is this JSON?  For texts that come one after the other and differ in a few strings.
 *
 *     {"id":"x","choices":[{"index":0,"delta":{"content":"he"},"finish_reason":null}],"pad":"a8"}    the last one
 *                                                        ----                               ----     its holes
 *     {"id":"x","choices":[{"index":0,"delta":{"content":"llo"},"finish_reason":null}],"pad":"q"}    the next one
 *
 * The events of a stream are such texts: there is one per token, and all that is new in it are a few letters.  One
 * that was read as a whole is kept.  The next one is JSON, too, when it has the same bytes outside of the holes and
 * strings in them; both is found out in the time that it takes to compare them.  Where it has not, it is read as a
 * whole and takes the place of the other; a string in which the two began to differ becomes a hole of it, so the
 * holes are found by what comes, one with each text.
 *
 * Why that is right: the text that is kept is JSON, and a string in it stands for any other.
 *
 * Texts over TEXT_MOST are not kept: reading those costs less than all else that is done with them. */
#include "base/json_alike.h"

#include <string.h>

#define TEXT_MOST 4096

/* Where the string that begins at `at` ends, behind its quotation mark; 0: nowhere. */
static size_t string_end(struct slice s, size_t at) {
    for (size_t i = at + 1; i < s.len;) {
        const char *quote = memchr(s.ptr + i, '"', s.len - i);
        if (quote == NULL) return 0;
        size_t slashes = 0, end = (size_t)(quote - s.ptr);
        while (end - slashes > at + 1 && s.ptr[end - slashes - 1] == '\\') slashes++;
        if (slashes % 2 == 0) return end + 1;
        i = end + 1;
    }
    return 0;
}

static bool is_string(struct json_doc *doc, struct slice s) {
    return json_parse(doc, s, &(struct json_error){ 0 }) == 0 && json_type(doc, 0) == JSON_STRING;
}

static size_t same_bytes(const char *a, const char *b, size_t len) {
    size_t n = 0;
    while (n < len && a[n] == b[n]) n++;
    return n;
}

/* Does s differ from the text in its holes only?  Else *at is where it began to, and `found` has the holes as far as
 * they were passed, where they are in s. */
static bool fits(const struct json_alike *a, struct json_doc *doc, struct slice s, struct json_alike *found,
                 size_t *at) {
    struct slice t = buf_get(&a->text);
    size_t ours = 0, its = 0;
    for (unsigned i = 0; i <= a->count; i++) {
        size_t stop = i < a->count ? a->holes[i].from : t.len, len = stop - ours;
        if (s.len - its < len || memcmp(s.ptr + its, t.ptr + ours, len) != 0) {
            *at = its + same_bytes(s.ptr + its, t.ptr + ours, s.len - its < len ? s.len - its : len);
            return false;
        }
        its += len;
        *at = its;
        if (i == a->count) break;
        size_t end = its < s.len && s.ptr[its] == '"' ? string_end(s, its) : 0;
        if (end == 0 || !is_string(doc, slice_of(s.ptr + its, end - its))) return false;
        found->holes[i].from = (uint32_t)its;
        found->holes[i].to = (uint32_t)end;
        found->count = i + 1;
        ours = a->holes[i].to;
        its = end;
    }
    return its == s.len;
}

/* The string around the byte at; its closing quotation mark counts, its opening one does not. */
static const struct json_node *string_around(const struct json_doc *doc, size_t at) {
    for (uint32_t i = 0; i < doc->len; i++) {
        const struct json_node *n = &doc->nodes[i];
        if (n->type == JSON_STRING && n->start < at && at < n->end) return n;
    }
    return NULL;
}

static void learn(struct json_alike *a, const struct json_doc *doc, struct slice s, struct json_alike *found,
                  size_t at) {
    const struct json_node *n = at > 0 && found->count < JSON_ALIKE_HOLES ? string_around(doc, at) : NULL;
    if (n != NULL) {
        found->holes[found->count].from = n->start;
        found->holes[found->count++].to = n->end;
    }
    memcpy(a->holes, found->holes, sizeof(a->holes));
    a->count = found->count;
    buf_clear(&a->text);
    if (s.len <= TEXT_MOST) buf_slice(&a->text, s);
    if (!buf_failed(&a->text) && buf_len(&a->text) > 0) return;
    buf_clear(&a->text);
    a->count = 0;
}

int json_alike(struct json_alike *a, struct json_doc *doc, struct slice s) {
    struct json_alike found = { .count = 0 };
    size_t at = 0;
    if (buf_len(&a->text) > 0 && s.len <= UINT32_MAX && fits(a, doc, s, &found, &at)) return 0;
    int rc = json_parse(doc, s, &(struct json_error){ 0 });
    if (rc == 0) learn(a, doc, s, &found, at);
    return rc;
}

void json_alike_deinit(struct json_alike *a) { buf_deinit(&a->text); }
